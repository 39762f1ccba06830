"""A change may name what a pattern captured or a remedy found: the flag itself, or a whole range of versions."""

from __future__ import annotations

from qvl_doctor.diagnose import diagnose
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Condition, FixTemplate, Rule
from qvl_doctor.patterns import literals
from qvl_doctor.rulebook.changes import change_mistakes
from qvl_doctor.rulebook.nodes import read_tree
from qvl_doctor.rulebook.placeholders import placeholders

TEXT = {"en": "Text.", "zh": "文字。"}


def rule(change: dict[str, object]) -> Rule:
    pattern = r"the lamp went out at (?P<flag>--\S+) (?P<pin>\S+)"
    fixes = (FixTemplate(TEXT, change=change), FixTemplate(TEXT, change={"flags": {"{other}": None}}))
    return Rule("lamp", "fatal", TEXT, TEXT, (Condition(message=pattern, literals=literals(pattern)),), fixes)


def test_the_flag_that_a_pattern_captured_is_changed() -> None:
    found = diagnose(
        read_records("the lamp went out at --swap-space >=4.49,<5"), [rule({"flags": {"{flag}": None}})]
    ).findings
    assert [fix.change for fix in found[0].fixes] == [
        {"flags": {"--swap-space": None}}
    ]  # the other fix has no value, and is not shown


def test_several_flags_at_once() -> None:
    pattern = r"the lamps went out at (?P<gone>--[\w -]+)"
    both = Rule(
        "lamp",
        "fatal",
        TEXT,
        TEXT,
        (Condition(message=pattern, literals=literals(pattern)),),
        (FixTemplate(TEXT, change={"flags": {"{gone}": None, "--x": "1"}}),),
    )
    found = diagnose(read_records("the lamps went out at --swap-space --task"), [both]).findings
    assert found[0].fixes[0].change == {"flags": {"--swap-space": None, "--task": None, "--x": "1"}}


def test_a_range_of_versions_is_filled_in() -> None:
    found = diagnose(
        read_records("the lamp went out at --x >=4.49,<5"), [rule({"pip": ["transformers{pin}"]})]
    ).findings
    assert found[0].fixes[0].change == {"pip": ["transformers>=4.49,<5"]}


def test_both_are_legal_in_a_rule_file() -> None:
    root, faults = read_tree(
        b"flags: {'{flag}': null, '--{flag}': null}\npip: ['transformers{pin}', 'torch=={pin}', 'torch {pin}']\n"
    )
    assert root is not None
    assert not faults
    assert [mistake.field for mistake in change_mistakes(root, "change")] == ["change.flags.--{flag}", "change.pip[2]"]


def test_the_name_of_a_flag_is_asked_for_like_any_other_value() -> None:
    assert placeholders({"flags": {"{flag}": "{value}"}}) == {"flag", "value"}
