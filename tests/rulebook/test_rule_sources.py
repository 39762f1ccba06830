"""`seen_in` and `checked`: what a rule rests on. For those who keep the rules; nothing at run time reads them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from rule_files import GOOD, OTHER, write

from qvl_doctor import rulebook
from qvl_doctor.rulebook import RuleError

SOURCES = """
seen_in: [0.6.0, 0.8.5.post1–0.10.2, 0.33.0]
checked: >-
  The check and its wording in config.py
  of 0.8.5 and 0.9.2.
"""


def test_sources_are_read_and_stay_out_of_the_compiled_rules(tmp_path: Path) -> None:
    write(tmp_path, GOOD + SOURCES)
    write(tmp_path, OTHER, "engine-failed")
    rules = rulebook.load(str(tmp_path))
    assert rules[1].seen_in == ("0.6.0", "0.8.5.post1–0.10.2", "0.33.0")
    assert rules[1].checked == "The check and its wording in config.py of 0.8.5 and 0.9.2."
    assert (rules[0].seen_in, rules[0].checked) == ((), "")
    compiled = rulebook.compile_book(rules)
    assert "seen_in" not in compiled
    assert "checked" not in compiled


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("seen_in: 0.8.0–0.9.2", "seen_in: is a list with at least one item"),
        ("seen_in: []", "seen_in: is a list with at least one item"),
        ("seen_in: ['0.8']\nseen: 1", "not 'seen'"),
        ("seen_in: ['0.8.0-0.9.2']", "seen_in[0]: is a release or two, '0.8.0–0.10.2', not '0.8.0-0.9.2'"),
        ("seen_in: ['0.8.0', '>=0.8']", "seen_in[1]: is a release or two"),
        ("seen_in: ['0.10.0–0.9.2']", "seen_in[0]: is a release or two"),
        ("checked: [1]", "checked: is a text"),
        ("checked: ''", "checked: is empty"),
        ("checked: TODO", "checked: is not written yet"),
    ],
)
def test_what_is_wrong_with_sources_is_said(written: str, problem: str, tmp_path: Path) -> None:
    write(tmp_path, OTHER, "engine-failed")
    write(tmp_path, f"{GOOD}\n{written}\n")
    with pytest.raises(RuleError) as error:
        rulebook.load(str(tmp_path))
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("release", "legal"), [("0.8.0", True), ("0.8.5.post1–0.9.2", True), ("0.8.0-0.9.2", False), ("<0.9", False)]
)
def test_the_schema_for_editors_knows_a_range(release: str, legal: bool, root: Path) -> None:
    items = json.loads((root / "docs/rule.schema.json").read_text(encoding="utf-8"))["properties"]["seen_in"]["items"]
    assert jsonschema.Draft202012Validator(items).is_valid(release) is legal
