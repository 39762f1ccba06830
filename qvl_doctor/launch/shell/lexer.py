"""Shell text as words with their places; it is never run.

People paste commands out of terminals, blogs and YAML: line continuations get lost, comments follow backslashes,
prompts come along. What a shell would misunderstand is read as it was meant, and noted as a `Repair`. Expansions
(`$MODEL`, `$(nproc)`) stay as they are.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from qvl_doctor.late import late_pattern
from qvl_doctor.launch.command import MAX_SIZE, LaunchError, Place

#: What word processors and chat programs make of one or two hyphens.
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_FLAG_START = rf"(?:-|[{DASHES}]){{1,2}}[A-Za-z]"
_BLANK = " \t\r"
_OPERATORS = ";&|()<>"
_PLAIN = late_pattern(rf"[^\s\\'\"`${re.escape(_OPERATORS)}]+")
_DOUBLE = late_pattern(r'[^"\\`$]+|\$')
_CONTINUED = late_pattern(r"\\(?P<blank>[ \t]*)(?P<comment>(?<=[ \t])#[^\r\n]*)?(?:\r?\n|\Z)")
_NEWLINE_LOST = late_pattern(r"\\[ \t]+")
#: After the end of a line: the next line that is neither empty nor a comment begins with a flag.
_FLAG_FOLLOWS = late_pattern(rf"(?:[ \t\r]*(?:#[^\n]*)?\n)*(?=[ \t]*{_FLAG_START})")
_COMMENT = late_pattern(r"#[^\r\n]*")
_FENCE = late_pattern(r"^[ \t]*(?:```|~~~)[^\n]*$", re.MULTILINE)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}


class Word(NamedTuple):
    """A word as the program gets it, and the piece of text that it is written as."""

    text: str
    start: int
    stop: int


class Repair(NamedTuple):
    """A piece of text that a shell would misunderstand, and what to write there. `note`: a comment in its way."""

    kind: str
    start: int
    stop: int
    put: str
    note: str = ""


class Part(NamedTuple):
    """One simple command: its words and repairs."""

    words: tuple[Word, ...]
    repairs: tuple[Repair, ...] = ()


def place_of(text: str, offset: int) -> Place:
    """Line and column of an offset."""
    return Place(text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1)


def offset_of(text: str, place: Place) -> int:
    """The offset of a line and column."""
    lines = text.split("\n")[: max(place.line - 1, 0)]
    return min(sum(len(line) + 1 for line in lines) + max(place.column - 1, 0), len(text))


def checked_text(text: str) -> str:
    """The text, if it may be read at all. Raises LaunchError."""
    if len(text) > MAX_SIZE:
        raise LaunchError("too-large", detail=str(len(text)))
    nul = text.find("\0")
    if nul >= 0:
        raise LaunchError("nul-byte", place_of(text, nul))
    return text


def parts(text: str) -> list[Part]:
    """The simple commands of a shell text, in linear time. Raises LaunchError if a quote is never closed."""
    # The fences of a Markdown block would be command substitutions.
    return _Lexer(_FENCE.sub(lambda fence: " " * len(fence.group()), checked_text(text))).run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: list[Part] = []
        self.words: list[Word] = []
        self.repairs: list[Repair] = []
        self.skip_word = False  # after a redirection
        self.line_start = 0  # of the line that is read, if a backslash joined it to the one before
        self.notes: list[tuple[int, str]] = []

    def run(self) -> list[Part]:
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in _BLANK:
                self.at += 1
            elif char == "\n":
                self._newline()
            elif char == "#":
                self._comment()
            elif char in _OPERATORS:
                self._operator(char)
            elif char != "\\" or not self._continued():
                self._word()
        self._close()
        return self.found

    def _close(self) -> None:
        if self.words:
            self.found.append(Part(tuple(self.words), tuple(self.repairs)))
        self.words, self.repairs, self.notes = [], [], []
        self.skip_word = False
        self.line_start = 0

    def _comment(self) -> None:
        comment = _COMMENT.match(self.text, self.at)
        if comment:
            self.notes.append((self.at, comment.group()))
            self.at = comment.end()

    def _newline(self) -> None:
        """Ends the command, unless what follows can only be its next flag."""
        follows = _FLAG_FOLLOWS.match(self.text, self.at + 1) if self.words else None
        if follows is None:
            self._close()
            self.at += 1
            return
        between = self.text[self.at : follows.end()]
        notes = [note for _, note in self.notes] + [found.group() for found in _COMMENT.finditer(between)]
        if self.line_start and not self.text[self.line_start : self.notes[0][0] if self.notes else self.at].strip():
            # A line after a backslash that is empty or only a comment.
            self._repair("comment-between" if self.notes else "line-between", self.line_start, follows.end(), "", notes)
        else:
            start = self.notes[0][0] if self.notes else self.at
            while self.text[start - 1] in _BLANK:
                start -= 1
            kind = "comment-at-end" if self.notes else "backslash-lost"
            self._repair(kind, start, follows.end(), " \\\n", notes)
        self.at = self.line_start = follows.end()
        self.notes = []

    def _repair(self, kind: str, start: int, stop: int, put: str, notes: list[str]) -> None:
        self.repairs.append(Repair(kind, start, stop, put, "\n".join(notes)))

    def _continued(self) -> bool:
        """A backslash at the beginning of a word that joins lines, or was meant to."""
        found = _CONTINUED.match(self.text, self.at)
        if found:
            last = found.end() >= len(self.text)
            if found["comment"]:
                end = found.start("comment") + len(found["comment"])
                self._repair("comment-after-backslash", self.at, end, "" if last else "\\", [found["comment"]])
            elif found["blank"] and not last:
                self._repair("blank-after-backslash", self.at + 1, found.end("blank"), "", [])
            self.at = self.line_start = found.end()
            return True
        lost = _NEWLINE_LOST.match(self.text, self.at)
        if lost:
            self._repair("newline-lost", self.at, lost.end(), "", [])
            self.at = lost.end()
        return bool(lost)

    def _operator(self, char: str) -> None:
        if char in "<>" or self.text.startswith("&>", self.at):
            self._redirection()
            return
        operator = char * 2 if char in "&|;" and self.text.startswith(char * 2, self.at) else char
        self._close()
        self.at += len(operator)

    def _redirection(self) -> None:
        """`> file`, `2>&1`: neither the number in front nor the file is an argument."""
        if self.words and self.words[-1].stop == self.at and self.words[-1].text.isdigit():
            self.words.pop()
        while self.at < len(self.text) and self.text[self.at] in "<>&|":
            self.at += 1
        self.skip_word = True

    def _word(self) -> None:
        start = self.at
        pieces: list[str] = []
        while self.at < len(self.text) and (piece := self._piece()) is not None:
            pieces.append(piece)
        if (
            self.at == start
        ):  # a single carriage return and the like: neither a space for the shell nor part of a plain word
            pieces.append(self.text[start])
            self.at += 1
        if not self.skip_word:
            self.words.append(Word("".join(pieces), start, self.at))
        self.skip_word = False

    def _piece(self) -> str | None:
        """One piece of a word: plain text, quoted text, an escape or an expansion. None at the end of the word."""
        char = self.text[self.at]
        if char == "\\":
            return self._escape()
        if char == "'":
            return self._single()
        if char == '"':
            return self._double()
        if char in {"$", "`"}:
            return self._expansion()
        plain = _PLAIN.match(self.text, self.at)
        if plain is None:
            return None
        self.at = plain.end()
        return plain.group()

    def _escape(self) -> str:
        joined = re.match(r"\\\r?\n", self.text[self.at : self.at + 3])
        if joined:
            self.at += joined.end()
            self.line_start = self.at
            return ""
        escaped = self.text[self.at + 1 : self.at + 2]
        self.at += 1 + len(escaped)
        return escaped

    def _single(self) -> str:
        end = self._closing("'", self.at + 1)
        found = self.text[self.at + 1 : end]
        self.at = end + 1
        return found

    def _double(self) -> str:
        start = self.at
        self.at += 1
        pieces = []
        while self.at < len(self.text) and self.text[self.at] != '"':
            char = self.text[self.at]
            if char == "\\":
                escaped = self.text[self.at + 1 : self.at + 2]
                pieces.append("" if escaped == "\n" else escaped if escaped in '$`"\\' else char + escaped)
                self.at += 2
            elif char in "$`" and not self.text.startswith("$'", self.at):
                pieces.append(self._expansion())
            else:
                plain = _DOUBLE.match(self.text, self.at)
                self.at = plain.end() if plain else self.at + 1
                pieces.append(plain.group() if plain else "")
        if self.at >= len(self.text):
            raise LaunchError("unclosed-quote", place_of(self.text, start), self.text[start:])
        self.at += 1
        return "".join(pieces)

    def _expansion(self) -> str:
        """`$NAME`, `${NAME:-x}`, `$(command)`, `` `command` `` and `$'text'`; all but the last stay as they are."""
        start, text = self.at, self.text
        opened = text[start : start + 2]
        if opened == "$'":
            return self._ansi()
        if text[start] == "`":
            self.at = self._closing("`", start + 1) + 1
        elif opened == "${":
            self.at = self._closing("}", start + 2) + 1
        elif opened == "$(":
            self.at = self._balanced(start + 1)
        else:
            self.at += 1
        return text[start : self.at]

    def _ansi(self) -> str:
        found = re.compile(r"\$'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL).match(self.text, self.at)
        if not found:
            raise LaunchError("unclosed-quote", place_of(self.text, self.at), self.text[self.at :])
        self.at = found.end()
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), found[1], flags=re.DOTALL)

    def _closing(self, char: str, start: int) -> int:
        end = self.text.find(char, start)
        if end < 0:
            raise LaunchError("unclosed-quote", place_of(self.text, self.at), self.text[self.at :])
        return end

    def _balanced(self, start: int) -> int:
        """The offset after the bracket that closes the one at `start`."""
        depth = 0
        for found in re.compile(r"[()]").finditer(self.text, start):
            depth += 1 if found.group() == "(" else -1
            if not depth:
                return found.end()
        raise LaunchError("unclosed-quote", place_of(self.text, self.at), self.text[self.at :])
