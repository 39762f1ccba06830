"""`qvl-doctor manifest`, end to end.

What a manifest lacks, what is wrong with its command, the corrected file, and hostile input.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import DOCTOR, run_text

from qvl_doctor.launch.command import LaunchError
from qvl_doctor.manifest.inspection import inspect_manifest

#: A pod as in the article: five images and videos, no length, a web UI beside vLLM in one script.
ARTICLE = """# vLLM and a web page in one pod
apiVersion: apps/v1
kind: Deployment
metadata:
  name: qwen-vl
spec:
  replicas: 1
  selector: {matchLabels: {app: qwen-vl}}
  template:
    metadata: {labels: {app: qwen-vl}}
    spec:
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.7.2
          command: ["/bin/sh", "-c"]
          args:
            - |
              # the server
              python3 -m vllm.entrypoints.openai.api_server \\
                --model Qwen/Qwen2.5-VL-7B-Instruct \\
                --limit-mm-per-prompt image=5,video=5 \\
                --port 8000 &
              sleep 30; python3 web.py
          env:
            - name: HF_TOKEN
              value: hf_abcdefghijklmnopqrstuvwxyzABCDEF12
          livenessProbe:
            httpGet: {path: /health, port: 8000}
            initialDelaySeconds: 30
          volumeMounts:
            - {name: dshm, mountPath: /dev/shm}
      volumes:
        - name: dshm
          emptyDir: {medium: Ram}
---
apiVersion: v1
kind: Service
metadata:
  name: vllm
spec:
  selector: {app: qwen-vl}
  ports: [{port: 8000}]
"""


def doctor(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return run_text("manifest", *arguments, stdin=given.encode(), env={"NO_COLOR": "1"})


def report(*arguments: str, given: str) -> dict[str, Any]:
    done = doctor("--format", "json", *arguments, "-", given=given)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rules(found: dict[str, Any]) -> set[str]:
    return {finding["rule"] for finding in found["findings"]}


def test_the_articles_deployment() -> None:
    found = report("--gpu-memory", "23.65GiB", given=ARTICLE)
    assert found["verdict"] == "failed"
    wanted = {
        "pod-without-gpu",
        "vllm-in-background",
        "volume-medium-misspelt",
        "probe-shorter-than-start",
        "secret-in-manifest",
    }
    assert wanted | {"vllm-port-from-kubernetes"} <= rules(found)
    assert found["facts"]["vllm"] == "0.7.2"
    assert "plan-profile-too-large" in rules(found)
    lines = {finding["rule"]: finding["evidence"][0] for finding in found["findings"] if finding["evidence"]}
    text = ARTICLE.splitlines()
    assert text[lines["volume-medium-misspelt"]["line"] - 1].strip() == "emptyDir: {medium: Ram}"
    assert "hf_abc" not in json.dumps(found)


def test_a_command_is_corrected_in_the_file(tmp_path: Path) -> None:
    manifest = ARTICLE.replace("image: vllm/vllm-openai:v0.7.2", "image: vllm/vllm-openai:v0.19.0")
    file, target = tmp_path / "in.yaml", tmp_path / "out.yaml"
    file.write_text(manifest, encoding="utf-8")
    done = doctor("--patch", str(target), str(file))
    assert done.returncode == 1
    changed = target.read_text(encoding="utf-8")
    assert '--limit-mm-per-prompt \'{"image": 5, "video": 5}\'' in changed or '{"image":5,"video":5}' in changed
    assert "# vLLM and a web page in one pod" in changed
    assert "# the server" in changed


def test_gpus_of_pod_and_command() -> None:
    pod = """
kind: Pod
metadata: {name: a}
spec:
  containers:
    - name: vllm
      image: vllm/vllm-openai:v0.11.0
      args: [--model, Qwen/Qwen2.5-VL-7B-Instruct, --tensor-parallel-size, "2"]
      resources: {limits: {nvidia.com/gpu: 1, memory: 8Gi}}
