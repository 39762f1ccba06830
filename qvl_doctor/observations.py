"""What was seen outside a log, as records: a flag of a command, a volume of a manifest, a card of a machine.

An observation is a fixed sentence with the values in it, so that rules match it as they match log lines. Its level says
where it is from. No log line has such a level, so a log cannot pretend to be one.
"""

from __future__ import annotations

from collections.abc import Iterator

from qvl_doctor.model import Line, Record
from qvl_doctor.redaction.line import redact

#: A command to launch, a workload (its manifest, or what the cluster says of it), the machine.
COMMAND, MANIFEST, MACHINE = "COMMAND", "MANIFEST", "MACHINE"
LEVELS = (COMMAND, MANIFEST, MACHINE)
_LONGEST = 2000


def observe(level: str, message: str, line: int = 0, text: str = "") -> Record:
    """An observation. `line` and `text` are the place that proves it, where there is one; else the sentence itself stands as evidence."""
    said = redact(" ".join(message.split()))[:_LONGEST]
    return Record((Line(line, redact(text)[:_LONGEST] or said),), said, level=level)


def is_observation(record: Record | None) -> bool:
    """Whether a record was seen outside a log."""
    return record is not None and record.level in LEVELS


def read_observations(text: str) -> Iterator[Record]:
    """Observations written one a line, their level in front, as examples of rules have them. Raises ValueError for another level."""
    for number, line in enumerate(text.splitlines(), 1):
        level, _, message = line.strip().partition(" ")
        if level and level not in LEVELS:
            raise ValueError(f"line {number}: begins with {' or '.join(LEVELS)}, not '{level[:20]}'")
        if message:
            yield observe(level, message, number)
