"""Vision towers: what a config.json means for them, and their weights on one rank, piece by piece."""

from __future__ import annotations

from typing import Any

import pytest

from qvl_doctor.memory.shape import ShapeError, VisionShape
from qvl_doctor.memory.towers import read_vision, vision_pieces

SIZES: dict[str, Any] = {
    "num_hidden_layers": 3,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "patch_size": 7,
}


def vision(kind: str, outer: dict[str, Any] | None = None, **section: Any) -> VisionShape:
    return read_vision(kind, {"vision_config": section, **(outer or {})}, 64)


def test_towers_that_say_nothing() -> None:
    so400m: dict[str, Any] = {"depth": 27, "hidden": 1152, "intermediate": 4304, "heads": 16, "patch": 14}
    qwen: dict[str, Any] = {"merge": 2, "temporal_patch": 2, "out_hidden": 64}
    assert vision("qwen2") == VisionShape("qwen2", depth=32, hidden=1280, intermediate=5120, heads=16, patch=14, **qwen)
    assert vision("qwen2_5") == VisionShape(
        "qwen2_5", depth=32, hidden=1280, intermediate=3420, heads=16, patch=14, gated=True, **qwen
    )
    assert vision("qwen3") == VisionShape(
        "qwen3", **{**so400m, "patch": 16}, **qwen, position_rows=2304, extra={"deepstack": 3}
    )
    square: dict[str, Any] = {"image_size": 896, "out_hidden": 64}
    assert vision("siglip") == VisionShape("siglip", **so400m, **square, position_rows=64 * 64)
    assert vision("intern") == VisionShape("intern", **so400m, **square, position_rows=64 * 64 + 1)
    small: dict[str, Any] = {"image_size": 336, "out_hidden": 64}
    assert vision("llava") == VisionShape("llava", **so400m, **small, position_rows=24 * 24 + 1)
    assert vision("llava_next") == VisionShape("llava_next", **so400m, **small, position_rows=24 * 24 + 1)
    assert vision("llava_onevision") == VisionShape("llava_onevision", **so400m, **small, position_rows=24 * 24)
    assert vision("pixtral") == VisionShape(
        "pixtral",
        depth=24,
        hidden=1024,
        intermediate=4096,
        heads=16,
        patch=16,
        image_size=1024,
        out_hidden=64,
        gated=True,
    )
    assert vision("glm4v") == VisionShape(
        "glm4v",
        depth=24,
        hidden=1536,
        intermediate=4096,
        heads=12,
        patch=14,
        out_hidden=4096,
        merge=2,
        temporal_patch=2,
        gated=True,
        position_rows=24 * 24,
        extra={"merger": 13696},
    )
    assert vision("minicpm") == VisionShape(
        "minicpm", **so400m, image_size=980, out_hidden=64, position_rows=70 * 70, extra={"queries": 64, "slices": 9}
    )
    assert vision("moonvit") == VisionShape("moonvit", **so400m, out_hidden=64, merge=2, position_rows=64 * 64)
    assert vision("llama4") == VisionShape(
        "llama4",
        depth=34,
        hidden=1408,
        intermediate=5632,
        heads=16,
        patch=14,
        image_size=336,
        out_hidden=64,
        merge=2,
        position_rows=24 * 24 + 1,
        extra={"projector": 4096},
    )


def test_towers_with_numbers_of_their_own() -> None:
    own: dict[str, Any] = {"depth": 3, "hidden": 32, "intermediate": 48, "heads": 4, "patch": 7}
    for kind in ("siglip", "llava", "llava_next", "llava_onevision", "intern", "pixtral", "minicpm", "llama4"):
        found = vision(kind, **SIZES, image_size=21)
        assert {name: getattr(found, name) for name in own} == own
        assert found.image_size == 21
    moon = vision("moonvit", **SIZES, init_pos_emb_height=5, init_pos_emb_width=6)
    assert (moon.depth, moon.patch, moon.position_rows) == (3, 7, 30)
    names: dict[str, Any] = {
        "depth": 3,
        "num_heads": 4,
        "patch_size": 7,
        "spatial_merge_size": 3,
        "temporal_patch_size": 1,
        "hidden_size": 32,
        "intermediate_size": 48,
        "out_hidden_size": 96,
    }
    for kind in ("qwen2_5", "qwen3"):
        found = vision(kind, **names)
        assert (found.depth, found.heads, found.patch, found.merge, found.temporal_patch) == (3, 4, 7, 3, 1)
        assert (found.hidden, found.intermediate, found.out_hidden) == (32, 48, 96)
    two = vision("qwen2", **names, embed_dim=40, mlp_ratio=3)
    assert (two.hidden, two.intermediate, two.out_hidden) == (40, 120, 64)
    glm = vision("glm4v", **names, image_size=21)
    assert (glm.intermediate, glm.position_rows, glm.extra) == (96, 9, {"merger": 48})


