"""Against a real API server, with the real kubectl.

Scheduling, quotas, logs through a kubelet, and how kubectl finds its plugins.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kube.cases import CASES, MISTAKES, stage_case
from kube.kubelet import Kubelet
from kube.programs import programs
from kube.scenes import SCENES, printed
from kube.server import ControlPlane
from kube.stage import Stage
from kube.test_kubectl_plugin import EXPECTED as CAUSES
from kube.test_reading import EXPECTED, diagnosis

from qvl_doctor.messages import say

pytestmark = [pytest.mark.kube, pytest.mark.slow]

#: Scenes in which the words are the cluster's own.
REAL = ("no-gpu", "tainted", "too-large", "no-such-label", "claim-missing", "over-quota", "healthy", "oom-killed")

LONG_LOG = "fixtures/failed/0.11.0-lora-rank.log"
Look = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def kubelet(kube: ControlPlane) -> Iterator[Kubelet]:
    with Kubelet(kube.certificate, kube.key) as server:
        yield server


@pytest.fixture(scope="module")
def look(kube: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Look:
    """`kubectl qvl-doctor WORDS`."""
    folder = programs(tmp_path_factory.mktemp("plugin") / "bin", stand_in=False)
    environment = {**os.environ, "KUBECONFIG": str(kube.kubeconfig), "PATH": f"{folder}:{os.environ['PATH']}"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", "qvl-doctor", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    return run


@pytest.mark.parametrize("scene", REAL)
def test_what_kubectl_prints_leads_to_the_cause(scene: str, kube: ControlPlane) -> None:
    stage = Stage(kube, f"live-{scene}")
    try:
        SCENES[scene](stage)
        texts = printed(stage)
    finally:
        stage.clear()
    for file, rule in zip(("pod.json", "describe.txt", "events.json"), EXPECTED[scene], strict=True):
        found = diagnosis(texts[file])
        assert rule == (None if found is None else found.findings[0].rule if found.findings else ""), file


@pytest.mark.parametrize(
    "case", ["killed-at-limit", "two-replicas", "killed-while-loading", "killed-while-serving", "over-quota", "healthy"]
)
def test_the_plugin_asks_fetches_and_concludes(case: str, kube: ControlPlane, kubelet: Kubelet, look: Look) -> None:
    stage = Stage(kube, f"plugin-{case}", kubelet.port)
    try:
        stage_case(CASES[case], stage, kubelet)
        done = look(*CASES[case].words, "-n", stage.namespace, "--format", "json")
    finally:
        stage.clear()
    verdict, cause, symptoms = CAUSES[case]
    assert done.returncode == (verdict == "failed"), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["verdict"] == verdict
    assert [each["rule"] for each in report["findings"] if each["role"] == "cause"] == ([cause] if cause else [])
    assert symptoms <= {each["rule"] for each in report["findings"] if each["role"] == "symptom"}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_refusals_are_told(mistake: str, kube: ControlPlane, look: Look) -> None:
    name = "live-mistakes"
    if kube.kubectl("get", "namespace", name).code:
        SCENES["oom-killed"](Stage(kube, name))
    words, key = MISTAKES[mistake]
    done = look(*words, "-n", name)
    assert (done.returncode, done.stdout) == (3, "")
    assert all(
        piece in done.stderr for piece in say(key, "en", path="\0", reason="\0", names="\0", near="\0").split("\0")
    )


def test_whole_logs_stream_through(kube: ControlPlane, kubelet: Kubelet, look: Look) -> None:
    """80 MB of serving before the end: all of it passes, and the end is seen."""
    stage = Stage(kube, "live-long", kubelet.port)
    try:
        SCENES["exits-with-1"](stage)
        log = (Path(__file__).parents[2] / LONG_LOG).read_text(encoding="utf-8")
        serving = 'INFO:     10.0.0.1:50336 - "GET /health HTTP/1.1" 200 OK\n'
        kubelet.logs[stage.pod(), "vllm", False] = serving * 1_400_000 + log
        done = look("deploy/qwen-vl", "-n", stage.namespace, "--format", "json")
        short = look("deploy/qwen-vl", "-n", stage.namespace, "--format", "json", "--tail", "300")
    finally:
        stage.clear()
    for each in (done, short):
        assert json.loads(each.stdout)["findings"][0]["rule"] == "lora-rank-too-large"
