"""The weight files of a model's directory: are they all there and intact? Headers are read, never the weights."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from qvl_doctor.files import opened, read, read_json
from qvl_doctor.memory.tensors import INDEX, LONGEST_INDEX, CheckpointError, read_header
from qvl_doctor.memory.units import GIB
from qvl_doctor.model import Record
from qvl_doctor.observations import observe

#: Extensions that vLLM's loaders read; an index of the second kind counts only if there are no files of the first.
SAFETENSORS, PICKLED = ".safetensors", (".bin", ".pt", ".pth")
OTHERS = (".gguf", ".tensors", ".ckpt")
#: Extensions of the other files that are read: settings, tokenizers, templates, the model's own code.
_TEXTS = (".json", ".model", ".txt", ".tiktoken", ".jinja", ".py")
PICKLED_INDEX = "pytorch_model.bin.index.json"
#: What git leaves in place of a large file that was not downloaded.
POINTER = b"version https://git-lfs"
_LONGEST_POINTER = 1024
_MOST_SHOWN = 8
_MOST_HEADERS = 1000
#: What is between file and tensor where a mistake is located.
_TENSOR = ", tensor "
_SHARD = re.compile(r"(.{1,100}-)(\d{5})(-of-)(\d{5})(\.\w{2,12})")


class Weights(NamedTuple):
    """What is there: number and GiB of the weight files, whether they are complete, and what is wrong."""

    files: int
    gib: float
    complete: bool
    observations: tuple[Record, ...]


def inspect_weights(folder: str, names: Sequence[str]) -> Weights:
    """The weight files among the names in a directory."""
    kept, problems = _wanted(folder, names)
    missing = [name for name in kept if not os.path.exists(os.path.join(folder, name))]
    found = [name for name in kept if name not in set(missing)]
    sizes = [_size(os.path.join(folder, name)) for name in found]
    observations = [*problems]
    if missing and not _consolidated(names):
        observations.append(observe("weight_files_missing", files=_shown(missing)))
    absent = [] if _indexed(names) else _absent(kept)
    if absent:
        observations.append(observe("weight_files_with_gaps", files=_shown(absent)))
    for name in found[:_MOST_HEADERS]:
        observations += _broken(folder, name)
    return Weights(len(found), sum(sizes) / GIB, bool(found) and not missing and not absent, tuple(observations))


def _shown(names: Sequence[str]) -> str:
    return "{" + ", ".join(f"'{name[:100]}'" for name in names[:_MOST_SHOWN]) + "}"


def _indexed(names: Sequence[str]) -> bool:
    return INDEX in names or PICKLED_INDEX in names


def _consolidated(names: Sequence[str]) -> bool:
    """Whether the weights are there in Mistral's own format as well: then those of Transformers may be missing."""
    return "params.json" in names and any(name.startswith("consolidated") for name in names)


def _absent(names: Sequence[str]) -> list[str]:
    """Shards that must exist according to the numbers of the others: of 3, with 1 and 3 there, 2 is missing."""
    missing: list[str] = []
    sets = {(found[1], found[4], found[5]) for name in names if (found := _SHARD.fullmatch(name))}
    for stem, count, ending in sorted(sets)[:4]:
        wanted = (f"{stem}{number:05}-of-{count}{ending}" for number in range(1, min(int(count), _MOST_HEADERS) + 1))
        missing += [name for name in wanted if name not in set(names)]
    return missing


def _wanted(folder: str, names: Sequence[str]) -> tuple[list[str], list[Record]]:
    """The files that vLLM would read: those in the index, if there is one. Like vLLM, other files are ignored."""
    safetensors = [name for name in names if name.endswith(SAFETENSORS)]
    index = INDEX if safetensors or INDEX in names else PICKLED_INDEX
    if index not in names:
        kinds = (SAFETENSORS,) if safetensors else (*PICKLED, *OTHERS)
        return [name for name in names if name.endswith(kinds) and name != "training_args.bin"], []
    found = read_json(os.path.join(folder, index), LONGEST_INDEX)
    listed = found.value.get("weight_map") if isinstance(found.value, dict) else None
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        if _is_pointer(os.path.join(folder, index)) or found.problem == "long":
            return safetensors, []
        return safetensors, [observe("weight_index_broken", file=index)]
    # A name that leads out of the directory is not a file of the checkpoint; vLLM would not find it either.
    return sorted({name for name in listed.values() if os.path.basename(name) == name and name}), []


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _broken(folder: str, name: str) -> Iterator[Record]:
    path = os.path.join(folder, name)
    try:
        found = os.stat(path)
    except OSError as error:
        yield _is_broken(name, error.strerror or "cannot be read")
        return
    if not stat.S_ISREG(found.st_mode):
        yield _is_broken(name, "is no regular file")
        return
    if found.st_size <= _LONGEST_POINTER and _is_pointer(path):
        return  # reported once for all files of the directory
    try:
        with opened(path) as file:
            if name.endswith(SAFETENSORS):
                read_header(file, found.st_size, name)
            elif found.st_size == 0:
                yield _is_broken(name, "is empty")
    except CheckpointError as error:
        if "is not known" not in error.problem:  # a type that is newer than this program is not a fault of the file
            where, _, tensor = error.where.partition(_TENSOR)
            yield _is_broken(where, error.problem, tensor or None)
    except OSError as error:
        yield _is_broken(name, error.strerror or "cannot be read")


def _is_broken(file: str, problem: str, tensor: str | None = None) -> Record:
    return observe("weight_file_broken", file=file[:120], tensor=tensor, problem=problem)


def pointers(folder: str, names: Sequence[str]) -> Iterator[Record]:
    """Files that a start reads and of which only Git LFS's pointer exists. Others, such as images, do not matter."""
    wanted = {*_wanted(folder, names)[0], *(name for name in names if name.endswith(_TEXTS))}
    small = (name for name in names if name in wanted and _small(os.path.join(folder, name)))
    found = [name for name in small if _is_pointer(os.path.join(folder, name))]
    if found:
        more = len(found) - 1 or None
        yield observe("lfs_pointers", file=found[0][:120], more=more)


def _small(path: str) -> bool:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and 0 < found.st_size <= _LONGEST_POINTER


def _is_pointer(path: str) -> bool:
    return read(path, len(POINTER)) == POINTER
