"""GPU memory: what fits, by the numbers of the log."""

from __future__ import annotations

from typing import Any

import pytest

from qvl_doctor.diagnose.derived import derive
from qvl_doctor.facts.table import names
from qvl_doctor.model import Fact
from qvl_doctor.remedies import gpu_memory

QWEN = "Qwen/Qwen2.5-VL-7B-Instruct"
ARTICLE = {"tried": "9.03 GiB", "total": "23.65 GiB", "free": "5.69 GiB"}


def known(**facts: Any) -> dict[str, Fact]:
    return {name: Fact(value, "log", 7) for name, value in facts.items()}


@pytest.mark.parametrize(
    ("text", "gib"),
    [
        ("9.03 GiB", 9.03),
        ("512.00 MiB", 0.5),
        ("1024 KiB", 1 / 1024),
        ("0 bytes", 0.0),
        ("20 bytes", 20 / 2**30),
        ("1 TiB", 1024),
        ("much", None),
        ("", None),
    ],
)
def test_sizes(text: str, gib: float | None) -> None:
    assert gpu_memory.in_gib(text) == gib


def test_the_request_of_the_article_is_one_layer_at_the_default_length() -> None:
    said = gpu_memory.out_of_memory(ARTICLE, known(oom_torch_allocated_gib=17.35, oom_torch_reserved_gib=0.149))
    assert (said["profile_tokens"], said["profile_width"]) == ("128000", "18944")
    assert said["others"] == "no"
    assert said["utilization_known"] == "no"


@pytest.mark.parametrize(
    ("tried", "facts", "expected"),
    [
        ("2.31 GiB", {"model": "Qwen/Qwen2-VL-7B-Instruct"}, ("32768", "18944")),
        ("4.52 GiB", {"model": QWEN, "tensor_parallel_size": 2}, ("128000", "9472")),
        ("2.31 GiB", {"model": QWEN, "max_model_len": 32768}, ("32768", "18944")),
        ("2.31 GiB", {"model": QWEN}, None),
        ("2.31 GiB", {"model": QWEN, "max_model_len": 32768, "vllm": "0.7.2"}, None),  # the memory model says more then
        ("9.05 GiB", {}, None),
        ("256.00 MiB", {}, None),  # small requests fit anything
    ],
)
def test_profile_products(tried: str, facts: dict[str, Any], expected: tuple[str, str] | None) -> None:
    said = gpu_memory.out_of_memory({"tried": tried}, known(**facts))
    assert (said.get("profile_tokens"), said.get("profile_width")) == (expected or (None, None))


@pytest.mark.parametrize(
    ("held", "others"),
    [(17.35, None), (13.97, None), (13.0, "4"), (2.0, "15")],
)
def test_what_others_hold(held: float, others: str | None) -> None:
    said = gpu_memory.out_of_memory(ARTICLE, known(oom_torch_allocated_gib=held))
    assert (said["others"], said.get("others_gib")) == (("yes" if others else "no"), others)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"gpu_memory_utilization": 0.95}, "0.88"),  # (1.74 - 0.59 + 0.5) / 23.57 = 0.07
        ({"args": {"model": QWEN}}, "0.83"),
        ({"args": {"model": QWEN}, "vllm": "0.20.1"}, "0.85"),
        ({}, None),
        ({"gpu_memory_utilization": 0.3}, None),
    ],
)
def test_lower_utilization(facts: dict[str, Any], expected: str | None) -> None:
    said = gpu_memory.out_of_memory({"tried": "1.74 GiB", "total": "23.57 GiB", "free": "605.88 MiB"}, known(**facts))
    assert said.get("lower_utilization") == expected
    assert said["utilization_known"] == ("yes" if expected else "no")


@pytest.mark.parametrize(
    ("sequences", "expected"), [("1024", "256"), ("256", "64"), ("2", "1"), ("1", None), ("abc", None)]
)
def test_fewer_sequences(sequences: str, expected: str | None) -> None:
    said = gpu_memory.out_of_memory({"sequences": sequences}, {})
    assert said.get("max_num_seqs") == expected


