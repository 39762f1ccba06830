"""Fields of a config.json that decide about memory.

What each means, where it stands, and what counts where it is missing.
"""

from __future__ import annotations

from typing import Any

import pytest
from memory_shapes import TINY

from qvl_doctor.memory.configs import read
from qvl_doctor.memory.families import ARCHITECTURES, TEXTS, ExpertNames, Family, Text
from qvl_doctor.memory.shape import (
    FULL,
    Experts,
    Latent,
    LayerKind,
    ModelShape,
    RopeCache,
    ShapeError,
    UnknownArchitecture,
)


def shape(**changes: Any) -> ModelShape:
    """TINY: 4 layers, hidden 256, 8 heads and 2 KV heads, intermediate 512, 4096 positions. None removes a field."""
    found = read({key: value for key, value in {**TINY, **changes}.items() if value is not None})
    assert isinstance(found, ModelShape), found
    return found


def of(architecture: str, model_type: str = "", **changes: Any) -> ModelShape:
    return shape(architectures=[architecture], model_type=model_type or None, **changes)


# ---- Families: what config.json does not say

QWEN2 = {"qkv_bias", "keeps_gate_up"}
QWEN3 = {"qk_norm", "keeps_gate_up"}
EXPERTS = ExpertNames("num_experts", "moe_intermediate_size")
SHARED = ExpertNames("num_experts", "moe_intermediate_size", "shared_expert_intermediate_size", shared_gate=True)
LOCAL = ExpertNames("num_local_experts", "intermediate_size")
ROUTED = ExpertNames("n_routed_experts", "moe_intermediate_size", "n_shared_experts", shared_is_count=True)


@pytest.mark.parametrize(
    ("name", "traits", "numbers", "experts"),
    [
        ("llama", set(), {}, None),
        ("mistral", set(), {"sliding": 1}, None),
        ("mixtral", set(), {"sliding": 1}, LOCAL),
        (
            "llama4_text",
            {"chunked"},
            {},
            ExpertNames("num_local_experts", "intermediate_size", "intermediate_size"),
        ),
        ("granite", {"keeps_gate_up"}, {}, None),
        ("internlm2", {"keeps_gate_up"}, {}, None),
        ("phi3", set(), {}, None),
        (
            "phi",
            {"-gated", "qkv_bias", "out_bias", "mlp_bias", "head_bias", "norm_bias"},
            {"norm_sizes": 1},
            None,
        ),
        ("qwen2", QWEN2, {}, None),
        *((name, {*QWEN2, "mrope"}, {}, None) for name in ("qwen2_vl", "qwen2_vl_text")),
        *((name, {*QWEN2, "mrope"}, {}, None) for name in ("qwen2_5_vl", "qwen2_5_vl_text")),
        ("qwen2_moe", QWEN2, {}, SHARED),
        ("qwen3", QWEN3, {}, None),
        ("qwen3_vl_text", {*QWEN3, "mrope"}, {}, None),
        ("qwen3_moe", QWEN3, {}, EXPERTS),
        ("qwen3_vl_moe_text", {*QWEN3, "mrope"}, {}, EXPERTS),
        ("gemma", {"keeps_gate_up", "tied"}, {}, None),
        ("gemma2", {"keeps_gate_up", "tied"}, {"norm_sizes": 4, "sliding": 2}, None),
        (
            "gemma3_text",
            {"keeps_gate_up", "tied", "qk_norm", "local_rope"},
            {"norm_sizes": 4, "sliding": 6, "positions": 131072},
            None,
        ),
        ("glm", {"keeps_gate_up", "qkv_bias"}, {}, None),
        ("glm4", {"qkv_bias"}, {"norm_sizes": 4}, None),
        ("glm4v_text", {"qkv_bias", "mrope"}, {"norm_sizes": 4}, None),
        ("deepseek_v2", {"keeps_gate_up", "latent"}, {}, ROUTED),
        ("deepseek_v3", {"keeps_gate_up", "latent"}, {}, ROUTED),
        (
            "gpt_oss",
            {"qkv_bias", "out_bias", "sinks"},
            {"sliding": 2},
            ExpertNames("num_local_experts", "intermediate_size", bias=True),
        ),
    ],
)
def test_a_kind_of_decoder(name: str, traits: set[str], numbers: dict[str, Any], experts: ExpertNames | None) -> None:
    said = {trait.lstrip("-"): not trait.startswith("-") for trait in traits}
    assert TEXTS[name] == Text(**said, **numbers, experts=experts)


