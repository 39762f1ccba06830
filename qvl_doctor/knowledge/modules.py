"""Which releases of vLLM have a module: `vllm_modules.json`, by package and span, without what all releases have."""

from __future__ import annotations

from qvl_doctor import knowledge


def module(name: str) -> knowledge.Span | None:
    """The releases that have a module, as `vllm.v1.attention.backends.mla.prefill`. None if no table tells.

    A module that came and went with its package stands for it.
    """
    parts = name.split(".")[:12]
    packages = knowledge.table("vllm_modules")["modules"]
    for length in range(len(parts), 1, -1):
        row = packages.get(".".join(parts[: length - 1]), {})
        for span, names in row.items():
            if parts[length - 1] in names.split():
                first, _, last = span.partition(" ")
                return knowledge.Span(first, last)
    return None
