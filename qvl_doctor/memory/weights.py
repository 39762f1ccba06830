"""What a model's weights take on one rank: every tensor, as PyTorch's caching allocator hands it out.

"Model loading took" and "model weights take" are the allocator's own count, so rounding and unsplit rests of segments
belong to it.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from qvl_doctor.knowledge.releases import newest
from qvl_doctor.memory.decoder import decoder_pieces
from qvl_doctor.memory.model_cards import Card
from qvl_doctor.memory.quants import DTYPE_BYTES, METHODS, stored
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import ModelShape
from qvl_doctor.memory.tensors import Tensor, rank_sizes
from qvl_doctor.memory.towers import vision_pieces
from qvl_doctor.memory.units import MIB, up

#: c10/cuda/CUDACachingAllocator: requests up to 1 MiB come out of 2 MiB segments, up to 10 MiB out of 20 MiB segments,
#: larger ones get their own.
_SMALL, _LARGE, _LARGE_SEGMENT, _ROUND = MIB, 10 * MIB, 20 * MIB, 2 * MIB
_UNIT = 512


class Weights(NamedTuple):
    """Bytes on one rank.

    `tensors` is the plain sum, `allocated` what the allocator counts for it; `rope` and `buffers` are part of both.
    """

    tensors: int
    allocated: int
    rope: int
    buffers: int


def weights(shape: ModelShape, settings: Settings, stage: int = 0) -> Weights:
    """The weights of one rank of a pipeline stage.

    Parameters, rotary tables and the buffers that the model makes when it is built.

    The second stage of a vision model has no tower. A quantization that is not known counts as none; `budget.plan`
    notes it.
    """
    sizes = list(weight_sizes(shape, settings, stage))
    rope = sum(cache.rows * cache.dim for cache in shape.rope) * DTYPE_BYTES.get(settings.dtype, 2)
    buffers = model_buffers(shape, settings)
    return Weights(sum(sizes) + buffers, allocated(sizes) + buffers, rope, buffers)


def checkpoint_weights(shape: ModelShape, settings: Settings, found: Sequence[Tensor]) -> Weights:
    """The same from the checkpoint's own tensors, whatever their quantization; of all pipeline stages the mean."""
    size = DTYPE_BYTES.get(settings.dtype, 2)
    tables = [cache.rows * cache.dim * size for cache in shape.rope]
    sizes = [each // settings.pp for each in rank_sizes(found, settings.tp, shape.kv_heads)] + tables
    buffers = model_buffers(shape, settings)
    return Weights(sum(sizes) + buffers, allocated(sizes) + buffers, sum(tables), buffers)


def file_bytes(card: Card) -> int:
    """Bytes of the weight files of a model by name.

    The parameters published with it in its own 16 bits, or what its quantization stores.

    0 where the number or the method is not known.
    """
    if not card.quantization:
        return card.parameters * DTYPE_BYTES["bfloat16"]
    if card.quantization not in METHODS:
        return 0
    return weights(card.shape, Settings(newest(), quantization=card.quantization)).tensors


def weight_sizes(shape: ModelShape, settings: Settings, stage: int = 0) -> Iterator[int]:
    """Bytes of each tensor in the order in which it is made.

    The rotary tables come with the first layer's attention.
    """
    size = DTYPE_BYTES.get(settings.dtype, 2)
    method = METHODS.get(settings.quantization)
    if shape.vision and stage == 0:
        ranks = settings.tp if settings.split_encoder else 1
        yield from (piece.elements * size for piece in vision_pieces(shape.vision, ranks))
    first = True
    for piece in decoder_pieces(shape, settings.tp, settings.pp, stage, quantized=method is not None):
        yield from stored(piece, method, size)
        if first and ".attn.o." in piece.name:
            first = False
            yield from (cache.rows * cache.dim * size for cache in shape.rope)


def model_buffers(shape: ModelShape, settings: Settings) -> int:
    """Bytes of buffers that are made with the model.

    Qwen3-VL keeps a row of each deepstack level for every token of a batch.
    """
    levels = int(shape.vision.extra.get("deepstack", 0)) if shape.vision else 0
    return levels * settings.max_num_batched_tokens * shape.hidden * DTYPE_BYTES.get(settings.dtype, 2)


def allocated(sizes: Iterable[int]) -> int:
    """What torch counts after allocating tensors in order.

    Rounded to 512 bytes, best fit, a rest up to 1 MiB stays with its block.

    Small ones count as they are: what is left of their segments is always cut off.
    """
    free: list[int] = []
    total = 0
    for wanted in sizes:
        size = max(_UNIT, up(int(wanted), _UNIT))
        total += size if size <= _SMALL else _take(free, size)
    return total


def _take(free: list[int], size: int) -> int:
    """Cuts a block for `size` bytes out of the free ones (or a new segment) and returns what it counts for."""
    index = bisect.bisect_left(free, size)
    block = free.pop(index) if index < len(free) else _segment(size)
    rest = block - size
    if rest > _SMALL:
        bisect.insort(free, rest)
        return size
    return block


def _segment(size: int) -> int:
    return _LARGE_SEGMENT if size < _LARGE else up(size, _ROUND)
