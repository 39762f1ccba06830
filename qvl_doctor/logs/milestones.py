"""The lines that tell how far a server came: ready, answering, dying, asked to stop, and the steps of its start.

One table.

Each line has the releases of vLLM that print it ("0.8.5–": up to the newest that was read) and the place in their
source, or the program that prints it. Paths are those of the newest of these releases. `life.py` reads from these marks
whether a server lives, `phases.py` where a start is, `facts.py` when it was ready.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from qvl_doctor.late import late_pattern
from qvl_doctor.model import Record

#: What a mark proves. READY: the server says so itself. ANSWER: a request that needed the engine was answered.
#: ACTIVITY: the server had come up, but its engine may be dead by now. FAULT: it takes requests, and refused one or
#: failed on it. ENGINE: the engine is ready, a server may be to come. LISTENING: the server is about to listen.
READY, ANSWER, ACTIVITY, FAULT, ENGINE, LISTENING = "ready", "answer", "activity", "fault", "engine", "listening"
#: DEATH: a process that the server needs has failed. GONE: others say that the engine is not there any more; it may
#: have been told to stop. CRASH: the main program itself ended with an error. BOUND: the port was taken.
DEATH, GONE, CRASH, BOUND = "death", "gone", "crash", "bound"
DEATHS = frozenset((DEATH, GONE, CRASH, BOUND))
#: ASKED: someone outside told the server to stop. TOLD: its engine was told so by whoever started it, at a good end and
#: at a bad one. STOPPING: the server stops, for whatever reason.
#: EARLY: it was told to stop before it listened.
ASKED, EARLY, TOLD, STOPPING = "asked", "early", "told", "stopping"
STEP = "step"


class Milestone(NamedTuple):
    """Words of a message and what they tell. `pattern` must match as well, where it is given.

    `phase` is that of the record ("": any), `then` that of what comes after it. Deaths count only where they are loud:
    in a traceback, or at the levels of errors and warnings; with `raw` also in a line without any level.
    """

    words: str
    kind: str
    releases: str
    place: str
    phase: str = ""
    then: str = ""
    pattern: str = ""
    raw: bool = False


#: Routes whose answer comes from the engine (entrypoints/**/api_router.py). Not among them: /health, /ping,
#: /version, /metrics, /v1/models, /tokenize and what only renders a prompt.
_ROUTES = (
    r"(?:chat/completions(?:/batch)?|completions|embeddings|embed|responses|messages|rerank|score|pooling|classify|"
    r"generative_scoring|audio/(?:transcriptions|translations)|invocations|generate|cohere/v2/chat)"
)
#: An access line as uvicorn prints it: client, method, path, status. nginx and others put a time in between.
ACCESS = late_pattern(
    r'(?:^|\s)(?:\S{1,80} )?- "(?P<method>[A-Z]{3,7}) (?P<path>\S{1,2000}) HTTP/\d(?:\.\d)?" (?P<status>\d{3})\b'
)
#: Other routes of vLLM (entrypoints/**, 0.6.0 to 0.33.0, and FastAPI's own). A program that wraps the engine in a
#: server of its own answers on other ones.
_OWN_ROUTE = late_pattern(
    r"(?:/[^\s?]*)?/(?:v[12]/\S*|inference/\S*|health|ping|ready|readyz|version|metrics|load|server_info"
    r"|docs|redoc|openapi\.json|tokenize|detokenize|tokenizer_info|(?:start|stop)_profile|is_sleeping|sleep|wake_up"
    r"|pause|resume|is_paused|abort_requests|reset_(?:prefix|mm|encoder)_cache|release_kv_cache_memory|kv_event_sources"
    r"|(?:is_scaling|scale)_elastic_ep|fault_tolerance/status|collective_rpc|get_world_size|update_weights|weight_info"
    r"|(?:start|start_draft|finish)_weight_update|update_weight_version|weight_checker"
    r"|(?:init|shutdown)_weight_transfer_engine)/?"
)
ENGINE_ROUTE = late_pattern(rf"(?:/[^\s?]*)?/{_ROUTES}/?")


def _step(words: str, phase: str, then: str, releases: str, place: str) -> Milestone:
    return Milestone(words, STEP, releases, place, phase, then)


def _death(words: str, releases: str, place: str, pattern: str = "", *, raw: bool = False) -> Milestone:
    return Milestone(words, DEATH, releases, place, pattern=pattern, raw=raw)


def _crash(words: str, place: str, pattern: str) -> Milestone:
    return Milestone(words, CRASH, _ANY, place, pattern=pattern, raw=True)


def _gone(words: str, releases: str, place: str, pattern: str = "") -> Milestone:
    return Milestone(words, GONE, releases, place, pattern=pattern)


def _asked(words: str, releases: str, place: str, phase: str = "", pattern: str = "") -> Milestone:
    return Milestone(words, ASKED, releases, place, phase, phase, pattern)


_UVICORN, _STARLETTE, _ANY = "uvicorn", "uvicorn/lifespan/on.py", "every release"
_V1, _V0, _MQ = "v1/engine", "engine/async_llm_engine.py", "engine/multiprocessing/client.py"
_EXECUTOR, _LAUNCHER = "v1/executor/multiproc_executor.py", "entrypoints/launcher.py"
_SHUTDOWN = "0.23.0–"

_LISTENS = r"Starting vLLM (?:API )?server(?: \d+)? on "

#: Every wording of every release. Where one record can hold two of them, the later step is first.
MILESTONES = (
    # It is up.
    Milestone("Application startup complete", READY, _ANY, _STARLETTE, "serving", "serving"),
    Milestone("Uvicorn running on ", READY, _ANY, "uvicorn/server.py", "serving", "serving"),
    Milestone(
        "erver is ready to accept requests",
        READY,
        "0.14.0–",
        "entrypoints/launchers/grpc_server.py, and the front end in Rust from 0.22 on",
        "serving",
        "serving",
    ),
    Milestone(
        "Processed prompts:",
        ANSWER,
        "0.6.0–",
        "entrypoints/llm.py, tqdm",
        "serving",
        "serving",
        r"prompts:\s+(?:[1-9]|0%\|\s+\| [1-9])",
    ),
    Milestone(
        "Avg prompt throughput:",
        ACTIVITY,
        "0.6.0–",
        "v1/metrics/loggers.py, V0: engine/metrics.py",
        "serving",
        "serving",
    ),
    Milestone("init engine (profile", ENGINE, "0.6.5–", "v1/engine/core.py, V0: engine/llm_engine.py", "", "serving"),
    Milestone("Starting vLLM ", LISTENING, "0.7.3–", "entrypoints/openai/api_server.py", "", "", _LISTENS),
    # It died.
    _death("EngineCore encountered a fatal error", "0.8.5–", f"{_V1}/core.py"),
    _death("EngineCore failed to start", "0.8.5–", f"{_V1}/core.py"),
    _death("EngineCoreProc failed to start", "0.6.4–0.6.6", f"{_V1}/core.py"),
    _death("WorkerProc failed to start", "0.6.5–", _EXECUTOR),
    # The front end ends with it: no noise of a stop, even where it told what was left of the engine to stop.
    Milestone("ngine core initialization failed", CRASH, "0.8.4–", f"{_V1}/utils.py"),
    _death("Input socket thread died during startup", "0.10.1–", f"{_V1}/core.py"),
    _death("DP Coordinator process failed", "0.19.0–", f"{_V1}/coordinator.py"),
    _gone("AsyncLLM output_handler failed", "0.8.5–", f"{_V1}/async_llm.py"),
    _gone("EngineDeadError", "0.6.0–", f"{_V1}/exceptions.py, V0: {_V0} and engine/multiprocessing"),
    _gone("EngineCore encountered an issue", "0.8.5–", f"{_V1}/exceptions.py"),
    _death("Worker", "0.8.5–", f"{_EXECUTOR}, ray_executor_v2.py", r"Worker(?:Proc| proc) .{0,80}died unexpectedly"),
    _death("Got fatal signal from worker processes", "0.7.0–0.8.4", f"{_V1}/core_client.py"),
    _death("got fatal signal from worker processes", "0.7.0–0.8.4", _EXECUTOR),
    _death(") died with exit code", "0.9.1–", "v1/utils.py", r"Process \S.{0,80} \(PID: \d+\) died with exit code"),
    _death("Engine process failed to start", "0.6.2–0.10.2", "entrypoints/openai/api_server.py"),
    _death("RPCServer process died before responding", "0.6.0–0.6.1", "entrypoints/openai/api_server.py"),
    _death("ngine background task failed", "0.6.0–0.10.2", _V0),
    _gone("Background loop ", "0.6.0–0.10.2", _V0, r"Background loop (?:has errored|is not running|is stopped)"),
    _gone("Engine loop is not running", "0.6.2–0.10.2", "engine/multiprocessing/__init__.py"),
    _death("AsyncLLMEngine ", "0.6.0–0.8.4", _LAUNCHER, r"AsyncLLMEngine (?:has failed|is already dead)"),
    _death("MQLLMEngine is already dead", "0.6.2–0.8.4", _LAUNCHER),
    _death("Worker", "0.6.0–0.10.2", "executor/multiproc_worker_utils.py", r"Worker \S{1,80} pid \d+ died, exit code"),
    _gone(
        "Engine core proc",
        "0.10.1–",
        f"{_V1}/core_client.py, v1/utils.py",
        r"Engine core proc(?:ess)? \S{1,80} died unexpectedly",
    ),
    _gone("MPClient: engine core exited unexpectedly", _SHUTDOWN, f"{_V1}/core_client.py"),
    _gone("Engine process (pid ", "0.6.2–0.10.2", _MQ, r"Engine process \(pid \d+\) died"),
    Milestone("error while attempting to bind on address", BOUND, _ANY, "asyncio/base_events.py, by uvicorn", raw=True),
    _death("Fatal Python error:", _ANY, "CPython, faulthandler", r"^Fatal Python error: (?!none_dealloc)", raw=True),
    _death("terminate called ", _ANY, "libstdc++", r"^terminate called (?:after throwing|without an active)", raw=True),
    _death(
        "*** SIG",
        _ANY,
        "absl, in Ray and XLA",
        r"^\*{3} SIG(?!TERM|INT|CONT|USR|CHLD|PIPE|HUP|STOP)[A-Z]+ received",
        raw=True,
    ),
    _death("Segfault encountered", _ANY, "torch", r"^!+ Segfault encountered !+", raw=True),
    _death(
        "(core dumped)",
        _ANY,
        "the shell",
        r"(?:Segmentation fault|Aborted|Bus error|Illegal instruction|Killed)\s+\(core dumped\)",
        raw=True,
    ),
    _crash("exited with code ", "docker compose", r"^\S{1,120} exited with code (?!0\b|130\b|143\b)\d"),
    _crash(
        "Main process exited",
        "systemd",
        r"Main process exited, code=(?:exited, status=(?!0\b|130\b|143\b)\d|(?:killed|dumped), status=(?!15|2/))",
    ),
    _crash(": error: ", "argparse: the command line was refused", r"^(?:vllm(?: serve)?|api_server\.py): error: "),
    _crash("Killed", "the shell", r"^(?:Killed|\S{1,200}: line \d+: \d+ Killed\b.*)$"),
    # It was told to stop.
    Milestone(
        "KeyboardInterrupt: terminated", EARLY, "0.6.2–", "entrypoints/launchers/api_server/entry.py: _interrupt_init"
    ),
    _asked("[shutdown] API server: ", _SHUTDOWN, "entrypoints/launchers/launcher.py, after a signal only", "shutdown"),
    _asked("Shutting down FastAPI HTTP server", "0.6.2–0.22.1", f"{_LAUNCHER}, after a signal only", "shutdown"),
    _asked("Gracefully stopping http server", "0.6.0–0.6.1", _LAUNCHER, "shutdown"),
    _asked("RPC Server was interrupted", "0.6.0–0.6.1", "entrypoints/openai/rpc/server.py", "shutdown"),
    _asked("Received KeyboardInterrupt, shutting down", "0.9.1–", "v1/utils.py", "shutdown"),
    _asked("DPSupervisor received ", "0.22.0–", "entrypoints/launchers/dp_supervisor.py", "shutdown"),
    _asked("Received shutdown signal", "0.14.0–", "entrypoints/launchers/grpc_server.py", "shutdown"),
    _asked("Interrupted by user", "0.14.0–", "entrypoints/launchers/grpc_server.py", "shutdown"),
    _asked("Received SIG", "0.9.0–", "front ends and launchers of others", pattern=r"Received SIG(?:TERM|INT)\b"),
    _asked("SIGTERM received", _ANY, "absl, in Ray", pattern=r"SIGTERM received"),
    _asked("CANCELLED", _ANY, "Slurm", pattern=r"\*{3} (?:JOB|STEP) \S+ ON \S+ CANCELLED AT "),
    _asked("Stopping ", _ANY, "systemd", pattern=r"^Stopping (?:\S+\.service|\S.{0,80}\.\.\.$)"),
    _asked("exited with code ", _ANY, "docker compose", pattern=r"^\S{1,120} exited with code (?:130|143)\b"),
    _asked(
        "Main process exited",
        _ANY,
        "systemd",
        pattern=r"Main process exited, code=(?:killed, status=(?:15|2)/|exited, status=(?:130|143)\b)",
    ),
    # It stops, for whatever reason.
    Milestone("[shutdown] EngineCore: trigger received", TOLD, _SHUTDOWN, f"{_V1}/core.py", "shutdown", "shutdown"),
    Milestone("Shutdown initiated (timeout=", TOLD, "0.18.0–0.22.1", f"{_V1}/core.py", "shutdown", "shutdown"),
    Milestone("Shutting down", STOPPING, _ANY, "uvicorn/server.py", "", "", r"^Shutting down\.?$"),
    Milestone("Waiting for application shutdown", STOPPING, _ANY, _STARLETTE, "shutdown", "shutdown"),
    Milestone("Application shutdown complete", STOPPING, _ANY, _STARLETTE),
    Milestone("Finished server process", STOPPING, _ANY, "uvicorn/server.py"),
    # It starts.
    _step("Graph capturing finished in", "graph-capture", "graph-capture", "0.6.0–", "v1/worker/gpu/model_runner.py"),
    _step(
        "Capturing cudagraphs for decoding", "graph-capture", "graph-capture", "0.6.4–0.10.2", "worker/model_runner.py"
    ),
    _step(
        "Capturing the model for CUDA graphs", "graph-capture", "graph-capture", "0.6.0–0.6.3", "worker/model_runner.py"
    ),
    _step("Capturing CUDA graph", "graph-capture", "graph-capture", "0.6.5–", "v1/worker/gpu_model_runner.py, tqdm"),
    _step("CPU blocks:", "kv-cache", "kv-cache", "0.6.0–0.11.0", "executor/executor_base.py"),
    _step("# GPU blocks:", "kv-cache", "kv-cache", "0.6.0–0.7.3", "v1/core/kv_cache_utils.py"),
    _step("KV cache size:", "kv-cache", "kv-cache", "0.8.0–", "v1/core/kv_cache_utils.py"),
    _step("Maximum concurrency for", "kv-cache", "kv-cache", "0.6.3–", "v1/core/kv_cache_utils.py"),
    _step("reserved for KV Cache is", "profile", "kv-cache", "0.6.5–0.10.2", "worker/worker.py"),
    _step("Memory profiling results:", "profile", "kv-cache", "0.6.4", "worker/worker.py"),
    _step("Available KV cache memory", "profile", "kv-cache", "0.9.1–", "v1/worker/gpu_worker.py"),
    _step("Memory profiling takes", "profile", "profile", "0.6.5–0.10.2", "worker/worker.py"),
    _step("Encoder cache will be initialized", "profile", "profile", "0.7.0–", "v1/worker/gpu/mm/encoder_runner.py"),
    _step("torch.compile takes", "profile", "profile", "0.6.5–0.17.1", "compilation/monitor.py"),
    _step("torch.compile took", "profile", "profile", "0.18.0–", "compilation/monitor.py"),
    _step("Loading model weights took", "load", "profile", "0.6.0–0.9.2", "worker/model_runner.py"),
    _step("Model loading took", "load", "profile", "0.8.0–", "v1/worker/gpu/model_runner.py"),
    _step("Loading weights took", "load", "load", "0.8.0–", "model_executor/model_loader/default_loader.py"),
    _step("Time spent downloading weights", "load", "load", "0.7.3–", "model_executor/model_loader/weight_utils.py"),
    _step("checkpoint shards:", "load", "load", "0.6.0–", "model_executor/model_loader/weight_utils.py, tqdm"),
    _step("Loading model from scratch", "load", "load", "0.9.1–", "v1/worker/gpu/model_runner.py"),
    _step("Starting to load model ", "load", "load", "0.6.0–", "v1/worker/gpu_model_runner.py"),
    _step("LLM engine (v", "config", "config", "0.6.0–", "v1/engine/core.py, V0: engine/llm_engine.py"),
    _step("Resolved architecture", "config", "config", "0.10.1–", "config/model.py"),
    _step("vLLM API server version", "config", "config", "0.6.0–0.14.1", "entrypoints/openai/api_server.py"),
    _step("█ version ", "config", "config", "0.15.0–", "entrypoints/common/startup.py"),
    _step("args: ", "config", "config", "0.6.0–", "entrypoints/common/startup.py"),
    _step("Automatically detected platform", "config", "config", "0.7.0–", "platforms/__init__.py"),
)
#: An access line, by method, path and status.
_ANSWERED = Milestone(
    "", ANSWER, "0.6.0–", "uvicorn/protocols/http: 2xx of a route that needs the engine", "serving", "serving"
)
_FAILED = Milestone("", FAULT, "0.6.0–", "uvicorn/protocols/http: 4xx and 5xx", "serving", "serving")
_SERVED = Milestone(
    "", ACTIVITY, "0.6.0–", "uvicorn/protocols/http: any other request on a route of vLLM", "serving", "serving"
)
#: What ends a main process for which no one has words: an uncaught traceback that began in vLLM's own program.
_UNCAUGHT = Milestone("", CRASH, "0.6.0–", "Python: an uncaught exception of `vllm serve`, the API server or LLM(…)")
_INTERRUPTED = Milestone("", ASKED, "0.6.0–", "Python: KeyboardInterrupt, CancelledError or SystemExit", "", "")
_INTERRUPTS = frozenset(("KeyboardInterrupt", "CancelledError"))

#: What a message must hold one of, before the marks are looked at one by one.
_SIGNS = (
    *(
        "oad",
        "KV ",
        "apturing",
        "blocks:",
        "hut",
        "startup",
        "took",
        "takes",
        "profil",
        "throughput",
        "Encoder",
        "equests",
    ),
    *(
        "args: ",
        "version",
        "platform",
        "ngine",
        "architecture",
        "concurrency",
        "rompts:",
        "Uvicorn",
        "tart",
        "died",
        "signal",
    ),
    *(
        "SIG",
        "Interrupt",
        "nterrupted",
        "stop",
        "Stop",
        "loop",
        "bind",
        "Fatal",
        "terminate",
        "Segfault",
        "dumped",
        "exited",
    ),
    *("CANCELLED", "Finished", "failed", "rror", "Killed"),
)
_LOUD = frozenset(("ERROR", "WARNING", "CRITICAL"))
_HEAD = 4096


def milestone_of(record: Record) -> Milestone | None:
    """The mark that a record carries, if any.

    What a traceback quotes is not a step of a start, and nothing that lives.
    """
    message = record.message[:_HEAD]
    if " HTTP/" in message and (access := _access(message)):
        return access
    text = f"{record.exception}: {message}" if record.exception else message
    if any(sign in text for sign in _SIGNS):
        quoted = bool(record.frames) or bool(record.exception)
        loud = quoted or record.level in _LOUD
        for mark in MILESTONES:
            if mark.words not in text:
                continue
            if mark.kind in DEATHS:
                if not loud and not (mark.raw and not record.level):
                    continue
            elif quoted and mark.kind not in {ASKED, EARLY}:
                continue
            if not mark.pattern or _compiled(mark.pattern).search(text):
                return mark
    if record.exception.rpartition(".")[2] in _INTERRUPTS:
        return _INTERRUPTED
    return _UNCAUGHT if _ended_a_program(record) else None


def _access(message: str) -> Milestone | None:
    found = ACCESS.search(message)
    if found is None:
        return None
    path = found["path"].partition("?")[0]
    if found["status"][0] in "45":
        return _FAILED
    if found["method"] == "POST" and ENGINE_ROUTE.fullmatch(path) and found["status"].startswith("2"):
        return _ANSWERED
    return _SERVED if ENGINE_ROUTE.fullmatch(path) or _OWN_ROUTE.fullmatch(path) else None


_PROGRAM = late_pattern(r"(?:^|[/\\])vllm(?:\.exe)?$|[/\\]vllm[/\\]")
_CLIENTS = late_pattern(r"/benchmarks/|/cli/(?:benchmark|openai|collect_env)|/openai/(?:_base_client|resources)")


def _ended_a_program(record: Record) -> bool:
    """Whether a traceback no one logged went up to the main module of a program of vLLM's: its process is gone."""
    frames = record.frames
    if not frames or record.level or not record.exception or record.cut or frames[0].function != "<module>":
        return False
    if record.exception.rpartition(".")[2] in {"SystemExit", "GeneratorExit"} or frames[0].file.startswith("<string>"):
        return False
    paths = [frame.file for frame in frames]
    return any(map(_PROGRAM.search, paths)) and not any(map(_CLIENTS.search, paths))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
