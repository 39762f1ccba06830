"""Patterns that are compiled when they are first used. Compiling all of them would cost more than reading most logs."""

from __future__ import annotations

import re
from typing import Any, cast

_METHODS = ("findall", "finditer", "fullmatch", "match", "search", "split", "sub")


def late_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """The pattern, to be used as if it were compiled."""
    return cast("re.Pattern[str]", _LatePattern(pattern, flags))


class _LatePattern:
    """The methods of a compiled pattern; they are not there before the first of them is asked for."""

    __slots__ = ("_flags", "_pattern", *_METHODS)

    def __init__(self, pattern: str, flags: int) -> None:
        self._pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(self._pattern, self._flags)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)
