"""The diagnosis of what is not a log: a command, a manifest, a machine. Every problem stands for itself there, so each is a cause."""

from __future__ import annotations

from collections.abc import Sequence

from qvl_doctor.diagnose.derived import derive
from qvl_doctor.diagnose.ending import EndingReader
from qvl_doctor.diagnose.judging import Observed, judge
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.messages import both
from qvl_doctor.model import Diagnosis, Facts, Finding, Rule, Seen, Text

#: What only a log can tell.
_OF_LOGS = ("ended", "stalled_s")
_VERDICTS = {"fatal": "failed", "degraded": "degraded", "notice": "healthy"}


def examine(source: str, seen: Seen, rules: Sequence[Rule], known: Facts | None = None) -> Diagnosis:
    """What rules say about facts and observations, the worst first. `known` are facts from elsewhere; what was seen wins.

    The verdict is `failed` if something keeps a server from starting, `degraded` if it starts but not as it should,
    else `healthy`.
    """
    facts = {**(known or {}), **seen.facts}
    hits = Matcher(rules).feed(seen.observations)
    observed = Observed(hits, (), EndingReader(), facts | derive(facts), "", len(seen.observations))
    findings, judged, _ = judge(observed, rules)
    explained = {
        name for rule in rules for name in rule.explains if any(finding.rule == rule.id for finding in findings)
    }
    found = tuple(finding._replace(role=_role(finding, explained)) for finding in findings)
    told = {name: fact for name, fact in judged.items() if name not in _OF_LOGS}
    return summed_up(source, found, told)


def summed_up(source: str, findings: tuple[Finding, ...], facts: Facts) -> Diagnosis:
    """A diagnosis of findings, the worst first: its verdict and summary are those of the worst."""
    verdict = _VERDICTS[findings[0].severity] if findings else "healthy"
    return Diagnosis(source, verdict, _summary(verdict, findings), facts, findings)


def _role(finding: Finding, explained: set[str]) -> str:
    if finding.severity == "notice":
        return "warning"
    return "symptom" if finding.rule in explained else "cause"


def _summary(verdict: str, findings: Sequence[Finding]) -> Text:
    if verdict == "healthy":
        return both("summary.examined_notices", count=len(findings)) if findings else both("summary.examined_healthy")
    return both(f"summary.examined_{verdict}", title=findings[0].title)
