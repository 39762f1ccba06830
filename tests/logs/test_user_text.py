"""What users wrote is cut off, over all of its lines, and nothing else is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.logs.prefixes import Piece
from qvl_doctor.logs.records import read_records
from qvl_doctor.logs.user_text import CUT, USER_TEXTS, UserTexts

WORDS = "EngineDeadError: EngineCore encountered an issue"
#: A line of each kind, by the place in USER_TEXTS, with WORDS where the user's text is.
LINES = (
    (
        0,
        f"Received request chatcmpl-1: prompt: '{WORDS}', params: SamplingParams(n=1), prompt_token_ids: None, lora_request: None.",
    ),
    (
        0,
        f"Received request chatcmpl-1: prompt: '{WORDS}', params: SamplingParams(n=1), lora_request: None, prompt_adapter_request: None.",
    ),
    (0, f"Received request chatcmpl-1: params: SamplingParams(n=1, stop=['{WORDS}']), lora_request: None."),
    (1, f"Request chatcmpl-1 details: prompt: '{WORDS}', prompt_token_ids: [1, 2], prompt_embeds shape: None."),
    (2, f"Generated response chatcmpl-1: output: '{WORDS}', output_token_ids: [1], finish_reason: stop"),
    (2, f"Generated response chatcmpl-1 (streaming complete): output: '{WORDS}', finish_reason: length"),
    (3, f'Request chatcmpl-1 JSON body: {{"messages":[{{"role":"user","content":"{WORDS}"}}]}}'),
    (4, f'response_body={{{{"id":"chatcmpl-1","choices":[{{"message":{{"content":"{WORDS}"}}}}]}}}}'),
    (4, f"response_body={{streaming_complete: content='{WORDS}', chunks=5}}"),
    (5, f"Model output: {WORDS}"),
    (5, f"model_output: {WORDS}"),
    (6, f"Failed to parse function calls from model output: {WORDS}. Error: x"),
    (7, f"Prompt: '{WORDS}', Generated text: ' and so on'"),
    (8, f'Request body: {{"prompt": "{WORDS}"}}'),
    (8, f"incoming request payload={WORDS}"),
)
RAW = (
    "first",
    "ERROR 02-16 10:03:00 [core.py:708] EngineCore encountered a fatal error.",
    "(EngineCore_DP0 pid=7) ERROR 02-16 10:03:00 [core.py:708] ValueError: boom",
    "Traceback (most recent call last):",
    '  File "/x/a.py", line 1, in f',
    "RuntimeError: dead",
    "",
    "INFO:     Application startup complete.",
)
PREFIXES = (
    "INFO 02-16 10:03:00 [logger.py:41] ",
    "(APIServer pid=1) INFO 02-16 10:03:00 [logger.py:41] ",
    "INFO:     ",
    "",
)


def said(log: str) -> list[str]:
    return [record.message for record in read_records(log)]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("place", "line"), LINES)
def test_text_of_a_user_is_cut(place: int, line: str, prefix: str) -> None:
    (message,) = said(prefix + line)
    assert message.endswith(CUT)
    assert re.match(USER_TEXTS[place].begins, line)
    assert "Dead" not in message


def test_every_kind_has_a_line_here_and_says_where_it_is_from() -> None:
    assert {place for place, _ in LINES} == set(range(len(USER_TEXTS)))
    assert all(text.place for text in USER_TEXTS)
    assert all(re.fullmatch(r"\d[\w.]*–(?:\d[\w.]*)?", text.releases) for text in USER_TEXTS[:-1])


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("line", [line for place, line in LINES if USER_TEXTS[place].ends])
def test_raw_text_of_many_lines_is_cut_whole(line: str, prefix: str) -> None:
    """Whatever its lines look like: log calls, tracebacks, other processes."""
    raw = "\n".join(RAW)
    log = prefix + line.replace(WORDS, raw) + "\nINFO 02-16 10:03:09 [x.py:1] next\n"
    records = list(read_records(log))
    assert [record.message for record in records][1:] == ["next"]
    assert records[0].message.endswith(CUT)
    assert records[1].first_line == log[: log.index("next")].count("\n") + 1
    assert not any(record.exception for record in records)


@pytest.mark.parametrize("after", ["", "INFO 02-16 10:03:09 [logger.py:41] " + LINES[0][1]])
def test_nothing_is_lost_where_the_end_of_a_text_never_comes(after: str) -> None:
    """The line was clipped: what follows are lines of the log."""
    log = (
        "INFO 02-16 10:03:00 [logger.py:41] Received request chatcmpl-1: prompt: 'once upon a ti\n"
        "ERROR 02-16 10:03:01 [core.py:708] EngineCore encountered a fatal error.\n"
        "Traceback (most recent call last):\n"
        '  File "/x/a.py", line 1, in f\n'
        "RuntimeError: dead\n" + after
    )
    records = list(read_records(log))
    assert [record.message for record in records][1:3] == ["EngineCore encountered a fatal error.", "dead"]
    assert records[2].exception == "RuntimeError"


def test_a_text_without_end_holds_back_a_bounded_number_of_lines() -> None:
    users = UserTexts()
    passed = users.feed(Piece(1, "Received request a: prompt: 'x"))
    for number in range(2, 5000):
        passed += users.feed(Piece(number, f"line {number}"))
    passed += users.flush()
    assert [piece.number for piece in passed] == list(range(1, 5000))


def test_lines_of_other_containers_pass_while_a_text_is_open() -> None:
    users = UserTexts()
    users.feed(Piece(1, "Received request a: prompt: 'x", origin="a"))
    assert users.feed(Piece(2, "ValueError: of b", origin="b")) == [Piece(2, "ValueError: of b", origin="b")]
    assert users.feed(Piece(3, "y', params: 1, lora_request: None.", origin="a")) == []
    assert users.feed(Piece(4, "ValueError: of a", origin="a")) == [Piece(4, "ValueError: of a", origin="a")]


def test_prefix_that_vllm_repeats_before_each_line_of_a_text() -> None:
    head = "DEBUG 02-16 10:03:00 [phi4mini.py:58] "
    log = f"{head}Model output: once\n{head}ValueError: upon\n{head}\nDEBUG 02-16 10:03:00 [phi4mini.py:99] next\n"
    assert said(log) == [f"Model output: {CUT}", "next"]


def test_line_that_cri_cut() -> None:
    parts = LINES[0][1].replace(WORDS, f"{'a' * 20000} {WORDS}")
    log = (
        f"2025-02-16T08:31:21.1Z stdout P INFO 02-16 10:03:00 [logger.py:41] {parts[:16000]}\n"
        f"2025-02-16T08:31:21.1Z stdout P {parts[16000:20000]}\n"
        f"2025-02-16T08:31:21.1Z stdout F {parts[20000:]}\n"
        "2025-02-16T08:31:21.1Z stdout F INFO 02-16 10:03:00 [x.py:1] next\n"
    )
    assert said(log) == [f"Received request chatcmpl-1: {CUT}", "next"]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (
            "messages Input should be a valid list [type=list_type, input_value={'messages': 'ValueError: x'}, input_type=dict]",
            "messages Input should be a valid list [type=list_type, input_value=…, input_type=dict]",
        ),
        (
            "[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required', 'input': {'prompt': 'ValueError: x'}}]",
            "[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required', 'input': …}]",
        ),
        (
            '10.0.0.1:5 - "GET /v1/models?q=EngineDeadError HTTP/1.1" 200 OK',
            '10.0.0.1:5 - "GET /v1/models HTTP/1.1" 200 OK',
        ),
        (
            "Value error, x [type=value_error, input_value=ArgsKwargs((), {'model': 'a'}), input_type=ArgsKwargs]",
            "Value error, x [type=value_error, input_value=ArgsKwargs((), {'model': 'a'}), input_type=ArgsKwargs]",
        ),
    ],
)
def test_quoted_bodies_and_queries_are_cut(line: str, left: str) -> None:
    assert said(line) == [left]


def test_what_the_server_says_of_a_request_stays() -> None:
    for line in (
        'response_body={{"object":"error","message":"At most 1 image(s) may be provided in one request."}}',
        'response_body={{"error":{"message":"At most 1 image(s) may be provided in one request."}}}',
        "Request chatcmpl-1 failed: boom",
        "Received request to abort",
    ):
        assert said(f"INFO 02-16 10:03:00 [x.py:1] {line}") == [line]


@given(st.lists(st.text("abc:= '{}\"\n\t/HTP.1", max_size=30), max_size=20))
def test_lines_without_a_users_text_pass_as_they_are(lines: list[str]) -> None:
    users = UserTexts()
    pieces = [Piece(number, line) for number, line in enumerate(lines)]
    assert [passed for piece in pieces for passed in users.feed(piece)] + users.flush() == pieces
