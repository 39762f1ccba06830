"""The checklist and the rules.

A finding on a machine or a command spoils the line that its rule names, and no other.
"""

from __future__ import annotations

import pytest
from program import RULES

from qvl_doctor.authoring.examples import facts_of, seen_of
from qvl_doctor.diagnose.examining import examine
from qvl_doctor.facts import table
from qvl_doctor.facts.lines import CHECKS, LINES
from qvl_doctor.model import Check, Diagnosis, Example, Finding, Rule, Seen
from qvl_doctor.observations.levels import MANIFEST
from qvl_doctor.observations.sentences import SENTENCES
from qvl_doctor.report.checklist import Looked, checklist
from qvl_doctor.rulebook.checks import check_mistakes, speaks_on_a_machine

EVERYTHING = frozenset(line.group for line in LINES) | {"imports"}
LOOKED = Looked(EVERYTHING, EVERYTHING, command=True)


def is_of_a_pod(example: Example) -> bool:
    return bool(example.observation) and SENTENCES[example.observation].level == MANIFEST


SEEN = [
    (rule, example)
    for rule in RULES
    if rule.check
    for example in rule.matches
    if (example.observation or example.command or not example.log) and not is_of_a_pod(example)
]


def spoilt(checks: tuple[Check, ...], rule: str) -> dict[str, str]:
    return {f"{check.group}.{check.name}": check.status for check in checks if rule in check.rules}


@pytest.mark.parametrize(("severity", "status"), [("fatal", "problem"), ("degraded", "problem"), ("notice", "warning")])
@pytest.mark.parametrize("line", CHECKS)
def test_a_finding_spoils_its_own_line(line: str, severity: str, status: str) -> None:
    title = {"en": "Loose screws", "zh": "螺丝松了"}
    finding = Finding("loose-screws", "cause", severity, "certain", title, title, check=line)
    checks = checklist(Diagnosis("x", "failed", title, findings=(finding,)), LOOKED)
    assert spoilt(checks, "loose-screws") == {line: status}
    assert next(check.detail for check in checks if check.rules) == title


def test_the_lines_show_facts_that_there_are() -> None:
    known = table.names()
    assert [name for line in LINES for name in line.facts if name not in known] == []


def test_a_finding_without_a_line_spoils_none() -> None:
    title = {"en": "", "zh": ""}
    finding = Finding("loose-screws", "cause", "fatal", "certain", title, title)
    assert not any(check.rules for check in checklist(Diagnosis("x", "failed", title, findings=(finding,)), LOOKED))


@pytest.mark.parametrize(("rule", "example"), SEEN, ids=[f"{rule.id}: {example.name}" for rule, example in SEEN])
def test_every_rule_about_a_machine_shows_on_its_line(rule: Rule, example: Example) -> None:
    seen = Seen(facts_of(example)) | seen_of(example)
    diagnosis = examine("here", seen, RULES)
    assert list(spoilt(checklist(diagnosis, LOOKED), rule.id)) == [rule.check]


def test_the_shipped_rules_and_the_checklist_lack_nothing_of_each_other() -> None:
    assert [str(mistake) for mistake in check_mistakes(RULES)] == []


def test_a_rule_about_a_machine_without_its_line() -> None:
    rule = next(rule for rule in RULES if rule.id == "gpu-persistence-off")
    others = tuple(each for each in RULES if each is not rule)
    assert [str(mistake) for mistake in check_mistakes((*others, rule._replace(check="")))] == [
        "gpu-persistence-off: check: there is none, and the rule is about a machine or a command: name its line of the checklist"
    ]


@pytest.mark.parametrize("line", CHECKS)
def test_a_line_without_a_rule(line: str) -> None:
    rest = [rule for rule in RULES if rule.check != line]
    assert [str(mistake) for mistake in check_mistakes(rest)] == [
        f"facts/lines.py: check: no rule is about the line '{line}' of the checklist"
    ]


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("gpu-persistence-off", True),  # by the level of an observation
        ("unknown-vllm-variable", True),  # by what its example has seen
        ("block-size-frees-nothing", True),  # by the command of its example
        ("shared-memory-small", True),  # by facts that only a look gives
        ("pod-without-gpu", False),  # a manifest has no checklist
        ("max-length-unknown", False),
        ("v0-engine-used", False),
    ],
)
def test_which_rules_are_about_a_machine(name: str, asked: bool) -> None:
    assert speaks_on_a_machine(next(rule for rule in RULES if rule.id == name)) is asked
