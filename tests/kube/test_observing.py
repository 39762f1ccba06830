"""What is told of a pod is what holds now.

No old troubles, no probe that only waits, no guess where a number says otherwise.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import RULES

from qvl_doctor.diagnose.examining import examine
from qvl_doctor.kube import inspect_kubectl_output
from qvl_doctor.kube.events import read_events, read_table
from qvl_doctor.kube.observing import observe_pods
from qvl_doctor.kube.pod import Container, Event, Pod, Probe, Start
from qvl_doctor.kube.tree import of_json

NOW = 1_800_000_000.0


def pod(container: Container, **more: Any) -> Pod:
    return Pod(**{"name": "vllm-0", "phase": "Running", "node": "gpu-1", "containers": (container,), **more})


def ended(code: int, lasted: float = 95, ago: float = 10, reason: str = "Error") -> Start:
    return Start("terminated", reason, exit_code=code, started=NOW - ago - lasted, ended=NOW - ago)


def said(pods: list[Pod], *events: Event) -> list[str]:
    return [record.message for record in observe_pods(pods, events, NOW).observations]


def event(reason: str, message: str, order: float = 0.0, name: str = "vllm-0", **more: Any) -> Event:
    return Event(reason, message, name=name, order=order, **more)


# ---- Probes
# ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 600), st.integers(1, 60), st.integers(1, 60), st.sampled_from([137, 143, 0]), st.floats(0, 1))
def test_a_container_that_ended_when_its_probe_gave_up_is_told_so(
    delay: int, period: int, failures: int, code: int, part: float
) -> None:
    """The last failure comes within a period after delay + period x (failures - 1).

    The end follows at once or after the grace period.
    """
    grace = 30 if code == 137 else 0
    lasted = delay + period * (failures - 1) + part * period + grace
    container = Container(
        "vllm", restarts=3, before=ended(code, lasted), probes=(Probe("liveness", delay, period, failures),)
    )
    assert "when its liveness probe gives up" in said([pod(container)])[0]


@pytest.mark.parametrize(
    ("lasted", "code", "reason"),
    [(30, 137, "Error"), (400, 137, "Error"), (95, 1, "Error"), (95, 137, "OOMKilled"), (95, 139, "Error")],
    ids=["before", "long after", "by itself", "at its limit", "crashed"],
)
def test_other_ends_are_not_blamed_on_the_probe(lasted: float, code: int, reason: str) -> None:
    container = Container(
        "vllm", restarts=3, before=ended(code, lasted, reason=reason), probes=(Probe("liveness", 60, 10, 3),)
    )
    assert not any("gives up" in each for each in said([pod(container)]))


def test_a_startup_probe_holds_the_liveness_probe_back() -> None:
    probes = (Probe("startup", 0, 10, 60), Probe("liveness", 0, 10, 3))
    assert (
        "startup probe gives up" in said([pod(Container("vllm", restarts=1, before=ended(143, 605), probes=probes))])[0]
    )
    assert "gives up" not in said([pod(Container("vllm", restarts=1, before=ended(143, 28), probes=probes))])[0]


def test_probes_that_fail_while_the_model_loads_are_how_every_start_looks() -> None:
    starting = Container("vllm", now=Start("running", started=NOW - 60))
    failing = event("Unhealthy", "Startup probe failed: connection refused", times=9)
    assert said([pod(starting)], failing) == []
    assert said([], failing) == []
    assert said([], event("Unhealthy", "Liveness probe failed: timeout", times=3)) != []
    assert said([pod(Container("vllm", restarts=2, before=ended(143, 800)))], failing)[1:] == [
        "pod vllm-0: event Unhealthy (9 times): Startup probe failed: connection refused"
    ]


def test_a_probe_that_killed_does_not_hide_the_memory_limit() -> None:
    killed = Container("vllm", restarts=2, before=ended(137, reason="OOMKilled"))
    messages = said([pod(killed)], event("Killing", "Container vllm failed liveness probe, will be restarted"))
    assert len(messages) == 1
    assert "OOMKilled" in messages[0]


# ---- What has passed
# ----------------------------------------------------------------------------------------------------


def test_a_pod_on_a_node_was_scheduled() -> None:
    waiting = event("FailedScheduling", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    assert said([pod(Container("vllm"))], waiting) == []
    assert said([pod(Container("vllm"), node="", phase="Pending")], waiting) != []


def test_events_alone_are_over_when_a_later_one_says_so() -> None:
    failed = event("FailedScheduling", "0/1 nodes are available", order=1)
    done = event("Scheduled", "Successfully assigned default/vllm-0 to gpu-1", order=2)
    assert said([], failed, done) == []
    assert said([], done._replace(order=0), failed) != []
    assert said([], failed, done._replace(name="other")) != []
    pulled = event("Pulled", "Successfully pulled image", order=4)
    assert said([], event("Failed", "Failed to pull image", order=3), pulled) == []
    assert said([], event("FailedMount", "MountVolume.SetUp failed", order=3), pulled) == []


def test_of_many_reasons_not_to_be_scheduled_the_newest_counts() -> None:
    first = event("FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.", order=1)
    last = event("FailedScheduling", "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.", order=2)
    (message,) = said([], first, last)
    assert "nvidia.com/gpu" in message


@pytest.mark.parametrize(("since", "told"), [(60, True), (3000, True), (4000, False), (86400, False)])
def test_a_death_long_before_a_good_start_is_history(since: float, *, told: bool) -> None:
    container = Container(
        "vllm",
        ready=True,
        restarts=1,
        now=Start("running", started=NOW - since),
        before=ended(137, ago=since + 1, reason="OOMKilled"),
    )
    assert bool(said([pod(container)])) is told


def test_a_container_that_is_not_ready_for_long() -> None:
    def running(seconds: float) -> list[str]:
        return said(
            [pod(Container("vllm", now=Start("running", started=NOW - seconds)))],
            event("Unhealthy", "Readiness probe failed: 404"),
        )

    assert running(600) == []
    assert running(1500) == [
        "pod vllm-0: container vllm runs for 1500 s and is not ready; restarts: 0; Readiness probe failed: 404"
    ]


def test_init_containers_that_did_their_work_are_quiet() -> None:
    done = Container("fetch", init=True, now=Start("terminated", "Completed", exit_code=0), before=ended(1), restarts=1)
    assert said([pod(done)]) == []
    assert said([pod(Container("vllm", now=Start("terminated", "Completed", exit_code=0)), phase="Succeeded")]) == []


def test_neighbours_that_run_no_vllm_are_left_out() -> None:
    mine = pod(Container("vllm", image="vllm/vllm-openai:v0.8.5"))
    redis = pod(Container("redis", restarts=9, before=ended(1)), name="redis-0")
    assert said([mine, redis], event("BackOff", "Back-off restarting failed container redis", name="redis-0")) == []
    assert said([redis]) != []
    assert observe_pods([mine, redis], [], NOW).facts["pod"].value == "vllm-0"


@given(st.integers(0, 255))
def test_every_exit_code_is_told_once_and_found_by_a_rule(code: int) -> None:
    seen = observe_pods([pod(Container("vllm", restarts=1, before=ended(code)))], [], NOW)
    (record,) = seen.observations
    assert f"exit code {code}" in record.message
    assert len(examine("-", seen, RULES).findings) == 1


# ---- Other spellings
# ----------------------------------------------------------------------------------------------------

REFUSED = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
PLAIN = f"""\
LAST SEEN   TYPE      REASON             OBJECT       MESSAGE
5m3s        Warning   FailedScheduling   pod/vllm-0   {REFUSED}
"""
TABLES = {
    "plain": PLAIN,
    "with Windows line ends": PLAIN.replace("\n", "\r\n"),
    "of all namespaces": "".join(
        f"{name:<12}{line}\n" for name, line in zip(("NAMESPACE", "serving"), PLAIN.splitlines(), strict=True)
    ),
    "wide": f"""\
