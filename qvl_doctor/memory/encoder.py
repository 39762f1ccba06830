"""Which images and videos a profiling run makes up.

The encoder budget of V1, and the dummies that V0 drops when they do not fit.

V0: worker/model_runner.py (profile_run) and multimodal/profiling.py. V1: v1/worker/gpu_model_runner.py (profile_run),
v1/core/encoder_cache_manager.py, v1/worker/utils.py (MultiModalBudget, to 0.14) and multimodal/encoder_budget.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from qvl_doctor.knowledge.releases import Release, Since, at
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import ModelShape, VisionShape
from qvl_doctor.memory.units import cdiv
from qvl_doctor.memory.vision import MOST_TILES, Item, image, limits, video

#: Frames of the largest video of Qwen2-VL and Qwen2.5-VL (qwen2_vl.py, _MAX_FRAMES_PER_VIDEO).
_FRAMES: Since[int] = (((0, 6, 0), 16), ((0, 11, 0), 14))
#: V0 leaves all dummies out where they do not fit the sequence; from 0.8.3 on they run, and the sequence grows to hold
#: them.
DROPS_UNTIL: Release = (0, 8, 3)
#: How long a dummy video may be, in tokens of the profiling run: the batch, the largest item (0.10.0 only), and from
#: 0.11 on max_model_len.
_DUMMY_LENGTH: Since[str] = (((0, 8, 0), "batch"), ((0, 10, 0), "item"), ((0, 10, 1), "batch"), ((0, 11, 0), "model"))
#: How many items fit the budget: rounded up until 0.9, down from 0.10 on.
_ROUNDS_DOWN_SINCE: Release = (0, 10, 0)
#: Images of a prompt take their tokens off the room for a video until here.
_IMAGES_FIRST_UNTIL: Release = (0, 10, 2)
#: An image with an odd shape that uses all pixels counts as the largest from here on; before, the largest is a square.
_BEST_FACTORS_SINCE: Release = (0, 13, 0)
#: In these releases every encoder output is copied into a tensor as long as the whole budget.
_PADDED: tuple[Release, Release] = ((0, 11, 0), (0, 13, 0))
#: The side of the square that vLLM takes for the largest image.
_HUGE = 9_999_999
#: Qwen3-VL counts a video 12.5 times in these releases.
_QWEN3_FACTOR = 12.5


class Dummies(NamedTuple):
    """What the encoder of a profiling run works on.

    - `largest`: tokens of the largest single item of each modality, by vLLM's own count.
    - `budget`: the encoder budget in tokens (0 where no encoder runs); `padded`: outputs are copied into a tensor of
      that length.
    - `ran`: what really runs, by modality, all items together; V1 runs the largest modality alone, V0 one after the
      other.
    - `items`: how many items that is. `sequences`: dummy sequences. `tokens`: rows that the decoder runs on.
    - `needed`: tokens that one prompt of the worst case would take. `dropped`: V0 left the dummies out.
    """

    largest: dict[str, int]
    budget: int
    ran: dict[str, Item]
    items: int
    sequences: int
    tokens: int
    needed: int = 0
    dropped: bool = False
    padded: bool = False

    @property
    def total(self) -> Item:
        """Everything that runs, taken together."""
        return Item(
            *(sum(getattr(item, name) for item in self.ran.values()) for name in ("tokens", "patches", "pixels"))
        )


def dummies(shape: ModelShape, settings: Settings) -> Dummies:
    """The dummies of the profiling run. Text models have none."""
    if shape.vision is None:
        return Dummies({}, 0, {}, 0, settings.max_num_seqs, settings.max_num_batched_tokens)
    return _dummies_v0(shape, settings) if settings.engine == "V0" else _dummies_v1(shape, settings)


def largest_items(shape: ModelShape, settings: Settings) -> dict[str, int]:
    """Tokens of the largest item of each modality that the limits allow, as vLLM counts them."""
    found: dict[str, int] = {}
    if settings.limits.get("image", 0) > 0:
        found["image"] = largest_image(shape, settings).tokens
    if settings.limits.get("video", 0) > 0:
        found["video"] = _video_tokens(shape, settings)
    return found


def largest_image(shape: ModelShape, settings: Settings) -> Item:
    """The image with most tokens: a huge square, or from 0.13 on the shape that uses the pixels best."""
    vision = _tower(shape)
    bounds = limits(vision, settings.processor)
    if vision.kind in {"qwen2", "qwen2_5", "qwen3"} and settings.release >= _BEST_FACTORS_SINCE:
        return image(shape, *_best_factors(bounds["max_pixels"], vision.patch * vision.merge), settings.processor)
    if vision.kind in {"llava_next", "llava_onevision"}:
        grid = vision.extra.get("grid") or [[vision.image_size, vision.image_size]]
        sizes = [(wide, tall) for tall, wide in grid]
        return max((image(shape, *size, settings.processor) for size in sizes), key=lambda item: item.tokens)
    if vision.kind == "intern":
        return image(shape, vision.image_size * MOST_TILES, vision.image_size, settings.processor)
    if vision.kind == "moonvit":
        return image(shape, 1024, 1024, settings.processor)
    if vision.kind == "minicpm":
        return image(shape, bounds["scale"] * bounds["slices"], bounds["scale"], settings.processor)
    return image(shape, _HUGE, _HUGE, settings.processor)


def _best_factors(pixels: int, unit: int) -> tuple[int, int]:
    """Width and height of the largest image with sides of at most 200:1. See get_image_size_with_most_features."""
    for count in range(pixels // (unit * unit), 0, -1):
        left = next(side for side in range(math.isqrt(count), 0, -1) if count % side == 0)
        if count // left <= 200 * left:
            return unit * (count // left), unit * left
    return unit, unit


def _video_tokens(shape: ModelShape, settings: Settings) -> int:
    """Tokens of the longest video as vLLM counts it for the budget."""
    vision = _tower(shape)
    if vision.kind == "qwen3":
        tokens = _qwen3_video(shape, settings, settings.max_model_len).tokens
        return int(tokens * _QWEN3_FACTOR) if _in(settings.release, _PADDED) else tokens
    images = settings.limits.get("image", 0) if settings.engine == "V0" else min(1, settings.limits.get("image", 0))
    videos = settings.limits["video"] if settings.engine == "V0" else 1
    return longest_video(shape, settings, settings.max_model_len, images, videos).tokens


def longest_video(shape: ModelShape, settings: Settings, room: int, images: int = 0, videos: int = 1) -> Item:
    """The longest video with frames as large as the family's images, in a prompt with room for so many tokens."""
    vision = _tower(shape)
    frame = largest_image(shape, settings)
    if vision.kind not in {"qwen2", "qwen2_5"}:
        return _other_video(shape, settings, room)
    if settings.release < _IMAGES_FIRST_UNTIL:
        room -= frame.tokens * images
    frames = min(2 * (room // frame.tokens) // videos, at(_FRAMES, settings.release))
    return frame.times(max(1, cdiv(frames, 2)))


def _other_video(shape: ModelShape, settings: Settings, room: int) -> Item:
    vision = _tower(shape)
    if vision.kind == "qwen3":
        return _qwen3_video(shape, settings, room)
    if vision.kind == "glm4v":
        return video(shape, _HUGE, _HUGE, 2, settings.processor)
    side = vision.image_size or 448
    one = video(shape, side, side, 1, settings.processor)
    return video(shape, side, side, max(1, min(16, room // max(one.tokens, 1))), settings.processor)


def _qwen3_video(shape: ModelShape, settings: Settings, room: int) -> Item:
    """Qwen3-VL bounds all frames together, so every long video takes the same tokens.

    A short prompt takes fewer frames.
    """
    vision = _tower(shape)
    bounds = limits(vision, settings.processor)
    tokens = bounds["video_max_pixels"] // (vision.temporal_patch * (vision.patch * vision.merge) ** 2)
    tokens = max(1, min(tokens, room))
    patches = tokens * vision.merge**2
    return Item(tokens, patches, patches * vision.patch_pixels)


def _dummies_v0(shape: ModelShape, settings: Settings) -> Dummies:
    largest = largest_items(shape, settings)
    needed = sum(tokens * settings.limits.get(modality, 0) for modality, tokens in largest.items())
    batch = settings.max_num_batched_tokens
    sequences = max(1, min(settings.max_num_seqs, batch // needed)) if needed else settings.max_num_seqs
    dropped = needed > batch and settings.release < DROPS_UNTIL
    if dropped or not needed:
        return Dummies(largest, 0, {}, 0, sequences, batch, needed, dropped)
    tokens = max(batch, sequences * needed)
    ran = {
        modality: _v0_item(shape, settings, modality).times(sequences * settings.limits[modality])
        for modality in largest
    }
    return Dummies(
        largest, 0, ran, sum(settings.limits[modality] for modality in largest) * sequences, sequences, tokens, needed
    )


def _v0_item(shape: ModelShape, settings: Settings, modality: str) -> Item:
    if modality == "image":
        return largest_image(shape, settings)
    return longest_video(
        shape, settings, settings.max_model_len, settings.limits.get("image", 0), settings.limits["video"]
    )


def _dummies_v1(shape: ModelShape, settings: Settings) -> Dummies:
    largest = largest_items(shape, settings)
    batch = settings.max_num_batched_tokens
    if not largest or settings.skip_encoder_profile:
        return Dummies(largest, 0, {}, 0, settings.max_num_seqs, batch)
    modality = max(largest, key=lambda name: (largest[name], name))
    most = largest[modality]
    budget = max(batch, most)
    by_budget = budget // most if settings.release >= _ROUNDS_DOWN_SINCE else cdiv(budget, most)
    per_prompt = (
        max(1, min(settings.limits[modality], settings.max_model_len // most))
        if settings.release >= _ROUNDS_DOWN_SINCE
        else settings.limits[modality]
    )
    items = max(1, min(by_budget, settings.max_num_seqs * per_prompt))
    dummy = _v1_item(shape, settings, modality, most)
    return Dummies(
        largest,
        budget,
        {modality: dummy.times(items)},
        items,
        settings.max_num_seqs,
        batch,
        needed=most,
        padded=_in(settings.release, _PADDED) and dummy.tokens < budget,
    )


def _v1_item(shape: ModelShape, settings: Settings, modality: str, most: int) -> Item:
    given = settings.dummies.get(modality, {})
    if modality == "image":
        if given.get("width") and given.get("height"):
            return image(shape, given["width"], given["height"], settings.processor)
        return largest_image(shape, settings)
    rooms = {"batch": settings.max_num_batched_tokens, "item": most, "model": settings.max_model_len}
    longest = longest_video(shape, settings, rooms[at(_DUMMY_LENGTH, settings.release)])
    if given.get("num_frames") and _tower(shape).kind in {"qwen2", "qwen2_5"}:
        frame = largest_image(shape, settings)
        return min(longest, frame.times(max(1, cdiv(given["num_frames"], 2))), key=lambda item: item.tokens)
    return longest


def output_width(vision: VisionShape) -> int:
    """Elements of one token of the encoder's output: Qwen3-VL appends its deepstack levels."""
    return vision.out_hidden * (1 + int(vision.extra.get("deepstack", 0)))


def _tower(shape: ModelShape) -> VisionShape:
    if shape.vision is None:
        raise ValueError(f"{shape.architecture} takes no images")
    return shape.vision


def _in(release: Release, span: tuple[Release, Release]) -> bool:
    return span[0] <= release < span[1]