"""
    found = report(given=pod)
    assert {"pod-gpus-differ", "pod-without-shared-memory", "pod-memory-below-weights"} <= rules(found)
    mended = pod.replace("nvidia.com/gpu: 1, memory: 8Gi", "nvidia.com/gpu: 2, memory: 64Gi").replace(
        "metadata: {name: a}\nspec:\n",
        "metadata: {name: a}\nspec:\n  volumes: [{name: shm, emptyDir: {medium: Memory}}]\n",
    )
    mended = mended.replace(
        "      resources:", "      volumeMounts: [{name: shm, mountPath: /dev/shm}]\n      resources:"
    )
    assert not rules(report(given=mended)) & {
        "pod-gpus-differ",
        "pod-without-shared-memory",
        "pod-memory-below-weights",
    }


def test_one_gpu_needs_no_shared_memory() -> None:
    pod = "kind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: vllm, image: 'vllm/vllm-openai:v0.11.0', args: [--model, m]}\n"
    assert "pod-without-shared-memory" not in rules(report(given=pod))


def test_a_compose_file_and_a_docker_line_are_read() -> None:
    compose = "services:\n  vllm:\n    image: vllm/vllm-openai:latest\n    command: --model Qwen/Qwen2.5-VL-7B-Instruct --swap-space 4\n"
    assert "image-without-release" in rules(report(given=compose))
    line = "docker run --gpus all vllm/vllm-openai:v0.19.0 --model Qwen/Qwen2.5-VL-7B-Instruct --swap-space 4\n"
    assert "unknown-argument" in rules(report(given=line))


def test_what_the_cluster_says_of_a_pod(fixtures: Path) -> None:
    described = next((fixtures / "kube").glob("*/describe.txt")).read_text(encoding="utf-8")
    done = doctor("-", given=described)
    assert done.returncode in {0, 1}, done.stderr


@pytest.mark.parametrize(
    "text",
    ["", "a: [", "kind: Pod\nspec: 3\n", "{" * 10_000, "\x00", "just words", "kind: ConfigMap\nmetadata: {name: x}\n"],
)
def test_what_holds_no_vllm_is_told(text: str) -> None:
    done = doctor("-", given=text)
    assert done.returncode == 3
    assert done.stderr.startswith("qvl-doctor: ")
    assert "Traceback" not in done.stderr


def test_a_template_of_helm_is_to_be_rendered_first() -> None:
    done = doctor(
        "-", given="kind: Pod\nspec:\n  image: {{ .Values.image }}\n  {{- range .Values.args }}\n  - {{ . }}\n"
    )
    assert done.returncode == 3
    assert "helm template" in done.stderr


DIGITS = "9" * 5000
NUMBERS = f"""
kind: Deployment
metadata: {{name: a}}
spec:
  replicas: {DIGITS}
  template:
    spec:
      containers:
      - name: vllm
        image: vllm/vllm-openai:v0.11.0
        args: [--model, m, --max-model-len, '{DIGITS}', -tp, '{DIGITS}', --cpu-offload-gb, 1e999, --port, '{DIGITS}']
        resources: {{limits: {{memory: {DIGITS}Ti, nvidia.com/gpu: '{DIGITS}'}}}}
        livenessProbe: {{httpGet: {{port: '{DIGITS}'}}, periodSeconds: {DIGITS}, failureThreshold: -{DIGITS}}}
"""
DESCRIBED = """
Name:         a
Namespace:    b
Status:       Running
Containers:
  vllm:
    Image:          vllm/vllm-openai:v0.11.0
    Last State:     Terminated
      Reason:       Error
      Exit Code:    --5
      Signal:       %s
    Restart Count:  %s
