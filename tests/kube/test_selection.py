"""Which pod, container and events are meant: pairs that differ in one thing only."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kube.answers import Cluster

from qvl_doctor.errors import InputError
from qvl_doctor.kube.kubectl import trouble
from qvl_doctor.kube.pod import Container, Pod, Start
from qvl_doctor.kube.selection import choose, container_of, events_of, selector_of
from qvl_doctor.kube.tree import of_json


def pod(name: str = "a", **more: Any) -> dict[str, Any]:
    """A pod that runs vLLM and is not ready, with a restart."""
    given = {"serves": True, "phase": "Running", "ready": False, "died": False, "restarts": 1, **more}
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}} if given["died"] else {}
    state = {"name": "c", "ready": given["ready"], "restartCount": given["restarts"], "state": ended}
    image = "vllm/vllm-openai" if given["serves"] else "redis"
    return {
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": image}]},
        "status": {"phase": given["phase"], "containerStatuses": [state]},
    }


def chosen(*pods: dict[str, Any]) -> str:
    found = choose(Cluster({"get pods": {"kind": "List", "items": list(pods)}}), (), "")
    assert found.pod is not None
    assert found.item.text("metadata", "name") == found.pod.name
    return found.pod.name


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({}, {"serves": False}),
        ({}, {"phase": "Succeeded"}),
        ({}, {"phase": "Failed"}),
        ({}, {"ready": True}),
        ({"died": True, "restarts": 0}, {"restarts": 0}),
        ({}, {"restarts": 0}),
        ({"restarts": 3}, {"restarts": 2}),
        # What comes first counts more, whatever comes after it.
        ({"phase": "Failed", "ready": True, "restarts": 0}, {"serves": False, "died": True, "restarts": 9}),
        ({"ready": True, "restarts": 0}, {"phase": "Failed", "died": True, "restarts": 9}),
        ({"restarts": 0}, {"ready": True, "died": True, "restarts": 9}),
    ],
)
def test_the_pod_that_is_worst_off(worse: dict[str, Any], better: dict[str, Any]) -> None:
    assert chosen(pod("worse", **worse), pod("better", **better)) == "worse"
    assert chosen(pod("better", **better), pod("worse", **worse)) == "worse"


def test_the_others_are_those_that_serve_if_any_does() -> None:
    def others(*pods: dict[str, Any]) -> list[str]:
        found = choose(Cluster({"get pods": {"kind": "List", "items": list(pods)}}), (), "")
        return [each.name for each in found.others]

    assert others(pod("a", restarts=2), pod("b"), pod("c", serves=False)) == ["b"]
    assert others(pod("a", serves=False, restarts=2), pod("c", serves=False)) == ["c"]
    assert others(pod("a")) == []


@pytest.mark.parametrize("kind", ["pod", "pods", "po", "POD"])
@pytest.mark.parametrize("slash", [True, False])
def test_each_way_to_name_a_pod(kind: str, *, slash: bool) -> None:
    cluster = Cluster({"get pod a ": pod("a")})
    found = choose(cluster, [f"{kind}/a"] if slash else [kind, "a"], "")
    assert found.pod is not None
    assert (found.asked, found.pod.name, found.others, cluster.asked) == ("a", "a", (), ["get pod a -o json"])


def test_a_name_alone_is_a_pods_and_nothing_is_all_pods() -> None:
    cluster = Cluster({"get pod a ": pod("a"), "get pods ": pod("b")})
    assert choose(cluster, ["a"], "").item.text("metadata", "name") == "a"
    found = choose(cluster, [], "app=x")
    assert (found.asked, cluster.asked[-1]) == ("app=x", "get pods -l app=x -o json")
    assert choose(cluster, [], "").asked == "pods"


def test_the_pods_of_an_owner() -> None:
    owner = {"kind": "Deployment", "spec": {"selector": {"matchLabels": {"app": "x"}}}}
    cluster = Cluster({"get deploy qwen": owner, "get pods -l app=x": pod("qwen-1")})
    for words in (["deploy/qwen"], ["Deploy", "qwen"]):
        found = choose(cluster, words, "")
        assert (found.asked, found.pod and found.pod.name, found.owner) == ("deploy/qwen", "qwen-1", "")
    none = choose(Cluster({"get deploy qwen": owner, "get pods": {"kind": "List", "items": []}}), ["deploy/qwen"], "")
    assert (none.asked, none.pod, none.owner) == ("deploy/qwen", None, "qwen")


@pytest.mark.parametrize(
    ("words", "answers", "key"),
    [
        (["deploy/qwen"], {"get deploy": {"kind": "Deployment", "spec": {}}}, "error_kube.no_selector"),
        (["deploy/qwen"], {"get deploy": "{}"}, "error_kube.no_selector"),
        ([], {"get pods": {"kind": "List", "items": []}}, "error_kube.no_pods"),
        (["a"], {"get pod a": "{}"}, "error_kube.failed"),
        (["a"], {}, "error_kube.no_pod"),
        (["a", "b", "c"], {}, "error_kube.target"),
        (["pod/a", "b"], {}, "error_kube.target"),
        (["-a"], {}, "error_kube.target"),
        (["pod/"], {}, "error_kube.target"),
        (["a" * 254], {}, "error_kube.target"),
        (["a" * 253], {}, "error_kube.no_pod"),
    ],
)
def test_what_cannot_be_meant(words: list[str], answers: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError) as refused:
        choose(Cluster(answers), words, "")
    assert refused.value.key == key


@pytest.mark.parametrize(
    ("names", "near"),
    [
        (["vllm-1-x", "redis", "vllm-1-y"], "vllm-1-x, vllm-1-y"),
        (["vlm-1", "redis"], "vlm-1"),
        (["redis", "web"], "redis, web"),
        ([f"vllm-1-{number}" for number in range(7)], "vllm-1-0, vllm-1-1, vllm-1-2, vllm-1-3, vllm-1-4"),
        ([], "-"),
    ],
)
def test_names_that_are_near(names: list[str], near: str) -> None:
    with pytest.raises(InputError) as refused:
        choose(Cluster({"get pods": "".join(f"pod/{name}\n" for name in names)}), ["vllm-1"], "")
    assert refused.value.values["near"] == near


def test_the_container_of_a_pod() -> None:
    init = Container("init", init=True, restarts=9, image="vllm")
    quiet, restarted, serving = (
        Container("quiet"),
        Container("restarted", restarts=5),
        Container("serving", image="vllm"),
    )
    assert container_of(Pod("a", containers=(init, quiet, restarted, serving)), "").name == "serving"
    assert container_of(Pod("a", containers=(init, quiet, restarted)), "").name == "restarted"
    assert container_of(Pod("a", containers=(init,)), "") == Container("")
    assert container_of(Pod("a", containers=(init, quiet)), "init") is init
    assert container_of(Pod("a"), "init") == Container("init")
    with pytest.raises(InputError) as refused:
        container_of(Pod("a", containers=(init, quiet)), "other")
    assert refused.value.values["names"] == "init, quiet"


@pytest.mark.parametrize(
    ("container", "serves"),
    [
        (Container("vllm"), True),
        (Container("a", image="x/VLLM:1"), True),
        (Container("a", command="vllm serve m"), True),
        (Container("a", gpus="1"), True),
        (Container("a"), False),
        (Container("vllm", init=True), False),
        (Container("a", init=True, gpus="1"), False),
    ],
)
def test_where_vllm_runs(container: Container, *, serves: bool) -> None:
    assert container.serves is serves
    assert Pod("a", containers=(Container("other"), container)).serves is serves


def test_a_pod_is_ready_when_all_its_containers_are() -> None:
    ready, waiting, init = Container("a", ready=True), Container("b"), Container("i", init=True)
    assert Pod("a", containers=(ready,)).ready
    assert Pod("a", containers=(ready, init)).ready
    assert not Pod("a", containers=(ready, waiting)).ready
    assert not Pod("a", containers=(init,)).ready
    assert not Pod("a").ready


def test_a_death_is_the_present_one_before_the_last() -> None:
    first, second = Start("terminated", exit_code=1), Start("terminated", exit_code=2)
    assert Container("a", now=second, before=first).death is second
    assert Container("a", now=Start("running"), before=first).death is first
    assert Container("a", now=Start("running")).death == Start()


@pytest.mark.parametrize(
    ("started", "ended", "lasted"),
    [(1.0, 3.0, 2.0), (3.0, 3.0, 0.0), (3.0, 1.0, None), (None, 1.0, None), (1.0, None, None)],
)
def test_how_long_a_start_lasted(started: float | None, ended: float | None, lasted: float | None) -> None:
    assert Start(started=started, ended=ended).lasted == lasted


def test_the_events_that_are_asked_for() -> None:
    items = [
        {"kind": "Event", "message": "m", "involvedObject": {"kind": "Pod", "name": name}}
        for name in ("qwen", "qwen-1", "qwen2", "other-qwen")
    ]
    cluster = Cluster({"get events": {"kind": "List", "items": items}, "get pod a ": pod("a")})
    owner = choose(
        Cluster({"get deploy": {"kind": "D", "spec": {"selector": {"app": "x"}}}, "get pods": "{}"}),
        ["deploy/qwen"],
        "",
    )
    assert [event.name for event in events_of(cluster, owner)] == ["qwen", "qwen-1"]
    assert len(events_of(cluster, choose(cluster, ["a"], ""))) == 4
    assert cluster.asked[-1] == "get events --field-selector involvedObject.name=a -o json"


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [("In", "k in (b,c)"), ("NotIn", "k notin (b,c)"), ("Exists", "k"), ("DoesNotExist", "!k"), ("Gt", "")],
)
def test_each_operator_of_a_selector(operator: str, wanted: str) -> None:
    expressions = [{"key": "k", "operator": operator, "values": ["b", "c"]}]
    (found,) = of_json(json.dumps({"kind": "x", "spec": {"matchExpressions": expressions}}))
    assert selector_of(found.get("spec")) == wanted


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("Error from server (Forbidden): x", "forbidden"),
        ('pods is forbidden: User "a"', "forbidden"),
        ('Error from server (NotFound): pods "a" not found', "not_found"),
        ('error: the server doesn\'t have a resource type "x"', "not_found"),
        ("error: (Unauthorized)", "unauthorized"),
        ("error: You must be logged in to the server", "unauthorized"),
        ("the server has asked for the client to provide credentials", "unauthorized"),
        ('error: context "x" does not exist', "config"),
        ('error: auth info "x" does not exist', "config"),
        ('error: cluster "x" does not exist', "config"),
        ("context was not found for specified context: x", "config"),
        ('error: no context exists with the name: "x"', "config"),
        ("error: stat /x: no such file", "config"),
        ("The connection to the server x was refused", "unreachable"),
        ("dial tcp: connect: connection refused", "unreachable"),
        ("Unable to connect to the server: EOF", "unreachable"),
        ("lookup x: no such host", "unreachable"),
        ("dial tcp 10.0.0.1:443: i/o timeout", "unreachable"),
        ("net/http: TLS handshake Timeout", "unreachable"),
        ("request timeout", "unreachable"),
        ("error: invalid configuration: no configuration has been provided", "unreachable"),
        ("error: something else", "failed"),
        ("", "failed"),
    ],
)
def test_what_kubectl_says(said: str, key: str) -> None:
    assert trouble(said, ["get", "pod", "a"]).key == f"error_kube.{key}"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("first\nerror: last\n", "last"),
        ("last\nE0216 09:03:00 noise\nW0216 09:03:00 noise\nI0216 09:03:00 noise\nDefaulted container x\n \n", "last"),
        ("", "kubectl"),
        ("x" * 500, "x" * 400),
    ],
)
def test_the_line_that_kubectl_ends_with(said: str, reason: str) -> None:
    found = trouble(said, ["logs", "pod", "a", "-c", "b"])
    assert (found.values["reason"], found.values["path"]) == (reason, "pod/a")
