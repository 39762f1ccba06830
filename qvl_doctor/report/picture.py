"""The numbers of the pictures of a report: what fills the GPU's memory, and bars that add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qvl_doctor.model import Facts, Phase, fact_number

#: The parts of the GPU in the order of the bar, with the facts that hold them.
PARTS = {
    "weights": "weights_gib",
    "activation": "activation_gib",
    "non_torch": "non_torch_gib",
    "kv": "kv_gib",
    "graphs": "graphs_gib",
}
#: All names of parts. `rest` is what no one claimed; `used` and `free` are all that is known when a request failed.
NAMES = (*PARTS, "rest", "used", "free")


class Part(NamedTuple):
    """A part of the GPU's memory. `name` is one of NAMES."""

    name: str
    gib: float


class Picture(NamedTuple):
    """The GPU's GiB and what they hold. `asked` is the request that did not fit, where one failed."""

    total: float
    parts: tuple[Part, ...]
    asked: float | None = None


def memory(facts: Facts) -> Picture | None:
    """The GPU when a request for memory failed, otherwise as it was divided; None where the log does not say enough."""
    return _failed_request(facts) or _division(facts)


def _failed_request(facts: Facts) -> Picture | None:
    total, free, asked = (fact_number(facts, name) for name in ("gpu_total_gib", "gpu_free_gib", "oom_tried_gib"))
    if not total or free is None or not 0 <= free <= total:
        return None
    weights = fact_number(facts, "weights_gib") or 0.0
    if not 0 < weights < total - free:
        weights = 0.0
    return Picture(total, _parts(weights=weights, used=total - free - weights, free=free), asked)


def _division(facts: Facts) -> Picture | None:
    total, weights = fact_number(facts, "total_gib"), fact_number(facts, "weights_gib")
    if not total or not weights or total <= 0 or weights <= 0:
        return None
    sizes = {name: fact_number(facts, fact) or 0.0 for name, fact in PARTS.items()}
    sizes["non_torch"] = (
        sizes["non_torch"] or (fact_number(facts, "consumed_gib") or 0.0) - weights
    )  # one number from 0.27 on
    parts = _parts(**sizes)
    return Picture(total, (*parts, *_parts(rest=total - sum(part.gib for part in parts))))


def _parts(**sizes: float) -> tuple[Part, ...]:
    return tuple(Part(name, size) for name, size in sizes.items() if size > 0)


def spread(values: Sequence[float], width: int) -> list[int]:
    """The width divided in proportion to the values: it adds up, and what is there is seen (at least one cell)."""
    total = sum(values)
    if total <= 0 or width <= 0:
        return [0] * len(values)
    cells = [max(1, round(value / total * width)) if value > 0 else 0 for value in values]
    while sum(cells) != width:
        step = 1 if sum(cells) < width else -1
        # The widest can spare or take a cell with the least harm to the proportions.
        widest = max(range(len(cells)), key=cells.__getitem__)
        if step < 0 and cells[widest] <= 1:
            break
        cells[widest] += step
    return cells


def timeline_cells(timeline: Sequence[Phase], width: int) -> list[int]:
    """The length of each phase's bar; the longest phase fills the width."""
    longest = max((phase.seconds for phase in timeline), default=0.0)
    return [round(phase.seconds / longest * width) if longest > 0 else 0 for phase in timeline]


def gib(value: float) -> str:
    """A memory size as vLLM prints it: two decimals."""
    return f"{value:.2f}"


def seconds(value: float) -> str:
    """A duration with as many digits as anyone needs."""
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"
