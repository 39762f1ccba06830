"""Manifests of every kind, whole: compose, docker run, groups, inference services, several commands.

And the model's memory in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from manifest.judging import CLAIM, READY, rules
from manifest.written import MODEL, deployment, pod_of
from program import RULES

from qvl_doctor.launch.command import LaunchError
from qvl_doctor.manifest.inspection import inspect_manifest, release_of
from qvl_doctor.memory import gpus
from qvl_doctor.observations import key_of
from qvl_doctor.sizing.case import Known
from qvl_doctor.workflows.manifest import diagnose


def test_how_long_a_start_takes() -> None:
    """By the log if there is one, else by the weights, else by an assumption."""
    patient = {"startupProbe": {**READY, "failureThreshold": 15}}
    assert rules(deployment(**patient)) == set()
    assert rules(deployment(**patient), start_s=400) == {"probe-shorter-than-start"}
    large = {**patient, "args": ["--model", "Qwen/Qwen2.5-VL-72B-Instruct"]}
    assert "probe-shorter-than-start" in rules(deployment(**large))

    def known(container: Mapping[str, Any], start_s: float = 0.0) -> dict[str, str]:
        seen = inspect_manifest(yaml.safe_dump(deployment(**container)), start_s=start_s)[0].seen
        found = (each.observation for each in seen.observations if key_of(each) == "probe_gives_up_early")
        values = next((dict(each.values) for each in found if each), {})
        return {name: values[name] for name in ("needed", "logged", "weights", "speed", "assumed") if name in values}

    assert known(large) == {"needed": "197", "weights": "137", "speed": "1"}
    assert known(large, 400) == {"needed": "400", "logged": "400"}
    impatient = {"startupProbe": {**READY, "failureThreshold": 1}}
    assert known(impatient) == {"needed": "120", "assumed": "120"}


@pytest.mark.parametrize(
    ("command", "args"),
    [
        (["sh", "-c"], ["vllm serve ${MODEL} --port 8000"]),
        (["sh", "-c"], ['vllm serve "$MODEL"']),
        (["vllm", "serve"], ["$(MODEL)"]),
        (["vllm"], ["serve", "--model", "$(MODEL)"]),
    ],
)
def test_a_model_that_a_variable_names(command: list[str], args: list[str]) -> None:
    env = [{"name": "MODEL", "value": MODEL}]
    found = deployment(command=command, args=args, env=env, image="vllm/vllm-openai:v0.15.0")
    assert rules(found) == set()
    assert diagnose(yaml.safe_dump(found), source="x", rules=RULES).diagnosis.facts["model"].value == MODEL
    small = {**CLAIM, "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "9Gi"}}}}
    assert rules(found, small) == {"volume-below-weights"}
    env[0]["value"] = "$OTHER"
    unknown = deployment(command=command, args=args, env=env, image="vllm/vllm-openai:v0.15.0")
    assert rules(unknown, small) == set()


@pytest.mark.parametrize(
    ("size", "variables", "note"),
    [
        ("${TP}", {"TP": "4"}, ""),
        ("$(TP)", {"TP": "4"}, ""),
        ("${TP:-4}", {}, ""),
        ("$TP", {}, "--tensor-parallel-size is a variable"),
        ("$(nvidia-smi -L | wc -l)", {}, "--tensor-parallel-size is a variable"),
    ],
)
def test_memory_is_computed_with_what_a_variable_holds_or_not_at_all(
    size: str, variables: dict[str, str], note: str
) -> None:
    """72 billion parameters fit four cards of 80 GB, and not one."""
    args = ["--model", "Qwen/Qwen2.5-VL-72B-Instruct", "--tensor-parallel-size", size, "--max-model-len", "32768"]
    env = [{"name": name, "value": value} for name, value in variables.items()]
    text = yaml.safe_dump(deployment(args=args, env=env, resources={"limits": {"nvidia.com/gpu": 4}}))
    found = diagnose(text, source="x", known=Known(gpu=gpus.find("H100")), rules=RULES).diagnosis
    assert {finding.rule for finding in found.findings} <= {"pod-without-shared-memory"}
    assert any(note in said["en"] for said in found.not_checked) if note else found.not_checked == ()


def test_that_memory_was_asked_for_and_not_computed_is_told() -> None:
    text = yaml.safe_dump(deployment(args=["--model", "some/model"]))
    found = diagnose(text, source="x", known=Known(gpu=gpus.find("H100")), rules=RULES).diagnosis
    assert [said["en"] for said in found.not_checked] == [
        "Memory was not computed: qvl-doctor has no built-in data for model some/model. Use `qvl-doctor plan --model-dir`."
    ]


def test_a_fragment_is_not_told_what_it_lacks() -> None:
    text = yaml.safe_dump(
        {"spec": {"containers": [{"name": "vllm", "image": "vllm/vllm-openai:v0.11.0", "args": ["--model", MODEL]}]}}
    )
    found = diagnose(text, source="x.yaml", rules=RULES).diagnosis
    assert found.findings == ()
    assert "piece of a manifest" in found.not_checked[0]["en"]


def test_compose() -> None:
    service = {"image": "vllm/vllm-openai:v0.11.0", "command": f"--model {MODEL} -tp 2"}
    assert rules({"services": {"vllm": service}}) == {"service-without-gpu", "shared-memory-volume-small"}
    devices = {
        "deploy": {
            "resources": {"reservations": {"devices": [{"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}]}}
        }
    }
    assert rules({"services": {"vllm": {**service, **devices, "ipc": "host"}}}) == set()
    assert rules({"services": {"vllm": {**service, "gpus": "all", "shm_size": "2gb"}}}) == set()
    assert rules({"services": {"vllm": {**service, "gpus": "all", "volumes": ["/dev/shm:/dev/shm"]}}}) == set()
    local = {
        **service,
        "gpus": "all",
        "ipc": "host",
        "command": f"--model {MODEL} --host 127.0.0.1",
        "ports": ["8000:8000"],
    }
    assert rules({"services": {"vllm": local}}) == {"server-only-on-localhost"}
    assert rules({"services": {"vllm": {**local, "ports": []}}}) == set()
    assert rules({"services": {"vllm": {**local, "network_mode": "host"}}}) == set()
    assert rules({"services": {"vllm": {**service, "runtime": "nvidia", "shm_size": "64m"}}}) == {
        "shared-memory-volume-small"
    }


def test_docker_run() -> None:
    line = "docker run {options} vllm/vllm-openai:v0.11.0 --model m -tp 2\n"
    assert rules(text=line.format(options="--rm")) == {"docker-run-without-gpu", "shared-memory-volume-small"}
    assert rules(text="docker run me/vllm:v0.8.5 --model m --device cpu\n") == set()
    for options in (
        "--gpus all --ipc=host",
        "--runtime nvidia --shm-size=4g",
        "--device nvidia.com/gpu=all -v /dev/shm:/dev/shm",
    ):
        assert rules(text=line.format(options=options)) == set()


def test_leader_and_workers_count_together() -> None:
    def group(size: int) -> dict[str, Any]:
        limits = {"limits": {"nvidia.com/gpu": 8}}
        args = ["--model", "Qwen/Qwen2.5-VL-72B-Instruct", "-tp", "8", "--pipeline-parallel-size", "2"]
        leader = {
            "containers": [{"name": "l", "image": "vllm/vllm-openai:v0.11.0", "args": args, "resources": limits}],
            "hostIPC": True,
        }
        worker = {
            "containers": [
                {"name": "w", "image": "vllm/vllm-openai:v0.11.0", "command": ["ray", "start"], "resources": limits}
            ]
        }
        template = {"size": size, "leaderTemplate": {"spec": leader}, "workerTemplate": {"spec": worker}}
        return {
            "apiVersion": "leaderworkerset.x-k8s.io/v1",
            "kind": "LeaderWorkerSet",
            "metadata": {"name": "a"},
            "spec": {"leaderWorkerTemplate": template},
        }

    assert "pod-gpus-differ" not in rules(group(2))
    assert "pod-gpus-differ" in rules(group(1))


def test_an_inference_service() -> None:
    def service(*args: str, gpus: str = "2", **model: Any) -> dict[str, Any]:
        held = {
            "modelFormat": {"name": "huggingface"},
            "args": [*args],
            "resources": {"limits": {"nvidia.com/gpu": gpus}},
            **model,
        }
        return {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "a"},
            "spec": {"predictor": {"model": held}},
        }

    own = ("--model_name=a", f"--model_id={MODEL}", "--backend=vllm", "--max-model-len=8192")
    assert rules(service(*own, gpus="1")) == set()  # the runtime's own flags are no mistakes
    assert "pod-gpus-differ" in rules(service(*own, "--tensor-parallel-size=2", gpus="1"))
    (looked,) = inspect_manifest(
        yaml.safe_dump(service("--model_name=a", storageUri="hf://Qwen/Qwen2.5-VL-3B-Instruct:main"))
    )
    assert looked.model == "Qwen/Qwen2.5-VL-3B-Instruct"
    text = yaml.safe_dump(service(*own[:3], gpus="1"))
    from qvl_doctor.memory import gpus

    found = diagnose(text, source="x", known=Known(gpu=gpus.find("L4"), release="0.8.5"), rules=RULES).diagnosis
    assert found.facts["weights_gib"].value == pytest.approx(15.6, abs=0.2)


def test_several_commands_are_judged_each_for_itself() -> None:
    second = deployment(image="vllm/vllm-openai:v0.19.0", resources={})
    second["metadata"]["name"] = "second"
    found = diagnose(yaml.safe_dump_all([deployment(), second], sort_keys=False), source="x.yaml", rules=RULES)
    assert [finding.rule for finding in found.diagnosis.findings] == ["pod-without-gpu"]
    assert "2 vLLM commands" in found.diagnosis.not_checked[0]["en"]
    assert found.diagnosis.facts["vllm"].value == "0.19.0"
    first, changed = yaml.safe_load_all(found.file)
    assert first == deployment()
    assert changed["spec"]["template"]["spec"]["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": 1}}


@pytest.mark.parametrize(
    ("image", "release"),
    [
        ("vllm/vllm-openai:v0.7.2", "0.7.2"),
        ("mirror:5000/vllm/vllm-openai:v0.11.0-x86_64", "0.11.0"),
        ("r.example.com/lcc/vllm:0.7.2_cu121", "0.7.2"),
        ("vllm/vllm-openai:latest", ""),
        ("somebody/vllm-app:1.2.3", ""),
        ("qwenllm/qwenvl:2.5-cu121", ""),
        ("nginx:0.9.1", ""),
        ("lmcache/vllm-openai:v0.3.11", ""),
        ("vllm/vllm-omni:v0.20.0", ""),
        ("vllm/vllm-openai@sha256:0011", ""),
    ],
)
def test_the_release_of_an_image(image: str, release: str) -> None:
    assert release_of(image) == release


@pytest.mark.parametrize(
    "image",
    [
        "aibrix/vllm-mock:nightly",
        "example/vllm-simulator:v1",
        "ghcr.io/vllm-project/semantic-router/extproc:latest",
        "x/vllm-router:0.1",
    ],
)
def test_what_stands_around_vllm_is_no_vllm(image: str) -> None:
    """Its ports, probes and arguments are its own."""
    given = deployment(image=image, args=["--secure=false"], ports=[{"containerPort": 50051}])
    with pytest.raises(LaunchError):
        inspect_manifest(yaml.safe_dump(given))


@pytest.mark.parametrize(
    ("model", "gib"),
    [("deepseek-ai/DeepSeek-R1", 629), ("Qwen/Qwen2.5-VL-7B-Instruct-AWQ", 7), ("Qwen/Qwen2.5-VL-7B-Instruct", 15)],
)
def test_the_size_of_a_quantized_model_is_that_of_its_files(model: str, gib: int) -> None:
    """What its quantization stores, not a share of all parameters that holds for 4 bits alone."""
    small = deployment(args=["--model", model])
    pod_of(small)["volumes"] = [{"name": "models", "emptyDir": {"sizeLimit": "1Gi"}}]
    said = [each.message for each in inspect_manifest(yaml.safe_dump(small))[0].seen.observations]
    assert f"the volume models holds 1 GiB, and the weights take {gib} GiB" in said
