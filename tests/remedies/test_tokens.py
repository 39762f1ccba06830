"""Tokens of images and videos: what they are, and what makes them fit."""

from __future__ import annotations

from typing import Any

import pytest

from qvl_doctor.model import Fact
from qvl_doctor.remedies import tokens

QWEN = "/models/qwen/Qwen2___5-VL-7B-Instruct"
THREE_AND_THREE = "{'image': 49152, 'video': 49152}"


def known(**facts: Any) -> dict[str, Fact]:
    return {name: Fact(value) for name, value in facts.items()}


def warning(have: int, need: int, reserved: str) -> dict[str, str]:
    return {"have": str(have), "need": str(need), "reserved": reserved}


@pytest.mark.parametrize(
    ("name", "family"),
    [
        (QWEN, "qwen2.5-vl"),
        ("Qwen/Qwen2-VL-2B-Instruct", "qwen2-vl"),
        ("Qwen/Qwen2.5-VL-72B-Instruct-AWQ", "qwen2.5-vl"),
        ("/data/qwen2_5_vl_7b_finetuned", "qwen2.5-vl"),
        ("Qwen/Qwen3-VL-30B-A3B-Instruct", "qwen3-vl"),
        ("Qwen/Qwen3-VL-Embedding-2B", ""),
        ("Qwen/Qwen2.5-7B-Instruct", ""),
        ("Qwen/Qwen2-Audio-7B", ""),
        ("OpenGVLab/InternVL2-8B", ""),
        ("", ""),
    ],
)
def test_family_by_name(name: str, family: str) -> None:
    assert tokens.family(known(model=name)) == family


@pytest.mark.parametrize(
    ("architecture", "family"),
    [
        ("Qwen2VLForConditionalGeneration", "qwen2-vl"),
        ("Qwen2_5_VLForConditionalGeneration", "qwen2.5-vl"),
        ("Qwen3VLMoeForConditionalGeneration", "qwen3-vl"),
        ("Qwen2ForCausalLM", ""),
    ],
)
def test_family_by_architecture(architecture: str, family: str) -> None:
    assert tokens.family(known(architecture=architecture, model="/models/x")) == family


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"model": QWEN}, 16384),
        ({"model": "Qwen/Qwen3-VL-8B-Instruct"}, 16384),
        ({"model": QWEN, "args": {"mm_processor_kwargs": {"max_pixels": 1003520}}}, 1280),
        (
            {
                "model": "Qwen/Qwen3-VL-8B-Instruct",
                "args": {"mm_processor_kwargs": {"size": {"longest_edge": 1310720}}},
            },
            1280,
        ),
        ({"model": QWEN, "args": {"mm_processor_kwargs": "not JSON"}}, 16384),
        ({"mm_reserved": "{'image': 7290}", "limit_mm_per_prompt": {"image": 2}}, 3645),
        ({"encoder_modality": "image", "encoder_budget_tokens": 16384, "max_num_batched_tokens": 2048}, 16384),
        ({"encoder_modality": "image", "encoder_budget_tokens": 32768, "max_num_batched_tokens": 32768}, None),
        ({"encoder_modality": "video", "encoder_budget_tokens": 114688, "max_num_batched_tokens": 2048}, None),
        ({"model": "llava-hf/llava-1.5-7b-hf"}, None),
        ({}, None),
    ],
)
def test_tokens_of_one_image(facts: dict[str, Any], expected: int | None) -> None:
    assert tokens.image_tokens(known(**facts)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"image": 5, "video": 0}, {"image": 5, "video": 0}),
        ({"image": {"count": 3, "width": 512}}, {"image": 3}),
        ("image=5,video=0", {"image": 5, "video": 0}),
        ("", {}),
    ],
)
def test_limits_in_every_spelling(value: Any, expected: dict[str, int]) -> None:
    assert tokens.limits(known(limit_mm_per_prompt=value)) == expected


def test_worst_case_item_by_item() -> None:
    said = tokens.worst_case(warning(5120, 98304, THREE_AND_THREE), {})
    assert said == {"tokens_each": "16384", "images": "3", "reserved_shown": "image 49152, video 49152"}


def test_worst_case_of_a_model_that_is_not_known_names_no_items() -> None:
    assert tokens.worst_case(warning(4096, 7290, "{'image': 7290}"), known(model="a/b")) == {
        "reserved_shown": "image 7290"
    }


