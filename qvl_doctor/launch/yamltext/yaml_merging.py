"""Values of any shape merged into YAML text: old values are changed in place, new ones written like their neighbors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qvl_doctor.launch.command import Edit
from qvl_doctor.launch.yamltext.yaml_edits import dash_of, double_quoted, line_end, list_indent, pair_of, scalar
from qvl_doctor.launch.yamltext.yaml_tree import Node

_PLAIN = Node("scalar", 0, 0, 0)
_STEP = 2


def grown(text: str, node: Node, wanted: Mapping[str, Any]) -> Iterator[Edit]:
    """The edits that make a map hold `wanted`, made of maps, lists, texts, whole numbers and truth values.

    Maps are merged, entries of lists are added after the existing ones, and anything else replaces what was there.
    """
    missing: dict[str, Any] = {}
    for key, value in wanted.items():
        found = node.get(key)
        there = found.resolved if found else None
        if there is None:
            missing[key] = value
        elif isinstance(value, Mapping) and there.pairs:
            yield from grown(text, there, value)
        elif isinstance(value, (list, tuple)) and there.items:
            yield _appended(text, there, value)
        elif there.kind != "scalar" or there.value != plain(value):
            yield set_to(there, value)
    if missing:
        yield _added(text, node, missing)


def plain(value: Any) -> str:
    """A text, number or truth value as YAML reads it without quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def value_of(node: Node) -> Any:
    """A node as plain values; numbers and truth values are told from texts by their quotes."""
    node = node.resolved
    if node.kind == "map":
        return {key.value: value_of(value) for key, value in node.pairs}
    if node.kind == "list":
        return [value_of(item) for item in node.items]
    if node.style == "" and node.value.isdecimal() and len(node.value) < 18:
        return int(node.value)
    return {"true": True, "false": False}.get(node.value, node.value) if node.style == "" else node.value


def set_to(there: Node, value: Any) -> Edit:
    """Another value in place of a scalar, or of an empty list or map."""
    quoted = there.kind == "scalar" and there.style in {"'", '"'} and not isinstance(value, (Mapping, list, tuple))
    new = scalar(plain(value), there) if quoted else _in_brackets(value)
    return Edit(there.start, there.stop, new if there.stop > there.start else f" {new}")


def _appended(text: str, parent: Node, entries: Sequence[Any]) -> Edit:
    last = parent.items[-1]
    if parent.flow:
        return Edit(last.stop, last.stop, "".join(f", {_quoted(entry)}" for entry in entries))
    dash = dash_of(text, parent)
    lines = [line for entry in entries for line in _entry(entry, dash, len(list_indent(parent)))]
    at = line_end(text, last.stop)
    return Edit(at, at, "".join(f"\n{line}" for line in lines))


def _added(text: str, parent: Node, wanted: Mapping[str, Any]) -> Edit:
    last = pair_of(*parent.pairs[-1])
    if parent.flow:
        return Edit(
            last.stop, last.stop, "".join(f", {double_quoted(key)}: {_quoted(value)}" for key, value in wanted.items())
        )
    at = line_end(text, last.stop)
    lines = block(wanted, parent.pairs[0][0].column, len(list_indent(parent)))
    return Edit(at, at, "".join(f"\n{line}" for line in lines))


def block(value: Mapping[str, Any], indent: int = 0, shift: int = 0) -> Iterator[str]:
    """A map in lines. `shift` is how much further than its key a list is indented."""
    blanks = " " * indent
    for key, item in value.items():
        head = f"{blanks}{scalar(key, _PLAIN)}:"
        if isinstance(item, Mapping) and item:
            yield head
            yield from block(item, indent + _STEP, shift)
        elif isinstance(item, (list, tuple)) and item:
            yield head
            for entry in item:
                yield from _entry(entry, " " * (indent + shift) + "- ", shift)
        else:
            yield f"{head} {_in_brackets(item)}"


def _entry(entry: Any, dash: str, shift: int) -> Iterator[str]:
    """An entry of a list in lines, the first after its dash."""
    if not isinstance(entry, Mapping) or not entry:
        yield dash + _in_brackets(entry)
        return
    first, *rest = block(entry, len(dash), shift)
    yield dash + first[len(dash) :]
    yield from rest


def _in_brackets(value: Any) -> str:
    """A value on one line, as both YAML and JSON read it unless it is a single word."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{double_quoted(key)}: {_quoted(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_quoted, value)) + "]"
    return scalar(value, _PLAIN) if isinstance(value, str) else plain(value)


def _quoted(value: Any) -> str:
    return double_quoted(value) if isinstance(value, str) else _in_brackets(value)