@pytest.mark.parametrize(
    ("length", "expected"), [(None, "4096"), (128000, "4096"), (5121, "4096"), (5120, None), (2048, None)]
)
def test_short_context(length: int | None, expected: str | None) -> None:
    said = gpu_memory.short_context({}, known(max_model_len=length) if length else {})
    assert said == (expected and {"max_model_len": expected})


@pytest.mark.parametrize(("batch", "expected"), [(8192, "4096"), (3000, "2048"), (2048, None), (512, None)])
def test_smaller_batch(batch: int, expected: str | None) -> None:
    assert gpu_memory.smaller_batch({}, known(max_num_batched_tokens=batch)) == (
        expected and {"batched_tokens": expected}
    )


@pytest.mark.parametrize(("ranks", "expected"), [(None, "2"), (2, "4"), (4, "8"), (8, None)])
def test_more_gpus(ranks: int | None, expected: str | None) -> None:
    said = gpu_memory.more_gpus({}, known(tensor_parallel_size=ranks) if ranks else {})
    assert said == (expected and {"gpus": expected})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"asked": "60000", "tokens": "58384"}, "58384"),
        ({"asked": "60000", "tokens": "58399"}, "58384"),
        ({"asked": "1048576", "estimate": "810208"}, "810208"),
        ({"asked": "32768", "needed": "3.50", "available": "2.80"}, "24896"),  # 26214, less 5 %
        ({"asked": "100000", "needed": "4.26", "available": "4.25"}, "94768"),
        ({"asked": "60000", "tokens": "255"}, None),
        ({"asked": "60000", "tokens": "70000"}, None),
        ({"asked": "60000", "needed": "3.5", "available": "0"}, None),
        ({"asked": "60000", "needed": "3.5", "available": "-1.2"}, None),
        ({"asked": "60000"}, None),
        ({}, None),
    ],
)
def test_length_that_fits(values: dict[str, str], expected: str | None) -> None:
    assert gpu_memory.length_that_fits(values, {}) == (expected and {"max_model_len": expected})


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, {"utilization": "0.95"}),
        (
            {"gpu_memory_utilization": 0.7, "total_gib": 23.65, "graphs_gib": 1.91},
            {"utilization": "0.89", "gain_gib": "4.5"},
        ),
        (
            {"gpu_memory_utilization": 0.7, "total_gib": 23.65, "enforce_eager": "yes"},
            {"utilization": "0.95", "gain_gib": "5.9"},
        ),
        ({"gpu_memory_utilization": 0.9, "total_gib": 14.56}, None),  # 1 - 1.5 / 14.56 = 0.89
        (
            {"gpu_memory_utilization": 0.9, "total_gib": 14.56, "vllm": "0.21.0"},
            {"utilization": "0.95", "gain_gib": "0.7"},
        ),
        ({"gpu_memory_utilization": 0.95}, None),
        (
            {"gpu_memory_utilization": 0.65, "total_gib": 23.65, "kv_gib": -1.03},
            {"utilization": "0.93", "gain_gib": "6.6"},
        ),
        ({"gpu_memory_utilization": 0.9, "total_gib": 23.65, "kv_gib": -9.72}, None),  # 0.7 GiB more are not enough
    ],
)
def test_more_utilization(facts: dict[str, Any], expected: dict[str, str] | None) -> None:
    assert gpu_memory.more_utilization({}, known(**facts)) == expected


@pytest.mark.parametrize(
    ("free", "total", "expected"),
    [
        ("31.44", "47.38", "0.65"),
        ("70.12", "79.25", "0.87"),
        ("2.00", "79.25", None),
        ("80", "79.25", None),
        ("", "79.25", None),
        ("0", "0", None),
    ],
)
def test_utilization_that_fits(free: str, total: str, expected: str | None) -> None:
    assert gpu_memory.utilization_that_fits({"free": free, "total": total}, {}) == (
        expected and {"utilization": expected}
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [("90", "0.90"), ("90.0", "0.90"), ("100", "0.95"), ("1.5", "0.90"), ("20GB", "0.90"), ("-1", "0.90")],
)
def test_as_fraction(given: str, expected: str) -> None:
    assert gpu_memory.as_fraction({"given": given}, {}) == {"utilization": expected}


def test_the_article_has_room_for_less_than_one_image() -> None:
    found = derive(known(model=QWEN, kv_tokens=2976))
    assert (found["image_tokens"].value, found["kv_below_image"]) == (16384, Fact("yes", "computed", 7))


