"""Sizes that fit: GPUs that share a layer, stages that share the layers, ranks of LoRA adapters."""

from __future__ import annotations

from collections.abc import Mapping

from qvl_doctor.knowledge.defaults import LORA_RANKS
from qvl_doctor.knowledge.releases import at, parse
from qvl_doctor.model import Facts, fact_count, fact_map, fact_text
from qvl_doctor.values import as_count

#: What the messages of FP8 call the parts of an expert.
_EXPERT_SHARDS = ("output_size of gate's and up's weight", "input_size of down's weight")


def tensor_parallel_for_heads(values: Mapping[str, str], _facts: Facts) -> dict[str, str] | None:
    """`tp`: the largest power of two below `parts` that divides `whole` (heads, or the width of a layer).

    Powers of two only: key/value heads, vision heads and vocabularies are not in the message, and they go with these.
    """
    whole, parts = as_count(values.get("whole")), as_count(values.get("parts"))
    return {"tp": str(_fitting(whole, parts))} if whole and parts and parts > 1 else None


def pipeline_stages_for_heads(values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`tp` and `pp` that use most of the `parts` × present stages, where `parts` cannot divide `whole`."""
    whole, parts = as_count(values.get("whole")), as_count(values.get("parts"))
    stages = fact_count(facts, "pipeline_parallel_size") or 1
    if not whole or not parts or parts < 2:
        return None
    tp = _fitting(whole, parts)
    more = parts * stages // tp
    return {"tp": str(tp), "pp": str(more)} if more > stages else None


def tensor_parallel_for_gpus(values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`tp`: the largest power of two for which tp × pipeline stages ≤ `gpus`."""
    gpus = as_count(values.get("gpus"))
    stages = fact_count(facts, "pipeline_parallel_size") or 1
    return {"tp": str(_power_of_two(gpus // stages))} if gpus and gpus >= stages else None


def tensor_parallel_for_groups(values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`tp`: the largest size below the present one whose shards are whole groups.

    `part` is a shard's width, `group` a group's.

    `shard` says what the part is of, in the words of the message. Only where it is surely the whole over the present
    size is there an answer: the outputs of the key/value projection are not, as their heads are replicated where there
    are fewer of them than GPUs.
    """
    part, group = as_count(values.get("part")), as_count(values.get("group"))
    present = fact_count(facts, "tensor_parallel_size")
    if (
        not part
        or not group
        or not present
        or present < 2
        or not _is_equal_part(values.get("shard", "").lower(), facts)
    ):
        return None
    whole = part * present
    fitting = [size for size in _surely_possible(present) if whole % size == 0 and whole // size % group == 0]
    return {"tp": str(fitting[-1])} if fitting else None


def pipeline_instead_of_tensor(_values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`gpus`: the GPUs that shared each layer and can as well hold some of the layers each."""
    present = fact_count(facts, "tensor_parallel_size")
    stages = fact_count(facts, "pipeline_parallel_size") or 1
    return {"gpus": str(present * stages)} if present and present > 1 else None


def lora_rank(values: Mapping[str, str], facts: Facts) -> dict[str, str] | None:
    """`max_lora_rank`: the smallest allowed value that is at least `rank`."""
    rank = as_count(values.get("rank"))
    release = parse(fact_text(facts, "vllm"))
    ranks = at(LORA_RANKS, release) if release else LORA_RANKS[-1][1]
    allowed = [size for size in ranks if rank and size >= rank]
    return {"max_lora_rank": str(allowed[0])} if allowed else None


def _is_equal_part(shard: str, facts: Facts) -> bool:
    """Whether shards of this kind times the tensor parallel size are the whole layer.

    Inputs of a linear layer are (MLP, and query heads, which are never replicated); experts are unless they are spread
    otherwise: over the copies of the model as well, or whole ones with expert parallelism.
    """
    if shard == "input_size_per_partition":
        return True
    spread = bool(fact_map(facts, "args").get("enable_expert_parallel"))
    return shard in _EXPERT_SHARDS and not spread and (fact_count(facts, "data_parallel_size") or 1) == 1


def _surely_possible(present: int) -> list[int]:
    """Sizes below the present one that the heads surely allow, as they allow that.

    Other divisors need not go with replicated ones.
    """
    powers = [1 << shift for shift in range(present.bit_length() - 1)]
    return powers if _power_of_two(present) == present else [1]


def _fitting(whole: int, parts: int) -> int:
    """The largest power of two that divides `whole` and is less than `parts`."""
    size = 1
    while size * 2 < parts and whole % (size * 2) == 0:
        size *= 2
    return size


def _power_of_two(limit: int) -> int:
    """The largest power of two that is not above the limit (at least 1)."""
    return 1 << (limit.bit_length() - 1)
