"""The layout of a log that was pasted.

Lost line ends, padding, unknown prefixes, lists and indentation, the newest line first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from qvl_doctor.logs.paste.starts import CHAIN, FRAME, LEVEL, NAME, PROCESS, START, TRACEBACK, Undo, compiled, each
from qvl_doctor.logs.source import RawLine

_FEWEST = 2
_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: What may be after a prefix, and with what a line without an unknown one begins.
_ANCHORS = ("Traceback (most", 'File "', "INFO ", "WARNING ", "ERROR ", " pid=")
_PLAIN = ("Traceback (most", "  File ", "    ", "INFO ", "WARNING ", "ERROR ", "(")
_GAP = r"(?<=\S) {6,60}(?=\w)"
_NARROWEST, _WIDEST = 60, 400
_JOIN = rf"[ \t]+(?=(?:{PROCESS} )*{LEVEL}|{PROCESS}|{TRACEBACK}|{CHAIN})"
_JOINED = 100
_PREFIXED = rf"{PROCESS}$|{LEVEL}(?: \[?[\w./-]+:\d+\])?$|:\d+\]$"
_HEAD = rf"(?:{PROCESS} )*(?:{LEVEL} (?:\[?[\w./-]+:\d+\] ?)?)?"
_EDGE = rf"{LEVEL}|{PROCESS}|{TRACEBACK}|{NAME}: "
_INDENTED = rf"(?:[ \t]|[-*+•] )+(?:{_EDGE})"
_EDGES = ("INFO ", "WARNING ", "ERROR ", "Traceback (", "(")
_BULLETS = frozenset(("- ", "* ", "+ ", "• "))
_BLANK = frozenset(" \t")
_COLLECTED = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]*"


def padding(text: str) -> Undo | None:
    """Rows of a terminal that padded what it wrapped, on one line: `the conf                iguration file`."""
    width = _columns(text.split("\n")) if "      " in text else 0
    return (lambda lines: _unpadded(lines, width)) if width else None


def _columns(lines: Iterable[str]) -> int:
    """Where the terminal broke lines: the same column at least twice. 0 if there is no such column."""
    ends = Counter(end for line in lines if "      " in line and _is_padded(line) for end in _segments(line)[:-1])
    width, count = max(ends.items(), key=lambda end: (end[1], end[0]), default=(0, 0))
    return width if count >= _FEWEST and _NARROWEST <= width <= _WIDEST else 0


def _is_padded(line: str) -> bool:
    """Whether there are words before the first gap, not only the prefixes of an indented line."""
    from qvl_doctor.logs.prefixes import peel

    segments = _segments(line)
    return len(segments) > 1 and bool(peel(0, line[: segments[0]]).text.strip())


def _segments(line: str) -> list[int]:
    return [len(part) for part in compiled(_GAP).split(line)]


def _unpadded(lines: list[RawLine], width: int) -> list[RawLine]:
    """The lines without the padding; where a row ended between two words, the gap is one wider."""
    padded = [line.text for line in lines if len(line.text) > width and "      " in line.text]
    gaps = [len(gap[0]) for line in padded if width in _segments(line)[:-1] for gap in compiled(_GAP).finditer(line)]
    pad = min(gaps, default=0)

    def joined(text: str) -> str:
        if len(text) <= width or "      " not in text or not {width, width - 1} & set(_segments(text)[:1]):
            return text
        return compiled(_GAP).sub(lambda gap: "" if len(gap[0]) == pad else " ", text)

    return [line._replace(text=joined(line.text)) for line in lines]


def spaces(text: str) -> Undo | None:
    """Several spaces where vLLM and Python write one."""
    shown = any(sign in text for sign in ("Traceback  ", 'File  "', "INFO  ", "ERROR  ", "WARNING  "))
    return each(_single_spaced) if shown else None


def _single_spaced(line: str) -> str:
    return compiled(r"(?<=\S)[ \t]{2,}(?=\S)").sub(" ", line) if "  " in line else line


def prefixes(text: str) -> Undo | None:
    """A prefix that no reader knows, and that most lines share which show where the log's own text begins."""
    strange = [
        line
        for line in text[:20000].split("\n")[:80]
        if not line.startswith(_PLAIN) and any(anchor in line for anchor in _ANCHORS)
    ]
    shape = _commonest(strange) if len(strange) >= _FEWEST else None
    if shape is None:
        return None
    prefix = re.compile(rf"{shape}|{shape.rstrip(' ').rstrip(chr(92))}\s*$")
    return lambda lines: [line._replace(text=prefix.sub("", line.text, count=1)) for line in lines]


def _commonest(lines: list[str]) -> str | None:
    shapes = Counter(shape for line in lines if (shape := _shape(line)) is not None)
    for shape, count in shapes.most_common(1):
        if shape and count >= _FEWEST and 2 * count > sum(shapes.values()):
            return rf"^{shape}"
    return None


def _shape(line: str) -> str | None:
    """A pattern of what is before the log's own text; "" for what is known, None if nothing shows where that begins."""
    found = compiled(START).search(line, 0, 400)
    if found is None:
        return None
    from qvl_doctor.logs.prefixes import without_outer

    before = line[: found.start()]
    if found[0].startswith("File"):
        before = before.removesuffix("  ")
    if not before.strip() or before.startswith("{") or without_outer(line) != line:
        return ""
    return compiled(r"\d+").sub(r"\\d+", re.escape(before))


