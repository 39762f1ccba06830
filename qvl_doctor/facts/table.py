"""Every fact, once: its name, which values it has, its unit and what it means.

The readers of logs convert by it, the loader of rules knows names and values from it, a file of another machine is
held
against it. What is on or off is yes or no, as in the rules; what is not known is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from qvl_doctor.model import PHASES

#: Kinds of values. A version is a text: 0.10 is not 0.1. Where only a few values are possible, the kind is the list of
#: them: "V0 | V1".
TEXT, VERSION, NUMBER, COUNT, MAP = "text", "version", "number", "count", "map"
_OR = " | "

#: Who tells it → name → kind and meaning.
LISTED: Mapping[str, Mapping[str, tuple[str, str]]] = {
    # what a log tells
    "log": {
        "vllm": ("version", "release of vLLM, as it names itself"),
        "vllm_range": ("text", "releases that fit call sites and wordings, where the log names none: '>=0.8,<0.10.1'"),
        "engine": ("V0 | V1", "vLLM's engine"),
        "model_runner": ("text", "V2 if the engine says that it uses the second model runner"),
        "model": ("text", "model as it was given: a path or a repository"),
        "served_model_name": ("text", "name under which the model is served"),
        "architecture": ("text", "class of the model"),
        "args": ("map", "arguments by name, secrets masked: all of them up to 0.8.5, later those that are no defaults"),
        "dtype": ("text", "data type of the weights in memory"),
        "dtype_cast": ("text", "data type of the checkpoint and what it is cast to: 'bfloat16 to float16'"),
        "quantization": ("text", "quantization method; none if the engine says that there is none"),
        "load_format": ("text", "how the weights are read"),
        "kv_cache_dtype": ("text", "data type of the KV cache"),
        "limit_mm_per_prompt": ("map", "items of each modality that a prompt may carry"),
        "speculative": ("text", "method of speculative decoding, or its draft model; none if the engine says so"),
        "lora": ("yes | no", "whether LoRA is on"),
        "prefix_caching": ("yes | no", "whether prefix caching is on"),
        "chunked_prefill": ("yes | no", "whether chunked prefill is on"),
        "enforce_eager": ("yes | no", "whether CUDA graphs and compilation were switched off"),
        "cuda_graphs": ("yes | no", "yes if CUDA graphs were captured, no if the log says that they are not"),
        "chat_template_format": ("string | openai", "content format of the chat template"),
        "platform": ("text", "cuda, rocm, ascend, xpu, gaudi, tpu, neuron, cpu, or the name of another plug-in"),
        "machine": ("jetson | spark | wsl", "a machine that needs builds or settings of its own"),
        "gpu_name": ("text", "name of the GPU"),
        "compute_capability": ("version", "compute capability of the GPU: '7.5'"),
        "driver": ("version", "version of the NVIDIA driver"),
        "driver_cuda": ("version", "newest CUDA that the driver supports"),
        "torch_cuda": ("version", "CUDA that PyTorch was built for: a release, None for none, or rocm"),
        "cuda": ("version", "CUDA toolkit of the machine"),
        "python": ("version", "version of Python"),
        "nccl": ("version", "version of NCCL"),
        "attention_backend": ("text", "attention backend of the language model, by its name in AttentionBackendEnum"),
        "vit_backend": ("text", "attention backend of the vision encoder"),
        "world_size": ("count", "number of processes that serve one model"),
        "tensor_parallel_size": ("count", "GPUs that share each layer"),
        "pipeline_parallel_size": ("count", "stages that the layers are split into"),
        "data_parallel_size": ("count", "copies of the model"),
        "max_model_len": ("count", "longest sequence in tokens"),
        "max_num_batched_tokens": ("count", "tokens of one step"),
        "max_num_seqs": ("count", "sequences of one step"),
        "block_size": ("count", "tokens of one KV block: as said, or where blocks and concurrency leave one choice"),
        "gpu_memory_utilization": ("number", "share of the GPU's memory that vLLM may use"),
        "encoder_budget_tokens": ("count", "tokens of the encoder cache"),
        "encoder_items": ("count", "items that the encoder was profiled with"),
        "encoder_modality": ("text", "modality that the encoder was profiled with"),
        "mm_have_tokens": ("count", "worst-case warning: tokens that there is room for"),
        "mm_need_tokens": ("count", "worst-case warning: tokens of the largest possible prompt"),
        "mm_reserved": ("text", "worst-case warning: tokens by modality, in the log's words"),
        "total_gib": ("number", "memory of the GPU as vLLM sees it"),
        "startup_free_gib": ("number", "memory that was free when vLLM started"),
        "budget_gib": ("number", "total times utilization"),
        "weights_gib": ("number", "weights on one GPU"),
        "activation_gib": ("number", "peak activation of the profile run; the largest of the workers"),
        "non_torch_gib": ("number", "memory that PyTorch does not manage"),
        "consumed_gib": ("number", "weights and non-torch memory in one (0.27 on)"),
        "kv_gib": ("number", "KV cache; the smallest of the workers"),
        "kv_blocks": ("count", "KV cache in blocks; the smallest of the workers"),
        "cpu_blocks": ("count", "KV blocks in swap space (V0)"),
        "kv_tokens": (
            "count",
            "KV cache; the smallest of the engines. V0 prints blocks: computed where their size is known",
        ),
        "concurrency": ("number", "requests of full length that fit into the KV cache"),
        "concurrency_tokens": ("count", "the full length that `concurrency` speaks of"),
        "graphs_gib": ("number", "CUDA graphs"),
        "graphs_estimated_gib": ("number", "CUDA graphs as estimated before the capture (0.18 on)"),
        "gpu_total_gib": ("number", "out of memory: the GPU's memory"),
        "gpu_free_gib": ("number", "out of memory: what of it was free"),
        "oom_tried_gib": ("number", "out of memory: the request that failed"),
        "oom_process_gib": ("number", "out of memory: what the process held"),
        "oom_torch_allocated_gib": ("number", "out of memory: what PyTorch had given out"),
        "oom_torch_reserved_gib": ("number", "out of memory: what PyTorch held back unused"),
        "download_s": ("number", "download of the weights"),
        "weights_load_s": ("number", "reading the weights"),
        "load_s": ("number", "loading the model, download included"),
        "profile_s": ("number", "profile run"),
        "compile_s": ("number", "torch.compile, a part of the profile run"),
        "graph_capture_s": ("number", "CUDA graph capture"),
        "init_s": ("number", "profile run, KV cache and warm-up together"),
        "startup_s": ("number", "from the first line with a time to the last one before the server was ready"),
        "server_url": ("text", "address that the server listens on"),
        "server_port": ("count", "port that the server listens on"),
        "api_key": ("yes | no", "yes if the server wants an API key"),
        "access_log": ("yes | no", "yes if requests were logged"),
        "throughput_log": ("yes | no", "yes if the engine reported its throughput"),
    },
    # what only its own lines tell: how far it came, and how it ended
    "run": {
        "ready": ("yes | no", "yes once the server took requests; no if it began to start and did not come that far"),
        "phase": (" | ".join(PHASES), "phase of the record"),
        "ended": ("clean | abrupt | interrupted | cut off | running", "how the log ends"),
        "stalled_s": ("number", "time without a line before the log stops"),
        "refused": ("count", "requests that need the engine and were refused (4xx)"),
        "refused_route": ("text", "route of the refusal that came most often"),
        "refused_status": ("text", "its status"),
        "refused_most": ("count", "how often it came"),
        "refused_per_min": ("number", "refusals in a minute of the log"),
        "answered": ("yes | no", "where any was refused: whether any was answered"),
        "restarts": ("count", "starts of the same server before this one that had served and were stopped"),
        "reached": (" | ".join(PHASES), "step of a start that was ended from outside"),
        "ran_s": ("number", "time from the first line to the last, where a start was ended from outside"),
    },
    # what follows from several (diagnose/derived.py); what cannot be told is absent
    "derived": {
        "block_size_asked": ("count", "the block size, where the arguments ask for it"),
        "largest_limit_items": ("count", "the largest count in --limit-mm-per-prompt"),
        "image_tokens": ("count", "tokens of one full-size image: as the log shows it, else by the model's family"),
        "kv_below_image": (
            "yes | no",
            "yes if the KV cache holds less than one full-size image needs, and images are allowed",
        ),
        "oom_full_card": (
            "yes | no",
            "yes if PyTorch held nearly the whole GPU when a small request failed: weights do that",
        ),
        "oom_above_card": ("yes | no", "yes if a single request was larger than the whole GPU"),
        "weights_fill_card": (
            "yes | no",
            "yes if the weights leave less than 15 % of the GPU: no limit makes room then",
        ),
    },
    # what a command to launch says; its flags are facts under the names that a log's arguments have
    "command": {
        "swap_space": ("number", "--swap-space, where it is given"),
        "eager_asked": ("yes | no", "yes if --enforce-eager is given"),
        "plan": ("fits | profile-oom | no-blocks | too-long | graphs-oom", "verdict of the memory model"),
        "plan_unknown": (
            "text",
            "why the model has nothing to say: release, gpu, model, unnamed, architecture, variable, numbers",
        ),
        "plan_error_gib": ("number", "how far its KV cache may be off"),
        "plan_missing_gib": ("number", "how much is missing on the card, or for one request of full length"),
        "plan_request_gib": ("number", "KV cache of one request of full length"),
        "plan_longest_tokens": ("count", "longest request that the KV cache holds"),
        "plan_peak": ("text", "what makes the activation peak of the profile run"),
        "plan_image_tokens": ("count", "tokens of the largest image"),
        "plan_video_tokens": ("count", "tokens of the largest video"),
        "plan_dummies_dropped": ("yes | no", "yes if the V0 engine leaves images out of its profile run"),
        "plan_largest_item_longer_than_prompt": ("yes | no", "yes if the largest item does not fit into a prompt"),
        "plan_card_size_nominal": ("yes | no", "yes if the card's size is the vendor's"),
        "plan_memory_shared_with_host": ("yes | no", "yes if the card's memory is the host's"),
        "plan_quantization_unknown": ("yes | no", "yes if the model's quantization is not known"),
        "plan_card_unknown": ("yes | no", "yes if only the card's size is known"),
    },
    # what a check of the packages says, next to their versions
    "packages": {
        "python_answers": ("yes | no", "no if the interpreter could not be asked"),
        "vllm_installed": ("yes | no", "whether vLLM is installed"),
        "torchvision_cuda": ("version", "CUDA that torchvision was built for: a release, or None for none"),
        "imports": (
            "ok | failed | timeout | not-run",
            "how the import of torch, torchvision, transformers and vllm, one after another, ended",
        ),
        "imports_exit_code": ("count", "exit code of that process; below 0 the signal that ended it"),
        "imports_s": ("number", "time that the imports took"),
        "import_failed": ("text", "the package whose import failed or did not end"),
        "import_torch": ("ok | failed | timeout | missing", "how its import ended; absent if an earlier one failed"),
        "import_torchvision": ("ok | failed | timeout | missing", "the same"),
        "import_transformers": ("ok | failed | timeout | missing", "the same"),
        "import_vllm": ("ok | failed | timeout | missing", "the same"),
    },
    # the GPUs
    "gpu": {
        "nvml": (
            "text",
            "ok, or why NVML cannot be asked (machine/nvml.py), such as library-missing; amd, jetson, not-needed",
        ),
        "gpu_count": ("count", "GPUs that NVML shows"),
        "gpu_visible": (
            "count",
            "GPUs that a process sees: those of CUDA_VISIBLE_DEVICES, one where a MIG instance is used",
        ),
        "gpu_links": (
            "nvlink | p2p | no-p2p",
            "how the GPUs of a tensor-parallel group are joined, by the worst pair; p2p is over PCIe",
        ),
        "gpu_topology": (
            "PIX | PXB | PHB | NODE | SYS",
            "how far apart they are, by the worst pair, as nvidia-smi topo -m writes it",
        ),
        "mig": ("yes | no", "yes if the first visible card is divided into instances"),
        "mig_named": ("count", "number, within its card, of the instance that CUDA_VISIBLE_DEVICES names"),
        "mig_card_missing": ("yes | no", "yes if no card has that number"),
    },
    # the machine around them
    "host": {
        "shm_gib": ("number", "size of /dev/shm"),
        "shm_free_gib": ("number", "what of it is free"),
        "ram_gib": ("number", "host memory"),
        "memory_limit_gib": ("number", "memory limit of the container"),
        "ram_available_gib": ("number", "host memory that is free or can be made free, within the container's limits"),
        "swap_gib": ("number", "swap space of the system"),
        "cache_free_gib": ("number", "free on the disk where the Hub's models are kept"),
        "cache_writable": ("yes | no", "whether it can be written"),
        "cache_full": ("bytes | inodes", "what that file system has no more of"),
        "download_free_gib": ("number", "free on the disk of --download-dir"),
        "download_writable": ("yes | no", "whether it can be written"),
        "download_full": ("bytes | inodes", "what that file system has no more of"),
        "disk_free_gib": ("number", "free on the disk that the model will be downloaded to, where that is too little"),
        "vllm_cache_free_gib": ("number", "free on the disk where vLLM keeps what it compiled"),
        "vllm_cache_writable": ("yes | no", "whether it can be written"),
        "vllm_cache_full": ("bytes | inodes", "what that file system has no more of"),
        "tmp_free_gib": ("number", "free on the disk of temporary files"),
        "tmp_writable": ("yes | no", "whether it can be written; no if there is no folder for temporary files"),
        "tmp_full": ("bytes | inodes", "what that file system has no more of"),
        "open_files_limit": ("count", "how many files a process may open, the hard limit: a number or unlimited"),
        "open_files_soft_limit": ("count", "the same, the limit that holds now"),
        "locked_memory_kib_limit": ("count", "KiB of memory that a process may lock: a number or unlimited"),
        "locked_memory_small": ("yes | no", "yes if there are InfiniBand cards and that is limited"),
        "stack_kib_limit": ("count", "KiB of a process's stack: a number or unlimited"),
        "user_id_without_name": ("count", "the user's number, if nothing says its name"),
        "hub_offline": ("yes | no", "whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE keeps the Hub from being asked"),
        "hub_token": ("yes | no", "yes if there is a token for the Hub, else no"),
        "from_modelscope": ("yes | no", "yes if models are taken from ModelScope"),
        "wsl": ("yes | no", "yes if the kernel is that of the Windows Subsystem for Linux"),
        "nccl_off": ("text", "ways between several GPUs that NCCL_P2P_DISABLE and NCCL_SHM_DISABLE switch off"),
        "port_free": (
            "yes | no | not-permitted | no-such-address | unknown",
            "whether the server's address can be bound; no if it is in use",
        ),
        "host_kind": ("kubernetes | docker | podman | wsl | jetson | plain", "what the machine is"),
        "shm_small": ("yes | no", "yes if several GPUs are asked for and /dev/shm is small"),
        "disk_small": ("yes | no", "yes if the model's weights need more than is free on the disk"),
        "weights_needed_gib": ("number", "weights of the model, by its files or its config.json"),
    },
    # the model's folder
    "model": {
        "model_folder": (
            "text",
            "ok, or what it is: missing, not-permitted, no-config, broken-config, adapter, too-high, other-format",
        ),
        "model_place": (
            "folder | cache | hub | nowhere",
            "where the model is: a folder, the Hub's cache (whole), the Hub (to be downloaded, or the rest of it), nowhere",
        ),
        "model_compared": ("yes | no", "yes if config.json was held against the command"),
        "model_complete": ("yes | no", "yes if all weight files are there, else no"),
        "weight_files": ("count", "number of weight files that would be read"),
        "weight_files_gib": ("number", "their size"),
        "unfinished_downloads": ("count", "parts of files in the cache that were not downloaded to their end"),
        "processor_files": ("yes | no", "whether the model has settings of an image, audio or video processor"),
        "generation_defaults": ("text", "sampling defaults that generation_config.json sets"),
        "model_type": ("text", "model type, by its config.json"),
        "tokenizer_files": ("yes | no", "whether the model has a tokenizer"),
        "chat_template": ("yes | no", "whether the model has a chat template"),
    },
    # what the cluster says of a pod; of several, of the one that is worst off
    "pod": {
        "pod": ("text", "its name"),
        "pod_phase": ("Pending | Running | Succeeded | Failed | Unknown", "its phase"),
        "pod_node": ("text", "the node that it is on"),
        "pod_state": ("text", "running, terminated, or why vLLM's container waits, such as CrashLoopBackOff"),
        "pod_ready": ("yes | no", "yes if all its containers are ready, else no"),
        "pod_restarts": ("count", "how often the container was started again"),
        "pod_exit_code": ("count", "the exit code of the container's last end"),
        "pod_lasted_s": ("number", "from the last start that ended to its end"),
    },
    # the check itself; a check that broke is `probe_failed_NAME`
    "look": {
        "seen_at": ("text", "UTC time of a look whose file is read elsewhere: 2025-01-31T09:00:00Z"),
        "seen_by": ("version", "release of qvl-doctor that looked"),
    },
}

_PACKAGES = """
accelerate autoawq bitsandbytes blake3 compressed_tensors cuda_python cupy_cuda12x datasets decord deep_gemm
deepspeed diffusers einops
fastapi flash_attn flashinfer_cubin flashinfer_jit_cache flashinfer_python gguf hf_transfer hf_xet huggingface_hub
kernels librosa
lm_format_enforcer lmcache mistral_common modelscope msgspec numba numpy nvidia_cublas_cu12 nvidia_cuda_runtime_cu12
nvidia_cudnn_cu12
nvidia_cudnn_cu13 nvidia_ml_py nvidia_nccl_cu12 nvidia_nccl_cu13 openai opencv_python_headless outlines
outlines_core peft pillow
protobuf pydantic pydantic_core pynvml pyzmq qwen_omni_utils qwen_vl_utils ray safetensors scipy
sentence_transformers sentencepiece
setuptools starlette tiktoken timm tokenizers torch torchao torchaudio torchcodec torchvision transformers
transformers_stream_generator
triton triton_kernels uvicorn uvloop vllm vllm_flash_attn xformers xgrammar
apache_tvm_ffi coverage nixl_cu12 nixl_cu13 nvidia_nvjitlink_cu12 openai_harmony oss_harmony
prometheus_fastapi_instrumentator
amd_aiter flash_attn_3 flash_attn_4 nixl torch_npu torch_xla triton_ascend vllm_ascend vllm_gaudi vllm_omni vllm_tpu
"""
#: Packages whose versions are facts as well: `flash-attn` is `flash_attn`.
PACKAGES = frozenset(_PACKAGES.split())

#: The unit that a name ends in, and the largest number that makes sense.
UNITS: Mapping[str, tuple[str, float]] = {
    "_gib": ("GiB", 1e7),
    "_mib": ("MiB", 1e10),
    "_bytes": ("bytes", 1e18),
    "_s": ("s", 1e9),
    "_tokens": ("tokens", 1e12),
    "_count": ("", 1e6),
    "_mhz": ("MHz", 1e6),
    "_watts": ("W", 1e5),
    "_celsius": ("°C", 1e4),
    "_percent": ("%", 100.0),
}


class Entry(NamedTuple):
    """A fact. `values` are all that it can have, where they are few; `unit` is "" for what has none."""

    name: str
    told_by: str
    kind: str
    meaning: str
    unit: str = ""
    values: tuple[str, ...] = ()


def names(*told_by: str) -> frozenset[str]:
    """The names of all facts, or of those that a log, a check of the GPUs and so on can tell."""
    groups = told_by or tuple(LISTED)
    listed = frozenset(name for group in groups for name in LISTED[group])
    return listed if told_by else listed | PACKAGES


def entry(name: str) -> Entry | None:
    """What is known of a fact; None if there is none of that name."""
    for group, facts in LISTED.items():
        if name in facts:
            what, meaning = facts[name]
            values = tuple(what.split(_OR)) if _OR in what else ()
            return Entry(name, group, TEXT if values else what, meaning, unit(name)[0], values)
    return Entry(name, "packages", VERSION, "version of the package") if name in PACKAGES else None


@lru_cache(maxsize=512)
def kind(name: str) -> str:
    """The kind of a fact's value; "" if there is none of that name."""
    found = entry(name)
    return found.kind if found else ""


def unit(name: str) -> tuple[str, float]:
    """The unit that a name ends in, and the largest number of it; ("", 0.0) if it ends in none."""
    return next((found for end, found in UNITS.items() if name.endswith(end)), ("", 0.0))
