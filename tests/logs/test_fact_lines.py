"""What the lines of every release say. The wordings are vLLM's own templates with numbers filled in."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fact_samples import V0_PROFILE, facts_of

from qvl_doctor.facts.table import names
from qvl_doctor.logs.fact_lines import LINES

OOM = (
    "CUDA out of memory. Tried to allocate 9.03 GiB. GPU 0 has a total capacity of 23.65 GiB of which 5.69 GiB is free. "
    "Process 698854 has 17.95 GiB memory in use. "
    "Of the allocated memory 17.35 GiB is allocated by PyTorch, and 152.49 MiB is reserved by PyTorch but unallocated."
)
OLD_OOM = (
    "CUDA out of memory. Tried to allocate 512.00 MiB (GPU 1; 79.15 GiB total capacity; 77.01 GiB already allocated; 98.00 MiB free; "
    "77.98 GiB reserved in total by PyTorch)"
)
SUMMARY = (
    "Free memory on device (14.66/15.99 GiB) on startup. Desired GPU memory utilization is (0.85, 13.59 GiB). Actual usage is 4.25 GiB for "
    "weight, 0.34 GiB for peak activation, 0.02 GiB for non-torch memory, and 1.27 GiB for CUDAGraph memory. Replace "
    "gpu_memory_utilization config with `--kv-cache-memory=8131478732` to fit into requested memory."
)
NEW_SUMMARY = (
    "Free memory on device (78.4/79.1 GiB) on startup. Desired GPU memory utilization is (0.92, 72.8 GiB). Actual usage is 16.1 GiB for "
    "consumed memory (weights + non-torch), 2.2 GiB for peak activation, and 0.9 GiB for CUDAGraph memory. Replace …"
)
WORST_CASE = "is too short to hold the multi-modal embeddings in the worst case ({} tokens in total, out of which {} are reserved"


EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    # release and model
    ("vLLM API server version 0.7.2.dev56+gbf3b79ef", {"vllm": "0.7.2.dev56+gbf3b79ef"}),
    (
        "vLLM server version 0.16.0, serving model Qwen/Qwen3-VL-8B-Instruct",
        {"vllm": "0.16.0", "model": "Qwen/Qwen3-VL-8B-Instruct"},
    ),
    (
        "█ █ █▄ ▄█ ▄▄ ▄█ █ █ █ ▀▄▀ █ version 0.32.0 █▄█▀ █ █ █ █ model /srv/models/tiny ▀▀ ▀▀▀▀▀ ▀▀▀▀▀ ▀ ▀",
        {"vllm": "0.32.0", "model": "/srv/models/tiny"},
    ),
    (
        "Starting to load model /models/qwen/Qwen2___5-VL-7B-Instruct...",
        {"model": "/models/qwen/Qwen2___5-VL-7B-Instruct"},
    ),
    (
        "Resolved architecture: Qwen2_5_VLForConditionalGeneration",
        {"architecture": "Qwen2_5_VLForConditionalGeneration"},
    ),
    ("Using V2 Model Runner", {"model_runner": "V2"}),
    ("Detected the chat template content format to be 'openai'. You can set `--x`", {"chat_template_format": "openai"}),
    # data types and quantization
    ("Casting torch.bfloat16 to torch.float16.", {"dtype": "float16", "dtype_cast": "bfloat16 to float16"}),
    ("Upcasting torch.float16 to torch.float32.", {"dtype": "float32", "dtype_cast": "float16 to float32"}),
    ("The model is convertible to awq_marlin during runtime. Using awq_marlin kernel.", {"quantization": "awq_marlin"}),
    # limits
    ("Using max model len 4096", {"max_model_len": 4096}),
    (
        "Chunked prefill is enabled with max_num_batched_tokens=2048.",
        {"chunked_prefill": "yes", "max_num_batched_tokens": 2048},
    ),
    ("Setting max_num_batched_tokens to 8192 for OPENAI_API_SERVER usage context.", {"max_num_batched_tokens": 8192}),
    ("Defaulting max_num_seqs to 256 for OPENAI_API_SERVER usage context.", {"max_num_seqs": 256}),
    # machine
    ("Automatically detected platform cuda.", {"platform": "cuda"}),
    ("Using AttentionBackendEnum.FLASHINFER backend.", {"attention_backend": "FLASHINFER"}),
    (
        "| 0 NVIDIA GeForce RTX 4090 Off | 00000000:01:00.0 Off | Off |",
        {"gpu_name": "NVIDIA GeForce RTX 4090"},
    ),
    ("| 0 NVIDIA GeForce RTX 409... Off | 00000000:01:00.0 Off | Off |", {}),
    ("Graph capturing finished in 1 secs, took -0.37 GiB", {"graph_capture_s": 1.0, "cuda_graphs": "yes"}),
    (
        "Dumping input data for V1 LLM engine (v0.16.0) with config: model='a/b', dtype=torch.bfloat16, max_seq_len=4096",
        {"vllm": "0.16.0", "engine": "V1", "model": "a/b", "dtype": "bfloat16"},
    ),
    ("Platform plugin neuron is activated", {"platform": "neuron"}),
    ("No platform detected, vLLM is running on UnspecifiedPlatform", {"platform": "unspecified"}),
    ("Automatically detected platform hpu.", {"platform": "gaudi"}),
    ("Platform plugin ascend is activated", {"platform": "ascend"}),
    (
        "Using 'pin_memory=False' as WSL is detected. This may slow down the performance.",
        {"machine": "wsl"},
    ),
    (
        "Your device 'Tesla T4' (with compute capability 7.5) doesn't support torch.bfloat16. Falling back to torch.float16.",
        {"gpu_name": "Tesla T4", "compute_capability": "7.5"},
    ),
    (
        "Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has compute capability 7.5.",
        {"gpu_name": "Tesla T4", "compute_capability": "7.5"},
    ),
    (
        "NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch installation.",
        {"gpu_name": "NVIDIA GeForce RTX 5090", "compute_capability": "12.0"},
    ),
    (
        "Found GPU1 Tesla V100-SXM2-32GB which is of compute capability (CC) 7.0.",
        {"gpu_name": "Tesla V100-SXM2-32GB", "compute_capability": "7.0"},
    ),
    ("GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-5a)", {"gpu_name": "NVIDIA A100-SXM4-80GB"}),
    ("GPU models and configuration : GPU 0: NVIDIA L4 GPU 1: NVIDIA L4", {"gpu_name": "NVIDIA L4"}),
    (
        "Config file not found at /x/E=8,N=14336,device_name=NVIDIA_H100_80GB_HBM3.json",
        {"gpu_name": "NVIDIA H100 80GB HBM3"},
    ),
    (
        "The NVIDIA driver on your system is too old (found version 11080). Please update your GPU driver",
        {"driver_cuda": "11.8"},
    ),
    (
        "| NVIDIA-SMI 550.54.15 Driver Version: 550.54.15 CUDA Version: 12.4 |",
        {"driver": "550.54.15", "driver_cuda": "12.4"},
    ),
    ("Nvidia driver version : 535.183.01", {"driver": "535.183.01"}),
    ("PyTorch version : 2.5.1+cu124", {"torch": "2.5.1+cu124"}),
    ("CUDA used to build PyTorch: 12.4", {"torch_cuda": "12.4"}),
    ("vLLM is using nccl==2.21.5", {"nccl": "2.21.5"}),
    ("NCCL version 2.21.5+cuda12.4", {"nccl": "2.21.5"}),
    (
        "rank 1 in world size 4 is assigned as DP rank 0, PP rank 0, PCP rank 0, TP rank 1, EP rank N/A",
        {"world_size": 4},
    ),
    ("world_size=2 rank=0 local_rank=0 distributed_init_method=tcp://10.0.0.1:54627 backend=nccl", {"world_size": 2}),
    # attention backends
    ("Using Flash Attention backend.", {"attention_backend": "FLASH_ATTN"}),
    ("Using XFormers backend.", {"attention_backend": "XFORMERS"}),
    ("Using Flash Attention backend on V1 engine.", {"attention_backend": "FLASH_ATTN"}),
    (
        "Using FlashInfer backend with HND KV cache layout on V1 engine by default for Blackwell (SM 10.0) GPUs.",
        {"attention_backend": "FLASHINFER"},
    ),
    (
        "Using FLASH_ATTN attention backend out of potential backends: ['FLASH_ATTN', 'FLASHINFER'].",
        {"attention_backend": "FLASH_ATTN"},
    ),
    ("Using ROCM_ATTN backend (selected via --attention-backend).", {"attention_backend": "ROCM_ATTN"}),
    ("Using AttentionBackendEnum.FLASH_ATTN for MMEncoderAttention.", {"vit_backend": "FLASH_ATTN"}),
    ("Using default backend AttentionBackendEnum.TORCH_SDPA for vit attention", {"vit_backend": "TORCH_SDPA"}),
    ("Using Torch SDPA backend for ViT model.", {"vit_backend": "TORCH_SDPA"}),
    (
        "Current `vllm-flash-attn` has a bug inside vision module, so we use xformers backend instead.",
        {"vit_backend": "xformers"},
    ),
    ("Using FLASHINFER_CUTLASS Unquantized MoE backend out of potential backends: ['TRITON'].", {}),
    ("Using Transformers backend.", {}),
    ("Using FlashMLA MLA prefill backend.", {}),
    # weights
    ("Loading model weights took 15.6270 GB", {"weights_gib": 15.627}),
    ("Model loading took 14.9595 GB and 7.345678 seconds", {"weights_gib": 14.9595, "load_s": 7.345678}),
    ("Model loading took 4.2530 GiB and 1.175218 seconds", {"weights_gib": 4.253, "load_s": 1.175218}),
    ("Model loading took 14.25 GiB memory and 53.543025 seconds", {"weights_gib": 14.25, "load_s": 53.543025}),
    ("Loading weights took 8.88 seconds", {"weights_load_s": 8.88}),
    ("Time spent downloading weights for Qwen/Qwen2.5-7B: 41.892663 seconds", {"download_s": 41.892663}),
    # memory
    (
        V0_PROFILE,
        {
            "profile_s": 12.83,
            "total_gib": 23.65,
            "gpu_memory_utilization": 0.7,
            "budget_gib": 16.55,
            "weights_gib": 15.63,
            "non_torch_gib": 0.08,
            "activation_gib": 0.69,
            "kv_gib": 0.16,
        },
    ),
    (
        (
            "Memory profiling results: total_gpu_memory=23.65GiB initial_memory_usage=0.50GiB peak_torch_memory=16.32GiB "
            "memory_usage_post_profile=15.80GiB non_torch_memory=0.10GiB kv_cache_size=4.86GiB gpu_memory_utilization=0.90"
        ),
        {"total_gib": 23.65, "non_torch_gib": 0.1, "kv_gib": 4.86, "gpu_memory_utilization": 0.9},
    ),
    ("Available KV cache memory: -9.72 GiB", {"kv_gib": -9.72}),
    (
        SUMMARY,
        {
            "startup_free_gib": 14.66,
            "total_gib": 15.99,
            "gpu_memory_utilization": 0.85,
            "budget_gib": 13.59,
            "weights_gib": 4.25,
            "activation_gib": 0.34,
            "non_torch_gib": 0.02,
            "graphs_gib": 1.27,
        },
    ),
    (
        NEW_SUMMARY,
        {
            "startup_free_gib": 78.4,
            "total_gib": 79.1,
            "gpu_memory_utilization": 0.92,
            "budget_gib": 72.8,
            "consumed_gib": 16.1,
            "activation_gib": 2.2,
            "graphs_gib": 0.9,
        },
    ),
    (
        "Free memory on device cuda:0 (5.1/23.65 GiB) on startup is less than desired GPU memory utilization (0.9, 21.29 GiB).",
        {"startup_free_gib": 5.1, "total_gib": 23.65, "gpu_memory_utilization": 0.9, "budget_gib": 21.29},
    ),
    (
        "Initial free memory 78.5 GiB, reserved 20.0 GiB memory for KV Cache as specified by kv_cache_memory_bytes config and skipped",
        {"startup_free_gib": 78.5, "kv_gib": 20.0},
    ),
    ("# GPU blocks: 7449, # CPU blocks: 4681", {"kv_blocks": 7449, "cpu_blocks": 4681, "engine": "V0"}),
    ("# cuda blocks: 186, # CPU blocks: 23405", {"kv_blocks": 186, "cpu_blocks": 23405, "engine": "V0"}),
    ("# GPU blocks: 7449", {"kv_blocks": 7449}),
    ("vllm cache_config_info with initialization after num_gpu_blocks is: 8192", {"kv_blocks": 8192}),
    ("GPU KV cache size: 413,456 tokens", {"kv_tokens": 413456, "engine": "V1"}),
    ("Maximum concurrency for 1024 tokens per request: 2.91x", {"concurrency_tokens": 1024, "concurrency": 2.91}),
    (
        "CPU KV cache size: 1,048,576 tokens, Maximum concurrency for 4,096 tokens per request: 256.00x",
        {"kv_tokens": 1048576, "concurrency_tokens": 4096, "concurrency": 256.0, "engine": "V1"},
    ),
    (
        (
            "To serve at least one request with the model's max seq len (32768), (1.75 GiB KV cache is needed, "
            "which is larger than the available KV cache memory (0.16 GiB). Based on the available "
            "memory, the estimated maximum model length is 2976."
        ),
        {"kv_gib": 0.16},
    ),
    (
        "Graph capturing finished in 18 secs, took 1.91 GiB",
        {"cuda_graphs": "yes", "graph_capture_s": 18.0, "graphs_gib": 1.91},
    ),
    ("Graph capturing finished in 28 secs.", {"cuda_graphs": "yes", "graph_capture_s": 28.0}),
    (
        "CUDA graph pool memory: 0.92 GiB (actual), 0.81 GiB (estimated), difference: 0.11 GiB (12.0%).",
        {"graphs_gib": 0.92, "graphs_estimated_gib": 0.81},
    ),
    ("Cudagraph is disabled under eager mode", {"cuda_graphs": "no"}),
    (
        "Skipping CUDA graph capture. To turn on CUDA graph capture, ensure `cudagraph_mode` was not",
        {"cuda_graphs": "no"},
    ),
    # out of memory
    (
        OOM,
        {
            "oom_tried_gib": 9.03,
            "gpu_total_gib": 23.65,
            "gpu_free_gib": 5.69,
            "oom_process_gib": 17.95,
            "oom_torch_allocated_gib": 17.35,
            "oom_torch_reserved_gib": 0.148916,
        },
    ),
    (
        "HIP out of memory. Tried to allocate 80.00 MiB. GPU 0 has a total capacity of 15.92 GiB of which 0 bytes is free.",
        {"oom_tried_gib": 0.078125, "gpu_total_gib": 15.92, "gpu_free_gib": 0.0},
    ),
    (
        OLD_OOM,
        {"oom_tried_gib": 0.5, "gpu_total_gib": 79.15, "oom_torch_allocated_gib": 77.01, "gpu_free_gib": 0.095703},
    ),
    # images and videos
    (
        "The context length (5120) of the model " + WORST_CASE.format(98304, "{'image': 49152, 'video': 49152}"),
        {"mm_have_tokens": 5120, "mm_need_tokens": 98304, "mm_reserved": "{'image': 49152, 'video': 49152}"},
    ),
    (
        "The sequence length used for profiling (max_num_batched_tokens / max_num_seqs = 16384) "
        + WORST_CASE.format(32768, "{'image': 32768}"),
        {"mm_have_tokens": 16384, "mm_need_tokens": 32768, "mm_reserved": "{'image': 32768}"},
    ),
    (
        "The encoder sequence length used for profiling (max_num_batched_tokens / max_num_seqs = 2048) "
        + WORST_CASE.format(16384, "{'video': 16384}"),
        {"mm_have_tokens": 2048, "mm_need_tokens": 16384, "mm_reserved": "{'video': 16384}"},
    ),
    (
        "The sequence length (4096) is smaller than the pre-defined wosrt-case total number of multimodal tokens (32768). This may",
        {"mm_have_tokens": 4096, "mm_need_tokens": 32768},
    ),
    (
        "Computed max_num_seqs (min(256, 24576 // 81920)) to be less than 1. Setting it to the minimum value of 1.",
        {"max_num_seqs": 256, "mm_have_tokens": 24576, "mm_need_tokens": 81920, "engine": "V0"},
    ),
    (
        "Encoder cache will be initialized with a budget of 16,384 tokens, and profiled with 1 image items of the maximum feature size.",
        {"encoder_budget_tokens": 16384, "encoder_items": 1, "encoder_modality": "image"},
    ),
    # times
    ("torch.compile takes 3.55 s in total", {"compile_s": 3.55}),
    ("[backbone] torch.compile took 9.1 s in total", {"compile_s": 9.1}),
    ("init engine (profile, create kv cache, warmup model) took 46.92 seconds", {"init_s": 46.92}),
    (
        "init engine (profile, create kv cache, warmup model) took 33.16 s (compilation: 12.50 s)",
        {"init_s": 33.16, "compile_s": 12.5},
    ),
    # ready
    ("Starting vLLM API server on http://0.0.0.0:8000", {"server_url": "http://0.0.0.0:8000"}),
    ("Starting vLLM API server 0 on http://localhost:24001", {"server_url": "http://localhost:24001"}),
    ("Starting vLLM server on http://127.0.0.1:8521", {"server_url": "http://127.0.0.1:8521"}),
    ("Application startup complete.", {"ready": "yes"}),
    (
        "Uvicorn running on http://0.0.0.0:7869 (Press CTRL+C to quit)",
        {"ready": "yes", "server_url": "http://0.0.0.0:7869"},
    ),
    ("Uvicorn running on socket ('0.0.0.0', 8000) (Press CTRL+C to quit)", {"ready": "yes"}),
    ("[Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use", {"ready": "no"}),
    ("OpenAI server is ready to accept requests bind_address=0.0.0.0:8000", {"ready": "yes"}),
    (
        '10.196.84.25:51066 - "POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error',
        {"ready": "yes", "access_log": "yes"},
    ),
    (
        "Avg prompt throughput: 1.0 tokens/s, Avg generation throughput: 0.7 tokens/s, Running: 0 reqs, Swapped: 0 reqs, Pending: 0 reqs",
        {"ready": "yes", "throughput_log": "yes", "engine": "V0"},
    ),
    (
        "Engine 000: Avg prompt throughput: 1.0 tokens/s, Avg generation throughput: 0.7 tokens/s, Running: 0 reqs, Waiting: 0 reqs",
        {"ready": "yes", "throughput_log": "yes", "engine": "V1"},
    ),
    ("Loaded new LoRA adapter: name 'sql', path '/srv/sql'", {"lora": "yes"}),
    # vllm collect-env
    ("vLLM Version : 0.9.2", {"vllm": "0.9.2"}),
    ("CUDA runtime version : 12.4.131", {"cuda": "12.4.131"}),
    ("Python version : 3.12.9 (main, Feb 5 2025) (64-bit runtime)", {"python": "3.12.9"}),
    # limits that vLLM sets or moves itself
    (
        "Auto-fit max_model_len: reduced from 128000 to 59728 to fit in available KV cache memory (3.19 GiB)",
        {"max_model_len": 59728},
    ),
    (
        "Defaulting max_num_batched_tokens to 8192 for OPENAI_API_SERVER usage context.",
        {"max_num_batched_tokens": 8192},
    ),
    (
        "Raising max_num_batched_tokens from 2048 to 4096 to accommodate 'image' input for prefix-LM model Gemma3ForConditionalGeneration.",
        {"max_num_batched_tokens": 4096},
    ),
    ("Explicitly set (1.0/23.54) GiB for KV cache on node 0.", {"kv_gib": 1.0}),
    ("Estimated CUDA graph memory: 0.73 GiB total", {"graphs_estimated_gib": 0.73}),
    (
        "Enforce eager set, disabling torch.compile, CUDAGraphs, and JIT kernel warmup.",
        {"cuda_graphs": "no", "enforce_eager": "yes"},
    ),
    ("cudagraph dispatching keys are not initialized. No cudagraph will be used.", {"cuda_graphs": "no"}),
    ("Processed prompts: 100%|██████████| 4/4 [00:01<00:00, 2.35it/s]", {"ready": "yes"}),
    ("device type=cpu is not supported by the V1 Engine. Falling back to V0. ", {"engine": "V0"}),
    # what says nothing
    ("vLLM API server version", {}),
    ("Using max model len four", {}),
    ("GPU KV cache size: ,,, tokens", {}),
    ("Loading weights took 1.2.3 seconds", {}),
]


@pytest.mark.parametrize(("message", "expected"), EXAMPLES)
def test_line(message: str, expected: dict[str, Any]) -> None:
    assert facts_of(message) == expected


def test_every_wording_has_an_example() -> None:
    missing = [
        row.literal
        for gate, rows in LINES
        for row in rows
        if not any(
            gate in message and row.literal in message and re.search(row.pattern, message) for message, _ in EXAMPLES
        )
    ]
    assert not missing


def test_every_fact_is_explained() -> None:
    told = {name for _, rows in LINES for row in rows for name in (*row.says, *re.compile(row.pattern).groupindex)}
    assert told <= names()
