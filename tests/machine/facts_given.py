"""Facts as a test gives them, and the observations that come of them."""

from __future__ import annotations

from typing import Any

from qvl_doctor.model import Fact, Facts
from qvl_doctor.observations import key_of


def facts(**known: Any) -> Facts:
    return {name: Fact(value, "probe") for name, value in known.items()}


def keys(records: Any) -> list[str]:
    return [key_of(each) for each in records]
