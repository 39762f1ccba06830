"""Patterns: what they contain, and which are refused."""

from __future__ import annotations

import re
import time

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.patterns import LONGEST_PATTERN, begins_open, check, groups, literal_words, literals


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"Engine core initialization failed", ("engine core initialization failed",)),
        (r"max_model_len \((?P<asked>\d+)\) is greater than", (") is greater than", "max_model_len (")),
        (r"(?:the )?model type (?:is )?unknown", ("model type ", "unknown")),
        (r"^'(?P<name>qwen\w+)'$", ("'qwen",)),
        (r"out of memory(?:!|\.)?", ("out of memory",)),
        (r"(?:abcd)+efgh", ("abcd", "efgh")),
        (r"abcd{2}efgh", ("efgh",)),
        (r"\bword\b", ("word",)),
        (r"too short(?= for)", ("too short",)),
        (r"one two|three four", ()),
        (r"prefix (?:one two|three four) suffix", (" suffix", "prefix ")),
        (r"\d+ \w+", ()),
        (r"abc \d+", ()),
        (r"abc\d+", ()),
        (r" a .{0,9}", ()),
        (r"Größe der Karte", ("e der karte",)),
        (r"显存不足了", ("显存不足了",)),
        (r"same words \d+ same words", ("same words ", " same words")),
        (r"memory \d+ out of memory left", (" out of memory left",)),
        (r"[Ff]ailed to", ("ailed to",)),
        (r"a\.b\{c\}", ("a.b{c}",)),
    ],
)
def test_literals(pattern: str, expected: tuple[str, ...]) -> None:
    assert check(pattern) is None
    assert sorted(literals(pattern)) == sorted(expected)
    assert [len(literal) for literal in literals(pattern)] == sorted(
        (len(literal) for literal in expected), reverse=True
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"Engine core initialization failed", 4),
        (r"max_model_len \(\d+\)", 1),
        (r"\d+ GiB of (?P<total>\d+)", 2),
        (r"failed (?:to start|because of a missing file) now", 4),
        (r"(?:in the end )?it failed", 2),
        (r"one two three|four", 1),
        (r"a b c", 0),
        (r"\w+ \S+", 0),
        (r"(?P<whole>no such file)", 3),
        (r"V1 fp8 sm_90", 3),
        (r"12 34 56", 0),
        (r"mod(?:el|ule) is", 2),
    ],
)
def test_literal_words(pattern: str, expected: int) -> None:
    assert literal_words(pattern) == expected


def test_groups_that_a_match_may_leave_empty() -> None:
    assert groups(r"(?P<a>x)(?:(?P<b>y))(?P<c>z)?(?:(?P<d>p)|q)(?:(?P<e>r)){2}(?P<f>(?P<g>s))") == (
        frozenset("abefg"),
        frozenset("cd"),
    )
    assert groups("no groups") == (frozenset(), frozenset())


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("", "is empty"),
        ("x" * (LONGEST_PATTERN + 1), "characters long"),
        ("(unclosed", "no regular expression: missing ), unterminated subpattern"),
        ("*x", "nothing to repeat"),
        (r"(?P<a>x)(?P<a>y)", "redefinition of group"),
        ("(" * 900 + ")" * 900, "no regular expression"),
        ("x{99999999999999}", "no regular expression"),
        ("[[a]", "possible nested set"),
        ("(?<=a)b", "looks behind"),
        ("(?<!a)b", "looks behind"),
        (r"(?P<a>x)(?P=a)", "refers back"),
        (r"(x)\1", "refers back"),
        ("(x)?(?(1)y|z)", "depends on whether"),
        ("(?x)a b", "sets flags"),
        ("(?s:a.b)", "sets flags"),
        ("(?-i:a)b", "sets flags"),
        ("(a+)+", "repeats something that itself repeats"),
        ("(?:a|aa)*", "repeats something that itself repeats"),
        ("(?:a?){9}", "repeats something that itself repeats"),
        ("(?:x(?:y(?:a*)))+", "repeats something that itself repeats"),
        ("first.*second", "'.*' or '.+'"),
        ("first.+?second", "'.*' or '.+'"),
        ("two  blanks", "two blanks"),
        ("a (?:x  y|z)", "two blanks"),
        ("a\nb", "line break"),
        (r"a\tb", "line break or tab"),
        ("(foo){e<=1}", "starts no quantifier"),
        ("{name}", "starts no quantifier"),
    ],
)
def test_refused(pattern: str, problem: str) -> None:
    assert problem.lower() in (check(pattern) or "").lower()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(?P<need>\d+) tokens", True),
        (r"'?(?:the |a )?(?P<name>\w+) is", True),
        (r"(?:word|\w+) is", True),
        (r"(?:abc)+ is", True),
        (r"\b(?P<need>\d+) tokens", False),
        (r"^\w+ is", False),
        (r"\d{1,9} tokens", False),
        (r"(?:word)?(?:c|d{2})\d+", False),
        (r"(?:word)?", False),
        (r"(?:\d+ )?word", True),
        (r"(?:\d )?(?:word)", False),
    ],
)
def test_begins_open(pattern: str, expected: bool) -> None:
    assert begins_open(pattern) is expected


