"""`qvl-doctor check` as people call it.

Contradicting options, odd files of other machines, terminals, interrupts, and its checklist.
"""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checking import SERVE, doctor
from program import DOCTOR, RULES
from program import run_text as run
from rich.console import Console

from qvl_doctor.cli import completing
from qvl_doctor.cli.app import run_typer
from qvl_doctor.machine import PROBES, imports
from qvl_doctor.machine.export import SCHEMA, Environment
from qvl_doctor.model import Diagnosis, Fact, Seen
from qvl_doctor.report import console
from qvl_doctor.report.checklist import Looked, checklist, counts, groups
from qvl_doctor.workflows import machine

EVERYTHING = frozenset(PROBES)


def test_a_machine_with_nothing_gives_a_useful_page() -> None:
    done = doctor("--no-import-test", "--vllm", "0.11.0", *SERVE)
    assert done.returncode == 1
    for said in ("vLLM is not installed", "driver", "shared memory", "the GPU is unknown"):
        assert said in done.stdout
    assert "Traceback" not in done.stderr


# ---- The checklist


@pytest.mark.parametrize(
    ("facts", "looked", "name", "status", "says"),
    [
        ({}, Looked(EVERYTHING, EVERYTHING), "flags", "unknown", "no command given: put it after --"),
        ({}, Looked(frozenset({"gpu"}), frozenset({"gpu"})), "shm", "unknown", "left out by --only"),
        ({"vllm": "0.11.0"}, Looked(frozenset({"gpu"}), frozenset({"gpu"})), "vllm", "unknown", "left out by --only"),
        ({"nvml": "library-missing"}, Looked(EVERYTHING, EVERYTHING), "cards", "unknown", "no NVML"),
        ({"nvml": "gpu-lost"}, Looked(EVERYTHING, EVERYTHING), "cards", "unknown", "gpu-lost"),
        ({"nvml": "ok", "gpu_count": 0}, Looked(EVERYTHING, EVERYTHING), "cards", "unknown", "NVML shows no GPU"),
        (
            {},
            Looked(EVERYTHING, EVERYTHING, model="m/n"),
            "folder",
            "unknown",
            "the directory of m/n is not on this machine",
        ),
        ({}, Looked(EVERYTHING, EVERYTHING), "folder", "unknown", "--model-dir"),
        ({}, Looked(EVERYTHING - {"imports"}, EVERYTHING, import_test=False), "imports", "unknown", "--no-import-test"),
        (
            {"imports": "ok", "vllm_installed": "no"},
            Looked(EVERYTHING, EVERYTHING),
            "imports",
            "unknown",
            "neither torch nor vLLM",
        ),
        ({"imports": "ok", "torch": "2.6.0"}, Looked(EVERYTHING, EVERYTHING), "imports", "ok", "can be imported"),
        ({"imports": "failed", "torch": "2.6.0"}, Looked(EVERYTHING, EVERYTHING), "imports", "unknown", "failed"),
        ({"imports": "timeout", "torch": "2.6.0"}, Looked(EVERYTHING, EVERYTHING), "imports", "unknown", "in time"),
        ({"vllm_installed": "no"}, Looked(EVERYTHING, EVERYTHING), "requirements", "unknown", "not installed"),
        ({"python_answers": "no"}, Looked(EVERYTHING, EVERYTHING), "python", "unknown", "--python"),
        ({"probe_failed_host": "KeyError"}, Looked(EVERYTHING, EVERYTHING), "ram", "unknown", "KeyError"),
        ({"port_free": "unknown"}, Looked(EVERYTHING, EVERYTHING), "port", "unknown", "could not be tried"),
        ({"port_free": "yes"}, Looked(EVERYTHING, EVERYTHING), "port", "ok", "free"),
        ({"plan_unknown": "release"}, Looked(EVERYTHING, EVERYTHING, command=True), "fits", "unknown", "--vllm"),
        ({"shm_gib": 0.0625}, Looked(EVERYTHING, EVERYTHING), "shm", "ok", "0.0625 GiB"),
        ({}, Looked(EVERYTHING, frozenset(), file="env.json"), "python", "unknown", "env.json"),
    ],
)
def test_every_line_says_why(facts: dict[str, Any], looked: Looked, name: str, status: str, says: str) -> None:
    told = {each: Fact(value, "probe") for each, value in facts.items()}
    check = next(
        each for each in checklist(Diagnosis("x", "healthy", {"en": "", "zh": ""}, told), looked) if each.name == name
    )
    assert check.status == status
    assert says in check.detail["en"]
    assert all(check.detail.values())


