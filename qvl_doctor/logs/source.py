"""Inputs: paths, standard input, gz and zst, UTF-16, growing files.

Bytes come out in chunks, and from these numbered lines.

Nothing holds more than one chunk and one line: a line longer than MAX_LINE keeps its head and its tail.
"""

from __future__ import annotations

import codecs
import errno
import os
import re
import sys
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast, overload

from qvl_doctor.errors import InputError
from qvl_doctor.late import late_pattern

CHUNK = 256 * 1024
MAX_LINE = 16 * 1024
#: The beginning of an input, in which a line may be longer: whole pastes come without line ends.
HEAD = 256 * 1024
_TAIL = 2 * 1024
#: The folder in the archives of `qvl-doctor bundle`.
BUNDLE = "qvl-doctor-bundle/"
#: What packs single files or folders and is not undone here: how it begins, its name, and what unpacks it.
_PACKED = {
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\0": ("xz", "unxz"),
    b"7z\xbc\xaf\x27\x1c": ("7z", "7z x"),
    b"Rar!\x1a": ("rar", "unrar x"),
}
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


_ANSI = late_pattern(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|#033\[[\d;]*m")
_CONTROL = late_pattern("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class RawLine(NamedTuple):
    """A physical line, decoded and clean.

    `soft` marks a line that ended with a carriage return: vLLM joins the lines of one record so.
    """

    number: int
    text: str
    soft: bool = False


class open_input:  # noqa: N801 — reads like open(); contextlib would cost more to import than it saves here
    """The input's bytes, decompressed; `-` is standard input. A context manager. Raises InputError."""

    def __init__(self, path: str) -> None:
        self._raw = standard_input() if path == "-" else opened(path)
        self._close = path != "-"
        self._stream = self._raw

    def __enter__(self) -> BinaryIO:
        self._stream = _decompressed(self._raw)
        return self._stream

    def __exit__(self, *_: object) -> None:
        if self._close:
            self._stream.close()
            self._raw.close()


def standard_input() -> BinaryIO:
    """The bytes of standard input. Raises InputError where it is closed."""
    if sys.stdin is None:  # closed by who started this: `qvl-doctor - <&-`
        raise InputError("error.unreadable", path="-", reason=os.strerror(errno.EBADF))
    return sys.stdin.buffer


@overload
def opened(path: str) -> BinaryIO: ...
@overload
def opened(path: str, *, missing: bool) -> BinaryIO | None: ...
def opened(path: str, *, missing: bool = False) -> BinaryIO | None:
    """The file's bytes. Raises InputError; with `missing`, a file that is not there is None."""
    try:
        if os.path.isdir(path):
            raise InputError("error.directory", path=path)
        return open(path, "rb")
    except FileNotFoundError:
        if missing:
            return None
        raise InputError("error.missing", path=path) from None
    except PermissionError:
        raise InputError("error.permission", path=path) from None
    except OSError as error:
        raise InputError("error.unreadable", path=path, reason=error.strerror or str(error)) from None
    except ValueError:  # a NUL byte in the name
        raise InputError("error.missing", path=path.replace("\0", "?")) from None


def _decompressed(stream: BinaryIO) -> BinaryIO:
    magic = stream.peek(4)[:4] if hasattr(stream, "peek") else b""
    if magic.startswith(_GZIP):
        import gzip

        return cast("BinaryIO", gzip.open(stream))
    if magic.startswith(_ZSTD):
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    return stream


def is_packed(chunk: bytes) -> bool:
    """Whether an input that begins so is compressed in a way that is undone here."""
    return chunk.startswith((_GZIP, _ZSTD))


def read_chunks(stream: BinaryIO, path: str = "-") -> Iterator[bytes]:
    """The stream's bytes as they come. Raises InputError where they turn out to be damaged or binary."""
    read = getattr(stream, "read1", stream.read)
    first = True
    while True:
        try:
            chunk = read(CHUNK)
        except (OSError, EOFError) as error:
            raise InputError("error.unreadable", path=path, reason=str(error)) from None
        except Exception as error:  # zlib.error and ZstdError share no base class worth importing here
            if type(error).__module__ not in {"zlib", "zstandard", "zstandard.backend_c", "zstd"}:
                raise
            raise InputError("error.damaged", path=path, reason=str(error)) from None
        if not chunk:
            return
        if first:
            refuse(chunk, path)
        first = False
        yield chunk


def read_text(path: str, most: int) -> str:
    """The whole text of an input of at most so many bytes, in UTF-8 or UTF-16. Raises InputError."""
    held: list[bytes] = []
    size = 0
    with open_input(path) as stream:
        for chunk in read_chunks(stream, path):
            held.append(chunk)
            size += len(chunk)
            if size > most:
                raise InputError("error.too_long", path=path, size=str(most >> 20))
    data = b"".join(held)
    return data.removeprefix(codecs.BOM_UTF8).decode(_utf16(data[:4096]) or "utf-8", "replace")


def refuse(chunk: bytes, path: str) -> None:
    """Raises InputError where an input does not begin as a text: what it is instead, if that is known."""
    if chunk.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        if chunk[30:].startswith(BUNDLE.encode()):
            raise InputError("error.bundle", path=path)
        raise InputError("error.archive", path=path, kind="zip", unpack=f"unzip {_named(path)}")
    if chunk[257:262] == b"ustar":
        raise InputError("error.archive", path=path, kind="tar", unpack=f"tar xf {_named(path)}")
    for magic, (kind, program) in _PACKED.items():
        if chunk.startswith(magic):
            raise InputError("error.archive", path=path, kind=kind, unpack=f"{program} {_named(path)}")
    if _is_binary(chunk):
        raise InputError("error.binary", path=path)


def _named(path: str) -> str:
    return "FILE" if path == "-" else path


def _is_binary(chunk: bytes) -> bool:
    head = chunk[:4096]
    return b"\0" in head and _utf16(head) is None and head.count(b"\0") > len(head) // 50


def _utf16(head: bytes) -> str | None:
    """The UTF-16 codec of text that starts so (PowerShell's `>` writes it), with or without a byte order mark."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if half >= 4 and odd > 0.6 * half and even < 0.1 * half:
        return "utf-16-le"
    if half >= 4 and even > 0.6 * half and odd < 0.1 * half:
        return "utf-16-be"
    return None


def clean(text: str) -> str:
    """The text without anything that could style or move a terminal."""
    if "\x1b" in text or "#033[" in text:
        text = _ANSI.sub("", text)
    return text if text.isprintable() else _CONTROL.sub("", text)


def _shortened(line: bytes) -> bytes:
    """Head and tail of a long line.

    The tail begins with a whole word where there is one: the rest of a secret would not look like one.
    """
    tail = line[-_TAIL:]
    word = re.search(rb"(?<=[\s,;&])[^\s,;&]", tail)
    return line[: MAX_LINE - _TAIL] + b" ... " + (tail[word.start() :] if word else tail)


def shortened(line: RawLine) -> RawLine:
    """The line with no more than its head and its tail, where it is too long."""
    if len(line.text) <= MAX_LINE:
        return line
    return line._replace(text=_shortened(line.text.encode("utf-8", "replace")).decode("utf-8", "ignore"))


class LineSplitter:
    """Bytes in, whole lines out; what is not yet ended is kept for the next call.

    The first may be as long as `HEAD`.
    """

    def __init__(self, first_number: int = 1) -> None:
        self._next = first_number
        self._fed = 0
        self._longest = HEAD
        self._rest = b""
        self._cut = False
        self._decoder: codecs.IncrementalDecoder | None = None
        self._started = False

    def feed(self, chunk: bytes) -> Iterator[RawLine]:
        if not self._started and chunk:
            self._started = True
            codec = _utf16(chunk[:4096])
            if codec:
                self._decoder = codecs.getincrementaldecoder(codec)("replace")
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
        self._longest = HEAD if self._fed < HEAD else MAX_LINE
        self._fed += len(chunk)
        if self._decoder:
            chunk = self._decoder.decode(chunk).encode("utf-8", "replace")
        whole, newline, rest = chunk.rpartition(b"\n")
        if not newline:
            self._hold(chunk)
            return
        self._hold(b"")
        lines = (self._rest + whole).split(b"\n")
        self._rest = b""
        for line in lines:
            yield from self._line(line)
        self._hold(rest)

    def flush(self) -> Iterator[RawLine]:
        """The last line, if it has no line end."""
        if self._rest:
            line, self._rest = self._rest, b""
            yield from self._line(line)

    def _hold(self, more: bytes) -> None:
        self._rest += more
        if len(self._rest) > MAX_LINE + CHUNK:
            self._rest = _shortened(self._rest)

    def _line(self, line: bytes) -> Iterator[RawLine]:
        number, self._next = self._next, self._next + 1
        if len(line) > self._longest:
            line = _shortened(line)
        text = line.decode("utf-8", "replace")
        if "\r" not in text:
            yield RawLine(number, clean(text))
            return
        soft = text.endswith("\r")
        # A progress bar rewrites its line: only its last state counts, but a log call may follow on the same line.
        parts = [part for part in text.split("\r") if part.strip()] or [""]
        for part in parts[:-1]:
            if "%|" not in part and "it/s]" not in part and "s/it]" not in part and "% Completed" not in part:
                yield RawLine(number, clean(part))
        yield RawLine(number, clean(parts[-1]), soft)
