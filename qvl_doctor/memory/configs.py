"""From a config.json to a `ModelShape`, for the families in `families`.

Errors name the field; an unknown architecture is a value, not a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from qvl_doctor.memory.config_fields import LARGEST, kind, number, share
from qvl_doctor.memory.families import ARCHITECTURES, TEXTS, Text
from qvl_doctor.memory.quants import method_name
from qvl_doctor.memory.shape import (
    FULL,
    Experts,
    Latent,
    LayerKind,
    ModelShape,
    RopeCache,
    ShapeError,
    Traits,
    UnknownArchitecture,
)
from qvl_doctor.memory.towers import read_vision

Config = Mapping[str, Any]

_MOST_LAYERS = 1000
#: vLLM builds the table of a multimodal rotary embedding for four times the positions (mrope.py, 0.7 to 0.33).
_MROPE = 4


def read(config: object) -> ModelShape | UnknownArchitecture:
    """The shape that a config.json (as parsed) describes. Raises ShapeError with the field that is missing or wrong."""
    if not isinstance(config, Mapping):
        raise ShapeError("config.json", f"must be an object, not {kind(config)}")
    name = _architecture(config)
    family = ARCHITECTURES.get(name)
    if family is None:
        return UnknownArchitecture(name)
    where, text = _text_config(config)
    traits = TEXTS.get(str(text.get("model_type") or family.text), TEXTS.get(family.text))
    if traits is None:
        return UnknownArchitecture(f"{name} on {text.get('model_type')}")
    shape = _decoder(name, where, text, config, traits)
    return replace(shape, vision=read_vision(family.vision, config, shape.hidden)) if family.vision else shape


def _architecture(config: Config) -> str:
    names = config.get("architectures")
    if not isinstance(names, Sequence) or isinstance(names, str) or not names or not isinstance(names[0], str):
        raise ShapeError("architectures", "must be a list with the name of a class")
    return str(names[0])


def _text_config(config: Config) -> tuple[str, Config]:
    """Where the decoder's fields are: at the top, or in a section of their own."""
    for key in ("text_config", "llm_config", "language_config", "thinker_config"):
        section = config.get(key)
        if isinstance(section, Mapping) and ("hidden_size" in section or "num_hidden_layers" in section):
            return f"{key}.", section
    return "", config


def _decoder(name: str, where: str, text: Config, outer: Config, traits: Text) -> ModelShape:
    hidden = number(text, "hidden_size", where)
    heads = number(text, "num_attention_heads", where)
    latent = _latent(text, where) if traits.latent else None
    head_dim = _head_dim(text, where, hidden, heads, latent)
    kv_heads = heads if latent else number(text, "num_key_value_heads", where, heads)
    if heads % kv_heads:
        raise ShapeError(f"{where}num_key_value_heads", f"{kv_heads} does not divide the {heads} attention heads")
    positions = number(text, "max_position_embeddings", where, traits.positions)
    made = _made(text, outer, traits)
    return ModelShape(
        architecture=name,
        model_type=str(text.get("model_type") or outer.get("model_type") or ""),
        layers=_layers(text, where, traits),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=number(text, "intermediate_size", where, 4 * hidden if not traits.gated else None),
        vocab=number(text, "vocab_size", where),
        positions=positions,
        **{each.name: getattr(made, each.name) for each in fields(Traits)},
        dtype=_dtype(text, outer),
        quantization=_quantization(text, outer),
        rope=_rope(text, where, traits, positions, latent.rope_dim if latent else head_dim),
        experts=_experts(text, where, traits),
        latent=latent,
    )


def _made(text: Config, outer: Config, traits: Text) -> Traits:
    """The traits, where config.json says otherwise as it says."""
    return replace(
        traits,
        tied=_flag(text, outer, "tie_word_embeddings", traits.tied),
        qkv_bias=bool(text.get("attention_bias", text.get("qkv_bias", traits.qkv_bias))),
        out_bias=traits.out_bias if traits.qkv_bias else bool(text.get("attention_bias", False)),
        mlp_bias=bool(text.get("mlp_bias", traits.mlp_bias)),
    )


def _head_dim(text: Config, where: str, hidden: int, heads: int, latent: Latent | None) -> int:
    if latent:
        return latent.nope_dim + latent.rope_dim
    given = text.get("head_dim")
    if given is not None:
        return number(text, "head_dim", where)
    if hidden % heads:
        raise ShapeError(f"{where}head_dim", f"is missing, and {heads} heads do not divide the hidden size {hidden}")
    return hidden // heads


