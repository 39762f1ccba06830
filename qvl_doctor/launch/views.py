"""Texts inside texts: a script in a quoted word, a block in YAML. Edits of the inner text become edits of the whole."""

from __future__ import annotations

import shlex
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol

from qvl_doctor.launch.command import Edit, Place, splice_text
from qvl_doctor.launch.shell.lexer import Word, place_of


class View(Protocol):
    """A text, and its place in the whole input."""

    @property
    def text(self) -> str:
        """The text as it is to be read."""

    @property
    def whole(self) -> str:
        """The input that it is part of."""

    def outer(self, edits: Sequence[Edit]) -> list[Edit]:
        """Edits of this text as edits of the whole."""

    def place(self, offset: int) -> Place:
        """The offset in the whole of an offset in this text."""


class WholeText:
    """The input itself."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.whole = text

    def outer(self, edits: Sequence[Edit]) -> list[Edit]:
        return list(edits)

    def place(self, offset: int) -> Place:
        return place_of(self.whole, offset)


class Inside:
    """A piece of a text that is written there as it is, in quotes that need an escape for what is inserted."""

    def __init__(self, parent: View, start: int, stop: int, escape: Callable[[str], str]) -> None:
        self.text = parent.text[start:stop]
        self.whole = parent.whole
        self._parent, self._start, self._escape = parent, start, escape

    def outer(self, edits: Sequence[Edit]) -> list[Edit]:
        moved = [Edit(edit.start + self._start, edit.stop + self._start, self._escape(edit.text)) for edit in edits]
        return self._parent.outer(moved)

    def place(self, offset: int) -> Place:
        return self._parent.place(offset + self._start)


class Encoded:
    """A text that is written differently from how it reads: any edit rewrites it."""

    def __init__(self, parent: View, start: int, stop: int, text: str, encode: Callable[[str], str]) -> None:
        self.text = text
        self.whole = parent.whole
        self._parent, self._start, self._stop, self._encode = parent, start, stop, encode

    def outer(self, edits: Sequence[Edit]) -> list[Edit]:
        if not edits:
            return []
        return self._parent.outer([Edit(self._start, self._stop, self._encode(splice_text(self.text, edits)))])

    def place(self, offset: int) -> Place:  # noqa: ARG002 — its own lines are not those of the input
        return self._parent.place(self._start)


class Lines:
    """An indented block. `starts` are the offsets in the parent where its lines begin, after their indentation.

    `text` may read the breaks between the lines as spaces; it is as long as the lines are.
    """

    def __init__(self, parent: View, starts: Sequence[int], lines: Sequence[str], text: str, indent: str) -> None:
        self.text = text
        self.whole = parent.whole
        self._parent, self._starts, self._indent = parent, starts, indent
        self._own = [0, *accumulate(len(line) + 1 for line in lines[:-1])]

    def _up(self, offset: int) -> int:
        line = bisect_right(self._own, offset) - 1
        return self._starts[line] + offset - self._own[line]

    def outer(self, edits: Sequence[Edit]) -> list[Edit]:
        return self._parent.outer([self._moved(edit) for edit in edits])

    def _moved(self, edit: Edit) -> Edit:
        start, stop = self._up(edit.start), self._up(edit.stop)
        # An empty line has no indentation; what replaces it needs some.
        missing = self._indent if start and self.whole[start - 1] == "\n" else ""
        return Edit(start, stop, missing + edit.text.replace("\n", "\n" + self._indent))

    def place(self, offset: int) -> Place:
        return self._parent.place(self._up(offset))


def in_word(parent: View, word: Word) -> View:
    """The text that a word of a shell command stands for."""
    raw = parent.text[word.start : word.stop]
    inner = raw[1:-1]
    if len(raw) > 1 and raw[0] == raw[-1] == "'" and "'" not in inner:
        return Inside(parent, word.start + 1, word.stop - 1, lambda text: text.replace("'", "'\\''"))
    if len(raw) > 1 and raw[0] == raw[-1] == '"' and '"' not in inner and not _escaped(inner):
        return Inside(parent, word.start + 1, word.stop - 1, _double_quoted)
    return Encoded(parent, word.start, word.stop, word.text, shlex.quote)


def _escaped(inner: str) -> bool:
    """Whether double quotes change the text: a backslash before anything but the end of a line."""
    return any(char in inner for char in ('\\"', "\\\\", "\\$", "\\`"))


def _double_quoted(text: str) -> str:
    for char in ('"', "$", "`"):
        text = text.replace(char, "\\" + char)
    return text
