"""Which of a pod's two logs is told, by its state and by what the logs say; and what is said about reading them."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kube.answers import Looking
from program import RULES

from qvl_doctor.errors import InputError
from qvl_doctor.kube.observing import PAST_S
from qvl_doctor.messages import both
from qvl_doctor.model import Diagnosis
from qvl_doctor.workflows.one_pod import Asked, diagnose

NOW = 1_800_000_000.0
FIXTURES = Path(__file__).parents[2] / "fixtures"
#: Two logs of starts that failed, and one of a server that came up.
LORA = (FIXTURES / "failed/0.11.0-lora-rank.log").read_text(encoding="utf-8")
PARSER = (FIXTURES / "failed/0.32.0-auto-tool-no-parser.log").read_text(encoding="utf-8")
UP = (FIXTURES / "healthy/0.32.0-healthy-vl.log").read_text(encoding="utf-8").partition("POST")[0]
#: It loads the weights.
LOADING = "".join(UP.splitlines(keepends=True)[:30])


def at(seconds: float) -> str:
    return datetime.fromtimestamp(NOW - seconds, timezone.utc).isoformat().replace("+00:00", "Z")


def pod(now: dict[str, Any], *, restarts: int = 0, ready: bool = False, **more: Any) -> dict[str, Any]:
    status = {"name": "c", "ready": ready, "restartCount": restarts, "state": now, **more}
    return {
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "c", "image": "vllm/vllm-openai:v0.32.0"}]},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }


def running(ago: float = 60) -> dict[str, Any]:
    return {"running": {"startedAt": at(ago)}}


DEAD = {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": at(100), "finishedAt": at(70)}}
WAITING = {"waiting": {"reason": "CrashLoopBackOff"}}
CREATING = {"waiting": {"reason": "ContainerCreating"}}


def looked(cluster: Looking, **asked: Any) -> Diagnosis:
    return diagnose(cluster, Asked(**{"now": NOW, **asked}), rules=RULES)


def read(cluster: Looking) -> list[str]:
    """Which logs were asked for."""
    return ["before" if "--previous" in line else "now" for line in cluster.asked if line.startswith("logs ")]


class Row(NamedTuple):
    pod: dict[str, Any]
    log: str | None
    before: str | None
    read: list[str]
    #: What shows whose log it was.
    told: str


BOTH = ["now", "before"]
AGAIN: dict[str, Any] = {"restarts": 1, "lastState": DEAD}
ROWS = {
    "the first start runs": Row(pod(running()), PARSER, LORA, ["now"], "tool-parser-missing"),
    "it has ended": Row(pod(DEAD, restarts=1), PARSER, LORA, ["now"], "tool-parser-missing"),
    "it waits to be started again": Row(pod(WAITING, **AGAIN), PARSER, LORA, ["now"], "tool-parser-missing"),
    "it never started": Row(pod(CREATING), PARSER, LORA, [], ""),
    "the next one loads": Row(pod(running(), **AGAIN), LOADING, LORA, BOTH, "lora-rank-too-large"),
    "the next one failed, too": Row(pod(running(), **AGAIN), PARSER, LORA, BOTH, "tool-parser-missing"),
    "the next one says nothing yet": Row(pod(running(), **AGAIN), "", LORA, BOTH, "lora-rank-too-large"),
    "the older log is gone": Row(pod(running(), **AGAIN), PARSER, None, BOTH, "tool-parser-missing"),
    "the newer log cannot be had": Row(pod(running(), **AGAIN), None, LORA, BOTH, "lora-rank-too-large"),
    "no log can be had": Row(pod(running(), **AGAIN), None, None, BOTH, ""),
    "long ago, and ready": Row(pod(running(PAST_S), ready=True, **AGAIN), UP, LORA, ["now"], ""),
    "just now, and ready": Row(pod(running(PAST_S - 1), ready=True, **AGAIN), UP, LORA, BOTH, "lora-rank-too-large"),
    "long ago, and not ready": Row(pod(running(PAST_S), **AGAIN), LOADING, LORA, BOTH, "lora-rank-too-large"),
    "nobody knows when, and ready": Row(
        pod({"running": {}}, ready=True, **AGAIN), UP, LORA, BOTH, "lora-rank-too-large"
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_which_log_is_told(name: str) -> None:
    row = ROWS[name]
    cluster = Looking(row.pod, row.log, row.before)
    rules = {each.rule for each in looked(cluster).findings}
    assert read(cluster) == row.read
    assert rules & {"tool-parser-missing", "lora-rank-too-large"} == ({row.told} if row.told else set())


@pytest.mark.parametrize(
    ("log", "before", "notes"),
    [
        (LOADING, LORA, [both("kube.again", number=3, seconds="60")]),
        (PARSER, LORA, []),
        (PARSER, None, [both("kube.no_previous", reason="no log")]),
        (None, LORA, [both("kube.no_log", reason="no log"), both("kube.again", number=3, seconds="60")]),
        (None, None, [both("kube.no_log", reason="no log"), both("kube.no_previous", reason="no log")]),
    ],
)
def test_what_is_said_of_the_logs(log: str | None, before: str | None, notes: list[dict[str, str]]) -> None:
    cluster = Looking(pod(running(), restarts=2, lastState=DEAD), log, before)
    found = looked(cluster).not_checked
    assert [each for each in found if each in notes] == notes
    about = [both(f"kube.{key}", number=3, seconds="60", reason="no log") for key in ("again", "no_log", "no_previous")]
    assert [each for each in found if each in about] == notes


@pytest.mark.parametrize(("tail", "words"), [(-1, []), (0, ["--tail=0"]), (200, ["--tail=200"])])
def test_how_much_of_a_log_is_asked_for(tail: int, words: list[str]) -> None:
    cluster = Looking(pod(running(), **AGAIN), LOADING, LORA)
    looked(cluster, tail=tail)
    asked = [line.split()[4:] for line in cluster.asked if line.startswith("logs a -c c")]
    assert asked == [words, ["--previous", *words]]


@pytest.mark.parametrize(
    ("state", "now", "starting"),
    [
        (running(90), NOW, True),
        (running(90), 0.0, False),
        ({"running": {}}, NOW, False),
        (DEAD, NOW, False),
    ],
)
def test_a_start_that_is_under_way(state: dict[str, Any], now: float, *, starting: bool) -> None:
    """Its log has no end, and nobody has cut it off."""
    found = looked(Looking(pod(state), LOADING), now=now)
    assert (found.summary == both("kube.starting", seconds="90")) is starting
    assert (both("not_checked.early_end") in found.not_checked) is (not starting and found.verdict == "unknown")


def test_of_several_pods_some_are_named() -> None:
    cluster = Looking(pod(running()), LOADING)
    one = cluster.answers["get pods"]["items"][0]
    states: list[tuple[str, dict[str, Any]]] = [
        ("b", {"phase": "Pending"}),
        ("c", {"phase": "Running", "containerStatuses": [{"name": "c", "ready": True}]}),
        ("d", {"phase": "Failed", "reason": "Evicted"}),
        ("e", {"phase": "Running", "containerStatuses": [{"name": "c", "state": WAITING}]}),
        *((name, {"phase": "Succeeded"}) for name in "fgh"),
    ]
    cluster.answers["get pods"]["items"] += [
        {**one, "metadata": {"name": name}, "status": status} for name, status in states
    ]
    others = "b (Pending), e (CrashLoopBackOff), c (Ready), d (Evicted), f (Succeeded) … +2"
    assert looked(cluster).not_checked[0] == both("kube.several", count=8, pod="a", others=others)


def test_an_owner_without_pods_has_its_events() -> None:
    class Owner(Looking):
        def read(self, *words: str) -> str:
            if words[:2] == ("get", "events"):
                raise InputError("error_kube.forbidden", path="events")
            return super().read(*words)

    cluster = Owner(pod(running()))
    cluster.answers = {
        "get deploy": {"kind": "Deployment", "spec": {"selector": {"matchLabels": {"app": "x"}}}},
        "get pods": {"kind": "List", "items": []},
    }
    found = looked(cluster, words=("deploy/x",))
    assert found.not_checked[:2] == (
        both("kube.no_events", reason="forbidden"),
        both("kube.no_pods_yet", owner="deploy/x"),
    )
