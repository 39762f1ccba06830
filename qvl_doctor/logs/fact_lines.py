"""Which words of a log say which fact: data for `facts.py`. What the facts mean is in `facts/table.py`.

The wordings are those of vLLM 0.6 to 0.33, read from its sources; a release is named where a wording is only found
there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class FactLine(NamedTuple):
    """A wording. It has what a message must hold, the pattern whose named groups are facts, and facts of its own.

    `keep` decides when a fact is said again: the `first` is, the `last` does, or the smallest (`min`) or largest
    (`max`) number.
    """

    literal: str
    pattern: str = ""
    keep: str = "first"
    says: Mapping[str, Any] = {}


_SIZE = r"(?:[\d.]{1,12} ?[KMG]i?B|\d{1,4} bytes)"

#: Wordings by a string that all of a group share, so that a line without it is compared with none of them. Order
#: matters within a group only where two lines can hold for one message.
LINES: tuple[tuple[str, tuple[FactLine, ...]], ...] = (
    (
        "ersion",
        (
            FactLine("vLLM API server version", r"vLLM API server version (?P<vllm>\d[\w.+!-]{0,80})"),
            FactLine(
                "vLLM server version",
                r"vLLM server version (?P<vllm>\d[\w.+!-]{0,80})(?:, serving model (?P<model>\S{1,300}))?",
            ),
            FactLine("█ version ", r"█ version (?P<vllm>\d[\w.+!-]{0,80})"),
            FactLine("vLLM Version", r"vLLM Version ?: (?P<vllm>\d[\w.+!-]{0,80})"),
            FactLine("PyTorch version", r"PyTorch version ?: (?P<torch>\d[\w.+-]{0,60})"),
            FactLine("CUDA runtime version", r"CUDA runtime version ?: (?P<cuda>\d[\d.]{0,20})"),
            FactLine("river version", r"(?:Nvidia|NVIDIA) driver version ?: (?P<driver>\d[\d.]{0,20})"),
            FactLine("Python version", r"Python version ?: (?P<python>\d[\d.]{0,20})"),
            FactLine(
                "NVIDIA-SMI",
                r"Driver Version: (?P<driver>\d[\d.]{0,20})(?:.{0,40}?CUDA Version: (?P<driver_cuda>\d[\d.]{0,20}))?",
            ),
            FactLine("too old (found version", r"\(found version (?P<driver_cuda>\d{1,9})\)"),
            FactLine("NCCL version", r"NCCL version (?P<nccl>\d[\d.]{0,20})"),
        ),
    ),
    (
        "nccl==",
        (FactLine("vLLM is using nccl==", r"nccl==(?P<nccl>\d[\d.]{0,20})"),),
    ),
    (
        "to build PyTorch",
        (FactLine("CUDA used to build PyTorch", r"CUDA used to build PyTorch ?: (?P<torch_cuda>\d[\d.]{0,20})"),),
    ),
    (
        "apability",
        (
            FactLine(
                "Your device '",
                r"Your device '(?P<gpu_name>[^']{1,80})' \(with compute capability (?P<compute_capability>\d+\.\d+)\)",
            ),
            FactLine(
                "GPU has compute capability",
                r"Your (?P<gpu_name>.{1,80}?) GPU has compute capability (?P<compute_capability>\d+\.\d+)",
            ),
            FactLine(
                "Found GPU",
                r"Found GPU\d+ (?P<gpu_name>.{1,80}?) which is of .{0,30}?apability(?: \(CC\))? (?P<compute_capability>\d+\.\d+)",
            ),
            FactLine(
                "with CUDA capability sm_",
                r"(?P<gpu_name>(?:NVIDIA|Tesla|GeForce|Quadro) [\w .()/+-]{1,80}?) with CUDA capability sm_(?P<compute_capability>\d{2,3})",
            ),
        ),
    ),
    ("device_name=", (FactLine("device_name=", r"device_name=(?P<gpu_name>[\w.+-]{2,80}?)(?:,|\.json)"),)),
    (
        "| 0 ",  # the table of nvidia-smi; a name that it cut ends with dots
        (
            FactLine(
                "| 0 ",
                r"\| 0 (?P<gpu_name>(?:NVIDIA|Tesla|GeForce|Quadro|GRID|RTX) [\w ()/+-]{1,60}?) (?:On|Off|N/A) \| [0-9A-F]{8}:",
            ),
        ),
    ),
    ("GPU ", (FactLine("GPU 0: ", r"(?:^|: |\s)GPU 0: (?P<gpu_name>[A-Z][\w .()/+-]{2,80}?)(?: \(UUID|,? GPU 1:|$)"),)),
    (
        "odel",
        (
            FactLine("█ model ", r"█ model (?P<model>\S{1,300})"),
            FactLine("Starting to load model ", r"Starting to load model (?P<model>.{1,300}?)\.\.\.(?:\s|$)"),
            FactLine("Using max model len", r"Using max model len (?P<max_model_len>\d+)"),
            FactLine("Auto-fit max_model_len: reduced", r"reduced from \d+ to (?P<max_model_len>\d+)", keep="last"),
            FactLine("Using V2 Model Runner", says={"model_runner": "V2"}),
            FactLine(
                "Model loading took",
                r"Model loading took (?P<weights_gib>[\d.]+) Gi?B(?: memory)?(?: and (?P<load_s>[\d.]+) seconds)?",
            ),
            FactLine("Loading model weights took", r"Loading model weights took (?P<weights_gib>[\d.]+) Gi?B"),
            FactLine("The model is convertible to", r"convertible to (?P<quantization>\w+) during runtime"),
        ),
    ),
    (
        "weights",
        (
            FactLine("Loading weights took", r"Loading weights took (?P<weights_load_s>[\d.]+) seconds"),
            FactLine(
                "Time spent downloading weights",
                r"Time spent downloading weights for .{1,300}?: (?P<download_s>[\d.]+) seconds",
            ),
        ),
    ),
    ("Resolved architecture", (FactLine("Resolved architecture", r"Resolved architectures?: (?P<architecture>\w+)"),)),
    (
        "asting torch.",  # Casting, Downcasting, Upcasting
        (FactLine("asting torch.", r"asting (?P<dtype_cast>torch\.\w+ to torch\.(?P<dtype>\w+))"),),
    ),
    (
        "Platform plugin",  # after that none was detected: it brings its own
        (FactLine(" is activated", r"Platform plugin (?P<platform>\w+) is activated", keep="last"),),
    ),
    (
        "platform",
        (
            FactLine("Automatically detected platform", r"Automatically detected platform (?P<platform>\w+)"),
            FactLine("No platform detected", says={"platform": "unspecified"}),
        ),
    ),
    ("Platform plugin", (FactLine("Platform plugin", r"Platform plugin (?P<platform>\w+) is activated"),)),
    ("WSL", (FactLine("as WSL is detected", says={"machine": "wsl"}),)),
    (
        "backend",
        (
            FactLine(
                "attention backend out of potential backends",
                r"Using (?P<attention_backend>[\w -]{2,40}?) attention backend out of",
            ),
            FactLine(
                " on V1 engine",
                r"Using (?P<attention_backend>[\w /-]{2,40}?) backend(?: with HND KV cache layout| for .{1,60}?)? on V1 engine",
            ),
            FactLine(" for vit attention", r"Using (?:default )?backend (?P<vit_backend>[\w.]+) for vit attention"),
            FactLine(" backend for ViT model", r"Using (?P<vit_backend>[\w -]{2,40}?) backend for ViT model"),
            FactLine("so we use xformers backend instead", says={"vit_backend": "xformers"}),
            FactLine(
                "Using AttentionBackendEnum.", r"Using AttentionBackendEnum\.(?P<attention_backend>\w{2,60}) backend"
            ),
            FactLine(
                "Using ",
                r"Using (?!Transformers|[^.]{0,60}(?:MoE|prefill|decode|Mamba|SSM|KV cache) )(?P<attention_backend>[\w /-]{2,40}?) backend"
                r"(?:\.(?:\s|$)| \(selected via --attention-backend\)| out of potential)",
            ),
        ),
    ),
    (
        "MMEncoderAttention",
        (FactLine("for MMEncoderAttention", r"Using (?P<vit_backend>[\w.]+) for MMEncoderAttention"),),
    ),
    (
        "max_num_",
        (
            FactLine(
                "Chunked prefill is enabled with",
                r"max_num_batched_tokens=(?P<max_num_batched_tokens>\d+)",
                says={"chunked_prefill": "yes"},
            ),
            FactLine(
                "etting max_num_batched_tokens to", r"max_num_batched_tokens to (?P<max_num_batched_tokens>\d+) for"
            ),
            FactLine(
                "Defaulting max_num_batched_tokens", r"max_num_batched_tokens to (?P<max_num_batched_tokens>\d+) for"
            ),
            FactLine("Defaulting max_num_seqs", r"max_num_seqs to (?P<max_num_seqs>\d+) for"),
            FactLine(
                "Raising max_num_batched_tokens from", r"from \d+ to (?P<max_num_batched_tokens>\d+)", keep="last"
            ),
            FactLine(
                "Computed max_num_seqs",  # V0 with a multimodal model
                r"min\((?P<max_num_seqs>\d+), (?P<mm_have_tokens>\d+) // (?P<mm_need_tokens>\d+)\)",
                says={"engine": "V0"},
            ),
        ),
    ),
    (
        "ultimodal tokens",  # 0.9.2 to 0.10.2
        (
            FactLine(
                "The sequence length (",
                r"The sequence length \((?P<mm_have_tokens>\d+)\) is smaller .{1,90}? \((?P<mm_need_tokens>\d+)\)",
            ),
        ),
    ),
    (
        "multi-modal embeddings in the worst case",  # 0.6.5 to 0.11.0
        (
            FactLine(
                "too short to hold",
                r"(?:context length \(|max_num_batched_tokens / max_num_seqs = )(?P<mm_have_tokens>\d+)\).{1,120}?worst case "
                r"\((?P<mm_need_tokens>\d+) tokens in total(?:, out of which (?P<mm_reserved>\{[^{}]{0,300}\}))?",
            ),
        ),
    ),
    (
        "ncoder cache",
        (
            FactLine(
                "Encoder cache will be initialized",
                r"budget of (?P<encoder_budget_tokens>\d[\d,]*) tokens,? "
                r"and profiled with (?P<encoder_items>\d+) (?P<encoder_modality>\w+) item",
            ),
        ),
    ),
    (
        "GiB",
        (
            FactLine(
                "x gpu_memory_utilization (",
                r"total_gpu_memory \((?P<total_gib>[\d.]+)GiB\) x gpu_memory_utilization \((?P<gpu_memory_utilization>[\d.]+)\)"
                r" = (?P<budget_gib>[\d.]+)GiB",
            ),
            FactLine("model weights take", r"model weights take (?P<weights_gib>[\d.]+)GiB"),
            FactLine(
                "PyTorch activation peak memory takes",  # V0 from 0.6.5 on
                r"non_torch_memory takes (?P<non_torch_gib>-?[\d.]+)GiB; "
                r"PyTorch activation peak memory takes (?P<activation_gib>-?[\d.]+)GiB",
                keep="max",
            ),
            FactLine("reserved for KV Cache is", r"reserved for KV Cache is (?P<kv_gib>-?[\d.]+)GiB", keep="min"),
            FactLine(
                "Memory profiling results:",  # V0 0.6.4
                r"total_gpu_memory=(?P<total_gib>[\d.]+)GiB.{1,160}? non_torch_memory=(?P<non_torch_gib>-?[\d.]+)GiB"
                r" kv_cache_size=(?P<kv_gib>-?[\d.]+)GiB gpu_memory_utilization=(?P<gpu_memory_utilization>[\d.]+)",
            ),
            FactLine("Available KV cache memory", r"Available KV cache memory: (?P<kv_gib>-?[\d.]+) GiB", keep="min"),
            FactLine(
                "GiB) on startup",
                r"Free memory on device (?:\S{1,40} )?\((?P<startup_free_gib>[\d.]+)/(?P<total_gib>[\d.]+) GiB\) on startup"
                r"(?:\. Desired| is less than desired) GPU memory utilization(?: is)? "
                r"\((?P<gpu_memory_utilization>[\d.]+), (?P<budget_gib>[\d.]+) GiB\)",
            ),
            FactLine(
                "GiB for peak activation",
                r"Actual usage is (?:(?P<weights_gib>[\d.]+) GiB for weight|(?P<consumed_gib>[\d.]+) GiB for consumed memory[^,]{0,60}), "
                r"(?P<activation_gib>-?[\d.]+) GiB for peak activation,(?: (?P<non_torch_gib>-?[\d.]+) GiB for non-torch memory,)?"
                r" and (?:-[\d.]+|(?P<graphs_gib>[\d.]+)) GiB for CUDAGraph memory",
            ),
            FactLine(
                "specified by kv_cache_memory_bytes",
                r"Initial free memory (?P<startup_free_gib>[\d.]+) GiB, reserved (?P<kv_gib>[\d.]+) ?GiB memory for KV Cache",
            ),
            FactLine(
                "GiB for KV cache on node", r"Explicitly set \((?P<kv_gib>[\d.]+)/[\d.]+\) GiB for KV cache on node"
            ),  # on CPU
            FactLine(
                "CUDA graph pool memory",
                r"CUDA graph pool memory: (?P<graphs_gib>[\d.]+) GiB \(actual\), (?P<graphs_estimated_gib>[\d.]+) GiB",
            ),
            FactLine(
                "Estimated CUDA graph memory", r"Estimated CUDA graph memory: (?P<graphs_estimated_gib>[\d.]+) GiB"
            ),
            FactLine(
                "KV cache is needed, which is larger",
                r"available KV cache memory \((?P<kv_gib>-?[\d.]+) Gi?B\)",
                keep="min",
            ),
        ),
    ),
    (
        "Memory profiling takes",
        (FactLine("Memory profiling takes", r"Memory profiling takes (?P<profile_s>[\d.]+) seconds"),),
    ),
    (
        " to allocate ",  # CUDA and HIP
        (
            FactLine("Tried to allocate", rf"Tried to allocate (?P<oom_tried_gib>{_SIZE})"),
            FactLine("total capac", rf"total capac\w{{1,4}} of (?P<gpu_total_gib>{_SIZE})"),
            FactLine(" is free", rf"of which (?P<gpu_free_gib>{_SIZE}) is free"),
            FactLine("memory in use", rf"(?:Process \d+|this process) has (?P<oom_process_gib>{_SIZE}) memory in use"),
            FactLine(
                "allocated by PyTorch",
                rf"Of the allocated memory (?P<oom_torch_allocated_gib>{_SIZE}) is allocated by PyTorch",
            ),
            FactLine("reserved by PyTorch but", rf"(?P<oom_torch_reserved_gib>{_SIZE}) is reserved by PyTorch but"),
            FactLine(
                "total capacity;",  # PyTorch before 2.1, and what was built like it for NPUs and XPUs
                rf"(?P<gpu_total_gib>{_SIZE}) total capacity; (?P<oom_torch_allocated_gib>{_SIZE}) already allocated; "
                rf"(?:{_SIZE} current active; )?(?:(?P<gpu_free_gib>{_SIZE}) free)?",
            ),
        ),
    ),
    (
        "CPU blocks:",
        (
            FactLine(
                "CPU blocks:",
                r"# \w{1,20} blocks: (?P<kv_blocks>\d+), # CPU blocks: (?P<cpu_blocks>\d+)",
                "min",
                {"engine": "V0"},
            ),
        ),
    ),
    ("# GPU blocks:", (FactLine("# GPU blocks:", r"# GPU blocks: (?P<kv_blocks>\d+)", keep="min"),)),
    (
        "after num_gpu_blocks is",
        (FactLine("after num_gpu_blocks is", r"after num_gpu_blocks is: (?P<kv_blocks>\d+)", keep="min"),),
    ),
    (
        "KV cache size:",
        (FactLine("KV cache size:", r"KV cache size: (?P<kv_tokens>\d[\d,]*) tokens", "min", {"engine": "V1"}),),
    ),
    (
        "Maximum concurrency for",
        (
            FactLine(
                "tokens per request",
                r"Maximum concurrency for (?P<concurrency_tokens>\d[\d,]*) tokens per request: (?P<concurrency>[\d.]+)x",
                keep="min",
            ),
        ),
    ),
    (
        "raph",
        (
            FactLine(
                "Graph capturing finished in",
                r"Graph capturing finished in (?P<graph_capture_s>\d+) secs(?:, took (?P<graphs_gib>[\d.]+) GiB)?",
                says={"cuda_graphs": "yes"},
            ),
            FactLine("Skipping CUDA graph capture", says={"cuda_graphs": "no"}),
            FactLine("Cudagraph is disabled under eager mode", says={"cuda_graphs": "no"}),
            FactLine("Enforce eager set, disabling torch.compile", says={"cuda_graphs": "no", "enforce_eager": "yes"}),
            FactLine("No cudagraph will be used", says={"cuda_graphs": "no"}),
        ),
    ),
    ("torch.compile t", (FactLine("in total", r"torch\.compile (?:takes|took) (?P<compile_s>[\d.]+) s in total"),)),
    (
        "init engine (",
        (
            FactLine(
                "init engine (profile",
                r"took (?P<init_s>[\d.]+) s(?:econds)?(?: \(compilation: (?P<compile_s>[\d.]+) s)?",
            ),
        ),
    ),
    ("in world size", (FactLine("in world size", r"in world size (?P<world_size>\d+) is assigned"),)),
    ("world_size=", (FactLine(" local_rank=", r"world_size=(?P<world_size>\d+) rank=\d+"),)),
    ("content format to be", (FactLine("chat template", r"content format to be '(?P<chat_template_format>\w+)'"),)),
    ("Loaded new LoRA adapter", (FactLine("Loaded new LoRA adapter", says={"lora": "yes"}),)),
    (
        "server",
        (FactLine("Starting vLLM", r"Starting vLLM (?:API )?server(?: \d+)? on (?P<server_url>[^\s,]{1,300})"),),
    ),
    (
        "Uvicorn running on",
        (FactLine("Uvicorn running on", r"running on (?P<server_url>[a-z]+://[^\s,]{1,300})"),),
    ),
    (
        'HTTP/1.1" ',
        (
            FactLine(
                ' - "',
                r'^\S{3,60} - "[A-Z]{3,7} \S{1,2000} HTTP/1\.1" \d{3}',
                says={"access_log": "yes"},
            ),
        ),
    ),
    (
        "prompt throughput",
        (
            FactLine("reqs, Swapped:", says={"engine": "V0"}),
            FactLine("reqs, Waiting:", says={"engine": "V1"}),
            FactLine("Avg prompt throughput:", says={"throughput_log": "yes"}),
        ),
    ),
    ("Falling back to V0", (FactLine("Falling back to V0", says={"engine": "V0"}),)),
)
