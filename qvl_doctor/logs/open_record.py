"""A record that may still grow, and what it is when it is whole: its message, what was raised, and from where.

A traceback is one record. If it was cut before its end, the `raise` in its last frame often shows what was raised.
"""

from __future__ import annotations

import re

from qvl_doctor.late import late_pattern
from qvl_doctor.logs.prefixes import Piece
from qvl_doctor.logs.roles import role_of
from qvl_doctor.model import Frame, Line, Record

MAX_LINES = 400
_FIRST_KEPT = 200
MAX_MESSAGE = 16 * 1024
#: What is logged so is neither a traceback nor an exception.
_CALM = frozenset(("INFO", "DEBUG", "TRACE"))
HEADER = "Traceback (most recent call last):"
FRAME = late_pattern(
    r'\s*(?:\| *)*File "(?P<file>[^"]{1,1000})", ?line (?P<line>\d{1,9})(?:, in (?P<function>\S*))?\s*$'
)
RAISED = late_pattern(r"(?P<type>[A-Za-z_]\w*(?:\.\w+)*)(?P<colon>:(?=\s|$))?\s*(?P<message>.*)$", re.DOTALL)
#: An exception's line where no traceback proves it one.
BARE = late_pattern(
    r"(?:\w+\.)*\w*(?:Error|error|Exception|Errorr|Interrupt|Exit|Exceeded|OutOfResources|NotFound|Timeout)(?:: ?|$)"
)
#: Where a terminal broke a line and filled the row up.
_PADDING = late_pattern(r"(?<=\S) {6,60}(?=\S)")
DOTTED = late_pattern(r"(?:[a-z_]\w*\.){2,}[A-Z]\w*: ")
_PYDANTIC = late_pattern(
    r"\d+ validation errors? for (?P<model>\S+).*?Value error, (?P<message>.*?)(?: \[type=|$)", re.DOTALL
)
_RAISE = late_pattern(r"raise (?P<type>\w+(?:\.\w+)*)\((?P<said>.*)", re.DOTALL)
_STRING = late_pattern(r"""[rbf]?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")


class OpenRecord:
    """A record that may still grow."""

    __slots__ = ("blank", "chained", "glued", "head", "numbers", "raised", "texts", "traceback")

    def __init__(self, piece: Piece) -> None:
        self.head = piece
        self.numbers = [piece.number]
        self.texts = [piece.text]
        self.chained = self.blank = False
        self.glued = 0
        self.look()

    def add(self, piece: Piece) -> None:
        """One more line. Of a record that grows too long the first and the last lines stay.

        What was raised is at its end.
        """
        if len(self.texts) >= MAX_LINES:
            del self.numbers[_FIRST_KEPT], self.texts[_FIRST_KEPT]
            self.raised -= self.raised > _FIRST_KEPT
        self.numbers.append(piece.number)
        self.texts.append(piece.text)

    def glue(self, piece: Piece) -> None:
        """The rest of a line that a terminal has broken."""
        self.texts[-1] += piece.text
        self.glued += 1
        if len(self.texts) == 1:
            self.look()

    def look(self) -> None:
        """Says by its first line what this record is: a traceback, an exception without one, or neither."""
        text = self.texts[0]
        if self.head.level in _CALM:
            self.traceback, self.raised = False, -1
            return
        self.traceback = bool(FRAME.match(text)) or text.lstrip().startswith((HEADER, "+ Exception Group Traceback"))
        self.raised = 0 if not self.traceback and (BARE.match(text) or DOTTED.match(text)) else -1


def finished(open_record: OpenRecord) -> Record:
    """The record, as it is now that no line of it is to come."""
    head, texts = open_record.head, open_record.texts
    exception, said = "", texts
    cut = False
    frames = _frames(texts) if open_record.traceback else ()
    at = open_record.raised if open_record.raised >= 0 or not frames else _raised_late(texts)
    if at >= 0:
        said = texts[at:]
        raised = RAISED.match(said[0])
        if raised and (raised["colon"] or is_class(raised)):
            exception, said = raised["type"], [raised["message"], *said[1:]]
    elif open_record.traceback:
        exception, said = _about_to_raise(texts)
        cut = True
    message = " ".join(" ".join(said).split())[:MAX_MESSAGE]
    whole = "".join(said)
    unwrapped = " ".join(_PADDING.sub("", whole).split())[:MAX_MESSAGE] if len(said) > 1 or " " * 6 in whole else ""
    if "Value error, " in message and (inner := _PYDANTIC.search(message)):
        exception, message = "ValueError", inner["message"]
    name, _, _ = head.process.rpartition(" ")
    return Record(
        lines=tuple(Line(number, text.rstrip()) for number, text in zip(open_record.numbers, texts, strict=True)),
        message=message,
        unwrapped=unwrapped,
        level=head.level,
        process=head.process,
        role=role_of(name or head.process, head.file, frames),
        file=head.file,
        file_line=head.file_line,
        clock=head.clock,
        exception=exception,
        frames=frames,
        chained=open_record.chained,
        cut=cut,
        origin=head.origin,
    )


def _raised_late(texts: list[str]) -> int:
    """Where a traceback says what was raised, if its line was whole only later; -1 if nowhere."""
    last = max((index for index, text in enumerate(texts) if FRAME.match(text)), default=len(texts))
    for index in range(last + 1, len(texts)):
        raised = RAISED.match(texts[index])
        if raised and raised["colon"]:
            return index
    return -1


def _frames(texts: list[str]) -> tuple[Frame, ...]:
    found = (FRAME.match(text) for text in texts)
    return tuple(
        Frame(match["file"], int(match["line"]), (match["function"] or "").strip()) for match in found if match
    )


def _about_to_raise(texts: list[str]) -> tuple[str, list[str]]:
    """A traceback that was cut before its end often still shows the `raise` with the words of the exception."""
    last = max((index for index, text in enumerate(texts) if FRAME.match(text)), default=len(texts))
    source = " ".join(text.strip() for text in texts[last + 1 :])
    raised = _RAISE.search(source)
    if raised is None:
        return "", []
    return raised["type"], ["".join(_unquoted(string) for string in _STRING.findall(raised["said"]))]


def _unquoted(literal: str) -> str:
    import ast

    try:
        value = ast.literal_eval(literal)
    except (ValueError, SyntaxError):
        return literal[1:-1]
    return value if isinstance(value, str) else ""


def is_class(raised: re.Match[str]) -> bool:
    """Whether a name alone on its line is an exception without words, not the rest of a broken line."""
    return not raised["message"] and raised["type"].rpartition(".")[2][0].isupper()
