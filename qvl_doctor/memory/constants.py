"""The numbers of the memory model that no source states: each one fitted or measured, with its origin.

There is no other place for such numbers; docs/memory-model.md prints this table. A number that can be read from the
source of vLLM, PyTorch or CUDA is where it is used, with that source.
"""

from __future__ import annotations

from typing import NamedTuple

from qvl_doctor.knowledge.releases import Release


class Fitted(NamedTuple):
    """A fitted number: `value` in `unit`, from how many public logs (`points`) and which."""

    value: float
    unit: str
    points: int
    origin: str


class NonTorch(NamedTuple):
    """Memory that CUDA, NCCL and kernels take outside of PyTorch, for one engine from one release on.

    `cards`: "hopper" for data-centre GPUs from Hopper on, otherwise "other". `ranks`: "one", or "several" for tensor
    parallelism.
    """

    engine: str
    since: Release
    cards: str
    ranks: str
    fitted: Fitted


def _gib(value: float, points: int, origin: str) -> Fitted:
    return Fitted(value, "GiB", points, origin)


#: Looked up by the last row that fits; medians of the logs named.
NON_TORCH: tuple[NonTorch, ...] = (
    NonTorch(
        "V0",
        (0, 6, 0),
        "other",
        "one",
        _gib(0.35, 2, "0.6.4 on an RTX 3090: all that is not torch's, the CUDA context included"),
    ),
    NonTorch(
        "V0",
        (0, 6, 5),
        "other",
        "one",
        _gib(0.05, 9, "0.7.0 to 0.9 on T4, RTX 4070 to 4090, 24 and 48 GB GPUs: 0.01 to 0.11"),
    ),
    NonTorch("V0", (0, 6, 0), "hopper", "one", _gib(0.35, 0, "as the RTX 3090")),
    NonTorch("V0", (0, 6, 5), "hopper", "one", _gib(0.16, 1, "0.7.0 on an H100; 1.79 has been seen once, with 0.6.5")),
    NonTorch(
        "V0",
        (0, 6, 0),
        "other",
        "several",
        _gib(0.25, 2, "0.7.2 on two RTX 4090: 0.25; 0.8.5 on four 22 GB GPUs: 0.20"),
    ),
    NonTorch("V0", (0, 6, 0), "hopper", "several", _gib(0.60, 0, "as V1")),
    NonTorch(
        "V1",
        (0, 8, 0),
        "other",
        "one",
        _gib(0.03, 3, "0.10.2 and 0.13 on L40S and a 48 GB GPU: 0.02, 0.03; 0.26 on 16 GB: 0.07"),
    ),
    NonTorch("V1", (0, 8, 0), "hopper", "one", _gib(0.13, 3, "0.10 to 0.17 on H100: 0.07 to 0.17")),
    NonTorch(
        "V1",
        (0, 18, 0),
        "hopper",
        "one",
        _gib(0.25, 21, "0.19.0 on H100: 0.24 to 0.27, once 0.46; 0.23 on a B200: 0.23"),
    ),
    NonTorch(
        "V1",
        (0, 8, 0),
        "other",
        "several",
        _gib(0.30, 0, "no log; a little above what V0 shows on PCIe GPUs (0.20 to 0.25)"),
    ),
    NonTorch(
        "V1",
        (0, 8, 0),
        "hopper",
        "several",
        _gib(0.60, 0, "NVLink before 0.17; no log at hand, so a guess to be replaced"),
    ),
    NonTorch("V1", (0, 17, 0), "hopper", "several", _gib(2.09, 8, "0.19.0 on H100 with NVLink: 2.06 to 2.13")),
)

#: Non-torch memory of a pipeline stage without tensor parallelism: NCCL is set up before the first snapshot, so less is
#: left to see.
PIPELINE_NON_TORCH = _gib(0.07, 1, "0.19.0 on two H100, pipeline parallelism")

#: CUDA graphs, as they are captured: so much for a model, more for each layer, more for experts. 51 piecewise and 51
#: full graphs.
GRAPHS_BASE = _gib(0.35, 24, "0.19.0 on H100 and others, least squares over dense models")
GRAPHS_PER_LAYER = _gib(0.0165, 24, "the same")
GRAPHS_EXPERTS = _gib(0.35, 5, "the same over models with experts")
#: vLLM's own estimate is smaller than what the capture takes.
GRAPHS_ESTIMATE = Fitted(0.88, "of the graphs", 24, "0.19.0: estimate / actual, median")
#: V0 captures 35 sizes of decoding alone.
GRAPHS_V0 = _gib(0.20, 9, "0.7.2 to 0.9: 0.13 to 0.58 for models up to 8B, 1.12 and 1.91 for two others; the median")

#: 8-bit activations: the input of down_proj is held in 8 bits next to its 16-bit original.
QUANTIZED_INPUT = Fitted(1.0, "bytes an element", 1, "0.19.0, Mistral-Small w8a8 on an H100: 2.18 GiB instead of 2.03")

#: How far a prediction may be off: about what 95 in 100 logs stay below, more where a log shows nothing.
WEIGHTS_ERROR = Fitted(0.0025, "of 16-bit weights", 44, "95th percentile of docs/memory-model.md")
QUANTIZED_ERROR = Fitted(0.014, "of quantized weights", 10, "the largest miss, bitsandbytes in 4 bits")
ACTIVATION_ERROR = Fitted(
    0.05, "of the activation", 45, "twice the 95th percentile of docs/memory-model.md, for releases that no log shows"
)
VISION_ERROR = Fitted(
    0.15, "of the activation", 9, "vision encoders that no log shows at work, by comparing neighboring releases"
)
NON_TORCH_ERROR = _gib(0.15, 40, "spread of the logs above")
GRAPHS_ERROR = Fitted(0.5, "of the graphs", 24, "spread of the logs above")


def non_torch(engine: str, release: Release, hopper: bool, ranks: int, stages: int) -> Fitted:
    """What CUDA, NCCL and kernels take outside of PyTorch on one rank."""
    if stages > 1 and ranks == 1:
        return PIPELINE_NON_TORCH
    cards, several = ("hopper" if hopper else "other"), ("several" if ranks > 1 else "one")
    rows = [row for row in NON_TORCH if (row.engine, row.cards, row.ranks) == (engine, cards, several)]
    return next((row for row in reversed(rows) if row.since <= release), rows[0]).fitted
