"""Observations in a rule: a match item or an example names a sentence of the table, and values that it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qvl_doctor.observations import names, needed
from qvl_doctor.observations.sentences import SENTENCES
from qvl_doctor.rulebook.mistakes import Mistake, listed, nearest
from qvl_doctor.rulebook.nodes import Node

#: What a match item may have next to the key: an observation is not a text to be searched.
_BESIDE = frozenset(("observation", "values", "facts"))


def match_mistakes(part: Mapping[str, Node], field: str) -> Iterator[Mistake]:
    """What is wrong with the observation of a match item."""
    yield from _mistakes(part, field)
    if "observation" in part:
        for name in sorted(part.keys() - _BESIDE):
            yield Mistake(part[name].line, f"{field}.{name}", "observation-by-key")


def example_mistakes(part: Mapping[str, Node], field: str) -> Iterator[Mistake]:
    """What is wrong with the observation of an example, which must be one that can be said."""
    yield from _mistakes(part, field)
    key = part["observation"].value if "observation" in part else ""
    if isinstance(key, str) and key in SENTENCES:
        lacking = needed(SENTENCES[key].text) - _given(part).keys()
        if lacking:
            yield Mistake(
                part["observation"].line, f"{field}.values", "observation-lacks", {"key": key, "names": listed(lacking)}
            )


def _mistakes(part: Mapping[str, Node], field: str) -> Iterator[Mistake]:
    if "observation" not in part:
        if "values" in part:
            yield Mistake(part["values"].line, f"{field}.values", "values-of-nothing")
        return
    key = part["observation"].value
    if not isinstance(key, str) or key not in SENTENCES:
        yield Mistake(
            part["observation"].line, f"{field}.observation", "no-observation", {"key": key}, nearest(key, SENTENCES)
        )
        return
    known = names(SENTENCES[key].text)
    for name, node in _given(part).items():
        if name not in known:
            said = {"key": key, "name": name, "names": listed(known) or "none"}
            yield Mistake(node.line, f"{field}.values", "no-placeholder", said, nearest(name, known))


def _given(part: Mapping[str, Node]) -> Mapping[str, Node]:
    value = part["values"].value if "values" in part else {}
    return value if isinstance(value, dict) else {}
