"""What a container asks of its node: both sides of each bound, and each thing that makes a lack none."""

from __future__ import annotations

from typing import Any

import pytest
from manifest.written import MODEL, deployment, pod_of, said, scene

from qvl_doctor.launch.reading import read
from qvl_doctor.manifest.hardware import inspect_docker_run, inspect_hardware
from qvl_doctor.observations import key_of


def args(*words: str) -> list[str]:
    return ["--model", MODEL, *words]


def limits(**asked: Any) -> dict[str, Any]:
    return {"limits": {name.replace("gpu", "nvidia.com/gpu"): value for name, value in asked.items()}}


def keys(found: Any, **known: Any) -> set[str]:
    return set(said(inspect_hardware, found, **known)) - {"shared_memory_default"}


@pytest.mark.parametrize(
    ("gpus", "ranks", "wanted"),
    [
        (0, 1, {"pod_gpus_too_few"}), (1, 1, set()), (2, 1, {"pod_gpus_unused"}), (1, 2, {"pod_gpus_too_few"}), (2, 2, set()),
        (3, 2, {"pod_gpus_unused"}), ("half", 2, set()), (9999, 2, {"pod_gpus_unused"}), (10000, 2, set()),
    ],
)  # fmt: skip
def test_gpus_and_ranks(gpus: Any, ranks: int, wanted: set[str]) -> None:
    assert keys(deployment(args=args("-tp", str(ranks)), resources=limits(gpu=gpus))) == wanted


def test_ranks_that_a_variable_holds_are_not_compared() -> None:
    assert keys(deployment(args=args("-tp", "$(N)"), resources=limits(gpu=4))) == set()


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        ({}, {"pod_without_gpu"}),
        ({"requests": {"nvidia.com/gpu": 1}}, {"gpu_only_in_requests"}),
        ({"requests": {"nvidia.com/gpu": 1}, **limits(gpu=1)}, set()),
        ({"limits": {"amd.com/gpu": 1}}, set()),
        ({"limits": {"google.com/tpu": 1}}, set()),
        ({"claims": [{"name": "gpu"}]}, set()),
        ({"limits": {"hugepages-2Mi/x": 1}}, {"pod_without_gpu"}),
        ({"limits": {"kubernetes.io/x": 1}}, {"pod_without_gpu"}),
        ({"limits": {"attachable-volumes-aws/ebs": 1}}, {"pod_without_gpu"}),
        ({"limits": {"memory": "64Gi"}}, {"pod_without_gpu"}),
    ],
)
def test_what_is_a_device(resources: dict[str, Any], wanted: set[str]) -> None:
    assert keys(deployment(resources=resources)) == wanted


@pytest.mark.parametrize(
    "container",
    [
        {"image": "vllm/vllm-openai-cpu:v0.11.0"},
        {"args": args("--device", "cpu"), "image": "vllm/vllm-openai:v0.8.5"},
        {"env": [{"name": "VLLM_CPU_KVCACHE_SPACE", "value": "4"}]},
    ],
)
def test_a_vllm_for_cpus_needs_no_gpu(container: dict[str, Any]) -> None:
    assert keys(deployment(**container, resources={})) == set()


def test_a_runtime_class_or_a_fragment_needs_no_gpu() -> None:
    given = deployment(resources={})
    pod_of(given)["runtimeClassName"] = "nvidia"
    assert keys(given) == set()
    assert keys({**deployment(resources={}), "kind": "ServingRuntime"}) == set()


@pytest.mark.parametrize(
    "container",
    [
        {"args": args("-tp", "4", "--distributed-executor-backend", "ray")},
        {"args": args("-tp", "4", "--data-parallel-backend", "ray")},
        {"args": args("-tp", "4", "--distributed-executor-backend", "external_launcher")},
        {"command": ["sh", "-c", f"ray start --head; vllm serve {MODEL} -tp 4"], "args": []},
        {"command": ["sh", "-c", f"ray_cluster.sh; vllm serve {MODEL} -tp 4"], "args": []},
    ],
)
def test_ranks_of_ray_may_be_in_other_pods(container: dict[str, Any]) -> None:
    assert keys(deployment(**container)) == set()
    assert keys(deployment(args=args("-tp", "4", "--distributed-executor-backend", "mp"))) == {"pod_gpus_too_few"}


