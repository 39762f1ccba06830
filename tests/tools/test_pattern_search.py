"""Whether a pattern can match a text whose gaps are filled in.

Never by chance, and never missed for want of the right sample.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pattern_search import Index, Machine


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (
            r"max_model_len \((?P<asked>\d+)\) is greater than the derived",
            "User-specified max_model_len ({}) is greater than the derived {}.",
        ),
        (
            r"Free memory on device \S{3,9} \([\d.]+/[\d.]+ GiB\) on startup",
            "Free memory on device {} ({}/{} GiB) on startup is less",
        ),
        (
            r"initialization failed\. Failed core proc\(s\): \{[^}]{0,200}': -9\b",
            "Engine core initialization failed. Failed core proc(s): {}",
        ),
        (r"(?P<what>.{1,60}?) timed out", "RPC call to {} timed out."),
        (r"^(?P<option>\S.{0,160}?) is not supported by the V1 Engine", "{} is not supported by the V1 Engine."),
        (
            r"cannot be greater than the model.{1,3} maximum context length",
            "({}) cannot be greater than the model's maximum context length ({}).",
        ),
        (
            r"weights were not initialized from checkpoint: \{'lm_head",
            "Following weights were not initialized from checkpoint: {}",
        ),
        (r"(?:Too|Rather) large swap space\. [^a-z]{1,9}GiB", "Too large swap space. {} GiB are taken"),
        (r"takes (?:one|two|[3-9]) items?\b", "Takes two items"),
        (r"ends in a name (?P<name>\w+)$", "This text ends in a name {}"),
        (
            r"argument (?P<flag>-[\w-]{1,120}): Value (?P<value>.{1,300}?) cannot be converted",
            "argument {flag}: Value {} cannot be converted to {}.",
        ),
        (r"exactly \d{2} pieces of the whole [^ ]thing", "Exactly {} pieces of the whole {}thing"),
        ("KEY=VALUE", "Each item should be in the form KEY=VALUE"),
    ],
)
def test_a_text_that_a_pattern_can_match(pattern: str, text: str) -> None:
    filled = Machine(pattern).filled(text)
    assert filled
    assert re.search(pattern, filled, re.IGNORECASE)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        # All of the pattern, or its telling words, would stand in a gap.
        (r"CUDA error: out of memory", "Error: {}"),
        (r"Could not find nvcc\b", "Could not find {} in the nodes {}"),
        (r"No module named 'triton'", "No module named '{}'"),
        # What follows a number that is filled in is the text's own.
        (
            r"context length is (?P<limit>\d{1,12}) tokens\. However, you requested (?P<asked>\d{1,12}) (?:input )?tokens",
            "context length is {} tokens. However, you requested {} output tokens and your prompt contains more",
        ),
        (
            r"argument (?P<flag>-[\w-]{1,120}): expected one argument",
            "argument {flag}: Value {} cannot be converted to {}.",
        ),
        # `re` has the last word: on anchors, boundaries, look-aheads and lengths.
        (r"^does not support LoRA yet", "The model {} does not support LoRA yet"),
        (r"support LoRA\b yet", "does not support LoRAs yet"),
        (r"argument (?!'x')'x' is deprecated now", "argument 'x' is deprecated now"),
        (r"between .{0,3} and the other end of it", "between quite a few words and the other end of it"),
        (r"a text of other words entirely", "Nothing of the kind"),
        (r"exactly \d{2} pieces of the whole", "exactly two pieces of the whole"),
    ],
)
def test_a_text_that_it_cannot(pattern: str, text: str) -> None:
    assert Machine(pattern).filled(text) is None


def test_texts_are_found_by_their_words() -> None:
    texts = ["The prompt (length {}) is longer than the model length {}", "Nothing of the kind", "The prompt is empty"]
    index = Index(texts)
    assert index.near(r"prompt \(length \d+\) is longer than the model") == [0]
    assert index.near("words that no text has") == []
    assert index.near(r"prompt (?:is empty|is longer)") == [0, 2]


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_answered(before: str, after: str) -> None:
    text = f"{before}{{}}{after} requested tokens"
    filled = Machine(r"(?P<what>\w+) requested tokens").filled(text)
    assert filled is None or filled.endswith("requested tokens")


def test_a_long_text_with_many_gaps_is_answered_soon() -> None:
    text = "{} of {} and " * 80
    assert Machine(r"(?:[\w.]+ of [^)]{0,200} and ){3}nothing more than that was left").filled(text) is None
