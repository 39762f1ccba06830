"""The table of milestones: each row has a line that carries its mark, and says which releases print it, and where."""

from __future__ import annotations

import re

import pytest
from milestone_samples import NOTHING, SAMPLES

from qvl_doctor.logs.milestones import MILESTONES, Milestone, milestone_of
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import PHASES

LINES = [(kind, words, line) for kind, samples in SAMPLES.items() for words, line in samples]


def mark(text: str) -> Milestone | None:
    (record,) = read_records(text)
    return milestone_of(record)


@pytest.mark.parametrize("wrap", ["{}", "vllm-1  | {}", "[pod/q-0/vllm] {}", "2025-02-16T08:31:21.1Z stdout F {}"])
@pytest.mark.parametrize(("kind", "words", "line"), LINES)
def test_line_carries_its_mark(kind: str, words: str, line: str, wrap: str) -> None:
    found = mark(wrap.format(line))
    assert found is not None
    assert (found.kind, found.words) == (kind, words)


def test_every_row_has_a_line_its_releases_and_its_place() -> None:
    assert {(found.kind, found.words) for found in MILESTONES} <= {(kind, words) for kind, words, _ in LINES}
    for found in MILESTONES:
        assert re.fullmatch(r"every release|0\.\d[\w.]*(?:–(?:0\.\d[\w.]*)?)?", found.releases), found
        assert found.place, found
        assert {found.phase, found.then} <= {"", *PHASES}, found


@pytest.mark.parametrize("line", NOTHING)
def test_what_looks_like_a_mark(line: str) -> None:
    assert mark(line) is None


TRACEBACK = (
    'Traceback (most recent call last):\n  File "{}", line 8, in <module>\n    main()\n  File "{}", line 9, in f\n{}'
)


@pytest.mark.parametrize(
    ("program", "inner", "raised", "kind"),
    [
        ("/usr/local/bin/vllm", "/usr/lib/vllm/entrypoints/cli/main.py", "ValueError: x", "crash"),
        ("<frozen runpy>", "/usr/lib/vllm/entrypoints/openai/api_server.py", "ValueError: x", "crash"),
        ("/home/u/run.py", "/usr/lib/vllm/entrypoints/llm.py", "ValueError: x", "crash"),
        ("/usr/local/bin/vllm", "/usr/lib/vllm/entrypoints/cli/main.py", "KeyboardInterrupt: terminated", "early"),
        ("/usr/local/bin/vllm", "/usr/lib/vllm/entrypoints/cli/main.py", "KeyboardInterrupt", "asked"),
        # clients, other programs, and processes that vLLM starts and whose end it logs itself
        ("/usr/local/bin/vllm", "/usr/lib/vllm/benchmarks/serve.py", "ValueError: x", ""),
        ("/usr/local/bin/vllm", "/usr/lib/vllm/entrypoints/cli/openai.py", "ValueError: x", ""),
        ("/home/u/ask.py", "/usr/lib/openai/_base_client.py", "openai.APIConnectionError: x", ""),
        ("<string>", "/usr/lib/vllm/v1/engine/core.py", "ValueError: x", ""),
    ],
)
def test_uncaught_traceback_ends_its_program(program: str, inner: str, raised: str, kind: str) -> None:
    found = mark(TRACEBACK.format(program, inner, raised))
    assert (found.kind if found else "") == kind


def test_traceback_that_was_logged_ends_nothing_by_itself() -> None:
    text = TRACEBACK.format("/usr/local/bin/vllm", "/usr/lib/vllm/entrypoints/cli/main.py", "ValueError: x")
    assert mark("\n".join(f"ERROR 02-16 10:03:00 [x.py:1] {line}" for line in text.splitlines())) is None


def test_what_an_exception_quotes_is_no_proof_of_life() -> None:
    for quoted in ("Application startup complete.", "Loading weights took 1 s", "Avg prompt throughput: 1"):
        assert mark(TRACEBACK.format("/x/a.py", "/x/b.py", f"ValueError: {quoted}")) is None
