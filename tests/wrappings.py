"""What stands between a server's output and the file that someone hands in.

Collectors, terminals, editors, compression.

A wrapping takes the text of a log and returns it as that tool would have left it. The diagnosis must not depend on it.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import permutations, product
from typing import NamedTuple

import zstandard

#: Docker and the container runtimes cut lines into pieces of this size.
PIECE = 16 * 1024
_START = datetime(2025, 2, 16, 8, 31, 21, tzinfo=timezone.utc)


class Wrapping(NamedTuple):
    """A way that a log takes before it is read: the names of its steps, and text in, bytes out."""

    name: str
    wrap: Callable[[str], bytes]


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _moment(number: int) -> datetime:
    return _START + timedelta(milliseconds=7 * number)


def _stamp(number: int) -> str:
    """As Go prints RFC3339Nano."""
    return f"{_moment(number):%Y-%m-%dT%H:%M:%S.%f}123Z"


def _go_json(value: object) -> str:
    """As Go's encoding/json writes it.

    Nothing but ASCII control characters and HTML's special characters is escaped.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _pieces(line: str) -> Iterator[tuple[str, bool]]:
    """The line in pieces of at most PIECE bytes, and whether a piece is the last one."""
    for start in range(0, max(len(line), 1), PIECE):
        yield line[start : start + PIECE], start + PIECE >= len(line)


# What the server itself does when it believes to write to a terminal.


def ansi(text: str) -> str:
    """vLLM's own colours (VLLM_LOGGING_COLOR=1): process, level, time and file."""
    coloured = re.sub(r"^(\([A-Z]\w* pid=\d+\))", "\x1b[1;36m\\1\x1b[0;0m", text, flags=re.MULTILINE)
    return re.sub(
        r"^(.{0,40}?)(INFO|WARNING|ERROR) (\d\d-\d\d \d\d:\d\d:\d\d) (\[[\w./]+:\d+\])",
        "\\1\x1b[32m\\2\x1b[0m \x1b[90m\\3\x1b[0m \x1b[90m\\4\x1b[0m",
        coloured,
        flags=re.MULTILINE,
    )


# Collectors: one entry a line.


def kubectl_timestamps(text: str) -> str:
    """`kubectl logs --timestamps`."""
    return _joined([f"{_stamp(n)} {line}" for n, line in enumerate(_lines(text))])


def kubectl_prefix(text: str) -> str:
    """`kubectl logs --prefix`."""
    return _joined([f"[pod/qwen-vl-5fcb84cf6-ldtdj/qwen-vl-vllm] {line}" for line in _lines(text)])


def docker_compose(text: str) -> str:
    """`docker compose logs --no-color`."""
    return _joined([f"vllm-1  | {line}" for line in _lines(text)])


def docker_json_file(text: str) -> str:
    """The file that Docker's json-file driver writes."""
    return _joined(
        [
            _go_json({"log": piece + ("\n" if last else ""), "stream": "stderr", "time": _stamp(n)})
            for n, line in enumerate(_lines(text))
            for piece, last in _pieces(line)
        ]
    )


def cri(text: str) -> str:
    """The file that containerd and CRI-O write below /var/log/pods."""
    return _joined(
        [
            f"{_stamp(n)} stderr {'F' if last else 'P'} {piece}"
            for n, line in enumerate(_lines(text))
            for piece, last in _pieces(line)
        ]
    )


def journald(text: str) -> str:
    """`journalctl -u vllm`."""
    return _joined(
        [f"{_moment(n):%b %d %H:%M:%S} gpu-node-1 vllm[4711]: {line}" for n, line in enumerate(_lines(text))]
    )


def cloudwatch(text: str) -> str:
    """CloudWatch events, one JSON object a line."""
    return _joined(
        [
            json.dumps(
                {
                    "logStreamName": "vllm/qwen-vl/0f1e2d3c4b5a",
                    "timestamp": int(_moment(n).timestamp() * 1000),
                    "message": line,
                    "ingestionTime": int(_moment(n).timestamp() * 1000) + 812,
                    "eventId": str(38800000000000000000000000000000000000000000000000000000 + n),
                }
            )
            for n, line in enumerate(_lines(text))
        ]
    )


