"""Second step: hits and facts of one run → findings, ranked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from qvl_doctor.diagnose.conditions import applies, facts_hold, hit_holds
from qvl_doctor.diagnose.fixing import fill_text, fixes_of, shown_captures, values_of
from qvl_doctor.diagnose.life import Life
from qvl_doctor.diagnose.ranking import order, roles, winners
from qvl_doctor.diagnose.unrecognized import finding_of, first_unknown
from qvl_doctor.model import Fact, Facts, Finding, Hit, Line, Record, Rule, as_text, fact_text
from qvl_doctor.observations import is_observation
from qvl_doctor.observations.sentences import MANIFEST
from qvl_doctor.rulebook import complete

_MAX_EVIDENCE = 6
_DEADLY = frozenset(("worker", "engine"))


class Observed(NamedTuple):
    """All that one run showed: what `judge` needs and nothing else."""

    hits: Sequence[Hit]
    chains: Sequence[Sequence[Record]]
    life: Life
    facts: Facts
    phase: str
    records: int


def judge(seen: Observed, rules: Iterable[Rule]) -> tuple[tuple[Finding, ...], Facts]:
    """The findings of a run, causes first; its facts with what the judging adds."""
    life = seen.life
    facts = dict(seen.facts) | _state(life, failed=False)
    hits = [*seen.hits, *_on_facts_alone(rules, facts)]
    kept = [hit for hit in hits if _speaks(hit, facts, life)]
    best = winners(_verified(hit, facts) for hit in kept)
    by_rule: dict[str, list[Hit]] = {}
    for hit in sorted(best, key=lambda hit: hit.record.first_line if hit.record else 0):
        by_rule.setdefault(_name(hit), []).append(hit)
    severity = {name: _severity(found, life) for name, found in by_rule.items()}
    ordered = order(by_rule, severity)
    role = roles(ordered, severity)
    findings = [_finding(by_rule[name], role[name], severity[name], facts) for name in ordered]
    findings = _with_unknown(findings, by_rule, severity, seen, facts)
    failed = any(finding.severity == "fatal" for finding in findings)
    facts |= _state(life, failed=failed)
    return tuple(findings), facts


def _speaks(hit: Hit, facts: Facts, life: Life) -> bool:
    """Whether a hit counts: facts and releases are as the rule asks, and it is not the noise of a shutdown that was asked for."""
    if not hit_holds(hit, facts):
        return False
    known = {name: as_text(fact.value) for name, fact in facts.items()} | dict(hit.captures)
    if applies(hit.rule.applies, known) is False:
        return False
    logged = hit.record if not is_observation(hit.record) else None
    return not (life.stopped and logged and logged.first_line >= life.stop_line and hit.rule.severity == "fatal")


def _name(hit: Hit) -> str:
    """What becomes one finding: a rule; of observations, a rule on one thing, because a command has many flags.

    Things differ by the values that the rule's words show: of three pods that crash alike nobody is told three times.
    """
    if not is_observation(hit.record):
        return hit.rule.id
    shown = sorted(shown_captures(hit).items())
    return f"{hit.rule.id} {shown}" if shown else hit.rule.id


def _verified(hit: Hit, facts: Facts) -> Hit:
    known = {name: as_text(fact.value) for name, fact in facts.items()} | dict(hit.captures)
    return hit._replace(unverified=applies(hit.rule.applies, known) is None) if hit.rule.applies else hit


def _on_facts_alone(rules: Iterable[Rule], facts: Facts) -> Iterable[Hit]:
    for rule in rules:
        for item in rule.match:
            if (
                item.facts
                and not (item.message or item.exception or item.frame or item.level or item.observation)
                and facts_hold(item.facts, facts)
            ):
                known = [(name, facts[name]) for name in item.facts if name in facts and facts[name].line]
                said = [
                    pair for pair in known if pair[1].source == "log"
                ] or known  # what follows from facts stands on no line
                shown = tuple(Line(fact.line, f"{name} = {as_text(fact.value)}") for name, fact in said)
                yield Hit(rule, item, None, {}, shown)
                break


def _severity(hits: Sequence[Hit], life: Life) -> str:
    """The rule's severity, unless the run shows that it was not that bad: it became ready afterwards, or went on serving."""
    severity = hits[0].rule.severity
    if severity != "fatal" or not life.was_up:
        return severity
    after = [hit for hit in hits if hit.record is None or _since(hit.record, life.up_line)]
    if not after:
        return "notice"  # it started all the same
    deadly = bool(life.death_line) or any(
        hit.record and (hit.record.role in _DEADLY or is_observation(hit.record)) for hit in after
    )
    return severity if deadly else "notice"


def _since(record: Record, line: int) -> bool:
    """Whether a record is about what came after a line. What was seen of command and machine is about the start; of a pod, about now."""
    return record.level == MANIFEST if is_observation(record) else record.first_line > line


def _finding(hits: Sequence[Hit], role: str, severity: str, facts: Facts) -> Finding:
    rule = complete(hits[0].rule)
    hit = hits[0]._replace(rule=rule)
    values = values_of(hit, facts)
    lines = {line.number or line.text: line for found in hits for line in found.evidence}
    confidence = (
        "unverified"
        if any(found.unverified for found in hits)
        else "likely"
        if hit.record and hit.record.cut
        else rule.confidence
    )
    return Finding(
        rule=rule.id,
        role=role,
        severity=severity,
        confidence=confidence,
        title=fill_text(rule.title, values),
        why=fill_text(rule.why, values),
        evidence=tuple(lines.values())[:_MAX_EVIDENCE],
        fixes=fixes_of(hit, facts),
        references=rule.references,
        process=hit.record.process if hit.record else "",
        times=len(hits),
        memory=rule.memory,
        check=rule.check,
    )


def _with_unknown(
    findings: list[Finding], by_rule: dict[str, list[Hit]], severity: dict[str, str], seen: Observed, facts: Facts
) -> list[Finding]:
    """The findings and, where they explain nothing fatal, the failure that no rule knows."""
    life = seen.life
    explained = any(severity[name] == "fatal" and not by_rule[name][0].rule.symptom for name in by_rule)
    if explained:
        return findings
    known = [hit.record for hits in by_rule.values() for hit in hits if hit.record and not hit.rule.symptom]
    symptoms = [hit.record for hits in by_rule.values() for hit in hits if hit.record and hit.rule.symptom]
    stop = life.stop_line if life.stopped else 0
    release = fact_text(facts, "vllm")
    chain = first_unknown(seen.chains, [*known, *symptoms], after=life.up_line, before=stop)
    if chain is None:
        return findings
    # At a server that was up, only what failed in its engine can have killed it: the API server's tracebacks are those
    # of requests.
    request = life.was_up and (not life.death_line or chain[0].role not in {"worker", "engine"})
    finding = finding_of(chain, release, "notice" if request else "fatal")
    if request:
        return [*findings, finding]
    return [finding, *(other._replace(role="symptom") if other.role == "cause" else other for other in findings)]


def _state(life: Life, *, failed: bool) -> dict[str, Fact]:
    """What the life adds to the facts. Whether it was ready is known for sure only if it was."""
    state = {
        "ended": Fact(life.ended(failed), "log", life.last_line),
        "stalled_s": Fact(0.0 if life.was_up else life.stalled_s, "log", life.last_line),
    }
    return state | {"ready": Fact("yes", "log", life.up_line)} if life.was_up else state
