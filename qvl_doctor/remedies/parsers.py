"""The tool-call parser of a model, and a chat template if its own does not work.

Both as vLLM's documentation names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from qvl_doctor.knowledge import table
from qvl_doctor.model import Facts, fact_text
from qvl_doctor.versions import release, satisfies


class _Parser(NamedTuple):
    """How names of models begin (without their owner), the parser of their calls, and the first release with it.

    `template`: a file of vLLM's examples that the documentation asks for next to the parser.
    """

    models: str
    parser: str
    first: str
    template: str = ""


def _parsers() -> Iterator[_Parser]:
    """The rows of `knowledge/tool_parsers.json`.

    What vLLM's list names with a star is taken there without the models that are known to be of another kind: the chat
    template of Qwen2.5-VL has no place for tools (vllm issue 16797), Qwen2.5-Coder calls in a form of its own. Qwen3
    is in Qwen's documentation, to which the list refers. The FP8 checkpoint of a model is the same model. Names of
    fine-tunes are not guessed at. Of two parsers for one model the newer is first.
    """
    return (_Parser(**row) for row in table("tool_parsers")["parsers"])


def tool_call_parser(_values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`parser`: the value of --tool-call-parser, for a model whose own chat template will do.

    An unknown model gets no guess.
    """
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
    fitting = [each for each in _parsers() if re.match(each.models, name, re.IGNORECASE)]
    if not release(have):
        return fitting[-1] if fitting else None
    return next((each for each in fitting if satisfies(have, f">={each.first}")), None)