def loki(text: str) -> str:
    """`logcli query --forward --output=jsonl`."""
    labels = {"app": "qwen-vl", "container": "qwen-vl-vllm", "namespace": "models"}
    return _joined(
        [_go_json({"labels": labels, "line": line, "timestamp": _stamp(n)}) for n, line in enumerate(_lines(text))]
    )


def fluent_bit(text: str) -> str:
    """fluent-bit's `json_lines` output after its Kubernetes filter."""
    kubernetes = {"pod_name": "qwen-vl-5fcb84cf6-ldtdj", "namespace_name": "models", "container_name": "qwen-vl-vllm"}
    return _joined(
        [
            json.dumps(
                {"date": _moment(n).timestamp(), "stream": "stderr", "_p": "F", "log": line, "kubernetes": kubernetes}
            )
            for n, line in enumerate(_lines(text))
        ]
    )


# How people hand it on.


def fenced(text: str) -> str:
    """Pasted into an issue."""
    return f"The server does not come up:\n\n```text\n{text.removesuffix(chr(10))}\n```\n"


def quoted(text: str) -> str:
    """The same, quoted in an answer."""
    return _joined([f"> {line}" if line else ">" for line in _lines(fenced(text))])


def uncolored(text: str) -> str:
    """What a terminal shows, as it is copied."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def terminal(text: str, columns: int = 100) -> str:
    """Copied from a terminal that broke long lines wherever they met its edge. Colours are not copied."""
    rows = []
    for line in _lines(uncolored(text)):
        row, width = "", 0
        for character in line:
            cells = 2 if unicodedata.east_asian_width(character) in "WF" else 1
            if width + cells > columns:
                rows.append(row)
                row, width = "", 0
            row, width = row + character, width + cells
        rows.append(row)
    return _joined(rows)


def crlf(text: str) -> str:
    """Saved on Windows."""
    return text.replace("\n", "\r\n")


# How it lies on the disk.


def utf16(text: str) -> bytes:
    """What `>` writes in Windows PowerShell."""
    return codecs.BOM_UTF16_LE + text.encode("utf-16-le")


def gz(text: str) -> bytes:
    """Compressed with gzip."""
    return gzip.compress(text.encode(), mtime=0)


def zst(text: str) -> bytes:
    """Compressed with zstd."""
    return zstandard.ZstdCompressor().compress(text.encode())


OUTPUT = (ansi,)
PLAIN_COLLECTORS = (kubectl_timestamps, kubectl_prefix, docker_compose, cri, journald)
JSON_COLLECTORS = (docker_json_file, cloudwatch, loki, fluent_bit)
PASTED = (fenced, quoted, terminal)
SAVED = (crlf,)
STORED = (utf16, gz, zst)

#: Steps in the order in which a log can go through them. A terminal comes after plain text only: JSON that it broke is
#: no JSON any more.
_STEPS = (OUTPUT, PLAIN_COLLECTORS + JSON_COLLECTORS, PASTED, SAVED)


def _steps(*steps: Callable[[str], str], store: Callable[[str], bytes] = str.encode) -> Wrapping:
    def wrap(text: str) -> bytes:
        for step in steps:
            text = step(text)
        return store(text)

    names = [step.__name__ for step in steps] + ([store.__name__] if store in STORED else [])
    return Wrapping("+".join(names), wrap)


def wrappings() -> Iterator[Wrapping]:
    """Each step alone."""
    yield from (_steps(step) for group in _STEPS for step in group)
    yield from (_steps(store=store) for store in STORED)


def nestings() -> Iterator[Wrapping]:
    """Each two steps that can follow each other."""
    yield from (_steps(*pair) for pair in permutations(_STEPS[1], 2))
    for number, earlier in enumerate(_STEPS):
        for later in _STEPS[number + 1 :]:
            yield from (
                _steps(first, second)
                for first, second in product(earlier, later)
                if not (first in JSON_COLLECTORS and second is terminal)
            )
    yield from (_steps(step, store=store) for group in _STEPS for step, store in product(group, STORED))
