"""Inputs that still grow: pipes until their end, files as long as someone waits, through rotation and truncation.

with closing(growing("pod.log")) as source:
    data = source.wait(0.05)  # what came within 50 ms; b"" if nothing did, None at the end of a pipe

A file is looked at every few milliseconds, more seldom while it is quiet: that works on every system and on network
mounts, where changes are not announced. It is opened again where its name belongs to another file (rotation), and read
from its beginning where it has become shorter (truncation). Numbers of lines go on.
"""

from __future__ import annotations

import io
import os
import select
import stat
import time
from typing import BinaryIO

from qvl_doctor.errors import InputError, UsageError
from qvl_doctor.logs.source import CHUNK, is_packed, opened, refuse, standard_input

#: How often a file is looked at in the beginning, and how seldom after seconds without a change.
_SOON_S, _SELDOM_S = 0.005, 0.03
#: So much of what was read is remembered, to see whether it is still there.
_TAIL = 64


class Growing:
    """An input of which more may come.

    `wake` is a descriptor that ends every wait as soon as something can be read from it.
    """

    def __init__(self, path: str, wake: int = -1) -> None:
        self._path = path
        self._wake = [wake] if wake >= 0 else []
        self._first = True

    @property
    def missing(self) -> bool:
        """Whether it is not there yet."""
        return False

    def wait(self, seconds: float) -> bytes | None:
        """What comes within so many seconds: b"" if nothing does, None at the end. Raises InputError or UsageError."""
        try:
            data = self._wait(seconds)
        except OSError as error:
            raise InputError("error.unreadable", path=self._path, reason=error.strerror or str(error)) from None
        if data and self._first:
            self._first = False
            if is_packed(data):
                raise UsageError("error_logs.follow_packed", path=self._path)
            refuse(data, self._path)
        return data

    def close(self) -> None:
        """Lets go of what was opened."""

    def _wait(self, seconds: float) -> bytes | None:
        raise NotImplementedError

    def _readable(self, descriptors: list[int], seconds: float) -> list[int]:
        try:
            return select.select(descriptors + self._wake, [], [], seconds)[0]
        except OSError:
            if descriptors:
                return descriptors  # Windows cannot wait for pipes: there the read itself waits
            time.sleep(seconds)
            return []


class _Pipe(Growing):
    """A pipe, a terminal or a socket: it ends where its writers let go of it."""

    def __init__(self, path: str, descriptor: int, wake: int = -1, *, own: bool = False) -> None:
        super().__init__(path, wake)
        self._descriptor, self._own = descriptor, own

    def _wait(self, seconds: float) -> bytes | None:
        if self._descriptor not in self._readable([self._descriptor], seconds):
            return b""
        try:
            return os.read(self._descriptor, CHUNK) or None
        except BlockingIOError:
            return b""

    def close(self) -> None:
        if self._own:
            os.close(self._descriptor)


class _Whole(Growing):
    """A stream that only this process knows."""

    def __init__(self, path: str, stream: BinaryIO) -> None:
        super().__init__(path)
        self._stream = stream

    def _wait(self, seconds: float) -> bytes | None:
        del seconds
        return self._stream.read(CHUNK) or None


class _File(Growing):
    """A file by its name; with a descriptor (`qvl-doctor - < pod.log`) only that one, whatever its name is by now."""

    def __init__(self, path: str, descriptor: int | None = None, wake: int = -1) -> None:
        super().__init__(path, wake)
        self._named = descriptor is None
        self._file = opened(path, missing=True) if self._named else None
        self._descriptor = self._file.fileno() if self._file else descriptor
        self._at = 0 if descriptor is None else os.lseek(descriptor, 0, os.SEEK_CUR)
        self._tail = b""
        self._changed = time.monotonic()

    @property
    def missing(self) -> bool:
        return self._descriptor is None

    def _wait(self, seconds: float) -> bytes:
        until = time.monotonic() + seconds
        while True:
            data = self._more()
            now = time.monotonic()
            if data:
                self._changed = now
                return data
            pause = min(until - now, _SELDOM_S, _SOON_S + (now - self._changed) / 100)
            if pause <= 0 or self._readable([], pause):
                return b""

    def _more(self) -> bytes:
        """What was added to the file since."""
        if self._descriptor is None:
            return self._reopened()
        data = os.read(self._descriptor, CHUNK)
        if self._rewritten() if data else os.fstat(self._descriptor).st_size < self._at:
            return self._begun_again()
        if not data and self._named and self._replaced():
            # What the writer still said to the old file comes first.
            data = os.read(self._descriptor, CHUNK)
            if not data:
                return self._reopened()
        self._at += len(data)
        self._tail = (self._tail + data)[-_TAIL:]
        return data

    def _rewritten(self) -> bool:
        """Whether it was truncated and has grown beyond where we were since: what was read last is not there any more.

        Zeros are there where its writer goes on at the old place: what is new comes after them.
        """
        if not self._tail or not hasattr(os, "pread"):
            return False
        there = os.pread(self._descriptor or 0, len(self._tail), self._at - len(self._tail))
        if not any(there):
            self._tail = b""
        return bool(self._tail) and there != self._tail

    def _begun_again(self) -> bytes:
        ended = self._line_end()
        os.lseek(self._descriptor or 0, 0, os.SEEK_SET)
        self._at = 0
        return ended or self._more()

    def _replaced(self) -> bool:
        """Whether the name belongs to another file by now. Between two files it may belong to none for a moment."""
        try:
            there = os.stat(self._path)
        except OSError:
            return False
        here = os.fstat(self._descriptor or 0)
        return stat.S_ISREG(there.st_mode) and (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _reopened(self) -> bytes:
        try:
            file = opened(self._path, missing=True)
        except InputError:
            if self._descriptor is None:
                raise
            return b""  # whoever rotates it has not given it its rights yet
        if file is None:
            return b""
        self.close()
        self._file, self._descriptor, self._at = file, file.fileno(), 0
        return self._line_end() or self._more()

    def _line_end(self) -> bytes:
        """Ends the line that the old content left open, so that it is not joined with the first of the new content."""
        ended, self._tail = not self._tail or self._tail.endswith(b"\n"), b""
        return b"" if ended else b"\n"

    def close(self) -> None:
        if self._file:
            self._file.close()


def growing(path: str, wake: int = -1) -> Growing:
    """The input as one that grows; `-` is standard input. Raises InputError for what can be read in no way."""
    if path != "-":
        return _named(path, wake)
    stream = standard_input()
    try:
        descriptor = stream.fileno()
    except (OSError, io.UnsupportedOperation):
        return _Whole(path, stream)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return _File(path, descriptor, wake)
    return _Pipe(path, descriptor, wake)


def _named(path: str, wake: int) -> Growing:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return _File(path, wake=wake)
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return _File(path, wake=wake)
    try:
        # Without waiting for someone who writes: until then there is nothing to be read.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise InputError("error.unreadable", path=path, reason=error.strerror or str(error)) from None
    return _Pipe(path, descriptor, wake, own=True)