def test_a_group_that_says_one_thing_is_one_line_and_what_was_left_out_is_counted_apart() -> None:
    checks = checklist(Diagnosis("x", "healthy", {"en": "", "zh": ""}), Looked(frozenset({"gpu"}), frozenset({"gpu"})))
    alike = {group: as_one for group, _, as_one in groups(checks)}
    assert alike["host"]
    assert alike["command"]
    assert counts(checks) == {"unknown": 3, "left_out": len(checks) - 3}


@pytest.mark.parametrize("width", [24, 40, 80, 120])
@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_checklist_at_every_width(width: int, lang: str, encoding: str) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    diagnosis = machine.diagnose(Environment({"host": Seen({"shm_gib": Fact(8.0)})}), rules=RULES)
    view = Console(file=file, width=width, no_color=True, highlight=False, markup=False, emoji=False)
    console.render(diagnosis, lang, view)
    file.flush()
    shown = file.buffer.getvalue().decode(encoding)
    assert "8GiB" in re.sub(r"\s", "", shown)
    assert ("✓" in shown) == (encoding == "utf-8")
    from rich.cells import cell_len

    assert max(map(cell_len, shown.splitlines())) <= max(width, 24)


def test_the_names_take_no_more_room_than_those_that_are_shown() -> None:
    diagnosis = machine.diagnose(Environment({"host": Seen({"shm_gib": Fact(8.0)})}), rules=RULES)
    file = io.StringIO()
    console.render(diagnosis, "en", Console(file=file, width=100))
    shown = file.getvalue()
    assert "tokenizer, template, processor" not in shown  # no model was named: the group is one line
    (line,) = (line for line in shown.splitlines() if "shared memory" in line)
    assert line.index("8 GiB") <= len("    ✓ limits of the user  ")


def test_the_json_of_the_checklist_keeps_its_schema(held_by_schema: Callable[[object], None]) -> None:
    done = run("check", "--no-import-test", "--format", "json", *SERVE)
    held_by_schema(json.loads(done.stdout))


