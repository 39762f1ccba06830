"""Which names are names of rules: those of the book, what is said where no rule speaks, and rules that are no more."""

from __future__ import annotations

from collections.abc import Iterable

from qvl_doctor.model import UNRECOGNIZED, Rule

#: Rules that are gone. Who ignores one is not told to mend a script.
RETIRED = frozenset(("weights-size-differs",))


def known_ids(rules: Iterable[Rule]) -> frozenset[str]:
    """Every id that an option may name."""
    return frozenset(rule.id for rule in rules) | RETIRED | {UNRECOGNIZED}
