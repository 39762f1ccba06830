"""What people write next to a log becomes a fact only where it says what ran."""

from __future__ import annotations

import time
from typing import Any

import pytest

from qvl_doctor.facts.context import ContextReader, models_in
from qvl_doctor.model import Line, Observation, Record


def facts_of(text: str, **record: Any) -> dict[str, object]:
    reader = ContextReader()
    for number, line in enumerate(text.split("\n"), 1):
        reader.feed(Record((Line(number, line),), " ".join(line.split()))._replace(**record))
    return {name: fact.value for name, fact in reader.facts().items()}


SAID = [
    ("vLLM: 0.27.0", "0.27.0"),
    ("- vLLM version: 0.9.0", "0.9.0"),
    ("**vLLM Version:** v0.9.1", "0.9.1"),
    ("* `vllm` = `0.8.5.post1`", "0.8.5.post1"),
    ("vLLM version is 0.13.0 (pip)", "0.13.0"),
    ("vllm版本：0.8.5", "0.8.5"),
    ("> vllm 0.11.0", "0.11.0"),
    ("vLLM version: 0.6.3.post2.dev130+g8f10d5e3", "0.6.3.post2.dev130+g8f10d5e3"),
    ("Hello, my vllm version is 0.13.0 and I see this:", "0.13.0"),
    ("I am running vLLM 0.26.0 on two H100.", "0.26.0"),
    ("We're on vllm v0.9.2, Kubernetes.", "0.9.2"),
    ("我的环境是 vllm 0.8.4", "0.8.4"),
    ("torch 2.8.0, vllm 0.11.0, transformers 4.57.1", "0.11.0"),
    ("docker run --gpus all vllm/vllm-openai:v0.9.1 --model x", "0.9.1"),
    ("    image: vllm/vllm-openai:v0.10.1.1", "0.10.1.1"),
    ("image: quay.io/ascend/vllm-ascend:v0.23.0rc1-310p", "0.23.0"),
    ("I am running vllm/vllm-openai:v0.9.1 here.", "0.9.1"),
    ("I am running vllm 0.9.1; it worked with vllm 0.8.5 and vllm 0.8.4", "0.9.1"),
    ("vLLM: 0.9\nI am running vLLM 0.9.1 on an A100", "0.9.1"),
]
#: About another release, too, or about nothing that ran.
UNSAID = [
    "It worked in vLLM 0.8.5, and I am running 0.9.1 now",
    "I upgraded vLLM 0.8.5 to vLLM 0.9.1",
    "I am running vllm 0.9.1, it worked with vllm 0.8.5 and vllm 0.8.4",
    "This is fixed in vLLM 0.10.0",
    "We use vLLM, see https://docs.vllm.ai/en/v0.8.5/ for vLLM 0.8.5",
    "vLLM 0.10 has no such flag",
    "You need vllm 0.11.0 for this model",
    "Using vllm 0.9.1 solves it",
    "Are you using vllm 0.9.1 or vllm 0.9.2?",
    "I am not running vllm 0.9.1",
    "升级到 vllm 0.9.1 之后我的服务报错",
    "vLLM: 0.8.5\nvLLM: 0.9.1",
    "pip install vllm 0.9.1",
    "try vllm/vllm-openai:v0.9.1 instead",
    "image: lmcache/vllm-openai:v0.3.1",
    "image: vllm/vllm-openai:latest",
    "vllm-0.9.1-cp38-abi3-manylinux1_x86_64.whl",
    "vllm: 0.9.1-dirty stuff",
    "vllm: 10 requests",
    "See the vLLM 0.9.1 release notes",
]


@pytest.mark.parametrize(("text", "release"), SAID)
def test_the_release_that_ran(text: str, release: str) -> None:
    assert facts_of(text)["vllm"] == release


@pytest.mark.parametrize("text", UNSAID)
def test_a_release_that_is_only_spoken_of(text: str) -> None:
    assert "vllm" not in facts_of(text)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("- Transformers version: 4.45.0", "transformers", "4.45.0"),
        ("PyTorch: 2.6.0+cu124", "torch", "2.6.0+cu124"),
        ("CUDA version: 12.4", "cuda", "12.4"),
        ("NVIDIA driver: 550.54.15", "driver", "550.54.15"),
        ("| NVIDIA-SMI 535.104.05   Driver Version: 535.104.05   CUDA Version: 12.2 |", "driver", "535.104.05"),
        ("| NVIDIA-SMI 535.104.05   Driver Version: 535.104.05   CUDA Version: 12.2 |", "driver_cuda", "12.2"),
        ("- GPU type: NVIDIA H800", "gpu_name", "NVIDIA H800"),
        ("GPU: 8 x A100-SXM4-80GB", "gpu_name", "A100-SXM4-80GB"),
        ("显卡：RTX 4090 x 2", "gpu_name", "RTX 4090"),
        ("quay.io/ascend/vllm-ascend:v0.9.1rc1", "vllm_ascend", "0.9.1rc1"),
        ("GPU: 8", "gpu_name", None),
        ("GPU: my own machine", "gpu_name", None),
        ("driver: unknown", "driver", None),
    ],
)
def test_packages_and_the_machine(text: str, name: str, value: str | None) -> None:
    assert facts_of(text).get(name) == value


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("OSError: /root/.cache/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/b968826/config.json", "Qwen/Qwen3-8B"),
        ("/cache/modelscope/hub/Qwen/Qwen2___5-VL-7B-Instruct/x", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("/cache/modelscope/hub/models/Qwen/Qwen3-8B does not exist", "Qwen/Qwen3-8B"),
        ("models--Qwen--Qwen3-8B and models--Qwen--Qwen3-4B", None),
        ("datasets--a--b", None),
    ],
)
def test_the_model_in_a_path(text: str, model: str | None) -> None:
    for record in ({}, {"file": "x.py", "level": "ERROR"}):
        assert facts_of(text, **record).get("model") == model


def test_what_a_process_logged_mentions_nothing() -> None:
    for record in ({"file": "core.py"}, {"level": "INFO"}, {"observation": Observation("x")}):
        assert facts_of("vLLM: 0.9.1", **record) == {}


def test_an_error_is_no_sentence_of_the_user() -> None:
    assert facts_of("I am running vLLM 0.9.1 here", exception="ValueError") == {}
    assert facts_of("vLLM: 0.9.1", exception="ValueError") == {"vllm": "0.9.1"}


def test_a_mention_says_where_it_stands_and_what_it_is() -> None:
    reader = ContextReader()
    reader.feed(Record((Line(7, "vLLM: 0.9.1"),), "vLLM: 0.9.1"))
    (fact,) = reader.facts().values()
    assert (fact.source, fact.line) == ("mentioned", 7)
    reader = ContextReader()
    reader.feed(Record((Line(7, "models--a--b/x"),), "models--a--b/x"))
    assert [(fact.source, fact.line) for fact in reader.facts().values()] == [("inferred", 7)]


@pytest.mark.parametrize(
    "text",
    ["vllm: 0.9 " * 8000, "vllm" * 20000, "models--" * 20000, "/modelscope/" * 9000, "- " * 40000, "vllm 1.1.1" + ".1" * 40000],
)  # fmt: skip
def test_hostile_lines_take_no_time(text: str) -> None:
    started = time.process_time()
    facts_of("\n".join([text, *[text[:1990]] * 400]))
    assert time.process_time() - started < 2


def test_models_are_read_in_their_order() -> None:
    assert list(models_in("models--a--b/c models--d--e")) == ["a/b", "d/e"]
