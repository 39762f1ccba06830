"""Whatever a log went through on its way, it reads the same."""

from functools import lru_cache
from pathlib import Path

import pytest
from wrappings import Wrapping, nestings, wrappings

from qvl_doctor.logs.records import LogReader
from qvl_doctor.logs.source import open_input, read_chunks

LOGS = [
    "article/qwen2_5_vl-keyerror.log",
    "article/worst-case-81920.log",
    "failed/0.8.5.post2-kv-too-small.log",
    "failed/0.11.0-lora-rank.log",
    "failed/0.11.0-sigkill-engine.log",
    "failed/0.32.0-lora-missing.log",
    "failed/0.32.0-quant-awq-flag.log",
]


@lru_cache(maxsize=len(LOGS))
def unwrapped(path: Path) -> list[tuple[str, str]]:
    return failures(path)


def failures(path: Path) -> list[tuple[str, str]]:
    """What the log's exceptions say, white space apart: a line break in a word and one between words look alike."""
    reader = LogReader()
    with open_input(str(path)) as stream:
        records = [record for chunk in read_chunks(stream, str(path)) for record in reader.feed(chunk)] + reader.flush()
    records.sort(key=lambda record: record.first_line)
    return [
        (record.exception, (record.unwrapped or record.message).replace(" ", ""))
        for record in records
        if record.exception
    ]


@pytest.mark.parametrize("wrapping", [*wrappings(), *nestings()], ids=lambda wrapping: wrapping.name)
def test_a_wrapping_changes_nothing(wrapping: Wrapping, fixtures: Path, tmp_path: Path) -> None:
    for log in LOGS:
        wrapped = tmp_path / "wrapped"
        wrapped.write_bytes(wrapping.wrap((fixtures / log).read_text(encoding="utf-8")))
        assert failures(wrapped) == unwrapped(fixtures / log), log
