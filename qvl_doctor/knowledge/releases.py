"""Tables that say what holds from which vLLM release on, and how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

from qvl_doctor.knowledge import newest_vllm, table
from qvl_doctor.versions import release as numbers

#: A vLLM release as three numbers: (0, 7, 2).
Release = tuple[int, int, int]

Value = TypeVar("Value")
#: Rows (first release, value), oldest first.
Since = Sequence[tuple[Release, Value]]


def parse(text: str) -> Release | None:
    """The release that a version names, without its post, dev and commit parts.

    None if it names none: "0.8.5.post1" is (0, 8, 5).
    """
    found = numbers(text)
    return (*found[:3], *(0,) * (3 - len(found[:3]))) if found else None  # type: ignore[return-value]  # always three


def newest() -> Release:
    """The newest release whose sources were read."""
    return parse(newest_vllm()) or (0, 0, 0)


def at(rows: Since[Value], release: Release) -> Value:
    """What a table says for a release: its last row that is not newer.

    Releases before the first row get the first row.
    """
    found = rows[0][1]
    for first, value in rows:
        if first > release:
            break
        found = value
    return found


def plain(release: Release) -> str:
    """The release as people write it: 0.7.2."""
    return ".".join(map(str, release))


def closed(span: str) -> str:
    """A range of releases with its end: '0.6.0–' is '0.6.0–0.33.0' where that is the newest.

    Others stay as they are.
    """
    if not span.endswith("–"):
        return span
    return span + newest_vllm() if span[:-1] != newest_vllm() else span[:-1]


def mended(release: str) -> str:
    """The release that a post release, or one of four numbers, mends, without its post part.

    0.8.5 of 0.8.5.post1, 0.9.0 of 0.9.0.1.
    """
    return ".".join(release.partition(".post")[0].split(".")[:3])


@cache
def told_apart() -> tuple[str, ...]:
    """All releases that were read, oldest first, but those that mend another one: these log from the same lines."""
    return tuple(dict.fromkeys(map(mended, table("pins")["releases"])))
