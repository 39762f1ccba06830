"""Second step: hits and facts of one run → findings, ranked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from qvl_doctor.diagnose.conditions import applies, facts_hold, hit_holds, on_platform
from qvl_doctor.diagnose.fixing import fill_text, fixes_of, shown_captures, values_of
from qvl_doctor.diagnose.life import Life
from qvl_doctor.diagnose.ranking import order, roles, winners
from qvl_doctor.diagnose.unrecognized import (
    finding_of,
    finding_of_line,
    first_unknown,
    has_failure,
    is_of_request,
    says_nothing,
)
from qvl_doctor.late import late_pattern
from qvl_doctor.logs.milestones import ACCESS, DEATHS, milestone_of
from qvl_doctor.model import NOTHING, Fact, Facts, Finding, Fix, Hit, Line, Record, Rule, fact_text
from qvl_doctor.observations import is_observation
from qvl_doctor.observations.levels import MANIFEST
from qvl_doctor.rulebook import complete
from qvl_doctor.values import as_text

_MAX_EVIDENCE = 6
#: What a finding lists where its rule spoke on several.
_LISTED = "variable"
_MAX_LISTED = 8
#: Topics whose notices are about single requests.
_OF_REQUESTS = frozenset(
    ("requests", "media", "multimodal", "tools-and-structured-output", "tokenizer-and-chat-template")
)
#: So many lines after an exception the access line of its request comes.
_NEAR = 3
_DEADLY = frozenset(("worker", "engine"))
#: What vLLM says where a platform has no compiled part in vLLM itself (platforms/interface.py), and where it has one.
_NO_EXTENSION = "Failed to import from vllm._"
_WITH_EXTENSION = frozenset(("", "cuda", "rocm", "cpu", "unspecified"))
#: What a search says of what it passes over.
_PASSED_OVER = late_pattern(r"(?:does|do|is|are) not (?:support|compatible)|[Ss]kipp|cannot be used")
_CALM = frozenset(("WARNING", "INFO", "DEBUG", "TRACE"))


class Observed(NamedTuple):
    """All that one run showed: what `judge` needs and nothing else."""

    hits: Sequence[Hit]
    chains: Sequence[Sequence[Record]]
    life: Life
    facts: Facts
    phase: str
    records: int
    #: Facts of the whole run, by name, with the record that shows them best.
    quotes: Mapping[str, Record] = NOTHING


def judge(seen: Observed, rules: Iterable[Rule]) -> tuple[tuple[Finding, ...], Facts]:
    """The findings of a run, causes first; its facts with what the judging adds."""
    life = seen.life
    facts = dict(seen.facts) | _state(life, failed=False)
    hits = [*seen.hits, *_on_facts_alone(rules, facts, seen.quotes)]
    failing = _fails(seen)
    best = _best(hits, facts, life, failing=failing)
    by_rule: dict[str, list[Hit]] = {}
    for hit in sorted(best, key=lambda hit: hit.record.first_line if hit.record else 0):
        by_rule.setdefault(_name(hit), []).append(hit)
    records = [hit.record for hits in by_rule.values() for hit in hits if hit.record]
    by_rule = _told(by_rule, seen.chains)
    severity = _quieted({name: _severity(found, life, failing) for name, found in by_rule.items()}, by_rule)
    if not (life.was_up or life.step_line or life.dead or "fatal" in severity.values()):
        severity |= _refusals(by_rule, severity, seen, records)
    ordered = order(by_rule, severity)
    role = roles(ordered, severity)
    findings = [_finding(by_rule[name], role[name], severity[name], facts) for name in ordered]
    findings = _with_unknown(findings, by_rule, severity, seen, facts)
    failed = any(finding.severity == "fatal" for finding in findings)
    facts |= _state(life, failed=failed)
    return tuple(findings), facts


def so_far(seen: Observed) -> list[Hit]:
    """The hits that count by what is known so far: one of each record, with the severity that it has as yet."""
    life = seen.life
    failing = _fails(seen)
    best = _best(seen.hits, dict(seen.facts) | _state(life, failed=False), life, failing=failing)
    return [hit._replace(severity=_severity([hit], life, failing)) for hit in best]


def _fails(seen: Observed) -> bool:
    """Whether anything failed: the server died or did not come up."""
    life = seen.life
    return life.dead or life.interrupted or (not life.came_up and has_failure(seen.chains, life))


def _best(hits: Iterable[Hit], facts: Facts, life: Life, *, failing: bool) -> list[Hit]:
    """The hits that count: for each record, of those that hold, the one that wins it."""
    kept = [hit for hit in hits if _speaks(hit, facts, life)]
    if not failing:
        kept = [hit for hit in kept if not _is_search(hit)]
    return winners(_verified(hit, facts) for hit in kept)


def _speaks(hit: Hit, facts: Facts, life: Life) -> bool:
    """Whether a hit counts.

    Facts and releases are as the rule asks, and it is not the noise of a shutdown that was asked for.
    """
    if not hit_holds(hit, facts) or not on_platform(hit.rule.platforms, facts):
        return False
    if (
        hit.record
        and hit.record.message.startswith(_NO_EXTENSION)
        and fact_text(facts, "platform") not in _WITH_EXTENSION
    ):
        return False
    if applies(hit.rule.applies, known_of(hit, facts)) is False:
        return False
    logged = hit.record if not is_observation(hit.record) else None
    return not (life.stopped and logged and logged.first_line >= life.stop_line and hit.rule.severity == "fatal")


def known_of(hit: Hit, facts: Facts) -> dict[str, str]:
    """What a rule's conditions may ask for: facts, captures and, if that is not enough, what its remedy answers."""
    known = {name: as_text(fact.value) for name, fact in facts.items()} | dict(hit.captures)
    return known if hit.rule.applies.keys() <= known.keys() or not hit.rule.remedy else values_of(hit, facts)


