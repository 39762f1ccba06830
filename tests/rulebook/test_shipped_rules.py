"""The shipped rules: each proves itself by its own examples, and all together by their silence on healthy logs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from program import MISTAKES
from program import RULES as SHIPPED

from qvl_doctor.authoring.examples import check_examples, slow_patterns, unjudged
from qvl_doctor.diagnose import diagnose
from qvl_doctor.logs.records import read_records


def test_every_rule_file_is_right() -> None:
    assert [str(mistake) for mistake in MISTAKES] == []
    assert SHIPPED


def test_rules_hold_their_examples() -> None:
    assert [str(problem) for problem in check_examples(SHIPPED)] == []


def test_every_sentence_is_heard_by_a_rule() -> None:
    assert [str(problem) for problem in unjudged(SHIPPED)] == []


def test_patterns_are_quick_on_hostile_text() -> None:
    assert [str(problem) for problem in slow_patterns(SHIPPED)] == []


def test_healthy_logs_give_nothing_above_a_notice(fixtures: Path) -> None:
    logs = sorted((fixtures / "healthy").glob("*.log"))
    assert logs
    for log in logs:
        found = diagnose(read_records(log.read_text(encoding="utf-8")), SHIPPED).findings
        assert [finding.rule for finding in found if finding.severity != "notice"] == [], log.name


def test_every_fatal_rule_says_what_it_was_checked_against() -> None:
    assert [rule.id for rule in SHIPPED if rule.severity == "fatal" and not rule.checked] == []


def test_no_topic_is_a_heap_or_a_crumb() -> None:
    sizes = Counter(rule.topic for rule in SHIPPED)
    assert {name: size for name, size in sizes.items() if not 8 <= size <= 60} == {}
    assert 15 <= len(sizes) <= 25
