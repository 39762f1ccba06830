"""Which part of a long line is shown: the words that a finding has from it, its exception, whole words."""

from __future__ import annotations

import pytest

from qvl_doctor.report.evidence import focus
from qvl_doctor.report.typeset import window

HEAD = "(EngineCore pid=7) ERROR 02-16 09:04:35 [engine.py:389] "
NONE = frozenset[str]()


@pytest.mark.parametrize("name", ["ValueError", "torch.cuda.OutOfMemoryError", "KeyboardInterrupt", "SystemExit"])
@pytest.mark.parametrize("kind", ["", "Exception", "Warning"])
def test_each_kind_of_exception_is_what_tells(name: str, kind: str) -> None:
    shown = f"My{kind}" if kind else name
    text = HEAD + "x " * 30 + shown + " y" * 30
    begin, end = focus(text, NONE, 40)
    assert (text[begin:].startswith(shown), end - begin) == (True, 20)


@pytest.mark.parametrize("word", ["Errors", "MyErrorx", "Exceptional"])
def test_what_is_no_exception(word: str) -> None:
    text = HEAD + "x " * 30 + word + " y" * 30
    assert focus(text, NONE, 40)[0] == len(HEAD)


@pytest.mark.parametrize(("before", "at_exception"), [(20, False), (21, True)])
def test_an_exception_that_is_near_needs_no_cut(before: int, *, at_exception: bool) -> None:
    text = HEAD + "x" * (before - 1) + " ValueError"
    assert focus(text, NONE, 40)[0] == len(HEAD) + (before if at_exception else 0)


@pytest.mark.parametrize(
    ("text", "words", "part"),
    [
        ("a " * 20 + "7 " + "b " * 20, {"7"}, "7"),
        ("7 " + "a " * 30 + "8 9 " + "b " * 20, {"7", "8", "9"}, "8 9"),
        ("7 " + "a " * 30 + "7 7 " + "b " * 20, {"7"}, "7"),
        ("a 7 " + "b " * 30, {"7"}, "a 7"),
        ("a " * 20 + "x/y.z. " + "b " * 20, {"x/y.z"}, "x/y.z"),
    ],
)
def test_where_most_of_the_words_stand(text: str, words: set[str], part: str) -> None:
    begin, end = focus(text, frozenset(words), 20)
    assert text[begin:end] == part


@pytest.mark.parametrize(
    ("last", "width", "shown"),
    [
        # Of a begin of 30 up to ten letters of a word are left out, of a long one up to twenty.
        (10, 31, "x" * 20 + "…"),
        (12, 32, "x" * 20 + " " + "y" * 10 + "…"),
        (60, 41, "x" * 20 + " " + "y" * 19 + "…"),
    ],
)
def test_words_stay_whole_where_little_is_lost(last: int, width: int, shown: str) -> None:
    assert window("x" * 20 + " " + "y" * last + " z", width, (0, 1)) == shown


@pytest.mark.parametrize(("letters", "kept"), [(19, True), (20, False)])
def test_of_a_long_line_twenty_letters_at_most_are_lost(letters: int, *, kept: bool) -> None:
    text = "x" * 80 + " " + "y" * 50
    shown = window(text, 80 + 1 + letters + 1, (0, 1))
    assert shown == ("x" * 80 + "…" if kept else "x" * 80 + " " + "y" * letters + "…")
