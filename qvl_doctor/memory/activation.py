"""The activation peak of vLLM's profiling run: what is alive at each moment of it, tensor by tensor.

Peak = max over moments of the tensors alive then, plus what stays for the whole run. "PyTorch activation peak memory"
and "peak activation" of the logs are this number: the increase of torch's peak over the weights.
"""

from __future__ import annotations

from typing import NamedTuple

from qvl_doctor.knowledge.releases import Release, Since, at
from qvl_doctor.memory.constants import QUANTIZED_INPUT
from qvl_doctor.memory.encoder import Dummies, dummies, output_width
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.profile_tensors import (
    BATCH,
    DTYPE,
    ITEMS,
    LENGTH,
    PIXELS,
    TENSOR_PARALLEL,
    Moment,
    NamedTensor,
    tensor,
)
from qvl_doctor.memory.quants import DTYPE_BYTES
from qvl_doctor.memory.sampling import sampled_states, sampler_tensors
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import Experts, ModelShape, VisionShape
from qvl_doctor.memory.towers_live import live
from qvl_doctor.memory.units import KIB, MIB, cdiv
from qvl_doctor.memory.vision import Item

#: PyTorch's workspace for cuBLAS, allocated with the first product (aten/src/ATen/cuda/CublasHandlePool.cpp):
#: :4096:2:16:8, and 32 MiB on Hopper.
_CUBLAS, _CUBLAS_HOPPER = 2 * 4096 * KIB + 8 * 16 * KIB, 32 * MIB
#: Buffers of the fused experts: three, from 0.8 two of them share one, from 0.17 both belong to a workspace that stays
#: (fused_moe/modular_kernel.py).
_EXPERT_BUFFERS: Since[str] = (((0, 6, 0), "three"), ((0, 8, 0), "shared"), ((0, 17, 0), "kept"))
_EXPERT_CHUNK = 65536
#: Bytes of a pixel on the GPU, and how many copies are alive: float32 until the processor's output is cast, a second
#: copy where inputs are joined.
_PIXEL_BYTES: Since[int] = (((0, 6, 0), 4), ((0, 9, 2), 2))
_PIXEL_COPIES: Since[int] = (((0, 6, 0), 2), ((0, 10, 1), 1))
#: While it profiles, MLA makes room for the keys and values of the largest chunk of context
#: (v1/attention/backends/mla/common.py), from
#: 0.10 on.
_MLA_CHUNK_SINCE: Release = (0, 10, 0)
_MLA_CHUNK = 65536


class Activation(NamedTuple):
    """The peak on one rank, in bytes, the moment that makes it, and all moments (each with the tensors that stay)."""

    bytes: int
    moment: Moment
    moments: tuple[Moment, ...]
    dummies: Dummies


def activation(shape: ModelShape, settings: Settings, gpu: Gpu, stage: int = 0) -> Activation:
    """The activation peak of the profiling run on one rank of a pipeline stage.

    `gpu` gives multiprocessors, cache and generation.
    """
    made = dummies(shape, settings)
    kept = _kept(shape, settings, gpu, stage)
    moments = list(_encoder_moments(shape, settings, made)) if stage == 0 else []
    moments += _decoder_moments(shape, settings, gpu, made, stage)
    whole = tuple(moment._replace(tensors=(*moment.tensors, *kept)) for moment in moments)
    peak = max(whole, key=lambda moment: moment.bytes)
    return Activation(peak.bytes, peak, whole, made)


def profile_tensors(shape: ModelShape, settings: Settings, gpu: Gpu) -> list[NamedTensor]:
    """Every tensor that the profiling run of this configuration allocates, by name, once each; the largest first.

    For naming the request of an OOM.
    """
    found: dict[tuple[str, int], NamedTensor] = {}
    for stage in range(settings.pp):
        for moment in activation(shape, settings, gpu, stage).moments:
            for each in moment.tensors:
                found.setdefault((each.name, each.bytes), each)
    for each in _passing(shape, settings):
        found.setdefault((each.name, each.bytes), each)
    return sorted(found.values(), key=lambda each: -each.bytes)


def _size(settings: Settings) -> int:
    return DTYPE_BYTES.get(settings.dtype, 2)


