"""`qvl-doctor bundle`: where the archive goes, and what becomes of inputs and outputs that are odd."""

from __future__ import annotations

import gzip
import io
import json
import os
import threading
from pathlib import Path

import pytest
from bundle.packing import OOM, bundle, unpacked
from program import run

from qvl_doctor.cli.app import run_typer

# ---- Outputs and mistakes


def test_an_existing_archive_is_not_replaced_without_force(tmp_path: Path, fixtures: Path) -> None:
    target = tmp_path / "case.zip"
    target.write_bytes(b"mine")
    done = bundle("--no-check", "-o", target, fixtures / OOM)
    assert done.returncode == 2
    assert b"--force" in done.stderr
    assert target.read_bytes() == b"mine"
    assert bundle("--no-check", "--force", "-o", target, fixtures / OOM).returncode == 0
    assert "README.md" in unpacked(target)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["case.zip"]


def test_nothing_is_left_of_an_archive_that_could_not_be_written(tmp_path: Path, fixtures: Path) -> None:
    (tmp_path / "binary.log").write_bytes(b"\x7fELF" + bytes(9999))
    done = bundle("--no-check", "-o", tmp_path / "case.zip", fixtures / OOM, tmp_path / "binary.log")
    assert done.returncode == 3
    assert done.stderr.count(b"\n") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["binary.log"]


def test_a_log_that_breaks_off_is_packed_up_to_there(tmp_path: Path, fixtures: Path) -> None:
    log = tmp_path / "pod.gz"
    log.write_bytes(gzip.compress((fixtures / OOM).read_bytes() + os.urandom(100_000).hex().encode())[:-4000])
    done = bundle("--no-check", "-o", tmp_path / "case.zip", log)
    assert done.returncode == 3
    assert b"only a part" in done.stderr
    found = unpacked(tmp_path / "case.zip")
    assert "9.03 GiB" in found["logs/pod.log"]
    assert "only a part" in found["README.md"]


def test_standard_input_and_standard_output(fixtures: Path) -> None:
    done = bundle("--no-check", "-o", "-", "-", stdin=(fixtures / OOM).read_bytes())
    assert done.returncode == 0
    assert "logs/stdin.log" in unpacked(io.BytesIO(done.stdout))
    assert b"logs/stdin.log" in done.stderr


def test_a_pipe_stays_a_pipe(tmp_path: Path, fixtures: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert bundle("--no-check", "-o", pipe, fixtures / OOM).returncode == 0
    reader.join(timeout=20)
    assert pipe.is_fifo()
    assert "README.md" in unpacked(io.BytesIO(read[0]))


@pytest.mark.parametrize(
    ("arguments", "ends"),
    [
        (["--no-check"], (2, "nothing to pack")),
        (["--no-check", "none.log"], (3, "no such file")),
        (["--no-check", "."], (3, "is a directory")),
        (["--env", "none.json"], (3, "no such file")),
        (["--no-check", "x.log", "-o", "."], (2, "is a directory")),
        (["--no-check", "x.log", "-o", "no/such/folder/a.zip"], (3, "cannot be written")),
        (["--no-check", "x.log", "-o", "x.log", "--force"], (2, "the archive itself")),
        (["--no-check", "-", "-"], (2, "only once")),
        (["--no-check", "-", "--command", "-"], (2, "only once")),
        (["--no-check", "x.log", "--max-log", "lots"], (2, "--max-log lots")),
        (["--no-check", "x.log", "--max-log", "1KiB"], (2, "64KiB")),
        (["--no-check", "x.log", "--python", "p"], (2, "--python")),
        (["--env", "x.log", "--model-dir", "d"], (2, "--model-dir")),
        (["x.log", "--command", "x.log", "--", "vllm", "serve", "m"], (2, "pass only one of them")),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    ends: tuple[int, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.log").write_text("INFO x\n", encoding="utf-8")
    assert run_typer(["bundle", *arguments]) == ends[0]
    said = capsys.readouterr().err
    assert ends[1] in said
    assert said.count("\n") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["x.log"]


def test_an_archive_is_not_written_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert run_typer(["bundle", "--no-check", "-o", "-", "-"]) == 2
    assert "terminal" in capsys.readouterr().err


def test_an_archive_is_no_log_and_says_what_it_is(tmp_path: Path, fixtures: Path) -> None:
    bundle("--no-check", "-o", tmp_path / "case.zip", fixtures / OOM)
    done = run("logs", tmp_path / "case.zip")
    assert done.returncode == 3
    assert b"unpack it" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_this_machine_is_looked_at_unless_it_is_not_to_be(tmp_path: Path) -> None:
    done = bundle("--no-import-test", "--lang", "zh", cwd=tmp_path)
    assert done.returncode == 0
    found = unpacked(tmp_path / "qvl-doctor-bundle.zip")
    assert json.loads(found["env.json"])["facts"]["python"]
    assert "没有屏蔽" in found["README.md"]
    assert "检查清单" in found["reports/check.txt"]
