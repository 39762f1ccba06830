"""Which values a fact can have.

A file of another machine is read by it: what does not fit would be judged as nonsense.
"""

from __future__ import annotations

import math
import re
from typing import Any

from qvl_doctor.facts.table import MAP, PACKAGES, kind, unit

_LARGEST = 1 << 53
#: Facts that look like numbers, and are texts because 12.10 is not 12.1; and the name that comes from a driver.
_TEXTS = {
    "compute_capability": re.compile(r"\d{1,2}\.\d{1,2}"),
    "driver": re.compile(r"\d[\w.-]{0,39}"),
    "driver_cuda": re.compile(r"\d{1,3}(?:\.\d{1,3})*"),
    "torch_cuda": re.compile(r"[\w.+-]{1,40}"),
    "python": re.compile(r"\d[\w.+-]{0,39}"),
    "gpu_name": re.compile(r".{1,200}", re.DOTALL),
    **dict.fromkeys(PACKAGES, re.compile(r"[\w.+!*-]{1,80}")),
}


def fits(name: str, value: Any) -> bool:
    """Whether a fact can have a value.

    A fact that no one knows can have any that is a text, a truth, a number or a mapping.
    """
    _, largest = unit(name)
    if largest:
        return _is_number(value) and 0 <= value <= largest
    pattern = _TEXTS.get(name)
    if pattern is not None:
        return isinstance(value, str) and pattern.fullmatch(value) is not None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _is_number(value) and abs(value) <= _LARGEST
    return isinstance(value, (str, bool)) or (isinstance(value, dict) and kind(name) in {MAP, ""})


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and (
        isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    )
