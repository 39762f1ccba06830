"""What became of a refused flag, and JSON out of values that were written another way."""

from __future__ import annotations

import json

import pytest

from qvl_doctor.model import Fact, Facts
from qvl_doctor.remedies import find
from qvl_doctor.remedies.flags import json_from_pairs, refused_flag


def known(vllm: str = "") -> Facts:
    return {"vllm": Fact(vllm)} if vllm else {}


def fate(arguments: str, vllm: str = "") -> dict[str, str]:
    return dict(refused_flag({"arguments": arguments}, known(vllm)) or {})


def test_rules_find_both_by_name() -> None:
    assert find("refused_flag") is refused_flag
    assert find("json_from_pairs") is json_from_pairs


@pytest.mark.parametrize(
    ("flag", "vllm", "expected", "release"),
    [
        ("--swap-space", "0.18.0", "gone", "0.17.1"),
        ("--swap-space", "0.17.1", "elsewhere", ""),
        ("--swap-space", "", "gone", "0.17.1"),
        ("--disable-log-requests", "0.17.0", "gone", "0.16.0"),
        ("--task", "0.32.0", "gone", "0.12.0"),
        ("--device", "0.10.0", "gone", "0.9.2"),
        ("--structured-outputs-config.backend", "0.10.2", "later", ""),
        ("--structured-outputs-config.backend", "0.11.0", "elsewhere", ""),
        ("--mm-processor-cache-gb", "", "later", ""),
        ("--max-model-len", "", "elsewhere", ""),
        ("--no-enable-prefix-caching", "0.11.0", "elsewhere", ""),
        ("--max-model-length", "0.11.0", "misspelt", ""),
        ("--harbour-depth", "0.11.0", "unknown", ""),
    ],
)
def test_the_fate_of_a_flag_depends_on_the_release(flag: str, vllm: str, expected: str, release: str) -> None:
    found = fate(flag, vllm)
    assert found["fate"] == expected
    assert found.get("last", "") == release


def test_a_flag_that_comes_later_is_named_with_its_release() -> None:
    assert fate("--mm-processor-cache-gb 0", "0.9.2")["first"] == "0.10.1"


def test_a_near_miss_is_never_a_flag_that_is_gone() -> None:
    assert fate("--swap-spaces 4", "0.33.0").get("near") != "--swap-space"


def test_underscores_and_equals_signs_are_understood() -> None:
    found = fate("--swap_space=4", "0.20.0")
    assert (found["flag"], found["value"], found["gone"], found["bare"]) == ("--swap-space", "4", "--swap-space", "no")


def test_all_refused_flags_are_taken_away() -> None:
    found = fate("--swap-space 4 --disable-log-requests --swap-space 8", "0.20.0")
    assert found["gone"] == "--swap-space --disable-log-requests"
    assert found["others"] == "--disable-log-requests"


@pytest.mark.parametrize(
    ("arguments", "vllm", "expected"),
    [
        ("--guided-decoding-backend xgrammar", "0.11.0", ("--structured-outputs-config.backend", "xgrammar", "no")),
        ("--worker-use-ray", "0.7.0", ("--distributed-executor-backend", "ray", "no")),
        ("--disable-mm-preprocessor-cache", "0.13.0", ("--mm-processor-cache-gb", "0", "no")),
        ("--disable-log-requests", "0.17.0", ("--no-enable-log-requests", "", "yes")),
        ("--guided-decoding-disable-fallback", "0.11.0", ("--structured-outputs-config.disable_fallback", "", "yes")),
    ],
)
def test_a_flag_that_moved_keeps_its_value(arguments: str, vllm: str, expected: tuple[str, str, str]) -> None:
    found = fate(arguments, vllm)
    assert (found["new_flag"], found.get("new_value", ""), found["bare"]) == expected


def test_a_new_flag_that_the_release_does_not_have_is_not_offered() -> None:
    assert "new_flag" not in fate("--cuda-graph-sizes 8", "0.8.5")  # --cudagraph-capture-sizes came with 0.11.1


def test_a_flag_without_heir_is_only_taken_away() -> None:
    assert "new_flag" not in fate("--swap-space 4", "0.20.0")


@pytest.mark.parametrize(
    "arguments", ["--task embed", "--enable-reasoning", "--rope-theta 1e6", "--speculative-model a/b"]
)
def test_what_moved_into_something_larger_is_not_simply_renamed(arguments: str) -> None:
    assert "new_flag" not in fate(arguments, "0.20.0")


def test_a_dash_is_no_hyphen() -> None:
    assert fate("\u2013max-model-len 4096") == {
        "fate": "dashed",
        "flag": "\u2013max-model-len",
        "near": "--max-model-len",
        "value": "4096",
    }
    assert fate("\u2014tensor-parallel-size 2")["near"] == "--tensor-parallel-size"


@pytest.mark.parametrize(
    ("arguments", "near", "value"),
    [
        ("--torch-dtype float16", "--dtype", "float16"),
        ("--max_batch_size 8", "--max-num-seqs", "8"),
        ("--lora-path /data/a", "--lora-modules", "adapter=/data/a"),
        ("--lora-path sql=/data/a", "--lora-modules", "sql=/data/a"),
        ("--disable-cuda-graph", "--enforce-eager", None),
    ],
)
def test_the_flag_of_another_server_is_named_as_vllm_names_it(arguments: str, near: str, value: str | None) -> None:
    found = fate(arguments)
    assert (found["fate"], found["near"], found.get("near_value")) == ("misspelt", near, value)


def test_a_word_behind_a_switch_is_no_flag() -> None:
    assert fate("True") == {"fate": "word", "word": "True"}


@pytest.mark.parametrize("arguments", ["", "   "])
def test_nothing_is_said_about_nothing(arguments: str) -> None:
    assert refused_flag({"arguments": arguments}, {}) is None


@pytest.mark.parametrize(
    "arguments", ["--" + "a" * 10_000, "-- --", "--x=" + "\u2013" * 5000, "\x00\x1b[31m --\u00e9", "--a " * 100_000]
)
@pytest.mark.parametrize("vllm", ["", "no version", "0.11.0"])
def test_any_text_is_survived(arguments: str, vllm: str) -> None:
    found = fate(arguments, vllm)
    assert found["fate"] in {"unknown", "word", "dashed", "misspelt"}
    assert all(len(value) < 5000 for value in found.values())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("image=1,video=0", {"image": 1, "video": 0}),
        ("image=5", {"image": 5}),
        ("{image: 1}", {"image": 1}),
        ("{image: 4, video: 0}", {"image": 4, "video": 0}),
        ("{'image': 2}", {"image": 2}),
        ("{fps: 0.5, do_resize: True}", {"fps": 0.5, "do_resize": True}),
        ("image=007", {"image": 7}),
    ],
)
def test_pairs_become_json(value: str, expected: dict[str, object]) -> None:
    found = json_from_pairs({"value": value}, {})
    assert found is not None
    assert json.loads(found["json"]) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "{}",
        "image",
        "image=",
        "image=one",
        "image=1,image=2",
        "{a: {b: 1}}",
        "image=1; rm",
        "=" * 5000,
        "a=1 " * 5000,
    ],
)
def test_what_is_no_plain_pair_is_left_to_the_reader(value: str) -> None:
    assert json_from_pairs({"value": value}, {}) is None
