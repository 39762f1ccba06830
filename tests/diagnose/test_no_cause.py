"""What is no cause, and that no death and no exception is lost: with the rules that are shipped."""

from __future__ import annotations

import re

import pytest
from milestone_samples import SAMPLES
from program import RULES

from qvl_doctor.diagnose.engine import diagnose
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Diagnosis

BANNER = "(APIServer pid=1) INFO 02-16 10:00:00 [api_server.py:1839] vLLM API server version 0.11.0\n"
LOADING = "(EngineCore_DP0 pid=2) INFO 02-16 10:01:00 [gpu_model_runner.py:2602] Starting to load model a/b...\n"
READY = "(APIServer pid=1) INFO:     Application startup complete.\n"
ANSWER = '(APIServer pid=1) INFO:     10.0.0.5:40402 - "POST /v1/chat/completions HTTP/1.1" 200 OK\n'
IMPORT = (
    "WARNING 02-16 10:00:00 [interface.py:219] Failed to import from vllm._C: "
    "ImportError('libcuda.so.1: cannot open shared object file')\n"
)


def look(*parts: str) -> Diagnosis:
    return diagnose(read_records("".join(parts)), RULES)


def traceback(said: str, prefix: str = "(EngineCore_DP0 pid=2) ") -> str:
    lines = (
        "Traceback (most recent call last):",
        '  File "/x/vllm/v1/lantern.py", line 7, in light',
        "    lamp()",
        said,
    )
    return "".join(f"{prefix}{line}\n" for line in lines)


def findings(seen: Diagnosis) -> list[tuple[str, str, str]]:
    return [(each.rule, each.role, each.severity) for each in seen.findings]


WARNED = "(EngineCore_DP0 pid=2) WARNING 02-16 10:00:41 [import_utils.py:408] "


def test_a_warning_with_a_traceback_while_its_process_goes_on() -> None:
    seen = look(BANNER, traceback("ImportError: cannot import name '_C' from 'lantern'", WARNED), LOADING)
    assert seen.verdict == "unknown"
    assert "fatal" not in {severity for _, _, severity in findings(seen)}


def test_the_same_error_where_it_is_one() -> None:
    assert look(BANNER, traceback("ImportError: cannot import name '_C' from 'lantern'")).verdict == "failed"


def test_a_warning_that_a_rule_knows_does_not_fail_a_start() -> None:
    seen = look(IMPORT, BANNER, LOADING)
    assert (seen.verdict, findings(seen)) == ("unknown", [("nvidia-driver-missing", "warning", "notice")])


def test_a_platform_without_compiled_part_in_vllm_expects_that_warning() -> None:
    plugin = "INFO 02-16 10:00:00 [__init__.py:217] Platform plugin neuron is activated\n"
    seen = look(plugin, IMPORT, BANNER, LOADING)
    assert (seen.verdict, seen.findings) == ("unknown", ())
    assert seen.facts["platform"].value == "neuron"


def test_a_warning_never_outranks_the_exception() -> None:
    seen = look(IMPORT, BANNER, LOADING, traceback("RuntimeError: the lamp is broken"))
    assert findings(seen) == [
        ("unrecognized-failure", "cause", "fatal"),
        ("nvidia-driver-missing", "warning", "notice"),
    ]
    assert "the lamp is broken" in seen.summary["en"]


def test_an_exception_is_not_swallowed_because_a_warning_said_it_before() -> None:
    words = "libcuda.so.1: cannot open shared object file: No such file or directory"
    warned = f"WARNING 02-16 10:00:00 [x.py:1] Failed to import lamp: {words}\n"
    seen = look(warned, BANNER, traceback(f"ImportError: {words}", ""))
    assert seen.verdict == "failed"
    assert any(line.text.startswith("ImportError") for line in seen.findings[0].evidence)


def test_a_search_that_found_something() -> None:
    tried = "DEBUG 02-16 10:00:00 [mxfp4.py:1] Mxfp4 MoE backend 'CUTLASS' does not support the deployment configuration since x.\n"
    seen = look(BANNER, tried, "INFO 02-16 10:00:00 [mxfp4.py:2] Using 'TRITON' Mxfp4 MoE backend.\n", LOADING)
    assert (seen.verdict, seen.findings) == ("unknown", ())


