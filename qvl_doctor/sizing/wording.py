"""What the memory model found, as texts and facts of a report. Numbers are told here, words are in messages.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qvl_doctor.memory.budget import Plan
from qvl_doctor.memory.encoder import largest_items
from qvl_doctor.memory.forensics import Suspect
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.solver import Case, Solution
from qvl_doctor.memory.units import GIB
from qvl_doctor.messages import both, joined, say, sentences
from qvl_doctor.model import LANGUAGES, Alternative, Fact, Fix, Text

BY = "memory-model"
SOURCE = "model"
#: What people are told to change when memory runs out; what does not touch a tensor is said.
_ADVISED = (
    "--max-model-len",
    "--max-num-batched-tokens",
    "--max-num-seqs",
    "--limit-mm-per-prompt",
    "--dtype",
    "--gpu-memory-utilization",
)


def gib(size: float) -> str:
    """Bytes as GiB with two decimals."""
    return f"{size / GIB:.2f}"


def detail(made: Plan, settings: Settings) -> str:
    """Why a plan holds or not, in numbers that need no language.

    The KV cache with its error, what one request takes of it.
    """
    if made.verdict == "profile-oom":
        needed = made.weights + made.activation + made.non_torch
        return f"{gib(made.weights)} + {gib(made.activation)} + {gib(made.non_torch)} = {gib(needed)} GiB > {gib(made.total)} GiB"
    sign = "≥" if made.kv >= made.request else "<"
    shown = f"KV {gib(made.kv)} ± {gib(made.error)} GiB {sign} {gib(made.request)} GiB (--max-model-len {settings.max_model_len})"
    return f"{shown}, {made.pool.tokens} tokens, {made.pool.concurrency:.2f}x" if made.kv > 0 else shown


def facts_of(case: Case, made: Plan) -> dict[str, Fact]:
    """The numbers of a plan as facts, by the names that logs have, and the verdict as `plan`."""
    settings = case.settings
    missing = max(0, made.weights + made.activation + made.non_torch - made.total, made.request - made.kv)
    values: dict[str, Any] = {
        "plan": made.verdict,
        "plan_error_gib": round(made.error / GIB, 2),
        "plan_missing_gib": round(missing / GIB, 2),
        "plan_request_gib": round(made.request / GIB, 2),
        "plan_longest_tokens": made.longest,
        "total_gib": round(made.total / GIB, 2),
        "budget_gib": round(made.requested / GIB, 2),
        "weights_gib": round(made.weights / GIB, 2),
        "activation_gib": round(made.activation / GIB, 2),
        "non_torch_gib": round(made.non_torch / GIB, 2),
        "graphs_gib": round(made.graphs / GIB, 2),
        "max_model_len": settings.max_model_len,
        "max_num_seqs": settings.max_num_seqs,
        "max_num_batched_tokens": settings.max_num_batched_tokens,
        "gpu_memory_utilization": settings.utilization,
        "engine": settings.engine,
        "plan_peak": made.detail.moment.name,
    }
    if made.kv > 0:
        values |= {
            "kv_gib": round(made.kv / GIB, 2),
            "kv_tokens": made.pool.tokens,
            "concurrency": round(made.pool.concurrency, 2),
        }
    for modality, tokens in (largest_items(case.shape, settings) if case.shape.vision else {}).items():
        values[f"plan_{modality}_tokens"] = tokens
    for note in made.notes:
        values[f"plan_{note.replace('-', '_')}"] = "yes"
    return {name: Fact(value, SOURCE) for name, value in values.items()}


def fix_of(case: Case, found: Solution) -> Fix:
    """A solution as a fix: what it changes, what is left, and that the model agrees."""
    change = {"flags": dict(found.flags)} if found.flags else {}
    return Fix(_told(case, found), change, {"by": BY, "detail": detail(found.plan, found.settings)})


def alternative_of(case: Case, trade: str, found: Solution) -> Alternative:
    """Another way, with what it gives up and what it leaves."""
    return Alternative(
        text=joined(both(f"trade.{trade}"), _told(case, found)),
        change={"flags": dict(found.flags)} if found.flags else {},
        leaves=leaves(case, found.plan, found.settings),
        verified={"by": BY, "detail": detail(found.plan, found.settings)},
    )


def leaves(case: Case, made: Plan, settings: Settings) -> Mapping[str, Any]:
    """What a plan leaves to work with."""
    items = largest_items(case.shape, settings) if case.shape.vision else {}
    return {
        "max_model_len": settings.max_model_len,
        "kv_gib": round(made.kv / GIB, 2),
        "kv_tokens": made.pool.tokens,
        "concurrency": round(made.pool.concurrency, 2),
        **{f"{modality}_tokens": tokens for modality, tokens in items.items()},
    }


def not_enough(lack: str, made: Plan, settings: Settings) -> Text:
    """That a change alone will not do, by the model, and what it lacks (see `solver.lacks`)."""
    return both(f"lack.{lack}", detail=detail(made, settings))


def explained(tried: str, suspects: Sequence[Suspect]) -> Text:
    """What a request was for: every tensor that fits, and which flags scale the first and which do not."""
    if not suspects:
        return both("forensics.unexplained", tried=tried)
    first, *others = suspects
    untouched = [flag for flag in _ADVISED if flag not in first.tensor.scaled_by]
    texts = {}
    for lang in LANGUAGES:
        said = [
            say(
                "forensics.is",
                lang,
                tried=tried,
                name=first.tensor.name,
                product=first.tensor.formula,
                gib=f"{first.tensor.bytes / GIB:.4f}",
            )
        ]
        if first.tensor.scaled_by:
            said.append(
                say("forensics.scales", lang, flags=", ".join(first.tensor.scaled_by), others=", ".join(untouched))
            )
        if others:
            names = "; ".join(f"{each.tensor.name} ({each.tensor.formula})" for each in others[:4])
            said.append(say("forensics.also", lang, names=names))
        texts[lang] = sentences(said, lang)
    return texts


def _told(case: Case, found: Solution) -> Text:
    return {lang: _sentence(case, found, lang) for lang in LANGUAGES}


def _sentence(case: Case, found: Solution, lang: str) -> str:
    parts = list(_parts(found, lang))
    room = say(
        "advice.leaves",
        lang,
        kv=gib(found.plan.kv),
        tokens=found.plan.pool.tokens,
        requests=f"{found.plan.pool.concurrency:.2f}",
        length=found.settings.max_model_len,
    )
    items = largest_items(case.shape, found.settings).get("image") if case.shape.vision else None
    image = say("advice.image", lang, tokens=items) if items else ""
    joint = "；" if lang == "zh" else "; "
    end = "。" if lang == "zh" else "."
    return sentences((joint.join(parts) + end, room, image), lang)


def _parts(found: Solution, lang: str) -> Iterator[str]:
    for index, step in enumerate(found.steps):
        text = say(f"lever.{step.lever}", lang, value=step.value)
        yield text[:1].upper() + text[1:] if index == 0 else text
