"""What the dummy sampler run of a profile holds, by engine, model runner and release.

V0: model_executor/layers/sampler.py. V1: v1/sample/sampler.py and v1/sample/ops/topk_topp_sampler.py. V2 runner:
v1/worker/gpu/sample/sampler.py.
"""

from __future__ import annotations

from qvl_doctor.knowledge.releases import Release, Since, at
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.profile_tensors import BATCH, DTYPE, SEQUENCES, NamedTensor, tensor
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import ModelShape

#: Bytes an element of torch.sort on CUDA next to its input: values, indices, and in cub's segmented radix sort a
#: reversed index and both double buffers.
_SORT = (
    ("sorted logits", 4),
    ("indices of the sort", 8),
    ("reversed indices of the sort", 8),
    ("double buffers of the radix sort", 12),
)
_PARTS = {
    "sort": _SORT,
    # Softmax and the exponential noise that it is divided by (random_sample).
    "triton": (("probabilities", 4), ("exponential noise", 4)),
    # top_k_top_p_sampling_from_logits: logits cut to the top k, and their softmax.
    "flashinfer": (("masked logits", 4), ("probabilities", 4)),
}
#: Before, FlashInfer's interface was broken and vLLM did not use it.
_FLASHINFER_SINCE: Release = (0, 9, 0)
#: Fewer rows than this are sorted in all releases.
_FEW_ROWS = 8

#: How V1 cuts off logits: torch.sort, a Triton kernel with a buffer for each multiprocessor, or FlashInfer and then
#: that kernel.
_CUTS: Since[str] = (((0, 8, 0), "sort"), ((0, 17, 0), "triton"))

#: Architectures that run on the V2 model runner by default; from 0.25 on all without experts (and these with), from
#: 0.29 on all.
_V2_NAMED: Since[frozenset[str]] = (
    ((0, 6, 0), frozenset()),
    ((0, 22, 0), frozenset({"Qwen3ForCausalLM"})),
    (
        (0, 24, 0),
        frozenset(
            {
                "Qwen3ForCausalLM",
                "DeepseekV2ForCausalLM",
                "Qwen2MoeForCausalLM",
                "GraniteMoeForCausalLM",
                "LlamaForCausalLM",
                "MistralForCausalLM",
            }
        ),
    ),
)
_V2_DENSE_SINCE: Release = (0, 25, 0)
_V2_ALL_SINCE: Release = (0, 29, 0)
#: The V2 runner's sampler copies the logits to float32 in these releases even if nothing is to be changed; its dummies
#: ask for no top-k and top-p.
_V2_COPIES: Since[bool] = (((0, 6, 0), True), ((0, 26, 0), False), ((0, 27, 0), True), ((0, 28, 0), False))
#: Vocabulary entries that one program of the Gumbel kernel looks at; it keeps an index and a maximum for each.
_GUMBEL_BLOCK = 1024


def runner_v2(shape: ModelShape, settings: Settings) -> bool:
    """Whether a model runs on the V2 model runner by default (config/vllm.py, use_v2_model_runner)."""
    if settings.engine == "V0":
        return False
    if settings.release >= _V2_ALL_SINCE or shape.architecture in at(_V2_NAMED, settings.release):
        return True
    return settings.release >= _V2_DENSE_SINCE and shape.experts is None


def sampler_tensors(shape: ModelShape, settings: Settings, gpu: Gpu, rows: int) -> tuple[NamedTensor, ...]:
    """What is alive at the peak of sampling `rows` sequences: elements are rows × vocabulary."""
    size = 4 if settings.dtype == "float32" else 2
    vocab = (shape.vocab, "vocabulary")
    logits = tensor("logits", (rows, "sequences"), vocab, (size, "bytes"), scaled_by=(SEQUENCES, DTYPE))
    if runner_v2(shape, settings):
        return (logits, *_v2_tensors(shape, settings, rows))
    copies = [] if size == 4 else [("logits in float32", 4)]
    kind = _cut(settings, rows)
    parts = (*copies, *_PARTS[kind])
    found = [
        logits,
        *(tensor(name, (rows, "sequences"), vocab, (each, "bytes"), scaled_by=(SEQUENCES,)) for name, each in parts),
    ]
    if kind == "triton" and gpu.sms:
        programs = min(gpu.sms, _power_of_two(min(gpu.sms, rows)))
        found.append(tensor("buffer of the top-k kernel", (programs, "multiprocessors"), vocab, (4, "bytes")))
    return tuple(found)


def _cut(settings: Settings, rows: int) -> str:
    """How the logits are cut off.

    FlashInfer masks a copy; up to 0.11.0 V1 used it where it was installed, as in vLLM's images.
    """
    if settings.engine == "V1" and settings.flashinfer and settings.release >= _FLASHINFER_SINCE:
        return "flashinfer"
    return "sort" if settings.engine == "V0" or rows < _FEW_ROWS else at(_CUTS, settings.release)


def _v2_tensors(shape: ModelShape, settings: Settings, rows: int) -> tuple[NamedTensor, ...]:
    blocks = -(-shape.vocab // _GUMBEL_BLOCK)
    found = [
        tensor(
            "block maxima of the Gumbel kernel",
            (rows, "sequences"),
            (blocks, "blocks"),
            (12, "bytes"),
            scaled_by=(SEQUENCES,),
        )
    ]
    if at(_V2_COPIES, settings.release):
        vocab = (shape.vocab, "vocabulary")
        found.append(tensor("logits in float32", (rows, "sequences"), vocab, (4, "bytes"), scaled_by=(SEQUENCES,)))
    return tuple(found)


def sampled_states(shape: ModelShape, settings: Settings, tokens: int, rows: int) -> tuple[NamedTensor, ...]:
    """Hidden states that are alive while it samples.

    Of all tokens, and of the sampled rows (V1 makes a random copy of those).
    """
    size = 4 if settings.dtype == "float32" else 2
    copies = 1 if settings.engine == "V0" or runner_v2(shape, settings) else 2
    return (
        tensor("hidden states", (tokens, "tokens"), (shape.hidden, "hidden"), (size, "bytes"), scaled_by=(BATCH,)),
        tensor(
            "hidden states of sampled rows",
            (copies, "copies"),
            (rows, "sequences"),
            (shape.hidden, "hidden"),
            (size, "bytes"),
            scaled_by=(SEQUENCES,),
        ),
    )


def _power_of_two(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()
