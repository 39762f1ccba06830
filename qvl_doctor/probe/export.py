"""What was seen of a machine, as a file: to be diagnosed elsewhere, or beside a log. Secrets are masked before anything is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qvl_doctor import __version__
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.observations import LEVELS, observe
from qvl_doctor.redact import redact

SCHEMA = "qvl-doctor/env/1"
_LONGEST = 16 << 20
_MOST = 5000


class EnvironmentFileError(ValueError):
    """A file that is no environment."""


def dumps(seen: Seen) -> str:
    """The file's text: sorted, one value a line, so that two of them can be compared."""
    observations = [{"level": each.level, "said": _said(each), "line": each.first_line} for each in seen.observations]
    facts = {name: _masked(fact.value) for name, fact in sorted(seen.facts.items())}
    found = {"schema": SCHEMA, "version": __version__, "facts": facts, "observations": observations}
    return json.dumps(found, ensure_ascii=False, indent=2, default=str) + "\n"


def loads(text: str) -> Seen:
    """What a file says. Raises EnvironmentFileError. What this version does not know is left out."""
    if len(text) > _LONGEST:
        raise EnvironmentFileError(f"longer than {_LONGEST} characters")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EnvironmentFileError(str(error)[:120]) from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise EnvironmentFileError(f"its schema is not {SCHEMA}")
    facts = found.get("facts")
    observations = found.get("observations")
    return Seen(_facts(facts if isinstance(facts, dict) else {}), tuple(_records(observations if isinstance(observations, list) else [])))


def _facts(found: Mapping[str, Any]) -> dict[str, Fact]:
    plain = {name: value for name, value in list(found.items())[:_MOST] if isinstance(value, (str, int, float, bool, dict))}
    return {str(name)[:80]: Fact(redact(value)[:4000] if isinstance(value, str) else value, "probe") for name, value in plain.items()}


def _records(found: list[Any]) -> list[Record]:
    """Observations again, and what the import test said as the records of a log."""
    records: list[Record] = []
    said: list[str] = []
    for each in found[:_MOST]:
        if not isinstance(each, dict) or not isinstance(each.get("said"), str):
            continue
        line = each.get("line")
        if each.get("level") in LEVELS:
            records.append(observe(each["level"], each["said"], line if isinstance(line, int) else 0))
        elif not each.get("level"):
            said.append(each["said"])
    return [*records, *read_records(redact("\n".join(said))[: 1 << 20])]


def _said(record: Record) -> str:
    return record.message if record.level in LEVELS else "\n".join(line.text for line in record.lines)


def _masked(value: Any) -> Any:
    return redact(value) if isinstance(value, str) else value
