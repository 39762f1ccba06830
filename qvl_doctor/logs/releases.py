"""Which release wrote a log that does not say so.

From the lines of its call sites and from wordings that came and went.

A release moves its log calls, so `core.py:1108` next to "EngineCore failed to start" is 0.19 and nothing else. A build
from between two releases has lines of its own: one that fits no release makes all of them worthless, and only wordings
count. What is known of them is in `knowledge/call_sites.json` and `knowledge/wordings.json`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

from qvl_doctor import knowledge
from qvl_doctor.knowledge.releases import told_apart
from qvl_doctor.model import Record

#: Calls that print a whole traceback: each of its lines names them, whatever it says. The one without words is V0's
#: engine.py.
_CRASHES = frozenset(
    (
        "EngineCore failed to start",
        "EngineCore encountered a fatal error",
        "WorkerProc failed to start",
        "WorkerProc hit an exception",
        "AsyncLLM output_handler failed",
        "",
    )
)


def infer_release(records: Iterable[Record]) -> str | None:
    """The release that the records come from.

    '0.8.5' if only one fits, otherwise a range like '>=0.8.0,<0.10.2', None if nothing tells.
    """
    sites = wordings = frozenset(range(len(told_apart())))
    strange = False
    for record in records:
        wordings &= _of_wordings(record)
        for fitting in _of_sites(record):
            strange = strange or not fitting
            sites &= fitting
    fitting = sites & wordings
    if strange or not fitting:
        return _range(wordings)  # a build of its own, or a mixture: its words still tell something
    known = {told_apart()[index] for index in fitting}
    return known.pop() if len(known) == 1 and sites != frozenset(range(len(told_apart()))) else _range(fitting)


def _range(fitting: frozenset[int]) -> str | None:
    """From the first release that fits to the first one after the last; None if that says nothing."""
    if not fitting:
        return None
    first, last = min(fitting), max(fitting)
    parts = ([f">={told_apart()[first]}"] if first else []) + (
        [f"<{told_apart()[last + 1]}"] if last + 1 < len(told_apart()) else []
    )
    return ",".join(parts) or None


def _of_wordings(record: Record) -> frozenset[int]:
    fitting = frozenset(range(len(told_apart())))
    for words, first, last in knowledge.table("wordings")["messages"]:
        if words in record.message:
            fitting &= _between(first, last)
    for name, first, last in knowledge.table("wordings")["processes"]:
        if f"{record.process} ".startswith(name):
            return fitting & _between(first, last)
    return fitting


def _of_sites(record: Record) -> Iterator[frozenset[int]]:
    """For the call that wrote the record, if it is listed: the releases that have it on this line."""
    calls = _table().get(record.file, ())
    told = [lines for words, lines in calls if words[0] and any(part in record.message for part in words)]
    if told:
        yield frozenset().union(*(lines.get(record.file_line, frozenset()) for lines in told))
    elif record.level in ("ERROR", "CRITICAL"):
        crashes = [
            lines[record.file_line] for words, lines in calls if words[0] in _CRASHES and record.file_line in lines
        ]
        if crashes:
            yield frozenset().union(*crashes)


def _between(first: str, last: str) -> frozenset[int]:
    start = told_apart().index(first) if first else 0
    return frozenset(range(start, told_apart().index(last) + 1 if last else len(told_apart())))


@lru_cache(maxsize=1)
def _table() -> dict[str, list[tuple[tuple[str, ...], dict[int, frozenset[int]]]]]:
    """What a message holds, by file, and for each line the releases (as indexes) that have the call there."""
    known = knowledge.table("call_sites")
    found: dict[str, list[tuple[tuple[str, ...], dict[int, frozenset[int]]]]] = {}
    for site in known["sites"]:
        lines = _lines(site["lines"], known["unread"])
        found.setdefault(site["file"], []).append((tuple(site["words"].split("|")), lines))
    return found


def _lines(changes: str, unread: Collection[str]) -> dict[int, frozenset[int]]:
    """Line → releases, from `release:line` for each release in which the call moved.

    `-`: it is gone, `/` divides several.
    """
    moved = dict(change.split(":") for change in changes.split())
    found: dict[int, set[int]] = {}
    current: list[int] = []
    for index, name in enumerate(told_apart()):
        if name in moved:
            current = [int(line) for line in moved[name].split("/") if line != "-"]
        for line in current:
            found.setdefault(line, set()).add(index)
    hidden = {index for index, name in enumerate(told_apart()) if name in unread}
    if hidden and not any(
        name in moved for name in unread
    ):  # published without sources: as its neighbours, or not known
        for having in found.values():
            if not having.isdisjoint((min(hidden) - 1, max(hidden) + 1)):
                having.update(hidden)
    return {line: frozenset(having) for line, having in found.items()}
