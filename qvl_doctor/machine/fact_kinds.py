"""Which values a fact can have. A file of another machine is read by it: what does not fit would be judged as nonsense."""

from __future__ import annotations

import math
import re
from typing import Any

from qvl_doctor.logs.package_lists import KNOWN
from qvl_doctor.machine.fact_table import GPU, HOST, MODEL, PACKAGES

#: Ends of names whose values are numbers that are never negative, and how large they can be.
_UNITS = {
    "_gib": 1e7,
    "_mib": 1e10,
    "_bytes": 1e18,
    "_s": 1e9,
    "_tokens": 1e12,
    "_count": 1e6,
    "_mhz": 1e6,
    "_watts": 1e5,
    "_celsius": 1e4,
    "_percent": 100.0,
}
_LARGEST = 1 << 53
#: Facts that look like numbers, and are texts because 12.10 is not 12.1.
_TEXTS = {
    "compute_capability": re.compile(r"\d{1,2}\.\d{1,2}"),
    "driver": re.compile(r"\d[\w.-]{0,39}"),
    "driver_cuda": re.compile(r"\d{1,3}(?:\.\d{1,3})*"),
    "torch_cuda": re.compile(r"[\w.+-]{1,40}"),
    "python": re.compile(r"\d[\w.+-]{0,39}"),
    "gpu_name": re.compile(r".{1,200}", re.DOTALL),
    **dict.fromkeys(KNOWN, re.compile(r"[\w.+!*-]{1,80}")),
}
_OF_A_MACHINE = frozenset((*PACKAGES, *GPU, *HOST, *MODEL))


def fits(name: str, value: Any) -> bool:
    """Whether a fact can have a value. A fact that nobody knows can have any that is a text, a truth, a number or a mapping."""
    unit = next((largest for end, largest in _UNITS.items() if name.endswith(end)), None)
    if unit is not None:
        return _number(value) and 0 <= value <= unit
    pattern = _TEXTS.get(name)
    if pattern is not None:
        return isinstance(value, str) and pattern.fullmatch(value) is not None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number(value) and abs(value) <= _LARGEST
    return isinstance(value, (str, bool)) or (isinstance(value, dict) and name not in _OF_A_MACHINE)


def _number(value: Any) -> bool:
    return not isinstance(value, bool) and (
        isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    )