def _token_flags(settings: Settings) -> tuple[str, ...]:
    """Which flag sets the tokens of the profiling run: without chunked prefill it is the length."""
    return (LENGTH, BATCH) if settings.engine == "V0" and not settings.chunked_prefill else (BATCH,)


def _kept(shape: ModelShape, settings: Settings, gpu: Gpu, stage: int) -> tuple[NamedTensor, ...]:
    """What stays from its first use to the end of the run."""
    found = []
    if not settings.quantization.startswith("gguf"):
        found.append(tensor("cuBLAS workspace", (_CUBLAS_HOPPER if gpu.hopper else _CUBLAS, "bytes")))
    if shape.experts and at(_EXPERT_BUFFERS, settings.release) == "kept":
        found += _expert_buffers(shape, settings, shape.experts, settings.max_num_batched_tokens)
    if stage:
        tokens = (settings.max_num_batched_tokens, "tokens")
        found.append(
            tensor(
                "intermediate tensors of the stage before",
                (2, "states"),
                tokens,
                (shape.hidden, "hidden"),
                (_size(settings), "bytes"),
            )
        )
    return tuple(found)


def _decoder_moments(shape: ModelShape, settings: Settings, gpu: Gpu, made: Dummies, stage: int) -> list[Moment]:
    inputs = _live_inputs(shape, settings, made) if stage == 0 else ()
    moments = [Moment("MLP of the decoder", (*_mlp(shape, settings, gpu, made.tokens), *inputs))]
    if shape.latent and settings.release >= _MLA_CHUNK_SINCE and settings.engine == "V1":
        moments.append(Moment("attention of the decoder", (*_latent_context(shape, settings, made.tokens), *inputs)))
    if stage == settings.pp - 1:
        rows = max(1, min(made.sequences, made.tokens))
        parts = (*sampler_tensors(shape, settings, gpu, rows), *sampled_states(shape, settings, made.tokens, rows))
        moments.append(Moment("sampler", (*parts, *(() if settings.engine == "V0" else inputs))))
    return moments


def _mlp(shape: ModelShape, settings: Settings, gpu: Gpu, tokens: int) -> tuple[NamedTensor, ...]:
    """The feed-forward part of one layer with what its callers hold.

    The layer's input, the residual and the attention's output.
    """
    size, flags = _size(settings), _token_flags(settings)
    count = (tokens, "tokens")
    states = tensor(
        "hidden states of a layer", (3, "states"), count, (shape.hidden, "hidden"), (size, "bytes"), scaled_by=flags
    )
    found = [states]
    if shape.experts and all(shape.has_experts(layer) for layer in range(shape.experts.dense_layers, shape.depth)):
        if at(_EXPERT_BUFFERS, settings.release) != "kept":
            found += _expert_buffers(shape, settings, shape.experts, tokens)
        if not shape.experts.dense_layers:
            return (*found, *_benchmark(settings, gpu))
    width = cdiv(shape.intermediate, settings.tp)
    wide = (*flags, TENSOR_PARALLEL)
    names = (
        ("gate_up of the decoder's MLP", "activated gate_up")
        if shape.gated
        else ("fc1 of the decoder's MLP", "activated fc1")
    )
    found.append(tensor(names[0], count, ((2 if shape.gated else 1) * width, "width"), (size, "bytes"), scaled_by=wide))
    found.append(tensor(names[1], count, (width, "width"), (size, "bytes"), scaled_by=wide))
    if _eager(settings) and shape.keeps_gate_up:
        found.append(
            tensor("output of the decoder's MLP", count, (shape.hidden, "hidden"), (size, "bytes"), scaled_by=flags)
        )
    if settings.quantization in {"w8a8", "fp8", "fp8-dynamic", "fp8-block", "int8"}:
        both = (width + shape.hidden, "width")
        found.append(tensor("inputs in 8 bits", count, both, (QUANTIZED_INPUT.value, "byte"), scaled_by=wide))
    return (*found, *_benchmark(settings, gpu))


def _eager(settings: Settings) -> bool:
    """Whether the decoder runs as written: V0 does, and V1 with --enforce-eager."""
    return settings.engine == "V0" or settings.eager


