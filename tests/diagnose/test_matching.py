"""Which records a rule's condition is held against: a word of its literal picks them, and may leave none out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.model import NOTHING, Condition, Line, Record, Rule


def condition(message: str, *literals: str) -> Condition:
    return Condition(message=message, literals=literals or (message.lower(),))


def hits(item: Condition, messages: Sequence[str], unwrapped: str = "") -> list[str]:
    rule = Rule("some-rule", "fatal", NOTHING, NOTHING, (item,), ())
    records = [
        Record((Line(number, text),), text, unwrapped=unwrapped, level="ERROR")
        for number, text in enumerate(messages, 1)
    ]
    return [hit.record.message for hit in Matcher([rule]).feed(records) if hit.record]


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory",
        "RuntimeError('CUDA out of memory')",
        "said twice: cuda out of memory; cuda out of memory.",
        "显存不足（CUDA OUT OF MEMORY）",
        "a no-break\xa0space, CUDA out of memory",
    ],
)
def test_a_literal_of_several_words_is_found_anywhere(message: str) -> None:
    assert hits(condition("CUDA out of memory"), ["all is well", message, "bye"]) == [message]


@pytest.mark.parametrize("literal", ["memory", "out of", " of memory", "cuda out ", " ", ""])
def test_a_literal_without_a_whole_word_in_it_is_found_too(literal: str) -> None:
    assert hits(condition("CUDA out of memory", literal), ["CUDA out of memory"]) == ["CUDA out of memory"]


def test_it_is_found_where_only_the_glued_reading_holds_it() -> None:
    assert hits(condition("out of memory"), ["out of me mory"], unwrapped="out of memory") == ["out of me mory"]


def test_a_literal_that_two_records_share_is_in_neither() -> None:
    assert hits(condition("out of memory"), ["CUDA out", "of memory"]) == []


def test_a_frame_or_exception_is_asked_only_of_what_was_raised() -> None:
    asked = Condition(exception="ValueError")
    rule = Rule("some-rule", "fatal", NOTHING, NOTHING, (asked,), ())
    calm = Record((Line(1, "ValueError"),), "ValueError", level="ERROR")
    raised = Record((Line(2, "ValueError: x"),), "x", exception="ValueError")
    assert [hit.record for hit in Matcher([rule]).feed([calm, raised])] == [raised]
