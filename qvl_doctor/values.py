"""A value of whatever kind as text, as a number, as a count."""

from __future__ import annotations

from qvl_doctor.late import late_pattern

_DECIMAL = late_pattern(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_LARGEST, _MOST = 1e15, 1e12


def as_text(value: object) -> str:
    """A value as text: yes and no, and numbers without needless digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def as_number(value: object) -> float | None:
    """A number, or a text that is one ("131,072").

    None for anything else: yes and no, infinity, and what no machine has.
    """
    if isinstance(value, str):
        text = value.replace(",", "")
        value = float(text) if _DECIMAL.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) <= _LARGEST else None  # not NaN


def as_count(value: object) -> int:
    """A number of things, down to a whole one; 0 for what is none, or more than there can be of anything."""
    number = as_number(value) or 0.0
    return int(number) if 0 < number < _MOST else 0
