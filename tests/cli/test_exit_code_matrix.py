"""What each command exits with: its worst finding by `--fail-on`, with that finding ignored or not."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kube.answers import Looking
from program import RULES
from program import run_text as run

from qvl_doctor import rulebook
from qvl_doctor.cli import kubectl_plugin
from qvl_doctor.cli.exit_codes import FOUND, OK, UNKNOWN
from qvl_doctor.cli.options import FAIL_ON, ReportOptions
from qvl_doctor.workflows.one_pod import Asked

#: The worst severity → the values of --fail-on for which a command ends with 1.
COUNTS = {
    "fatal": {"fatal", "degraded", "notice", "unknown"},
    "degraded": {"degraded", "notice", "unknown"},
    "notice": {"notice"},
    "": set[str](),
}
#: The worst severity → words that give a command a finding of it, and the rule.
WORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "fatal": (("--max-model-length", "1"), "unknown-argument"),
    "degraded": (("--max-model-len", "4096"), "flag-given-twice"),
    "notice": (("--disable-log-requests",), "flag-deprecated"),
    "": ((), "flag-deprecated"),
}
SERVE = ("vllm", "serve", "Qwen/Qwen2.5-7B-Instruct", "--max-model-len", "8192")
#: The same for a log.
LOGS = {
    "fatal": ("failed/0.32.0-auto-tool-no-parser.log", "tool-parser-missing"),
    "degraded": ("article/worst-case-5120.log", "mm-worst-case-too-long"),
    "notice": ("requests/empty-messages.log", "requests-refused"),
    "": ("", "requests-refused"),
}
MATRIX = [*itertools.product(COUNTS, FAIL_ON, (False, True))]
POD: dict[str, Any] = {
    "kind": "Pod",
    "metadata": {"name": "a"},
    "spec": {
        "restartPolicy": "Always",
        "containers": [{"name": "c", "image": "vllm/vllm-openai:v0.32.0", "args": ["--model", "/m"]}],
    },
}


class Ended(NamedTuple):
    """An exit code, and what was printed."""

    code: int
    out: str


@pytest.fixture(autouse=True)
def _rules_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the rules takes longer than everything else here."""
    monkeypatch.setattr(rulebook, "shipped", lambda **_: RULES)


def expected(severity: str, fail_on: str, *, ignored: bool, dead: bool = False) -> int:
    """With the finding ignored nothing counts, but that a server died."""
    counts = fail_on in COUNTS[severity] and (dead or not ignored)
    return FOUND if counts else OK


def options(fail_on: str, rule: str, *, ignored: bool) -> tuple[str, ...]:
    return ("--fail-on", fail_on, *(("--ignore", rule) if ignored else ()), "--format", "json")


def ended(*words: str, stdin: str = "") -> Ended:
    done = run(*words, stdin=stdin.encode())
    assert not done.stderr
    return Ended(done.returncode, done.stdout)


def holds(done: Ended, severity: str, rule: str, *, ignored: bool) -> bool:
    """Whether the report has the finding that the row is about, and no other that would hide it."""
    found = [(each["severity"], each["rule"]) for each in json.loads(done.out)["findings"]]
    return (found[:1] == [(severity, rule)]) is (bool(severity) and not ignored)


def log_of(fixtures: Path, severity: str) -> str:
    """A log whose worst finding is of that severity. What is no start of its own follows one that went well."""
    name, _ = LOGS[severity]
    more = (fixtures / name).read_text(encoding="utf-8") if name else ""
    start = (fixtures / "healthy/0.32.0-healthy-vl.log").read_text(encoding="utf-8")
    up = "Application startup complete.\n"
    return more if severity in {"fatal", "degraded"} else start.partition(up)[0] + up + more


@pytest.mark.parametrize(("severity", "fail_on", "ignored"), MATRIX)
def test_logs(severity: str, fail_on: str, fixtures: Path, *, ignored: bool) -> None:
    rule = LOGS[severity][1]
    done = ended("logs", *options(fail_on, rule, ignored=ignored), "-", stdin=log_of(fixtures, severity))
    assert done.code == expected(severity, fail_on, ignored=ignored, dead=severity == "fatal")
    assert holds(done, severity, rule, ignored=ignored)