def test_pods_of_ray() -> None:
    assert keys({**deployment(args=args("-tp", "4")), "kind": "RayCluster"}) == set()
    assert keys({**deployment(args=args("-tp", "4")), "kind": "XRay"}) == {"pod_gpus_too_few"}


@pytest.mark.parametrize(("size", "wanted"), [(1, set()), (2, {"pod_gpus_too_few"})])
def test_a_group_of_pods_counts_its_own_ranks(size: int, wanted: set[str]) -> None:
    """One pod may be of a Ray cluster that nobody names; of a group the number of pods is known."""
    leader = pod_of(deployment(args=args("-tp", "8", "--distributed-executor-backend", "ray"), resources=limits(gpu=1)))
    group = {"size": size, "leaderTemplate": {"spec": leader}}
    assert (
        keys({"kind": "LeaderWorkerSet", "metadata": {"name": "a"}, "spec": {"leaderWorkerTemplate": group}}) == wanted
    )


@pytest.mark.parametrize(
    ("directory", "wanted"),
    [
        ({"medium": "Memory"}, {}),
        ({"medium": "Memory", "sizeLimit": "1Gi"}, {}),
        ({"medium": "Memory", "sizeLimit": "1023Mi"}, {"shared_memory_small": "1023"}),
        ({"medium": "Memory", "sizeLimit": "all"}, {}),
        ({}, {"shared_memory_default": ""}),
    ],
)
def test_shared_memory_of_a_pod(directory: dict[str, str], wanted: dict[str, str]) -> None:
    def found(ranks: int, volume: dict[str, Any], **pod: Any) -> dict[str, str]:
        given = deployment(args=args("-tp", str(ranks)), resources=limits(gpu=ranks))
        pod_of(given)["containers"][0]["volumeMounts"].append({"name": "shm", "mountPath": "/dev/shm"})
        pod_of(given)["volumes"].append({"name": "shm", **volume})
        pod_of(given).update(pod)
        return {key: values.get("size", "") for key, values in said(inspect_hardware, given).items()}

    assert found(2, {"emptyDir": directory}) == wanted
    assert found(1, {"emptyDir": directory}) == {}
    assert found(2, {"hostPath": {"path": "/dev/shm"}}) == {}
    assert found(2, {"emptyDir": directory}, hostIPC=True) == {}


def test_shared_memory_of_a_fragment_is_not_known() -> None:
    given = {**deployment(args=args("-tp", "2"), resources=limits(gpu=2)), "kind": "ServingRuntime"}
    assert said(inspect_hardware, given) == {}


@pytest.mark.parametrize(
    ("service", "wanted"),
    [
        ({}, {"service_without_gpu": "", "shared_memory_small": "64"}),
        ({"gpus": "all"}, {"shared_memory_small": "64"}),
        ({"runtime": "nvidia"}, {"shared_memory_small": "64"}),
        ({"devices": ["/dev/nvidia0"]}, {"shared_memory_small": "64"}),
        ({"gpus": "all", "shm_size": "1g"}, {}),
        ({"gpus": "all", "shm_size": "1000m"}, {"shared_memory_small": "1000"}),
        ({"gpus": "all", "ipc": "host"}, {}),
        ({"gpus": "all", "ipc": "shareable"}, {"shared_memory_small": "64"}),
        ({"image": "me/vllm-cpu:v0.11.0"}, {"shared_memory_small": "64"}),
    ],
)
def test_a_service_of_compose(service: dict[str, Any], wanted: dict[str, str]) -> None:
    given = {"image": "vllm/vllm-openai:v0.11.0", "command": f"--model {MODEL} -tp 2", **service}
    found = said(inspect_hardware, {"services": {"a": given}})
    assert {key: values.get("size", "") for key, values in found.items()} == wanted


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [("15Gi", {"memory_below_weights"}), ("16Gi", set()), ("17Gi", set()), ("", set()), ("much", set())],
)
def test_a_memory_limit_and_the_weights(limit: str, wanted: set[str]) -> None:
    assert keys(deployment(resources=limits(gpu=1, memory=limit)), weights=16.0) == wanted


