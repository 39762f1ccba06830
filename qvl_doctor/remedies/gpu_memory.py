"""GPU memory: what fits, read off the numbers that a log shows. A memory model that predicts them is another matter.

When CUDA graphs are captured decides how far utilization may go: up to 0.19 they come on top of it, from 0.20 on they
are inside.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from qvl_doctor.knowledge import defaults
from qvl_doctor.knowledge.releases import at, parse, plain
from qvl_doctor.late import late_pattern
from qvl_doctor.model import Facts, fact_count, fact_number, fact_text
from qvl_doctor.remedies.tokens import family
from qvl_doctor.values import as_count, as_number
from qvl_doctor.versions import satisfies

Values = Mapping[str, str]

_SHORTEST = 256
#: The first length to try where the profiling run is too large: the value that ended the article's failure, and small
#: on any GPU.
_FIRST_LENGTH = 4096
_HIGHEST = 0.95
#: CUDA graphs where the log shows none yet: the median of many runs, rounded up. And what requests may take beyond the
#: profiling run.
_GRAPHS_GIB, _SPARE_GIB = 1.0, 0.5
_SIZE = late_pattern(r"(\d{1,12}(?:\.\d{1,6})?) ?(bytes|[KMGT]?i?B)", re.IGNORECASE)
_GIB = {"b": 1 / 2**30, "k": 1 / 2**20, "m": 1 / 2**10, "g": 1.0, "t": 2**10}

#: Width of the feed-forward layers and the default length of Qwen's vision-language models (their config.json).
_WIDTHS: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "qwen2-vl": (32768, (8960, 18944, 29568)),
    "qwen2.5-vl": (128000, (11008, 18944, 27648, 29568)),
}


def out_of_memory(values: Values, facts: Facts) -> Values:
    """What all texts about running out of memory need. Always answers.

    others, others_gib: whether (and how much) other processes hold · utilization_known, lower_utilization: a value that
    leaves room for the request · sequences_known, max_num_seqs: a quarter of what is allowed now · profile_tokens,
    profile_width: the request is one feed-forward product of a model of Qwen in a profiling run at full length ·
    multimodal: yes for a known vision-language family.
    """
    answer = {"others": "no", "utilization_known": "no", "sequences_known": "no"}
    others = others_gib(values, facts)
    if others:
        answer |= {"others": "yes", "others_gib": f"{others:.0f}"}
    lower = _lower(values, facts)
    if lower:
        answer |= {"utilization_known": "yes", "lower_utilization": lower}
    sequences = as_count(values.get("sequences")) or fact_count(facts, "max_num_seqs")
    if sequences and sequences > 1:
        answer |= {"sequences_known": "yes", "max_num_seqs": str(max(1, sequences // 4))}
    product = next(_profile_products(values, facts), None)
    if product:
        answer |= {"profile_tokens": str(product[0]), "profile_width": str(product[1])}
    if family(facts):
        answer["multimodal"] = "yes"
    return answer


def short_context(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """A length to start with, where the length decides how large the profiling run is: max_model_len.

    None if it is as short already.

    With chunked prefill the batch decides, not the length: V0 switches it on by itself for text above 32K, and a short
    length would switch it off again and profile more.
    """
    if fact_text(facts, "chunked_prefill") == "yes":
        return None
    length = fact_count(facts, "max_model_len")
    return None if length and length <= defaults.MULTIMODAL_BATCH_USUAL else {"max_model_len": str(_FIRST_LENGTH)}


def smaller_batch(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """Half of the batch that is known (V1 profiles it), never below 2048: batched_tokens.

    Without chunked prefill a batch must hold a whole prompt: None if the half would not (vLLM refuses such a start).
    """
    batch = fact_count(facts, "max_num_batched_tokens")
    if not batch or batch <= 2048:
        return None
    half = max(2048, batch // 2)
    length = fact_count(facts, "max_model_len")
    if fact_text(facts, "chunked_prefill") == "no" and (not length or half < length):
        return None
    return {"batched_tokens": str(half)}


def more_gpus(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """Twice the GPUs that share a layer now, up to eight: gpus."""
    ranks = fact_count(facts, "tensor_parallel_size") or 1
    return {"gpus": str(ranks * 2)} if ranks <= 4 else None


def length_that_fits(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """The length that the KV cache holds, in whole blocks: max_model_len.

    From `estimate` or `tokens` as vLLM prints them, otherwise from `asked` × `available` / `needed`. The last is exact
    where every layer keeps every token; elsewhere it is too long by little, so 5 % are taken off.
    """
    fits = as_count(values.get("estimate")) or as_count(values.get("tokens"))
    if not fits:
        asked, needed, available = (
            as_count(values.get("asked")),
            as_number(values.get("needed")),
            as_number(values.get("available")),
        )
        if not (asked and needed and available and 0 < available < needed):
            return None
        fits = int(asked * (available / needed) * 0.95)
    length = fits // defaults.BLOCK_SIZE * defaults.BLOCK_SIZE
    asked = as_count(values.get("asked"))
    return {"max_model_len": str(length)} if length >= _SHORTEST and not (asked and length > asked) else None


def more_utilization(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """As much of the GPU as vLLM may safely take: utilization, and gain_gib where the GPU's size is known.

    None if it takes as much already, or if the log shows that even this leaves nothing for the KV cache.
    """
    total = _size(facts, "total_gib") or _size(facts, "gpu_total_gib")
    now = _utilization(facts)
    highest = _HIGHEST
    if total and not _graphs_inside(facts):
        graphs = 0.0 if fact_text(facts, "enforce_eager") == "yes" else _size(facts, "graphs_gib") or _GRAPHS_GIB
        highest = min(_HIGHEST, 1 - (graphs + _SPARE_GIB) / total)
    highest = _down(highest)
    if now is not None and highest < now + 0.01:
        return None
    kv = fact_number(facts, "kv_gib")
    if now is not None and total and kv is not None and kv + (highest - now) * total <= 0:
        return None
    answer = {"utilization": f"{highest:.2f}"}
    if now is not None and total:
        answer["gain_gib"] = f"{(highest - now) * total:.1f}"
    return answer


def utilization_that_fits(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """The share of the GPU that is free, less one hundredth: utilization. From `free` and `total`, both in GiB."""
    free, total = as_number(values.get("free")), as_number(values.get("total"))
    if not (free and total) or free > total:
        return None
    share = _down(free / total - 0.01)
    return {"utilization": f"{share:.2f}"} if share >= 0.1 else None


def as_fraction(values: Values, facts: Facts) -> Values:  # noqa: ARG001
    """A utilization that was given as a percentage, as a fraction; vLLM's usual 0.90 for anything else: utilization."""
    given = as_number(values.get("given")) or 0.0
    return {"utilization": f"{min(given / 100, _HIGHEST):.2f}" if 10 <= given <= 100 else "0.90"}


