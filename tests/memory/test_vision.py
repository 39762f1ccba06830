"""Tokens of images and videos by each family's rules, and the dummies that a profile run makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_shapes import ARTICLE_CARD, model, serve

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory.encoder import dummies, largest_image, largest_items
from qvl_doctor.memory.vision import (
    Item,
    best_resolution,
    closest_grid,
    image,
    limits,
    resize_video,
    sliced_grid,
    smart_resize,
    video,
)

QWEN2, QWEN3 = "Qwen2.5-VL-7B-Instruct", "Qwen3-VL-8B-Instruct"
FAMILIES = [
    QWEN2,
    QWEN3,
    "Qwen2-VL-7B-Instruct",
    "InternVL3-8B",
    "llava-1.5-7b-hf",
    "llava-v1.6-mistral-7b-hf",
    "llava-onevision-qwen2-7b-ov-hf",
    "gemma-3-27b-it",
    "Mistral-Small-3.1-24B-Instruct-2503",
    "GLM-4.1V-9B-Thinking",
    "MiniCPM-V-2_6",
    "Kimi-VL-A3B-Instruct",
    "Llama-4-Scout",
]


@pytest.mark.parametrize(
    ("name", "width", "height", "tokens"),
    [
        # 1036 × 2044 is 37 × 73 squares of 28 pixels.
        (QWEN2, 1024, 2048, 37 * 73),
        (QWEN2, 28, 28, 4),  # no smaller than 3136 pixels
        (QWEN2, 9_999_999, 9_999_999, 16384),
        # 32-pixel squares: 1920 × 1080 becomes 1920 × 1088.
        (QWEN3, 1920, 1080, 60 * 34),
        (QWEN3, 9_999_999, 9_999_999, 16384),
        # 16:9 is nearest to 2:1 with up to 12 tiles; 2 tiles and the overview.
        ("InternVL3-8B", 896, 448, 3 * 256),
        ("InternVL3-8B", 448, 448, 256),
        ("InternVL3-8B", 4000, 3000, 13 * 256),
        ("llava-1.5-7b-hf", 5000, 100, 576),
        # 672 × 672: 48 × 48 features, 48 newlines, and the overview of 576.
        ("llava-v1.6-mistral-7b-hf", 672, 672, 576 + 48 * 48 + 48),
        ("gemma-3-27b-it", 8000, 10, 256),
        ("Mistral-Small-3.1-24B-Instruct-2503", 1540, 1540, 3025),
        ("Mistral-Small-3.1-24B-Instruct-2503", 3080, 1540, 28 * 55),
        ("Mistral-Small-3.1-24B-Instruct-2503", 100, 100, 16),
        ("MiniCPM-V-2_6", 448, 448, 64),
        ("MiniCPM-V-2_6", 4480, 4480, 640),
        ("Kimi-VL-A3B-Instruct", 1024, 1024, 33 * 33),
        ("GLM-4.1V-9B-Thinking", 9_999_999, 9_999_999, 78 * 78),
    ],
)
def test_tokens_of_an_image(name: str, width: int, height: int, tokens: int) -> None:
    assert image(model(name), width, height).tokens == tokens


def test_tokens_of_a_video() -> None:
    """Two frames of Qwen2.5-VL take the tokens of one image; all frames of Qwen3-VL together have a limit."""
    assert video(model(QWEN2), 280, 280, 8).tokens == 4 * 100
    assert video(model(QWEN2), 280, 280, 7).tokens == 4 * 100
    assert video(model(QWEN3), 3200, 3200, 64).tokens <= 12288
    assert video(model(QWEN3), 320, 320, 8).tokens == 4 * 100


@pytest.mark.parametrize(
    ("overrides", "tokens"),
    [({"max_pixels": 1280 * 784}, 1225), ({"size": {"longest_edge": 784_000}}, 961), ({}, 16384)],
)
def test_processor_arguments_cap_an_image(overrides: dict[str, Any], tokens: int) -> None:
    assert image(model(QWEN2), 9000, 9000, overrides).tokens == tokens


def test_what_is_no_limit_is_ignored() -> None:
    vision = model(QWEN2).vision
    assert vision is not None
    for nonsense in ({"max_pixels": "many"}, {"max_pixels": True}, {"max_pixels": -1}, {"size": 7}, {"fps": 2}):
        assert limits(vision, nonsense) == limits(vision)


@pytest.mark.parametrize(("width", "height"), [(0, 10), (-5, 5), (10**8, 10), (30000, 10)])
def test_sizes_that_are_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match="pixels"):
        image(model(QWEN2), width, height)


def test_a_text_model_takes_no_images() -> None:
    with pytest.raises(ValueError, match="takes no images"):
        image(model("Qwen3-8B"), 10, 10)


def test_llava_onevision_has_images_that_are_larger_than_what_is_profiled() -> None:
    """An image is made smaller only from 1.1 times the tiles' patches on. No size of the grid is just below that."""
    shape, settings, _ = serve("llava-onevision-qwen2-7b-ov-hf", ARTICLE_CARD, (0, 19, 0))
    assert image(shape, 769, 1153).tokens == 8721
    assert largest_image(shape, settings).tokens == 8154


SIDES = st.integers(min_value=30, max_value=5000)


