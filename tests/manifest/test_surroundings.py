"""Quantities and numbers of manifests, and what a scene says of its container."""

from __future__ import annotations

from typing import Any

import pytest
from manifest.written import MODEL, deployment, scene

from qvl_doctor.manifest.surroundings import number, quantity_of


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (3, 3), (0, 0), (-1, 7), (True, 7), (2.0, 7), (None, 7), ("", 7), ("-3", 7), ("1.5", 7),
        ("00", 0), ("12", 12), ("123456789", 123456789), ("1234567890", 7),
    ],
)  # fmt: skip
def test_a_number(written: Any, wanted: int) -> None:
    assert number(written, 7) == wanted


def test_a_number_that_is_none_is_one() -> None:
    assert number(None) == 1


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("7", 7), ("2k", 2000), ("2M", 2_000_000), ("2G", 2 * 10**9), ("2T", 2 * 10**12),
        ("2Ki", 2048), ("2Mi", 2 << 20), ("2Gi", 2 << 30), ("2Ti", 2 << 40), ("1.5Gi", 3 << 29), (" 1Gi ", 1 << 30),
        ("", 0), ("Gi", 0), ("1g", 0), ("1 Gi", 0), ("-1Gi", 0), ("1e9", 0), ("1ki", 0),
    ],
)  # fmt: skip
def test_quantities_of_kubernetes(written: str, wanted: int) -> None:
    assert quantity_of(written) == wanted


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("7", 7), ("7b", 7), ("2k", 2048), ("2kb", 2048), ("2m", 2 << 20), ("2g", 2 << 30), ("2GB", 2 << 30), ("2t", 2 << 40),
        ("512 mb", 512 << 20), ("1.5g", 3 << 29), ("2gib", 2 << 30), ("", 0), ("g", 0), ("2x", 0),
    ],
)  # fmt: skip
def test_sizes_of_docker(written: str, wanted: int) -> None:
    assert quantity_of(written, docker=True) == wanted


@pytest.mark.parametrize(
    ("kind", "whole"),
    [
        ("Deployment", True), ("Pod", True), ("", False), ("ServingRuntime", False), ("ClusterServingRuntime", False),
        ("LLMInferenceServiceConfig", False), ("LLMInferenceService", True),
    ],
)  # fmt: skip
def test_of_a_template_or_a_fragment_nothing_is_missing(kind: str, *, whole: bool) -> None:
    assert scene({**deployment(), "kind": kind}).whole is whole


def test_a_compose_file_is_whole() -> None:
    assert scene({"services": {"a": {"image": "vllm/vllm-openai", "command": f"--model {MODEL}"}}}).whole


@pytest.mark.parametrize(
    ("args", "port"),
    [([], 8000), (["--port", "9000"], 9000), (["--port", "$(PORT)"], 0), (["--config", "a.yaml"], 0)],
)
def test_the_port(args: list[str], port: int) -> None:
    assert scene(deployment(args=["--model", MODEL, *args])).port == port


@pytest.mark.parametrize(("args", "port"), [([], 8080), (["--http_port=9000"], 9000), (["--port=9000"], 8080)])
def test_the_port_of_kserve(args: list[str], port: int) -> None:
    model = {"modelFormat": {"name": "huggingface"}, "args": ["--backend=vllm", *args], "resources": {}}
    service = {"kind": "InferenceService", "metadata": {"name": "a"}, "spec": {"predictor": {"model": model}}}
    assert scene(service).port == port


@pytest.mark.parametrize(
    ("script", "alone"),
    [
        (f"vllm serve {MODEL}", True),
        (f"vllm serve {MODEL} & python web.py", False),
        (f"python -m vllm.entrypoints.openai.api_server --model {MODEL} & wait", False),
        (f"vllm serve {MODEL} \\\n --port 8000 &\n wait", False),
        (f"true && vllm serve {MODEL}", True),
        (f"vllm serve {MODEL} && true", True),
        (f"vllm serve {MODEL} > log 2>&1", True),
        (f"vllm serve {MODEL} &> log", True),
        (f"sleep 1 & vllm serve {MODEL}", True),
    ],
)
def test_vllm_in_the_background_is_not_alone(script: str, *, alone: bool) -> None:
    assert scene(deployment(command=["sh", "-c", script], args=[])).alone is alone


def test_a_model_that_is_named_elsewhere_counts_first() -> None:
    given = deployment()
    assert scene(given).model == MODEL
    assert scene(given, model="Qwen/Qwen2.5-VL-3B-Instruct").model == "Qwen/Qwen2.5-VL-3B-Instruct"
    assert scene(deployment(args=["--model", "some/body"])).weights_gib == 0
    assert 15 < scene(given).weights_gib < 16


def test_names_are_cut_and_a_nameless_container_is_vllms() -> None:
    assert scene(deployment(name="n" * 81)).name == "n" * 80
    given = deployment()
    del given["spec"]["template"]["spec"]["containers"][0]["name"]
    assert scene(given).name == "of vLLM"


def test_the_proof_is_the_line_of_the_node() -> None:
    """Its number counts from 1; of a long line 200 characters are shown, and the last line needs no end."""
    found = scene(deployment(image="vllm/vllm-openai:v0.11.0" + "x" * 300))
    image = found.node.get("image")
    root = found.box.spot.root
    assert image is not None
    line = found.at(image, "image_without_release", name="a", image="b").lines[0]
    assert line.number == found.text[: image.start].count("\n") + 1
    assert line.text == f"image: vllm/vllm-openai:v0.11.0{'x' * 300}"[:200]
    first = found.at(root, "image_without_release", name="a", image="b").lines[0]
    assert (first.number, first.text) == (1, "apiVersion: apps/v1")
