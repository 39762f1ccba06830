"""Verdict and summary as a table.

Every kind of input, every way it went, with and without findings that are ignored.
"""

from __future__ import annotations

import pytest

from qvl_doctor.diagnose.verdict import STALLED_S, concluded, is_death, verdict_of, without
from qvl_doctor.messages import both, say
from qvl_doctor.model import Diagnosis, Finding, Shown

REASON = both("summary.pod_silent", phase="Pending")
KINDS = ("log", "examined", "pod", "live")
HEALTHY = {
    "log": Shown("log", up=True),
    "examined": Shown("examined"),
    "pod": Shown("pod", ready=True),
    "live": Shown("live", up=True),
}
UNKNOWN = {
    "log": Shown("log"),
    "examined": Shown("examined", reason=REASON),
    "pod": Shown("pod"),
    "live": Shown("live"),
}


def finding(severity: str, rule: str = "", role: str = "") -> Finding:
    rule = rule or f"a-{severity}"
    role = role or ("warning" if severity == "notice" else "cause")
    return Finding(rule, role, severity, "certain", {"en": f"T {rule}", "zh": f"题 {rule}"}, {"en": "", "zh": ""})


def told(shown: Shown, *findings: Finding, ignore: tuple[str, ...] = ()) -> tuple[str, str]:
    diagnosis = without(concluded(Diagnosis("x", findings=findings, shown=shown)), ignore)
    return diagnosis.verdict, diagnosis.summary["en"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("proved", [True, False])
def test_the_worst_finding_decides_whatever_else_is_shown(kind: str, proved: bool) -> None:
    shown = (HEALTHY if proved else UNKNOWN)[kind]
    bottom = "healthy" if proved else "unknown"
    assert verdict_of(shown, ()) == bottom
    assert verdict_of(shown, [finding("notice")]) == bottom
    assert verdict_of(shown, [finding("degraded"), finding("notice")]) == "degraded"
    assert verdict_of(shown, [finding("fatal"), finding("degraded")]) == "failed"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("severity", ["fatal", "degraded", "notice"])
def test_what_is_ignored_happened_all_the_same(kind: str, severity: str) -> None:
    for shown in (HEALTHY[kind], UNKNOWN[kind]):
        before, _ = told(shown, finding(severity))
        after, summary = told(shown, finding(severity), ignore=(f"a-{severity}",))
        assert after == before
        assert f"T a-{severity}" not in summary


@pytest.mark.parametrize(
    ("shown", "findings", "summary"),
    [
        (Shown("log", up=True), [], "The server is ready, nothing found"),
        (Shown("log", up=True), ["notice"], "The server is ready; notices: 1"),
        (Shown("log", up=True, stopped=True), ["notice"], say("summary.stopped", "en")),
        (Shown("log", up=True), ["degraded"], "It serves, but: T a-degraded"),
        (Shown("log"), ["fatal"], "T a-fatal"),
        (Shown("log", stopped=True), [], say("summary.cut_off", "en", phase="")),
        (Shown("log", phase="load"), [], say("summary.cut_off", "en", phase="load")),
        (
            Shown("log", phase="load", stalled_s=STALLED_S),
            [],
            "No progress for 2 minutes; last seen: loading the weights",
        ),
        (Shown("log", phase="load", stalled_s=STALLED_S - 1), [], say("summary.cut_off", "en", phase="load")),
        (Shown("log", stalled_s=STALLED_S), ["notice"], "No verdict, but a notice: T a-notice"),
        (Shown("log", reason=REASON), [], REASON["en"]),
        (Shown("examined"), [], "Nothing found that would stop it"),
        (Shown("examined"), ["notice"], "Nothing found that would stop it; notices: 1"),
        (Shown("examined"), ["degraded"], "It will start, but: T a-degraded"),
        (Shown("examined"), ["fatal"], "It will not start: T a-fatal"),
        (Shown("examined", reason=REASON), [], REASON["en"]),
        (Shown("pod", ready=True), [], "The pod is ready, nothing found"),
        (Shown("pod", ready=True), ["notice"], "The pod is ready; notices: 1"),
        (Shown("pod", ready=True, up=True), [], "The server is ready, nothing found"),
        (Shown("pod", ready=True, stopped=True), [], "The pod is ready, nothing found"),
        (Shown("pod", ready=True, reason=REASON), [], "The pod is ready, nothing found"),
        (Shown("pod", reason=REASON), [], REASON["en"]),
        (Shown("pod", reason=REASON), ["notice"], REASON["en"]),
        (Shown("pod", reason=REASON), ["degraded"], "It serves, but: T a-degraded"),
        (Shown("pod", reason=REASON), ["fatal"], "T a-fatal"),
    ],
)
def test_summaries(shown: Shown, findings: list[str], summary: str) -> None:
    assert told(shown, *map(finding, findings))[1] == summary


@pytest.mark.parametrize(
    ("shown", "findings", "ignore", "verdict", "summary"),
    [
        (Shown(), [finding("fatal")], "a-fatal", "failed", "The start failed; its cause is ignored"),
        (Shown(up=True), [finding("fatal")], "a-fatal", "failed", "The server died; its cause is ignored"),
        # A symptom is not told as the cause.
        (
            Shown(),
            [finding("fatal"), finding("fatal", "s", "symptom")],
            "a-fatal",
            "failed",
            "The start failed; its cause is ignored",
        ),
        (
            Shown(),
            [finding("fatal"), finding("degraded")],
            "a-fatal",
            "failed",
            "The start failed; its cause is ignored",
        ),
        # The cause is told where something else is ignored.
        (Shown(), [finding("fatal"), finding("fatal", "s", "symptom")], "s", "failed", "T a-fatal"),
        (Shown(), [finding("fatal"), finding("notice")], "a-notice", "failed", "T a-fatal"),
        (Shown(up=True), [finding("degraded")], "a-degraded", "degraded", say("summary.degraded_ignored", "en")),
        (Shown(up=True), [finding("notice")], "a-notice", "healthy", "The server is ready, nothing found"),
        (Shown(), [finding("notice")], "a-notice", "unknown", say("summary.cut_off", "en", phase="")),
        (Shown("examined"), [finding("fatal")], "a-fatal", "failed", say("summary.examined_failed_ignored", "en")),
        # Of a command each finding is a cause: the next one is told.
        (Shown("examined"), [finding("fatal"), finding("fatal", "b")], "a-fatal", "failed", "It will not start: T b"),
        (
            Shown("examined"),
            [finding("degraded")],
            "a-degraded",
            "degraded",
            say("summary.examined_degraded_ignored", "en"),
        ),
    ],
)
def test_summaries_of_what_is_ignored(
    shown: Shown, findings: list[Finding], ignore: str, verdict: str, summary: str
) -> None:
    assert told(shown, *findings, ignore=(ignore,)) == (verdict, summary)


def test_findings_are_ignored_in_several_steps() -> None:
    both_gone = without(
        without(concluded(Diagnosis("x", findings=(finding("fatal"), finding("notice")))), {"a-fatal"}), {"a-notice"}
    )
    assert (both_gone.verdict, both_gone.ignored, both_gone.findings) == ("failed", ("a-fatal", "a-notice"), ())


def test_nothing_to_ignore_changes_nothing() -> None:
    diagnosis = concluded(Diagnosis("x", findings=(finding("fatal"),)))
    assert without(diagnosis, {"another"}) is diagnosis


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_was_started_can_die(kind: str) -> None:
    diagnosis = without(concluded(Diagnosis("x", findings=(finding("fatal"),), shown=Shown(kind))), {"a-fatal"})
    assert is_death(diagnosis) is (kind != "examined")
    assert not is_death(concluded(Diagnosis("x", findings=(finding("degraded"),), shown=HEALTHY[kind])))
