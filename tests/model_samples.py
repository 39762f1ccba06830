"""Folders of models for tests: small, but laid out as real ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qvl_doctor.launch.observing import arguments_of
from qvl_doctor.launch.reading import read

#: Of Qwen2.5-VL-7B-Instruct, as far as it is looked at.
CONFIG: Mapping[str, Any] = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "num_hidden_layers": 28,
    "vocab_size": 152064,
    "max_position_embeddings": 128000,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    "torch_dtype": "bfloat16",
    "vision_config": {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
    },
}
FILES: Mapping[str, bytes | None] = {
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"chat_template": "{{ messages }}"}',
    "preprocessor_config.json": b"{}",
}


def safetensors(tensors: int = 2, elements: int = 8) -> bytes:
    """A whole safetensors file of float16 tensors."""
    size = 2 * elements
    places = ([index * size, (index + 1) * size] for index in range(tensors))
    header = {
        f"t{index}": {"dtype": "F16", "shape": [elements], "data_offsets": place} for index, place in enumerate(places)
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"\0" * (tensors * size)


def model(
    folder: Path,
    shards: int = 2,
    config: Mapping[str, Any] | None = None,
    files: Mapping[str, bytes | None] | None = None,
) -> Path:
    """A model's folder that is whole. `files` are more of them, or None for those that are not to be there."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"model-{number:05}-of-{shards:05}.safetensors" for number in range(1, shards + 1)]
    index = {"metadata": {"total_size": 1}, "weight_map": {f"t{number}": name for number, name in enumerate(names)}}
    texts: dict[str, Any] = {"config.json": config or CONFIG, "model.safetensors.index.json": index}
    written: dict[str, bytes | None] = {name: json.dumps(text).encode() for name, text in texts.items()}
    for name, data in {**written, **FILES, **dict.fromkeys(names, safetensors()), **(files or {})}.items():
        if data is not None:
            (folder / name).write_bytes(data)
    return folder


def arguments(command: str, release: str = "0.19.0") -> dict[str, Any]:
    """The arguments of a command by vLLM's names."""
    return arguments_of(read(command, release)[0], release)
