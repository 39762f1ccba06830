"""Rules on records, first step: which conditions hold for which record. It streams, and knows no facts.

A record is searched only for conditions whose literals occur in the batch that it came with, so that most rules cost
one substring test a batch. Patterns of the shipped rules are compiled by `re`; those of other people's rules run in
`regex` under a time limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from qvl_doctor.diagnose.conditions import values_hold
from qvl_doctor.late import late_pattern
from qvl_doctor.model import Condition, Hit, Line, Observation, Record, Rule
from qvl_doctor.observations import proof

TIME_LIMIT_S = 0.1
_MAX_EVIDENCE = 4
#: So many hits of a rule are kept at either end where there are very many.
_FEW = 50
_NAMES = late_pattern(r"\w+(?:\|\w+)*")


class _Pair(NamedTuple):
    """A condition of a rule, and the literal that is looked for first: the longest, or "" where it has none.

    `word` is between two spaces in it, and so a whole word of every text that holds the literal; "" if there is none.
    `raised`: only what was raised, or where, can meet the condition.
    """

    first: str
    word: str
    raised: bool
    rule: Rule
    condition: Condition


class Matcher:
    """Records in, hits out: every condition that holds for a record, facts apart."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = tuple(rules)
        self._pairs = [
            _pair(rule, item) for rule in rules for item in rule.match if item.message or item.exception or item.frame
        ]
        self._by_key: dict[str, list[tuple[Rule, Condition]]] = {}
        for rule in rules:
            for item in rule.match:
                if item.observation:
                    self._by_key.setdefault(item.observation, []).append((rule, item))
        self._compiled: dict[tuple[str, bool], Any] = {}

    def feed(self, records: Iterable[Record], phase: Callable[[Record], str] = lambda _: "") -> list[Hit]:
        """The hits of a batch of records, in their order. `phase` tells where in the start a record belongs."""
        batch = list(records)
        texts = [_searched(record) for record in batch]
        whole = " ".join(texts)
        # Most words of the rules are not in the batch, and asking for one costs a hundredth of looking for a literal.
        words = {"", *whole.replace("\n", " ").split(" ")}
        live = [pair for pair in self._pairs if pair.word in words and pair.first in whole]
        hits: list[Hit] = []
        for record, said in zip(batch, texts, strict=True):
            if record.observation:
                hits += self._observed(record, record.observation)
            raised = bool(record.exception or record.frames)
            for pair in live:
                if pair.first not in said or (pair.raised and not raised):
                    continue
                captures = self._holds(pair, record, said)
                if captures is not None:
                    hits.append(
                        Hit(pair.rule, pair.condition, record, captures, evidence(record, captures), phase(record))
                    )
        return hits

    def _observed(self, record: Record, seen: Observation) -> Iterator[Hit]:
        """The rules on the key of an observation. Nothing is taken apart: what they capture is its values."""
        for rule, item in self._by_key.get(seen.key, ()):
            if values_hold(item.values, seen.values):
                yield Hit(rule, item, record, seen.values, proof(record))

    def _holds(self, pair: _Pair, record: Record, said: str) -> Mapping[str, str] | None:
        """The named groups if the condition holds, otherwise None."""
        item, own = pair.condition, bool(pair.rule.source)
        if (item.exception and not record.exception) or (item.frame and not record.frames):
            return None
        if not all(literal in said for literal in item.literals):
            return None
        if item.level and not self._whole(item.level, record.level, own):
            return None
        if item.exception and not any(self._whole(item.exception, name, own) for name in _names(record.exception)):
            return None
        found = [self._said(item.message, record, own)] if item.message else []
        if item.frame:
            frames = (
                self._search(item.frame, f"{frame.file}:{frame.function}", own) for frame in reversed(record.frames)
            )
            found.append(next((frame for frame in frames if frame is not None), None))
        if None in found:
            return None
        return {name: text for groups in found for name, text in groups.groupdict().items() if text is not None}

    def _said(self, pattern: str, record: Record, own: bool) -> Any:
        """The match in the message, read with a space or with nothing in place of its line breaks."""
        found = self._search(pattern, record.message, own)
        return self._search(pattern, record.unwrapped, own) if found is None and record.unwrapped else found

    def _pattern(self, pattern: str, own: bool) -> Any:
        compiled = self._compiled.get((pattern, own))
        if compiled is None:
            if own:
                import regex

                compiled = regex.compile(pattern, regex.IGNORECASE)
            else:
                compiled = re.compile(pattern, re.IGNORECASE)
            self._compiled[pattern, own] = compiled
        return compiled

    def _search(self, pattern: str, text: str, own: bool) -> Any:
        compiled = self._pattern(pattern, own)
        if not own:
            return compiled.search(text)
        try:
            return compiled.search(text, timeout=TIME_LIMIT_S)
        except TimeoutError:
            return None

    def _whole(self, pattern: str, text: str, own: bool) -> bool:
        if _NAMES.fullmatch(pattern):  # `ValueError|KeyError`, as most are, needs no pattern of its own
            return text.lower() in pattern.lower().split("|")
        return self._pattern(pattern, own).fullmatch(text) is not None


