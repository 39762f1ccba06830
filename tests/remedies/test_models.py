"""Bounds of releases for a model or a module, held against what is installed."""

from __future__ import annotations

from typing import Any

import pytest

from qvl_doctor import remedies
from qvl_doctor.model import Fact


def ask(remedy: str, values: dict[str, str], **facts: str) -> dict[str, str] | None:
    function = remedies.find(remedy)
    assert function
    found = function(values, {name: Fact(value) for name, value in facts.items()})
    return None if found is None else dict(found)


@pytest.mark.parametrize(
    ("values", "facts", "kind", "needed"),
    [
        ({}, {"model": "THUDM/GLM-4.1V-9B-Thinking", "vllm": "0.9.1"}, "multimodal", "0.9.2"),
        ({}, {"model": "THUDM/GLM-4.1V-9B-Thinking", "vllm": "0.9.2"}, "multimodal", None),
        ({}, {"model": "THUDM/GLM-4.1V-9B-Thinking", "vllm": "0.9.2.dev3+gabcdef1"}, "multimodal", "0.9.2"),
        ({}, {"model": "THUDM/GLM-4.1V-9B-Thinking", "vllm_range": ">=0.10.2"}, "multimodal", None),
        ({}, {"model": "THUDM/GLM-4.1V-9B-Thinking", "vllm_range": "<0.11.0"}, "multimodal", "0.9.2"),
        ({}, {"model": "Qwen/Qwen2.5-7B-Instruct", "vllm": "0.9.1"}, "text", None),
        ({}, {"model": "/srv/mine", "vllm": "0.9.1"}, "unknown", None),
        ({}, {}, "unknown", None),
        # What the failure itself shows counts before what the command says.
        ({"config": "Gemma3Config"}, {"model": "Qwen/Qwen2.5-7B", "vllm": "0.7.3"}, "multimodal", "0.8.0"),
        # A class that stands for many models tells nothing.
        ({}, {"architecture": "TransformersForCausalLM", "model": "google/gemma-2-9b"}, "text", "0.6.0"),
    ],
)
def test_what_a_model_needs(values: dict[str, str], facts: dict[str, str], kind: str, needed: str | None) -> None:
    found = ask("release_for_model", values, **facts)
    assert found
    assert (found["model_kind"], found.get("vllm_needed")) == (kind, needed)


@pytest.mark.parametrize(
    ("config", "attribute", "facts", "needed"),
    [
        ("SkyworkChatConfig", "num_attention_heads", {"vllm": "0.8.2"}, "0.8.3"),
        ("SkyworkChatConfig", "num_attention_heads", {}, "0.8.3"),
        ("SkyworkChatConfig", "num_attention_heads", {"vllm": "0.8.3"}, None),
        # Only fields of text models are asked of a model that a release does not know.
        ("Qwen3Config", "rope_theta", {}, None),
        ("Qwen3Config", "rope_theta", {"vllm": "0.8.3"}, "0.8.5"),
        ("FooConfig", "vocab_size", {"vllm": "0.8.3"}, None),
    ],
)
def test_a_config_that_lacks_a_field(config: str, attribute: str, facts: dict[str, str], needed: str | None) -> None:
    found = ask("release_for_config", {"config": config, "attribute": attribute}, **facts)
    assert (found or {}).get("vllm_needed") == needed


@pytest.mark.parametrize(
    ("module", "facts", "answer"),
    [
        ("vllm.model_executor.models.deepseek_ocr", {}, {"vllm_needed": "0.11.1"}),
        ("vllm.model_executor.models.deepseek_ocr", {"vllm": "0.8.5"}, {"vllm_needed": "0.11.1", "vllm_have": "0.8.5"}),
        ("vllm.model_executor.models.deepseek_ocr", {"vllm": "0.12.0"}, None),
        ("vllm.worker.worker", {"vllm": "0.12.0"}, {"vllm_last": "0.10.2", "vllm_have": "0.12.0"}),
        # Older releases than the table's may have it, too.
        ("vllm.worker.worker", {"vllm": "0.5.0"}, None),
        ("vllm.worker.worker", {}, {"vllm_last": "0.10.2"}),
        ("vllm.nothing", {}, None),
        ("", {}, None),
    ],
)
def test_which_release_has_a_module(module: str, facts: dict[str, str], answer: dict[str, str] | None) -> None:
    assert ask("release_for_module", {"module": module}, **facts) == answer


def test_the_model_that_is_served_where_none_is_given() -> None:
    assert ask("default_model", {"model": "facebook/opt-125m"}) == {}
    assert ask("default_model", {"model": "facebook/opt-1.3b"}) is None
    assert ask("default_model", {}) is None


@pytest.mark.parametrize(
    ("values", "facts", "answer"),
    [
        (
            {"plugin": "vllm_ascend"},
            {"vllm": "0.20.2"},
            {"plugin": "vllm-ascend", "plugin_pin": "==0.20.2rc1", "plugin_pin_known": "yes", "vllm_have": "0.20.2"},
        ),
        (
            {"flag": "--omni"},
            {"vllm": "0.15.0", "vllm_omni": "0.14.0"},
            {
                "plugin": "vllm-omni",
                "plugin_pin_known": "no",
                "plugin_have": "0.14.0",
                "plugin_vllm": "0.14.0",
                "vllm_have": "0.15.0",
            },
        ),
        ({"flag": "--model"}, {}, None),
        ({}, {}, None),
    ],
)
def test_the_release_of_a_plugin(values: dict[str, str], facts: dict[str, str], answer: Any) -> None:
    assert ask("plugin_for_vllm", values, **facts) == answer
