"""A page for a terminal, built line by line. It knows the width and what the encoding can show.

Text of a log reaches it as plain text only: nothing is ever read as markup, controls are shown as escapes, and every
line is wrapped or cut here, so that rich has nothing left to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from qvl_doctor.report.typeset import clean, cut, window, wrap

MAX_WIDTH = 100
MIN_WIDTH = 24
NARROW = 60


class Glyphs(NamedTuple):
    """The signs of a page. `parts` are those of the memory bar, in the order of picture.NAMES.

    They differ without color.
    """

    ellipsis: str = "…"
    gutter: str = "│"
    arrow: str = "→"
    dot: str = "·"
    bar: str = "━"
    verdicts: str = "✗!✓?"
    parts: str = "█▓▌▒░·▓·"


ASCII = Glyphs("...", "|", "->", "-", "=", "x!+?", "#%=+-.%.")


class Page:
    """Lines of styled text. Every method that adds takes plain text and makes it harmless."""

    def __init__(self, width: int, encoding: str) -> None:
        self.width = max(MIN_WIDTH, min(width, MAX_WIDTH))
        self.encoding = encoding
        self.glyphs = Glyphs() if encoding.lower().replace("-", "").startswith("utf") else ASCII
        self.lines: list[Text] = []

    @property
    def narrow(self) -> bool:
        return self.width < NARROW

    @property
    def text(self) -> Text:
        """The whole page. Lines are final.

        Print it with soft_wrap, so that what is too long to break stays in one piece.
        """
        return Text("\n").join(self.lines)

    def can_show(self, text: str) -> bool:
        """Whether the encoding has the characters."""
        try:
            text.encode(self.encoding)
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def clean(self, text: str) -> str:
        """The text on one line, harmless, in characters that the encoding has."""
        return clean(text, self.encoding)

    def cut(self, text: str, width: int) -> str:
        """The text on one line of at most `width` cells, without its middle if need be."""
        return cut(self.clean(text), width, self.glyphs.ellipsis)

    def add(self, *parts: tuple[str, str]) -> None:
        """One line of (text, style) parts, as long as it is."""
        line = Text()
        for text, style in parts:
            line.append(self.clean(text), style)
        line.rstrip()
        self.lines.append(line)

    def gap(self) -> None:
        """A blank line between two blocks."""
        if self.lines and self.lines[-1].plain:
            self.lines.append(Text())

    def heading(self, text: str, note: str = "") -> None:
        """The begin of a block; the note is next to it, or below where the page is narrow."""
        self.gap()
        if note and cell_len(self.clean(text)) + 2 + cell_len(self.clean(note)) <= self.width:
            self.add((text, "bold"), (f"  {note}", "dim"))
            return
        self.add((text, "bold"))
        if note:
            self.paragraph(note, style="dim")

    def paragraph(self, text: str, indent: int = 2, style: str = "") -> None:
        """Wrapped text; a line break in it stays one."""
        for part in text[:20_000].split("\n"):
            for line in wrap(self.clean(part), self.width - indent):
                self.add((" " * indent + line, style))

    def item(self, label: str, text: str, indent: int = 2, style: str = "", label_style: str = "") -> None:
        """Wrapped text that hangs to the right of its label."""
        label = self.clean(label)
        hang = indent + cell_len(label) + 1
        first, *rest = wrap(self.clean(text), self.width - hang)
        self.add((" " * indent + label + " ", label_style or style), (first, style))
        for line in rest:
            self.add((" " * hang + line, style))

    def rows(self, rows: Sequence[tuple[str, str]], indent: int = 2) -> None:
        """Labels and values in two columns.

        Sentences wrap; paths and names, which have no spaces, lose their middle.
        """
        column = max((cell_len(self.clean(label)) for label, _ in rows), default=0) + 2
        room = self.width - indent - column
        for label, value in rows:
            first, *rest = wrap(self.clean(value), room) if " " in value else [self.cut(value, room)]
            self.add((" " * indent, ""), (self.pad(label, column), "dim"), (first, ""))
            for line in rest:
                self.add((" " * (indent + column) + line, ""))

    def pad(self, text: str, width: int, *, right: bool = False) -> str:
        """The text in a column of `width` cells."""
        text = self.clean(text)
        blanks = " " * max(0, width - cell_len(text))
        return blanks + text if right else text + blanks

    def shell(self, words: Sequence[str], indent: int, style: str) -> None:
        """A shell command, continued with a backslash where it gets too long: what is pasted still runs.

        No word is broken.
        """
        lines, line = [], ""
        for word in map(self.clean, words):
            if line and cell_len(line) + 1 + cell_len(word) > self.width - indent - 2:
                lines.append(line + " \\")
                line = "  " + word
            else:
                line = f"{line} {word}" if line else word
        for text in (*lines, line):
            self.add((" " * indent, ""), (text, style))

    def lines_of(self, text: str, width: int, most: int) -> list[str]:
        """The text in lines of `width`, at most so many: an ellipsis ends the last one if that is not all."""
        lines = wrap(text, width)
        if len(lines) <= most:
            return lines
        return [*lines[: most - 1], window(" ".join(lines[most - 1 :]), width, (0, 0), self.glyphs.ellipsis)]

    def flow(self, items: Sequence[str], indent: int = 2, gap: str = "   ", style: str = "") -> None:
        """Short items one after the other, none of them broken, on as many lines as they need."""
        for line in self._flowing([self.cut(item, self.width - indent) for item in items], indent, gap):
            self.add((" " * indent + gap.join(line), style))

    def legend(self, items: Sequence[tuple[str, str, str]], indent: int = 2) -> None:
        """(sign, its style, text) one after the other, as in `flow`."""
        rest = list(items)
        for line in self._flowing([sign + text for sign, _, text in items], indent, "   "):
            here, rest = rest[: len(line)], rest[len(line) :]
            parts = [part for sign, style, text in here for part in ((sign, style), (text, ""), ("   ", ""))]
            self.add((" " * indent, ""), *parts)

    def _flowing(self, items: Sequence[str], indent: int, gap: str) -> list[list[str]]:
        lines: list[list[str]] = []
        for item in items:
            if lines and cell_len(gap.join([*lines[-1], item])) <= self.width - indent:
                lines[-1].append(item)
            else:
                lines.append([item])
        return lines