def test_what_only_one_family_has() -> None:
    assert vision("qwen3", num_position_embeddings=9, deepstack_visual_indexes=[1]).extra == {"deepstack": 1}
    assert vision("qwen3", num_position_embeddings=9).position_rows == 9
    with pytest.raises(ShapeError, match=r"vision_config\.deepstack_visual_indexes: must be a list"):
        vision("qwen3", deepstack_visual_indexes=3)
    assert vision("siglip", {"mm_tokens_per_image": 9}).extra == {"tokens": 9}
    assert vision("llava", {"vision_feature_layer": -1}).extra == {"feature_layer": -1}
    grid = {"image_grid_pinpoints": [[1, 2]], "vision_aspect_ratio": "x"}
    assert vision("llava_next", grid).extra == {"grid": [[1, 2]]}
    assert vision("llava_onevision", grid).extra == {"grid": [[1, 2]], "aspect": "x"}
    assert vision("intern", {"downsample_ratio": 0.25, "max_dynamic_patch": 6}).extra == {
        "downsample": 0.25,
        "tiles": 6,
    }
    assert vision("pixtral", {"spatial_merge_size": 2}).merge == 2
    assert vision("llava", model_type="pixtral").kind == "pixtral"
    slices = {"slice_config": {"max_slice_nums": 4}, "query_num": 96}
    assert vision("minicpm", slices).extra == {"queries": 96, "slices": 4}
    assert vision("minicpm", {"drop_vision_last_layer": True}).depth == 26
    assert vision("minicpm", {"drop_vision_last_layer": False}).depth == 27
    assert vision("llama4", projector_output_dim=9).extra == {"projector": 9}
    with pytest.raises(ShapeError, match=r"slice_config\.max_slice_nums: must be"):
        vision("minicpm", {"slice_config": {"max_slice_nums": "4"}})
    with pytest.raises(ShapeError, match="vision_config: is missing"):
        read_vision("siglip", {}, 64)
    with pytest.raises(ShapeError, match=r"vision_config\.hidden_size: must lie between 1 and 1000000"):
        vision("siglip", hidden_size=10**6 + 1)


# ---- Their weights


def pieces(kind: str, ranks: int = 1, outer: dict[str, Any] | None = None, **section: Any) -> dict[str, str]:
    """Rows × columns by name, without the blocks after the first; hidden 32, width 48, output 64."""
    qwen: dict[str, Any] = {"depth": 2, "num_heads": 4, "embed_dim": 32, "mlp_ratio": 2}
    plain = {**SIZES, "num_hidden_layers": 2, **qwen, "image_size": 21, **section}
    found = {each.name: f"{each.rows}x{each.columns}" for each in vision_pieces(vision(kind, outer, **plain), ranks)}
    assert len(found) == len(list(vision_pieces(vision(kind, outer, **plain), ranks)))
    assert {name.split(".")[1] for name in found if name.startswith("blocks.")} == {"0", "1"}
    return {name: size for name, size in found.items() if not name.startswith("blocks.1")}


def block(*, bias: bool, width: int = 48, root: bool = False, up: int | None = None) -> dict[str, str]:
    norms = {
        f"blocks.0.norm{index}.{part}": "32x1" for index in (1, 2) for part in ("weight", "bias")[: 1 if root else 2]
    }
    rows = {"attn.qkv": "96x32", "attn.proj": "32x32", "mlp.up": f"{up or width}x32", "mlp.down": f"32x{width}"}
    weights = {f"blocks.0.{name}.weight": size for name, size in rows.items()}
    biases = {f"blocks.0.{name}.bias": f"{size.partition('x')[0]}x1" for name, size in rows.items()} if bias else {}
    return norms | weights | biases


PATCHES, FRAMES = {"patch_embed": f"32x{3 * 49}"}, {"patch_embed": f"32x{3 * 2 * 49}"}
BIAS = {"patch_embed.bias": "32x1"}


def both(name: str, size: str) -> dict[str, str]:
    return {f"{name}.weight": size, f"{name}.bias": f"{size.partition('x')[0]}x1"}


def test_weights_of_the_qwen_towers() -> None:
    merger = both("merger.0.0", "128x128") | both("merger.0.2", "64x128")
    norm = {"merger.0.norm.weight": "32x1"}
    assert pieces("qwen2") == FRAMES | block(bias=True, width=64) | norm | {"merger.0.norm.bias": "32x1"} | merger
    assert pieces("qwen2_5") == FRAMES | block(bias=True, up=96, root=True) | norm | merger
    deep = {
        name.replace(".0", f".{index}", 1): size
        for index in (1, 2)
        for name, size in (merger | both("merger.0.norm", "128x1")).items()
    }
    stacked = pieces("qwen3", deepstack_visual_indexes=[1, 2], num_position_embeddings=9)
    assert stacked == (
        FRAMES | BIAS | {"pos_embed": "9x32"} | block(bias=True) | both("merger.0.norm", "32x1") | merger | deep
    )
    assert pieces("qwen2", 2)["merger.0.0.weight"] == "64x128"
    assert pieces("qwen2", 2)["merger.0.2.weight"] == "64x64"


