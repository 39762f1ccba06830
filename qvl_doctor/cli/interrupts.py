"""SIGINT and SIGTERM as questions: whoever follows a log ends with its report.

And a reader of our output that went away.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, TextIO


class Interrupts:
    """From its making to `close`, the first signal only sets `asked`, and makes `wake` readable.

    A second one does what it always does.

    A signal that whoever started us told to ignore (nohup) stays ignored.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}
        self.wake, self._write = os.pipe()
        os.set_blocking(self._write, False)
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in {signal.SIG_IGN, None}:
                    self._before[number] = signal.signal(number, self._ask)
        except ValueError:
            pass  # not the main thread: signals come to whoever has it

    def close(self) -> None:
        """Signals are what they were before."""
        self._restore()
        os.close(self.wake)
        os.close(self._write)

    def _ask(self, *_: object) -> None:
        self.asked = True
        self._restore()
        os.write(self._write, b".")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()


def reader_of(stream: TextIO) -> Callable[[], None]:
    """What raises BrokenPipeError as soon as no one reads a stream any more.

    Who has nothing to write would not notice.
    """
    import select

    try:
        descriptor = stream.fileno()
        poll = select.poll()
        poll.register(descriptor, 0)
    except (OSError, ValueError, AttributeError):  # no descriptor, or a system without poll
        return lambda: None

    def check() -> None:
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
            raise BrokenPipeError

    return check
