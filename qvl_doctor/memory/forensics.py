"""What the request of a CUDA out-of-memory error was for.

"Tried to allocate 9.03 GiB" compared with the tensors of the profiling run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from qvl_doctor.late import late_pattern
from qvl_doctor.memory.activation import profile_tensors
from qvl_doctor.memory.decoder import decoder_pieces
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.kv import layer_token_bytes
from qvl_doctor.memory.profile_tensors import TENSOR_PARALLEL, NamedTensor, tensor
from qvl_doctor.memory.quants import DTYPE_BYTES, METHODS
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import ModelShape
from qvl_doctor.memory.towers import vision_pieces
from qvl_doctor.memory.units import KIB, MIB, up

#: How PyTorch rounds a request before it asks the driver (c10/cuda/CUDACachingAllocator.cpp: `get_allocation_size`): up
#: to 1 MiB a buffer of 2 MiB, below 10 MiB one of 20 MiB, otherwise whole pieces of 2 MiB. The size in the message is
#: the rounded one.
_SMALL, _SMALL_BUFFER = MIB, 2 * MIB
_LARGE, _LARGE_BUFFER = 10 * MIB, 20 * MIB
_PIECE = 2 * MIB
#: The message gives two decimals (`format_size`); an error of the model's arithmetic beyond that share is another
#: tensor.
_DECIMAL = 0.01
_TOLERANCE = 0.002
_UNITS = {"bytes": 1, "KiB": KIB, "MiB": MIB, "GiB": 1 << 30}
#: Factors that count separate tensors of one size: each is a request of its own.
_SEPARATE = {"copies", "states"}
CACHE_LAYER = "one layer of the KV cache"
_WEIGHT = "weight "
_LAYER = late_pattern(r"\.\d+\.")


class Suspect(NamedTuple):
    """A tensor that a request may have been for.

    `difference` is the share by which its rounded size misses the printed one.
    """

    tensor: NamedTensor
    requested: int
    difference: float


def requested_bytes(size: float) -> int:
    """What PyTorch asks the driver for when a tensor of so many bytes has no free block.

    9_699_328_000 is 9_699_328_000.
    """
    if size <= _SMALL:
        return _SMALL_BUFFER
    return _LARGE_BUFFER if size < _LARGE else up(int(size), _PIECE)


class Progress(NamedTuple):
    """How far the start had come when a request failed, as far as a log says.

    `blocks`: of the KV cache, 0 if they were not counted yet.
    """

    loaded: bool = False
    blocks: int = 0


def explain(  # noqa: PLR0913, PLR0917  # a request, and the start that it belongs to
    number: float,
    unit: str,
    shape: ModelShape,
    settings: Settings,
    gpu: Gpu,
    progress: Progress = Progress(),  # noqa: B008  # frozen
) -> tuple[Suspect, ...]:
    """Every tensor that a request of `number` `unit` fits, the likeliest first; () where none does: unexplained.

    Those are the tensors of the profiling run; the weights, which once they are loaded can only be asked for as a copy
    and come last; a layer of the KV cache, once its blocks are counted, which is then the likeliest. Of one kind the
    closest comes first. `unit` is PyTorch's: bytes, KiB, MiB or GiB. Buffers of 2 and of 20 MiB stand for any small
    tensor and are not explained.
    """
    scale = _UNITS.get(unit)
    if scale is None or number * scale <= _LARGE_BUFFER:
        return ()
    found: dict[tuple[str, int], Suspect] = {}
    for each in (
        *_cache(shape, settings, progress.blocks),
        *profile_tensors(shape, settings, gpu),
        *_weights(shape, settings),
    ):
        one = _single(each)
        asked = requested_bytes(one.bytes)
        beyond = max(0.0, abs(asked - number * scale) - _DECIMAL / 2 * scale)
        if beyond <= _TOLERANCE * asked:
            found.setdefault((one.name, one.bytes), Suspect(one, asked, beyond / asked))

    def place(suspect: Suspect) -> tuple[bool, bool, float]:
        name = suspect.tensor.name
        return name != CACHE_LAYER, progress.loaded and name.startswith(_WEIGHT), suspect.difference

    return tuple(sorted(found.values(), key=place))


def _cache(shape: ModelShape, settings: Settings, blocks: int) -> Iterator[NamedTensor]:
    """The keys and values of one layer, one tensor in both engines.

    See worker/cache_engine.py and v1/worker/gpu_model_runner.py.
    """
    if blocks:
        factors = (
            (blocks, "blocks"),
            (settings.block_size, "tokens"),
            (layer_token_bytes(shape, settings), "bytes of a token"),
        )
        yield tensor(CACHE_LAYER, *factors, scaled_by=("--gpu-memory-utilization", "--kv-cache-dtype", TENSOR_PARALLEL))


def _weights(shape: ModelShape, settings: Settings) -> Iterator[NamedTensor]:
    """The parameters of one rank; of layers, which are alike, under one name."""
    if settings.quantization in METHODS:  # quantized ones are packed in ways of their own
        return
    size = (DTYPE_BYTES.get(settings.dtype, 2), "bytes")
    towers = vision_pieces(shape.vision, settings.tp if settings.split_encoder else 1) if shape.vision else ()
    for piece in (*towers, *decoder_pieces(shape, settings.tp, settings.pp, 0, quantized=False)):
        experts = ((piece.experts, "experts"),) if piece.experts else ()
        yield tensor(
            _WEIGHT + _LAYER.sub(".", piece.name),
            *experts,
            (piece.rows, "rows"),
            (piece.columns, "columns"),
            size,
            scaled_by=(TENSOR_PARALLEL,),
        )


def _single(each: NamedTensor) -> NamedTensor:
    """One tensor of several that are alive together."""
    factors = tuple(factor for factor in each.factors if factor.what not in _SEPARATE)
    return NamedTensor(each.name, factors, each.scaled_by)
