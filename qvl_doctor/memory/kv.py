"""The KV cache: bytes of a block, how layers are grouped, how many tokens a pool holds and what one request needs.

V0: vllm/worker/cache_engine.py. V1: vllm/v1/kv_cache_interface.py and vllm/v1/core/kv_cache_utils.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory.quants import DTYPE_BYTES
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import FULL, LayerKind, ModelShape
from qvl_doctor.memory.units import cdiv

#: V1 groups layers of different kinds from here on (--disable-hybrid-kv-cache-manager turns it off); before, all layers
#: keep everything.
HYBRID_SINCE: Release = (0, 9, 2)
#: Where the kinds are almost equally many, the larger number is the size of a group: below 1.25 times from 0.12 on,
#: below 1.5 from 0.18 on.
_EVEN_SINCE: Release = (0, 12, 0)
_EVEN_MORE_SINCE: Release = (0, 18, 0)
#: From here on the printed size is concurrency × max_model_len; before, it is blocks per group × block size.
PRINTS_CAPACITY_SINCE: Release = (0, 24, 0)
#: From here on the check for one request also reserves the null block.
NULL_BLOCK_SINCE: Release = (0, 29, 0)
#: V0 aligned MLA's cache entries to 256 bytes in these releases.
_ALIGNED = ((0, 7, 2), (0, 7, 3))

#: Bytes of a KV element by --kv-cache-dtype; "auto" is the model's dtype.
_KV_BYTES = {"fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "fp8_inc": 1}
#: FlashMLA's own fp8 layout: 512 quantized elements, 4 scales, 64 rotary elements in 16 bits.
_MLA_FP8_BYTES = 656


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that share a block table: `count` slots (some may be padding) of one kind."""

    kind: LayerKind
    count: int


class Pool(NamedTuple):
    """What a KV pool holds.

    Blocks, the tokens that vLLM prints for it, and how many requests of max_model_len run at once.
    """

    blocks: int
    tokens: int
    concurrency: float


def element_bytes(settings: Settings) -> int:
    """Bytes of one element of the cache."""
    return _KV_BYTES.get(
        settings.kv_cache_dtype, DTYPE_BYTES.get(settings.kv_cache_dtype, DTYPE_BYTES.get(settings.dtype, 2))
    )


def layer_token_bytes(shape: ModelShape, settings: Settings) -> int:
    """Bytes that one token takes in one layer of one rank.

    Heads are repeated where there are more ranks than heads; MLA is whole on every rank.
    """
    size = element_bytes(settings)
    if shape.latent is None:
        return 2 * max(1, shape.kv_heads // settings.tp) * shape.head_dim * size
    if settings.kv_cache_dtype == "fp8_ds_mla":
        return _MLA_FP8_BYTES
    elements = shape.latent.kv_rank + shape.latent.rope_dim
    if settings.engine == "V0" and settings.release in _ALIGNED:
        elements = cdiv(elements * size, 256) * 256 // size
    return elements * size


def _is_hybrid(settings: Settings) -> bool:
    """Whether vLLM keeps less for layers with a window than for full ones."""
    return settings.engine == "V1" and settings.hybrid and settings.release >= HYBRID_SINCE


def groups(shape: ModelShape, settings: Settings) -> tuple[Group, ...]:
    """The groups of all layers (of all pipeline stages), all of one size.

    See _get_kv_cache_groups_uniform_page_size.
    """
    kinds = set(shape.layers)
    if not _is_hybrid(settings):
        only = next(iter(kinds)) if len(kinds) == 1 and settings.engine == "V1" else FULL
        return (Group(only, shape.depth),)
    counts = {kind: shape.layers.count(kind) for kind in sorted(kinds, key=lambda kind: (kind.kind, kind.window))}
    size = _group_size(min(counts.values()), max(counts.values()), settings.release)
    return tuple(Group(kind, size) for kind, count in counts.items() for _ in range(cdiv(count, size)))


def _group_size(fewest: int, most: int, release: Release) -> int:
    if release >= _EVEN_MORE_SINCE:
        return most if most < 1.5 * fewest else fewest
    if release >= _EVEN_SINCE:
        return most if most < 1.25 * fewest else fewest
    return fewest


def block_bytes(shape: ModelShape, settings: Settings) -> int:
    """Bytes of one block on one rank: block_size tokens in every layer of a group (of one pipeline stage)."""
    layers = cdiv(groups(shape, settings)[0].count, settings.pp)
    return settings.block_size * layer_token_bytes(shape, settings) * layers


def request_blocks(shape: ModelShape, settings: Settings, tokens: int) -> int:
    """Blocks that a request of so many tokens holds at most.

    A window keeps what it sees, the batch that is being filled in, and a block more.
    """
    return sum(_group_blocks(group.kind, settings, tokens) for group in groups(shape, settings))


def _group_blocks(kind: LayerKind, settings: Settings, tokens: int) -> int:
    if kind.kind == "sliding":
        kept = min(kind.window - 1 + settings.max_num_batched_tokens, tokens)
        return cdiv(kept, settings.block_size) + 1
    if kind.kind == "chunked":
        return cdiv(min(kind.window + settings.max_num_batched_tokens, tokens), settings.block_size)
    return cdiv(tokens, settings.block_size)


def request_bytes(shape: ModelShape, settings: Settings, tokens: int) -> int:
    """Bytes on one rank that a pool must have so that a request of so many tokens starts at all."""
    spare = 1 if settings.release >= NULL_BLOCK_SINCE else 0
    return (request_blocks(shape, settings, tokens) + spare) * block_bytes(shape, settings)


def pool(shape: ModelShape, settings: Settings, available: float) -> Pool:
    """What a pool of `available` bytes on one rank holds. A pool below zero holds nothing."""
    blocks = settings.kv_blocks or max(0, int(available // block_bytes(shape, settings)))
    needed = max(1, request_blocks(shape, settings, settings.max_model_len))
    concurrency = blocks / needed
    if settings.release >= PRINTS_CAPACITY_SINCE:
        return Pool(blocks, int(concurrency * settings.max_model_len), concurrency)
    tokens = blocks // len(groups(shape, settings)) * settings.block_size
    return Pool(blocks, tokens, concurrency if settings.engine == "V1" else tokens / settings.max_model_len)


def longest_request(shape: ModelShape, settings: Settings, available: float) -> int:
    """The longest request, in tokens, that a pool of `available` bytes holds; 0 if none.

    For a pool with windows by bisection.
    """
    low, high = 0, shape.positions * 4
    while low < high:
        middle = (low + high + 1) // 2
        if request_bytes(shape, settings, middle) <= available:
            low = middle
        else:
            high = middle - 1
    return low
