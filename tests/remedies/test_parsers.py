"""The parser of tool calls, and its chat template: only where the documentation names them."""

from __future__ import annotations

import pytest

from qvl_doctor.model import Fact
from qvl_doctor.remedies.parsers import tool_call_parser, tool_call_parser_and_template


@pytest.mark.parametrize(
    ("model", "release", "parser"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "0.8.5", "hermes"),
        ("/models/Qwen3-8B/", None, "hermes"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "0.8.5", None),  # its chat template shows no tools
        ("Qwen/Qwen2.5-Coder-7B-Instruct", "0.8.5", None),
        ("Qwen/Qwen3-VL-8B-Instruct", "0.11.0", None),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", None, "qwen3_coder"),
        ("Qwen/QwQ-32B", None, "hermes"),
        ("Qwen/Qwen3-8B", "0.8.5", "hermes"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "0.9.2", None),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "0.10.2", "qwen3_coder"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "0.11.0", "qwen3_xml"),
        ("Qwen/Qwen3.5-27B", "0.33.0", None),
        ("NousResearch/Hermes-3-Llama-3.1-8B", None, "hermes"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "0.8.5", None),  # not without its chat template
        ("meta-llama/Llama-3.1-8B-Instruct", "0.6.2", None),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", None, None),
        ("nvidia/Llama-3.1-Nemotron-70B-Instruct", None, None),
        ("mistralai/Mistral-7B-Instruct-v0.3", "0.6.6", "mistral"),
        ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", "0.8.5", None),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", None, None),
        ("zai-org/GLM-4.5-Air-FP8", "0.10.1", "glm45"),
        ("zai-org/GLM-4.7", "0.13.0", None),
        ("zai-org/GLM-4.7", "0.14.0", "glm47"),
        ("openai/gpt-oss-20b", "0.10.2", "openai"),
        ("someone/Vision-Llama-3.1-8B", None, None),
        ("", None, None),
    ],
)
def test_the_parser_is_that_of_the_model_and_the_release(model: str, release: str | None, parser: str | None) -> None:
    known = {"model": Fact(model), **({"vllm": Fact(release)} if release else {})}
    assert tool_call_parser({}, known) == ({"parser": parser} if parser else None)


@pytest.mark.parametrize(
    ("model", "release", "parser", "template"),
    [
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "0.8.5", "llama3_json", "llama3.1_json"),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct", None, "llama3_json", "llama3.2_json"),
        ("deepseek-ai/DeepSeek-V3-0324", "0.9.0", "deepseek_v3", "deepseekv3"),
        ("deepseek-ai/DeepSeek-V3-0324", "0.8.5", "", ""),
        ("deepseek-ai/DeepSeek-R1-0528", "0.10.0", "deepseek_v3", "deepseekr1"),
        ("deepseek-ai/DeepSeek-V3.1", "0.10.2", "deepseek_v31", "deepseekv31"),
        ("Qwen/Qwen2.5-7B-Instruct", "0.8.5", "", ""),
    ],
)
def test_a_model_whose_own_template_will_not_do_gets_both(
    model: str, release: str | None, parser: str, template: str
) -> None:
    known = {"model": Fact(model), **({"vllm": Fact(release)} if release else {})}
    expected = {"parser": parser, "template": f"tool_chat_template_{template}.jinja"} if parser else None
    assert tool_call_parser_and_template({}, known) == expected


def test_an_unknown_model_gets_no_parser() -> None:
    assert tool_call_parser({}, {}) is None
    assert tool_call_parser_and_template({}, {}) is None
