"""Which ends and events are news: each entry of the tables, both sides of each bound, each thing that makes one old."""

from __future__ import annotations

from typing import Any

import pytest

from qvl_doctor.kube.observing import LONG_S, MAX_TOLD, PAST_S, observe_pods
from qvl_doctor.kube.pod import Container, Event, Pod, Probe, Start
from qvl_doctor.observations import key_of

NOW = 1_800_000_000.0
OLD = Start("terminated", "Error", exit_code=1, started=NOW - 9000, ended=NOW - 8000)


def pod(*containers: Container, **more: Any) -> Pod:
    return Pod(**{"name": "a", "phase": "Running", "node": "n", "containers": containers, **more})


def vllm(**more: Any) -> Container:
    return Container(**{"name": "vllm", **more})


def ended(code: int | None, lasted: float = 10, **more: Any) -> Start:
    given = {"reason": "Error", "exit_code": code, "started": NOW - lasted, "ended": NOW, **more}
    return Start(state="terminated", **given)


def seen(pods: list[Pod], *events: Event, now: float | None = NOW) -> dict[str, dict[str, str]]:
    found = observe_pods(pods, events, now).observations
    return {key_of(each): dict(each.observation.values) for each in found if each.observation}


def event(reason: str, message: str = "words", order: float = 0.0, name: str = "a", **more: Any) -> Event:
    return Event(reason, message, name=name, order=order, **more)


def told(*events: Event) -> list[str]:
    """The reasons of events that are told where nothing is known of their pods."""
    found = observe_pods([], events, NOW).observations
    return [each.observation.values["reason"] for each in found if each.observation]


# ---- The pod


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"phase": "Failed", "reason": "Evicted"}, "pod_evicted"),
        ({"phase": "Running", "reason": "Evicted"}, "pod_evicted"),
        ({"phase": "Failed", "reason": "OutOfcpu"}, "pod_refused_by_node"),
        ({"phase": "Unknown", "reason": "OutOfcpu"}, "pod_refused_by_node"),
        ({"phase": "Failed", "reason": "NodeLost"}, "pod_failed"),
        ({"phase": "Unknown", "reason": "NodeLost"}, "pod_failed"),
        ({"phase": "Running", "reason": "NodeLost"}, ""),
        ({"phase": "Running", "reason": "OutOfcpu"}, ""),
        ({"phase": "Failed"}, ""),
        ({"unscheduled": "no node", "node": ""}, "pod_not_scheduled"),
        ({"unscheduled": "no node"}, ""),
    ],
)
def test_what_is_wrong_with_a_pod(more: dict[str, Any], key: str) -> None:
    found = seen([pod(**more)])
    assert set(found) == ({key} if key else set())
    assert found.get("pod_refused_by_node", {"resource": "cpu"})["resource"] == "cpu"


CREATING = Start("waiting", "ContainerCreating")


@pytest.mark.parametrize(
    ("more", "container", "missing"),
    [
        ({}, {"now": CREATING}, True),
        ({"phase": "Running"}, {"now": CREATING}, False),
        ({"node": ""}, {"now": CREATING}, False),
        ({}, {"now": CREATING, "init": True}, False),
        ({}, {"now": Start("waiting", "PodInitializing")}, False),
        ({}, {"now": Start("running", "ContainerCreating", started=NOW)}, False),
    ],
)
def test_a_container_that_is_not_created(more: dict[str, Any], container: dict[str, Any], *, missing: bool) -> None:
    given = pod(vllm(**container), **{"phase": "Pending", **more})
    assert ("container_not_created" in seen([given])) is missing
    assert "container_not_created" not in seen([given], event("FailedMount", "MountVolume.SetUp failed"))


# ---- Containers


