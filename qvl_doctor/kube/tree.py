"""YAML and JSON of `kubectl get` as a tree with line numbers.

What cannot be read is not a tree; nothing here raises.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from qvl_doctor.launch.yamltext.yaml_tree import Node

_DEEPEST = 64
_MOST_OBJECTS = 20_000


class Item(NamedTuple):
    """A value (text, list of items, map of items) and the line that it begins on; 0 if unknown."""

    value: Any
    line: int = 0

    def get(self, *keys: str) -> Item:
        """The value under nested keys; an empty item if there is none."""
        item = self
        for key in keys:
            item = item.value.get(key, _NONE) if isinstance(item.value, dict) else _NONE
        return item

    def text(self, *keys: str) -> str:
        """The text under the keys; empty if there is none."""
        value = self.get(*keys).value
        return value if isinstance(value, str) else ""

    def number(self, *keys: str, default: int = 0) -> int:
        """The whole number under the keys."""
        text = self.text(*keys)
        return int(text) if text.removeprefix("-").isdecimal() and len(text) < 12 else default

    def items(self, *keys: str) -> list[Item]:
        """The entries of the list under the keys."""
        value = self.get(*keys).value
        return value if isinstance(value, list) else []

    def pairs(self, *keys: str) -> dict[str, Item]:
        """The entries of the map under the keys."""
        value = self.get(*keys).value
        return value if isinstance(value, dict) else {}


_NONE = Item(None)


def objects(text: str) -> list[Item]:
    """The objects of a text: its documents, and the items of lists among them."""
    return [item for document in _documents(text) for item in _unlisted(document)]


def _unlisted(document: Item) -> Iterator[Item]:
    pending = [document]
    for _ in range(_DEEPEST):
        yield from (item for item in pending if item.text("kind") and not item.items("items"))
        inner = (each for item in pending for each in (item.items("items") or item.items()))
        pending = list(islice(inner, _MOST_OBJECTS))


def _documents(text: str) -> list[Item]:
    from qvl_doctor.launch.command import LaunchError
    from qvl_doctor.launch.yamltext.yaml_tree import documents

    if '"kind"' not in text and "kind:" not in text:
        return []
    try:
        trees = documents(text)
    except LaunchError:
        return _json(text)  # many pods: more values than their lines are worth
    return [*map(_Reader(text).item, trees)]


class _Reader:
    """Nodes into items.

    Each node is read once: what aliases refer to is shared, so a bomb of them costs nothing.
    """

    def __init__(self, text: str) -> None:
        self._starts, at = [0], text.find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = text.find("\n", at + 1)
        self._known: dict[int, Item] = {}

    def item(self, node: Node) -> Item:
        node = node.resolved
        known = self._known.get(id(node))
        if known is None:
            self._known[id(node)] = _NONE  # for a node that holds itself
            known = self._known[id(node)] = Item(self._value(node), self._line(node))
        return known

    def _value(self, node: Node) -> Any:
        if node.kind == "list":
            return [self.item(item) for item in node.items]
        if node.kind == "map":
            return {key.value: self.item(value)._replace(line=self._line(key)) for key, value in node.pairs}
        return None if not node.style and node.value in {"null", "~", ""} else node.value

    def _line(self, node: Node) -> int:
        return bisect_right(self._starts, node.start)


def _json(text: str) -> list[Item]:
    try:
        return [_of_json(json.loads(text, parse_constant=str), 0)]
    except (ValueError, RecursionError):
        return []


def _of_json(value: Any, depth: int) -> Item:
    if depth > _DEEPEST:
        return _NONE
    if isinstance(value, dict):
        return Item({key: _of_json(each, depth + 1) for key, each in value.items()})
    if isinstance(value, list):
        return Item([_of_json(each, depth + 1) for each in value])
    if isinstance(value, bool):
        return Item("true" if value else "false")
    return Item(None if value is None else str(value))


def of_json(text: str) -> list[Item]:
    """The objects of a JSON text, without their lines: of a cluster's whole answer, however long."""
    return [item for document in _json(text) for item in _unlisted(document)]


def as_json(item: Item) -> str:
    """An item as a JSON text of strings, one value per line."""
    return json.dumps(_plain(item), indent=1)


def _plain(item: Item) -> Any:
    if isinstance(item.value, dict):
        return {key: _plain(each) for key, each in item.value.items()}
    return [_plain(each) for each in item.value] if isinstance(item.value, list) else item.value
