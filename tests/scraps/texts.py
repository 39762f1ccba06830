"""Failures to transform: whole logs, and what each rule has as its example, with what they lead to as they are."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from scraps.transformations import Scrap

from qvl_doctor import rulebook
from qvl_doctor.authoring.examples import facts_of
from qvl_doctor.diagnose import Diagnosing
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.logs.records import LogReader
from qvl_doctor.model import Diagnosis, Facts, Rule

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
#: Pydantic's last line says nothing of the failure.
_EMPTY_WORDS = "For further information visit"


class Text(NamedTuple):
    """A text that shows a failure, what is known besides it, and its answer.

    `tells`: one line of it is enough for that.
    """

    name: str
    scrap: Scrap
    known: Facts
    rule: str
    verdict: str
    tells: bool


@cache
def rules() -> tuple[Rule, ...]:
    return rulebook.shipped()


@cache
def _matcher() -> Matcher:
    return Matcher(rules())


def look(data: bytes, known: Facts) -> Diagnosis:
    """The diagnosis of an input."""
    engine, reader = Diagnosing(rules(), known, matcher=_matcher()), LogReader()
    engine.feed(reader.feed(data))
    engine.feed(reader.flush())
    return engine.finish("-")


@cache
def texts() -> tuple[Text, ...]:
    """All failures with a cause of their own."""
    logs: list[tuple[str, str, Facts]] = [
        (path.name, path.read_text(encoding="utf-8"), {}) for path in sorted(FIXTURES.glob("failed/*.log"))
    ]
    logs += [(path.name, path.read_text(encoding="utf-8"), {}) for path in sorted(FIXTURES.glob("article/*.log"))]
    everyone, _ = rulebook.read(rulebook.rules_folder())
    logs += [
        (f"{rule.id}: {example.name}", example.log, facts_of(example))
        for rule in everyone
        for example in rule.matches
        if example.log and not example.observation and not example.command
    ]
    return tuple(text for log in logs if (text := _text(*log)) is not None)


def _text(name: str, log: str, known: Facts) -> Text | None:
    found = look(log.encode(), known)
    if not found.findings or found.findings[0].role != "cause":
        return None
    first = found.findings[0]
    lines = log.removesuffix("\n").split("\n")
    telling = frozenset(
        line.number - 1 for line in first.evidence if 0 < line.number <= len(lines) and _EMPTY_WORDS not in line.text
    )
    alone = (look(lines[index].encode(), known).findings for index in telling)
    tells = any(findings and findings[0].rule == first.rule for findings in alone)
    return Text(name, Scrap(lines, telling), known, first.rule, found.verdict, tells) if telling else None
