"""How far a start-up came, and how long each step took."""

from __future__ import annotations

from typing import Any

import pytest
from fact_samples import read_facts
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.logs.milestones import milestone_of
from qvl_doctor.logs.phases import Progress, Timeline, phase_of, read_timeline
from qvl_doctor.model import PHASES, Frame, Line, Record


def said(message: str, clock: str = "", *functions: str, **more: Any) -> Record:
    frames = tuple(Frame("/usr/lib/vllm/x.py", 1, function) for function in functions)
    seconds = (
        sum(int(part) * unit for part, unit in zip(clock.split(":"), (3600, 60, 1), strict=True)) if clock else None
    )
    return Record((Line(1, message),), message, clock=seconds, frames=frames, **more)


#: The article's healthy start-up, its lines with a clock.
V0_START = [
    said("Automatically detected platform cuda.", "10:02:59"),
    said("vLLM API server version 0.7.2.dev56+gbf3b79ef", "10:03:00"),
    said(
        "Initializing a V0 LLM engine (v0.7.2.dev56+gbf3b79ef) with config: model='/models/qwen', 。。。, use_cached_outputs=True,",
        "10:03:11",
    ),
    said("Using Flash Attention backend.", "10:03:12"),
    said("Starting to load model /models/qwen/Qwen2___5-VL-7B-Instruct...", "10:03:13"),
    said("Loading safetensors checkpoint shards: 100% Completed | 5/5 [00:22<00:00, 4.58s/it]"),
    said("Loading model weights took 15.6270 GB", "10:03:36"),
    said("Memory profiling takes 12.83 seconds", "10:03:49"),
    said(
        "the current vLLM instance can use total_gpu_memory (23.65GiB) x gpu_memory_utilization (0.70) = 16.55GiB",
        "10:03:49",
    ),
    said(
        "model weights take 15.63GiB; non_torch_memory takes 0.08GiB; PyTorch activation peak memory takes 0.69GiB; "
        "the rest of the memory reserved for KV Cache is 0.16GiB.",
        "10:03:49",
    ),
    said("# CUDA blocks: 186, # CPU blocks: 23405", "10:03:50"),
    said("Maximum concurrency for 1024 tokens per request: 2.91x", "10:03:50"),
    said(
        "Capturing cudagraphs for decoding. This may lead to unexpected consequences if the model is not static.",
        "10:04:05",
    ),
    said("Capturing CUDA graph shapes: 100%|██████████| 35/35 [00:17<00:00, 1.97it/s]"),
    said("Graph capturing finished in 18 secs, took 1.91 GiB", "10:04:23"),
    said("init engine (profile, create kv cache, warmup model) took 46.92 seconds", "10:04:23"),
    said("Available routes are:", "10:04:24"),
    said("Application startup complete."),
    said("Uvicorn running on http://0.0.0.0:7869 (Press CTRL+C to quit)"),
    said("Shutting down FastAPI HTTP server.", "11:00:00"),
    said("Application shutdown complete."),
]
#: A V1 start-up of 0.10.2: the capture shows only a progress bar before it is done.
V1_START = [
    said("vLLM API server version 0.10.2", "18:36:42"),
    said("Starting to load model /models/llava...", "18:36:53"),
    said("Loading weights took 0.74 seconds", "18:36:54"),
    said("Model loading took 4.2530 GiB and 1.175218 seconds", "18:36:54"),
    said("torch.compile takes 3.55 s in total", "18:37:00"),
    said("Available KV cache memory: 8.99 GiB", "18:37:01"),
    said("GPU KV cache size: 18,400 tokens", "18:37:01"),
    said("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE): 100%|██████████| 67/67"),
    said("Graph capturing finished in 4 secs, took 1.27 GiB", "18:37:05"),
    said("init engine (profile, create kv cache, warmup model) took 11.23 seconds", "18:37:05"),
    said("Starting vLLM API server 0 on http://localhost:24001", "18:37:06"),
    said("Application startup complete."),
]


def progress_of(progress: Progress, record: Record) -> str:
    return progress.feed(record, milestone_of(record))


def timeline(records: list[Record]) -> dict[str, float]:
    return {phase.phase: phase.seconds for phase in read_timeline(records, read_facts(records))}


def test_timeline_of_the_article() -> None:
    """Profile and graph capture are stated; KV cache is what they leave of `init engine`; nothing counts twice."""
    assert timeline(V0_START) == {
        "config": 14.0,
        "load": 23.0,
        "profile": 12.83,
        "kv-cache": 16.09,
        "graph-capture": 18.0,
        "serving": 1.0,
    }
    facts = read_facts(V0_START)
    assert facts["init_s"].value == 46.92
    assert facts["startup_s"].value == 85.0
    assert sum(timeline(V0_START).values()) == pytest.approx(85.0, abs=1)


def test_timeline_of_v1() -> None:
    assert timeline(V1_START) == {"config": 11.0, "load": 1.18, "profile": 7.23, "graph-capture": 4.0, "serving": 1.0}


def test_timeline_of_a_start_that_dies() -> None:
    """Only phases that came to their end have a length."""
    assert timeline(V1_START[:5]) == {"config": 11.0, "load": 1.18}
    assert timeline(V0_START[:6]) == {"config": 14.0}
    assert timeline([]) == {}


def test_clock_that_runs_backwards_gives_no_length() -> None:
    """A start-up over the end of the year, or processes that interleave."""
    records = [said("vLLM API server version 0.8.5", "23:59:59"), said("Starting to load model a...", "00:00:05")]
    assert timeline(records) == {}


