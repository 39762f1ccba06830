"""The corrected file: each patch does what it says, a schema and an API server take it, and nothing is left to mend."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from program import RULES
from update_gold import corrected, manifests, patched_of

from qvl_doctor.launch.command import Edit, splice_text
from qvl_doctor.launch.editing import edit
from qvl_doctor.launch.patching import patched
from qvl_doctor.launch.pods.patches import PATCHES
from qvl_doctor.launch.reading import read
from qvl_doctor.memory import gpus
from qvl_doctor.sizing.case import Known
from qvl_doctor.workflows.manifest import Found, diagnose

ARTICLES = [pytest.param(path, id=path.stem) for path in manifests()]
#: The newest schemas that the validator has, and old ones.
SCHEMAS = ("1.37", "1.30")

BARE = """# mine
apiVersion: v1
kind: Pod
metadata:
  name: a   # the name
spec:
  restartPolicy: Never
  containers:
  - name: vllm
    image: vllm/vllm-openai:v0.11.0
    args: ["--model", "m", "-tp", "2", "--port", "7869"]
    livenessProbe:
      httpGet:
        path: /v1/models
        port: 8000
"""


def with_patches(text: str, *names: str, start_s: float = 0.0) -> dict[str, Any]:
    from dataclasses import replace

    (command,) = read(text)
    command = replace(command, start_s=start_s)
    for name in names:
        command = edit(command, {"pod": name})
    changed = patched(command, reveal=True)
    assert [line for line in text.splitlines() if "#" in line and line not in changed] == []
    found: dict[str, Any] = yaml.safe_load(changed)
    return found


def container(found: dict[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = found["spec"]["containers"][0]
    return inner


def test_every_patch_of_the_list_is_made() -> None:
    for name in PATCHES:
        text = BARE.replace("containers:", "volumes: [{name: s, emptyDir: {medium: Ram}}]\n  containers:", 1)
        assert with_patches(text, name) != yaml.safe_load(text), name


def test_gpus() -> None:
    assert container(with_patches(BARE, "gpu-resource"))["resources"] == {"limits": {"nvidia.com/gpu": 2}}
    one = BARE + "    resources: {requests: {nvidia.com/gpu: 1, cpu: 4}, limits: {nvidia.com/gpu: '1'}}\n"
    assert container(with_patches(one, "gpu-resource"))["resources"] == {
        "requests": {"nvidia.com/gpu": 2, "cpu": 4},
        "limits": {"nvidia.com/gpu": "2"},
    }


def test_shared_memory_and_cache_share_their_lists() -> None:
    found = with_patches(BARE, "shm-volume", "cache-volume", "gpu-resource")
    assert [mount["mountPath"] for mount in container(found)["volumeMounts"]] == [
        "/dev/shm",
        "/root/.cache/huggingface",
    ]
    assert found["spec"]["volumes"] == [
        {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
        {"name": "model-cache", "emptyDir": {}},
    ]


def test_shared_memory_that_is_mounted_already() -> None:
    mounted = BARE + "    volumeMounts:\n    - {name: s, mountPath: /dev/shm}\n"
    assert with_patches(mounted, "shm-volume")["spec"]["volumes"] == [
        {"name": "s", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}
    ]
    small = mounted + "  volumes:\n  - name: s\n    emptyDir: {medium: Memory, sizeLimit: 64Mi}\n"
    assert with_patches(small, "shm-volume")["spec"]["volumes"] == [
        {"name": "s", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}
    ]
    disk = mounted + "  volumes:\n  - name: s\n    emptyDir: {}\n  - name: dshm\n    emptyDir: {}\n"
    assert with_patches(disk, "shm-volume")["spec"]["volumes"][0] == {
        "name": "s",
        "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"},
    }


def test_probes() -> None:
    found = container(with_patches(BARE, "startup-probe"))
    assert found["startupProbe"] == {
        "httpGet": {"path": "/v1/models", "port": 8000},
        "periodSeconds": 10,
        "failureThreshold": 180,
    }
    found = container(
        with_patches(BARE, "probe-ports", "probe-paths", "startup-probe", "readiness-probe", start_s=1500)
    )
    assert found["livenessProbe"] == {"httpGet": {"path": "/health", "port": 7869}}
    assert found["startupProbe"] == {
        "httpGet": {"path": "/health", "port": 7869},
        "periodSeconds": 10,
        "failureThreshold": 300,
    }
    assert found["readinessProbe"]["httpGet"] == {"path": "/health", "port": 7869}


def test_the_pod_itself() -> None:
    found = with_patches(BARE, "enable-service-links-false", "restart-always")["spec"]
    assert found["enableServiceLinks"] is False
    assert found["restartPolicy"] == "Always"
    linked = BARE.replace("restartPolicy: Never", "enableServiceLinks: true")
    assert with_patches(linked, "enable-service-links-false")["spec"]["enableServiceLinks"] is False


def test_compose() -> None:
    text = "services:\n  vllm:   # ours\n    image: vllm/vllm-openai:v0.11.0\n    command: --model m -tp 2\n    volumes:\n      - a:/b\n"
    found = with_patches(text, "gpu-resource", "shm-volume", "cache-volume", "restart-always")["services"]["vllm"]
    device = {"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}
    assert found["deploy"] == {"resources": {"reservations": {"devices": [device]}}}
    assert found["shm_size"] == "2gb"
    assert found["volumes"] == ["a:/b", "~/.cache/huggingface:/root/.cache/huggingface"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ('{"image": 4}', "image=4"),
        ('{"video": 1, "image": 12}', "video=1,image=12"),
        ("image:3", "image=3"),
        ("4", ""),
    ],
)
def test_limits_in_the_form_of_the_release_keep_their_numbers(given: str, wanted: str) -> None:
    text = f"docker run --gpus all vllm/vllm-openai:v0.8.4 --model m \\\n  --limit-mm-per-prompt '{given}'\n"
    found = diagnose(text, source="x.sh", rules=RULES)
    assert found.diagnosis.findings[0].rule == "limit-mm-key-value"
    assert found.file == (text.replace(given, wanted) if wanted else "")


def test_docker_run() -> None:
    (command,) = read("docker run --rm \\\n  vllm/vllm-openai:v0.11.0 --model m -tp 2\n")
    for name in ("gpu-resource", "shm-volume", "cache-volume"):
        command = edit(command, {"pod": name})
    changed = patched(command)
    words = changed.replace("\\\n", "").split()
    assert words[3:9] == ["--gpus", "all", "--shm-size", "2g", "-v", "huggingface-cache:/root/.cache/huggingface"]
    (again,) = read(changed)
    assert again.container["gpus"] == "all"
    assert again.container["shm-size"] == "2g"


def test_both_templates_of_a_leader_worker_set() -> None:
    text = """
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: a}
spec:
  leaderWorkerTemplate:
    size: 2
    leaderTemplate:
      spec:
        containers:
        - {name: l, image: "vllm/vllm-openai:v0.11.0", args: [--model, m, -tp, "8", --pipeline-parallel-size, "2"]}
    workerTemplate:
      spec:
        containers:
        - name: w
          image: vllm/vllm-openai:v0.11.0
          command: [bash, -c, ray start]
