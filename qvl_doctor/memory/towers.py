"""Vision towers: their shape out of a config.json, and their weights on one rank.

Read from
vllm/model_executor/models/{qwen2_vl,qwen2_5_vl,qwen3_vl,siglip,clip,pixtral,mistral3,intern_vit,glm4_1v,minicpmv,moonvit,kimi_vl,mllama4}.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from qvl_doctor.memory.config_fields import number
from qvl_doctor.memory.parameters import Piece, Shards, norm
from qvl_doctor.memory.shape import ShapeError, VisionShape

Config = Mapping[str, Any]

#: No field of any tower is larger.
_LARGEST = 10**6
#: Each layer is counted by itself; the deepest tower that is published has 63.
_MOST_LAYERS = 256
#: Towers whose patch embedding has a bias.
_PATCH_BIAS = frozenset({"qwen3", "siglip", "llava_onevision", "intern", "glm4v", "minicpm", "moonvit"})

#: Under which names configs write what every tower has: most of them, and Qwen's and GLM's.
_COMMON = {
    "depth": "num_hidden_layers",
    "hidden": "hidden_size",
    "intermediate": "intermediate_size",
    "heads": "num_attention_heads",
    "patch": "patch_size",
    "image_size": "image_size",
}
_QWEN = {
    **_COMMON,
    "depth": "depth",
    "heads": "num_heads",
    "out_hidden": "out_hidden_size",
    "merge": "spatial_merge_size",
    "temporal_patch": "temporal_patch_size",
}
#: What a config that says nothing of them means: the sizes of SigLIP so400m.
_SIGLIP = {"depth": 27, "hidden": 1152, "intermediate": 4304, "heads": 16}


def read_vision(kind: str, config: Config, text_hidden: int) -> VisionShape:
    """The vision tower of a config.json. Raises ShapeError with the field that is missing or wrong."""
    section = config.get("vision_config")
    if not isinstance(section, Mapping):
        raise ShapeError("vision_config", "is missing")
    return _READERS[kind](section, config, text_hidden)


def _qwen2(vision: Config, _config: Config, text_hidden: int) -> VisionShape:
    hidden = _number(vision, "embed_dim", 1280)
    return VisionShape(
        kind="qwen2",
        hidden=hidden,
        intermediate=hidden * _number(vision, "mlp_ratio", 4),
        out_hidden=text_hidden,
        **_numbers(vision, _QWEN, depth=32, heads=16, patch=14, merge=2, temporal_patch=2),
    )


def _qwen2_5(vision: Config, _config: Config, text_hidden: int) -> VisionShape:
    sizes = {
        "depth": 32,
        "hidden": 1280,
        "intermediate": 3420,
        "heads": 16,
        "patch": 14,
        "merge": 2,
        "temporal_patch": 2,
    }
    return VisionShape(kind="qwen2_5", gated=True, **_numbers(vision, _QWEN, out_hidden=text_hidden, **sizes))


def _qwen3(vision: Config, _config: Config, text_hidden: int) -> VisionShape:
    deepstack = vision.get("deepstack_visual_indexes", [8, 16, 24])
    if not isinstance(deepstack, list):
        raise ShapeError("vision_config.deepstack_visual_indexes", "must be a list")
    sizes = {
        "depth": 27,
        "hidden": 1152,
        "intermediate": 4304,
        "heads": 16,
        "patch": 16,
        "merge": 2,
        "temporal_patch": 2,
    }
    return VisionShape(
        kind="qwen3",
        position_rows=_number(vision, "num_position_embeddings", 2304),
        extra={"deepstack": len(deepstack)},
        **_numbers(vision, _QWEN, out_hidden=text_hidden, **sizes),
    )


def _square(kind: str, **extra_names: str) -> Callable[[Config, Config, int], VisionShape]:
    """A tower that sees squares of one size: SigLIP, CLIP, InternViT and their users."""

    def read(vision: Config, config: Config, text_hidden: int) -> VisionShape:
        sizes = _numbers(vision, _COMMON, **_SIGLIP, patch=14, image_size=336 if "llava" in kind else 896)
        return VisionShape(
            kind=kind,
            out_hidden=text_hidden,
            position_rows=_grid(sizes)
            + (0 if kind in {"siglip", "llava_onevision"} else 1),  # CLIP and InternViT put a class token in front
            extra={name: config[key] for name, key in extra_names.items() if key in config},
            **sizes,
        )

    return read


def _pixtral(vision: Config, config: Config, text_hidden: int) -> VisionShape:
    return VisionShape(
        kind="pixtral",
        out_hidden=text_hidden,
        merge=_number(config, "spatial_merge_size", 1, where=""),
        gated=True,
        **_numbers(vision, _COMMON, depth=24, hidden=1024, intermediate=4096, heads=16, patch=16, image_size=1024),
    )


def _llava(vision: Config, config: Config, text_hidden: int) -> VisionShape:
    if vision.get("model_type") == "pixtral":
        return _pixtral(vision, config, text_hidden)
    return _square("llava", feature_layer="vision_feature_layer")(vision, config, text_hidden)


def _glm4v(vision: Config, _config: Config, _text_hidden: int) -> VisionShape:
    sizes = _numbers(
        vision, _QWEN, depth=24, hidden=1536, heads=12, patch=14, out_hidden=4096, merge=2, temporal_patch=2
    )
    return VisionShape(
        kind="glm4v",
        intermediate=sizes[
            "out_hidden"
        ],  # the blocks are as wide as the output, and the merger as wide as intermediate_size
        gated=True,
        position_rows=(_number(vision, "image_size", 336) // sizes["patch"]) ** 2,
        extra={"merger": _number(vision, "intermediate_size", 13696)},
        **sizes,
    )


def _minicpm(vision: Config, config: Config, text_hidden: int) -> VisionShape:
    sizes = _numbers(vision, _COMMON, **_SIGLIP, patch=14, image_size=980)
    shape = VisionShape(
        kind="minicpm",
        out_hidden=text_hidden,
        position_rows=_grid(sizes),
        extra={"queries": _number(config, "query_num", 64, where=""), "slices": _slices(config)},
        **sizes,
    )
    return shape._replace(depth=shape.depth - 1) if config.get("drop_vision_last_layer") else shape


def _slices(config: Config) -> int:
    section = config.get("slice_config")
    return _number(section, "max_slice_nums", 9, where="slice_config.") if isinstance(section, Mapping) else 9


def _moonvit(vision: Config, _config: Config, text_hidden: int) -> VisionShape:
    height, width = (_number(vision, f"init_pos_emb_{side}", 64) for side in ("height", "width"))
    return VisionShape(
        kind="moonvit",
        out_hidden=text_hidden,
        merge=2,
        position_rows=height * width,
        **_numbers(vision, _COMMON, **_SIGLIP, patch=14),
    )


def _llama4(vision: Config, _config: Config, text_hidden: int) -> VisionShape:
    sizes = _numbers(vision, _COMMON, depth=34, hidden=1408, intermediate=5632, heads=16, patch=14, image_size=336)
    return VisionShape(
        kind="llama4",
        out_hidden=text_hidden,
        merge=2,
        position_rows=_grid(sizes) + 1,
        extra={"projector": _number(vision, "projector_output_dim", 4096)},
        **sizes,
    )


_READERS: Mapping[str, Callable[[Config, Config, int], VisionShape]] = {
    "qwen2": _qwen2,
    "qwen2_5": _qwen2_5,
    "qwen3": _qwen3,
    "siglip": _square("siglip", tokens="mm_tokens_per_image"),
    "llava": _llava,
    "llava_next": _square("llava_next", grid="image_grid_pinpoints"),
    "llava_onevision": _square("llava_onevision", grid="image_grid_pinpoints", aspect="vision_aspect_ratio"),
    "intern": _square("intern", downsample="downsample_ratio", tiles="max_dynamic_patch"),
    "pixtral": _pixtral,
    "glm4v": _glm4v,
    "minicpm": _minicpm,
    "moonvit": _moonvit,
    "llama4": _llama4,
}


def vision_pieces(vision: VisionShape, ranks: int) -> Iterator[Piece]:
    """The tower's parameters on one rank, in the order in which they are made."""
    shards, hidden = Shards(ranks), vision.hidden
    bias = vision.kind != "pixtral"
    yield Piece("patch_embed", hidden, vision.patch_pixels)
    if vision.kind in _PATCH_BIAS:
        yield Piece("patch_embed.bias", hidden)
    if vision.position_rows:
        yield Piece("pos_embed", vision.position_rows, hidden)
    for index in range(_layers_kept(vision)):
        yield from _block(vision, shards, f"blocks.{index}", bias)
    yield from _MERGERS.get(vision.kind, _two_layers)(vision, shards)