def _layers(text: Config, where: str, traits: Text) -> tuple[LayerKind, ...]:
    count = number(text, "num_hidden_layers", where, most=_MOST_LAYERS)
    window = text.get("sliding_window")
    if traits.chunked and text.get("attention_chunk_size"):
        return _chunked(text, where, count)
    if not isinstance(window, int) or isinstance(window, bool) or window <= 0 or not traits.sliding:
        return (FULL,) * count
    if text.get("use_sliding_window") is False:
        return (FULL,) * count
    sliding = LayerKind("sliding", window)
    kinds = text.get("layer_types")
    if isinstance(kinds, Sequence) and not isinstance(kinds, str) and len(kinds) == count:
        return tuple(sliding if kind == "sliding_attention" else FULL for kind in kinds)
    pattern = number(text, "sliding_window_pattern", where, traits.sliding)
    return tuple(FULL if _is_full(index, pattern) else sliding for index in range(count))


def _is_full(index: int, pattern: int) -> bool:
    """One full layer in each `pattern`, the last of it; a pattern of 1 has sliding layers only (Mistral 7B v0.1)."""
    return pattern > 1 and index % pattern == pattern - 1


def _chunked(text: Config, where: str, count: int) -> tuple[LayerKind, ...]:
    chunk = LayerKind("chunked", number(text, "attention_chunk_size", where))
    no_rope = text.get("no_rope_layers")
    if isinstance(no_rope, Sequence) and not isinstance(no_rope, str) and len(no_rope) == count:
        return tuple(chunk if rotates else FULL for rotates in no_rope)
    interval = number(text, "no_rope_layer_interval", where, 4)
    return tuple(FULL if (index + 1) % interval == 0 else chunk for index in range(count))


def _latent(text: Config, where: str) -> Latent:
    return Latent(
        kv_rank=number(text, "kv_lora_rank", where),
        rope_dim=number(text, "qk_rope_head_dim", where),
        nope_dim=number(text, "qk_nope_head_dim", where),
        value_dim=number(text, "v_head_dim", where),
        query_rank=number(text, "q_lora_rank", where, 0, least=0),
    )


def _experts(text: Config, where: str, traits: Text) -> Experts | None:
    names = traits.experts
    if not names:
        return None
    count = number(text, names.count, where)
    intermediate = number(text, names.intermediate, where)
    shared = number(text, names.shared, where, names.shared_default, least=0) if names.shared else 0
    if names.shared_is_count:
        shared *= intermediate
    return Experts(
        count=count,
        top_k=min(count, number(text, "num_experts_per_tok", where)),
        intermediate=intermediate,
        shared_intermediate=shared,
        dense_layers=number(text, "first_k_dense_replace", where, 0, least=0),
        every=number(text, "decoder_sparse_step", where, number(text, "interleave_moe_layer_step", where, 1)),
        bias=names.bias,
        shared_gate=names.shared_gate,
    )


def _rope(text: Config, where: str, traits: Text, positions: int, dim: int) -> tuple[RopeCache, ...]:
    """The tables of rotary_embedding/*.py: one row for each position, as many elements as dimensions rotate."""
    rope = text.get("rope_scaling") or text.get("rope_parameters") or {}
    if not isinstance(rope, Mapping):
        raise ShapeError(f"{where}rope_scaling", f"must be an object, not {kind(rope)}")
    part = text.get("partial_rotary_factor", rope.get("partial_rotary_factor", 1.0))
    dim = int(dim * share(part, f"{where}partial_rotary_factor", 0.01, 1))
    nested = rope.get("full_attention")
    if isinstance(nested, Mapping):  # Transformers 5 keeps one set of parameters for each kind of layer
        rope = nested
    method = str(rope.get("rope_type") or rope.get("type") or "default")
    factor = share(rope.get("factor", 1.0), f"{where}rope_scaling.factor", 1, 1024)
    original = rope.get("original_max_position_embeddings", text.get("original_max_position_embeddings"))
    rows = original if isinstance(original, int) and 0 < original <= LARGEST else positions
    local = (RopeCache(positions, dim),) if traits.local_rope else ()
    if method == "mrope" or "mrope_section" in rope or traits.mrope:
        return (RopeCache(_MROPE * positions, dim), *local)
    if method in {"linear", "dynamic"}:
        return (RopeCache(int(positions * factor), dim), *local)
    if method in {"yarn", "deepseek_yarn"}:
        return (RopeCache(int(rows * factor), dim), *local)
    if method in {"longrope", "su"}:
        return (RopeCache(rows, dim), RopeCache(positions, dim), *local)
    return (RopeCache(positions, dim), *local)


def _dtype(text: Config, outer: Config) -> str:
    given = next(
        (
            section[key]
            for section in (text, outer)
            for key in ("torch_dtype", "dtype")
            if isinstance(section.get(key), str)
        ),
        "",
    )
    return given.removeprefix("torch.") or "bfloat16"


def _quantization(text: Config, outer: Config) -> str:
    for section in (outer, text):
        found = section.get("quantization_config")
        if isinstance(found, Mapping):
            return method_name(found)
    return ""


def _flag(text: Config, outer: Config, key: str, default: bool) -> bool:
    for section in (text, outer):
        if isinstance(section.get(key), bool):
            return bool(section[key])
    return default