@pytest.mark.parametrize(("severity", "fail_on", "ignored"), MATRIX)
def test_plan(severity: str, fail_on: str, *, ignored: bool) -> None:
    words, rule = WORDS[severity]
    asked = options(fail_on, rule, ignored=ignored)
    done = ended("plan", "--vllm", "0.11.0", "--gpu", "H100", *asked, "--", *SERVE, *words)
    assert done.code == expected(severity, fail_on, ignored=ignored)
    assert holds(done, severity, rule, ignored=ignored)


@pytest.mark.parametrize(("severity", "fail_on", "ignored"), MATRIX)
def test_manifest(severity: str, fail_on: str, *, ignored: bool) -> None:
    words, rule = WORDS[severity]
    container: dict[str, Any] = {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.11.0",
        "args": [*SERVE[2:], *words],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [container]}}
    asked = (*options(fail_on, rule, ignored=ignored), "--ignore", "model-downloaded-at-each-start")
    done = ended("manifest", "--gpu", "H100", *asked, "-", stdin=json.dumps(pod))
    assert done.code == expected(severity, fail_on, ignored=ignored)
    assert holds(done, severity, rule, ignored=ignored)


@pytest.mark.parametrize(("severity", "fail_on", "ignored"), MATRIX)
def test_check(severity: str, fail_on: str, *, ignored: bool) -> None:
    words, rule = WORDS[severity]
    seen = {"schema": "qvl-doctor/env/1", "made": "2026-01-01T00:00:00Z", "facts": {"vllm": "0.11.0"}}
    asked = options(fail_on, rule, ignored=ignored)
    done = ended("check", "--from", "-", *asked, "--", *SERVE, *words, stdin=json.dumps(seen))
    assert done.code == expected(severity, fail_on, ignored=ignored)
    assert holds(done, severity, rule, ignored=ignored)


@pytest.mark.parametrize(("severity", "fail_on", "ignored"), MATRIX)
def test_a_pod(
    severity: str,
    fail_on: str,
    fixtures: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    ignored: bool,
) -> None:
    rule = LOGS[severity][1]
    ready = severity != "fatal"
    state = {"name": "c", "ready": ready, "state": {"running": {}}}
    pod = {**POD, "status": {"phase": "Running", "containerStatuses": [state]}}
    cluster = Looking(pod, log_of(fixtures, severity))
    printed = io.StringIO()
    monkeypatch.setattr("sys.stdout", printed)
    report = ReportOptions("json", fail_on=fail_on, ignore=(rule,) if ignored else ())
    code = kubectl_plugin.run(report, Asked(), cluster)
    assert code == expected(severity, fail_on, ignored=ignored, dead=severity == "fatal")
    assert holds(Ended(code, printed.getvalue()), severity, rule, ignored=ignored)


@pytest.mark.parametrize("severity", COUNTS)
def test_an_archive_is_written_whatever_the_reports_say(severity: str, fixtures: Path, tmp_path: Path) -> None:
    archive = tmp_path / "x.tar.gz"
    done = run("bundle", "--no-check", "-o", archive, "-", stdin=log_of(fixtures, severity).encode())
    assert (done.returncode, archive.exists()) == (OK, True)


@pytest.mark.parametrize("fail_on", FAIL_ON)
@pytest.mark.parametrize("ignored", [(), ("unknown-argument",)])
def test_a_plan_that_cannot_be_computed(fail_on: str, ignored: tuple[str, ...]) -> None:
    """The finding, or what is not known where it is ignored."""
    words = ("--", "vllm", "serve", "nobody/knows-this", *WORDS["fatal"][0])
    dropped = (word for rule in ignored for word in ("--ignore", rule))
    done = ended("plan", "--vllm", "0.11.0", "--gpu", "H100", "--fail-on", fail_on, *dropped, *words)
    assert done.code == (OK if fail_on == "never" else UNKNOWN if ignored else FOUND)
