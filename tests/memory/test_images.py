"""Images and videos on small towers: tokens, patches and numbers by hand, and each family's limits."""

from __future__ import annotations

from typing import Any

import pytest
from memory_shapes import PATCH, QWEN, seeing, shape_of, tower

from qvl_doctor.memory.shape import FULL, ModelShape
from qvl_doctor.memory.vision import (
    DEFAULTS,
    Item,
    best_resolution,
    closest_grid,
    image,
    limits,
    resize_video,
    sliced_grid,
    smart_resize,
    unpadded,
    video,
    with_processor,
)

# ---- Limits


@pytest.mark.parametrize(
    ("kind", "bounds"),
    [
        ("qwen2", {"min_pixels": 3136, "max_pixels": 12_845_056}),
        ("qwen2_5", {"min_pixels": 3136, "max_pixels": 12_845_056}),
        (
            "qwen3",
            {
                "min_pixels": 65_536,
                "max_pixels": 16_777_216,
                "video_min_pixels": 4096,
                "video_max_pixels": 25_165_824,
            },
        ),
        (
            "glm4v",
            {
                "min_pixels": 12_544,
                "max_pixels": 9_633_792,
                "video_min_pixels": 12_544,
                "video_max_pixels": 47_040_000,
            },
        ),
        ("intern", {"min_tiles": 1, "max_tiles": 12}),
        ("pixtral", {"longest_edge": 1024}),
        ("minicpm", {"scale": 448, "slices": 9}),
        ("moonvit", {"patch_limit": 4096}),
        ("llama4", {"max_tiles": 16}),
        ("siglip", {}),
    ],
)
def test_limits_of_a_family(kind: str, bounds: dict[str, int]) -> None:
    assert limits(tower(kind)) == bounds == dict(DEFAULTS.get(kind, {}))


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("min_pixels", "min_pixels"),
        ("max_pixels", "max_pixels"),
        ("shortest_edge", "min_pixels"),
        ("longest_edge", "max_pixels"),
        ("video_shortest_edge", "video_min_pixels"),
        ("video_longest_edge", "video_max_pixels"),
        ("max_dynamic_patch", "max_tiles"),
        ("min_dynamic_patch", "min_tiles"),
        ("max_slice_nums", "slices"),
        ("in_token_limit", "patch_limit"),
        ("num_crops", "max_tiles"),
    ],
)
def test_a_limit_by_the_name_that_a_processor_has_for_it(name: str, ours: str) -> None:
    for source in ({name: 77}, {"size": {name: 77}}, {name: 5, "size": {name: 77}}):
        assert limits(tower("siglip"), source) == {ours: 77}
        assert limits(tower("siglip", {"processor": source})) == {ours: 77}


def test_what_limits_may_be() -> None:
    for value, kept in ((1, 1), (2.7, 2), (10**10, 10**10)):
        assert limits(tower("siglip"), {"max_pixels": value}) == {"max_pixels": kept}
    for nonsense in (0, 10**10 + 1, True, "5", None):
        assert limits(tower("siglip"), {"max_pixels": nonsense}) == {}
    assert limits(tower("siglip"), {"size": [1, 2], "max_pixels": 5}) == {"max_pixels": 5}
    assert limits(tower("siglip", {"processor": 7}), {"max_pixels": 5}) == {"max_pixels": 5}


def test_arguments_count_more_than_the_processors_file_and_that_more_than_the_family() -> None:
    shape = with_processor(seeing("qwen2_5", {"grid": 1}), {"max_pixels": 784_000, "min_pixels": 7})
    assert shape.vision is not None
    assert shape.vision.extra == {"grid": 1, "processor": {"max_pixels": 784_000, "min_pixels": 7}}
    assert limits(shape.vision) == {"min_pixels": 7, "max_pixels": 784_000}
    assert limits(shape.vision, {"max_pixels": 9}) == {"min_pixels": 7, "max_pixels": 9}
    assert with_processor(shape, None) is with_processor(shape, {}) is shape
    text = shape_of(FULL)
    assert with_processor(text, {"max_pixels": 1}) is text