def _layers_kept(vision: VisionShape) -> int:
    """LLaVA reads a hidden layer before the last (vision_feature_layer -2); vLLM does not load the layers after it."""
    if vision.kind in {"llava", "llava_next"}:
        layer = vision.extra.get("feature_layer", -2)
        return vision.depth + layer + 1 if isinstance(layer, int) and -vision.depth <= layer < 0 else vision.depth
    return vision.depth


def _block(vision: VisionShape, shards: Shards, name: str, bias: bool) -> Iterator[Piece]:
    hidden, width = vision.hidden, vision.intermediate
    root_norm = vision.kind in {"qwen2_5", "pixtral", "glm4v"}
    glm = vision.kind == "glm4v"
    for index in (1, 2):
        yield from norm(f"{name}.norm{index}", hidden, not root_norm)
    yield from shards.column(f"{name}.attn.qkv", 3 * hidden, hidden, bias and not glm)
    yield from shards.row(f"{name}.attn.proj", hidden, hidden, bias and not glm)
    up = 2 if vision.gated else 1
    yield from shards.column(f"{name}.mlp.up", up * width, hidden, bias and not glm)
    yield from shards.row(f"{name}.mlp.down", hidden, width, bias and not glm)
    if vision.kind == "intern":
        yield Piece(f"{name}.ls1", hidden)
        yield Piece(f"{name}.ls2", hidden)


