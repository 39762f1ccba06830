"""Which finding is the cause: what a rule explains is its symptom, then the deepest process, then the first line.

Never clock time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from qvl_doctor.model import SEVERITIES, Hit

#: A worker's failure is the reason for its engine's, an engine's for its API server's.
_DEPTH = {"worker": 0, "engine": 1, "api": 2, "": 2}


def winners(hits: Iterable[Hit]) -> list[Hit]:
    """One hit for each record: the rule with most conditions, or the one that says it goes `before` the other."""
    by_record: dict[int, Hit] = {}
    for hit in hits:
        key = id(hit.record) if hit.record else -id(hit.rule)
        other = by_record.get(key)
        if other is None or beats(hit, other):
            by_record[key] = hit
    return list(by_record.values())


def beats(hit: Hit, other: Hit) -> bool:
    """Whether a hit wins its record over another's. A tie that no rule settles goes to the longer pattern."""
    if hit.rule.id in other.rule.before:
        return False
    if other.rule.id in hit.rule.before:
        return True
    if hit.rule.symptom != other.rule.symptom:
        return other.rule.symptom
    mine, others = hit.condition.weight, other.condition.weight
    if mine != others:
        return mine > others
    return len(hit.condition.message) > len(other.condition.message)


def order(findings: Mapping[str, Sequence[Hit]], severity: Mapping[str, str]) -> list[str]:
    """Names of findings, causes first.

    By severity, symptoms after others, explained after what explains it, by depth, by line.
    """
    rules = {name: hits[0].rule for name, hits in findings.items()}
    explained = {name for name, rule in rules.items() if any(rule.id in other.explains for other in rules.values())}

    def place(name: str) -> tuple[int, bool, bool, int, int]:
        hits = findings[name]
        first = min(_line(hit) for hit in hits)
        return (SEVERITIES.index(severity[name]), rules[name].symptom, name in explained, min(map(depth, hits)), first)

    return sorted(rules, key=place)


def depth(hit: Hit) -> int:
    """How deep the process of a hit lies; 0 is a worker."""
    return _DEPTH.get(hit.record.role, 2) if hit.record else 2


def roles(ordered: Sequence[str], severity: Mapping[str, str]) -> dict[str, str]:
    """cause, symptom or warning for each rule. One death has one cause: what is fatal after it is its symptom."""
    found = dict.fromkeys(ordered, "warning")
    fatal = [name for name in ordered if severity[name] == "fatal"]
    for name in fatal:
        found[name] = "symptom"
    if fatal:
        found[fatal[0]] = "cause"
    elif ordered and severity[ordered[0]] == "degraded":
        found[ordered[0]] = "cause"
    return found


def _line(hit: Hit) -> int:
    return hit.record.first_line if hit.record else 0