def _name(hit: Hit) -> str:
    """What becomes one finding: a rule; of observations, a rule on one thing, because a command has many flags.

    Things differ by the values that the rule's words show: of three pods that crash alike no one is told three times.
    """
    if not is_observation(hit.record):
        return hit.rule.id
    shown = sorted(shown_captures(hit).items())
    return f"{hit.rule.id} {shown}" if shown else hit.rule.id


def _verified(hit: Hit, facts: Facts) -> Hit:
    if not hit.rule.applies:
        return hit
    return hit._replace(unverified=applies(hit.rule.applies, known_of(hit, facts)) is None)


def _on_facts_alone(rules: Iterable[Rule], facts: Facts, quotes: Mapping[str, Record]) -> Iterable[Hit]:
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
                ] or known  # what follows from facts is on no line
                shown = tuple(Line(fact.line, f"{name} = {as_text(fact.value)}") for name, fact in said)
                quoted = [quotes[name].lines[-1] for name in item.facts if name in quotes]
                yield Hit(rule, item, None, {}, tuple(quoted) or shown)
                break


def _severity(hits: Sequence[Hit], life: Life, failing: bool) -> str:
    """The rule's severity, unless the run shows that it was not that bad: it was overcome, or only a request failed.

    What a process only warned of can be a cause only where something failed (`failing`).
    """
    severity = hits[0].rule.severity
    if severity != "fatal":
        return severity
    if not failing and all(_is_calm(hit) for hit in hits):
        return "notice"
    if all(hit.record and life.progressed(hit.record) for hit in hits):
        return "notice"
    if not life.came_up:
        return severity
    after = [hit for hit in hits if hit.record is None or _since(hit.record, life.overcome_line)]
    if not after:
        return "notice"
    deadly = (
        life.dead
        or not life.serves
        or any(hit.record and (hit.record.role in _DEADLY or is_observation(hit.record)) for hit in after)
    )
    return severity if deadly else "notice"


def _is_calm(hit: Hit) -> bool:
    """Whether a hit is on a warning, or on what is not even that.

    No process ends with these, but for those that say so.
    """
    if hit.record is None or hit.record.level not in _CALM:
        return False
    mark = milestone_of(hit.record)
    return mark is None or mark.kind not in DEATHS


def _is_search(hit: Hit) -> bool:
    """Whether a hit is on one step of a search (for a backend, a kernel) that found something else."""
    if hit.rule.severity != "fatal" or hit.record is None or hit.record.level not in {"DEBUG", "TRACE"}:
        return False
    return bool(_PASSED_OVER.search(hit.record.message))


def _quieted(severity: dict[str, str], by_rule: dict[str, list[Hit]]) -> dict[str, str]:
    """The same, where what a process only warned of is not a cause next to an error that explains the failure.

    Unless its rule says that it explains this very error.
    """
    fatal = [name for name, level in severity.items() if level == "fatal"]
    calm = {name for name in fatal if all(_is_calm(hit) for hit in by_rule[name])}
    told = {by_rule[name][0].rule.id for name in fatal if name not in calm and not by_rule[name][0].rule.symptom}
    quiet = {name for name in calm if told and told.isdisjoint(by_rule[name][0].rule.explains)}
    return {name: "notice" if name in quiet else level for name, level in severity.items()}


def _refusals(
    by_rule: dict[str, list[Hit]], severity: dict[str, str], seen: Observed, records: Sequence[Record]
) -> dict[str, str]:
    """Where an input shows nothing but requests that failed, the rules on them tell what is wrong with the service."""
    if not any(record.exception or record.level == "ERROR" or _is_refusal(record) for record in records):
        return {}
    if not seen.life.came_up and first_unknown(seen.chains, records, seen.life):
        return {}
    return {
        name: "degraded"
        for name, hits in by_rule.items()
        if severity[name] == "notice" and not hits[0].rule.symptom and complete(hits[0].rule).topic in _OF_REQUESTS
    }


def _told(by_rule: dict[str, list[Hit]], chains: Sequence[Sequence[Record]]) -> dict[str, list[Hit]]:
    """The same without what only says that some request failed, where something says why."""
    of_requests = {name for name, hits in by_rule.items() if complete(hits[0].rule).topic in _OF_REQUESTS}
    vague = {name for name in of_requests if by_rule[name][0].rule.symptom}
    raised = {chain[-1].last_line for chain in chains}
    told: dict[str, list[Hit]] = {}
    for name, hits in by_rule.items():
        left = hits
        if name in vague:
            left = [hit for hit in hits if not _follows(hit, raised)] if hits[0].record else []
            left = left or ([] if of_requests - vague or hits[0].record else hits)
        if left:
            told[name] = left
    return told


