"""The release that a log does not name."""

from __future__ import annotations

import pytest

from qvl_doctor.knowledge.releases import told_apart
from qvl_doctor.logs.releases import infer_release
from qvl_doctor.model import Frame, Line, Record
from qvl_doctor.versions import release


def said(
    message: str,
    file: str = "",
    line: int = 0,
    *,
    level: str = "INFO",
    process: str = "",
    frames: tuple[Frame, ...] = (),
) -> Record:
    return Record((Line(1, message),), message, level=level, process=process, file=file, file_line=line, frames=frames)


def test_releases_are_in_order() -> None:
    assert sorted(told_apart(), key=lambda name: release(name) or ()) == list(told_apart())


@pytest.mark.parametrize(
    ("record", "inferred"),
    [
        # The call sites of real logs that do name their release.
        (
            said("Model loading took 14.25 GiB memory and 53.543025 seconds", "gpu_model_runner.py", 4820),
            ">=0.19.0,<0.20.0",
        ),
        (said("init engine (profile, create kv cache, warmup model) took 0.78 seconds", "core.py", 210), "0.11.0"),
        (said("init engine (profile, create kv cache, warmup model) took 0.41 seconds", "llm_engine.py", 437), "0.8.5"),
        (
            said("rank 0 in world size 1 is assigned as DP rank 0, PP rank 0, TP rank 0", "parallel_state.py", 1004),
            "0.8.5",
        ),
        (said("Memory profiling takes 12.83 seconds", "worker.py", 267), ">=0.7.2,<0.8.5"),
        (said("Model loading took 4.2 GiB memory and 1.175218 seconds", "gpu_model_runner.py", 4118), "0.15.0"),
        # A release whose sources nobody has may have the lines of its neighbours.
        (said("Loading weights took 0.1 seconds", "default_loader.py", 291), ">=0.14.0,<0.16.0"),
        # Each line of a crash names the call that printed it.
        (said("CUDA out of memory. Tried to allocate 9.03 GiB.", "engine.py", 389, level="ERROR"), "0.7.2"),
        (said("EngineCore failed to start.", "core.py", 1108, level="ERROR"), ">=0.19.0,<0.20.0"),
        (said("CUDA error: an illegal memory access", "core.py", 718, level="ERROR"), "0.10.2"),
        # Wordings and names of processes.
        (
            said("GPU KV cache size: 413,456 tokens, Maximum concurrency for 32,768 tokens per request: 12.62x"),
            ">=0.28.0",
        ),
        (said("Loading model weights took 15.6270 GB"), "<0.8.3"),
        (
            said("To serve at least one request with the models's max seq len (4096), (2.0 GiB KV cache is needed"),
            ">=0.7.0,<0.22.0",
        ),
        (said("anything", process="EngineCore_0 12"), ">=0.8.3,<0.10.2"),
        (said("anything", process="EngineCore 12"), ">=0.18.0"),
        (said("anything", process="VllmWorkerProcess 12"), "<0.11.0"),
        # Nothing to go by.
        (said("anything", "core.py", 1108), None),
        (said("CUDA out of memory", "elsewhere.py", 389, level="ERROR"), None),
        (said(""), None),
    ],
)
def test_one_record(record: Record, inferred: str | None) -> None:
    assert infer_release([record]) == inferred


def test_records_narrow_each_other() -> None:
    records = [
        said("Memory profiling takes 12.83 seconds", "worker.py", 267),
        said("Using the old wording: Loading model weights took 15.6270 GB", "model_runner.py", 1115),
    ]
    assert infer_release(records) == ">=0.7.2,<0.8.0"
    assert (
        infer_release([*records, said("# CUDA blocks: 186, # CPU blocks: 23405", "executor_base.py", 110)]) == "0.7.2"
    )


def test_build_from_between_two_releases_has_lines_of_its_own() -> None:
    """A development build of 0.7.2 and 0.7.3: some calls have moved already, so none proves a release.

    The wordings still hold.
    """
    records = [
        said("This model supports multiple tasks: {'generate'}. Defaulting to 'generate'.", "config.py", 542),
        said("Casting torch.bfloat16 to torch.float16.", "config.py", 2387),
        said("Loading model weights took 15.6270 GB", "model_runner.py", 1115),
    ]
    assert infer_release(records) == "<0.8.3"


def test_contradictions_say_nothing() -> None:
    records = [said("Loading model weights took 15.6270 GB"), said("Available KV cache memory: 8.99 GiB")]
    assert infer_release(records) is None
