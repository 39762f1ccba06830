"""The hub's cache before launch, and what a folder of a model must not do: hang, raise, or take long."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine.model_looks import cached, look, said
from model_samples import model, safetensors

from qvl_doctor.files import read_json
from qvl_doctor.launch.reading import read as read_commands
from qvl_doctor.machine import fit_host, model_folder
from qvl_doctor.machine.export import Environment
from qvl_doctor.machine.gather import Asked, gather
from qvl_doctor.model import Seen


def asked(command: str, env: Mapping[str, str], release: str = "0.19.0", only: str = "model,command") -> Seen:
    look = gather(Asked(read_commands(command, release)[0], "", release, "", frozenset(only.split(",")), env))
    return Environment(look).seen()


def test_a_model_in_the_cache(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "Qwen/Q")
    env = {"HOME": str(tmp_path)}
    assert model_folder.place("Qwen/Q", env).folder == str(snapshot)
    assert model_folder.place("Qwen/Q", env, "0123abcd0123abcd0123abcd0123abcd0123abcd").folder == str(snapshot)
    assert model_folder.place("Qwen/Q", env, "v2") == ("", False, 0)
    seen = asked("vllm serve Qwen/Q", {**env, "HF_HUB_OFFLINE": "1"})
    assert seen.facts["model_place"].value == "cache"
    assert said(seen) == []


def test_a_download_that_did_not_end(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "Qwen/Q")
    shard = snapshot / "model-00002-of-00002.safetensors"
    blob = shard.resolve()
    blob.rename(blob.with_suffix(".incomplete"))  # the link leads nowhere now
    env = {"HOME": str(tmp_path)}
    online = asked("vllm serve Qwen/Q", env)
    assert said(online) == []  # the start fetches the rest
    assert (online.facts["model_place"].value, online.facts["unfinished_downloads"].value) == ("hub", 1)
    offline = said(asked("vllm serve Qwen/Q", {**env, "HF_HUB_OFFLINE": "1"}))
    assert any("is in the cache only in part" in each for each in offline)
    assert "Weight files referenced in index but missing: {'model-00002-of-00002.safetensors'}" in offline


def test_a_broken_file_in_the_cache_is_not_fetched_again(tmp_path: Path) -> None:
    shard = cached(tmp_path, "Qwen/Q") / "model-00001-of-00002.safetensors"
    shard.resolve().write_bytes(safetensors()[:-4])
    found = said(asked("vllm serve Qwen/Q", {"HOME": str(tmp_path)}))
    assert len(found) == 1
    assert found[0].startswith("weight file model-00001-of-00002.safetensors")


@pytest.mark.parametrize(
    ("name", "env", "words"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", {}, ""),
        ("gpt2", {}, ""),
        ("Qwen/Qwen2.5-VL-7B-Instruct", {"HF_HUB_OFFLINE": "1"}, "outgoing traffic has been disabled"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", {"HF_HUB_OFFLINE": "1", "VLLM_USE_MODELSCOPE": "True"}, ""),
        ("/models/none", {}, "Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/none'"),
        ("./none", {}, "Repo id must be in the form"),
        ("models/qwen/none", {}, "Repo id must be in the form"),
        ("s3://bucket/model", {"HF_HUB_OFFLINE": "1"}, ""),
        ("unsloth/Qwen3-0.6B-GGUF:Q4_K_M", {}, ""),
    ],
)
def test_a_model_that_is_not_here(name: str, env: dict[str, str], words: str, tmp_path: Path) -> None:
    found = said(asked(f"vllm serve {name}", {"HOME": str(tmp_path), **env}, only="model"))
    assert (len(found) == 1 and words in found[0]) if words else found == []


def test_paths_of_a_container_are_not_looked_for_here(tmp_path: Path) -> None:
    command = "docker run --gpus all -v /data:/models vllm/vllm-openai:v0.19.0 --model /models/none"
    assert said(asked(command, {"HOME": str(tmp_path)}, only="model")) == []


@given(st.binary(max_size=200))
def test_whatever_a_weight_file_holds_the_look_survives(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = model(Path(name), 0, files={"model.safetensors.index.json": None, "model.safetensors": data})
        for each in look(folder):
            assert "model.safetensors" in each


@given(st.binary(max_size=300))
def test_whatever_a_small_file_holds_the_look_survives(data: bytes) -> None:
    names = (
        "config.json",
        "model.safetensors.index.json",
        "tokenizer_config.json",
        "generation_config.json",
        "adapter_config.json",
    )
    with tempfile.TemporaryDirectory() as name:
        for each in names:
            (Path(name) / each).write_bytes(data)
        model_folder.inspect_model_folder(name, "0.11.0", "4.57.0")


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_name_of_a_model_is_survived(name: str, revision: str) -> None:
    found = model_folder.place(name, {"HOME": "/nowhere"}, revision)
    if not found.folder:
        list(fit_host.model(name, found, {}, complete=False))


def test_deep_long_and_endless_json(tmp_path: Path) -> None:
    (tmp_path / "deep").write_bytes(b"[" * 1_000_000)
    (tmp_path / "long").write_bytes(b'"' + b"x" * (9 << 20) + b'"')
    (tmp_path / "number").write_bytes(b"9" * 1_000_000)
    began = time.monotonic()
    assert read_json(str(tmp_path / "deep")).problem == "broken"
    assert read_json(str(tmp_path / "long")).problem == "long"
    assert read_json(str(tmp_path / "number")).problem == "broken"
    assert read_json("/dev/zero").problem == "unreadable"
    assert read_json(str(tmp_path)).problem == "unreadable"
    assert read_json("a\0b").problem == "unreadable"
    assert read_json(str(tmp_path / "none")).problem == "missing"
    assert time.monotonic() - began < 5


def test_pipes_devices_and_links_that_go_round_do_not_hang(tmp_path: Path) -> None:
    folder = model(tmp_path, 3)
    for name in ("tokenizer.json", "generation_config.json", "model-00001-of-00003.safetensors", "another.json"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    (folder / "model-00002-of-00003.safetensors").unlink()
    (folder / "model-00002-of-00003.safetensors").symlink_to("model-00002-of-00003.safetensors")
    (folder / "model-00003-of-00003.safetensors").unlink()
    (folder / "model-00003-of-00003.safetensors").symlink_to("/dev/zero")
    (folder / "round").symlink_to(".")
    began = time.monotonic()
    found = look(folder)
    assert time.monotonic() - began < 5
    assert "weight file model-00001-of-00003.safetensors is broken: is no regular file" in found
    assert "weight file model-00003-of-00003.safetensors is broken: is no regular file" in found
    assert "Weight files referenced in index but missing: {'model-00002-of-00003.safetensors'}" in found


def test_a_config_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    assert model_folder.inspect_model_folder(str(tmp_path)).facts["model_folder"].value == "not-permitted"


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model(tmp_path)

    def refuse(path: str, *_: Any, **__: Any) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    (found,) = look(folder)
    assert found == f"the model's folder cannot be read: [Errno 13] Permission denied: '{folder}/config.json'"


def test_two_hundred_shards_among_two_thousand_files_are_looked_at_quickly(tmp_path: Path) -> None:
    folder = model(tmp_path, 200)
    for number in range(1800):
        (folder / f"extra-{number}.json").write_bytes(b"{}")
    began = time.monotonic()
    assert look(folder) == []
    assert time.monotonic() - began < 1.0


def test_what_a_container_does_not_take_from_this_machine() -> None:
    """The variables of the host are not those of a container that `docker run` starts."""
    env = {"VLLM_USE_V1": "1", "NCCL_P2P_DISABLE": "1", "HOME": "/nonexistent"}
    here = asked("vllm serve a/b -tp 2", env, only="host,model,command")
    assert any("VLLM_USE_V1" in each for each in said(here))
    assert here.facts["nccl_off"].value == "peer to peer"
    inside = asked("docker run --gpus all vllm/vllm-openai:v0.19.0 --model a/b -tp 2", env, only="host,model,command")
    assert not [each for each in said(inside) if "VLLM_USE_V1" in each]
    assert "nccl_off" not in inside.facts
    told = asked(
        "docker run --gpus all -e NCCL_P2P_DISABLE=1 vllm/vllm-openai:v0.19.0 --model a/b -tp 2", {}, only="command"
    )
    assert told.facts["nccl_off"].value == "peer to peer"
