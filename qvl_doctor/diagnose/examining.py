"""The diagnosis of what is not a log: a command, a manifest, a machine.

Every problem stands for itself there, so each is a cause.
"""

from __future__ import annotations

from collections.abc import Sequence

from qvl_doctor.diagnose.derived import derive
from qvl_doctor.diagnose.judging import Observed, judge
from qvl_doctor.diagnose.life import Life
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.diagnose.verdict import concluded
from qvl_doctor.model import EXAMINED, Diagnosis, Facts, Finding, Rule, Seen, Shown

#: What only a log can tell.
_OF_LOGS = ("ended", "stalled_s")


def examine(source: str, seen: Seen, rules: Sequence[Rule], known: Facts | None = None) -> Diagnosis:
    """What rules say about facts and observations, the worst first.

    `known` are facts from elsewhere; what was seen wins.

    The verdict is about a start that has not been tried: see `diagnose.verdict`.
    """
    facts = {**(known or {}), **seen.facts}
    hits = Matcher(rules).feed(seen.observations)
    observed = Observed(hits, (), Life(), facts | derive(facts), "", len(seen.observations))
    findings, judged = judge(observed, rules)
    explained = {
        name for rule in rules for name in rule.explains if any(finding.rule == rule.id for finding in findings)
    }
    found = tuple(finding._replace(role=_role(finding, explained)) for finding in findings)
    told = {name: fact for name, fact in judged.items() if name not in _OF_LOGS}
    return concluded(Diagnosis(source, facts=told, findings=found, shown=Shown(EXAMINED)))


def _role(finding: Finding, explained: set[str]) -> str:
    if finding.severity == "notice":
        return "warning"
    return "symptom" if finding.rule in explained else "cause"
