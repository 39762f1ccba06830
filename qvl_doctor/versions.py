"""Versions compared by their release numbers alone, the way people name them in logs.

PEP 440 puts `4.49.0.dev0` below `4.49` and keeps `0.8.5.post1` out of `==0.8.5`; a range written that way would call
working installations broken. Here both count as their release, and what a development build on the very edge of a range
holds is left open.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from qvl_doctor.late import late_pattern

#: No version that anyone publishes is longer; what is longer is not looked at.
_LONGEST = 128

_VERSION = late_pattern(
    r"v?(?P<release>[0-9]{1,9}(?:\.[0-9]{1,9}){0,5})"
    r"(?P<pre>[-_.]?(?:alpha|beta|preview|pre|rc|a|b|c)[-_.]?[0-9]{0,9})?"
    r"(?:[-_.]?(?:post|rev|r)[-_.]?[0-9]{0,9})?"
    r"(?P<dev>[-_.]?dev[-_.]?[0-9]{0,9})?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.IGNORECASE,
)
#: setuptools-scm names the commit of a source build: `+gbf3b79ef`, `+gbf3b79ef.d20250216`.
_COMMIT = late_pattern(r"g[0-9a-f]{6,40}(?:\.|$)", re.IGNORECASE)
_CLAUSE = late_pattern(r"\s*(?P<operator>~=|==|!=|<=|>=|<|>)\s*(?P<version>[^\s*]+?)(?P<any>\.\*)?\s*")


class _Clause(NamedTuple):
    """One condition of a range. `edges` are the releases at which its answer changes."""

    operator: str
    release: tuple[int, ...]
    edges: tuple[tuple[int, ...], ...]


def release(text: str) -> tuple[int, ...] | None:
    """The release numbers of a version: '0.7.2.dev56+gbf3b79ef' is (0, 7, 2). None if the text is not a version."""
    found = _read(text)
    return found and found[0]


def satisfies(version: str, spec: str) -> bool | None:
    """Whether a version lies in a range such as '>=0.8,<0.10' or '==0.8.*', by release numbers alone.

    None means unverified: the text is not a version, or it is a build from between two releases (dev, rc, from a
    commit) that counts as a release at which the range begins or ends. A malformed range raises ValueError.
    """
    clauses = _clauses(spec)
    found = _read(version)
    if not found:
        return None
    numbers, between = _plain(found[0]), found[1]
    answers = {None if between and numbers in clause.edges else _holds(numbers, clause) for clause in clauses}
    if False in answers:
        return False
    return None if None in answers else True


def is_spec(text: str) -> bool:
    """Whether the text starts like a range and so should be read as one."""
    return text.lstrip()[:1] in tuple("<>=!~")


def _read(text: str) -> tuple[tuple[int, ...], bool] | None:
    """The release numbers of a version, and whether it is a build from between two releases.

    None if the text is not a version.
    """
    text = text.strip()
    if len(text) == 5 and text[1] == text[3] == "." and text.isascii() and text[0::2].isdigit():
        return (int(text[0]), int(text[2]), int(text[4])), False  # most of vLLM's: they need no pattern
    found = _VERSION.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    between = bool(found["pre"] or found["dev"] or _COMMIT.match(found["local"] or ""))
    return tuple(map(int, found["release"].split("."))), between


def _plain(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Without trailing zeros, because 0.10 and 0.10.0 are the same release."""
    while numbers and not numbers[-1]:
        numbers = numbers[:-1]
    return numbers


@lru_cache(maxsize=512)
def _clauses(spec: str) -> tuple[_Clause, ...]:
    if len(spec) > 8 * _LONGEST:
        raise ValueError("a version range of this length is not one")
    return tuple(_clause(part, spec) for part in spec.split(","))


def _clause(text: str, spec: str) -> _Clause:
    found = _CLAUSE.fullmatch(text)
    numbers = release(found["version"]) if found else None
    if not found or not numbers:
        raise ValueError(f"not a version range: {spec!r} (write it like '>=0.8,<0.10' or '==0.8.*')")
    operator = found["operator"]
    if operator == "~=":
        if found["any"] or len(numbers) < 2:
            raise ValueError(f"not a version range: {spec!r} ('~=' needs two numbers and no '*')")
        end = (*numbers[:-2], numbers[-2] + 1)
        return _Clause("~=", numbers, (_plain(numbers), _plain(end)))
    if found["any"]:
        if operator not in ("==", "!="):
            raise ValueError(f"not a version range: {spec!r} ('*' goes with '==' and '!=' only)")
        end = (*numbers[:-1], numbers[-1] + 1)
        return _Clause(operator + "*", numbers, (_plain(numbers), _plain(end)))
    return _Clause(operator, _plain(numbers), (_plain(numbers),))


def _holds(numbers: tuple[int, ...], clause: _Clause) -> bool:
    """Whether plain release numbers satisfy one clause."""
    operator, wanted, edges = clause
    if operator in ("==*", "!=*", "~="):
        inside = edges[0] <= numbers < edges[1]
        return inside != (operator == "!=*")
    return {
        "==": numbers == wanted,
        "!=": numbers != wanted,
        "<=": numbers <= wanted,
        ">=": numbers >= wanted,
        "<": numbers < wanted,
        ">": numbers > wanted,
    }[operator]