@pytest.mark.parametrize(
    ("names", "text", "vision"),
    [
        ("LlamaForCausalLM", "llama", ""),
        ("MistralForCausalLM", "mistral", ""),
        ("MixtralForCausalLM", "mixtral", ""),
        ("GraniteForCausalLM", "granite", ""),
        ("InternLM2ForCausalLM", "internlm2", ""),
        ("PhiForCausalLM", "phi", ""),
        ("Phi3ForCausalLM", "phi3", ""),
        ("Qwen2ForCausalLM", "qwen2", ""),
        ("Qwen2MoeForCausalLM", "qwen2_moe", ""),
        ("Qwen3ForCausalLM", "qwen3", ""),
        ("Qwen3MoeForCausalLM", "qwen3_moe", ""),
        ("GemmaForCausalLM", "gemma", ""),
        ("Gemma2ForCausalLM", "gemma2", ""),
        ("Gemma3ForCausalLM", "gemma3_text", ""),
        ("GlmForCausalLM", "glm", ""),
        ("Glm4ForCausalLM", "glm4", ""),
        ("DeepseekV2ForCausalLM", "deepseek_v2", ""),
        ("DeepseekV3ForCausalLM", "deepseek_v3", ""),
        ("GptOssForCausalLM", "gpt_oss", ""),
        ("Qwen2VLForConditionalGeneration", "qwen2_vl", "qwen2"),
        ("Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl", "qwen2_5"),
        ("Qwen3VLForConditionalGeneration", "qwen3_vl_text", "qwen3"),
        ("Qwen3VLMoeForConditionalGeneration", "qwen3_vl_moe_text", "qwen3"),
        ("Gemma3ForConditionalGeneration", "gemma3_text", "siglip"),
        ("LlavaForConditionalGeneration", "llama", "llava"),
        ("LlavaNextForConditionalGeneration", "llama", "llava_next"),
        ("LlavaOnevisionForConditionalGeneration", "qwen2", "llava_onevision"),
        ("Mistral3ForConditionalGeneration", "mistral", "pixtral"),
        ("InternVLChatModel InternVLForConditionalGeneration", "qwen2", "intern"),
        ("Glm4vForConditionalGeneration", "glm4v_text", "glm4v"),
        ("MiniCPMV", "qwen2", "minicpm"),
        ("KimiVLForConditionalGeneration", "deepseek_v3", "moonvit"),
        ("Llama4ForConditionalGeneration", "llama4_text", "llama4"),
    ],
)
def test_an_architecture(names: str, text: str, vision: str) -> None:
    for name in names.split():
        assert ARCHITECTURES[name] == Family(text, vision)
    assert text in TEXTS


# ---- Where a field stands


@pytest.mark.parametrize("section", ["text_config", "llm_config", "language_config", "thinker_config"])
def test_a_decoder_in_a_section_of_its_own(section: str) -> None:
    text = {key: value for key, value in TINY.items() if key != "architectures"}
    found = read({"architectures": ["Qwen2ForCausalLM"], section: text, "hidden_size": 9})
    assert isinstance(found, ModelShape)
    assert found.hidden == 256
    with pytest.raises(ShapeError, match=rf"^{section}\.hidden_size: is missing"):
        read({"architectures": ["Qwen2ForCausalLM"], section: {"num_hidden_layers": 4}})
    with pytest.raises(ShapeError, match=rf"^{section}\.num_attention_heads: is missing"):
        read({"architectures": ["Qwen2ForCausalLM"], section: {"hidden_size": 256}})
    assert shape(**{section: {"vocab_size": 7}}).vocab == 1000  # no decoder
    assert shape(**{section: 7}).vocab == 1000


def test_the_type_of_a_model() -> None:
    text = {key: value for key, value in TINY.items() if key not in {"architectures", "model_type"}}
    whole = {"architectures": ["Qwen2ForCausalLM"], "text_config": text}
    inner = read({**whole, "text_config": {**text, "model_type": "qwen2"}, "model_type": "outer"})
    outer, none = read({**whole, "model_type": "outer"}), read(whole)
    assert isinstance(inner, ModelShape)
    assert isinstance(outer, ModelShape)
    assert isinstance(none, ModelShape)
    assert (inner.model_type, outer.model_type, none.model_type) == ("qwen2", "outer", "")
    assert shape(model_type="llama").qkv_bias is False
    assert shape(model_type="of-tomorrow").qkv_bias is True


