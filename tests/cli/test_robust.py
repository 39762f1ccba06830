"""What surrounds a command may be odd.

Outputs that are links, pipes or folders, closed or full, and terminals of another encoding.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from pathlib import Path

import pytest
from program import DOCTOR


def log(fixtures: Path) -> str:
    return str(fixtures / "article" / "oom-9.03.log")


def run(*arguments: str, env: dict[str, str] | None = None, redirect: str = "") -> subprocess.CompletedProcess[bytes]:
    words = ["sh", "-c", " ".join([shlex.join(DOCTOR), *arguments, redirect])] if redirect else [*DOCTOR, *arguments]
    return subprocess.run(words, capture_output=True, env={**os.environ, **(env or {})}, check=False)


def test_a_link_is_followed(fixtures: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    run(log(fixtures), "--output", str(link))
    assert link.is_symlink()
    assert "9.03 GiB" in target.read_text(encoding="utf-8")


def test_a_pipe_stays_a_pipe(fixtures: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")), daemon=True)
    reader.start()
    run(log(fixtures), "--output", str(pipe))
    reader.join(timeout=20)
    assert pipe.is_fifo()
    assert "9.03 GiB" in read[0]


def test_a_folder_is_no_output(fixtures: Path, tmp_path: Path) -> None:
    done = run(log(fixtures), "--output", str(tmp_path))
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr
    assert list(tmp_path.parent.glob("*.part")) == list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["--version", "rules list", "plan --gpu L4 -- vllm serve m", ""])
def test_an_output_that_is_full_or_closed(command: str, fixtures: Path) -> None:
    words = command.split() or [log(fixtures)]
    full = run(*words, redirect=">/dev/full") if os.path.exists("/dev/full") else None
    closed = run(*words, redirect=">&-")
    for done in filter(None, (full, closed)):
        assert done.returncode == 3
        assert b"Traceback" not in done.stderr
        assert done.stderr.count(b"\n") >= 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk"])
@pytest.mark.parametrize("words", [["--format", "markdown"], []])
def test_a_terminal_of_another_encoding(encoding: str, words: list[str], fixtures: Path) -> None:
    done = run(log(fixtures), *words, env={"PYTHONIOENCODING": encoding})
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
