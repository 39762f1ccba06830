"""The arithmetic of a plan, with every part of it given.

Boundaries of the verdicts, what is carried over from a log, the error.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from memory_shapes import model, shape_of

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory import budget, kv
from qvl_doctor.memory.budget import Observed, graphs, graphs_inside, plan, plans, start_needs
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.settings import OFFLINE, Settings, batch_defaults, default_engine, resolve
from qvl_doctor.memory.shape import FULL, Experts, Latent, LayerKind, ModelShape
from qvl_doctor.memory.units import GIB

#: One token takes 256 × 4 bytes, a block of 16 takes 16 KiB.
SHAPE = shape_of(*[FULL] * 4)
BLOCK = 16 * 1024
CARD = Gpu("test", 16 * GIB, 8.9)
SETTINGS = Settings((0, 19, 0), max_model_len=1600, utilization=0.5)
SEEN = Observed(weights_gib=4.0, activation_gib=2.0, non_torch_gib=1.0, graphs_gib=0.5)


def made(seen: Observed = SEEN, shape: ModelShape = SHAPE, gpu: Gpu = CARD, **changes: Any) -> budget.Plan:
    return plan(shape, SETTINGS._replace(**changes), gpu, seen)


def test_the_parts_of_a_budget() -> None:
    found = made()
    assert (found.total, found.requested) == (16 * GIB, 8 * GIB)
    assert (found.weights, found.activation, found.non_torch, found.graphs) == (4 * GIB, 2 * GIB, GIB, GIB // 2)
    assert found.kv == GIB  # 8 - 4 - 2 - 1, the graphs beside it
    assert found.spare == 16 * GIB - 4 * GIB - GIB - GIB - GIB // 2
    assert (found.pool.blocks, found.request, found.longest) == (GIB // BLOCK, 100 * BLOCK, 4000)
    assert (found.graphs_inside, found.error, found.verdict, found.notes) == (False, 0, "fits", ())
    inside = made(release=(0, 20, 0))
    assert (inside.graphs_inside, inside.kv) == (True, GIB // 2)
    assert made(kv_cache_bytes=3 * GIB).kv == 3 * GIB
    assert made(SEEN._replace(kv_gib=0.25)).kv == GIB // 4
    assert made(SEEN._replace(total_gib=10.0)).total == 10 * GIB
    assert made(SEEN._replace(total_gib=10.0)).requested == 5 * GIB


def test_what_is_requested_is_rounded_up() -> None:
    assert made(utilization=0.3).requested == math.ceil(16 * GIB * 0.3)
    assert made(utilization=1 / 3).requested == (16 * GIB) // 3 + 1


def test_the_estimate_of_graphs_is_what_was_logged_or_less_than_what_is_predicted() -> None:
    predicted = SEEN._replace(graphs_gib=None)
    found = made(predicted, release=(0, 20, 0))
    assert found.graphs == int((0.35 + 0.0165 * 4) * GIB)
    assert found.kv == GIB - int(found.graphs * 0.88)
    assert made(predicted).kv == GIB


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"non_torch_gib": 10.0}, "no-blocks"),  # 4 + 2 + 10 is all there is
        ({"non_torch_gib": 10.0 + 1 / 1024}, "profile-oom"),
        ({"non_torch_gib": 2.0}, "no-blocks"),  # 8 - 4 - 2 - 2
        ({"non_torch_gib": 2.0 - BLOCK / GIB}, "too-long"),  # one block
        ({"non_torch_gib": 2.0 - (BLOCK - 1) / GIB}, "no-blocks"),  # not quite
        ({"non_torch_gib": 2.0 - 99 * BLOCK / GIB}, "too-long"),
        ({"non_torch_gib": 2.0 - 100 * BLOCK / GIB}, "fits"),
        ({"graphs_gib": 10.0}, "fits"),  # 16 - 4 - 1 - 1 are left
        ({"graphs_gib": 10.0 + 1 / 1024}, "graphs-oom"),
    ],
)
def test_both_sides_of_each_verdict(changes: dict[str, float], verdict: str) -> None:
    found = made(SEEN._replace(**changes))
    assert found.verdict == verdict
    assert found.fits == (verdict == "fits")


def test_blocks_that_were_asked_for_are_none_without_memory() -> None:
    assert made(SEEN._replace(non_torch_gib=2.0), kv_blocks=7).verdict == "no-blocks"


def test_what_a_log_does_not_say_of_cuda_is_a_fitted_number() -> None:
    assert made(SEEN._replace(non_torch_gib=None)).non_torch == int(0.03 * GIB)
    assert made(SEEN._replace(non_torch_gib=None), gpu=CARD._replace(capability=9.0)).non_torch == int(0.25 * GIB)


def test_a_missing_pool_leaves_no_more_than_there_is() -> None:
    found = made(SEEN._replace(non_torch_gib=3.0))
    assert (found.kv, found.spare) == (-GIB, 16 * GIB - 4 * GIB - 3 * GIB - GIB // 2)


def test_a_log_of_other_settings_is_carried_over() -> None:
    logged = SETTINGS._replace(max_num_batched_tokens=512, tp=1)
    bare = Observed()
    here, there = plan(SHAPE, SETTINGS, CARD, bare), plan(SHAPE, logged, CARD, bare)
    assert here.activation > there.activation
    found = plan(SHAPE, SETTINGS, CARD, SEEN, logged)
    assert found.activation == 2 * GIB + here.activation - there.activation
    assert plan(SHAPE, SETTINGS, CARD, SEEN._replace(kv_gib=0.25), logged).kv == 8 * GIB - 5 * GIB - found.activation
    less = plan(SHAPE, logged, CARD, SEEN._replace(activation_gib=0.0), SETTINGS)
    assert less.activation == 0  # never below nothing
    half = plan(SHAPE, SETTINGS._replace(tp=2), CARD, SEEN, SETTINGS)
    assert half.weights == int(plan(SHAPE, SETTINGS._replace(tp=2), CARD).weights * 4 * GIB / here.weights)


def test_offloaded_weights_are_not_on_the_card() -> None:
    assert made(offload_gib=1.5).weights == 4 * GIB - 3 * GIB // 2
    assert made(offload_gib=5.0).weights == 0


def test_how_far_a_plan_may_be_off() -> None:
    """Each part by its own share, as if they were independent: the root of the sum of squares."""
    nothing = Observed()

    def error(seen: Observed, **changes: Any) -> int:
        return plan(SHAPE, SETTINGS._replace(**changes), CARD, seen).error

    outside = int(0.15 * GIB)
    assert error(SEEN._replace(non_torch_gib=None)) == outside
    found = plan(SHAPE, SETTINGS, CARD, nothing)
    parts = (found.weights * 0.0025, found.activation * 0.05, 0.15 * GIB)
    assert error(nothing) == int(math.sqrt(sum(part * part for part in parts)))
    weights = SEEN._replace(weights_gib=None)
    assert error(weights) == int(found.weights * 0.0025)
    quantized = plan(SHAPE, SETTINGS._replace(quantization="fp8"), CARD, weights)
    assert quantized.error == int(quantized.weights * 0.014)
    assert error(SEEN._replace(activation_gib=None)) == int(found.activation * 0.05)
    graph = SEEN._replace(graphs_gib=None)
    assert error(graph) == 0  # they are not in the budget
    assert error(graph, release=(0, 20, 0)) == int(int((0.35 + 0.0165 * 4) * GIB) * 0.5)
    assert error(nothing, kv_cache_bytes=GIB) == 0
    seeing = model("gemma-3-4b-it")
    tower = plan(seeing, Settings((0, 19, 0), max_model_len=1600), CARD, SEEN._replace(activation_gib=None))
    assert tower.error == int(tower.activation * 0.15)


@pytest.mark.parametrize(
    ("engine", "eager", "release", "inside"),
    [
        ("V1", False, (0, 19, 1), False),
        ("V1", False, (0, 20, 0), True),
        ("V1", True, (0, 20, 0), False),
        ("V0", False, (0, 10, 2), False),
    ],
)
def test_whether_graphs_are_in_the_budget(engine: str, eager: bool, release: Release, inside: bool) -> None:
    assert graphs_inside(Settings(release, engine, eager=eager)) is inside


def test_bytes_of_graphs() -> None:
    experts = replace(SHAPE, experts=Experts(8, 2, 64))
    assert graphs(SHAPE, SETTINGS) == int((0.35 + 0.0165 * 4) * GIB)
    assert graphs(SHAPE, SETTINGS._replace(pp=2)) == int((0.35 + 0.0165 * 2) * GIB)
    assert graphs(experts, SETTINGS) == int((0.35 + 0.0165 * 4 + 0.35) * GIB)
    assert graphs(experts, SETTINGS._replace(engine="V0")) == int(0.2 * GIB)
    assert graphs(SHAPE, SETTINGS, Observed(graphs_gib=0.25)) == GIB // 4
    assert graphs(SHAPE, SETTINGS, Observed(graphs_gib=0.0)) == 0
    assert graphs(SHAPE, SETTINGS, Observed()) == graphs(SHAPE, SETTINGS)
    assert graphs(SHAPE, SETTINGS._replace(eager=True), Observed(graphs_gib=0.25)) == 0


@pytest.mark.parametrize(
    ("engine", "release", "needs"), [("V1", (0, 9, 0), 0), ("V1", (0, 9, 1), 8 * GIB), ("V0", (0, 9, 1), 0)]
)
def test_what_must_be_free_for_a_start(engine: str, release: Release, needs: int) -> None:
    assert start_needs(Settings(release, engine, utilization=0.5), CARD) == needs


def test_the_stage_with_the_fewest_blocks_is_the_plan() -> None:
    several = SETTINGS._replace(pp=3)
    stages = plans(SHAPE, several, CARD)
    assert len(stages) == 3
    assert plan(SHAPE, several, CARD).pool.blocks == min(stage.pool.blocks for stage in stages)
    assert len({stage.pool.blocks for stage in stages}) > 1


VL = model("Qwen2.5-VL-7B-Instruct")


def of_kind(kind: str) -> ModelShape:
    assert VL.vision is not None
    return replace(VL, vision=VL.vision._replace(kind=kind))


SMALL = {"min_pixels": 1, "max_pixels": 1600 * 784}


@pytest.mark.parametrize(
    ("shape", "changes", "gpu", "note"),
    [
        (SHAPE, {}, CARD, ""),
        (SHAPE, {"quantization": "fp8"}, CARD, ""),
        (SHAPE, {"quantization": "of-tomorrow"}, CARD, "quantization-unknown"),
        (SHAPE, {}, CARD._replace(nominal=True), "card-size-nominal"),
        (SHAPE, {}, CARD._replace(shared=True), "memory-shared-with-host"),
        (SHAPE, {}, CARD._replace(capability=0.0), "card-unknown"),
        # An image takes 1600 tokens.
        (VL, {"max_model_len": 1600, "limits": {"image": 1, "video": 0}, "processor": SMALL}, CARD, ""),
        (
            VL,
            {"max_model_len": 1599, "limits": {"image": 1, "video": 0}, "processor": SMALL},
            CARD,
            "largest-item-longer-than-prompt",
        ),
        (
            VL,
            {
                "max_model_len": 1600,
                "max_num_batched_tokens": 1600,
                "limits": {"image": 2, "video": 0},
                "processor": SMALL,
                "engine": "V0",
                "release": (0, 7, 2),
                "max_num_seqs": 1,
            },
            CARD,
            "dummies-dropped",
        ),
    ],
)
def test_what_a_plan_notes(shape: ModelShape, changes: dict[str, Any], gpu: Gpu, note: str) -> None:
    assert made(shape=shape, gpu=gpu, **changes).notes == ((note,) if note else ())


def test_one_modality_that_is_longer_than_a_prompt_is_enough() -> None:
    seeing = model("Qwen3-VL-8B-Instruct")  # an image of 16384 tokens, a video of 12288
    both: dict[str, Any] = {"limits": {"image": 1, "video": 1}, "max_num_batched_tokens": 16384}
    assert made(shape=seeing, max_model_len=13000, **both).notes == ("largest-item-longer-than-prompt",)
    assert made(shape=seeing, max_model_len=17000, **both).notes == ()


# ---- Settings


@pytest.mark.parametrize(
    ("release", "capability", "engine"),
    [
        ((0, 7, 3), 8.9, "V0"),
        ((0, 8, 0), 8.9, "V1"),
        ((0, 8, 0), 8.0, "V1"),
        ((0, 8, 0), 7.5, "V0"),
        ((0, 10, 2), 7.5, "V0"),
        ((0, 11, 0), 7.5, "V1"),
        ((0, 8, 0), 0.0, "V1"),  # not known
    ],
)
def test_the_engine_of_a_release_on_a_card(release: Release, capability: float, engine: str) -> None:
    assert default_engine(release, capability) == engine


@pytest.mark.parametrize(
    ("dtype", "capability", "served"),
    [
        ("float32", 8.9, "bfloat16"),
        ("float32", 7.5, "float16"),
        ("bfloat16", 8.0, "bfloat16"),
        ("bfloat16", 7.9, "float16"),
        ("bfloat16", 0.0, "bfloat16"),
        ("float16", 8.9, "float16"),
    ],
)
def test_the_dtype_that_is_served(dtype: str, capability: float, served: str) -> None:
    assert resolve(replace(SHAPE, dtype=dtype), CARD._replace(capability=capability), (0, 19, 0)).dtype == served


def test_settings_that_are_not_given() -> None:
    found = resolve(replace(SHAPE, quantization="fp8"), CARD, (0, 19, 0), engine=None, dtype="auto", utilization=None)
    assert (found.engine, found.dtype, found.quantization, found.utilization) == ("V1", "bfloat16", "fp8", 0.9)
    assert (found.max_model_len, found.release, found.limits) == (1000, (0, 19, 0), {})
    assert resolve(SHAPE, CARD, (0, 19, 0), dtype="float16").dtype == "float16"
    assert resolve(SHAPE, CARD, (0, 7, 2)).engine == "V0"
    assert resolve(SHAPE, CARD, (0, 19, 0), engine="V0").engine == "V0"
    assert resolve(SHAPE, CARD, (0, 19, 0), quantization="awq", utilization=0.5).utilization == 0.5


def test_plain_settings_are_those_of_a_text_model_on_a_small_card() -> None:
    assert resolve(replace(SHAPE, positions=8192), CARD, (0, 19, 0)) == Settings((0, 19, 0))


@pytest.mark.parametrize(
    ("given", "sequences"),
    [
        ({"max_num_batched_tokens": 100}, 100),
        ({"max_num_batched_tokens": 100, "max_num_seqs": None}, 100),
        ({"max_num_batched_tokens": 100, "max_num_seqs": 200}, 200),
        ({}, 256),
    ],
)
def test_no_more_sequences_than_tokens_unless_they_are_asked_for(given: dict[str, Any], sequences: int) -> None:
    assert resolve(SHAPE, CARD, (0, 19, 0), **given).max_num_seqs == sequences


@pytest.mark.parametrize("kind", ["qwen2", "qwen2_5", "qwen3", "llava_onevision", "glm4v", "minicpm"])
def test_families_that_take_videos(kind: str) -> None:
    assert resolve(of_kind(kind), CARD, (0, 19, 0)).limits == {"image": 1, "video": 1}
    assert resolve(of_kind(kind), CARD, (0, 19, 0), limits={"video": 3}).limits == {"image": 1, "video": 3}


@pytest.mark.parametrize("kind", ["siglip", "pixtral", "intern", "moonvit", "llama4"])
def test_families_that_do_not(kind: str) -> None:
    assert resolve(of_kind(kind), CARD, (0, 19, 0)).limits == {"image": 1}


V0: Release = (0, 7, 2)
WINDOWS = shape_of(LayerKind("sliding", 64), FULL)
MLA = replace(SHAPE, latent=Latent(512, 64, 128, 128))


@pytest.mark.parametrize(
    ("shape", "length", "chunked", "tokens"),
    [
        (SHAPE, 32768, False, 32768),
        (SHAPE, 32769, True, 2048),
        (SHAPE, 2047, False, 2048),
        (SHAPE, 2049, False, 2049),
        (WINDOWS, 32769, False, 32769),
        (MLA, 32769, False, 32769),
        (VL, 32769, False, 32769),
        (VL, 2049, False, 5120),
    ],
)
def test_batch_of_the_v0_engine(shape: ModelShape, length: int, chunked: bool, tokens: int) -> None:
    found = resolve(shape, CARD, V0, max_model_len=length)
    assert (found.chunked_prefill, found.max_num_batched_tokens, found.max_num_seqs) == (chunked, tokens, 256)


def test_chunked_prefill_that_was_asked_for() -> None:
    assert resolve(VL, CARD, V0, max_model_len=8000, chunked_prefill=True).max_num_batched_tokens == 5120
    assert resolve(SHAPE, CARD, (0, 6, 4), max_model_len=8000, chunked_prefill=True).max_num_batched_tokens == 512
    assert resolve(SHAPE, CARD, V0, max_model_len=40000, chunked_prefill=False).max_num_batched_tokens == 40000


def test_batch_of_the_v1_engine_is_no_larger_than_all_sequences() -> None:
    assert resolve(SHAPE, CARD, (0, 19, 0), max_model_len=7).max_num_batched_tokens == 7 * 256
    assert resolve(SHAPE, CARD, (0, 19, 0), max_model_len=9).max_num_batched_tokens == 2048
    assert resolve(SHAPE, CARD, (0, 19, 0), OFFLINE, max_model_len=32).max_num_batched_tokens == 8192


@pytest.mark.parametrize(
    ("name", "gib", "capability", "release", "served"),
    [
        ("H100", 10, 9.0, (0, 8, 4), 8192),
        ("H200", 10, 9.0, (0, 8, 4), 8192),
        ("A100", 80, 8.0, (0, 8, 4), 2048),
        ("A100", 80, 8.0, (0, 8, 5), 8192),
        ("A100", 80, 8.0, (0, 9, 0), 2048),
        ("H100", 69.9, 9.0, (0, 8, 5), 2048),
        ("X", 70, 9.0, (0, 8, 5), 8192),
        ("X", 159.9, 9.0, (0, 28, 0), 8192),
        ("X", 160, 9.0, (0, 27, 1), 8192),
        ("X", 160, 9.0, (0, 28, 0), 16384),
        ("X", 160, 9.0, (0, 8, 4), 2048),
        ("X", 120, 12.1, (0, 32, 0), 8192),
        ("X", 120, 12.1, (0, 33, 0), 2048),
        ("X", 120, 12.0, (0, 33, 0), 8192),
    ],
)
def test_batch_by_card(name: str, gib: float, capability: float, release: Release, served: int) -> None:
    assert batch_defaults(Gpu(name, int(gib * GIB), capability), release).served == served


def test_the_block_of_the_tests() -> None:
    assert kv.block_bytes(SHAPE, SETTINGS) == BLOCK
