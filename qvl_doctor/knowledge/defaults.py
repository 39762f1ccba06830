"""What vLLM does where a command says nothing, release by release. Paths are below `vllm/` in its sources.

A test holds what the command line shows (gpu_memory_utilization, swap_space, port …) against the table of flags, so
that a release that changes a default is noticed when it is taken in.
"""

from __future__ import annotations

from typing import NamedTuple

from qvl_doctor.knowledge.releases import Release, Since


class Batch(NamedTuple):
    """Defaults of one class of GPUs: batched tokens of `vllm serve` and of the LLM class, and sequences."""

    served: int
    offline: int
    sequences: int


# ---- Engines

#: The engine that a release uses by itself (VLLM_USE_V1 in envs.py).
ENGINE: Since[str] = (((0, 6, 0), "V0"), ((0, 8, 0), "V1"))
#: The first release with a V1 engine (v1/, VLLM_USE_V1 in envs.py), and the first without V0 (engine/llm_engine.py).
V1_CAME: Release = (0, 6, 4)
V0_WENT: Release = (0, 11, 0)

# ---- The share of a GPU that vLLM takes

#: gpu_memory_utilization (config/cache.py; the messages of 0.21 say "default since v0.21.0", the source of 0.20.0 has
#: it already).
UTILIZATION: Since[float] = (((0, 6, 0), 0.9), ((0, 20, 0), 0.92))
#: From here on vLLM takes its estimate of the CUDA graphs off the KV cache (VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS in
#: envs.py); before, they come on top.
GRAPHS_INSIDE_SINCE: Release = (0, 20, 0)

# ---- What a step takes

_SMALL, _LARGE, _HUGE = Batch(2048, 8192, 256), Batch(8192, 16384, 1024), Batch(16384, 16384, 1024)
#: The batch of the V1 engine on GPUs below 70 GiB (engine/arg_utils.py: _set_default_args_v1, from 0.14
#: get_batch_defaults).
SMALL_GPUS: Since[Batch] = (((0, 8, 0), _SMALL._replace(sequences=1024)), ((0, 8, 4), _SMALL))
#: The same on GPUs from 70 GiB on; until 0.8.4 on those whose name says H100 or H200, from 0.9.0 on not on an A100.
LARGE_GPUS: Since[Batch] = (((0, 8, 0), _LARGE),)
#: The same on GPUs from 160 GiB on.
HUGE_GPUS: Since[Batch] = (((0, 8, 0), _LARGE), ((0, 28, 0), _HUGE))
#: Below this release the GPU's name decides, from the second on an A100 does not count as large, from the third on a
#: DGX Spark (same place).
BY_NAME_UNTIL: Release = (0, 8, 5)
NOT_A100_SINCE: Release = (0, 9, 0)
SPARK_IS_SMALL_SINCE: Release = (0, 33, 0)

#: Least batch of the V0 engine for a multimodal model (config.py, _MULTIMODAL_MODEL_MAX_NUM_BATCHED_TOKENS).
MULTIMODAL_BATCH: Since[int] = (((0, 6, 0), 4096), ((0, 6, 3), 5120))
#: The same as most releases have it: where a log does not say which one it is.
MULTIMODAL_BATCH_USUAL = MULTIMODAL_BATCH[-1][1]
#: Batch of the V0 engine with chunked prefill (config.py, SchedulerConfig).
CHUNKED_BATCH: Since[int] = (((0, 6, 0), 512), ((0, 6, 5), 2048))
#: The V0 engine turns chunked prefill on for texts of more than so many tokens, so that the profiling run does not run
#: out of memory (engine/arg_utils.py).
LONG_CONTEXT = 32768
#: Its least batch without chunked prefill (config.py), and its sequences (engine/arg_utils.py).
LEAST_BATCH_V0 = 2048
SEQUENCES_V0 = 256

# ---- The rest

#: What --max-lora-rank takes (config.py, later config/lora.py).
LORA_RANKS: Since[tuple[int, ...]] = (
    ((0, 6, 0), (8, 16, 32, 64, 128, 256)),
    ((0, 8, 0), (8, 16, 32, 64, 128, 256, 320, 512)),
)

#: Tokens of a KV block on CUDA (config/cache.py and platforms/cuda.py).
BLOCK_SIZE = 16
#: GiB of host memory for each GPU's swap space (engine/arg_utils.py), and the first release without one.
SWAP_GIB = 4.0
SWAP_WENT: Release = (0, 18, 0)
#: The port of the server (entrypoints/openai/cli_args.py).
PORT = 8000