def thinned(hits: Sequence[Hit]) -> list[Hit]:
    """Of each rule the first and the last hits; the last of the first ones stands for all between them (`times`).

    The first show how it began, and the last whether it still goes on.
    """
    of_rule: dict[str, list[int]] = {}
    for place, hit in enumerate(hits):
        of_rule.setdefault(hit.rule.id, []).append(place)
    kept: dict[int, Hit] = {}
    for places in of_rule.values():
        gone = places[_FEW:-_FEW]
        kept |= {place: hits[place] for place in (places if not gone else places[:_FEW] + places[-_FEW:])}
        if gone:
            stands = places[_FEW - 1]
            kept[stands] = hits[stands]._replace(times=sum(hits[place].times for place in (stands, *gone)))
    return [kept[place] for place in sorted(kept)]


def _pair(rule: Rule, item: Condition) -> _Pair:
    first = item.literals[0] if item.literals else ""
    return _Pair(
        first, max(first.split(" ")[1:-1], key=len, default=""), bool(item.exception or item.frame), rule, item
    )


def _searched(record: Record) -> str:
    """The text of a record in which patterns are looked for, in lower case; of a sentence of our own there is none."""
    if record.observation and not record.observation.theirs:
        return ""
    return f"{record.message}\n{record.unwrapped}".lower() if record.unwrapped else record.message.lower()


def evidence(record: Record, captures: Mapping[str, str]) -> tuple[Line, ...]:
    """The lines of a record that prove a finding: of a traceback, what was raised and where.

    Of anything else, its lines.
    """
    lines = record.lines
    if record.observation:
        return proof(record)
    if not record.frames and not record.exception:
        return _telling(lines, captures)
    start = next(
        (index for index in range(len(lines) - 1, -1, -1) if _raises(lines[index].text, record)), len(lines) - 1
    )
    said = lines[start : start + _MAX_EVIDENCE]
    return said[:1] + tuple(
        line for line in said[1:] if any(text in line.text for text in captures.values() if len(text) > 1)
    )


def _names(exception: str) -> tuple[str, str]:
    """An exception's class with and without its module."""
    return exception, exception.rpartition(".")[2]


def _raises(text: str, record: Record) -> bool:
    if record.exception and text.startswith(record.exception):
        return True
    return bool(record.message) and text.strip().startswith(record.message[:40])


def _telling(lines: tuple[Line, ...], captures: Mapping[str, str]) -> tuple[Line, ...]:
    if len(lines) <= _MAX_EVIDENCE:
        return lines
    holding = [line for line in lines if any(text and text in line.text for text in captures.values())]
    return tuple((holding or list(lines))[:_MAX_EVIDENCE])
