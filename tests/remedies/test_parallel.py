"""Sizes that fit, at their edges."""

from __future__ import annotations

import pytest

from qvl_doctor.model import Fact
from qvl_doctor.remedies import parallel


def facts(**known: object) -> dict[str, Fact]:
    return {name: Fact(value) for name, value in known.items()}


@pytest.mark.parametrize(
    ("whole", "parts", "tp"),
    [
        ("28", "8", "4"),  # seven would divide, too, but not the four key/value heads
        ("40", "3", "2"),
        ("4", "3", "2"),
        ("3", "2", "1"),
        ("25", "4", "1"),
        ("3420", "8", "4"),
        ("64", "6", "4"),
        ("64", "5", "4"),
        ("64", "4", "2"),  # below what was asked, even where the division would work
    ],
)
def test_tensor_parallel_size_divides_the_heads(whole: str, parts: str, tp: str) -> None:
    assert parallel.tensor_parallel_for_heads({"whole": whole, "parts": parts}, {}) == {"tp": tp}


@pytest.mark.parametrize("parts", ["1", "0", "", "many", "9" * 40, "²"])
def test_without_a_size_there_is_no_help(parts: str) -> None:
    values = {"whole": "28", "parts": parts}
    assert parallel.tensor_parallel_for_heads(values, {}) is None
    assert parallel.pipeline_stages_for_heads(values, {}) is None


@pytest.mark.parametrize(
    ("whole", "parts", "stages"),
    [
        ("28", "8", {"tp": "4", "pp": "2"}),
        ("25", "4", {"tp": "1", "pp": "4"}),
        ("28", "12", {"tp": "4", "pp": "3"}),
        ("4", "3", None),  # two GPUs and one that is left over
        ("40", "12", None),
    ],
)
def test_stages_use_the_other_gpus(whole: str, parts: str, stages: dict[str, str] | None) -> None:
    assert parallel.pipeline_stages_for_heads({"whole": whole, "parts": parts}, {}) == stages


@pytest.mark.parametrize(
    ("gpus", "stages", "tp"),
    [
        ("8", None, "8"),
        ("3", None, "2"),
        ("1", None, "1"),
        ("8", 2, "4"),
        ("6", 2, "2"),
        ("2", 2, "1"),
        ("1", 2, None),
        ("0", None, None),
        ("x", None, None),
    ],
)
def test_tensor_parallel_size_fits_the_gpus(gpus: str, stages: int | None, tp: str | None) -> None:
    known = facts(pipeline_parallel_size=stages) if stages else {}
    assert parallel.tensor_parallel_for_gpus({"gpus": gpus}, known) == ({"tp": tp} if tp else None)


@pytest.mark.parametrize(
    ("part", "group", "present", "tp"),
    [
        ("3696", "128", 8, "1"),  # Qwen2.5-VL-72B: 29568 = 231 groups of 128
        ("7392", "128", 4, "1"),
        ("2368", "128", 8, "4"),  # 18944 = 148 groups of 128
        ("100", "128", 4, None),  # not even the whole is a number of groups
        ("96", "64", 2, "1"),
    ],
)
def test_shards_are_whole_groups(part: str, group: str, present: int, tp: str | None) -> None:
    known = facts(tensor_parallel_size=present)
    values = {"part": part, "group": group, "shard": "input_size_per_partition"}
    assert parallel.tensor_parallel_for_groups(values, known) == ({"tp": tp} if tp else None)


def test_shards_need_the_present_size() -> None:
    values = {"part": "96", "group": "64", "shard": "input_size_per_partition"}
    assert parallel.tensor_parallel_for_groups(values, {}) is None
    assert parallel.tensor_parallel_for_groups({**values, "group": "0"}, facts(tensor_parallel_size=2)) is None
    assert parallel.tensor_parallel_for_groups(values, facts(tensor_parallel_size=1)) is None


@pytest.mark.parametrize("shard", ["output_size_per_partition", "output_partition_size", ""])
def test_shards_that_may_be_replicated_give_no_whole(shard: str) -> None:
    values = {"part": "64", "group": "128", "shard": shard}
    assert parallel.tensor_parallel_for_groups(values, facts(tensor_parallel_size=8)) is None


def test_experts_that_are_spread_otherwise_give_no_whole() -> None:
    values = {"part": "96", "group": "128", "shard": "input_size of down's weight"}
    assert parallel.tensor_parallel_for_groups(values, facts(tensor_parallel_size=8)) == {"tp": "2"}
    assert parallel.tensor_parallel_for_groups(values, facts(tensor_parallel_size=8, data_parallel_size=2)) is None
    assert (
        parallel.tensor_parallel_for_groups(
            values, facts(tensor_parallel_size=8, args={"enable_expert_parallel": True})
        )
        is None
    )


def test_other_divisors_than_powers_of_two_may_not_go_with_the_heads() -> None:
    values = {
        "part": "64",
        "group": "128",
        "shard": "input_size_per_partition",
    }  # three key/value heads go with 6 and 3, not with 2
    assert parallel.tensor_parallel_for_groups(values, facts(tensor_parallel_size=6)) == {"tp": "1"}


@pytest.mark.parametrize(
    ("whole", "parts", "present", "stages"),
    [
        ("28", "8", 2, {"tp": "4", "pp": "4"}),  # 16 GPUs before and after
        ("4", "3", 2, {"tp": "2", "pp": "3"}),  # six GPUs, none left over
        ("4", "3", 1, None),
    ],
)
def test_stages_that_exist_are_counted(whole: str, parts: str, present: int, stages: dict[str, str] | None) -> None:
    assert (
        parallel.pipeline_stages_for_heads({"whole": whole, "parts": parts}, facts(pipeline_parallel_size=present))
        == stages
    )


def test_stages_instead_of_shards() -> None:
    assert parallel.pipeline_instead_of_tensor({}, facts(tensor_parallel_size=4)) == {"gpus": "4"}
    assert parallel.pipeline_instead_of_tensor({}, facts(tensor_parallel_size=4, pipeline_parallel_size=2)) == {
        "gpus": "8"
    }
    assert parallel.pipeline_instead_of_tensor({}, facts(tensor_parallel_size=1)) is None
    assert parallel.pipeline_instead_of_tensor({}, {}) is None


@pytest.mark.parametrize(
    ("rank", "release", "allowed"),
    [
        ("32", None, "32"),
        ("33", None, "64"),
        ("1", None, "8"),
        ("257", None, "320"),
        ("512", "0.11.0", "512"),
        ("513", "0.11.0", None),
        ("256", "0.7.3", "256"),
        ("257", "0.7.3", None),
        ("257", "0.8.0", "320"),
        ("257", "unreadable", "320"),
        ("", None, None),
        ("0", None, None),
    ],
)
def test_lora_rank_is_the_next_allowed_value(rank: str, release: str | None, allowed: str | None) -> None:
    known = facts(vllm=release) if release else {}
    assert parallel.lora_rank({"rank": rank}, known) == ({"max_lora_rank": allowed} if allowed else None)
