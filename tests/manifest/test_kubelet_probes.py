"""Probes: how long each waits by its own numbers and Kubernetes' defaults, and which port and path it asks."""

from __future__ import annotations

from typing import Any

import pytest
from manifest.written import MODEL, deployment, pod_of, said

from qvl_doctor.manifest.kubelet_probes import inspect_probes

HEALTH = {"httpGet": {"path": "/health", "port": 8000}}
KEYED = ["--model", MODEL, "--api-key", "sk-abcdefgh"]


def asking(port: Any, path: str = "/health", **more: Any) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port, **more}}


@pytest.mark.parametrize(
    ("numbers", "allowed", "arithmetic"),
    [
        ({}, 30, "0 s + 3 x 10 s"),
        ({"initialDelaySeconds": 5}, 35, "5 s + 3 x 10 s"),
        ({"periodSeconds": 4}, 12, "0 s + 3 x 4 s"),
        ({"failureThreshold": 7}, 70, "0 s + 7 x 10 s"),
        ({"initialDelaySeconds": 1, "periodSeconds": 2, "failureThreshold": 4}, 9, "1 s + 4 x 2 s"),
    ],
)
@pytest.mark.parametrize("kind", ["startup", "liveness"])
def test_how_long_a_probe_waits(numbers: dict[str, int], allowed: int, arithmetic: str, kind: str) -> None:
    """A start that takes just as long is over in time; one second more is not."""

    def found(start_s: float) -> dict[str, Any]:
        return said(inspect_probes, deployment(**{f"{kind}Probe": {**HEALTH, **numbers}}), start_s=start_s)

    assert found(allowed) == {}
    values = found(allowed + 1)["probe_gives_up_early"]
    assert (values["probe"], values["allowed"], values["arithmetic"]) == (kind, str(allowed), arithmetic)
    assert (values["needed"], values["logged"]) == (str(allowed + 1), str(allowed + 1))


def test_a_startup_probe_holds_the_liveness_probe_back_and_readiness_ends_nothing() -> None:
    patient = {**HEALTH, "failureThreshold": 100}
    assert said(inspect_probes, deployment(startupProbe=patient, livenessProbe=HEALTH), start_s=500) == {}
    assert said(inspect_probes, deployment(livenessProbe=patient, startupProbe=HEALTH), start_s=500) != {}
    assert said(inspect_probes, deployment(readinessProbe=HEALTH), start_s=500) == {}


@pytest.mark.parametrize(
    ("weights", "needed", "because"),
    [
        (0.0, "120", {"assumed": "120"}),
        (60.0, "120", {"assumed": "120"}),
        (61.0, "121", {"weights": "61", "speed": "1"}),
        (240.0, "300", {"weights": "240", "speed": "1"}),
    ],
)
def test_how_long_a_start_takes_at_least(weights: float, needed: str, because: dict[str, str]) -> None:
    values = said(inspect_probes, deployment(livenessProbe=HEALTH), weights=weights)["probe_gives_up_early"]
    known = {name: values[name] for name in ("logged", "weights", "speed", "assumed") if name in values}
    assert (values["needed"], known) == (needed, because)


@pytest.mark.parametrize("kind", ["startup", "liveness", "readiness"])
@pytest.mark.parametrize("way", ["httpGet", "tcpSocket"])
def test_the_port_that_a_probe_asks(kind: str, way: str) -> None:
    def found(port: Any, **container: Any) -> set[str]:
        probe = {way: {"port": port}, "failureThreshold": 100}
        return set(said(inspect_probes, deployment(**{f"{kind}Probe": probe}, **container)))

    wrong = {"probe_on_other_port"}
    assert found(8000) == set()
    assert found(8001) == wrong
    assert found("8001") == wrong
    assert found("http") == set()
    assert found("http", ports=[{"name": "http", "containerPort": 8000}]) == set()
    assert found("http", ports=[{"name": "http", "containerPort": 8001}]) == wrong
    assert found(99999) == wrong
    assert found(100000) == set()
    assert found(8001, args=["--model", MODEL, "--port", "8001"]) == set()
    assert found(8001, args=["--model", MODEL, "--port", "$(PORT)"]) == set()
    assert found(8001, command=["sh", "-c", f"vllm serve {MODEL} & nginx"], args=[]) == set()


@pytest.mark.parametrize("where", ["containers", "initContainers"])
def test_the_port_of_another_container(where: str) -> None:
    given = deployment(readinessProbe=asking(9000))
    beside = {"name": "proxy", "image": "p", "ports": [{"containerPort": 9000}]}
    pod_of(given)[where] = [*pod_of(given).get(where, []), beside]
    assert said(inspect_probes, given) == {}
    beside["ports"] = [{"containerPort": 9001}]
    assert set(said(inspect_probes, given)) == {"probe_on_other_port"}


@pytest.mark.parametrize(
    ("container", "asks"),
    [
        ({}, False),
        ({"args": KEYED}, True),
        ({"args": [*KEYED, "--root-path", "/x"]}, False),
        ({"env": [{"name": "VLLM_API_KEY", "value": "sk-abcdefgh"}]}, True),
        ({"env": [{"name": "VLLM_API_KEY", "value": ""}]}, False),
        ({"env": [{"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]}, True),
        ({"env": [{"name": "VLLM_API_KEY", "value": ""}], "args": KEYED}, True),
        ({"env": [{"name": "API_KEY", "value": "sk-abcdefgh"}]}, False),
    ],
)
def test_a_path_that_wants_the_key(container: dict[str, Any], *, asks: bool) -> None:
    def found(path: str, **more: Any) -> set[str]:
        return set(said(inspect_probes, deployment(readinessProbe=asking(8000, path, **more), **container)))

    assert found("/v1/models") == ({"probe_without_api_key"} if asks else set())
    assert found("/health") == set()
    assert found("/v1/models", httpHeaders=[{"name": "Authorization", "value": "Bearer x"}]) == set()


def test_the_server_of_kserve_has_no_key() -> None:
    model = {
        "modelFormat": {"name": "huggingface"},
        "args": ["--backend=vllm", "--api-key=sk-abcdefgh"],
        "readinessProbe": asking(8080, "/v1/models"),
    }
    service = {"kind": "InferenceService", "metadata": {"name": "a"}, "spec": {"predictor": {"model": model}}}
    assert said(inspect_probes, service) == {}


def test_compose_has_no_probes() -> None:
    service = {"image": "vllm/vllm-openai", "command": f"--model {MODEL}", "livenessProbe": HEALTH}
    assert said(inspect_probes, {"services": {"a": service}}) == {}
