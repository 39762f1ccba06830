"""How a run went: did it become ready, how did its log end, and which marks say so.

The marks are vLLM's and uvicorn's own lines, by release: `Application startup complete.` (all Python front ends),
`[shutdown] API server: shutdown triggered` (0.32), `Engine core proc … died` (0.9 to 0.31), `engine core exited
unexpectedly` (0.32 on), `Engine process (pid …) died.` (V0). `Starting vLLM API server on …` is no mark: it is printed
while the engine may still fail.
"""

from __future__ import annotations

import re

from qvl_doctor.model import Record

_READY = re.compile(r"Application startup complete\.|Uvicorn running on |OpenAI server is ready to accept requests")
_SERVING = re.compile(r'"(?:POST|GET) /\S* HTTP/[\d.]+" \d{3}|Avg (?:prompt|generation) throughput: ')
_SHUTDOWN = re.compile(
    r"(?:Shutting down\.?$|Waiting for application shutdown|Gracefully stopping|\[shutdown\] API server: shutdown triggered|"
    r"Received SIGTERM|SIGTERM received|Shutting down FastAPI HTTP server|Ctrl-C|KeyboardInterrupt)"
)
_STOPS = frozenset(("KeyboardInterrupt", "asyncio.exceptions.CancelledError"))
_LOUD = frozenset(("ERROR", "WARNING", "CRITICAL"))
_DEATH = re.compile(
    r"EngineDeadError|[Ee]ngine core (?:proc .{0,60}? )?(?:died|exited) unexpectedly|Engine process \(pid \d+\) died|"
    r"Engine (?:process failed to start|core initialization failed)|Background loop has errored|Worker(?:Proc)? .{0,60}died|"
    r"AsyncEngineDeadError|error while attempting to bind on address"
)
#: Said by processes that wait: no progress.
_HEARTBEATS = (
    "No available shared memory broadcast block",
    "Waiting for ",
    "Still waiting",
    "still waiting",
    "Retrying in ",
)


class EndingReader:
    """Collects, record by record, what the end of a run will be judged by. Lines are numbers in the input, 0 = not seen."""

    def __init__(self) -> None:
        self.ready_line = 0
        self.serving_line = 0
        self.shutdown_line = 0
        self.death_line = 0
        self.last_line = 0
        self.progress_clock: float | None = None
        self.last_clock: float | None = None

    def feed(self, record: Record) -> None:
        said = record.message
        self.last_line = max(self.last_line, record.lines[-1].number)
        if record.clock is not None:
            self.last_clock = record.clock
            if not said.startswith(_HEARTBEATS):
                self.progress_clock = record.clock
        if not self.shutdown_line and (record.exception in _STOPS or _SHUTDOWN.match(said)):
            self.shutdown_line = record.first_line
        if (
            not self.serving_line
            and ("HTTP/" in said or "throughput: " in said)
            and not record.frames
            and _SERVING.search(said)
        ):
            self.serving_line = record.first_line
        elif not self.ready_line and not record.frames and _READY.search(said):
            self.ready_line = record.first_line
        if (
            not self.death_line
            and (record.exception or record.level in _LOUD)
            and _DEATH.search(f"{record.exception}: {said}")
        ):
            self.death_line = record.first_line

    @property
    def was_up(self) -> bool:
        """The server answered, or said that it would."""
        return bool(self.ready_line or self.serving_line)

    @property
    def up_line(self) -> int:
        """From this line on the server was up; 0 if it never was. An answered request proves it for logs that start late."""
        return self.ready_line or self.serving_line

    @property
    def stopped(self) -> bool:
        """Somebody asked it to stop, and nothing had died before: what follows is the noise of a shutdown."""
        return bool(self.shutdown_line) and not 0 < self.death_line < self.shutdown_line

    @property
    def stalled_s(self) -> float:
        """Seconds without progress at the end of the log: the process still spoke, but only to say that it waits."""
        if self.progress_clock is None or self.last_clock is None:
            return 0.0
        return max(0.0, self.last_clock - self.progress_clock)

    def ended(self, failed: bool) -> str:
        """clean, abrupt, running, or cut off."""
        if self.stopped:
            return "clean"
        if failed or self.death_line:
            return "abrupt"
        return "running" if self.was_up else "cut off"
