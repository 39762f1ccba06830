"""Weights as PyTorch's allocator counts them, against public logs, and the allocator itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_shapes import serve

from qvl_doctor.memory.units import GIB, MIB
from qvl_doctor.memory.weights import allocated, weights

#: What "Model loading took" or "model weights take" says in public logs.
LOGGED: list[tuple[str, dict[str, Any], float, float]] = [
    ("Qwen3-8B", {}, 15.2683, 0.0005),
    ("Llama-3.1-8B-Instruct", {}, 14.9888, 0.0005),
    ("Llama-3.1-8B-Instruct", {"tp": 4}, 3.77, 0.0015),
    ("Llama-3.1-8B-Instruct", {"pp": 2}, 7.51, 0.0008),
    ("Qwen2.5-7B-Instruct", {}, 14.25, 0.0005),
    ("Qwen2.5-72B-Instruct", {"tp": 2}, 67.80, 0.0005),
    ("Qwen3-30B-A3B", {}, 56.88, 0.0005),
    ("Qwen3-VL-30B-A3B-Instruct", {"tp": 4, "max_num_batched_tokens": 2048}, 14.7708, 0.0005),
    ("Qwen3-VL-8B-Instruct", {"max_num_batched_tokens": 16384}, 16.97, 0.0005),
    ("gemma-2-2b-it", {}, 4.90, 0.0015),
    ("gemma-3-4b-it", {}, 8.58, 0.0008),
    ("Mistral-Small-3.1-24B-Instruct-2503", {}, 44.76, 0.0005),
    ("Qwen1.5-MoE-A2.7B", {}, 26.67, 0.0005),
    ("CodeLlama-7b-hf", {}, 12.56, 0.0008),
    ("granite-3.3-8b-instruct", {}, 15.25, 0.0008),
    ("Llama-3.1-8B-Instruct", {"quantization": "w8a8"}, 8.49, 0.001),
    ("Llama-3.3-70B-Instruct", {"quantization": "w8a8", "tp": 2}, 33.88, 0.0005),
    ("Mistral-Small-3.1-24B-Instruct-2503", {"quantization": "w8a8", "tp": 2}, 12.11, 0.0008),
    ("Llama-3.1-8B-Instruct", {"quantization": "w4a16"}, 5.38, 0.007),
    ("DeepSeek-R1", {"tp": 8, "quantization": "fp8-block"}, 79.739, 0.003),
]


@pytest.mark.parametrize(("name", "flags", "logged", "within"), LOGGED)
def test_weights_as_logged(name: str, flags: dict[str, Any], logged: float, within: float) -> None:
    shape, settings, _ = serve(name, "H100", (0, 19, 0), **flags)
    assert weights(shape, settings).allocated / GIB == pytest.approx(logged, rel=within)


def test_small_tensors_share_segments_of_2_mib() -> None:
    assert allocated([1]) == 512
    assert allocated([513]) == 1024
    assert allocated([MIB] * 2) == 2 * MIB


def test_what_is_left_of_a_large_segment_stays_with_it_up_to_a_mib() -> None:
    assert allocated([12 * MIB]) == 12 * MIB
    assert allocated([13 * MIB]) == 14 * MIB  # a segment of 14 MiB, and a rest of one is not cut off
    assert allocated([13 * MIB - 512]) == 13 * MIB - 512  # here it is
    assert allocated([5 * MIB]) == 5 * MIB  # out of a segment of 20 MiB, of which 15 stay free
    assert allocated([19 * MIB + MIB // 2]) == 20 * MIB


def test_best_fit() -> None:
    """The second tensor fits the rest of the first segment, the third does not fit the rest of the second."""
    assert allocated([5 * MIB, 9 * MIB, 9 * MIB]) == 23 * MIB


@given(st.lists(st.integers(min_value=1, max_value=64 * MIB), max_size=50))
def test_the_allocator_never_gives_less_than_asked_nor_much_more(sizes: list[int]) -> None:
    total = allocated(sizes)
    assert sum(sizes) <= total <= sum(sizes) + len(sizes) * (2 * MIB)


def test_a_quantization_that_nobody_knows_counts_as_none() -> None:
    shape, settings, _ = serve("Qwen3-8B", "H100", (0, 19, 0), quantization="brand-new")
    _, plain, _ = serve("Qwen3-8B", "H100", (0, 19, 0))
    assert weights(shape, settings) == weights(shape, plain)


def test_the_vision_tower_can_be_whole_on_every_rank() -> None:
    shape, divided, _ = serve("Qwen2.5-VL-7B-Instruct", "H100", (0, 19, 0), tp=4)
    _, whole, _ = serve("Qwen2.5-VL-7B-Instruct", "H100", (0, 19, 0), tp=4, split_encoder=False)
    assert weights(shape, whole).allocated - weights(shape, divided).allocated > 0.7 * GIB
