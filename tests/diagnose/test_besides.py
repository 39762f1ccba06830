"""What stands next to a log reaches rules, fixes, the command and the report, each thing by how far it is to be
trusted."""

from __future__ import annotations

from typing import Any

import pytest

from qvl_doctor.diagnose.besides import Besides
from qvl_doctor.launch.reading import read
from qvl_doctor.model import Fact, Facts, Line, Record
from qvl_doctor.report.as_json import as_dict
from qvl_doctor.workflows.log import Beside, diagnose_text

ERROR = (
    "ValueError: The model's max seq len (32768) is larger than the maximum number of tokens that can be stored in KV cache"
    " (16000). Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine."
)
COMMAND = "vllm serve Qwen/Qwen3-8B --max-model-len 32768 --gpu-memory-utilization 0.9"
BANNER = "INFO 02-16 10:03:00 [api_server.py:1000] vLLM API server version 0.9.1"


def report(*lines: str, **beside: Any) -> dict[str, Any]:
    return as_dict(diagnose_text("\n".join(lines), Beside(**beside)))


def test_a_pasted_command_is_used_and_shown_corrected() -> None:
    found = report("My command:", "", COMMAND, "", "The error:", ERROR)
    assert found["facts"]["max_model_len"] == 32768
    assert found["trust"]["max_model_len"] == found["trust"]["args"] == "pasted"
    assert found["command"]["before"] == COMMAND
    assert found["command"]["after"] != COMMAND
    assert found["command"]["after"].startswith("vllm serve Qwen/Qwen3-8B ")
    assert found["patch"] is None


def test_a_call_gives_its_arguments() -> None:
    found = report('llm = LLM(model="Qwen/Qwen3-8B", max_model_len=32768)', "", ERROR)
    assert (found["facts"]["model"], found["facts"]["max_model_len"]) == ("Qwen/Qwen3-8B", 32768)


def test_a_mention_is_the_release_and_tells_the_engine() -> None:
    found = report("vLLM: 0.11.0", "", ERROR)
    assert (found["facts"]["vllm"], found["facts"]["engine"]) == ("0.11.0", "V1")
    assert found["trust"] == {"vllm": "mentioned", "engine": "inferred"}
    assert "vllm_range" not in found["facts"]


@pytest.mark.parametrize(
    ("lines", "beside", "release", "trust"),
    [
        (["vLLM: 0.8.5", BANNER], {}, "0.9.1", None),
        (["vLLM: 0.8.5", "vllm==0.8.4"], {}, "0.8.4", "pasted"),
        (["vLLM: 0.8.5"], {"packages": {"vllm": Fact("0.9.2", "pip")}}, "0.9.2", "option"),
        ([BANNER], {"packages": {"vllm": Fact("0.9.2", "pip")}}, "0.9.1", None),
    ],
)
def test_of_two_releases_the_better_source_counts(
    lines: list[str], beside: dict[str, Facts], release: str, trust: str | None
) -> None:
    found = report(*lines, "", ERROR, **beside)
    assert found["facts"]["vllm"] == release
    assert found.get("trust", {}).get("vllm") == trust
    said = [note for note in found["not_checked"] if "The text says vLLM 0.8.5 (line 1)" in note]
    assert len(said) == ("vLLM: 0.8.5" in lines)
    assert all(release in note for note in said)


def test_the_same_release_twice_is_no_disagreement() -> None:
    assert not any("The text says" in note for note in report("vLLM: 0.9", BANNER, ERROR)["not_checked"])


def test_a_mention_that_the_lines_do_not_fit_is_remarked() -> None:
    site = "(EngineCore_DP0 pid=9) ERROR 01-01 10:00:00 [core.py:708] EngineCore failed to start."
    ranged = report(site, ERROR)["facts"]
    inferred = ranged.get("vllm") or ranged.get("vllm_range")
    assert inferred
    found = report("vLLM: 0.6.3", site, ERROR)
    assert found["facts"]["vllm"] == "0.6.3"
    assert any("vLLM 0.6.3 (line 1)" in note and inferred in note for note in found["not_checked"])


def test_an_option_counts_more_than_what_was_pasted() -> None:
    given = read("vllm serve Qwen/Qwen3-8B --max-model-len 16384")[0]
    found = report(COMMAND, "", ERROR, command=given)
    assert (found["facts"]["max_model_len"], found["trust"]["max_model_len"]) == (16384, "option")
    assert "gpu_memory_utilization" not in found["facts"].get("memory", {})
    assert found["command"]["before"] == "vllm serve Qwen/Qwen3-8B --max-model-len 16384"


def test_the_arguments_of_the_log_count_more_than_what_was_pasted() -> None:
    logged = (
        "INFO 02-16 10:03:00 [utils.py:233] non-default args: {'model': 'Qwen/Qwen3-8B', 'gpu_memory_utilization': 0.8}"
    )
    found = report(COMMAND, "", BANNER, logged, ERROR)
    assert "max_model_len" not in found["facts"]
    assert "args" not in found.get("trust", {})


def test_a_placeholder_is_no_model() -> None:
    found = report("vllm serve <model_path> --max-model-len 32768", "", ERROR)
    assert "model" not in found["facts"]
    assert found["facts"]["max_model_len"] == 32768


def test_a_command_says_nothing_about_the_beginning_of_the_log() -> None:
    assert any("starts late" in note for note in report(COMMAND, "", ERROR)["not_checked"])


@pytest.mark.parametrize("words", ["vLLM: 0.6.3", COMMAND])
def test_behind_a_logged_prompt_nothing_is_read(words: str) -> None:
    prompt = f"INFO 02-16 10:59:00 [logger.py:41] Received request cmpl-9: prompt: 'Look:\n\n{words}"
    for lines in ([prompt], [prompt, "and more"], [prompt, *["x"] * 2000, words]):
        found = report(BANNER, *lines, "", ERROR)
        assert (found["facts"]["vllm"], "args" in found["facts"]) == ("0.9.1", False)
        assert not any("The text says" in note for note in found["not_checked"])


def test_every_run_has_what_was_said_before_the_first() -> None:
    found = report("vLLM: 0.9.1", "", ERROR, "", "█ version x", ERROR, "█ version x", ERROR)
    assert found["facts"]["vllm"] == "0.9.1"


def test_nothing_is_looked_for_where_nothing_was_written() -> None:
    besides = Besides()
    besides.feed(Record((Line(1, "x"),), "x", file="core.py", level="INFO"))
    assert besides.facts({}, {}) == {}
    assert besides.pasted("") is None
