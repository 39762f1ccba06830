"""Pods in every kind of trouble, staged on a real control plane.

Scheduling, quotas and everything that the API server refuses are real. What a kubelet would report (statuses, its
events) is written in its words, because there is none: `Staged.kubelet` names the scenes of which that holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kube.stage import CONTAINER, HEALTH, Stage, at, ended, waiting


def _crash_loop(stage: Stage) -> dict[str, Any]:
    pod = stage.placed()
    stage.event("BackOff", "Back-off restarting failed container", times=31, ago=20)
    return waiting(
        "CrashLoopBackOff", f"back-off 5m0s restarting failed container={CONTAINER} pod={pod}_{stage.namespace}(7c4f)"
    )


def oom_killed(stage: Stage) -> None:
    stage.node()
    stage.deploy()
    stage.status(_crash_loop(stage), ended(137, "OOMKilled"), restarts=7)


def exits_with_1(stage: Stage) -> None:
    stage.node()
    stage.deploy()
    stage.status(_crash_loop(stage), ended(1, lasted=31), restarts=4)


def liveness_kill(stage: Stage) -> None:
    stage.node()
    stage.deploy(livenessProbe={**HEALTH, "initialDelaySeconds": 60, "periodSeconds": 10, "failureThreshold": 3})
    stage.placed()
    stage.event(
        "Unhealthy",
        'Liveness probe failed: Get "http://10.196.84.25:8000/health": dial tcp 10.196.84.25:8000: connect: connection refused',
        12,
    )
    stage.event("Killing", f"Container {CONTAINER} failed liveness probe, will be restarted", 4, ago=50, kind="Normal")
    stage.status({"running": {"startedAt": at(40)}}, ended(137, lasted=122, ago=41), restarts=4)


def liveness_kill_without_events(stage: Stage) -> None:
    stage.node()
    stage.deploy(livenessProbe={**HEALTH, "initialDelaySeconds": 60, "periodSeconds": 10, "failureThreshold": 3})
    stage.status(_crash_loop(stage), ended(137, lasted=118), restarts=9)


def no_gpu(stage: Stage) -> None:
    stage.node(gpus=1)
    stage.deploy(gpus=2)
    stage.refused("Insufficient nvidia.com/gpu")


def tainted(stage: Stage) -> None:
    stage.node(taint="nvidia.com/gpu")
    stage.deploy()
    stage.refused("had taint")


def too_large(stage: Stage) -> None:
    stage.node(memory="8Gi")
    stage.deploy()
    stage.refused("Insufficient memory")


def no_such_label(stage: Stage) -> None:
    stage.node()
    stage.deploy({"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}})
    stage.refused("didn't match")


def claim_missing(stage: Stage) -> None:
    stage.node()
    volumes = [{"name": "dshm", "emptyDir": {}}, {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}]
    stage.deploy({"volumes": volumes})
    stage.refused("persistentvolumeclaim")


def over_quota(stage: Stage) -> None:
    hard = {"requests.nvidia.com/gpu": "1"}
    metadata = {"name": "gpus", "namespace": stage.namespace}
    stage.plane.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}})
    stage.plane.wait_for(
        "-n", stage.namespace, "get", "resourcequota", "gpus", "-o", "jsonpath={.status.hard}", said="gpu"
    )
    stage.deploy(gpus=2)
    stage.refused("exceeded quota")


def no_such_tag(stage: Stage) -> None:
    stage.node()
    stage.deploy(image="vllm/vllm-openai:0.8.5")
    stage.placed()
    image = "vllm/vllm-openai:0.8.5"
    whole = f"docker.io/{image}"
    reason = f'failed to pull and unpack image "{whole}": failed to resolve reference "{whole}": {whole}: not found'
    stage.event("Failed", f'Failed to pull image "{image}": rpc error: code = NotFound desc = {reason}', 4, ago=90)
    stage.event("Failed", "Error: ErrImagePull", 4, ago=90)
    stage.event("BackOff", f'Back-off pulling image "{image}"', 6, ago=30, kind="Normal")
    stage.status(waiting("ImagePullBackOff", f'Back-off pulling image "{image}"'), phase="Pending")


def secret_missing(stage: Stage) -> None:
    stage.node()
    source = {"secretKeyRef": {"name": "hf-token-secret", "key": "token"}}
    stage.deploy(env=[{"name": "HF_TOKEN", "valueFrom": source}])
    stage.placed()
    stage.event("Failed", 'Error: secret "hf-token-secret" not found', 8)
    stage.status(waiting("CreateContainerConfigError", 'secret "hf-token-secret" not found'), phase="Pending")


def evicted(stage: Stage) -> None:
    stage.node()
    stage.deploy()
    stage.placed()
    said = "The node was low on resource: ephemeral-storage. Container vllm was using 52676Ki, which exceeds its request of 0. "
    stage.event("Evicted", said)
    status = {"phase": "Failed", "reason": "Evicted", "message": said, "startTime": at(900)}
    stage.plane.patch_status("pod", stage.pod(), status, stage.namespace)


def gpu_lost(stage: Stage) -> None:
    stage.node()
    stage.deploy()
    stage.placed()
    why = (
        "Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. "
        "Requested: 1, Available: 0, which is unexpected"
    )
    stage.event("UnexpectedAdmissionError", why)
    status = {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": f"Pod {why}", "startTime": at(30)}
    stage.plane.patch_status("pod", stage.pod(), status, stage.namespace)


def mount_fails(stage: Stage) -> None:
    stage.node()
    stage.deploy()
    stage.placed()
    stage.event(
        "FailedMount",
        'MountVolume.SetUp failed for volume "models" : hostPath type check failed: /data/models is not a directory',
        9,
    )
    stage.status(waiting("ContainerCreating"), phase="Pending")


def runtime_missing(stage: Stage) -> None:
    stage.node()
    stage.deploy()
    stage.placed()
    why = 'rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for "nvidia" is configured'
    stage.event("FailedCreatePodSandBox", f"Failed to create pod sandbox: {why}", 10)
    stage.status(waiting("ContainerCreating"), phase="Pending")


def init_fails(stage: Stage) -> None:
    stage.node()
    stage.deploy(
        {
            "initContainers": [
                {
                    "name": "fetch-model",
                    "image": "python:3.12",
                    "command": ["hf", "download", "Qwen/Qwen2.5-VL-7B-Instruct"],
                }
            ]
        }
    )
    stage.placed()
    loop = waiting("CrashLoopBackOff", "back-off 2m40s restarting failed container=fetch-model")
    init = {
        "name": "fetch-model",
        "image": "",
        "imageID": "",
        "ready": False,
        "restartCount": 5,
        "state": loop,
        "lastState": ended(1, lasted=4),
    }
    stage.event("BackOff", "Back-off restarting failed container", 12)
    stage.status(waiting("PodInitializing"), phase="Pending", inits=[init])


def command_missing(stage: Stage) -> None:
    stage.node()
    stage.deploy(command=["vllm serve"])
    loop = _crash_loop(stage)
    why = (
        "failed to create containerd task: failed to create shim: OCI runtime create failed: starting container process"
    )
    why += ' caused by: exec: "vllm serve": executable file not found in $PATH: unknown'
    stage.event("Failed", f"Error: {why}", 4)
    stage.status(loop, ended(128, "StartError", lasted=0, message=why), restarts=4)


def healthy(stage: Stage) -> None:
    """It waited for a node, and did not answer its probe while the model loaded: all that is past."""
    stage.deploy(startupProbe={**HEALTH, "periodSeconds": 10, "failureThreshold": 60})
    stage.pod()
    stage.refused("FailedScheduling")
    stage.node()
    stage.placed()
    stage.event(
        "Unhealthy",
        'Startup probe failed: Get "http://10.196.84.25:8000/health": dial tcp 10.196.84.25:8000: connect: connection refused',
        9,
    )
    stage.event("Started", f"Started container {CONTAINER}", ago=150, kind="Normal")
    stage.status({"running": {"startedAt": at(150)}}, ready=True, started=True)


SCENES: Mapping[str, Callable[[Stage], None]] = {
    scene.__name__.replace("_", "-"): scene
    for scene in (
        oom_killed,
        exits_with_1,
        liveness_kill,
        liveness_kill_without_events,
        no_gpu,
        tainted,
        too_large,
        no_such_label,
        claim_missing,
        over_quota,
        no_such_tag,
        secret_missing,
        evicted,
        gpu_lost,
        mount_fails,
        runtime_missing,
        init_fails,
        command_missing,
        healthy,
    )
}

#: What is asked of kubectl, and the file that keeps it.
ASKED: Mapping[str, Sequence[str]] = {
    "pod.json": ("get", "pods", "-o", "json"),
    "pod.yaml": ("get", "pods", "-o", "yaml"),
    "events.json": ("get", "events", "-o", "json"),
    "events.txt": ("get", "events"),
    "describe.txt": ("describe", "pods"),
}


#: YAML says the same as JSON; two scenes are enough.
_ALSO_YAML = frozenset(("oom-killed", "init-fails"))


def printed(stage: Stage) -> dict[str, str]:
    """What kubectl prints about the stage, by file."""
    return {
        name: stage.plane.must("-n", stage.namespace, *words)
        for name, words in ASKED.items()
        if name != "pod.yaml" or stage.namespace in _ALSO_YAML
    }
