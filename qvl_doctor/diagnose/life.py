"""Whether a server lives: what its log proves, record by record, of one start.

A death ends only with a new ready mark, or with an answer that needed the engine and was given after it. Which lines
are such marks is in `logs/milestones.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

from qvl_doctor.logs.milestones import (
    ACTIVITY,
    ANSWER,
    ASKED,
    BOUND,
    CRASH,
    DEATH,
    EARLY,
    ENGINE,
    FAULT,
    GONE,
    LISTENING,
    READY,
    STEP,
    STOPPING,
    TOLD,
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
#: A server looks this often whether its engine has died (entrypoints/launcher.py, VLLM_WATCHDOG_TIME_S). Until then it
#: takes requests, and says 200 to those that stream before it knows whether they will be answered.
_WATCHDOG_S = 5.0
#: Answers that prove life where no line has a time.
_ENOUGH_ANSWERS = 3
_MAX_PROCESSES = 1024


class Life:
    """Collects what the verdict on a run rests on. Lines are numbers in the input, 0 = not seen."""

    def __init__(self) -> None:
        #: The last ready mark, the last proof that the server works, and the first line that shows that it had come up.
        self.ready_line = self.proof_line = self.up_line = 0
        #: A request was answered, be it with an error.
        self.came_up_line = 0
        self.engine_line = self.step_line = self.stop_line = 0
        #: The step of the start that was reached last, and the record that told it to stop.
        self.step = ""
        self.stop: Record | None = None
        #: The record with which the death began that nothing ended since, and that with which the main program ended.
        self.death: Record | None = None
        self.crash: Record | None = None
        self.last_line = 0
        #: The stop was asked for from outside; the engine was told to stop; the server has a front end, or is a program
        #: around LLM(…); it was about to listen.
        self.asked = self.told = self.serves = self.listening = False
        #: It was told to stop before it listened.
        self.early = False
        self.first_clock: float | None = None
        self.progress_clock: float | None = None
        self.last_clock: float | None = None
        self._death_clock: float | None = None
        self._vanished = False
        self._answers = 0
        self._steps: dict[str, int] = {}

    def feed(self, record: Record, mark: Milestone | None) -> None:
        """Takes in a record and the mark that it carries."""
        self.last_line = max(self.last_line, record.lines[-1].number)
        if record.clock is not None:
            self.last_clock = record.clock
            if self.first_clock is None:
                self.first_clock = record.clock
            if not record.message.startswith(_HEARTBEATS):
                self.progress_clock = record.clock
        self.serves = self.serves or (record.role == "api" and not record.frames)
        if mark is not None:
            self._mark(mark, record)

    def foreseen(self) -> Life:
        """A copy, to look at what is not sure yet."""
        life = copy(self)
        vars(life)["_steps"] = dict(self._steps)
        return life

    def _mark(self, mark: Milestone, record: Record) -> None:
        kind, line = mark.kind, record.first_line
        if kind in {READY, ANSWER, ACTIVITY, FAULT}:
            self.came_up_line = self.came_up_line or line
            self.serves = self.serves or not mark.words  # an access line
        if kind == READY:
            self._revive(line)
            self.ready_line, self.stop_line, self.stop = line, 0, None
            self.asked = self.told = False
            self.serves = True
        elif kind == ANSWER:
            self._answered(line, of_server=not mark.words)
        elif kind == ACTIVITY:
            self.up_line = self.up_line or line
        elif kind in {STEP, ENGINE}:
            self._stepped(record, mark)
        elif kind == LISTENING:
            self.listening = self.serves = True
        elif kind == BOUND:
            self.up_line = self.came_up_line = self.ready_line = self.proof_line = 0
            self._died(record, kind)
        elif kind in {DEATH, GONE, CRASH}:
            self._died(record, kind)
        elif kind in {ASKED, EARLY, TOLD, STOPPING}:
            self._stopped(record, kind)

    def _stepped(self, record: Record, mark: Milestone) -> None:
        self.step_line, self.step = record.first_line, mark.then
        if mark.kind == ENGINE:
            self.engine_line = record.first_line
        if record.process in self._steps or len(self._steps) < _MAX_PROCESSES:
            self._steps[record.process] = record.first_line

    def _revive(self, line: int) -> None:
        self.up_line = self.up_line or line
        self.proof_line = line
        self.death, self._death_clock, self._answers, self._vanished, self.crash = None, None, 0, False, None

    def _answered(self, line: int, *, of_server: bool) -> None:
        """After a death only a late answer of a server counts: others are those of streams that it took before it knew.

        A program around LLM(…) only shows its progress bar once more.
        """
        if self.death is None:
            self._revive(line)
        if self.death is None or not of_server:
            return
        self._answers += 1
        if self._death_clock is None or self.last_clock is None:
            late = self._answers >= _ENOUGH_ANSWERS
        else:
            late = self.last_clock > self._death_clock + _WATCHDOG_S
        if late and not self.crashed:
            self._revive(line)

    def _died(self, record: Record, kind: str) -> None:
        if self.stop_line and (self.asked or (self.told and kind != CRASH) or (kind == GONE and self.proof_line)):
            return  # the noise of a stop: it had been well until then
        if kind == CRASH:
            self.crash = record
        if self.death is None:
            self.death, self._death_clock, self._answers = record, self.last_clock, 0
            self._vanished = kind == GONE
        elif kind != GONE:
            self._vanished = False

    def _stopped(self, record: Record, kind: str) -> None:
        if self.death is not None:
            # Ctrl-C reaches every process: the engine may be gone before the server says that it was told to stop.
            if not (kind in {ASKED, EARLY} and self._vanished and self._just_now()):
                return
            self.stop_line = self.stop_line or self.death.first_line
            self.death = None
        if self.stop is None or (kind in {ASKED, EARLY} and not self.asked):
            self.stop = record
        self.stop_line = self.stop_line or record.first_line
        self.asked = self.asked or kind in {ASKED, EARLY}
        self.early = self.early or kind == EARLY
        self.told = self.told or kind == TOLD

    def _just_now(self) -> bool:
        if self._death_clock is None or self.last_clock is None:
            return True
        return self.last_clock - self._death_clock <= _WATCHDOG_S

    def progressed(self, record: Record) -> bool:
        """Whether the process that logged an error came further in its start after it.

        Where no process is named, a traceback may be the end of any of them; of a line alone that is not likely.
        What was seen elsewhere (of the machine, of the pod) is on no line of the log: no step comes after it.
        """
        if not record.level or record.observation:
            return False
        if record.process:
            return self._steps.get(record.process, 0) > record.last_line
        return self.step_line > record.last_line and not (record.exception or record.frames)

    @property
    def state(self) -> str:
        """ready, dead, stopped, or "" as long as it starts."""
        if self.dead or self.interrupted:
            return "dead"
        if self.stopped:
            return "stopped"
        return "ready" if self.was_up else ""

    @property
    def state_line(self) -> int:
        """The line with which it became so."""
        if self.death is not None:
            return self.death.first_line
        return self.stop_line or self.proof_line or self.up_line or self.engine_line

    @property
    def was_up(self) -> bool:
        """The server answered, or said that it would; or a program has its engine and was not a server."""
        return bool(self.up_line) or self.worked

    @property
    def came_up(self) -> bool:
        """It took requests, whatever came of them."""
        return bool(self.came_up_line) or self.worked

    @property
    def worked(self) -> bool:
        """A program around LLM(…) came to its end: its engine was ready, and was told to stop."""
        return bool(self.engine_line and self.stop_line) and not self.serves and self.death is None

    @property
    def dead(self) -> bool:
        """Something that the server needs has died, and nothing after that proves life."""
        return self.death is not None

    @property
    def overcome_line(self) -> int:
        """What failed before this line was overcome: the server became ready, or, where it lives, answered after it."""
        return self.ready_line if self.dead else self.proof_line

    @property
    def stopped(self) -> bool:
        """It was stopped, and nothing had died before: what follows is the noise of a shutdown."""
        return bool(self.stop_line) and self.death is None

    @property
    def interrupted(self) -> bool:
        """It was stopped while it started. A server that is about to listen may serve without saying so."""
        return self.stopped and not self.came_up and (self.early or (bool(self.step_line) and not self.listening))

    @property
    def crashed(self) -> bool:
        """The main program itself ended with an error."""
        return self.crash is not None

    def begins_anew(self, record: Record, mark: Milestone | None, banner: bool) -> bool:
        """Whether a record belongs to another start than what came before it."""
        if banner:
            return bool(self.came_up_line or self.stop_line or self.dead)
        if mark is None or mark.kind != CRASH or self.crash is None or record.chained:
            return False
        return record.process in ("", self.crash.process) and not _alike(record, self.crash)

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
        """interrupted, clean, abrupt, running, or cut off."""
        if self.interrupted:
            return "interrupted"
        if self.stopped:
            return "clean"
        if failed or self.dead:
            return "abrupt"
        return "running" if self.came_up else "cut off"


def _alike(one: Record, other: Record) -> bool:
    """Whether two ends say the same: one start that is shown twice, or several processes of it."""
    return (one.exception, one.message) == (other.exception, other.message) or one.process != other.process


def life_of(records: Iterable[Record]) -> Life:
    """What the records of one start prove."""
    life = Life()
    for record in records:
        life.feed(record, milestone_of(record))
    return life
