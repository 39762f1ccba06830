"""An archive to attach to an issue.

Logs with their middle left out and their secrets masked, and a list of what is in it.

The same inputs give the same bytes: entries have no times, and are in the order in which they were put in.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from qvl_doctor import __version__
from qvl_doctor.logs.source import BUNDLE, LineSplitter, RawLine, clean
from qvl_doctor.logs.wraps import TerminalWraps
from qvl_doctor.messages import say
from qvl_doctor.redaction.line import MASK, redact
from qvl_doctor.redaction.text import LineRedactor, redact_line

SCHEMA = "qvl-doctor/bundle/1"
_BLOCK = 64 * 1024
#: The first day that a zip can name; the real time would make every archive another one.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_LONGEST_NAME = 80
_UNSAFE = re.compile(r"[^\w.+=@-]+")
#: Names that Windows keeps for devices.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


class Entry(NamedTuple):
    """A file of the archive.

    Its name in there, what it is (a key of `bundle.what`), its size and sum, and how many masks.
    """

    name: str
    what: str
    size: int
    sha256: str
    masked: int = 0


class Copied(NamedTuple):
    """What a copy of a log has of it: lines, and of those that were left out how many, the first, and their bytes."""

    lines: int
    left_out: int = 0
    first_left_out: int = 0
    bytes_left_out: int = 0
    masked: int = 0


def member(path: str, taken: set[str], folder: str = "logs", otherwise: str = "stdin.log") -> str:
    """A name for an input in the archive that no system minds, that leads nowhere, and that none of `taken` is.

    It is added there.
    """
    last = otherwise if path == "-" else re.split(r"[/\\]", path.rstrip("/\\"))[-1]
    name = _UNSAFE.sub("_", redact(clean(last)).replace(MASK, "masked")).lstrip(".").rstrip(". ")
    name = re.sub(r"\.(?:gz|zst)$", "", name, flags=re.IGNORECASE)
    stem, suffix = os.path.splitext(name)
    stem, suffix = stem[:_LONGEST_NAME].strip("_") or "input", suffix[:12] or ".log"
    if _DEVICES.fullmatch(stem):
        stem = f"_{stem}"
    number, found = 1, f"{folder}/{stem}{suffix}"
    while found.casefold() in taken:
        number += 1
        found = f"{folder}/{stem}-{number}{suffix}"
    taken.add(found.casefold())
    return found


class Archive:
    """A zip that is being written. Every entry lies in one folder, so that unpacking makes one folder."""

    def __init__(self, file: BinaryIO) -> None:
        self.entries: list[Entry] = []
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)

    @contextmanager
    def entry(self, name: str, what: str) -> Iterator[Callable[[bytes], None]]:
        """A function that takes the bytes of an entry, piece by piece."""
        info = zipfile.ZipInfo(BUNDLE + name, _NO_TIME)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.create_system = 3  # Unix, whatever this runs on
        info.external_attr = 0o100644 << 16
        total, size = hashlib.sha256(), 0
        with self._zip.open(info, "w") as file:

            def put(data: bytes) -> None:
                nonlocal size
                size += len(data)
                total.update(data)
                file.write(data)

            yield put
        self.entries.append(Entry(name, what, size, total.hexdigest()))

    def add(self, name: str, what: str, text: str, masked: int = 0) -> None:
        """A whole text as an entry."""
        with self.entry(name, what) as put:
            put(text.encode("utf-8", "replace"))
        self.count(masked)

    def count(self, masked: int) -> None:
        """Says how many masks the last entry has."""
        self.entries[-1] = self.entries[-1]._replace(masked=masked)

    def close(self) -> None:
        """Ends the archive; without it the file is none."""
        self._zip.close()


class LogCopy:
    """A log's bytes in, its lines out: decoded, without colors, secrets masked. A long log keeps its head and its tail.

    Memory is bounded by the limit. Physical lines stay lines, so that a line number of a report is right up to what was
    left out.
    """

    def __init__(self, limit: int, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._splitter = LineSplitter()
        self._redactor = LineRedactor()
        self._wraps = TerminalWraps()
        self._head, self._tail = limit // 2, limit - limit // 2
        self._open: list[RawLine] = []
        self._block: list[str] = []
        self._block_size = 0
        self._held: deque[tuple[int, bytes]] = deque()
        self._held_size = 0
        self._written = 0
        self._lines = 0
        self._parts: deque[str] = deque()
        self._gone = self._gone_bytes = self._first_gone = 0

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the log."""
        for raw in self._splitter.feed(chunk):
            self._take(raw)

    def close(self) -> Copied:
        """Writes what is left, and says what became of the log."""
        for raw in self._splitter.flush():
            self._take(raw)
        self._end_line()
        self._end_block()
        if self._gone:
            last = self._first_gone + self._gone - 1
            said = f"[qvl-doctor bundle: left out here: {self._gone} lines, {self._first_gone} to {last}, {self._gone_bytes} bytes]"
            self._write(f"{said}\n".encode())
        for _, held in self._held:
            self._emit(held.decode("utf-8").split("\n"))
        self._emit([], last=True)
        return Copied(self._lines, self._gone, self._first_gone, self._gone_bytes, self._redactor.masked)

    def _take(self, raw: RawLine) -> None:
        """Parts of one physical line come with the same number."""
        if self._open and self._open[0].number != raw.number:
            self._end_line()
        self._open.append(raw)

    def _end_line(self) -> None:
        if not self._open:
            return
        line = "\r".join(part.text for part in self._open) + ("\r" if self._open[-1].soft else "")
        self._open = []
        self._lines += 1
        self._block.append(line)
        self._block_size += len(line) + 1
        if self._block_size >= _BLOCK:
            self._end_block()

    def _end_block(self) -> None:
        lines, self._block, self._block_size = self._block, [], 0
        if not lines:
            return
        data = "\n".join(lines).encode("utf-8", "replace")
        if not self._held and self._written + len(data) <= self._head:
            self._written += len(data) + 1
            self._emit(lines)
            return
        self._held.append((len(lines), data))
        self._held_size += len(data) + 1
        while len(self._held) > 1 and self._held_size > self._tail:
            self._drop(*self._held.popleft())

    def _drop(self, count: int, data: bytes) -> None:
        """Omits a block, but remembers what its lines leave open (a key, the name of a secret) for the next."""
        self._held_size -= len(data) + 1
        if not self._gone:
            self._first_gone = self._lines - sum(held for held, _ in self._held) - len(self._block) - count + 1
            self._emit([], last=True)
        self._gone += count
        self._gone_bytes += len(data) + 1
        before = self._redactor.masked
        lines = data.decode("utf-8").split("\n")
        for line in lines if b"-----" in data else lines[-1:]:
            self._redactor.feed(line)
        self._redactor.masked = before

    def _emit(self, lines: list[str], *, last: bool = False) -> None:
        """Masks and writes lines. What a terminal broke is masked as one line.

        Where there was nothing in it, it stays broken.
        """
        joined = self._wraps.join([RawLine(0, line) for line in lines]) if lines else []
        self._parts.extend(lines)
        for line in [*joined, *(self._wraps.flush() if last else [])]:
            parts = self._parts_of(line.text)
            shown = [self._masked(line.text)]
            if len(parts) > 1:
                shown = (
                    [redact_line(part) for part in parts]
                    if shown == [line.text]
                    else [*shown, *("" for _ in parts[1:])]
                )
            self._write("".join(f"{part}\n" for part in shown).encode("utf-8", "replace"))

    def _parts_of(self, text: str) -> list[str]:
        """The lines that were joined to this one."""
        parts = [self._parts.popleft()]
        size = len(parts[0])
        while size < len(text):
            parts.append(self._parts.popleft())
            size += len(parts[-1])
        return parts

    def _masked(self, line: str) -> str:
        return "\r".join(self._redactor.feed(part) for part in line.split("\r"))


