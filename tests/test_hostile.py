"""Logs as nobody would write them: cut, shuffled, repeated, spoilt. Every one gets a valid report, in bounded time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from program import RULES

from qvl_doctor.diagnose import Diagnosing
from qvl_doctor.logs.records import LogReader
from qvl_doctor.report.as_json import as_dict

SPOILT = (
    "\x00",
    "\x1b[31m",
    "\ufeff",
    "{",
    '{"log":"',
    "'" * 50,
    "[" * 200,
    "(" * 200,
    "Namespace(" * 40,
    "Value error, " * 30,
    "😀" * 30,
    "\u202e",
    "%s{}%",
)


def spoil(lines: list[str], dice: random.Random) -> list[str]:
    """A few of the things that happen to a log on its way, and some that do not."""
    lines = lines[dice.randrange(len(lines) // 2 + 1) :][: dice.randrange(20, 400)]
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(lines))
        what = dice.randrange(6)
        if what == 0:
            del lines[at : at + dice.randrange(1, 20)]
        elif what == 1:
            lines[at] = lines[at][: dice.randrange(len(lines[at]) + 1)]
        elif what == 2:
            lines[at:at] = lines[max(0, at - 30) : at] * dice.randrange(1, 4)
        elif what == 3:
            lines[at] += dice.choice(SPOILT) * dice.randrange(1, 30)
        elif what == 4:
            lines[at] = dice.choice(SPOILT) + lines[at]
        else:
            part = lines[at : at + 40]
            dice.shuffle(part)
            lines[at : at + 40] = part
        lines = lines or ["x"]
    return lines


@pytest.mark.parametrize("seed", range(60))
def test_any_log_gets_a_valid_report(seed: int, fixtures: Path, held_by_schema: Callable[[object], None]) -> None:
    dice = random.Random(seed)  # noqa: S311 — a test that can be repeated
    log = dice.choice(sorted(fixtures.glob("*/*.log")))
    text = "\n".join(spoil(log.read_text(encoding="utf-8").splitlines(), dice))
    reader, engine = LogReader(), Diagnosing(RULES)
    data = text.encode("utf-8", "replace")
    started = time.process_time()
    while data:
        size = dice.randrange(1, 9000)
        engine.feed(reader.feed(data[:size]))
        data = data[size:]
    engine.feed(reader.flush())
    report = as_dict(engine.finish("pod.log"))
    assert time.process_time() - started < 5
    held_by_schema(report)


@pytest.mark.parametrize(
    "line",
    [
        "ERROR 02-16 10:03:00 [x.py:1] " * 500,
        "(Worker pid=1) " * 1000,
        "[rank0]: " * 2000,
        "2025-02-16T10:03:00Z " * 900,
        '{"log":' * 3000,
        '{"log":"' + "\\u0000" * 3000 + '","stream":"x","time":"y"}',
        "Traceback (most recent call last):" * 400,
        '  File "' * 2000,
        "ValueError: " * 1500,
        "a" * 16_000 + "Error: x",
        "args: Namespace(" + "a=(" * 5000,
        "non-default args: {'a': " + "[" * 5000,
        "Initializing a V1 LLM engine (v0.11.0) with config: " + "x=" * 6000,
        "api_key='" + "\\'" * 7000,
        "CUDA out of memory. Tried to allocate " + "9" * 9000 + " GiB",
        "max_model_len (" + "9" * 9000 + ") is greater than the derived max_model_len",
        "version " + "0." * 7000,
        "\r".join(["Capturing: 10%|#"] * 3000),
    ],
    ids=lambda line: line[:30].strip().replace(" ", "_"),
)
def test_hostile_line_takes_no_long_time(line: str) -> None:
    reader, engine = LogReader(), Diagnosing(RULES)
    started = time.process_time()
    for _ in range(5):
        engine.feed(reader.feed((line + "\n").encode()))
    engine.feed(reader.flush())
    engine.finish("pod.log")
    assert time.process_time() - started < 3


def test_many_processes_and_open_tracebacks_stay_bounded() -> None:
    reader, engine = LogReader(), Diagnosing(RULES)
    for number in range(3000):
        head = f"(Worker_TP{number} pid={number}) ERROR 02-16 10:03:00 [x.py:{number}] "
        engine.feed(
            reader.feed(f'{head}Traceback (most recent call last):\n{head}  File "/x.py", line 1, in f\n'.encode())
        )
    assert len(reader._records._open) <= 257  # noqa: SLF001 — nobody else can see it
    engine.feed(reader.flush())
    assert engine.finish("pod.log").verdict == "failed"
