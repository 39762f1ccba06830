"""What is wrong around a vLLM command in a manifest: each mistake is found, and its mended form is silent."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from manifest.judging import CLAIM, READY, rules
from manifest.written import MODEL, deployment, pod_of
from program import RULES

from qvl_doctor.workflows.manifest import diagnose


def test_a_sound_deployment_is_silent() -> None:
    assert rules(deployment()) == set()


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "api"},
    "spec": {"selector": {"app": "qwen"}, "ports": [{"port": 80, "targetPort": 8000}]},
}
MODELS = {"path": "/v1/models", "port": 8000}
HEADERS = {"httpHeaders": [{"name": "Authorization", "value": "Bearer x"}]}
FOUR = {"resources": {"limits": {"nvidia.com/gpu": 4}}}
SMALL_POD = {"resources": {"limits": {"nvidia.com/gpu": 1, "memory": "32Gi"}}}
SWAP = {"image": "vllm/vllm-openai:v0.7.3", "args": ["--model", MODEL, "--swap-space", "20"]}
TWO = {"args": ["--model", MODEL, "-tp", "2"], "resources": {"limits": {"nvidia.com/gpu": 2}}}


@pytest.mark.parametrize(
    ("container", "rule"),
    [
        ({"resources": {}}, "pod-without-gpu"),
        ({"resources": {"requests": {"nvidia.com/gpu": 1}}}, "gpu-only-in-requests"),
        ({"resources": {"limits": {"nvidia.com/gpu": 1}}, "args": ["--model", MODEL, "-tp", "2"]}, "pod-gpus-differ"),
        ({"resources": {"limits": {"nvidia.com/gpu": 4}}}, "pod-gpus-unused"),
        (TWO, "pod-without-shared-memory"),
        ({"resources": {"limits": {"nvidia.com/gpu": 1, "memory": "8Gi"}}}, "pod-memory-below-weights"),
        ({**SWAP, "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "16Gi"}}}, "pod-memory-below-pinned"),
        ({"livenessProbe": {"httpGet": {"path": "/health", "port": 8000}}}, "probe-shorter-than-start"),
        ({"readinessProbe": {"httpGet": {"path": "/health", "port": 8080}}}, "probe-on-other-port"),
        ({"readinessProbe": {"tcpSocket": {"port": "web"}}, "ports": [{"name": "web", "containerPort": 7860}]}, "probe-on-other-port"),
        ({"readinessProbe": {"httpGet": MODELS}, "args": ["--model", MODEL, "--api-key", "sk-abcdefgh"]}, "probe-without-api-key"),
        ({"args": ["--model", MODEL, "--host", "127.0.0.1"], "readinessProbe": READY}, "server-only-on-localhost"),
        ({"image": "vllm/vllm-openai:latest"}, "image-without-release"),
        ({"image": "vllm/vllm-openai:v0.6.3"}, "architecture-not-supported"),
        ({"args": ["--model", MODEL, "--api-key", "sk-abcdefgh"]}, "secret-in-arguments"),
        ({"env": [{"name": "HF_TOKEN", "value": "hf_abc"}]}, "secret-in-manifest"),
        ({"env": [{"name": "HF_HUB_OFFLINE", "value": 1}]}, "variable-not-text"),
        ({"args": ["--model", MODEL, "--port", 8000]}, "arguments-not-text"),
        ({"command": ["python3", "-m", "vllm.entrypoints.openai.api_server", "-i", "a"]}, "unknown-argument"),
        ({"env": [{"name": "HF_TOKEN", "value": "${HF_TOKEN:-hf_abcdefgh}"}]}, "secret-in-manifest"),
        ({"volumeMounts": [{"name": "other", "mountPath": "/x"}]}, "volume-not-defined"),
        ({"volumeMounts": []}, "model-downloaded-at-each-start"),
        ({"args": ["--model", "/models/qwen"]}, "model-on-no-volume"),
        ({"command": ["sh", "-c", f"vllm serve {MODEL} --port 8000 & python web.py"], "args": []}, "vllm-in-background"),
    ],
)  # fmt: skip
def test_a_mistake_of_the_container(container: dict[str, Any], rule: str) -> None:
    assert rule in rules(deployment(**container))


@pytest.mark.parametrize(
    "container",
    [
        {"resources": {"limits": {"amd.com/gpu": 1}}},
        {"resources": {"claims": [{"name": "gpu"}]}},
        {"image": "vllm/vllm-openai-cpu:v0.11.0", "resources": {}},
        {"args": ["--model", MODEL, "--device", "cpu"], "image": "vllm/vllm-openai:v0.8.5", "resources": {}},
        {"startupProbe": {**READY, "failureThreshold": 60}, "livenessProbe": READY},
        {"livenessProbe": {**READY, "initialDelaySeconds": 300}},
        {"readinessProbe": {"httpGet": {"path": "/health", "port": "http"}}, "ports": [{"name": "http", "containerPort": 8000}]},
        {"args": ["--model", MODEL, "--api-key", "$(KEY)"], "readinessProbe": {"httpGet": {**MODELS, **HEADERS}}},
        {"env": [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}, {"name": "EMPTY"}]},
        {"args": ["--model", MODEL, "-tp", "4", "--distributed-executor-backend", "ray"], "image": "vllm/vllm-openai:v0.11.0"},
        {"image": "somebody/vllm-app:1.2.3"},
        {"args": ["--model", MODEL, "--host", "127.0.0.1"]},  # for a proxy in the same pod, or kubectl port-forward
        {"command": ["python3", "-m", "vllm.entrypoints.openai.run_batch", "-i", "/in", "-o", "/out", "--output-tmp-dir", "/tmp"]},
        {"env": [{"name": "HF_TOKEN", "value": "${HF_TOKEN}"}, {"name": "VLLM_API_KEY", "value": "$(KEY)"}]},
        {"env": [{"name": "HF_TOKEN", "value": "<your token>"}, {"name": "TOKENIZERS_PARALLELISM", "value": "false"}]},
        {"env": [{"name": "HF_HUB_DISABLE_IMPLICIT_TOKEN", "value": "1"}, {"name": "HF_TOKEN_PATH", "value": "/run/token"}]},
        {"args": ["--model", MODEL, "--port", "$(PORT)", "-tp", "$(GPUS)"], "readinessProbe": READY, **FOUR},
        {"args": ["--config", "/etc/vllm.yaml", "--model", MODEL], "readinessProbe": {"httpGet": MODELS}, **FOUR},
        {"env": [{"name": "VLLM_CPU_KVCACHE_SPACE", "value": "40"}], "image": "me/vllm:v0.11.0", "resources": {}},
        {"env": [{"name": "VLLM_API_KEY", "value": ""}], "readinessProbe": {"httpGet": MODELS}},
        {"args": ["--model", MODEL, "--data-parallel-size", "4", "--data-parallel-rank", "1"]},
        {"args": ["--model", MODEL, "-tp", "2", "--distributed-executor-backend", "external_launcher"]},
        {"command": ["bash", "-c", f"ray start --head && vllm serve {MODEL} -tp 8"], "args": []},
        {"args": ["--model", "somebody/unknown", "--cpu-offload-gb", "40"], **SMALL_POD},
        {"volumeMounts": [{"name": "models", "mountPath": "/root/.cache/huggingface/hub"}]},
    ],
)  # fmt: skip
def test_what_is_no_mistake(container: dict[str, Any]) -> None:
    allowed = (
        {"pod-without-shared-memory"}
        if {"ray", "external_launcher"} & set(str(container).replace("'", " ").split())
        else set()
    )
    assert rules(deployment(**container)) <= allowed


def test_shared_memory_of_several_gpus() -> None:
    found = deployment(**TWO)
    pod_of(found)["containers"][0]["volumeMounts"].append({"name": "dshm", "mountPath": "/dev/shm"})
    for directory, said in (
        ({"medium": "Memory"}, set()),
        ({"medium": "Memory", "sizeLimit": "4Gi"}, set()),
        ({"medium": "Memory", "sizeLimit": "256Mi"}, {"shared-memory-volume-small"}),
        ({}, {"pod-without-shared-memory"}),
        ({"medium": "Ram"}, {"pod-without-shared-memory", "volume-medium-misspelt"}),
    ):
        pod_of(found)["volumes"] = [*pod_of(deployment())["volumes"], {"name": "dshm", "emptyDir": directory}]
        assert rules(found) == said, directory
    pod_of(found)["volumes"][-1] = {"name": "dshm", "hostPath": {"path": "/dev/shm"}}
    assert rules(found) == set()
    pod_of(found)["hostIPC"] = True
    pod_of(found)["containers"][0]["volumeMounts"].pop()
    assert rules(found) == set()


def test_a_runtime_class_may_hand_the_gpus_in() -> None:
    found = deployment(resources={})
    pod_of(found)["runtimeClassName"] = "nvidia"
    assert rules(found) == set()


def test_a_probe_of_another_container() -> None:
    found = deployment(readinessProbe={"httpGet": {"path": "/ready", "port": 9000}})
    assert rules(found) == {"probe-on-other-port"}
    pod_of(found)["initContainers"] = [
        {"name": "proxy", "image": "p", "restartPolicy": "Always", "ports": [{"containerPort": 9000}]}
    ]
    assert rules(found) == set()


def test_services() -> None:
    assert rules(deployment(readinessProbe=READY), SERVICE) == set()
    assert rules(deployment(), SERVICE) == {"pod-without-readiness-probe"}
    other = {**SERVICE, "spec": {**SERVICE["spec"], "ports": [{"port": 80, "targetPort": 7869}]}}  # type: ignore[dict-item]
    assert rules(deployment(readinessProbe=READY), other) == {"service-on-other-port"}
    elsewhere = {**other, "spec": {**other["spec"], "selector": {"app": "else"}}}  # type: ignore[dict-item]
    assert rules(deployment(), elsewhere) == set()
    vllm = {**SERVICE, "metadata": {"name": "vllm"}}
    assert rules(deployment(readinessProbe=READY), vllm) == {"vllm-port-from-kubernetes"}
    unlinked = deployment(readinessProbe=READY)
    pod_of(unlinked)["enableServiceLinks"] = False
    assert rules(unlinked, vllm) == set()


def test_claims_and_volumes() -> None:
    assert rules(deployment(), CLAIM) == set()
    one = {**CLAIM, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}}
    assert rules(deployment(), one) == {"volume-below-weights"}
    many = deployment()
    many["spec"]["replicas"] = 2
    assert rules(many, one) == {"volume-below-weights", "claim-for-one-node"}
    small = deployment()
    pod_of(small)["volumes"] = [{"name": "models", "emptyDir": {"sizeLimit": "5Gi"}}]
    assert rules(small) == {"volume-below-weights"}
    host = deployment(args=["--model", "/models/x"], volumeMounts=[{"name": "models", "mountPath": "/models"}])
    pod_of(host)["volumes"] = [{"name": "models", "hostPath": {"path": "/data"}}]
    assert rules(host) == {"model-on-host-path"}
    pod_of(host)["nodeSelector"] = {"disk": "models"}
    assert rules(host) == set()


def test_policies() -> None:
    never = deployment()
    pod_of(never)["restartPolicy"] = "Never"
    assert rules(never) == {"restart-policy-refused"}
    bare = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {**pod_of(deployment()), "restartPolicy": "Never"},
    }
    assert rules(bare) == {"pod-not-restarted"}
    rolling = deployment()
    del rolling["spec"]["strategy"]
    assert rules(rolling) == {"rollout-needs-more-gpus"}
    rolling["spec"]["replicas"] = 4
    assert rules(rolling) == set()  # one of four may miss
    written_out = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    rolling["spec"]["strategy"] = written_out  # as `kubectl get -o yaml` shows it
    assert rules(rolling) == set()
    rolling["spec"]["replicas"] = 3
    assert rules(rolling) == {"rollout-needs-more-gpus"}
    rolling["spec"]["strategy"] = {"rollingUpdate": {"maxUnavailable": 0}}
    assert rules(rolling) == {"rollout-needs-more-gpus"}
    rolling["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    assert rules(rolling) == set()


def test_the_claims_that_a_stateful_set_makes() -> None:
    found = deployment()
    found["kind"] = "StatefulSet"
    del found["spec"]["strategy"], pod_of(found)["volumes"]
    found["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "models"}, "spec": CLAIM["spec"]}]
    assert rules(found) == set()
    small = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Gi"}}}
    found["spec"]["volumeClaimTemplates"][0]["spec"] = small
    assert rules(found) == {"volume-below-weights"}


def test_what_kserve_adds_is_not_missing() -> None:
    args = ["--port=8080", "--model=/mnt/models"]
    container = {"name": "kserve-container", "image": "vllm/vllm-openai:v0.11.0", "args": args}
    runtime = {"kind": "ServingRuntime", "metadata": {"name": "vllm"}, "spec": {"containers": [container]}}
    assert rules(runtime) == set()
    held = {
        **container,
        "env": [{"name": "STORAGE_URI", "value": "pvc://a/b"}],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
    }
    service = {"kind": "InferenceService", "metadata": {"name": "qwen"}, "spec": {"predictor": {"containers": [held]}}}
    assert rules(service) == set()
    elsewhere = {**held, "args": ["--model=/models/qwen"]}
    assert rules({**service, "spec": {"predictor": {"containers": [elsewhere]}}}) == {"model-on-no-volume"}


def test_what_a_controller_made_is_judged_where_it_was_made_from() -> None:
    """`kubectl get all -o yaml`: a Deployment, its ReplicaSets and their pods.

    What was rolled out before is history.
    """
    made = deployment(image="vllm/vllm-openai:latest")
    labels = {"app": "qwen", "pod-template-hash": "6d5f"}
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": pod_of(deployment(image="vllm/vllm-openai:latest"))}
    pod["metadata"] = {
        "name": "qwen-6d5f-x",
        "labels": labels,
        "ownerReferences": [{"kind": "ReplicaSet", "name": "qwen-6d5f"}],
    }
    old = {**deployment(image="vllm/vllm-openai:v0.6.0"), "kind": "ReplicaSet"}
    old["metadata"] = {"name": "qwen-1", "ownerReferences": [{"kind": "Deployment", "name": "qwen"}]}
    for objects in ([pod, made, old], [pod, made]):
        found = diagnose(yaml.safe_dump({"kind": "List", "items": objects}), source="x.yaml", rules=RULES).diagnosis
        assert [finding.rule for finding in found.findings] == ["image-without-release"]
        assert found.not_checked == ()
    alone = diagnose(yaml.safe_dump(pod), source="x.yaml", rules=RULES).diagnosis
    assert [finding.rule for finding in alone.findings] == ["image-without-release"]
    assert "made from Deployment/qwen" in alone.not_checked[0]["en"]
