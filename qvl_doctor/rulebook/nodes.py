"""YAML as a tree of strings that knows its lines, for files that strangers wrote.

Every scalar is a string: 0.10 stays "0.10", and `no` stays "no". A key that is twice is a fault, not a silent
choice. Size, depth and the growth through aliases are bounded. The tree is built from the parser's events, because
composing nodes recurses, in C.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from qvl_doctor.rulebook.mistakes import Mistake, yaml_cause

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_NODES = 5000

#: libyaml reads ahead in brackets, so its own limit on the depth can come before ours.
_PARSERS_OWN_LIMIT = "exceeded maximum nesting depth"
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Node(NamedTuple):
    """A value and the line on which it, or its key, begins.

    `value` is a str, a list of nodes, or a dict from str to node.
    """

    line: int
    value: Any
    size: int = 1


class _Broken(Exception):  # noqa: N818 — never leaves this module
    def __init__(self, line: int, name: str, **values: object) -> None:
        super().__init__(name)
        self.mistake = Mistake(line, "", name, values)


def read_tree(data: bytes) -> tuple[Node | None, list[Mistake]]:
    """The tree of a YAML document and all mistakes that were found; the tree is None if there is no way to go on."""
    import yaml

    builder = _Builder()
    try:
        text = _text(data)
        for event in yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)):
            builder.take(event)
    except yaml.YAMLError as error:
        return None, [*builder.mistakes, _explained(error)]
    except _Broken as broken:
        return None, [*builder.mistakes, broken.mistake]
    return builder.root, builder.mistakes if builder.root else [Mistake(1, "", "file-empty")]


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _Broken(1, "file-too-large", kib=MAX_BYTES // 1024)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Broken(data.count(b"\n", 0, error.start) + 1, "no-utf-8") from None
    unreadable = _UNREADABLE.search(text)
    if unreadable:
        raise _Broken(text.count("\n", 0, unreadable.start()) + 1, "control-character")
    return text


class _Open:
    """A list or map of which the end has not been seen."""

    def __init__(self, value: Any, line: int, anchor: str | None) -> None:
        self.value = value
        self.line = line
        self.anchor = anchor
        self.size = 1
        self.key: str | None = None
        self.key_line = 0


class _Builder:
    """Parser events, one after the other, into a tree."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.mistakes: list[Mistake] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}

    def take(self, event: Any) -> None:
        kind = type(event).__name__
        line = event.start_mark.line + 1
        if kind in {"ScalarEvent", "SequenceStartEvent", "MappingStartEvent"} and event.tag not in {None, "!"}:
            raise _Broken(line, "tag", tag=event.tag)
        if kind == "ScalarEvent":
            self._place(Node(line, event.value), event.anchor)
        elif kind in {"SequenceStartEvent", "MappingStartEvent"}:
            if len(self._open) >= MAX_DEPTH:
                raise _Broken(line, "too-deep", most=MAX_DEPTH)
            self._open.append(_Open([] if kind == "SequenceStartEvent" else {}, line, event.anchor))
        elif kind in {"SequenceEndEvent", "MappingEndEvent"}:
            done = self._open.pop()
            self._place(Node(done.line, done.value, done.size), done.anchor)
        elif kind == "AliasEvent":
            if event.anchor not in self._anchors:
                raise _Broken(line, "no-anchor", anchor=event.anchor)
            self._place(self._anchors[event.anchor]._replace(line=line), None)
        elif kind == "DocumentStartEvent" and self.root is not None:
            raise _Broken(line, "second-document")

    def _place(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.size += node.size
        if parent.size > MAX_NODES:
            raise _Broken(node.line, "too-many-values", most=MAX_NODES)
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif parent.key is None:
            if not isinstance(node.value, str):
                raise _Broken(node.line, "key-not-a-word")
            parent.key, parent.key_line = node.value, node.line
        else:
            self._enter(parent, parent.key, node)
            parent.key = None

    def _enter(self, parent: _Open, key: str, node: Node) -> None:
        if key in parent.value:
            values = {"key": key, "first": parent.value[key].line}
            self.mistakes.append(Mistake(parent.key_line, key, "key-twice", values))
        else:
            parent.value[key] = node._replace(line=parent.key_line)


def _explained(error: Any) -> Mistake:
    """A parser's complaint with its likely cause."""
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    said = " ".join(str(getattr(error, "problem", None) or error).split())
    if _PARSERS_OWN_LIMIT in said:
        return Mistake(line, "", "too-deep", {"most": MAX_DEPTH})
    return Mistake(line, "", "no-yaml", {"said": said, "cause": yaml_cause(said)})