@pytest.mark.parametrize(
    ("code", "key", "signal"),
    [
        (129, "container_stopped", "SIGHUP"), (130, "container_stopped", "SIGINT"), (132, "container_crashed", "SIGILL"),
        (134, "container_crashed", "SIGABRT"), (135, "container_crashed", "SIGBUS"), (136, "container_crashed", "SIGFPE"),
        (137, "container_killed", "SIGKILL"), (139, "container_crashed", "SIGSEGV"), (143, "container_stopped", "SIGTERM"),
        (1, "container_ended", None), (0, "container_ended", None), (131, "container_ended", None),
    ],
)  # fmt: skip
def test_each_exit_code(code: int, key: str, signal: str | None) -> None:
    found = seen([pod(vllm(now=ended(code)))])
    assert (set(found), found[key].get("signal"), found[key]["code"]) == ({key}, signal, str(code))


@pytest.mark.parametrize(("signal", "code"), [(9, "137"), (0, "-1")])
def test_an_end_that_has_no_exit_code(signal: int, code: str) -> None:
    (found,) = seen([pod(vllm(now=ended(None, signal=signal)))]).values()
    assert found["code"] == code


@pytest.mark.parametrize(
    ("reason", "key", "shown"),
    [
        ("StartError", "container_not_started", "StartError"),
        ("ContainerCannotRun", "container_not_started", "ContainerCannotRun"),
        ("OOMKilled", "container_killed_at_limit", None),
        ("Error", "container_killed", None),
        ("Completed", "container_killed", None),
        ("", "container_killed", None),
        ("ContainerStatusUnknown", "container_killed", "ContainerStatusUnknown"),
    ],
)
def test_each_reason_of_an_end(reason: str, key: str, shown: str | None) -> None:
    found = seen([pod(vllm(now=ended(137, reason=reason), memory_limit="8Gi"))])
    assert found[key].get("reason") == shown
    last_words = seen([pod(vllm(now=ended(137, reason=reason, message="the end")))])
    assert ("container_last_words" in last_words) is (key != "container_not_started")


@pytest.mark.parametrize("reason", ["", "ContainerCreating", "PodInitializing"])
def test_how_every_start_waits(reason: str) -> None:
    assert seen([pod(vllm(now=Start("waiting", reason)))]) == {}
    assert set(seen([pod(vllm(now=Start("waiting", "CrashLoopBackOff")))])) == {"container_waiting"}


@pytest.mark.parametrize(
    ("container", "phase", "news"),
    [
        ({"now": ended(0)}, "Running", True),
        ({"now": ended(0)}, "Succeeded", False),
        ({"now": ended(0), "init": True}, "Running", False),
        ({"now": ended(1)}, "Succeeded", True),
        ({"now": ended(1), "init": True}, "Running", True),
        ({"now": Start("waiting"), "before": OLD, "init": True}, "Running", True),
        ({"now": Start("running", started=NOW - 9), "before": OLD, "init": True}, "Running", False),
        ({"now": Start("running", started=NOW - PAST_S), "before": OLD, "ready": True}, "Running", False),
        ({"now": Start("running", started=NOW - PAST_S + 1), "before": OLD, "ready": True}, "Running", True),
        ({"now": Start("running", started=NOW - PAST_S), "before": OLD}, "Running", True),
        ({"now": Start("running"), "before": OLD, "ready": True}, "Running", True),
    ],
)
def test_whether_an_end_is_news(container: dict[str, Any], phase: str, *, news: bool) -> None:
    found = set(seen([pod(vllm(**container), phase=phase)])) - {"container_not_ready"}
    assert bool(found) is news


@pytest.mark.parametrize(
    ("container", "since", "slow"),
    [
        ({}, LONG_S, True), ({}, LONG_S - 1, False), ({"ready": True}, LONG_S, False), ({"init": True}, LONG_S, False),
    ],
)  # fmt: skip
def test_a_container_that_runs_long_and_is_not_ready(container: dict[str, Any], since: float, *, slow: bool) -> None:
    given = pod(vllm(now=Start("running", started=NOW - since), **container))
    refusals = (event("Unhealthy", "Readiness probe failed: 1"), event("Unhealthy", "Readiness probe failed: words", 1))
    found = seen([given], *refusals)
    assert set(found) == ({"container_not_ready"} if slow else set())
    if slow:
        assert found["container_not_ready"]["message"] == "Readiness probe failed: words"


