"""Sizes: units of memory, and division that rounds up."""

from __future__ import annotations

import math

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def cdiv(count: int, size: int) -> int:
    """Division that rounds up."""
    return -(-count // size)


def up(count: int, multiple: int) -> int:
    """The next multiple."""
    return cdiv(count, multiple) * multiple


def gib(size: float) -> float:
    """Bytes as GiB, without NaN and infinity."""
    return size / GIB if math.isfinite(size) else 0.0
