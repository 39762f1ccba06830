"""How many bytes a weight takes under a quantization method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from qvl_doctor.memory.parameters import Piece

#: Bytes of one element of a dtype, by the names of Transformers, vLLM and safetensors.
DTYPE_BYTES: Mapping[str, int] = {
    **dict.fromkeys(("float64", "int64", "F64", "I64", "U64"), 8),
    **dict.fromkeys(("float32", "float", "int32", "F32", "I32", "U32"), 4),
    **dict.fromkeys(("float16", "bfloat16", "half", "int16", "F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("int8", "uint8", "bool", "F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 1),
}


class Method(NamedTuple):
    """A quantization method: bits of a weight, and what else is stored for it.

    `channel`: bytes for each output row · `group`: weights that share a scale, `group_bytes`: bytes for each such group
    · `block`: side of a square that shares a float32 scale · `only_experts`: everything else stays in 16 bits ·
    `tables`: embedding and head are quantized as well.
    """

    bits: float
    channel: float = 0.0
    group: int = 0
    group_bytes: float = 0.0
    block: int = 0
    only_experts: bool = False
    tables: bool = False


_FP8 = Method(8)
_CHANNEL = Method(8, channel=4)
_GROUPED = Method(4, group=128, group_bytes=2)
_BNB = Method(4, group=64, group_bytes=1)

#: By the names of --quantization, of quant_method in config.json, and of what people write into a model's name.
METHODS: Mapping[str, Method] = {
    "fp8": _FP8,
    "fp8-dynamic": _CHANNEL,
    "fp8-block": Method(8, block=128),
    "w8a8": _CHANNEL,
    "int8": _CHANNEL,
    "w4a16": _GROUPED,
    "gptq": Method(4, group=128, group_bytes=2.5),
    "gptq4": Method(4, group=128, group_bytes=2.5),
    "gptq8": Method(8, group=128, group_bytes=3),
    "gptq_marlin": _GROUPED,
    "awq": Method(4, group=128, group_bytes=2.5),
    "awq_marlin": Method(4, group=128, group_bytes=2.5),
    "bnb4": _BNB,
    "bitsandbytes": _BNB,
    "mxfp4": Method(4, group=32, group_bytes=1, only_experts=True),
    "nvfp4": Method(4, group=16, group_bytes=1),
    "gguf-q8_0": Method(8, group=32, group_bytes=2, tables=True),
    "gguf-q4_0": Method(4, group=32, group_bytes=2, tables=True),
}


def stored(piece: Piece, method: Method | None, dtype_bytes: int) -> Iterator[int]:
    """Bytes of the tensors that hold a weight: itself, and its scales where it is quantized.

    Norms and towers are not, nor (but for GGUF) embedding and head.
    """
    table = method is not None and method.tables and piece.name in {"embed_tokens", "lm_head"}
    if method is None or not (piece.linear or table) or (method.only_experts and not piece.experts):
        yield piece.elements * dtype_bytes
        return
    yield int(piece.elements * method.bits / 8)
    copies = max(1, piece.experts)
    if method.channel:
        yield int(copies * piece.rows * method.channel)
    if method.group:
        yield int(piece.elements / method.group * method.group_bytes)
    if method.block:
        yield copies * -(-piece.rows // method.block) * -(-piece.columns // method.block) * 4


def method_name(config: Mapping[str, Any]) -> str:
    """The method that a quantization_config of a config.json means, by our names.

    What is not known keeps its own name.
    """
    method = str(config.get("quant_method") or "unknown")[:50]
    if method == "fp8" and config.get("weight_block_size"):
        return "fp8-block"
    if method in {"gptq", "awq"}:
        return f"{method}8" if config.get("bits") == 8 else method
    if method == "compressed-tensors":
        return _compressed(config)
    return "bnb4" if method == "bitsandbytes" and config.get("load_in_4bit") else method


def _compressed(config: Mapping[str, Any]) -> str:
    """llm-compressor writes the method as groups of weights with their bits and type."""
    groups = config.get("config_groups")
    first = (
        next((group for group in groups.values() if isinstance(group, Mapping)), {})
        if isinstance(groups, Mapping)
        else {}
    )
    scheme = first.get("weights")
    if not isinstance(scheme, Mapping):
        return "compressed-tensors"
    if scheme.get("num_bits") == 4:
        return "w4a16" if scheme.get("type") == "int" else "nvfp4"
    if scheme.get("num_bits") == 8:
        return (
            "w8a8"
            if scheme.get("type") == "int"
            else "fp8-block"
            if scheme.get("strategy") == "block"
            else "fp8-dynamic"
        )
    return "compressed-tensors"
