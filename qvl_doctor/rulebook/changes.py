"""What a fix may change: flags, environment, packages, image, pod, or a command to run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from qvl_doctor.rulebook.mistakes import Mistake, listed, nearest, short
from qvl_doctor.rulebook.nodes import Node

#: A flag may be what a pattern captured or a remedy found: `{flag}`.
_FLAG = re.compile(r"--[a-z][a-z0-9]*(-[a-z0-9]+)*|\{[a-z_][a-z0-9_]*\}")
#: So may a variable, whose name depends on the platform.
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\{[a-z_][a-z0-9_]*\}")
_CLAUSE = r"(==|>=|<=|!=|~=|<|>)[^\s,]+"
#: A package, and a whole range, may come from a remedy: `transformers{transformers_pin}`, `{package}{package_range}`.
_REQUIREMENT = re.compile(
    rf"([A-Za-z0-9][A-Za-z0-9._-]*|\{{[a-z_][a-z0-9_]*\}})(\[[a-z0-9,_-]+\])?"
    rf"(\{{[a-z_][a-z0-9_]*\}}|{_CLAUSE}(,{_CLAUSE})*)?"
)
_JSON_WORDS: Mapping[str, Any] = {"true": True, "false": False, "null": None, "~": None}


def change_mistakes(node: Node, field: str) -> Iterator[Mistake]:
    """Everything that is wrong with a `change`."""
    if not isinstance(node.value, dict) or not node.value:
        yield Mistake(node.line, field, "change-not-a-map", {"legal": listed(_KINDS)})
        return
    for key, value in node.value.items():
        if key in _KINDS:
            yield from _KINDS[key](value, f"{field}.{key}")
        else:
            values = {"what": "a change", "legal": listed(_KINDS), "key": short(key)}
            yield Mistake(value.line, field, "unknown-key", values, nearest(key, _KINDS))


def plain_change(node: Node) -> dict[str, Any]:
    """The change as values: True is a bare flag, None removes, a map is JSON."""
    found = plain(node)
    if not isinstance(found, dict):
        return {}
    for key in ("flags", "env"):
        if isinstance(found.get(key), dict):
            found[key] = {name: _meant(value) for name, value in found[key].items()}
    return found


def plain(node: Node) -> Any:
    """A node as strings, lists and dicts."""
    if isinstance(node.value, dict):
        return {key: plain(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def _meant(value: Any) -> Any:
    """`true`, `false` and `null` in a flag, a variable, or anywhere in a flag's JSON."""
    if isinstance(value, dict):
        return {key: _meant(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_meant(item) for item in value]
    return _JSON_WORDS.get(value, value)


def _flags(node: Node, field: str) -> Iterator[Mistake]:
    for name, value in _entries(node):
        place = f"{field}.{short(name)}"
        if not _FLAG.fullmatch(name):
            yield Mistake(value.line, place, "flag-form")
        if value.value == "false":
            yield Mistake(value.line, place, "flag-false")
        elif value.value == "":
            yield Mistake(value.line, place, "flag-empty")
        elif isinstance(value.value, list) and not all(isinstance(item.value, str) for item in value.value):
            yield Mistake(value.line, place, "flag-list")
    yield from _must_be_map(node, field, "flags and their values")


def _env(node: Node, field: str) -> Iterator[Mistake]:
    for name, value in _entries(node):
        if not _VARIABLE.fullmatch(name):
            yield Mistake(value.line, f"{field}.{short(name)}", "variable-form")
        if not isinstance(value.value, str):
            yield Mistake(value.line, f"{field}.{short(name)}", "variable-value")
    yield from _must_be_map(node, field, "variables and their values")


def _pip(node: Node, field: str) -> Iterator[Mistake]:
    if not isinstance(node.value, list) or not node.value:
        yield Mistake(node.line, field, "pip-not-a-list")
        return
    for number, item in enumerate(node.value):
        if not isinstance(item.value, str) or not _REQUIREMENT.fullmatch(item.value):
            yield Mistake(item.line, f"{field}[{number}]", "requirement-form")


def _pod(node: Node, field: str) -> Iterator[Mistake]:
    from qvl_doctor.launch.pods.patches import PATCHES

    if node.value not in PATCHES:
        yield Mistake(node.line, field, "no-patch", {"legal": listed(PATCHES)}, nearest(node.value, PATCHES))


def _line(node: Node, field: str) -> Iterator[Mistake]:
    if not isinstance(node.value, str) or not node.value.strip() or "\n" in node.value.strip():
        yield Mistake(node.line, field, "not-one-line")


def _entries(node: Node) -> Iterator[tuple[str, Node]]:
    yield from node.value.items() if isinstance(node.value, dict) else ()


def _must_be_map(node: Node, field: str, what: str) -> Iterator[Mistake]:
    if not isinstance(node.value, dict) or not node.value:
        yield Mistake(node.line, field, "entries-not-a-map", {"what": what})


_KINDS: Mapping[str, Callable[[Node, str], Iterator[Mistake]]] = {
    "flags": _flags,
    "env": _env,
    "pip": _pip,
    "image": _line,
    "pod": _pod,
    "run": _line,
}
