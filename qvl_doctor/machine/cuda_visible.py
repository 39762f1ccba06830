"""The GPUs that CUDA_VISIBLE_DEVICES leaves, as CUDA and torch read it: the list ends at the first unknown name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Visible(NamedTuple):
    """What CUDA_VISIBLE_DEVICES leaves.

    `gpus` are the numbers of the visible GPUs in CUDA's order, `instance` is the UUID of the MIG instance if the list
    names one. `problem` is the key of an observation; if it is set, `name` is the wrong entry and `there` is how many
    GPUs or instances it was compared with.
    """

    gpus: tuple[int, ...]
    instance: str = ""
    problem: str = ""
    name: str = ""
    there: int | None = None


def choose(said: str | None, gpus: Mapping[int, str], instances: Mapping[str, int]) -> Visible:
    """What a process sees of `gpus` (number → UUID) and `instances` (UUID → GPU number). `said`: None if unset."""
    if said is None:
        return Visible(tuple(gpus))
    names = [name.strip() for name in said.split(",")]
    if names[0].startswith("MIG-"):
        return _instance(names[0], instances)
    if names[0].startswith("GPU-"):
        return _listed(names, lambda name: _by_uuid(name, gpus), len(gpus))
    return _listed(names, lambda name: _by_number(name, gpus), len(gpus))


def _listed(names: Sequence[str], find: Callable[[str], int | None], there: int) -> Visible:
    found: list[int] = []
    for name in names:
        gpu = find(name)
        if gpu is None:
            stopped = not name or name.startswith("-")  # "" and -1 are the usual ways to say: no other GPU
            return Visible(tuple(found), "", "" if stopped else "cuda_device_unknown", name[:80], there)
        if gpu in found:
            return Visible((), "", "cuda_device_twice", name[:80])
        found.append(gpu)
    return Visible(tuple(found))


def _by_uuid(name: str, gpus: Mapping[int, str]) -> int | None:
    """The GPU whose UUID begins with the name. CUDA accepts a shortened UUID if only one GPU matches."""
    found = [number for number, uuid in gpus.items() if name.startswith("GPU-") and uuid.startswith(name)]
    return found[0] if len(found) == 1 else None


def _by_number(name: str, gpus: Mapping[int, str]) -> int | None:
    digits = re.match(r"\+?(\d{1,4})", name)
    number = int(digits[1]) if digits else -1
    return number if number in gpus else None


def _instance(name: str, instances: Mapping[str, int]) -> Visible:
    """The named instance. A process computes on one instance, so the first name counts.

    MIG-GPU-…/1/0, the form of drivers before 470, is not resolved.
    """
    found = [uuid for uuid in instances if uuid.startswith(name)]
    if len(found) == 1:
        return Visible((instances[found[0]],), found[0])
    return Visible((), "", "" if "/" in name else "cuda_instance_unknown", name[:80], len(instances))