def test_an_architecture_that_nobody_knows() -> None:
    assert read({"architectures": ["X", "Qwen2ForCausalLM"]}) == UnknownArchitecture("X")


def test_sizes_that_follow_from_others() -> None:
    assert shape(num_key_value_heads=None).kv_heads == 8
    assert shape(head_dim=48).head_dim == 48
    assert shape(num_hidden_layers=1000).depth == 1000
    with pytest.raises(ShapeError, match="num_hidden_layers: must lie between 1 and 1000"):
        shape(num_hidden_layers=1001)
    with pytest.raises(ShapeError, match="intermediate_size: is missing"):
        shape(intermediate_size=None)
    assert of("PhiForCausalLM", intermediate_size=None).intermediate == 4 * 256
    assert of("Gemma3ForCausalLM", max_position_embeddings=None).positions == 131072


@pytest.mark.parametrize(
    ("changes", "dtype"),
    [
        ({"torch_dtype": "float16"}, "float16"),
        ({"dtype": "float16"}, "float16"),
        ({"torch_dtype": "torch.float32", "dtype": "float16"}, "float32"),
        ({"torch_dtype": 7, "dtype": "float16"}, "float16"),
        ({"torch_dtype": ""}, "bfloat16"),
        ({"torch_dtype": "torch."}, "bfloat16"),
        ({}, "bfloat16"),
    ],
)
def test_the_dtype_of_a_checkpoint(changes: dict[str, Any], dtype: str) -> None:
    assert shape(**changes).dtype == dtype


def test_dtype_ties_and_quantization_inside_and_outside_of_a_section() -> None:
    text = {
        **TINY,
        "torch_dtype": "float16",
        "tie_word_embeddings": True,
        "quantization_config": {"quant_method": "awq"},
    }
    outside: dict[str, Any] = {
        "torch_dtype": "float32",
        "tie_word_embeddings": False,
        "quantization_config": {"quant_method": "fp8"},
    }
    found = read({"architectures": ["Qwen2ForCausalLM"], "text_config": text, **outside})
    assert isinstance(found, ModelShape)
    assert (found.dtype, found.tied, found.quantization) == ("float16", True, "fp8")
    inside = read({"architectures": ["Qwen2ForCausalLM"], "text_config": text, "quantization_config": 7})
    assert isinstance(inside, ModelShape)
    assert inside.quantization == "awq"
    assert shape().quantization == ""
    assert shape(tie_word_embeddings=True).tied
    assert of("GemmaForCausalLM", tie_word_embeddings="no").tied


@pytest.mark.parametrize(
    ("name", "changes", "biases"),
    [
        ("LlamaForCausalLM", {}, (False, False, False)),
        ("LlamaForCausalLM", {"attention_bias": True}, (True, True, False)),
        ("LlamaForCausalLM", {"qkv_bias": True}, (True, False, False)),
        ("LlamaForCausalLM", {"mlp_bias": True}, (False, False, True)),
        ("Qwen2ForCausalLM", {}, (True, False, False)),
        ("Qwen2ForCausalLM", {"attention_bias": False}, (False, False, False)),
        ("Qwen2ForCausalLM", {"attention_bias": True}, (True, False, False)),
        ("PhiForCausalLM", {}, (True, True, True)),
    ],
)
def test_biases(name: str, changes: dict[str, Any], biases: tuple[bool, bool, bool]) -> None:
    found = of(name, **changes)
    assert (found.qkv_bias, found.out_bias, found.mlp_bias) == biases


# ---- Windows

WINDOW, CHUNK = LayerKind("sliding", 64), LayerKind("chunked", 64)


