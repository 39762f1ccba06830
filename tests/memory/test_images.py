"""Images and videos on small towers: tokens, patches and numbers by hand, each family's limits, and the dummies of a profile run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from memory_shapes import shape_of

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory.encoder import Dummies, dummies, largest_image, largest_items, longest_video, output_width
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import FULL, ModelShape, VisionShape
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

QWEN: dict[str, Any] = {"patch": 14, "merge": 2, "temporal_patch": 2}
#: A patch of two frames of 14 × 14 pixels in three colors.
PATCH = 3 * 2 * 14 * 14


def tower(kind: str, extra: dict[str, Any] | None = None, **sizes: Any) -> VisionShape:
    plain: dict[str, Any] = {"depth": 1, "hidden": 32, "intermediate": 48, "heads": 4, "patch": 14, "out_hidden": 64}
    return VisionShape(kind, **{**plain, **sizes}, extra=extra or {})


def seeing(kind: str, extra: dict[str, Any] | None = None, **sizes: Any) -> ModelShape:
    return replace(shape_of(FULL), vision=tower(kind, extra, **sizes))


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


# ---- The largest items


def settings(release: Release = (0, 19, 0), **changes: Any) -> Settings:
    plain: dict[str, Any] = {"max_num_batched_tokens": 100, "max_num_seqs": 2, "max_model_len": 500}
    return Settings(release, **{**plain, "limits": {"image": 1, "video": 1}, **changes})


def largest(shape: ModelShape, release: Release = (0, 19, 0), **processor: Any) -> int:
    return largest_image(shape, settings(release, processor=processor)).tokens


@pytest.mark.parametrize("kind", ["qwen2", "qwen2_5", "qwen3"])
def test_the_largest_image_of_qwen(kind: str) -> None:
    """Of 90 squares 9 × 10 are used from 0.13 on, before a square of 9 × 9."""
    shape = seeing(kind, **QWEN)
    assert largest(shape, (0, 12, 0), max_pixels=90 * 784, min_pixels=1) == 81
    assert largest(shape, (0, 13, 0), max_pixels=90 * 784, min_pixels=1) == 90
    assert largest(shape, (0, 13, 0), max_pixels=211 * 784, min_pixels=1) == 210  # 211 is a prime, and longer than 200
    assert largest(shape, (0, 13, 0), max_pixels=199 * 784, min_pixels=1) == 199
    assert largest(shape, (0, 13, 0), max_pixels=700, min_pixels=1) == 1


def test_the_largest_image_of_other_families() -> None:
    assert largest(seeing("llava_next", NEXT, image_size=28)) == 4 + 16 + 4
    assert largest(seeing("llava_onevision", {"grid": [[28, 56], [56, 28]]}, image_size=28)) == 4 + 8 + 4
    assert largest(seeing("llava_next", image_size=28)) == 4 + 4 + 2
    assert largest(seeing("intern", image_size=84)) == 13 * 9
    assert largest(seeing("intern", image_size=84), max_dynamic_patch=1) == 9
    assert largest(seeing("intern", image_size=84), max_dynamic_patch=99) == 65 * 9
    assert largest(seeing("moonvit", merge=2)) == 33 * 33  # 73 × 73 patches onto 4096
    assert largest(seeing("moonvit", patch=16, merge=2), in_token_limit=10**6) == 32 * 32
    assert largest(seeing("minicpm", {"queries": 64})) == 10 * 64
    assert largest(seeing("minicpm", {"queries": 64, "slices": 4})) == 5 * 64
    assert largest(seeing("minicpm", {"queries": 64}), max_slice_nums=2) == 3 * 64
    assert largest(seeing("siglip", {"tokens": 4}, image_size=28)) == 4
    assert largest(seeing("pixtral", patch=16, image_size=160)) == 100
    assert largest(seeing("pixtral", patch=16)) == 64 * 64  # 1024 pixels
    assert largest(seeing("llama4", image_size=56, merge=2)) == 17 * 4
    assert largest(seeing("glm4v", **QWEN), (0, 12, 0)) == 78 * 78


def test_the_largest_items() -> None:
    shape = seeing("siglip", {"tokens": 4}, image_size=28)
    assert largest_items(shape, settings(limits={"image": 1, "video": 0})) == {"image": 4}
    assert largest_items(shape, settings(limits={"image": 0, "video": 1})) == {"video": 16 * 4}
    assert largest_items(shape, settings(limits={})) == {}
    with pytest.raises(ValueError, match="takes no images"):
        largest_items(shape_of(FULL), settings())


QWEN2 = seeing("qwen2_5", {"processor": {"max_pixels": 10 * 784, "min_pixels": 1}}, **QWEN)


@pytest.mark.parametrize(
    ("changes", "images", "videos", "tokens"),
    [
        # A pair of frames takes 10 tokens; 500 hold 50 pairs, of which 7 are taken.
        ({}, 0, 1, 70),
        ({"release": (0, 13, 0)}, 1, 1, 70),
        ({"release": (0, 10, 2)}, 0, 1, 8 * 9),  # 9 tokens, a square; 16 frames until 0.10
        ({"release": (0, 11, 0)}, 0, 1, 7 * 9),
        ({"room": 45}, 0, 1, 40),
        ({"room": 9}, 0, 1, 10),
        ({"room": 0}, 0, 1, 10),
        ({"room": 60}, 0, 2, 30),
        ({"room": 60}, 0, 4, 20),  # 12 / 4 are 3 frames
        # Images took their tokens off until 0.10.1.
        ({"room": 45, "release": (0, 10, 1)}, 2, 1, 27),
        ({"room": 45, "release": (0, 10, 2)}, 2, 1, 45),
        ({"room": 9, "release": (0, 10, 1)}, 2, 1, 9),
    ],
)
def test_the_longest_video_of_qwen2(changes: dict[str, Any], images: int, videos: int, tokens: int) -> None:
    rest = {name: value for name, value in changes.items() if name != "room"}
    assert longest_video(QWEN2, settings(**rest), changes.get("room", 500), images, videos).tokens == tokens


@pytest.mark.parametrize(
    ("engine", "images", "tokens"), [("V1", 0, 45), ("V1", 1, 36), ("V1", 2, 36), ("V0", 0, 45), ("V0", 2, 27)]
)
def test_images_that_a_video_leaves_room_for(engine: str, images: int, tokens: int) -> None:
    """V1 counts one of them, V0 all that a prompt may have; a square takes 9 tokens."""
    found = settings((0, 10, 1), engine=engine, limits={"image": images, "video": 1}, max_model_len=45)
    assert largest_items(QWEN2, found)["video"] == tokens


def test_a_video_alone() -> None:
    assert longest_video(QWEN2, settings(), 60).tokens == 60


def test_the_longest_video_of_other_families() -> None:
    shape = seeing("siglip", {"tokens": 4}, image_size=28)
    for room, tokens in ((500, 64), (64, 64), (63, 60), (3, 4)):
        assert longest_video(shape, settings(), room).tokens == tokens
    assert longest_video(seeing("siglip", {"tokens": 4}), settings(), 500).tokens == 64
    assert longest_video(seeing("siglip", {"tokens": 1}), settings(), 5).tokens == 5
    assert longest_video(seeing("pixtral", patch=16), settings(), 800).tokens == 28 * 28  # of 448 pixels
    # 39200 pixels of two frames of 28 × 28 are 25 tokens.
    qwen3 = seeing("qwen3", {"processor": {"video_longest_edge": 39200}}, **QWEN)
    assert longest_video(qwen3, settings(), 500) == Item(25, 100, 100 * PATCH)
    assert longest_video(qwen3, settings(), 7) == Item(7, 28, 28 * PATCH)
    assert longest_video(qwen3, settings(), 0) == Item(1, 4, 4 * PATCH)
    glm = seeing("glm4v", {"processor": {"video_longest_edge": 50000}}, **QWEN)
    assert longest_video(glm, settings(), 500).tokens == 25


@pytest.mark.parametrize(
    ("release", "tokens"), [((0, 10, 2), 25), ((0, 11, 0), 312), ((0, 12, 0), 312), ((0, 13, 0), 25)]
)
def test_a_video_of_qwen3_as_it_is_counted(release: Release, tokens: int) -> None:
    qwen3 = seeing("qwen3", {"processor": {"video_longest_edge": 39200}}, **QWEN)
    assert largest_items(qwen3, settings(release, limits={"image": 0, "video": 1})) == {"video": tokens}


# ---- Dummies

GEMMA = seeing("siglip", {"tokens": 4}, image_size=28)
ONE = Item(4, 4, 3 * 28 * 28)


def made(shape: ModelShape = GEMMA, release: Release = (0, 19, 0), **changes: Any) -> Dummies:
    return dummies(shape, settings(release, **{"limits": {"image": 1}, **changes}))


def test_a_text_model_has_no_dummies() -> None:
    assert made(shape_of(FULL)) == Dummies({}, 0, {}, 0, 2, 100)


def test_dummies_of_the_v1_engine() -> None:
    found = made()
    assert found == Dummies({"image": 4}, 100, {"image": ONE.times(2)}, 2, 2, 100, needed=4)
    assert found.total == Item(8, 8, 2 * 3 * 28 * 28)
    assert made(limits={"image": 3}).items == 6
    assert made(limits={"image": 999}).items == 25  # 100 // 4
    assert made(limits={"image": 999}, max_num_batched_tokens=101, release=(0, 10, 0)).items == 25
    assert made(limits={"image": 999}, max_num_batched_tokens=101, release=(0, 9, 2)).items == 26
    assert made(limits={"image": 3}, max_model_len=9, release=(0, 10, 0)).items == 4  # two of them in a prompt
    assert made(limits={"image": 3}, max_model_len=9, release=(0, 9, 2)).items == 6
    assert made(limits={"image": 3}, max_model_len=3).items == 2
    small = made(max_num_batched_tokens=3)
    assert (small.budget, small.items, small.tokens) == (4, 1, 3)
    assert made(max_num_seqs=0).items == 1
    assert made(limits={"image": 0}).ran == {}
    assert made(skip_encoder_profile=True) == Dummies({"image": 4}, 0, {}, 0, 2, 100)


@pytest.mark.parametrize(
    ("release", "padded"), [((0, 10, 2), False), ((0, 11, 0), True), ((0, 12, 0), True), ((0, 13, 0), False)]
)
def test_when_outputs_are_padded(release: Release, padded: bool) -> None:
    assert made(release=release).padded is padded
    assert not made(release=release, max_num_batched_tokens=4).padded  # as long as it is


def test_the_largest_modality_runs_alone() -> None:
    both = {"image": 1, "video": 1}
    found = made(limits=both)
    assert (found.largest, list(found.ran)) == ({"image": 4, "video": 64}, ["video"])
    one_frame = made(limits=both, max_model_len=4)
    assert (one_frame.largest, list(one_frame.ran)) == ({"image": 4, "video": 4}, ["video"])
    assert list(made(QWEN2, limits=both, release=(0, 19, 0)).ran) == ["video"]


@pytest.mark.parametrize(
    ("release", "frames"),
    [
        # How long a dummy video may be: the batch of 24, its own tokens, or the prompt.
        ((0, 9, 2), 6),
        ((0, 10, 0), 16),
        ((0, 10, 1), 6),
        ((0, 10, 2), 6),
        ((0, 11, 0), 16),
    ],
)
def test_how_long_a_dummy_video_is(release: Release, frames: int) -> None:
    found = made(release=release, limits={"video": 1}, max_num_batched_tokens=24, max_num_seqs=1)
    assert found.total.tokens == 4 * frames


def test_sizes_that_are_set_for_the_profile_run() -> None:
    large: dict[str, Any] = {"limits": {"image": 1}, "max_num_seqs": 1}
    assert made(QWEN2, **large).total.tokens == 10
    sized = made(QWEN2, **large, dummies={"image": {"width": 56, "height": 84}})
    assert (sized.total.tokens, sized.largest) == (6, {"image": 10})
    for part in ({"width": 56}, {"height": 84}, {"width": 0, "height": 84}):
        assert made(QWEN2, **large, dummies={"image": part}).total.tokens == 10
    film: dict[str, Any] = {"limits": {"video": 1}, "max_num_seqs": 1}
    assert made(QWEN2, **film).total.tokens == 70
    for frames, tokens in ((1, 10), (4, 20), (5, 30), (99, 70)):
        assert made(QWEN2, **film, dummies={"video": {"num_frames": frames}}).total.tokens == tokens
    assert made(GEMMA, **film, dummies={"video": {"num_frames": 2}}).total.tokens == 64


V0: dict[str, Any] = {"engine": "V0", "release": (0, 8, 5)}


def test_dummies_of_the_v0_engine() -> None:
    found = made(**V0)
    assert found == Dummies({"image": 4}, 0, {"image": ONE.times(2)}, 2, 2, 100, needed=4)
    assert made(**V0, limits={"image": 3}).ran == {"image": ONE.times(6)}
    assert made(**V0, limits={"image": 0}) == Dummies({}, 0, {}, 0, 2, 100)
    few = made(**V0, max_num_seqs=99, limits={"image": 3})  # 8 prompts of 12 tokens
    assert (few.sequences, few.items, few.needed, few.tokens) == (8, 24, 12, 100)
    # From 0.8.3 on the sequence grows.
    grown = made(**V0, max_num_batched_tokens=7, limits={"image": 3})
    assert (grown.sequences, grown.tokens, grown.dropped) == (1, 12, False)
    assert grown.ran == {"image": ONE.times(3)}
    assert made(**V0, max_num_seqs=0).sequences == 1


def test_dummies_of_both_modalities() -> None:
    """The videos of a prompt leave room for its images."""
    found = made(**V0, limits={"image": 2, "video": 3}, max_num_batched_tokens=1000, max_num_seqs=1)
    assert found.largest == {"image": 4, "video": 64}
    assert (found.needed, found.items) == (2 * 4 + 3 * 64, 5)
    assert found.ran == {"image": ONE.times(2), "video": ONE.times(16 * 3)}
    shared = made(QWEN2, **V0, limits={"image": 2, "video": 3}, max_model_len=99, max_num_seqs=1)
    # A square of 9: 99 - 18 leave 9 pairs, so 6 frames for each of three.
    assert shared.largest == {"image": 9, "video": 27}
    assert shared.needed == 2 * 9 + 3 * 27
    newer = settings(limits={"image": 2, "video": 3}, max_model_len=99, release=(0, 10, 1))
    assert largest_items(QWEN2, newer) == {"image": 9, "video": 8 * 9}  # V1 counts one of each


@pytest.mark.parametrize(
    ("release", "batch", "dropped"),
    [
        ((0, 8, 2), 7, True),
        ((0, 8, 2), 24, False),
        ((0, 8, 2), 23, False),  # one prompt of 12 fits
        ((0, 8, 2), 12, False),
        ((0, 8, 2), 11, True),
        ((0, 8, 3), 11, False),
    ],
)
def test_dummies_that_do_not_fit_were_dropped_until_0_8_3(release: Release, batch: int, dropped: bool) -> None:
    found = made(engine="V0", release=release, max_num_batched_tokens=batch, limits={"image": 3})
    assert found.dropped is dropped
    if dropped:
        assert found == Dummies({"image": 4}, 0, {}, 0, 1, batch, needed=12, dropped=True)


def test_width_of_the_outputs() -> None:
    assert output_width(tower("qwen3")) == 64
    assert output_width(tower("qwen3", {"deepstack": 3})) == 4 * 64
