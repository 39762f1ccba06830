"""Which catalogued texts each rule matches, in which releases, and which of them a newer release reworded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from catalogue import Catalogue, Row
from mine_messages import TEXT
from pattern_search import FLAG, Index, Machine, words

from qvl_doctor.model import NOTHING, Condition, Rule
from qvl_doctor.versions import satisfies

#: How much two texts have in common, word by word, if one is the other reworded. Short ones ("Unknown … type: …") are
#: alike by nature.
ALIKE = 0.72
ALIKE_IF_SHORT = 0.85
SHORT = 7


class Item(NamedTuple):
    """One message pattern of a rule.

    The releases for which it is meant, and the texts that it matches, in whatever release.
    """

    rule: Rule
    number: int
    claimed: frozenset[str]
    rows: tuple[Row, ...]

    @property
    def found(self) -> frozenset[str]:
        """The releases with such a text."""
        return frozenset().union(*(row.releases for row in self.rows))

    @property
    def seen(self) -> frozenset[str]:
        """The releases with such a text for which it is meant."""
        return self.found & self.claimed

    @property
    def pattern(self) -> str:
        return self.rule.match[self.number].message


class Reworded(NamedTuple):
    """A text that a rule matches and that is gone, and a later one that reads like it and that no rule matches."""

    rule: str
    old: Row
    new: Row


def items_of(rules: Iterable[Rule], catalogue: Catalogue) -> list[Item]:
    """Every message pattern of the rules, held against the catalogue.

    Patterns that stand in several rules are looked up once.
    """
    printed = [_as_printed(row) for row in catalogue.rows]
    index = Index(printed)
    known: dict[str, tuple[Row, ...]] = {}
    items = []
    for rule in rules:
        for number, condition in enumerate(rule.match):
            if not condition.message:
                continue
            if condition.message not in known:
                machine = Machine(condition.message)
                near = index.near(condition.message)
                known[condition.message] = tuple(
                    catalogue.rows[place] for place in near if machine.filled(printed[place])
                )
            rows = tuple(row for row in known[condition.message] if _is_said_so(condition, row))
            items.append(Item(rule, number, _claimed(rule, condition, catalogue.releases), rows))
    return items


def seen_in(items: Iterable[Item]) -> dict[str, frozenset[str]]:
    """The releases that have a text of each rule, and for which the rule is meant.

    None for texts that are not vLLM's.
    """
    seen: dict[str, frozenset[str]] = {}
    for item in items:
        seen[item.rule.id] = seen.get(item.rule.id, frozenset()) | item.seen
    return seen


def reworded(
    items: Sequence[Item], catalogue: Catalogue, others: Mapping[str, frozenset[str]] = NOTHING
) -> Iterator[Reworded]:
    """Texts that a newer release changed so that the rule no longer sees them, and neither does another rule.

    `others` are texts by rule of which somebody knows that they only read alike.
    """
    matched = {row.text for item in items for row in item.rows}
    place = {release: number for number, release in enumerate(catalogue.releases)}
    begins = {row.text: min(place[release] for release in row.releases) for row in catalogue.rows}
    by_word: dict[str, list[Row]] = {}
    for row in catalogue.rows:
        for word in words(row.text):
            by_word.setdefault(word, []).append(row)
    for (rule, _), (old, claimed) in _gone(items, catalogue.releases[-1]).items():
        last = max(place[release] for release in old.releases)
        later = [row for row in _alike(old, by_word) if begins[row.text] > last and row.releases & claimed]
        unknown = [row for row in later if row.text not in others.get(rule, ())]
        if unknown and not any(row.text in matched for row in later):
            yield Reworded(rule, old, unknown[0])


def _gone(items: Iterable[Item], newest: str) -> dict[tuple[str, str], tuple[Row, frozenset[str]]]:
    """The matched texts that the newest release lacks, by rule and text, with the releases that the rule is for."""
    return {
        (item.rule.id, row.text): (row, item.claimed)
        for item in items
        for row in item.rows
        if newest not in row.releases and row.releases & item.claimed
    }


def _alike(old: Row, by_word: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Texts that read like another one, the closest first."""
    wanted = words(old.text)
    shared = Counter(row for word in wanted for row in by_word[word])
    said = _spelled(old.text)
    near = {}
    for row, count in shared.items():
        if count * 2 >= len(wanted) and row.text != old.text:
            likeness = SequenceMatcher(None, said, _spelled(row.text), autojunk=False).ratio()
            if likeness >= (ALIKE if len(said) >= SHORT else ALIKE_IF_SHORT):
                near[row] = likeness
    return sorted(near, key=lambda row: -near[row])


def _spelled(text: str) -> list[str]:
    return re.findall(r"\w+|\{\}", text.lower())


def _claimed(rule: Rule, condition: Condition, releases: Iterable[str]) -> frozenset[str]:
    """The releases for which a pattern is meant: those that `applies` of its rule and its own facts allow."""
    asked = [spec for spec in (rule.applies.get("vllm"), condition.facts.get("vllm")) if spec]
    return frozenset(release for release in releases if all(satisfies(release, spec) for spec in asked))


def _as_printed(row: Row) -> str:
    """A text with what always stands before it: argparse says which argument a type refused."""
    return f"argument {FLAG}: {row.text}" if "ArgumentTypeError" in row.kinds else row.text


def _is_said_so(condition: Condition, row: Row) -> bool:
    """Whether the source raises or logs a text as the condition asks for, as far as the source says it on the spot."""
    if TEXT in row.kinds:
        return True
    levels = [kind.partition(":")[2] for kind in row.kinds if kind.startswith("log:")]
    classes = [kind for kind in row.kinds if not kind.startswith("log:")]
    if condition.exception:
        # A pattern may ask for a class with its module.
        return any(
            re.fullmatch(condition.exception, name, re.IGNORECASE) or name in condition.exception for name in classes
        )
    names = ["ERROR" if level == "exception" else level for level in levels]
    return (
        not condition.level
        or bool(classes)
        or any(re.fullmatch(condition.level, name, re.IGNORECASE) for name in names)
    )
