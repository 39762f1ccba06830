"""One record per event: tracebacks whole, chains in order, processes apart, broken lines put together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.logs.open_record import MAX_LINES
from qvl_doctor.logs.records import LogReader, read_records
from qvl_doctor.model import Record

TRACEBACK = """\
Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/vllm/engine/multiprocessing/engine.py", line 380, in run_mp_engine
    engine = MQLLMEngine.from_engine_args(engine_args=engine_args,
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3/dist-packages/vllm/worker/worker.py", line 493, in raise_if_cache_size_invalid
    raise ValueError("No available memory for the cache blocks. "
ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.
"""


def prefixed(text: str, prefix: str) -> str:
    return "".join(f"{prefix}{line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "[rank0]: ",
        "(VllmWorkerProcess pid=3) ",
        "ERROR 02-16 10:03:00 engine.py:389] ",
        "(EngineCore_DP0 pid=7) ERROR 02-16 10:03:00 [core.py:708] ",
        "vllm-1  | ",
    ],
)
def test_traceback_is_one_record(prefix: str) -> None:
    (record,) = read_records(prefixed(TRACEBACK, prefix))
    assert record.exception == "ValueError"
    assert record.message.startswith("No available memory for the cache blocks. Try")
    assert [frame.function for frame in record.frames] == ["run_mp_engine", "raise_if_cache_size_invalid"]
    assert (record.first_line, record.last_line) == (1, 7)
    assert record.role == ("engine" if "EngineCore" in prefix else "worker")


@pytest.mark.parametrize(
    "prefix", ["", "(APIServer pid=1) ", "(EngineCore_DP0 pid=7) ERROR 02-16 10:03:00 [core.py:708] "]
)
@pytest.mark.parametrize("frames", [195, 196, 198, 199, 200, 201, 202, 205, 250, 1000])
def test_traceback_of_many_frames_keeps_its_first_and_last_lines(prefix: str, frames: int) -> None:
    """A recursion: 2 lines a frame, and what was raised is said after the last of them, over two lines."""
    walk = "".join(
        f'  File "/x/a.py", line {number}, in f{number}\n    return f()\n' for number in range(1, frames + 1)
    )
    text = f"Traceback (most recent call last):\n{walk}RecursionError: too deep\n  in this place\n"
    record = next(iter(read_records(prefixed(text, prefix))))
    assert (record.exception, record.message) == ("RecursionError", "too deep in this place")
    assert record.frames[0].function == "f1"
    assert record.frames[-1].function == f"f{frames}"
    assert (record.first_line, record.last_line) == (1, 2 * frames + 3)
    assert len(record.lines) <= MAX_LINES


def test_chain_keeps_its_order() -> None:
    log = (
        "Traceback (most recent call last):\n  File \"/x/a.py\", line 1, in f\n    g()\nKeyError: 'qwen2_5_vl'\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "/x/b.py", line 2, in h\n'
        "    raise ValueError(\nValueError: does not recognize\nthis architecture.\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        'Traceback (most recent call last):\n  File "/x/c.py", line 3, in k\n    m()\nRuntimeError\n'
    )
    records = list(read_records(log))
    assert [(record.exception, record.message, record.chained) for record in records] == [
        ("KeyError", "'qwen2_5_vl'", False),
        ("ValueError", "does not recognize this architecture.", True),
        ("RuntimeError", "", True),
    ]


def test_interleaved_processes_are_separated() -> None:
    one = prefixed(TRACEBACK, "(Worker_TP0 pid=1) ERROR 02-16 10:03:00 [multiproc_executor.py:375] ").splitlines()
    two = prefixed(
        TRACEBACK.replace("No available", "No other"),
        "(Worker_TP1 pid=2) ERROR 02-16 10:03:00 [multiproc_executor.py:375] ",
    ).splitlines()
    log = "\n".join(line for pair in zip(one, two, strict=True) for line in pair)
    records = list(read_records(log))
    assert [(record.process, record.message[:9], len(record.frames)) for record in records] == [
        ("Worker_TP0 1", "No availa", 2),
        ("Worker_TP1 2", "No other ", 2),
    ]


def test_log_call_in_the_middle_of_a_traceback() -> None:
    lines = TRACEBACK.splitlines()
    lines.insert(3, "INFO 02-16 10:03:00 metrics.py:455] Avg prompt throughput: 0.0 tokens/s")
    lines.insert(5, "Loading safetensors checkpoint shards:  20% Completed | 1/5 [00:05<00:20,  5.08s/it]")
    records = list(read_records("\n".join(lines)))
    assert [record.exception for record in records] == ["ValueError", "", ""]
    assert len(records[0].frames) == 2


def test_terminal_wrap_in_the_middle_of_a_word() -> None:
    width = 100
    log = prefixed(TRACEBACK, "(EngineCore pid=316) ")
    wrapped = "\n".join(
        line[start : start + width] for line in log.splitlines() for start in range(0, max(len(line), 1), width)
    )
    (record,) = read_records(wrapped)
    assert "`gpu_memory_utilization` when initializing the engine." in (record.unwrapped or record.message)
    assert [frame.function for frame in record.frames] == ["run_mp_engine", "raise_if_cache_size_invalid"]


def test_message_over_several_lines() -> None:
    log = (
        "RuntimeError: \n    An attempt has been made to start a new process before the\n"
        "    current process has finished its bootstrapping phase.\n\n"
        "        if __name__ == '__main__':\n            freeze_support()\n"
        "INFO 02-16 10:03:00 [x.py:1] another event\n"
    )
    first, second = read_records(log)
    assert first.exception == "RuntimeError"
    assert first.message.startswith(
        "An attempt has been made to start a new process before the current process has finished"
    )
    assert second.message == "another event"


def test_multi_line_log_call_of_v0() -> None:
    head = "INFO 02-16 10:03:49 worker.py:267] "
    log = f"{head}Memory profiling takes 12.83 seconds\r\n"
    log += f"{head}the current vLLM instance can use 16.55GiB\r\n{head}model weights take 15.63GiB\n"
    (record,) = read_records(log)
    assert (
        record.message
        == "Memory profiling takes 12.83 seconds the current vLLM instance can use 16.55GiB model weights take 15.63GiB"
    )
    (pasted,) = read_records(log.replace("\r", ""))
    assert pasted.message == record.message


def test_progress_bar_keeps_its_last_state_and_what_follows_it() -> None:
    log = "Capturing: 0%|  | 0/35\rCapturing: 50%|# | 17/35\rCapturing: 100%|##| 35/35\rINFO 02-16 "
    log += "10:04:23 model_runner.py:1562] Graph capturing finished in 18 secs\n"
    (record,) = read_records(log)
    assert record.message == "Graph capturing finished in 18 secs"


def test_pydantic_says_what_it_wraps() -> None:
    log = (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
        "  Value error, The checkpoint has model type `x` [type=value_error, "
        "input_value=ArgsKwargs((), {'model': 'm'}), input_type=ArgsKwargs]\n"
        "    For further information visit https://errors.pydantic.dev/2.12/v/value_error\n"
    )
    (record,) = read_records(log)
    assert (record.exception, record.message) == ("ValueError", "The checkpoint has model type `x`")


def test_cut_traceback_says_what_it_was_about_to_raise() -> None:
    (record,) = read_records("\n".join(TRACEBACK.splitlines()[:-1]))
    assert (record.exception, record.cut) == ("ValueError", True)
    assert record.message == "No available memory for the cache blocks."


def test_log_call_that_ends_in_a_traceback_header() -> None:
    head = "(VllmWorkerProcess pid=67) ERROR 11-05 03:21:52 multiproc_worker_utils.py:233] "
    log = prefixed(
        'Exception in worker: CUDA out of memory., Traceback (most recent call last):\n  File "/x/worker.py", line 1, in run\n'
        "    f()\ntorch.OutOfMemoryError: CUDA out of memory.\n",
        head,
    )
    said, raised = read_records(log)
    assert said.message == "Exception in worker: CUDA out of memory."
    assert raised.exception == "torch.OutOfMemoryError"


def test_plain_lines_do_not_melt_together() -> None:
    log = "/usr/bin/ld: cannot find -lcuda\ncollect2: error: ld returned 1 exit status\nvllm==0.7.2\ntransformers==4.49.0\n"
    assert [record.message for record in read_records(log)] == log.splitlines()


def test_cri_partial_lines_are_joined() -> None:
    log = "2025-02-16T10:03:00.1Z stderr P ValueError: No available memory for\n2025-02-16T10:03:00.1Z stderr F  the cache blocks.\n"
    (record,) = read_records(log)
    assert record.message == "No available memory for the cache blocks."


@given(
    st.lists(
        st.sampled_from(
            [
                *TRACEBACK.splitlines(),
                "",
                "INFO 02-16 10:03:00 [x.py:1] hello",
                "(Worker pid=1) hm",
                "During handling of the above exception, another exception occurred:",
                "x" * 99,
                "\x1b[31m",
                "   ",
            ]
        )
        | st.text(max_size=60),
        max_size=40,
    )
)
def test_any_text_is_read_and_no_line_is_counted_twice(lines: list[str]) -> None:
    text = "\n".join(lines)
    reader = LogReader()
    records = reader.feed(text.encode("utf-8", "replace")) + reader.flush()
    for record in records:
        assert 1 <= record.first_line <= record.last_line <= text.count("\n") + 1


@given(st.binary(max_size=400), st.integers(1, 50))
def test_chunks_do_not_matter(data: bytes, size: int) -> None:
    def read(chunks: list[bytes]) -> list[Record]:
        reader = LogReader()
        return [record for chunk in chunks for record in reader.feed(chunk)] + reader.flush()

    data = b"INFO x\n" + data  # the first bytes decide the encoding, which a first chunk must therefore hold
    assert read([data]) == read([data[:8], *(data[start : start + size] for start in range(8, len(data), size))])


def test_records_can_be_built_from_any_line_on() -> None:
    lines = prefixed(TRACEBACK, "(EngineCore pid=7) ERROR 02-16 10:03:00 [core.py:708] ").splitlines()
    for start in range(len(lines) - 1):
        records = list(read_records("\n".join(lines[start:])))
        assert records[-1].message.startswith("No available memory for the cache blocks.")


def test_a_traceback_in_one_line_is_a_traceback() -> None:
    line = 'File "/usr/lib/python3/requests/adapters.py", line 519, in send raise ConnectionError(e) ConnectionError: the harbour is closed'
    (record,) = read_records(line)
    assert (record.exception, record.message) == ("ConnectionError", "the harbour is closed")
    assert [frame.function for frame in record.frames] == ["send"]
