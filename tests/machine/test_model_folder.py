"""A model's folder before launch: whole, cut off, incomplete, in the hub's cache, too old, too wide for the GPUs, and hostile."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from checking import report, rules, unclaimed
from hypothesis import given
from hypothesis import strategies as st
from model_samples import CONFIG, FILES, arguments, model, safetensors

from qvl_doctor.files import read_json
from qvl_doctor.launch.reading import read as read_commands
from qvl_doctor.machine import fit_host, model_folder
from qvl_doctor.machine.export import Environment
from qvl_doctor.machine.gather import Asked, gather
from qvl_doctor.model import Seen

#: What git leaves in place of a large file.
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4877660776\n"


def said(seen: Seen) -> list[str]:
    assert unclaimed(seen.observations) == []
    return [each.message for each in seen.observations]


def look(folder: Path, command: str = "vllm serve m", **given: Any) -> list[str]:
    return said(
        model_folder.inspect_model_folder(
            str(folder), given.pop("vllm", "0.19.0"), given.pop("transformers", "4.57.1"), arguments(command), **given
        )
    )


def asked(command: str, env: Mapping[str, str], release: str = "0.19.0", only: str = "model,command") -> Seen:
    look = gather(Asked(read_commands(command, release)[0], "", release, "", frozenset(only.split(",")), env))
    return Environment(look).seen()


def test_a_whole_model_is_ok(tmp_path: Path) -> None:
    seen = model_folder.inspect_model_folder(str(model(tmp_path)), "0.19.0", "4.57.1")
    assert said(seen) == []
    assert seen.facts["weight_files"].value == 2
    assert (
        seen.facts["model_complete"].value,
        seen.facts["tokenizer_files"].value,
        seen.facts["chat_template"].value,
    ) == ("yes",) * 3


def test_a_model_that_this_release_does_not_know(tmp_path: Path) -> None:
    found = look(
        model(tmp_path, config={"architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl"}),
        vllm="0.8.5",
        transformers="4.48.0",
    )
    assert any("Model architectures" in each for each in found)
    assert any("model type `qwen3_vl`" in each for each in found)


def test_shards_that_are_missing_cut_off_or_pointers(tmp_path: Path) -> None:
    folder = model(
        tmp_path,
        4,
        files={
            "model-00001-of-00004.safetensors": None,
            "model-00002-of-00004.safetensors": safetensors()[:-1],
            "tokenizer.json": POINTER,
        },
    )
    (folder / "model-00003-of-00004.safetensors").write_bytes(b"")
    found = report("--only", "model", "--model-dir", str(folder))
    assert {"weights-shard-missing", "weight-file-broken", "model-file-lfs-pointer"} <= set(rules(found))
    texts = look(folder)
    assert "Weight files referenced in index but missing: {'model-00001-of-00004.safetensors'}" in texts
    assert any("model-00003-of-00004.safetensors is broken: is 0 bytes long" in each for each in texts)
    assert any("model-00002-of-00004.safetensors, tensor 't1' is broken: ends at byte 32" in each for each in texts)


def test_a_shard_that_ends_too_early(tmp_path: Path) -> None:
    """As a download that broke off leaves it: the header is whole, the tensors are not."""
    folder = model(tmp_path, files={"model-00002-of-00002.safetensors": safetensors()[:-5]})
    found = report("--only", "model", "--model-dir", str(folder))
    assert rules(found)[0] == "weight-file-broken"
    assert "ends at byte" in found["findings"][0]["evidence"][0]["text"]


def test_a_config_without_a_type(tmp_path: Path) -> None:
    bare = {name: value for name, value in CONFIG.items() if name != "model_type"}
    assert "Should have a `model_type` key" in look(model(tmp_path / "a", config=bare))[0]
    assert look(model(tmp_path / "qwen2_5_vl", config=bare)) == []  # older Transformers take the type from the path
    assert (
        look(
            model(tmp_path / "b", config={**bare, "auto_map": {"AutoConfig": "x.Y"}}),
            "vllm serve m --trust-remote-code",
        )
        == []
    )


def test_an_architecture_that_nobody_knows(tmp_path: Path) -> None:
    other = {**CONFIG, "architectures": ["Qwen9VLForConditionalGeneration"]}
    assert any("is in no release of vLLM" in each for each in look(model(tmp_path / "a", config=other)))
    assert not any("is in no release" in each for each in look(model(tmp_path / "b", config=other), vllm="99.0"))
    ranked = {**CONFIG, "architectures": ["Qwen2ForSequenceClassification"]}
    assert not any("is in no release" in each for each in look(model(tmp_path / "c", config=ranked)))


def test_files_beside_the_index_are_not_read_and_not_judged(tmp_path: Path) -> None:
    assert look(model(tmp_path, files={"consolidated.safetensors": b"", "training_args.bin": b"x"})) == []


def test_pointers_that_nobody_reads_may_stay(tmp_path: Path) -> None:
    assert (
        look(
            model(
                tmp_path, files={"demo.png": POINTER, "pytorch_model.bin": POINTER, "consolidated.safetensors": POINTER}
            )
        )
        == []
    )


def test_all_shards_are_pointers_and_that_is_said_once(tmp_path: Path) -> None:
    folder = model(tmp_path, 3, files={f"model-0000{number}-of-00003.safetensors": POINTER for number in (1, 2, 3)})
    assert look(folder) == [
        "model-00001-of-00003.safetensors and 2 more: only the pointer of Git LFS is there, not the file itself"
    ]


def test_shards_without_an_index_are_counted_by_their_numbers(tmp_path: Path) -> None:
    folder = model(tmp_path, 3, files={"model-00002-of-00003.safetensors": None, "model.safetensors.index.json": None})
    assert look(folder) == [
        "the numbers of the weight files have gaps, and these are missing: {'model-00002-of-00003.safetensors'}"
    ]


@pytest.mark.parametrize(
    "files",
    [
        {"pytorch_model.bin": b"PK\x03\x04"},
        {"model.pt": b"x"},
        {"model-q4_k_m.gguf": b"GGUF"},
        {"model.safetensors": safetensors()},
    ],
)
def test_other_formats_are_legal(files: dict[str, bytes], tmp_path: Path) -> None:
    assert look(model(tmp_path, 0, files={"model.safetensors.index.json": None, **files})) == []


def test_mistral_format_is_legal(tmp_path: Path) -> None:
    for name, data in {"params.json": b"{}", "tekken.json": b"{}", "consolidated.safetensors": safetensors()}.items():
        (tmp_path / name).write_bytes(data)
    assert look(tmp_path) == []
    both = model(
        tmp_path / "both",
        2,
        files={
            "params.json": b"{}",
            "consolidated.safetensors": safetensors(),
            "model-00001-of-00002.safetensors": None,
        },
    )
    assert look(both) == []


def test_no_weights_at_all(tmp_path: Path) -> None:
    folder = model(tmp_path, 0, files={"model.safetensors.index.json": None})
    assert look(folder) == [f"Cannot find any model weights with `{folder}`"]
    assert look(folder, "vllm serve m --load-format dummy") == []
    assert look(folder, "vllm serve m --load-format runai_streamer") == []


@pytest.mark.parametrize("index", [b"{}", b"[]", b"{", b'{"weight_map": {"a": 3}}', b'{"weight_map": []}', b"\xff"])
def test_an_index_that_cannot_be_read(index: bytes, tmp_path: Path) -> None:
    found = look(model(tmp_path, files={"model.safetensors.index.json": index}))
    assert found == ["model.safetensors.index.json cannot be read: its weight_map is missing or broken"]


def test_an_index_that_leads_out_of_the_folder(tmp_path: Path) -> None:
    index = json.dumps(
        {"weight_map": {"a": "../../etc/passwd", "b": "/dev/zero", "c": "", "d": "model-00001-of-00002.safetensors"}}
    )
    assert look(model(tmp_path, files={"model.safetensors.index.json": index.encode()})) == []


def test_tokenizer_template_and_processor(tmp_path: Path) -> None:
    bare = model(tmp_path / "bare", files=dict.fromkeys(FILES))
    found = report("--only", "model", "--model-dir", str(bare))
    assert {"tokenizer-not-loaded", "processor-not-loaded"} <= set(rules(found))
    assert not any(
        "tokenizer.json" in each for each in look(bare, "vllm serve m --tokenizer Qwen/Qwen2.5-VL-7B-Instruct")
    )
    plain = model(tmp_path / "plain", files={"tokenizer_config.json": b"{}"})
    assert rules(report("--only", "model", "--model-dir", str(plain))) == ["chat-template-missing"]
    assert look(plain, "vllm serve m --chat-template t.jinja") == []
    assert look(plain, "vllm serve m --runner pooling") == []
    for name in ("chat_template.jinja", "chat_template.json"):
        (plain / name).write_bytes(b"{}")
        assert look(plain) == []
        (plain / name).unlink()


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "config.json"])
def test_broken_json(name: str, tmp_path: Path) -> None:
    folder = model(tmp_path, files={name: b'{"a": 1,}'})
    assert f"It looks like the config file at '{folder / name}' is not a valid JSON file." in look(folder)
    assert "config-json-broken" in rules(report("--only", "model", "--model-dir", str(folder)))


def test_transformers_5_makes_an_empty_tokenizer(tmp_path: Path) -> None:
    folder = model(tmp_path, files={"tokenizer.json": None})
    (found,) = look(folder, transformers="5.24.0")
    assert "takes an empty one" in found


def test_sampling_defaults_of_the_model(tmp_path: Path) -> None:
    generation = b'{"temperature": 0.000001, "repetition_penalty": 1.05, "do_sample": true, "top_k": null}'
    folder = model(tmp_path, files={"generation_config.json": generation})
    facts = model_folder.inspect_model_folder(str(folder)).facts
    assert facts["generation_defaults"].value == "repetition_penalty 1.05, temperature 1e-06"
    assert "generation-defaults-of-model" in rules(
        report("--only", "model", "--vllm", "0.11.0", "--", "vllm", "serve", str(folder))
    )
    quiet = report(
        "--only", "model", "--vllm", "0.11.0", "--", "vllm", "serve", str(folder), "--generation-config", "vllm"
    )
    assert rules(quiet) == []
    assert (
        "generation_defaults"
        not in model_folder.inspect_model_folder(
            str(model(tmp_path / "b", files={"generation_config.json": b"{"}))
        ).facts
    )


def test_a_folder_that_is_something_else(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "Qwen/Qwen2.5-VL-7B-Instruct"}', encoding="utf-8"
    )
    found = report("--only", "model", "--model-dir", str(adapter))
    assert rules(found) == ["lora-adapter-as-model"]
    assert "Qwen/Qwen2.5-VL-7B-Instruct" in found["findings"][0]["fixes"][0]["text"]["en"]
    model(tmp_path / "above" / "qwen")
    assert rules(report("--only", "model", "--model-dir", str(tmp_path / "above"))) == ["model-folder-too-high"]
    assert look(tmp_path / "above", "vllm serve m --hf-config-path elsewhere") == []
    (tmp_path / "empty").mkdir()
    assert rules(report("--only", "model", "--model-dir", str(tmp_path / "empty"))) == ["model-config-not-found"]


def test_the_folder_of_a_cache_instead_of_its_snapshot(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "Qwen/Q")
    found = look(snapshot.parent.parent)
    assert found == [
        f"the folder {snapshot.parent.parent} holds no config.json, but its folder snapshots/{snapshot.name} does"
    ]


def test_remote_code(tmp_path: Path) -> None:
    config = {
        "architectures": ["OtherForCausalLM"],
        "model_type": "nobody_knows_it",
        "auto_map": {"AutoConfig": "configuration.Other"},
    }
    folder = model(tmp_path, config=config)
    assert "trust-remote-code-needed" in rules(report("--only", "model", "--model-dir", str(folder)))
    assert look(folder, "vllm serve m --trust-remote-code") == []
    known = model(tmp_path / "known", config={**CONFIG, "auto_map": {"AutoConfig": "configuration.Other"}})
    assert look(known) == []


def cached(home: Path, name: str, revision: str = "0123abcd0123abcd0123abcd0123abcd0123abcd") -> Path:
    """A model in a hub's cache as huggingface_hub lays it out: blobs, links to them in a snapshot, a reference."""
    store = home / ".cache/huggingface/hub" / ("models--" + name.replace("/", "--"))
    made = model(store / "made")
    snapshot = store / "snapshots" / revision
    for folder in (store / "blobs", snapshot, store / "refs"):
        folder.mkdir(parents=True)
    for number, file in enumerate(sorted(made.iterdir())):
        file.rename(store / "blobs" / f"{number:040x}")
        (snapshot / file.name).symlink_to(f"../../blobs/{number:040x}")
    made.rmdir()
    (store / "refs/main").write_text(revision, encoding="ascii")
    return snapshot


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
