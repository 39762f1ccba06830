"""Reads files that may be anything.

Pipes, devices and links that go round are not files, and nothing is read beyond a bound.
"""

from __future__ import annotations

import json
import os
import stat
from typing import Any, BinaryIO, NamedTuple

#: A config.json has some KB; a tokenizer.json has some MB.
LONGEST = 8 << 20


class Json(NamedTuple):
    """A JSON file: its value, or why there is none: missing, broken, long or unreadable."""

    value: Any = None
    problem: str = ""


def opened(path: str) -> BinaryIO:
    """A regular file, opened without waiting for anyone. Raises OSError for whatever else is there."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(0, "is no regular file")
    # Should it have become a pipe since: without O_NONBLOCK the opening of a pipe waits for its writer.
    handle = os.open(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)
    )
    try:
        regular = stat.S_ISREG(os.fstat(handle).st_mode)
        file = os.fdopen(handle, "rb") if regular else None
    except BaseException:
        os.close(handle)
        raise
    if file is None:
        os.close(handle)
        raise OSError(0, "is no regular file")
    return file


def read(path: str, most: int = LONGEST) -> bytes:
    """The beginning of a file, b"" if it cannot be read."""
    try:
        with opened(path) as file:
            return file.read(most)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return b""


def read_text(path: str, most: int = 64 * 1024) -> str:
    """The same as text. Files of /proc and /sys have no size, so they are read to their end."""
    return read(path, most).decode("utf-8", "replace")


def read_json(path: str, most: int = LONGEST) -> Json:
    """A JSON file as a whole."""
    try:
        with opened(path) as file:
            text = file.read(most + 1)
    except (FileNotFoundError, NotADirectoryError):
        return Json(problem="missing")
    except (OSError, ValueError):
        return Json(problem="unreadable")
    if len(text) > most:
        return Json(problem="long")
    try:
        return Json(json.loads(text))
    except (ValueError, RecursionError):
        return Json(problem="broken")


def read_object(path: str, most: int = LONGEST) -> dict[str, Any]:
    """The object of a JSON file, {} if there is none."""
    found = read_json(path, most).value
    return found if isinstance(found, dict) else {}


def listed(folder: str, most: int) -> list[str]:
    """Names in a folder in alphabetical order, not more than that many. [] if it cannot be read."""
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) >= most:
                    break
    except (OSError, ValueError):
        return []
    return sorted(names)