def test_the_edges_of_pixtral_and_the_tiles_of_intern() -> None:
    assert limits(tower("pixtral", image_size=1540)) == {"longest_edge": 1540}
    assert limits(tower("pixtral", image_size=1540), {"size": {"longest_edge": 700}}) == {"longest_edge": 700}
    assert limits(tower("siglip", image_size=1540)) == {}
    assert limits(tower("intern", {"tiles": 6})) == {"min_tiles": 1, "max_tiles": 6}
    assert limits(tower("intern", {"tiles": "6"})) == {"min_tiles": 1, "max_tiles": 12}
    assert limits(tower("siglip", {"tiles": 6})) == {}


# ---- Resizing


@pytest.mark.parametrize(
    ("height", "width", "least", "most", "resized"),
    [
        (100, 140, 1, 10**6, (112, 140)),  # to the nearest multiple of 28
        (5, 500, 1, 10**6, (28, 504)),  # never below one
        (112, 112, 1, 112 * 112, (112, 112)),
        (112, 112, 112 * 112, 10**6, (112, 112)),
        (120, 100, 1, 12544, (112, 112)),
        (120, 100, 12544, 10**6, (112, 112)),
        # 500000 pixels onto 78400: 2.525 times smaller each way, rounded down.
        (1000, 500, 1, 78400, (392, 196)),
        (10, 1900, 1, 7840, (28, 1204)),
        (1900, 10, 1, 7840, (1204, 28)),
        # 1800 pixels onto 78400: 6.6 times larger each way, rounded up.
        (30, 60, 78400, 10**6, (224, 420)),
        (28, 5600, 1, 10**6, (28, 5600)),  # 200 times
    ],
)
def test_resizing_of_an_image(height: int, width: int, least: int, most: int, resized: tuple[int, int]) -> None:
    assert smart_resize(height, width, 28, least, most) == resized


@pytest.mark.parametrize(
    ("height", "width", "least", "most", "resized"),
    [
        (100, 140, 1, 10**6, (112, 140)),
        (5, 500, 1, 10**6, (28, 504)),
        (112, 112, 1, 2 * 112 * 112, (112, 112)),
        (112, 112, 2 * 112 * 112, 10**6, (112, 112)),
        (120, 100, 1, 25088, (112, 112)),
        (120, 100, 25088, 10**6, (112, 112)),
        # two frames of 500000 onto 78400: 3.571 times smaller: exactly 280 × 140
        (1000, 500, 1, 78400, (280, 140)),
        (1000, 500, 1, 78399, (252, 112)),
        (10, 1900, 1, 7840, (28, 840)),
        (1900, 10, 1, 7840, (840, 28)),
        # two frames of 1800 onto 78400: 4.667 times larger
        (30, 60, 78400, 10**6, (140, 280)),
        (30, 60, 78401, 10**6, (168, 308)),
        (28, 5600, 1, 10**6, (28, 5600)),
    ],
)
def test_resizing_of_a_video_of_two_frames(
    height: int, width: int, least: int, most: int, resized: tuple[int, int]
) -> None:
    assert resize_video(2, height, width, 28, (least, most)) == resized


def test_images_that_are_too_long_are_refused() -> None:
    for height, width in ((28, 5601), (5601, 28)):
        with pytest.raises(ValueError, match="longer than 200 times"):
            smart_resize(height, width, 28, 1, 10**6)
        with pytest.raises(ValueError, match="longer than 200 times"):
            resize_video(2, height, width, 28, (1, 10**6))


@pytest.mark.parametrize(
    ("width", "height", "fits"),
    [
        (10**7, 10**7, True),
        (10**7 + 1, 10**7, False),
        (10**7, 10**7 + 1, False),
        (1, 1, True),
        (0, 1, False),
        (1, 0, False),
    ],
)
def test_sizes_of_an_image(width: int, height: int, fits: bool) -> None:
    shape = seeing("siglip", image_size=28)
    if fits:
        assert image(shape, width, height).tokens == 256
    else:
        with pytest.raises(ValueError, match="no image is"):
            image(shape, width, height)


# ---- One image of each family


