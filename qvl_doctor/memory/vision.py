"""Tokens of images and videos, by each family's own rules of resizing and tiling.

Read from Transformers' image processors (4.45 to 5.x) and from the processing code in vllm/model_executor/models. Sizes
in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from qvl_doctor.memory.shape import ModelShape, VisionShape
from qvl_doctor.memory.units import cdiv, up

#: The limits of a family's preprocessor_config.json where neither a GPU nor the model's folder has them.
DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "qwen2": {"min_pixels": 3136, "max_pixels": 12_845_056},
    "qwen2_5": {"min_pixels": 3136, "max_pixels": 12_845_056},
    "qwen3": {"min_pixels": 65_536, "max_pixels": 16_777_216, "video_min_pixels": 4096, "video_max_pixels": 25_165_824},
    "glm4v": {
        "min_pixels": 12_544,
        "max_pixels": 9_633_792,
        "video_min_pixels": 12_544,
        "video_max_pixels": 47_040_000,
    },
    "intern": {"min_tiles": 1, "max_tiles": 12},
    "pixtral": {"longest_edge": 1024},
    "minicpm": {"scale": 448, "slices": 9},
    "moonvit": {"patch_limit": 4096},
    "llama4": {"max_tiles": 16},
}
#: Beyond this no processor looks at an image; it also bounds the arithmetic.
_LARGEST_SIDE = 10**7
_LARGEST_RATIO = 200
#: No processor makes more tiles of an image, whatever a config says.
MOST_TILES = 64


class Item(NamedTuple):
    """One image or video.

    `tokens` of the prompt, `patches` that the tower works on, `pixels` numbers that are sent to the GPU.
    """

    tokens: int
    patches: int
    pixels: int

    def times(self, count: int) -> Item:
        """So many of them."""
        return Item(self.tokens * count, self.patches * count, self.pixels * count)


def with_processor(shape: ModelShape, processor: Mapping[str, Any] | None) -> ModelShape:
    """The same model with the limits of its preprocessor_config.json (as parsed.

    What is not about sizes is ignored).
    """
    if not shape.vision or not processor:
        return shape
    vision = shape.vision._replace(extra={**shape.vision.extra, "processor": dict(processor)})
    return replace(shape, vision=vision)


def limits(vision: VisionShape, overrides: Mapping[str, Any] | None = None) -> dict[str, int]:
    """What bounds an item.

    The family's own numbers, then the model's preprocessor_config.json, then mm_processor_kwargs.
    """
    found = dict(DEFAULTS.get(vision.kind, {}))
    if vision.kind == "pixtral" and vision.image_size:
        found["longest_edge"] = vision.image_size
    if vision.kind == "intern" and isinstance(vision.extra.get("tiles"), int):
        found["max_tiles"] = vision.extra["tiles"]
    if vision.kind == "minicpm" and isinstance(vision.extra.get("slices"), int):
        found["slices"] = vision.extra["slices"]
    for source in (vision.extra.get("processor"), overrides):
        if isinstance(source, Mapping):
            found.update(_sizes(source, vision.kind))
    return found


#: Names under which processors write a limit, and ours. `size.longest_edge` of the Qwen family is a number of pixels,
#: whatever it is called.
_NAMES = {
    "min_pixels": "min_pixels",
    "max_pixels": "max_pixels",
    "shortest_edge": "min_pixels",
    "longest_edge": "max_pixels",
    "video_shortest_edge": "video_min_pixels",
    "video_longest_edge": "video_max_pixels",
    "max_dynamic_patch": "max_tiles",
    "min_dynamic_patch": "min_tiles",
    "max_slice_nums": "slices",
    "in_token_limit": "patch_limit",
    "num_crops": "max_tiles",
}


def _sizes(source: Mapping[str, Any], kind: str) -> dict[str, int]:
    size = source.get("size")
    flat = {**source, **(size if isinstance(size, Mapping) else {})}
    names = {**_NAMES, "longest_edge": "longest_edge"} if kind == "pixtral" else _NAMES
    return {
        ours: int(value)
        for name, ours in names.items()
        if isinstance(value := flat.get(name), (int, float)) and not isinstance(value, bool) and 1 <= value <= 10**10
    }


def image(shape: ModelShape, width: int, height: int, overrides: Mapping[str, Any] | None = None) -> Item:
    """What one image of `width` × `height` pixels becomes.

    Raises ValueError for a size that the family's processor refuses.
    """
    vision = _vision(shape)
    if not (0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE):
        raise ValueError(f"no image is {width} × {height} pixels")
    return _IMAGES[vision.kind](vision, width, height, limits(vision, overrides))


def video(  # a video has three sizes
    shape: ModelShape, width: int, height: int, frames: int, overrides: Mapping[str, Any] | None = None
) -> Item:
    """What a video of so many sampled frames becomes. Families without videos take their frames as images."""
    vision = _vision(shape)
    bounds = limits(vision, overrides)
    padded = up(max(frames, 1), max(vision.temporal_patch, 1))
    if vision.kind in {"qwen3", "glm4v"}:
        tall, wide = resize_video(
            padded, height, width, _unit(vision), (bounds["video_min_pixels"], bounds["video_max_pixels"])
        )
        return _patches(vision, wide, tall).times(padded // vision.temporal_patch)
    if vision.kind == "llava_onevision":
        side = cdiv(vision.image_size // vision.patch, 2)
        rows = (vision.image_size // vision.patch) ** 2 * frames
        return Item(frames * side * side + 1, rows, 3 * vision.image_size**2 * frames)
    return image(shape, width, height, overrides).times(padded // max(vision.temporal_patch, 1))


def smart_resize(height: int, width: int, unit: int, least: int, most: int) -> tuple[int, int]:
    """Qwen's resizing.

    Height and width become multiples of `unit` with an area between `least` and `most`, the ratio nearly kept.
    """
    if max(height, width) > _LARGEST_RATIO * min(height, width):
        raise ValueError(f"an image of {width} × {height} pixels is longer than {_LARGEST_RATIO} times its other side")
    tall, wide = max(unit, round(height / unit) * unit), max(unit, round(width / unit) * unit)
    if tall * wide > most:
        scale = math.sqrt(height * width / most)
        return max(unit, math.floor(height / scale / unit) * unit), max(unit, math.floor(width / scale / unit) * unit)
    if tall * wide < least:
        scale = math.sqrt(least / (height * width))
        return math.ceil(height * scale / unit) * unit, math.ceil(width * scale / unit) * unit
    return tall, wide


def resize_video(frames: int, height: int, width: int, unit: int, bounds: tuple[int, int]) -> tuple[int, int]:
    """The same for videos of Qwen3-VL and GLM-4V (and images of GLM-4V, as two frames).

    The bounds are for all frames together.
    """
    least, most = bounds
    if max(height, width) > _LARGEST_RATIO * min(height, width):
        raise ValueError(f"frames of {width} × {height} pixels are longer than {_LARGEST_RATIO} times their other side")
    tall, wide = max(unit, round(height / unit) * unit), max(unit, round(width / unit) * unit)
    if frames * tall * wide > most:
        scale = math.sqrt(frames * height * width / most)
        return max(unit, math.floor(height / scale / unit) * unit), max(unit, math.floor(width / scale / unit) * unit)
    if frames * tall * wide < least:
        scale = math.sqrt(least / (frames * height * width))
        return math.ceil(height * scale / unit) * unit, math.ceil(width * scale / unit) * unit
    return tall, wide


def _vision(shape: ModelShape) -> VisionShape:
    if shape.vision is None:
        raise ValueError(f"{shape.architecture} takes no images")
    return shape.vision


def _unit(vision: VisionShape) -> int:
    """Side of the square that becomes one token."""
    return vision.patch * vision.merge


def _patches(vision: VisionShape, width: int, height: int) -> Item:
    patches = (width // vision.patch) * (height // vision.patch)
    return Item(patches // vision.merge**2, patches, patches * vision.patch_pixels)


def _qwen(vision: VisionShape, width: int, height: int, bounds: Mapping[str, int]) -> Item:
    tall, wide = smart_resize(height, width, _unit(vision), bounds["min_pixels"], bounds["max_pixels"])
    return _patches(vision, wide, tall)


def _glm4v(vision: VisionShape, width: int, height: int, bounds: Mapping[str, int]) -> Item:
    frames = vision.temporal_patch  # an image counts as two frames when it is measured
    tall, wide = resize_video(frames, height, width, _unit(vision), (bounds["min_pixels"], bounds["max_pixels"]))
    return _patches(vision, wide, tall)


def _gemma(vision: VisionShape, _width: int, _height: int, _bounds: Mapping[str, int]) -> Item:
    """Every image is squeezed into one square."""
    tokens = int(vision.extra.get("tokens", 256))
    return Item(tokens, (vision.image_size // vision.patch) ** 2, 3 * vision.image_size**2)


def _tiles(vision: VisionShape, tiles: int, tokens: int) -> Item:
    """So many squares of the tower's size, with so many tokens each.

    The class token, which SigLIP has not, counts as a patch.
    """
    extra = 0 if vision.kind == "llava_onevision" else 1
    return Item(
        tokens * tiles, ((vision.image_size // vision.patch) ** 2 + extra) * tiles, 3 * vision.image_size**2 * tiles
    )


def _intern(vision: VisionShape, width: int, height: int, bounds: Mapping[str, int]) -> Item:
    wide, tall = closest_grid(width, height, vision.image_size, bounds["min_tiles"], bounds["max_tiles"])
    tiles = wide * tall
    ratio = float(vision.extra.get("downsample", 0.5))
    tokens = int((vision.image_size // vision.patch) ** 2 * ratio**2)
    return _tiles(vision, tiles + (tiles > 1), tokens)


def closest_grid(width: int, height: int, size: int, least: int, most: int) -> tuple[int, int]:
    """InternVL's grid of tiles (columns, rows).

    The ratio nearest to the image's, of equal ones the larger if the image has the area.
    """
    most = min(most, MOST_TILES)
    sides = range(1, most + 1)
    grids = [(i, j) for i in sides for j in sides if least <= i * j <= most]
    best, nearest = (1, 1), math.inf
    for columns, rows in sorted(grids, key=lambda grid: grid[0] * grid[1]):
        distance = abs(width / height - columns / rows)
        if distance < nearest or (distance == nearest and width * height > 0.5 * size * size * columns * rows):
            best, nearest = (columns, rows), distance
    return best


def _llava(vision: VisionShape, _width: int, _height: int, _bounds: Mapping[str, int]) -> Item:
    return _tiles(vision, 1, (vision.image_size // vision.patch) ** 2)


def _llava_next(vision: VisionShape, width: int, height: int, _bounds: Mapping[str, int]) -> Item:
    side = vision.image_size // vision.patch
    tall, wide = best_resolution(width, height, _grid(vision))
    rows, columns = tall // vision.image_size, wide // vision.image_size
    bound = 9 if vision.kind == "llava_onevision" else 0  # vision_aspect_ratio "anyres_max_9"
    features, newlines = unpadded((width, height), (side * rows, side * columns), bound, side)
    whole = _tiles(vision, rows * columns + 1, 0)
    return Item(side * side + features + newlines, whole.patches, whole.pixels)


def _grid(vision: VisionShape) -> list[tuple[int, int]]:
    """Resolutions (height, width) that a LLaVA successor scales images to."""
    found = vision.extra.get("grid")
    pairs = found if isinstance(found, list) else []
    wanted = [
        (pair[0], pair[1])
        for pair in pairs
        if isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(n, int) for n in pair)
    ]
    return [pair for pair in wanted if all(0 < n <= 10**5 for n in pair)] or [(vision.image_size, vision.image_size)]


def best_resolution(width: int, height: int, grid: list[tuple[int, int]]) -> tuple[int, int]:
    """The resolution (height, width) that keeps most of an image and wastes least. See select_best_resolution."""

    def worth(pair: tuple[int, int]) -> tuple[int, int]:
        tall, wide = pair
        scale = min(wide / width, tall / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, -wide * tall

    return max(grid, key=worth)


def unpadded(size: tuple[int, int], grid: tuple[int, int], most: int, side: int) -> tuple[int, int]:
    """Features of a padded grid (rows, columns) that lie inside an image (width, height), and one newline for each row.

    `most` tiles of `side` × `side` features bound them (LLaVA-OneVision); 0: nothing does.
    """
    (width, height), (rows, columns) = size, grid
    if width / height > columns / rows:
        kept = int(round(height * (columns / width), 7))
        rows -= (rows - kept) // 2 * 2
    else:
        kept = int(round(width * (rows / height), 7))
        columns -= (columns - kept) // 2 * 2
    ratio = math.sqrt(rows * columns / (most * side * side)) if most else 0
    if ratio > 1.1:
        rows, columns = int(rows // ratio), int(columns // ratio)
    return rows * columns, rows


def _pixtral(vision: VisionShape, width: int, height: int, bounds: Mapping[str, int]) -> Item:
    ratio = max(1.0, width / bounds["longest_edge"], height / bounds["longest_edge"])
    unit = _unit(vision)
    wide, tall = (max(unit, up(math.floor(side / ratio), unit)) for side in (width, height))
    return _patches(vision, wide, tall)


def _minicpm(vision: VisionShape, width: int, height: int, bounds: Mapping[str, int]) -> Item:
    columns, rows = sliced_grid(width, height, bounds["scale"], bounds["slices"])
    slices = columns * rows
    pieces = slices + (slices > 1)
    patches = (bounds["scale"] // vision.patch) ** 2
    return Item(int(vision.extra["queries"]) * pieces, patches * pieces, patches * pieces * vision.patch_pixels)


def sliced_grid(width: int, height: int, scale: int, most: int) -> tuple[int, int]:
    """MiniCPM-V's grid of slices next to the overview (columns, rows).

    (1, 1) where the image is small enough to stay whole.
    """
    wanted = min(math.ceil(width * height / (scale * scale)), most)
    if wanted <= 1:
        return 1, 1
    counts = [count for count in (wanted - 1, wanted, wanted + 1) if 1 < count <= most]
    grids = [(m, count // m) for count in counts for m in range(1, count + 1) if count % m == 0]
    ratio = math.log(width / height)
    return min(grids, key=lambda grid: abs(ratio - math.log(grid[0] / grid[1])))


def _moonvit(vision: VisionShape, width: int, height: int, bounds: Mapping[str, int]) -> Item:
    patches = (width // vision.patch) * (height // vision.patch)
    if patches > bounds["patch_limit"]:
        scale = math.sqrt(bounds["patch_limit"] / patches)
        width, height = int(width * scale), int(height * scale)
    unit = _unit(vision)
    return _patches(vision, max(unit, up(width, unit)), max(unit, up(height, unit)))


def _llama4(vision: VisionShape, width: int, height: int, bounds: Mapping[str, int]) -> Item:
    """Tiles of the smallest canvas that holds the image, at most so many, plus an overview if there are several."""
    size = vision.image_size
    most = bounds["max_tiles"]
    columns, rows = min(cdiv(width, size), most), min(cdiv(height, size), most)
    while columns * rows > most:
        columns, rows = columns - (columns >= rows), rows - (rows > columns)
    tiles = columns * rows
    return _tiles(vision, tiles + (tiles > 1), (size // vision.patch) ** 2 // vision.merge**2)


_IMAGES: Mapping[str, Callable[[VisionShape, int, int, Mapping[str, int]], Item]] = {
    "qwen2": _qwen,
    "qwen2_5": _qwen,
    "qwen3": _qwen,
    "glm4v": _glm4v,
    "siglip": _gemma,
    "llava": _llava,
    "llava_next": _llava_next,
    "llava_onevision": _llava_next,
    "intern": _intern,
    "pixtral": _pixtral,
    "minicpm": _minicpm,
    "moonvit": _moonvit,
    "llama4": _llama4,
}
