"""Images, policies and rollouts: one case for each name in the tables, and both sides of each share."""

from __future__ import annotations

from typing import Any

import pytest
from manifest.written import MODEL, deployment, pod_of, said

from qvl_doctor.manifest.lifecycle import inspect_lifecycle


@pytest.mark.parametrize(
    ("image", "named"),
    [
        ("vllm/vllm-openai", False),
        ("vllm/vllm-openai:latest", False),
        ("host:5000/vllm/vllm-openai", False),
        ("vllm/vllm-openai:v0.11.0", True),
        ("vllm/vllm-openai:nightly", True),
        ("host:5000/vllm/vllm-openai:v0.11.0", True),
        ("vllm/vllm-openai@sha256:0011", True),
        ("vllm/vllm-openai:latest@sha256:0011", True),
    ],
)
def test_an_image_that_names_a_release(image: str, *, named: bool) -> None:
    assert set(said(inspect_lifecycle, deployment(image=image))) == (set() if named else {"image_without_release"})


@pytest.mark.parametrize(("release", "known"), [("0.7.1", False), ("0.7.2", True)])
def test_an_image_that_knows_the_architecture(release: str, *, known: bool) -> None:
    found = said(inspect_lifecycle, deployment(image=f"vllm/vllm-openai:v{release}"))
    assert set(found) == (set() if known else {"image_without_architecture"})


def test_a_model_that_nobody_knows_is_of_no_architecture() -> None:
    args = ["--model", "some/body"]
    assert said(inspect_lifecycle, deployment(image="vllm/vllm-openai:v0.6.0", args=args)) == {}


def test_vllm_in_the_background() -> None:
    given = deployment(command=["sh", "-c", f"vllm serve {MODEL} & nginx"], args=[])
    assert set(said(inspect_lifecycle, given)) == {"vllm_in_background"}


@pytest.mark.parametrize(
    ("kind", "policy", "wanted"),
    [
        *((kind, "Never", "restart_policy_refused") for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")),
        ("ReplicationController", "OnFailure", "restart_policy_refused"),
        ("Deployment", "Always", ""), ("Deployment", "", ""), ("Job", "Never", ""),
        ("Pod", "Never", "pod_not_restarted"), ("Pod", "OnFailure", "pod_not_restarted"), ("Pod", "Always", ""), ("Pod", "", ""),
    ],
)  # fmt: skip
def test_whether_a_container_is_started_again(kind: str, policy: str, wanted: str) -> None:
    given = deployment()
    if policy:
        pod_of(given)["restartPolicy"] = policy
    given = {**given, "kind": kind, **({"spec": pod_of(given)} if kind == "Pod" else {})}
    assert set(said(inspect_lifecycle, given)) == ({wanted} if wanted else set())


def rolling(surge: Any = None, missing: Any = None) -> dict[str, Any]:
    bounds = {"maxSurge": surge, "maxUnavailable": missing}
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {key: value for key, value in bounds.items() if value is not None},
    }


@pytest.mark.parametrize(
    ("strategy", "replicas", "doubles"),
    [
        (None, None, True), (None, 1, True), (None, 3, True), (None, 4, False),
        ({"type": "Recreate"}, 1, False), ({"type": "RollingUpdate"}, 1, True), ({}, 1, True),
        (rolling(surge=0), 1, False), (rolling(surge="0%"), 1, False), (rolling(surge=1), 1, True), (rolling(surge="25%"), 1, True),
        (rolling(missing=0), 4, True), (rolling(missing="0%"), 4, True), (rolling(missing=1), 1, False),
        (rolling(missing="100%"), 1, False), (rolling(missing="99%"), 1, True), (rolling(missing="50%"), 2, False),
        (rolling(missing="49%"), 2, True), (rolling(missing="10%"), 10, False), (rolling(missing="9%"), 10, True),
    ],
)  # fmt: skip
def test_a_rollout_that_needs_the_gpus_twice(strategy: Any, replicas: int | None, *, doubles: bool) -> None:
    given = deployment()
    given["spec"] |= {"replicas": replicas, "strategy": strategy}
    given["spec"] = {key: value for key, value in given["spec"].items() if value is not None}
    assert set(said(inspect_lifecycle, given)) == ({"rollout_doubles_gpus"} if doubles else set())


def test_only_deployments_with_gpus_roll_out() -> None:
    given = deployment()
    del given["spec"]["strategy"]
    assert said(inspect_lifecycle, {**given, "kind": "StatefulSet"}) == {}
    for gpus in ({}, {"limits": {"nvidia.com/gpu": 0}}, {"limits": {"nvidia.com/gpu": "half"}}):
        pod_of(given)["containers"][0]["resources"] = gpus
        assert said(inspect_lifecycle, given) == {}


def test_compose_has_no_policies() -> None:
    service = {"image": "vllm/vllm-openai:v0.11.0", "command": f"--model {MODEL}", "restartPolicy": "Never"}
    assert said(inspect_lifecycle, {"services": {"a": service}}) == {}
