"""Models, cards and settings that the tests of the memory model share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory import kv, model_cards
from qvl_doctor.memory.decoder import stage_layers
from qvl_doctor.memory.gpus import Gpu, find, of_size
from qvl_doctor.memory.settings import Settings, resolve
from qvl_doctor.memory.shape import FULL, LayerKind, ModelShape, VisionShape

#: A small decoder as config.json writes it.
TINY: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "num_hidden_layers": 4,
    "hidden_size": 256,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 512,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}


def token_bytes(shape: ModelShape, settings: Settings) -> int:
    """Bytes of one token in all layers of one rank of the largest pipeline stage, every layer counted in full."""
    return kv.layer_token_bytes(shape, settings) * max(stage_layers(shape.depth, settings.pp))


def model(name: str) -> ModelShape:
    """The shape of a bundled card."""
    card = model_cards.find(name)
    assert card is not None, name
    return card.shape


def shape_of(*layers: LayerKind, **changes: Any) -> ModelShape:
    """A decoder of which everything is known.

    Four KV heads of 16 elements, so 256 bytes of KV cache a token and layer.
    """
    plain: dict[str, Any] = {"hidden": 64, "heads": 8, "kv_heads": 4, "head_dim": 16, "intermediate": 128}
    return ModelShape("X", "x", layers, **{**plain, "vocab": 1000, "positions": 1000, **changes})


def card(name: str) -> Gpu:
    """A known GPU."""
    found = find(name)
    assert found is not None, name
    return found


#: The article's card: 24 GB, of which torch sees 23.65 GiB.
ARTICLE_CARD = of_size(23.65)


def serve(name: str, gpu: Gpu | str, release: Release, **flags: Any) -> tuple[ModelShape, Settings, Gpu]:
    """A model, the settings of `vllm serve` with these flags, and the card."""
    shape, where = model(name), card(gpu) if isinstance(gpu, str) else gpu
    return shape, resolve(shape, where, release, **flags), where


#: What a tower of Qwen's has besides.
QWEN: dict[str, Any] = {"patch": 14, "merge": 2, "temporal_patch": 2}
#: A patch of two frames of 14 × 14 pixels in three colors.
PATCH = 3 * 2 * 14 * 14


def tower(kind: str, extra: dict[str, Any] | None = None, **sizes: Any) -> VisionShape:
    plain: dict[str, Any] = {"depth": 1, "hidden": 32, "intermediate": 48, "heads": 4, "patch": 14, "out_hidden": 64}
    return VisionShape(kind, **{**plain, **sizes}, extra=extra or {})


def seeing(kind: str, extra: dict[str, Any] | None = None, **sizes: Any) -> ModelShape:
    return replace(shape_of(FULL), vision=tower(kind, extra, **sizes))
