"""Secrets of a manifest, the release of an image, and what a controller made: one case for each way."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from manifest.written import MODEL, deployment, pod_of

from qvl_doctor.manifest.inspection import inspect_manifest, objects, owner_of, release_of
from qvl_doctor.observations import key_of


def keys(*written: Any, release: str = "") -> list[set[str]]:
    text = yaml.safe_dump_all(written, sort_keys=False)
    return [set(map(key_of, each.seen.observations)) for each in inspect_manifest(text, release)]


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ("hf_abcdefgh", True), ("hunter2", True), ("123", True), ("${HF_TOKEN:-hf_abcdefgh}", True), ("<a>b", True),
        ("${HF_TOKEN}", False), ("${HF_TOKEN:-}", False), ("${HF_TOKEN-}", False), ("${HF_TOKEN?}", False),
        ("${HF_TOKEN:?set it}", False), ("$HF_TOKEN", False), ("$(HF_TOKEN)", False), (" $(HF_TOKEN) ", False),
        ("<your token>", False), ("***", False), ("12", False), ("true", False), ("False", False), ("", False),
    ],
)  # fmt: skip
def test_a_secret_in_a_variable(value: str, *, secret: bool) -> None:
    (found,) = keys(deployment(env=[{"name": "HF_TOKEN", "value": value}]))
    assert ("secret_in_variable" in found) is secret


def test_a_variable_that_holds_no_secret() -> None:
    assert keys(deployment(env=[{"name": "GREETING", "value": "hunter2"}])) == [set()]


@pytest.mark.parametrize("flag", ["--api-key", "--hf-token"])
def test_a_secret_in_the_arguments(flag: str) -> None:
    for value, secret in (("sk-abcdefgh", True), ("$(KEY)", False)):
        (found,) = keys(deployment(args=["--model", MODEL, flag, value]))
        assert ("secret_in_arguments" in found) is secret


@pytest.mark.parametrize(
    ("image", "release"),
    [("vllm:0.7", "0.7"), ("vllm:0.7.2", "0.7.2"), ("VLLM:V0.7.2", "0.7.2"), ("vllm:0.1234", ""), ("vllm:1.0.0", "")],
)
def test_the_release_that_a_tag_begins_with(image: str, release: str) -> None:
    assert release_of(image) == release


@pytest.mark.parametrize("form", ["$(NAME)", "${NAME}", "$NAME"])
def test_each_way_to_name_a_variable(form: str) -> None:
    def model(args: list[str], value: str) -> str:
        given = deployment(args=args, env=[{"name": "NAME", "value": value}])
        return inspect_manifest(yaml.safe_dump(given))[0].model

    assert model(["--model", form], MODEL) == MODEL
    assert model(["--model", form], "$OTHER") == ""
    assert model(["--model", f"x{form}"], MODEL) == ""
    assert model(["--model", MODEL], MODEL) == ""


def made(kind: str, name: str, hash_: str = "") -> dict[str, Any]:
    labels = {"app": "qwen", **({"pod-template-hash": hash_} if hash_ else {})}
    owners = [{"kind": kind, "name": name}]
    metadata = {"name": f"{name}-x", "labels": labels, "ownerReferences": owners}
    return {"kind": "Pod", "metadata": metadata, "spec": pod_of(deployment())}


@pytest.mark.parametrize(
    ("kind", "name", "hash_", "owners"),
    [
        ("ReplicaSet", "qwen-6d5f", "6d5f", [("ReplicaSet", "qwen-6d5f"), ("Deployment", "qwen")]),
        ("ReplicaSet", "qwen-6d5f", "", [("ReplicaSet", "qwen-6d5f")]),
        ("ReplicaSet", "qwen-6d5f", "d5f", [("ReplicaSet", "qwen-6d5f")]),
        ("StatefulSet", "qwen-6d5f", "6d5f", [("StatefulSet", "qwen-6d5f")]),
    ],
)
def test_what_a_pod_was_made_from(kind: str, name: str, hash_: str, owners: list[tuple[str, str]]) -> None:
    (found,) = inspect_manifest(yaml.safe_dump(made(kind, name, hash_)))
    assert owner_of(found.command) == owners


def test_a_copy_is_left_out_where_its_owner_is_in_the_text() -> None:
    pod = made("ReplicaSet", "qwen-6d5f", "6d5f")
    assert len(keys(pod, deployment())) == 1
    assert len(keys(pod, {**deployment(), "metadata": {"name": "other"}})) == 2
    assert len(keys(pod, {**deployment(), "kind": "StatefulSet"})) == 2
    assert len(keys({"kind": "PodList", "items": [pod, deployment()]})) == 1


def test_a_release_that_is_told_counts_before_the_images() -> None:
    given = deployment(image="vllm/vllm-openai:v0.6.0")
    assert "image_without_architecture" in keys(given)[0]
    assert "image_without_architecture" not in keys(given, release="0.11.0")[0]


def test_a_docker_line_is_inspected_and_a_bare_command_is_not() -> None:
    (docker,) = inspect_manifest(f"docker run --rm vllm/vllm-openai:v0.11.0 --model {MODEL}\n")
    assert list(map(key_of, docker.seen.observations)) == ["docker_run_without_gpu"]
    (bare,) = inspect_manifest(f"vllm serve {MODEL}\n")
    assert bare.seen.observations == ()


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("kind: List\nitems: [{kind: A}, {kind: B}]\n", ["A", "B"]),
        ("kind: AList\nitems: [{kind: A}]\n---\nkind: C\n", ["A", "C"]),
        ("kind: Thing\nitems: [{kind: A}]\n", ["Thing"]),
        ("items: [{kind: A}]\n", [""]),
        ("kind: List\n", ["List"]),
    ],
)
def test_the_objects_of_a_text(text: str, kinds: list[str]) -> None:
    assert [each.text("kind") or "" for each in objects(text)] == kinds


LONG = "x" * 300
KEYED = ["--model", MODEL, "--api-key", "sk-abcdefgh"]


@pytest.mark.parametrize(
    ("given", "key", "name", "most"),
    [
        (deployment(image=f"vllm{LONG}:latest"), "image_without_release", "image", 200),
        (deployment(args=["--model", f"/{LONG}"]), "model_on_no_volume", "model", 200),
        (
            deployment(args=["--model", MODEL, "--download-dir", f"/{LONG}"]),
            "model_downloaded_each_start",
            "folder",
            120,
        ),
        (deployment(volumeMounts=[{"name": LONG, "mountPath": "/x"}]), "volume_undefined", "volume", 80),
        (deployment(env=[{"name": f"{'X' * 90}_TOKEN", "value": "hunter2"}]), "secret_in_variable", "variable", 80),
        (
            deployment(args=KEYED, readinessProbe={"httpGet": {"path": f"/v1/{LONG}", "port": 8000}}),
            "probe_without_api_key",
            "path",
            80,
        ),
    ],
)
def test_names_that_are_too_long_are_cut(given: dict[str, Any], key: str, name: str, most: int) -> None:
    (found,) = inspect_manifest(yaml.safe_dump(given, sort_keys=False))
    values = next(
        each.observation.values for each in found.seen.observations if each.observation and key_of(each) == key
    )
    assert len(values[name]) == most