"""
    found = with_patches(text, "shm-volume", "gpu-resource")["spec"]["leaderWorkerTemplate"]
    for name in ("leaderTemplate", "workerTemplate"):
        pod = found[name]["spec"]
        assert pod["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": 8}}
        assert pod["volumes"][0]["emptyDir"]["medium"] == "Memory"


# ---- The whole way


def kept(path: Path) -> str:
    return patched_of(path).read_text(encoding="utf-8")


def found_in(text: str, **known: Any) -> Found:
    return diagnose(text, source="x.yaml", known=Known(gpu=gpus.of_size(23.65), release="0.7.2", **known), rules=RULES)


@pytest.mark.parametrize("path", ARTICLES)
def test_the_articles_manifests_become_what_is_kept_beside_them(path: Path) -> None:
    assert corrected(path) == kept(path)


@pytest.mark.parametrize("path", ARTICLES)
def test_a_corrected_file_needs_no_correction(path: Path) -> None:
    again = found_in(kept(path))
    assert again.file == ""
    left = {finding.rule for finding in again.diagnosis.findings if finding.role == "cause"}
    assert left <= {"vllm-in-background"}  # which only its owner can take apart
    assert "plan-fits" not in left


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("path", ARTICLES)
def test_the_schemas_of_kubernetes_take_the_corrected_file(path: Path, schema: str) -> None:
    documents = list(yaml.safe_load_all(kept(path)))
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, schema, strict=True)


BROKEN = """apiVersion: apps/v1
kind: Deployment
metadata: {name: broken}
spec:
  selector: {matchLabels: {app: broken}}
  template:
    metadata: {labels: {app: broken}}
    spec:
      restartPolicy: Never
      containers:
      - name: vllm
        image: vllm/vllm-openai:v0.7.3
        args: [--model, Qwen/Qwen2.5-VL-7B-Instruct, --port, 7869, --tensor-parallel-size, "2", --api-key, sk-0123456789abcdef]
        env: [{name: VLLM_LOGGING_LEVEL, value: true}]
        resources: {requests: {nvidia.com/gpu: 2}}
        volumeMounts: [{name: dshm, mountPath: /dev/shm}]
        livenessProbe: {httpGet: {path: /health, port: 8000}}