def _follows(hit: Hit, raised: Collection[int]) -> bool:
    """Whether an access line comes just after an exception: that is why the request failed."""
    line = hit.record.first_line if hit.record else 0
    return any(line - near in raised for near in range(1, _NEAR + 1))


def _is_refusal(record: Record) -> bool:
    found = ACCESS.search(record.message)
    return found is not None and found["status"][0] in "45"


def _since(record: Record, line: int) -> bool:
    """Whether a record is about what came after a line.

    What was seen of command and machine is about the start; of a pod, about now.
    """
    return record.level == MANIFEST if is_observation(record) else record.first_line > line


def _finding(hits: Sequence[Hit], role: str, severity: str, facts: Facts) -> Finding:
    rule = complete(hits[0].rule)
    several = list(dict.fromkeys(hit.captures.get(_LISTED, "") for hit in hits))
    hit = hits[0]._replace(rule=rule)
    if len(several) > 1:
        hit = hit._replace(captures={**hit.captures, _LISTED: ", ".join(several[:_MAX_LISTED])})
    values = values_of(hit, facts)
    lines = {line.number or line.text: line for found in hits for line in found.evidence}
    confidence = (
        "unverified"
        if any(found.unverified for found in hits)
        else "likely"
        if all(found.loose or (found.record and found.record.cut) for found in hits)
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
        fixes=fixes_of(hit, facts) if len(several) < 2 else _fixes_of_all(hits, rule, facts),
        references=rule.references,
        process=hit.record.process if hit.record else "",
        times=sum(found.times for found in hits),
        memory=rule.memory,
        check=rule.check,
    )


def _fixes_of_all(hits: Sequence[Hit], rule: Rule, facts: Facts) -> tuple[Fix, ...]:
    """The best fix for each of several things, each once."""
    best = [fixes_of(hit._replace(rule=rule), facts)[:1] for hit in hits]
    return tuple({fix.text["en"]: fix for fixes in best for fix in fixes}.values())[:_MAX_LISTED]


def _with_unknown(
    findings: list[Finding], by_rule: dict[str, list[Hit]], severity: dict[str, str], seen: Observed, facts: Facts
) -> list[Finding]:
    """The findings and, where they explain nothing fatal, the failure that no rule knows."""
    life = seen.life
    fatal = [name for name in by_rule if severity[name] == "fatal" and not by_rule[name][0].rule.symptom]
    calm = {by_rule[name][0].rule.id for name in fatal if all(map(_is_calm, by_rule[name]))}
    if any(by_rule[name][0].rule.id not in calm for name in fatal):
        return findings
    known = [hit.record for hits in by_rule.values() for hit in hits if hit.record and not _is_calm(hit)]
    chain = first_unknown(seen.chains, known, life, life.overcome_line)
    if chain is not None and fatal and says_nothing(chain):
        return findings
    # At a server that was up, only what failed in its engine can have killed it: the API server's tracebacks are those
    # of requests.
    served = life.came_up and life.serves and not life.crashed
    if chain is not None and not served and not life.dead and is_of_request(chain):
        return _first(finding_of(chain, facts, "degraded"), findings, calm)
    deadly = chain is not None and life.dead and chain[0].role in _DEADLY and not is_of_request(chain)
    if chain is not None and (deadly or not served):
        return _first(finding_of(chain, facts, "fatal"), findings, calm)
    if life.death is not None and not any(each.severity == "fatal" for each in findings):
        findings = _first(finding_of_line(life.death, facts), findings, calm)
    request = first_unknown(seen.chains, known, life, life.up_line) if served else None
    if request is None:
        return findings
    if life.was_up or life.dead:
        return [*findings, finding_of(request, facts, "notice")]
    return _first(finding_of(request, facts, "degraded"), findings, calm)


def _first(cause: Finding, others: Sequence[Finding], calm: Collection[str]) -> list[Finding]:
    """The cause in front, and what was taken for one among what follows from it; warnings are warnings then."""
    quiet = [each._replace(role="warning", severity="notice") if each.rule in calm else each for each in others]
    return [cause, *(each._replace(role="symptom") if each.role == "cause" else each for each in quiet)]


def _state(life: Life, *, failed: bool) -> dict[str, Fact]:
    """What the signs of life add to the facts. Whether it was ready is known for sure only if it was."""
    state = {
        "ended": Fact(life.ended(failed), "log", life.last_line),
        "stalled_s": Fact(0.0 if life.came_up else life.stalled_s, "log", life.last_line),
    }
    if life.interrupted:
        state |= {"ran_s": Fact(round(life.ran_s), "log", life.stop_line)} if life.ran_s else {}
        state |= {"reached": Fact(life.step, "log", life.step_line)} if life.step else {}
    line = life.up_line or life.came_up_line
    return state | {"ready": Fact("yes", "log", line)} if life.came_up else state
