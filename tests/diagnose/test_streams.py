"""Logs of several pods or containers in one input: each is judged, and the worst decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from program import RULES

from qvl_doctor.diagnose.streams import Streams
from qvl_doctor.logs.records import LogReader
from qvl_doctor.model import Diagnosis
from qvl_doctor.report.as_json import as_dict

#: How a collector names the log that a line is from, and the name that the report has for it.
PREFIXES: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "kubectl": (lambda name: f"[pod/{name}-0/main] ", lambda name: f"{name}-0/main"),
    "stern": (lambda name: f"{name}-6c9f8d7b5-x2x9l main ", lambda name: f"{name}-6c9f8d7b5-x2x9l/main"),
    "compose": (lambda name: f"{name}-1  | ", lambda name: f"{name}-1"),
}
START = (
    "INFO 02-16 10:00:00 [api_server.py:1839] vLLM API server version 0.11.0",
    "INFO 02-16 10:00:00 [utils.py:233] non-default args: {'model': 'a/b'}",
)
HEALTHY = (
    *START,
    "INFO:     Application startup complete.",
    'INFO:     10.0.0.5:40402 - "POST /v1/chat/completions HTTP/1.1" 200 OK',
)
STARTING = (*START, "INFO 02-16 10:01:00 [gpu_model_runner.py:2602] Starting to load model a/b...")
DEAD = (
    *START,
    "Traceback (most recent call last):",
    '  File "/usr/local/bin/vllm", line 8, in <module>',
    "    sys.exit(main())",
    '  File "/usr/lib/vllm/lantern.py", line 54, in light',
    "RuntimeError: the lamp is broken",
)
#: A gateway that answers by itself, and an app that is up.
PROXY = (
    '10.0.0.1 - - [16/Feb/2025:10:00:01 +0000] "POST /v1/chat/completions HTTP/1.1" 200 157 "-" "python-requests/2.32"',
    '10.0.0.1 - - [16/Feb/2025:10:00:01 +0000] "POST /v1/chat/completions HTTP/1.1" 502 157 "-" "python-requests/2.32"',
)
APP = (
    "INFO:     Application startup complete.",
    'INFO:     10.0.0.7:40402 - "POST /v1/chat/completions HTTP/1.1" 200 OK',
    'INFO:     10.0.0.7:40402 - "GET /health HTTP/1.1" 200 OK',
)


def look(text: str) -> Diagnosis:
    reader, streams = LogReader(), Streams(RULES)
    streams.feed(reader.feed(text.encode()))
    streams.feed(reader.flush())
    return streams.finish("-")


def mixed(prefix: Callable[[str], str], **logs: tuple[str, ...]) -> str:
    """The logs line by line, in turns."""
    rows = [
        (number / len(lines), place, f"{prefix(name)}{line}\n")
        for place, (name, lines) in enumerate(logs.items())
        for number, line in enumerate(lines)
    ]
    return "".join(row[2] for row in sorted(rows))


@pytest.mark.parametrize("collector", PREFIXES)
def test_a_dead_pod_beside_a_healthy_one(collector: str) -> None:
    prefix, name = PREFIXES[collector]
    for text in (mixed(prefix, one=HEALTHY, two=DEAD), mixed(prefix, two=DEAD, one=HEALTHY)):
        seen = look(text)
        assert seen.verdict == "failed"
        assert seen.summary["en"] == f"{name('two')}: RuntimeError: the lamp is broken"
        assert {run.origin: run.verdict for run in seen.runs} == {name("one"): "healthy", name("two"): "failed"}
        assert f"{name('one')} HEALTHY" in seen.not_checked[0]["en"]
        assert f"{name('one')} 健康" in seen.not_checked[0]["zh"]


@pytest.mark.parametrize("collector", PREFIXES)
def test_what_other_programs_answer_proves_nothing(collector: str) -> None:
    prefix, _ = PREFIXES[collector]
    for other in (PROXY, APP):
        seen = look(mixed(prefix, vllm=DEAD, other=other))
        assert (seen.verdict, seen.summary["en"]) == ("failed", "RuntimeError: the lamp is broken")
        assert look(mixed(prefix, vllm=STARTING, other=other)).verdict == "unknown"
        assert look(mixed(prefix, vllm=HEALTHY, other=other)).verdict == "healthy"


@pytest.mark.parametrize("other", [*PROXY, "vllm-1 exited with code 0"])
def test_without_prefixes_an_access_line_of_another_program_proves_nothing_either(other: str) -> None:
    text = "\n".join(DEAD)
    assert look(f"{other}\n{text}\n{other}\n").verdict == "failed"
    assert look("\n".join(STARTING) + f"\n{other}\n").verdict == "unknown"


def test_one_that_starts_beside_one_that_is_healthy() -> None:
    prefix, name = PREFIXES["kubectl"]
    seen = look(mixed(prefix, one=HEALTHY, two=STARTING))
    assert (seen.verdict, seen.shown.origin) == ("unknown", name("two"))


def test_workers_on_other_nodes_never_say_that_they_are_ready() -> None:
    prefix, _ = PREFIXES["kubectl"]
    worker = ("(RayWorkerWrapper pid=7) INFO 02-16 10:01:00 [gpu_model_runner.py:2602] Starting to load model a/b...",)
    seen = look(mixed(prefix, leader=HEALTHY, worker=worker))
    assert (seen.verdict, seen.shown.origin, len(seen.runs)) == ("healthy", "", 1)


def test_of_two_that_failed_the_one_that_knows_why() -> None:
    prefix, name = PREFIXES["kubectl"]
    known = (*START, "ERROR 02-16 10:00:30 [core.py:708] ValueError: LoRA rank 64 is greater than max_lora_rank 16.")
    for text in (mixed(prefix, one=DEAD, two=known), mixed(prefix, two=known, one=DEAD)):
        assert look(text).shown.origin == name("two")


def test_compose_says_which_of_its_containers_ended() -> None:
    prefix, _ = PREFIXES["compose"]
    both = mixed(prefix, vllm=HEALTHY, other=APP)
    assert look(both + "vllm-1 exited with code 1\n").verdict == "failed"
    assert look(both + "other-1 exited with code 1\n").verdict == "healthy"


def test_lines_without_prefix_stay_with_the_log_that_they_interrupt() -> None:
    prefix, _ = PREFIXES["kubectl"]
    text = mixed(prefix, vllm=DEAD[:-1]) + DEAD[-1] + "\n"
    assert look(text).verdict == "failed"


def test_very_many_names_take_bounded_memory() -> None:
    text = "".join(f"[pod/q-{number}/main] {line}\n" for number in range(500) for line in HEALTHY)
    seen = look(text)
    assert seen.verdict == "healthy"
    assert len({run.origin for run in seen.runs}) <= 64
    assert len(seen.not_checked[0]["en"]) < 600


def test_report_has_the_names(root: Path) -> None:
    prefix, name = PREFIXES["compose"]
    report = as_dict(look(mixed(prefix, one=HEALTHY, two=DEAD)))
    assert {run["origin"] for run in report["runs"]} == {name("one"), name("two")}
    jsonschema.validate(report, __import__("json").loads((root / "qvl_doctor/report/schema-v1.json").read_text()))


def test_a_log_alone_is_one_as_before(fixtures: Path) -> None:
    text = (fixtures / "failed/0.11.0-lora-rank.log").read_text(encoding="utf-8")
    seen = look(text)
    assert (seen.verdict, seen.shown.origin, {run.origin for run in seen.runs}) == ("failed", "", {""})
