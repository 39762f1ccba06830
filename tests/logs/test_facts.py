"""Facts beyond single lines: who overrules whom, what follows from what, and that nothing is made up."""

from __future__ import annotations

import json
import time

import pytest
from fact_samples import V0_PROFILE, facts_of, read_facts, said
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.logs.fact_lines import LINES
from qvl_doctor.logs.facts import FactReader
from qvl_doctor.logs.milestones import milestone_of
from qvl_doctor.model import Frame, Line, Record


def test_engine_line() -> None:
    message = (
        "Initializing a V1 LLM engine (v0.11.0) with config: model='/srv/models/tiny', speculative_config=None, dtype=torch.bfloat16, "
        "max_seq_len=2048, load_format=auto, tensor_parallel_size=2, pipeline_parallel_size=1, data_parallel_size=1, quantization=None, "
        "enforce_eager=True, kv_cache_dtype=fp8, device_config=cpu, served_model_name=tiny, enable_prefix_caching=True, "
        "chunked_prefill_enabled=False, pooler_config=None, compilation_config={}"
    )
    assert {name: fact.value for name, fact in read_facts([said(message, "core.py", 77)]).items()} == {
        "vllm": "0.11.0",
        "engine": "V1",
        "model": "/srv/models/tiny",
        "served_model_name": "tiny",
        "dtype": "bfloat16",
        "quantization": "none",
        "load_format": "auto",
        "kv_cache_dtype": "fp8",
        "tensor_parallel_size": 2,
        "pipeline_parallel_size": 1,
        "data_parallel_size": 1,
        "max_model_len": 2048,
        "enforce_eager": "yes",
        "prefix_caching": "yes",
        "chunked_prefill": "no",
        "speculative": "none",
        "platform": "cpu",
        "ready": "no",
    }


@pytest.mark.parametrize(("file", "engine"), [("llm_engine.py", "V0"), ("core.py", "V1")])
def test_engine_line_that_does_not_say_which(file: str, engine: str) -> None:
    message = (
        "Initializing an LLM engine (v0.6.6.post1) with config: model='a', "
        "speculative_config=SpeculativeConfig(draft_model='b', n=5), x=1,"
    )
    facts = read_facts([said(message, file)])
    assert (facts["engine"].value, facts["speculative"].value) == (engine, "b")


def test_engine_wins_over_arguments() -> None:
    arguments = (
        "args: Namespace(model='facebook/opt-125m', dtype='auto', max_model_len=None, gpu_memory_utilization=0.9, max_num_seqs=256, "
        "block_size=16, enforce_eager=False, quantization=None, api_key=['***'], port=7869, limit_mm_per_prompt={'image': 5, 'video': 0})"
    )
    facts = read_facts(
        [
            said(arguments, "api_server.py", number=2),
            said("Using max model len 24576", "config.py", number=3),
            said(
                "Initializing a V0 LLM engine (v0.7.2) with config: model='a', enforce_eager=True, x=1,",
                "llm_engine.py",
                number=4,
            ),
            said(V0_PROFILE, "worker.py", number=5),
        ]
    )
    assert (facts["model"].value, facts["model"].line) == ("a", 4)
    assert (facts["gpu_memory_utilization"].value, facts["gpu_memory_utilization"].line) == (0.7, 5)
    assert (facts["enforce_eager"].value, facts["max_num_seqs"].value, facts["block_size"].value) == ("yes", 256, 16)
    assert (facts["api_key"].value, facts["server_port"].value) == ("yes", 7869)
    assert facts["limit_mm_per_prompt"].value == {"image": 5, "video": 0}
    assert facts["args"].value["gpu_memory_utilization"] == 0.9
    assert not {"dtype", "quantization", "lora"} & set(facts)


