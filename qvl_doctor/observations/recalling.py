"""Observations from their text alone, as in files of versions that wrote no keys: the table is read backwards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import product

from qvl_doctor.model import Line, Observation, Record
from qvl_doctor.observations import OPTIONAL, PLACEHOLDER, observe, plain
from qvl_doctor.observations.sentences import SENTENCES


def recalled(level: str, said: str, line: int = 0) -> Record:
    """The observation that a text says; a text that is not in the table has no key and is left to the rules on logs."""
    said = plain(said)
    known = next(_readings(level, said), None)
    if known:
        return observe(known.key, line, **known.values)
    return Record((Line(line, said),), said, level=level)


def _readings(level: str, said: str) -> Iterator[Observation]:
    for key, parts in _forms(level):
        values = _values(parts, said)
        if values is not None:
            yield Observation(key, values)


def _values(parts: tuple[str, ...], said: str) -> dict[str, str] | None:
    """The values in a text, of a sentence as literal, name, literal, name … literal.

    Each value ends where the literal after it first begins.
    """
    literals, names = parts[::2], parts[1::2]
    if not said.startswith(literals[0]) or not said.endswith(literals[-1]):
        return None
    at, end = len(literals[0]), len(said) - len(literals[-1]) if names else len(said)
    values = {}
    for name, literal in zip(names[:-1], literals[1:-1], strict=True):
        found = said.find(literal, at, end)
        if found < 0:
            return None
        values[name] = said[at:found]
        at = found + len(literal)
    if names and at <= end:
        values[names[-1]] = said[at:end]
    return values if len(values) == len(names) and (names or said == literals[0]) else None


@lru_cache(maxsize=8)
def _forms(level: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Key and parts of every form of the sentences of a level, those with the most words of their own first."""
    found = [
        (key, tuple(re.split(PLACEHOLDER, form)))
        for key, sentence in SENTENCES.items()
        if sentence.level == level
        for form in _with_and_without(sentence.text)
    ]
    return tuple(sorted(found, key=lambda form: -sum(map(len, form[1][::2]))))


def _with_and_without(text: str) -> Iterator[str]:
    """A sentence with and without each of its optional parts."""
    pieces = re.split(OPTIONAL, text)
    for chosen in product((True, False), repeat=len(pieces) // 2):
        kept = (piece for at, piece in enumerate(pieces) if at % 2 == 0 or chosen[at // 2])
        yield "".join(kept)
