"""`qvl-doctor check`, end to end: the host, model folders, files of other machines. GPUs and packages have files of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from checking import SERVE, doctor, report, rules
from hypothesis import given
from hypothesis import strategies as st
from nvml.fixtures import RTX_4090, Describe

from qvl_doctor.model import Fact, Seen
from qvl_doctor.observations import MACHINE, observe
from qvl_doctor.probe.export import Environment, EnvironmentFileError, dumps, loads


def test_a_machine_with_nothing_gives_a_useful_page() -> None:
    done = doctor("--no-import-test", "--vllm", "0.11.0", *SERVE)
    assert done.returncode == 1
    for said in ("vLLM is not installed", "driver", "shared memory", "the card is not known"):
        assert said in done.stdout
    assert "Traceback" not in done.stderr


def test_what_was_seen_can_be_diagnosed_elsewhere(nvml: Describe, tmp_path: Path) -> None:
    file = tmp_path / "env.json"
    env = nvml([{**RTX_4090, "used": 18381}])
    here = report("--only", "gpu,host", "--export", str(file), env={**env, "HF_TOKEN": "hf_" + "s" * 34})
    assert "hf_sss" not in file.read_text(encoding="utf-8")
    there = report("--from", str(file), "--only", "gpu,host")
    assert rules(there) == rules(here)


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, '{"schema": "other"}', "\x00\x01", '{"schema": "qvl-doctor/env/1", "facts": 3}'])
def test_a_file_that_is_no_environment(text: str, tmp_path: Path) -> None:
    file = tmp_path / "env.json"
    file.write_text(text, encoding="utf-8")
    done = doctor("--from", str(file))
    assert "Traceback" not in done.stderr
    assert done.returncode in ({0} if "env/1" in text else {3})


#: Controls are taken out when a file is read: they could style a terminal.
PRINTED = st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"])
VALUES = st.text(PRINTED, max_size=20) | st.integers(-(2**40), 2**40) | st.booleans()


@given(
    st.dictionaries(st.text(st.characters(codec="ascii", categories=["Ll"]), max_size=8).map("x_{}".format), VALUES, max_size=5),
    st.lists(st.text(PRINTED, max_size=30), max_size=3),
)
def test_an_export_is_read_back_as_it_was(facts: dict[str, Any], said: list[str]) -> None:
    seen = Seen({name: Fact(value, "probe") for name, value in facts.items()}, tuple(observe(MACHINE, text, 1) for text in said))
    back = loads(dumps(Environment({"host": seen}))).seen()
    assert {name: fact.value for name, fact in back.facts.items()} == facts
    assert [each.message for each in back.observations] == [each.message for each in seen.observations]


def test_hostile_exports_are_refused_or_bounded() -> None:
    with pytest.raises(EnvironmentFileError):
        loads("x" * ((16 << 20) + 1))


def test_a_log_beside_what_was_seen_of_its_machine(nvml: Describe, tmp_path: Path, fixtures: Path) -> None:
    file = tmp_path / "env.json"
    report("--only", "gpu", "--export", str(file), env=nvml([{**RTX_4090, "ecc": 3}]))
    words = [sys.executable, "-m", "qvl_doctor", "logs", "--format", "json", "--env", str(file), str(fixtures / "article" / "oom-9.03.log")]
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=False).stdout)
    assert "gpu-ecc-errors" in rules(found)
    assert found["facts"]["gpu_name"] == RTX_4090["name"]


@pytest.mark.parametrize("arguments", [["--only", "gpus"], ["--command", "x", "--", "vllm", "serve", "m"]])
def test_wrong_usage(arguments: list[str]) -> None:
    done = doctor(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
