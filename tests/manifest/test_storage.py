"""Volumes: each place of a cache, each medium, each mode, and both sides of the size of the weights."""

from __future__ import annotations

from typing import Any

import pytest
from manifest.written import MODEL, deployment, pod_of, said

from qvl_doctor.manifest.storage import inspect_storage

FOLDER = {"args": ["--model", "/models/qwen"], "volumeMounts": [{"name": "models", "mountPath": "/models"}]}


def claim(size: str = "50Gi", *modes: str, name: str = "models") -> dict[str, Any]:
    spec = {"accessModes": list(modes), "resources": {"requests": {"storage": size}}}
    return {"kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def keys(*written: Any, **known: Any) -> set[str]:
    return set(said(inspect_storage, *written, **known))


def mounted(path: str, *env: tuple[str, str], args: tuple[str, ...] = ()) -> dict[str, Any]:
    return deployment(
        args=["--model", MODEL, *args],
        env=[{"name": name, "value": value} for name, value in env],
        volumeMounts=[{"name": "models", "mountPath": path}],
    )


@pytest.mark.parametrize(
    ("path", "env", "args", "kept"),
    [
        ("/root/.cache/huggingface", (), (), True),
        ("/home/vllm/.cache/huggingface", (), (), True),
        ("/root/.cache/huggingface/hub", (), (), True),
        ("/root/.cache", (), (), True),
        ("/root", (), (), True),
        ("/root/.cache/vllm", (), (), False),
        ("/rooting", (), (), False),
        ("/data", (), (), False),
        *(("/data", ((name, "/data/x"),), (), True) for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_XET_CACHE")),
        ("/root/.cache/huggingface", (("HF_HOME", "/data"),), (), False),
        ("/data", (("HF_HOME", "/x"), ("HF_HUB_CACHE", "/data")), (), True),
        ("/data", (("HF_HOME", "/data"), ("HF_HUB_CACHE", "/x")), (), False),
        ("/data", (("HF_HOME", ""),), (), False),
        ("/data", (), ("--download-dir", "/data"), True),
        ("/data", (("HF_HOME", "/data"),), ("--download-dir", "/x"), False),
        ("/nowhere", (("HF_HUB_OFFLINE", "1"),), (), True),
        ("/nowhere", (("HF_HUB_OFFLINE", "true"),), (), True),
        ("/nowhere", (("HF_HUB_OFFLINE", "True"),), (), True),
        ("/nowhere", (("HF_HUB_OFFLINE", "0"),), (), False),
    ],
)  # fmt: skip
def test_where_a_download_is_kept(path: str, env: Any, args: tuple[str, ...], *, kept: bool) -> None:
    assert keys(mounted(path, *env, args=args)) == (set() if kept else {"model_downloaded_each_start"})


def test_the_folder_that_is_named_is_that_of_root() -> None:
    values = said(inspect_storage, mounted("/x"))["model_downloaded_each_start"]
    assert values["folder"] == "/root/.cache/huggingface"


@pytest.mark.parametrize("model", ["qwen", "a/b/c", "./models/qwen"])
def test_what_is_neither_of_the_hub_nor_a_folder(model: str) -> None:
    assert keys(deployment(args=["--model", model], volumeMounts=[])) == (
        set() if model.count("/") != 1 else {"model_downloaded_each_start"}
    )


@pytest.mark.parametrize(
    ("medium", "known"),
    [("", True), ("Memory", True), ("HugePages", True), ("HugePages-2Mi", True), ("memory", False), ("Ram", False)],
)
def test_each_medium(medium: str, *, known: bool) -> None:
    given = deployment()
    pod_of(given)["volumes"].append({"name": "shm", "emptyDir": {"medium": medium}})
    assert keys(given) == (set() if known else {"volume_medium_unknown"})


def test_volumes_that_the_pod_does_not_have() -> None:
    given = deployment()
    pod_of(given)["containers"][0]["volumeMounts"].append({"name": "other", "mountPath": "/x"})
    assert said(inspect_storage, given)["volume_undefined"]["volume"] == "other"
    given["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "other"}}]
    assert keys(given) == set()


def test_of_templates_nothing_is_missing() -> None:
    given = deployment(volumeMounts=[{"name": "other", "mountPath": "/x"}])
    assert keys({**given, "kind": "ServingRuntime"}) == set()


def test_a_model_on_no_volume_and_what_kserve_fetches() -> None:
    def found(kind: str, model: str) -> set[str]:
        return keys({**deployment(args=["--model", model], volumeMounts=[]), "kind": kind})

    missing = {"model_on_no_volume"}
    assert found("Deployment", "/models/qwen") == missing
    assert found("Deployment", "/mnt/models") == missing
    for kind in ("InferenceService", "LLMInferenceService", "InferenceGraph"):
        assert found(kind, "/mnt/models") == set()
        assert found(kind, "/mnt/models/qwen") == set()
        assert found(kind, "/mnt/modelsx") == missing


@pytest.mark.parametrize(
    ("pod", "wanted"),
    [
        ({}, {"model_on_host_path"}),
        ({"nodeSelector": {"a": "b"}}, set()),
        ({"nodeName": "gpu-1"}, set()),
        ({"affinity": {"nodeAffinity": {}}}, set()),
    ],
)
def test_a_model_on_a_path_of_the_node(pod: dict[str, Any], wanted: set[str]) -> None:
    given = deployment(**FOLDER)
    pod_of(given).update(pod, volumes=[{"name": "models", "hostPath": {"path": "/data"}}])
    assert keys(given) == wanted


@pytest.mark.parametrize("container", [{}, FOLDER], ids=["downloaded", "a folder"])
@pytest.mark.parametrize(
    ("size", "small"), [("15Gi", True), ("16Gi", False), ("17Gi", False), ("16G", True), ("0", False), ("much", False)]
)
def test_a_volume_and_the_weights(size: str, container: dict[str, Any], *, small: bool) -> None:
    """An emptyDir with a limit, a claim of the text, and a claim that a StatefulSet makes."""
    wanted = {"volume_below_weights"} if small else set()
    by_claim = deployment(**container)
    assert keys(by_claim, claim(size), weights=16.0) == wanted
    assert keys(by_claim, claim(size, name="other"), weights=16.0) == set()
    assert keys(by_claim, {**claim(size), "kind": "Claim"}, weights=16.0) == set()
    directory = deployment(**container)
    pod_of(directory)["volumes"] = [{"name": "models", "emptyDir": {"sizeLimit": size}}]
    assert keys(directory, weights=16.0) == wanted
    made = deployment(**container)
    del pod_of(made)["volumes"]
    template = {"metadata": {"name": "models"}, "spec": claim(size)["spec"]}
    other = {"metadata": {"name": "other"}, "spec": claim("1Gi")["spec"]}
    made["spec"]["volumeClaimTemplates"] = [other, template]
    assert keys({**made, "kind": "StatefulSet"}, weights=16.0) == wanted


@pytest.mark.parametrize(
    ("modes", "replicas", "kind", "one"),
    [
        (["ReadWriteOnce"], 2, "Deployment", True),
        (["ReadWriteOncePod"], 2, "Deployment", True),
        (["ReadWriteOnce", "ReadWriteOncePod"], 2, "Deployment", True),
        (["ReadWriteOnce"], 1, "Deployment", False),
        (["ReadWriteOnce"], None, "Deployment", False),
        (["ReadWriteOnce"], 2, "StatefulSet", False),
        (["ReadWriteMany"], 2, "Deployment", False),
        (["ReadWriteOnce", "ReadWriteMany"], 2, "Deployment", False),
        ([], 2, "Deployment", False),
    ],
)
def test_a_claim_that_one_node_uses(modes: list[str], replicas: int | None, kind: str, *, one: bool) -> None:
    given = {**deployment(), "kind": kind}
    given["spec"] = {key: value for key, value in {**given["spec"], "replicas": replicas}.items() if value is not None}
    assert keys(given, claim("50Gi", *modes)) == ({"claim_for_one_node"} if one else set())


def test_kserve_fetches_the_model_itself() -> None:
    model = {
        "modelFormat": {"name": "huggingface"},
        "args": ["--backend=vllm", f"--model_id={MODEL}"],
        "volumeMounts": [{"name": "x", "mountPath": "/x"}],
    }
    given = {"kind": "InferenceService", "metadata": {"name": "a"}, "spec": {"predictor": {"model": model}}}
    assert keys(given) == set()
    given["spec"]["predictor"]["volumes"] = [{"name": "shm", "emptyDir": {"medium": "Ram"}}]  # type: ignore[index]
    assert keys(given) == {"volume_medium_unknown"}


def test_compose_has_no_such_volumes() -> None:
    service = {"image": "vllm/vllm-openai", "command": f"--model {MODEL}"}
    assert keys({"services": {"a": service}}) == set()
