"""What the pages and lists of the shipped rules show and a diagnosis does not need: examples, sources, topics.

A wheel has it compiled, apart from the rules, so that reading a log does not load it. In a source tree the rules come
from YAML and have it already.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from qvl_doctor.model import Example, Rule, Topic
from qvl_doctor.rulebook import book

COMPILED = "rulepages.json"
_DEFAULTS = Example._field_defaults


def compile_pages(rules: Iterable[Rule], topics: Iterable[Topic]) -> str:
    """The topics, and of each rule what `book.compile_book` leaves out, as JSON."""
    pages = {
        "topics": [topic._asdict() for topic in topics],
        "rules": {
            rule.id: {
                "matches": [_said(example) for example in rule.matches],
                "silent": [_said(example) for example in rule.silent],
                "seen_in": rule.seen_in,
                "checked": rule.checked,
            }
            for rule in rules
        },
    }
    return json.dumps(pages, separators=(",", ":"))


def with_pages(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules with their examples and sources. Rules that were read from YAML have them and stay as they are."""
    return tuple(rule if rule.matches else _with_page(rule, _compiled()["rules"].get(rule.id, {})) for rule in rules)


def shipped_topics() -> tuple[Topic, ...]:
    """The topics of the shipped rules, in their order."""
    compiled = _compiled()["topics"]
    if compiled:
        return tuple(Topic(**topic) for topic in compiled)
    from qvl_doctor.rulebook.topics import load_topics

    return load_topics(book.rules_folder())


def _compiled() -> dict[str, Any]:
    return _load(os.path.join(book.PACKAGE, COMPILED))


@lru_cache(maxsize=1)
def _load(path: str) -> dict[str, Any]:
    """What `compile_pages` made; nothing in a source tree."""
    try:
        with open(path, encoding="ascii") as file:
            pages: dict[str, Any] = json.load(file)
            return pages
    except FileNotFoundError:
        return {"topics": (), "rules": {}}


def _said(example: Example) -> dict[str, Any]:
    """The fields of an example that are not what they are anyway."""
    plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in example._asdict().items()}
    return {name: value for name, value in plain.items() if value != _DEFAULTS.get(name)}


def _example(said: Mapping[str, Any]) -> Example:
    fixes = {"fixes": tuple(said["fixes"])} if "fixes" in said else {}
    return Example(**{**said, **fixes})


def _with_page(rule: Rule, page: Mapping[str, Any]) -> Rule:
    return rule._replace(
        matches=tuple(map(_example, page.get("matches", ()))),
        silent=tuple(map(_example, page.get("silent", ()))),
        seen_in=tuple(page.get("seen_in", ())),
        checked=page.get("checked", ""),
    )
