"""Logs as people really have them: without their beginning, only their last lines, or cut off at their end.

What is left decides. A server that lives is never called failed, and a dead one never healthy.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from program import RULES

from qvl_doctor.diagnose.engine import Diagnosing
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.logs.milestones import ACTIVITY, ANSWER, CRASH, DEATH, ENGINE, FAULT, READY, milestone_of
from qvl_doctor.logs.records import LogReader

FIXTURES = Path(__file__).parents[2] / "fixtures"
LOGS = sorted(FIXTURES.glob("*/*.log"))
NAMES = [log.relative_to(FIXTURES).as_posix() for log in LOGS]
MATCHER = Matcher(RULES)
#: What may be said of a part of a log, by what is said of the whole. A part that shows nothing but a request that
#: failed is degraded, whatever the server did before and after it.
OF_PART = {
    "healthy": {"healthy", "degraded", "unknown"},
    "degraded": {"degraded", "unknown"},
    "failed": {"failed", "unknown"},
    "unknown": {"unknown"},
}


def verdict(lines: list[str]) -> tuple[str, set[str]]:
    """The verdict on some lines, and the kinds of marks that are in them."""
    reader, engine = LogReader(), Diagnosing(RULES, matcher=MATCHER)
    text = "\n".join(lines) + "\n"
    records = reader.feed(text.encode()) + reader.flush()
    engine.feed(records)
    marks = {mark.kind for record in records if (mark := milestone_of(record))}
    return ("unknown" if engine.empty else engine.finish("-").verdict), marks


def places(log: Path, count: int) -> list[int]:
    lines = log.read_text(encoding="utf-8").split("\n")
    dice = random.Random(log.name)  # noqa: S311 — a test that can be repeated
    return sorted(dice.sample(range(1, len(lines)), min(count, len(lines) - 1)))


def held(log: Path, count: int) -> None:
    lines = log.read_text(encoding="utf-8").split("\n")
    whole, _ = verdict(lines)
    for start in places(log, count):
        said, _ = verdict(lines[start:])
        # The inner half of a traceback does not say any more that it was only a request that failed.
        inside = whole == "degraded" and lines[start].startswith("  ")
        assert said in OF_PART[whole] or (inside and said == "failed"), f"from line {start + 1}"
    for last in (25, 50, 100):
        assert verdict(lines[-last:])[0] in OF_PART[whole], f"the last {last} lines"
    for end in places(log, count):
        said, marks = verdict(lines[:end])
        if whole == "healthy":
            assert said != "failed", f"up to line {end}"
        if said == "healthy":
            assert marks & {READY, ANSWER, ACTIVITY, ENGINE}, f"up to line {end}"
            assert not marks & {DEATH, CRASH}, f"up to line {end}"
        if marks & {DEATH, CRASH} and whole == "failed":
            assert said == "failed", f"up to line {end}"
        assert said != "healthy" or not marks <= {FAULT}, f"up to line {end}"


@pytest.mark.parametrize("log", LOGS, ids=NAMES)
def test_parts_of_a_log(log: Path) -> None:
    held(log, 4)


@pytest.mark.slow
@pytest.mark.parametrize("log", LOGS, ids=NAMES)
def test_many_parts_of_a_log(log: Path) -> None:
    held(log, 20)