# ---- Options


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "gpus"], "Did you mean gpu?"),
        (["--only", "imprts"], "Did you mean imports?"),
        (["--only", "zzz"], "packages, imports, gpu, host, model, command"),
        (["--only", ","], "names no check"),
        (["--only", "imports", "--no-import-test"], "pass only one of the two"),
        (["--from", "x", "--python", "p"], "--python"),
        (["--from", "x", "--export", "y"], "--export"),
        (["--from", "x", "--no-import-test"], "--no-import-test"),
        (["--from", "x", "--model-dir", "d"], "--model-dir"),
        (["--from", "-", "--command", "-"], "only once"),
        (["--export", "x", "--output", "x"], "same file"),
        (["--command", "x", "--", "vllm", "serve", "m"], "pass only one of them"),
    ],
)
def test_contradictions_are_told(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_typer(["check", *arguments]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_names_of_looks_are_completed_behind_a_comma() -> None:
    assert completing.looks("") == list(PROBES)
    assert completing.looks("gpu,h") == ["gpu,host"]
    assert "gpu,gpu" not in completing.looks("gpu,")


def test_the_export_alone_goes_to_standard_output_and_comes_back(tmp_path: Path) -> None:
    done = run("check", "--only", "host", "--export", "-", "--output", str(tmp_path / "report"))
    found = json.loads(done.stdout)
    assert found["schema"] == SCHEMA
    assert "Checklist" in (tmp_path / "report").read_text(encoding="utf-8")
    there = run("check", "--from", "-", "--only", "host", stdin=done.stdout.encode())
    assert there.returncode == done.returncode
    assert found["made"].replace("T", " ").removesuffix("Z") in " ".join(there.stdout.split())
    assert run("check", "--only", "host", "--export", "-").stdout.rstrip().endswith("}")


# ---- Progress, and how it ends


def slow_python(folder: Path, seconds: int = 120) -> Path:
    """An interpreter whose torch takes its time, and starts a child of its own meanwhile."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    child = f"import time; open({str(folder / 'child')!r}, 'w').write(str(__import__('os').getpid())); time.sleep({seconds})"
    site.joinpath("torch.py").write_text(
        f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {child!r}])\ntime.sleep({seconds})\n",
        encoding="utf-8",
    )
    return folder / "bin" / "python"


def alive(pid: int) -> bool:
    """Whether a process still runs; one that only waits to be counted does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def on_a_terminal(*arguments: str, interrupt: Path | None = None, term: str = "xterm-256color") -> tuple[str, int]:
    """What a terminal gets of a command and its exit code; Ctrl-C once that file is there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM=term, LC_ALL="C.UTF-8")
        os.execv(sys.executable, [*DOCTOR, *arguments])  # noqa: S606
    shown, sent, deadline = b"", False, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
        if interrupt and not sent and interrupt.exists() and b"importing torch" in shown:
            sent = True
            os.write(terminal, b"\x03")
    else:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return shown.decode("utf-8", "replace"), code


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="whether a child is gone is read from Linux's /proc")
def test_ctrl_c_in_the_import_test_ends_with_130_and_leaves_no_child(tmp_path: Path) -> None:
    python = slow_python(tmp_path / "venv")
    shown, code = on_a_terminal(
        "check", "--only", "imports", "--python", str(python), interrupt=tmp_path / "venv/child"
    )
    assert code == 130
    assert "importing torch" in shown
    assert "Traceback" not in shown
    assert shown.endswith("\x1b[2K")  # the line of the progress is wiped
    pid = int((tmp_path / "venv/child").read_text(encoding="utf-8"))
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def test_nothing_is_shown_with_quiet_or_on_a_dumb_terminal() -> None:
    assert "checking Host" in on_a_terminal("check", "--only", "host")[0]
    assert "checking Host" not in on_a_terminal("check", "--only", "host", "--quiet")[0]
    assert "checking Host" not in on_a_terminal("check", "--only", "host", term="dumb")[0]


def test_rules_under_test_are_counted() -> None:
    shown, code = on_a_terminal("rules", "test", "oom-profile-run", "worker-died")
    assert code == 0
    assert "patterns of rule 2 of 2" in shown
    assert "\x1b[2K2 rules, " in shown.splitlines()[-1]  # the line of the progress is wiped


def test_progress_is_no_part_of_a_pipe() -> None:
    assert run("check", "--only", "host").stderr == ""
    assert run("rules", "test", "oom-profile-run").stderr == ""


def test_an_import_is_held_to_its_time_and_its_modules_are_announced(tmp_path: Path) -> None:
    python = slow_python(tmp_path / "venv")
    heard: list[str] = []
    started = time.monotonic()
    assert imports.inspect_imports(str(python), limit_s=1.0, tell=heard.append).facts["imports"].value == "timeout"
    assert time.monotonic() - started < 10
    assert heard == ["torch"]


def test_a_child_that_outlives_the_import_is_not_waited_for(tmp_path: Path) -> None:
    python = slow_python(tmp_path / "venv")
    torch = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages" / "torch.py"
    torch.write_text(
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n",
        encoding="utf-8",
    )
    started = time.monotonic()
    assert imports.inspect_imports(str(python)).facts["imports"].value == "ok"
    assert time.monotonic() - started < 20


def test_flags_are_not_called_known_to_a_release_that_nobody_knows(tmp_path: Path) -> None:
    file = tmp_path / "env.json"
    file.write_text(
        json.dumps({"schema": SCHEMA, "made": "2026-01-01T00:00:00Z", "probes": {"packages": []}, "facts": {}}),
        encoding="utf-8",
    )
    for release, wanted in (
        ((), "every flag exists in some vLLM release"),
        (("--vllm", "0.11.0"), "supported by this release"),
    ):
        done = run(
            "check", "--from", "-", "--format", "json", "--lang", "en", *release, *SERVE, stdin=file.read_bytes()
        )
        found = json.loads(done.stdout)
        (line,) = (check for check in found["checks"] if check["name"] == "flags")
        assert line["detail"]["en"].startswith(wanted)
        assert "stdin: the machine was checked on 2026-01-01" in str(found["not_checked"])
