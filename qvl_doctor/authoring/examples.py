"""Rules prove themselves.

Each speaks on its own examples, stays silent on its near misses, and leaves everyone else's alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from qvl_doctor import patterns
from qvl_doctor.diagnose import Diagnosing
from qvl_doctor.diagnose.conditions import applies, hit_holds
from qvl_doctor.diagnose.judging import known_of
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.facts.table import COUNT, MAP, NUMBER, kind
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import (
    LANGUAGES,
    UNRECOGNIZED,
    Diagnosis,
    Example,
    Fact,
    Finding,
    Hit,
    Record,
    Rule,
    Seen,
)
from qvl_doctor.observations import key_of, observe
from qvl_doctor.observations.sentences import SENTENCES
from qvl_doctor.report.paste import pieces
from qvl_doctor.values import as_text

#: The longest that a pattern may search a message of the greatest length.
TIME_LIMIT_S = 1.0
_MESSAGE = 16 * 1024
#: The least length of a text from which one can tell how long a search in a longer one takes.
_TELLING = 1024


class Problem(NamedTuple):
    """What an example of a rule shows to be wrong. `example` is empty for what concerns the rule as a whole."""

    path: str
    example: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.example}: {self.problem}" if self.example else f"{self.path}: {self.problem}"


class _Speakers(NamedTuple):
    """Rules that may speak on an example, ready to be matched."""

    rules: Sequence[Rule]
    matcher: Matcher


class _Said(NamedTuple):
    """What rules say about an example: the diagnosis, and the hits that the facts allow."""

    diagnosis: Diagnosis
    hits: tuple[Hit, ...]
    all_hits: tuple[Hit, ...]
    records: tuple[Record, ...]


def check_examples(
    rules: Iterable[Rule], beside: Iterable[Rule] = (), tell: Callable[[Rule], None] = lambda _: None
) -> list[Problem]:
    """All that the examples of `rules` find wrong with them, among themselves and the rules `beside` them.

    `tell` hears of each rule before it is looked at.
    """
    own = tuple(rules)
    known = {rule.id for rule in own}
    everyone = _speakers((*own, *(rule for rule in beside if rule.id not in known)))
    return [
        Problem(rule.source or f"{rule.id}.yaml", *found)
        for rule in _told(own, tell)
        for found in _check_rule(rule, everyone)
    ]


def unjudged(rules: Iterable[Rule]) -> list[Problem]:
    """Sentences of the table on which no rule's example speaks: whoever says one would not be heard."""
    heard = {key_of(each) for rule in rules for example in rule.matches for each in seen_of(example).observations}
    path = "observations/sentences.py"
    return [Problem(path, key, "no example of a rule has it") for key in SENTENCES if key not in heard]


def slow_patterns(rules: Iterable[Rule], tell: Callable[[Rule], None] = lambda _: None) -> list[Problem]:
    """Patterns that take too long on a text made to hurt them. `tell` hears of each rule before it is looked at."""
    return [
        Problem(rule.source or f"{rule.id}.yaml", "", f"match[{number}]: the pattern '{pattern[:60]}' {problem}")
        for rule in _told(rules, tell)
        for number, item in enumerate(rule.match)
        for pattern in (item.message, item.frame)
        if pattern
        for problem in _slowness(pattern)
    ]


def facts_of(example: Example) -> dict[str, Fact]:
    """The facts of an example, with the types that a log's reader gives them."""
    return {name: Fact(_typed(value, name), "log") for name, value in example.facts.items()}


def seen_of(example: Example) -> Seen:
    """What an example says was seen next to the log: an observation, and the command.

    A command that cannot be read says nothing.
    """
    seen = Seen(observations=(observe(example.observation, **example.values),) if example.observation else ())
    if not example.command:
        return seen
    from qvl_doctor.launch.command import LaunchError
    from qvl_doctor.launch.observing import observe_text

    try:
        return seen | observe_text(example.command, str(example.facts.get("vllm", "")))
    except LaunchError:
        return seen


def fix_lines(finding: Finding) -> tuple[str, ...]:
    """The changes of a finding's fixes as a user would paste them, one a line. A flag to remove is `remove --flag`."""
    found = (piece for fix in finding.fixes for piece in pieces(fix.change))
    return tuple(f"remove {piece}" if piece.kind == "remove" else str(piece) for piece in found)


def _told(rules: Iterable[Rule], tell: Callable[[Rule], None]) -> Iterator[Rule]:
    for rule in rules:
        tell(rule)
        yield rule


def _speakers(rules: Sequence[Rule]) -> _Speakers:
    return _Speakers(rules, Matcher(rules))


def _check_rule(rule: Rule, everyone: _Speakers) -> Iterator[tuple[str, str]]:
    only = _speakers([rule])
    for example in rule.matches:
        alone = _said(example, only)
        finding = next((finding for finding in alone.diagnosis.findings if finding.rule == rule.id), None)
        if finding is None:
            yield example.name, _why_silent(alone)
            continue
        yield from ((example.name, problem) for problem in _differences(example, finding, alone))
        yield from ((example.name, problem) for problem in _others(rule, example, everyone))
    for example in rule.silent:
        if any(finding.rule == rule.id for finding in _said(example, only).diagnosis.findings):
            yield example.name, "speaks, and must be silent"


def _said(example: Example, speakers: _Speakers) -> _Said:
    seen = seen_of(example)
    engine = Diagnosing(speakers.rules, facts_of(example), seen, speakers.matcher)
    records = tuple(sorted(read_records(example.log), key=lambda record: record.first_line))
    hits = (*engine.feed(records), *speakers.matcher.feed(seen.observations))
    diagnosis = engine.finish(example.name)
    allowed = (
        hit
        for hit in hits
        if hit_holds(hit, diagnosis.facts) and applies(hit.rule.applies, known_of(hit, diagnosis.facts)) is not False
    )
    return _Said(diagnosis, tuple(allowed), hits, records)


