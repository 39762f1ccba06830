"""What is read out of a pod's status and its events, as JSON and as kubectl describes them: each field, default and bound."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qvl_doctor.kube.describe import is_described, read_described
from qvl_doctor.kube.events import is_table, read_events, read_table
from qvl_doctor.kube.pod import Container, Pod, Probe, Start
from qvl_doctor.kube.status import read_pods
from qvl_doctor.kube.times import is_age, moment, seconds
from qvl_doctor.kube.tree import Item, objects, of_json

NINE = 1771232400.0  # 2026-02-16T09:00:00Z


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

DESCRIBED = """\
Name:             a
Namespace:        s
Node:             n/10.0.0.1
Start Time:       Mon, 16 Feb 2026 09:00:00 +0000
Status:           {status}
Reason:           Evicted
Message:          too full
Controlled By:    ReplicaSet/r
{grace}Init Containers:
  i:
    Image:          busybox
    State:          Waiting
      Reason:       PodInitializing
    Ready:          False
    Restart Count:  0
Containers:
  c:
    Image:         vllm/vllm-openai
    Command:
      vllm
      serve
    Args:
      m
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       Error
      Message:      first
        second
      third: more
      Exit Code:    {code}
      Signal:       9
      Started:      Mon, 16 Feb 2026 09:00:00 +0000
      Finished:     Mon, 16 Feb 2026 09:01:00 +0000
    Ready:          True
    Restart Count:  {restarts}
    Limits:
      memory:          24Gi
      nvidia.com/gpu:  1
    Liveness:       http-get http://:8000/health delay=5s timeout=1s period=6s #success=1 #failure=7
    Startup:        http-get http://:8000/health delay=1s timeout=1s period=2s #success=1 #failure=3
Events:
  Type     Reason   Age               From     Message
  ----     ------   ---               ----     -------
  Warning  BackOff  5m (x12 over 1h)  kubelet  Back-off
  Normal   Pulled   7m                kubelet  Pulled it
QoS Class:  Burstable
  Warning  Other    5m                kubelet  not an event
