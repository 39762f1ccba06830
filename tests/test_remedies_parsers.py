"""The parser of tool calls: only where the documentation names one."""

from __future__ import annotations

import pytest

from qvl_doctor.model import Fact
from qvl_doctor.remedies.parsers import tool_call_parser


@pytest.mark.parametrize(
    ("model", "release", "parser"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "0.8.5", "hermes"),
        ("/models/Qwen3-VL-8B-Instruct/", None, "hermes"),
        ("Qwen/QwQ-32B", None, "hermes"),
        ("Qwen/Qwen3-8B", "0.8.5", "hermes"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "0.9.2", None),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "0.10.2", "qwen3_coder"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "0.11.0", "qwen3_xml"),
        ("Qwen/Qwen3.5-27B", "0.33.0", None),
        ("NousResearch/Hermes-3-Llama-3.1-8B", None, "hermes"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "0.8.5", "llama3_json"),
        ("meta-llama/Llama-3.1-8B-Instruct", "0.6.2", None),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", None, None),
        ("nvidia/Llama-3.1-Nemotron-70B-Instruct", None, None),
        ("mistralai/Mistral-7B-Instruct-v0.3", "0.6.6", "mistral"),
        ("deepseek-ai/DeepSeek-V3-0324", "0.9.0", "deepseek_v3"),
        ("deepseek-ai/DeepSeek-V3-0324", "0.8.5", None),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", None, None),
        ("deepseek-ai/DeepSeek-V3.1", "0.10.2", "deepseek_v31"),
        ("openai/gpt-oss-20b", "0.10.2", "openai"),
        ("someone/Vision-Llama-3.1-8B", None, None),
        ("", None, None),
    ],
)
def test_the_parser_is_that_of_the_model_and_the_release(model: str, release: str | None, parser: str | None) -> None:
    known = {"model": Fact(model), **({"vllm": Fact(release)} if release else {})}
    assert tool_call_parser({}, known) == ({"parser": parser} if parser else None)


def test_an_unknown_model_gets_no_parser() -> None:
    assert tool_call_parser({}, {}) is None
