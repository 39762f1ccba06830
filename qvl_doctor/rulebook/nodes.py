"""YAML as a tree of strings that knows its lines, for files that strangers wrote.

Every scalar is a string: 0.10 stays "0.10", and `no` stays "no". A key that stands twice is a fault, not a silent
choice. Size, depth and the growth through aliases are bounded. The tree is built from the parser's events, because
composing nodes recurses, in C.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_NODES = 5000

#: What PyYAML says, and what the writer most likely did.
_CAUSES = (
    ("mapping values are not allowed", "quote this value, it contains ': '"),
    ("found character '\\t'", "indent with blanks, not with tabs"),
    ("found a tab character", "indent with blanks, not with tabs"),
    (
        "found character that cannot start any token",
        "quote this value: it begins with a character that YAML keeps for itself",
    ),
    ("found unknown escape character", "in double quotes a backslash is an escape; put patterns into single quotes"),
    (
        "did not find expected ',' or",
        "a value between { } or [ ] that contains ',', ': ', brackets or quotes must itself be quoted",
    ),
    ("expected ',' or", "a value between { } or [ ] that contains ',', ': ', brackets or quotes must itself be quoted"),
    ("found unexpected end of stream", "a quote or a bracket is never closed"),
    (
        "did not find expected key",
        "check the indentation and the quotes; a quote inside single quotes is written twice",
    ),
    ("expected <block end>", "check the indentation and the quotes; a quote inside single quotes is written twice"),
    ("could not find expected ':'", "a key has no ': ' behind it, or a text is not indented"),
    ("found undefined alias", "quote this value: '*' at the beginning refers to an anchor"),
    (
        "did not find expected alphabetic or numeric character",
        "quote this value: '*' or '&' at the beginning means an anchor",
    ),
)
#: libyaml reads ahead in brackets, so its own limit on the depth can come before ours.
_PARSERS_OWN_LIMIT = "exceeded maximum nesting depth"
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Node(NamedTuple):
    """A value and the line on which it, or its key, begins. `value` is a str, a list of nodes, or a dict from str to node."""

    line: int
    value: Any
    size: int = 1


class Fault(NamedTuple):
    """What is wrong with a file, and where."""

    line: int
    field: str
    problem: str


class _Broken(Exception):  # noqa: N818 — never leaves this module
    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.fault = Fault(line, "", problem)


def read_tree(data: bytes) -> tuple[Node | None, list[Fault]]:
    """The tree of a YAML document and all faults that were found; the tree is None if there is no way to go on."""
    import yaml

    builder = _Builder()
    try:
        text = _text(data)
        for event in yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)):
            builder.take(event)
    except yaml.YAMLError as error:
        return None, [*builder.faults, _explained(error)]
    except _Broken as broken:
        return None, [*builder.faults, broken.fault]
    return builder.root, builder.faults if builder.root else [Fault(1, "", "the file is empty")]


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _Broken(1, f"the file is larger than {MAX_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Broken(data.count(b"\n", 0, error.start) + 1, "the file is not UTF-8 text") from None
    unreadable = _UNREADABLE.search(text)
    if unreadable:
        raise _Broken(text.count("\n", 0, unreadable.start()) + 1, "there is a control character in the file")
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
        self.faults: list[Fault] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}

    def take(self, event: Any) -> None:
        kind = type(event).__name__
        line = event.start_mark.line + 1
        if kind in {"ScalarEvent", "SequenceStartEvent", "MappingStartEvent"} and event.tag not in {None, "!"}:
            raise _Broken(
                line, f"quote this value: '!' at the beginning is a tag ({event.tag}), and a rule file has none"
            )
        if kind == "ScalarEvent":
            self._place(Node(line, event.value), event.anchor)
        elif kind in {"SequenceStartEvent", "MappingStartEvent"}:
            if len(self._open) >= MAX_DEPTH:
                raise _Broken(line, f"nested more than {MAX_DEPTH} deep")
            self._open.append(_Open([] if kind == "SequenceStartEvent" else {}, line, event.anchor))
        elif kind in {"SequenceEndEvent", "MappingEndEvent"}:
            done = self._open.pop()
            self._place(Node(done.line, done.value, done.size), done.anchor)
        elif kind == "AliasEvent":
            if event.anchor not in self._anchors:
                raise _Broken(line, f"'*{event.anchor}' refers to an anchor that does not exist, or quote this value")
            self._place(self._anchors[event.anchor]._replace(line=line), None)
        elif kind == "DocumentStartEvent" and self.root is not None:
            raise _Broken(line, "a second document ('---') begins; one file is one rule")

    def _place(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.size += node.size
        if parent.size > MAX_NODES:
            raise _Broken(node.line, f"more than {MAX_NODES} values, aliases counted by what they stand for")
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif parent.key is None:
            if not isinstance(node.value, str):
                raise _Broken(
                    node.line, "a key is a word, not a list or a map; quote a value that begins with '{' or '['"
                )
            parent.key, parent.key_line = node.value, node.line
        else:
            self._enter(parent, parent.key, node)
            parent.key = None

    def _enter(self, parent: _Open, key: str, node: Node) -> None:
        if key in parent.value:
            self.faults.append(
                Fault(parent.key_line, key, f"'{key}' appears twice, first on line {parent.value[key].line}")
            )
        else:
            parent.value[key] = node._replace(line=parent.key_line)


def _explained(error: Any) -> Fault:
    """A parser's complaint with its likely cause."""
    mark = getattr(error, "problem_mark", None)
    said = " ".join(str(getattr(error, "problem", None) or error).split())
    if _PARSERS_OWN_LIMIT in said:
        return Fault(mark.line + 1 if mark else 1, "", f"nested more than {MAX_DEPTH} deep")
    return Fault(mark.line + 1 if mark else 1, "", f"is no YAML: {said}; {_likely(said, _CAUSES)}")


def _likely(said: str, causes: Iterable[tuple[str, str]]) -> str:
    return next(
        (cause for sign, cause in causes if sign in said), "quote values with ': ', ' #', or a special first character"
    )