LAST SEEN   TYPE      REASON             OBJECT       SUBOBJECT   SOURCE              {"MESSAGE":<62}FIRST SEEN   COUNT   NAME
5m3s        Warning   FailedScheduling   pod/vllm-0               default-scheduler   {REFUSED:<62}7m           12      vllm-0.17a
""",
    "of kubectl events": f"""\
LAST SEEN              TYPE      REASON             OBJECT       MESSAGE
5m3s (x12 over 1h)     Warning   FailedScheduling   Pod/vllm-0   {REFUSED} preemption: 0/3 nodes are available.
""",
}


@pytest.mark.parametrize("form", TABLES)
def test_tables_of_events(form: str) -> None:
    (found,) = read_table(TABLES[form])
    assert (found.reason, found.name, found.kind.lower()) == ("FailedScheduling", "vllm-0", "pod")
    assert found.message.startswith(REFUSED)
    assert found.times == (12 if form in {"wide", "of kubectl events"} else 1)
    seen = inspect_kubectl_output(TABLES[form])
    assert seen
    assert [finding.rule for finding in examine("-", seen, RULES).findings] == ["no-node-with-gpu"]


def test_a_message_of_several_lines_in_a_table() -> None:
    text = PLAIN + "second\n4m          Normal    Pulled             pod/b        done\n"
    assert [each.message for each in read_table(text)] == [f"{REFUSED} second", "done"]


def test_events_of_the_new_kind() -> None:
    item = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "reason": "FailedScheduling",
        "note": REFUSED,
        "regarding": {"kind": "Pod", "name": "vllm-0"},
        "eventTime": "2026-02-16T09:00:00.123456Z",
        "series": {"count": 7, "lastObservedTime": "2026-02-16T09:05:00.654321Z"},
        "deprecatedCount": None,
    }
    (found,) = read_events(of_json(json.dumps(item)))
    assert (found.reason, found.name, found.times) == ("FailedScheduling", "vllm-0", 7)
    assert found.message == REFUSED
    assert found.when == 1771232700.0
