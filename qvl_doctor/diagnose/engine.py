"""Records → a `Diagnosis`: cuts the log into runs, lets rules, facts and the ending look at each record, and judges each run.

engine = Diagnosing(rules)
hits = engine.feed(records)      # provisional: seen, not yet ranked
diagnosis = engine.finish(source)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from qvl_doctor.diagnose.derived import derive
from qvl_doctor.diagnose.ending import EndingReader
from qvl_doctor.diagnose.judging import STALLED_S, Observed, judge
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.diagnose.unrecognized import FailureLog
from qvl_doctor.logs.facts import FactReader
from qvl_doctor.logs.phases import Timeline
from qvl_doctor.model import Diagnosis, Fact, Facts, Finding, Hit, Record, Rule, Run, Text
from qvl_doctor.words import both

MAX_HITS = 5000
_VERDICTS = (("fatal", "failed"), ("degraded", "degraded"))
_BANNER = re.compile(r"vLLM (?:API )?server version \S|█\s+version \d|^starting vLLM server")
_PLATFORM = re.compile(r"^Automatically detected platform ")


class _Watch:
    """Everything that looks at the records of one run."""

    def __init__(self) -> None:
        self.first_line = 0
        self.records = 0
        self.banners = 0
        self.hits: list[Hit] = []
        self.failures = FailureLog()
        self.ending = EndingReader()
        self.facts = FactReader()
        self.timeline = Timeline()
        self.reached = ""

    def feed(self, record: Record) -> str:
        """Looks at a record; returns the phase that it belongs to."""
        self.first_line = self.first_line or record.first_line
        self.records += 1
        self.failures.feed(record)
        self.ending.feed(record)
        self.facts.feed(record)
        phase = self.timeline.feed(record)
        self.reached = phase or self.reached
        return phase

    def observed(self, known: Facts) -> Observed:
        facts = {**known, **self.facts.facts()}
        return Observed(self.hits, self.failures.chains, self.ending, facts | derive(facts), self.reached, self.records)


class Diagnosing:
    """One input, from its first record to its diagnosis. `known` are facts from elsewhere; what the log says wins."""

    def __init__(self, rules: Sequence[Rule], known: Mapping[str, Fact] | None = None) -> None:
        self._rules = rules
        self._known = dict(known or {})
        self._matcher = Matcher(rules)
        self._watch = _Watch()
        self._past: list[tuple[Run, tuple[Finding, ...]]] = []

    def feed(self, records: Iterable[Record]) -> list[Hit]:
        """Looks at finished records; returns what rules said about them, before facts and ranking."""
        said: list[Hit] = []
        batch: list[Record] = []
        for record in records:
            if self._starts_anew(record):
                said += self._look(batch)
                batch = []
                self._end_run()
            if _BANNER.search(record.message):
                self._watch.banners += 1
            batch.append(record)
        return said + self._look(batch)

    def finish(self, source: str) -> Diagnosis:
        """The diagnosis of what was fed. Verdict, findings and facts are those of the last run."""
        watch = self._watch
        observed = watch.observed(self._known)
        findings, facts, verdict = judge(observed, self._rules)
        runs = [run for run, _ in self._past] + [_run(watch, verdict, findings)]
        return Diagnosis(
            source=source,
            verdict=verdict,
            summary=_summary(verdict, findings, observed),
            facts=facts,
            findings=findings,
            runs=tuple(runs) if watch.records else (),
            timeline=watch.timeline.phases(facts),
            not_checked=_not_checked(facts, findings, watch),
        )

    @property
    def empty(self) -> bool:
        """No fact, no rule, no exception: this is no vLLM log."""
        watch = self._watch
        return not (self._past or watch.hits or watch.failures.chains or watch.ending.was_up or watch.facts.facts())

    def _look(self, batch: list[Record]) -> list[Hit]:
        phases = {id(record): self._watch.feed(record) for record in batch}
        hits = self._matcher.feed(batch, lambda record: phases[id(record)])
        room = MAX_HITS - len(self._watch.hits)
        self._watch.hits += hits[: max(0, room)]
        return hits

    def _starts_anew(self, record: Record) -> bool:
        """A second start-up in the same input: another banner, or another platform line after a death."""
        watch = self._watch
        if _BANNER.search(record.message) and watch.banners:
            # The logo repeats neither its version nor its model; servers of one start-up share a banner.
            return watch.records > 1
        died = bool(
            watch.ending.death_line or watch.ending.shutdown_line or any(chain[-1].role != "worker" for chain in watch.failures.chains)
        )
        return died and not record.process and bool(_PLATFORM.match(record.message)) and self._no_spawn(record)

    def _no_spawn(self, record: Record) -> bool:
        """The engine process of V0 also prints the platform line, but before anything has failed."""
        chains = self._watch.failures.chains
        return bool(chains) and chains[-1][-1].last_line < record.first_line and not self._watch.ending.was_up

    def _end_run(self) -> None:
        watch = self._watch
        findings, _, verdict = judge(watch.observed(self._known), self._rules)
        self._past.append((_run(watch, verdict, findings), findings))
        self._watch = _Watch()


def diagnose(records: Iterable[Record], rules: Sequence[Rule], source: str = "-", known: Mapping[str, Fact] | None = None) -> Diagnosis:
    """The diagnosis of records that are all there."""
    engine = Diagnosing(rules, known)
    engine.feed(sorted(records, key=lambda record: record.first_line))
    return engine.finish(source)


def _run(watch: _Watch, verdict: str, findings: Sequence[Finding]) -> Run:
    cause = findings[0].rule if findings and findings[0].role == "cause" else ""
    return Run(watch.first_line, watch.ending.last_line, verdict, cause)


def without(diagnosis: Diagnosis, ignored: Sequence[str]) -> Diagnosis:
    """The diagnosis without the findings of some rules; they still explain what they explain."""
    if not any(finding.rule in ignored for finding in diagnosis.findings):
        return diagnosis
    kept = tuple(finding for finding in diagnosis.findings if finding.rule not in ignored)
    verdict = next((name for level, name in _VERDICTS if any(finding.severity == level for finding in kept)), "")
    if not verdict:
        ready = diagnosis.facts.get("ready")
        verdict = "healthy" if ready and ready.value else "unknown"
    summary = (
        both(f"summary.{verdict}", title=kept[0].title)
        if verdict in {"failed", "degraded"}
        else both("summary.healthy_notices", count=len(kept))
    )
    return replace(diagnosis, findings=kept, verdict=verdict, summary=summary)


def _summary(verdict: str, findings: Sequence[Finding], seen: Observed) -> Text:
    ending = seen.ending
    if verdict in {"failed", "degraded"}:
        return both(f"summary.{verdict}", title=findings[0].title)
    if verdict == "healthy":
        if ending.stopped:
            return both("summary.stopped")
        return both("summary.healthy_notices", count=len(findings)) if findings else both("summary.healthy")
    if findings:
        return both("summary.remark", title=findings[0].title)
    if ending.stalled_s >= STALLED_S:
        return both("summary.stalled", phase=seen.phase, minutes=int(ending.stalled_s // 60))
    return both("summary.cut_off", phase=seen.phase)


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
