"""What became of an environment variable that a release does not read."""

from __future__ import annotations

from collections.abc import Mapping

from qvl_doctor import knowledge
from qvl_doctor.model import Facts, fact_text


def variable_history(values: Mapping[str, str], facts: Facts) -> Mapping[str, str] | None:
    """`last`: the last release that reads it, if newer ones do not; `first`: if it came later; `nearest`: a name like it that is read."""
    name, vllm = values.get("variable", ""), fact_text(facts, "vllm")
    span = knowledge.variable(name)
    found = {"last": span.last} if span and span.last else {}
    if span and not span.last and vllm and not knowledge.reads_variable(name, vllm):
        found["first"] = span.first
    nearest = knowledge.variable_near(name, vllm) if vllm and not span else ""
    return {**found, "nearest": nearest} if nearest else found or None
