"""Records → a `Diagnosis`.

Cuts the log into runs, lets rules, facts and the signs of life look at each record, and judges each run.

engine = Diagnosing(rules)
hits = engine.feed(records)      # provisional: seen, not yet ranked
diagnosis = engine.finish(source)
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from qvl_doctor.diagnose.besides import Besides
from qvl_doctor.diagnose.derived import derive
from qvl_doctor.diagnose.judging import Observed, judge, so_far
from qvl_doctor.diagnose.life import Life
from qvl_doctor.diagnose.matching import Matcher, thinned
from qvl_doctor.diagnose.refusals import Refusals
from qvl_doctor.diagnose.unrecognized import FailureLog, complaint_of, finding_of_line
from qvl_doctor.diagnose.verdict import concluded, verdict_of
from qvl_doctor.late import late_pattern
from qvl_doctor.logs.facts import FactReader
from qvl_doctor.logs.milestones import Milestone, milestone_of
from qvl_doctor.logs.phases import Timeline, is_beyond
from qvl_doctor.messages import both
from qvl_doctor.model import (
    UNRECOGNIZED,
    Diagnosis,
    Fact,
    Facts,
    Finding,
    Hit,
    Record,
    Rule,
    Run,
    Seen,
    Shown,
    Text,
    fact_text,
)

if TYPE_CHECKING:
    from qvl_doctor.launch.pasted import Pasted

MAX_HITS = 1000
MAX_UNPLACED = 400
#: What is logged so is not looked at again.
QUIET = frozenset(("WARNING", "INFO", "DEBUG", "TRACE"))
#: So many starts that fail alike, one after the other, are a loop.
_LOOP = 2
_BANNER = late_pattern(r"vLLM (?:API )?server version \S|█\s+version \d|^starting vLLM server")


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
        self.refusals = Refusals()
        self.timeline = Timeline()
        self.reached = ""
        #: What could be looked at again: records that say neither that all is well nor what a rule knows.
        self.unplaced: deque[Record] = deque(maxlen=MAX_UNPLACED)
        #: A process of vLLM wrote into it, not only what every web server writes.
        self.of_vllm = False

    def ends_before(self, record: Record, mark: Milestone | None, banner: bool) -> bool:
        """Whether this run ends where a record shows the beginning of the next one."""
        return (banner and self.banners > 0) or self.life.begins_anew(record, mark, banner)

    def feed(self, record: Record, mark: Milestone | None) -> str:
        """Looks at a record with its mark; returns the phase that it belongs to."""
        self.first_line = self.first_line or record.first_line
        self.records += 1
        self.of_vllm = self.of_vllm or bool(record.file or record.role)
        self.life.feed(record, mark)
        self.failures.feed(record)
        self.facts.feed(record, mark)
        self.refusals.feed(record, mark)
        phase = self.timeline.feed(record, mark)
        self.reached = phase or self.reached
        return phase

    def keep(self, hits: Iterable[Hit]) -> None:
        """Adds hits. Of very many those in the middle are only counted, and their exceptions forgotten."""
        self.hits += hits
        if len(self.hits) > MAX_HITS:
            kept = thinned(self.hits)
            gone = {id(hit.record) for hit in self.hits} - {id(hit.record) for hit in kept}
            self.failures.forget(gone)
            self.hits = kept

    def observed(self, known: Facts) -> Observed:
        life = self.life
        facts = {**self.facts.facts(known), **self.refusals.facts(life.first_clock, life.last_clock)}
        quotes = {"ended": life.stop, "refused": self.refusals.last}
        return Observed(
            self.hits,
            self.failures.chains,
            life,
            facts | derive(facts),
            self.reached,
            self.records,
            {name: record for name, record in quotes.items() if record is not None},
        )


class Diagnosing:
    """One input, from its first record to its diagnosis.

    `known` are facts from elsewhere, `seen` what was seen of the machine, the pod or the command; what the log says
    wins. `matcher` is one of the same rules: whoever reads many inputs makes it once. `live`: of the hits that `feed`
    returns only those are wanted that count by what is known so far.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        known: Mapping[str, Fact] | None = None,
        seen: Seen | None = None,
        matcher: Matcher | None = None,
        *,
        live: bool = False,
    ) -> None:
        self._rules = rules
        self._seen = seen or Seen()
        self._known = {**self._seen.facts, **(known or {})}
        self._matcher = matcher or Matcher(rules)
        self._live = live
        self._watch = _Watch()
        self._besides = Besides()
        self._past: list[Run] = []
        #: The last starts as they were judged: a crash loop is cut off anywhere.
        self._judged: deque[_Judged] = deque(maxlen=_LOOP)
        self._stops: Counter[str] = Counter()

    def feed(self, records: Iterable[Record]) -> list[Hit]:
        """Looks at finished records; returns what rules said about them, before facts and ranking."""
        said: list[Hit] = []
        batch: list[Record] = []
        phases: dict[int, str] = {}
        for record in records:
            mark = milestone_of(record)
            banner = bool(_BANNER.search(record.message))
            if self._watch.ends_before(record, mark, banner):
                said += self._match(batch, phases)
                batch, phases = [], {}
                self._end_run()
            self._watch.banners += banner
            phases[id(record)] = self._watch.feed(record, mark)
            self._besides.feed(record)
            batch.append(record)
        return said + self._match(batch, phases)

    def foreseen(self, records: Iterable[Record]) -> tuple[list[Hit], Life]:
        """What `feed` would return for records that may still grow, and what would be known of life.

        Nothing of it is kept.
        """
        watch, life = self._watch, self._watch.life.foreseen()
        records = tuple(records)
        for record in records:
            mark = milestone_of(record)
            if watch.ends_before(record, mark, bool(_BANNER.search(record.message))):
                life = Life()
            life.feed(record, mark)
        return self._counting(self._matcher.feed(records), life), life

    def finish(self, source: str) -> Diagnosis:
        """The diagnosis of what was fed. Verdict, findings and facts are those of the last run."""
        watch = self._watch
        watch.hits += self._matcher.feed(
            self._seen.observations
        )  # they are about how things are now, so about the last run
        last = self._judge()
        runs = (*self._past, last.run) if watch.records else ()
        notes: tuple[Text, ...] = ()
        if self._loops(last):
            notes = (both("not_checked.unfinished_start", count=len(self._past)),)
            last = self._judged[-1]
        return concluded(
            Diagnosis(
                source=source,
                facts=last.facts,
                findings=last.findings,
                runs=runs,
                timeline=last.watch.timeline.phases(last.facts),
                not_checked=(
                    *notes,
                    *self._besides.disagreements(last.facts, last.watch.facts.inferred),
                    *_not_checked(last.facts, last.findings, last.watch),
                ),
                shown=last.shown,
            )
        )

    def see(self, seen: Seen) -> None:
        """Adds what was seen of the command, the machine or the pod after the log was read."""
        self._seen |= seen
        self._known = {**seen.facts, **self._known}

    @property
    def facts(self) -> Facts:
        """What is known of the last run so far."""
        return self._watch.facts.facts(self._known_besides())

    def pasted(self, facts: Facts) -> Pasted | None:
        """The command that was pasted next to the log and is the one of these facts.

        None if they are from elsewhere.
        """
        of_text = "args" in facts and facts["args"].source == "pasted"
        return self._besides.pasted(fact_text(facts, "vllm")) if of_text else None

    def _known_besides(self) -> Facts:
        return self._besides.facts(self._watch.facts.stated, self._known)

    @property
    def of_vllm(self) -> bool:
        """Whether vLLM wrote any of it."""
        return bool(self._past) or self._watch.of_vllm

    @property
    def started(self) -> bool:
        """Whether a server of its own began to start in it."""
        return bool(self._past) or self._watch.banners > 0

    @property
    def silent(self) -> bool:
        """No rule, no exception and no sign of life, in a second look either."""
        watch = self._watch
        spoken = self._past or watch.hits or watch.failures.chains or watch.life.was_up
        return not (spoken or self._looked_again(watch, {}))

    @property
    def empty(self) -> bool:
        """Silent, and no fact either."""
        return not self._watch.facts.facts() and self.silent

    def _match(self, batch: list[Record], phases: Mapping[int, str]) -> list[Hit]:
        hits = self._matcher.feed(batch, lambda record: phases[id(record)])
        if not self._watch.life.was_up:
            placed = {id(hit.record) for hit in hits if not hit.rule.symptom}
            self._watch.unplaced += [
                record for record in batch if record.level not in QUIET and id(record) not in placed
            ]
        self._watch.keep(hits)
        return self._counting(hits, self._watch.life) if self._live else hits

    def _counting(self, hits: list[Hit], life: Life) -> list[Hit]:
        """The hits that count by what is known so far."""
        return so_far(self._watch.observed(self._known)._replace(hits=hits, life=life)) if hits else []

    def _judge(self) -> _Judged:
        watch = self._watch
        observed = watch.observed(self._known_besides())
        stops = self._stops[_launched(observed.facts)]
        if stops:
            observed = observed._replace(facts={**observed.facts, "restarts": Fact(stops, "log", watch.first_line)})
        findings, facts = self._findings(observed, watch)
        shown = _shown(observed)
        if not findings and not watch.of_vllm and not observed.life.was_up:
            shown = shown._replace(reason=both("summary.nothing_known"))
        return _Judged(watch, _run(watch, shown, findings), findings, facts, shown)

    def _findings(self, observed: Observed, watch: _Watch) -> tuple[tuple[Finding, ...], Facts]:
        """The findings of a run; where they name no cause and nothing lived, what was not placed is looked at again."""
        judged = judge(observed, self._rules)
        if observed.life.was_up or self._names_a_cause(judged[0]):
            return judged
        hits = self._looked_again(watch, observed.facts)
        if hits:
            judged = judge(observed._replace(hits=[*observed.hits, *hits]), self._rules)
        told = judged[0] or watch.of_vllm or observed.life.stop_line
        complaint = None if told else complaint_of(watch.unplaced)
        if complaint is None:
            return judged
        return (finding_of_line(complaint, judged[1]),), judged[1]

    def _looked_again(self, watch: _Watch, facts: Facts) -> list[Hit]:
        if not watch.unplaced:
            return []
        from qvl_doctor.diagnose.scraps import second_look

        return second_look(watch.unplaced, self._rules, facts)

    def _names_a_cause(self, findings: Sequence[Finding]) -> bool:
        vague = {UNRECOGNIZED, *(rule.id for rule in self._rules if rule.symptom)}
        return any(finding.severity != "notice" and finding.rule not in vague for finding in findings)

    def _end_run(self) -> None:
        judged = self._judge()
        judged.watch.unplaced.clear()
        self._past.append(judged.run)
        self._judged.append(judged)
        life = judged.watch.life
        if life.stopped and life.serves and life.was_up:
            self._stops[_launched(judged.facts)] += 1
        self._watch = _Watch()

    def _loops(self, last: _Judged) -> bool:
        """Whether the last start is the unfinished one of a crash loop.

        Those before it failed alike, and further on.
        """
        before = self._judged
        if last.run.verdict != "unknown" or len(before) < _LOOP or any(each.run.verdict != "failed" for each in before):
            return False
        alike = len({each.findings[0].title["en"] for each in before}) == 1
        return alike and not is_beyond(last.watch.life.step, before[-1].watch.life.step)


