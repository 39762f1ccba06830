"""A line that happens to be as wide as the widest, and the one after it."""

from __future__ import annotations

import pytest

from qvl_doctor.logs.source import RawLine
from qvl_doctor.logs.wraps import TerminalWraps

PREFIXES = (
    "2025-02-16T08:31:21Z ",
    "(APIServer pid=1) ",
    "[rank0]: ",
    "[pod/qwen-5fcb84cf6-ldtdj/vllm] ",
    "INFO 02-16 10:00:00 ",
    "vllm-1  | ",
    "ai_vllm.1.q5mvvwmdgmqc@gpu-node-1    | ",
    "Feb 16 10:00:00 host vllm[7]: ",
    "qwen-vl-5fcb84cf6-ldtdj qwen-vl-vllm INFO",
)


def joined(*texts: str) -> list[str]:
    wraps = TerminalWraps()
    lines = wraps.join([RawLine(number, text) for number, text in enumerate(texts, 1)])
    return [line.text for line in (*lines, *wraps.flush())]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_line_with_a_prefix_begins_anew(prefix: str) -> None:
    lines = [prefix + word.ljust(100 - len(prefix), ".") for word in ("one", "two")]
    assert joined(lines[0], prefix + "next", lines[1], prefix + "last") == [
        lines[0],
        prefix + "next",
        lines[1],
        prefix + "last",
    ]


def test_a_line_without_a_prefix_goes_on() -> None:
    assert joined("a" * 100, "tail", "b" * 100, "rest") == ["a" * 100 + "tail", "b" * 100 + "rest"]
