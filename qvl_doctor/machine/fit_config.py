"""Compares a model's config.json with command and GPU: heads, length, quantization; in vLLM's words if it has any.

Only what is wrong under every reading of config.json is reported; what the command overrides is left to vLLM.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qvl_doctor import knowledge
from qvl_doctor.machine import env_variables
from qvl_doctor.model import Record
from qvl_doctor.observations import observe
from qvl_doctor.sizing import refusals
from qvl_doctor.versions import satisfies

Config = Mapping[str, Any]

_SECTIONS = ("text_config", "llm_config", "language_config", "thinker_config")
#: Keys that may hold a length; vLLM uses the smallest.
_LENGTHS = (
    *(
        "max_position_embeddings",
        "n_positions",
        "max_seq_len",
        "seq_length",
        "model_max_length",
        "max_target_positions",
    ),
    *("max_sequence_length", "max_seq_length", "seq_len"),
)
#: Kinds of rotary embedding whose factor vLLM does not apply.
_NO_FACTOR = frozenset(("su", "longrope", "llama3", "default", "mrope"))
#: Flags that change config.json: what follows from it is then unknown.
_OVERRIDES = (
    "hf_overrides",
    "hf_config_path",
    "rope_scaling",
    "rope_theta",
    "rope_parameters",
    "config_format",
    "speculative_config",
)
#: Methods in config.json whose name covers several of vLLM's.
_AMBIGUOUS = frozenset(("modelopt", "quark", "torchao", "auto-round", "inc"))
#: Methods without a minimum capability, and other spellings of those that have one.
_OTHER_METHODS = frozenset(
    (
        "tpu_int8",
        "neuron_quant",
        "ipex",
        "ptpc_fp8",
        "cpu_awq",
        "auto_round",
        "auto-awq",
        "auto-gptq",
        "bitnet",
        "w8a8_int8",
    )
)
#: The width of Qwen2.5-VL's vision MLP if config.json does not give it.
_QWEN25_VISION = 3420


def observations(
    config: Config, arguments: Mapping[str, Any], release: str, capability: str, env: Mapping[str, str]
) -> Iterator[Record]:
    """What does not fit together. `capability` is the GPU's, as "7.5"; "" if it is unknown."""
    ranks = arguments.get("tensor_parallel_size")
    if isinstance(ranks, int) and not isinstance(ranks, bool) and 1 < ranks <= 1024 and not _overridden(arguments):
        yield from _heads(config, ranks, arguments)
    asked = arguments.get("max_model_len")
    if isinstance(asked, int) and not isinstance(asked, bool) and not _overridden(arguments):
        yield from _length(text_config(config), asked, env)
    yield from _quantization(config, arguments, release, capability)


def text_config(config: Config) -> Config:
    """The part of config.json that describes the language model."""
    for name in _SECTIONS:
        section = config.get(name)
        if isinstance(section, Mapping) and name == "thinker_config":
            return text_config(section)
        if isinstance(section, Mapping) and "num_attention_heads" in section:
            return section
    return config


def _overridden(arguments: Mapping[str, Any]) -> bool:
    return any(arguments.get(name) for name in _OVERRIDES)


def _heads(config: Config, ranks: int, arguments: Mapping[str, Any]) -> Iterator[Record]:
    text = text_config(config)
    heads, kv_heads = _whole(text, "num_attention_heads"), _whole(text, "num_key_value_heads")
    yield from refusals.heads(heads, kv_heads if _shared(config) else 0, ranks)
    vision = config.get("vision_config")
    if (
        config.get("model_type") == "qwen2_5_vl"
        and isinstance(vision, Mapping)
        and arguments.get("mm_encoder_tp_mode") != "data"
    ):
        width = _whole(vision, "intermediate_size") or _QWEN25_VISION
        if width % ranks and not arguments.get("language_model_only"):
            yield observe("vision_not_divisible", whole=width, parts=ranks)


def _shared(config: Config) -> bool:
    """Whether the model is one of those whose key and value heads are known to be split in the usual way."""
    from qvl_doctor.memory.configs import read
    from qvl_doctor.memory.shape import ModelShape, ShapeError

    try:
        shape = read(config)
    except ShapeError:
        return False
    return isinstance(shape, ModelShape) and shape.latent is None