"""


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


def test_the_events_of_a_description_oldest_first() -> None:
    _, events = read_described(DESCRIBED.format(status="Running", code="1", restarts="1", grace=""))
    assert [(each.reason, each.message, each.name, each.times, each.order) for each in events] == [
        ("Pulled", "Pulled it", "a", 1, -420.0),
        ("BackOff", "Back-off", "a", 12, -300.0),
    ]
    assert events[1].text == "Warning  BackOff  5m (x12 over 1h)  kubelet  Back-off"


@pytest.mark.parametrize("word", ["Node", "Containers", "Init Containers", "QoS Class", "IPs"])
def test_what_is_a_description(word: str) -> None:
    assert is_described(f"Name:   a\nNamespace:  b\n{word}:\n")
    assert not is_described(f"Name:   a\n{word}:\n")
    assert not is_described(f"Namespace:  b\n{word}:\n")
    assert not is_described(f"Name:   a\nNamespace:  b\nx{word}:\n")


# ---- Events


def event_of(**more: Any) -> Any:
    (found,) = read_events([*of_json(json.dumps({"kind": "Event", "reason": "r", "message": "m", **more}))])
    return found


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ({}, 1),
        ({"count": 3}, 3),
        ({"count": 0}, 1),
        ({"series": {"count": 4}}, 4),
        ({"deprecatedCount": 5}, 5),
        ({"count": 3, "series": {"count": 2}}, 3),
    ],
)
def test_how_often_an_event_was(counts: Any, wanted: int) -> None:
    assert event_of(**counts).times == wanted


@pytest.mark.parametrize(
    "where",
    [
        ("series", "lastObservedTime"),
        ("lastTimestamp",),
        ("deprecatedLastTimestamp",),
        ("eventTime",),
        ("firstTimestamp",),
        ("metadata", "creationTimestamp"),
    ],
)
def test_when_an_event_was(where: tuple[str, ...]) -> None:
    time: Any = "2026-02-16T09:00:00Z"
    for key in reversed(where):
        time = {key: time}
    found = event_of(**time)
    assert (found.when, found.order) == (NINE, NINE)
    both = {"lastTimestamp": "2026-02-16T09:00:00Z", "firstTimestamp": "2026-02-16T08:00:00Z"}
    assert event_of(**both).when == NINE
    assert (event_of().when, event_of().order) == (None, 0.0)


def test_what_an_event_is_about() -> None:
    about = {"kind": "Node", "name": "n"}
    for key in ("involvedObject", "regarding"):
        assert (event_of(**{key: about}).kind, event_of(**{key: about}).name) == ("Node", "n")
    assert (event_of().kind, event_of().name) == ("Pod", "")
    assert event_of(message="", note="n").message == "n"
    assert len(event_of(message="m" * 5000).message) == 4000
    assert read_events([Item({"kind": Item("Pod")})]) == []


def test_the_newest_events_are_kept() -> None:
    def at(second: int) -> Any:
        time = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        return {"kind": "Event", "message": "m", "lastTimestamp": f"2026-02-16T{time}Z"}

    items = [at(second) for second in reversed(range(5001))]
    found = read_events(of_json(json.dumps({"kind": "List", "items": items})))
    assert len(found) == 5000
    assert found[0].order < found[-1].order == moment("2026-02-16T01:23:20Z")


HEADER = "LAST SEEN   TYPE      REASON   OBJECT   MESSAGE\n"


@pytest.mark.parametrize(
    ("row", "read"),
    [
        ("5m          Warning   Failed   pod/a    x", True),
        ("5m          Normal    Failed   pod/a    x", True),
        ("5m          Odd       Failed   pod/a    x", False),
        ("soon        Warning   Failed   pod/a    x", False),
        ("<unknown>   Warning   Failed   pod/a    x", True),
    ],
)
def test_the_rows_of_a_table(row: str, *, read: bool) -> None:
    assert is_table(HEADER)
    assert is_table(f"\ufeff\r\n {HEADER}")
    assert not is_table(row)
    found = read_table(HEADER + row + "\n")
    assert len(found) == int(read)
    if read:
        assert (found[0].line, found[0].text, found[0].kind, found[0].name) == (2, row, "pod", "a")


def test_a_table_is_read_oldest_first() -> None:
    rows = "5m          Warning   Failed   pod/a    new\n1h          Warning   Failed   pod/a    old\n"
    assert [(each.message, each.order) for each in read_table(HEADER + rows)] == [("old", -3600.0), ("new", -300.0)]


@pytest.mark.parametrize(("count", "times"), [("7", 7), ("x", 1), ("123456789", 123456789), ("1234567890", 1)])
def test_the_count_of_a_wide_table(count: str, times: int) -> None:
    head = "LAST SEEN   TYPE      REASON   OBJECT   SUBOBJECT   SOURCE    MESSAGE   FIRST SEEN   COUNT        NAME\n"
    row = f"5m          Warning   Failed   pod/a                kubelet   x         7m           {count:<13}a.1\n"
    (found,) = read_table(head + row)
    assert (found.times, found.message) == (times, "x")


# ---- Numbers, trees and times


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("5", 5), ("-5", -5), ("0", 0), ("x", 7), ("", 7), ("1.5", 7), ("--5", 7), ("9" * 11, 99999999999), ("9" * 12, 7)],
)
def test_a_number_of_the_tree(text: str, wanted: int) -> None:
    assert Item({"a": Item(text)}).number("a", default=7) == wanted
    assert Item(None).number("a") == 0


@pytest.mark.parametrize("nothing", ["null", "~", ""])
def test_what_yaml_calls_nothing(nothing: str) -> None:
    (found,) = objects(f"kind: Pod\na: {nothing}\nb: 'null'\n")
    assert (found.get("a").value, found.text("b"), found.get("b").line) == (None, "null", 3)


def test_lines_are_counted_from_the_first_even_if_it_is_empty() -> None:
    (found,) = objects("\nkind: Pod\na: b\n")
    assert (found.get("kind").line, found.get("a").line) == (2, 3)


def test_what_kubernetes_takes_for_a_probe_that_says_nothing() -> None:
    assert Probe("liveness") == Probe("liveness", delay=0, period=10, failures=3)


def test_lists_in_lists_are_opened() -> None:
    inner = {"kind": "PodList", "items": [{"kind": "Pod", "x": True, "y": 1}]}
    (found,) = of_json(json.dumps([{"kind": "List", "items": [inner]}, {"no": "kind"}]))
    assert (found.text("kind"), found.text("x"), found.text("y")) == ("Pod", "true", "1")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-02-16T09:00:00Z", NINE),
        ("2026-02-16T09:00:00.123456Z", NINE),
        ("2026-02-16T10:00:00+01:00", NINE),
        ("2026-02-16T08:00:00-0100", NINE),
        ("Mon, 16 Feb 2026 10:00:00 +0100", NINE),
        ("16 Feb 2026 09:00:00 +0000", NINE),
        ("2026-02-16 09:00:00Z", None),
        ("2026-02-16T09:00:00", None),
        ("2026-02-30T09:00:00Z", None),
        ("", None),
    ],
)
def test_a_moment(text: str, wanted: float | None) -> None:
    assert moment(text) == wanted


@pytest.mark.parametrize(
    ("age", "wanted"),
    [("1y", 31536000), ("1d", 86400), ("1h", 3600), ("1m", 60), ("1s", 1), ("1y1d1h1m1s", 31626061), ("<invalid>", 0)],
)
def test_the_units_of_an_age(age: str, wanted: int) -> None:
    assert is_age(age)
    assert seconds(age) == wanted


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1y1d1h1m1s1s", "<none>", "-5m"])
def test_what_is_no_age(text: str) -> None:
    assert not is_age(text)
    assert seconds(text) == 0