def test_smallest_pool_of_the_workers_counts() -> None:
    facts = facts_of(
        "Available KV cache memory: 8.99 GiB",
        "Available KV cache memory: 7.50 GiB",
        "Available KV cache memory: 8.10 GiB",
        "GPU KV cache size: 18,400 tokens",
        "GPU KV cache size: 15,360 tokens",
        "Loading model weights took 15.6270 GB",
        "Loading model weights took 15.7000 GB",
        "non_torch_memory takes 0.08GiB; PyTorch activation peak memory takes 0.19GiB;",
        "non_torch_memory takes 0.07GiB; PyTorch activation peak memory takes 1.40GiB;",
    )
    assert facts == {
        "kv_gib": 7.5,
        "kv_tokens": 15360,
        "engine": "V1",
        "weights_gib": 15.627,
        "non_torch_gib": 0.08,
        "activation_gib": 1.4,
    }


def test_shortened_context_replaces_the_first() -> None:
    facts = facts_of(
        "Using max model len 128000",
        "Auto-fit max_model_len: reduced from 128000 to 59728 to fit in available GPU memory (3.19 GiB available for KV cache)",
    )
    assert facts["max_model_len"] == 59728


def test_v0_prints_blocks() -> None:
    """186 blocks that hold 2.91 requests of 1024 tokens can only be blocks of 16."""
    facts = read_facts(
        [
            said("# CUDA blocks: 186, # CPU blocks: 23405", "executor_base.py", number=1),
            said("Maximum concurrency for 1024 tokens per request: 2.91x", "executor_base.py", number=2),
        ]
    )
    assert (facts["block_size"].value, facts["block_size"].source) == (16, "computed")
    assert (facts["kv_tokens"].value, facts["kv_tokens"].source, facts["kv_tokens"].line) == (2976, "computed", 1)


def test_no_block_size_is_assumed() -> None:
    assert "kv_tokens" not in read_facts([said("# GPU blocks: 7449, # CPU blocks: 4681", "gpu_executor.py")])
    both = [
        said("# GPU blocks: 1, # CPU blocks: 0", "x.py"),
        said("Maximum concurrency for 100000 tokens per request: 0.00x", "x.py"),
    ]
    assert "block_size" not in read_facts(both)


def test_wrapped_numbers_are_read_whole() -> None:
    lines = (Line(4, "Using max model len 20"), Line(5, "48"))
    record = Record(lines, "Using max model len 20 48", "Using max model len 2048", file="model.py")
    assert read_facts([record])["max_model_len"].value == 2048
    lines = (Line(4, "# CUDA blocks: 186, # CPU blocks: 2340"), Line(5, "5"))
    record = Record(
        lines,
        "# CUDA blocks: 186, # CPU blocks: 2340 5",
        "# CUDA blocks: 186, # CPU blocks: 23405",
        file="executor_base.py",
    )
    assert read_facts([record])["cpu_blocks"].value == 23405


def test_fact_knows_its_line() -> None:
    lines = tuple(Line(10 + index, part) for index, part in enumerate(V0_PROFILE.split(" the ")))
    facts = read_facts([Record(lines, V0_PROFILE, file="worker.py")])
    assert facts["profile_s"].line == 10
    assert facts["total_gib"].line == 11
    assert facts["kv_gib"].line == 13


def test_ready() -> None:
    banner = said("vLLM API server version 0.8.5", "api_server.py", clock=100.0)
    weights = said("Loading weights took 8.88 seconds", "loader.py", clock=130.0)
    done = said("Application startup complete.", level="INFO")
    assert read_facts([banner, weights])["ready"].value == "no"
    assert "startup_s" not in read_facts([banner, weights])
    facts = read_facts([banner, weights, done, said("x", "x.py", clock=500.0), done])
    assert (facts["ready"].value, facts["startup_s"].value) == ("yes", 30.0)
    assert "ready" not in read_facts([weights])  # a log that begins in the middle may have been ready before
    assert "startup_s" not in read_facts([weights, done])