def test_constructs_that_python_3_10_lacks_are_refused() -> None:
    assert check("(?>a)b")
    assert check("a++b")


@pytest.mark.parametrize(
    "pattern",
    [
        r"CUDA out of memory\. Tried to allocate (?P<tried>[\d.]+ [KMG]iB)\. GPU \d+ has a total capacity of (?P<total>[\d.]+ [MG]iB)",
        r"out of which (?P<reserved>\{[^}]+\})",
        r"model type `(?P<model_type>\w+)` but Transformers does not",
        r"(?:torch\.)?(?:cuda\.)?OutOfMemoryError",
        r"first.{0,200}second",
        r"[^{]{1,9}",
        r"[]a] [^]{] [\]{]",
        r"no (?!such)thing",
        r"\d{2}-\d{2}",
    ],
)
def test_accepted(pattern: str) -> None:
    assert check(pattern) is None
    re.compile(pattern, re.IGNORECASE)
    regex.compile(pattern, regex.IGNORECASE)


@given(st.text(alphabet=r"ab1 .*+?()[]{}|\^$,-=!<>:PdwsSi", max_size=24))
def test_check_never_raises_and_what_passes_compiles(pattern: str) -> None:
    if check(pattern) is None:
        re.compile(pattern, re.IGNORECASE)
        regex.compile(pattern, regex.IGNORECASE)
        literals(pattern)
        literal_words(pattern)
        groups(pattern)


_PIECES = st.sampled_from(
    [
        "word",
        "Other Text",
        "(?:left side|right side)",
        "(?:maybe )?",
        "(?:again){1,2}",
        r"\d+",
        r"(?P<x>\w{1,3})",
        "[abc]{2}",
        ".{0,3}",
        "^",
    ]
)


@given(st.lists(_PIECES, max_size=6), st.data())
def test_every_match_contains_every_literal(pieces: list[str], data: st.DataObject) -> None:
    pattern = "".join(dict.fromkeys(pieces))
    if not pattern or check(pattern):
        return
    text = data.draw(st.from_regex(re.compile(pattern, re.IGNORECASE | re.ASCII)))
    found = re.search(pattern, text, re.IGNORECASE)
    # Two letters fold to ASCII ones without being their upper case.
    if found and not set("ſK") & set(text):
        assert all(literal in text.lower() for literal in literals(pattern))


@pytest.mark.parametrize(
    "pattern",
    [
        r"\b(?P<need>\d+) tokens in total, out of which (?P<reserved>\{[^}]+\})",
        r"first.{0,200}second.{0,200}third",
        r"model [^(]*\((?P<n>\d+)\)[^(]*too short",
        r"(?:torch\.)?(?:cuda\.)?OutOfMemoryError",
    ],
)
def test_what_passes_is_quick_on_hostile_text(pattern: str) -> None:
    assert check(pattern) is None
    for pump in ("1", "first", "first second", "model (", "torch.cuda.", "model ", "1 tokens in total, out of which {"):
        text = (pump * 8000)[:8000]
        began = time.process_time()
        re.search(pattern, text, re.IGNORECASE)
        assert time.process_time() - began < 2
