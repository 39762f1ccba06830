"""What vLLM refuses by the shape of the model, whatever memory there is; and what the memory model cannot vouch for.

Read from vLLM 0.6 to 0.33: verify_with_parallel_config (config/model.py, before 0.11 config.py) for the query heads,
QKVParallelLinear (model_executor/layers/linear.py) for the key and value heads, the vision encoders of
model_executor/models, _get_and_verify_max_len for the length, SchedulerConfig for the batch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from qvl_doctor.knowledge.releases import newest, parse
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.shape import ModelShape
from qvl_doctor.memory.units import GIB
from qvl_doctor.messages import both
from qvl_doctor.model import Record, Text
from qvl_doctor.observations import observe

#: Encoders whose heads are divided by tensor parallelism in every release that has them. InternVL pads its heads, and
#: the encoder of others was whole on each GPU for a while.
_DIVIDED_HEADS = frozenset(("qwen2", "qwen2_5", "siglip", "clip", "glm4v"))
#: What changes config.json: the shape is then not that of the built-in data.
_OVERRIDES = ("hf_overrides", "hf_config_path", "rope_scaling", "rope_theta", "rope_parameters", "config_format")
#: Arguments that take memory, or change how it is divided, and that the memory model leaves out.
_LEFT_OUT = (
    *_OVERRIDES,
    "config",
    "enable_lora",
    "speculative_config",
    "speculative_model",
    "decode_context_parallel_size",
    "prefill_context_parallel_size",
    "model_impl",
    "enable_dbo",
)
_LOADERS = frozenset(("bitsandbytes", "gguf", "sharded_state"))
_LENGTHS = ("auto", "-1")
#: The size in a model's name: 7B, 1.5b, 0.6B, 1T, 8x7B.
_PARAMETERS = re.compile(r"(?<![a-z0-9.])(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?)([bt])(?![a-z0-9])", re.IGNORECASE)
#: Fewer than four bits for a weight.
_TINY = re.compile(
    r"(?<![a-z0-9])(?:[123](?:\.\d{1,2})?-?bit|i?q[123]|w[123]|bitnet|aqlm|exl[23]|b1\.58)", re.IGNORECASE
)
#: Of N experts with M billion each less than N × M are there, because attention is shared: Mixtral 8x7B has 46.7.
_OF_EXPERTS = 0.7
_FOUR_BITS, _ONE_BIT = 0.5, 0.125


def refusals(arguments: Mapping[str, Any], shape: ModelShape, env: Mapping[str, str]) -> Iterator[Record]:
    """What vLLM says to a command for a model of this shape."""
    batched, sequences = (_whole(arguments, name) for name in ("max_num_batched_tokens", "max_num_seqs"))
    if batched and sequences > batched:
        yield observe("batch_below_sequences", batched=batched, sequences=sequences)
    if any(arguments.get(name) for name in (*_OVERRIDES, "speculative_config")):
        return
    ranks = _whole(arguments, "tensor_parallel_size") or 1
    divided = tuple(heads(shape.heads, 0 if shape.latent else shape.kv_heads, ranks))
    yield from divided or _encoder(arguments, shape, ranks)
    asked, longest = _whole(arguments, "max_model_len"), _longest(shape)
    if asked > longest and env.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "0") != "1":
        yield observe("length_above_model", asked=asked, key="max_position_embeddings", longest=longest)


def heads(query: int, kv: int, ranks: int) -> Iterator[Record]:
    """Query heads are divided; key and value heads are divided, or each is repeated.

    `kv` is 0 where that is not known.
    """
    if query and query % ranks:
        yield observe("heads_not_divisible", heads=query, ranks=ranks)
    elif query and kv and (kv % ranks if ranks < kv else ranks % kv):
        yield observe("kv_heads_not_shared", heads=kv, ranks=ranks)


def _encoder(arguments: Mapping[str, Any], shape: ModelShape, ranks: int) -> Iterator[Record]:
    tower = shape.vision
    if tower is None or arguments.get("mm_encoder_tp_mode") == "data" or arguments.get("language_model_only"):
        return
    widths = (tower.heads,) if tower.kind in _DIVIDED_HEADS else ()
    whole = next((each for each in (*widths, tower.intermediate * (tower.kind == "qwen2_5")) if each % ranks), 0)
    if whole:
        yield observe("vision_not_divisible", whole=whole, parts=ranks)


def _longest(shape: ModelShape) -> int:
    """The longest context, by the most generous reading: a rotary table that was stretched counts whole."""
    rows = [each.rows for each in shape.rope if each.rows not in (shape.positions, 4 * shape.positions)]
    return max(shape.positions, *rows) if rows else shape.positions


def unsure(arguments: Mapping[str, Any], release: str, shape: ModelShape | None = None) -> Text | None:
    """Why a computed fit is not a promise; None if it is one."""
    found = parse(release)
    if found and not (0, 6) <= found[:2] <= newest()[:2]:
        return both("sizing.unread", detail=release)
    stages = _whole(arguments, "pipeline_parallel_size")
    if shape and stages > shape.depth:
        return both("sizing.stages", detail=f"{stages} > {shape.depth}")
    name = next((name for name in _LEFT_OUT if _set(arguments.get(name))), "")
    if not name and str(arguments.get("load_format") or "") in _LOADERS and not arguments.get("quantization"):
        name = "load_format"
    if not name and str(arguments.get("max_model_len")) in _LENGTHS:
        name = "max_model_len"
    return both("sizing.left_out", detail="--" + name.replace("_", "-")) if name else None


def _set(value: Any) -> bool:
    return value is True or value not in (None, False, "", 1, "1", "auto", "vllm", "hf")


def model_above(name: str, gpu: Gpu, arguments: Mapping[str, Any]) -> Iterator[Record]:
    """A model that no quantization brings onto the GPUs, by the size in its name: the rest of it need not be known."""
    size = max(
        (
            float(each[2]) * (float(each[1]) * _OF_EXPERTS if each[1] else 1) * (1000 if each[3] in "tT" else 1)
            for each in _PARAMETERS.finditer(name.rpartition("/")[2][:200])
        ),
        default=0.0,
    )
    ranks = (_whole(arguments, "tensor_parallel_size") or 1) * (_whole(arguments, "pipeline_parallel_size") or 1)
    if arguments.get("enable_expert_parallel"):
        ranks *= _whole(arguments, "data_parallel_size") or 1
    told = f"{name} {arguments.get('quantization') or ''}"
    least = size * 1e9 * (_ONE_BIT if _TINY.search(told) else _FOUR_BITS) * 0.9 / GIB
    if least > ranks * gpu.total_gib and not arguments.get("cpu_offload_gb") and not arguments.get("offload_backend"):
        yield observe(
            "model_above_gpus",
            model=name,
            billions=f"{size:g}",
            least=f"{least:.0f}",
            gpus=ranks,
            gib=f"{gpu.total_gib:.2f}",
        )


def _whole(arguments: Mapping[str, Any], name: str) -> int:
    value = arguments.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40 else 0
