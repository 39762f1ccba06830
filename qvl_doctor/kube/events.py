"""Events: `kubectl get events` as JSON, YAML or a table, and the table at the end of `kubectl describe`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from qvl_doctor.kube.pod import Event
from qvl_doctor.kube.times import is_age, moment, seconds
from qvl_doctor.kube.tree import Item

MAX_EVENTS = 5000
_LONGEST = 4000
#: `kubectl get events`, with -A, with -o wide, and `kubectl events`.
_HEADER = re.compile(r"(?:NAMESPACE +)?LAST SEEN +TYPE +REASON +OBJECT(?: +SUBOBJECT +SOURCE)? +MESSAGE\b.*")
_COLUMN = re.compile(r"LAST SEEN|FIRST SEEN|[A-Z]+")
_TYPES = {"Normal", "Warning"}
_TIMES = re.compile(r"\(x(\d{1,9})(?: over \S{1,20})?\)")


def read_events(objects: Iterable[Item]) -> list[Event]:
    """The events among the objects, oldest first."""
    found = [_event(item) for item in objects if item.text("kind") == "Event"]
    return sorted(found, key=lambda event: event.order)[-MAX_EVENTS:]


def _event(item: Item) -> Event:
    # events.k8s.io has other names: note, regarding, series.
    about = item.get("involvedObject") if item.pairs("involvedObject") else item.get("regarding")
    message = "message" if item.text("message") else "note"
    times = max(item.number("count"), item.number("series", "count"), item.number("deprecatedCount"), 1)
    seen = [
        item.text("series", "lastObservedTime"),
        item.text("lastTimestamp"),
        item.text("deprecatedLastTimestamp"),
        item.text("eventTime"),
        item.text("firstTimestamp"),
        item.text("metadata", "creationTimestamp"),
    ]
    when = max((found for found in map(_rough, seen) if found is not None), default=None)
    return Event(
        reason=item.text("reason"),
        message=item.text(message)[:_LONGEST],
        kind=about.text("kind") or "Pod",
        name=about.text("name"),
        times=times,
        order=when or 0.0,
        when=when,
        line=item.get(message).line,
    )


def _rough(text: str) -> float | None:
    return moment(text) if text else None


def is_table(text: str) -> bool:
    """Whether a text is the table of `kubectl get events`."""
    return bool(_HEADER.match(_head(text)))


def _head(text: str) -> str:
    return text.lstrip("\ufeff\r\n ")[:400].partition("\n")[0].rstrip("\r ")


def read_table(text: str) -> list[Event]:
    """The events of the table, oldest first.

    Columns begin where their headings begin; a message may continue on the lines below.
    """
    rows: list[Event] = []
    lines = text.split("\n")
    starts: dict[str, int] = {}
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r ")
        if _HEADER.match(line):
            starts = {found[0]: found.start() for found in _COLUMN.finditer(line)}
            continue
        row = _row(line, starts, number) if starts else None
        if row:
            rows.append(row)
        elif rows and line:
            rows[-1] = rows[-1]._replace(message=f"{rows[-1].message} {line.strip()}"[:_LONGEST])
        if len(rows) >= MAX_EVENTS:
            break
    return sorted(rows, key=lambda event: event.order)


def _row(line: str, starts: dict[str, int], number: int) -> Event | None:
    names = sorted(starts, key=lambda name: starts[name])
    ends = [*(starts[name] for name in names[1:]), len(line)]
    cells = {name: line[starts[name] : end].strip() for name, end in zip(names, ends, strict=True)}
    if cells.get("TYPE") not in _TYPES:
        return None
    age, _, more = cells["LAST SEEN"].partition(" ")  # `kubectl events` writes: 5m (x12 over 1h)
    if not is_age(age):
        return None
    times = _TIMES.search(more)
    kind, _, name = cells["OBJECT"].partition("/")
    count = cells.get("COUNT", "")
    return Event(
        reason=cells["REASON"],
        message=cells["MESSAGE"][:_LONGEST],
        kind=kind,
        name=name,
        times=int(times[1]) if times else int(count) if count.isdecimal() and len(count) < 10 else 1,
        order=-float(seconds(age)),
        line=number,
        text=line[:_LONGEST],
    )


def read_described(lines: Iterable[tuple[int, str]], name: str) -> Iterator[Event]:
    """The rows of the table below `Events:` in `kubectl describe`; cells are two spaces apart."""
    for number, line in lines:
        cells = re.split(r" {2,}", line.strip(), maxsplit=4)
        if len(cells) != 5 or cells[0] not in _TYPES:
            continue
        age, _, more = cells[2].partition(" ")
        times = _TIMES.search(more)
        yield Event(
            reason=cells[1],
            message=cells[4][:_LONGEST],
            name=name,
            times=int(times[1]) if times else 1,
            order=-float(seconds(age)),
            line=number,
            text=line.strip()[:_LONGEST],
        )
