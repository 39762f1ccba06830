"""The second look: what it finds, and what keeps it from finding more."""

from __future__ import annotations

import time

import pytest
from scraps.texts import look

from qvl_doctor.diagnose.cut import part
from qvl_doctor.model import Diagnosis

LENGTH = r"The model's max seq len \((?P<asked>\d+)\) is larger than the maximum number of tokens that can be stored in KV cache"


def answer(text: str) -> Diagnosis:
    return look(text.encode(), {})


def first(text: str) -> tuple[str, str]:
    """The first finding and its confidence."""
    found = answer(text).findings
    return (found[0].rule, found[0].confidence) if found else ("", "")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("KeyError: 'qwen2_5_vl'", "transformers-unknown-model-type"),
        ("my server dies with `KeyError: 'qwen2_5_vl'` since the update", "transformers-unknown-model-type"),
        ("[Bug]: 0.20.2版本 No module named 'ray'", "python-module-missing"),
    ],
)
def test_what_is_found_without_its_frame_is_likely(text: str, rule: str) -> None:
    assert first(text) == (rule, "likely")


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'moon_phase'",
        "AssertionError",
        "RuntimeError: The model of the bridge does not match the river width.",
        "ValueError: The number of lanterns (8192) must not exceed the harbour depth of 4096.",
        "Traceback (most recent call last):\n  File \"/srv/x/harbour.py\", line 1, in f\nKeyError: 'qwen2_5_vl'",
    ],
)
def test_what_is_left_unknown(text: str) -> None:
    assert first(text)[0] == "unrecognized-failure"


@pytest.mark.parametrize("level", ["INFO", "DEBUG", "WARNING"])
def test_records_below_error_are_not_looked_at_again(level: str) -> None:
    assert not answer(f"{level} 02-16 10:03:00 [x.py:1] KeyError: 'qwen2_5_vl' was the reason the last time").findings


def test_a_known_cause_leaves_no_room_for_a_second_look() -> None:
    known = "ERROR 02-16 10:03:20 [core.py:1] ValueError: No available memory for the cache blocks."
    assert [finding.rule for finding in answer(f"{known}\nit was KeyError: 'qwen2_5_vl'").findings] == ["kv-no-blocks"]


def test_a_server_that_lived_is_not_looked_at_again() -> None:
    up = "INFO:     Application startup complete.\n"
    assert {finding.severity for finding in answer(f"{up}KeyError: 'qwen2_5_vl'\n").findings} <= {"notice"}


def test_lines_that_were_broken_are_read_as_one() -> None:
    text = (
        "please help, it says: Repo id must use alphanumeric chars or '-', '_', '.', '--' and '..' are for\n"
        "bidden, '-' and '.' cannot start or end the name, max length is 96: '/models/x'."
    )
    assert first(text)[0] == "model-path-missing"


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("The model's max seq len (8192) is larger than the maximum number of tok", True),
        ("it said `The model's max seq len (8192) is larger than the maximum number of` and died", True),
        ("The model's max seq len (8192) is larger than the maximum number... what now", True),
        ("it said The model's max seq len (8192) is larger than the maximum numb. Check the logs", True),
        ("odel's max seq len (8192) is larger than the maximum number of tokens that can be stored in KV cache", True),
        ("it said The model's max seq len (8192) is larger than the maximum number. Check the logs", False),
        ("The model's max seq len (8192) is smaller than the maximum number of tokens", False),
        ("The model's max seq len (8192) is larger than the whale", False),
        ("The model's max", False),
        ("stored in KV cache", False),
    ],
)
def test_cut_texts(text: str, cut: bool) -> None:
    assert (part(LENGTH, text, headed=False) is not None) is cut


def test_what_begins_as_it_was_logged_was_not_cut_at_its_beginning() -> None:
    text = "odel's max seq len (8192) is larger than the maximum number of tokens that can be stored in KV cache"
    assert part(LENGTH, text, headed=True) is None


def test_words_that_a_wild_card_swallows_do_not_count() -> None:
    pattern = r"cannot be opened: .{0,300} is not a directory that exists"
    assert part(pattern, "cannot be opened: the whale is not what it was before it sang", headed=False) is None


@pytest.mark.parametrize(
    "hostile", ["ValueError: " * 4000, "`'" * 20_000, "max seq len (1) is larger than " * 1000, "a. B" * 9000]
)
def test_hostile_text_takes_little_time(hostile: str) -> None:
    answer("x")
    began = time.process_time()
    answer(hostile)
    answer("\n".join([hostile[:900]] * 400))
    assert time.process_time() - began < 10
