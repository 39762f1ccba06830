"""What a rule asks of facts.

Ranges and patterns, in `match` (must be known) and in `applies` (unknown versions speak, unverified).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from qvl_doctor.model import PLATFORMS, Facts, Hit, fact_text
from qvl_doctor.versions import is_spec, satisfies


def facts_hold(asked: Mapping[str, str], facts: Facts, phase: str = "") -> bool:
    """Whether every fact that a match item asks for is known and as asked. `phase` is that of the record."""
    known = {name: fact_text(facts, name) for name in asked if name in facts}
    if "phase" in asked:
        known["phase"] = phase
    return all(_as_asked(wanted, known.get(name)) is True for name, wanted in asked.items())


def values_hold(asked: Mapping[str, str], values: Mapping[str, str]) -> bool:
    """Whether every value that is asked for is known and as asked."""
    return all(_as_asked(wanted, values.get(name)) is True for name, wanted in asked.items())


def applies(asked: Mapping[str, str], known: Mapping[str, str]) -> bool | None:
    """True, False, or None where a range asks for what is not known or lies on its boundary.

    Then the rule speaks, unverified.

    What is asked by name (`engine: V0`, a remedy's answer) and is not known does not apply.
    """
    answers = [
        _as_asked(wanted, known.get(name)) if name in known or is_spec(wanted) else False
        for name, wanted in asked.items()
    ]
    return False if False in answers else None if None in answers else True


def on_platform(platforms: tuple[str, ...], facts: Facts) -> bool:
    """Whether a rule for some platforms may speak: not if another one that we know is stated or evidenced."""
    here = fact_text(facts, "platform")
    return not platforms or here in platforms or here not in PLATFORMS


def fits_platform(platforms: tuple[str, ...], facts: Facts) -> bool:
    """Whether a fix for some platforms is right: where the platform is not known, one for CUDA is."""
    here = fact_text(facts, "platform")
    return not platforms or (here if here in PLATFORMS else "cuda") in platforms


def hit_holds(hit: Hit, facts: Facts) -> bool:
    """Whether the facts that the hit's match item asks for hold."""
    return facts_hold(hit.condition.facts, facts, hit.phase)


def _as_asked(wanted: str, known: str | None) -> bool | None:
    if known is None:
        return None
    if is_spec(wanted):
        return satisfies(known, wanted)
    return re.fullmatch(wanted, known, re.IGNORECASE) is not None
