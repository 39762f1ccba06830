"""A start that has not been tried, by its arguments.

What vLLM refuses, what the memory model computes, and why that is not a promise.

Plans, manifests and checks of a machine all ask here, so that the same command has the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from qvl_doctor.launch.ranges import refused
from qvl_doctor.memory import model_cards
from qvl_doctor.memory.solver import Case
from qvl_doctor.messages import both, joined
from qvl_doctor.model import NOTHING, Facts, Record, Text
from qvl_doctor.sizing import refusals
from qvl_doctor.sizing.case import Known, Unsized, of_arguments
from qvl_doctor.sizing.wording import facts_of

#: Methods that quantize a 16-bit checkpoint while it is loaded. Others read one that was quantized.
_WHILE_LOADING = frozenset(("fp8", "bitsandbytes", "experts_int8", "mxfp8"))


class Planned(NamedTuple):
    """`reason` says why no fit is promised, `why` is its key; None and "" where it is.

    `notes` are those of the plan.
    """

    facts: Facts = NOTHING
    observations: tuple[Record, ...] = ()
    reason: Text | None = None
    why: str = ""
    notes: tuple[str, ...] = ()
    gpu: str = ""


def planned(arguments: Mapping[str, Any], known: Known, env: Mapping[str, str]) -> Planned:
    """What becomes of a start with these arguments on `known.gpu`."""
    if any(refused(arguments, known.release)):
        return Planned()  # the command's own findings say so, and memory is not a question then
    case = of_arguments(arguments, known, env)
    if isinstance(case, Unsized):
        named = case.reason == "model" and known.gpu is not None
        above = tuple(refusals.model_above(case.detail, known.gpu, arguments)) if named and known.gpu else ()
        return Planned({}, above, None if above else _unsized(case), case.reason)
    wrong = tuple(refusals.refusals(arguments, case.shape, env))
    if wrong:
        return Planned({}, wrong)
    other = _other_quantization(arguments, case)
    if other:
        return Planned({}, (), other, "quantization")
    try:
        made = case.plan()
    except (ValueError, ArithmeticError) as error:
        return Planned({}, (), both("sizing.numbers", detail=str(error)[:120]), "numbers")
    reason = refusals.unsure(arguments, known.release, case.shape)
    if reason is None and "quantization-unknown" in made.notes:
        reason = both("sizing.method", detail=str(case.given.get("quantization") or "?")[:50])
    return Planned(facts_of(case, made), (), reason, "unsure" if reason else "", tuple(made.notes), case.gpu.name)


def _unsized(case: Unsized) -> Text:
    said = both(f"sizing.{case.reason}", detail=case.detail)
    if case.reason != "model":
        return said
    near = near_models(case.detail)
    return joined(said, both("sizing.did_you_mean", names=", ".join(near))) if near else said


def near_models(name: str) -> list[str]:
    """Models with built-in data whose names are spelled almost like this one."""
    names = {each.rpartition("/")[2].lower(): each for each in model_cards.known()}
    close = get_close_matches(name.rpartition("/")[2].lower()[:100], names, n=2, cutoff=0.9)
    return [names[each] for each in close]


def _other_quantization(arguments: Mapping[str, Any], case: Case) -> Text | None:
    """Why the weights are not known where --quantization is not what the checkpoint says, or not modelled."""
    asked = str(arguments.get("quantization") or "")
    if not asked or asked in {"None", "auto"}:
        return None
    if not case.given.get("quantization"):
        return both("sizing.method", detail=asked[:50])
    stored = case.shape.quantization
    if asked not in _WHILE_LOADING and case.given["quantization"] == _plain(asked) and not stored and not case.observed:
        return both("sizing.other_method", detail=f"--quantization {asked[:50]}")
    return None


def _plain(asked: str) -> str:
    return {"awq_marlin": "awq", "gptq_marlin": "gptq", "moe_wna16": "awq"}.get(asked, asked)
