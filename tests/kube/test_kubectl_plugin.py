"""`kubectl qvl-doctor`: one diagnosis of pod, events and logs, from answers of a real kubectl.

And clear words where it refused.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kube.cases import CASES, MISTAKES
from kube.programs import programs
from program import RULES

from qvl_doctor import rulebook
from qvl_doctor.cli import kubectl_plugin
from qvl_doctor.errors import InputError
from qvl_doctor.kube.kubectl import Kubectl
from qvl_doctor.kube.selection import selector_of
from qvl_doctor.kube.times import moment
from qvl_doctor.kube.tree import of_json
from qvl_doctor.manifest.inspection import release_of
from qvl_doctor.messages import say

CALLS = Path(__file__).parents[2] / "fixtures/kube/calls"

#: Case → verdict, the cause, and what must be among its symptoms.
EXPECTED: dict[str, tuple[str, str, set[str]]] = {
    "killed-at-limit": ("failed", "container-oom-killed", {"engine-killed", "container-restarts"}),
    "crashed": ("failed", "lora-rank-too-large", {"container-ended", "container-restarts"}),
    "two-replicas": ("failed", "lora-rank-too-large", {"container-ended"}),
    "killed-while-loading": ("failed", "probe-failed", set()),
    "killed-while-serving": ("failed", "container-oom-killed", {"engine-killed"}),
    "log-gone": ("failed", "container-oom-killed", {"container-restarts"}),
    "healthy": ("healthy", "", set()),
    "no-gpu": ("failed", "no-node-with-gpu", set()),
    "over-quota": ("failed", "pod-not-created", set()),
}


class Looked:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        self.report: dict[str, Any] = json.loads(out) if out.startswith("{") else {}


class Plugin:
    """Runs the plugin here, on what kubectl said once."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = patch, capsys
        patch.setenv("PATH", f"{programs(folder / 'bin')}:{os.environ['PATH']}")

    def __call__(self, case: str, words: tuple[str, ...], *options: str) -> Looked:
        calls = CALLS / f"{case}.jsonl"
        self._patch.setenv("KUBE_REPLAY", str(calls))
        self._patch.setattr(time, "time", lambda: asked_at(calls))
        code = kubectl_plugin.run_typer([*words, *options])
        printed = self._capsys.readouterr()
        return Looked(code, printed.out, printed.err)


def asked_at(calls: Path) -> float:
    """A moment after the newest time in the answers."""
    text = calls.read_text(encoding="utf-8").replace('\\"', " ").replace('"', " ")
    return max((moment(word) or 0.0 for word in text.split() if word.startswith("20")), default=0.0) + 1


