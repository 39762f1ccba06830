"""What can be changed so that a model fits, from what costs nothing to what costs most: the levers of the solver.

A lever has rungs. Rung 0 is the command as it is, each further one gives something up. The order of the levels: what
no one misses; length, utilization and batch; smaller images; the KV cache in 8 bits, then no CUDA graphs; more GPUs;
another checkpoint; offloading. Not among them, because they free nothing: --block-size, --swap-space, and counts of
items meant as tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from qvl_doctor.memory.budget import Observed, graphs, graphs_inside
from qvl_doctor.memory.encoder import largest_items
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import ModelShape
from qvl_doctor.memory.units import GIB, up
from qvl_doctor.memory.vision import limits

#: The levels, cheapest first.
FREE, NEARLY_FREE, QUALITY, SLOWER, GPUS, CHECKPOINT, OFFLOAD = range(1, 8)

#: Up to 0.19 the graphs come on top of the budget, and a request needs some air next to them.
AIR = GIB // 2
#: Below this a length serves no conversation; above it no one counts what is lost by a rung as much.
SHORTEST = 2048
_COMFORTABLE = 32768
_TEXT = 512
#: A utilization that leaves room for what other processes take; up to 0.19 the graphs need theirs next to it.
HIGHEST = 0.95
_BATCHES = (8192, 4096, 2048)
_SEQUENCES = ((256, FREE), (64, NEARLY_FREE), (16, QUALITY))
#: Tokens of the largest image, in rungs: documents stay legible down to 4096, general pictures down to 1280 (Qwen's
#: model cards).
_IMAGE_TOKENS = (8192, 4096, 2048, 1280)
#: fp8 in the KV cache wants hardware for it: Ada, Hopper and later.
_FP8_SINCE = 8.9
_OFFLOADS = (4.0, 8.0, 16.0)
_QWEN = frozenset(("qwen2", "qwen2_5", "qwen3"))

Flags = Mapping[str, Any]


class Rung(NamedTuple):
    """One step of a lever.

    Its level, its cost within the level, what is then asked of `settings.resolve`, and the flags that say so.
    """

    level: int
    cost: int
    given: Mapping[str, Any]
    flags: Flags
    value: str = ""


class Lever(NamedTuple):
    """A lever by name.

    Video, images, sequences, length, utilization, batch, pixels, kv_dtype, eager, gpus, checkpoint, offload.
    """

    name: str
    rungs: tuple[Rung, ...]


def levers(shape: ModelShape, settings: Settings, gpu: Gpu, seen: Observed | None = None) -> tuple[Lever, ...]:
    """The levers of a model with these settings on such GPUs; those without a rung are left out."""
    found = (
        Lever("video", tuple(_video(shape, settings))),
        Lever("sequences", tuple(_sequences(settings))),
        Lever("length", tuple(_length(settings))),
        Lever("utilization", tuple(_utilization(shape, settings, gpu, seen))),
        Lever("batch", tuple(_batch(settings))),
        Lever("pixels", tuple(_pixels(shape, settings))),
        Lever("images", tuple(_images(shape, settings))),
        Lever("kv_dtype", tuple(_kv_dtype(settings, gpu))),
        Lever("eager", tuple(_eager(settings))),
        Lever("gpus", tuple(_gpus(shape, settings))),
        Lever("checkpoint", tuple(_checkpoint(settings, gpu))),
        Lever("offload", tuple(_offload(settings))),
    )
    return tuple(lever for lever in found if lever.rungs)


def _video(shape: ModelShape, settings: Settings) -> Iterator[Rung]:
    if shape.vision and settings.limits.get("video", 0) > 0:
        yield Rung(FREE, 1, {"limits": {"video": 0}}, {"--limit-mm-per-prompt": {"video": 0}})


def _images(shape: ModelShape, settings: Settings) -> Iterator[Rung]:
    """Fewer images in a prompt. V1 profiles by the largest item alone, so only the V0 engine gains."""
    count = settings.limits.get("image", 0)
    while shape.vision and settings.engine == "V0" and count > 1:
        count = (count + 1) // 2
        yield Rung(QUALITY, 2, {"limits": {"image": count}}, {"--limit-mm-per-prompt": {"image": count}}, str(count))


def _sequences(settings: Settings) -> Iterator[Rung]:
    for count, level in _SEQUENCES:
        if count < settings.max_num_seqs:
            yield Rung(level, 1, {"max_num_seqs": count}, {"--max-num-seqs": str(count)}, str(count))


def _length(settings: Settings) -> Iterator[Rung]:
    """Powers of two; the solver looks for more between two of them."""
    length = 1 << (settings.max_model_len - 1).bit_length() - 1
    while length >= SHORTEST:
        yield length_rung(length)
        length //= 2


def length_rung(length: int) -> Rung:
    """A context of so many tokens."""
    return Rung(
        NEARLY_FREE,
        1 if length >= _COMFORTABLE else 2,
        {"max_model_len": length},
        {"--max-model-len": str(length)},
        str(length),
    )


def _utilization(shape: ModelShape, settings: Settings, gpu: Gpu, seen: Observed | None) -> Iterator[Rung]:
    """As much as is safe: up to 0.19 the graphs come on top of it, so it may be less than now."""
    beside = 0 if graphs_inside(settings) or settings.eager else graphs(shape, settings, seen) + AIR
    highest = math.floor(min(HIGHEST, 1 - beside / gpu.total_bytes) * 100 + 1e-6) / 100
    now_safe = settings.utilization <= 1 - beside / gpu.total_bytes
    better = highest > settings.utilization + 0.005 if now_safe else highest >= 0.3
    if better and not settings.kv_cache_bytes:
        yield Rung(
            NEARLY_FREE, 1, {"utilization": highest}, {"--gpu-memory-utilization": f"{highest:.2f}"}, f"{highest:.2f}"
        )


def _batch(settings: Settings) -> Iterator[Rung]:
    if settings.engine == "V0" and not settings.chunked_prefill:
        return  # there it is the length
    for tokens in _BATCHES:
        if tokens < settings.max_num_batched_tokens:
            yield Rung(
                NEARLY_FREE,
                1,
                {"max_num_batched_tokens": tokens},
                {"--max-num-batched-tokens": str(tokens)},
                str(tokens),
            )


def _pixels(shape: ModelShape, settings: Settings) -> Iterator[Rung]:
    """Smaller images, in the words of the family's processor."""
    vision = shape.vision
    if vision is None or settings.limits.get("image", 0) < 1:
        return
    bounds = limits(vision, settings.processor)
    if vision.kind in _QWEN:
        unit = (vision.patch * vision.merge) ** 2
        for tokens in _IMAGE_TOKENS:
            if tokens * unit < bounds["max_pixels"]:
                wanted = _edges(tokens * unit, bounds) if vision.kind == "qwen3" else {"max_pixels": tokens * unit}
                yield Rung(QUALITY, 1, {"processor": wanted}, {"--mm-processor-kwargs": wanted}, str(tokens))
    elif vision.kind == "intern":
        tiles = bounds.get("max_tiles", 0) // 2
        while tiles >= 1:
            wanted = {"max_dynamic_patch": tiles}
            yield Rung(QUALITY, 1, {"processor": wanted}, {"--mm-processor-kwargs": wanted}, str(tiles))
            tiles //= 2


