"""The settings of a vLLM server that decide about memory, with the defaults of release, GPU and use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from qvl_doctor.knowledge import defaults
from qvl_doctor.knowledge.releases import Release, at
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.shape import ModelShape
from qvl_doctor.memory.units import GIB
from qvl_doctor.model import NOTHING

#: `vllm serve` or the LLM class: the defaults of the batch differ.
SERVER, OFFLINE = "server", "offline"


class Settings(NamedTuple):
    """What the command asks for, every default filled in (see `resolve`). Lengths in tokens, `offload_gib` in GiB.

    - `limits`: items of each modality that a prompt may carry; `processor`: mm_processor_kwargs.
    - `dummies`: sizes that limit_mm_per_prompt sets for the profile run alone.
    - `flashinfer`: VLLM_USE_FLASHINFER_SAMPLER, or that FlashInfer is installed (0.9 to 0.11.0).
    - `split_encoder`: the vision tower is divided by tensor parallelism (not mm_encoder_tp_mode=data).
    - `kv_cache_bytes` and `kv_blocks`: kv_cache_memory_bytes and num_gpu_blocks_override, 0 where not set.
    """

    release: Release
    engine: str = "V1"
    max_model_len: int = 8192
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    utilization: float = 0.9
    dtype: str = "bfloat16"
    kv_cache_dtype: str = "auto"
    quantization: str = ""
    block_size: int = defaults.BLOCK_SIZE
    tp: int = 1
    pp: int = 1
    eager: bool = False
    chunked_prefill: bool = True
    hybrid: bool = True
    limits: Mapping[str, int] = NOTHING
    processor: Mapping[str, Any] = NOTHING
    dummies: Mapping[str, Mapping[str, int]] = NOTHING
    split_encoder: bool = True
    skip_encoder_profile: bool = False
    flashinfer: bool | None = None
    kv_cache_bytes: int = 0
    kv_blocks: int = 0
    offload_gib: float = 0.0


def default_engine(release: Release, capability: float) -> str:
    """V0 before 0.8, and until 0.10 on GPUs below compute capability 8.0, which V1 did not serve.

    engine/arg_utils.py, _is_v1_supported_oracle.
    """
    if at(defaults.ENGINE, release) == "V1" and 0 < capability < 8.0 and release < defaults.V0_WENT:
        return "V0"
    return at(defaults.ENGINE, release)


def resolve(shape: ModelShape, gpu: Gpu, release: Release, context: str = SERVER, **given: Any) -> Settings:
    """Settings for a model on a GPU with every default of the release.

    `given` are fields of `Settings` that the command sets; None is not set. max_model_len defaults to the model's
    positions, the batch and the sequences to the tables of `knowledge/defaults.py`, the dtype to the checkpoint's.
    """
    asked = {
        name: value for name, value in given.items() if value is not None and not (name == "dtype" and value == "auto")
    }
    engine = asked.get("engine") or default_engine(release, gpu.capability)
    length = asked.get("max_model_len") or shape.positions
    asked |= {"engine": engine, "max_model_len": length, "release": release}
    asked.setdefault("utilization", at(defaults.UTILIZATION, release))
    asked.setdefault("dtype", _dtype(shape, gpu))
    asked.setdefault("quantization", shape.quantization)
    asked["limits"] = {**_limits(shape), **asked.get("limits", {})}
    filled = _batch_v0(shape, release, length, asked) if engine == "V0" else _batch_v1(gpu, release, context, length)
    for name, value in filled.items():
        asked.setdefault(name, value)
    if "max_num_seqs" not in given or given["max_num_seqs"] is None:
        asked["max_num_seqs"] = min(asked["max_num_seqs"], asked["max_num_batched_tokens"])
    return Settings(**asked)


def _dtype(shape: ModelShape, gpu: Gpu) -> str:
    """The dtype that vLLM serves.

    Float32 checkpoints in 16 bits, bfloat16 ones in float16 where the GPU cannot do better.
    """
    dtype = "bfloat16" if shape.dtype == "float32" else shape.dtype
    return "float16" if dtype == "bfloat16" and 0 < gpu.capability < 8.0 else dtype


def _limits(shape: ModelShape) -> Mapping[str, int]:
    """One item of each modality that the family takes, vLLM's default up to 0.9.

    From 0.10 on it is 999, which profiles the same.
    """
    if not shape.vision:
        return {}
    videos = {"qwen2", "qwen2_5", "qwen3", "llava_onevision", "glm4v", "minicpm"}
    return {"image": 1, "video": 1} if shape.vision.kind in videos else {"image": 1}


def _batch_v0(shape: ModelShape, release: Release, length: int, asked: Mapping[str, Any]) -> dict[str, Any]:
    chunked = asked.get("chunked_prefill")
    if chunked is None:
        windows = any(layer.kind == "sliding" for layer in shape.layers)
        chunked = length > defaults.LONG_CONTEXT and not shape.vision and not shape.latent and not windows
    tokens = at(defaults.CHUNKED_BATCH, release) if chunked else max(length, defaults.LEAST_BATCH_V0)
    if shape.vision:
        tokens = max(tokens, at(defaults.MULTIMODAL_BATCH, release))
    return {"chunked_prefill": chunked, "max_num_batched_tokens": tokens, "max_num_seqs": defaults.SEQUENCES_V0}


def _batch_v1(gpu: Gpu, release: Release, context: str, length: int) -> dict[str, Any]:
    batch = batch_defaults(gpu, release)
    tokens = batch.served if context == SERVER else batch.offline
    return {"max_num_batched_tokens": min(tokens, batch.sequences * length), "max_num_seqs": batch.sequences}


def batch_defaults(gpu: Gpu, release: Release) -> defaults.Batch:
    """The batch of the V1 engine on a GPU."""
    if not _is_large(gpu, release):
        return at(defaults.SMALL_GPUS, release)
    return at(defaults.HUGE_GPUS if gpu.total_bytes >= 160 * GIB else defaults.LARGE_GPUS, release)


def _is_large(gpu: Gpu, release: Release) -> bool:
    name = gpu.name.lower()
    if release < defaults.BY_NAME_UNTIL:
        return "h100" in name or "h200" in name
    if "a100" in name and release >= defaults.NOT_A100_SINCE:
        return False
    if gpu.capability == 12.1 and release >= defaults.SPARK_IS_SMALL_SINCE:
        return False
    return gpu.total_bytes >= 70 * GIB
