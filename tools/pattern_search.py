"""Whether a pattern of a rule can match a text of the catalogue, if its gaps are filled in the right way.

`{}` can be anything, `{flag}` any flag.

Trying samples in the gaps misses what nobody thought of (a text with a size, a path and a list in it), so the gaps are
filled by the pattern itself: its states are walked together with the letters of the text, and inside a gap it may take
whatever it likes. What it likes is bounded: a gap that swallowed most of a pattern's own words would match everything.
The filled text is then searched by `re`, which has the last word.
"""

from __future__ import annotations

import heapq
import importlib
import math
import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mine_messages import GAP

from qvl_doctor import patterns

#: So much of a pattern's own letters may stand in gaps, and so many must then stand in the text: names of flags and
#: classes are filled in, whole sentences are not. Found by looking at all matches that the rules have: looser ones are
#: chance, stricter ones lose true ones.
SHARE_IN_GAPS = 1 / 4
LEAST_IN_TEXT = 21
#: No repeat is unrolled further; `re` counts in the end.
_MOST_COPIES = 20
_FILLING = "8"
_SAMPLES = "8a '_.-/Z(),:[]{}\"=<>|@#+*"
_WORD = re.compile(r"[a-z0-9]{3,}")
#: Gaps among the letters of a text: what stands in the first kind has its price, in the second (the name of any flag)
#: it has none.
_GAP, _FREE = None, ""
_END = "end"
FLAG = "{flag}"

#: The price of a letter in a gap; anything else in a gap costs 1, so that fillings stay short.
_LETTER = 1000

Test = Callable[[str], bool]
#: A state of the machine and a place in the text.
_Node = tuple[int, int]


class _Edge(NamedTuple):
    """A step of the machine: to a state, taking a letter that passes the test; without a test it takes none."""

    target: int
    test: Test | None = None
    #: The letter, where it can be only one.
    letter: str = ""


class Machine:
    """A pattern as states and steps.

    Anchors and look-aheads are left to `re`, and every repeat of no fixed length to no length at all.
    """

    def __init__(self, pattern: str) -> None:
        parser = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
        self.regex = re.compile(pattern, re.IGNORECASE)
        self.steps: list[list[_Edge]] = [[]]
        self.end = self._sequence(0, parser.parse(pattern, re.IGNORECASE).data)
        letters = self._least_letters()
        self.budget = max(0, min(int(letters * SHARE_IN_GAPS), letters - LEAST_IN_TEXT))
        self.needed = sorted({word for run in patterns.literals(pattern) for word in words(run)}, key=len, reverse=True)

    def _state(self) -> int:
        self.steps.append([])
        return len(self.steps) - 1

    def _sequence(self, state: int, items: Iterable[tuple[Any, Any]]) -> int:
        for operation, argument in items:
            state = self._item(state, str(operation), argument)
        return state

    def _item(self, state: int, name: str, argument: Any) -> int:
        if name == "SUBPATTERN":
            return self._sequence(state, argument[3].data)
        if name == "BRANCH":
            end = self._state()
            for branch in argument[1]:
                self.steps[self._sequence(state, branch.data)].append(_Edge(end))
            return end
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            return self._repeat(state, *argument)
        if name in {"AT", "ASSERT", "ASSERT_NOT"}:
            return state
        target = self._state()
        self.steps[state].append(_step(target, name, argument))
        return target

    def _repeat(self, state: int, low: int, high: int, body: Any) -> int:
        for _ in range(min(low, _MOST_COPIES)):
            state = self._sequence(state, body.data)
        if high == low:
            return state
        # Another beginning, so that going round does not leave by the way that led here.
        start, end = self._state(), self._state()
        self.steps[state].append(_Edge(start))
        self.steps[start].append(_Edge(end))
        last = self._sequence(start, body.data)
        self.steps[last].append(_Edge(end if high == 1 else start))
        return end

    def _least_letters(self) -> int:
        """How many letters the poorest way through the machine spells out."""
        best = {0: 0}
        waiting = deque([0])
        while waiting:
            state = waiting.popleft()
            for edge in self.steps[state]:
                cost = best[state] + edge.letter.isalnum()
                if cost < best.get(edge.target, math.inf):
                    best[edge.target] = cost
                    waiting.append(edge.target)
        return best[self.end]

    def filled(self, text: str) -> str | None:
        """The text with its gaps filled so that the pattern matches it, or None.

        Of the fillings the one with the fewest own letters.
        """
        if GAP not in text and FLAG not in text:
            return text if self.regex.search(text) else None
        if FLAG not in text and not self._can_afford(text.lower()):
            return None
        tokens = _tokens(text)
        budget = self.budget * _LETTER + _LETTER - 1
        waiting = [(0, (0, place)) for place in range(len(tokens) + 1)]
        cost = {node: 0 for _, node in waiting}
        came: dict[_Node, tuple[_Node, str]] = {}
        while waiting:
            _, node = heapq.heappop(waiting)
            if node[0] == self.end:
                return next(filter(self.regex.search, _rebuilt(node, came, tokens)), None)
            for target, price, taken in self._next(node, tokens):
                new = cost[node] + price
                if new <= budget and new < cost.get(target, math.inf):
                    cost[target] = new
                    came[target] = (node, taken)
                    heapq.heappush(waiting, (new, target))
        return None

    def _begins_word(self, edge: _Edge, gap: str | None) -> bool:
        """Whether a step is the blank before a word.

        What is filled in are names and numbers, and what follows them is the text's.
        """
        return edge.letter == " " and (gap is _FREE or self._leads_to_letter(edge.target))

    def _leads_to_letter(self, state: int) -> bool:
        """Whether a letter can come next."""
        waiting, seen = [state], {state}
        for each in waiting:
            for step in self.steps[each]:
                if step.letter.isalpha():
                    return True
                if step.test is None and step.target not in seen:
                    seen.add(step.target)
                    waiting.append(step.target)
        return False

    def _can_afford(self, text: str) -> bool:
        """Whether the words that every match has, and the text has not, are short enough to stand in gaps."""
        missing = 0
        for word in self.needed:
            missing += 0 if word in text else len(word)
            if missing > self.budget:
                return False
        return True

    def _next(self, node: _Node, tokens: Sequence[str | None]) -> Iterator[tuple[_Node, int, str]]:
        """(node, price, letter) for every step from here.

        What stands in a gap has a price, above all the pattern's own letters.
        """
        state, place = node
        token = tokens[place] if place < len(tokens) else _END
        if not token:
            yield (state, place + 1), 0, ""
        for edge in self.steps[state]:
            if edge.test is None:
                yield (edge.target, place), 0, ""
            elif not token:
                letter = edge.letter or next(filter(edge.test, _SAMPLES), "")
                if letter and not self._begins_word(edge, token):
                    yield (edge.target, place), _LETTER if token is _GAP and edge.letter.isalnum() else 1, letter
            elif token != _END and edge.test(token.lower()):
                yield (edge.target, place + 1), 0, token


