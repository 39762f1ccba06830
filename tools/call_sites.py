"""Prints the table of `qvl_doctor/logs/releases.py`: on which line each release makes the log calls that crash and start-up logs show.

Usage: python tools/call_sites.py FOLDER, where FOLDER/<release>/vllm holds the Python files of that release's source
distribution.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from qvl_doctor.versions import release

#: File name, what the call's text holds (one of several, divided by "|"; "=e": it logs the variable e), part of the
#: path where the name is not enough, and what its message holds in a log, where that is something else.
SITES = (
    ("__init__.py", "Automatically detected platform", "platforms/", "Automatically detected platform"),
    ("config.py", "This model supports multiple tasks", "", "This model supports multiple tasks"),
    ("config.py", "Casting %s to %s", "", "Casting torch."),
    ("model.py", "Using max model len", "config/", "Using max model len"),
    ("api_server.py", "Started engine process with PID", "openai/", "Started engine process with PID"),
    ("api_server.py", "Starting vLLM API server", "openai/", "Starting vLLM API server"),
    ("parallel_state.py", "in world size %s is assigned as", "", "in world size"),
    ("model_runner.py", "Starting to load model", "worker/", "Starting to load model"),
    ("gpu_model_runner.py", "Starting to load model", "worker/", "Starting to load model"),
    ("weight_utils.py", "Using model weights format", "", "Using model weights format"),
    ("default_loader.py", "Loading weights took", "", "Loading weights took"),
    (
        "model_runner.py",
        "Loading model weights took|Model loading took",
        "worker/",
        "Loading model weights took|Model loading took",
    ),
    (
        "gpu_model_runner.py",
        "Loading model weights took|Model loading took",
        "worker/",
        "Loading model weights took|Model loading took",
    ),
    ("profiling.py", "is too short to hold the multi-modal", "multimodal/", "is too short to hold the multi-modal"),
    ("backends.py", "Using cache directory", "", "Using cache directory"),
    ("worker.py", "=msg", "vllm/worker/worker.py", "Memory profiling takes"),
    ("gpu_worker.py", "Available KV cache memory", "", "Available KV cache memory"),
    ("executor_base.py", "blocks: %d, # CPU blocks: %d", "", "CPU blocks:"),
    ("executor_base.py", "Maximum concurrency for", "", "Maximum concurrency for"),
    ("kv_cache_utils.py", "KV cache size: %s tokens", "", "KV cache size:"),
    ("model_runner.py", "Graph capturing finished in", "worker/", "Graph capturing finished in"),
    ("gpu_model_runner.py", "Graph capturing finished in", "worker/", "Graph capturing finished in"),
    ("core.py", "init engine (profile", "", "init engine (profile"),
    ("llm_engine.py", "init engine (profile", "", "init engine (profile"),
    ("core.py", "EngineCore failed to start", "", "EngineCore failed to start"),
    ("core.py", "EngineCore encountered a fatal error", "", "EngineCore encountered a fatal error"),
    ("multiproc_executor.py", "WorkerProc failed to start", "", "WorkerProc failed to start"),
    ("multiproc_executor.py", "WorkerProc hit an exception", "", "WorkerProc hit an exception"),
    ("engine.py", "=e", "engine/multiprocessing/", ""),
    ("multiproc_worker_utils.py", "Exception in worker %s while processing method", "", "Exception in worker"),
    ("metrics.py", "Avg prompt throughput", "engine/", "Avg prompt throughput"),
    ("async_llm.py", "AsyncLLM output_handler failed", "", "AsyncLLM output_handler failed"),
)


def main() -> None:
    """Prints a head line `file | what the message holds` and under it the lines by release, wrapped."""
    folder = Path(sys.argv[1])
    names = sorted((path.name for path in folder.iterdir() if release(path.name)), key=lambda name: release(name) or ())
    trees = {name: folder / name / "vllm" for name in names}
    for file, wanted, where, shown in SITES:
        print(f"{file} | {shown}".rstrip())
        print(
            textwrap.fill(
                " ".join(changes(trees, file, wanted, where)), 136, initial_indent="  ", subsequent_indent="  "
            )
        )


def changes(trees: dict[str, Path], file: str, wanted: str, where: str) -> Iterator[str]:
    """`release:line` for each release in which the line is not that of the release before; `-` where the call is gone."""
    before = "-"
    for name, root in trees.items():
        found: set[int] = set()
        for path in root.rglob(file):
            if where in path.as_posix():
                found.update(call_lines(path, wanted))
        lines = "/".join(map(str, sorted(found))) or "-"
        if lines != before:
            yield f"{name.partition('.post')[0]}:{lines}"
        before = lines


def call_lines(path: Path, wanted: str) -> Iterator[int]:
    """The lines of the log calls whose text holds what is wanted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args and _logs(node.func):
            said = text_of(node.args[0])
            if any(said == part if part.startswith("=") else part in said for part in wanted.split("|")):
                yield node.lineno


def _logs(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return isinstance(function.value, ast.Name) and function.value.id == "logger"
    return isinstance(function, ast.Name) and function.id == "log_fn"


def text_of(node: ast.expr) -> str:
    """The literal text of a call's first argument."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text_of, node.values))
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    if isinstance(node, (ast.List, ast.Tuple)):
        return " ".join(map(text_of, node.elts))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return text_of(node.func.value) + " ".join(map(text_of, node.args))
    return f"={node.id}" if isinstance(node, ast.Name) else ""


if __name__ == "__main__":
    main()
