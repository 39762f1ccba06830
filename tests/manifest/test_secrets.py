"""Secrets in odd places of manifests, compose files and scripts.

In no report and no archive, and in the file that is written as before.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from program import RULES, run_text
from rich.console import Console

from qvl_doctor.report import as_json, console, markdown
from qvl_doctor.workflows.manifest import diagnose

SECRET = re.compile(r"PRIVATE\d\d")

DEPLOYMENT = """
kind: Secret
metadata: {name: s}
data: {a: UFJJVkFURTAw}
stringData:
  innocuous: PRIVATE01
---
kind: ConfigMap
metadata: {name: c}
data:
  app.env: |
    HF_TOKEN=PRIVATE02
    DB_PASSWORD: PRIVATE03
  config.json: '{"api_key": "PRIVATE04"}'
---
kind: Deployment
metadata:
  name: qwen
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"spec":{"args":["--api-key","PRIVATE05","--api-key=PRIVATE06"],"env":[{"name":"HF_TOKEN","value":"PRIVATE07"}]}}
    other: '{"name":"DB_PASSWORD","value":"PRIVATE08"}'
spec:
  template:
    spec:
      initContainers:
      - name: get
        image: python
        command: [sh, -c, "HF_TOKEN=PRIVATE09 hf download --token PRIVATE10 x; curl -H 'Authorization: Bearer PRIVATE11' https://u:PRIVATE12@h/x"]
        env: [{name: AWS_SECRET_ACCESS_KEY, value: PRIVATE13}]
      containers:
      - name: vllm
        image: vllm/vllm-openai:v0.8.4
        args:
        - --model
        - m
        - --api-key
        - PRIVATE14
        - PRIVATE15
        - --hf-token=PRIVATE16
        - --api-key=PRIVATE17
        - --limit-mm-per-prompt
        - '{"image": 4}'
        - --hf-overrides
        - '{"api_key": "PRIVATE18"}'
        env:
        - name: HF_TOKEN
          value: PRIVATE19
        - value: PRIVATE20
          name: VLLM_API_KEY
        - name: PGPASSWORD
          value: |
            PRIVATE21
            PRIVATE22
        livenessProbe:
          httpGet:
            port: 8000
            httpHeaders:
            - name: Authorization
              value: Bearer PRIVATE23
            - {name: X-API-Key, value: PRIVATE24}
---
kind: Pod
metadata: {name: one-line}
spec: {containers: [{image: "vllm/vllm:v0.8.4", args: [--api-key, PRIVATE25, --wat], env: [{name: HF_TOKEN, value: PRIVATE26}]}]}
"""
COMPOSE = """
services:
  vllm:
    image: vllm/vllm-openai:v0.8.4
    command: --model m --api-key PRIVATE01 --limit-mm-per-prompt '{"image":3}' --api-key=PRIVATE02
    environment:
    - HF_TOKEN=PRIVATE03
    - "VLLM_API_KEY=PRIVATE04"
    - DATABASE_URL=postgres://u:PRIVATE05@h/db
    build: {args: [HF_TOKEN=PRIVATE06]}
    labels: {auth: "api_key=PRIVATE07"}
  db:
    image: postgres
    environment:
      POSTGRES_PASSWORD: >-
        PRIVATE08
  other:
    image: vllm/vllm-openai:v0.8.4
    entrypoint: ["sh", "-c"]
    command: ["export HF_TOKEN=PRIVATE09; vllm serve m --api-key PRIVATE10 --limit-mm-per-prompt '{\\"image\\":3}'"]
"""
SCRIPT = """
export HF_TOKEN=PRIVATE01
docker login -u me -p PRIVATE02 registry.example
docker run -e HF_TOKEN=PRIVATE03 -e=VLLM_API_KEY=PRIVATE04 --env 'DB_PASSWORD=PRIVATE05' -eHF_TOKEN=PRIVATE06 \\
  --env=AWS_SECRET_ACCESS_KEY="PRIVATE07" vllm/vllm-openai:v0.8.4 --model m --api-key PRIVATE08 \\
  --limit-mm-per-prompt '{"image": 2}' --hf-overrides '{"api_key": "PRIVATE09"}' --api-key="PRIVATE10"
