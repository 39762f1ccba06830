"""A small decoder piece by piece: what one rank of one stage holds, and how an allocator counts it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from memory_shapes import model, shape_of

from qvl_doctor.memory.decoder import decoder_pieces, layer_pieces, stage_layers, vocab_rows
from qvl_doctor.memory.model_cards import Card
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import FULL, Experts, Latent, RopeCache
from qvl_doctor.memory.tensors import Tensor
from qvl_doctor.memory.towers import vision_pieces
from qvl_doctor.memory.units import MIB
from qvl_doctor.memory.weights import (
    allocated,
    checkpoint_weights,
    file_bytes,
    model_buffers,
    weight_sizes,
    weights,
)

#: Hidden 64, eight heads and four KV heads of 16, intermediate 128, vocabulary 1000.
TWO = shape_of(FULL, FULL)
NEW = Settings((0, 19, 0))


def told(pieces: Any) -> list[str]:
    """Pieces as text: name, rows × columns, what may be quantized, and of how many experts."""
    return [
        f"{piece.name} {piece.rows}x{piece.columns}{' q' * piece.linear}{f' e{piece.experts}' * bool(piece.experts)}"
        for piece in pieces
    ]


def layer(index: int = 0, ranks: int = 1, quantized: bool = False, **changes: Any) -> list[str]:
    shape = replace(TWO, **changes)
    return [each.removeprefix(f"layers.{index}.") for each in told(layer_pieces(shape, ranks, index, quantized))]


def test_a_plain_layer() -> None:
    attention = ["attn.qkv.weight 256x64 q", "attn.o.weight 64x128 q"]  # (8 + 2 × 4) heads of 16
    mlp = ["mlp.gate_up.weight 256x64 q", "mlp.down.weight 64x128 q"]
    assert layer() == [*attention, *mlp, "norm0.weight 64x1", "norm1.weight 64x1"]
    assert layer(gated=False)[2] == "mlp.gate_up.weight 128x64 q"
    assert layer(norm_sizes=1, norm_bias=True)[4:] == ["norm0.weight 64x1", "norm0.bias 64x1"]


def test_a_layer_on_several_ranks() -> None:
    assert layer(ranks=2)[:4] == [
        "attn.qkv.weight 128x64 q",
        "attn.o.weight 64x64 q",
        "mlp.gate_up.weight 128x64 q",
        "mlp.down.weight 64x64 q",
    ]
    assert layer(ranks=8)[0] == "attn.qkv.weight 48x64 q"  # one head, and both of a pair that is repeated
    assert layer(ranks=3)[0] == "attn.qkv.weight 80x64 q"  # three heads, one pair


def test_what_a_layer_may_have_besides() -> None:
    assert "attn.qkv.bias 256x1" in layer(qkv_bias=True)
    assert "attn.o.bias 64x1" in layer(out_bias=True)
    assert {"attn.q_norm.weight 16x1", "attn.k_norm.weight 16x1"} <= set(layer(qk_norm=True))
    assert "attn.sinks 8x1" in layer(sinks=True)
    assert "attn.sinks 4x1" in layer(ranks=2, sinks=True)
    assert {"mlp.gate_up.bias 256x1", "mlp.down.bias 64x1"} <= set(layer(mlp_bias=True))


def test_mla() -> None:
    plain = Latent(kv_rank=32, rope_dim=8, nope_dim=24, value_dim=20)
    assert layer(latent=plain)[:5] == [
        "attn.q.weight 256x64 q",  # 8 × (24 + 8)
        "attn.kv_a 40x64 q",
        "attn.kv_a_norm.weight 32x1",
        "attn.kv_b.weight 352x32 q",  # 8 × (24 + 20)
        "attn.o.weight 64x160 q",
    ]
    compressed = plain._replace(query_rank=48)
    assert layer(latent=compressed)[:6] == [
        "attn.fused_qkv_a 88x64 q",
        "attn.q_a_norm.weight 48x1",
        "attn.q_b.weight 256x48 q",
        "attn.kv_a_norm.weight 32x1",
        "attn.kv_b.weight 352x32 q",
        "attn.o.weight 64x160 q",
    ]
    assert "attn.absorbed.weight 352x32" in layer(latent=plain, quantized=True)
    assert layer(latent=plain, ranks=2)[:4] == [
        "attn.q.weight 128x64 q",
        "attn.kv_a 40x64 q",
        "attn.kv_a_norm.weight 32x1",
        "attn.kv_b.weight 176x32 q",
    ]


def test_experts() -> None:
    few = Experts(6, 2, 48)
    assert layer(experts=few)[2:5] == [
        "router 6x64",
        "experts.gate_up 96x64 q e6",
        "experts.down 64x48 q e6",
    ]
    assert layer(experts=few, ranks=5)[3:5] == ["experts.gate_up 20x64 q e6", "experts.down 64x10 q e6"]
    biased = layer(experts=replace(few, bias=True))
    assert [each for each in biased if "bias" in each] == [
        "router.bias 6x1",
        "experts.gate_up.bias 96x1 e6",
        "experts.down.bias 64x1 e6",
    ]
    shared = layer(experts=replace(few, shared_intermediate=40, shared_gate=True))
    assert [each for each in shared if "shared" in each] == [
        "shared.gate_up.weight 80x64 q",
        "shared.down.weight 64x40 q",
        "shared.gate 1x64",
    ]


def test_which_layers_have_experts() -> None:
    few = Experts(6, 2, 48, dense_layers=1)
    assert [bool([each for each in layer(index, experts=few) if "router" in each]) for index in range(3)] == [
        False,
        True,
        True,
    ]
    every = replace(TWO, experts=Experts(6, 2, 48, every=3))
    assert [every.has_experts(index) for index in range(6)] == [False, False, True, False, False, True]
    assert not TWO.has_experts(3)


@pytest.mark.parametrize(
    ("depth", "stages", "layers"),
    [
        (10, 1, (10,)),
        (10, 2, (5, 5)),
        (11, 2, (6, 5)),
        (10, 4, (2, 3, 3, 2)),
        (11, 4, (3, 3, 3, 2)),
        (9, 4, (2, 2, 3, 2)),
    ],
)
def test_layers_of_a_stage(depth: int, stages: int, layers: tuple[int, ...]) -> None:
    assert stage_layers(depth, stages) == layers


@pytest.mark.parametrize(("vocab", "ranks", "rows"), [(1000, 1, 1024), (1024, 1, 1024), (1025, 2, 544), (1000, 3, 342)])
def test_rows_of_the_vocabulary(vocab: int, ranks: int, rows: int) -> None:
    assert vocab_rows(replace(TWO, vocab=vocab), ranks) == rows


def ends(stage: int, stages: int = 3, **changes: Any) -> list[str]:
    """The pieces of a stage that belong to no layer, and the numbers of its layers."""
    found = told(decoder_pieces(replace(shape_of(*[FULL] * 4), **changes), 1, stages, stage))
    numbers = dict.fromkeys(each.split(".")[1] for each in found if each.startswith("layers."))
    return [*(each for each in found if not each.startswith("layers.")), "".join(numbers)]


def test_what_each_stage_holds() -> None:
    table, head = "embed_tokens 1024x64", "lm_head 1024x64"
    assert ends(0) == [table, "0"]
    assert ends(1) == ["12"]
    assert ends(2) == ["norm.weight 64x1", head, "3"]
    assert ends(2, tied=True) == [table, "norm.weight 64x1", "3"]
    assert ends(1, tied=True) == ["12"]
    assert told(decoder_pieces(TWO, 1)) == told(decoder_pieces(TWO, 1, 1, 0))
    assert ends(0, 1) == [table, "norm.weight 64x1", head, "0123"]
    assert ends(0, 1, tied=True) == [table, "norm.weight 64x1", "0123"]
    assert ends(0, 1, head_bias=True, norm_bias=True)[1:-1] == [
        "norm.weight 64x1",
        "norm.bias 64x1",
        head,
        "lm_head.bias 1024x1",
    ]


# ---- The allocator


@pytest.mark.parametrize(
    ("sizes", "counted"),
    [
        ([1], 512),
        ([0], 512),
        ([513], 1024),
        ([MIB], MIB),  # a segment of 2 MiB, whose rest is kept apart
        ([MIB, MIB], 2 * MIB),
        ([MIB, MIB - 512, 512], 2 * MIB),
        ([MIB, MIB - 512, 1024], 2 * MIB - 512 + 1024),
        ([MIB + 512], MIB + 512),  # of 20 MiB
        ([10 * MIB - 512], 10 * MIB - 512),
        ([10 * MIB], 10 * MIB),  # its own from here on
        ([11 * MIB], 12 * MIB),  # in whole pieces of 2 MiB; a rest up to 1 MiB stays with it
        ([11 * MIB - 512], 11 * MIB - 512),
        ([13 * MIB], 14 * MIB),
        ([10 * MIB + MIB // 2, 9 * MIB], 19 * MIB + MIB // 2),  # out of 12 MiB and out of 20
        ([10 * MIB, 9 * MIB + MIB // 2], 19 * MIB + MIB // 2),
        ([MIB, 18 * MIB + MIB // 2], 19 * MIB + MIB // 2),  # a small one leaves nothing for a large one
        ([5 * MIB, 14 * MIB], 5 * MIB + 15 * MIB),  # the rest of the first segment
        ([5 * MIB, 14 * MIB - 512], 5 * MIB + 14 * MIB - 512),
        ([5 * MIB, 15 * MIB], 20 * MIB),
        ([5 * MIB, 16 * MIB], 5 * MIB + 16 * MIB),
    ],
)
def test_what_the_allocator_counts(sizes: list[int], counted: int) -> None:
    assert allocated(sizes) == counted


def test_weights_of_a_small_model() -> None:
    shape = replace(shape_of(FULL), rope=(RopeCache(100, 16), RopeCache(50, 8)))
    table = 1024 * 64 * 2
    sizes = [
        table,
        256 * 64 * 2,
        64 * 128 * 2,
        100 * 16 * 2,
        50 * 8 * 2,
        256 * 64 * 2,
        64 * 128 * 2,
        128,
        128,
        128,
        table,
    ]
    assert list(weight_sizes(shape, NEW)) == sizes
    found = weights(shape, NEW)
    assert (found.tensors, found.rope, found.buffers) == (sum(sizes), 2 * (1600 + 400), 0)
    assert found.allocated == sum(-(-size // 512) * 512 for size in sizes)
    wide = weights(shape, NEW._replace(dtype="float32"))
    assert (wide.tensors, wide.rope) == (2 * sum(sizes), 2 * found.rope)
    assert weights(shape, NEW._replace(dtype="of-tomorrow")) == found
    assert next(iter(weight_sizes(shape, NEW._replace(quantization="gguf-q8_0")))) == table // 2


def test_quantized_mla_keeps_what_is_absorbed_besides() -> None:
    mla = replace(shape_of(FULL), latent=Latent(kv_rank=32, rope_dim=8, nope_dim=24, value_dim=20))
    plain, quantized = (list(weight_sizes(mla, NEW._replace(quantization=name))) for name in ("", "fp8"))
    assert len(quantized) == len(plain) + 1
    assert 352 * 32 * 2 in quantized


def test_a_tower_is_on_the_first_stage_and_divided_or_not() -> None:
    shape = model("Qwen2.5-VL-7B-Instruct")
    settings = Settings((0, 19, 0), tp=2, pp=2)
    first, whole = (
        list(weight_sizes(shape, settings)),
        list(weight_sizes(shape, settings._replace(split_encoder=False))),
    )
    tower = [piece.elements * 2 for piece in vision_pieces(shape.vision, 2)] if shape.vision else []
    assert first[: len(tower)] == tower != []
    assert len(first) == len(whole)
    assert sum(first) < sum(whole) < 2 * sum(first)
    assert len(list(weight_sizes(shape, settings, 1))) < len(first) - 300


def test_buffers_of_a_model() -> None:
    deep = model("Qwen3-VL-8B-Instruct")
    assert model_buffers(deep, NEW._replace(max_num_batched_tokens=100)) == 3 * 100 * deep.hidden * 2
    assert model_buffers(deep, NEW._replace(max_num_batched_tokens=100, dtype="float32")) == 3 * 100 * deep.hidden * 4
    odd = NEW._replace(max_num_batched_tokens=100, dtype="of-tomorrow")
    assert model_buffers(deep, odd) == 3 * 100 * deep.hidden * 2
    assert model_buffers(TWO, NEW) == 0
    buffers = model_buffers(deep, NEW)
    found = weights(deep, NEW)
    assert found.buffers == buffers
    assert found.tensors == sum(weight_sizes(deep, NEW)) + buffers
    assert found.allocated == allocated(weight_sizes(deep, NEW)) + buffers


def test_weights_by_the_files_of_a_checkpoint() -> None:
    shape = replace(TWO, rope=(RopeCache(100, 16),))
    files = (Tensor("model.layers.0.mlp.down_proj.weight", "BF16", (64, 128), 64 * 128 * 2),)
    found = checkpoint_weights(shape, NEW, files)
    assert (found.tensors, found.rope) == (16384 + 3200, 3200)
    assert found.allocated == 16384 + 3584
    assert checkpoint_weights(shape, NEW._replace(pp=2), files).tensors == 8192 + 3200
    assert checkpoint_weights(shape, NEW._replace(tp=2), files).tensors == 8192 + 3200
    deep = model("Qwen3-VL-8B-Instruct")
    seen = checkpoint_weights(deep, NEW, files)
    tables = sum(cache.rows * cache.dim * 2 for cache in deep.rope)
    assert (seen.tensors, seen.rope) == (16384 + tables + model_buffers(deep, NEW), tables)
    rope = [cache.rows * cache.dim * 2 for cache in deep.rope]
    assert seen.allocated == allocated([16384, *rope]) + seen.buffers
    assert checkpoint_weights(shape, NEW._replace(dtype="of-tomorrow"), files) == found


def test_bytes_of_the_files_of_a_card() -> None:
    assert file_bytes(Card("m", TWO, "s", parameters=1000)) == 2000
    assert file_bytes(Card("m", TWO, "s")) == 0
    assert file_bytes(Card("m", TWO, "s", "of-tomorrow", 1000)) == 0
    quantized = file_bytes(Card("m", TWO, "s", "fp8", 1000))
    assert quantized == weights(TWO, NEW._replace(quantization="fp8")).tensors