"""


@pytest.mark.kube
def test_what_an_api_server_refuses_is_taken_after_the_correction(
    kube_apply: Callable[[str], tuple[bool, str]],
) -> None:
    """Each rule that says "the API server refuses": it does, in these words, and takes the corrected file."""
    refused = {
        "args: [--model, Qwen/Qwen2.5-VL-7B-Instruct, --port, 7869": "string",
        "value: true": "v1.EnvVar.Value",
        "restartPolicy: Never": 'supported values: "Always"',
        "requests: {nvidia.com/gpu: 2}": "Limit must be set for non overcommitable resources",
        "volumeMounts: [{name: dshm": "Not found",
    }
    whole = found_in(BROKEN).file
    assert kube_apply(whole)[0], kube_apply(whole)[1]
    for wrong, said in refused.items():
        alone = _with_only(whole, wrong)
        taken, answer = kube_apply(alone)
        assert not taken, wrong
        assert said in answer, answer


def _with_only(mended: str, wrong: str) -> str:
    """The corrected file with one mistake put back."""
    back = {
        "args: [": ('"7869"', "7869"),
        "value: ": ('value: "true"', "value: true"),
        "restart": ("restartPolicy: Always", "restartPolicy: Never"),
        "requests": (', "limits": {"nvidia.com/gpu": 2}', ""),
        "volumeM": (mended[mended.index("      volumes:\n") :], ""),
    }
    old, new = next(pair for begin, pair in back.items() if wrong.startswith(begin))
    assert old in mended, mended
    return mended.replace(old, new, 1)


@pytest.mark.kube
@pytest.mark.parametrize("path", ARTICLES)
def test_an_api_server_takes_the_articles_corrected_manifests(
    path: Path, kube_apply: Callable[[str], tuple[bool, str]]
) -> None:
    for document in kept(path).split("\n---\n"):
        taken, said = kube_apply(document.replace("namespace: aitryouts", "namespace: default"))
        assert taken, said


def test_the_file_keeps_its_secrets_and_the_report_does_not_show_them() -> None:
    found = found_in(BROKEN)
    assert "sk-0123456789abcdef" in found.file
    from qvl_doctor.report.as_json import dumps

    assert "0123456789abcdef" not in dumps(found.diagnosis)
    assert "0123456789abcdef" not in str(found.diagnosis.changes)


def test_a_change_that_asks_for_another() -> None:
    """The model fits on four GPUs only, so the pod is to hold four, and shared memory with them."""
    text = """kind: Pod
metadata: {name: a}
spec:
  containers:
  - name: vllm
    image: vllm/vllm-openai:v0.11.0
    args: [--model, Qwen/Qwen2.5-VL-32B-Instruct]
    resources: {limits: {nvidia.com/gpu: 1}}
"""
    found = diagnose(text, source="x.yaml", known=Known(gpu=gpus.find("L4")), rules=RULES)
    pod = yaml.safe_load(found.file)["spec"]
    (vllm,) = pod["containers"]
    ranks = int(vllm["args"][vllm["args"].index("--tensor-parallel-size") + 1])
    assert ranks > 1
    assert vllm["resources"]["limits"]["nvidia.com/gpu"] == ranks
    assert pod["volumes"][0]["emptyDir"]["medium"] == "Memory"
    again = diagnose(found.file, source="x.yaml", known=Known(gpu=gpus.find("L4")), rules=RULES)
    assert again.file == ""
    assert again.diagnosis.verdict == "healthy"


def test_json_stays_json() -> None:
    text = json.dumps(yaml.safe_load(BROKEN), indent=2)
    changed = json.loads(found_in(text).file)
    spec = changed["spec"]["template"]["spec"]
    assert spec["volumes"][0]["name"] == "dshm"
    assert spec["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 2}


PIECES = st.lists(st.sampled_from(BROKEN.splitlines(keepends=True)), max_size=30).map("".join)


@given(PIECES, st.lists(st.sampled_from(PATCHES), max_size=4))
def test_patches_never_make_yaml_of_something_else(text: str, names: list[str]) -> None:
    """Whatever can be read can be read after the change, with the same commands in it."""
    from qvl_doctor.launch.command import LaunchError

    try:
        commands = read(text)
    except LaunchError:
        return
    changed = list(commands)
    for name in names:
        changed = [edit(command, {"pod": name}) for command in changed]
    again = read(patched(*changed, reveal=True))
    assert [command.model for command in again] == [command.model for command in commands]


def test_the_whole_text_is_written_once_however_many_commands_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    from qvl_doctor.launch import patching

    times: list[int] = []

    def counted(text: str, edits: list[Edit]) -> str:
        times.append(len(text))
        return splice_text(text, edits)

    monkeypatch.setattr(patching, "splice_text", counted)
    text = BARE + "".join(
        f"  - {{name: v{number}, image: 'vllm/vllm-openai:v0.11.0', args: [--wat, '1']}}\n" for number in range(30)
    )
    assert diagnose(text, source="x.yaml", rules=RULES).file
    assert len(times) < 8