@pytest.mark.parametrize(
    ("shape", "width", "height", "item"),
    [
        (seeing("qwen2_5", **QWEN), 280, 140, Item(50, 200, 200 * PATCH)),
        (seeing("qwen2", **QWEN), 280, 140, Item(50, 200, 200 * PATCH)),
        (seeing("qwen3", **QWEN), 280, 280, Item(100, 400, 400 * PATCH)),
        # As two frames: 2 × 61600 pixels are more than 100000, one frame was not.
        (seeing("glm4v", {"processor": {"max_pixels": 100_000}}, **QWEN), 280, 220, Item(63, 252, 252 * PATCH)),
        # Squares, whatever the image was.
        (seeing("siglip", {"tokens": 4}, image_size=42), 9, 99, Item(4, 9, 3 * 42 * 42)),
        (seeing("llava", image_size=42), 9, 99, Item(9, 10, 3 * 42 * 42)),  # with the class token
        # Two tiles side by side and the overview; a fourth of 36 patches each.
        (seeing("intern", image_size=84), 168, 84, Item(3 * 9, 3 * 37, 3 * 3 * 84 * 84)),
        (seeing("intern", image_size=84), 168, 168, Item(5 * 9, 5 * 37, 5 * 3 * 84 * 84)),
        (seeing("intern", image_size=84), 84, 84, Item(9, 37, 3 * 84 * 84)),
        (seeing("intern", {"downsample": 1.0}, image_size=84), 84, 84, Item(36, 37, 3 * 84 * 84)),
        (seeing("pixtral", patch=16, image_size=160), 80, 40, Item(15, 15, 15 * 3 * 16 * 16)),
        (seeing("pixtral", patch=16, image_size=160), 320, 80, Item(30, 30, 30 * 3 * 16 * 16)),  # halved
        (seeing("pixtral", patch=16, image_size=160), 80, 320, Item(30, 30, 30 * 3 * 16 * 16)),
        (seeing("pixtral", patch=16, image_size=160, merge=2), 160, 160, Item(25, 100, 100 * 3 * 16 * 16)),
        (seeing("pixtral", patch=16, image_size=160), 16000, 1, Item(10, 10, 10 * 3 * 16 * 16)),
        (seeing("minicpm", {"queries": 64}, patch=14), 448, 448, Item(64, 1024, 1024 * 3 * 196)),
        # 2 × 1 slices and the overview
        (seeing("minicpm", {"queries": 64}, patch=14), 896, 448, Item(192, 3072, 3072 * 3 * 196)),
        (seeing("minicpm", {"queries": 64}, patch=14), 1344, 1344, Item(640, 10240, 10240 * 3 * 196)),
        (seeing("minicpm", {"queries": 64, "slices": 1}, patch=14), 896, 448, Item(64, 1024, 1024 * 3 * 196)),
        (seeing("moonvit", merge=2), 140, 70, Item(15, 60, 60 * 3 * 196)),  # 70 becomes 84
        # 200 patches onto 50: half the sides
        (seeing("moonvit", {"processor": {"in_token_limit": 50}}, merge=2), 280, 140, Item(15, 60, 60 * 3 * 196)),
        (seeing("moonvit", {"processor": {"in_token_limit": 200}}, merge=2), 280, 140, Item(50, 200, 200 * 3 * 196)),
        (seeing("llama4", image_size=56, merge=2), 56, 56, Item(4, 17, 3 * 56 * 56)),
        (seeing("llama4", image_size=56, merge=2), 112, 56, Item(3 * 4, 3 * 17, 3 * 3 * 56 * 56)),
        # 2 × 3 tiles and the overview
        (seeing("llama4", image_size=56, merge=2), 112, 113, Item(7 * 4, 7 * 17, 7 * 3 * 56 * 56)),
        (seeing("llama4", {"processor": {"num_crops": 6}}, image_size=56, merge=2), 168, 168, Item(28, 119, 7 * 3 * 56 * 56)),
        # 3 × 3 tiles are more than 4: a column and a row less, in turn
        (seeing("llama4", {"processor": {"num_crops": 4}}, image_size=56, merge=2), 168, 168, Item(20, 85, 5 * 3 * 56 * 56)),
        (seeing("llama4", {"processor": {"num_crops": 5}}, image_size=56, merge=2), 56, 900, Item(24, 102, 6 * 3 * 56 * 56)),
        (seeing("llama4", {"processor": {"num_crops": 5}}, image_size=56, merge=2), 900, 56, Item(24, 102, 6 * 3 * 56 * 56)),
    ],
)  # fmt: skip
def test_an_image(shape: ModelShape, width: int, height: int, item: Item) -> None:
    assert image(shape, width, height) == item


