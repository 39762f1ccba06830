"""What a rule must not match, the second reading does not match either, and other rules do not take its place."""

from __future__ import annotations

import pytest
from scraps.texts import look

from qvl_doctor import rulebook
from qvl_doctor.authoring.examples import facts_of
from qvl_doctor.model import Example, Rule

RULES, _ = rulebook.read(rulebook.rules_folder())
NEAR_MISSES = [
    (rule, example)
    for rule in RULES
    for example in rule.silent
    if example.log and not example.observation and not example.command
]


@pytest.mark.parametrize(
    ("rule", "example"), NEAR_MISSES, ids=[f"{rule.id}: {miss.name}" for rule, miss in NEAR_MISSES]
)
def test_near_miss_is_no_finding_among_all_rules(rule: Rule, example: Example) -> None:
    assert rule.id not in {finding.rule for finding in look(example.log.encode(), facts_of(example)).findings}
