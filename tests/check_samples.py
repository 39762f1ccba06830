"""Helpers of the tests of `check`: machines as trees of files, and what is said of a command on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from qvl_doctor.launch.reading import read
from qvl_doctor.model import Record
from qvl_doctor.probe.export import Environment
from qvl_doctor.probe.gather import Asked, gather


def said(records: Iterable[Record]) -> list[str]:
    return [record.message for record in records]


def tree(root: Path, **files: str) -> str:
    """A machine's /proc and /sys: names with `__` for `/`, as keyword arguments."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(root)


def started(command: str, *, env: Mapping[str, str] | None = None, release: str = "0.11.0", only: str = "host,command") -> list[str]:
    """What is observed of a command's start on this machine with an environment of its own."""
    asked = Asked(read(command, release)[0], "", release, "", frozenset(only.split(",")), {"HOME": "/tmp", **(env or {})})
    return said(Environment(gather(asked)).seen().observations)
