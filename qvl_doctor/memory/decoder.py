"""The weights of a decoder on one rank, in the order in which vLLM creates them.

Read from vllm/model_executor/models/{llama,qwen2,qwen3,qwen3_moe,gemma3,deepseek_v2,gpt_oss,phi,…}.py and
layers/{linear,vocab_parallel_embedding}.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from qvl_doctor.memory.parameters import Piece, Shards, norm
from qvl_doctor.memory.shape import Experts, Latent, ModelShape
from qvl_doctor.memory.units import cdiv, up

#: vLLM pads the vocabulary to a multiple of this (vocab_parallel_embedding.py, DEFAULT_VOCAB_PADDING_SIZE).
VOCAB_PADDING = 64


def vocab_rows(shape: ModelShape, ranks: int) -> int:
    """Rows of the embedding on one rank: the vocabulary, padded to 64 and to a multiple of the ranks."""
    return up(up(shape.vocab, VOCAB_PADDING), ranks) // ranks


def stage_layers(depth: int, stages: int) -> tuple[int, ...]:
    """Layers of each pipeline stage (distributed/utils.py, get_pp_indices).

    What is left over goes to the last stages but one.
    """
    each, rest = divmod(depth, stages)
    layers = [each] * stages
    for index in range(2, rest + 2):
        layers[-index] += 1
    return tuple(layers)


def decoder_pieces(
    shape: ModelShape, ranks: int, stages: int = 1, stage: int = 0, quantized: bool = False
) -> Iterator[Piece]:
    """The decoder's parameters on one tensor-parallel rank of one pipeline stage.

    `quantized` where a method is set that the checkpoint is stored in.
    """
    sizes = stage_layers(shape.depth, stages)
    first = sum(sizes[:stage])
    rows = vocab_rows(shape, ranks)
    last = stage == stages - 1
    if stage == 0 or (shape.tied and last):
        yield Piece("embed_tokens", rows, shape.hidden)
    for index in range(first, first + sizes[stage]):
        yield from layer_pieces(shape, ranks, index, quantized)
    if last:
        yield from norm("norm", shape.hidden, shape.norm_bias)
        if not shape.tied:
            yield Piece("lm_head", rows, shape.hidden)
        if shape.head_bias:
            yield Piece("lm_head.bias", rows)


def layer_pieces(shape: ModelShape, ranks: int, index: int, quantized: bool = False) -> Iterator[Piece]:
    """The parameters of one decoder layer on one rank."""
    name = f"layers.{index}"
    shards = Shards(ranks)
    yield from (
        _latent(shape, shape.latent, shards, name, quantized)
        if shape.latent
        else _attention(shape, shards, name, ranks)
    )
    if shape.experts and shape.has_experts(index):
        yield from _experts(shape, shape.experts, shards, name)
    else:
        up_rows = (2 if shape.gated else 1) * shape.intermediate
        yield from shards.column(f"{name}.mlp.gate_up", up_rows, shape.hidden, shape.mlp_bias)
        yield from shards.row(f"{name}.mlp.down", shape.hidden, shape.intermediate, shape.mlp_bias)
    for number in range(shape.norm_sizes):
        yield from norm(f"{name}.norm{number}", shape.hidden, shape.norm_bias)


def _attention(shape: ModelShape, shards: Shards, name: str, ranks: int) -> Iterator[Piece]:
    heads = cdiv(shape.heads, ranks)
    kv_heads = max(1, shape.kv_heads // ranks)  # heads are repeated where there are more ranks than heads
    rows = (heads + 2 * kv_heads) * shape.head_dim
    yield Piece(f"{name}.attn.qkv.weight", rows, shape.hidden, linear=True)
    if shape.qkv_bias:
        yield Piece(f"{name}.attn.qkv.bias", rows)
    yield from shards.row(f"{name}.attn.o", shape.hidden, shape.heads * shape.head_dim, shape.out_bias)
    if shape.qk_norm:
        yield from norm(f"{name}.attn.q_norm", shape.head_dim)
        yield from norm(f"{name}.attn.k_norm", shape.head_dim)
    if shape.sinks:
        yield Piece(f"{name}.attn.sinks", heads)


def _latent(shape: ModelShape, latent: Latent, shards: Shards, name: str, quantized: bool) -> Iterator[Piece]:
    """MLA: the compressing projections are whole on every rank, the others are divided by heads."""
    query = shape.heads * (latent.nope_dim + latent.rope_dim)
    compressed = latent.kv_rank + latent.rope_dim
    if latent.query_rank:
        yield Piece(f"{name}.attn.fused_qkv_a", latent.query_rank + compressed, shape.hidden, linear=True)
        yield from norm(f"{name}.attn.q_a_norm", latent.query_rank)
        yield from shards.column(f"{name}.attn.q_b", query, latent.query_rank)
    else:
        yield from shards.column(f"{name}.attn.q", query, shape.hidden)
        yield Piece(f"{name}.attn.kv_a", compressed, shape.hidden, linear=True)
    yield from norm(f"{name}.attn.kv_a_norm", latent.kv_rank)
    yield from shards.column(f"{name}.attn.kv_b", shape.heads * (latent.nope_dim + latent.value_dim), latent.kv_rank)
    yield from shards.row(f"{name}.attn.o", shape.hidden, shape.heads * latent.value_dim)
    if quantized:
        # The halves of kv_b that are absorbed into queries and outputs are kept in 16 bits
        # (process_weights_after_loading); unquantized they are views.
        yield from shards.column(
            f"{name}.attn.absorbed", shape.heads * (latent.nope_dim + latent.value_dim), latent.kv_rank, linear=False
        )


def _experts(shape: ModelShape, experts: Experts, shards: Shards, name: str) -> Iterator[Piece]:
    hidden, width = shape.hidden, cdiv(experts.intermediate, shards.ranks)
    yield Piece(f"{name}.router", experts.count, hidden)
    if experts.bias:
        yield Piece(f"{name}.router.bias", experts.count)
    yield Piece(f"{name}.experts.gate_up", 2 * width, hidden, linear=True, experts=experts.count)
    yield Piece(f"{name}.experts.down", hidden, width, linear=True, experts=experts.count)
    if experts.bias:
        yield Piece(f"{name}.experts.gate_up.bias", 2 * width, experts=experts.count)
        yield Piece(f"{name}.experts.down.bias", hidden, experts=experts.count)
    if experts.shared_intermediate:
        yield from shards.column(f"{name}.shared.gate_up", 2 * experts.shared_intermediate, hidden)
        yield from shards.row(f"{name}.shared.down", hidden, experts.shared_intermediate)
    if experts.shared_gate:
        yield Piece(f"{name}.shared.gate", 1, hidden)
