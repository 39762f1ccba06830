"""Which feature of vLLM a frame of a traceback belongs to, and how that is switched off or replaced in a release.

`features.json` has them; a place is a path with the function, "/…/vllm/multimodal/cache.py:get". The first feature that
fits counts, so what is narrower comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from qvl_doctor import knowledge
from qvl_doctor.knowledge import Span, flag_table
from qvl_doctor.versions import satisfies

#: What a feature can be done with: switched off, done by something else, looked at.
DIRECTIONS = ("off", "other", "look")


class Way(NamedTuple):
    """What to change: flags (None removes one, True is a bare one) or variables.

    With its value "" it is only to be looked at.
    """

    flags: Mapping[str, Any]
    env: Mapping[str, str]
    span: Span | None = None
    #: The least compute capability that it needs.
    capability: str = ""


class Feature(NamedTuple):
    """A part of vLLM that a user has a say in. It is on all platforms if it names none."""

    id: str
    name: Mapping[str, str]
    direction: str
    ways: tuple[Way, ...]
    platforms: tuple[str, ...] = ()


@cache
def features() -> tuple[tuple[re.Pattern[str], Feature], ...]:
    """Every feature with the places that belong to it."""
    return tuple(
        (re.compile(entry["where"]), _feature(name, entry))
        for name, entry in knowledge.table("features")["features"].items()
    )


def feature_of(place: str) -> Feature | None:
    """The feature that a place in the code belongs to."""
    return next((feature for where, feature in features() if where.search(place)), None)


def is_owner(place: str) -> bool:
    """Whether a place is a model's or layer's own code: what is outside of it only called it."""
    return _owners().search(place) is not None


def ways_in(feature: Feature, release: str, capability: str = "") -> Iterator[Way]:
    """The ways that a release has and the GPU can go, the best first; all where these are not known."""
    return (
        way
        for way in feature.ways
        if _has(way, release) and satisfies(capability, f">={way.capability or 0}") is not False
    )


def _has(way: Way, release: str) -> bool:
    if not release:
        return True
    if way.span and satisfies(release, _range(way.span)) is not True:
        return False
    if not all(flag_table.has(name, release) for name in way.flags):
        return False
    spans = (knowledge.variable(name) for name in way.env)
    return all(span is not None and satisfies(release, _range(span)) is True for span in spans)


def _range(span: Span) -> str:
    return f">={span.first},<={span.last}" if span.last else f">={span.first}"


def _feature(name: str, entry: Mapping[str, Any]) -> Feature:
    ways = tuple(
        Way(
            each.get("flags", {}),
            each.get("env", {}),
            Span(*each["in"]) if "in" in each else None,
            each.get("capability", ""),
        )
        for each in entry["try"]
    )
    words = {language: entry[language] for language in ("en", "zh")}
    return Feature(name, words, entry["do"], ways, tuple(entry.get("platforms", ())))


@cache
def _owners() -> re.Pattern[str]:
    return re.compile(knowledge.table("features")["owners"])
