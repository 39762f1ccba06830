"""Exit codes: one table for the code, `--help` and the README, and every command by it."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from program import run_text as run
from typer.testing import CliRunner

from qvl_doctor.cli import app, kubectl_plugin
from qvl_doctor.cli.exit_codes import BUG, FOUND, OK, UNKNOWN, UNREADABLE, USAGE, exit_codes
from qvl_doctor.cli.options import FAIL_ON
from qvl_doctor.cli.session import exit_code, worst
from qvl_doctor.diagnose.verdict import concluded, without
from qvl_doctor.messages import both
from qvl_doctor.model import SEVERITIES, Diagnosis, Finding, Shown

COMMANDS = ("logs", "plan", "check", "manifest", "bundle", "kubectl qvl-doctor")
REASON = both("sizing.release")
TEXT = {"en": "t", "zh": "t"}


def finding(severity: str) -> Finding:
    return Finding(f"a-{severity}", "cause", severity, "certain", TEXT, TEXT)


def about(kind: str, severity: str = "", *, reason: bool = False, up: bool = False) -> Diagnosis:
    findings = (finding(severity),) if severity else ()
    return concluded(Diagnosis("x", findings=findings, shown=Shown(kind, up=up, reason=REASON if reason else None)))


# ---- The codes of one report


@pytest.mark.parametrize("kind", ["log", "pod", "examined"])
@pytest.mark.parametrize(("severity", "fail_on"), [*itertools.product(SEVERITIES, FAIL_ON)])
def test_severity_by_fail_on(kind: str, severity: str, fail_on: str) -> None:
    counts = {"fatal": 0, "degraded": 1, "notice": 2, "unknown": 1, "never": -1}[fail_on]
    found = exit_code(about(kind, severity, up=True), fail_on)
    assert found == (FOUND if SEVERITIES.index(severity) <= counts else OK)


@pytest.mark.parametrize("kind", ["log", "pod"])
@pytest.mark.parametrize("severity", ["", "notice"])
@pytest.mark.parametrize("fail_on", FAIL_ON)
def test_an_unknown_end_is_no_failure_unless_asked(kind: str, severity: str, fail_on: str) -> None:
    expected = {"unknown": UNKNOWN, "notice": FOUND if severity else OK}.get(fail_on, OK)
    assert exit_code(about(kind, severity), fail_on) == expected
    assert exit_code(about(kind, severity, reason=True), fail_on) == expected


@pytest.mark.parametrize("fail_on", FAIL_ON)
def test_what_was_to_be_computed_and_was_not(fail_on: str) -> None:
    assert exit_code(about("examined", reason=True), fail_on) == (OK if fail_on == "never" else UNKNOWN)
    found = {"fatal": UNKNOWN, "never": OK}.get(fail_on, FOUND)
    assert exit_code(about("examined", "degraded", reason=True), fail_on) == found


@pytest.mark.parametrize("kind", ["log", "pod", "examined"])
@pytest.mark.parametrize(("severity", "fail_on"), [*itertools.product(SEVERITIES, FAIL_ON)])
def test_what_is_ignored_does_not_count_but_a_death_does(kind: str, severity: str, fail_on: str) -> None:
    ignored = without(about(kind, severity, up=True), {f"a-{severity}"})
    dead = severity == "fatal" and kind != "examined" and fail_on != "never"
    assert exit_code(ignored, fail_on) == (FOUND if dead else OK)


@pytest.mark.parametrize("codes", [*itertools.permutations((OK, UNKNOWN, FOUND, UNREADABLE, BUG), 2)])
def test_of_several_inputs_the_worst_decides(codes: tuple[int, int]) -> None:
    order = (BUG, UNREADABLE, FOUND, UNKNOWN, OK)
    assert worst(codes) == next(code for code in order if code in codes)
    assert worst([]) == OK


# ---- The table, in help and README


def helped(command: str) -> str:
    typed = kubectl_plugin.app if command.startswith("kubectl") else app.app
    words = ["--help"] if command.startswith("kubectl") else [command, "--help"]
    return CliRunner().invoke(typed, words, env={"COLUMNS": "200"}).output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_the_codes_of_its_command(command: str) -> None:
    said = helped(command)
    rows = re.findall(r"^ +(\d+)  (\S.*?) *$", said[said.index("Exit codes:") :], re.MULTILINE)
    assert {int(code): text for code, text in rows} == exit_codes(command)


def test_readme_has_the_codes_of_all_commands(root: Path) -> None:
    page = (root / "README.md").read_text(encoding="utf-8")
    table = page[page.index("| exit code | |") :].partition("\n\n")[0]
    rows = {
        int(code): said.replace("`", "") for code, said in re.findall(r"^\| (\d+) \| (.*) \|$", table, re.MULTILINE)
    }
    known = exit_codes("logs")
    assert rows.keys() == known.keys() == {OK, FOUND, USAGE, UNREADABLE, UNKNOWN, BUG}
    assert {code: said for code, said in rows.items() if code != UNKNOWN} == {
        code: said for code, said in known.items() if code != UNKNOWN
    }
    assert all(exit_codes(command)[UNKNOWN] in rows[UNKNOWN] for command in COMMANDS if command != "bundle")


# ---- The commands

PLAN = ("plan", "--vllm", "0.11.0", "--gpu")
FITS = ("--", "vllm", "serve", "Qwen/Qwen2.5-7B-Instruct", "--max-model-len", "8192")
STRANGE = ("--", "vllm", "serve", "nobody/knows-this")
MANIFEST = """\
apiVersion: v1
kind: Pod
metadata: {{name: x}}
spec:
  containers:
  - name: vllm
    image: vllm/vllm-openai:v0.11.0
    args: [--model, {model}, --max-model-len, "8192"]
    resources: {{limits: {{nvidia.com/gpu: 1}}}}
