"""What kubectl printed about pods in trouble leads to the right rule, whichever of its outputs a user has."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import RULES

from qvl_doctor.diagnose.examining import examine
from qvl_doctor.diagnose.verdict import of_pod
from qvl_doctor.kube import inspect_kubectl_output
from qvl_doctor.kube.describe import read_described
from qvl_doctor.kube.status import read_pods
from qvl_doctor.kube.times import is_age, moment, seconds
from qvl_doctor.kube.tree import objects, of_json
from qvl_doctor.model import Diagnosis, Seen
from qvl_doctor.observations.levels import MANIFEST

SCENES = Path(__file__).parents[2] / "fixtures/kube"

#: Scene → the rule of the cause, by what was printed: the pod's status, its description, its events. Each knows a part.
EXPECTED = {
    "oom-killed": ("container-oom-killed", "container-oom-killed", "container-restarts"),
    "exits-with-1": ("container-ended", "container-ended", "container-restarts"),
    "liveness-kill": ("probe-failed", "probe-failed", "probe-failed"),
    "liveness-kill-without-events": ("probe-failed", "probe-failed", "container-restarts"),
    "no-gpu": ("no-node-with-gpu",) * 3,
    "tainted": ("node-taint-not-tolerated",) * 3,
    "too-large": ("node-too-small-for-pod",) * 3,
    "no-such-label": ("node-selector-without-match",) * 3,
    "claim-missing": ("volume-claim-not-bound",) * 3,
    "over-quota": (None, None, "pod-not-created"),
    "no-such-tag": ("image-not-found",) * 3,
    "secret-missing": ("pod-config-missing",) * 3,
    "evicted": ("pod-evicted",) * 3,
    "gpu-lost": ("gpu-not-allocated",) * 3,
    "mount-fails": ("container-not-created", "volume-not-mounted", "volume-not-mounted"),
    "runtime-missing": ("container-not-created", "container-toolkit-missing", "container-toolkit-missing"),
    "init-fails": ("init-container-failed", "init-container-failed", "container-restarts"),
    "command-missing": ("command-not-in-image",) * 3,
    "healthy": ("", "", ""),
}


def text_of(scene: str, file: str) -> str:
    return (SCENES / scene / file).read_text(encoding="utf-8")


def diagnosis(text: str) -> Diagnosis | None:
    seen = inspect_kubectl_output(text)
    return of_pod(examine("-", seen, RULES)) if seen else None


def cause(scene: str, file: str) -> str | None:
    found = diagnosis(text_of(scene, file))
    return None if found is None else found.findings[0].rule if found.findings else ""


def test_every_scene_is_expected() -> None:
    assert {path.name for path in SCENES.iterdir()} - {"calls"} == set(EXPECTED)


@pytest.mark.parametrize("scene", EXPECTED)
def test_each_output_leads_to_the_cause(scene: str) -> None:
    status, described, events = EXPECTED[scene]
    assert cause(scene, "pod.json") == status
    assert cause(scene, "describe.txt") == described
    assert cause(scene, "events.json") == events
    assert cause(scene, "events.txt") == (events or "")


@pytest.mark.parametrize("scene", EXPECTED)
def test_only_what_holds_for_the_pod_is_said(scene: str) -> None:
    for file in ("pod.json", "describe.txt", "events.json", "events.txt"):
        found = diagnosis(text_of(scene, file))
        names = {finding.rule for finding in found.findings} if found else set()
        allowed = {rule for rule in EXPECTED[scene] if rule} | {"container-restarts"}
        assert names <= allowed, file


def test_a_healthy_pod_is_healthy_whatever_its_events_told_on_the_way() -> None:
    assert "FailedScheduling" in text_of("healthy", "events.txt")
    assert "Startup probe failed" in text_of("healthy", "events.txt")
    for file in ("pod.json", "describe.txt"):
        found = diagnosis(text_of("healthy", file))
        assert found is not None
        assert (found.verdict, found.findings) == ("healthy", ())


@pytest.mark.parametrize("scene", ["oom-killed", "init-fails"])
def test_yaml_says_what_json_says(scene: str) -> None:
    as_json, as_yaml = (
        inspect_kubectl_output(text_of(scene, "pod.json")),
        inspect_kubectl_output(text_of(scene, "pod.yaml")),
    )
    assert as_json
    assert as_yaml
    assert said(as_json) == said(as_yaml)
    assert {name: fact.value for name, fact in as_json.facts.items()} == {
        name: fact.value for name, fact in as_yaml.facts.items()
    }


@pytest.mark.parametrize("scene", [scene for scene, rules_of in EXPECTED.items() if rules_of[0] is not None])
def test_a_description_gives_the_pod_that_its_status_gives(scene: str) -> None:
    """All but what `kubectl describe` does not print.

    The messages of waiting containers, and why a pod was not scheduled.
    """
    pod = read_pods(objects(text_of(scene, "pod.json")))[0]  # an evicted pod has a successor
    pods, _ = read_described(text_of(scene, "describe.txt"))
    described = pods[0]
    assert (described.name, described.namespace, described.phase, described.reason) == (
        pod.name,
        pod.namespace,
        pod.phase,
        pod.reason,
    )
    assert (described.node, described.grace, described.owner, described.ready) == (
        pod.node,
        pod.grace,
        pod.owner,
        pod.ready,
    )
    for one, other in zip(described.containers, pod.containers, strict=True):
        if not other.now.state:
            continue  # a pod without a node: described containers have no state
        assert (one.name, one.init, one.ready, one.restarts, one.image) == (
            other.name,
            other.init,
            other.ready,
            other.restarts,
            other.image,
        )
        assert (one.memory_limit, one.gpus, one.probes) == (other.memory_limit, other.gpus, other.probes)
        for mine, theirs in ((one.now, other.now), (one.before, other.before)):
            assert (mine.state, mine.reason, mine.exit_code, mine.started, mine.ended) == (
                theirs.state,
                theirs.reason,
                theirs.exit_code,
                theirs.started,
                theirs.ended,
            )


@pytest.mark.parametrize("path", sorted(path for path in SCENES.glob("*/*.*") if path.parent.name != "calls"), ids=str)
def test_evidence_is_the_line_that_the_user_has(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = diagnosis(text)
    for line in (line for finding in (found.findings if found else ()) for line in finding.evidence):
        assert line.text == text.split("\n")[line.number - 1].strip()


@pytest.mark.parametrize(
    ("scene", "file", "shown"),
    [
        ("oom-killed", "pod.json", '"reason": "OOMKilled",'),
        ("oom-killed", "pod.yaml", "reason: OOMKilled"),
        ("oom-killed", "describe.txt", "Reason:       OOMKilled"),
        ("exits-with-1", "pod.json", '"exitCode": 1,'),
        ("exits-with-1", "describe.txt", "Exit Code:    1"),
        ("no-gpu", "events.json", '"message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",'),
    ],
)
def test_evidence_is_the_line_that_tells_most(scene: str, file: str, shown: str) -> None:
    found = diagnosis(text_of(scene, file))
    assert found
    assert [line.text for line in found.findings[0].evidence] == [shown]


def test_of_a_text_in_one_line_the_values_are_the_evidence() -> None:
    found = diagnosis(json.dumps(json.loads(text_of("oom-killed", "pod.json"))))
    assert found
    (line,) = found.findings[0].evidence
    assert (line.number, line.text.rpartition("container = ")[2]) == (
        0,
        "vllm, code = 137, restarts = 7, seconds = 95, limit = 24Gi",
    )


def test_facts_of_the_pod() -> None:
    seen = inspect_kubectl_output(text_of("oom-killed", "pod.json"))
    assert seen
    facts = {name: fact.value for name, fact in seen.facts.items()}
    assert (facts["pod_state"], facts["pod_restarts"], facts["pod_exit_code"], facts["pod_ready"]) == (
        "CrashLoopBackOff",
        7,
        137,
        "no",
    )
    assert 94 <= facts["pod_lasted_s"] <= 96
    assert all(isinstance(value, (str, int, float)) for value in facts.values())


def test_logs_and_manifests_are_no_such_input(fixtures: Path) -> None:
    for path in (*fixtures.glob("failed/*.log"), *fixtures.glob("healthy/*.log"), *fixtures.glob("commands/*")):
        assert inspect_kubectl_output(path.read_text(encoding="utf-8")) is None, path


def test_several_inputs_in_one_text() -> None:
    """`kubectl get pod,events -o json` is one list; two descriptions stand one below the other."""
    items = [
        item for file in ("pod.json", "events.json") for item in json.loads(text_of("liveness-kill", file))["items"]
    ]
    both = inspect_kubectl_output(json.dumps({"kind": "List", "apiVersion": "v1", "items": items}))
    assert both
    assert any("failed liveness probe" in message for message in said(both))
    found = diagnosis(text_of("oom-killed", "describe.txt") + "\n\n" + text_of("no-gpu", "describe.txt"))
    assert found
    assert {finding.rule for finding in found.findings} >= {"container-oom-killed", "no-node-with-gpu"}


def said(seen: Seen) -> list[str]:
    assert {record.level for record in seen.observations} <= {MANIFEST}
    return [record.message for record in seen.observations]


# ---- Hostile input
# ----------------------------------------------------------------------------------------------------


FILES = sorted(path for path in SCENES.glob("*/*") if path.suffix in {".json", ".txt", ".yaml"} and path.stat().st_size)


@given(st.sampled_from(FILES), st.integers(0, 12_000), st.text(max_size=12), st.integers(0, 40))
def test_a_damaged_text_never_raises(path: Path, at: int, put: str, gone: int) -> None:
    text = path.read_text(encoding="utf-8")
    at = min(at, len(text))
    for broken in (text[:at] + put + text[at + gone :], text[:at], text[at:]):
        seen = inspect_kubectl_output(broken)
        assert seen is None or isinstance(seen, Seen)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=8,
    ),
    st.data(),
)
def test_a_status_with_values_of_any_kind_never_raises(value: object, data: st.DataObject) -> None:
    pod = json.loads(text_of("init-fails", "pod.json"))["items"][0]
    paths = [
        ("status",),
        ("status", "containerStatuses"),
        ("status", "conditions"),
        ("status", "phase"),
        ("spec", "containers"),
        ("spec", "initContainers"),
        ("metadata",),
        ("metadata", "name"),
        ("metadata", "ownerReferences"),
    ]
    *way, last = data.draw(st.sampled_from(paths))
    place = pod
    for key in way:
        place = place[key]
    place[last] = value
    seen = inspect_kubectl_output(json.dumps(pod))
    assert seen is None or isinstance(seen, Seen)


def test_an_alias_bomb_costs_nothing() -> None:
    bomb = "kind: Pod\nstatus:\n  a: &a [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"  {name}: &{name} [{', '.join([f'*{chr(ord(name) - 1)}'] * 9)}]\n" for name in "bcdefghijklm")
    started = time.monotonic()
    inspect_kubectl_output(bomb)
    inspect_kubectl_output("kind: Pod\nstatus: &s\n  phase: *s\n  containerStatuses: [*s]\n")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "text",
    [
        '{"kind": "Pod", "status": ' + "[" * 100_000,
        "kind: Pod\nstatus: " + "{a: " * 5_000,
        "Name:   a\nNamespace: b\nContainers:\n" + "".join(" " * depth + "a:\n" for depth in range(3000)),
        "Name:   a\nNamespace: b\nNode: c\n" + "a:" * 200_000,
        "Name:   a\nNamespace: b\nNode: c\n" + "Name:  x\n" * 100_000,
        "LAST SEEN   TYPE      REASON   OBJECT   MESSAGE\n" + "5m   Warning   Failed   pod/a   x\n" * 200_000,
        "LAST SEEN   TYPE      REASON   OBJECT   MESSAGE\n" + "5m   Warning   Failed   pod/a   " + "x " * 2_000_000,
        "Name:   a\nNamespace: b\nNode: c\nEvents:\n" + "  Warning  Failed  1m  kubelet  " + "  " * 500_000,
    ],
    ids=["deep JSON", "deep YAML", "deep description", "long line", "many pods", "many events", "long event", "blanks"],
)
def test_hostile_texts_take_little_time(text: str) -> None:
    started = time.process_time()
    seen = inspect_kubectl_output(text)
    assert time.process_time() - started < 10
    assert seen is None or len(seen.observations) <= 200


def test_a_whole_cluster_is_read() -> None:
    """More values than the tree with lines holds: then without lines."""
    item = json.loads(text_of("oom-killed", "pod.json"))["items"][0]
    quiet = json.loads(text_of("healthy", "pod.json"))["items"][0]
    many = [{**quiet, "metadata": {**quiet["metadata"], "name": f"quiet-{number}"}} for number in range(800)]
    seen = inspect_kubectl_output(json.dumps({"kind": "List", "items": [*many, item]}, indent=1))
    assert seen
    assert any("OOMKilled" in message for message in said(seen))
    assert seen.facts["pod"].value == item["metadata"]["name"]


def test_secrets_are_masked() -> None:
    secret = "hf_" + "a" * 34
    pod = json.loads(text_of("exits-with-1", "pod.json"))["items"][0]
    pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["message"] = f"401 for token {secret}"
    table = f"LAST SEEN   TYPE      REASON   OBJECT   MESSAGE\n5m          Warning   Failed   pod/a    pull with {secret} refused\n"
    for text in (json.dumps(pod), table):
        seen = inspect_kubectl_output(text)
        assert seen
        assert seen.observations
        assert secret not in str(seen)


def test_a_termination_message_is_matched_like_a_log() -> None:
    """With terminationMessagePolicy FallbackToLogsOnError the end of the log stands in the status."""
    pod = json.loads(text_of("exits-with-1", "pod.json"))["items"][0]
    end = "ValueError: LoRA rank 64 is greater than max_lora_rank 16."
    pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["message"] = end
    found = diagnosis(json.dumps(pod))
    assert found
    assert found.findings[0].rule == "lora-rank-too-large"


# ---- Times
# ----------------------------------------------------------------------------------------------------


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001 — the tests write UTC behind it
def test_both_spellings_of_a_time_mean_the_same(when: datetime) -> None:
    when = when.replace(microsecond=0)
    assert moment(when.strftime("%Y-%m-%dT%H:%M:%SZ")) == moment(when.strftime("%a, %d %b %Y %H:%M:%S +0000"))


@pytest.mark.parametrize(
    ("age", "wanted"),
    [("5s", 5), ("5m3s", 303), ("279d", 279 * 86400), ("3y12d", 3 * 31536000 + 12 * 86400), ("<unknown>", 0)],
)
def test_ages(age: str, wanted: int) -> None:
    assert is_age(age)
    assert seconds(age) == wanted


@given(st.text(max_size=30))
def test_no_text_breaks_times(text: str) -> None:
    moment(text)
    seconds(text)
    of_json(text)
