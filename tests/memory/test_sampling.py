"""What the dummy sampler holds, by engine, runner and release, on a vocabulary of 1000."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from memory_shapes import shape_of

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.sampling import runner_v2, sampled_states, sampler_tensors
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import FULL, Experts
from qvl_doctor.memory.units import GIB

TWO = shape_of(FULL, FULL)


@pytest.mark.parametrize(
    ("architecture", "since"),
    [
        ("Qwen3ForCausalLM", (0, 22, 0)),
        ("LlamaForCausalLM", (0, 24, 0)),
        ("MistralForCausalLM", (0, 24, 0)),
        ("DeepseekV2ForCausalLM", (0, 24, 0)),
        ("Qwen2MoeForCausalLM", (0, 24, 0)),
        ("GraniteMoeForCausalLM", (0, 24, 0)),
        ("Gemma2ForCausalLM", (0, 25, 0)),
    ],
)
def test_which_release_runs_a_model_on_the_v2_runner(architecture: str, since: Release) -> None:
    shape = replace(TWO, architecture=architecture)
    before = {(0, 22, 0): (0, 21, 0), (0, 24, 0): (0, 23, 0), (0, 25, 0): (0, 24, 1)}[since]
    assert [runner_v2(shape, Settings(release)) for release in (before, since, (0, 28, 0))] == [False, True, True]
    assert since > (0, 24, 0) or runner_v2(shape, Settings((0, 24, 0)))
    assert not runner_v2(shape, Settings((0, 29, 0), "V0"))


@pytest.mark.parametrize(
    ("architecture", "release", "runs"),
    [
        ("Qwen2MoeForCausalLM", (0, 25, 0), True),
        ("DeepseekV2ForCausalLM", (0, 28, 0), True),
        ("GraniteMoeForCausalLM", (0, 28, 0), True),
        ("Qwen3MoeForCausalLM", (0, 28, 1), False),
        ("Qwen3MoeForCausalLM", (0, 29, 0), True),
    ],
)
def test_models_with_experts_on_the_v2_runner(architecture: str, release: Release, runs: bool) -> None:
    assert runner_v2(replace(TWO, architecture=architecture, experts=Experts(6, 2, 48)), Settings(release)) is runs


def sampler(release: Release, rows: int = 8, gpu: Gpu = Gpu("x", GIB), **changes: Any) -> dict[str, int]:  # noqa: B008
    found = sampler_tensors(TWO, Settings(release, **changes), gpu, rows)
    return {each.name: each.bytes for each in found}


#: Eight rows of the vocabulary.
ROWS = 8 * 1000
SORTED = {
    "logits": 2 * ROWS,
    "logits in float32": 4 * ROWS,
    "sorted logits": 4 * ROWS,
    "indices of the sort": 8 * ROWS,
    "reversed indices of the sort": 8 * ROWS,
    "double buffers of the radix sort": 12 * ROWS,
}
KERNEL = {"logits": 2 * ROWS, "logits in float32": 4 * ROWS, "probabilities": 4 * ROWS, "exponential noise": 4 * ROWS}
FLASHINFER = {"logits": 2 * ROWS, "logits in float32": 4 * ROWS, "masked logits": 4 * ROWS, "probabilities": 4 * ROWS}


def test_what_sampling_holds() -> None:
    assert sampler((0, 16, 0)) == SORTED
    assert sampler((0, 17, 0)) == KERNEL
    assert sampler((0, 19, 0), engine="V0") == SORTED
    assert sampler((0, 19, 0), rows=7) == {name: size * 7 // 8 for name, size in SORTED.items()}
    without_copy = {name: size for name, size in KERNEL.items() if name != "logits in float32"}
    assert sampler((0, 17, 0), dtype="float32") == {**without_copy, "logits": 4 * ROWS}


def test_when_flashinfer_cuts_the_logits() -> None:
    assert sampler((0, 9, 0), flashinfer=True) == FLASHINFER
    assert sampler((0, 8, 5), flashinfer=True) == SORTED
    assert sampler((0, 9, 0), flashinfer=True, engine="V0") == SORTED
    assert sampler((0, 9, 0), flashinfer=False) == SORTED
    assert sampler((0, 9, 0), flashinfer=True, rows=7)["masked logits"] == 4 * 7 * 1000


@pytest.mark.parametrize(("sms", "rows", "programs"), [(40, 8, 8), (40, 9, 16), (40, 33, 40), (16, 100, 16), (4, 8, 4)])
def test_the_buffer_of_the_top_k_kernel(sms: int, rows: int, programs: int) -> None:
    found = sampler((0, 17, 0), rows, Gpu("x", GIB, sms=sms))
    assert found["buffer of the top-k kernel"] == programs * 1000 * 4


def test_no_kernel_no_buffer() -> None:
    assert "buffer of the top-k kernel" not in sampler((0, 16, 0), gpu=Gpu("x", GIB, sms=40))


@pytest.mark.parametrize(
    ("release", "copies"),
    [
        ((0, 25, 0), True),
        ((0, 26, 0), False),
        ((0, 27, 0), True),
        ((0, 28, 0), False),
        ((0, 29, 0), False),
    ],
)
def test_what_sampling_on_the_v2_runner_holds(release: Release, copies: bool) -> None:
    found = sampler(release)
    assert found.pop("logits in float32", 0) == (4 * ROWS if copies else 0)
    assert found == {"logits": 2 * ROWS, "block maxima of the Gumbel kernel": 8 * 1 * 12}


def test_blocks_of_the_gumbel_kernel() -> None:
    wide = replace(TWO, vocab=1025)
    found = {each.name: each.bytes for each in sampler_tensors(wide, Settings((0, 29, 0)), Gpu("x", GIB), 8)}
    assert found["block maxima of the Gumbel kernel"] == 8 * 2 * 12


@pytest.mark.parametrize(
    ("settings", "copies", "size"),
    [
        (Settings((0, 19, 0)), 2, 2),
        (Settings((0, 7, 2), "V0"), 1, 2),
        (Settings((0, 25, 0)), 1, 2),
        (Settings((0, 19, 0), dtype="float32"), 2, 4),
    ],
)
def test_hidden_states_while_it_samples(settings: Settings, copies: int, size: int) -> None:
    whole, sampled = sampled_states(TWO, settings, 100, 7)
    assert (whole.bytes, sampled.bytes) == (100 * 64 * size, copies * 7 * 64 * size)
