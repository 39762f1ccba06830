"""The article that this project started from, number by number: Qwen2.5-VL-7B on a 24 GB card with vLLM 0.7.2."""

from __future__ import annotations

from typing import Any

import pytest
from memory_shapes import ARTICLE_CARD, model, serve, token_bytes

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory import kv
from qvl_doctor.memory.activation import activation, profile_tensors
from qvl_doctor.memory.budget import FITS, NO_BLOCKS, PROFILE_OOM, Observed, plan
from qvl_doctor.memory.encoder import dummies
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.units import GIB
from qvl_doctor.memory.vision import image, video
from qvl_doctor.memory.weights import weights

VL = "Qwen2.5-VL-7B-Instruct"
RELEASE: Release = (0, 7, 2)


def article(**flags: Any) -> tuple[Any, Settings, Any]:
    return serve(VL, ARTICLE_CARD, RELEASE, **flags)


#: The run whose log the article shows: utilization 0.70, three images and three videos, 1024 tokens, 20 GiB of swap
#: space.
HEALTHY: dict[str, Any] = {
    "max_model_len": 1024,
    "utilization": 0.70,
    "limits": {"image": 3, "video": 3},
    "dtype": "float16",
}


def test_kv_cache_of_a_token_is_57344_bytes() -> None:
    shape, settings, _ = article()
    assert token_bytes(shape, settings) == 2 * 28 * 4 * 128 * 2 == 57344
    assert kv.block_bytes(shape, settings) == 16 * 57344 == 917504


def test_186_blocks_on_the_card_and_23405_in_20_gib_of_main_memory() -> None:
    shape, settings, _ = article(**HEALTHY)
    held = kv.pool(shape, settings, 0.159 * GIB)
    assert held.blocks == 186
    assert 20 * GIB // kv.block_bytes(shape, settings) == 23405


def test_concurrency_of_2_91_for_1024_tokens() -> None:
    shape, settings, _ = article(**HEALTHY)
    assert round(kv.pool(shape, settings, 0.159 * GIB).concurrency, 2) == 2.91


def test_weights_are_15_63_gib() -> None:
    shape, settings, _ = article(**HEALTHY)
    found = weights(shape, settings)
    assert round(found.allocated / GIB, 2) == 15.63
    assert abs(found.allocated / GIB / 15.6270 - 1) < 0.0005
    assert found.rope == 4 * 128000 * 128 * 2
    assert found.tensors - found.rope == 8_292_166_656 * 2


def test_awq_takes_58_percent_off() -> None:
    shape, settings, _ = article(**HEALTHY)
    quantized = weights(shape, settings._replace(quantization="awq")).allocated / GIB
    assert quantized == pytest.approx(6.59, abs=0.02)
    assert 1 - quantized / 15.63 == pytest.approx(0.58, abs=0.005)


def test_an_image_is_16384_tokens_and_the_worst_case_98304() -> None:
    shape, settings, _ = article(limits={"image": 3, "video": 3})
    largest = image(shape, 9_999_999, 9_999_999)
    assert (largest.tokens, largest.patches) == (16384, 65536)
    made = dummies(shape, settings)
    assert made.largest == {"image": 16384, "video": 16384}
    assert made.needed == 3 * 16384 + 3 * 16384 == 98304
    assert 5 * largest.tokens == 81920


def test_max_pixels_caps_the_tokens_and_counts_do_not() -> None:
    """image=1024 is a number of images; mm_processor_kwargs is what makes them smaller."""
    shape, _, _ = article()
    assert image(shape, 9_999_999, 9_999_999, {"max_pixels": 1280 * 28 * 28}).tokens <= 1280
    _, settings, _ = article(limits={"image": 1024, "video": 0})
    assert dummies(shape, settings).needed == 1024 * 16384


def test_the_profile_has_5120_tokens_whatever_shorter_length_is_set() -> None:
    for length in (1024, 4096, 5120):
        assert article(max_model_len=length)[1].max_num_batched_tokens == 5120
    assert article()[1].max_num_batched_tokens == 128000


def test_the_request_of_9_03_gib_is_gate_up_of_128000_tokens() -> None:
    shape, settings, gpu = article(limits={"image": 5, "video": 5})
    gate_up = next(each for each in profile_tensors(shape, settings, gpu) if each.name.startswith("gate_up"))
    assert gate_up.bytes == 128000 * 2 * 18944 * 2 == 9_699_328_000
    assert round(gate_up.bytes / GIB, 4) == 9.0332
    assert gate_up.scaled_by[0] == "--max-model-len"
    assert "--dtype" not in gate_up.scaled_by
    assert "--limit-mm-per-prompt" not in gate_up.scaled_by
    assert gate_up.formula == "128000 tokens × 37888 width × 2 bytes"
    # "17.35 GiB is allocated by PyTorch": weights, and two states of 128000 tokens.
    assert pytest.approx(17.336, abs=0.001) == 15.627 + 2 * 128000 * 3584 * 2 / GIB


