"""The activation peak: public logs, the tensors that make it, and what must hold for any settings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from memory_shapes import ARTICLE_CARD, card, model, serve

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory.activation import activation, profile_tensors
from qvl_doctor.memory.gpus import Gpu, of_size
from qvl_doctor.memory.sampling import runner_v2, sampler_tensors
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.towers_live import live
from qvl_doctor.memory.units import GIB

H100: Release = (0, 19, 0)

#: "PyTorch activation peak memory takes" (V0) and "peak activation" (V1) of public logs.
LOGGED: list[tuple[str, str, Release, dict[str, Any], float, float]] = [
    # V0: sorting logits, or the MLP of the whole length.
    ("Qwen2.5-1.5B-Instruct", "T4", (0, 7, 2), {}, 2.02, 0.005),
    ("Qwen2.5-Math-1.5B", "L4", (0, 7, 2), {"max_model_len": 4096}, 1.40, 0.005),
    ("Llama-3.1-8B-Instruct", "RTX 3090", (0, 6, 4), {"max_model_len": 20000}, 2.07, 0.005),
    ("Llama-3.1-8B-Instruct", "RTX 3090", (0, 6, 4), {"max_model_len": 29000}, 2.99, 0.005),
    ("Meta-Llama-3-8B", "H100", (0, 6, 5), {"max_model_len": 8192}, 1.26, 0.005),
    ("phi-4", "A100-80GB", (0, 8, 2), {"engine": "V0", "max_model_len": 512, "max_num_seqs": 320}, 1.16, 0.01),
    # V0 with images and videos that run: pixels stay while the decoder sees 32768 tokens.
    ("Qwen2.5-VL-7B-Instruct-AWQ", "AGX Orin 64GB", (0, 10, 0), {"engine": "V0", "max_model_len": 4096}, 4.93, 0.005),
    # V1: the sampler with its Triton kernel, the experts' workspaces, the MLP where the vocabulary is small.
    ("Qwen2.5-7B-Instruct", "H100", H100, {"max_model_len": 8192}, 2.21, 0.005),
    ("Qwen2.5-72B-Instruct", "H100", H100, {"max_model_len": 8192, "tp": 2}, 2.29, 0.005),
    ("Llama-3.1-8B-Instruct", "H100", H100, {"max_model_len": 8192}, 1.89, 0.005),
    ("gemma-2-2b-it", "H100", H100, {"max_model_len": 8192}, 3.62, 0.005),
    ("CodeLlama-7b-hf", "H100", H100, {"max_model_len": 8192}, 0.77, 0.005),
    ("granite-3.3-8b-instruct", "H100", H100, {"max_model_len": 8192}, 0.85, 0.005),
    ("Qwen3-30B-A3B", "H100", H100, {"max_model_len": 8192}, 2.68, 0.005),
    ("Qwen1.5-MoE-A2.7B", "H100", H100, {"max_model_len": 8192}, 2.47, 0.005),
    # V1 with images.
    ("gemma-3-4b-it", "H100", H100, {"max_model_len": 8192}, 3.89, 0.005),
    ("Mistral-Small-3.1-24B-Instruct-2503", "H100", H100, {"max_model_len": 8192}, 2.03, 0.005),
    ("Mistral-Small-3.1-24B-Instruct-2503-quantized.w8a8", "H100", H100, {"max_model_len": 8192}, 2.18, 0.005),
    ("Kimi-VL-A3B-Instruct", "H100", H100, {"max_model_len": 8192, "tp": 2}, 2.85, 0.03),
]


@pytest.mark.parametrize("point", LOGGED, ids=lambda point: f"{point[0]}-{point[1]}-{point[4]}")
def test_activation_as_logged(point: tuple[str, str, Release, dict[str, Any], float, float]) -> None:
    name, gpu, release, flags, logged, within = point
    quantization = "awq" if name.endswith("AWQ") else "w8a8" if name.endswith("w8a8") else ""
    shape, settings, where = serve(name, gpu, release, quantization=quantization, **flags)
    assert activation(shape, settings, where).bytes / GIB == pytest.approx(logged, rel=within)


def test_a_video_at_the_default_length_takes_15_gib() -> None:
    shape, settings, gpu = serve("Qwen2.5-VL-7B-Instruct", "A100-80GB", (0, 23, 0))
    made = activation(shape, settings, gpu)
    assert made.bytes / GIB == pytest.approx(15.3, abs=0.15)
    assert made.moment.name == "MLP of the tower, video"
    _, without, _ = serve("Qwen2.5-VL-7B-Instruct", "A100-80GB", (0, 23, 0), limits={"image": 1, "video": 0})
    assert activation(shape, without, gpu).bytes < 3 * GIB


def test_the_peak_is_the_largest_moment() -> None:
    shape, settings, gpu = serve("gemma-3-4b-it", "H100", H100, max_model_len=8192)
    made = activation(shape, settings, gpu)
    assert made.bytes == max(moment.bytes for moment in made.moments) == made.moment.bytes
    assert {moment.name for moment in made.moments} >= {"sampler", "MLP of the decoder", "MLP of the tower, image"}


def test_every_tensor_is_the_product_of_its_factors() -> None:
    shape, settings, gpu = serve("Qwen3-VL-30B-A3B-Instruct", "H100", H100)
    tensors = profile_tensors(shape, settings, gpu)
    assert [each.bytes for each in tensors] == sorted((each.bytes for each in tensors), reverse=True)
    for each in tensors:
        product = 1.0
        for factor in each.factors:
            product *= factor.size
        assert each.bytes == int(product)
        assert each.formula.count("×") >= len(each.factors) - 1
    names = {each.name for each in tensors}
    assert {
        "logits in float32",
        "qkv of the decoder",
        "qkv of the tower, image",
        "deepstack features",
        "pixel values",
    } <= names


def test_flags_scale_the_tensors_that_they_name() -> None:
    shape, settings, gpu = serve("Qwen2.5-VL-7B-Instruct", ARTICLE_CARD, (0, 19, 0))

    def sizes(changed: Settings) -> dict[str, int]:
        return {each.name: each.bytes for each in profile_tensors(shape, changed, gpu)}

    before = sizes(settings)
    fewer = sizes(settings._replace(max_num_seqs=64))
    assert fewer["logits in float32"] * 4 == before["logits in float32"]
    half = sizes(settings._replace(max_num_batched_tokens=1024))
    assert half["gate_up of the decoder's MLP"] * 2 == before["gate_up of the decoder's MLP"]


def test_the_v2_runner_copies_nothing_where_nothing_is_asked() -> None:
    shape = model("Qwen3-8B")
    for release, expected in (((0, 21, 0), False), ((0, 22, 0), True), ((0, 26, 0), True), ((0, 33, 0), True)):
        assert runner_v2(shape, Settings(release=release)) is expected
    assert not runner_v2(model("Qwen2.5-VL-7B-Instruct"), Settings(release=(0, 24, 0)))
    assert runner_v2(model("Qwen2.5-VL-7B-Instruct"), Settings(release=(0, 25, 0)))
    assert not runner_v2(model("Qwen3-30B-A3B"), Settings(release=(0, 28, 0)))
    assert runner_v2(model("Qwen3-30B-A3B"), Settings(release=(0, 29, 0)))
    gpu = card("H100")
    copied, not_copied = (
        sum(each.bytes for each in sampler_tensors(shape, Settings(release=release), gpu, 256))
        for release in ((0, 25, 0), (0, 26, 0))
    )
    assert copied == pytest.approx(3 * not_copied, rel=0.02)


def test_flashinfer_takes_no_sort() -> None:
    shape, gpu = model("Qwen3-8B"), card("A100-80GB")
    sorting, masking = (
        sum(each.bytes for each in sampler_tensors(shape, Settings(release=(0, 10, 2), flashinfer=used), gpu, 256))
        for used in (False, True)
    )
    assert sorting == 256 * shape.vocab * 38
    assert masking == 256 * shape.vocab * 14


def test_an_eager_decoder_keeps_gate_up_only_in_some_families() -> None:
    for name, states in (("Qwen2.5-7B-Instruct", 4), ("Llama-3.1-8B-Instruct", 3)):
        shape, settings, gpu = serve(name, "L4", (0, 7, 2), max_model_len=8192, max_num_seqs=1)
        mlp = next(moment for moment in activation(shape, settings, gpu).moments if moment.name == "MLP of the decoder")
        cublas = 8 * 2**20 + 128 * 2**10
        assert mlp.bytes - cublas == 8192 * 2 * (3 * shape.intermediate + states * shape.hidden)


def test_pipeline_stages_hold_what_they_need() -> None:
    shape, settings, gpu = serve("Llama-3.1-8B-Instruct", "H100", H100, pp=2, max_model_len=8192)
    first, last = (activation(shape, settings, gpu, stage) for stage in (0, 1))
    assert "sampler" not in {moment.name for moment in first.moments}
    assert "sampler" in {moment.name for moment in last.moments}
    assert last.bytes / GIB == pytest.approx(2.01, abs=0.01)  # what the smaller pool of the second stage shows


RELEASES: list[Release] = [
    (0, 6, 3),
    (0, 7, 2),
    (0, 8, 5),
    (0, 9, 2),
    (0, 10, 2),
    (0, 11, 0),
    (0, 13, 0),
    (0, 19, 0),
    (0, 26, 0),
    (0, 33, 0),
]
NAMES = [
    "Qwen2.5-VL-7B-Instruct",
    "Qwen3-VL-30B-A3B-Instruct",
    "InternVL3-8B",
    "gemma-3-4b-it",
    "DeepSeek-R1",
    "gpt-oss-20b",
    "Llama-4-Scout",
    "phi-2",
]
ANY = st.tuples(st.sampled_from(NAMES), st.sampled_from(RELEASES), st.integers(256, 40_000), st.sampled_from([1, 2, 4]))


def peak(name: str, release: Release, gpu: Gpu, **flags: Any) -> int:
    shape, settings, where = serve(name, gpu, release, **flags)
    return activation(shape, settings, where).bytes


@given(ANY, st.integers(0, 100_000))
def test_a_longer_context_never_takes_less(drawn: tuple[str, Release, int, int], more: int) -> None:
    name, release, length, ranks = drawn
    # 0.11 and 0.12 count a video of Qwen3-VL 12.5 times: from some length on it is profiled instead of an image that is
    # really larger.
    assume(not (name.startswith("Qwen3-VL") and (0, 11, 0) <= release < (0, 13, 0)))
    flags: dict[str, Any] = {"tp": ranks, "chunked_prefill": False}
    assert peak(name, release, ARTICLE_CARD, max_model_len=length + more, **flags) >= peak(
        name, release, ARTICLE_CARD, max_model_len=length, **flags
    )


def test_chunked_prefill_makes_35000_tokens_cheaper_than_29000() -> None:
    """V0 turns it on above 32768 tokens of text: 29000 did not fit a 24 GB card, 35000 did."""
    name, release = "Llama-3.1-8B-Instruct", (0, 6, 4)
    assert (
        peak(name, release, ARTICLE_CARD, max_model_len=35000)
        < peak(name, release, ARTICLE_CARD, max_model_len=29000) / 2
    )


@given(ANY, st.integers(8, 512))
def test_more_sequences_never_take_less(drawn: tuple[str, Release, int, int], sequences: int) -> None:
    name, release, length, ranks = drawn
    flags: dict[str, Any] = {"max_model_len": length, "tp": ranks}
    assert peak(name, release, ARTICLE_CARD, max_num_seqs=2 * sequences, **flags) >= peak(
        name, release, ARTICLE_CARD, max_num_seqs=sequences, **flags
    )


@given(ANY)
def test_more_ranks_never_take_more(drawn: tuple[str, Release, int, int]) -> None:
    name, release, length, ranks = drawn
    assert peak(name, release, ARTICLE_CARD, max_model_len=length, tp=2 * ranks) <= peak(
        name, release, ARTICLE_CARD, max_model_len=length, tp=ranks
    )


@given(ANY)
def test_without_images_it_never_takes_more(drawn: tuple[str, Release, int, int]) -> None:
    """The V1 engine only: V0 fits more sequences into the batch where no images take their place."""
    name, release, length, ranks = drawn
    if release >= (0, 11, 0):
        without = peak(name, release, ARTICLE_CARD, max_model_len=length, tp=ranks, limits={"image": 0, "video": 0})
        assert without <= peak(name, release, ARTICLE_CARD, max_model_len=length, tp=ranks)


def test_a_card_that_nobody_knows_still_has_an_answer() -> None:
    assert peak("Qwen3-8B", (0, 19, 0), of_size(33.3)) > 0


def test_towers_have_moments_in_every_release() -> None:
    for kind in (
        "qwen2",
        "qwen2_5",
        "qwen3",
        "siglip",
        "llava",
        "llava_next",
        "llava_onevision",
        "pixtral",
        "intern",
        "glm4v",
        "minicpm",
        "moonvit",
        "llama4",
    ):
        for release in RELEASES:
            assert live(kind, Settings(release=release))
