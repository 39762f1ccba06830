"""Several start-ups in one input: where one ends and the next begins, and what the verdict is then."""

from __future__ import annotations

import pytest
from program import RULES

from qvl_doctor.diagnose.engine import diagnose
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Diagnosis

PREFIX = "(APIServer pid=1) "
DETECTED = "INFO 02-16 10:00:00 [__init__.py:216] Automatically detected platform cuda.\n"
BANNER = PREFIX + "INFO 02-16 10:00:00 [api_server.py:1839] vLLM API server version 0.11.0\n"
LOADING = "(EngineCore_DP0 pid=2) INFO 02-16 10:01:00 [gpu_model_runner.py:2602] Starting to load model a/b...\n"
PROFILED = "(EngineCore_DP0 pid=2) INFO 02-16 10:01:00 [gpu_worker.py:298] Available KV cache memory: 8.99 GiB\n"
READY = PREFIX + "INFO:     Application startup complete.\n"
STOP = PREFIX + "INFO 02-16 10:05:00 [launcher.py:99] Shutting down FastAPI HTTP server.\n"
SERVED = PREFIX + 'INFO:     10.0.0.5:40402 - "POST /v1/chat/completions HTTP/1.1" 200 OK\n'


def crash(said: str, program: str = "/usr/local/bin/vllm") -> str:
    return (
        f'Traceback (most recent call last):\n  File "{program}", line 8, in <module>\n    sys.exit(main())\n'
        f'  File "/usr/lib/vllm/entrypoints/cli/main.py", line 54, in main\n    x()\n{said}\n'
    )


def look(*parts: str) -> Diagnosis:
    return diagnose(read_records("".join(parts)), RULES)


def runs(seen: Diagnosis) -> list[str]:
    return [run.verdict for run in seen.runs]


def test_a_start_that_dies_before_its_banner_is_a_run_of_its_own() -> None:
    """The first starts died of a lamp; the last one, after something was changed, of a missing module."""
    lamp, module = crash("RuntimeError: the lamp is broken"), crash("ModuleNotFoundError: No module named 'zmq'")
    seen = look(BANNER, LOADING, lamp, BANNER, LOADING, lamp, module)
    assert runs(seen) == ["failed", "failed", "failed"]
    assert "zmq" in seen.summary["en"]
    assert [rule for rule in seen.findings if "lamp" in rule.title["en"]] == []


def test_the_same_end_that_is_shown_twice_is_one() -> None:
    assert runs(look(BANNER, crash("ValueError: x"), crash("ValueError: x"))) == ["failed"]


def test_other_processes_of_a_start_that_crashed_begin_no_new_one() -> None:
    """V0's engine is still importing when the server that started it is gone."""
    assert runs(look(BANNER, crash("ValueError: x"), DETECTED, LOADING)) == ["failed"]


@pytest.mark.parametrize("before", [READY, SERVED])
def test_a_tail_that_shows_the_end_of_one_start_and_the_next(before: str) -> None:
    """An answer of the server that ran before says nothing of the one that starts."""
    seen = look(before, BANNER, LOADING, crash("RuntimeError: the lamp is broken"))
    assert runs(seen) == ["healthy", "failed"]
    assert runs(look(before, BANNER, LOADING)) == ["healthy", "unknown"]


def test_a_crash_loop_that_is_cut_off_in_a_start() -> None:
    one = BANNER + LOADING + crash("RuntimeError: the lamp is broken")
    seen = look(one, one, BANNER)
    assert (seen.verdict, runs(seen)) == ("failed", ["failed", "failed", "unknown"])
    assert "lamp" in seen.summary["en"]
    assert "The 2 starts before it failed" in seen.not_checked[0]["en"]


def test_a_start_that_comes_further_than_those_before_it_is_not_judged_by_them() -> None:
    one = BANNER + LOADING + crash("RuntimeError: the lamp is broken")
    assert look(one, one, BANNER, PROFILED).verdict == "unknown"
    assert look(one, BANNER).verdict == "unknown"
    assert look(one, BANNER + LOADING + crash("ValueError: another"), BANNER).verdict == "unknown"


def test_stops_after_serving() -> None:
    assert look(BANNER, READY, STOP).verdict == "healthy"
    again = look(BANNER, READY, STOP, BANNER, READY, SERVED, STOP, BANNER, READY)
    assert (again.verdict, again.findings[0].rule) == ("degraded", "restarted-from-outside")
    assert again.facts["restarts"].value == 2
    assert look(BANNER, LOADING, STOP, BANNER, READY).verdict == "healthy"  # the first one never served
    other = PREFIX + "INFO 02-16 10:00:00 [utils.py:233] non-default args: {'model': 'c/d'}\n"
    assert look(BANNER, READY, STOP, BANNER, other, READY).verdict == "healthy"