def test_the_newest_time_is_the_clock_where_there_is_none() -> None:
    running = vllm(now=Start("running", started=NOW - LONG_S))
    assert seen([pod(running)], now=None) == {}
    assert seen([pod(running, newest=NOW)], now=None) != {}
    assert seen([pod(running, newest=NOW - 1)], now=None) == {}
    assert seen([pod(running, newest=NOW - 9)], event("Pulled", when=NOW), now=None) != {}


# ---- Probes: first failure at 60, period 10, 3 failures, so the last between 80 and 100


@pytest.mark.parametrize(
    ("code", "grace", "lasted", "by_probe"),
    [
        (143, 30, 78, True), (143, 30, 77, False), (143, 30, 120, True), (143, 30, 121, False), (143, 10, 115, True),
        (143, 10, 116, False), (137, 30, 135, True), (137, 30, 136, False), (0, 30, 120, True), (1, 30, 90, False), (139, 30, 90, False),
    ],
)  # fmt: skip
def test_when_a_probe_gives_up(code: int, grace: int, lasted: float, *, by_probe: bool) -> None:
    probes = (Probe("liveness", 60, 10, 3),)
    given = pod(vllm(before=ended(code, lasted), restarts=1, probes=probes), grace=grace)
    (found,) = seen([given]).values()
    assert found.get("probe") == ("liveness" if by_probe else None)
    assert found.get("arithmetic") == ("60 s + 3 x 10 s" if by_probe else None)


@pytest.mark.parametrize(
    ("code", "restarts", "by_probe"), [(0, 0, False), (0, 1, True), (137, 0, True), (143, 0, True)]
)
def test_an_end_without_a_signal_or_a_restart_is_the_programs_own(code: int, restarts: int, *, by_probe: bool) -> None:
    probes = (Probe("liveness", 60, 10, 3),)
    (found,) = seen([pod(vllm(now=ended(code, 90), restarts=restarts, probes=probes))]).values()
    assert ("probe" in found) is by_probe


# ---- Events


@pytest.mark.parametrize(
    ("later", "over"),
    [
        ("Scheduled", ["FailedScheduling"]),
        ("SuccessfulAttachVolume", ["FailedAttachVolume"]),
        ("Pulled", ["Failed", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"]),
        ("Created", ["Failed", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "InspectFailed"]),
        ("Started", ["Failed", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "InspectFailed"]),
        ("SuccessfulCreate", ["FailedCreate"]),
    ],
)
def test_what_an_event_says_is_over(later: str, over: list[str]) -> None:
    every = (
        "FailedScheduling", "FailedAttachVolume", "Failed", "FailedMount", "FailedCreatePodSandBox", "InspectFailed", "FailedCreate",
    )  # fmt: skip
    for reason in every:
        first = event(reason, order=1)
        assert told(first) == [reason]
        assert told(first, event(later, order=2)) == ([] if reason in over else [reason])
        assert told(first._replace(order=2), event(later, order=2)) == [reason]
        assert told(event(later, order=0), first) == [reason]
        assert told(first, event(later, order=2, name="b")) == [reason]


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("FailedToUpdateEndpointSlices", False), ("DNSConfigForming", False), ("FailedGetResourceMetric", False),
        ("FailedComputeMetricsReplicas", False), ("Preempted", True), ("TaintManagerEviction", True), ("NodeNotReady", True),
        ("Preempting", True), ("Pulling", False), ("SuccessfulDelete", False), ("ScalingReplicaSet", False), ("Starting", False),
        ("RegisteredNode", False), ("RemovingNode", False), ("NodeHasSufficientMemory", False), ("NodeAllocatableEnforced", False),
        ("NodeReady", False), ("NodeSchedulable", False), ("ExternalProvisioning", False), ("Provisioning", False),
        ("WaitForFirstConsumer", False), ("Pulled", False), ("OddThing", True), ("Killing", False),
    ],
)  # fmt: skip
def test_each_reason_of_an_event(reason: str, *, says: bool) -> None:
    assert told(event(reason)) == ([reason] if says else [])
    assert told(event(reason, message="")) == []


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        *((kind, True) for kind in ("Pod", "pod", "ReplicaSet", "StatefulSet", "Deployment", "Job", "LeaderWorkerSet", "Node")),
        ("PersistentVolumeClaim", True), ("Ingress", False), ("Service", False),
    ],
)  # fmt: skip
def test_each_kind_that_events_are_about(kind: str, *, counts: bool) -> None:
    assert told(event("OddThing", kind=kind)) == (["OddThing"] if counts else [])


