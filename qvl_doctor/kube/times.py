"""Times and ages as kubectl writes them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_ISO = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)")
_MAIL = re.compile(r"(?:\w{3}, )?(\d\d? \w{3} \d{4} \d\d:\d\d:\d\d) ([+-]\d{4})")
_PIECE = re.compile(r"(\d{1,9})(y|d|h|m|s)")
_AGE = re.compile(r"(?:\d{1,9}[ydhms]){1,5}|<unknown>|<invalid>")
_UNIT = {"y": 365 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}


def moment(text: str) -> float | None:
    """Seconds since 1970 of `2026-02-16T09:03:00Z` or `Mon, 16 Feb 2026 09:03:00 +0000`; None for anything else."""
    try:
        iso = _ISO.fullmatch(text)
        if iso:
            zone = "+0000" if iso[2] == "Z" else iso[2].replace(":", "")
            return datetime.strptime(iso[1] + zone, "%Y-%m-%dT%H:%M:%S%z").timestamp()
        mail = _MAIL.fullmatch(text)
        if mail:
            return (
                datetime.strptime(" ".join(mail.groups()), "%d %b %Y %H:%M:%S %z").astimezone(timezone.utc).timestamp()
            )
    except (ValueError, OverflowError):
        pass
    return None


def is_age(text: str) -> bool:
    """Whether a text is an age: `5m3s`, `279d`, `<unknown>`."""
    return _AGE.fullmatch(text) is not None


def seconds(age: str) -> int:
    """The seconds of an age; 0 if it is unknown."""
    return sum(int(number) * _UNIT[unit] for number, unit in _PIECE.findall(age)) if is_age(age) else 0
