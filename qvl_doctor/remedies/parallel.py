"""Sizes that fit: GPUs that share a layer, stages that share the layers, ranks of LoRA adapters."""

from __future__ import annotations

from collections.abc import Mapping

from qvl_doctor.model import Facts
from qvl_doctor.versions import satisfies

#: What --max-lora-rank takes: vllm/config.py up to 0.7, and from 0.8.0 on (vllm/config/lora.py still has them in 0.33).
_RANKS_BEFORE_0_8 = (8, 16, 32, 64, 128, 256)
_RANKS = (*_RANKS_BEFORE_0_8, 320, 512)

#: No model has more heads, and no cluster more GPUs; what is longer is not looked at.
_LONGEST_NUMBER = 9


def tensor_parallel_for_heads(values: Mapping[str, str], _facts: Facts) -> dict[str, str] | None:
    """`tp`: the largest power of two below `parts` that divides `whole` (heads, or the width of a layer).

    Powers of two only: key/value heads, vision heads and vocabularies are not in the message, and they go with these.
    """
    whole, parts = _number(values, "whole"), _number(values, "parts")
    return {"tp": str(_fitting(whole, parts))} if whole and parts and parts > 1 else None


def pipeline_stages_for_heads(values: Mapping[str, str], _facts: Facts) -> dict[str, str] | None:
    """`tp` and `pp` that use as many of the `parts` GPUs as possible, where `whole` cannot be shared by all of them."""
    whole, parts = _number(values, "whole"), _number(values, "parts")
    if not whole or not parts or parts < 2:
        return None
    tp = _fitting(whole, parts)
    return {"tp": str(tp), "pp": str(parts // tp)} if parts // tp > 1 else None


def tensor_parallel_for_gpus(values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`tp`: the largest power of two for which tp × pipeline stages ≤ `gpus`."""
    gpus = _number(values, "gpus")
    stages = _known(facts, "pipeline_parallel_size") or 1
    return {"tp": str(_power_of_two(gpus // stages))} if gpus and gpus >= stages else None


def tensor_parallel_for_groups(values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`tp`: the largest size below the present one whose shards are whole groups: `part` is a shard's width, `group` a group's."""
    part, group = _number(values, "part"), _number(values, "group")
    present = _known(facts, "tensor_parallel_size")
    if not part or not group or not present or present < 2:
        return None
    whole = part * present
    fitting = [size for size in range(1, present) if present % size == 0 and whole // size % group == 0]
    return {"tp": str(fitting[-1])} if fitting else None


def pipeline_instead_of_tensor(_values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`gpus`: the GPUs that shared each layer and can as well hold some of the layers each."""
    present = _known(facts, "tensor_parallel_size")
    stages = _known(facts, "pipeline_parallel_size") or 1
    return {"gpus": str(present * stages)} if present and present > 1 else None


def half_as_many_shards(_values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`tp` and `pp`: half of the present tensor parallel size, and twice the stages, so that as many GPUs are used."""
    present = _known(facts, "tensor_parallel_size")
    stages = _known(facts, "pipeline_parallel_size") or 1
    return {"tp": str(present // 2), "pp": str(stages * 2)} if present and present % 2 == 0 else None


def lora_rank(values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`max_lora_rank`: the smallest allowed value that is at least `rank`."""
    rank = _number(values, "rank")
    release = facts.get("vllm")
    old = release is not None and satisfies(str(release.value), "<0.8") is True
    allowed = [size for size in (_RANKS_BEFORE_0_8 if old else _RANKS) if rank and size >= rank]
    return {"max_lora_rank": str(allowed[0])} if allowed else None


def _fitting(whole: int, parts: int) -> int:
    """The largest power of two that divides `whole` and is less than `parts`."""
    size = 1
    while size * 2 < parts and whole % (size * 2) == 0:
        size *= 2
    return size


def _power_of_two(limit: int) -> int:
    """The largest power of two that is not above the limit (at least 1)."""
    return 1 << (limit.bit_length() - 1)


def _number(values: Mapping[str, str], name: str) -> int | None:
    text = values.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else None


def _known(facts: Facts, name: str) -> int | None:
    """A fact that is a whole number; nothing else counts."""
    fact = facts.get(name)
    return _number({name: str(fact.value)}, name) if fact else None
