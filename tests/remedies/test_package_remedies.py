"""Which release of another package to install, with the bounds that are known."""

from __future__ import annotations

import time

import pytest

from qvl_doctor import knowledge
from qvl_doctor.model import Fact
from qvl_doctor.remedies import packages


def facts(**known: object) -> dict[str, Fact]:
    return {name: Fact(value) for name, value in known.items()}


def said(name: str) -> dict[str, str]:
    return {"said": knowledge.table("breaks")["breaks"][name]["example"]}


@pytest.mark.parametrize(
    ("name", "installed", "answer"),
    [
        (
            "image-processor-twice",
            {"vllm": "0.9.1"},
            {"package": "transformers", "package_range": ">=4.51.1,<4.53", "vllm_fixed": "0.9.2", "vllm_have": "0.9.1"},
        ),
        (
            "image-processor-twice",
            {"vllm": "0.9.1", "transformers": "4.53.0"},
            {
                "package": "transformers",
                "package_range": ">=4.51.1,<4.53",
                "package_have": "4.53.0",
                "vllm_fixed": "0.9.2",
                "vllm_have": "0.9.1",
            },
        ),
        ("image-processor-twice", {}, {"package": "transformers", "package_range": "<4.53", "vllm_fixed": "0.9.2"}),
        # vLLM 0.6.2 asks for what breaks: only a newer one helps.
        ("mrope-turned-into-default", {"vllm": "0.6.2"}, {"vllm_fixed": "0.6.3.post1", "vllm_have": "0.6.2"}),
        # Both bounds, from the release day of vLLM and from the entry.
        (
            "new-gemma3config",
            {"vllm": "0.8.1"},
            {"package": "transformers", "package_range": ">=4.50,<4.51", "vllm_have": "0.8.1"},
        ),
        ("new-gemma3config", {"vllm": "0.8.1", "transformers": "4.50.3"}, None),
        ("new-gemma3config", {"vllm": "0.9.0"}, None),
        (
            "nccl-of-another-torch",
            {"torch": "2.8.0"},
            {"package": "nvidia-nccl-cu12", "package_range": "==2.27.3"},
        ),
        ("nccl-of-another-torch", {}, {}),
        ("flash-attn-4-without-ops", {}, {"package_removed": "flash-attn-4", "vllm_fixed": "0.24.0"}),
        ("flash-attn-4-without-ops", {"vllm": "0.24.0"}, None),
        ("pydantic-field-info", {}, {"packages_newer": "accelerate deepspeed peft"}),
        (
            "fastapi-included-router",
            {"vllm": "0.33.0"},
            {"package": "fastapi", "package_range": ">=0.133.0,<0.137", "vllm_have": "0.33.0"},
        ),
        # vLLM asks for a release that the entry calls bad: no range is named.
        ("hub-cached-download", {"vllm": "0.33.0"}, {"vllm_have": "0.33.0"}),
    ],
)
def test_how_a_pair_that_breaks_is_mended(name: str, installed: dict[str, str], answer: dict[str, str] | None) -> None:
    assert packages.pair_that_broke(said(name), facts(**installed)) == answer


@pytest.mark.parametrize(
    ("values", "installed", "answer"),
    [
        (
            {"module": "openai.types.responses", "package": "openai"},
            {"vllm": "0.10.0", "openai": "1.100.0"},
            {
                "package": "openai",
                "package_range": ">=1.87.0,<=1.90.0",
                "asked_by": "vLLM 0.10.0",
                "package_have": "1.100.0",
            },
        ),
        (
            {"package": "huggingface_hub"},
            {"vllm": "0.11.0", "transformers": "4.57.1"},
            {"package": "huggingface-hub", "package_range": ">=0.34.0,<1.0", "asked_by": "Transformers 4.57.1"},
        ),
        ({"package": "company_tools"}, {"vllm": "0.10.0"}, None),
        ({"package": "openai"}, {}, None),
        ({}, {"vllm": "0.10.0"}, None),
    ],
)
def test_what_the_installed_packages_ask_for(
    values: dict[str, str], installed: dict[str, str], answer: dict[str, str] | None
) -> None:
    assert packages.package_for_installed(values, facts(**installed)) == answer


@pytest.mark.parametrize(
    ("name", "installed", "pin"),
    [
        # Gone: up to the last release that has it, within what vLLM runs with.
        ("LlamaFlashAttention2", {"vllm": "0.7.0"}, ">=4.45.2,<4.48"),
        ("LlamaFlashAttention2", {}, "<4.48"),
        ("LlamaFlashAttention2", {"vllm": "0.11.0"}, None),  # this vLLM runs with none that has it
        ("LlamaFlashAttention2", {"transformers": "4.47.0"}, None),
        # Not there yet: the class of a model that is newer.
        ("Qwen2_5_VLForConditionalGeneration", {"vllm": "0.8.0", "transformers": "4.48.3"}, ">=4.49,<4.51"),
        ("Qwen2_5_VLForConditionalGeneration", {"vllm": "0.8.0", "transformers": "4.49.0"}, None),
        ("models.qwen3_vl", {}, None),
        # No release had it.
        ("Qwen2_5_VLImageProcessor", {"vllm": "0.7.2", "transformers": "4.48.3"}, None),
        ("SomethingElse", {"vllm": "0.9.2"}, None),
        ("", {}, None),
        ("x" * 100_000, {}, None),
    ],
)
def test_which_transformers_has_a_name(name: str, installed: dict[str, str], pin: str | None) -> None:
    answer = packages.transformers_with_name({"missing_name": name}, facts(**installed))
    assert answer == (pin and {"transformers_pin": pin})


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, "'list' object has no attribute 'keys'\n" * 5_000, "\x00", "名" * 50_000]
)
def test_whatever_is_said_costs_little(text: str) -> None:
    packages.pair_that_broke({"said": text}, facts(vllm=text[:100]))
    begun = time.perf_counter()
    packages.pair_that_broke({"said": text}, facts(vllm=text[:100]))
    assert time.perf_counter() - begun < 0.5
