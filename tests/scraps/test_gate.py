"""What is let in as something about vLLM, and what is turned away with its name."""

from __future__ import annotations

import pytest
from scraps.other_programs import OTHERS
from scraps.texts import rules

from qvl_doctor.errors import InputError
from qvl_doctor.model import Diagnosis
from qvl_doctor.workflows import log

TEXTS = [(name, text) for name, texts in OTHERS.items() for text in texts]


def read(text: str) -> Diagnosis:
    return log.diagnose_text(text, source="x.log", rules=rules())


def test_there_are_sixty_of_them() -> None:
    assert len(TEXTS) == 60


@pytest.mark.parametrize(("name", "text"), TEXTS, ids=[f"{name} {number}" for number, (name, _) in enumerate(TEXTS)])
def test_other_program_is_named_and_gets_no_advice(name: str, text: str) -> None:
    with pytest.raises(InputError, match=f"is a log of {name}, not of vLLM"):
        read(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: vllm\nspec: {}\n", "qvl-doctor manifest FILE"),
        ("services:\n  vllm:\n    image: vllm/vllm-openai:v0.9.1\n", "qvl-doctor manifest FILE"),
        ("vllm serve Qwen/Qwen3-8B \\\n  --max-model-len 8192\n", "qvl-doctor plan"),
        ("$ docker run --gpus all vllm/vllm-openai:v0.9.1 --model m\n", "qvl-doctor plan"),
        ('[\n  {\n    "Id": "0f1e",\n    "Created": "2025-02-16",\n    "State": {"Error": ""}\n  }\n]\n', "docker logs CONTAINER"),
        ("Package            Version\n------------------ -------\nvllm               0.9.1\n", "qvl-doctor logs --pip FILE LOG"),
        ("torch==2.7.0\ntransformers==4.53.0\nvllm==0.9.1\n", "qvl-doctor logs --pip FILE LOG"),
        ("| NVIDIA-SMI 550.54.15   Driver Version: 550.54.15   CUDA Version: 12.4 |\n", "qvl-doctor check"),
        ("# HELP vllm:num_requests_running Number of requests\nvllm:num_requests_running 0.0\n", "metrics"),
        ("Dear friend, the weather is fine.\n", "not a vLLM log"),
        ("", "is empty"),
        (" \n\n", "is empty"),
    ],
)  # fmt: skip
def test_what_is_no_log_is_named_with_what_reads_it(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "bash: line 1:     7 Killed                  vllm serve Qwen/Qwen3-8B",
        '{"object":"error","message":"The whale is not for sale.","type":"BadRequestError","param":null,"code":400}',
        "triton: assertion `tile.is_whole()' failed.",
        "==========\n== CUDA ==\n==========\n\nCUDA Version 12.4.1\n",
        "INFO:     Available routes are:\nINFO:     Route: /health, Methods: GET\n",
        "用 vllm 部署之后输出全是感叹号，怎么办",
        "vLLM version 0.9.1 prints only exclamation marks for my model",
    ],
)
def test_scraps_about_vllm_are_let_in(text: str) -> None:
    assert read(text).verdict in {"unknown", "failed"}


def test_another_program_beside_vllm_is_only_quoted() -> None:
    said = "ERROR 02-16 10:03:20 [core.py:900] ValueError: No available memory for the cache blocks."
    for texts in OTHERS.values():
        assert read(f"{texts[0]}\n{said}\n").findings


def test_complaint_without_an_exception_is_named_and_nothing_is_promised() -> None:
    found = read("WHALE_LATE: the harbor cannot be left, says my GPU\n")
    assert (found.verdict, found.findings[0].rule) == ("failed", "unrecognized-failure")
    assert "harbor" in found.findings[0].title["en"]
    found = read(
        'the client says {"object":"error","message":"The \\"whale\\" could not be found.","code":400}, type: NotFoundError: why\n'
    )
    assert "whale" in found.findings[0].title["en"]


def test_text_without_a_failure_says_so() -> None:
    found = read("vLLM 0.9.1 prints only exclamation marks\n")
    assert found.verdict == "unknown"
    assert found.summary["en"] == "The text shows no failure that qvl-doctor knows"
    assert "kubectl logs POD --previous" in found.not_checked[0]["en"]


@pytest.mark.parametrize("value", ["36980383", "/models/cache", "3.12.1", "FLASH_ATTN", "true"])
def test_a_setting_in_capitals_is_no_complaint(value: str) -> None:
    found = read(f"environment of the job\nvLLM: 0.15.1\nJOB_NAME: {value}\nCUDA: 12.8\n0, NVIDIA H100, 65247 MiB\n")
    assert found.verdict == "unknown"
    assert not found.findings


MANIFESTS = (
    "services:\n  vllm:\n    image: vllm/vllm-openai:v0.9.1\n",
    "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: vllm\nspec: {}\n",
)


@pytest.mark.parametrize("manifest", MANIFESTS)
@pytest.mark.parametrize(
    "sentence",
    [
        "[Bug]: our own image says WhaleError: the harbor is too small for it (4090)",
        "The harbor of this whale is not supported with VLLM_WHALE: 1",
        "It ends with assert whale == harbor | | AssertionError",
    ],
)
def test_a_post_that_quotes_a_manifest_is_about_what_it_says(sentence: str, manifest: str) -> None:
    found = read(f"{sentence}\n\nthis is what we start:\n```\n{manifest}```\n")
    assert (found.verdict, found.findings[0].rule) == ("failed", "unrecognized-failure")
    assert found.findings[0].title["en"].startswith(sentence[:20])