def test_the_tokens_of_an_image_are_known_by_what_the_log_says_of_a_model_of_any_name() -> None:
    facts = known(
        model="org/some-ocr",
        kv_tokens=30000,
        encoder_modality="image",
        encoder_budget_tokens=14400,
        max_num_batched_tokens=8192,
    )
    assert derive(facts)["image_tokens"].value == 14400
    assert "image_tokens" not in derive(known(model="org/some-text", kv_tokens=30000))


@pytest.mark.parametrize(
    "facts",
    [
        {"model": QWEN, "kv_tokens": 16384},
        {"model": QWEN, "kv_tokens": 2976, "limit_mm_per_prompt": {"image": 0}},
        {"model": QWEN, "kv_tokens": 2976, "args": {"language_model_only": True}},
        {"model": "Qwen/Qwen2.5-7B-Instruct", "kv_tokens": 2976},
        {"model": QWEN},
    ],
)
def test_room_that_is_enough_or_not_needed(facts: dict[str, Any]) -> None:
    assert "kv_below_image" not in derive(known(**facts))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"oom_tried_gib": 74.16, "gpu_total_gib": 44.4, "oom_torch_allocated_gib": 13.44}, {"oom_above_card"}),
        ({"oom_tried_gib": 0.078, "gpu_total_gib": 139.72, "oom_torch_allocated_gib": 139.21}, {"oom_full_card"}),
        ({"oom_tried_gib": 9.03, "gpu_total_gib": 23.65, "oom_torch_allocated_gib": 17.35}, set()),
        (
            {"oom_tried_gib": 1.02, "gpu_total_gib": 14.56, "oom_torch_allocated_gib": 14.26, "weights_gib": 14.25},
            {"weights_fill_card"},
        ),
        ({"weights_gib": 15.63, "total_gib": 23.65}, set()),
        ({"oom_tried_gib": 9.03}, set()),
        ({"weights_gib": "many", "total_gib": None}, set()),
    ],
)
def test_kinds_of_running_out(facts: dict[str, Any], expected: set[str]) -> None:
    assert set(derive(known(**facts))) == expected <= names("derived")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 0, 10**30, "abc", None, [], {}, True])
def test_odd_facts_raise_nothing(value: Any) -> None:
    names = (
        "gpu_total_gib",
        "gpu_free_gib",
        "oom_tried_gib",
        "oom_torch_allocated_gib",
        "gpu_memory_utilization",
        "total_gib",
        "kv_gib",
        "max_num_seqs",
    )
    facts = known(
        **dict.fromkeys(names, value),
        model=QWEN,
        max_model_len=value,
        tensor_parallel_size=value,
        kv_tokens=value,
        weights_gib=value,
    )
    for remedy in (
        gpu_memory.out_of_memory,
        gpu_memory.more_utilization,
        gpu_memory.short_context,
        gpu_memory.smaller_batch,
        gpu_memory.more_gpus,
        gpu_memory.length_that_fits,
    ):
        said = remedy({"tried": "x", "asked": "9" * 40, "needed": "nan", "available": "1e9"}, facts)
        assert said is None or all(isinstance(text, str) for text in said.values())
    assert all(isinstance(fact, Fact) for fact in derive(facts).values())


def test_short_context_helps_only_where_the_length_decides() -> None:
    facts = {"max_model_len": Fact(40960), "chunked_prefill": Fact("yes")}
    assert gpu_memory.short_context({}, facts) is None
    assert gpu_memory.short_context({}, facts | {"chunked_prefill": Fact("no")}) == {"max_model_len": "4096"}


def test_smaller_batch_still_holds_a_prompt_without_chunked_prefill() -> None:
    facts = {"max_num_batched_tokens": Fact(16384), "max_model_len": Fact(16384), "chunked_prefill": Fact("no")}
    assert gpu_memory.smaller_batch({}, facts) is None
    assert gpu_memory.smaller_batch({}, facts | {"max_model_len": Fact(8192)}) == {"batched_tokens": "8192"}
    assert gpu_memory.smaller_batch({}, facts | {"chunked_prefill": Fact("yes")}) == {"batched_tokens": "8192"}