@pytest.mark.parametrize(
    ("image", "env", "flags", "pinned"),
    [
        ("v0.7.3", {}, ["--swap-space", "20"], 20),
        ("v0.7.3", {"VLLM_USE_V1": "1"}, ["--swap-space", "20"], 0),
        ("v0.8.0", {}, ["--swap-space", "20"], 0),
        ("v0.8.0", {"VLLM_USE_V1": "0"}, ["--swap-space", "20"], 20),
        ("v0.10.2", {"VLLM_USE_V1": "0"}, ["--swap-space", "20"], 20),
        ("v0.11.0", {"VLLM_USE_V1": "0"}, ["--swap-space", "20"], 0),
        ("latest", {"VLLM_USE_V1": "0"}, ["--swap-space", "20"], 0),
        ("v0.7.3", {}, ["--swap-space", "20", "-tp", "2"], 40),
        ("v0.7.3", {}, ["--swap-space", "20", "--cpu-offload-gb", "4"], 24),
        ("v0.11.0", {}, ["--cpu-offload-gb", "4"], 4),
        ("v0.11.0", {}, ["--cpu-offload-gb", "40"], 16),
        ("v0.11.0", {}, ["--cpu-offload-gb", "40", "-tp", "2"], 16),
        ("v0.11.0", {}, ["--cpu-offload-gb", "4", "-tp", "2"], 8),
        ("v0.11.0", {}, ["--cpu-offload-gb", "-4"], 0),
        ("v0.11.0", {}, ["--cpu-offload-gb", "4", "-tp", "$(N)"], 0),
        ("v0.7.3", {}, ["--swap-space", "1048575"], 1048575),
        ("v0.7.3", {}, ["--swap-space", "1048576"], 0),
    ],
)  # fmt: skip
def test_what_stays_in_main_memory(image: str, env: dict[str, str], flags: list[str], pinned: int) -> None:
    """A limit of just what is pinned is too small; one more GiB is not, but where it is below the weights."""

    def found(gib: int) -> dict[str, Any]:
        given = deployment(
            image=f"vllm/vllm-openai:{image}",
            args=args(*flags),
            env=[{"name": name, "value": value} for name, value in env.items()],
            resources=limits(gpu=1, memory=f"{gib}Gi"),
        )
        pod_of(given)["hostIPC"] = True
        return {key: values for key, values in said(inspect_hardware, given, weights=16.0).items() if "memory" in key}

    if pinned:
        assert found(pinned)["memory_below_pinned"]["pinned"] == str(pinned)
    assert set(found(pinned + 1)) == ({"memory_below_weights"} if pinned + 1 < 16 else set())


def test_where_the_line_of_a_memory_limit_is() -> None:
    """The limit of Kubernetes at its own line, that of compose at the service's."""
    given = deployment(resources=limits(gpu=1, memory="8Gi"))
    (record,) = inspect_hardware(scene(given, weights=16.0))
    assert record.lines[0].text == "memory: 8Gi"
    service = {"image": "vllm/vllm-openai:v0.11.0", "command": f"--model {MODEL}", "gpus": "all", "mem_limit": "8g"}
    assert set(said(inspect_hardware, {"services": {"a": service}}, weights=16.0)) == {"memory_below_weights"}


@pytest.mark.parametrize(
    ("options", "words", "wanted"),
    [
        ("--rm", "", {"docker_run_without_gpu"}),
        ("--gpus all", "", set()),
        ("--runtime nvidia", "", set()),
        ("--device /dev/kfd", "", set()),
        ("-e VLLM_CPU_KVCACHE_SPACE=4", "", set()),
        ("--rm", "--device cpu", set()),
        ("--gpus all", "-tp 2", {"shared_memory_small"}),
        ("--gpus all --shm-size 1g", "-tp 2", set()),
        ("--gpus all --ipc host", "-tp 2", set()),
        ("--gpus all --ipc private", "-tp 2", {"shared_memory_small"}),
    ],
)
def test_a_docker_run(options: str, words: str, wanted: set[str]) -> None:
    (command,) = read(f"docker run {options} vllm/vllm-openai:v0.8.5 --model {MODEL} {words}\n")
    found = list(inspect_docker_run(command))
    assert {key_of(each) for each in found} == wanted
    assert {each.lines[0].number for each in found} <= {1}


def test_a_docker_run_on_a_tpu() -> None:
    (command,) = read(f"docker run --rm vllm/vllm-tpu:v0.8.5 --model {MODEL}\n")
    assert list(inspect_docker_run(command)) == []