#: Families whose largest image vLLM finds; for the others it profiles a square or a size of the grid, and some images
#: are larger.
BOUNDED = [name for name in FAMILIES if not name.startswith(("llava-onevision", "Kimi-VL", "GLM"))]


@given(st.sampled_from(BOUNDED), SIDES, SIDES)
def test_an_image_is_never_larger_than_the_largest(name: str, width: int, height: int) -> None:
    shape, settings, _ = serve(name, ARTICLE_CARD, (0, 19, 0))
    found = image(shape, width, height)
    assert 0 < found.tokens <= largest_image(shape, settings).tokens
    assert found.patches > 0
    assert found.pixels > 0


@given(SIDES, SIDES, st.integers(10, 20_000))
def test_fewer_pixels_are_never_more_tokens(width: int, height: int, most: int) -> None:
    small, large = (image(model(QWEN2), width, height, {"max_pixels": most * times * 784}).tokens for times in (1, 2))
    assert small <= large


@given(SIDES, SIDES, st.sampled_from([28, 32]))
def test_a_resized_image_keeps_the_bounds_and_the_unit(height: int, width: int, unit: int) -> None:
    tall, wide = smart_resize(height, width, unit, 3136, 1_003_520)
    assert tall % unit == wide % unit == 0
    assert tall * wide <= 1_003_520 or unit in {tall, wide}


def test_grids_and_resolutions() -> None:
    assert closest_grid(448, 448, 448, 1, 12) == (1, 1)
    assert closest_grid(4480, 448, 448, 1, 12) == (10, 1)
    assert closest_grid(100, 100, 448, 1, 10**9)[0] <= 8  # bounded, whatever a config says
    assert sliced_grid(448, 448, 448, 9) == (1, 1)
    assert sliced_grid(1344, 1344, 448, 9) == (3, 3)
    assert best_resolution(1000, 300, [(336, 672), (672, 336), (336, 1008)]) == (336, 1008)
    assert resize_video(2, 100, 100, 32, (4096, 25_165_824)) == (96, 96)


def of(name: str, release: Release, **flags: Any) -> Any:
    shape, settings, _ = serve(name, ARTICLE_CARD, release, **flags)
    return dummies(shape, settings)


def test_v1_runs_the_largest_modality_alone() -> None:
    made = of(QWEN2, (0, 19, 0))
    assert set(made.ran) == {"video"}
    assert made.items == 1
    assert of(QWEN2, (0, 19, 0), limits={"image": 1, "video": 0}).largest == {"image": 16384}
    assert of(QWEN2, (0, 19, 0), limits={"image": 0, "video": 0}).ran == {}
    assert of(QWEN2, (0, 19, 0), skip_encoder_profile=True).ran == {}


def test_small_items_fill_the_budget() -> None:
    shape, settings, _ = serve("gemma-3-4b-it", "H100", (0, 19, 0), max_model_len=8192)
    made = dummies(shape, settings)
    assert (made.budget, made.items, made.total) == (8192, 32, Item(8192, 131072, 77070336))


def test_a_budget_that_is_no_multiple_is_rounded_up_until_0_9() -> None:
    shape, _, _ = serve("Mistral-Small-3.1-24B-Instruct-2503", "H100", (0, 19, 0))
    for release, items in (((0, 9, 2), 3), ((0, 10, 0), 2)):
        _, settings, _ = serve(
            "Mistral-Small-3.1-24B-Instruct-2503", "H100", release, max_model_len=8192, limits={"image": 9}
        )
        assert dummies(shape, settings).items == items


def test_dummy_videos_are_as_long_as_the_batch_until_0_11() -> None:
    """So that only one frame runs, whatever the budget says."""
    assert of(QWEN2, (0, 10, 2)).total.tokens == 16384
    assert of(QWEN2, (0, 11, 0)).total.tokens == 114688


def test_qwen3_counts_its_videos_12_5_times_in_0_11_and_0_12() -> None:
    for release, tokens in (((0, 11, 0), 153600), ((0, 12, 0), 153600), ((0, 13, 0), 12288)):
        shape, settings, _ = serve(QWEN3, ARTICLE_CARD, release)
        assert largest_items(shape, settings)["video"] == tokens
    assert of(QWEN3, (0, 11, 0)).padded
    assert not of(QWEN3, (0, 13, 0)).padded


def test_v0_drops_dummies_until_0_8_3_and_then_grows_the_sequence() -> None:
    flags: dict[str, Any] = {"engine": "V0", "max_model_len": 4096}
    early, late = of(QWEN2, (0, 8, 2), **flags), of(QWEN2, (0, 8, 3), **flags)
    assert early.dropped
    assert early.tokens == 5120
    assert not late.dropped
    assert late.tokens == 2 * 16384


def test_the_shape_that_uses_all_pixels_counts_from_0_13_on() -> None:
    """1280 squares are no square number: 35 × 35 until 0.12, 32 × 40 from then on."""
    for release, tokens in (((0, 12, 0), 1225), ((0, 13, 0), 1280)):
        shape, settings, _ = serve(QWEN2, ARTICLE_CARD, release, processor={"max_pixels": 1280 * 784})
        assert largest_image(shape, settings).tokens == tokens
