#!/usr/bin/env python3
"""Write `docs/plans.md`.

What popular vision-language models take on popular GPUs, and the change with the least loss that fits.

tools/build_plans.py          # write
tools/build_plans.py --check  # fail if the page is not what would be written
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory import gpus, model_cards
from qvl_doctor.memory.budget import Plan
from qvl_doctor.memory.encoder import largest_items
from qvl_doctor.memory.solver import Case, Solution, solve
from qvl_doctor.memory.units import GIB
from qvl_doctor.report.paste import pieces

PAGE = Path(__file__).resolve().parent.parent / "docs" / "plans.md"
RELEASE: Release = (0, 19, 0)
MODELS = (
    "Qwen/Qwen2.5-VL-7B-Instruct",
    "Qwen/Qwen3-VL-8B-Instruct",
    "Qwen/Qwen3-VL-30B-A3B-Instruct",
    "Qwen/Qwen2.5-VL-72B-Instruct-AWQ",
    "OpenGVLab/InternVL3-8B",
    "google/gemma-3-27b-it",
)
CARDS = ("L4", "A10", "RTX 4090", "A100-40GB", "A100-80GB", "H100")
#: What was held against public logs, as predicted | logged, and what was not (benchmarks/memory.py compares them all).
CHECKED = {
    MODELS[0]: "0.7.2 on a 24 GB GPU, no images: weights 15.630 | 15.627 GiB, activation 0.69 | 0.69. "
    "0.23.0 on A100-80GB, default video: missing KV cache 14.21 | 14.28 GiB. The AWQ model, 0.10 on a Jetson: activation 4.93 | 4.93 GiB.",
    MODELS[
        1
    ]: "0.23 on a B200, whose flags had to be assumed: weights 16.97 | 16.97 GiB, activation 2.95 | 1.51, so far too high there.",
    MODELS[
        2
    ]: "0.11.0 on four RTX 3090: weights 14.770 | 14.771 GiB, KV cache 100912 | 100752 tokens. Its activation was not compared.",
    MODELS[3]: "Nothing. Weights and activation are computed from its config.json.",
    MODELS[4]: "Nothing. Shapes and tiling are read from its config.json and vLLM's code.",
    MODELS[
        5
    ]: "Nothing of this size. gemma-3-4b-it, 0.19.0 on H100: weights 8.58 | 8.58, activation 3.89 | 3.89, KV cache 62.51 | 62.51.",
}


def main() -> int:
    """Writes or checks the page."""
    text = "\n".join(page()).rstrip() + "\n"
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/plans.md is not what tools/build_plans.py writes", file=sys.stderr)
    return 1


def page() -> Iterator[str]:
    """The page, line by line."""
    release = ".".join(map(str, RELEASE))
    yield "# Plans"
    yield ""
    yield f"What these models take at vLLM {release} with no flag but the model, on one GPU, and the change with the least loss that"
    yield "makes them fit. `tools/build_plans.py` makes this page; each row is what"
    yield "`qvl-doctor plan --gpu CARD --vllm RELEASE -- vllm serve MODEL` says."
    yield ""
    yield "Sizes in GiB. Weights, activation and KV cache are those of the plain command on one GPU; a negative KV cache is what is"
    yield "missing, ± the model's own error band. Nothing of this was run on these GPUs: what was compared with public logs is below"
    yield "each model."
    yield ""
    for name in MODELS:
        card = model_cards.find(name)
        if card is None:
            raise SystemExit(f"no built-in data for {name}")
        yield f"## {name}"
        yield ""
        yield f"Compared with logs (predicted | logged): {CHECKED[name]}"
        yield ""
        yield "| GPU | weights | activation | KV cache | as it is | least loss | then: KV tokens, full requests, tokens of an image |"
        yield "|---|---|---|---|---|---|---|"
        for gpu_name in CARDS:
            gpu = gpus.find(gpu_name)
            if gpu is None:
                raise SystemExit(f"no card {gpu_name}")
            given = {"quantization": card.quantization} if card.quantization else {}
            case = Case(card.shape, gpu, RELEASE, given)
            yield _row(case, gpu_name, case.plan(), solve(case))
        yield ""


def _row(case: Case, gpu: str, plain: Plan, best: Solution | None) -> str:
    cells = [
        f"{gpu} ({gpus_gib(case)})",
        _gib(plain.weights),
        _gib(plain.activation),
        f"{_gib(plain.kv)} ± {_gib(plain.error)}",
        plain.verdict,
    ]
    if best is None:
        cells += ["none", ""]
    else:
        flags = " ".join(str(piece) for piece in pieces({"flags": dict(best.flags)}))
        quantized = next((step.value for step in best.steps if step.lever == "checkpoint"), "")
        change = f"`{flags}`" if flags else "" if best.steps else "fits"
        image = largest_items(case.shape, best.settings).get("image", 0)
        cells += [" and ".join(filter(None, (change, quantized and f"{quantized} weights")))]
        cells += [f"{best.plan.pool.tokens}, {best.plan.pool.concurrency:.2f}, {image}"]
    return "| " + " | ".join(cells) + " |"


def gpus_gib(case: Case) -> str:
    """The card's memory as torch sees it."""
    return f"{case.gpu.total_gib:.2f}"


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}"


if __name__ == "__main__":
    raise SystemExit(main())
