"""The small files of a model's directory.

Each name that counts, each model type, each argument that makes a file needless.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from machine.facts_given import keys
from model_samples import CONFIG, model

from qvl_doctor.machine import export, imports, model_folder, text_files, weight_files
from qvl_doctor.machine.fit_gpus import _no_code

NONE = frozenset[str]()
TOKENIZERS = (
    "tokenizer.json", "tokenizer.model", "tokenizer.model.v3", "tekken.json", "vocab.json", "vocab.txt", "spiece.model",
    "sentencepiece.bpe.model", "tiktoken.model", "qwen.tiktoken",
)  # fmt: skip
PROCESSED = (
    "aya_vision", "gemma3", "glm4v", "idefics3", "llama4", "llava", "llava_next", "llava_onevision", "mistral3", "mllama",
    "paligemma", "qwen2_5_omni", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "qwen3_vl_moe", "smolvlm",
)  # fmt: skip
OWN_TEMPLATE = (
    "blip-2", "chameleon", "clip", "colpali", "deepseek_ocr", "deepseek_ocr2", "deepseek_vl_v2", "florence2", "fuyu",
    "minicpm_ocr", "minicpmv", "minicpmv4_6", "minicpmv4_7", "paligemma", "qwen", "siglip", "siglip2", "unlimited-ocr",
    "unlimited_ocr",
)  # fmt: skip


def said(folder: Path, config: dict[str, Any] | None = None, transformers: str = "", **arguments: Any) -> set[str]:
    names = sorted(os.listdir(folder))
    return set(keys(text_files.observations(str(folder), names, config or {}, arguments, transformers)))


def put(folder: Path, **files: Any) -> Path:
    for name, data in files.items():
        (folder / name).write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", TOKENIZERS)
def test_each_file_that_a_tokenizer_can_be_read_from(name: str, tmp_path: Path) -> None:
    assert said(tmp_path) == {"tokenizer_missing"}
    assert said(put(tmp_path, **{name: {}})) == set()


@pytest.mark.parametrize(
    ("files", "arguments", "transformers", "wanted"),
    [
        ({}, {}, "4.57.1", "tokenizer_missing"),
        ({}, {}, "5.0.0", "tokenizer_of_no_file"),
        ({}, {"tokenizer": "x"}, "5.0.0", ""),
        ({}, {"skip_tokenizer_init": True}, "", ""),
        ({"tokenizer_config.json": {"auto_map": {}}}, {}, "", ""),
        ({"tokenizer_config.json": {}}, {}, "", "tokenizer_missing"),
        ({"auto_map.json": {"auto_map": {}}}, {}, "", "tokenizer_missing"),
    ],
)
def test_a_tokenizer_that_is_missing(
    files: dict[str, Any], arguments: dict[str, Any], transformers: str, wanted: str, tmp_path: Path
) -> None:
    assert said(put(tmp_path, **files), None, transformers, **arguments) == ({wanted} if wanted else set())


@pytest.mark.parametrize("kind", PROCESSED)
@pytest.mark.parametrize("file", ["preprocessor_config.json", "processor_config.json"])
def test_each_model_type_that_needs_a_processor(kind: str, file: str, tmp_path: Path) -> None:
    config = {"model_type": kind, "vision_config": {}}
    folder = put(tmp_path, **{"tokenizer.json": {}})
    assert said(folder, config) == {"processor_missing"}
    assert said(put(folder, **{file: {}}), config) == set()


@pytest.mark.parametrize(
    ("config", "arguments"),
    [
        ({"model_type": "of-its-own", "vision_config": {}}, {}),
        ({"model_type": "llava"}, {}),
        ({"vision_config": {}}, {}),
        ({"model_type": "llava", "vision_config": {}}, {"language_model_only": True}),
        ({"model_type": "llava", "vision_config": {}}, {"mm_processor_kwargs": {"a": 1}}),
    ],
)
def test_a_processor_that_nobody_needs(config: dict[str, Any], arguments: dict[str, Any], tmp_path: Path) -> None:
    assert said(put(tmp_path, **{"tokenizer.json": {}}), config, **arguments) == set()


CHAT = ["XForConditionalGeneration"]


@pytest.mark.parametrize("kind", OWN_TEMPLATE)
def test_each_model_type_of_which_vllm_has_a_template(kind: str, tmp_path: Path) -> None:
    folder = put(tmp_path, **{"tokenizer.json": {}})
    assert said(folder, {"model_type": kind, "architectures": CHAT}) == set()
    assert said(folder, {"model_type": f"{kind}-2", "architectures": CHAT}) == {"chat_template_missing"}


@pytest.mark.parametrize(
    ("architectures", "arguments", "missing"),
    [
        (CHAT, {}, True),
        (["XForCausalLM"], {}, True),
        (["XModel"], {}, False),
        (["XModel", "XForCausalLM"], {}, True),
        (["X", "X", "X", "XForCausalLM"], {}, True),
        (["X", "X", "X", "X", "XForCausalLM"], {}, False),
        ([], {}, False),
        ("XForCausalLM", {}, False),
        (CHAT, {"chat_template": "x.jinja"}, False),
        (CHAT, {"tokenizer": "x"}, False),
        *((CHAT, {"tokenizer_mode": mode}, True) for mode in ("auto", "slow", "hf")),
        (CHAT, {"tokenizer_mode": "mistral"}, False),
        *((CHAT, {"runner": runner}, True) for runner in ("auto", "generate")),
        (CHAT, {"runner": "pooling"}, False),
        *((CHAT, {"task": task}, True) for task in ("auto", "generate")),
        (CHAT, {"task": "embed"}, False),
    ],
)
def test_who_needs_a_template(architectures: Any, arguments: dict[str, Any], tmp_path: Path, *, missing: bool) -> None:
    folder = put(tmp_path, **{"tokenizer.json": {}})
    found = said(folder, {"architectures": architectures}, **arguments)
    assert found == ({"chat_template_missing"} if missing else set())


@pytest.mark.parametrize(
    ("name", "text", "there"),
    [
        *((name, "x", True) for name in ("chat_template.jinja", "chat_template.json", "additional_chat_templates")),
        *((name, "{}", True) for name in ("tekken.json", "tokenizer.model.v3", "params.json")),
        *(
            (name, {"chat_template": "x"}, True)
            for name in ("tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
        ),
        ("tokenizer_config.json", {"chat_template": ""}, False),
        ("config.json", {"chat_template": "x"}, False),
        ("template.jinja", "x", False),
    ],
)
def test_where_a_template_can_be(name: str, text: Any, tmp_path: Path, *, there: bool) -> None:
    put(tmp_path, **{name: text})
    assert text_files.facts_of(str(tmp_path), [name])["chat_template"] == ("yes" if there else "no")


@pytest.mark.parametrize(
    ("asked", "found", "shown"),
    [
        *(
            (None, {name: 0.5}, f"{name} 0.5")
            for name in ("repetition_penalty", "temperature", "top_k", "top_p", "min_p", "max_new_tokens")
        ),
        ("auto", {"top_k": 20, "temperature": 0.1}, "temperature 0.1, top_k 20"),
        ("vllm", {"top_k": 20}, None),
        (None, {"top_k": "20"}, None),
        (None, {"do_sample": True}, None),
        (None, [1], None),
    ],
)
def test_sampling_defaults(asked: str | None, found: Any, shown: str | None, tmp_path: Path) -> None:
    put(tmp_path, **{"generation_config.json": found})
    given = {} if asked is None else {"generation_config": asked}
    assert text_files.facts_of(str(tmp_path), [], given).get("generation_defaults") == shown


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"])
def test_json_that_a_start_reads(name: str, tmp_path: Path) -> None:
    folder = put(tmp_path, **{"tokenizer.json": {}, name: "{"})
    assert said(folder) == {"config_no_json"}
    assert ("config_no_json" in said(folder, tokenizer="x")) is (name != "tokenizer.json")


# ---- Weights and permissions


def test_the_size_of_the_weights(tmp_path: Path) -> None:
    for name, size in (("a.bin", 1 << 30), ("b.bin", 1 << 29)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    found = weight_files.inspect_weights(str(tmp_path), ["a.bin", "b.bin"])
    assert (found.files, found.gib, found.complete) == (2, 1.5, True)


@pytest.mark.parametrize(
    ("files", "allowed", "fact"),
    [((), False, "not-permitted"), ((), True, "ok"), (("config.json",), False, "ok")],
)
def test_a_folder_that_may_not_be_read(
    files: tuple[str, ...], fact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, allowed: bool
) -> None:
    put(tmp_path, **{name: dict(CONFIG) for name in files})
    monkeypatch.setattr(os, "access", lambda *_: allowed)
    found = model_folder.inspect_model_folder(str(tmp_path)).facts["model_folder"].value
    assert (found == "not-permitted") is (fact == "not-permitted")


def test_the_time_of_the_import_test() -> None:
    """It is what it took, not a time of day."""
    found = imports.inspect_imports(modules=("json",)).facts
    assert found["imports"].value == "ok"
    assert 0 <= float(found["imports_s"].value) < 60


@pytest.mark.parametrize(
    ("capability", "cuda", "lacking"),
    [("", "13.0", False), ("7.0", "", False), ("12.0", "12.6", True), ("12.0", "12.8", False), ("7.0", "12.9", True)],
)
def test_kernels_of_which_nothing_is_known(capability: str, cuda: str, *, lacking: bool) -> None:
    assert _no_code(capability, cuda, "2.9.0") is lacking


def test_values_of_an_export_are_as_deep_as_anybody_reads() -> None:
    def nested(depth: int, kind: str) -> Any:
        value: Any = "x"
        for _ in range(depth):
            value = [value] if kind == "list" else {"a": value}
        return value

    for kind in ("list", "map"):
        for depth, kept in ((6, True), (7, False)):
            text = json.dumps(
                {"schema": export.SCHEMA, "facts": {"args": {"a": nested(depth - 1, kind)}}, "probes": {}}
            )
            read = json.dumps(export.loads(text).seen().facts["args"].value)
            assert ('"x"' in read) is kept, (kind, depth)


def test_whole_models_have_nothing_wrong(tmp_path: Path) -> None:
    assert said(model(tmp_path / "m"), dict(CONFIG)) == set()
