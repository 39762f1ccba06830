"""The parser of tool calls that goes with a model, and the chat template where its own will not do, as vLLM's documentation names them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from qvl_doctor.model import Facts, fact_text
from qvl_doctor.versions import release, satisfies


class _Parser(NamedTuple):
    """Names of models (without their owner, from the beginning), the parser of their calls, and the first release that has it.

    `template`: a file of vLLM's examples that the documentation asks for beside the parser.
    """

    models: str
    parser: str
    first: str
    template: str = ""


#: From the list in vLLM's docs/features/tool_calling.md, and the registry in tool_parsers for the releases. What the
#: list names with a star is taken without the models that are known to be of another kind: the chat template of
#: Qwen2.5-VL has no place for tools (vllm issue 16797), Qwen2.5-Coder calls in a form of its own. Qwen3 stands in
#: Qwen's documentation, to which the list refers. The FP8 checkpoint of a model is the same model. Names of fine-tunes
#: are not guessed at. Of two parsers for one model the newer stands first.
_PARSERS = (
    _Parser(r"Hermes-[23]-", "hermes", "0.6"),
    _Parser(r"Qwen2\.5-\d|QwQ-32B$", "hermes", "0.6"),
    _Parser(r"Qwen3-Coder-(?:30B|480B)-", "qwen3_xml", "0.11"),
    _Parser(r"Qwen3-Coder-(?:30B|480B)-", "qwen3_coder", "0.10"),
    _Parser(r"Qwen3-\d", "hermes", "0.6"),
    _Parser(r"(?:Meta-)?Llama-3\.1-\d", "llama3_json", "0.6.3", "tool_chat_template_llama3.1_json.jinja"),
    _Parser(r"Llama-3\.2-\d", "llama3_json", "0.6.3", "tool_chat_template_llama3.2_json.jinja"),
    _Parser(r"Mistral-7B-Instruct-v0\.3$", "mistral", "0.6"),
    _Parser(r"DeepSeek-V3-0324$", "deepseek_v3", "0.9", "tool_chat_template_deepseekv3.jinja"),
    _Parser(r"DeepSeek-R1-0528$", "deepseek_v3", "0.9", "tool_chat_template_deepseekr1.jinja"),
    _Parser(r"DeepSeek-V3\.1$", "deepseek_v31", "0.10.2", "tool_chat_template_deepseekv31.jinja"),
    _Parser(r"gpt-oss-\d", "openai", "0.10.2"),
    _Parser(r"Kimi-K2-Instruct$", "kimi_k2", "0.10"),
    _Parser(r"GLM-4\.(?:5|5-Air|6)(?:-FP8)?$", "glm45", "0.10.1"),
    _Parser(r"GLM-4\.7(?:-Flash|-FP8)?$", "glm47", "0.14"),
)


def tool_call_parser(_values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`parser`: the value of --tool-call-parser, for a model whose own chat template will do. An unknown model gets no guess."""
    found = _parser(facts)
    return {"parser": found.parser} if found and not found.template else None


def tool_call_parser_and_template(_values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`parser`, and `template`: the file of vLLM's examples for --chat-template, for a model that needs one."""
    found = _parser(facts)
    return {"parser": found.parser, "template": found.template} if found and found.template else None


def _parser(facts: Facts) -> _Parser | None:
    """The parser of this run's model, if the release has it; of an unknown release the one that most releases have."""
    name = fact_text(facts, "model")[:500].rstrip("/").rpartition("/")[2]
    have = fact_text(facts, "vllm")[:64]
    fitting = [each for each in _PARSERS if re.match(each.models, name, re.IGNORECASE)]
    if not release(have):
        return fitting[-1] if fitting else None
    return next((each for each in fitting if satisfies(have, f">={each.first}")), None)