@pytest.mark.parametrize(
    ("name", "changes", "layers"),
    [
        ("MistralForCausalLM", {"sliding_window": 64}, [WINDOW] * 4),
        ("MistralForCausalLM", {"sliding_window": 1}, [LayerKind("sliding", 1)] * 4),
        ("MistralForCausalLM", {"sliding_window": 0}, [FULL] * 4),
        ("MistralForCausalLM", {"sliding_window": True}, [FULL] * 4),
        ("MistralForCausalLM", {"sliding_window": "64"}, [FULL] * 4),
        ("MistralForCausalLM", {}, [FULL] * 4),
        ("MistralForCausalLM", {"sliding_window": 64, "use_sliding_window": False}, [FULL] * 4),
        ("MistralForCausalLM", {"sliding_window": 64, "use_sliding_window": True}, [WINDOW] * 4),
        ("LlamaForCausalLM", {"sliding_window": 64}, [FULL] * 4),
        ("Gemma2ForCausalLM", {"sliding_window": 64}, [WINDOW, FULL] * 2),
        ("Gemma2ForCausalLM", {"sliding_window": 64, "sliding_window_pattern": 3}, [WINDOW, WINDOW, FULL, WINDOW]),
        ("Gemma2ForCausalLM", {"sliding_window": 64, "sliding_window_pattern": 1}, [WINDOW] * 4),
        (
            "Gemma2ForCausalLM",
            {"sliding_window": 64, "layer_types": ["full_attention", "sliding_attention", "x", "sliding_attention"]},
            [FULL, WINDOW, FULL, WINDOW],
        ),
        ("Gemma2ForCausalLM", {"sliding_window": 64, "layer_types": ["full_attention"]}, [WINDOW, FULL] * 2),
        ("Gemma2ForCausalLM", {"sliding_window": 64, "layer_types": "full"}, [WINDOW, FULL] * 2),
        ("Gemma2ForCausalLM", {"attention_chunk_size": 64}, [FULL] * 4),
    ],
)
def test_windows(name: str, changes: dict[str, Any], layers: list[LayerKind]) -> None:
    assert list(of(name, **changes).layers) == layers


LLAMA4: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 1}


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        ({"attention_chunk_size": 64}, [CHUNK, CHUNK, CHUNK, FULL]),
        ({"attention_chunk_size": 64, "no_rope_layer_interval": 3}, [CHUNK, CHUNK, FULL, CHUNK]),
        ({"attention_chunk_size": 64, "no_rope_layers": [0, 1, 1, 0]}, [FULL, CHUNK, CHUNK, FULL]),
        ({"attention_chunk_size": 64, "no_rope_layers": [0, 1]}, [CHUNK, CHUNK, CHUNK, FULL]),
        ({"attention_chunk_size": 64, "no_rope_layers": "0110"}, [CHUNK, CHUNK, CHUNK, FULL]),
        ({"attention_chunk_size": None}, [FULL] * 4),
        ({"attention_chunk_size": 0, "sliding_window": 64}, [FULL] * 4),
    ],
)
def test_chunks(changes: dict[str, Any], layers: list[LayerKind]) -> None:
    found = shape(architectures=["LlamaForCausalLM"], model_type="llama4_text", **LLAMA4, **changes)
    assert list(found.layers) == layers


# ---- MLA and experts


def test_mla() -> None:
    ranks: dict[str, Any] = {"kv_lora_rank": 32, "qk_rope_head_dim": 8, "qk_nope_head_dim": 24, "v_head_dim": 20}
    experts: dict[str, Any] = {"n_routed_experts": 6, "moe_intermediate_size": 48, "num_experts_per_tok": 2}
    found = of("DeepseekV3ForCausalLM", **ranks, **experts, q_lora_rank=48, n_shared_experts=2, first_k_dense_replace=1)
    assert found.latent == Latent(kv_rank=32, rope_dim=8, nope_dim=24, value_dim=20, query_rank=48)
    assert (found.head_dim, found.kv_heads) == (32, 8)
    assert found.rope == (RopeCache(4096, 8),)
    assert found.experts == Experts(6, 2, 48, shared_intermediate=2 * 48, dense_layers=1)
    plain = of("DeepseekV2ForCausalLM", **ranks, **experts)
    assert plain.latent is not None
    assert plain.experts is not None
    assert (plain.latent.query_rank, plain.experts.shared_intermediate, plain.experts.dense_layers) == (0, 0, 0)