"""
#: What stood twice: the last one counts.
LOST = {"deployment.yaml": {"PRIVATE14", "PRIVATE15"}, "compose.yaml": {"PRIVATE01"}, "run.sh": {"PRIVATE08"}}
TEXTS = {"deployment.yaml": DEPLOYMENT, "compose.yaml": COMPOSE, "run.sh": SCRIPT}


@pytest.mark.parametrize("name", TEXTS)
def test_no_report_shows_a_secret_and_the_file_keeps_all(name: str) -> None:
    found = diagnose(TEXTS[name], source=name, rules=RULES)
    assert "limit-mm-key-value" in {finding.rule for finding in found.diagnosis.findings}
    terminal = io.StringIO()
    console.render(found.diagnosis, "en", Console(file=terminal, width=200))
    shown = terminal.getvalue() + markdown.render(found.diagnosis, "en") + json.dumps(as_json.as_dict(found.diagnosis))
    assert SECRET.findall(shown) == []
    assert "***" not in found.file
    lost = set(SECRET.findall(TEXTS[name])) - set(SECRET.findall(found.file))
    assert lost == LOST[name]


@pytest.mark.parametrize("name", TEXTS)
def test_no_archive_and_no_other_command_shows_one(name: str, tmp_path: Path, fixtures: Path) -> None:
    (tmp_path / name).write_text(TEXTS[name], encoding="utf-8")
    log, archive, env = str(fixtures / "article" / "oom-9.03.log"), tmp_path / "x.zip", tmp_path / "env.json"
    command = ("--command", str(tmp_path / name))
    runs = [
        run_text(*words)
        for words in (
            ["bundle", "--no-check", *command, "-o", str(archive), log],
            ["logs", *command, "--format", "json", log],
            ["check", "--only", "command", *command, "--export", str(env), "--format", "json"],
        )
    ]
    printed = "".join(done.stdout + done.stderr for done in runs)
    with zipfile.ZipFile(archive) as held:
        packed = "".join(held.read(each).decode() for each in held.namelist())
    assert "command" in printed
    assert SECRET.findall(packed + printed + env.read_text(encoding="utf-8")) == []


def test_a_mask_is_no_change_of_the_file() -> None:
    text = "docker run --gpus all -e HF_TOKEN=PRIVATE01 vllm/vllm-openai:v0.8.4 --model m \\\n  --limit-mm-per-prompt '{\"image\": 4}'\n"
    changes = diagnose(text, source="run.sh", rules=RULES).diagnosis.changes
    assert [line.strip() for kind, line in changes if kind in {"added", "removed"}] == [
        "--limit-mm-per-prompt '{\"image\": 4}'",
        "--limit-mm-per-prompt 'image=4'",
    ]


def test_a_value_on_the_lines_below_a_broken_manifest_is_masked() -> None:
    from qvl_doctor.launch.masking import masked_source

    shown = masked_source("kind: Pod\nDB_PASSWORD: >-\n  PRIVATE01\nHF_TOKEN: |\n  PRIVATE02\nx: [")
    assert SECRET.findall(shown) == []


def test_a_mask_is_never_written_into_the_file() -> None:
    text = "docker run --gpus all vllm/vllm-openai:v0.8.4 --model m --api-key PRIVATE01 \\\n  --port 8000 --api-key PRIVATE02\n"
    found = diagnose(text, source="run.sh", rules=RULES)
    assert [finding.rule for finding in found.diagnosis.findings] == ["flag-given-twice"]
    assert SECRET.findall(found.file) == ["PRIVATE02"]
    assert "***" not in found.file


def test_secrets_of_known_shapes_are_no_change_of_the_file() -> None:
    token = "hf_" + "q" * 34
    text = f"""
kind: Pod
spec:
  containers:
  - name: vllm
    image: vllm/vllm-openai:v0.8.4
    args: [--model, m, --api-key, sk-abcdefgh, --limit-mm-per-prompt, '{{"image": 2}}']
    env:
    - name: HF_TOKEN
      value: {token}
    resources: {{limits: {{nvidia.com/gpu: 1}}}}
"""
    changes = diagnose(text, source="x.yaml", rules=RULES).diagnosis.changes
    assert [line.strip()[:6] for kind, line in changes if kind in {"added", "removed"}] == ["args: ", "args: "]
    assert token not in str(changes)
