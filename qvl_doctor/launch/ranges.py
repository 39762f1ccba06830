"""Values that no vLLM takes: a share of memory above 1, no GPU, no sequence.

Newer releases check most of these as they build their configuration (pydantic fields with ge, gt and le:
config/cache.py and config/scheduler.py since 0.12, config/model.py since 0.13, config/parallel.py since 0.24); older
ones end later, by a division or an assertion. With no release does a server come of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from qvl_doctor.knowledge.flag_table import at_least


class Range(NamedTuple):
    """The values that an argument can have; `above`: only what is more than `least`."""

    least: float
    most: float = float("inf")
    above: bool = False

    def holds(self, value: float) -> bool:
        return (value > self.least if self.above else value >= self.least) and value <= self.most


_POSITIVE = Range(1)
RANGES: Mapping[str, Range] = {
    "gpu_memory_utilization": Range(0, 1, above=True),
    "tensor_parallel_size": _POSITIVE,
    "pipeline_parallel_size": _POSITIVE,
    "data_parallel_size": _POSITIVE,
    "max_num_seqs": _POSITIVE,
    "max_num_batched_tokens": _POSITIVE,
    "max_model_len": _POSITIVE,
    "block_size": _POSITIVE,
    "swap_space": Range(0),
    "cpu_offload_gb": Range(0),
}
#: -1 leaves the length to vLLM since this release (config/model.py).
_OWN_LENGTH_SINCE = "0.14.0"


def refused(arguments: Mapping[str, Any], release: str = "") -> Iterator[tuple[str, str, str]]:
    """Flags whose value is out of range: the flag, its value, and what it may be."""
    for name, span in RANGES.items():
        value = arguments.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or span.holds(value):
            continue
        if name == "max_model_len" and value == -1 and (not release or at_least(release, _OWN_LENGTH_SINCE)):
            continue
        yield "--" + name.replace("_", "-"), f"{value:g}", _told(span)


def _told(span: Range) -> str:
    if span.most != float("inf"):
        return f"> {span.least:g}, ≤ {span.most:g}"
    return f"≥ {span.least:g}"