def manifest(entries: Sequence[Entry], logs: Mapping[str, Copied], notes: Sequence[str]) -> str:
    """The list of what is in an archive, for programs."""
    files = [
        {"name": each.name, "what": each.what, "bytes": each.size, "sha256": each.sha256, "masked": each.masked}
        for each in entries
    ]
    copies = {
        name: {"lines": log.lines, "left_out_lines": log.left_out, "left_out_bytes": log.bytes_left_out}
        for name, log in logs.items()
    }
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "version": __version__,
        "files": files,
        "logs": copies,
        "notes": list(notes),
    }
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def readme(entries: Sequence[Entry], logs: Mapping[str, Copied], notes: Sequence[str], lang: str) -> str:
    """The page that says to a person what is in an archive, what was masked, and what was not."""
    lines = ["# qvl-doctor bundle", "", say("bundle.made_by", lang, version=__version__), ""]
    heads = (say(f"bundle.head.{name}", lang) for name in ("file", "what", "size", "masked", "sha256"))
    lines += [f"| {' | '.join(heads)} |", "|---|---|---|---|---|"]
    lines += [
        f"| {each.name} | {say(f'bundle.what.{each.what}', lang)} | {each.size} | {each.masked} | `{each.sha256[:16]}` |"
        for each in entries
    ]
    cut = [
        say("bundle.left_out", lang, name=name, lines=log.left_out, bytes=log.bytes_left_out, first=log.first_left_out)
        for name, log in logs.items()
        if log.left_out
    ]
    masked = say("bundle.masked", lang, count=sum(each.masked for each in entries))
    said = [*cut, *notes, masked, say("bundle.not_masked", lang), say("bundle.copied", lang)]
    return "\n".join([*lines, "", *(f"- {each}" for each in said), ""])