class _Judged(NamedTuple):
    """One start and what was found of it."""

    watch: _Watch
    run: Run
    findings: tuple[Finding, ...]
    facts: Facts
    shown: Shown


def _launched(facts: Facts) -> str:
    """What was launched, so that two starts of the same server can be told from a change of its command."""
    return f"{fact_text(facts, 'model')} {fact_text(facts, 'args')}"


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
    worked = life.worked and not life.asked
    return Shown("log", life.was_up, life.stopped, phase=seen.phase, stalled_s=life.stalled_s, worked=worked)


def _not_checked(facts: Facts, findings: Sequence[Finding], watch: _Watch) -> tuple[Text, ...]:
    """What the log did not show, so that no one takes silence for a clean bill.

    And where to look if it shows nothing at all.
    """
    missing: list[Text] = []
    if not findings and not watch.of_vllm and not watch.life.was_up:
        return (both("look_at.whole_log"),)
    if not watch.banners and ("args" not in facts or facts["args"].source == "pasted"):
        missing.append(both("not_checked.late_start"))
    if "vllm" not in facts:
        missing.append(both("not_checked.no_release"))
    if facts["ended"].value == "cut off":
        missing.append(both("not_checked.early_end"))
        if not findings:
            missing.append(both(f"look_at.{watch.reached}" if watch.reached else "look_at.unknown_phase"))
            missing.append(both("look_at.cut_off"))
    return tuple(missing)