# ---- Grids


@pytest.mark.parametrize(
    ("width", "height", "least", "most", "grid"),
    [
        (100, 100, 1, 12, (1, 1)),
        (200, 100, 1, 12, (2, 1)),
        (100, 200, 1, 12, (1, 2)),
        (200, 100, 1, 1, (1, 1)),
        (100, 100, 2, 12, (2, 2)),
        # 2 × 2 has the ratio of 1 × 1: it is taken if the image has more than half of its area.
        (142, 142, 1, 12, (2, 2)),
        (141, 141, 1, 12, (1, 1)),
        (300, 200, 1, 12, (3, 2)),
        (1300, 100, 1, 12, (12, 1)),
        (100, 1300, 1, 12, (1, 12)),
        (6500, 100, 1, 100, (64, 1)),
        (150, 200, 1, 2, (1, 2)),  # as near as 1 × 1
        (75, 100, 1, 2, (1, 1)),
        (100, 100, 5, 4, (1, 1)),  # bounds that make no sense
    ],
)
def test_tiles_of_internvl(width: int, height: int, least: int, most: int, grid: tuple[int, int]) -> None:
    assert closest_grid(width, height, 100, least, most) == grid


@pytest.mark.parametrize(
    ("width", "height", "most", "grid"),
    [
        (100, 100, 9, (1, 1)),
        (101, 100, 9, (2, 1)),  # 1.01 squares are two
        (200, 100, 9, (2, 1)),
        (100, 200, 9, (1, 2)),
        (200, 200, 9, (2, 2)),
        (300, 300, 9, (3, 3)),
        (900, 900, 9, (3, 3)),
        (900, 100, 9, (9, 1)),
        (900, 100, 4, (4, 1)),
        (900, 900, 1, (1, 1)),
        (120, 100, 9, (2, 1)),
        (350, 200, 9, (4, 2)),  # 7 squares: 8 of them come nearest to the ratio
        (330, 200, 9, (3, 2)),  # 6
    ],
)
def test_slices_of_minicpm(width: int, height: int, most: int, grid: tuple[int, int]) -> None:
    assert sliced_grid(width, height, 100, most) == grid


def test_resolutions_of_llava() -> None:
    grid = [(336, 672), (672, 336), (672, 672), (336, 1008)]
    assert best_resolution(672, 336, grid) == (336, 672)  # nothing wasted
    assert best_resolution(336, 672, grid) == (672, 336)
    assert best_resolution(672, 672, grid) == (672, 672)
    assert best_resolution(100, 100, grid) == (336, 672)  # of two that keep all and waste as much the first
    assert best_resolution(2016, 672, grid) == (336, 1008)


@pytest.mark.parametrize(
    ("size", "grid", "most", "found"),
    [
        ((100, 100), (20, 20), 0, (400, 20)),
        ((200, 100), (20, 20), 0, (200, 10)),  # 10 of 20 rows
        ((100, 200), (20, 20), 0, (200, 20)),  # 10 of 20 columns
        ((200, 110), (20, 20), 0, (240, 12)),  # 11 are kept, and of 9 that are not the middle goes
        ((110, 200), (20, 20), 0, (240, 20)),
        # At most 4 tiles of 25: 400 features are four times as many, so half the sides.
        ((100, 100), (20, 20), 4, (100, 10)),
        ((100, 100), (20, 20), 16, (400, 20)),
        ((100, 100), (20, 20), 14, (400, 20)),  # 1.07 times
        ((100, 100), (20, 20), 13, (324, 18)),  # 1.109 times
        ((100, 100), (11, 11), 4, (121, 11)),  # 1.1 times
    ],
)
def test_features_without_padding(
    size: tuple[int, int], grid: tuple[int, int], most: int, found: tuple[int, int]
) -> None:
    assert unpadded(size, grid, most, 5) == found