def test_five_of_each_are_dropped_and_three_of_each_run() -> None:
    """The second lesson: 163840 tokens do not fit 128000, so V0 leaves the dummies out.

    98304 do, so the profile grows.
    """
    shape, five, gpu = article(limits={"image": 5, "video": 5})
    _, three, _ = article(limits={"image": 3, "video": 3})
    assert dummies(shape, five).needed == 163840
    assert dummies(shape, five).dropped
    assert not dummies(shape, five).ran
    assert not dummies(shape, three).dropped
    assert dummies(shape, three).total.tokens == 98304
    assert activation(shape, three, gpu).bytes > activation(shape, five, gpu).bytes


def test_dropped_dummies_are_a_note_of_the_plan() -> None:
    shape, settings, gpu = article(max_model_len=24576, limits={"image": 5, "video": 0})
    made = plan(shape, settings, gpu)
    assert "dummies-dropped" in made.notes
    assert made.activation / GIB == pytest.approx(3.3, abs=0.1)


def test_activation_of_the_healthy_run_is_0_69() -> None:
    shape, settings, gpu = article(**HEALTHY)
    made = activation(shape, settings, gpu)
    assert made.bytes / GIB == pytest.approx(0.69, abs=0.005)
    assert made.moment.name == "MLP of the decoder"


def test_the_healthy_run_from_its_own_numbers() -> None:
    """What the log says is used: 16.55 - 15.63 - 0.69 - 0.08 leaves 0.16, and 186 blocks."""
    shape, settings, gpu = article(**HEALTHY)
    made = plan(
        shape, settings, gpu, Observed(weights_gib=15.6270, activation_gib=0.69, non_torch_gib=0.08, kv_gib=0.159)
    )
    assert made.requested / GIB == pytest.approx(16.55, abs=0.01)
    assert made.pool.blocks == 186
    assert made.verdict == FITS
    without = plan(shape, settings, gpu, Observed(weights_gib=15.6270, activation_gib=0.69, non_torch_gib=0.08))
    assert without.kv / GIB == pytest.approx(0.16, abs=0.01)


def test_the_failing_command_fails_and_4096_tokens_do_not() -> None:
    shape, settings, gpu = article(limits={"image": 5, "video": 5})
    assert plan(shape, settings, gpu).verdict == PROFILE_OOM
    _, short, _ = article(max_model_len=4096, limits={"image": 1, "video": 0}, processor={"max_pixels": 1280 * 28 * 28})
    made = plan(shape, short, gpu)
    assert made.verdict == FITS
    assert made.kv > 4 * GIB


def test_graphs_are_not_in_the_request_before_0_20() -> None:
    shape, settings, gpu = article(**HEALTHY)
    logged = plan(shape, settings, gpu, Observed(graphs_gib=1.91))
    assert not logged.graphs_inside
    assert logged.kv == plan(shape, settings, gpu, Observed(graphs_gib=0.0)).kv
    assert logged.spare < plan(shape, settings, gpu, Observed(graphs_gib=0.0)).spare


def test_a_lower_utilization_is_no_cure_for_missing_blocks() -> None:
    shape, settings, gpu = article(**{**HEALTHY, "utilization": 0.60})
    assert plan(shape, settings, gpu).verdict == NO_BLOCKS


def test_block_size_is_no_saving() -> None:
    shape, settings, _ = article()
    for size in (8, 32):
        other = settings._replace(block_size=size)
        assert kv.block_bytes(shape, other) / size == kv.block_bytes(shape, settings) / 16


def test_videos_of_later_releases() -> None:
    """114,688 tokens at the default length: seven pairs of frames, each as large as an image."""
    shape, settings, _ = serve(VL, "A100-80GB", (0, 23, 0))
    made = dummies(shape, settings)
    assert made.largest == {"image": 16384, "video": 114688}
    assert made.budget == 114688
    _, older, _ = serve(VL, "A100-80GB", (0, 9, 2))
    assert dummies(shape, older).largest["video"] == 98304
    assert video(shape, 3584, 3584, 14).tokens == 7 * 16384


def test_the_model_of_the_article_has_a_card() -> None:
    shape = model(VL)
    assert shape.vision is not None
    assert (shape.depth, shape.hidden, shape.kv_heads, shape.head_dim) == (28, 3584, 4, 128)
