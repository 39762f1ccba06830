"""What was seen of a machine, as a file: to be diagnosed elsewhere, or together with a log.

Secrets are masked before anything is written. A file may come from anywhere and is not trusted: values of the wrong
kind are left out and named, texts can neither style a terminal nor be endless, and what this version does not know is
ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from qvl_doctor import __version__
from qvl_doctor.facts.kinds import fits
from qvl_doctor.logs.records import read_records
from qvl_doctor.logs.source import clean
from qvl_doctor.model import NOTHING, Fact, Record, Seen
from qvl_doctor.observations import names, needed, observe
from qvl_doctor.observations.levels import LEVELS
from qvl_doctor.observations.recalling import recalled
from qvl_doctor.observations.sentences import SENTENCES
from qvl_doctor.redaction.line import MASK, redact

SCHEMA = "qvl-doctor/env/1"
#: A machine with hundreds of packages makes a file of some ten kilobytes.
LONGEST = 16 << 20
_MOST = 5000
_LONGEST_TEXT = 4000
_DEPTH = 6
_NAME = re.compile(r"[A-Za-z_]\w{0,79}", re.ASCII)
_MADE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_VERSION = re.compile(r"\d[\w.+-]{0,39}", re.ASCII)
_OTHER = re.compile(r"qvl-doctor/env/\d{1,6}")


class EnvironmentFileError(ValueError):
    """A file that is not an environment."""


class Environment(NamedTuple):
    """What each probe saw, what it was asked for (`command`, `model`, `port`, as text), when (UTC), by which version.

    `left_out` names the facts whose values were not of their kind.
    """

    looks: Mapping[str, Seen] = NOTHING
    asked: Mapping[str, str] = NOTHING
    made: str = ""
    version: str = ""
    left_out: tuple[str, ...] = ()

    def seen(self, *without: str) -> Seen:
        """Everything that was seen, except by some probes."""
        found = Seen()
        for name, look in self.looks.items():
            if name not in without:
                found |= look
        return found


def dumps(env: Environment) -> str:
    """The file's text: sorted, one value per line, so that two files can be compared."""
    found = {
        "schema": SCHEMA,
        "version": env.version or __version__,
        "made": env.made,
        "asked": {name: redact(text) for name, text in sorted(env.asked.items())},
        "probes": {name: sorted(look.facts) for name, look in env.looks.items()},
        "facts": {name: masked(fact.value, name) for name, fact in sorted(env.seen().facts.items())},
        "observations": [
            {"probe": name, "level": each.level, "said": _said(each), "line": each.first_line, **_keyed(each)}
            for name, look in env.looks.items()
            for each in look.observations
        ],
    }
    return json.dumps(found, ensure_ascii=False, indent=2, default=str) + "\n"


def loads(text: str) -> Environment:
    """What a file says; what this version does not know is left out. Raises EnvironmentFileError."""
    if len(text) > LONGEST:
        raise EnvironmentFileError(f"longer than {LONGEST} characters")
    try:
        found = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise EnvironmentFileError(clean(str(error))[:120]) from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if isinstance(schema, str) and schema != SCHEMA and _OTHER.fullmatch(schema):
        raise EnvironmentFileError(
            f"its schema is {schema}, this is qvl-doctor {__version__}, which reads {SCHEMA}: update qvl-doctor"
        )
    if schema != SCHEMA:
        raise EnvironmentFileError(f"its schema is not {SCHEMA}")
    named = {name: value for name, value in list(_mapping(found, "facts").items())[:_MOST] if _NAME.fullmatch(name)}
    facts = {name: Fact(_tamed(value), "probe") for name, value in named.items() if fits(name, value)}
    probes = _mapping(found, "probes")
    listed = {
        str(name): {each for each in names if isinstance(each, str)}
        for name, names in probes.items()
        if isinstance(names, list)
    }
    of_none = {name: fact for name, fact in facts.items() if not any(name in names for names in listed.values())}
    observations = found.get("observations")
    said = [each for each in observations[:_MOST] if isinstance(each, dict)] if isinstance(observations, list) else []
    looks = {
        name: Seen({each: facts[each] for each in facts if each in names}, _records(said, name))
        for name, names in listed.items()
    }
    unlisted = [each for each in said if str(each.get("probe")) not in listed]
    looks[""] = looks.get("", Seen()) | Seen(of_none, _records(unlisted))
    return Environment(
        {name: look for name, look in looks.items() if name or look != Seen()},
        {
            name: _text(value)[:2000]
            for name, value in _mapping(found, "asked").items()
            if isinstance(value, str) and _NAME.fullmatch(name)
        },
        _matching(_MADE, found.get("made")),
        _matching(_VERSION, found.get("version")),
        tuple(name for name, value in named.items() if not fits(name, value)),
    )


