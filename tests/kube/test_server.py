"""The control plane of the tests is a real one: it refuses, schedules and serves logs as clusters do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kube.kubelet import Kubelet
from kube.server import ControlPlane

pytestmark = pytest.mark.kube

POD = """
apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  containers:
  - name: vllm
    image: vllm/vllm-openai:v0.11.0
    args: [--max-model-len, %s]
"""


def test_apply_says_whether_the_server_takes_a_manifest(kube_apply: Callable[[str], tuple[bool, str]]) -> None:
    assert kube_apply(POD % '"4096"') == (True, "pod/a created (server dry run)")
    taken, said = kube_apply(POD % "4096")
    assert not taken
    assert "string" in said
    assert kube_apply(":\n- [")[0] is False


def test_scheduler_and_logs_are_there(kube: ControlPlane) -> None:
    with Kubelet(kube.certificate, kube.key) as kubelet:
        kube.add_node("first", kubelet.port)
        kube.must("apply", "-f", "-", stdin=(POD % '"4096"').replace("name: a", "name: scheduled"))
        kube.wait_for("get", "pod", "scheduled", "-o", "jsonpath={.spec.nodeName}", said="first")
        kubelet.logs["scheduled", "vllm", False] = "hello\n"
        assert kube.must("logs", "scheduled") == "hello\n"
        assert "not found" in kube.kubectl("logs", "-p", "scheduled").err
        kube.must("delete", "pod", "scheduled", "--force", "--grace-period=0")
        kube.must("delete", "node", "first")