def _why_silent(said: _Said) -> str:
    if said.hits:
        return (
            "is silent, though its pattern and facts hold: a record after a shutdown that was asked for does not count"
        )
    if said.all_hits:
        facts = {name: as_text(fact.value) for name, fact in said.diagnosis.facts.items()}
        hit = said.all_hits[0]
        asked = {**hit.condition.facts, **hit.rule.applies}
        seen = {name: hit.phase if name == "phase" else facts.get(name, "not known") for name in asked}
        return f"is silent: its pattern matches, but it asks for {_shown(asked)}, and the facts are {_shown(seen)}"
    read = "; ".join(
        f"{record.exception + ': ' if record.exception else ''}{record.message[:100]}" for record in said.records[-3:]
    )
    return f"is silent; the last of {len(said.records)} records: {read or 'none'}"


def _differences(example: Example, finding: Finding, said: _Said) -> Iterator[str]:
    """What an example states and the finding is not."""
    captures = next((dict(hit.captures) for hit in _best_first(said.hits)), {})
    if example.captures is not None and captures != dict(example.captures):
        yield f"captures {_shown(captures)}, not {_shown(example.captures)}"
    lines = fix_lines(finding)
    if example.fixes is not None and lines != example.fixes:
        yield f"its fixes are {' | '.join(lines) or 'without a change'}, not {' | '.join(example.fixes)}"
    if not finding.fixes:
        yield "shows no fix: all of them lack a value or do not apply"
    for field, text in (("title", finding.title), ("why", finding.why)):
        if not all(text.get(language) for language in LANGUAGES):
            yield f"its {field} is empty: a value in it is not known"


def _others(rule: Rule, example: Example, everyone: _Speakers) -> Iterator[str]:
    """Rules that speak on an example of another without being linked to it, and ties."""
    said = _said(example, everyone)
    rules = {other.id: other for other in everyone.rules}
    spoken = [finding.rule for finding in said.diagnosis.findings]
    if rule.id not in spoken:
        yield (
            f"loses its example to {', '.join(spoken)}; write more conditions, or 'before: [{spoken[0]}]'"
            if spoken
            else "is silent beside the others"
        )
    for name in spoken:
        if name not in {rule.id, UNRECOGNIZED} and not _linked(rule, rules[name]):
            yield f"'{name}' speaks here, too, and neither explains the other"
    for one, other in _ties(said.hits):
        yield f"'{one}' and '{other}' tie on a record: one of them says 'before: [{other}]' or '[{one}]'"


def _linked(rule: Rule, other: Rule) -> bool:
    return rule.id in other.explains or other.id in rule.explains or rule.symptom or other.symptom


def _ties(hits: Iterable[Hit]) -> list[tuple[str, str]]:
    """Pairs of rules of which nothing says who wins a record that both could win."""
    by_record: dict[int, dict[str, Hit]] = {}
    for hit in _best_first(hits):
        by_record.setdefault(id(hit.record), {}).setdefault(hit.rule.id, hit)
    pairs = set()
    for found in by_record.values():
        leading = [hit for hit in found.values() if not any(_beats(other, hit) for other in found.values())]
        pairs |= {(one.rule.id, other.rule.id) for one, other in combinations(leading, 2)}
    return sorted(pairs)


def _beats(hit: Hit, other: Hit) -> bool:
    if other.rule.id in hit.rule.before or hit.rule.id in other.rule.before:
        return other.rule.id in hit.rule.before
    if hit.rule.symptom != other.rule.symptom:
        return other.rule.symptom
    return hit.condition.weight > other.condition.weight


def _best_first(hits: Iterable[Hit]) -> list[Hit]:
    return sorted(hits, key=lambda hit: -hit.condition.weight)


def _typed(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_typed(item) for item in value]
    if not isinstance(value, str) or (name and kind(name) not in {COUNT, NUMBER, MAP}):
        return value
    if re.fullmatch(r"-?\d{1,18}", value):
        return int(value)
    return float(value) if re.fullmatch(r"-?\d{1,18}\.\d{1,18}", value) else value


def _shown(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value!r}" for name, value in values.items()) or "nothing"


def _slowness(pattern: str) -> Iterator[str]:
    """What makes a pattern slow.

    The texts grow, so that even a search that takes cubic time ends soon after the limit.
    """
    if patterns.begins_open(pattern):
        yield "begins with something of any length, which is tried at every character; put '\\b' before it, or say how long it may be"
        return
    compiled = re.compile(pattern, re.IGNORECASE)
    telling = max(_TELLING, 4 * patterns.shortest(pattern))
    for pump in dict.fromkeys(patterns.pumps(pattern)):
        if _takes_long(compiled, pump * (_MESSAGE // len(pump) + 1), telling):
            yield f"takes more than {TIME_LIMIT_S} s: {pump[:60]}…"
            return


def _takes_long(compiled: re.Pattern[str], text: str, telling: int) -> bool:
    """Whether a search in the whole text takes too long.

    From the length `telling` on, longer texts are left out if their time could grow with the fourth power and keep the
    limit.
    """
    for size in (_MESSAGE >> shift for shift in range(8, -1, -1)):
        took = _seconds(compiled, text[:size])
        if took > TIME_LIMIT_S:
            return True
        if size >= telling and took * (_MESSAGE / size) ** 4 < TIME_LIMIT_S:
            return False
    return False


def _seconds(compiled: re.Pattern[str], text: str) -> float:
    began = time.process_time()
    compiled.search(text)
    return time.process_time() - began
