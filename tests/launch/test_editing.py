"""A change is made in place, in the user's spelling, for the user's release, and never twice."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from qvl_doctor.launch.editing import edit
from qvl_doctor.launch.reading import read


def edited(words: str, flags: dict[str, Any], release: str = "") -> str:
    """The arguments after a change, which must not change when it is made again."""
    (command,) = read("vllm serve m " + words, release)
    once = edit(command, {"flags": flags}, release)
    assert edit(once, {"flags": flags}, release) == once
    assert list(once.words)[:2] == ["vllm", "serve"]
    return shlex.join(list(once.words)[2:])


@pytest.mark.parametrize(
    ("words", "flags", "after"),
    [
        ("--port 1", {"--max-model-len": 4096}, "m --port 1 --max-model-len 4096"),
        ("--max-model-len 8192 --port 1", {"--max-model-len": "4096"}, "m --max-model-len 4096 --port 1"),
        ("--max_model_len=8192", {"--max-model-len": 4096}, "m --max_model_len=4096"),
        ("--max-model 8192", {"--max-model-len": 4096}, "m --max-model 4096"),
        ("-tp 1 --port 1", {"--tensor-parallel-size": 2}, "m -tp 2 --port 1"),
        ("-O1", {"--compilation-config": 2}, "m -O2"),
        ("-tp1", {"--tensor-parallel-size": 2}, "m -tp 2"),
        # New ones are spelled as the others are.
        (
            "--gpu_memory_utilization=0.9 --max_num_seqs=1",
            {"--max-model-len": 1},
            "m --gpu_memory_utilization=0.9 --max_num_seqs=1 --max_model_len=1",
        ),
        # The last one counts; two of one flag become one.
        (
            "--port 1 --max-model-len 1 --dtype half --max-model-len 2",
            {"--max-model-len": 3},
            "m --port 1 --max-model-len 3 --dtype half",
        ),
        ("--swap-space 4 --port 1 --swap-space=5", {"--swap-space": None}, "m --port 1"),
        ("--port 1", {"--swap-space": None}, "m --port 1"),
        ("--max-model-len", {"--max-model-len": 3}, "m --max-model-len 3"),
        ("—max-model-len 5", {"--max-model-len": 3}, "m '—max-model-len' 3"),
        ("--served-model-name a b --port 1", {"--served-model-name": ["c"]}, "m --served-model-name c --port 1"),
        ("--served-model-name=a", {"--served-model-name": ["b", "c"]}, "m --served-model-name b c"),
        ("--middleware a --port 1 --middleware b", {"--middleware": ["c"]}, "m --middleware c --port 1"),
        ("--middleware a", {"--middleware": ["b", "c"]}, "m --middleware b --middleware c"),
        ("", {"--model": "n"}, "n"),
    ],
)
def test_values(words: str, flags: dict[str, Any], after: str) -> None:
    assert edited(words, flags) == after


def test_the_model_by_its_flag() -> None:
    (command,) = read("python -m vllm.entrypoints.openai.api_server --port 1 --model a")
    changed = edit(command, {"flags": {"--model": "b"}})
    assert changed.model == "b"
    assert list(changed.words)[3:] == ["--port", "1", "--model", "b"]


@pytest.mark.parametrize(
    ("words", "flags", "release", "after"),
    [
        ("", {"--enforce-eager": True}, "0.7.2", "m --enforce-eager"),
        ("--enforce-eager --port 1", {"--enforce-eager": True}, "0.7.2", "m --enforce-eager --port 1"),
        ("--enforce_eager --port 1", {"--enforce-eager": None}, "0.7.2", "m --port 1"),
        ("--no-enforce-eager --port 1", {"--enforce-eager": True}, "0.9.0", "m --enforce-eager --port 1"),
        ("--enforce-eager --port 1", {"--no-enforce-eager": True}, "0.9.0", "m --no-enforce-eager --port 1"),
        ("", {"--no-enable-prefix-caching": True}, "0.8.5", "m --no-enable-prefix-caching"),
        ("--enable_prefix_caching", {"--no-enable-prefix-caching": True}, "0.8.5", "m --no_enable_prefix_caching"),
        ("--no-enable-prefix-caching", {"--enable-prefix-caching": None}, "0.8.5", "m"),
        # Up to 0.8.4 it takes true or false; a switch that has no opposite is only taken away.
        ("", {"--no-enable-chunked-prefill": True}, "0.8.4", "m --enable-chunked-prefill False"),
        (
            "--enable-chunked-prefill",
            {"--no-enable-chunked-prefill": True},
            "0.8.4",
            "m --enable-chunked-prefill False",
        ),
        ("--enable-chunked-prefill False", {"--enable-chunked-prefill": True}, "0.8.4", "m --enable-chunked-prefill"),
        ("--enable-chunked-prefill", {"--no-enable-chunked-prefill": True}, "0.8.5", "m --no-enable-chunked-prefill"),
        ("--enforce-eager", {"--no-enforce-eager": True}, "0.7.2", "m"),
        ("", {"--enable-log-requests": False}, "0.11.0", "m --no-enable-log-requests"),
    ],
)
def test_switches(words: str, flags: dict[str, Any], release: str, after: str) -> None:
    assert edited(words, flags, release) == after


LIMIT = {"--limit-mm-per-prompt": {"image": "1", "video": "0"}}


@pytest.mark.parametrize(
    ("words", "release", "after"),
    [
        ("", "0.7.2", "image=1,video=0"),
        ("", "0.8.4", "image=1,video=0"),
        ("", "0.8.5", '{"image": 1, "video": 0}'),
        ("", "0.10.0", '{"image": 1, "video": 0}'),
        ("", "", '{"image": 1, "video": 0}'),
        ("image=5,video=5", "0.7.2", "image=1,video=0"),
        ("audio=2,image=5", "0.7.2", "audio=2,image=1,video=0"),
        # 0.8.5 to 0.9.2 take both: as the user has it.
        ("image=5", "0.9.2", "image=1,video=0"),
        ('{"image": 5}', "0.9.2", '{"image": 1, "video": 0}'),
        ("image=5", "0.10.0", '{"image": 1, "video": 0}'),
        ('{"image": 5, "audio": 2}', "0.7.2", "image=1,audio=2,video=0"),
        ('{"image":5}', "0.11.0", '{"image":1,"video":0}'),
        ("image=5", "", "image=1,video=0"),
        # Quotes that a word processor made, or Python's.
        ("{“image”: 5, “audio”: 2}", "0.11.0", '{"image": 1, "audio": 2, "video": 0}'),
        ("{'image': 5, 'audio': 2}", "0.11.0", '{"image": 1, "audio": 2, "video": 0}'),
        ("nonsense", "0.11.0", '{"image": 1, "video": 0}'),
    ],
)
def test_maps_are_merged_and_spelled_for_the_release(words: str, release: str, after: str) -> None:
    before = "--limit-mm-per-prompt " + shlex.quote(words) if words else ""
    assert edited(before, LIMIT, release) == "m --limit-mm-per-prompt " + shlex.quote(after)


def test_maps_in_maps() -> None:
    before = """--limit-mm-per-prompt '{"image": {"count": 5, "width": 100}, "video": 1}'"""
    after = edited(before, {"--limit-mm-per-prompt": {"image": {"count": "1"}}}, "0.12.0")
    assert after == """m --limit-mm-per-prompt '{"image": {"count": 1, "width": 100}, "video": 1}'"""


@pytest.mark.parametrize(
    ("words", "flags", "after"),
    [
        (
            "--limit-mm-per-prompt.image 5 --port 1",
            LIMIT,
            "m --limit-mm-per-prompt.image 1 --port 1 --limit-mm-per-prompt.video 0",
        ),
        ("--limit_mm_per_prompt.image=5", LIMIT, "m --limit_mm_per_prompt.image=1 --limit_mm_per_prompt.video=0"),
        ("--speculative-config.model a", {"--speculative-config.model": "b"}, "m --speculative-config.model b"),
        (
            "--speculative-config.model a --speculative-config.k 1",
            {"--speculative-config.k": None},
            "m --speculative-config.model a",
        ),
        (
            """--speculative-config '{"model": "a", "k": 1}'""",
            {"--speculative-config.k": None},
            """m --speculative-config '{"model": "a"}'""",
        ),
        (
            """--speculative-config '{"model": "a"}'""",
            {"--speculative-config.k": "2"},
            """m --speculative-config '{"model": "a", "k": 2}'""",
        ),
        ("", {"--speculative-config.model": "b"}, """m --speculative-config '{"model": "b"}'"""),
        ("--limit-mm-per-prompt.image 5 --port 1", {"--limit-mm-per-prompt": None}, "m --port 1"),
    ],
)
def test_dotted_flags(words: str, flags: dict[str, Any], after: str) -> None:
    assert edited(words, flags, "0.11.0") == after


def test_environment_and_image() -> None:
    (command,) = read("docker run -e A=1 -e B=2 vllm/vllm-openai:v0.8.5 --model m")
    changed = edit(
        command,
        {
            "env": {"A": None, "B": "3", "C": 4, "D": None},
            "image": "vllm/vllm-openai:v0.11.0",
            "pip": ["x"],
            "run": "y",
        },
    )
    assert changed.env == {"B": "3", "C": "4"}
    assert changed.image == "vllm/vllm-openai:v0.11.0"
    (plain,) = read("vllm serve m")
    assert edit(plain, {"image": "vllm/vllm-openai:v0.11.0"}).image is None
    patched = edit(edit(plain, {"pod": "shm-volume"}), {"pod": "shm-volume"})
    assert patched.pod == ("shm-volume",)
    assert list(patched.words) == list(plain.words)