def masked(value: Any, name: str = "", depth: int = _DEPTH) -> Any:
    """The value in JSON's own types, secrets masked by their form and by the name that they have."""
    if isinstance(value, str) and value in {"yes", "no"}:
        return value  # that there is a token (`hub_token`) is not a secret
    if isinstance(value, str):
        shown = redact(value)
        return shown if shown != value or not name or redact(f"{name}={value}") == f"{name}={value}" else MASK
    if isinstance(value, Mapping) and depth:
        return {str(key): masked(item, str(key), depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and depth:
        return [masked(item, name, depth - 1) for item in value]
    return value if value is None or isinstance(value, (bool, int, float)) else redact(str(value))


def _mapping(found: Any, key: str) -> Mapping[str, Any]:
    value = found.get(key)
    return value if isinstance(value, dict) else {}


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _text(value: str) -> str:
    return redact(clean(value[:_LONGEST_TEXT]))


def _tamed(value: Any, depth: int = _DEPTH) -> Any:
    """The value with harmless texts of bounded length and depth."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict) and depth:
        return {_text(str(key))[:200]: _tamed(item, depth - 1) for key, item in list(value.items())[:_MOST]}
    if isinstance(value, list) and depth:
        return [_tamed(item, depth - 1) for item in value[:_MOST]]
    return value if value is None or isinstance(value, (bool, int, float)) else ""


def _records(found: list[dict[str, Any]], probe: str | None = None) -> tuple[Record, ...]:
    """The observations of a probe (None: all), and what the import test printed as the records of a log."""
    mine = [
        each for each in found if isinstance(each.get("said"), str) and (probe is None or each.get("probe") == probe)
    ]
    lines = [each.get("line") for each in mine]
    numbers = [
        line if isinstance(line, int) and not isinstance(line, bool) and 0 <= line < 1 << 31 else 0 for line in lines
    ]
    return tuple(_observed(mine, numbers)) + tuple(_logged(mine))


def _observed(found: list[dict[str, Any]], lines: list[int]) -> Iterator[Record]:
    for each, line in zip(found, lines, strict=True):
        if isinstance(each.get("level"), str) and each["level"] in LEVELS:
            yield _by_key(each, line) or recalled(each["level"], clean(each["said"][:_LONGEST_TEXT]), line)


def _by_key(found: Mapping[str, Any], line: int) -> Record | None:
    """The observation by its key; None if this version lacks the sentence or the file a value: then the text counts."""
    key, given = found.get("key"), _mapping(found, "values")
    sentence = SENTENCES.get(key) if isinstance(key, str) else None
    if not isinstance(key, str) or sentence is None or sentence.level != found["level"]:
        return None
    asked = names(sentence.text)
    values = {
        name: clean(text[:_LONGEST_TEXT]) for name, text in given.items() if name in asked and isinstance(text, str)
    }
    shown = clean(found["text"][:_LONGEST_TEXT]) if isinstance(found.get("text"), str) else ""
    return observe(key, line, shown, **values) if needed(sentence.text) <= values.keys() else None


def _logged(found: list[dict[str, Any]]) -> Iterator[Record]:
    said = "\n".join(each["said"] for each in found if not each.get("level"))
    yield from read_records(redact(said[: 1 << 20]))


def _keyed(record: Record) -> dict[str, Any]:
    """Key, values and the user's own line. Older versions read only the text next to them."""
    seen, line = record.observation, record.lines[0].text
    return {"key": seen.key, "values": dict(seen.values), **({"text": line} if line else {})} if seen else {}


def _said(record: Record) -> str:
    return record.message if record.level in LEVELS else "\n".join(line.text for line in record.lines)
