"""The parser of tool calls that goes with a model, where vLLM's documentation names one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from qvl_doctor.model import Facts
from qvl_doctor.versions import release, satisfies

#: Name of the model (without its owner, from the beginning) -> parser, and the first release that has it. From the list in vLLM's
#: docs/features/tool_calling.md and the registry in tool_parsers; the first that fits counts. Llama 4, DeepSeek V3.1 and others whose
#: calls are of another kind are not those before them. Names of fine-tunes are not guessed at.
_PARSERS = tuple(
    (re.compile(name, re.IGNORECASE), parser, first)
    for name, parser, first in (
        (r"Hermes-[23]-", "hermes", "0.6"),
        (r"Qwen2\.5-|QwQ-32B", "hermes", "0.6"),
        (r"Qwen3-Coder-(?:30B|480B)-", "qwen3_xml", "0.11"),
        (r"Qwen3-Coder-(?:30B|480B)-", "qwen3_coder", "0.10"),
        (r"Qwen3-(?:VL-)?\d", "hermes", "0.6"),
        (r"(?:Meta-)?Llama-3\.[12]-\d", "llama3_json", "0.6.3"),
        (r"Mistral-7B-Instruct-v0\.3|Mistral-Small-3|Ministral-|Magistral-", "mistral", "0.6"),
        (r"DeepSeek-V3-0324|DeepSeek-R1-0528(?!-Qwen)", "deepseek_v3", "0.9"),
        (r"DeepSeek-V3\.1$", "deepseek_v31", "0.10.2"),
        (r"gpt-oss-\d", "openai", "0.10.2"),
        (r"Kimi-K2-Instruct", "kimi_k2", "0.10"),
        (r"GLM-4\.[56](?:-Air)?(?:-FP8)?$", "glm45", "0.10.1"),
    )
)


def tool_call_parser(_values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`parser`: the value of --tool-call-parser for the model of this run, if the release has it. An unknown model gets no guess."""
    name = str(facts["model"].value)[:500].rstrip("/").rpartition("/")[2] if "model" in facts else ""
    have = str(facts["vllm"].value)[:64] if "vllm" in facts else ""
    for pattern, parser, first in _PARSERS:
        if pattern.match(name) and (not release(have) or satisfies(have, f">={first}")):
            return {"parser": parser}
    return None
