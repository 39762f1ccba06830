"""Models by the names that people and logs have for them, and what those names say of quantization."""

from __future__ import annotations

import pytest

from qvl_doctor.memory.model_cards import Card, find


def found(name: str) -> tuple[str, str] | None:
    card = find(name)
    return (card.name, card.quantization) if isinstance(card, Card) else None


PLAIN = found("Qwen/Qwen3-8B")


@pytest.mark.parametrize(
    "word",
    [
        *("instruct", "chat", "it", "hf", "base", "quantized", "dynamic", "unsloth", "model"),
        *("mlx", "redhatai", "channel", "g128"),
    ],
)
def test_a_word_that_says_nothing_of_the_shape(word: str) -> None:
    assert PLAIN is not None
    assert PLAIN[1] == ""
    assert found(f"Qwen3-8B-{word}") == PLAIN
    assert found(f"Qwen3-8B-{word}-AWQ") == (PLAIN[0], "awq")


@pytest.mark.parametrize(
    ("words", "method"),
    [
        ("AWQ", "awq"),
        ("W8A8", "w8a8"),
        ("quantized.w8a8", "w8a8"),
        ("quantized.w4a16", "w4a16"),
        ("W4A16", "w4a16"),
        ("Int8", "int8"),
        ("bnb", "bnb4"),
        ("unsloth-bnb-4bit", "bnb4"),
        ("4bit", "bnb4"),
        ("GPTQ", "gptq"),
        ("GPTQ-Int4", "gptq4"),
        ("GPTQ-Int8", "gptq8"),
        ("Q8_0.gguf", "gguf-q8_0"),
        ("q4_0.gguf", "gguf-q4_0"),
        ("FP8", "fp8"),
        ("FP8-dynamic", "fp8-dynamic"),
        ("FP8-block", "fp8-block"),
        ("NVFP4", "nvfp4"),
        ("W8A8-dynamic", "w8a8"),
    ],
)
def test_words_that_name_a_quantization(words: str, method: str) -> None:
    assert found(f"Llama-3.1-8B-Instruct-{words}") == ("meta-llama/Llama-3.1-8B-Instruct", method)


def test_the_published_fp8_of_some_families_is_in_blocks() -> None:
    for name, method in (
        ("Qwen3-8B-FP8", "fp8-block"),
        ("Qwen3-8B-FP8-dynamic", "fp8-dynamic"),
        ("Qwen3-8B-AWQ", "awq"),
        ("Qwen2.5-7B-Instruct-FP8", "fp8"),
    ):
        card = found(name)
        assert card is not None
        assert card[1] == method


@pytest.mark.parametrize(
    "name", ["Qwen3-8B/", "/models/qwen3-8b/", " Qwen3-8B ", "a/b/Qwen3_8B", "QWEN3 8B", "x" * 191 + "/" + "Qwen3-8B"]
)
def test_ways_to_write_a_name(name: str) -> None:
    assert found(name) == PLAIN


@pytest.mark.parametrize(
    "name", ["Qwen3-8B-1M", "Qwen3-8B-Embedding", "Qwen3-80B", "", "/", "x" * 192 + "/" + "Qwen3-8B"]
)
def test_a_name_that_says_something_else(name: str) -> None:
    assert found(name) is None


def test_numbers_of_a_family_may_have_a_dash() -> None:
    assert found("qwen2-5-vl-7b-instruct") == found("Qwen2.5-VL-7B-Instruct") is not None
