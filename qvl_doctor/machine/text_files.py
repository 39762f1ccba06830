"""The small files of a model's directory: tokenizer, chat template, processor, sampling defaults."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qvl_doctor.files import Json, read_json
from qvl_doctor.model import Record
from qvl_doctor.observations import observe
from qvl_doctor.versions import satisfies

_TOKENIZERS = frozenset(
    (
        *(
            "tokenizer.json",
            "tokenizer.model",
            "tokenizer.model.v3",
            "tekken.json",
            "vocab.json",
            "vocab.txt",
            "spiece.model",
        ),
        *("sentencepiece.bpe.model", "tiktoken.model", "qwen.tiktoken"),
    )
)
_MISTRAL = frozenset(("tekken.json", "tokenizer.model.v3", "params.json"))
_LONGEST_TOKENIZER = 64 << 20
#: What vLLM adopts from generation_config.json.
_SAMPLING = ("repetition_penalty", "temperature", "top_k", "top_p", "min_p", "max_new_tokens")
#: Model types whose processor vLLM takes from Transformers, which reads its settings from one of these files.
_PROCESSED = frozenset(
    (
        *(
            "aya_vision",
            "gemma3",
            "glm4v",
            "idefics3",
            "llama4",
            "llava",
            "llava_next",
            "llava_onevision",
            "mistral3",
            "mllama",
        ),
        *("paligemma", "qwen2_5_omni", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "qwen3_vl_moe", "smolvlm"),
    )
)
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
#: Model types for which some release of vLLM has its own template.
_OWN_TEMPLATE = frozenset(
    (
        *(
            "blip-2",
            "chameleon",
            "clip",
            "colpali",
            "deepseek_ocr",
            "deepseek_ocr2",
            "deepseek_vl_v2",
            "florence2",
            "fuyu",
            "minicpm_ocr",
        ),
        *(
            "minicpmv",
            "minicpmv4_6",
            "minicpmv4_7",
            "paligemma",
            "qwen",
            "siglip",
            "siglip2",
            "unlimited-ocr",
            "unlimited_ocr",
        ),
    )
)
_CHATS = ("ForCausalLM", "ForConditionalGeneration")
#: JSON files that a start reads completely and that must not be broken.
_READ = ("tokenizer_config.json", "preprocessor_config.json")


def facts_of(folder: str, names: Sequence[str], arguments: Mapping[str, Any] | None = None) -> dict[str, object]:
    """Which of these files exist: tokenizer_files, chat_template, processor_files (yes, no); generation_defaults."""
    there = frozenset(names)
    facts: dict[str, object] = {
        "tokenizer_files": "yes" if there & _TOKENIZERS else "no",
        "chat_template": "yes" if _template(folder, there) else "no",
        "processor_files": "yes" if there & frozenset(_PROCESSORS) else "no",
    }
    asked = (arguments or {}).get("generation_config") in {None, "auto"}
    found = read_json(os.path.join(folder, "generation_config.json")).value if asked else None
    given = (
        {name: found[name] for name in _SAMPLING if isinstance(found.get(name), (int, float))}
        if isinstance(found, dict)
        else {}
    )
    if given:
        facts["generation_defaults"] = ", ".join(f"{name} {value}"[:60] for name, value in given.items())
    return facts


def _template(folder: str, there: frozenset[str]) -> bool:
    if there & {"chat_template.jinja", "chat_template.json", "additional_chat_templates"} or there & _MISTRAL:
        return True
    files = ("tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
    return any(_object(read_json(os.path.join(folder, name))).get("chat_template") for name in files if name in there)


def observations(
    folder: str, names: Sequence[str], config: Mapping[str, Any], arguments: Mapping[str, Any], transformers: str = ""
) -> Iterator[Record]:
    """What is missing or broken, in the words of Transformers and vLLM."""
    there, facts = frozenset(names), facts_of(folder, names)
    own_tokenizer = arguments.get("tokenizer") or arguments.get("skip_tokenizer_init")
    if facts["tokenizer_files"] == "no" and not own_tokenizer and not _remote(folder, there):
        if transformers and satisfies(transformers, ">=5"):
            yield observe("tokenizer_of_no_file", folder=folder[:300])
        else:
            yield observe("tokenizer_missing", folder=folder[:300])
    model_type = str(config.get("model_type") or "")
    if model_type in _PROCESSED and facts["processor_files"] == "no" and _wants_processor(config, arguments):
        yield observe("processor_missing", folder=folder[:300])
    for name in _READ:
        if name in there and read_json(os.path.join(folder, name)).problem == "broken":
            yield _broken(folder, name)
    if "tokenizer.json" in there and not own_tokenizer:
        found = read_json(os.path.join(folder, "tokenizer.json"), _LONGEST_TOKENIZER)
        if found.problem == "broken":
            yield _broken(folder, "tokenizer.json")
    if facts["chat_template"] == "no" and facts["tokenizer_files"] == "yes" and _chats(config, arguments):
        yield observe("chat_template_missing")


def _broken(folder: str, name: str) -> Record:
    return observe("config_no_json", path=os.path.join(folder, name)[:290])


def _remote(folder: str, there: frozenset[str]) -> bool:
    """Whether the tokenizer is the model's own code, which may read files of any name."""
    return "tokenizer_config.json" in there and "auto_map" in _object(
        read_json(os.path.join(folder, "tokenizer_config.json"))
    )


def _wants_processor(config: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    return (
        "vision_config" in config
        and not arguments.get("language_model_only")
        and not arguments.get("mm_processor_kwargs")
    )


def _chats(config: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    """Whether chat requests are likely and need the model's own template."""
    if config.get("model_type") in _OWN_TEMPLATE or any(arguments.get(name) for name in ("chat_template", "tokenizer")):
        return False
    if arguments.get("tokenizer_mode") not in {None, "auto", "slow", "hf"}:
        return False
    if arguments.get("runner") not in {None, "auto", "generate"} or arguments.get("task") not in {
        None,
        "auto",
        "generate",
    }:
        return False
    architectures = config.get("architectures")
    return isinstance(architectures, list) and any(str(name).endswith(_CHATS) for name in architectures[:4])


def _object(found: Json) -> Mapping[str, Any]:
    return found.value if isinstance(found.value, dict) else {}
