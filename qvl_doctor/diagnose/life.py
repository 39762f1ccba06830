"""Whether a server lives: what its log proves, record by record, of one start-up.

A death ends only with a new ready mark, or with an answer that needed the engine and was given after it. Which lines are
such marks stands in `logs/milestones.py`.
"""

from __future__ import annotations

from qvl_doctor.logs.milestones import (
    ACTIVITY,
    ANSWER,
    ASKED,
    BOUND,
    DEATH,
    ENGINE,
    GONE,
    READY,
    STOPPING,
    Milestone,
    milestone_of,
)
from qvl_doctor.model import Record

#: Said by processes that wait: no progress.
_HEARTBEATS = (
    "No available shared memory broadcast block",
    "Waiting for ",
    "Still waiting",
    "still waiting",
    "Retrying in ",
)
#: A server looks this often whether its engine has died (entrypoints/launcher.py, VLLM_WATCHDOG_TIME_S). Until then it takes
#: requests, and says 200 to those that stream before it knows whether they will be answered.
_WATCHDOG_S = 5.0
#: Answers that prove life where no line has a time.
_ENOUGH_ANSWERS = 3


class Life:
    """Collects what the verdict on a run rests on. Lines are numbers in the input, 0 = not seen."""

    def __init__(self) -> None:
        self.ready_line = 0
        #: The first line that shows that the server had come up, and the last that proves that it works.
        self.up_line = 0
        self.proof_line = 0
        self.death_line = 0
        self.stop_line = 0
        self.engine_line = 0
        self.last_line = 0
        #: The stop was asked for; the server has a front end, or is a program around LLM(…).
        self.asked = False
        self.serves = False
        self.first_clock: float | None = None
        self.progress_clock: float | None = None
        self.last_clock: float | None = None
        self._death_clock: float | None = None
        self._vanished = False
        self._answers = 0

    def feed(self, record: Record, mark: Milestone | None) -> None:
        """Takes in a record and the mark that it carries."""
        self.last_line = max(self.last_line, record.lines[-1].number)
        if record.clock is not None:
            self.last_clock = record.clock
            if self.first_clock is None:
                self.first_clock = record.clock
            if not record.message.startswith(_HEARTBEATS):
                self.progress_clock = record.clock
        self.serves = self.serves or record.role == "api"
        if mark is not None:
            self._mark(mark.kind, record.first_line)

    def _mark(self, kind: str, line: int) -> None:
        if kind == READY:
            self._revive(line)
            self.ready_line = self.ready_line or line
            self.stop_line, self.asked, self.serves = 0, False, True
        elif kind == ANSWER:
            self._answered(line)
        elif kind == ACTIVITY:
            self.up_line = self.up_line or line
        elif kind == ENGINE:
            self.engine_line = self.engine_line or line
        elif kind == BOUND:
            self.up_line = self.ready_line = self.proof_line = 0
            self._died(line, vanished=False)
        elif kind in (DEATH, GONE):
            self._died(line, vanished=kind == GONE)
        elif kind in (ASKED, STOPPING):
            self._stopped(line, asked=kind == ASKED)

    def _revive(self, line: int) -> None:
        self.up_line = self.up_line or line
        self.proof_line = line
        self.death_line, self._death_clock, self._answers, self._vanished = 0, None, 0, False

    def _answered(self, line: int) -> None:
        """After a death only a late answer counts: streams that began before it, and those the server took before it knew."""
        if not self.death_line:
            self._revive(line)
            return
        self._answers += 1
        if self._death_clock is None or self.last_clock is None:
            late = self._answers >= _ENOUGH_ANSWERS
        else:
            late = self.last_clock > self._death_clock + _WATCHDOG_S
        if late:
            self._revive(line)

    def _died(self, line: int, *, vanished: bool) -> None:
        if self.stop_line and (self.asked or (vanished and self.proof_line)):
            return  # the noise of a stop: it had been well until then
        if not self.death_line:
            self.death_line, self._death_clock, self._answers = line, self.last_clock, 0
            self._vanished = vanished
        elif not vanished:
            self._vanished = False

    def _stopped(self, line: int, *, asked: bool) -> None:
        if self.death_line:
            # Ctrl-C reaches every process: the engine may be gone before the server says that it was told to stop.
            if not (asked and self._vanished and self._just_now()):
                return
            self.death_line = 0
        if not self.stop_line:
            self.stop_line = line
        self.asked = self.asked or asked

    def _just_now(self) -> bool:
        if self._death_clock is None or self.last_clock is None:
            return True
        return self.last_clock - self._death_clock <= _WATCHDOG_S

    @property
    def was_up(self) -> bool:
        """The server answered, or said that it would; or a program has its engine and was not a server."""
        return bool(self.up_line) or self.worked

    @property
    def worked(self) -> bool:
        """A program around LLM(…) came to its end: its engine was ready, and was told to stop."""
        return bool(self.engine_line and self.stop_line) and not self.serves and not self.death_line

    @property
    def dead(self) -> bool:
        """Something that the server needs has died, and nothing after that proves life."""
        return bool(self.death_line)

    @property
    def stopped(self) -> bool:
        """It was stopped, and nothing had died before: what follows is the noise of a shutdown."""
        return bool(self.stop_line) and not self.death_line

    @property
    def interrupted(self) -> bool:
        """It was told to stop before it was ready."""
        return self.stopped and not self.was_up

    @property
    def ran_s(self) -> float:
        """Seconds from the first time in the log to the last."""
        if self.first_clock is None or self.last_clock is None:
            return 0.0
        return max(0.0, self.last_clock - self.first_clock)

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


def life_of(records: list[Record]) -> Life:
    """What the records of one start-up prove."""
    life = Life()
    for record in records:
        life.feed(record, milestone_of(record))
    return life
