"""Completion: the script of the shell that is named, and what it gets when it asks for candidates."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import shellingham
from program import DOCTOR, run_text

from qvl_doctor.cli.shells import ASKED, INSTALL, SHELLS, SHOW
from qvl_doctor.memory import gpus

#: What only the script of a shell has in it.
MARKS = {
    "bash": "complete -o default -F",
    "zsh": "#compdef qvl-doctor",
    "fish": "complete --command qvl-doctor",
    "powershell": "Register-ArgumentCompleter",
    "pwsh": "Register-ArgumentCompleter",
}


def known(name: str) -> tuple[str, str]:
    return name, f"/bin/{name}"


def test_every_shell_has_its_mark() -> None:
    assert set(MARKS) == set(SHELLS)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_the_named_shell(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever shell runs the tests."""
    monkeypatch.setattr(shellingham, "detect_shell", lambda: known("bash" if shell != "bash" else "zsh"))
    for words in ([SHOW, shell], [f"{SHOW}={shell}"], [SHOW, shell.upper()]):
        done = run_text(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert MARKS[shell] in done.stdout
        assert {name for name, mark in MARKS.items() if mark in done.stdout} == {
            name for name, mark in MARKS.items() if mark == MARKS[shell]
        }


@pytest.mark.parametrize("shell", SHELLS)
def test_without_a_name_it_is_the_shell_that_started_us(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shellingham, "detect_shell", lambda: known(shell))
    assert run_text(SHOW).stdout == run_text(SHOW, shell).stdout


@pytest.mark.parametrize("option", [SHOW, INSTALL])
def test_a_shell_that_is_not_known_is_asked_for(option: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nothing() -> tuple[str, str]:
        raise shellingham.ShellDetectionFailure

    monkeypatch.setattr(shellingham, "detect_shell", nothing)
    for words, said in (([option], "Your shell is unknown"), ([option, "ksh"], "no completion for 'ksh'")):
        done = run_text(*words, env={"HOME": str(tmp_path)})
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert all(shell in done.stderr for shell in SHELLS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_is_installed_for_the_named_shell(shell: str, tmp_path: Path) -> None:
    done = run_text(INSTALL, shell, env={"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file() and MARKS[shell] in path.read_text("utf-8")]
    assert len(written) == 1
    assert str(written[0]) in done.stdout


def candidates(line: str) -> list[str]:
    """What the script of bash gets for the last word of a line."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    return run_text(env={ASKED: "complete_bash", **words}).stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("qvl-doctor pl", "plan"),
        ("qvl-doctor rules t", "test"),
        ("qvl-doctor explain kv-below-c", "kv-below-context"),
        ("qvl-doctor plan --gpu RTX", "RTX 4090"),
        ("qvl-doctor check --only gpu,h", "gpu,host"),
        ("qvl-doctor rules list --topic kv-", "kv-cache"),
        ("qvl-doctor --show", "--show-completion"),
    ],
)
def test_candidates(line: str, wanted: str) -> None:
    found = candidates(line)
    assert wanted in found
    assert all(word.startswith(line.rpartition(" ")[2]) for word in found)


def test_every_gpu_that_is_offered_can_be_used() -> None:
    offered = candidates("qvl-doctor plan --gpu ")
    assert offered
    assert [name for name in offered if gpus.find(name) is None] == []


def test_zsh_gets_its_answer_in_its_own_words() -> None:
    done = run_text(env={ASKED: "complete_zsh", "_TYPER_COMPLETE_ARGS": "qvl-doctor pl"})
    assert done.stdout.startswith("_arguments ")
    assert '"plan"' in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(tmp_path: Path) -> None:
    """The whole way: the script is read, and what it calls answers."""
    program = tmp_path / "qvl-doctor"
    python, option, start = DOCTOR
    (tmp_path / "start.py").write_text(start, encoding="utf-8")
    program.write_text(f'#!/bin/sh\nexec {python} {tmp_path}/start.py "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    assert option == "-c"
    script = f"""
PATH={tmp_path}:$PATH
. <(qvl-doctor --show-completion bash)
COMP_WORDS=(qvl-doctor man) COMP_CWORD=1
_qvl_doctor_completion qvl-doctor
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("manifest\n", "")
