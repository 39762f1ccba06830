"""Lines that a terminal broke at its edge are put together again, before anyone looks for prefixes in them.

A terminal shows itself by its width: different lines have exactly the same width, and none is wider.
"""

from __future__ import annotations

from qvl_doctor.late import late_pattern
from qvl_doctor.logs.source import MAX_LINE, RawLine

#: Terminals from which people paste have this many columns.
_NARROWEST, _WIDEST = 60, 400
_ENOUGH = 2
#: What begins a line of its own even after a line that happens to be as wide as the widest: prefixes, and the lines of
#: a traceback.
_PREFIX = late_pattern(
    r"\[?\d{4}-\d\d-\d\d[T ]|\(\w[\w ]* pid=\d|\[rank\d|\[pod/|(?:INFO|WARNING|ERROR|DEBUG|CRITICAL)[ :]|[\w.@-]+ +\| "
    r'|[^\W\d_]{3}\.? +\d+ \d\d:|Loading |Capturing |[{"`]|> |terminate called |Fatal Python error: '
    r"|[a-z0-9][a-z0-9.-]{0,200}-(?:[a-z0-9]{5}|\d{1,4}) [a-z0-9-]{1,63} (?:INFO|WARN|ERROR|  |\(|\[)"  # stern
)
_TRACEBACK = late_pattern(r'Traceback \(most|\s*File "|\s*[\^~]+\s*$|(?:During handling of|The above exception)|\s*$')
_FRAME = late_pattern(r'File "[^"]+", line \d+, in [\w<>]+$')


class TerminalWraps:
    """Blocks of lines in, the same lines with broken ones joined out.

    A joined line has the number of its first part.
    """

    def __init__(self) -> None:
        self._widest = 0
        self._full: set[str] = set()
        self._held: RawLine | None = None

    def join(self, block: list[RawLine]) -> list[RawLine]:
        widths = [_cells(line.text) for line in block]
        widest = max(widths, default=0)
        if widest > self._widest:
            self._widest, self._full = widest, set()
        if not _NARROWEST <= self._widest <= _WIDEST:
            return self.flush() + block
        # The same line twice is not a sign: a traceback is often printed three times.
        if len(self._full) < _ENOUGH:
            self._full.update(line.text for line, width in zip(block, widths, strict=True) if width == self._widest)
        if len(self._full) < _ENOUGH:
            return self.flush() + block
        done: list[RawLine] = []
        for line, width in zip(block, widths, strict=True):
            held = self._held
            if held is not None and _goes_on(held.text, line.text):
                line = held._replace(text=held.text + line.text, soft=line.soft)  # noqa: PLW2901 — the joined line takes its place
            elif held is not None:
                done.append(held)
            self._held = line if width == self._widest else None
            if self._held is None:
                done.append(line)
        return done

    def flush(self) -> list[RawLine]:
        """The line that was held back because the next one might belong to it."""
        held, self._held = self._held, None
        return [held] if held is not None else []


def _goes_on(held: str, text: str) -> bool:
    """Whether a full line goes on in the next one."""
    if _PREFIX.match(text) or len(held) > MAX_LINE:
        return False
    if held.endswith(" ") and held.rstrip().endswith(("]", ")", "|")):
        return True  # broken between its prefixes and what it says
    if _FRAME.search(held) and text.startswith("    "):
        return False
    return not _TRACEBACK.match(text)


def _cells(text: str) -> int:
    """The columns that a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
