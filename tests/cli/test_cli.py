"""The command as people call it: exit codes, bad input, pipes that close, options read alike by both ways."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from program import DOCTOR, apart
from program import run as in_this_process
from program import run_text as run

from qvl_doctor.cli import app, logs
from qvl_doctor.cli.options import LogsOptions, read_quickly, with_command

OOM = "article/oom-9.03.log"
HEALTHY = "healthy/0.11.0-healthy-vl.log"
FAILED = "failed/0.11.0-lora-rank.log"


def command(*arguments: str | Path) -> list[str]:
    return [*DOCTOR, *map(str, arguments)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-"],
        ["logs", "--format", "json", "--lang", "zh", "-"],
        ["logs", "none.log"],
        ["logs", "--colour", "-"],
        ["plan", "--gpu", "H100", "--", "vllm", "serve", "Qwen/Qwen2.5-VL-7B-Instruct"],
        ["explain", "no-such-rule"],
        ["logs", "--help"],
        ["--version"],
    ],
)
def test_a_process_of_its_own_says_what_tests_see_in_theirs(arguments: list[str], fixtures: Path) -> None:
    """Most tests call the program without starting it: this is what makes that enough."""
    text = (fixtures / OOM).read_bytes()
    one, other = apart(*arguments, stdin=text), in_this_process(*arguments, stdin=text)
    assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr)


def test_failed_start_up_exits_1_and_names_its_cause(fixtures: Path) -> None:
    done = run("logs", "--format", "json", fixtures / FAILED)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["verdict"], report["findings"][0]["role"]) == ("failed", "cause")


def test_healthy_start_up_exits_0(fixtures: Path) -> None:
    assert run("logs", fixtures / HEALTHY).returncode == 0


@pytest.mark.parametrize("arguments", [["-"], ["logs", "-"], ["--format", "jsonl", "-"]])
def test_standard_input_and_the_short_form(fixtures: Path, arguments: list[str]) -> None:
    done = run(*arguments, stdin=(fixtures / FAILED).read_bytes())
    assert done.returncode == 1
    assert "LoRA rank 64" in done.stdout


def test_jsonl_is_one_report_a_line_in_the_order_of_the_inputs_unreadable_ones_too(
    fixtures: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.log"
    empty.touch()
    packed = tmp_path / "pod.gz"
    packed.write_bytes(gzip.compress((fixtures / OOM).read_bytes()))
    paths = [fixtures / FAILED, empty, tmp_path / "none.log", tmp_path, packed, fixtures / HEALTHY]
    done = run("logs", "--format", "jsonl", *paths)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["source"] for report in reports] == [str(path) for path in paths]
    assert [report["verdict"] for report in reports] == ["failed", "unknown", "unknown", "unknown", "failed", "healthy"]
    assert all(report["not_checked"] for report in reports[1:4])
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.log", b"", "is empty"),
        ("binary.log", b"\x7fELF" + bytes(9999), "binary"),
        ("notes.txt", b"milk, eggs, and\nthree lanterns\n", "not a vLLM log"),
        ("broken.gz", gzip.compress(b"x" * 99999, mtime=0)[:40], "cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_one_clear_line_and_exit_3(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    done = run("logs", path)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_path_directory_and_unreadable_file(tmp_path: Path) -> None:
    assert "no such file" in run("logs", tmp_path / "none.log").stderr
    assert "is a directory" in run("logs", tmp_path).stderr
    locked = tmp_path / "locked.log"
    locked.write_text("x")
    locked.chmod(0)
    if not os.access(locked, os.R_OK):  # root may read everything
        assert "permission denied" in run("logs", locked).stderr


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak of a process's own memory is read from Linux's /proc"
)
def test_200_mb_in_one_line_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(b"x" * 1_000_000)
    script = (
        "import sys\nfrom qvl_doctor.cli.main import main\ntry: main()\n"
        "finally: print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "logs", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 3
    assert int(done.stderr.split()[-1]) < 120 * 1024


def test_closed_pipe_is_no_error(fixtures: Path) -> None:
    logs_ = f"{fixtures / FAILED} {fixtures / FAILED} {fixtures / HEALTHY}"
    shell = f"{shlex.join(DOCTOR)} logs --format jsonl {logs_} | head -c 20 >/dev/null"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=False, timeout=60)  # noqa: S602 — a pipe needs a shell
    assert (done.returncode, done.stderr) == (0, "")


def test_closed_standard_input_is_said() -> None:
    shell = f"{shlex.join(DOCTOR)} - <&-"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=False, timeout=60)  # noqa: S602 — only a shell closes it
    assert done.returncode == 3
    assert done.stderr.startswith("qvl-doctor: standard input: cannot be read")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_ends_cleanly() -> None:
    with subprocess.Popen(
        command("-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in errors


def test_output_file_is_whole_or_not_there(fixtures: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    assert run("logs", "--format", "json", "--output", target, fixtures / FAILED).returncode == 1
    assert json.loads(target.read_text(encoding="utf-8"))["verdict"] == "failed"
    assert list(tmp_path.iterdir()) == [target]
    assert "cannot be written" in run("logs", "--output", tmp_path / "no" / "where", fixtures / FAILED).stderr


def test_wrong_usage_exits_2(fixtures: Path) -> None:
    for arguments in (
        ["logs"],
        ["logs", "--format", "pdf", "x"],
        ["logs", "--colour", "x"],
        ["explain", "no-such-rule"],
    ):
        assert run(*arguments).returncode == 2, arguments
    assert run("logs", "--format", "json", fixtures / FAILED, fixtures / HEALTHY).returncode == 2


def test_fail_on_and_ignore(fixtures: Path) -> None:
    assert run("logs", "--fail-on", "never", fixtures / FAILED).returncode == 0
    report = json.loads(run("logs", "--format", "json", fixtures / FAILED).stdout)
    ignored = [argument for finding in report["findings"] for argument in ("--ignore", finding["rule"])]
    assert run("logs", *ignored, fixtures / FAILED).returncode == 1  # it died, whatever is ignored
    assert run("logs", *ignored, "--fail-on", "never", fixtures / FAILED).returncode == 0


def test_secrets_are_masked_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "pod.log"
    path.write_text(
        "INFO 02-16 10:03:00 api_server.py:841] args: Namespace(model='m', api_key='sk-verysecret12345')\n"
        "RuntimeError: token hf_abcdefghijklmnopqrstuvwx is bad\n"
    )
    masked = run("logs", "--format", "json", path).stdout
    assert "verysecret" not in masked
    assert "hf_abc" not in masked
    assert "hf_abc" in run("logs", "--format", "json", "--no-redact", path).stdout


def test_log_text_cannot_style_or_move_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "pod.log"
    path.write_text("RuntimeError: [bold red]boo[/] \x1b[2J\x1b]0;owned\x07 \u202eevil\n", encoding="utf-8")
    for form in ("console", "markdown"):
        shown = run("logs", "--format", form, path).stdout
        assert "\x1b[2J" not in shown
        assert "\x1b]" not in shown
        assert "\u202e" not in shown
    assert "[bold red]boo[/]" in run("logs", path).stdout


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_format_in_both_languages(fixtures: Path, lang: str) -> None:
    for form in ("console", "json", "jsonl", "markdown"):
        done = run("logs", "--format", form, "--lang", lang, fixtures / OOM)
        assert done.returncode == 1, done.stderr
        assert "9.03 GiB" in done.stdout


def test_both_ways_read_options_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[LogsOptions] = []

    def catch(options: LogsOptions) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(logs, "run", catch)
    calls = [
        ["logs", "a.log"],
        ["-"],
        ["a.log", "b.log", "--format", "jsonl"],
        ["logs", "-f", "json", "-o", "x.json", "a"],
        ["logs", "--format=markdown", "--lang=zh", "--fail-on", "notice", "a"],
        ["logs", "--ignore", "one", "--ignore=two", "--rules", "dir", "--override", "a"],
        ["logs", "--pip", "pip.txt", "--follow", "--quiet", "--no-color", "--no-redact", "a"],
        ["logs", "-q", "-", "--fail-on", "never"],
        ["logs", "--follow", "--until", "ready", "--timeout=600", "-"],
    ]
    for arguments in calls:
        quick = read_quickly(with_command(arguments))
        assert quick is not None, arguments
        assert app.run_typer(with_command(arguments)) == 0
        assert seen.pop() == quick, arguments


@pytest.mark.parametrize(
    "arguments",
    [
        ["logs"],
        ["logs", "--help"],
        ["logs", "--format"],
        ["logs", "--format", "pdf", "a"],
        ["logs", "--follow", "--until", "noon", "a"],
        ["logs", "--nope", "a"],
        ["rules", "list"],
        [],
    ],
)
def test_the_quick_way_leaves_the_rest_to_typer(arguments: list[str]) -> None:
    assert read_quickly(with_command(arguments)) is None


@pytest.mark.parametrize("arguments", [["--help"], ["logs", "--help"], ["explain", "--help"], ["rules", "--help"], []])
def test_help_teaches_with_examples(arguments: list[str]) -> None:
    done = run(*arguments)
    assert "qvl-doctor" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert len((done.stdout + done.stderr).splitlines()) > 5


def test_version() -> None:
    assert run("--version").stdout.startswith("qvl-doctor 0.")


def test_an_ignored_cause_is_no_health(fixtures: Path) -> None:
    log = fixtures / "article" / "oom-9.03.log"
    done = run("logs", "--ignore", "oom-no-traceback", log)
    assert done.returncode == 1
    assert "FAILED  The start failed; its cause is ignored" in done.stdout
    assert "1 finding ignored: oom-no-traceback" in done.stdout
    report = json.loads(run("logs", "--format", "json", "--ignore", "oom-no-traceback", log).stdout)
    assert (report["verdict"], report["findings"], report["ignored"]) == ("failed", [], ["oom-no-traceback"])
    page = run("logs", "--format", "markdown", "--lang", "zh", "--ignore", "oom-no-traceback", log).stdout
    assert "已忽略 1 条诊断结果：oom-no-traceback" in page


PLAN = ("--gpu", "L4", "--", "vllm", "serve", "Qwen/Qwen2.5-VL-72B-Instruct")


def test_a_plan_whose_finding_is_ignored_is_printed() -> None:
    whole = json.loads(run("plan", "--format", "json", *PLAN).stdout)
    assert whole["verdict"] == "failed"
    ignored = [word for finding in whole["findings"] for word in ("--ignore", finding["rule"])]
    done = run("plan", *ignored, *PLAN)
    assert "FAILED  It will not start; the reason is ignored" in done.stdout
    assert done.returncode == 0  # nothing was started, so nothing died
    assert run("plan", "--quiet", *ignored, *PLAN).stdout.count("\n") == 1


def test_names_to_ignore_are_names_of_rules(fixtures: Path, tmp_path: Path) -> None:
    log = fixtures / FAILED
    done = run("logs", "--ignore", "oom-no-tracebak", log)
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean oom-no-traceback" in done.stderr
    for command in (["plan", "--gpu", "L4"], ["manifest", "x.yaml"], ["check"]):
        assert run(*command, "--ignore", "no-such-rule").returncode == 2
    shipped = next((fixtures.parent / "rules").rglob("oom-no-traceback.yaml")).read_text(encoding="utf-8")
    own = shipped.replace("id: oom-no-traceback", "id: my-own")
    (tmp_path / "my-own.yaml").write_text(own, encoding="utf-8")
    assert run("logs", "--rules", tmp_path, "--ignore", "my-own", log).returncode == 1
    for name in ("unrecognized-failure", "weights-size-differs"):
        assert run("logs", "--ignore", name, log).returncode == 1


def test_the_quick_way_loads_nothing_that_it_does_not_need(fixtures: Path) -> None:
    heavy = ("typer", "rich", "dataclasses", "qvl_doctor.memory", "qvl_doctor.launch.command", "qvl_doctor.machine")
    watched = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print(*(each for each in {heavy!r} if each in sys.modules), file=sys.stderr))\n"
    )
    start = DOCTOR[-1]
    words = ["logs", "--format", "json", str(fixtures / HEALTHY)]
    done = subprocess.run([*DOCTOR[:-1], watched + start, *words], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["verdict"] == "healthy"
    assert done.stderr.split() == []


def test_a_healthy_log_reads_no_table(fixtures: Path) -> None:
    watched = (
        "import sys\n"
        "def watch(event, values):\n"
        "    name = str(values[0]) if event == 'open' else ''\n"
        "    if '/knowledge/' in name and name.endswith('.json'): print(name, file=sys.stderr)\n"
        "sys.addaudithook(watch)\n"
    )
    words = ["logs", "--format", "json"]
    read = {}
    for log in (HEALTHY, FAILED):
        start = [*DOCTOR[:-1], watched + DOCTOR[-1], *words, str(fixtures / log)]
        read[log] = subprocess.run(start, capture_output=True, text=True, check=False).stderr.split()
    assert read[HEALTHY] == []
    assert read[FAILED]  # the watch works
