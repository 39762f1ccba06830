"""Records → a `Diagnosis`: cuts the log into runs, lets rules, facts and the signs of life look at each record, and judges each run.

engine = Diagnosing(rules)
hits = engine.feed(records)      # provisional: seen, not yet ranked
diagnosis = engine.finish(source)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from qvl_doctor.diagnose.derived import derive
from qvl_doctor.diagnose.judging import Observed, judge
from qvl_doctor.diagnose.life import Life
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.diagnose.unrecognized import FailureLog
from qvl_doctor.diagnose.verdict import concluded, verdict_of
from qvl_doctor.logs.facts import FactReader
from qvl_doctor.logs.milestones import milestone_of
from qvl_doctor.logs.phases import Timeline
from qvl_doctor.messages import both
from qvl_doctor.model import Diagnosis, Fact, Facts, Finding, Hit, Record, Rule, Run, Seen, Shown, Text

MAX_HITS = 5000
_BANNER = re.compile(r"vLLM (?:API )?server version \S|█\s+version \d|^starting vLLM server")


class _Watch:
    """Everything that looks at the records of one run."""

    def __init__(self) -> None:
        self.first_line = 0
        self.records = 0
        self.banners = 0
        self.hits: list[Hit] = []
        self.failures = FailureLog()
        self.life = Life()
        self.facts = FactReader()
        self.timeline = Timeline()
        self.reached = ""

    def feed(self, record: Record) -> str:
        """Looks at a record; returns the phase that it belongs to."""
        self.first_line = self.first_line or record.first_line
        self.records += 1
        mark = milestone_of(record)
        self.life.feed(record, mark)
        self.failures.feed(record)
        self.facts.feed(record, mark)
        phase = self.timeline.feed(record, mark)
        self.reached = phase or self.reached
        return phase

    def observed(self, known: Facts) -> Observed:
        facts = {**known, **self.facts.facts()}
        return Observed(self.hits, self.failures.chains, self.life, facts | derive(facts), self.reached, self.records)


class Diagnosing:
    """One input, from its first record to its diagnosis.

    `known` are facts from elsewhere, `seen` what was seen of the machine, the pod or the command; what the log says
    wins. `matcher` is one of the same rules: whoever reads many inputs makes it once.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        known: Mapping[str, Fact] | None = None,
        seen: Seen | None = None,
        matcher: Matcher | None = None,
    ) -> None:
        self._rules = rules
        self._seen = seen or Seen()
        self._known = {**self._seen.facts, **(known or {})}
        self._matcher = matcher or Matcher(rules)
        self._watch = _Watch()
        self._past: list[tuple[Run, tuple[Finding, ...]]] = []

    def feed(self, records: Iterable[Record]) -> list[Hit]:
        """Looks at finished records; returns what rules said about them, before facts and ranking."""
        said: list[Hit] = []
        batch: list[Record] = []
        phases: dict[int, str] = {}
        for record in records:
            if _BANNER.search(record.message):
                if self._watch.banners:  # one start-up in the input ends where the next one shows its banner
                    said += self._match(batch, phases)
                    batch, phases = [], {}
                    self._end_run()
                self._watch.banners += 1
            phases[id(record)] = self._watch.feed(record)
            batch.append(record)
        return said + self._match(batch, phases)

    def finish(self, source: str) -> Diagnosis:
        """The diagnosis of what was fed. Verdict, findings and facts are those of the last run."""
        watch = self._watch
        watch.hits += self._matcher.feed(
            self._seen.observations
        )  # they are about how things are now, so about the last run
        observed = watch.observed(self._known)
        findings, facts = judge(observed, self._rules)
        shown = _shown(observed)
        runs = [run for run, _ in self._past] + [_run(watch, shown, findings)]
        return concluded(
            Diagnosis(
                source=source,
                facts=facts,
                findings=findings,
                runs=tuple(runs) if watch.records else (),
                timeline=watch.timeline.phases(facts),
                not_checked=_not_checked(facts, findings, watch),
                shown=shown,
            )
        )

    def see(self, seen: Seen) -> None:
        """Adds what was seen of the command, the machine or the pod after the log was read."""
        self._seen |= seen
        self._known = {**seen.facts, **self._known}

    @property
    def facts(self) -> Facts:
        """What is known of the last run so far."""
        return {**self._known, **self._watch.facts.facts()}

    @property
    def empty(self) -> bool:
        """No fact, no rule, no exception: this is no vLLM log."""
        watch = self._watch
        return not (self._past or watch.hits or watch.failures.chains or watch.life.was_up or watch.facts.facts())

    def _match(self, batch: list[Record], phases: Mapping[int, str]) -> list[Hit]:
        hits = self._matcher.feed(batch, lambda record: phases[id(record)])
        room = MAX_HITS - len(self._watch.hits)
        self._watch.hits += hits[: max(0, room)]
        return hits

    def _end_run(self) -> None:
        watch = self._watch
        observed = watch.observed(self._known)
        findings, _ = judge(observed, self._rules)
        self._past.append((_run(watch, _shown(observed), findings), findings))
        self._watch = _Watch()


def diagnose(
    records: Iterable[Record], rules: Sequence[Rule], source: str = "-", known: Mapping[str, Fact] | None = None
) -> Diagnosis:
    """The diagnosis of records that are all there."""
    engine = Diagnosing(rules, known)
    engine.feed(sorted(records, key=lambda record: record.first_line))
    return engine.finish(source)


def _run(watch: _Watch, shown: Shown, findings: Sequence[Finding]) -> Run:
    cause = findings[0].rule if findings and findings[0].role == "cause" else ""
    return Run(watch.first_line, watch.life.last_line, verdict_of(shown, findings), cause)


def _shown(seen: Observed) -> Shown:
    """How a run went, for the verdict."""
    life = seen.life
    return Shown("log", life.was_up, life.stopped, phase=seen.phase, stalled_s=life.stalled_s)


def _not_checked(facts: Facts, findings: Sequence[Finding], watch: _Watch) -> tuple[Text, ...]:
    """What the log did not show, so that nobody takes silence for a clean bill; and where to look if it shows nothing at all."""
    missing: list[Text] = []
    if not watch.banners and "args" not in facts:
        missing.append(both("not_checked.late_start"))
    if "vllm" not in facts:
        missing.append(both("not_checked.no_release"))
    if facts["ended"].value == "cut off":
        missing.append(both("not_checked.early_end"))
        if not findings:
            missing.append(both(f"look_at.{watch.reached}" if watch.reached else "look_at.unknown_phase"))
            missing.append(both("look_at.cut_off"))
    return tuple(missing)