def test_weights_of_siglip_and_its_users() -> None:
    siglip = PATCHES | BIAS | {"pos_embed": "9x32"} | block(bias=True)
    assert pieces("siglip") == (
        siglip | both("post_layernorm", "32x1") | {"mm_soft_emb_norm.weight": "32x1", "mm_input_projection": "32x64"}
    )
    layers = both("projector.linear_1", "64x32") | both("projector.linear_2", "64x64")
    assert pieces("llava_onevision") == siglip | layers | {"image_newline": "64x1"}
    resampler = {
        **both("post_layernorm", "32x1"),
        "resampler.query": "64x64",
        "resampler.kv_proj.weight": "64x32",
        **both("resampler.attn.in", "192x64"),
        **both("resampler.attn.out", "64x64"),
        "resampler.proj": "64x64",
        **both("resampler.ln_q", "64x1"),
        **both("resampler.ln_kv", "64x1"),
        **both("resampler.ln_post", "64x1"),
    }
    assert pieces("minicpm") == siglip | resampler
    moon = both("final_layernorm", "32x1") | both("projector.pre_norm", "32x1")
    moon |= both("projector.linear_1", "128x128") | both("projector.linear_2", "64x128")
    assert pieces("moonvit", init_pos_emb_height=3, init_pos_emb_width=3) == siglip | moon


def test_weights_of_towers_with_a_class_token() -> None:
    clip = PATCHES | {"pos_embed": "10x32"} | block(bias=True)
    first = {"class_embedding": "32x1"}
    layers = both("projector.linear_1", "64x32") | both("projector.linear_2", "64x64")
    norm = both("pre_layernorm", "32x1")
    last = {"vision_feature_layer": -1}
    assert pieces("llava", outer=last) == clip | first | norm | layers
    feature = vision_pieces(vision("llava_next", **SIZES), 1)
    newline = [piece.name for piece in feature][-1]
    assert newline == "image_newline"
    intern = {"blocks.0.ls1": "32x1", "blocks.0.ls2": "32x1"}
    shuffled = both("mlp1.0", "128x1") | both("mlp1.1", "64x128") | both("mlp1.3", "64x64")
    assert pieces("intern") == clip | BIAS | intern | first | shuffled
    four = both("layernorm_pre", "32x1") | both("layernorm_post", "32x1")
    four |= {
        "vision_adapter.fc1.weight": "96x48",
        "vision_adapter.fc2.weight": "96x96",
        "multi_modal_projector": "64x96",
    }
    assert pieces("llama4", projector_output_dim=96) == clip | first | four


def test_weights_of_pixtral() -> None:
    plain = PATCHES | block(bias=False, up=96, root=True) | {"ln_pre.weight": "32x1"}
    assert pieces("pixtral") == plain | both("projector.linear_1", "64x32") | both("projector.linear_2", "64x64")
    merged = {
        "projector.norm.weight": "32x1",
        "projector.patch_merger": "32x128",
        "projector.linear_1.weight": "64x32",
        "projector.linear_2.weight": "64x64",
    }
    assert pieces("pixtral", outer={"spatial_merge_size": 2}) == plain | merged


def test_weights_of_glm4v() -> None:
    found = pieces("glm4v", out_hidden_size=96)
    inner = block(bias=False, width=96, up=192, root=True)
    merger = {
        "post_conv_layernorm.weight": "32x1",
        "post_layernorm.weight": "32x1",
        "downsample": "96x128",
        "downsample.bias": "96x1",
        "merger.proj.weight": "96x96",
        **both("merger.norm", "96x1"),
        "merger.gate_up.weight": "96x96",
        "merger.down.weight": "96x48",
    }
    assert found == FRAMES | BIAS | {"pos_embed": "9x32"} | inner | merger


def test_a_divided_tower() -> None:
    found = pieces("siglip", 2)
    assert found["blocks.0.attn.qkv.weight"] == "48x32"
    assert found["blocks.0.attn.proj.weight"] == "32x16"
    assert found["blocks.0.mlp.up.weight"] == "24x32"
    assert found["blocks.0.mlp.down.weight"] == "32x24"
    for kind, whole in (("intern", "mlp1.1.weight"), ("moonvit", "projector.linear_1.weight")):
        assert pieces(kind, 2)[whole] == pieces(kind)[whole]


@pytest.mark.parametrize(
    ("kind", "layer", "kept"),
    [
        ("llava", None, 2),  # -2: the last but one
        ("llava", -1, 3),
        ("llava", -3, 1),
        ("llava", -4, 3),
        ("llava", 0, 3),
        ("llava", "x", 3),
        ("llava_next", None, 2),
        ("llava_onevision", None, 3),
    ],
)
def test_layers_behind_the_one_that_is_read_are_not_loaded(kind: str, layer: Any, kept: int) -> None:
    outer = {} if layer is None else {"vision_feature_layer": layer}
    found = vision(kind, outer, **SIZES)
    assert len({each.name.split(".")[1] for each in vision_pieces(found, 1) if each.name.startswith("blocks.")}) == kept
