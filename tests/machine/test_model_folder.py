"""A model's folder before launch: whole, cut off, incomplete, too old, too wide for the GPUs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checking import report, rules
from machine.model_looks import cached, look, said
from model_samples import CONFIG, FILES, model, safetensors

from qvl_doctor.machine import model_folder

#: What git leaves in place of a large file.
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4877660776\n"


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