def _length(text: Config, asked: int, env: Mapping[str, str]) -> Iterator[Record]:
    """A context length above the model's, by the most generous reading.

    Some releases multiplied by yarn's factor and others did not.
    """
    found = {name: _whole(text, name) for name in _LENGTHS if _whole(text, name)}
    if not found or env_variables.is_on(env, "VLLM_ALLOW_LONG_MAX_MODEL_LEN"):
        return
    key = min(found, key=lambda name: found[name])
    longest = found[key] * _factor(text)
    if asked > max(longest, found.get("model_max_length", 0)):
        most = f"{longest:g}" if longest != int(longest) else f"{int(longest)}"
        yield observe("length_above_model", asked=asked, key=key, longest=most)


def _factor(text: Config) -> float:
    factors = [1.0]
    for name in ("rope_scaling", "rope_parameters"):
        given = text.get(name)
        sections = [given, *given.values()] if isinstance(given, Mapping) else []
        for each in sections:
            factor = each.get("factor") if isinstance(each, Mapping) else None
            kind = str(each.get("rope_type") or each.get("type") or "") if isinstance(each, Mapping) else ""
            if isinstance(factor, (int, float)) and not isinstance(factor, bool) and kind not in _NO_FACTOR:
                factors.append(float(min(factor, 10_000)))
    return max(factors)


def _quantization(config: Config, arguments: Mapping[str, Any], release: str, capability: str) -> Iterator[Record]:
    given = config.get("quantization_config") or text_config(config).get("quantization_config")
    if not isinstance(given, Mapping) or not release:
        return
    method = str(given.get("quant_method") or "").lower().replace("compressed_tensors", "compressed-tensors")
    if method in _AMBIGUOUS or arguments.get("quantization") not in {None, method}:
        return
    newest = knowledge.newest_vllm()
    if (
        method
        and method not in _OTHER_METHODS
        and not knowledge.quantization_known(method)
        and satisfies(release, f"<={newest}")
    ):
        yield observe("quantization_in_no_release", method=method.replace(" ", "_")[:60], newest=newest)
        return
    current = _as_number(capability)
    least = knowledge.quantization_minimum(method, release)
    if least and current and current < least:
        yield observe("quantization_on_old_gpu", method=method[:40], least=least, current=current)
        return
    scheme = _scheme(config, given) if method == "compressed-tensors" else ""
    least = knowledge.quantization_minimum(f"{method} {scheme}", release) if scheme else None
    if least and current and current < least:
        yield observe("quantization_scheme_on_old_gpu", least=least, current=current)


def _scheme(config: Config, given: Config) -> str:
    """The scheme of compressed-tensors that all its dense layers have; "" for others and for mixtures of experts."""
    if any("expert" in str(name) for name in (*config, *text_config(config))):
        return ""
    groups = given.get("config_groups")
    kinds = (
        {_kind(group) for group in groups.values()} if isinstance(groups, Mapping) and 0 < len(groups) <= 64 else set()
    )
    formats = {"pack-quantized": "WNA16", "int-quantized": "W8A8Int8"}
    wanted = formats.get(str(given.get("format")), "")
    return wanted if kinds == {wanted} else ""


def _kind(group: object) -> str:
    weights = group.get("weights") if isinstance(group, Mapping) else None
    if not isinstance(group, Mapping) or not isinstance(weights, Mapping) or weights.get("type") != "int":
        return "?"
    inputs, bits = group.get("input_activations"), weights.get("num_bits")
    if inputs is None and bits in {4, 8}:
        return "WNA16"
    eight = isinstance(inputs, Mapping) and inputs.get("num_bits") == 8 and inputs.get("type") == "int"
    return "W8A8Int8" if eight and bits == 8 else "?"


def _as_number(capability: str) -> int | None:
    major, _, minor = capability.partition(".")
    return int(major) * 10 + int(minor or "0") if major.isdecimal() and (minor or "0").isdecimal() else None


def _whole(config: Config, name: str) -> int:
    """A positive whole number of the config, 0 if there is none."""
    value = config.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40 else 0
