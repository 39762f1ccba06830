"""A pod on a real control plane, and how its kubelet would speak of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
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


def as_list(text: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(text)["items"]
    return items