class Index:
    """The texts of the catalogue by their words, so that a pattern is held only against those that could be meant."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._by_word: dict[str, list[int]] = {}
        for number, text in enumerate(texts):
            for word in words(text):
                self._by_word.setdefault(word, []).append(number)

    def near(self, pattern: str) -> list[int]:
        """The numbers of the texts that share words with the pattern: half of those that every match has, at least."""
        shared = Counter(number for word in pattern_words(pattern) for number in self._by_word.get(word, ()))
        needed = {word for run in patterns.literals(pattern) for word in words(run)}
        return sorted(number for number, count in shared.items() if count * 2 >= len(needed))


def words(text: str) -> frozenset[str]:
    """The words of a text, without those in its gaps."""
    return frozenset(_WORD.findall(text.lower()))


def pattern_words(pattern: str) -> frozenset[str]:
    """The words of all branches of a pattern; pieces of words among them."""
    plain = re.sub(r"\(\?P<\w+>|\\[dwsbDWSB]|\(\?[:=!]", " ", pattern)
    return words(re.sub(r"\\(.)", r"\1", plain))


def _step(target: int, name: str, argument: Any) -> _Edge:
    if name == "LITERAL":
        return _Edge(target, chr(argument).lower().__eq__, chr(argument))
    if name == "NOT_LITERAL":
        return _Edge(target, chr(argument).lower().__ne__)
    if name == "ANY":
        return _Edge(target, bool)
    return _Edge(target, lambda char: _is_in(argument, char))


def _is_in(items: Sequence[tuple[Any, Any]], char: str) -> bool:
    """Whether a class such as [^a-z] has a letter."""
    negated = bool(items) and str(items[0][0]) == "NEGATE"
    return any(_has(str(kind), value, char) for kind, value in items[negated:]) != negated


def _has(kind: str, value: Any, char: str) -> bool:
    if kind == "LITERAL":
        return chr(value).lower() == char
    if kind == "RANGE":
        return any(value[0] <= ord(each) <= value[1] for each in {char, char.upper()})
    name = str(value).removeprefix("CATEGORY_")
    answers = {"DIGIT": char.isdigit(), "SPACE": char.isspace(), "WORD": char.isalnum() or char == "_"}
    return answers[name.removeprefix("NOT_")] != name.startswith("NOT_")


def _tokens(text: str) -> list[str | None]:
    """The letters of a text, with its gaps among them."""
    tokens: list[str | None] = []
    for part in re.split(r"(\{\}|\{flag\})", text):
        tokens += [_GAP] if part == GAP else [_FREE] if part == FLAG else part
    return tokens


def _rebuilt(node: _Node, came: dict[_Node, tuple[_Node, str]], tokens: Sequence[str | None]) -> Iterator[str]:
    """The whole text along the way to a node: what the pattern took, and around it the text with any filling."""
    rest = _any_filling(tokens[node[1] :])
    taken: list[str] = []
    while node in came:
        node, letter = came[node]
        taken.append(letter)
    text = _any_filling(tokens[: node[1]]) + "".join(reversed(taken))
    yield text + rest
    yield text + rest.removeprefix(_FILLING)  # the pattern may end inside a gap, at the end of a word


def _any_filling(tokens: Iterable[str | None]) -> str:
    return "".join(token or _FILLING for token in tokens)