@pytest.fixture
def _rules_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the rules takes longer than everything else here."""
    monkeypatch.setattr(rulebook, "shipped", lambda **_: RULES)


@pytest.fixture
def plugin(
    _rules_once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Plugin:
    return Plugin(tmp_path, monkeypatch, capsys)


def words_of(case: str) -> tuple[str, ...]:
    return (*CASES[case].words, "-n", f"case-{case}")


def test_every_case_is_expected() -> None:
    assert set(EXPECTED) == set(CASES)


@pytest.mark.parametrize("case", EXPECTED)
def test_one_diagnosis_of_pod_events_and_logs(
    case: str, plugin: Plugin, held_by_schema: Callable[[object], None]
) -> None:
    verdict, cause, symptoms = EXPECTED[case]
    looked = plugin(case, words_of(case), "--format", "json")
    assert "not recorded" not in looked.out + looked.err
    assert looked.code == (verdict == "failed")
    held_by_schema(looked.report)
    assert looked.report["verdict"] == verdict
    found = [(each["rule"], each["role"]) for each in looked.report["findings"]]
    assert [rule for rule, role in found if role == "cause"] == ([cause] if cause else [])
    assert symptoms <= {rule for rule, role in found if role == "symptom"}


def test_which_pod_of_several_is_told(plugin: Plugin) -> None:
    notes = plugin("two-replicas", words_of("two-replicas"), "--format", "json").report["not_checked"]
    assert "2 pods match" in notes[0]
    assert "(Pending)" in notes[0]


def test_which_start_is_told(plugin: Plugin) -> None:
    report = plugin("killed-while-serving", words_of("killed-while-serving"), "--format", "json").report
    assert "start 3" in report["not_checked"][0]
    assert report["facts"]["pod_restarts"] == 2


def test_a_missing_log_is_told(plugin: Plugin) -> None:
    notes = plugin("log-gone", words_of("log-gone"), "--format", "json").report["not_checked"]
    assert "log could not be read" in notes[0]


def test_facts_of_log_and_pod_stand_together(plugin: Plugin) -> None:
    facts = plugin("killed-at-limit", words_of("killed-at-limit"), "--format", "json").report["facts"]
    assert (facts["vllm"], facts["pod_state"], facts["pod_exit_code"]) == ("0.32.0", "CrashLoopBackOff", 137)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("form", ["console", "markdown", "jsonl"])
def test_every_format_and_language(form: str, lang: str, plugin: Plugin) -> None:
    looked = plugin("killed-at-limit", words_of("killed-at-limit"), "--format", form, "--lang", lang)
    assert looked.code == 1
    assert {"en": "ran out of memory", "zh": "内存不足被系统终止"}[lang] in looked.out
    assert "sk-not-a-real-key" not in looked.out


def test_options_of_reports(plugin: Plugin, tmp_path: Path) -> None:
    words = words_of("killed-at-limit")
    assert plugin("killed-at-limit", words, "--fail-on", "never", "--quiet").code == 0
    file = tmp_path / "report.md"
    assert plugin("killed-at-limit", words, "--format", "markdown", "--output", str(file)).out == ""
    assert "OOMKilled" in file.read_text(encoding="utf-8")
    ignored = plugin("healthy", words_of("healthy"), "--ignore", "container-oom-killed", "--format", "json")
    assert ignored.report["verdict"] == "healthy"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_kubectl_refuses_is_told_in_a_sentence(mistake: str, plugin: Plugin) -> None:
    words, key = MISTAKES[mistake]
    looked = plugin(mistake, (*words, "-n", "case-mistakes"))
    assert looked.code == 3
    assert not looked.out
    assert looked.err.count("\n") == 1
    assert look_alike(say(key, "en", path="\0", reason="\0", names="\0", near="\0"), looked.err)


def look_alike(sentence: str, text: str) -> bool:
    """Whether a text holds the pieces of a sentence, whatever its values are."""
    return all(piece in text for piece in sentence.split("\0"))


def test_a_name_that_is_nearly_right_is_helped(plugin: Plugin) -> None:
    assert "there are: qwen-vl-" in plugin("no-such-pod", ("qwen-vl", "-n", "case-mistakes")).err


def test_what_could_not_be_asked_is_a_report_too(plugin: Plugin) -> None:
    looked = plugin("forbidden", (*MISTAKES["forbidden"][0], "-n", "case-mistakes"), "--format", "json")
    assert (looked.code, looked.report["verdict"]) == (3, "unknown")
    assert "does not allow" in looked.report["summary"]["en"]


@pytest.mark.parametrize(
    "words", [("a/b/c",), ("a b",), ("deploy", "a", "b"), ("-x=1",), ("../secrets",), ("pod/$(id)",)]
)
def test_odd_names_are_not_handed_to_kubectl(words: tuple[str, ...], plugin: Plugin) -> None:
    looked = plugin("no-such-pod", words)
    assert looked.code in {2, 3}
    assert "not recorded" not in looked.err


# ---- kubectl as a program
# -------------------------------------------------------------------------------------------------------------


def script(folder: Path, text: str) -> str:
    path = folder / "kubectl"
    path.write_text(f"#!{sys.executable} -S\n{text}")
    path.chmod(0o755)
    return str(path)


@pytest.mark.usefixtures("_rules_once")
def test_no_kubectl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kubectl_plugin.run_typer(["vllm-0"]) == 3
    assert capsys.readouterr().err == "qvl-doctor: kubectl is not installed, or not on the PATH\n"


def test_a_call_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    program = script(tmp_path, "import sys, time\nprint('early', flush=True)\ntime.sleep(60)")
    started = time.monotonic()
    asked = Kubectl(seconds=0.5, program=program)
    with pytest.raises(InputError, match="timeout"):
        asked.read("get", "pods")
    assert b"".join(asked.stream("logs", "a")).strip() == b"early"
    assert asked.trouble is not None
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "said",
    ["while True: print('x' * 1000)", "import os, time\nos.write(1, b'x')\ntime.sleep(60)"],
    ids=["talks", "waits"],
)
def test_a_reader_that_stops_leaves_no_process(said: str, tmp_path: Path) -> None:
    program = script(tmp_path, said)
    stream = Kubectl(program=program).stream("logs", "a")
    assert next(stream)
    started = time.monotonic()
    stream.close()  # type: ignore[attr-defined]  # it is a generator
    assert time.monotonic() - started < 10


NONSENSE = [
    "",
    "{",
    "[]",
    "null",
    '{"kind": "Pod"}',
    '{"kind": "List", "items": [1, null, {"kind": "Pod"}]}',
    "x" * 100,
]


@pytest.mark.usefixtures("_rules_once")
@pytest.mark.parametrize("words", [["vllm-0"], ["deploy/vllm"], []], ids=["pod", "owner", "nothing"])
@pytest.mark.parametrize("printed", NONSENSE)
def test_answers_that_make_no_sense(
    printed: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, f"print({printed!r})")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kubectl_plugin.run_typer(words) == 3


def test_selectors() -> None:
    (found,) = of_json(
        '{"kind": "x", "spec": {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["b", "c"]}, '
        '{"key": "gone", "operator": "DoesNotExist"}]}}'
    )
    assert selector_of(found.get("spec")) == "app=a,tier in (b,c),!gone"
    (service,) = of_json('{"kind": "Service", "spec": {"selector": {"app": "vllm"}}}')
    assert selector_of(service.get("spec", "selector")) == "app=vllm"


def test_the_release_that_an_image_names() -> None:
    assert release_of("vllm/vllm-openai:v0.8.5") == "0.8.5"
    assert release_of("mirror:5000/vllm/vllm-openai:v0.11.0-x86_64") == "0.11.0"
    assert release_of("vllm/vllm-openai:latest") == ""


def test_the_spec_is_judged_where_the_pod_is_not_ready(plugin: Plugin) -> None:
    found = plugin("killed-while-loading", words_of("killed-while-loading"), "--format", "json").report["findings"]
    assert "probe-shorter-than-start" in {each["rule"] for each in found}
    healthy = plugin("healthy", words_of("healthy"), "--format", "json").report["findings"]
    assert not [each for each in healthy if each["rule"].startswith(("probe-", "pod-without"))]
