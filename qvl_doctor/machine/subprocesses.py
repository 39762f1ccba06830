"""Runs a program to ask it something: its output is read as it comes, for a limited time, and no child outlives it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

#: The end of its output is kept: that is where a traceback says what was raised.
_LONGEST = 64 * 1024
_CHUNK = 64 * 1024
#: A child that outlives the program may keep its pipes open; nothing waits for it.
_GRACE_S = 0.5
_TICK_S = 0.1


class Ended(NamedTuple):
    """How it ended: exit code (negative: a signal), and the end of its standard error."""

    returncode: int
    stderr: str
    timed_out: bool = False


def run(words: Sequence[str], limit_s: float, heard: Callable[[str], None] = lambda _: None) -> Ended:
    """Runs a program for at most `limit_s`; `heard` gets the lines that it prints. Raises OSError if it cannot start.

    It runs in a process group of its own, which is killed when this returns or is interrupted: an import may have
    started others.
    """
    with subprocess.Popen(  # noqa: S603  # the interpreter that the user names
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            said = _listen(process, time.monotonic() + limit_s, heard)
            timed_out = process.poll() is None
        finally:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
    return Ended(process.returncode, said.decode("utf-8", "replace"), timed_out)


def _listen(process: subprocess.Popen[bytes], deadline: float, heard: Callable[[str], None]) -> bytes:
    """Reads until both pipes are closed, the process has ended or the time is over. Returns the end of its stderr."""
    said, line = b"", b""
    ended_at = 0.0
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ)
        while (
            selector.get_map()
            and time.monotonic() < deadline
            and not (ended_at and time.monotonic() > ended_at + _GRACE_S)
        ):
            for key, _ in selector.select(_TICK_S):
                data = os.read(key.fd, _CHUNK)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    said = (said + data)[-_LONGEST:]
                else:
                    *lines, line = (line + data).split(b"\n")
                    line = line[-_CHUNK:]
                    for each in lines:
                        heard(each.decode("utf-8", "replace").strip())
            ended_at = ended_at or (time.monotonic() if process.poll() is not None else 0.0)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))  # it may have closed its pipes and still run
    return said