def _benchmark(settings: Settings, gpu: Gpu) -> tuple[NamedTensor, ...]:
    """Inductor times its kernels in the first run and flushes the L2 cache with a buffer of its size.

    torch/_inductor/runtime/benchmarking.py.
    """
    if _eager(settings) or not gpu.l2_bytes:
        return ()
    return (tensor("buffer that flushes the L2 cache", (gpu.l2_bytes, "bytes")),)


def _expert_buffers(shape: ModelShape, settings: Settings, experts: Experts, tokens: int) -> list[NamedTensor]:
    """Scratch of the fused experts kernel: tokens × experts of a token × width.

    MXFP4 experts run in kernels without it.
    """
    if settings.quantization == "mxfp4":
        return []
    width, size = cdiv(experts.intermediate, settings.tp), _size(settings)
    routed = (min(tokens, _EXPERT_CHUNK), "tokens"), (experts.top_k, "experts of a token")
    kind = at(_EXPERT_BUFFERS, settings.release)
    widths = {
        "three": (2 * width, width, shape.hidden),
        "shared": (max(2 * width, shape.hidden), width),
        "kept": (max(width, shape.hidden), max(2 * width, shape.hidden)),
    }[kind]
    flags = (*_token_flags(settings), TENSOR_PARALLEL)
    return [
        tensor(f"buffer {index} of the experts", *routed, (each, "width"), (size, "bytes"), scaled_by=flags)
        for index, each in enumerate(widths, 1)
    ]


def _latent_context(shape: ModelShape, settings: Settings, tokens: int) -> tuple[NamedTensor, ...]:
    latent = shape.latent
    if latent is None:
        return ()
    chunk = min(_MLA_CHUNK, max(8 * settings.max_model_len, 4 * settings.max_num_seqs * settings.block_size))
    heads = (cdiv(shape.heads, settings.tp), "heads")
    size = (_size(settings), "bytes")
    return (
        tensor(
            "keys and values of a chunk of context",
            (chunk, "tokens"),
            heads,
            (latent.nope_dim + latent.value_dim, "elements"),
            size,
            scaled_by=(LENGTH, TENSOR_PARALLEL),
        ),
        tensor(
            "hidden states of a layer",
            (3, "states"),
            (tokens, "tokens"),
            (shape.hidden, "hidden"),
            size,
            scaled_by=_token_flags(settings),
        ),
    )


def _live_inputs(shape: ModelShape, settings: Settings, made: Dummies) -> tuple[NamedTensor, ...]:
    """Pixels and encoder outputs that stay while the decoder runs.

    V0 keeps only the pixels; its sampler runs without them.
    """
    vision, total = shape.vision, made.total
    if vision is None or not total.tokens:
        return ()
    pixels = _pixels(settings, total)
    if settings.engine == "V0":
        return (pixels,)
    rows = made.budget * made.items if made.padded else total.tokens
    return (pixels, _outputs(vision, settings, rows))


def _pixels(settings: Settings, item: Item) -> NamedTensor:
    copies = 2 if settings.engine == "V0" else at(_PIXEL_COPIES, settings.release)
    each = at(_PIXEL_BYTES, settings.release) if settings.dtype != "float32" else 4
    return tensor(
        "pixel values", (copies, "copies"), (item.pixels, "numbers"), (each, "bytes"), scaled_by=(PIXELS, ITEMS)
    )


def _outputs(vision: VisionShape, settings: Settings, tokens: int) -> NamedTensor:
    width = (output_width(vision), "hidden")
    return tensor(
        "outputs of the encoder", (tokens, "image tokens"), width, (_size(settings), "bytes"), scaled_by=(PIXELS, ITEMS)
    )


def _encoder_moments(shape: ModelShape, settings: Settings, made: Dummies) -> list[Moment]:
    """The tower at work, once for each modality that runs."""
    vision = shape.vision
    if vision is None:
        return []
    moments = []
    for modality, item in made.ran.items():
        inputs = (_pixels(settings, made.total if settings.engine == "V0" else item), *_cast(settings, item))
        if settings.engine == "V0":
            embedded = ((made.tokens, "tokens"), (shape.hidden, "hidden"), (_size(settings), "bytes"))
            inputs = (*inputs, tensor("embedded prompt", *embedded, scaled_by=_token_flags(settings)))
        moments += [
            Moment(f"{block.name} of the tower, {modality}", (*block.tensors, *inputs))
            for block in _blocks(vision, settings, item)
        ]
    return moments


