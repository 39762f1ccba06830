"""Which kind of process a record is from: a worker fails before its engine, an engine before its API server."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from qvl_doctor.model import Frame

_ROLES = (
    ("worker", "worker"),
    ("rayworker", "worker"),
    ("vllmworker", "worker"),
    ("rank", "worker"),
    ("enginecore", "engine"),
    ("apiserver", "api"),
)
_FILE_ROLES = {
    "engine.py": "engine",
    "core.py": "engine",
    "llm_engine.py": "engine",
    "async_llm_engine.py": "engine",
    "multiproc_worker_utils.py": "worker",
    "worker_base.py": "worker",
    "worker.py": "worker",
    "gpu_worker.py": "worker",
    "model_runner.py": "worker",
    "gpu_model_runner.py": "worker",
    "multiproc_executor.py": "worker",
    "api_server.py": "api",
    "launcher.py": "api",
}


def role_of(process: str, file: str, frames: Sequence[Frame]) -> str:
    """Which kind of process spoke: worker, engine, api, or "" where nothing tells."""
    role = _role_of_process(process)
    if role:
        return role
    if frames:
        paths = " ".join(frame.file for frame in frames)
        if "/worker/" in paths or "/model_executor/" in paths:
            return "worker"
        if "engine/core.py" in paths or "engine/llm_engine.py" in paths or "multiprocessing/engine.py" in paths:
            return "engine"
        if "/entrypoints/" in paths:
            return "api"
    return _FILE_ROLES.get(file, "")


@lru_cache(maxsize=256)
def _role_of_process(process: str) -> str:
    lowered = process.lower().replace(" ", "").replace("_", "")
    return next((role for start, role in _ROLES if lowered.startswith(start)), "")
