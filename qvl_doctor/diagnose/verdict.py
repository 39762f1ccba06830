"""The verdict on an input and the one sentence that sums it up: for logs, commands, manifests, machines and pods.

Both follow from the findings and from what else the input shows (`model.Shown`), and from nothing else. No one decides
them a second time: whoever learns more calls `concluded` again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from qvl_doctor.errors import ToldError
from qvl_doctor.messages import both
from qvl_doctor.model import EXAMINED, UNRECOGNIZED, Diagnosis, Finding, Shown, Text, fact_text

POD = "pod"
STALLED_S = 120
#: Which severity makes which verdict, the worst first.
_BY_SEVERITY = {"failed": "fatal", "degraded": "degraded"}
_WORST_FIRST = ("failed", "degraded", "unknown", "healthy")


def concluded(diagnosis: Diagnosis, **more: Any) -> Diagnosis:
    """The diagnosis with verdict and summary. `more` are fields of `Shown` that are known by now."""
    shown = diagnosis.shown._replace(**more)
    findings = diagnosis.findings
    return diagnosis._replace(shown=shown, verdict=verdict_of(shown, findings), summary=summary_of(shown, findings))


def without(diagnosis: Diagnosis, rules: Collection[str]) -> Diagnosis:
    """The diagnosis without the findings of some rules. The verdict stays: what was left out happened anyway."""
    gone = tuple(finding for finding in diagnosis.findings if finding.rule in rules)
    if not gone:
        return diagnosis
    kept = tuple(finding for finding in diagnosis.findings if finding.rule not in rules)
    return concluded(diagnosis._replace(findings=kept), ignored=(*diagnosis.shown.ignored, *gone))


def of_pod(diagnosis: Diagnosis) -> Diagnosis:
    """A diagnosis of what Kubernetes says, without a log: it is about what is, not about what a start would be."""
    ready = fact_text(diagnosis.facts, "pod_ready") == "yes"
    phase = fact_text(diagnosis.facts, "pod_phase") or "?"
    return concluded(diagnosis, kind=POD, ready=ready, reason=both("summary.pod_silent", phase=phase))


def unread(source: str, error: ToldError) -> Diagnosis:
    """The report on an input of which there is no diagnosis: nothing is claimed of it."""
    reason = both(error.key, **error.values)
    return concluded(Diagnosis(source, not_checked=(reason,)), reason=reason)


def is_death(diagnosis: Diagnosis) -> bool:
    """Whether a server failed that had been started. That is so whatever findings are ignored."""
    return diagnosis.verdict == "failed" and diagnosis.kind != EXAMINED


def verdict_of(shown: Shown, findings: Sequence[Finding]) -> str:
    """failed, degraded, healthy, or unknown: the worst finding decides, and without any, whether health was proved."""
    severities = {finding.severity for finding in (*findings, *shown.ignored)}
    for verdict, severity in _BY_SEVERITY.items():
        if severity in severities:
            return verdict
    healthy = not shown.reason if shown.kind == EXAMINED else shown.up or shown.ready
    return "healthy" if healthy else "unknown"


def worst_first(names: Collection[str], of: Callable[[str], Diagnosis]) -> list[str]:
    """The names of diagnoses, the worst first.

    Of those that failed, one that knows why, then the one that failed first.
    """

    def place(name: str) -> tuple[int, bool, int]:
        found = of(name)
        cause = next((each for each in found.findings if each.role == "cause"), None)
        shown = cause.evidence[0].number if cause and cause.evidence else 0
        vague = cause is None or cause.rule == UNRECOGNIZED or not cause.fixes
        return _WORST_FIRST.index(found.verdict), vague, shown

    return sorted(names, key=place)


def summary_of(shown: Shown, findings: Sequence[Finding]) -> Text:
    """The sentence below the verdict; of several logs in one input it names the one that it is about."""
    said = _summary(shown, findings)
    return both("summary.of_stream", name=shown.origin, said=said) if shown.origin else said


def _summary(shown: Shown, findings: Sequence[Finding]) -> Text:
    verdict = verdict_of(shown, findings)
    about = "examined_" if shown.kind == EXAMINED else ""
    if verdict in {"failed", "degraded"}:
        told = _telling(shown, findings)
        if told and shown.reason and about and verdict == "degraded":
            return both("summary.examined_degraded_unknown", title=told.title)
        if told:
            return both(f"summary.{about}{verdict}", title=told.title)
        served = "served_" if shown.up and verdict == "failed" else ""
        return both(f"summary.{about or served}{verdict}_ignored")
    if verdict == "unknown":
        return _unknown(shown, findings)
    if shown.kind == EXAMINED:
        return both("summary.examined_notices", count=len(findings)) if findings else both("summary.examined_healthy")
    if shown.up and shown.stopped:
        return both("summary.worked" if shown.worked else "summary.stopped")
    who = "healthy" if shown.up else "pod_ready"
    return both(f"summary.{who}_notices", count=len(findings)) if findings else both(f"summary.{who}")


def _telling(shown: Shown, findings: Sequence[Finding]) -> Finding | None:
    """The finding that says why; None where that one is ignored: what is left would be taken for the cause."""
    worst = _BY_SEVERITY[verdict_of(shown, findings)]
    if all(finding.severity != worst for finding in shown.ignored):
        return findings[0]
    return next((each for each in findings if each.severity == worst and each.role == "cause"), None)


def _unknown(shown: Shown, findings: Sequence[Finding]) -> Text:
    if shown.reason:
        return shown.reason
    if findings:
        return both("summary.remark", title=findings[0].title)
    if shown.stalled_s >= STALLED_S:
        return both("summary.stalled", phase=shown.phase, minutes=int(shown.stalled_s // 60))
    return both("summary.cut_off", phase=shown.phase)