"""
STATUS = """
kind: Pod
metadata: {name: a}
spec: {containers: [{name: vllm, image: 'vllm/vllm-openai:v0.11.0', args: [--model, m]}]}
status: {containerStatuses: [{name: vllm, restartCount: --5, lastState: {terminated: {exitCode: --5, reason: Error}}}]}
"""


@pytest.mark.parametrize("text", [NUMBERS, DESCRIBED % (DIGITS, DIGITS), STATUS])
def test_numbers_that_are_none(text: str) -> None:
    done = doctor("--format", "json", "-", given=text)
    assert (done.returncode in {0, 1}, done.stderr) == (True, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Service\n", "nothing in it starts vLLM"),
        ("kind: Pod\nx: [", "it is not valid YAML"),
        ("kind: Pod\nx: " + "[" * 100, "it is nested too deeply (2:"),
        ("# " + "{{" + "x" * (2 << 20), "it is too long for a script or a manifest"),
        (
            "kind: Pod\nspec: {containers: [{image: 'vllm/vllm:v0.9.0', args: []}]}\n---\n" * 300,
            "too many vLLM commands",
        ),
        ("docker run vllm/vllm-openai --model 'm", "never closed (1:"),
    ],
)
def test_what_cannot_be_read_is_told_in_words(text: str, said: str) -> None:
    done = doctor("--lang", "en", "-", given=text)
    assert (done.returncode, done.stdout) == (3, "")
    assert said in done.stderr


def test_what_cannot_be_read_is_shown_in_part_and_without_its_secrets() -> None:
    done = doctor("-", given="docker run -e HF_TOKEN='PRIVATE01 vllm/vllm-openai --api-key PRIVATE02 " + "$(" * 5000)
    assert done.returncode == 3
    assert "PRIVATE" not in done.stderr
    assert len(done.stderr) < 400


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_names_style_no_terminal_and_pipes_in_a_folder_are_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "ev\x1b[31mil.yaml").write_text("x", encoding="utf-8")
    model = tmp_path / "m\x1b[31m"
    model.mkdir()
    os.mkfifo(model / "config.json")
    for words in (
        ["manifest", str(tmp_path / "ev\x1b[31mil.yaml")],
        ["logs", "--model-dir", str(model), str(tmp_path / "none\x1b[31m")],
        ["plan", "--gpu", "L4", "--model-dir", str(model), "--", "vllm", "serve", "x"],
    ):
        done = run_text(*words)
        assert done.returncode in {2, 3}
        assert "\x1b" not in done.stdout + done.stderr
    assert "config.json: is no file" in done.stderr


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    import gzip

    file = tmp_path / "bomb.gz"
    with gzip.open(file, "wb", compresslevel=1) as stream:
        for _ in range(64):
            stream.write(b"# \n" * (1 << 18))
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (160 << 20,) * 2)"
    python, option, start = DOCTOR
    for arguments in (["manifest", str(file)], ["plan", "--gpu", "L4", "--command", str(file)]):
        done = subprocess.run(
            [python, option, f"{limit}{start}", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode in {2, 3}
        assert "bomb.gz" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_manifest_that_powershell_wrote() -> None:
    """Its `>` writes UTF-16."""
    done = run_text("manifest", "--format", "json", "-", stdin=ARTICLE.encode("utf-16"))
    assert json.loads(done.stdout)["facts"]["vllm"] == "0.7.2"


def test_one_line_of_docker_is_shown_flag_by_flag() -> None:
    done = doctor("-", given="docker run vllm/vllm-openai:v0.11.0 --model Qwen/Qwen2.5-VL-7B-Instruct -tp 2\n")
    for said in ("+ --gpus all", "+ --shm-size 2g"):
        assert said in done.stdout


def test_a_log_says_how_long_a_start_takes(fixtures: Path, tmp_path: Path) -> None:
    log = fixtures / "article" / "healthy.log"
    pod = tmp_path / "pod.yaml"
    pod.write_text(
        "kind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: vllm\n    image: vllm/vllm-openai:v0.11.0\n"
        "    args: [--model, m]\n    resources: {limits: {nvidia.com/gpu: 1}}\n"
        "    livenessProbe: {httpGet: {port: 8000}, failureThreshold: 6, initialDelaySeconds: 20}\n"
    )
    assert "No log says how long" in doctor(str(pod)).stdout
    told = doctor("--log", str(log), str(pod)).stdout
    assert "takes 85 s or more. The log shows a start of 85 s." in " ".join(told.split())
    done = doctor("--log", str(fixtures / "article" / "oom-9.03.log"), str(pod))
    assert done.returncode == 2
    assert "no start that became ready" in done.stderr


@given(st.text(max_size=400))
def test_any_text_is_looked_at_or_refused(text: str) -> None:
    try:
        looked = inspect_manifest(text)
    except LaunchError:
        return
    assert looked
    assert all(len(said.message) <= 2000 for each in looked for said in each.seen.observations)


PIECES = st.lists(st.sampled_from(ARTICLE.splitlines(keepends=True)), max_size=40).map("".join)


@given(PIECES)
def test_any_pieces_of_a_manifest_are_looked_at_or_refused(text: str) -> None:
    try:
        inspect_manifest(text)
    except LaunchError:
        return


@pytest.mark.kube
def test_an_api_server_takes_the_corrected_file(kube_apply: Any, tmp_path: Path) -> None:
    target = tmp_path / "out.yaml"
    done = doctor("--gpu-memory", "23.65GiB", "--patch", str(target), "-", given=ARTICLE)
    assert done.returncode == 1
    changed = target.read_text(encoding="utf-8")
    assert changed != ARTICLE
    for document in changed.split("\n---\n"):
        taken, said = kube_apply(document)
        assert taken, said
