"""Whole looks at a pod with `kubectl qvl-doctor`: a scene, the logs of its container, and what is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kube.kubelet import Kubelet
from kube.scenes import SCENES as POD_SCENES
from kube.stage import CONTAINER, Stage, at, ended

FIXTURES = Path(__file__).resolve().parent.parent.parent / "fixtures"


class Case(NamedTuple):
    """`logs` are fixtures: of the start that `kubectl logs` shows, and of the one before.

    `lines` cuts a log where its start was ended.
    """

    scene: Callable[[Stage], None]
    words: tuple[str, ...]
    log: str = ""
    before: str = ""
    lines: int = 0


def starting_again(stage: Stage) -> None:
    """A liveness probe ended the last start while it loaded; the next one is loading."""
    POD_SCENES["liveness-kill"](stage)


def serving_again(stage: Stage) -> None:
    """It was killed at its memory limit while it served, and is ready again."""
    stage.node()
    stage.deploy()
    stage.placed()
    stage.status(
        {"running": {"startedAt": at(600)}}, ended(137, "OOMKilled", lasted=7200, ago=605), restarts=2, ready=True
    )


def two_replicas(stage: Stage) -> None:
    """One pod has no node, the other ends again and again."""
    stage.node(gpus=1)
    stage.deploy(replicas=2)
    stage.refused("Insufficient nvidia.com/gpu")
    stage.status_of_placed(ended(1, lasted=31), restarts=4)


CASES: dict[str, Case] = {
    "killed-at-limit": Case(POD_SCENES["oom-killed"], ("deploy/qwen-vl",), log="failed/0.32.0-sigkill-engine.log"),
    "crashed": Case(POD_SCENES["exits-with-1"], (), log="failed/0.11.0-lora-rank.log"),
    "two-replicas": Case(two_replicas, ("-l", "app=qwen-vl"), log="failed/0.11.0-lora-rank.log"),
    "killed-while-loading": Case(
        starting_again,
        ("deployment", "qwen-vl"),
        log="healthy/0.32.0-healthy-vl.log",
        before="healthy/0.32.0-healthy-vl.log",
        lines=30,
    ),
    "killed-while-serving": Case(
        serving_again,
        ("deploy/qwen-vl",),
        log="healthy/0.32.0-healthy-vl.log",
        before="failed/0.32.0-sigkill-engine.log",
    ),
    "log-gone": Case(POD_SCENES["oom-killed"], ("deploy/qwen-vl",)),
    "healthy": Case(POD_SCENES["healthy"], ("deploy/qwen-vl",), log="healthy/0.11.0-healthy-vl.log"),
    "no-gpu": Case(POD_SCENES["no-gpu"], ("deploy/qwen-vl",)),
    "over-quota": Case(POD_SCENES["over-quota"], ("deploy/qwen-vl",)),
}


def stage_case(case: Case, stage: Stage, kubelet: Kubelet) -> None:
    """Plays the scene, and puts the logs where the kubelet finds them."""
    case.scene(stage)
    names = stage.plane.must("-n", stage.namespace, "get", "pods", "-o", "jsonpath={.items[*].metadata.name}").split()
    for name in names:
        for previous, log in ((False, case.log), (True, case.before)):
            if log:
                text = (FIXTURES / log).read_text(encoding="utf-8")
                kubelet.logs[name, CONTAINER, previous] = "".join(text.splitlines(keepends=True)[: case.lines or None])


#: What goes wrong with asking at all: the words behind `kubectl qvl-doctor`, and the sentence that they lead to.
MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "no-such-pod": (("qwen-vl",), "error_kube.no_pod"),
    "no-such-owner": (("deploy/nothing",), "error_kube.not_found"),
    "no-such-kind": (("llminferenceservice/qwen-vl",), "error_kube.not_found"),
    "no-selector": (("namespace", "default"), "error_kube.no_selector"),
    "no-pods": (("-l", "app=nothing"), "error_kube.no_pods"),
    "no-container": (("deploy/qwen-vl", "-c", "sidecar"), "error_kube.no_container"),
    "forbidden": (("deploy/qwen-vl", "--as", "viewer"), "error_kube.forbidden"),
    "no-such-context": (("deploy/qwen-vl", "--context", "nowhere"), "error_kube.config"),
    "no-such-user": (("deploy/qwen-vl", "--user", "nobody"), "error_kube.config"),
    "no-such-cluster": (("deploy/qwen-vl", "--cluster", "nowhere"), "error_kube.config"),
    "no-such-file": (("deploy/qwen-vl", "--kubeconfig", "/nonexistent"), "error_kube.config"),
    "nobody-listens": (("deploy/qwen-vl", "--cluster", "stopped"), "error_kube.unreachable"),
    "unknown-token": (("deploy/qwen-vl", "--user", "stranger"), "error_kube.unauthorized"),
}
