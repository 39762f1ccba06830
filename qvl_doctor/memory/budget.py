"""The whole budget: what a start of vLLM takes on a GPU, what is left for the KV cache, and whether it will do.

V0: worker/worker.py (determine_num_available_blocks). V1: v1/worker/gpu_worker.py (determine_available_memory),
utils/mem_utils.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from qvl_doctor.knowledge.defaults import GRAPHS_INSIDE_SINCE
from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory import constants
from qvl_doctor.memory.activation import Activation, activation
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.kv import Pool, longest_request, pool, request_bytes
from qvl_doctor.memory.quants import METHODS
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import ModelShape
from qvl_doctor.memory.units import GIB
from qvl_doctor.memory.weights import weights

#: From here on a start needs free memory for everything that is requested (request_memory).
_CHECKS_FREE_SINCE: Release = (0, 9, 1)

#: Verdicts: the profiling run does not fit, no block is left, one request of max_model_len does not fit, the graphs do
#: not, or all is well.
PROFILE_OOM, NO_BLOCKS, TOO_LONG, NO_ROOM_FOR_GRAPHS, FITS = (
    "profile-oom",
    "no-blocks",
    "too-long",
    "graphs-oom",
    "fits",
)


class Observed(NamedTuple):
    """What a log says about a start, in GiB; None where it says nothing.

    What is known is used, and the rest is calibrated by it.
    """

    total_gib: float | None = None
    weights_gib: float | None = None
    activation_gib: float | None = None
    non_torch_gib: float | None = None
    graphs_gib: float | None = None
    kv_gib: float | None = None


class Plan(NamedTuple):
    """The budget of one rank, in bytes. `kv` may be negative: so much is missing before the first block.

    `graphs` come on top of the request before 0.20 (`graphs_inside` False) and out of it from then on. `spare`: what
    stays free after the start. `request`: bytes of one request of max_model_len; `longest`: the longest request that
    the pool holds, in tokens. `error`: how far `kv` may be off.
    """

    total: int
    requested: int
    weights: int
    activation: int
    non_torch: int
    graphs: int
    graphs_inside: bool
    kv: int
    pool: Pool
    request: int
    longest: int
    spare: int
    error: int
    verdict: str
    detail: Activation
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        return self.verdict == FITS


class _Known(NamedTuple):
    """What a log said, and the settings that it said it for."""

    seen: Observed
    logged: Settings


def plan(
    shape: ModelShape, settings: Settings, gpu: Gpu, observed: Observed | None = None, logged: Settings | None = None
) -> Plan:
    """What a start with these settings takes on this GPU, by the worst rank.

    `observed` are numbers of a log of this model on this GPU, `logged` the settings of that log (the same, if None):
    where the settings differ, the difference between the log and the model at its settings is carried over.
    """
    return min(plans(shape, settings, gpu, observed, logged), key=lambda stage: stage.pool.blocks)


def plans(
    shape: ModelShape, settings: Settings, gpu: Gpu, observed: Observed | None = None, logged: Settings | None = None
) -> tuple[Plan, ...]:
    """The same for each pipeline stage; the first is what the log of rank 0 shows."""
    known = _Known(observed or Observed(), logged or settings)
    if known.seen.total_gib:
        gpu = gpu._replace(total_bytes=int(known.seen.total_gib * GIB))
    return tuple(_stage(shape, settings, gpu, known, stage) for stage in range(settings.pp))


def _stage(shape: ModelShape, settings: Settings, gpu: Gpu, known: _Known, stage: int) -> Plan:
    seen, same = known.seen, known.logged == settings
    detail = activation(shape, settings, gpu, stage)
    active = detail.bytes
    if seen.activation_gib is not None:
        at_log = active if same else activation(shape, known.logged, gpu, stage).bytes
        active = max(0, active + int(seen.activation_gib * GIB) - at_log)
    weight = _weights(shape, settings, known, stage)
    outside = _non_torch(settings, gpu, seen)
    captured = graphs(shape, settings, seen)
    inside = graphs_inside(settings)
    requested = _requested(settings, gpu)
    estimate = int(captured * (1 if seen.graphs_gib is not None else constants.GRAPHS_ESTIMATE.value)) if inside else 0
    kv = settings.kv_cache_bytes or requested - weight - active - outside - estimate
    if seen.kv_gib is not None and same:
        kv = int(seen.kv_gib * GIB)
    made = Plan(
        total=gpu.total_bytes,
        requested=requested,
        weights=weight,
        activation=active,
        non_torch=outside,
        graphs=captured,
        graphs_inside=inside,
        kv=kv,
        pool=pool(shape, settings, kv),
        request=request_bytes(shape, settings, settings.max_model_len),
        longest=longest_request(shape, settings, kv),
        spare=gpu.total_bytes - weight - outside - max(kv, 0) - captured,
        error=_error(shape, settings, seen, (weight, active, captured if inside else 0)),
        verdict=FITS,
        detail=detail,
        notes=_notes(settings, gpu, detail),
    )
    return made._replace(verdict=_verdict(made))


def _verdict(made: Plan) -> str:
    if made.weights + made.activation + made.non_torch > made.total:
        return PROFILE_OOM
    if made.kv <= 0 or made.pool.blocks == 0:
        return NO_BLOCKS
    if made.kv < made.request:
        return TOO_LONG
    return NO_ROOM_FOR_GRAPHS if made.spare < 0 else FITS


def graphs_inside(settings: Settings) -> bool:
    """Whether the KV cache is made smaller for CUDA graphs."""
    return settings.engine == "V1" and not settings.eager and settings.release >= GRAPHS_INSIDE_SINCE


def graphs(shape: ModelShape, settings: Settings, seen: Observed | None = None) -> int:
    """Bytes of CUDA graphs: as logged, otherwise by layers and experts. A rough number; the logs differ by half."""
    if settings.eager:
        return 0
    if seen and seen.graphs_gib is not None:
        return int(seen.graphs_gib * GIB)
    if settings.engine == "V0":
        return int(constants.GRAPHS_V0.value * GIB)
    layers = shape.depth / settings.pp
    size = (
        constants.GRAPHS_BASE.value
        + constants.GRAPHS_PER_LAYER.value * layers
        + (constants.GRAPHS_EXPERTS.value if shape.experts else 0)
    )
    return int(size * GIB)


def start_needs(settings: Settings, gpu: Gpu) -> int:
    """Free memory without which a start is refused ("Free memory on device … is less than desired"), else 0."""
    return _requested(settings, gpu) if settings.engine == "V1" and settings.release >= _CHECKS_FREE_SINCE else 0


def _requested(settings: Settings, gpu: Gpu) -> int:
    return math.ceil(gpu.total_bytes * settings.utilization)


def _weights(shape: ModelShape, settings: Settings, known: _Known, stage: int) -> int:
    predicted = weights(shape, settings, stage).allocated
    if known.seen.weights_gib is not None:
        at_log = weights(shape, known.logged, stage).allocated
        predicted = int(predicted * known.seen.weights_gib * GIB / at_log)
    return max(0, predicted - int(settings.offload_gib * GIB))


def _non_torch(settings: Settings, gpu: Gpu, seen: Observed) -> int:
    if seen.non_torch_gib is not None:
        return int(seen.non_torch_gib * GIB)
    return int(
        constants.non_torch(settings.engine, settings.release, gpu.data_centre, settings.tp, settings.pp).value * GIB
    )


def _error(shape: ModelShape, settings: Settings, seen: Observed, parts: tuple[int, int, int]) -> int:
    """How far the KV cache may be off: the spread of what is not known from a log, added up as if it were independent.

    `parts`: bytes of weights, of activation, and of the graphs that the KV cache makes room for.
    """
    if settings.kv_cache_bytes:
        return 0
    weight, active, captured = parts
    stored = constants.QUANTIZED_ERROR if settings.quantization else constants.WEIGHTS_ERROR
    running = constants.VISION_ERROR if shape.vision else constants.ACTIVATION_ERROR
    unknown = (
        0 if seen.weights_gib is not None else weight * stored.value,
        0 if seen.activation_gib is not None else active * running.value,
        0 if seen.non_torch_gib is not None else constants.NON_TORCH_ERROR.value * GIB,
        0 if seen.graphs_gib is not None else captured * constants.GRAPHS_ERROR.value,
    )
    return int(math.sqrt(sum(part * part for part in unknown)))


def _notes(settings: Settings, gpu: Gpu, detail: Activation) -> tuple[str, ...]:
    """What a reader has to know about this plan, by name: the words are elsewhere."""
    notes = []
    if detail.dummies.dropped:
        notes.append("dummies-dropped")
    if max(detail.dummies.largest.values(), default=0) > settings.max_model_len:
        notes.append("largest-item-longer-than-prompt")
    if gpu.nominal:
        notes.append("card-size-nominal")
    if gpu.shared:
        notes.append("memory-shared-with-host")
    if settings.quantization and settings.quantization not in METHODS:
        notes.append("quantization-unknown")
    if not gpu.capability:
        notes.append("card-unknown")
    return tuple(notes)
