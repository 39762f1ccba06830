"""Facts that follow from several facts: comparisons that a rule may ask for, because rules themselves cannot compare.

Their names are those that `facts/table.py` lists as derived.
"""

from __future__ import annotations

from qvl_doctor.model import Fact, Facts, fact_map, fact_number, fact_text
from qvl_doctor.values import as_text

#: Of the GPU's memory: what PyTorch holds when only weights can be the reason, and the largest request that still
#: tells nothing else.
_FULL, _SMALL = 0.9, 0.06
_WEIGHTS = 0.85
#: The facts that only a model that sees has, and those that name the model.
_SEEN = ("mm_reserved", "encoder_budget_tokens")
_NAMED = ("architecture", "model", "served_model_name")


def derive(facts: Facts) -> dict[str, Fact]:
    """The derived facts of a run. Their line is that of the number that decides."""
    return {**_limit(facts), **_block_size(facts), **_images(facts), **_out_of_memory(facts), **_weights(facts)}


def _limit(facts: Facts) -> dict[str, Fact]:
    if "limit_mm_per_prompt" not in facts:
        return {}
    from qvl_doctor.remedies.tokens import limits

    largest = max(limits(facts).values(), default=0)
    return {"largest_limit_items": Fact(largest, "computed", facts["limit_mm_per_prompt"].line)} if largest else {}


def _block_size(facts: Facts) -> dict[str, Fact]:
    """The block size only if someone asked for it: vLLM chooses small ones as well, where layers share a cache."""
    asked = fact_map(facts, "args").get("block_size")
    known = "block_size" in facts and str(asked) == as_text(facts["block_size"].value)
    return {"block_size_asked": facts["block_size"]} if known else {}


def _images(facts: Facts) -> dict[str, Fact]:
    if "kv_tokens" not in facts or not _sees(facts):
        return {}  # no one asks without it, and the remedies need not be loaded
    from qvl_doctor.remedies.tokens import image_tokens, limits

    tokens = image_tokens(facts)
    if not tokens:
        return {}
    found = {"image_tokens": Fact(tokens, "computed")}
    kv = fact_number(facts, "kv_tokens")
    if kv is not None and 0 < kv < tokens and limits(facts).get("image") != 0 and not _text_only(facts):
        line = facts["kv_tokens"].line or facts.get("kv_blocks", facts["kv_tokens"]).line
        found["kv_below_image"] = Fact("yes", "computed", line)
    return found


def _sees(facts: Facts) -> bool:
    """Whether the log may show how many tokens an image takes."""
    return any(name in facts for name in _SEEN) or any("vl" in fact_text(facts, name).lower() for name in _NAMED)


def _out_of_memory(facts: Facts) -> dict[str, Fact]:
    total, tried = fact_number(facts, "gpu_total_gib"), fact_number(facts, "oom_tried_gib")
    if not total or tried is None:
        return {}
    held = fact_number(facts, "oom_torch_allocated_gib") or 0.0
    line = facts["oom_tried_gib"].line
    found = {}
    if tried > total:
        found["oom_above_card"] = Fact("yes", "computed", line)
    if held >= _FULL * total and tried <= _SMALL * total:
        found["oom_full_card"] = Fact("yes", "computed", line)
    return found


def _weights(facts: Facts) -> dict[str, Fact]:
    weights, total = (
        fact_number(facts, "weights_gib"),
        fact_number(facts, "total_gib") or fact_number(facts, "gpu_total_gib"),
    )
    if weights and total and weights >= _WEIGHTS * total:
        return {"weights_fill_card": Fact("yes", "computed", facts["weights_gib"].line)}
    return {}


def _text_only(facts: Facts) -> bool:
    return bool(fact_map(facts, "args").get("language_model_only"))
