"""Which settings a text names: flags, environment variables, fields of vLLM's configs, and words for them.

`settings.json` has names that follow from flags (mined, `tools/mine_properties.py`), `phrases.json` what messages call
them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from qvl_doctor import knowledge
from qvl_doctor.knowledge import flag_table

#: How a setting was named: as itself, by a name that follows from it, or in words.
OWN, DERIVED, SPOKEN = "own", "derived", "spoken"
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_VARIABLE = re.compile(r"(?<!\w)VLLM_[A-Z0-9_]*[A-Z0-9]")
_NAME = re.compile(
    r"(?<![\w/.%-])(?:\w+_(?:config|args)\.|envs\.|self\.|args\.)?([a-z][a-z0-9]*(?:_[a-z0-9]+)+)(?![\w/]|\.\w)"
)
#: In code only what is asked of a config, of the arguments or of the environment is a setting: other names are local.
_READ = re.compile(r"(?:\w*config|args)\.([a-z][a-z0-9]*(?:_[a-z0-9]+)+)\b(?!\()|envs\.(VLLM_\w+)")


class Named(NamedTuple):
    """What a text calls a setting, the flags or variables that this means, and how it is named."""

    said: str
    settings: tuple[str, ...]
    how: str


def named_in(text: str, release: str) -> list[Named]:
    """What a message names, the plainest first, each setting once."""
    found = [*_flags(text, release), *_names(_NAME.findall(text), release), *_variables(text), *_phrases(text, release)]
    return _each_once(found)


def named_in_code(line: str, release: str) -> list[Named]:
    """What a line of code reads."""
    names = [name or variable for name, variable in _READ.findall(line)]
    variables = [Named(name, (name,), OWN) for name in names if name.isupper() and knowledge.variable(name)]
    return _each_once([*variables, *_names([name for name in names if not name.isupper()], release)])


def _flags(text: str, release: str) -> Iterator[Named]:
    for flag in _FLAG.findall(text):
        found = flag_table.match(flag, flag_table.known(release))
        if found and found.name not in _vague():
            yield Named(found.name, (found.name,), OWN)


def _variables(text: str) -> Iterator[Named]:
    for name in _VARIABLE.findall(text):
        if knowledge.variable(name) and name not in _vague():
            yield Named(name, (name,), OWN)


def _names(names: Sequence[str], release: str) -> Iterator[Named]:
    for name in names:
        flag = "--" + name.replace("_", "-")
        if name in _vague():
            continue
        if flag_table.option(flag) is not None:
            flags = _alive((flag,), release)
            yield from [Named(name, flags, OWN if flags == (flag,) else DERIVED)] if flags else []
        elif name in _derived():
            flags = _alive(_derived()[name], release)
            yield from [Named(name, flags, DERIVED)] if flags else []


def _phrases(text: str, release: str) -> Iterator[Named]:
    for pattern, flags in _spoken():
        found = pattern.search(text)
        alive = _alive(flags, release) if found else ()
        if found and alive:
            yield Named(found[0], alive, SPOKEN)


def _alive(flags: Sequence[str], release: str) -> tuple[str, ...]:
    """Those of the flags that the release has, or what took their place in it."""
    wanted = flag_table.known(release)
    spelled = [
        flag if flag_table.has(flag, wanted) else flag_table.replacement(flag, wanted).partition(".")[0]
        for flag in flags
    ]
    return tuple(dict.fromkeys(filter(None, spelled)))


def _each_once(found: Sequence[Named]) -> list[Named]:
    seen: set[str] = set()
    kept = []
    for each in found:
        if seen.isdisjoint(each.settings):
            kept.append(each)
        seen.update(each.settings)
    return kept


@cache
def _derived() -> dict[str, tuple[str, ...]]:
    names = {**knowledge.table("settings")["names"], **knowledge.table("phrases")["names"]}
    return {name: tuple(flags) for name, flags in names.items()}


@cache
def _vague() -> frozenset[str]:
    return frozenset(knowledge.table("phrases")["vague"])


@cache
def _spoken() -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    return tuple(
        (re.compile(says, re.IGNORECASE), tuple(flags)) for says, flags in knowledge.table("phrases")["phrases"]
    )
