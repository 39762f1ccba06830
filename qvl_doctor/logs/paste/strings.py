"""Logs within strings: JSON and Python literals, workflow commands, tables of a log collector."""

from __future__ import annotations

import re

from qvl_doctor.logs.paste.starts import CALM, NAME, START, Undo, compiled, each, several

#: Strings within strings, at most.
_NESTED = 3
_COMMAND = r"::\w+[^:\n]{0,200}::"
_CELL = r'"?(?:\d{4}-\d\d-\d\d[T ][\d:.]{8,18}Z?|\d{13})"?,"((?:[^"]|"")*)"\s*$'
#: What a string with the line ends of a log must hold one of.
_SIGNS = ("Traceback", "Error", "Exception", "pid=", "INFO ", "WARNING ", 'File \\"', 'File "')
_END = r"\\+n(?:\\+[nt]|[^\S\n])*(?:\*{0,3}_?" + NAME + r"\b|" + START.replace('"', r'\\*"') + ")"
_MEMBER = r'"(?:detail|message|msg|error|errors|reason|traceback|stack|stderr|stdout|output|content|text|log|body)": ?"'
_MEMBER_END = r'(?<!\\)"\s*[,}\]].*$'
_ESCAPE = r"\\(u[0-9a-fA-F]{4}|.)"
_ESCAPES = {"n": "\n", "r": "", "t": "\t", '"': '"', "'": "'", "\\": "\\", "/": "/"}


def percents(text: str) -> Undo | None:
    """A workflow command of GitHub's runner: `::error::…%0A…`."""
    return each(_without_percents) if "%0A" in text and "::" in text else None


def _without_percents(line: str) -> str:
    found = compiled(_COMMAND).match(line)
    if found is None:
        return line
    return line[found.end() :].replace("%0A", "\n").replace("%0D", "").replace("%25", "%")


def cells(text: str) -> Undo | None:
    """CSV of CloudWatch, and line ends as rsyslog writes them."""
    shown = "#012" in text or "#015" in text
    if not shown and ',"' in text:
        shown = any(compiled(_CELL).match(line) for line in text.split("\n") if ',"' in line[:40])
    return each(_from_cell) if shown else None


def _from_cell(line: str) -> str:
    cell = compiled(_CELL).match(line)
    if cell:
        line = cell[1].replace('""', '"')
    return line.replace("#015", "").replace("#012", "\n").replace("#011", "\t")


def escapes(text: str) -> Undo | None:
    r"""Strings in JSON or Python, which have `\n` where the log has line ends, and the messages of APIs."""
    shown = any(_is_string(line) for line in text.split("\n") if "\\n" in line or '\\"' in line)
    return each(_unescaped) if shown else None


def _is_string(line: str) -> bool:
    """Whether a line holds such a string.

    Not a collector's JSON, which is read as such, nor what was logged at INFO.
    """
    if compiled(CALM).match(line) and not several(line):
        return False
    ended = "\\n" in line and any(sign in line for sign in _SIGNS) and compiled(_END).search(line)
    member = '\\"' in line and compiled(_MEMBER).search(line)
    if not ended and not member and not _is_quoted(line):
        return False
    from qvl_doctor.logs.prefixes import is_envelope

    return not is_envelope(line)


def _unescaped(line: str) -> str:
    for _ in range(_NESTED):
        if "\\" not in line or not _is_string(line):
            break
        member = compiled(_MEMBER).search(line)
        if member:
            line = line[: member.start()] + "\\n" + compiled(_MEMBER_END).sub("", line[member.end() :])
        line = compiled(_ESCAPE).sub(_character, line[1:-1] if _is_quoted(line) else line)
    return line


def _is_quoted(line: str) -> bool:
    return len(line) > 1 and line[0] in "\"'" and line[-1] == line[0]


def _character(escape: re.Match[str]) -> str:
    said = escape[1]
    if len(said) == 5:
        code = int(said[1:], 16)
        return "?" if 0xD800 <= code < 0xE000 else chr(code)
    return _ESCAPES.get(said, escape[0])
