"""Tensors of a checkpoint: the headers of its safetensors files, and what they become on one rank.

The files may be anything. A header that is cut off or lies is an error that says where; nothing but headers is read,
and no more of them than is sane.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from qvl_doctor.files import opened, read_object
from qvl_doctor.late import late_pattern
from qvl_doctor.memory.quants import DTYPE_BYTES

#: The safetensors library itself accepts no longer header; real ones are a few MB.
_LONGEST_HEADER = 32 << 20
#: Says which file has which tensor. Of a large model it has some MB.
INDEX, LONGEST_INDEX = "model.safetensors.index.json", 64 << 20
_MOST_TENSORS = 2_000_000
_MOST_DIMENSIONS = 16
_MOST_FILES = 2000
_LARGEST = 1 << 50
#: Types of the format that are smaller than a byte, or two numbers: their size is taken from the offsets.
_PACKED = frozenset({"F4", "F6_E2M3", "F6_E3M2", "C64"})


class CheckpointError(ValueError):
    """A checkpoint file that cannot be what it says: `where` names the file and the place in it."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem


class Tensor(NamedTuple):
    """One tensor of a checkpoint."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int


def read_folder(folder: str) -> tuple[Tensor, ...]:
    """The tensors of all safetensors files of a model's folder, from their headers.

    Raises CheckpointError, and OSError for what cannot be read.
    """
    names = _of_checkpoint(folder)
    if not names:
        raise CheckpointError(folder, "has no .safetensors files")
    found: list[Tensor] = []
    for name in names:
        with opened(os.path.join(folder, name)) as file:
            found += read_header(file, os.fstat(file.fileno()).st_size, name)
        if len(found) > _MOST_TENSORS:
            raise CheckpointError(name, f"more than {_MOST_TENSORS} tensors")
    return tuple(found)


def _of_checkpoint(folder: str) -> list[str]:
    """The safetensors files that vLLM reads.

    Those of the index, where there is one, and not the same weights in Mistral's own format.
    """
    names = sorted(name for name in os.listdir(folder) if name.endswith(".safetensors"))[:_MOST_FILES]
    indexed = read_object(os.path.join(folder, INDEX), LONGEST_INDEX).get("weight_map")
    listed = set(map(str, indexed.values())) if isinstance(indexed, dict) else set()
    usual = [name for name in names if not name.startswith("consolidated")]
    return [name for name in names if name in listed] or usual or names


def read_header(file: BinaryIO, size: int, name: str = "safetensors file") -> tuple[Tensor, ...]:
    """The tensors of one safetensors file of `size` bytes: 8 bytes of length, then a JSON header, then data.

    Raises CheckpointError.
    """
    start = file.read(8)
    if len(start) < 8:
        raise CheckpointError(name, f"is {len(start)} bytes long, and the first 8 must say how long the header is")
    length = int.from_bytes(start, "little")
    if length > _LONGEST_HEADER:
        raise CheckpointError(name, f"byte 0: a header of {length} bytes is longer than {_LONGEST_HEADER}")
    if length > size - 8:
        raise CheckpointError(
            name, f"byte 0: says that the header has {length} bytes, but only {max(0, size - 8)} follow"
        )
    text = file.read(length)
    if len(text) < length:
        raise CheckpointError(name, f"byte {8 + len(text)}: the header is cut off")
    return tuple(_tensors(_parse(text, name), size - 8 - length, name))


def _parse(text: bytes, name: str) -> Mapping[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        place = getattr(error, "pos", getattr(error, "start", 0))
        raise CheckpointError(name, f"byte {8 + place}: the header is no JSON") from None
    if not isinstance(header, dict):
        raise CheckpointError(name, "byte 8: the header is no JSON object")
    if len(header) > _MOST_TENSORS:
        raise CheckpointError(name, f"more than {_MOST_TENSORS} tensors")
    return header


def _tensors(header: Mapping[str, Any], room: int, file: str) -> Iterator[Tensor]:
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        where = f"{file}, tensor {name[:100]!r}"
        if not isinstance(entry, dict):
            raise CheckpointError(where, "is no object")
        yield _tensor(name, entry, room, where)


def _tensor(name: str, entry: Mapping[str, Any], room: int, where: str) -> Tensor:
    dtype, shape, offsets = entry.get("dtype"), _sizes(entry.get("shape")), _sizes(entry.get("data_offsets"))
    if not isinstance(dtype, str) or (dtype not in DTYPE_BYTES and dtype not in _PACKED):
        raise CheckpointError(where, f"dtype {str(dtype)[:30]!r} is not known")
    if shape is None or len(shape) > _MOST_DIMENSIONS:
        raise CheckpointError(where, "shape must be a list of sizes")
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise CheckpointError(where, "data_offsets must be a begin and an end")
    if offsets[1] > room:
        raise CheckpointError(where, f"ends at byte {offsets[1]} of the data, but the file has only {max(0, room)}")
    size, elements = offsets[1] - offsets[0], 1
    for each in shape:
        elements = min(elements * each, _LARGEST)
    if dtype in DTYPE_BYTES and size != elements * DTYPE_BYTES[dtype]:
        raise CheckpointError(where, f"{size} bytes of data cannot be {elements} elements of {dtype}")
    return Tensor(name, dtype, shape, size)


def _sizes(value: object) -> tuple[int, ...] | None:
    """A list of sizes, or None for anything else."""
    if not isinstance(value, list) or not all(
        isinstance(each, int) and not isinstance(each, bool) and 0 <= each <= _LARGEST for each in value
    ):
        return None
    return tuple(value)


#: Parts that vLLM keeps whole on every rank.
_WHOLE = late_pattern(
    r"norm|ln_|\.gate\.|router|kv_a_proj|q_a_proj|patch_embed|pos(?:ition)?_embed|conv|g_idx|o_proj\.bias|down_proj\.bias|_scale$"
)
#: Projections that vLLM merges into one tensor, and experts, of which it makes one tensor a layer.
_MERGED = late_pattern(r"\.(?:q_proj|k_proj|v_proj|gate_proj|up_proj|w1|w3|q|k|v)\.")
_EXPERT = late_pattern(r"\.experts\.[0-9]+\.")
_KV = late_pattern(r"\.(?:k_proj|v_proj)\.")


def rank_sizes(found: Sequence[Tensor], ranks: int, kv_heads: int) -> Iterator[int]:
    """Bytes of each tensor on one of `ranks` ranks.

    Projections merged, experts of a layer together, the rest as it is.
    """
    merged: dict[str, int] = {}
    for each in found:
        key = _key(each.name)
        merged[key] = merged.get(key, 0) + _share(each, ranks, kv_heads)
    yield from merged.values()


def _key(name: str) -> str:
    name = _EXPERT.sub(".experts.", name)
    kind = "qkv" if re.search(r"\.(?:q|k|v)(?:_proj)?\.", name) else "gate_up"
    return _MERGED.sub(f".{kind}.", name)


def _share(each: Tensor, ranks: int, kv_heads: int) -> int:
    if ranks == 1 or len(each.shape) < 1 or _WHOLE.search(each.name):
        return each.bytes
    parts = min(ranks, kv_heads) if _KV.search(each.name) else ranks
    return -(-each.bytes // parts)