def test_port_that_could_not_be_opened_takes_ready_back() -> None:
    """uvicorn on its own says that the start-up is complete before it opens the port."""
    taken = "[Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use"
    assert facts_of("Application startup complete.", taken)["ready"] == "no"


@pytest.mark.parametrize(
    ("record", "engine"),
    [
        (said("x", process="EngineCore_DP0 12"), "V1"),
        (said("x", process="VllmWorkerProcess 12"), "V0"),
        (said("x", frames=(Frame("/usr/lib/vllm/v1/engine/core.py", 1, "f"),), exception="ValueError"), "V1"),
        (said("x", frames=(Frame("/usr/lib/vllm/worker/worker.py", 1, "f"),), exception="ValueError"), "V0"),
        (said("vLLM API server version 0.6.3.post1"), "V0"),
        (said("vLLM API server version 0.16.0"), "V1"),
        (said("CUDA out of memory.", "engine.py", 389, level="ERROR"), "V0"),
        (said("vLLM API server version 0.8.5"), None),
    ],
)
def test_engine_that_is_not_named(record: Record, engine: str | None) -> None:
    facts = read_facts([record])
    assert (facts["engine"].value if "engine" in facts else None) == engine


def test_release_that_is_not_named() -> None:
    facts = read_facts([said("init engine (profile, create kv cache, warmup model) took 0.78 seconds", "core.py", 210)])
    assert (facts["vllm"].value, facts["vllm"].source) == ("0.11.0", "inferred")
    assert "vllm_range" not in facts
    facts = read_facts([said("Loading model weights took 15.6270 GB", "model_runner.py", 1115)])
    assert (facts["vllm_range"].value, facts["vllm_range"].source) == (">=0.7.0,<0.8.0", "inferred")
    assert "vllm" not in facts


def test_secret_arguments_stay_secret() -> None:
    facts = read_facts(
        [said("non-default args: {'model': 'a', 'api_key': ['sk-1234567890'], 'hf_token': 'hf_abc'}", "utils.py")]
    )
    assert "sk-1234567890" not in str(facts)
    assert "hf_abc" not in str(facts)
    assert facts["api_key"].value == "yes"


FRAGMENTS = sorted({row.literal for _, rows in LINES for row in rows} | {gate for gate, _ in LINES})
NOISE = [
    "1",
    "1.5",
    "9" * 30,
    " GiB",
    "GiB",
    " seconds",
    "(",
    ")",
    ": ",
    "'",
    "{",
    "}",
    ",",
    " ",
    "=",
    "x",
    "...",
    "args: {",
    "Namespace(",
    "-",
]


@given(st.lists(st.sampled_from([*FRAGMENTS, *NOISE]), max_size=40), st.booleans())
def test_any_message_is_read(parts: list[str], wrapped: bool) -> None:
    message = "".join(parts)
    record = Record((Line(1, message),), message, message.replace(" ", "") if wrapped else "", clock=1.0)
    json.dumps({name: fact.value for name, fact in read_facts([record, record]).items()})


@pytest.mark.parametrize(
    "fragment", [*FRAGMENTS, "Tried to allocate 1", "Starting to load model x", 'a - "GET ', "GPU 0: A"]
)
def test_hostile_message_takes_bounded_time(fragment: str) -> None:
    message = (fragment * 16384)[:16384]
    began = time.process_time()
    read_facts([said(message)])
    assert time.process_time() - began < 1


def test_reading_facts_is_cheap() -> None:
    records = [
        said(f'127.0.0.1:{number} - "POST /v1/chat/completions HTTP/1.1" 200 OK', level="INFO", number=number)
        for number in range(1, 5001)
    ]
    reader = FactReader()
    began = time.process_time()
    for record in records:
        reader.feed(record, milestone_of(record))
    assert (
        time.process_time() - began < 0.5
    )  # measured: 0.015 s; what this catches is work that grows with what was seen