def in_gib(text: str) -> float | None:
    """'9.03 GiB', '512.00 MiB', '0 bytes' in GiB; None if it is not a size."""
    found = _SIZE.fullmatch(text.strip()[:40])
    return float(found[1]) * _GIB[found[2][0].lower()] if found else None


def others_gib(values: Values, facts: Facts) -> float | None:
    """What is neither free nor this process's.

    Its own CUDA context and NCCL buffers may be 2 GiB, so small remainders say nothing.
    """
    total, free = _asked(values, facts, "total", "gpu_total_gib"), _asked(values, facts, "free", "gpu_free_gib")
    held = _size(facts, "oom_torch_allocated_gib")
    if total is None or free is None or held is None:
        return None
    rest = total - free - held - (_size(facts, "oom_torch_reserved_gib") or 0.0)
    return rest - 1 if rest >= max(4.0, total / 10) else None


def _lower(values: Values, facts: Facts) -> str | None:
    """The utilization that would have left room for the request, with half a GiB to spare.

    None if today's is not known.
    """
    now = _utilization(facts)
    total = _asked(values, facts, "total", "gpu_total_gib")
    tried, free = _asked(values, facts, "tried", "oom_tried_gib"), _asked(values, facts, "free", "gpu_free_gib")
    if now is None:
        return None
    short = (max(0.0, (tried or 0.0) - (free or 0.0)) + _SPARE_GIB) / total if total else 0.05
    lower = _down(now - max(short, 0.02))
    return f"{lower:.2f}" if lower >= 0.3 else None


def _profile_products(values: Values, facts: Facts) -> Iterator[tuple[int, int]]:
    """(tokens, width) for which tokens × 2 × width × 2 bytes is the request, as far as its two decimals tell."""
    tried = _asked(values, facts, "tried", "oom_tried_gib")
    if tried is None or tried < 1 or {"model", "vllm"} <= facts.keys():
        return  # with model and release the memory model says more
    known, length = family(facts), fact_count(facts, "max_model_len")
    ranks = fact_count(facts, "tensor_parallel_size") or 1
    for name, (longest, widths) in _WIDTHS.items():
        if known and known != name:
            continue
        tokens = max(length, defaults.MULTIMODAL_BATCH_USUAL) if length else longest
        for width in widths:
            if abs(tokens * 2 * width * 2 / ranks / 2**30 - tried) < 0.0051:
                yield tokens, width // ranks


def _utilization(facts: Facts) -> float | None:
    """As the log shows it; where it shows the arguments, and this is none of them, the release's own."""
    shown = _size(facts, "gpu_memory_utilization")
    if shown:
        return shown
    if "args" not in facts:
        return None
    return at(defaults.UTILIZATION, parse(fact_text(facts, "vllm")) or defaults.UTILIZATION[0][0])


def _graphs_inside(facts: Facts) -> bool:
    """Whether the CUDA graphs are estimated and part of the budget."""
    return satisfies(fact_text(facts, "vllm"), f">={plain(defaults.GRAPHS_INSIDE_SINCE)}") is True


def _asked(values: Values, facts: Facts, group: str, fact: str) -> float | None:
    size = in_gib(values.get(group, ""))
    return size if size is not None else fact_number(facts, fact)


def _size(facts: Facts, name: str) -> float | None:
    """A fact that is a positive number."""
    value = fact_number(facts, name)
    return value if value is not None and value > 0 else None


def _down(share: float) -> float:
    """Two decimals, never up."""
    return math.floor(share * 100 + 1e-6) / 100
