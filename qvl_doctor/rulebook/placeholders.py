"""The names in braces that a rule's texts and changes are filled in by.

Judging needs this, and no more of what checks rules.
"""

from __future__ import annotations

from typing import Any

from qvl_doctor.late import late_pattern

PLACEHOLDER = late_pattern(r"\{([a-z_][a-z0-9_]*)\}")


def placeholders(value: Any) -> frozenset[str]:
    """The names in braces in a text, or anywhere in a change."""
    if isinstance(value, str):
        return frozenset(PLACEHOLDER.findall(value))
    if isinstance(value, dict):
        return placeholders([*value, *value.values()])
    return frozenset().union(*map(placeholders, value)) if isinstance(value, list) else frozenset()
