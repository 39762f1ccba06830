"""What was seen outside a log, as records: a flag of a command, a volume of a manifest, a GPU of a machine.

An observation has the key of a sentence in the table (`sentences.py`) and the values in it; rules match the key. Its
level says where it is from. No line of a log has such a level, so a log cannot pretend to be one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from qvl_doctor.model import Line, Observation, Record
from qvl_doctor.observations.levels import LEVELS
from qvl_doctor.redaction.line import redact

_LONGEST = 2000
_LONGEST_QUOTE = 500
#: A placeholder of a sentence, and a part that is said only if its values are known. They are compiled when they are
#: first used: this module is loaded with every log, and few logs need them.
PLACEHOLDER, OPTIONAL = r"\{(\w+)\}", r"\[\[(.*?)\]\]"


def observe(key: str, line: int = 0, text: str = "", /, **values: str | int | None) -> Record:
    """The observation with a key of the table. `line` and `text` are the user's own line that proves it, if any.

    Values that are None are unknown.
    """
    from qvl_doctor.observations.sentences import SENTENCES

    sentence = SENTENCES[key]
    known = {name: plain(str(value)) for name, value in values.items() if value is not None}
    said = redact(filled(sentence.text, known))[:_LONGEST]
    shown = Line(line, redact(text)[:_LONGEST])
    return Record((shown,), said, level=sentence.level, observation=Observation(key, known, sentence.theirs))


def quoted(record: Record, lines: Sequence[str]) -> Record:
    """An observation that knows its line, with the text of that line. A text in one long line is not quoted."""
    number, text = record.lines[0]
    found = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    if text or len(found) > _LONGEST_QUOTE:
        return record
    return record._replace(lines=(Line(number, redact(found)),))


def proof(record: Record) -> tuple[Line, ...]:
    """The evidence of an observation: the user's own lines; without them, its values as facts, if it has any."""
    lines = tuple(line for line in record.lines if line.text)
    values = record.observation.values if record.observation and not lines else {}
    facts = ", ".join(f"{name} = {value}" for name, value in values.items() if value)
    return (Line(0, facts[:_LONGEST]),) if facts else lines


def is_observation(record: Record | None) -> bool:
    """Whether a record was seen outside a log."""
    return record is not None and record.level in LEVELS


def key_of(record: Record) -> str:
    """The key of an observation; "" for anything else."""
    return record.observation.key if record.observation else ""


def filled(text: str, values: Mapping[str, str]) -> str:
    """A sentence with its values. Raises KeyError if one that it needs is missing."""
    whole = re.sub(OPTIONAL, lambda part: part[1] if names(part[1]) <= values.keys() else "", text)
    return " ".join(re.sub(PLACEHOLDER, lambda found: values[found[1]], whole).split())


@cache
def names(text: str) -> frozenset[str]:
    """The placeholders of a sentence."""
    return frozenset(re.findall(PLACEHOLDER, text))


@cache
def needed(text: str) -> frozenset[str]:
    """The placeholders that a sentence cannot do without."""
    return names(re.sub(OPTIONAL, "", text))


def plain(value: str) -> str:
    """A value as one line of text, without secrets and without anything that could style a terminal."""
    value = " ".join(value.split())
    return redact(value if value.isprintable() else "".join(filter(str.isprintable, value)))[:_LONGEST]
