"""Several logs in one input: lines of several pods or containers, told apart by their prefixes.

Each is judged; the worst decides.

Whoever looks with `kubectl logs --prefix`, stern or compose sees all of them as one. A proxy's answers prove nothing of
vLLM, and a pod that serves nothing of the one next to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from qvl_doctor.diagnose.engine import Diagnosing
from qvl_doctor.diagnose.life import Life
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.diagnose.verdict import concluded, worst_first
from qvl_doctor.late import late_pattern
from qvl_doctor.messages import both, say
from qvl_doctor.model import LANGUAGES, Diagnosis, Fact, Facts, Hit, Record, Rule, Seen, Text

if TYPE_CHECKING:
    from qvl_doctor.launch.pasted import Pasted

_MOST = 64
_MOST_NAMED = 8
#: What compose itself says of a container.
_OF_CONTAINER = late_pattern(r"(?P<name>\S{1,120}) exited with code \d")


class State(NamedTuple):
    """How the servers of an input are by now: ready if all that started are, dead if one is, otherwise "".

    And what shows it.
    """

    name: str = ""
    line: int = 0
    origin: str = ""


class Streams:
    """One input of one or several logs; used like `Diagnosing`."""

    def __init__(
        self,
        rules: Sequence[Rule],
        known: Mapping[str, Fact] | None = None,
        seen: Seen | None = None,
        *,
        live: bool = False,
    ) -> None:
        self._make = partial(Diagnosing, rules, known, seen, Matcher(rules), live=live)
        self._engines: dict[str, Diagnosing] = {}
        self._last = ""
        self._names: set[str] = set()

    def feed(self, records: Iterable[Record]) -> list[Hit]:
        """Looks at finished records; returns what rules said about them, before facts and ranking."""
        parts = self._parts(records)
        hits = [hit for origin, part in parts.items() for hit in self._engine(origin).feed(part)]
        return hits if len(parts) < 2 else sorted(hits, key=lambda hit: hit.record.first_line if hit.record else 0)

    def foreseen(self, records: Iterable[Record]) -> tuple[list[Hit], State]:
        """What `feed` would return for records that may still grow, and how the server would be.

        Nothing of it is kept.
        """
        last = self._last
        parts = self._parts(records)
        self._last = last
        hits: list[Hit] = []
        lives: dict[str, Life] = {}
        for origin in (*self._engines, *(name for name in parts if name not in self._engines)):
            engine, part = self._engines.get(origin) or self._make(), parts.get(origin, ())
            said, life = engine.foreseen(part)
            hits += said
            if engine.of_vllm or any(record.file or record.role for record in part):
                lives[origin] = life
        return hits, _state_of(lives)

    def finish(self, source: str) -> Diagnosis:
        """The diagnosis of what was fed: of the log that is worst off, and a note on the others."""
        engines = {name: engine for name, engine in self._engines.items() if engine.of_vllm} or self._engines
        if len(engines) < 2:
            return (*engines.values(), self._make())[0].finish(source)
        found = {name: engine.finish(source) for name, engine in engines.items()}
        # The pods of one server on several nodes: only one of them says when it is ready.
        told = {
            name: each for name, each in found.items() if each.verdict != "unknown" or engines[name].started
        } or found
        worst = worst_first(told, lambda name: told[name])[0]
        runs = [run._replace(origin=name) for name, each in told.items() for run in each.runs]
        diagnosis = told[worst]._replace(runs=tuple(sorted(runs, key=lambda run: run.first_line)))
        if len(told) < 2:
            return diagnosis
        note = both("not_checked.streams", count=len(told), verdicts=_verdicts(told), name=worst)
        return concluded(diagnosis._replace(not_checked=(note, *diagnosis.not_checked)), origin=worst)

    def see(self, seen: Seen) -> None:
        """Adds what was seen of the command, the machine or the pod after the log was read."""
        for engine in self._engines.values():
            engine.see(seen)

    @property
    def facts(self) -> Facts:
        """What is known so far of the last start of vLLM."""
        engines = list(self._engines.values())
        return next((engine for engine in engines if engine.of_vllm), (*engines, self._make())[0]).facts

    def pasted(self, facts: Facts) -> Pasted | None:
        """The command that was pasted next to the log of these facts; None if they are from elsewhere."""
        return next((found for engine in self._engines.values() if (found := engine.pasted(facts))), None)

    @property
    def silent(self) -> bool:
        """No rule, no exception and no sign of life in any of them."""
        return all(engine.silent for engine in self._engines.values())

    @property
    def empty(self) -> bool:
        """Silent, and no fact in any of them either."""
        return all(engine.empty for engine in self._engines.values())

    def _parts(self, records: Iterable[Record]) -> dict[str, list[Record]]:
        parts: dict[str, list[Record]] = {}
        for record in records:
            parts.setdefault(self._origin(record), []).append(record)
        return parts

    def _origin(self, record: Record) -> str:
        """The log that a record is of. Lines without a prefix go with the one before them: what they are was lost."""
        if record.origin:
            self._last = record.origin
            if len(self._names) < _MOST:
                self._names.add(record.origin)
        elif len(self._names) > 1 and (named := _OF_CONTAINER.match(record.message)):
            return named["name"] if named["name"] in self._names else self._last
        return self._last

    def _engine(self, origin: str) -> Diagnosing:
        if origin not in self._engines:
            if self._engines and not any(self._engines):  # what came before the first prefix
                self._engines[origin] = self._engines.pop("")
            elif len(self._engines) < _MOST:
                self._engines[origin] = self._make()
            else:
                return next(iter(self._engines.values()))
        return self._engines[origin]


def _state_of(lives: Mapping[str, Life]) -> State:
    """The state of several servers. One that was stopped, or that never began to start, keeps no one waiting."""
    states = {origin: life.state for origin, life in lives.items()}
    starting = any(not states[origin] and life.step for origin, life in lives.items())
    for wanted in ("dead",) if starting else ("dead", "ready"):
        for origin, state in states.items():
            if state == wanted:
                return State(state, lives[origin].state_line, origin)
    return State()


def _verdicts(found: Mapping[str, Diagnosis]) -> Text:
    """The name of each log with its verdict, in every language."""
    shown = list(found.items())[:_MOST_NAMED]
    return {
        lang: say("report.comma", lang).join(f"{name} {say(f'verdict.{each.verdict}', lang)}" for name, each in shown)
        + ("" if len(found) <= _MOST_NAMED else " …")
        for lang in LANGUAGES
    }