def test_experts() -> None:
    few: dict[str, Any] = {"num_experts": 6, "moe_intermediate_size": 48, "num_experts_per_tok": 2}
    assert of("Qwen3MoeForCausalLM", **few).experts == Experts(6, 2, 48)
    assert of("Qwen3MoeForCausalLM", **{**few, "num_experts_per_tok": 9}).experts == Experts(6, 6, 48)
    assert of("Qwen3MoeForCausalLM", **few, decoder_sparse_step=2).experts == Experts(6, 2, 48, every=2)
    assert of("Qwen3MoeForCausalLM", **few, interleave_moe_layer_step=3).experts == Experts(6, 2, 48, every=3)
    shared = of("Qwen2MoeForCausalLM", **few, shared_expert_intermediate_size=40)
    assert shared.experts == Experts(6, 2, 48, shared_intermediate=40, shared_gate=True)
    local: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 1}
    assert of("MixtralForCausalLM", **local).experts == Experts(4, 1, 512)
    assert of("GptOssForCausalLM", **local).experts == Experts(4, 1, 512, bias=True)
    assert shape().experts is None


# ---- Rotary tables


@pytest.mark.parametrize(
    ("changes", "tables"),
    [
        ({}, [(4096, 32)]),
        ({"rope_scaling": {}}, [(4096, 32)]),
        ({"partial_rotary_factor": 0.5}, [(4096, 16)]),
        ({"partial_rotary_factor": 1}, [(4096, 32)]),
        ({"rope_parameters": {"partial_rotary_factor": 0.25}}, [(4096, 8)]),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, [(8192, 32)]),
        ({"rope_scaling": {"rope_type": "dynamic", "type": "x", "factor": 1.5}}, [(6144, 32)]),
        ({"rope_scaling": {"type": "linear"}}, [(4096, 32)]),
        ({"rope_scaling": {"type": "linear", "factor": 1024}}, [(4194304, 32)]),
        ({"rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 1000}}, [(4000, 32)]),
        ({"rope_scaling": {"type": "deepseek_yarn", "factor": 4}}, [(16384, 32)]),
        ({"rope_scaling": {"type": "yarn", "factor": 4}, "original_max_position_embeddings": 1}, [(4, 32)]),
        ({"rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 0}}, [(16384, 32)]),
        (
            {"rope_scaling": {"type": "yarn", "factor": 2, "original_max_position_embeddings": 10**9}},
            [(2 * 10**9, 32)],
        ),
        ({"rope_scaling": {"type": "yarn", "factor": 2, "original_max_position_embeddings": 10**9 + 1}}, [(8192, 32)]),
        ({"rope_scaling": {"type": "longrope", "original_max_position_embeddings": 1000}}, [(1000, 32), (4096, 32)]),
        ({"rope_scaling": {"type": "su"}, "original_max_position_embeddings": 1000}, [(1000, 32), (4096, 32)]),
        ({"rope_scaling": {"type": "mrope"}}, [(4 * 4096, 32)]),
        ({"rope_scaling": {"type": "default", "mrope_section": [1, 2]}}, [(4 * 4096, 32)]),
        ({"model_type": "qwen2_vl"}, [(4 * 4096, 32)]),
        ({"rope_scaling": {"type": "llama3", "factor": 8}}, [(4096, 32)]),
        ({"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8}}}, [(32768, 32)]),
    ],
)
def test_rotary_tables(changes: dict[str, Any], tables: list[tuple[int, int]]) -> None:
    assert shape(**changes).rope == tuple(RopeCache(*each) for each in tables)


@pytest.mark.parametrize("method", ["linear", "yarn", "longrope", "mrope", "default"])
def test_gemma_3_has_a_table_for_its_windows_besides(method: str) -> None:
    local = RopeCache(4096, 32)
    assert of("Gemma3ForCausalLM", rope_scaling={"type": method}).rope[-1] == local
    assert len(of("Gemma3ForCausalLM", rope_scaling={"type": method}).rope) == 2 + (method == "longrope")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"partial_rotary_factor": 0.009}, "partial_rotary_factor"),
        ({"partial_rotary_factor": 1.5}, "partial_rotary_factor"),
        ({"rope_scaling": {"type": "linear", "factor": 0.5}}, "rope_scaling.factor"),
        ({"rope_scaling": {"type": "linear", "factor": 1024.5}}, "rope_scaling.factor"),
        ({"rope_scaling": [1]}, "rope_scaling"),
    ],
)
def test_rotary_numbers_that_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ShapeError) as caught:
        shape(**changes)
    assert caught.value.field == field


def test_the_least_part_that_may_rotate() -> None:
    assert shape(partial_rotary_factor=0.01, head_dim=200).rope == (RopeCache(4096, 2),)