def _edges(pixels: int, bounds: Mapping[str, int]) -> dict[str, Any]:
    return {"size": {"shortest_edge": min(bounds.get("min_pixels", pixels), pixels), "longest_edge": pixels}}


def _kv_dtype(settings: Settings, gpu: Gpu) -> Iterator[Rung]:
    if settings.kv_cache_dtype == "auto" and gpu.capability >= _FP8_SINCE:
        yield Rung(SLOWER, 1, {"kv_cache_dtype": "fp8"}, {"--kv-cache-dtype": "fp8"})


def _eager(settings: Settings) -> Iterator[Rung]:
    if not settings.eager:
        yield Rung(SLOWER, 2, {"eager": True}, {"--enforce-eager": True})


def _gpus(shape: ModelShape, settings: Settings) -> Iterator[Rung]:
    ranks = settings.tp * 2
    while ranks <= 8:
        if _divides(shape, settings, ranks):
            yield Rung(GPUS, 1, {"tp": ranks}, {"--tensor-parallel-size": str(ranks)}, str(ranks))
        ranks *= 2


def _divides(shape: ModelShape, settings: Settings, ranks: int) -> bool:
    """Whether so many GPUs can share the model's layers."""
    kv = shape.kv_heads % ranks == 0 or ranks % shape.kv_heads == 0
    vision = shape.vision is None or not settings.split_encoder or shape.vision.heads % ranks == 0
    return shape.heads % ranks == 0 and kv and vision


def _checkpoint(settings: Settings, gpu: Gpu) -> Iterator[Rung]:
    """The same model, quantized. Which checkpoints are published is for the reader to look up: no flag can say it."""
    if settings.quantization:
        return
    if gpu.capability >= _FP8_SINCE:
        yield Rung(CHECKPOINT, 1, {"quantization": "fp8"}, {}, "FP8")
    yield Rung(CHECKPOINT, 2, {"quantization": "awq"}, {}, "AWQ")


def _offload(settings: Settings) -> Iterator[Rung]:
    for size in _OFFLOADS:
        if size > settings.offload_gib:
            yield Rung(OFFLOAD, 1, {"offload_gib": size}, {"--cpu-offload-gb": f"{size:g}"}, f"{size:g}")


def least_length(shape: ModelShape, settings: Settings) -> int:
    """The shortest context that is of use: what one prompt may carry at most of one item, and some text.

    A multiple of 256.

    V0 leaves images out of its profiling run where a prompt cannot hold all that the limits allow, so all of them count
    there.
    """
    largest = largest_items(shape, settings) if shape.vision else {}
    counts = settings.limits if settings.engine == "V0" else {}
    needed = (
        sum(tokens * counts[name] for name, tokens in largest.items()) if counts else max(largest.values(), default=0)
    )
    return max(SHORTEST, up(needed + _TEXT, 256))


def joined(*maps: Mapping[str, Any]) -> dict[str, Any]:
    """Several maps as one: of two values for a name the later counts, and maps in them are joined."""
    found: dict[str, Any] = {}
    for each in maps:
        for name, value in each.items():
            before = found.get(name)
            found[name] = {**before, **value} if isinstance(value, Mapping) and isinstance(before, Mapping) else value
    return found