def _qwen_merger(vision: VisionShape, shards: Shards) -> Iterator[Piece]:
    wide = vision.hidden * vision.merge**2
    for index in range(1 + int(vision.extra.get("deepstack", 0))):
        size = wide if index else vision.hidden  # the deepstack mergers normalize after shuffling
        yield from norm(f"merger.{index}.norm", size, vision.kind != "qwen2_5")
        yield from shards.column(f"merger.{index}.0", wide, wide, bias=True)
        yield from shards.row(f"merger.{index}.2", vision.out_hidden, wide, bias=True)


def _gemma_merger(vision: VisionShape, _shards: Shards) -> Iterator[Piece]:
    yield from norm("post_layernorm", vision.hidden, bias=True)
    yield from norm("mm_soft_emb_norm", vision.hidden)
    yield Piece("mm_input_projection", vision.hidden, vision.out_hidden)


def _pixtral_merger(vision: VisionShape, shards: Shards) -> Iterator[Piece]:
    yield from norm("ln_pre", vision.hidden)
    if vision.merge > 1:
        yield from norm("projector.norm", vision.hidden)
        yield Piece("projector.patch_merger", vision.hidden, vision.hidden * vision.merge**2)
    yield from shards.column("projector.linear_1", vision.out_hidden, vision.hidden, bias=vision.merge == 1)
    yield from shards.row("projector.linear_2", vision.out_hidden, vision.out_hidden, bias=vision.merge == 1)


def _intern_merger(vision: VisionShape, _shards: Shards) -> Iterator[Piece]:
    yield Piece("class_embedding", vision.hidden)
    wide = vision.hidden * 4  # pixel shuffle by one half in both directions
    yield from norm("mlp1.0", wide, bias=True)
    yield from Shards().column("mlp1.1", vision.out_hidden, wide, bias=True)
    yield from Shards().column("mlp1.3", vision.out_hidden, vision.out_hidden, bias=True)


