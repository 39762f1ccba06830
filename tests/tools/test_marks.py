"""What logs are read by is held against what the newest release prints."""

from __future__ import annotations

import marks
import pytest
from catalogue import Catalogue, Row
from marks import Mark


def known(*texts: str) -> Catalogue:
    old = Row("Model loading took {} GiB", "vllm/a.py", ("log:info",), frozenset({"0.9.0"}))
    return Catalogue(
        ("0.9.0", "0.10.0"), (old, *(Row(text, "vllm/b.py", ("log:info",), frozenset({"0.10.0"})) for text in texts))
    )


@pytest.mark.parametrize(
    ("words", "current", "text", "said"),
    [
        ("Model loading took", True, "Model loading took {} GiB and {} seconds", ""),
        ("Model loading took", True, "Loading the model took {}", "is in no text of 0.10.0"),
        ("Model loading took", False, "Loading the model took {}", ""),
        ("Model loading took", False, "Model loading took {}", "is in a text again in 0.10.0"),
        ("GPU KV cache size:", True, "{}KV cache size: {} tokens", ""),
        ("GPU KV cache size:", False, "{}KV cache size: {} tokens", ""),
        ("EngineDeadError", True, "nothing of it", ""),
    ],
)
def test_a_mark(words: str, current: bool, text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "marks", lambda: [Mark("a table", words, current)])
    assert list(marks.problems(known(text))) == ([f"a table: {words!r} {said}"] if said else [])


def test_the_tables_that_are_held_against_it() -> None:
    found = list(marks.marks())
    assert {mark.where for mark in found} == {"logs/milestones.py", "knowledge/wordings.json"}
    assert {mark.current for mark in found} == {True, False}
    assert len(found) > 50
