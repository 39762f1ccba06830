"""YAML as a tree with the place of each piece, so that a change touches nothing else: comments, quotes and order stay.

Built from PyYAML's events. A round trip through a loader and a dumper would fold long lines, move comments and
re-indent lists; here the text itself is edited. Aliases stay references, so a bomb of them costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from qvl_doctor.late import late_pattern
from qvl_doctor.launch.command import LaunchError, Place
from qvl_doctor.launch.shell.lexer import checked_text

MAX_DEPTH = 64
MAX_NODES = 50_000
_MERGE = "<<"
#: An anchor and a tag before a value; both stay when the value is replaced.
_PROPERTIES = late_pattern(r"(?:[&!]\S*[ \t]+)+")


@dataclass(slots=True)
class Node:
    """A scalar (`kind` is scalar), list or map. `pairs` are the entries of a map, `items` those of a list.

    `start` and `stop` are offsets in the text; for a list or map written in lines, `stop` is where its last entry ends.
    `style` is the quote or block sign of a scalar, "" for a plain one. `flow` says that a list or map is written in
    brackets.
    """

    kind: str
    start: int
    stop: int
    column: int
    value: str = ""
    style: str = ""
    flow: bool = False
    items: list[Node] = field(default_factory=list)
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    target: Node | None = None

    @property
    def resolved(self) -> Node:
        """The node itself, or what an alias stands for."""
        return self.target or self

    def get(self, key: str, depth: int = 0, seen: set[int] | None = None) -> Node | None:
        """The value of a key of a map, through aliases and merges; None if this is not a map or has no such key.

        `seen` are maps that were looked at: merges of merges name the same ones again and again.
        """
        node = self.resolved
        seen = set() if seen is None else seen
        seen.add(id(node))
        for name, value in node.pairs:
            if name.value == key and name.kind == "scalar":
                return value
        for name, value in node.pairs:
            if name.value == _MERGE and depth < 8:
                merged = value.resolved
                for each in merged.items or [merged]:
                    found = None if id(each.resolved) in seen else each.get(key, depth + 1, seen)
                    if found:
                        return found
        return None

    def text(self, key: str = "") -> str | None:
        """The text of a scalar, or of the scalar under a key."""
        node = self.get(key) if key else self
        return node.resolved.value if node and node.resolved.kind == "scalar" else None

    def walk(self) -> Iterator[Node]:
        """This node and all inside it; aliases are not followed."""
        pending = [self]
        while pending:
            node = pending.pop()
            yield node
            pending += [*reversed(node.items), *(value for _, value in reversed(node.pairs))]


def deep(node: Node | None, *keys: str) -> Node | None:
    """The value under nested keys; None if one is missing."""
    for key in keys:
        found = node.get(key) if node else None
        node = found.resolved if found else None
    return node


def entries(node: Node | None, *keys: str) -> list[Node]:
    """The entries of the list under nested keys; [] if there is none."""
    found = deep(node, *keys)
    return [item.resolved for item in found.items] if found else []


def text_at(node: Node | None, *keys: str) -> str:
    """The scalar under nested keys; "" if there is none."""
    found = deep(node, *keys)
    return (found.text() if found else None) or ""


def documents(text: str) -> list[Node]:
    """The documents of a YAML or JSON text. Raises LaunchError."""
    import yaml

    checked_text(text)
    builder = _Builder(text)
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.take(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = Place(mark.line + 1, mark.column + 1) if mark else Place()
        said = str(getattr(error, "problem", None) or error)
        # libyaml reads ahead in brackets, so its own limit on the depth can come before ours.
        kind = "too-deep" if "exceeded maximum nesting depth" in said else "broken-yaml"
        raise LaunchError(kind, place, said) from None
    return builder.roots


class _Builder:
    """Parser events, one after the other, into trees."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.roots: list[Node] = []
        self._open: list[Node] = []
        self._keys: list[Node | None] = []
        self._anchors: dict[str, Node] = {}
        self._count = 0

    def take(self, event: Any) -> None:
        name = type(event).__name__
        if name == "DocumentStartEvent":
            self._anchors = {}
        elif name == "ScalarEvent":
            self._place(self._scalar(event), event.anchor)
        elif name in {"SequenceStartEvent", "MappingStartEvent"}:
            node = self._node(event, "list" if name == "SequenceStartEvent" else "map", flow=bool(event.flow_style))
            self._place(node, event.anchor)
            self._open.append(node)
            self._keys.append(None)
            if len(self._open) > MAX_DEPTH:
                raise LaunchError("too-deep", Place(event.start_mark.line + 1, event.start_mark.column + 1))
        elif name in {"SequenceEndEvent", "MappingEndEvent"}:
            node = self._open.pop()
            self._keys.pop()
            node.stop = event.end_mark.index if node.flow else _last(node)
        elif name == "AliasEvent":
            node = self._node(event, "alias")
            node.target = self._anchors.get(event.anchor)
            if node.target is None:
                raise LaunchError(
                    "broken-yaml", Place(event.start_mark.line + 1, event.start_mark.column + 1), f"*{event.anchor}"
                )
            self._place(node, None)

    def _node(self, event: Any, kind: str, **more: Any) -> Node:
        self._count += 1
        mark = event.start_mark
        if self._count > MAX_NODES:
            raise LaunchError("too-many-values", Place(mark.line + 1, mark.column + 1))
        return Node(kind, mark.index, event.end_mark.index, mark.column, **more)

    def _scalar(self, event: Any) -> Node:
        """The value alone: after its anchor and tag, up to the last character that is not white space."""
        node = self._node(event, "scalar", value=event.value, style=event.style or "")
        properties = _PROPERTIES.match(self.text, node.start, node.stop)
        if properties and (event.anchor or event.tag):
            node.start = properties.end()
        if node.style in {"|", ">"}:
            node.stop = node.start + len(self.text[node.start : node.stop].rstrip())
        return node

    def _place(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self.roots.append(node)
            return
        parent, key = self._open[-1], self._keys[-1]
        if parent.kind == "list":
            parent.items.append(node)
        elif key is None:
            self._keys[-1] = node
        else:
            parent.pairs.append((key, node))
            self._keys[-1] = None


def _last(node: Node) -> int:
    """Where the last entry of a list or map ends."""
    if node.items:
        return node.items[-1].stop
    return node.pairs[-1][1].stop if node.pairs else node.stop