def _cast(settings: Settings, item: Item) -> tuple[NamedTensor, ...]:
    """Until 0.9.0 the float32 pixels are cast when the tower runs."""
    if at(_PIXEL_BYTES, settings.release) == 2 or settings.dtype == "float32":
        return ()
    return (tensor("pixel values in 16 bits", (item.pixels, "numbers"), (2, "bytes"), scaled_by=(PIXELS, ITEMS)),)


def _blocks(vision: VisionShape, settings: Settings, item: Item) -> list[Moment]:
    ranks, size = (settings.tp if settings.split_encoder else 1), _size(settings)
    patches = (item.patches, "patches")
    flags = (PIXELS, ITEMS)
    found = []
    for moment in live(vision.kind, settings):
        parts = [
            tensor(
                "hidden states of the tower",
                (moment.whole, "copies"),
                patches,
                (vision.hidden, "hidden"),
                (size, "bytes"),
                scaled_by=flags,
            )
        ]
        if moment.divided:
            inner = (cdiv(vision.hidden, ranks), "hidden")
            parts.append(
                tensor(
                    "queries, keys and values of the tower",
                    (moment.divided, "copies"),
                    patches,
                    inner,
                    (size, "bytes"),
                    scaled_by=flags,
                )
            )
        if moment.widths:
            width = (cdiv(vision.intermediate, ranks), "width")
            parts.append(
                tensor("MLP of the tower", (moment.widths, "copies"), patches, width, (size, "bytes"), scaled_by=flags)
            )
        if vision.extra.get("deepstack"):
            rows = (
                (int(vision.extra["deepstack"]), "levels"),
                (item.tokens, "image tokens"),
                (vision.out_hidden, "hidden"),
            )
            parts.append(tensor("deepstack features", *rows, (size, "bytes"), scaled_by=flags))
        found.append(Moment(moment.name, tuple(parts)))
    return found


def _passing(shape: ModelShape, settings: Settings) -> list[NamedTensor]:
    """Single tensors that are allocated but never part of a peak as such: an OOM can name them anyway."""
    made = dummies(shape, settings)
    size, flags = (_size(settings), "bytes"), _token_flags(settings)
    tokens = (made.tokens, "tokens")
    heads = cdiv(shape.heads, settings.tp) + 2 * max(1, shape.kv_heads // settings.tp)
    found = [
        tensor("hidden states of one kind", tokens, (shape.hidden, "hidden"), size, scaled_by=flags),
        tensor(
            "qkv of the decoder",
            tokens,
            (heads * shape.head_dim, "heads × head size"),
            size,
            scaled_by=(*flags, TENSOR_PARALLEL),
        ),
    ]
    if shape.vision:
        found += _passing_tower(shape.vision, settings, made)
    return found


def _passing_tower(vision: VisionShape, settings: Settings, made: Dummies) -> list[NamedTensor]:
    ranks, size, flags = (
        (settings.tp if settings.split_encoder else 1),
        (_size(settings), "bytes"),
        (PIXELS, ITEMS, DTYPE),
    )
    found = []
    for modality, item in made.ran.items():
        patches = (item.patches, "patches")
        up = (2 if vision.gated else 1) * cdiv(vision.intermediate, ranks)
        found += [
            tensor(
                f"qkv of the tower, {modality}",
                patches,
                (3 * cdiv(vision.hidden, ranks), "3 × hidden"),
                size,
                scaled_by=flags,
            ),
            tensor(f"up-projection of the tower, {modality}", patches, (up, "width"), size, scaled_by=flags),
            tensor(
                f"hidden states of the tower, {modality}", patches, (vision.hidden, "hidden"), size, scaled_by=flags
            ),
            tensor(
                f"pixel values of one kind, {modality}",
                (item.pixels, "numbers"),
                (at(_PIXEL_BYTES, settings.release), "bytes"),
                scaled_by=flags,
            ),
        ]
    return found