def _glm_merger(vision: VisionShape, shards: Shards) -> Iterator[Piece]:
    out, width = vision.out_hidden, int(vision.extra["merger"])
    yield from norm("post_conv_layernorm", vision.hidden)
    yield from norm("post_layernorm", vision.hidden)
    yield Piece("downsample", out, vision.hidden * vision.merge**2)
    yield Piece("downsample.bias", out)
    yield from shards.column("merger.proj", out, out)
    yield from norm("merger.norm", out, bias=True)
    yield from shards.column("merger.gate_up", 2 * width, out)
    yield from shards.row("merger.down", out, width)


def _resampler(vision: VisionShape, _shards: Shards) -> Iterator[Piece]:
    out = vision.out_hidden
    yield from norm("post_layernorm", vision.hidden, bias=True)
    yield Piece("resampler.query", int(vision.extra["queries"]), out)
    yield from Shards().column("resampler.kv_proj", out, vision.hidden)
    yield from Shards().column("resampler.attn.in", 3 * out, out, bias=True)
    yield from Shards().column("resampler.attn.out", out, out, bias=True)
    yield Piece("resampler.proj", out, out)
    for name in ("ln_q", "ln_kv", "ln_post"):
        yield from norm(f"resampler.{name}", out, bias=True)


def _moon_merger(vision: VisionShape, _shards: Shards) -> Iterator[Piece]:
    wide = vision.hidden * vision.merge**2
    yield from norm("final_layernorm", vision.hidden, bias=True)
    yield from norm("projector.pre_norm", vision.hidden, bias=True)
    yield from Shards().column("projector.linear_1", wide, wide, bias=True)
    yield from Shards().column("projector.linear_2", vision.out_hidden, wide, bias=True)


def _llama4_merger(vision: VisionShape, shards: Shards) -> Iterator[Piece]:
    out = int(vision.extra["projector"])
    yield Piece("class_embedding", vision.hidden)
    for name in ("layernorm_pre", "layernorm_post"):
        yield from norm(name, vision.hidden, bias=True)
    yield from shards.column("vision_adapter.fc1", out, vision.intermediate)
    yield from shards.row("vision_adapter.fc2", out, out)
    yield Piece("multi_modal_projector", vision.out_hidden, out)


def _two_layers(vision: VisionShape, shards: Shards) -> Iterator[Piece]:
    """LLaVA and its successors: class token and norms of CLIP, then a projector of two layers."""
    if vision.kind != "llava_onevision":
        yield Piece("class_embedding", vision.hidden)
        yield from norm("pre_layernorm", vision.hidden, bias=True)
    yield from shards.column("projector.linear_1", vision.out_hidden, vision.hidden, bias=True)
    yield from shards.row("projector.linear_2", vision.out_hidden, vision.out_hidden, bias=True)
    if vision.kind != "llava":
        yield Piece("image_newline", vision.out_hidden)


_MERGERS: Mapping[str, Callable[[VisionShape, Shards], Iterator[Piece]]] = {
    "qwen2": _qwen_merger,
    "qwen2_5": _qwen_merger,
    "qwen3": _qwen_merger,
    "siglip": _gemma_merger,
    "pixtral": _pixtral_merger,
    "intern": _intern_merger,
    "glm4v": _glm_merger,
    "minicpm": _resampler,
    "moonvit": _moon_merger,
    "llama4": _llama4_merger,
}


def _numbers(section: Config, names: Mapping[str, str], **defaults: int) -> dict[str, Any]:
    """Fields of a tower from a section, each with its default."""
    return {
        field: _number(section, names[field], default, most=_MOST_LAYERS if field == "depth" else _LARGEST)
        for field, default in defaults.items()
    }


def _grid(sizes: Mapping[str, int]) -> int:
    """How many patches a square of the tower's size has."""
    return int((sizes["image_size"] // sizes["patch"]) ** 2)


def _number(section: Config, key: str, default: int, where: str = "vision_config.", *, most: int = _LARGEST) -> int:
    return number(section, key, where, default, most=most)
