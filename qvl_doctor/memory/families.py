"""What config.json does not say and vLLM's model code does.

Which decoder an architecture is, and what its layers are made of.

Read from vllm/model_executor/models/<name>.py, 0.6 to 0.33. What is not listed is unknown, and said to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from qvl_doctor.memory.shape import Traits


@dataclass(frozen=True, slots=True)
class ExpertNames:
    """Under which names a family writes its experts into config.json.

    `shared_is_count`: the shared part is given as a number of experts.
    """

    count: str
    intermediate: str
    shared: str = ""
    shared_default: int = 0
    shared_is_count: bool = False
    shared_gate: bool = False
    bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Traits):
    """A kind of decoder layer, where config.json says nothing else.

    `sliding`: how many layers share one full layer where config.json has a sliding window (2: every other layer is
    full, 1: none is, 0: the window is not used). `positions`: the default of max_position_embeddings.
    """

    sliding: int = 0
    chunked: bool = False
    local_rope: bool = False
    mrope: bool = False
    latent: bool = False
    experts: ExpertNames | None = None
    positions: int | None = None


class Family(NamedTuple):
    """An architecture.

    The kind of its decoder where config.json does not name it, and the kind of its vision tower ("" without one).
    """

    text: str
    vision: str = ""


_LLAMA = Text()
_QWEN2 = Text(qkv_bias=True, keeps_gate_up=True)
_QWEN3 = Text(qk_norm=True, keeps_gate_up=True)
_QWEN3_MOE = replace(_QWEN3, experts=ExpertNames("num_experts", "moe_intermediate_size"))
_QWEN2_MOE = replace(
    _QWEN2,
    experts=ExpertNames("num_experts", "moe_intermediate_size", "shared_expert_intermediate_size", shared_gate=True),
)
_GEMMA = Text(keeps_gate_up=True, tied=True)
_GEMMA2 = replace(_GEMMA, norm_sizes=4, sliding=2)
_GEMMA3 = replace(_GEMMA, norm_sizes=4, sliding=6, qk_norm=True, local_rope=True, positions=131072)
_DEEPSEEK = Text(
    keeps_gate_up=True,
    latent=True,
    experts=ExpertNames("n_routed_experts", "moe_intermediate_size", "n_shared_experts", shared_is_count=True),
)

#: Kinds of decoder by the model_type of config.json (of its text section, where there is one).
TEXTS: Mapping[str, Text] = {
    "llama": _LLAMA,
    "mistral": replace(_LLAMA, sliding=1),
    "mixtral": replace(_LLAMA, sliding=1, experts=ExpertNames("num_local_experts", "intermediate_size")),
    "llama4_text": replace(
        _LLAMA, chunked=True, experts=ExpertNames("num_local_experts", "intermediate_size", "intermediate_size")
    ),
    "granite": replace(_LLAMA, keeps_gate_up=True),
    "internlm2": replace(_LLAMA, keeps_gate_up=True),
    "phi3": _LLAMA,
    "phi": Text(gated=False, qkv_bias=True, out_bias=True, mlp_bias=True, head_bias=True, norm_sizes=1, norm_bias=True),
    "qwen2": _QWEN2,
    "qwen2_vl": replace(_QWEN2, mrope=True),
    "qwen2_vl_text": replace(_QWEN2, mrope=True),
    "qwen2_5_vl": replace(_QWEN2, mrope=True),
    "qwen2_5_vl_text": replace(_QWEN2, mrope=True),
    "qwen2_moe": _QWEN2_MOE,
    "qwen3": _QWEN3,
    "qwen3_vl_text": replace(_QWEN3, mrope=True),
    "qwen3_moe": _QWEN3_MOE,
    "qwen3_vl_moe_text": replace(_QWEN3_MOE, mrope=True),
    "gemma": _GEMMA,
    "gemma2": _GEMMA2,
    "gemma3_text": _GEMMA3,
    "glm": replace(_LLAMA, keeps_gate_up=True, qkv_bias=True),
    "glm4": Text(qkv_bias=True, norm_sizes=4),
    "glm4v_text": Text(qkv_bias=True, norm_sizes=4, mrope=True),
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK,
    "gpt_oss": Text(
        sliding=2,
        qkv_bias=True,
        out_bias=True,
        sinks=True,
        experts=ExpertNames("num_local_experts", "intermediate_size", bias=True),
    ),
}

#: Architectures as config.json names them.
ARCHITECTURES: Mapping[str, Family] = {
    "LlamaForCausalLM": Family("llama"),
    "MistralForCausalLM": Family("mistral"),
    "MixtralForCausalLM": Family("mixtral"),
    "GraniteForCausalLM": Family("granite"),
    "InternLM2ForCausalLM": Family("internlm2"),
    "PhiForCausalLM": Family("phi"),
    "Phi3ForCausalLM": Family("phi3"),
    "Qwen2ForCausalLM": Family("qwen2"),
    "Qwen2MoeForCausalLM": Family("qwen2_moe"),
    "Qwen3ForCausalLM": Family("qwen3"),
    "Qwen3MoeForCausalLM": Family("qwen3_moe"),
    "GemmaForCausalLM": Family("gemma"),
    "Gemma2ForCausalLM": Family("gemma2"),
    "Gemma3ForCausalLM": Family("gemma3_text"),
    "GlmForCausalLM": Family("glm"),
    "Glm4ForCausalLM": Family("glm4"),
    "DeepseekV2ForCausalLM": Family("deepseek_v2"),
    "DeepseekV3ForCausalLM": Family("deepseek_v3"),
    "GptOssForCausalLM": Family("gpt_oss"),
    "Qwen2VLForConditionalGeneration": Family("qwen2_vl", "qwen2"),
    "Qwen2_5_VLForConditionalGeneration": Family("qwen2_5_vl", "qwen2_5"),
    "Qwen3VLForConditionalGeneration": Family("qwen3_vl_text", "qwen3"),
    "Qwen3VLMoeForConditionalGeneration": Family("qwen3_vl_moe_text", "qwen3"),
    "Gemma3ForConditionalGeneration": Family("gemma3_text", "siglip"),
    "LlavaForConditionalGeneration": Family("llama", "llava"),
    "LlavaNextForConditionalGeneration": Family("llama", "llava_next"),
    "LlavaOnevisionForConditionalGeneration": Family("qwen2", "llava_onevision"),
    "Mistral3ForConditionalGeneration": Family("mistral", "pixtral"),
    "InternVLChatModel": Family("qwen2", "intern"),
    "InternVLForConditionalGeneration": Family("qwen2", "intern"),
    "Glm4vForConditionalGeneration": Family("glm4v_text", "glm4v"),
    "MiniCPMV": Family("qwen2", "minicpm"),
    "KimiVLForConditionalGeneration": Family("deepseek_v3", "moonvit"),
    "Llama4ForConditionalGeneration": Family("llama4_text", "llama4"),
}
