"""How a call ends: the old file stays when a run is aborted, files have no colors, and who went away is no error."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from program import run
from report_samples import FAILED

from qvl_doctor.cli import kubectl_plugin
from qvl_doctor.cli.exit_codes import INTERRUPTED, OK, UNREADABLE
from qvl_doctor.cli.main import guarded
from qvl_doctor.cli.options import ReportOptions
from qvl_doctor.cli.session import Output, print_report


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, None])
def test_an_aborted_run_keeps_the_old_file(error: type[BaseException] | None, tmp_path: Path) -> None:
    target = tmp_path / "report"
    target.write_text("old")
    try:
        with Output(str(target)) as file:
            file.write("new")
            if error:
                raise error
    except (KeyboardInterrupt, ValueError):
        assert error is not None
    assert target.read_text() == ("old" if error else "new")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize(
    ("options", "colored"),
    [(ReportOptions(), True), (ReportOptions(no_color=True), False), (ReportOptions(output="x"), False)],
)
def test_colors_are_for_terminals(options: ReportOptions, monkeypatch: pytest.MonkeyPatch, *, colored: bool) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    print_report(FAILED, options, "en", stream)
    assert ("\x1b[" in stream.getvalue() and "31m" in stream.getvalue()) is colored


@pytest.mark.parametrize(
    ("error", "code"), [(BrokenPipeError(), OK), (OSError(28, "full"), UNREADABLE), (KeyboardInterrupt(), INTERRUPTED)]
)
def test_what_is_no_traceback(error: BaseException, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: list[str]) -> int:
        raise error

    with (tmp_path / "out").open("w", encoding="utf-8") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert guarded(fails, []) == code


def test_the_plugin_with_an_output_that_takes_nothing(tmp_path: Path) -> None:
    assert kubectl_plugin.run_typer(["vllm-0", "--output", str(tmp_path / "no/where")]) == UNREADABLE


def test_a_log_with_an_output_that_takes_nothing(fixtures: Path, tmp_path: Path) -> None:
    log = fixtures / "failed/0.11.0-lora-rank.log"
    assert run("logs", log, "--output", tmp_path / "no/where").returncode == UNREADABLE