@pytest.mark.parametrize(
    "shown",
    [
        "Exception ignored in: <function LLMEngine.__del__ at 0xffff1487ef20>\n"
        + traceback("NameError: name 'suppress' is not defined", ""),
        "--- Logging error ---\n"
        + traceback("RuntimeError: reentrant call", "")
        + "Call stack:\n  File \"/x/a.py\", line 1, in f\n    g()\nMessage: 'x'\nArguments: ()\n",
        "Call stack:\n  File \"/x/a.py\", line 1, in f\n    g()\nMessage: 'x'\nArguments: ()\n",
        "  File \"/x/a.py\", line 1, in f\n    g()\nMessage: 'x'\nArguments: ()\n",
    ],
)
def test_what_python_itself_shows_and_goes_on(shown: str) -> None:
    assert look(BANNER, shown, LOADING).verdict == "unknown"
    assert look(BANNER, READY, shown).verdict == "healthy"
    assert look(BANNER, shown, traceback("ValueError: real", "")).verdict == "failed"


def test_an_error_that_was_logged_and_left_behind() -> None:
    logged = traceback("ValueError: no such kernel", "(EngineCore_DP0 pid=2) ERROR 02-16 10:00:41 [x.py:1] ")
    assert look(BANNER, logged, LOADING).verdict == "unknown"
    assert look(BANNER, LOADING, logged).verdict == "failed"


@pytest.mark.parametrize("line", [line for kind in ("death", "gone", "crash", "bound") for _, line in SAMPLES[kind]])
def test_every_death_is_a_failure_that_shows_a_line(line: str) -> None:
    for before in ("", BANNER, BANNER + READY, ANSWER):
        seen = look(before, line)
        assert seen.verdict == "failed", before
        cause = seen.findings[0]
        assert (cause.role, cause.severity) == ("cause", "fatal")
        assert cause.evidence
        assert seen.facts["ended"].value == "abrupt"


@pytest.mark.parametrize("line", [line for kind in ("asked", "early", "told", "stopping") for _, line in SAMPLES[kind]])
def test_a_stop_before_it_was_ready_is_a_failure_and_after_it_none(line: str) -> None:
    line = line.replace("09-05", "02-16")
    seen = look(BANNER, LOADING, line + "\n")
    assert [rule for rule, role, _ in findings(seen) if role == "cause"] == ["stopped-before-ready"]
    assert seen.verdict == "failed"
    assert re.search(r"had run for (60|180) s", seen.findings[0].why["en"])
    assert "loading the weights" in seen.findings[0].why["en"]
    assert "加载权重" in seen.findings[0].why["zh"]
    assert seen.findings[0].evidence[0].text.strip() in line
    assert look(BANNER, READY, line + "\n").verdict == "healthy"
    assert look(line + "\n").verdict == ("failed" if "terminated" in line else "unknown")


def test_what_failed_before_it_was_stopped_is_the_cause() -> None:
    seen = look(
        BANNER, LOADING, traceback("RuntimeError: the lamp is broken"), "(APIServer pid=1) INFO:     Shutting down\n"
    )
    assert findings(seen)[0] == ("unrecognized-failure", "cause", "fatal")


def test_requests_that_failed_are_shown_though_the_server_went_on() -> None:
    failed = traceback("KeyError: '<|image_pad|>'", "(APIServer pid=1) ERROR 02-16 10:03:00 [serving_chat.py:1] ")
    seen = look(BANNER, READY, failed, ANSWER)
    assert (seen.verdict, findings(seen)) == ("healthy", [("unrecognized-failure", "warning", "notice")])


def test_an_input_that_is_only_a_clients_error() -> None:
    seen = look("ValueError: At most 1 image(s) may be provided in one request.\n")
    assert (seen.verdict, findings(seen)[0]) == ("degraded", ("mm-limit-exceeded", "cause", "degraded"))
    served = look(BANNER, READY, ANSWER, "ValueError: At most 1 image(s) may be provided in one request.\n")
    assert (served.verdict, findings(served)[0][2]) == ("healthy", "notice")
