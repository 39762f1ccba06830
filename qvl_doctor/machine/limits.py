"""What the system lets a process have: memory and swap, the limits of its control groups, its own limits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from qvl_doctor.files import read_text
from qvl_doctor.memory.units import GIB

#: A control group of version 1 without a limit shows a number near 2^63.
_UNLIMITED = 1 << 60
_MOST_LEVELS = 32
#: The bit of capabilities(7) that frees a process from the limit of locked memory.
_CAP_IPC_LOCK = 14
#: /proc's name of a limit → the fact, and by what its number is divided.
_LIMITS = {
    "Max open files": ("open_files", 1),
    "Max locked memory": ("locked_memory_kib", 1024),
    "Max stack size": ("stack_kib", 1024),
}
_LIMIT = re.compile(r"^(Max [a-z ]+?)\s{2,}(\S+)\s+(\S+)", re.MULTILINE)


class _Version(NamedTuple):
    """Where a version of control groups keeps its numbers: below `root`; files for the limit, what is used, and its statistics."""

    root: str
    limit: str
    used: str
    reclaimable: str


_V2 = _Version("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
_V1 = _Version("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def memory(root: str) -> dict[str, object]:
    """Main memory and swap of the machine, and what the narrowest control group around this process leaves of it. GiB."""
    said = read_text(os.path.join(root, "proc/meminfo"))
    found = {name: int(kib) / (1 << 20) for name, kib in re.findall(r"^(\w+):\s+(\d{1,15}) kB", said, re.MULTILINE)}
    facts: dict[str, object] = {}
    for name, fact in (("MemTotal", "ram_gib"), ("MemAvailable", "ram_available_gib"), ("SwapTotal", "swap_gib")):
        if name in found:
            facts[fact] = round(found[name], 1)
    limits = list(_groups(root))
    if limits:
        limit, left = min(limit for limit, _ in limits), min(left for _, left in limits)
        if limit < found.get("MemTotal", float("inf")):
            facts["memory_limit_gib"] = round(limit, 1)
        if left < found.get("MemAvailable", float("inf")):
            facts["ram_available_gib"] = round(left, 1)
    return facts


def _groups(root: str) -> Iterator[tuple[float, float]]:
    """The limit and what is left of it, in GiB, of each control group from this process's own up to the outermost that is seen."""
    said = read_text(os.path.join(root, "proc/self/cgroup"))
    for version, path in (
        (_V2, _path(said, r"^0::(/.*)$")),
        (_V1, _path(said, r"^\d+:(?:[\w,]+,)?memory(?:,[\w,]+)?:(/.*)$")),
    ):
        for folder in _upwards(os.path.join(root, version.root), path):
            limit = _number(os.path.join(folder, version.limit))
            if limit is not None and limit < _UNLIMITED:
                used = (_number(os.path.join(folder, version.used)) or 0) - _reclaimable(folder, version)
                yield limit / GIB, max(0, limit - max(0, used)) / GIB


def _path(said: str, pattern: str) -> str:
    found = re.search(pattern, said, re.MULTILINE)
    return found[1] if found else "/"


def _upwards(root: str, path: str) -> Iterator[str]:
    """The group's folder and those above it. In a container the path may be the host's, and then only the root is there."""
    parts = [part for part in path.split("/") if part and part != ".."][:_MOST_LEVELS]
    for count in range(len(parts), -1, -1):
        yield os.path.join(root, *parts[:count])


def _reclaimable(folder: str, version: _Version) -> int:
    """Pages of files that the kernel gives back when memory is asked for."""
    found = re.search(
        rf"^{version.reclaimable} (\d{{1,20}})$", read_text(os.path.join(folder, "memory.stat")), re.MULTILINE
    )
    return int(found[1]) if found else 0


def _number(path: str) -> int | None:
    text = read_text(path, 64).strip()
    return int(text) if text.isascii() and text.isdecimal() else None


def own(root: str) -> dict[str, object]:
    """This process's limits, the hard ones that vLLM may raise its own to: a number, or the text `unlimited`."""
    facts: dict[str, object] = {}
    for name, soft, hard in _LIMIT.findall(read_text(os.path.join(root, "proc/self/limits"))):
        if name in _LIMITS:
            fact, unit = _LIMITS[name]
            facts[f"{fact}_limit"] = _scaled(hard, unit)
            if name == "Max open files":
                facts["open_files_soft_limit"] = _scaled(soft, unit)
    return facts


def _scaled(text: str, unit: int) -> int | str:
    return int(text) // unit if text.isascii() and text.isdecimal() else "unlimited"


def can_lock(facts: Mapping[str, object], root: str) -> bool:
    """Whether memory may be locked without a limit, as RDMA wants it: there is none, or this process may ignore it (root, mostly)."""
    found = re.search(r"^CapEff:\s*([0-9a-f]{1,32})$", read_text(os.path.join(root, "proc/self/status")), re.MULTILINE)
    return facts.get("locked_memory_kib_limit", "unlimited") == "unlimited" or bool(
        found and int(found[1], 16) >> _CAP_IPC_LOCK & 1
    )
