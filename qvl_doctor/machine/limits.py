"""What the system allows a process: memory and swap, the limits of its control groups, its own limits."""

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
#: The bit in capabilities(7) that exempts a process from the limit of locked memory.
_CAP_IPC_LOCK = 14
#: The name of a limit in /proc → the fact, and the divisor of its number.
_LIMITS = {
    "Max open files": ("open_files", 1),
    "Max locked memory": ("locked_memory_kib", 1024),
    "Max stack size": ("stack_kib", 1024),
}
_LIMIT = re.compile(r"^(Max [a-z ]+?)\s{2,}(\S+)\s+(\S+)", re.MULTILINE)


class _Version(NamedTuple):
    """Where a version of control groups keeps its numbers: directory below `root`, and the files in it."""

    root: str
    limit: str
    used: str
    reclaimable: str


_V2 = _Version("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
_V1 = _Version("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def memory(root: str) -> dict[str, object]:
    """Host memory and swap, and what the tightest control group around this process leaves of it. GiB."""
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
    """The limit of each control group and what is left of it, in GiB, from this process's own to the outermost."""
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
    """The group's directory and its parents. In a container the path may be the host's; then only the root exists."""
    parts = [part for part in path.split("/") if part and part != ".."][:_MOST_LEVELS]
    for count in range(len(parts), -1, -1):
        yield os.path.join(root, *parts[:count])


def _reclaimable(folder: str, version: _Version) -> int:
    """Pages of files that the kernel frees when memory is needed."""
    found = re.search(
        rf"^{version.reclaimable} (\d{{1,20}})$", read_text(os.path.join(folder, "memory.stat")), re.MULTILINE
    )
    return int(found[1]) if found else 0


def _number(path: str) -> int | None:
    text = read_text(path, 64).strip()
    return int(text) if text.isascii() and text.isdecimal() else None


def own(root: str) -> dict[str, object]:
    """This process's limits (the hard ones, up to which vLLM may raise its own): a number, or the text `unlimited`."""
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
    """Whether memory can be locked without a limit, as RDMA requires: no limit is set, or root may ignore it."""
    found = re.search(r"^CapEff:\s*([0-9a-f]{1,32})$", read_text(os.path.join(root, "proc/self/status")), re.MULTILINE)
    return facts.get("locked_memory_kib_limit", "unlimited") == "unlimited" or bool(
        found and int(found[1], 16) >> _CAP_IPC_LOCK & 1
    )
