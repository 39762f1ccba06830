"""Who can reach the server: each address, each way to ask from outside, and the Services of the text."""

from __future__ import annotations

from typing import Any

import pytest
from manifest.written import MODEL, deployment, pod_of, said

from qvl_doctor.manifest.services import inspect_services

READY = {"httpGet": {"path": "/health", "port": 8000}}


def service(port: Any = 80, target: Any = 8000, **more: Any) -> dict[str, Any]:
    ports = [{"port": port, **({} if target is None else {"targetPort": target})}]
    return {
        "kind": "Service",
        "metadata": {"name": "api"},
        "spec": {"selector": {"app": "qwen"}, "ports": ports, **more},
    }


def on(host: str, **container: Any) -> dict[str, Any]:
    return deployment(args=["--model", MODEL, "--host", host], **container)


def keys(*written: Any) -> set[str]:
    return set(said(inspect_services, *written)) - {"readiness_probe_missing"}


LOCAL = {"server_on_localhost"}


@pytest.mark.parametrize(
    ("host", "wanted"),
    [("127.0.0.1", LOCAL), ("localhost", LOCAL), ("::1", LOCAL), ("::", set()), ("10.0.0.1", set())],
)  # fmt: skip
def test_each_address_that_is_only_local(host: str, wanted: set[str]) -> None:
    assert keys(on(host, readinessProbe=READY)) == wanted


@pytest.mark.parametrize("kind", ["startup", "liveness", "readiness"])
@pytest.mark.parametrize("way", ["httpGet", "tcpSocket"])
def test_each_probe_asks_from_outside(kind: str, way: str) -> None:
    def asked(**probe: Any) -> set[str]:
        return keys(on("127.0.0.1", **{f"{kind}Probe": {way: probe}}))

    assert asked(port=8000) == LOCAL
    assert asked(port=8001) == set()
    assert asked(port=8000, host="127.0.0.1") == set()
    assert asked(path="/health") == set()


@pytest.mark.parametrize(
    ("port", "target", "wanted"),
    [(80, 8000, LOCAL), (8000, None, LOCAL), (8000, 9000, set()), (80, "http", LOCAL), (80, "web", set())],
)
def test_a_service_asks_from_outside(port: int, target: Any, wanted: set[str]) -> None:
    ports = [{"name": "http", "containerPort": 8000}]
    assert keys(on("127.0.0.1", ports=ports), service(port, target)) - {"service_on_other_port"} == wanted


def test_nobody_knows_who_asks_a_port_that_a_variable_holds() -> None:
    args = ["--model", MODEL, "--host", "127.0.0.1", "--port", "$(PORT)"]
    assert keys(deployment(args=args, readinessProbe={"httpGet": {"port": 0}})) == set()


def test_compose_publishes_ports() -> None:
    def found(**more: Any) -> set[str]:
        given = {"image": "vllm/vllm-openai", "command": f"--model {MODEL} --host localhost", **more}
        return keys({"services": {"a": given}})

    assert found(ports=["8000:8000"]) == LOCAL
    assert found(ports=["8000:8000"], network_mode="host") == set()
    assert found() == set()


def test_labels_choose_the_pods_of_a_service() -> None:
    other = service(target=9000)
    wrong = {"service_on_other_port"}
    assert keys(deployment(), other) == wrong
    for selector in ({"app": "else"}, {"app": "qwen", "tier": "x"}, {}, None):
        assert keys(deployment(), {**other, "spec": {**other["spec"], "selector": selector}}) == set()
    more = deployment()
    more["spec"]["template"]["metadata"]["labels"]["tier"] = "x"
    assert keys(more, other) == wrong
    assert keys(deployment(), {**other, "kind": "Route"}) == set()


def test_labels_of_a_pod_are_its_own() -> None:
    pod = {"kind": "Pod", "metadata": {"name": "a", "labels": {"app": "qwen"}}, "spec": pod_of(deployment())}
    assert keys(pod, service(target=9000)) == {"service_on_other_port"}
    made = deployment()
    made["metadata"]["labels"] = {"app": "qwen"}
    del made["spec"]["template"]["metadata"]
    assert keys(made, service(target=9000)) == set()


@pytest.mark.parametrize(
    ("ports", "wanted"),
    [
        ([{"port": 80, "targetPort": 8000}], ""),
        ([{"port": 8000}], ""),
        ([{"port": 80}], "80"),
        ([{"port": 8000, "targetPort": 9000}], "9000"),
        ([{"port": 80, "targetPort": 9000}, {"port": 81, "targetPort": 8000}], ""),
        ([{"port": 80, "targetPort": "http"}], ""),
        ([{"port": 80, "targetPort": "named"}], "9000"),
        ([{"port": 80, "targetPort": "99999"}], "99999"),
        ([{"port": 80, "targetPort": "100000"}], ""),
        ([], ""),
    ],
)
def test_the_port_that_a_service_asks(ports: list[dict[str, Any]], wanted: str) -> None:
    given = deployment(ports=[{"name": "named", "containerPort": 9000}])
    found = said(inspect_services, given, service(ports=ports))
    assert found.get("service_on_other_port", {}).get("asked", "") == wanted


@pytest.mark.parametrize("where", ["containers", "initContainers"])
def test_a_service_of_another_container(where: str) -> None:
    given = deployment()
    beside = {"name": "proxy", "image": "p", "ports": [{"containerPort": 9000}]}
    pod_of(given)[where] = [*pod_of(given).get(where, []), beside]
    assert keys(given, service(target=9000)) == set()
    assert keys(given, service(target=9001)) == {"service_on_other_port"}


def test_a_port_that_is_not_vllms_alone_is_not_judged() -> None:
    script = deployment(command=["sh", "-c", f"vllm serve {MODEL} & nginx"], args=[])
    variable = deployment(args=["--model", MODEL, "--port", "$(PORT)"])
    for given in (script, variable):
        assert keys(given, service(target=9000)) == set()


@pytest.mark.parametrize(("links", "wanted"), [(None, True), (True, True), (False, False)])
def test_a_service_named_vllm(links: bool | None, *, wanted: bool) -> None:
    given = deployment()
    if links is not None:
        pod_of(given)["enableServiceLinks"] = links
    named = {**service(), "metadata": {"name": "vllm"}}
    assert keys(given, named) == ({"service_named_vllm"} if wanted else set())
    assert keys(given, {**named, "kind": "Route"}) == set()
    assert keys(given, {**named, "metadata": {"name": "vllm-api"}}) == set()


def test_a_service_wants_a_readiness_probe() -> None:
    missing = {"readiness_probe_missing"}
    assert set(said(inspect_services, deployment(), service())) == missing
    assert said(inspect_services, deployment(readinessProbe=READY), service()) == {}
    assert said(inspect_services, deployment()) == {}
    assert said(inspect_services, {**deployment(), "kind": "ServingRuntime"}, service()) == {}
