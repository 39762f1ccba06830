"""Blocks, tokens and concurrency of a KV pool: as public logs show them, and what must hold for any model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_shapes import TINY, model, serve, token_bytes

from qvl_doctor.knowledge.releases import Release, newest
from qvl_doctor.memory import kv
from qvl_doctor.memory.configs import read
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import LayerKind, ModelShape
from qvl_doctor.memory.units import GIB

H100: Release = (0, 19, 0)

#: Pool in GiB → tokens and concurrency as printed.
LOGGED: list[tuple[str, Release, dict[str, Any], float, int, float]] = [
    ("Llama-3.1-8B-Instruct", H100, {"max_model_len": 8192}, 58.11, 476016, 58.11),
    ("Llama-3.1-8B-Instruct", H100, {"max_model_len": 8192, "tp": 4}, 67.44, 2209792, 269.75),
    ("Llama-3.1-8B-Instruct", H100, {"max_model_len": 8192, "kv_cache_dtype": "fp8"}, 58.11, 952032, 116.21),
    ("Qwen2.5-7B-Instruct", H100, {"max_model_len": 8192, "tp": 4}, 67.34, 5043280, 615.63),
    ("gemma-2-2b-it", H100, {"max_model_len": 8192}, 66.47, 670160, 81.73),
    ("gemma-3-4b-it", H100, {"max_model_len": 8192}, 62.51, 468144, 57.05),
    ("Kimi-VL-A3B-Instruct", H100, {"max_model_len": 8192, "tp": 2}, 54.78, 1890896, 230.82),
    ("Qwen3-30B-A3B", H100, {"max_model_len": 8192}, 15.41, 168288, 20.54),
    ("Qwen3-0.6B", (0, 11, 2), {"max_model_len": 16000}, 37.42, 350304, 21.89),
    ("Qwen3-VL-30B-A3B-Instruct", (0, 11, 0), {"max_model_len": 65536, "tp": 4}, 2.31, 100752, 1.54),
    ("DeepSeek-R1", (0, 11, 2), {"max_model_len": 8192, "tp": 8}, 41.60, 635648, 77.59),
]


@pytest.mark.parametrize("point", LOGGED, ids=lambda point: f"{point[0]}-{point[3]}-{point[4]}")
def test_pools_as_logged(point: tuple[str, Release, dict[str, Any], float, int, float]) -> None:
    name, release, flags, gib, tokens, concurrency = point
    shape, settings, _ = serve(name, "H100", release, **flags)
    held = kv.pool(shape, settings, gib * GIB)
    assert held.tokens == pytest.approx(tokens, rel=0.002)
    assert held.concurrency == pytest.approx(concurrency, rel=0.002, abs=0.01)


def test_layers_with_a_window_are_grouped_with_full_ones() -> None:
    """27B of Gemma 3: 10 full and 52 sliding layers make 7 groups of 10, with 8 layers of padding."""
    shape, settings, _ = serve("gemma-3-27b-it", "H100", H100)
    found = kv.groups(shape, settings)
    assert len(found) == 7
    assert {group.count for group in found} == {10}
    assert [group.kind.kind for group in found].count("full") == 1


def test_almost_equal_kinds_take_the_larger_size_from_0_12_on() -> None:
    shape = model("gpt-oss-20b")
    uneven = replace(shape, layers=(*shape.layers, LayerKind()))  # 12 sliding and 13 full
    for release, sizes in (((0, 11, 0), (12, 3)), ((0, 12, 0), (13, 2)), ((0, 19, 0), (13, 2))):
        found = kv.groups(uneven, Settings(release=release))
        assert (found[0].count, len(found)) == sizes


def test_releases_and_engines_without_groups_keep_everything() -> None:
    shape = model("gemma-3-27b-it")
    for settings in (
        Settings(release=(0, 9, 0)),
        Settings(newest(), hybrid=False),
        Settings(engine="V0", release=(0, 8, 5)),
    ):
        assert kv.groups(shape, settings) == (kv.Group(LayerKind(), 62),)
    assert kv.groups(shape, Settings(newest(), hybrid=False)) != kv.groups(shape, Settings(newest()))


def test_a_window_keeps_its_tokens_the_batch_and_one_block_more() -> None:
    shape, settings, _ = serve("gemma-3-4b-it", "H100", H100, max_model_len=131072)
    assert settings.max_num_batched_tokens == 8192
    sliding = -(-(1024 - 1 + 8192) // 16) + 1
    assert kv.request_blocks(shape, settings, 131072) == 131072 // 16 + 6 * sliding
    # With as many tokens as the batch, sliding layers save nothing.
    assert kv.request_blocks(shape, settings, 8192) == 8192 // 16 + 6 * (8192 // 16 + 1)


def test_mla_is_whole_on_every_rank_and_was_aligned_once() -> None:
    shape = model("DeepSeek-R1")
    assert (
        kv.layer_token_bytes(shape, Settings(newest(), tp=8))
        == kv.layer_token_bytes(shape, Settings(newest()))
        == 576 * 2
    )
    assert kv.layer_token_bytes(shape, Settings(engine="V0", release=(0, 7, 2))) == 640 * 2
    assert kv.layer_token_bytes(shape, Settings(engine="V0", release=(0, 8, 0))) == 576 * 2
    assert kv.layer_token_bytes(shape, Settings(newest(), kv_cache_dtype="fp8_ds_mla")) == 656


def test_more_ranks_than_kv_heads_do_not_shrink_the_cache() -> None:
    shape = model("Qwen2.5-7B-Instruct")
    assert (
        token_bytes(shape, Settings(newest(), tp=4))
        == token_bytes(shape, Settings(newest(), tp=8))
        == token_bytes(shape, Settings(newest())) // 4
    )


def test_the_null_block_is_reserved_from_0_29_on() -> None:
    shape = model("Qwen3-8B")
    older, newer = (kv.request_bytes(shape, Settings(release=release), 4096) for release in ((0, 28, 0), (0, 29, 0)))
    assert newer - older == kv.block_bytes(shape, Settings(newest()))


def test_the_printed_size_is_concurrency_times_length_from_0_24_on() -> None:
    shape = model("gemma-3-4b-it")
    for release, tokens in (((0, 23, 0), 468144), ((0, 24, 0), 467_000)):
        settings = Settings(release=release, max_num_batched_tokens=8192)
        assert kv.pool(shape, settings, 62.51 * GIB).tokens == pytest.approx(tokens, rel=0.002)


def test_an_empty_pool_holds_nothing() -> None:
    shape = model("Qwen3-8B")
    assert kv.pool(shape, Settings(newest()), -5 * GIB) == kv.Pool(0, 0, 0.0)
    assert kv.longest_request(shape, Settings(newest()), -5 * GIB) == 0
    assert kv.pool(shape, Settings(newest(), kv_blocks=7), 0).blocks == 7


HEADS = st.sampled_from([1, 2, 4, 8])
SETTINGS = st.builds(
    Settings,
    release=st.sampled_from([(0, 8, 5), (0, 10, 2), (0, 19, 0), (0, 33, 0)]),
    engine=st.sampled_from(["V0", "V1"]),
    kv_cache_dtype=st.sampled_from(["auto", "fp8"]),
    dtype=st.sampled_from(["bfloat16", "float32"]),
    block_size=st.sampled_from([16, 32, 64]),
    tp=st.sampled_from([1, 2, 4, 8, 16]),
    pp=st.sampled_from([1, 2, 3]),
)


@st.composite
def shapes(draw: st.DrawFn) -> ModelShape:
    layers, window = draw(st.integers(1, 20)), draw(st.sampled_from([None, 64, 1024]))
    found = read(
        {
            **TINY,
            "num_hidden_layers": layers,
            "num_attention_heads": 8,
            "num_key_value_heads": draw(HEADS),
            "head_dim": draw(st.sampled_from([32, 64, 128])),
            "sliding_window": window,
            "model_type": "gemma2" if window else "llama",
            "architectures": ["Gemma2ForCausalLM"],
        }
    )
    assert isinstance(found, ModelShape)
    return found


@given(shapes(), SETTINGS)
def test_more_kv_heads_never_take_less(shape: ModelShape, settings: Settings) -> None:
    more = replace(shape, kv_heads=min(shape.heads, shape.kv_heads * 2))
    assert token_bytes(more, settings) >= token_bytes(shape, settings)


@given(shapes(), SETTINGS, st.integers(1, 5000), st.integers(0, 5000))
def test_a_longer_request_never_needs_less(shape: ModelShape, settings: Settings, tokens: int, more: int) -> None:
    assert kv.request_bytes(shape, settings, tokens + more) >= kv.request_bytes(shape, settings, tokens)


@given(shapes(), SETTINGS, st.integers(0, 2**34), st.integers(0, 2**34))
def test_a_larger_pool_never_holds_less(shape: ModelShape, settings: Settings, size: int, more: int) -> None:
    small, large = kv.pool(shape, settings, size), kv.pool(shape, settings, size + more)
    assert large.blocks >= small.blocks
    assert large.tokens >= small.tokens
    assert large.concurrency >= small.concurrency


@given(shapes(), SETTINGS, st.integers(0, 2**34))
def test_the_longest_request_is_the_longest(shape: ModelShape, settings: Settings, size: int) -> None:
    longest = kv.longest_request(shape, settings, size)
    if longest:
        assert kv.request_bytes(shape, settings, longest) <= size
    if longest < 4 * shape.positions:
        assert kv.request_bytes(shape, settings, longest + 1) > size


@given(shapes(), SETTINGS)
def test_smaller_elements_never_take_more(shape: ModelShape, settings: Settings) -> None:
    assert token_bytes(shape, replace(settings, kv_cache_dtype="fp8")) <= token_bytes(
        shape, replace(settings, kv_cache_dtype="auto")
    )
    assert token_bytes(shape, replace(settings, tp=settings.tp * 2)) <= token_bytes(shape, settings)
