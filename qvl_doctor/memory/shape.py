"""The shape of a model: what its config.json says about sizes, as a value.

`configs.read` makes one from a config.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from qvl_doctor.model import NOTHING

#: How a layer attends: to everything, to a sliding window, or inside chunks of a fixed length.
Attention = Literal["full", "sliding", "chunked"]


class ShapeError(ValueError):
    """A config.json that lacks a field or says something impossible in it.

    `field` names it as a path: "text_config.hidden_size".
    """

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.field = where
        self.problem = problem


class UnknownArchitecture(NamedTuple):
    """What is returned instead of a shape for an architecture whose layout is not known here.

    Nothing is guessed from it.
    """

    architecture: str


class LayerKind(NamedTuple):
    """The attention of one decoder layer.

    `window` is the length of the sliding window or of a chunk, 0 for full attention.
    """

    kind: Attention = "full"
    window: int = 0


FULL = LayerKind()


@dataclass(frozen=True, slots=True)
class Experts:
    """Mixture of experts: `intermediate` is the width of one expert.

    The first `dense_layers` layers have an ordinary MLP instead.

    `every` > 1: only every so-manieth layer has experts, the last of each group. `bias`: the experts carry biases.
    """

    count: int
    top_k: int
    intermediate: int
    shared_intermediate: int = 0
    dense_layers: int = 0
    every: int = 1
    bias: bool = False
    shared_gate: bool = False


class Latent(NamedTuple):
    """Multi-head latent attention (MLA) of DeepSeek V2 and V3: ranks and head parts, in elements.

    `query_rank` 0: queries are not compressed.
    """

    kv_rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    query_rank: int = 0


class RopeCache(NamedTuple):
    """One table of cosines and sines that vLLM keeps on the GPU: `rows` × `dim` elements of the model's dtype."""

    rows: int
    dim: int


class VisionShape(NamedTuple):
    """A vision tower. `kind` names its code in vLLM.

    Qwen2, qwen2_5, qwen3, siglip, clip, pixtral, intern, glm4v, minicpm, moonvit.

    `merge` × `merge` patches become one token of `out_hidden` elements. `image_size` is the side of what the tower sees
    at once (0: any size). `extra` holds what only one family has (deepstack layers, tokens per image, grid points …),
    under the names of its config.json.
    """

    kind: str
    depth: int
    hidden: int
    intermediate: int
    heads: int
    patch: int
    out_hidden: int
    merge: int = 1
    temporal_patch: int = 1
    image_size: int = 0
    gated: bool = False
    position_rows: int = 0
    extra: Mapping[str, Any] = NOTHING

    @property
    def patch_pixels(self) -> int:
        """Numbers that describe one patch: channels × frames × height × width."""
        return 3 * self.temporal_patch * self.patch * self.patch


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What the layers of a decoder are made of.

    `norm_sizes` are the norm weights of one layer, as multiples of the hidden size; `keeps_gate_up` says that the
    model's code holds on to the output of gate_up_proj while down_proj runs.
    """

    tied: bool = False
    gated: bool = True
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    head_bias: bool = False
    qk_norm: bool = False
    norm_sizes: int = 2
    norm_bias: bool = False
    sinks: bool = False
    keeps_gate_up: bool = False


@dataclass(frozen=True, slots=True)
class ModelShape(Traits):
    """A decoder with everything about it that costs memory. Sizes in elements, counts in pieces.

    `rope` are the tables of the rotary embedding, shared by all layers.
    """

    architecture: str
    model_type: str
    layers: tuple[LayerKind, ...]
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    positions: int
    dtype: str = "bfloat16"
    quantization: str = ""
    rope: tuple[RopeCache, ...] = ()
    experts: Experts | None = None
    latent: Latent | None = None
    vision: VisionShape | None = None

    @property
    def depth(self) -> int:
        return len(self.layers)

    def has_experts(self, layer: int) -> bool:
        """Whether a layer routes its tokens to experts."""
        experts = self.experts
        return bool(experts and layer >= experts.dense_layers and (layer + 1) % experts.every == 0)