"""


class Call(NamedTuple):
    words: tuple[str, ...]
    code: int
    stdin: str = ""


CALLS = {
    "logs-healthy": Call(("logs", "fixtures/healthy/0.11.0-healthy-vl.log"), OK),
    "logs-failed": Call(("logs", "fixtures/failed/0.11.0-lora-rank.log"), FOUND),
    "logs-failed-never": Call(("logs", "--fail-on", "never", "fixtures/failed/0.11.0-lora-rank.log"), OK),
    "logs-no-log": Call(("logs", "-"), UNREADABLE, "a letter to a friend\n"),
    "logs-no-log-never": Call(("logs", "--fail-on", "never", "-"), UNREADABLE, "a letter to a friend\n"),
    "logs-several": Call(
        (
            "logs",
            "-f",
            "jsonl",
            "fixtures/healthy/0.11.0-healthy-vl.log",
            "none.log",
            "fixtures/failed/0.11.0-lora-rank.log",
        ),
        UNREADABLE,
    ),
    "logs-pip-missing": Call(("logs", "--pip", "none.txt", "fixtures/healthy/0.11.0-healthy-vl.log"), USAGE),
    "logs-gpu-unknown": Call(("logs", "--gpu", "L44", "fixtures/healthy/0.11.0-healthy-vl.log"), USAGE),
    "plan-fits": Call((*PLAN, "H100", *FITS), OK),
    "plan-does-not-fit": Call((*PLAN, "T4", "--fail-on", "unknown", *FITS), FOUND),
    "plan-does-not-fit-never": Call((*PLAN, "T4", "--fail-on", "never", *FITS), OK),
    "plan-unknown": Call((*PLAN, "H100", *STRANGE), UNKNOWN),
    "plan-unknown-unknown": Call((*PLAN, "H100", "--fail-on", "unknown", *STRANGE), UNKNOWN),
    "plan-unknown-never": Call((*PLAN, "H100", "--fail-on", "never", *STRANGE), OK),
    "plan-wrong-and-unknown": Call((*PLAN, "H100", *STRANGE, "--max-model-length", "1"), FOUND),
    "plan-gpu-unknown": Call((*PLAN, "H1000", *FITS), USAGE),
    **{
        f"{command}-gpu-{gpu}": Call((command, "--gpu", gpu, *words), USAGE)
        for gpu in ("A100", "V100", "H100 MIG 3g.40gb", "Orin NX", "2x4090")
        for command, words in {
            "plan": FITS,
            "manifest": ("-",),
            "logs": ("fixtures/healthy/0.11.0-healthy-vl.log",),
        }.items()
    },
    "plan-no-gpu": Call(("plan", *FITS), USAGE),
    "plan-no-file": Call((*PLAN, "H100", "--command", "none.sh"), UNREADABLE),
    "manifest-no-gpu": Call(("manifest", "-"), OK, MANIFEST.format(model="nobody/knows-this")),
    "manifest-fits": Call(("manifest", "--gpu", "H100", "-"), OK, MANIFEST.format(model="Qwen/Qwen2.5-7B-Instruct")),
    "manifest-unknown": Call(("manifest", "--gpu", "H100", "-"), UNKNOWN, MANIFEST.format(model="nobody/knows-this")),
    "manifest-unknown-never": Call(
        ("manifest", "--gpu", "H100", "--fail-on", "never", "-"), OK, MANIFEST.format(model="nobody/knows-this")
    ),
    "manifest-does-not-fit": Call(
        ("manifest", "--gpu", "T4", "-"), FOUND, MANIFEST.format(model="Qwen/Qwen2.5-72B-Instruct")
    ),
    "manifest-no-vllm": Call(("manifest", "-"), UNREADABLE, "a: 1\n"),
    "check-no-file": Call(("check", "--from", "none.json"), UNREADABLE),
    "check-only-what": Call(("check", "--only", "gpus"), USAGE),
    "explain-what": Call(("explain", "no-such-rule"), USAGE),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_command_ends_with_its_code(name: str, root: Path) -> None:
    call = CALLS[name]
    words = [str(root / word) if word.startswith("fixtures/") else word for word in call.words]
    done = run(*words, stdin=call.stdin.encode())
    assert done.returncode == call.code, done.stdout + done.stderr


def seen_on(**facts: object) -> bytes:
    return json.dumps({"schema": "qvl-doctor/env/1", "made": "2026-01-01T00:00:00Z", "facts": facts}).encode()


GPU = {"vllm": "0.11.0", "nvml": "ok", "gpu_count": 1, "gpu_name": "NVIDIA H100 80GB HBM3", "total_gib": 79.1}


@pytest.mark.parametrize(
    ("facts", "command", "code"),
    [(GPU, FITS, OK), (GPU, STRANGE, UNKNOWN), ({"vllm": "0.11.0"}, STRANGE, OK), (GPU, (), OK)],
)
def test_check_says_4_where_a_gpu_is_there_and_the_fit_is_unknown(
    facts: dict[str, object], command: tuple[str, ...], code: int
) -> None:
    done = run("check", "--from", "-", *command, stdin=seen_on(**facts))
    assert done.returncode == code, done.stdout + done.stderr
    assert ("UNKNOWN  Whether the command fits the GPU is unknown" in done.stdout) is (code == UNKNOWN)


def test_quiet_says_why_nothing_is_certain() -> None:
    done = run(*PLAN, "H100", "--quiet", *STRANGE)
    assert (
        done.stdout
        == "? UNKNOWN  Memory was not computed: qvl-doctor has no built-in data for model nobody/knows-this. Pass --model-dir.\n"
    )


# ---- Bugs of ours


def test_a_bug_costs_one_report(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qvl_doctor.logs.records import LogReader

    whole = LogReader.feed

    def broken(self: LogReader, chunk: bytes) -> object:
        if b"max_lora_rank" in chunk:
            raise IndexError("a secret of the log: sk-123")
        return whole(self, chunk)

    monkeypatch.setattr(LogReader, "feed", broken)
    failed, healthy = (
        root / "fixtures" / name for name in ("failed/0.11.0-lora-rank.log", "healthy/0.11.0-healthy-vl.log")
    )
    done = run("logs", "--format", "jsonl", failed, healthy, "none.log")
    assert done.returncode == BUG
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["verdict"] for report in reports] == ["unknown", "healthy", "unknown"]
    assert "IndexError at workflows/log.py:" in reports[0]["summary"]["en"]
    assert done.stderr.count("\n") == 1
    assert "please open an issue" in done.stderr
    assert "sk-123" not in done.stdout + done.stderr
    console = run("logs", failed)
    assert "UNKNOWN" in console.stdout
    assert console.returncode == BUG


def test_a_bug_in_a_format_is_told_in_that_format(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qvl_doctor.report import markdown

    whole = markdown.render
    monkeypatch.setattr(markdown, "render", lambda found, lang: whole(found, lang) if not found.runs else 1 / 0)
    done = run("logs", "--format", "markdown", root / "fixtures/failed/0.11.0-lora-rank.log")
    assert done.returncode == BUG
    assert "ZeroDivisionError" in done.stdout


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("qvl_doctor.workflows.plan.diagnose", (*PLAN, "H100", *FITS)),
        ("qvl_doctor.workflows.manifest.diagnose", ("manifest", "-")),
        ("qvl_doctor.workflows.machine.diagnose", ("check", "--only", "host")),
        ("qvl_doctor.cli.inputs.rule_book", ("explain", "http-500")),
        ("qvl_doctor.workflows.bundle.pack", ("bundle", "--no-check", "-o", "{tmp}/x.zip", "-")),
    ],
)
def test_a_bug_of_any_command_is_no_traceback(
    broken: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(broken, fail)
    monkeypatch.setattr("qvl_doctor.cli.explain.rule_book", fail)
    done = run(*(word.format(tmp=tmp_path) for word in words), stdin=b"x: 1\n")
    assert done.returncode == BUG, done.stderr
    assert "Traceback" not in done.stderr
    assert "please open an issue" in done.stderr
    assert list(tmp_path.iterdir()) == []