def test_phase_of_each_record() -> None:
    progress = Progress()
    assert [progress.feed(record, milestone_of(record)) for record in V0_START] == [
        *["config"] * 4,
        *["load"] * 3,
        *["profile"] * 3,
        *["kv-cache"] * 2,
        *["graph-capture"] * 4,
        *["serving"] * 3,
        *["shutdown"] * 2,
    ]


def test_timeline_tells_the_phase_too() -> None:
    progress, collector = Progress(), Timeline()
    assert [collector.feed(record, milestone_of(record)) for record in V0_START] == [
        progress.feed(record, milestone_of(record)) for record in V0_START
    ]


def test_nothing_is_known_before_something_tells() -> None:
    progress = Progress()
    assert progress_of(progress, said("CUDA out of memory.", level="ERROR")) == ""
    assert progress_of(progress, said("vLLM API server version 0.8.5")) == "config"
    assert progress_of(progress, said("anything")) == "config"


@pytest.mark.parametrize(
    ("functions", "so_far", "phase"),
    [
        (("run_engine_core", "_init_executor", "load_model", "get_model", "forward"), "config", "load"),
        (
            ("_initialize_kv_caches", "determine_available_memory", "profile_run", "_dummy_run", "forward"),
            "load",
            "profile",
        ),
        (("determine_num_available_blocks", "profile_run", "execute_model", "forward"), "", "profile"),
        (("_initialize_kv_caches", "get_kv_cache_configs", "_check_enough_kv_cache_memory"), "profile", "kv-cache"),
        (("_initialize_kv_caches", "initialize_cache", "raise_if_cache_size_invalid"), "profile", "kv-cache"),
        (
            ("initialize_from_config", "compile_or_warm_up_model", "capture_model", "_dummy_run"),
            "kv-cache",
            "graph-capture",
        ),
        (("run_busy_loop", "_process_engine_step", "execute_model"), "kv-cache", "serving"),
        (("create_chat_completion", "_preprocess_chat"), "serving", "serving"),
        (("output_handler", "get_output_async"), "shutdown", "shutdown"),
        (("execute_model", "forward"), "", "serving"),
        (("execute_model", "forward"), "profile", "profile"),  # V0 profiles through it
        (("create_engine_config", "__post_init__"), "", "config"),
        (("main", "run_server"), "load", "load"),
        (("main",), "", ""),
    ],
)
def test_frames_tell(functions: tuple[str, ...], so_far: str, phase: str) -> None:
    assert phase_of(said("boom", "", *functions, exception="RuntimeError"), so_far) == phase


def test_method_that_a_v0_worker_names() -> None:
    message = "Exception in worker VllmWorkerProcess while processing method determine_num_available_blocks: CUDA out of memory."
    assert phase_of(said(message), "load") == "profile"
    assert (
        phase_of(
            said("Exception in worker VllmWorkerProcess while processing method start_worker_execution_loop."),
            "serving",
        )
        == "serving"
    )


def test_what_an_exception_quotes_is_no_mark() -> None:
    progress = Progress()
    progress_of(progress, said("vLLM API server version 0.8.5"))
    progress_of(progress, said("Application startup complete.", "", "main", exception="ValueError"))
    assert progress.reached == "config"


def test_answered_request_tells_that_it_serves() -> None:
    assert (
        phase_of(said('10.196.84.25:51066 - "POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error'), "")
        == "serving"
    )
    assert (
        phase_of(said('https://huggingface.co:443 "HEAD /Qwen/x/resolve/main/config.json HTTP/1.1" 307 0'), "config")
        == "config"
    )


def test_workers_run_apart() -> None:
    progress = Progress()
    worker = {"role": "worker"}
    progress_of(progress, said("Starting to load model a...", process="Worker_TP0 1", **worker))
    progress_of(progress, said("Starting to load model a...", process="Worker_TP1 2", **worker))
    progress_of(progress, said("Model loading took 1.0 GiB memory and 1.0 seconds", process="Worker_TP0 1", **worker))
    assert progress_of(progress, said("boom", process="Worker_TP0 1", **worker)) == "profile"
    assert progress_of(progress, said("boom", process="Worker_TP1 2", **worker)) == "load"
    assert progress_of(progress, said("boom", process="Worker_TP2 3", **worker)) == "profile"
    assert progress_of(progress, said("boom", process="EngineCore 4", role="engine")) == "profile"
    progress_of(progress, said("GPU KV cache size: 1,024 tokens", process="EngineCore 4", role="engine"))
    assert (
        progress_of(progress, said("boom", process="Worker_TP1 2", **worker)) == "kv-cache"
    )  # the engine waited for all of them


@given(
    st.lists(
        st.tuples(
            st.sampled_from([record.message for record in V0_START + V1_START]), st.integers(0, 100), st.booleans()
        )
    )
)
def test_any_order_gives_phases_that_do_not_overlap(parts: list[tuple[str, int, bool]]) -> None:
    records = [
        said(message, f"10:00:{second % 60:02}", *(["f"] if framed else [])) for message, second, framed in parts
    ]
    phases = read_timeline(records, read_facts(records))
    assert [phase.phase for phase in phases] == [
        phase for phase in PHASES if phase in {found.phase for found in phases}
    ]
    assert all(phase.seconds >= 0 for phase in phases)