NEXT = {"grid": [[56, 28], [28, 56], [56, 56]]}


@pytest.mark.parametrize(
    ("kind", "width", "height", "item"),
    [
        # 2 × 2 squares of 28 pixels with 4 patches each: 4 × 4 features, 4 newlines, the overview of 4.
        ("llava_next", 56, 56, Item(4 + 16 + 4, 5 * 5, 5 * 3 * 28 * 28)),
        ("llava_next", 56, 28, Item(4 + 8 + 2, 3 * 5, 3 * 3 * 28 * 28)),
        ("llava_next", 28, 56, Item(4 + 8 + 4, 3 * 5, 3 * 3 * 28 * 28)),
        ("llava_onevision", 56, 28, Item(4 + 8 + 2, 3 * 4, 3 * 3 * 28 * 28)),  # SigLIP has no class token
    ],
)
def test_an_image_of_a_llava_successor(kind: str, width: int, height: int, item: Item) -> None:
    assert image(seeing(kind, NEXT, image_size=28), width, height) == item


def test_nine_tiles_bound_llava_onevision_alone() -> None:
    grid = {"grid": [[112, 112]]}
    assert image(seeing("llava_next", grid, image_size=28), 112, 112).tokens == 4 + 64 + 8
    # 64 features are 1.33² times 9 × 4: 6 × 6 are left.
    assert image(seeing("llava_onevision", grid, image_size=28), 112, 112).tokens == 4 + 36 + 6
    # 8 × 12 features are 1.63² times 36: 4 × 7.
    wide = {"grid": [[112, 168]]}
    assert image(seeing("llava_onevision", wide, image_size=28), 168, 112).tokens == 4 + 28 + 4


@pytest.mark.parametrize(
    "grid", [None, "grid", [], [[56]], [[56, "28"]], [[0, 28]], [[28, 10**5 + 1]], [7], [[28, 28, 28]]]
)
def test_a_grid_that_makes_no_sense_is_one_square(grid: Any) -> None:
    assert image(seeing("llava_next", {"grid": grid}, image_size=28), 28, 28) == Item(4 + 4 + 2, 10, 2 * 3 * 28 * 28)


def test_pairs_of_a_grid_may_be_lists_or_tuples() -> None:
    for pair in ([56, 28], (56, 28)):
        assert image(seeing("llava_next", {"grid": [pair, [5]]}, image_size=28), 28, 56).tokens == 16
    wide = seeing("llava_next", {"grid": [[28, 10**5]]}, image_size=28)
    assert image(wide, 10**5, 28).patches == 5 * (10**5 // 28 + 1)


# ---- Videos


@pytest.mark.parametrize(
    ("shape", "frames", "item"),
    [
        (seeing("qwen2_5", **QWEN), 4, Item(100, 400, 400 * PATCH)),  # two pairs of 50
        (seeing("qwen2_5", **QWEN), 3, Item(100, 400, 400 * PATCH)),
        (seeing("qwen2_5", **QWEN), 0, Item(50, 200, 200 * PATCH)),
        (seeing("qwen3", **QWEN), 4, Item(100, 400, 400 * PATCH)),
        (seeing("glm4v", **QWEN), 4, Item(100, 400, 400 * PATCH)),
        (seeing("siglip", {"tokens": 4}, image_size=42), 3, Item(12, 27, 3 * 3 * 42 * 42)),
        # 3 × 3 patches of a frame become 2 × 2, and one newline for all.
        (seeing("llava_onevision", image_size=42), 3, Item(13, 27, 3 * 3 * 42 * 42)),
    ],
)
def test_a_video(shape: ModelShape, frames: int, item: Item) -> None:
    assert video(shape, 280, 140, frames) == item


def test_limits_of_a_video() -> None:
    """All frames together: 4 × 39200 pixels onto 100352, which are 4 × 224 × 112."""
    for kind in ("qwen3", "glm4v"):
        assert video(seeing(kind, **QWEN), 280, 140, 4, {"video_longest_edge": 100352}).tokens == 2 * 8 * 4
        assert video(seeing(kind, **QWEN), 28, 28, 2, {"video_shortest_edge": 2 * 56 * 56}).tokens == 4
