"""What is read out of a pod's status, as JSON and as kubectl describes it: each field, default and bound."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kube.described import DESCRIBED, NINE

from qvl_doctor.kube.describe import is_described, read_described
from qvl_doctor.kube.pod import Container, Pod, Probe, Start
from qvl_doctor.kube.status import read_pods
from qvl_doctor.kube.tree import objects, of_json


def status_of(status: Any, spec: Any = None, **metadata: Any) -> Pod:
    item = {"kind": "Pod", "metadata": {"name": "a", **metadata}, "spec": spec or {}, "status": status}
    (found,) = read_pods(of_json(json.dumps(item)))
    return found


def container_of(status: Any = None, spec: Any = None) -> Container:
    pod = status_of({"phase": "Running", "containerStatuses": [{"name": "c", **(status or {})}]}, spec)
    return pod.containers[0]


def test_a_manifest_has_no_status() -> None:
    for item in ({"kind": "Pod", "metadata": {"name": "a"}}, {"kind": "Deployment", "status": {"phase": "x"}}):
        assert read_pods(of_json(json.dumps(item))) == []


@pytest.mark.parametrize(("scheduled", "wanted"), [("False", "no node"), ("True", ""), ("Unknown", "")])
def test_why_a_pod_has_no_node(scheduled: str, wanted: str) -> None:
    condition = {"type": "PodScheduled", "status": scheduled, "message": "no node"}
    assert status_of({"conditions": [condition]}).unscheduled == wanted
    assert status_of({"conditions": [{**condition, "type": "Ready"}]}).unscheduled == ""


def test_the_fields_of_a_pod() -> None:
    owners = [{"kind": "ReplicaSet", "name": "r"}, {"kind": "X", "name": "y"}]
    found = status_of(
        {"phase": "Failed", "reason": "Evicted", "message": "m", "startTime": "2026-02-16T09:00:00Z"},
        {"nodeName": "n", "terminationGracePeriodSeconds": 60, "x": "2027-02-16T09:00:00Z"},
        namespace="s",
        ownerReferences=owners,
        creationTimestamp="2026-02-16T08:00:00Z",
    )
    assert found == Pod("a", "s", "Failed", "Evicted", "m", "n", grace=60, owner="ReplicaSet/r", newest=NINE)
    assert status_of({"phase": "Running"}) == Pod("a", phase="Running")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [({"waiting": {"reason": "r", "message": "m"}}, Start("waiting", "r", "m")), ({}, Start()), ({"odd": {"reason": "r"}}, Start())],
)  # fmt: skip
def test_how_a_container_is(given: Any, wanted: Start) -> None:
    assert container_of({"state": given}).now == wanted
    assert container_of({"lastState": given}).before == wanted


def test_a_start_that_ended() -> None:
    times = {"startedAt": "2026-02-16T09:00:00Z", "finishedAt": "2026-02-16T09:01:00Z"}
    given = {"terminated": {"reason": "Error", "exitCode": 137, "signal": 9, **times}}
    assert container_of({"state": given}).now == Start("terminated", "Error", "", 137, 9, NINE, NINE + 60)
    assert container_of({"state": {"terminated": {"exitCode": 0}}}).now.exit_code == 0
    assert container_of({"state": {"terminated": {"reason": "Error"}}}).now.exit_code is None
    assert container_of({"state": {"running": {"startedAt": times["startedAt"]}}}).now == Start("running", started=NINE)


@pytest.mark.parametrize(
    ("reason", "code", "line"),
    [("", "1", 2), ("Error", "1", 2), ("Completed", "0", 2), ("OOMKilled", "137", 1), ("OOMKilled", None, 1), ("", None, 0)],
)  # fmt: skip
def test_the_line_that_tells_most(reason: str, code: str | None, line: int) -> None:
    """The reason's, or the exit code's where the reason says no more; where there is neither, that of the state."""
    rows = [
        f"        reason: '{reason}'" if reason else "        x: 1",
        f"        exitCode: {code}" if code else "        y: 1",
    ]
    head = "kind: Pod\nmetadata: {name: a}\nstatus:\n  containerStatuses:\n  - name: c\n    state:\n      terminated:\n"
    (pod,) = read_pods(objects(head + "\n".join(rows) + "\n"))
    assert pod.containers[0].now.line == 7 + line


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("phase: Pending\n  reason: r\n  message: m", 6),
        ("phase: Pending\n  reason: r", 5),
        ("phase: Pending\n  x: y", 4),
        ("phase: Pending\n  message: m\n  conditions:\n  - {type: PodScheduled, status: 'True', message: x}", 5),
        ("phase: Pending\n  message: m\n  conditions:\n  - {type: PodScheduled, status: 'False', message: x}", 7),
    ],
)
def test_the_line_of_a_pod(status: str, line: int) -> None:
    (pod,) = read_pods(objects(f"kind: Pod\nmetadata: {{name: a}}\nstatus:\n  {status}\n"))
    assert pod.line == line


def test_a_container_by_its_spec() -> None:
    spec = {
        "name": "c",
        "image": "i",
        "command": ["vllm", "serve"],
        "args": ["m", 1],
        "resources": {"limits": {"memory": "24Gi", "nvidia.com/gpu": 2}, "requests": {"memory": "1Gi"}},
        "startupProbe": {"initialDelaySeconds": 5, "periodSeconds": 6, "failureThreshold": 7},
        "livenessProbe": {"httpGet": {"path": "/health"}},
        "readinessProbe": {"periodSeconds": 1},
    }
    found = container_of({"ready": True, "restartCount": 4, "image": "other"}, {"containers": [spec]})
    probes = (Probe("startup", 5, 6, 7), Probe("liveness", 0, 10, 3))
    assert found == Container(
        "c",
        ready=True,
        restarts=4,
        image="i",
        command="vllm serve m 1",
        memory_limit="24Gi",
        gpus="2",
        probes=probes,
    )
    assert container_of({"image": "other"}).image == "other"
    assert not container_of({"ready": False}).ready


def test_containers_without_a_status_and_init_containers() -> None:
    spec = {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}
    pod = status_of({"phase": "Pending"}, spec)
    assert [(each.name, each.init) for each in pod.containers] == [("i", True), ("c", False)]
    many = {"containers": [{"name": f"c{number}"} for number in range(51)]}
    assert len(status_of({"phase": "Pending"}, many).containers) == 50


# ---- The same in kubectl's description


def described(
    status: str = "Running",
    code: str = "137",
    restarts: str = "4",
    grace: str = "Termination Grace Period:  lasts 60s\n",
) -> Pod:
    text = DESCRIBED.format(status=status, code=code, restarts=restarts, grace=grace)
    assert is_described(text)
    ((found,), _) = read_described(text)
    return found


def test_the_fields_of_a_description() -> None:
    pod = described("Terminating (lasts 5m)")
    init, found = pod.containers
    assert pod._replace(containers=(), line=0) == Pod(
        "a", "s", "Terminating", "Evicted", "too full", "n", grace=60, owner="ReplicaSet/r", newest=NINE + 60
    )
    assert pod.line == 7
    assert (init.name, init.init, init.now.state, init.now.reason, init.ready) == (
        "i",
        True,
        "waiting",
        "PodInitializing",
        False,
    )
    probes = (Probe("startup", 1, 2, 3), Probe("liveness", 5, 6, 7))
    before = Start("terminated", "Error", "first second third: more", 137, 9, NINE, NINE + 60, 32)
    now = Start("waiting", "CrashLoopBackOff", line=26)
    assert found == Container(
        "c",
        ready=True,
        restarts=4,
        now=now,
        before=before,
        image="vllm/vllm-openai",
        command="vllm serve m",
        memory_limit="24Gi",
        gpus="1",
        probes=probes,
    )
    assert described(grace="").grace == 30


@pytest.mark.parametrize(
    ("code", "wanted"), [("0", 0), ("-1", -1), ("x", None), ("<none>", None), ("123456789", 123456789), ("1234567890", None)]
)  # fmt: skip
def test_the_exit_code_of_a_description(code: str, wanted: int | None) -> None:
    assert described(code=code).containers[1].before.exit_code == wanted


@pytest.mark.parametrize(("count", "wanted"), [("0", 0), ("123456789", 123456789), ("1234567890", 0), ("x", 0)])
def test_the_restarts_of_a_description(count: str, wanted: int) -> None:
    assert described(restarts=count).containers[1].restarts == wanted


@pytest.mark.parametrize("word", ["Node", "Containers", "Init Containers", "QoS Class", "IPs"])
def test_what_is_a_description(word: str) -> None:
    assert is_described(f"Name:   a\nNamespace:  b\n{word}:\n")
    assert not is_described(f"Name:   a\n{word}:\n")
    assert not is_described(f"Namespace:  b\n{word}:\n")
    assert not is_described(f"Name:   a\nNamespace:  b\nx{word}:\n")
