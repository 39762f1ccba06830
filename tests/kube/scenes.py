"""Pods in every kind of trouble, staged on a real control plane.

Scheduling, quotas and everything that the API server refuses are real. What a kubelet would report (statuses, its
events) is written in its words, because there is none: `Staged.kubelet` names the scenes of which that holds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from kube.server import ControlPlane

IMAGE = "vllm/vllm-openai:v0.8.5"
CONTAINER = "vllm"
HEALTH = {"httpGet": {"path": "/health", "port": 8000}}


def at(seconds_ago: float) -> str:
    """A time as Kubernetes writes it."""
    return (datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Stage:
    """A namespace with one Deployment `qwen-vl`, and what a kubelet would say of its pod."""

    def __init__(self, plane: ControlPlane, name: str, kubelet_port: int = 10250) -> None:
        self.plane, self.namespace, self.port = plane, name, kubelet_port
        self.nodes: list[str] = []
        plane.must("create", "namespace", name)

    def node(self, name: str = "gpu-1", *, gpus: int = 1, memory: str = "128Gi", taint: str = "") -> None:
        self.nodes.append(f"{self.namespace}-{name}")
        self.plane.add_node(self.nodes[-1], self.port, gpus=gpus, memory=memory, taint=taint)

    def deploy(self, spec: Mapping[str, Any] | None = None, *, replicas: int = 1, **container: Any) -> None:
        """The Deployment; its pods are made by the real controllers."""
        gpus = container.pop("gpus", 1)
        server = {
            "name": CONTAINER,
            "image": IMAGE,
            "args": [
                "--model",
                "/models/Qwen2.5-VL-7B-Instruct",
                "--max-model-len",
                "24576",
                "--api-key",
                "sk-not-a-real-key",
            ],
            "ports": [{"containerPort": 8000}],
            "resources": {
                "limits": {"nvidia.com/gpu": gpus, "memory": "24Gi"},
                "requests": {"cpu": "2", "memory": "16Gi"},
            },
            "volumeMounts": [{"name": "dshm", "mountPath": "/dev/shm"}, {"name": "models", "mountPath": "/models"}],
            **container,
        }
        volumes = [
            {"name": "dshm", "emptyDir": {"medium": "Memory"}},
            {"name": "models", "hostPath": {"path": "/data/models"}},
        ]
        labels = {"app": "qwen-vl"}
        pod = {"containers": [server], "volumes": volumes, **(spec or {})}
        template = {"metadata": {"labels": labels}, "spec": pod}
        deployment = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        metadata = {"name": "qwen-vl", "namespace": self.namespace}
        self.plane.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment})

    def pod(self) -> str:
        """The name of the pod, as soon as there is one."""
        name = self.plane.wait_for("-n", self.namespace, "get", "pods", "-o", "name", said="pod/").split()[0]
        return name.removeprefix("pod/")

    def placed(self) -> str:
        """The name of the pod, as soon as the scheduler has bound it to a node."""
        self.plane.wait_for(
            "-n", self.namespace, "get", "pods", "-o", "jsonpath={.items[0].spec.nodeName}", said=self.namespace
        )
        return self.pod()

    def refused(self, said: str) -> None:
        """Waits for an event of the cluster."""
        self.plane.wait_for("-n", self.namespace, "get", "events", said=said)

    def status(self, state: Mapping[str, Any], before: Mapping[str, Any] | None = None, **more: Any) -> None:
        """What the kubelet reports of the container, and of the pod."""
        ready, restarts = more.pop("ready", False), more.pop("restarts", 0)
        inits = more.pop("inits", None)
        reported = {
            "name": CONTAINER,
            "image": IMAGE,
            "imageID": "",
            "ready": ready,
            "restartCount": restarts,
            "state": state,
            "lastState": before or {},
        }
        truth = "True" if ready else "False"
        status = {
            "phase": "Running",
            "startTime": at(4000),
            "conditions": [
                {"type": "Initialized", "status": "True", "lastTransitionTime": at(4000)},
                {"type": "Ready", "status": truth, "lastTransitionTime": at(3900)},
                {"type": "ContainersReady", "status": truth, "lastTransitionTime": at(3900)},
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(4000)},
            ],
            "containerStatuses": [reported],
            **({"initContainerStatuses": inits} if inits else {}),
            **more,
        }
        self.plane.patch_status("pod", self.pod(), status, self.namespace)

    def status_of_placed(self, before: Mapping[str, Any], restarts: int) -> None:
        """The same for the one pod of several that has a node: it waits to be started again."""
        pods = as_list(self.plane.must("-n", self.namespace, "get", "pods", "-o", "json"))
        name = next(pod["metadata"]["name"] for pod in pods if "nodeName" in pod["spec"])
        reported = {
            "name": CONTAINER,
            "image": IMAGE,
            "imageID": "",
            "ready": False,
            "restartCount": restarts,
            "state": waiting("CrashLoopBackOff", f"back-off 5m0s restarting failed container={CONTAINER}"),
            "lastState": before,
        }
        self.plane.patch_status("pod", name, {"phase": "Running", "containerStatuses": [reported]}, self.namespace)

    def event(self, reason: str, message: str, times: int = 1, ago: float = 60, kind: str = "Warning") -> None:
        """An event of the kubelet."""
        name = self.pod()
        uid = self.plane.must("-n", self.namespace, "get", "pod", name, "-o", "jsonpath={.metadata.uid}")
        self.plane.apply_new(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": f"{name}.{time.monotonic_ns():x}", "namespace": self.namespace},
                "involvedObject": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": name,
                    "namespace": self.namespace,
                    "uid": uid,
                    "fieldPath": f"spec.containers{{{CONTAINER}}}",
                },
                "reason": reason,
                "message": message,
                "type": kind,
                "count": times,
                "firstTimestamp": at(ago * 2),
                "lastTimestamp": at(ago),
                "source": {"component": "kubelet", "host": "gpu-1"},
            }
        )

    def clear(self) -> None:
        """Takes everything away, so that the next scene has the cluster for itself."""
        self.plane.must("-n", self.namespace, "delete", "deployment", "--all")
        self.plane.kubectl("-n", self.namespace, "delete", "pods", "--all", "--force", "--grace-period=0")
        if self.nodes:
            self.plane.must("delete", "node", *self.nodes)


def ended(code: int, reason: str = "Error", *, lasted: int = 95, ago: int = 100, message: str = "") -> dict[str, Any]:
    """A container's end."""
    end = {"exitCode": code, "reason": reason, "startedAt": at(ago + lasted), "finishedAt": at(ago), "message": message}
    return {"terminated": {key: value for key, value in end.items() if value != ""}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


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


def as_list(text: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(text)["items"]
    return items
