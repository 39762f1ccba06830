"""Reading whole numbers out of a config.json that may be anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qvl_doctor.memory.shape import ShapeError

#: No field of any model is larger; anything beyond is a mistake or an attack on the arithmetic.
LARGEST = 10**9


def number(  # noqa: PLR0913, PLR0917  # a field, where it stands, and what it may be
    config: Mapping[str, Any],
    key: str,
    where: str = "",
    default: int | None = None,
    least: int = 1,
    most: int = LARGEST,
) -> int:
    """A whole number of a section, `default` where it is missing or null.

    Raises ShapeError with the path of the field.
    """
    value = config.get(key)
    if value is None:
        if default is None:
            raise ShapeError(where + key, "is missing")
        return default
    if isinstance(value, float) and value.is_integer() and abs(value) <= most:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ShapeError(where + key, f"must be a whole number, not {kind(value)}")
    if not least <= value <= most:
        raise ShapeError(where + key, f"must lie between {least} and {most}")
    return value


def share(value: object, where: str, least: float, most: float) -> float:
    """A number in a range, whole or not. Raises ShapeError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ShapeError(where, f"must be a number from {least:g} to {most:g}")
    return float(value)


def kind(value: object) -> str:
    """What a value of JSON is, in words."""
    names = {
        str: "a text",
        list: "a list",
        dict: "an object",
        bool: "true or false",
        float: "a fraction",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)
