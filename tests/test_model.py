"""Facts as numbers, counts, maps and texts, and sentences one after the other: each is done in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from qvl_doctor.messages import joined, sentences
from qvl_doctor.model import Fact, fact_count, fact_map, fact_number, fact_text
from qvl_doctor.values import as_count, as_number, as_text

VALUES: Mapping[str, tuple[Any, float | None, int, str]] = {
    "a whole number": (131072, 131072.0, 131072, "131072"),
    "a number": (23.64, 23.64, 23, "23.64"),
    "a text that is a number": ("8.5", 8.5, 8, "8.5"),
    "a text with thousands": ("131,072", 131072.0, 131072, "131,072"),
    "less than nothing": (-2.5, -2.5, 0, "-2.5"),
    "nothing": (0, 0.0, 0, "0"),
    "less than one": (0.5, 0.5, 0, "0.5"),
    "yes": (True, None, 0, "yes"),
    "no": (False, None, 0, "no"),
    "a word": ("auto", None, 0, "auto"),
    "a release": ("0.10.2", None, 0, "0.10.2"),
    "an empty text": ("", None, 0, ""),
    "an exponent": ("1e5", None, 0, "1e5"),
    "digits that are not ours": ("\u0663\u0662", None, 0, "\u0663\u0662"),
    "no number": (float("nan"), None, 0, "nan"),
    "no end": (float("inf"), None, 0, "inf"),
    "more than a float can hold": (10**400, None, 0, str(10**400)),
    "more than there is of anything": (10**13, 1e13, 0, "10000000000000"),
    "a map": ({"image": 1}, None, 0, "{'image': 1}"),
    "a list": ([4], None, 0, "[4]"),
    "none": (None, None, 0, "None"),
    "digits that nobody reads": (6.640625001, 6.640625001, 6, "6.64063"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_fact_as_number_count_and_text(name: str) -> None:
    value, number, count, text = VALUES[name]
    facts = {"it": Fact(value)}
    assert (as_number(value), as_count(value), as_text(value)) == (number, count, text)
    assert (fact_number(facts, "it"), fact_count(facts, "it"), fact_text(facts, "it")) == (number, count, text)
    assert fact_map(facts, "it") == (value if isinstance(value, dict) else {})


def test_a_fact_that_is_not_known() -> None:
    known = fact_number({}, "it"), fact_count({}, "it"), fact_text({}, "it"), fact_map({}, "it")
    assert known == (None, 0, "", {})


@pytest.mark.parametrize(
    ("parts", "en", "zh"),
    [(["One.", "Two."], "One. Two.", "One.Two."), (["", "One.", ""], "One.", "One."), ([], "", "")],
)
def test_sentences_one_after_the_other(parts: list[str], en: str, zh: str) -> None:
    assert (sentences(parts, "en"), sentences(parts, "zh")) == (en, zh)


def test_texts_one_after_the_other() -> None:
    assert joined({"en": "One.", "zh": "一。"}, {"en": "Two.", "zh": "二。"}) == {"en": "One. Two.", "zh": "一。二。"}
