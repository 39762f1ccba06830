"""How the lines of a log begin, whoever wrote them down, and how a step leaves alone what users wrote."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from qvl_doctor.logs.source import RawLine, clean
from qvl_doctor.logs.user_text import begins_user_text

#: Lines in, lines out.
Undo = Callable[[list[RawLine]], list[RawLine]]

NAME = (
    r"(?:[A-Za-z_]\w*\.)*(?:[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Exceeded|OutOfResources|NotFound|Timeout)|Error)"
)
LEVEL = r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)[ ]{1,8}\d\d-\d\d[ ]{1,8}\d\d:\d\d:\d\d"
PROCESS = r"\([A-Z][\w.-]{0,60}(?: [\w=.-]{1,40}){0,3} pid=\d+(?:, ?ip=[\w.:]+)?\)"
TRACEBACK = r"Traceback \(most recent call last\):"
FRAME = r'File "[^"\n]{1,1000}", line \d{1,9}'
CHAIN = r"During handling of the above exception|The above exception was the direct cause"
START = rf"(?:{LEVEL}|{PROCESS}|{TRACEBACK}|{FRAME}|{CHAIN})"
#: A log call that reports nothing wrong.
CALM = rf"(?:{PROCESS} )*(?:DEBUG|INFO) "


@lru_cache(maxsize=64)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern; compiled when a text first shows a need for it, because most never do."""
    return re.compile(pattern)


def each(change: Callable[[str], str]) -> Undo:
    """A step that changes the text of each line, and may make several lines of it.

    Nothing in them can style a terminal.
    """

    def undo(lines: list[RawLine]) -> list[RawLine]:
        done: list[RawLine] = []
        for line in lines:
            said = change(line.text)
            done += [line] if said == line.text else [line._replace(text=clean(part)) for part in said.split("\n")]
        return done

    return undo


def several(text: str) -> bool:
    """Whether a line holds several log calls, with nothing that a user wrote before the second one."""
    starts = compiled(LEVEL).finditer(text)
    first, second = next(starts, None), next(starts, None)
    return first is not None and second is not None and not begins_user_text(text[: second.start()])


def sparing(step: Undo) -> Undo:
    """The step, leaving alone what users wrote."""

    def undo(lines: list[RawLine]) -> list[RawLine]:
        if not any(begins_user_text(line.text) for line in lines):
            return step(lines)
        done: list[RawLine] = []
        others: list[RawLine] = []
        users = False
        for line in lines:
            begun = begins_user_text(line.text)
            users = begun or (users and not compiled(START).search(line.text, 0, 300))
            if users and not several(line.text):
                done += [*step(others), line]
                others = []
            else:
                others.append(line)
        return [*done, *step(others)]

    return undo
