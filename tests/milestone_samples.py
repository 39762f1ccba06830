"""A line for each row of the table of milestones, as its release prints it, and what it proves."""

from __future__ import annotations

#: (words that name the row, the line)
READY = (
    ("Application startup complete", "INFO:     Application startup complete."),
    ("Application startup complete", "(APIServer pid=1) INFO:     Application startup complete."),
    ("Uvicorn running on ", "INFO:     Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C to quit)"),
    (
        "erver is ready to accept requests",
        "INFO 02-16 10:03:00 [grpc_server.py:132] Server is ready to accept requests",
    ),
    ("erver is ready to accept requests", "INFO 02-16 10:03:00 [lib.rs:99] OpenAI server is ready to accept requests"),
)
ANSWERS = (
    ("Processed prompts:", "Processed prompts: 100%|██████████| 4/4 [00:01<00:00, 2.35it/s]"),
    *(
        ("", f'INFO:     10.0.0.5:40402 - "POST {route} HTTP/1.1" {status}')
        for route, status in (
            ("/v1/chat/completions", "200 OK"),
            ("/v1/chat/completions/batch", "200 OK"),
            ("/v1/completions", "200 OK"),
            ("/prefix/v1/completions", "200 OK"),
            ("/v1/embeddings", "200 OK"),
            ("/v2/embed", "200 OK"),
            ("/v1/responses", "200 OK"),
            ("/v1/messages", "200 OK"),
            ("/rerank", "200 OK"),
            ("/v1/rerank", "200 OK"),
            ("/v2/rerank", "200 OK"),
            ("/score", "200 OK"),
            ("/v1/score", "200 OK"),
            ("/pooling", "200 OK"),
            ("/classify", "200 OK"),
            ("/generative_scoring", "200 OK"),
            ("/v1/audio/transcriptions", "200 OK"),
            ("/v1/audio/translations", "201 Created"),
            ("/invocations", "200 OK"),
            ("/inference/v1/generate", "200 OK"),
            ("/cohere/v2/chat", "200 OK"),
        )
    ),
)
#: What a server that had come up says, whether its engine lives or not.
ACTIVITY = (
    (
        "Avg prompt throughput:",
        "INFO 02-16 10:03:00 [loggers.py:118] Engine 000: Avg prompt throughput: 10.0 tokens/s, Avg generation throughput: 20.0 tok",
    ),
    *(
        ("", f'INFO:     10.0.0.5:40402 - "{method} {route} HTTP/1.1" {status}')
        for method, route, status in (
            ("GET", "/v1/models", "200 OK"),
            ("GET", "/metrics", "200 OK"),
            ("GET", "/health", "200 OK"),
            ("GET", "/ping", "200 OK"),
            ("GET", "/version", "200 OK"),
            ("GET", "/v1/responses/resp_1", "200 OK"),
            ("POST", "/tokenize", "200 OK"),
            ("POST", "/v1/chat/completions/render", "200 OK"),
            ("POST", "/v1/messages/count_tokens", "200 OK"),
            ("POST", "/v1/load_lora_adapter", "200 OK"),
            ("GET", "/readyz", "200 OK"),
            ("GET", "/docs", "200 OK"),
            ("POST", "/prefix/reset_prefix_cache/", "200 OK"),
            ("POST", "/update_weights", "200 OK"),
        )
    ),
)
FAULTS = (
    ("", 'INFO:     10.0.0.5:40402 - "POST /v1/chat/completions HTTP/1.1" 400 Bad Request'),
    ("", 'INFO:     10.0.0.5:40402 - "POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error'),
    ("", 'INFO:     10.0.0.5:40402 - "GET /health HTTP/1.1" 503 Service Unavailable'),
)
LISTENING = (
    ("Starting vLLM ", "INFO 02-16 10:03:00 [api_server.py:500] Starting vLLM API server 0 on http://0.0.0.0:8000"),
    ("Starting vLLM ", "INFO 02-16 10:03:00 [entry.py:41] Starting vLLM server on http://0.0.0.0:8000"),
)
ENGINE = (
    (
        "init engine (profile",
        "INFO 02-16 10:03:00 [core.py:413] init engine (profile, create kv cache, warmup model) took 4.04 s",
    ),
)
_E = "ERROR 02-16 10:03:00 "
DEATHS = (
    ("EngineCore encountered a fatal error", f"{_E}[core.py:1584] EngineCore encountered a fatal error."),
    ("EngineCore failed to start", f"{_E}[core.py:708] EngineCore failed to start."),
    ("EngineCoreProc failed to start", "RuntimeError: EngineCoreProc failed to start."),
    ("WorkerProc failed to start", f"{_E}[multiproc_executor.py:597] WorkerProc failed to start."),
    ("Input socket thread died during startup", "RuntimeError: Input socket thread died during startup"),
    ("DP Coordinator process failed", "RuntimeError: DP Coordinator process failed during startup."),
    ("Worker", f"{_E}[multiproc_executor.py:154] Worker proc VllmWorker-1 died unexpectedly, shutting down executor."),
    ("Worker", f"{_E}[ray_executor_v2.py:522] RayWorkerProc rank=1 died unexpectedly, shutting down executor."),
    ("Worker", f"{_E}[multiproc_worker_utils.py:116] Worker VllmWorkerProcess pid 77 died, exit code: -9"),
    (
        "Got fatal signal from worker processes",
        "CRITICAL 02-16 10:03:00 [core_client.py:359] Got fatal signal from worker processes, shutting down. See stack",
    ),
    (
        "got fatal signal from worker processes",
        "CRITICAL 02-16 10:03:00 [multiproc_executor.py:49] MulitprocExecutor got fatal signal from worker processes, shutting down",
    ),
    (") died with exit code", "RuntimeError: Process ApiServer_0 (PID: 77) died with exit code 1"),
    (
        "Engine process failed to start",
        "RuntimeError: Engine process failed to start. See stack trace for the root cause.",
    ),
    (
        "RPCServer process died before responding",
        "ERROR 09-05 10:03:00 api_server.py:188] RPCServer process died before responding to readiness probe",
    ),
    ("ngine background task failed", "ERROR 09-05 10:03:00 async_llm_engine.py:64] Engine background task failed"),
    (
        "AsyncLLMEngine ",
        "CRITICAL 02-16 10:03:00 launcher.py:89] AsyncLLMEngine has failed, terminating server process",
    ),
    (
        "AsyncLLMEngine ",
        "CRITICAL 02-16 10:03:00 launcher.py:105] AsyncLLMEngine is already dead, terminating server process",
    ),
    (
        "MQLLMEngine is already dead",
        "CRITICAL 02-16 10:03:00 launcher.py:116] MQLLMEngine is already dead, terminating server process",
    ),
    ("Fatal Python error:", "Fatal Python error: Segmentation fault"),
    ("terminate called ", "terminate called after throwing an instance of 'c10::DistBackendError'"),
    ("*** SIG", "*** SIGSEGV received at time=1739700180 on cpu 3 ***"),
    ("Segfault encountered", "!!!!!!! Segfault encountered !!!!!!!"),
    ("(core dumped)", "run.sh: line 3:   123 Segmentation fault      (core dumped) vllm serve m"),
)
CRASHES = (
    (
        "ngine core initialization failed",
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
    ),
    ("exited with code ", "vllm-1 exited with code 1"),
    ("exited with code ", "vllm-1 exited with code 137"),
    ("Main process exited", "vllm.service: Main process exited, code=exited, status=1/FAILURE"),
    ("Main process exited", "vllm.service: Main process exited, code=killed, status=9/KILL"),
    (": error: ", "vllm serve: error: unrecognized arguments: --no-such-flag"),
    (": error: ", "api_server.py: error: unrecognized arguments: --no-such-flag"),
    ("Killed", "run.sh: line 3:   123 Killed                  vllm serve m"),
    ("Killed", "Killed"),
)
GONE = (
    ("AsyncLLM output_handler failed", f"{_E}[async_llm.py:710] AsyncLLM output_handler failed."),
    (
        "EngineDeadError",
        "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.",
    ),
    ("EngineDeadError", "vllm.engine.multiprocessing.MQEngineDeadError: Engine loop is not running."),
    (
        "EngineCore encountered an issue",
        f"{_E}[serving_chat.py:900] EngineCore encountered an issue. See stack trace (above) for the root cause.",
    ),
    ("Background loop ", f"{_E}async_llm_engine.py:626] Background loop has errored already."),
    (
        "Engine loop is not running",
        f"{_E}client.py:99] Engine loop is not running. Inspect the stacktrace to find the original error",
    ),
    (
        "Engine core proc",
        f"{_E}[core_client.py:564] Engine core proc EngineCore_DP0 died unexpectedly, shutting down client.",
    ),
    ("Engine core proc", "RuntimeError: Engine core process EngineCore_DP0 died unexpectedly."),
    (
        "MPClient: engine core exited unexpectedly",
        "WARNING 02-16 10:03:00 [core_client.py:839] [shutdown] MPClient: engine core exited unexpectedly; starting cleanup",
    ),
    ("Engine process (pid ", f"{_E}[client.py:305] RuntimeError('Engine process (pid 31973) died.')"),
)
BOUND = (
    (
        "error while attempting to bind on address",
        "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use",
    ),
)
ASKED = (
    (
        "[shutdown] API server: ",
        "INFO 02-16 10:03:00 [launcher.py:256] [shutdown] API server: shutdown triggered",
    ),
    ("Shutting down FastAPI HTTP server", "INFO 02-16 10:03:00 [launcher.py:99] Shutting down FastAPI HTTP server."),
    ("Gracefully stopping http server", "INFO 09-05 10:03:00 launcher.py:67] Gracefully stopping http server"),
    ("RPC Server was interrupted", "INFO 09-05 10:03:00 server.py:228] vLLM ZMQ RPC Server was interrupted."),
    (
        "Received KeyboardInterrupt, shutting down",
        "INFO 02-16 10:03:00 [utils.py:286] Received KeyboardInterrupt, shutting down API servers...",
    ),
    (
        "DPSupervisor received ",
        "INFO 02-16 10:03:00 [dp_supervisor.py:389] DPSupervisor received SIGTERM, shutting down.",
    ),
    ("Received shutdown signal", "INFO 02-16 10:03:00 [grpc_server.py:151] Received shutdown signal"),
    ("Interrupted by user", "INFO 02-16 10:03:00 [grpc_server.py:160] Interrupted by user"),
    ("Received SIG", "INFO 02-16 10:03:00 [x.py:1] Received SIGTERM"),
    ("SIGTERM received", "*** SIGTERM received at time=1739700180 on cpu 3 ***"),
    ("CANCELLED", "slurmstepd: error: *** JOB 4711 ON node12 CANCELLED AT 2025-02-16T10:03:00 DUE TO TIME LIMIT ***"),
    ("Stopping ", "Stopping vllm.service - vLLM OpenAI server..."),
    ("exited with code ", "vllm-1 exited with code 143"),
    ("Main process exited", "vllm.service: Main process exited, code=killed, status=15/TERM"),
    ("", "KeyboardInterrupt"),
    ("", "asyncio.exceptions.CancelledError"),
)
EARLY = (("KeyboardInterrupt: terminated", "KeyboardInterrupt: terminated"),)
TOLD = (
    (
        "[shutdown] EngineCore: trigger received",
        "INFO 02-16 10:03:00 [core.py:1525] [shutdown] EngineCore: trigger received signal=SIGTERM",
    ),
    ("Shutdown initiated (timeout=", "INFO 02-16 10:03:00 [core.py:1266] Shutdown initiated (timeout=0)"),
)
STOPPING = (
    ("Application shutdown complete", "INFO:     Application shutdown complete."),
    ("Finished server process", "INFO:     Finished server process [1]"),
    ("Shutting down", "INFO:     Shutting down"),
    ("Waiting for application shutdown", "INFO:     Waiting for application shutdown."),
)
STEPS = (
    ("Graph capturing finished in", "INFO 02-16 10:03:00 x.py:1] Graph capturing finished in 18 secs, took 1.91 GiB"),
    (
        "Capturing cudagraphs for decoding",
        "INFO 02-16 10:03:00 x.py:1] Capturing cudagraphs for decoding. This may lead to",
    ),
    (
        "Capturing the model for CUDA graphs",
        "INFO 09-05 10:03:00 x.py:1] Capturing the model for CUDA graphs. This may lead to",
    ),
    ("Capturing CUDA graph", "Capturing CUDA graphs (PIECEWISE): 100%|██████████| 51/51 [00:03<00:00, 13.79it/s]"),
    ("CPU blocks:", "INFO 02-16 10:03:00 x.py:1] # CUDA blocks: 186, # CPU blocks: 23405"),
    ("# GPU blocks:", "INFO 02-16 10:03:00 x.py:1] # GPU blocks: 186"),
    ("KV cache size:", "INFO 02-16 10:03:00 x.py:1] GPU KV cache size: 18,400 tokens"),
    ("Maximum concurrency for", "INFO 02-16 10:03:00 x.py:1] Maximum concurrency for 1024 tokens per request: 2.91x"),
    (
        "reserved for KV Cache is",
        "INFO 02-16 10:03:00 x.py:1] the rest of the memory reserved for KV Cache is 0.16GiB.",
    ),
    ("Memory profiling results:", "INFO 02-16 10:03:00 x.py:1] Memory profiling results: total_gpu_memory=23.65GiB"),
    ("Available KV cache memory", "INFO 02-16 10:03:00 x.py:1] Available KV cache memory: 8.99 GiB"),
    ("Memory profiling takes", "INFO 02-16 10:03:00 x.py:1] Memory profiling takes 12.83 seconds"),
    (
        "Encoder cache will be initialized",
        "INFO 02-16 10:03:00 x.py:1] Encoder cache will be initialized with a budget of 9",
    ),
    ("torch.compile takes", "INFO 02-16 10:03:00 x.py:1] torch.compile takes 3.55 s in total"),
    ("torch.compile took", "INFO 02-16 10:03:00 x.py:1] torch.compile took 3.55 s in total"),
    ("Loading model weights took", "INFO 02-16 10:03:00 x.py:1] Loading model weights took 15.6270 GB"),
    ("Model loading took", "INFO 02-16 10:03:00 x.py:1] Model loading took 4.2530 GiB and 1.175218 seconds"),
    ("Loading weights took", "INFO 02-16 10:03:00 x.py:1] Loading weights took 0.74 seconds"),
    (
        "Time spent downloading weights",
        "INFO 02-16 10:03:00 x.py:1] Time spent downloading weights for a/b: 89.38 seconds",
    ),
    ("checkpoint shards:", "Loading safetensors checkpoint shards: 100% Completed | 5/5 [00:22<00:00, 4.58s/it]"),
    ("Loading model from scratch", "INFO 02-16 10:03:00 x.py:1] Loading model from scratch..."),
    ("Starting to load model ", "INFO 02-16 10:03:00 x.py:1] Starting to load model a/b..."),
    ("LLM engine (v", "INFO 02-16 10:03:00 x.py:1] Initializing a V1 LLM engine (v0.11.0) with config: model='a/b'"),
    ("Resolved architecture", "INFO 02-16 10:03:00 x.py:1] Resolved architecture: Qwen2ForCausalLM"),
    ("vLLM API server version", "INFO 02-16 10:03:00 x.py:1] vLLM API server version 0.11.0"),
    ("█ version ", "INFO 02-16 10:03:00 x.py:1]  ▄▄ ▄█ █     █     █ ▀▄▀ █  version 0.32.0"),
    ("args: ", "INFO 02-16 10:03:00 x.py:1] non-default args: {'model': 'a/b'}"),
    ("Automatically detected platform", "INFO 02-16 10:03:00 x.py:1] Automatically detected platform cuda."),
)
SAMPLES = {
    "ready": READY,
    "answer": ANSWERS,
    "activity": ACTIVITY,
    "fault": FAULTS,
    "engine": ENGINE,
    "listening": LISTENING,
    "death": DEATHS,
    "gone": GONE,
    "crash": CRASHES,
    "bound": BOUND,
    "asked": ASKED,
    "early": EARLY,
    "told": TOLD,
    "stopping": STOPPING,
    "step": STEPS,
}
#: What looks like a mark and is none.
NOTHING = (
    '10.0.0.1 - - [16/Feb/2025:10:00:01 +0000] "POST /v1/chat/completions HTTP/1.1" 200 157 "-" "python-requests/2.32"',
    'https://huggingface.co:443 "HEAD /Qwen/x/resolve/main/config.json HTTP/1.1" 307 0',
    # routes of programs that have a server of their own around the engine
    'INFO:     10.0.0.5:40402 - "POST /worker_generate HTTP/1.1" 200 OK',
    'INFO:     10.0.0.5:40402 - "POST /model_details HTTP/1.1" 200 OK',
    'INFO:     10.0.0.5:40402 - "GET /healthcheck HTTP/1.1" 200 OK',
    "Processed prompts:   0%|          | 0/4 [00:00<?, ?it/s]",
    "INFO 02-16 10:03:00 [x.py:1] EngineCore encountered a fatal error.",
    "INFO 02-16 10:03:00 [x.py:1] Killed",
    "Killed a dragon",
    "INFO 02-16 10:03:00 [x.py:1] Waiting for application startup.",
    "vllm-1 exited with code 0",
    "I saw it was Killed",
)