def test_of_two_of_a_kind_the_newest_is_told() -> None:
    def messages(*given: Event) -> list[str]:
        found = observe_pods([], given, NOW).observations
        return [each.observation.values["message"] for each in found if each.observation]

    assert messages(event("Odd", 'x "a" 1', 1), event("Odd", 'x "b" 2', 2)) == ['x "b" 2']
    assert messages(event("Odd", "x", 1), event("Odd", "y", 2)) == ["x", "y"]
    assert messages(event("Odd", "x", 1), event("Odder", "x", 2), event("Odd", "x", 3)) == ["x", "x"]
    assert messages(event("FailedScheduling", "x", 1), event("FailedScheduling", "y", 2)) == ["y"]


@pytest.mark.parametrize(("times", "shown"), [(1, None), (2, "2")])
def test_how_often_an_event_was(times: int, shown: str | None) -> None:
    assert seen([], event("Odd", times=times))["event"].get("times") == shown


RUNNING, WAITING = Start("running", started=NOW - 60), Start("waiting", "CrashLoopBackOff")
BY_PROBE = "Container vllm failed liveness probe, will be restarted"


@pytest.mark.parametrize(
    ("reason", "message", "container", "more", "tells"),
    [
        *(
            (reason, "x", {"now": now, "restarts": restarts}, {}, tells)
            for reason in ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedCreatePodContainer")
            for now, restarts, tells in ((CREATING, 0, True), (CREATING, 1, False), (RUNNING, 0, False))
        ),
        ("FailedScheduling", "x", {}, {"node": ""}, True),
        ("FailedScheduling", "x", {}, {}, False),
        ("FailedScheduling", "x", {}, {"node": "", "unscheduled": "y"}, False),
        ("Failed", "x", {"now": WAITING}, {}, True),
        ("Failed", "x", {"now": RUNNING}, {}, False),
        ("BackOff", "x", {"now": WAITING, "ready": True}, {}, True),
        ("BackOff", "x", {"now": RUNNING}, {}, True),
        ("BackOff", "x", {"now": RUNNING, "ready": True}, {}, False),
        ("Unhealthy", "Liveness probe failed: x", {"before": ended(137), "restarts": 1}, {}, True),
        ("Unhealthy", "Liveness probe errored: x", {"before": ended(143), "restarts": 1}, {}, True),
        ("Unhealthy", "Startup probe failed: x", {"before": ended(0), "restarts": 1}, {}, True),
        ("Unhealthy", "Readiness probe failed: x", {"before": ended(137), "restarts": 1}, {}, False),
        ("Unhealthy", "Liveness probe failed: x", {"before": ended(1), "restarts": 1}, {}, False),
        ("Unhealthy", "Liveness probe failed: x", {"before": ended(137), "restarts": 0}, {}, False),
        ("Unhealthy", "Liveness probe failed: x", {"before": ended(137), "restarts": 1, "ready": True}, {}, False),
        ("Unhealthy", "Liveness probe failed: x", {"before": ended(137, reason="OOMKilled"), "restarts": 1}, {}, False),
        ("Killing", BY_PROBE, {"before": ended(137)}, {}, True),
        ("Killing", BY_PROBE.replace("liveness", "startup"), {"before": ended(137)}, {}, True),
        ("Killing", BY_PROBE, {"before": ended(137, reason="OOMKilled")}, {}, False),
        ("Killing", "Stopping container vllm", {}, {}, False),
        ("OddThing", "x", {}, {}, True),
    ],
)
def test_what_an_event_says_of_a_pod_as_it_is_now(
    reason: str, message: str, container: dict[str, Any], more: dict[str, Any], *, tells: bool
) -> None:
    given = pod(vllm(**container), **more)
    assert ("event" in seen([given], event(reason, message))) is tells