def test_worst_case_counts_one_image_where_the_v0_command_sets_no_limit() -> None:
    said = tokens.worst_case(
        warning(4096, 7290, "{'image': 7290}"), known(model="a/b", engine="V0", args={"model": "a/b"})
    )
    assert (said["images"], said["tokens_each"]) == ("1", "7290")


def test_worst_case_says_nothing_of_nothing() -> None:
    assert tokens.worst_case({}, {}) == {}


@pytest.mark.parametrize(
    ("have", "reserved", "expected"),
    [
        (24576, "{'image': 16384, 'video': 16384}", {"need_left": "16384", "images": "1"}),
        (16896, "{'image': 16384, 'video': 16384}", {"need_left": "16384", "images": "1"}),
        (16895, "{'image': 16384, 'video': 16384}", None),  # no room for text
        (24576, "{'image': 16384}", None),  # there is no video
        (5120, THREE_AND_THREE, None),
        (0, "{'image': 16384, 'video': 16384}", None),
    ],
)
def test_video_off(have: int, reserved: str, expected: dict[str, str] | None) -> None:
    assert tokens.video_off(warning(have, 1, reserved), {}) == expected


@pytest.mark.parametrize(
    ("have", "reserved", "expected"),
    [
        (24576, "{'image': 81920}", {"images": "1", "need_left": "16384"}),
        (33280, "{'image': 81920}", {"images": "2", "need_left": "32768"}),
        (33279, "{'image': 81920}", {"images": "1", "need_left": "16384"}),
        (5120, "{'image': 81920}", None),  # not even one
        (24576, "{'image': 16384, 'video': 16384}", None),  # one is allowed and fits: video is what must go
    ],
)
def test_fewer_items(have: int, reserved: str, expected: dict[str, str] | None) -> None:
    assert tokens.fewer_items(warning(have, 1, reserved), {}) == expected


def test_one_item_longer_is_the_length_that_the_article_found() -> None:
    assert tokens.one_item_longer(warning(5120, 98304, THREE_AND_THREE), {}) == {
        "tokens_each": "16384",
        "max_model_len": "24576",
    }


@pytest.mark.parametrize(
    ("have", "facts"),
    [
        (24576, {}),  # one image fits
        (5120, {"chunked_prefill": "yes"}),  # the batch decides
        (5120, {"max_model_len": 32768}),  # the length is longer than the budget
        (5120, {"model": "llava-hf/llava-1.5-7b-hf"}),  # nobody knows its items
    ],
)
def test_one_item_longer_keeps_silent(have: int, facts: dict[str, Any]) -> None:
    assert tokens.one_item_longer(warning(have, 98304, THREE_AND_THREE), known(**facts)) is None


def test_image_size_for_tokens_is_a_multiple_of_the_patch_grid() -> None:
    said = tokens.image_size_for_tokens(warning(24576, 81920, "{'image': 81920}"), known(model=QWEN))
    assert said == {"image_tokens": "4800", "max_pixels": str(4800 * 28 * 28), "images": "5"}
    assert 5 * 4800 + 512 <= 24576


@pytest.mark.parametrize(
    ("have", "reserved", "facts"),
    [
        (1536, "{'image': 81920}", {}),  # less than 256 tokens an image
        (24576, "{'image': 16384}", {}),  # fits as it is
        (24576, "{'image': 81920}", {"model": "Qwen/Qwen3-VL-8B-Instruct"}),  # another unit
    ],
)
def test_image_size_for_tokens_keeps_silent(have: int, reserved: str, facts: dict[str, Any]) -> None:
    assert tokens.image_size_for_tokens(warning(have, 1, reserved), known(**facts)) is None


@pytest.mark.parametrize(
    ("need", "model", "expected"),
    [
        (81920, QWEN, "82944"),
        (98304, "", "99328"),
        (131072, QWEN, None),
        (131072, "", None),
        (32768, "Qwen/Qwen2-VL-7B", None),
        (0, "", None),
    ],
)
def test_token_budget_stays_within_the_model(need: int, model: str, expected: str | None) -> None:
    said = tokens.token_budget({"need": str(need)}, known(model=model))
    assert said == (expected and {"max_model_len": expected, "batched_tokens": expected})


def test_smaller_images_by_family() -> None:
    assert tokens.smaller_images({}, known(model=QWEN)) == {"image_tokens": "1280", "max_pixels": "1003520"}
    assert tokens.smaller_images({}, known(model="Qwen/Qwen3-VL-8B")) is None
    assert tokens.smaller_images_qwen3({}, known(model=QWEN)) is None
    edges = tokens.smaller_images_qwen3({}, known(model="Qwen/Qwen3-VL-8B"))
    assert edges == {"image_tokens": "1280", "shortest_edge": "65536", "longest_edge": "1310720"}


