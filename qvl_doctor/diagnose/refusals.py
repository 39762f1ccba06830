"""Requests that a server refused (4xx), by route and status.

A server that answers no one is the user's problem as well.
"""

from __future__ import annotations

from collections import Counter

from qvl_doctor.logs.milestones import ACCESS, ANSWER, ENGINE_ROUTE, Milestone
from qvl_doctor.model import Fact, Record

_MOST = 256


class Refusals:
    """Counts what was refused, of the requests that need the engine."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._answered = False
        self._first_line = 0
        self._last: Record | None = None

    def feed(self, record: Record, mark: Milestone | None) -> None:
        """Takes in an access line; everything else is left alone."""
        if mark is None or mark.words:
            return
        self._answered = self._answered or mark.kind == ANSWER
        if '" 4' not in record.message or (found := ACCESS.search(record.message)) is None:
            return
        route, status = found["path"].partition("?")[0], found["status"]
        if not status.startswith("4") or not ENGINE_ROUTE.fullmatch(route):
            return
        if (route, status) in self._counts or len(self._counts) < _MOST:
            self._counts[route, status] += 1
            self._first_line = self._first_line or record.first_line
            self._last = record

    def facts(self, first_clock: float | None, last_clock: float | None) -> dict[str, Fact]:
        """What was refused, which refusal came most often, and how often a minute where the log has times."""
        total = sum(self._counts.values())
        if not total or self._last is None:
            return {}
        (route, status), count = self._counts.most_common(1)[0]
        line = self._last.first_line
        facts = {
            "refused": Fact(total, "log", line),
            "refused_route": Fact(route, "log", line),
            "refused_status": Fact(status, "log", line),
            "refused_most": Fact(count, "log", line),
            "answered": Fact("yes" if self._answered else "no", "log", line),
        }
        minutes = (last_clock - first_clock) / 60 if first_clock is not None and last_clock is not None else 0.0
        return facts | {"refused_per_min": Fact(round(total / minutes, 1), "computed", line)} if minutes >= 1 else facts

    @property
    def last(self) -> Record | None:
        """The access line of the last request that was refused."""
        return self._last
