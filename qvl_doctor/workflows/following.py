"""A log that still grows.

What its rules say is told as it comes, until its end, a state, a time, or whoever asked for it.

What is told meanwhile is provisional. A record that may still grow is looked at when nothing has come for `QUIET_S`,
and stays open: the report at the end is the one that the whole input would have had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from typing import NamedTuple

from qvl_doctor.diagnose.streams import State, Streams
from qvl_doctor.logs.growing import Growing, growing
from qvl_doctor.logs.records import LogReader
from qvl_doctor.model import Hit, Record

#: After so long a silence the last record is taken for whole.
QUIET_S = 0.05
#: So often it is asked whether to go on.
_TICK_S = 0.25
#: A state counts after so long a silence, or when it has held for so long: what killed a server is often told after its
#: death.
_SETTLED_S = {"ready": (QUIET_S, 1.0), "dead": (1.0, 5.0)}
#: Who got less than this has read all that there was.
_DRAINED = 32 * 1024
_MOST_COUNTED = 4096
READY, DEAD = "ready", "dead"


class Said(NamedTuple):
    """What a log has just shown: that a rule speaks ("finding"), or that the server is "ready" or "dead".

    `times` is how often the rule has spoken: it is told of the first time, the tenth, the hundredth …
    """

    kind: str
    line: int
    origin: str = ""
    rule: str = ""
    severity: str = ""
    text: str = ""
    times: int = 1


class Following(NamedTuple):
    """How a log is followed: who is told, and what ends it.

    `until` is "ready", "dead" or "". `stopped` is asked several times a second; `wake` is a descriptor that can be read
    from as soon as it should be asked at once. `waiting` is told once if the file is not there yet.
    """

    tell: Callable[[Said], None]
    ignore: Collection[str] = ()
    until: str = ""
    timeout_s: float | None = None
    stopped: Callable[[], bool] = lambda: False
    wake: int = -1
    waiting: Callable[[], None] = lambda: None


def feed(path: str, reader: LogReader, engine: Streams, how: Following) -> None:
    """Feeds a log that still grows to the engine until one of the ends. Raises InputError and UsageError."""
    with closing(growing(path, how.wake)) as source:
        if source.missing:
            how.waiting()
        _feed(source, reader, engine, how)


def _feed(source: Growing, reader: LogReader, engine: Streams, how: Following) -> None:
    ear, goal = _Ear(how), _Goal(how.until)
    now = last = time.monotonic()
    ends = now + how.timeout_s if how.timeout_s is not None else None
    fresh = False
    while not how.stopped() and (ends is None or now < ends):
        patience = QUIET_S if fresh else _TICK_S
        data = source.wait(patience if ends is None else min(patience, ends - now))
        if data is None:
            return
        now = time.monotonic()
        if data:
            last, fresh = now, True
            ear.hear(engine.feed(reader.feed(data)))
        quiet = now - last
        if fresh or how.until:
            hits, state = engine.foreseen(reader.unfinished())
            if fresh and quiet >= QUIET_S:
                fresh = False
                ear.hear(hits, unfinished=True)
            ear.see(state)
            if goal.reached(state, now, quiet, drained=len(data) < _DRAINED):
                return


class _Ear:
    """Tells of each finding once, and of its repetitions by their number; of a state when it changes."""

    def __init__(self, how: Following) -> None:
        self._tell, self._ignore = how.tell, how.ignore
        self._times: dict[tuple[str, str], int] = {}
        #: The first lines of records that may still grow and were told of: they come again when they are finished.
        self._early: set[int] = set()
        self._state = State()

    def hear(self, hits: Iterable[Hit], *, unfinished: bool = False) -> None:
        told = self._early
        if unfinished:
            self._early = set()
        for hit in hits:
            if hit.record is None or hit.rule.id in self._ignore:
                continue
            line = hit.record.first_line
            if unfinished:
                self._early.add(line)
            if line not in told:
                self._count(hit, hit.record)

    def _count(self, hit: Hit, record: Record) -> None:
        key = (record.origin, hit.rule.id)
        if key not in self._times and len(self._times) >= _MOST_COUNTED:
            key = ("", hit.rule.id)
        times = self._times[key] = self._times.get(key, 0) + 1
        if str(times).strip("0") == "1":
            said = Said("finding", record.first_line, record.origin, hit.rule.id, hit.severity, record.message, times)
            self._tell(said)

    def see(self, state: State) -> None:
        if state.name and _is_new(state, self._state):
            self._tell(Said(state.name, state.line, state.origin))
        self._state = state


class _Goal:
    """Whether what was waited for has come, or what rules it out: a server that died will not be ready."""

    def __init__(self, until: str) -> None:
        self._ends = {READY: (READY, DEAD), DEAD: (DEAD,)}.get(until, ())
        self._state = State()
        self._since = 0.0

    def reached(self, state: State, now: float, quiet: float, *, drained: bool) -> bool:
        if _is_new(state, self._state):
            self._since = now
        self._state = state
        if state.name not in self._ends:
            return False
        silence, while_ = _SETTLED_S[state.name]
        return quiet >= silence or (drained and now - self._since >= while_)


def _is_new(state: State, before: State) -> bool:
    """Whether a server is not as before: each death is one of its own, and every answer says again that it is ready."""
    return state != before if state.name == before.name == DEAD else state.name != before.name
