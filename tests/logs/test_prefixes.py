"""Every prefix that a log meets on its way is undone, in any nesting."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.logs.prefixes import Piece, pieces
from qvl_doctor.logs.source import RawLine, clean


def only(text: str) -> Piece:
    (piece,) = pieces(RawLine(1, clean(text)))
    return piece


SAID = "Loading weights took 18.61 seconds"


@pytest.mark.parametrize(
    ("line", "level", "process", "file"),
    [
        (f"INFO 02-16 10:03:00 loader.py:458] {SAID}", "INFO", "", "loader.py"),
        (f"INFO 04-23 14:42:53 [loader.py:458] {SAID}", "INFO", "", "loader.py"),
        (f"02-16 10:02:59 loader.py:186] {SAID}", "", "", "loader.py"),
        (f"[loader.py:492] {SAID}", "", "", "loader.py"),
        (
            f"(VllmWorkerProcess pid=42) INFO 08-04 16:54:59 [loader.py:238] {SAID}",
            "INFO",
            "VllmWorkerProcess 42",
            "loader.py",
        ),
        (
            f"(VllmWorker rank=1 pid=42) INFO 08-04 16:54:59 [loader.py:238] {SAID}",
            "INFO",
            "VllmWorker rank=1 42",
            "loader.py",
        ),
        (
            f"\x1b[1;36m(EngineCore_DP0 pid=7)\x1b[0;0m INFO 11-22 20:08:49 [loader.py:644] {SAID}",
            "INFO",
            "EngineCore_DP0 7",
            "loader.py",
        ),
        (
            f"(EngineCore pid=7) \x1b[32mINFO\x1b[0m \x1b[90m11-22 20:08:49\x1b[0m [loader.py:644] {SAID}",
            "INFO",
            "EngineCore 7",
            "loader.py",
        ),
        (
            f"(Worker pid=3) (Worker_TP0 pid=3) WARNING 03-05 09:56:09 [loader.py:814] {SAID}",
            "WARNING",
            "Worker_TP0 3",
            "loader.py",
        ),
        (
            f"(RayWorkerWrapper pid=11305, ip=10.0.0.2) ERROR 08-27 05:12:18 loader.py:382] {SAID} [repeated 6x across cluster]",
            "ERROR",
            "RayWorkerWrapper 11305",
            "loader.py",
        ),
        (f"INFO 08-27 05:12:18 [v1/worker/loader.py:12] {SAID}", "INFO", "", "loader.py"),
        (f"2025-05-01T10:00:00.123456789Z INFO 02-16 10:03:00 loader.py:1] {SAID}", "INFO", "", "loader.py"),
        (f"2025-05-01T10:00:00.123+02:00 stdout F INFO 02-16 10:03:00 loader.py:1] {SAID}", "INFO", "", "loader.py"),
        (f"[pod/qwen-0/vllm] 2025-05-01T10:00:00Z INFO 02-16 10:03:00 loader.py:1] {SAID}", "INFO", "", "loader.py"),
        (f"vllm-1  | (APIServer pid=1) INFO 02-16 10:03:00 [loader.py:1] {SAID}", "INFO", "APIServer 1", "loader.py"),
        (f"qwen     | INFO 02-16 10:03:00 [loader.py:1] {SAID}", "INFO", "", "loader.py"),
        (f"Feb 16 10:03:00 node7 docker[2814]: INFO 02-16 10:03:00 [loader.py:1] {SAID}", "INFO", "", "loader.py"),
        (f"2月 16 10:03:00 node7 python3[2814]: INFO 02-16 10:03:00 [loader.py:1] {SAID}", "INFO", "", "loader.py"),
        (f"июн 16 10:03:00 node7 python3[2814]: INFO 02-16 10:03:00 [loader.py:1] {SAID}", "INFO", "", "loader.py"),
        (f"my-own-prefix INFO 02-16 10:03:00 [loader.py:1] {SAID}", "INFO", "", "loader.py"),
        (
            f"ERROR:    (Worker_TP1 pid=3) ERROR 10-11 22:28:17 [loader.py:694] {SAID}",
            "ERROR",
            "Worker_TP1 3",
            "loader.py",
        ),
        (f"#033[2m#033[33m(raylet)#033[0m {SAID}", "", "raylet", ""),
        (f"[rank0]: {SAID}", "", "rank0", ""),
        (f"rank1]: {SAID}", "", "rank1", ""),
        (f"INFO:     {SAID}", "INFO", "", ""),
        (f"WARNING:root:{SAID}", "WARNING", "", ""),
        (f"2025-05-14 17:45:10.901 uvicorn.error INFO:     {SAID}", "INFO", "", ""),
        (f"2026-02-02 18:12:48,886 some.module 1 ERROR    {SAID}", "ERROR", "", ""),
        (f"2024-11-22 02:50:27 | ERROR | stderr | {SAID}", "ERROR", "", ""),
        (f"2024-11-22 02:50:27.123 | INFO     | launcher:start:12 - {SAID}", "INFO", "", ""),
        (f">   | [2024-09-05T00:38:34Z] DEBUG 09-04 17:38:34 loader.py:64] {SAID}", "DEBUG", "", "loader.py"),
    ],
)
def test_prefix_is_undone(line: str, level: str, process: str, file: str) -> None:
    piece = only(line)
    assert (piece.text, piece.level, piece.process, piece.file) == (SAID, level, process, file)


@pytest.mark.parametrize(
    "envelope",
    [
        {"log": "{line}\n", "stream": "stderr", "time": "2025-02-16T10:03:00.1Z"},
        {"labels": {"app": "vllm"}, "line": "{line}", "timestamp": "2025-02-16T10:03:00Z"},
        {"timestamp": 1739700180000, "message": "{line}", "ingestionTime": 1739700181000},
        {"date": 1739700180.1, "stream": "stdout", "log": "{line}", "kubernetes": {"pod_name": "qwen-0"}},
        {"@timestamp": "2025-02-16T10:03:00Z", "message": "{line}"},
        {"__REALTIME_TIMESTAMP": "1739700180000000", "MESSAGE": "{line}", "_SYSTEMD_UNIT": "vllm.service"},
        {"events": [{"timestamp": 1, "message": "{line}"}]},
        {
            "status": "success",
            "data": {"resultType": "streams", "result": [{"stream": {}, "values": [["1739700180", "{line}"]]}]},
        },
    ],
)
def test_json_around_a_line_is_undone(envelope: dict[str, Any]) -> None:
    text = json.dumps(envelope).replace("{line}", f"(EngineCore pid=7) INFO 02-16 10:03:00 [loader.py:1] {SAID}")
    piece = only(text)
    assert (piece.text, piece.level, piece.process, piece.file_line) == (SAID, "INFO", "EngineCore 7", 1)


def test_vllm_json_log() -> None:
    piece = only(
        json.dumps(
            {
                "asctime": "02-16 10:03:00",
                "levelname": "INFO",
                "name": "vllm.loader",
                "processName": "EngineCore",
                "process": 7,
                "message": SAID,
            }
        )
    )
    assert (piece.text, piece.level, piece.process) == (SAID, "INFO", "EngineCore 7")
    assert piece.clock == only("INFO 02-16 10:03:00 loader.py:1] x").clock


@pytest.mark.parametrize(
    "text",
    [
        '{"object":"error","message":"At most 1 image(s) may be provided in one request.","code":400}',
        "transformers | 4.48.3",
        "| NVIDIA-SMI 535.261.03   Driver Version: 535.261.03 |",
        "    raise ValueError(",
        "Mon Feb 16 10:03:00 2025",
        "{'image': 16384}",
    ],
)
def test_what_is_no_prefix_stays(text: str) -> None:
    assert only(text).text == text


def test_indentation_of_a_traceback_survives_prefixes() -> None:
    assert only('vllm-1  |   File "/x.py", line 3, in f').text == '  File "/x.py", line 3, in f'
    assert only('(Worker pid=1)   File "/x.py", line 3, in f').text == '  File "/x.py", line 3, in f'


def test_fences_say_nothing() -> None:
    assert not list(pieces(RawLine(1, "```text")))
    assert not list(pieces(RawLine(1, "~~~~")))


def test_nothing_that_moves_a_terminal_is_left() -> None:
    said = "a\x1b]0;owned\x07b\x1b[2Jc\x1b[31;1md\x08e\u202ef\u2028g\x9b31mh"
    assert clean(said) == "abcdefg31mh"


@given(st.text(max_size=300))
def test_any_line_gives_printable_pieces(text: str) -> None:
    for piece in pieces(RawLine(1, clean(text))):
        assert "\n" not in piece.text
        assert not any(ord(letter) < 0x20 and letter != "\t" for letter in piece.text)


@given(
    st.recursive(
        st.none() | st.text(max_size=20) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["log", "message", "data", "result", "values", "events", "levelname", "time"]),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_json_is_survived(value: object) -> None:
    list(pieces(RawLine(1, json.dumps(value))))
