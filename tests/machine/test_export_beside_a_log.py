"""What `check --export` wrote elsewhere, beside a log of that machine."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from checking import report, rules
from nvml.fixtures import RTX_4090, Describe
from program import run_text as run

from qvl_doctor.cli.app import run_typer
from qvl_doctor.machine.export import Environment, dumps
from qvl_doctor.model import Fact, Seen
from qvl_doctor.observations import observe


def test_a_log_beside_an_export_does_not_take_over_its_command(tmp_path: Path, fixtures: Path) -> None:
    env = Environment(
        {"command": Seen({"plan": Fact("profile-oom")}), "gpu": Seen({"driver": Fact("550.54.14")})},
        {},
        "2025-01-01T00:00:00Z",
    )
    path = tmp_path / "env.json"
    path.write_text(dumps(env))
    found = json.loads(run("logs", "--env", path, "--format", "json", fixtures / "article/oom-9.03.log").stdout)
    assert found["facts"]["driver"] == "550.54.14"
    assert "plan" not in found["facts"]
    assert any("2025-01-01" in note for note in found["not_checked"])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: None, "no such file"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.write_bytes(b""), "Expecting value"),
        (lambda path: path.write_bytes(b"\x7fELF" + bytes(999)), "binary"),
        (lambda path: path.write_bytes(gzip.compress(b"{}")[:-4]), "cannot be read"),
        (lambda path: path.write_bytes(gzip.compress(b" " * (17 << 20))), "too long"),
        (lambda path: path.write_text("[" * 100_000), "recursion"),
        (lambda path: path.write_text('{"schema": "qvl-doctor/env/7"}'), "update qvl-doctor"),
        (lambda path: path.write_text('{"schema": "\x1b[31m"}'), "Invalid control"),
        (lambda path: path.write_text('{"schema": ["a"]}'), "its schema is not"),
        (lambda path: path.write_text('{"n": ' + "9" * 5000 + "}"), "not an environment file"),
    ],
)
def test_what_is_no_environment_is_one_line(
    tmp_path: Path, make: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "env.json"
    make(path)
    assert run_typer(["check", "--from", str(path)]) == 3
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert "\x1b" not in said


def test_a_log_beside_what_was_seen_of_its_machine(nvml: Describe, tmp_path: Path, fixtures: Path) -> None:
    file = tmp_path / "env.json"
    report("--only", "gpu", "--export", str(file), env=nvml([{**RTX_4090, "ecc": 3}]))
    found = json.loads(run("logs", "--format", "json", "--env", file, fixtures / "article" / "oom-9.03.log").stdout)
    assert "gpu-ecc-errors" in rules(found)
    assert found["facts"]["gpu_name"] == RTX_4090["name"]


def beside(tmp_path: Path, fixtures: Path, looks: dict[str, Seen]) -> dict[str, Any]:
    path = tmp_path / "env.json"
    path.write_text(dumps(Environment(looks, {}, "2026-01-01T00:00:00Z")))
    return json.loads(run("logs", "--env", path, "--format", "json", fixtures / "article" / "healthy.log").stdout)  # type: ignore[no-any-return]


def test_a_log_that_ran_is_not_told_that_it_cannot_run(tmp_path: Path, fixtures: Path) -> None:
    """The file is of a laptop: no driver, no vLLM. What ran counts, and the report says why the rest was left out."""
    host = Seen({}, (observe("localhost_through_proxy", variable="http_proxy"),))
    laptop = {
        "packages": Seen({"vllm_installed": Fact("no")}),
        "gpu": Seen({"nvml": Fact("library-missing")}),
        "host": host,
    }
    found = beside(tmp_path, fixtures, laptop)
    rules = [finding["rule"] for finding in found["findings"]]
    assert not {"vllm-not-installed", "nvidia-driver-missing"} & set(rules)
    assert "proxy-for-localhost" in rules
    assert found["verdict"] == "healthy"
    assert sum("ignored" in note for note in found["not_checked"]) == 2


def test_the_machine_of_the_log_is_used_whole(tmp_path: Path, fixtures: Path) -> None:
    ecc = observe("gpu_ecc_errors", index=0, gpu="RTX 4090", count=3)
    same = {
        "gpu": Seen(
            {"nvml": Fact("ok"), "gpu_count": Fact(1), "total_gib": Fact(23.65), "driver": Fact("550.54.14")}, (ecc,)
        )
    }
    found = beside(tmp_path, fixtures, same)
    assert "gpu-ecc-errors" in [finding["rule"] for finding in found["findings"]]
    assert not [note for note in found["not_checked"] if "ignored" in note]
    other = {"gpu": Seen({**same["gpu"].facts, "total_gib": Fact(79.1)}, (ecc,))}
    assert "gpu-ecc-errors" not in [finding["rule"] for finding in beside(tmp_path, fixtures, other)["findings"]]
