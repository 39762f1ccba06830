"""Bundled cards of models that are served much, so that nothing has to be downloaded.

A card holds the fields of config.json that decide about memory and the limits of the image processor, with their
source.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from qvl_doctor.memory.configs import read
from qvl_doctor.memory.shape import ModelShape, UnknownArchitecture
from qvl_doctor.memory.vision import with_processor

#: No one's name for a model is longer.
_LONGEST = 200
#: Words behind a model's name that do not change its shape.
_HARMLESS = frozenset(
    {
        "instruct",
        "chat",
        "it",
        "hf",
        "base",
        "quantized",
        "unsloth",
        "model",
        "mlx",
        "redhatai",
        "channel",
        "g128",
    }
)
#: Words that name a quantization, and the method that `quants` knows for it.
_QUANTS: Mapping[str, str] = {
    "awq": "awq",
    "fp8": "fp8",
    "w8a8": "w8a8",
    "w4a16": "w4a16",
    "int8": "int8",
    "bnb": "bnb4",
    "bnb-4bit": "bnb4",
    "4bit": "bnb4",
    "gptq": "gptq",
    "gptq-int4": "gptq4",
    "gptq-int8": "gptq8",
    "q8-0.gguf": "gguf-q8_0",
    "q4-0.gguf": "gguf-q4_0",
    "fp8-dynamic": "fp8-dynamic",
    "fp8-block": "fp8-block",
    "nvfp4": "nvfp4",
}
#: Published fp8 checkpoints of these families are quantized in blocks of 128 × 128 (their quantization_config says
#: weight_block_size).
_BLOCK_FP8 = ("qwen3", "deepseek")


class Card(NamedTuple):
    """A model by name.

    `quantization` is what its name says about it; `parameters` the number published with the checkpoint, 0 if none is.
    """

    name: str
    shape: ModelShape
    source: str
    quantization: str = ""
    parameters: int = 0


def find(name: str) -> Card | None:
    """The card of a model that people or logs name.

    With or without organisation and path, with words for quantization behind.

    None for a name that says something more, which may change the shape ("-1M", "-Embedding"), or that no card has.
    """
    words = _words(name)
    for length in range(len(words), 0, -1):
        slug = _cards().get("-".join(words[:length]))
        rest = [word for word in words[length:] if word not in _HARMLESS]
        quantization = _quantization(rest, words[0]) if slug else None
        if slug and quantization is not None:
            return _load(slug, quantization)
    return None


def known() -> tuple[str, ...]:
    """The names of all cards."""
    return tuple(sorted({_entry(slug)["name"] for slug in set(_cards().values())}))


def _quantization(rest: list[str], family: str) -> str | None:
    """What the words behind a name say about quantization, None if they say something else."""
    plain = [word for word in rest if word != "dynamic"]  # which says something only of fp8
    if not plain:
        return ""
    method = _QUANTS.get("-".join(rest)) or _QUANTS.get("-".join(plain))
    return "fp8-block" if method == "fp8" and family.startswith(_BLOCK_FP8) else method


def _words(name: str) -> list[str]:
    """The last part of a path, lower case, cut at dashes, underscores and spaces."""
    last = name[:_LONGEST].strip().rstrip("/").rpartition("/")[2].lower()
    found = re.findall(r"[a-z0-9.]+", last)
    joined = re.sub(r"^(qwen2|qwen3)-(5|6)-", r"\1.\2-", "-".join(found))  # qwen2-5-vl means qwen2.5-vl
    return [word for word in joined.replace("-quantized.", "-").split("-") if word]


def _load(slug: str, quantization: str) -> Card | None:
    entry = _entry(slug)
    shape = read(entry["config"])
    if isinstance(shape, UnknownArchitecture):
        return None
    return Card(
        name=entry["name"],
        shape=with_processor(shape, entry.get("processor")),
        source=entry["source"],
        quantization=quantization or shape.quantization,
        parameters=entry.get("parameters", 0),
    )


@cache
def _cards() -> Mapping[str, str]:
    """File by every name that it carries."""
    found: dict[str, str] = {}
    for file in sorted(os.listdir(_folder())):
        if file.endswith(".json"):
            entry = _entry(file)
            for name in (entry["name"], *entry["aliases"]):
                found.setdefault("-".join(_words(name)), file)
    return found


@cache
def _entry(file: str) -> Mapping[str, Any]:
    with open(os.path.join(_folder(), file), encoding="utf-8") as text:
        entry: Mapping[str, Any] = json.load(text)
    return entry


def _folder() -> str:
    return os.path.join(os.path.dirname(os.path.dirname(__file__)), "knowledge", "models")
