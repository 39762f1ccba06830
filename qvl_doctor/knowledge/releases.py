"""Tables that say what holds from which vLLM release on, and how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from qvl_doctor.knowledge import newest_vllm
from qvl_doctor.versions import release as numbers

#: A vLLM release as three numbers: (0, 7, 2).
Release = tuple[int, int, int]

Value = TypeVar("Value")
#: Rows (first release, value), oldest first.
Since = Sequence[tuple[Release, Value]]


def parse(text: str) -> Release | None:
    """The release that a version names, without its post, dev and commit parts. None if it names none: "0.8.5.post1" is (0, 8, 5)."""
    found = numbers(text)
    return (*found[:3], *(0,) * (3 - len(found[:3]))) if found else None  # type: ignore[return-value]  # always three


def newest() -> Release:
    """The newest release whose sources were read."""
    return parse(newest_vllm()) or (0, 0, 0)


def at(table: Since[Value], release: Release) -> Value:
    """What a table says for a release: its last row that is not newer. Releases before the first row get the first row."""
    found = table[0][1]
    for first, value in table:
        if first > release:
            break
        found = value
    return found


def plain(release: Release) -> str:
    """The release as people write it: 0.7.2."""
    return ".".join(map(str, release))