@pytest.mark.parametrize(
    ("message", "times", "tells"),
    [
        ("Liveness probe failed: x", 2, False), ("Liveness probe failed: x", 3, True), ("Readiness probe failed: x", 3, False),
        ("Startup probe failed: x", 3, False), ("words", 1, True),
    ],
)  # fmt: skip
def test_a_probe_that_fails_alone(message: str, times: int, *, tells: bool) -> None:
    assert bool(told(event("Unhealthy", message, times=times))) is tells


def test_a_probe_that_killed_alone() -> None:
    assert told(event("Killing", BY_PROBE)) == ["Killing"]
    assert told(event("Killing", "Stopping container vllm")) == []


def test_no_more_is_told_than_anybody_reads() -> None:
    many = [event("Odd", name=f"pod-{number}") for number in range(MAX_TOLD + 1)]
    assert len(observe_pods([], many, NOW).observations) == MAX_TOLD == 200


def test_events_of_neighbours_are_left_out_and_those_of_owners_are_not() -> None:
    mine, other = pod(vllm()), pod(Container("redis"), name="b")
    found = observe_pods([mine, other], [event("Odd", "x", name="b"), event("Odd", "y", name="owner")], NOW)
    assert [each.observation.values["name"] for each in found.observations if each.observation] == ["owner"]


# ---- Facts


def test_facts_are_those_of_the_pod_that_is_worst_off() -> None:
    def named(*pods: Pod) -> Any:
        return observe_pods(pods, [], NOW).facts["pod"].value

    ready, restarted = vllm(ready=True, restarts=9), vllm(restarts=1)
    assert named(pod(ready, name="ready"), pod(restarted, name="worse")) == "worse"
    assert named(pod(vllm(restarts=1), name="less"), pod(vllm(restarts=2), name="worse")) == "worse"
    two = (vllm(restarts=1), Container("b", restarts=2))
    assert named(pod(vllm(restarts=2), name="less"), pod(*two, name="worse")) == "worse"


def test_the_facts_of_a_pod() -> None:
    def facts(given: Pod) -> dict[str, Any]:
        return {name: fact.value for name, fact in observe_pods([given], [], NOW).facts.items()}

    base = {"pod": "a", "pod_phase": "Running", "pod_node": "n", "pod_ready": "no"}
    assert facts(pod()) == base
    assert facts(
        pod(vllm(now=WAITING, restarts=2), Container("b", restarts=9), Container("i", init=True, gpus="1"))
    ) == {
        **base,
        "pod_state": "CrashLoopBackOff",
        "pod_restarts": 2,
    }
    assert facts(pod(vllm(now=ended(1, 10), ready=True))) == {
        **base,
        "pod_ready": "yes",
        "pod_state": "terminated",
        "pod_restarts": 0,
        "pod_exit_code": 1,
        "pod_lasted_s": 10.0,
    }
    assert observe_pods([], [], NOW).facts == {}
