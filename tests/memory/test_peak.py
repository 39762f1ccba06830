"""What is alive at each moment of a small profile run, tensor by tensor, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from memory_shapes import model, shape_of

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory.activation import activation, profile_tensors
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import FULL, Experts, Latent, ModelShape, VisionShape
from qvl_doctor.memory.units import GIB, KIB, MIB

#: Hidden 64, intermediate 128, vocabulary 1000.
TEXT = shape_of(FULL, FULL)
CARD = Gpu("test", GIB, 8.9)
#: 100 tokens in a batch, two sequences; 2 bytes an element.
SETTINGS = Settings((0, 16, 0), max_num_batched_tokens=100, max_num_seqs=2, max_model_len=500)
CUBLAS = {"cuBLAS workspace": 8 * MIB + 128 * KIB}
STATES = {"hidden states of a layer": 3 * 100 * 64 * 2}
MLP = {"gate_up of the decoder's MLP": 100 * 2 * 128 * 2, "activated gate_up": 100 * 128 * 2}


def moments(shape: ModelShape = TEXT, gpu: Gpu = CARD, stage: int = 0, **changes: Any) -> dict[str, dict[str, int]]:
    found = activation(shape, SETTINGS._replace(**changes), gpu, stage)
    for moment in found.moments:
        assert len({each.name for each in moment.tensors}) == len(moment.tensors)
    assert found.bytes == found.moment.bytes == max(moment.bytes for moment in found.moments)
    return {moment.name: {each.name: each.bytes for each in moment.tensors} for moment in found.moments}


def mlp(shape: ModelShape = TEXT, **changes: Any) -> dict[str, int]:
    """The feed-forward part, without what every moment has."""
    found = moments(shape, **changes)["MLP of the decoder"]
    return {name: size for name, size in found.items() if name not in CUBLAS}


def test_a_text_model() -> None:
    found = moments()
    assert list(found) == ["MLP of the decoder", "sampler"]
    assert found["MLP of the decoder"] == {**STATES, **MLP, **CUBLAS}
    # Fewer than eight rows are sorted: 4 + 8 + 8 + 12 bytes, beside the logits and their copy.
    rows = 2 * 1000
    assert found["sampler"] == {
        "logits": rows * 2,
        "logits in float32": rows * 4,
        "sorted logits": rows * 4,
        "indices of the sort": rows * 8,
        "reversed indices of the sort": rows * 8,
        "double buffers of the radix sort": rows * 12,
        "hidden states": 100 * 64 * 2,
        "hidden states of sampled rows": 2 * 2 * 64 * 2,
        **CUBLAS,
    }


def test_no_more_rows_are_sampled_than_there_are_tokens() -> None:
    assert moments(max_num_batched_tokens=1)["sampler"]["logits"] == 1000 * 2
    assert moments(max_num_batched_tokens=0)["sampler"]["logits"] == 1000 * 2


def test_bytes_of_an_element() -> None:
    assert mlp(dtype="float32") == {name: 2 * size for name, size in (STATES | MLP).items()}
    assert mlp(dtype="of-tomorrow") == STATES | MLP


@pytest.mark.parametrize(
    ("quantization", "capability", "size"),
    [
        ("", 8.9, 8 * MIB + 128 * KIB),
        ("", 9.0, 32 * MIB),
        ("gguf-q8_0", 9.0, None),
    ],
)
def test_the_workspace_of_cublas(quantization: str, capability: float, size: int | None) -> None:
    found = moments(gpu=Gpu("test", GIB, capability), quantization=quantization)
    assert {moment.get("cuBLAS workspace") for moment in found.values()} == {size}


def test_pipeline_stages() -> None:
    first, last = moments(pp=2), moments(pp=2, stage=1)
    assert list(first) == ["MLP of the decoder"]
    assert list(last) == ["MLP of the decoder", "sampler"]
    before = {"intermediate tensors of the stage before": 2 * 100 * 64 * 2}
    assert last["MLP of the decoder"] == first["MLP of the decoder"] | before
    assert moments(pp=2, stage=1, dtype="float32")["sampler"][next(iter(before))] == 2 * 100 * 64 * 4


def test_kinds_of_mlp() -> None:
    assert mlp(replace(TEXT, gated=False)) == {
        **STATES,
        "fc1 of the decoder's MLP": 100 * 128 * 2,
        "activated fc1": 100 * 128 * 2,
    }
    assert mlp(tp=3) == STATES | {"gate_up of the decoder's MLP": 100 * 2 * 43 * 2, "activated gate_up": 100 * 43 * 2}
    keeping = replace(TEXT, keeps_gate_up=True)
    output = {"output of the decoder's MLP": 100 * 64 * 2}
    assert mlp(keeping) == STATES | MLP
    assert mlp(keeping, eager=True) == STATES | MLP | output
    assert mlp(keeping, engine="V0") == STATES | MLP | output
    assert mlp(eager=True) == STATES | MLP


@pytest.mark.parametrize("method", ["w8a8", "fp8", "fp8-dynamic", "fp8-block", "int8"])
def test_activations_in_8_bits(method: str) -> None:
    assert mlp(quantization=method) == STATES | MLP | {"inputs in 8 bits": 100 * (128 + 64)}
    assert mlp(quantization=method, tp=2)["inputs in 8 bits"] == 100 * (64 + 64)


def test_weights_in_4_bits_leave_activations_alone() -> None:
    assert mlp(quantization="awq") == STATES | MLP


def test_the_buffer_of_the_benchmark() -> None:
    cached = CARD._replace(l2_bytes=1234)
    buffer = {"buffer that flushes the L2 cache": 1234}
    assert mlp(gpu=cached) == STATES | MLP | buffer
    assert mlp(gpu=cached, eager=True) == STATES | MLP
    assert mlp(gpu=cached, engine="V0") == STATES | MLP


# ---- Experts: 3 of 6 a token, 48 wide

FEW = replace(TEXT, experts=Experts(6, 3, 48))


def buffers(*widths: int, tokens: int = 100) -> dict[str, int]:
    return {f"buffer {index} of the experts": tokens * 3 * width * 2 for index, width in enumerate(widths, 1)}


def test_buffers_of_experts() -> None:
    assert mlp(FEW, release=(0, 7, 3), engine="V0") == STATES | buffers(2 * 48, 48, 64)
    assert mlp(FEW, release=(0, 8, 0)) == STATES | buffers(2 * 48, 48)
    assert mlp(FEW, release=(0, 16, 0), tp=2) == STATES | buffers(64, 24)  # 2 × 24 is less than hidden
    assert mlp(FEW, release=(0, 8, 0), quantization="mxfp4") == STATES
    large = buffers(2 * 48, 48, tokens=65536)
    many = mlp(FEW, release=(0, 8, 0), max_num_batched_tokens=70000)
    assert {name: many[name] for name in large} == large


def test_buffers_of_experts_that_stay() -> None:
    """From 0.17 on they belong to a workspace that every moment has; the wider of two uses counts."""
    found = moments(FEW, release=(0, 17, 0))
    kept = buffers(64, 96)
    assert found["MLP of the decoder"] == STATES | kept | CUBLAS
    assert found["sampler"].items() >= kept.items()
    narrow = moments(replace(TEXT, experts=Experts(6, 3, 80)), release=(0, 17, 0))
    assert narrow["MLP of the decoder"].items() >= buffers(80, 160).items()
    assert moments(FEW, release=(0, 17, 0), quantization="mxfp4")["MLP of the decoder"] == STATES | CUBLAS


def test_layers_with_and_without_experts() -> None:
    dense_first = replace(TEXT, experts=Experts(6, 3, 48, dense_layers=1))
    assert mlp(dense_first, release=(0, 8, 0)) == STATES | buffers(96, 48) | MLP
    every_other = replace(TEXT, experts=Experts(6, 3, 48, every=2))
    assert mlp(every_other, release=(0, 8, 0)) == STATES | MLP
    cached = CARD._replace(l2_bytes=1234)
    assert "buffer that flushes the L2 cache" in mlp(FEW, gpu=cached, release=(0, 8, 0))


# ---- MLA

MLA = replace(TEXT, latent=Latent(kv_rank=32, rope_dim=8, nope_dim=24, value_dim=20))


@pytest.mark.parametrize(
    ("changes", "tokens", "heads"),
    [
        ({}, 8 * 500, 8),
        ({"max_num_seqs": 100}, 4 * 100 * 16, 8),
        ({"max_model_len": 9000}, 65536, 8),
        ({"tp": 3}, 8 * 500, 3),
    ],
)
def test_keys_and_values_of_a_chunk_of_context(changes: dict[str, Any], tokens: int, heads: int) -> None:
    found = moments(MLA, **changes)["attention of the decoder"]
    chunk = {"keys and values of a chunk of context": tokens * heads * (24 + 20) * 2}
    assert found == chunk | STATES | CUBLAS


def test_which_engine_makes_room_for_a_chunk_of_context() -> None:
    name = "attention of the decoder"
    assert name in moments(MLA, release=(0, 10, 0))
    assert name not in moments(MLA, release=(0, 9, 2))
    assert name not in moments(MLA, release=(0, 10, 0), engine="V0")
    assert name not in moments(release=(0, 10, 0))


# ---- Images: 4 tokens of 4 patches and 3 × 28 × 28 numbers each, two in a batch

TOWER = VisionShape(
    "siglip", depth=1, hidden=32, intermediate=48, heads=4, patch=14, out_hidden=64, image_size=28, extra={"tokens": 4}
)
SEEING = replace(TEXT, vision=TOWER)
NUMBERS = 2 * 3 * 28 * 28
IMAGE: dict[str, Any] = {"limits": {"image": 1}}


def test_a_vision_model() -> None:
    found = moments(SEEING, **IMAGE)
    assert list(found) == ["attention of the tower, image", "MLP of the tower, image", "MLP of the decoder", "sampler"]
    pixels = {"pixel values": NUMBERS * 2}
    assert found["attention of the tower, image"] == {
        "hidden states of the tower": 3 * 8 * 32 * 2,
        "queries, keys and values of the tower": 5 * 8 * 32 * 2,
        **pixels,
        **CUBLAS,
    }
    assert found["MLP of the tower, image"] == {
        "hidden states of the tower": 3 * 8 * 32 * 2,
        "MLP of the tower": 2 * 8 * 48 * 2,
        **pixels,
        **CUBLAS,
    }
    inputs = pixels | {"outputs of the encoder": 8 * 64 * 2}
    assert found["MLP of the decoder"] == STATES | MLP | inputs | CUBLAS
    assert found["sampler"].items() >= inputs.items()


def test_a_divided_tower() -> None:
    found = moments(SEEING, tp=3, **IMAGE)
    assert found["attention of the tower, image"]["hidden states of the tower"] == 3 * 8 * 32 * 2
    assert found["attention of the tower, image"]["queries, keys and values of the tower"] == 5 * 8 * 11 * 2
    assert found["MLP of the tower, image"]["MLP of the tower"] == 2 * 8 * 16 * 2
    whole = moments(SEEING, tp=3, split_encoder=False, **IMAGE)
    assert whole["attention of the tower, image"]["queries, keys and values of the tower"] == 5 * 8 * 32 * 2
    assert whole["MLP of the tower, image"]["MLP of the tower"] == 2 * 8 * 48 * 2


def test_without_images_there_is_no_tower() -> None:
    assert moments(SEEING, limits={"image": 0}) == moments()
    assert moments(SEEING, limits={"image": 0}, engine="V0", release=(0, 8, 5)) == moments(
        engine="V0", release=(0, 8, 5)
    )


def test_only_the_first_stage_sees() -> None:
    found = moments(SEEING, pp=2, stage=1, **IMAGE)
    assert list(found) == ["MLP of the decoder", "sampler"]
    assert "pixel values" not in found["sampler"]


def test_deepstack() -> None:
    """Features of each level beside the hidden states, and outputs so much wider."""
    deep = replace(TEXT, vision=TOWER._replace(extra={"tokens": 4, "deepstack": 2}))
    found = moments(deep, **IMAGE)
    for name in ("attention of the tower, image", "MLP of the tower, image"):
        assert found[name]["deepstack features"] == 2 * 8 * 64 * 2
    assert found["sampler"]["outputs of the encoder"] == 8 * 3 * 64 * 2


@pytest.mark.parametrize(
    ("release", "dtype", "size", "cast"),
    [
        ((0, 9, 1), "bfloat16", 2 * 4, True),
        ((0, 9, 2), "bfloat16", 2 * 2, False),
        ((0, 10, 0), "bfloat16", 2 * 2, False),
        ((0, 10, 1), "bfloat16", 2, False),
        ((0, 9, 1), "float32", 2 * 4, False),
        ((0, 10, 1), "float32", 4, False),
    ],
)
def test_bytes_and_copies_of_pixels(release: Release, dtype: str, size: int, cast: bool) -> None:
    found = moments(SEEING, release=release, dtype=dtype, **IMAGE)
    tower = found["MLP of the tower, image"]
    assert tower["pixel values"] == NUMBERS * size
    assert tower.get("pixel values in 16 bits") == (NUMBERS * 2 if cast else None)
    assert found["sampler"]["pixel values"] == NUMBERS * size
    assert "pixel values in 16 bits" not in found["sampler"]


@pytest.mark.parametrize(("release", "rows"), [((0, 10, 2), 8), ((0, 11, 0), 200), ((0, 12, 0), 200), ((0, 13, 0), 8)])
def test_outputs_were_once_as_long_as_the_budget(release: Release, rows: int) -> None:
    assert moments(SEEING, release=release, **IMAGE)["sampler"]["outputs of the encoder"] == rows * 64 * 2


def test_the_v0_engine_keeps_the_pixels_alone() -> None:
    old: dict[str, Any] = {"engine": "V0", "release": (0, 8, 5), "chunked_prefill": False, **IMAGE}
    found = moments(SEEING, **old)
    # Two sequences of 4 tokens on a batch of 100; two copies of float32 pixels, and their cast.
    pixels = {"pixel values": NUMBERS * 2 * 4}
    assert found["MLP of the decoder"] == STATES | MLP | pixels | CUBLAS
    assert "pixel values" not in found["sampler"]
    assert found["MLP of the tower, image"] == {
        "hidden states of the tower": 3 * 8 * 32 * 2,
        "MLP of the tower": 2 * 8 * 48 * 2,
        "pixel values in 16 bits": NUMBERS * 2,
        "embedded prompt": 100 * 64 * 2,
        **pixels,
        **CUBLAS,
    }


def test_v0_holds_the_pixels_of_all_modalities_and_v1_those_of_one() -> None:
    shape = model("Qwen2.5-VL-7B-Instruct")
    both: dict[str, Any] = {"limits": {"image": 1, "video": 1}, "processor": {"max_pixels": 100 * 784}}
    old = SETTINGS._replace(engine="V0", release=(0, 8, 5), **both)
    made = activation(shape, old, CARD)
    assert len(made.dummies.ran) == 2
    towers = [moment for moment in made.moments if "of the tower" in moment.name]
    sizes = {each.bytes for moment in towers for each in moment.tensors if each.name == "pixel values"}
    assert sizes == {made.dummies.total.pixels * 2 * 4}


# ---- For naming a request


def named(shape: ModelShape = TEXT, **changes: Any) -> dict[str, tuple[int, tuple[str, ...]]]:
    found = profile_tensors(shape, SETTINGS._replace(**changes), CARD)
    assert [each.bytes for each in found] == sorted((each.bytes for each in found), reverse=True)
    return {each.name: (each.bytes, each.scaled_by) for each in found}


LENGTH, BATCH, TP = "--max-model-len", "--max-num-batched-tokens", "--tensor-parallel-size"
PIXELS, ITEMS, DTYPE = "--mm-processor-kwargs", "--limit-mm-per-prompt", "--dtype"


def test_tensors_that_pass() -> None:
    found = named()
    assert found["hidden states of one kind"] == (100 * 64 * 2, (BATCH,))
    assert found["qkv of the decoder"] == (100 * (8 + 2 * 4) * 16 * 2, (BATCH, TP))
    assert named(tp=3)["qkv of the decoder"][0] == 100 * (3 + 2 * 1) * 16 * 2
    assert named(tp=8)["qkv of the decoder"][0] == 100 * (1 + 2 * 1) * 16 * 2
    assert not [name for name in found if "tower" in name]


def test_tensors_of_the_tower_that_pass() -> None:
    flags = (PIXELS, ITEMS, DTYPE)
    found = named(SEEING, **IMAGE)
    assert found["qkv of the tower, image"] == (8 * 3 * 32 * 2, flags)
    assert found["up-projection of the tower, image"] == (8 * 48 * 2, flags)
    assert found["hidden states of the tower, image"] == (8 * 32 * 2, flags)
    assert found["pixel values of one kind, image"] == (NUMBERS * 2, flags)
    gated = named(replace(TEXT, vision=TOWER._replace(gated=True)), tp=3, **IMAGE)
    assert gated["qkv of the tower, image"][0] == 8 * 3 * 11 * 2
    assert gated["up-projection of the tower, image"][0] == 8 * 2 * 16 * 2
    whole = named(SEEING, tp=3, split_encoder=False, **IMAGE)
    assert whole["qkv of the tower, image"][0] == 8 * 3 * 32 * 2
    assert named(SEEING, release=(0, 9, 1), **IMAGE)["pixel values of one kind, image"][0] == NUMBERS * 4
    assert not [name for name in named(SEEING, limits={"image": 0}) if "tower" in name]


def test_which_flag_sets_the_tokens() -> None:
    for engine, chunked, flags in (("V0", False, (LENGTH, BATCH)), ("V0", True, (BATCH,)), ("V1", False, (BATCH,))):
        found = named(engine=engine, chunked_prefill=chunked)
        assert found["hidden states of one kind"][1] == flags
        assert found["gate_up of the decoder's MLP"][1] == (*flags, TP)


def test_tensors_of_all_stages_are_named() -> None:
    assert {"logits", "intermediate tensors of the stage before"} <= named(pp=2).keys()
