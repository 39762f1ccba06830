"""Blocks, tokens and concurrency of a KV pool: as public logs show them, and what must hold for any model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_shapes import TINY, model, serve, shape_of, token_bytes

from qvl_doctor.knowledge.releases import Release, newest
from qvl_doctor.memory import kv
from qvl_doctor.memory.configs import read
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import FULL, Attention, Latent, LayerKind, ModelShape
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


# ---- By hand, on a model of which everything is known

WINDOW, CHUNK = LayerKind("sliding", 100), LayerKind("chunked", 100)
SIX = shape_of(*[FULL] * 6)
NEW = Settings((0, 19, 0))


@pytest.mark.parametrize(
    ("cache", "dtype", "size"),
    [
        ("auto", "bfloat16", 2),
        ("auto", "float32", 4),
        ("auto", "of-tomorrow", 2),
        ("float32", "bfloat16", 4),
        ("bfloat16", "float32", 2),
        *((name, "bfloat16", 1) for name in ("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "int8")),
    ],
)
def test_bytes_of_an_element_of_the_cache(cache: str, dtype: str, size: int) -> None:
    assert kv.element_bytes(Settings(newest(), kv_cache_dtype=cache, dtype=dtype)) == size


@pytest.mark.parametrize(("tp", "size"), [(1, 256), (2, 128), (3, 64), (4, 64), (8, 64)])
def test_bytes_of_a_token_in_a_layer(tp: int, size: int) -> None:
    assert kv.layer_token_bytes(SIX, Settings(newest(), tp=tp)) == size


@pytest.mark.parametrize(
    ("engine", "release", "cache", "size"),
    [
        ("V0", (0, 7, 1), "auto", 576 * 2),
        ("V0", (0, 7, 2), "auto", 640 * 2),
        ("V0", (0, 7, 3), "auto", 640 * 2),
        ("V0", (0, 7, 3), "fp8", 768),  # the next multiple of 256 bytes
        ("V1", (0, 7, 3), "auto", 576 * 2),
        ("V1", (0, 19, 0), "fp8", 576),
        ("V1", (0, 19, 0), "fp8_ds_mla", 656),
    ],
)
def test_bytes_of_a_token_of_mla(engine: str, release: Release, cache: str, size: int) -> None:
    mla = shape_of(FULL, latent=Latent(512, 64, 128, 128))
    assert kv.layer_token_bytes(mla, Settings(release, engine, kv_cache_dtype=cache)) == size


def test_one_byte_too_many_takes_another_256() -> None:
    for rank, size in ((250, 256), (251, 512)):
        latent = Latent(rank, 6, 128, 128)
        settings = Settings((0, 7, 2), "V0", kv_cache_dtype="fp8")
        assert kv.layer_token_bytes(shape_of(FULL, latent=latent), settings) == size


@pytest.mark.parametrize(
    ("layers", "settings", "groups"),
    [
        ([FULL] * 3, NEW, [(FULL, 3)]),
        ([WINDOW] * 3, NEW, [(WINDOW, 3)]),
        ([WINDOW] * 3, NEW._replace(hybrid=False), [(WINDOW, 3)]),
        ([WINDOW] * 3, NEW._replace(release=(0, 9, 1)), [(WINDOW, 3)]),
        ([WINDOW] * 3, NEW._replace(engine="V0"), [(FULL, 3)]),
        ([WINDOW, FULL], NEW._replace(release=(0, 9, 1)), [(FULL, 2)]),
        ([WINDOW, FULL], NEW._replace(release=(0, 9, 2)), [(FULL, 1), (WINDOW, 1)]),
        ([WINDOW, FULL], NEW._replace(engine="V0"), [(FULL, 2)]),
        ([WINDOW, FULL], NEW._replace(hybrid=False), [(FULL, 2)]),
        ([WINDOW, CHUNK, FULL], NEW, [(CHUNK, 1), (FULL, 1), (WINDOW, 1)]),
        ([WINDOW, LayerKind("sliding", 50)], NEW, [(LayerKind("sliding", 50), 1), (WINDOW, 1)]),
        # Seven of one kind and three of another: three at a time, the last group padded.
        ([WINDOW] * 7 + [FULL] * 3, NEW, [(FULL, 3), (WINDOW, 3), (WINDOW, 3), (WINDOW, 3)]),
        # Five and four: from 0.12 on below 1.25 times, from 0.18 on below 1.5 times.
        ([WINDOW] * 9 + [FULL] * 8, NEW._replace(release=(0, 11, 2)), [(FULL, 8), (WINDOW, 8), (WINDOW, 8)]),
        ([WINDOW] * 9 + [FULL] * 8, NEW._replace(release=(0, 12, 0)), [(FULL, 9), (WINDOW, 9)]),
        ([WINDOW] * 5 + [FULL] * 4, NEW._replace(release=(0, 17, 1)), [(FULL, 4), (WINDOW, 4), (WINDOW, 4)]),
        ([WINDOW] * 5 + [FULL] * 4, NEW._replace(release=(0, 18, 0)), [(FULL, 5), (WINDOW, 5)]),
        ([WINDOW] * 6 + [FULL] * 4, NEW._replace(release=(0, 18, 0)), [(FULL, 4), (WINDOW, 4), (WINDOW, 4)]),
    ],
)
def test_groups(layers: list[LayerKind], settings: Settings, groups: list[tuple[LayerKind, int]]) -> None:
    assert kv.groups(shape_of(*layers), settings) == tuple(kv.Group(*each) for each in groups)


def test_every_kind_of_layer_is_among_those_above() -> None:
    assert set(get_args(Attention)) == {FULL.kind, WINDOW.kind, CHUNK.kind}


def test_bytes_of_a_block() -> None:
    assert kv.block_bytes(SIX, NEW) == 16 * 256 * 6
    assert kv.block_bytes(SIX, NEW._replace(block_size=32)) == 32 * 256 * 6
    assert kv.block_bytes(SIX, NEW._replace(pp=4)) == 16 * 256 * 2  # the largest stage
    assert kv.block_bytes(shape_of(*[WINDOW] * 7, *[FULL] * 3), NEW) == 16 * 256 * 3


@pytest.mark.parametrize(
    ("kind", "tokens", "blocks"),
    [
        (FULL, 160, 10),
        (FULL, 161, 11),
        # 100 - 1 + 62 = 161 tokens and a block more
        (WINDOW, 160, 11),
        (WINDOW, 161, 12),
        (WINDOW, 1000, 12),
        (WINDOW, 16, 2),
        # 100 + 62 = 162 tokens
        (CHUNK, 160, 10),
        (CHUNK, 1000, 11),
    ],
)
def test_blocks_of_a_request(kind: LayerKind, tokens: int, blocks: int) -> None:
    settings = Settings((0, 19, 0), max_num_batched_tokens=62)
    assert kv.request_blocks(shape_of(kind, kind), settings, tokens) == blocks


def test_bytes_of_a_request() -> None:
    two = shape_of(FULL, FULL)
    for release, blocks in (((0, 28, 1), 10), ((0, 29, 0), 11)):
        assert kv.request_bytes(two, Settings(release), 160) == blocks * 16 * 256 * 2
    both = shape_of(FULL, WINDOW)
    settings = Settings((0, 19, 0), max_num_batched_tokens=61)
    assert kv.request_bytes(both, settings, 1000) == (63 + 11) * 16 * 256


def test_a_pool() -> None:
    block = 16 * 256 * 6
    settings = NEW._replace(max_model_len=160)
    assert kv.pool(SIX, settings, 25 * block) == kv.Pool(25, 400, 2.5)
    assert kv.pool(SIX, settings, 26 * block - 1) == kv.Pool(25, 400, 2.5)
    assert kv.pool(SIX, settings._replace(kv_blocks=7), 25 * block) == kv.Pool(7, 112, 0.7)
    assert kv.pool(SIX, settings, -block) == kv.Pool(0, 0, 0.0)
    # V0 counts tokens, not blocks of a request.
    short = settings._replace(max_model_len=150)
    assert kv.pool(SIX, short, 25 * block).concurrency == 2.5
    assert kv.pool(SIX, short._replace(engine="V0"), 25 * block).concurrency == 400 / 150
    assert kv.pool(SIX, NEW._replace(max_model_len=0), 3 * block).concurrency == 3
    two_groups = shape_of(*[FULL] * 6, *[WINDOW] * 6)
    old = Settings((0, 23, 0), max_model_len=1000, max_num_batched_tokens=61)  # 63 + 11 blocks
    assert kv.pool(two_groups, old, 111 * block) == kv.Pool(111, 55 * 16, 1.5)
    assert kv.pool(two_groups, old._replace(release=(0, 24, 0)), 111 * block) == kv.Pool(111, 1500, 1.5)


def test_the_longest_request() -> None:
    block = 16 * 256 * 6
    assert kv.longest_request(SIX, NEW, 10 * block) == 160
    assert kv.longest_request(SIX, NEW, 10 * block - 1) == 144
    assert kv.longest_request(SIX, NEW, block - 1) == 0
    assert kv.longest_request(SIX, NEW, 10_000 * block) == 4000  # four times its positions


def _settings(given: dict[str, Any]) -> Settings:
    return Settings(**given)


HEADS = st.sampled_from([1, 2, 4, 8])
SETTINGS = st.fixed_dictionaries(
    {
        "release": st.sampled_from([(0, 8, 5), (0, 10, 2), (0, 19, 0), (0, 33, 0)]),
        "engine": st.sampled_from(["V0", "V1"]),
        "kv_cache_dtype": st.sampled_from(["auto", "fp8"]),
        "dtype": st.sampled_from(["bfloat16", "float32"]),
        "block_size": st.sampled_from([16, 32, 64]),
        "tp": st.sampled_from([1, 2, 4, 8, 16]),
        "pp": st.sampled_from([1, 2, 3]),
    }
).map(_settings)


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
    assert token_bytes(shape, settings._replace(kv_cache_dtype="fp8")) <= token_bytes(
        shape, settings._replace(kv_cache_dtype="auto")
    )
    assert token_bytes(shape, settings._replace(tp=settings.tp * 2)) <= token_bytes(shape, settings)