def joins(text: str) -> Undo | None:
    """Lines that were joined by spaces."""
    return each(_split) if any(map(_is_joined, text.split("\n"))) else None


def _is_joined(line: str) -> bool:
    if len(line) <= _JOINED:
        return False
    frames = line.count('File "')
    if frames > 1 or (frames and compiled(rf"{FRAME}.* {NAME}: ").search(line)):
        return True
    calls = line.count("INFO ") + line.count("ERROR ") + line.count("WARNING ")
    if calls > 1 and len(compiled(LEVEL).findall(line)) > 1:
        return True
    return " another exception occurred: Traceback" in line or " of the following exception: Traceback" in line


def _split(line: str) -> str:
    """A line for each log call, frame and exception."""
    if not _is_joined(line):
        return line
    return "\n".join(part for call in compiled(_JOIN).sub(_broken, line).split("\n") for part in _frames(call))


def _broken(gap: re.Match[str]) -> str:
    """A line end, but not between the prefixes of one line."""
    before = gap.string[max(0, gap.start() - 80) : gap.start()]
    return gap[0] if compiled(_PREFIXED).search(before) else "\n"


def _frames(line: str) -> Iterator[str]:
    head = compiled(_HEAD).match(line)
    start = head[0] if head else ""
    said = line[len(start) :]
    if compiled(FRAME).search(said):
        said = compiled(rf"[ \t]*({FRAME}(?:, in [\w<>.]+)?)[ \t]*").sub(r"\n  \1\n    ", said)
        said = compiled(rf"[ \t]+(?={NAME}: )").sub("\n", said)
    elif said.startswith("Traceback"):
        said = compiled(rf"^{TRACEBACK}[ \t]+").sub(lambda begun: begun[0].rstrip() + "\n    ", said)
    for part in said.split("\n"):
        if part.strip():
            yield start + part.rstrip()


def indents(text: str) -> Undo | None:
    """Blocks that are indented as a whole, and items of a list."""
    shown = any(
        compiled(_INDENTED).match(line)
        for line in text.split("\n")
        if (line[:1] in _BLANK or line[:2] in _BULLETS)
        and ("Error: " in line or "Exception: " in line or line.lstrip(" \t-*+•").startswith(_EDGES))
    )
    return _dedented if shown else None


def _dedented(lines: list[RawLine]) -> list[RawLine]:
    done: list[RawLine] = []
    block: list[RawLine] = []
    for line in lines:
        if line.text[:2] in _BULLETS and compiled(_EDGE).match(line.text, 2):
            line = line._replace(text=line.text[2:])  # noqa: PLW2901 — one item of a list, alone
        if line.text[:1] in {" ", "\t", ""}:
            block.append(line)
        else:
            done += [*_moved(block, done), line]
            block = []
    return done + _moved(block, done)


def _moved(block: list[RawLine], before: list[RawLine]) -> list[RawLine]:
    """A block at the left edge, if it begins a log call, a traceback or an exception there and continues none."""
    edges = [len(line.text) - len(line.text.lstrip()) for line in block if line.text.strip()]
    edge = min(edges, default=0)
    starts = compiled(_EDGE)
    if edge < 2 or not any(starts.match(line.text, edge) for line in block):
        return block
    if block[0].text.strip() and before and compiled(START).search(before[-1].text, 0, 300):
        return block
    return [line._replace(text=line.text[edge:]) for line in block]


def reversal(text: str) -> Undo | None:
    """The newest line first."""
    return (lambda lines: lines[::-1]) if _is_reversed([line for line in text.split("\n") if line.strip()]) else None


def _is_reversed(lines: list[str]) -> bool:
    clocks: tuple[Callable[[str], str], ...] = (_when_collected, _when_logged)
    for clock in clocks:
        first = next(filter(None, map(clock, lines[:50])), "")
        last = next(filter(None, map(clock, lines[:-50:-1])), "")
        if first != last:
            return first > last and (_runs_back([*filter(None, map(clock, lines))]) or _traced_back(lines))
    return _traced_back(lines)


def _when_collected(line: str) -> str:
    found = compiled(_COLLECTED).search(line, 0, 2000) if "-" in line[4:6] or line[:1] == "{" else None
    return found[0] if found else ""


def _when_logged(line: str) -> str:
    found = compiled(LEVEL).search(line, 0, 400)
    return found[0].lstrip(_CAPITALS) if found else ""


def _runs_back(clocks: list[str]) -> bool:
    """Whether the clock runs backwards: not just at New Year, or between two startups."""
    steps = [(later > earlier) - (later < earlier) for earlier, later in pairwise(clocks)]
    return steps.count(-1) >= _FEWEST and steps.count(-1) > 3 * steps.count(1)


def _traced_back(lines: list[str]) -> bool:
    """Whether tracebacks are upside down.

    A frame is above the header, and its source between it and what was raised.
    """
    votes = 0
    for place, line in enumerate(lines):
        before, after = lines[place - 1 : place] or [""], lines[place + 1 : place + 4]
        if "Traceback (most" in line:
            votes += ('File "' in before[0]) - ('File "' in "".join(after[:1]))
        elif "Error: " in line and compiled(rf"(?:^|[\])] ){NAME}: ").search(line, 0, 200):
            votes += (_is_source(after[:1]) and 'File "' in "".join(after[1:])) - _is_source(before)
    return votes > 0


def _is_source(lines: list[str]) -> bool:
    from qvl_doctor.logs.prefixes import peel

    return bool(lines) and peel(0, lines[0]).text.startswith("    ")
