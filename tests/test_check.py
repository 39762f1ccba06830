"""`qvl-doctor check`, end to end: the host, model folders, files of other machines. GPUs and packages have files of their own."""

from __future__ import annotations

import json
import socket
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
from qvl_doctor.probe import host, model_folder
from qvl_doctor.probe.export import Environment, EnvironmentFileError, dumps, loads


def test_a_machine_with_nothing_gives_a_useful_page() -> None:
    done = doctor("--no-import-test", "--vllm", "0.11.0", *SERVE)
    assert done.returncode == 1
    for said in ("vLLM is not installed", "driver", "shared memory", "the card is not known"):
        assert said in done.stdout
    assert "Traceback" not in done.stderr


def test_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = report("--only", "host", "--", "vllm", "serve", "m", "--host", "127.0.0.1", "--port", str(port))
    assert "port-in-use" in rules(found)


def test_the_environment_is_read() -> None:
    found = report("--only", "host", env={"VLLM_PORT": "tcp://10.0.0.1:8000", "http_proxy": "http://proxy:3128"})
    assert {"vllm-port-from-kubernetes", "proxy-for-localhost"} <= set(rules(found))


def test_a_prepared_host(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(str(8 << 30))
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:       65536000 kB\n")
    (tmp_path / ".dockerenv").touch()
    facts = host.look(0, root=str(tmp_path), env={"HOME": str(tmp_path)}).facts
    assert facts["memory_limit_gib"].value == 8.0
    assert facts["ram_gib"].value == 62.5
    assert facts["host_kind"].value == "docker"
    assert "shm_gib" not in facts


def folder_with(tmp_path: Path, **files: bytes) -> Path:
    config = {"architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl"}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name, data in files.items():
        (tmp_path / name.replace("_", ".", 1).replace("__", "-")).write_bytes(data)
    return tmp_path


def test_a_model_that_this_release_does_not_know(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    seen = model_folder.look(str(folder), vllm="0.8.5", transformers="4.48.0")
    said = [each.message for each in seen.observations]
    assert any("Model architectures" in each for each in said)
    assert any("model type `qwen3_vl`" in each for each in said)
    assert model_folder.look(str(folder), vllm="0.19.0", transformers="4.57.1").observations == ()


def test_shards_that_are_missing_cut_off_or_pointers(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
    )
    (folder / "model-1.safetensors").write_bytes((500).to_bytes(8, "little") + b"{")
    (folder / "extra.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    found = report("--only", "model", "--model-dir", str(folder))
    assert {"weights-shard-missing", "weight-file-broken"} <= set(rules(found))


@given(st.binary(max_size=200))
def test_whatever_a_weight_file_holds_the_look_survives(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = folder_with(Path(name))
        (folder / "model.safetensors").write_bytes(data)
        for each in model_folder.look(str(folder)).observations:
            assert "model.safetensors" in each.message


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
