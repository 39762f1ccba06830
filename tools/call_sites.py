"""On which line each release makes the log calls that crash and start-up logs show.

`call_sites.json`, for `logs/releases.py`.

`refresh_knowledge.py` adds a release. Nothing of the sources is run.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vllm_source import version_key

from qvl_doctor.knowledge.releases import mended

#: Lines of a call by release; several are divided by "/", none is "-".
Lines = dict[str, str]
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


def with_release(table: Mapping[str, Any], releases: Sequence[str], release: str, folder: Path) -> list[dict[str, str]]:
    """The rows of the table with one more release, read from its unpacked sources.

    `releases` are those that it knows.
    """
    name, known = mended(release), list(dict.fromkeys(map(mended, releases)))
    if name != release and name in known:
        return list(table["sites"])  # it mends a release and logs from the same lines
    order = sorted({*known, name}, key=version_key)
    rows = {(row["file"], row["words"]): row["lines"] for row in table["sites"]}
    found = []
    for file, wanted, where, shown in SITES:
        lines = expanded(rows.get((file, shown), ""), known) | {name: lines_of(folder, file, wanted, where)}
        found.append({"file": file, "words": shown, "lines": " ".join(changes(lines, order))})
    return found


def expanded(moved: str, releases: Sequence[str]) -> Lines:
    """The lines of a call in every release, from those in which it moved."""
    said = dict(change.split(":") for change in moved.split())
    found, current = {}, "-"
    for release in releases:
        current = said.get(release, current)
        found[release] = current
    return found


def changes(lines: Mapping[str, str], releases: Sequence[str]) -> Iterator[str]:
    """`release:line` for each release in which the line is not that of the release before.

    The reverse of `expanded`.
    """
    before = "-"
    for release in releases:
        if lines[release] != before:
            yield f"{release}:{lines[release]}"
        before = lines[release]


def lines_of(folder: Path, file: str, wanted: str, where: str) -> str:
    """The lines of a call in the unpacked sources of one release."""
    found: set[int] = set()
    for path in (folder / "vllm").rglob(file):
        if where in path.as_posix():
            found.update(call_lines(path, wanted))
    return "/".join(map(str, sorted(found))) or "-"


def written(source: str, day: str, unread: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """The file: one call a line, so that a refresh is a readable difference."""
    head = ",\n".join(
        f" {json.dumps(key)}: {json.dumps(value)}"
        for key, value in (("source", source), ("date", day), ("unread", list(unread)))
    )
    return "{\n" + head + ',\n "sites": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]\n}\n"


def call_lines(path: Path, wanted: str) -> Iterator[int]:
    """The lines of the log calls whose text holds what is wanted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
