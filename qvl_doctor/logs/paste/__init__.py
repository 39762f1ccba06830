"""What a log went through before it was pasted is undone.

Web pages, chat messages, JSON strings, lists, lost line ends.

Each step looks for signs of one transformation in the beginning of an input and returns what undoes it, or None. The
steps are taken in one order: what came last is undone first. A text without signs passes as it is, so that a long log
pays nothing. What a server logged of its users is left alone where its words would change.
"""

from __future__ import annotations

from collections.abc import Callable

from qvl_doctor.logs.paste.layout import indents, joins, padding, prefixes, reversal, spaces
from qvl_doctor.logs.paste.marks import entities, fences, marks, quotes, tags
from qvl_doctor.logs.paste.starts import Undo, sparing
from qvl_doctor.logs.paste.strings import cells, escapes, percents
from qvl_doctor.logs.source import HEAD, RawLine

#: So much of a text shows what it went through.
_SHOWN = 64 * 1024

Step = Callable[[str], "Undo | None"]

#: Steps that change words, and those that change the layout. `reversal` needs the whole text.
STEPS: tuple[Step, ...] = (
    *(tags, entities, quotes, percents, cells, escapes),
    *(fences, padding, spaces, prefixes, joins, marks, indents),
)
_SPARING = frozenset((tags, entities, quotes, percents, cells, escapes, joins, marks))


class Paste:
    """Lines in, lines out as the server wrote them.

    With `live`, nothing is held back: what came so far shows the steps.

    The lines keep the numbers that they have in the input, unless line ends were lost or the newest line came first:
    then they are counted as they come out, because a later line must have a greater number.
    """

    def __init__(self, *, live: bool = False) -> None:
        self._live = live
        self._held: list[RawLine] = []
        self._size = 0
        self._steps: list[Undo] | None = None
        self._ahead = 0
        self._due = 0
        self._so_far: list[Undo] = []

    def feed(self, block: list[RawLine]) -> list[RawLine]:
        """The lines that are ready."""
        if self._steps is not None:
            return self._counted(_after(self._steps, block), len(block)) if self._steps or self._ahead else block
        self._held += block
        self._size += sum([len(line.text) + 1 for line in block])
        if self._live:
            return self._passed(block)
        return self._release(whole=False) if self._size > HEAD else []

    def flush(self) -> list[RawLine]:
        """What was held back: the whole text, if it is short."""
        return self._release(whole=True) if self._held and not self._live else []

    def _release(self, *, whole: bool) -> list[RawLine]:
        held, self._held = self._held, []
        lines, self._steps = undone(held)
        last = reversal(_text(lines)) if whole else None
        lines = last(lines) if last else lines
        return self._counted(lines, len(held), reordered=last is not None)

    def _passed(self, block: list[RawLine]) -> list[RawLine]:
        """The block after the steps that the text so far shows a need for.

        Each time it has doubled they are looked for again.
        """
        if self._size >= self._due:
            self._due = 2 * self._size
            self._so_far = undone(self._held)[1]
        if self._size > _SHOWN:
            self._steps, self._held = self._so_far, []
        return self._counted(_after(self._so_far, block), len(block))

    def _counted(self, lines: list[RawLine], count: int, *, reordered: bool = False) -> list[RawLine]:
        """The lines with numbers that grow. `count` is how many there were in the input."""
        if not (self._ahead or reordered) and len(lines) == count:
            return lines
        first = min((line.number for line in lines), default=0) + self._ahead
        self._ahead += len(lines) - count
        return [line._replace(number=first + place) for place, line in enumerate(lines)]


def undone(lines: list[RawLine]) -> tuple[list[RawLine], list[Undo]]:
    """The lines after all steps that they show a need for, and these steps."""
    text = _text(lines)[:_SHOWN]
    taken: list[Undo] = []
    for step in STEPS:
        undo = step(text)
        if undo is not None:
            undo = sparing(undo) if step in _SPARING else undo
            taken.append(undo)
            lines = undo(lines)
            text = _text(lines)[:_SHOWN]
    return lines, taken


def _text(lines: list[RawLine]) -> str:
    return "\n".join([line.text for line in lines])


def _after(steps: list[Undo], lines: list[RawLine]) -> list[RawLine]:
    for step in steps:
        lines = step(lines)
    return lines
