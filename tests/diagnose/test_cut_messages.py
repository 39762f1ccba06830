"""How much of a rule's message must be there, where a message was cut: both sides of each bound."""

from __future__ import annotations

import pytest

from qvl_doctor.diagnose.cut import _enough

WORDS = ("aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh", "ii", "jj", "kk", "ll")
LONG = "x" * 24


@pytest.mark.parametrize(
    ("own", "words", "said", "enough"),
    [
        # Of short patterns nearly all, at least three words; of long ones half.
        (2, 2, LONG, False), (2, 3, LONG, True), (3, 3, LONG, True), (3, 2, LONG, False), (4, 3, LONG, False),
        (4, 4, LONG, True), (8, 4, LONG, True), (8, 3, LONG, False), (10, 5, LONG, True), (10, 4, LONG, False),
        (11, 5, LONG, True), (12, 6, LONG, True), (12, 5, LONG, False), (12, 12, LONG[:-1], False),
    ],
)  # fmt: skip
def test_enough_of_a_message(own: int, words: int, said: str, *, enough: bool) -> None:
    assert _enough(words, said, [" ".join(WORDS[:own])]) is enough
