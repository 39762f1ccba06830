"""What other programs write, after their own sources: none of it is a log of vLLM."""

from __future__ import annotations

_PACKAGES = "/usr/lib/python3/site-packages"
_OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB"
_NCCL = "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:268, unhandled system error"


def _raised(file: str, said: str) -> str:
    return f'Traceback (most recent call last):\n  File "{file}", line 715, in run\n{said}'


def _sglang(said: str) -> str:
    return f"[2025-02-16 08:31:21 TP0] {said}"


def _tgi(said: str) -> str:
    return f"2025-02-16T08:31:21.371622Z {said}"


def _ollama(level: str, place: str, said: str) -> str:
    return f"time=2025-02-16T08:31:21.123+01:00 level={level} source={place} msg={said}"


def _nginx(level: str, said: str) -> str:
    return f"2025/02/16 08:31:21 [{level}] 31#31: {said}"


def _kubelet(place: str, said: str) -> str:
    return f"Feb 16 08:31:21 node-1 kubelet[1234]: E0216 08:31:21.643012    1234 {place}] {said}"


def _klog(level: str, place: str, said: str) -> str:
    return f"{level}0216 08:31:21.643012    1234 {place}] {said}"


_SRT = "/sgl-workspace/sglang/python/sglang/srt"
_SHORT = "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static."
_NO_TYPE = (
    "ValueError: The checkpoint you are trying to load has model type `qwen2_5_vl` but Transformers does not recognize"
)
_TAKEN = "OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 30000): address already in use"
SGLANG = (
    _raised(f"{_SRT}/model_executor/model_runner.py", _SHORT),
    f"{_SHORT} Current value: mem_fraction_static=0.7",
    _sglang("Decode batch, #running-req: 4, #token: 4773, token usage: 0.90, cuda graph: True, #queue-req: 6"),
    _sglang(f"Scheduler hit an exception: {_raised(f'{_SRT}/managers/scheduler.py', _OOM)}"),
    "[2025-02-16 08:31:21] server_args=ServerArgs(model_path='Qwen/Qwen2.5-VL-7B-Instruct', port=30000)",
    _sglang(
        "max_total_num_tokens=466872, chunked_prefill_size=8192, max_prefill_tokens=16384, max_running_requests=2048"
    ),
    "[2025-02-16 08:31:44] The server is fired up and ready to roll!\n[2025-02-16 08:31:45] INFO:     Started",
    "python -m sglang.launch_server --model-path m --tp 2\nKeyError: 'qwen3_vl'",
    _raised(
        f"{_PACKAGES}/sglang/srt/layers/fp8.py",
        "ValueError: Weight output_partition_size = 9728 is not divisible by 128.",
    ),
    _raised(f'{_SRT}/x.py", line 1, in x\n  File "{_PACKAGES}/vllm/distributed/parallel_state.py', _NCCL),
    _raised(f"{_PACKAGES}/sglang/srt/utils.py", _TAKEN),
    _raised(f"{_PACKAGES}/sglang/srt/hf_transformers_utils.py", _NO_TYPE),
)
TGI = (
    _tgi(f"ERROR shard-manager: text_generation_launcher: Shard complete standard error output:\n\n{_OOM}"),
    _tgi(' INFO text_generation_launcher: Args {\n    model_id: "m",\n    max_input_tokens: None,\n}'),
    _tgi("ERROR text_generation_launcher: Shard 0 failed to start"),
    _tgi("ERROR text_generation_launcher: Shard process was signaled to shutdown with signal 9 rank=0"),
    '{"level":"ERROR","fields":{"message":"Download encountered an error"},"target":"text_generation_launcher"}',
    _tgi(" WARN text_generation_router: router/src/main.rs:372: Invalid hostname, defaulting to 0.0.0.0"),
    _raised(
        "/opt/conda/lib/python3.11/site-packages/text_generation_server/cli.py",
        "RuntimeError: Not enough memory to handle 4096 prefill tokens. You need to decrease `--max-batch-prefill-tokens`",
    ),
    _raised(
        f"{_PACKAGES}/text_generation_server/models/__init__.py", "ValueError: sharded is not supported for AutoModel"
    ),
)
OLLAMA = (
    _ollama(
        "ERROR",
        "sched.go:455",
        '"error loading llama server" error="llama runner process has terminated: exit status 2"',
    ),
    _ollama("INFO", "routes.go:1187", '"Listening on [::]:11434 (version 0.5.7)"'),
    _ollama(
        "WARN", "gpu.go:647", '"unable to load CUDA management library" error="nvml: driver/library version mismatch"'
    ),
    "Error: llama runner process has terminated: CUDA error: out of memory",
    "Error: 500 Internal Server Error: unable to load model: /usr/share/ollama/.ollama/models/blobs/sha256-3ac47f4557c2",
    _ollama(
        "INFO", "server.go:376", '"starting llama server" cmd="/usr/lib/ollama/runners/cuda_v12/ollama_llama_server"'
    ),
    "$ ollama run qwen2.5vl\nError: model requires more system memory (9.1 GiB) than is available (5.2 GiB)",
    f'[GIN] | 500 |  2.1s | POST "/api/chat"\n{_ollama("ERROR", "types.go:401", chr(34) + "invalid option" + chr(34))}',
)
LLAMA_CPP = (
    "llama_model_load: error loading model: error loading model architecture: unknown model architecture: 'qwen3vl'",
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 23286.17 MiB on device 0: cudaMalloc failed: out of memory",
    "ggml_cuda_init: found 1 CUDA devices:\n  Device 0: NVIDIA GeForce RTX 4090, compute capability 8.9, VMM: yes",
    "srv    load_model: loading model 'm.gguf'\nmain: server is listening on http://127.0.0.1:8080 - starting the main loop",
    "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache",
    "/build/ggml/src/ggml-cuda/ggml-cuda.cu:88: CUDA error\nCUDA error: no kernel image is available for execution",
    "common_init_from_params: failed to load model '/models/m.gguf'\nmain: error: unable to load model",
    "llm_load_tensors: ggml ctx size =    0.93 MiB\nllama_kv_cache_init: failed to allocate buffer for kv cache",
)
_STEP = "{'loss': 1.1413, 'grad_norm': 2.83, 'learning_rate': 1.9e-05, 'epoch': 0.02}"
TRAINING = (
    f"***** Running training *****\n  Num examples = 52,002\n  Instantaneous batch size per device = 8\n{_OOM}",
    _raised(f"{_PACKAGES}/transformers/trainer.py", _OOM),
    f"{_STEP}\nRuntimeError: CUDA error: an illegal memory access was encountered",
    _raised("train.py", f"    loss.backward()\n{_OOM}"),
    _raised(
        "train.py", "    trainer.train(resume_from_checkpoint=True)\nValueError: Can't find a valid checkpoint at out"
    ),
    _raised(f"{_PACKAGES}/deepspeed/runtime/zero/stage3.py", "RuntimeError: CUDA error: out of memory"),
    _raised(f"{_PACKAGES}/torch/autograd/graph.py", _OOM),
    _raised(
        f"{_PACKAGES}/accelerate/commands/launch.py",
        "subprocess.CalledProcessError: Command '['python', 'train.py']' returned non-zero exit status 1.",
    ),
    _raised("/srv/megatron/training/training.py", _NCCL),
    _raised("/srv/LLaMA-Factory/src/llamafactory/train/tuner.py", "KeyError: 'qwen2_5_vl'"),
)
NGINX = (
    _nginx(
        "error", '*1 connect() failed (111: Connection refused) while connecting to upstream: "http://10.0.0.2:8000/v1"'
    ),
    _nginx("error", "*7 upstream timed out (110: Connection timed out) while reading response header from upstream"),
    "nginx: [emerg] bind() to 0.0.0.0:8000 failed (98: Address already in use)",
    _nginx(
        "error",
        '*9 client intended to send too large body: 2097152 bytes, request: "POST /v1/chat/completions HTTP/1.1"',
    ),
    _nginx("crit", "*1 connect() to 127.0.0.1:8000 failed (13: Permission denied) while connecting to upstream"),
    "<html><body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx/1.25.3</center></body></html>",
    "2025/02/16 08:31:21 [notice] 1#1: signal 15 (SIGTERM) received, exiting",
)
KUBELET = (
    _kubelet(
        "pod_workers.go:1298", '"Error syncing pod, skipping" err="failed to start container web: CrashLoopBackOff"'
    ),
    _klog("E", "kuberuntime_manager.go:1256", '"Unhandled Error" err="container web start failed: ImagePullBackOff"'),
    _klog("I", "kubelet.go:2431", '"SyncLoop ADD" source="api" pods=["default/web-0"]'),
    _klog("W", "eviction_manager.go:352", '"Eviction manager: attempting to reclaim" resourceName="memory"'),
    _kubelet("kubelet.go:2855", '"Container runtime network not ready" networkReady="NetworkReady=false"'),
    _klog("I", "prober.go:107", '"Probe failed" probeType="Readiness" output="HTTP probe failed with statuscode: 503"'),
    _kubelet("manager.go:1169", "Failed to process watch event: unable to find container"),
)

#: By the name that the report must say.
OTHERS = {
    "SGLang": SGLANG,
    "Text Generation Inference": TGI,
    "Ollama": OLLAMA,
    "llama.cpp": LLAMA_CPP,
    "a training run": TRAINING,
    "nginx": NGINX,
    "the kubelet": KUBELET,
}
