"""Tables that say what holds from which vLLM release on, and how to read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from qvl_doctor.versions import release as numbers

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

#: A vLLM release as three numbers: (0, 7, 2).
Release = tuple[int, int, int]

#: The newest release whose sources were read for these tables.
NEWEST: Release = (0, 33, 0)

Value = TypeVar("Value")
#: Rows (first release, value), oldest first.
Since = Sequence[tuple[Release, Value]]


def parse(text: str) -> Release | None:
    """The release that a version names, without its post, dev and commit parts. None if it names none: "0.8.5.post1" is (0, 8, 5)."""
    found = numbers(text)
    return (*found[:3], *(0,) * (3 - len(found[:3]))) if found else None  # type: ignore[return-value]  # always three


def at(table: Since[Value], release: Release) -> Value:
    """What a table says for a release: its last row that is not newer. Releases before the first row get the first row."""
    found = table[0][1]
    for first, value in table:
        if first > release:
            break
        found = value
    return found


def cdiv(count: int, size: int) -> int:
    """Division that rounds up."""
    return -(-count // size)


def up(count: int, multiple: int) -> int:
    """The next multiple."""
    return cdiv(count, multiple) * multiple


def gib(size: float) -> float:
    """Bytes as GiB, without NaN and infinity."""
    return size / GIB if math.isfinite(size) else 0.0
