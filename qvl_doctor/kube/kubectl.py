"""Runs kubectl: arguments in, text out, within a time limit. Its errors become our own sentences."""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import IO

from qvl_doctor.errors import InputError
from qvl_doctor.logs.source import CHUNK
from qvl_doctor.redaction.line import redact

#: What kubectl says on standard error → the sentence in messages.yaml. The first match counts.
_ERRORS = (
    (re.compile(r"\(Forbidden\)|is forbidden"), "error_kube.forbidden"),
    (re.compile(r"\(NotFound\)|the server doesn't have a resource type"), "error_kube.not_found"),
    (re.compile(r"\(Unauthorized\)|You must be logged in|provide credentials"), "error_kube.unauthorized"),
    (
        re.compile(
            r"(?:context|auth info|cluster) .{0,200}(?:does not exist|not found)|no context exists|error: stat "
        ),
        "error_kube.config",
    ),
    (
        re.compile(
            r"was refused|connection refused|Unable to connect to the server|no such host|i/o timeout|[Tt]imeout"
            r"|no configuration has been"
        ),
        "error_kube.unreachable",
    ),
)
#: Noise before the line that matters.
_NOISE = re.compile(r"[EWI]\d{4} \d\d:\d\d:\d\d|Defaulted container ")
_MOST_BYTES = 64 * 1024 * 1024


class Kubectl:
    """kubectl with the options that choose cluster, user and namespace."""

    def __init__(self, options: Sequence[str] = (), seconds: float = 60.0, program: str = "kubectl") -> None:
        self._command = (program, *options)
        self._seconds = seconds
        #: What went wrong with the last stream, as a sentence's key and values; None if nothing did.
        self.trouble: InputError | None = None

    def read(self, *words: str) -> str:
        """What kubectl prints. Raises InputError."""
        text = b"".join(self.stream(*words))
        if self.trouble:
            raise self.trouble
        return text[:_MOST_BYTES].decode("utf-8", "replace")

    def stream(self, *words: str) -> Iterator[bytes]:
        """What kubectl prints, as it comes; `trouble` then says what went wrong. Raises InputError without kubectl."""
        self.trouble = None
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(  # noqa: S603 — a list of words, no shell
                    [*self._command, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
                )
            except FileNotFoundError:
                raise InputError("error_kube.missing", path=self._command[0]) from None
            except OSError as error:
                raise InputError("error_kube.failed", path=" ".join(words), reason=str(error)) from None
            late = threading.Event()

            def stop() -> None:
                late.set()
                process.kill()

            clock = threading.Timer(self._seconds, stop)
            clock.daemon = True
            clock.start()
            try:
                yield from _chunks(process.stdout)
                code = process.wait()
            finally:
                clock.cancel()
                if process.poll() is None:
                    process.kill()
                if process.stdout:
                    process.stdout.close()
                process.wait()
            if late.is_set():
                self.trouble = InputError(
                    "error_kube.timeout", path="/".join(words[1:3]), seconds=f"{self._seconds:.0f}"
                )
            elif code:
                said.seek(0)
                self.trouble = trouble(said.read(CHUNK).decode("utf-8", "replace"), words)


def _chunks(stream: IO[bytes] | None) -> Iterator[bytes]:
    while stream is not None:
        chunk = stream.read1(CHUNK) if hasattr(stream, "read1") else stream.read(CHUNK)
        if not chunk:
            return
        yield chunk


def trouble(said: str, words: Sequence[str]) -> InputError:
    """The error that kubectl's words mean."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not _NOISE.match(line)]
    last = redact(lines[-1])[:400] if lines else "kubectl"
    path = "/".join(takewhile(lambda word: not word.startswith("-"), words[1:]))
    key = next((key for pattern, key in _ERRORS if pattern.search(said)), "error_kube.failed")
    return InputError(key, path=path, reason=last.removeprefix("error: "))
