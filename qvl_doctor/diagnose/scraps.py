"""A second look at what the first one could not place: known texts without their frame, in a sentence, or cut off.

It is taken only where a run shows neither a cause nor a sign of life. It never reads what was logged as a warning or
below, nor what users wrote, and what it finds is at most likely.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from qvl_doctor import patterns
from qvl_doctor.diagnose.conditions import facts_hold
from qvl_doctor.diagnose.cut import part
from qvl_doctor.model import Condition, Facts, Hit, Line, Record, Rule

#: Literal words of a pattern that speak for themselves: with its exception's name, without it or a frame, without both.
_WORDS = (3, 4, 5)
_MAX_TEXT = 16 * 1024
_MAX_RECORDS = 60
_MAX_EVIDENCE = 4
_CLASS = r"(?<![\w.])(?P<name>(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exceeded|OutOfResources|NotFound|Timeout))"
_NAME = re.compile(rf"{_CLASS}\b")
#: How processes and clients put someone else's error into their own.
_REPEATED = re.compile(
    r"Worker failed with error|Failed core proc|Error code: \d{3}|status code: \d{3}|\"message\":|'message':"
)
_RAISED = re.compile(rf"{_CLASS}[`*_]{{0,3}}: (?P<said>.{{1,400}})")


class Passage(NamedTuple):
    """Neighbouring records that no one placed, as one text. `places` are the offsets of the lines in it."""

    text: str
    glued: str
    lines: tuple[Line, ...]
    places: tuple[int, ...]
    record: Record

    @property
    def headed(self) -> bool:
        """Whether the text begins where someone logged or raised it."""
        return bool(self.record.file or self.record.exception)


class _Found(NamedTuple):
    """A condition that a passage holds, and where. `bare`: its frame could not be asked for."""

    rule: Rule
    item: Condition
    captures: Mapping[str, str]
    start: int
    end: int
    words: int
    bare: bool = False


def second_look(records: Iterable[Record], rules: Iterable[Rule], facts: Facts) -> list[Hit]:
    """What rules say about the records when nothing anchors them."""
    pairs = [(rule, item) for rule in rules for item in rule.match if item.message and not item.observation]
    return [hit for passage in passages(records) for hit in _hits(passage, pairs, facts)]


def passages(records: Iterable[Record]) -> Iterator[Passage]:
    """The records in their order; those that follow each other without a prefix belong together."""
    run: list[Record] = []
    for record in records:
        if run and not _follows(run[-1], record, len(run)):
            yield _passage(run)
            run = []
        run.append(record)
    if run:
        yield _passage(run)


def _follows(before: Record, record: Record, length: int) -> bool:
    if record.level or record.frames or length >= _MAX_RECORDS or record.first_line - before.last_line > 2:
        return False
    return (record.process, record.file) == (before.process, before.file)


def _passage(run: Sequence[Record]) -> Passage:
    lines = tuple(line for record in run for line in record.lines)
    texts = [" ".join(line.text.split()) for line in lines]
    places = [0]
    for text in texts[:-1]:
        places.append(places[-1] + len(text) + 1)
    raised = next((record for record in run if record.exception), run[0])
    frames = tuple(frame for record in run for frame in record.frames)
    glued = " ".join("".join([line.text for line in lines]).split())[:_MAX_TEXT] if len(lines) > 1 else ""
    return Passage(
        " ".join(texts)[:_MAX_TEXT], glued, lines, tuple(places), raised._replace(lines=lines, frames=frames)
    )


def _hits(passage: Passage, pairs: Sequence[tuple[Rule, Condition]], facts: Facts) -> Iterator[Hit]:
    lowered = f"{passage.text}\n{passage.glued}".lower()
    allowed = [(rule, item) for rule, item in pairs if _allowed(item, passage)]
    found = [
        held
        for rule, item in allowed
        if all(literal in lowered for literal in item.literals)
        and (held := _whole(rule, item, passage, facts)) is not None
    ]
    for held in _decided(found) or _longest(_parts(passage, allowed), facts):
        yield Hit(held.rule, held.item, passage.record, held.captures, _evidence(passage, held), loose=True)


def _allowed(item: Condition, passage: Passage) -> bool:
    """Whether the passage shows no other exception and no other frame than the condition asks for."""
    names = _names(passage) if item.exception else ()
    if names and not any(_is_named(item.exception, name) for name in names):
        return False
    frames = passage.record.frames
    return not (item.frame and frames) or any(
        _compiled(item.frame).search(f"{frame.file}:{frame.function}") for frame in frames
    )


def _names(passage: Passage) -> frozenset[str]:
    """The exceptions that the passage names; none where another program repeats what one of them said."""
    if passage.record.exception and _REPEATED.search(passage.text):
        return frozenset(_NAME.findall(passage.text)) - {passage.record.exception}
    own = passage.record.exception
    return frozenset([own] if own else _NAME.findall(passage.text))


def _is_named(pattern: str, name: str) -> bool:
    return any(_compiled(pattern).fullmatch(said) for said in (name, name.rpartition(".")[2]))


def _whole(rule: Rule, item: Condition, passage: Passage, facts: Facts) -> _Found | None:
    """A condition whose whole message is in the passage, whatever is around it."""
    bare = bool(item.frame) and not passage.record.frames
    nameless = bool(item.exception) and not _names(passage)
    words = _literal_words(item.message)
    if words < _WORDS[bare + nameless]:
        return _few_words(rule, item, passage, facts)
    pattern = _compiled(_unanchored(item.message, headed=passage.headed))
    found = pattern.search(passage.text)
    if found is not None:
        return _Found(rule, item, _groups(found), found.start(), found.end(), words, bare)
    found = pattern.search(passage.glued) if passage.glued else None
    return None if found is None else _Found(rule, item, _groups(found), 0, len(passage.text), words, bare)


def _few_words(rule: Rule, item: Condition, passage: Passage, facts: Facts) -> _Found | None:
    """A pattern that says little holds only for the whole message of its exception, if that is something known."""
    if not item.exception or not item.message.startswith("^") or item.message == "^$":
        return None
    pattern = _compiled(item.message.removesuffix("$"))
    words = _literal_words(item.message)
    for raised in _RAISED.finditer(passage.text):
        found = pattern.match(raised["said"]) if _is_named(item.exception, raised["name"]) else None
        if found is not None and (words or _known(rule, _groups(found), facts)):
            end = raised.start("said") + found.end()
            return _Found(rule, item, _groups(found), raised.start(), end, words, bare=True)
    return None


def _known(rule: Rule, captures: Mapping[str, str], facts: Facts) -> bool:
    """Whether a remedy of the rule has an answer to what was captured."""
    from qvl_doctor import remedies
    from qvl_doctor.rulebook import complete

    named = (remedies.find(template.remedy) for template in complete(rule).fixes if template.remedy)
    return any(remedy is not None and remedy(dict(captures), facts) is not None for remedy in named)


def _decided(found: Sequence[_Found]) -> list[_Found]:
    """Without the conditions that only a frame, which is not there, could tell apart.

    Where one of the same words asks for no frame, that one holds.
    """
    bare: dict[tuple[int, int], dict[str, _Found]] = {}
    whole = {(held.start, held.end) for held in found if not held.bare}
    for held in found:
        if held.bare:
            bare.setdefault((held.start, held.end), {})[held.rule.id] = held
    return [
        held
        for held in found
        if not held.bare or ((held.start, held.end) not in whole and _stands_out(held, bare[held.start, held.end]))
    ]


def _stands_out(held: _Found, others: Mapping[str, _Found]) -> bool:
    """Whether a rule says more than all the others that hold here, and says that it goes before them."""
    said = [other.item.message for name, other in others.items() if name != held.rule.id]
    return held.item.message not in said and _goes_first(
        held.rule, {name: other.rule for name, other in others.items()}
    )


def _goes_first(rule: Rule, others: Mapping[str, Rule]) -> bool:
    """Whether a rule says that it goes before all the others that hold here."""
    return all(name == rule.id or name in rule.before for name in others)


def _parts(passage: Passage, pairs: Iterable[tuple[Rule, Condition]]) -> Iterator[_Found]:
    for rule, item in pairs:
        held = part(item.message, passage.text, headed=passage.headed)
        if held is not None:
            yield _Found(rule, item, {}, *held, bare=bool(item.frame) and not passage.record.frames)


def _longest(found: Iterable[_Found], facts: Facts) -> list[_Found]:
    """The rule that knows most of a text that was cut off.

    None if two know the same and nothing tells which goes first.
    """
    held = [each for each in found if facts_hold(each.item.facts, facts)]
    best = min(map(_rank, held), default=None)
    first = {each.rule.id: each for each in held if _rank(each) == best}
    return [each for each in first.values() if _goes_first(each.rule, {name: one.rule for name, one in first.items()})]


def _rank(found: _Found) -> tuple[int, bool, int]:
    return (-found.words, found.bare, -found.item.weight)


def _evidence(passage: Passage, found: _Found) -> tuple[Line, ...]:
    """The lines over which the match goes."""
    ends = (*passage.places[1:], len(passage.text) + 1)
    held = [
        line
        for line, start, end in zip(passage.lines, passage.places, ends, strict=True)
        if start < found.end and found.start < end and line.text.strip()
    ]
    return tuple(held[:_MAX_EVIDENCE])


def _groups(found: re.Match[str]) -> dict[str, str]:
    return {name: text for name, text in found.groupdict().items() if text is not None}


def _unanchored(pattern: str, *, headed: bool) -> str:
    """The pattern without its anchors.

    Where the text begins as it was logged, it may only begin again within quotes.
    """
    bare = pattern.removeprefix("^")
    begun = "(?:^|[\"'`(] ?)" if headed and bare != pattern else ""
    if bare.endswith("$") and not bare.endswith("\\$"):
        bare = bare[:-1] + "(?:$|[\"'`)}\\]]|[.,;] )"
    return begun + bare


@lru_cache(maxsize=4096)
def _literal_words(pattern: str) -> int:
    return patterns.literal_words(pattern)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
