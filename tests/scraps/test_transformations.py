"""The answer does not depend on what a log went through, as long as one telling line is left."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pytest
from scraps.texts import FIXTURES, Text, look, texts
from scraps.transformations import TRANSFORMATIONS, Scrap, Transformation

#: Of all transformed texts, and of those of one transformation: so many must have the same first finding.
OVERALL, EACH = 0.97, 0.90
#: The sample has few texts for each transformation.
EACH_OF_SAMPLE = 0.80
STEP = 29


class Outcome(NamedTuple):
    """How many texts of a transformation have the answer that they had before.

    Which of the others are taken for well.
    """

    same: int
    all: int
    wrong: tuple[str, ...]


def outcome(transformation: Transformation, sample: Iterable[Text]) -> Outcome:
    same, count = 0, 0
    wrong = []
    for text in sample:
        data = transformation.apply(text.scrap)
        if data is None or (transformation.quotes and not text.tells) or (transformation.cuts and _lives(text)):
            continue
        found = look(data, text.known)
        count += 1
        same += bool(found.findings) and found.findings[0].rule == text.rule
        if found.verdict in {"healthy", "degraded"} and found.verdict != text.verdict:
            wrong.append(f"{text.name}: {found.verdict}")
    return Outcome(same, count, tuple(wrong))


def _lives(text: Text) -> bool:
    """Whether only the whole text shows what is wrong.

    Of a server that was restarted the last lines show a healthy one.
    """
    return text.verdict == "degraded" and not text.tells


def check(outcomes: Mapping[str, Outcome], least: float) -> None:
    for name, found in outcomes.items():
        print(f"{found.same / max(found.all, 1):.3f} of {found.all:4} {name}")  # noqa: T201 — shown by pytest -s, and where the test fails
    assert [(name, found.wrong) for name, found in outcomes.items() if found.wrong] == []
    assert [name for name, found in outcomes.items() if found.same < least * found.all] == []
    assert sum(found.same for found in outcomes.values()) >= OVERALL * sum(found.all for found in outcomes.values())


def test_sample_of_all_transformations() -> None:
    sample = texts()[::STEP]
    check({each.name: outcome(each, sample) for each in TRANSFORMATIONS}, EACH_OF_SAMPLE)


@pytest.mark.slow
def test_all_transformations_of_all_texts() -> None:
    check({each.name: outcome(each, texts()) for each in TRANSFORMATIONS}, EACH)


@pytest.mark.parametrize(
    "log", ["healthy/0.32.0-lora-ok.log", "healthy/0.8.5.post2-healthy-vl.log", "article/healthy.log"]
)
def test_healthy_logs_stay_so(log: str) -> None:
    lines = (FIXTURES / log).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    scrap = Scrap(lines, frozenset(range(len(lines))))
    for transformation in TRANSFORMATIONS:
        data = None if transformation.quotes else transformation.apply(scrap)
        found = look(data, {}) if data else None
        assert found is None or {each.severity for each in found.findings} <= {"notice"}, transformation.name


def test_a_symptom_alone_is_named_with_what_to_get() -> None:
    said = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP0': 1}\n"
    found = look(said.encode(), {})
    assert (found.verdict, found.findings[0].rule) == ("failed", "engine-core-init-failed")
    assert re.search(r"kubectl logs \S+ --previous", str(found.findings[0].fixes))
