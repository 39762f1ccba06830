"""What the request of a CUDA out-of-memory error was for: "Tried to allocate 9.03 GiB" held against the tensors of the profile run."""

from __future__ import annotations

from dataclasses import dataclass

from qvl_doctor.memory.activation import profile_tensors
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.named import Factor, NamedTensor
from qvl_doctor.memory.releases import KIB, MIB, up
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import ModelShape

#: How PyTorch rounds a request before it asks the driver (c10/cuda/CUDACachingAllocator.cpp: `get_allocation_size`): up to 1 MiB a
#: buffer of 2 MiB, below 10 MiB one of 20 MiB, otherwise whole pieces of 2 MiB. The size in the message is the rounded one.
_SMALL, _SMALL_BUFFER = MIB, 2 * MIB
_LARGE, _LARGE_BUFFER = 10 * MIB, 20 * MIB
_PIECE = 2 * MIB
#: The message gives two decimals (`format_size`); an error of the model's arithmetic beyond that share is another tensor.
_DECIMAL = 0.01
_TOLERANCE = 0.002
_UNITS = {"bytes": 1, "KiB": KIB, "MiB": MIB, "GiB": 1 << 30}
#: Factors that count separate tensors of one size: each is a request of its own.
_SEPARATE = {"copies", "states"}


@dataclass(frozen=True, slots=True)
class Suspect:
    """A tensor that a request may have been for. `difference` is the share by which its rounded size misses the printed one."""

    tensor: NamedTensor
    requested: int
    difference: float


def requested_bytes(size: float) -> int:
    """What PyTorch asks the driver for when a tensor of so many bytes has no free block: 9_699_328_000 is 9_699_328_000."""
    if size <= _SMALL:
        return _SMALL_BUFFER
    return _LARGE_BUFFER if size < _LARGE else up(int(size), _PIECE)


def explain(number: float, unit: str, shape: ModelShape, settings: Settings, gpu: Gpu) -> tuple[Suspect, ...]:
    """Every tensor of the profile run that a request of `number` `unit` fits, the closest first; () where none does: unexplained.

    `unit` is PyTorch's: bytes, KiB, MiB or GiB. Buffers of 2 and of 20 MiB stand for any small tensor and are not explained.
    """
    scale = _UNITS.get(unit)
    if scale is None or number * scale <= _LARGE_BUFFER:
        return ()
    found: dict[tuple[str, int], Suspect] = {}
    for each in profile_tensors(shape, settings, gpu):
        one = _single(each)
        asked = requested_bytes(one.bytes)
        beyond = max(0.0, abs(asked - number * scale) - _DECIMAL / 2 * scale)
        if beyond <= _TOLERANCE * asked:
            found.setdefault((one.name, one.bytes), Suspect(one, asked, beyond / asked))
    return tuple(sorted(found.values(), key=lambda suspect: suspect.difference))


def _single(each: NamedTensor) -> NamedTensor:
    """One tensor of several that are alive together; half a copy is a tensor of half the size."""
    factors = tuple(factor if factor.what not in _SEPARATE or factor.size < 1 else Factor(1, factor.what) for factor in each.factors)
    return NamedTensor(each.name, tuple(factor for factor in factors if factor.what not in _SEPARATE or factor.size != 1), each.scaled_by)
