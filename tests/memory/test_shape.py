"""config.json as a shape: the families, the errors that name a field, and architectures that are not known."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_shapes import TINY, model

from qvl_doctor.memory import model_cards
from qvl_doctor.memory.configs import read
from qvl_doctor.memory.decoder import decoder_pieces, stage_layers
from qvl_doctor.memory.families import ARCHITECTURES
from qvl_doctor.memory.shape import LayerKind, ModelShape, RopeCache, ShapeError, UnknownArchitecture
from qvl_doctor.memory.towers import vision_pieces


def shape(**changes: Any) -> ModelShape:
    found = read({**TINY, **changes})
    assert isinstance(found, ModelShape)
    return found


def test_sizes_of_a_flat_config() -> None:
    found = shape()
    assert (found.depth, found.hidden, found.heads, found.kv_heads, found.head_dim) == (4, 256, 8, 2, 32)
    assert found.qkv_bias
    assert found.keeps_gate_up
    assert found.vision is None


def test_an_unknown_architecture_is_said_to_be_unknown() -> None:
    assert read({"architectures": ["BrandNewForCausalLM"]}) == UnknownArchitecture("BrandNewForCausalLM")
    assert read({**TINY, "architectures": ["MllamaForConditionalGeneration"]}) == UnknownArchitecture(
        "MllamaForConditionalGeneration"
    )


def test_an_unknown_decoder_under_a_known_tower_falls_back_to_the_familys_own() -> None:
    found = read({**TINY, "model_type": "qwen2_next_thing"})
    assert isinstance(found, ModelShape)
    assert found.qkv_bias


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_size": "4096"}, "hidden_size"),
        ({"hidden_size": -1}, "hidden_size"),
        ({"hidden_size": 1.5}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"num_hidden_layers": 10**12}, "num_hidden_layers"),
        ({"num_hidden_layers": 100_000}, "num_hidden_layers"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"num_attention_heads": 7, "num_key_value_heads": 7}, "head_dim"),
        ({"num_key_value_heads": 3}, "num_key_value_heads"),
        ({"vocab_size": []}, "vocab_size"),
        ({"max_position_embeddings": None}, "max_position_embeddings"),
        ({"rope_scaling": "yarn"}, "rope_scaling"),
        ({"rope_scaling": {"type": "linear", "factor": 10**9}}, "rope_scaling.factor"),
        ({"partial_rotary_factor": 7}, "partial_rotary_factor"),
        ({"architectures": []}, "architectures"),
        ({"architectures": "Qwen2ForCausalLM"}, "architectures"),
        ({"architectures": None}, "architectures"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ShapeError) as error:
        read({**TINY, **change})
    assert error.value.field == field
    assert str(error.value).startswith(f"{field}: ")


def test_a_missing_field_is_named_with_its_section() -> None:
    text = {key: value for key, value in TINY.items() if key not in {"architectures", "vocab_size"}}
    with pytest.raises(ShapeError, match=r"^text_config\.vocab_size: is missing$"):
        read({"architectures": ["Qwen2VLForConditionalGeneration"], "text_config": text, "vision_config": {}})
    with pytest.raises(ShapeError, match=r"^vision_config: is missing$"):
        read({**TINY, "architectures": ["Qwen2VLForConditionalGeneration"]})
    with pytest.raises(ShapeError, match=r"^vision_config\.depth: must be a whole number, not a text$"):
        read({**TINY, "architectures": ["Qwen2VLForConditionalGeneration"], "vision_config": {"depth": "32"}})


@pytest.mark.parametrize("config", [None, [], "config", 7, {}, {"architectures": [7]}])
def test_what_is_no_config(config: object) -> None:
    with pytest.raises(ShapeError):
        read(config)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(sorted(ARCHITECTURES)),
    st.dictionaries(st.sampled_from([*TINY, "vision_config", "text_config", "rope_scaling"]), JSON),
)
def test_any_config_gives_a_shape_or_names_a_field(name: str, changes: dict[str, Any]) -> None:
    try:
        found = read({**TINY, **changes, "architectures": [name]})
    except ShapeError as error:
        found = UnknownArchitecture(error.field)
    assert found.architecture


def test_windows_by_pattern_by_list_and_switched_off() -> None:
    gemma = model("gemma-3-27b-it")
    assert gemma.layers.count(LayerKind("sliding", 1024)) == 52
    assert gemma.layers.count(LayerKind()) == 10
    oss = model("gpt-oss-20b")
    assert [layer.kind for layer in oss.layers[:2]] == ["sliding", "full"]
    assert {layer.kind for layer in shape(model_type="mistral", sliding_window=4096).layers} == {"sliding"}
    assert {layer.kind for layer in shape(sliding_window=4096, use_sliding_window=False).layers} == {"full"}
    scout = model("Llama-4-Scout-17B-16E-Instruct")
    assert scout.layers.count(LayerKind("chunked", 8192)) == 36


def test_rotary_tables() -> None:
    """Rows × elements.

    Positions for plain ones, four times for M-RoPE, the factor for linear ones, two tables for longrope and Gemma 3.
    """
    assert shape().rope == (RopeCache(4096, 32),)
    assert model("Qwen2.5-VL-7B-Instruct").rope == (RopeCache(4 * 128000, 128),)
    assert model("gemma-3-4b-it").rope == (RopeCache(8 * 131072, 256), RopeCache(131072, 256))
    assert model("gpt-oss-20b").rope == (RopeCache(131072, 64),)
    assert model("Phi-4-mini-instruct").rope == (RopeCache(4096, 96), RopeCache(131072, 96))
    assert model("phi-2").rope == (RopeCache(2048, 32),)
    assert model("DeepSeek-R1").rope == (RopeCache(163840, 64),)
    assert model("Llama-4-Scout").rope == (RopeCache(10_485_760, 128),)


@pytest.mark.parametrize("name", model_cards.known())
def test_every_card_is_a_shape_with_the_published_number_of_parameters(name: str) -> None:
    """The derived tensors are those of the checkpoint. vLLM pads the vocabulary, and does not load the last layers of
    CLIP for LLaVA."""
    found = model_cards.find(name)
    assert found is not None
    assert found.source
    pieces = [*decoder_pieces(found.shape, 1), *(vision_pieces(found.shape.vision, 1) if found.shape.vision else ())]
    derived = sum(piece.elements for piece in pieces)
    assert derived > 10**8
    if found.parameters:
        assert derived == pytest.approx(found.parameters, rel=0.002)


@pytest.mark.parametrize(
    "name",
    [
        "Qwen2.5-VL-7B-Instruct",
        "Qwen3-VL-8B-Instruct",
        "Qwen3-30B-A3B",
        "gpt-oss-20b",
        "Mistral-Small-3.1-24B-Instruct-2503",
    ],
)
def test_cards_whose_tensors_are_exact(name: str) -> None:
    found = model_cards.find(name)
    assert found is not None
    pieces = [*decoder_pieces(found.shape, 1), *(vision_pieces(found.shape.vision, 1) if found.shape.vision else ())]
    assert sum(piece.elements for piece in pieces) == found.parameters


@pytest.mark.parametrize(
    ("name", "card", "quantization"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", ""),
        ("/models/Qwen2.5-VL-7B-Instruct-AWQ/", "Qwen/Qwen2.5-VL-7B-Instruct", "awq"),
        ("qwen2-5-vl-7b-instruct-awq", "Qwen/Qwen2.5-VL-7B-Instruct", "awq"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "meta-llama/Llama-3.1-8B-Instruct", "w4a16"),
        ("Llama-3.2-3B-Instruct-Q8_0.gguf", "meta-llama/Llama-3.2-3B-Instruct", "gguf-q8_0"),
        ("Qwen3-235B-A22B-FP8", "Qwen/Qwen3-235B-A22B", "fp8-block"),
        ("Phi-4 bnb-4bit", "microsoft/phi-4", "bnb4"),
        ("Qwen2.5-7B-Instruct-GPTQ-Int4", "Qwen/Qwen2.5-7B-Instruct", "gptq4"),
    ],
)
def test_cards_by_the_names_that_people_use(name: str, card: str, quantization: str) -> None:
    found = model_cards.find(name)
    assert found is not None
    assert (found.name, found.quantization) == (card, quantization)


@pytest.mark.parametrize(
    "name", ["", "/", "Qwen2.5-7B-Instruct-1M", "Qwen3.8-27B", "llama", "x" * 10_000, "-" * 10_000, "Qwen2-VL family"]
)
def test_names_without_a_card(name: str) -> None:
    assert model_cards.find(name) is None


def test_quantization_of_the_checkpoint_is_read_from_its_config() -> None:
    scheme = {"weights": {"num_bits": 8, "type": "int", "strategy": "channel"}}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"quant_method": "awq", "bits": 4}, "awq"),
        ({"quant_method": "gptq", "bits": 8}, "gptq8"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-block"),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": scheme}}, "w8a8"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bnb4"),
        ({}, "unknown"),
    ]
    for config, method in cases:
        assert shape(quantization_config=config).quantization == method


def test_layers_of_pipeline_stages() -> None:
    """What does not divide goes to the stages before the last (get_pp_indices)."""
    assert stage_layers(32, 2) == (16, 16)
    assert stage_layers(62, 4) == (15, 16, 16, 15)
    assert sum(stage_layers(61, 8)) == 61


def test_cards_are_data_with_a_source(root: Any) -> None:
    for path in sorted((root / "qvl_doctor/knowledge/models").glob("*.json")):
        entry = json.loads(path.read_text(encoding="utf-8"))
        assert {"name", "aliases", "source", "config"} <= set(entry)
        assert entry["source"], path.name