def test_images_that_are_small_already_are_left_alone() -> None:
    assert tokens.smaller_images({}, known(model=QWEN, args={"mm_processor_kwargs": {"max_pixels": 1003520}})) is None


def test_images_for_the_kv_cache_of_the_article() -> None:
    facts = known(model=QWEN, kv_tokens=2976, kv_blocks=186, block_size=16, concurrency_tokens=1024)
    assert tokens.images_for_kv({}, facts) == {"image_tokens": "768", "max_pixels": "602112"}
    assert tokens.kv_and_image({}, facts) == {
        "kv_shown": "2,976",
        "image_shown": "16,384",
        "kv_blocks": "186",
        "block_size": "16",
        "length_shown": "1,024",
    }


def test_no_image_size_is_offered_where_text_would_not_be_legible() -> None:
    assert tokens.images_for_kv({}, known(model=QWEN, kv_tokens=320)) is None
    assert tokens.images_for_kv({}, known(model=QWEN)) is None


@pytest.mark.parametrize(
    ("asked", "limit", "model", "expected"),
    [
        ("42781", "40960", "", "44032"),
        ("17,772", "16384", QWEN, "19456"),
        ("163270", "128000", QWEN, None),  # beyond the model
        ("100", "40960", "", None),
        ("", "40960", "", None),
        ("9" * 30, "40960", "", None),
    ],
)
def test_longer_context(asked: str, limit: str, model: str, expected: str | None) -> None:
    said = tokens.longer_context({"asked": asked, "limit": limit}, known(model=model))
    assert said == (expected and {"max_model_len": expected})


def test_batch_for_item_rounds_up() -> None:
    assert tokens.batch_for_item({"item": "2496"}, {}) == {"batched_tokens": "2496"}
    assert tokens.batch_for_item({"item": "2497"}, {}) == {"batched_tokens": "2512"}
    assert tokens.batch_for_item({"item": "abc"}, {}) is None


@pytest.mark.parametrize(
    ("processor", "count", "expected"),
    [("Qwen2-VL", "4", "6144"), ("Qwen2-VL", "25", None), ("Qwen2-VL", "many", None), ("Idefics3", "4", None)],
)
def test_length_for_items_stays_within_qwen2_vl(processor: str, count: str, expected: str | None) -> None:
    said = tokens.length_for_items({"processor": processor, "count": count}, {})
    assert said == (expected and {"max_model_len": expected})


@pytest.mark.parametrize(
    ("given", "modalities"),
    [
        ({"image": 1024, "video": 2048}, "image video"),
        ({"image": 256, "video": 255}, "image"),
        ({"image": 255}, None),
        ({"--x y": 999}, None),
        ({}, None),
    ],
)
def test_limits_of_tokens(given: dict[str, int], modalities: str | None) -> None:
    facts = {"limit_mm_per_prompt": Fact(given)}
    assert tokens.limits_of_tokens({}, facts) == ({"modalities": modalities} if modalities else None)


def test_items_sent_takes_modalities_only() -> None:
    assert tokens.items_sent({"modality": "image", "sent": "3"}, {}) == {"modality": "image", "sent": "3"}
    assert tokens.items_sent({"modality": "image"}, {}) is None
    assert tokens.items_sent({"modality": "--x y", "sent": "3"}, {}) is None


def test_video_unused() -> None:
    assert tokens.video_unused({}, known(model=QWEN)) == {}
    assert tokens.video_unused({}, known(model=QWEN, limit_mm_per_prompt={"video": 0})) is None
    assert tokens.video_unused({}, known(model="Qwen/Qwen2.5-7B-Instruct")) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 10**30, "abc", None, [], {"a": 1}, True])
def test_odd_facts_raise_nothing(value: Any) -> None:
    names = (
        "kv_tokens",
        "max_model_len",
        "mm_have_tokens",
        "mm_need_tokens",
        "mm_reserved",
        "limit_mm_per_prompt",
        "args",
        "model",
        "encoder_budget_tokens",
    )
    facts = known(**dict.fromkeys(names, value))
    for remedy in (
        tokens.worst_case,
        tokens.video_off,
        tokens.fewer_items,
        tokens.one_item_longer,
        tokens.image_size_for_tokens,
        tokens.token_budget,
        tokens.images_for_kv,
        tokens.kv_and_image,
        tokens.video_unused,
    ):
        said = remedy({}, facts)
        assert said is None or all(isinstance(text, str) for text in said.values())
