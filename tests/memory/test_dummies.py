"""The largest image and video of each family, and the dummies that a profile run makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from memory_shapes import PATCH, QWEN, seeing, shape_of, tower

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory.encoder import Dummies, dummies, largest_image, largest_items, longest_video, output_width
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import FULL, ModelShape
from qvl_doctor.memory.vision import Item

NEXT = {"grid": [[56, 28], [28, 56], [56, 56]]}


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
