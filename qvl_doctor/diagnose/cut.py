"""Known texts that were cut off.

The beginning of a pattern up to where a text ends, or its end from where a text begins.

A cut is believed where the text itself ends or begins, at a quotation or an ellipsis, or in the middle of a word; and
only if enough of the pattern's own words are left. Words that a wild card has swallowed do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from qvl_doctor import patterns

_FEWEST_WORDS = 4
_SHORTEST = 24
_TAIL = 6
_MOST = 40
_WORD = re.compile(r"[^\W\d_]{2,}")
_GAP = re.compile(r"\s+|(?<=['\"(])")
#: What a wild card takes and no literal text is.
_JUNK = "zq" * 12
_ELLIPSIS = re.compile(r" ?(?:\.\.\.|…) ?")
_SENTENCE_END = re.compile(r"(?<=\w)[.!?](?= [A-Z])")
_QUOTED = re.compile(r"`([^`]{24,2000})`|\"([^\"]{24,2000})\"|(?<!\w)'((?:[^']|'(?=\w)){24,2000}?)'(?!\w)")


class Part(NamedTuple):
    """Where in a text a part of a pattern is, and how many of the pattern's words it has."""

    start: int
    end: int
    words: int


def part(pattern: str, text: str, *, headed: bool) -> Part | None:
    """The part of a pattern that a text holds which was cut off. `headed`: the text begins as it was logged."""
    runs = _runs(pattern)
    if not runs:
        return None
    lowered = text.lower()
    found = _beginning(pattern.removeprefix("^"), text, runs) if runs[0][:12] in lowered else None
    if found is None and runs[-1][-12:] in lowered:
        found = _ending(pattern.removesuffix("$"), text, runs, headed=headed)
    return found


def _beginning(pattern: str, text: str, runs: Sequence[str]) -> Part | None:
    import regex

    compiled = _partly(pattern, regex.IGNORECASE)
    for start, end in _cut_at_end(text):
        found = compiled.search(text, start, end, partial=True)
        if found is not None and found.partial and found[0]:
            words = _tail_words(pattern, found[0]) or _words_before_gap(compiled, found[0], runs)
            if _enough(words, found[0], runs):
                return Part(found.start(), found.end(), words)
    for end in [mark.start() for mark in _SENTENCE_END.finditer(text)][:_MOST]:
        found = compiled.search(text, 0, end, partial=True)
        if found is not None and found.partial and _in_a_word(compiled, found[0]):
            words = _tail_words(pattern, found[0])
            if _enough(words, found[0], runs):
                return Part(found.start(), found.end(), words)
    return None


def _ending(pattern: str, text: str, runs: Sequence[str], *, headed: bool) -> Part | None:
    import regex

    compiled = _partly(pattern, regex.IGNORECASE | regex.REVERSE)
    for start, end in _cut_at_start(text, headed=headed):
        found = compiled.search(text, start, end, partial=True)
        if found is not None and found.partial:
            words = _head_words(pattern, found[0]) or _words_after_gap(compiled, found[0], runs)
            if _enough(words, found[0], runs):
                return Part(found.start(), found.end(), words)
    return None


def _cut_at_end(text: str) -> Iterator[tuple[int, int]]:
    """Parts of a text that may have been cut off at their end: the whole, what is quoted, what an ellipsis ends."""
    yield 0, len(text)
    yield from _quoted(text)
    yield from ((0, found.start()) for found in _first(_ELLIPSIS, text))


def _cut_at_start(text: str, *, headed: bool) -> Iterator[tuple[int, int]]:
    """The same for the beginning."""
    if not headed:
        yield 0, len(text)
    yield from _quoted(text)
    yield from ((found.end(), len(text)) for found in _first(_ELLIPSIS, text))


def _quoted(text: str) -> Iterator[tuple[int, int]]:
    yield from (found.span(found.lastindex or 0) for found in _first(_QUOTED, text))


def _first(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    return [found for found, _ in zip(pattern.finditer(text), range(_MOST), strict=False)]


def _in_a_word(compiled: Any, said: str) -> bool:
    """Whether the pattern goes on with letters where the text ends."""
    return not any((more := compiled.match(said + mark, partial=True)) and more.partial for mark in " .,;:'\")]}")


def _tail_words(pattern: str, said: str) -> int:
    """The pattern's words up to the literal text with which a cut text ends.

    0 if it ends with another part of the pattern.
    """
    lowered, words = said.lower(), 0
    before = ""
    for run in _letters(pattern):
        whole = "".join(letter.text for letter in run)
        for size in range(len(whole), _TAIL - 1, -1):
            if lowered.endswith(whole[:size]) and _is_all(pattern[: run[size - 1].end], said):
                words = max(words, _count(f"{before} {whole[:size]}"))
                break
        before += f" {whole}"
    return words


def _head_words(pattern: str, said: str) -> int:
    """The same for a text that was cut at its beginning."""
    lowered, words = said.lower(), 0
    after = ""
    for run in reversed(_letters(pattern)):
        whole = "".join(letter.text for letter in run)
        for size in range(len(whole), _TAIL - 1, -1):
            if lowered.startswith(whole[-size:]) and _is_all(pattern[run[-size].start :], said):
                words = max(words, _count(f"{whole[-size:]} {after}"))
                break
        after = f"{whole} {after}"
    return words


def _is_all(pattern: str, said: str) -> bool:
    return re.fullmatch(pattern, said, re.IGNORECASE) is not None


def _words_before_gap(compiled: Any, said: str, runs: Sequence[str]) -> int:
    """The pattern's words before the wild card in which the text ends.

    One that ends as a sentence does was not cut there.
    """
    for cut in [mark.end() for mark in _first(_GAP, said)]:
        tried = compiled.match(said[:cut] + _JUNK, partial=True)
        if tried is not None and tried.partial:
            return _held(said[:cut].lower(), runs) if said[-1].isalnum() or said[-1] in "-_/,:=(" else 0
    return _held(said.lower(), runs)


def _words_after_gap(compiled: Any, said: str, runs: Sequence[str]) -> int:
    """The same for the wild card in which the text begins."""
    backwards = [run[::-1] for run in runs[::-1]]
    for cut in [mark.start() for mark in _GAP.finditer(said)][: -_MOST - 1 : -1]:
        tried = compiled.search(_JUNK + said[cut:], partial=True)
        if tried is not None and tried.partial and tried.end() == len(_JUNK) + len(said) - cut:
            return _held(said[cut:].lower()[::-1], backwards)
    return _held(said.lower()[::-1], backwards)


def _held(said: str, runs: Sequence[str]) -> int:
    """How many words the literal texts have that a text holds one after the other; the last one may be cut."""
    held, at = "", 0
    for run in runs:
        place = said.find(run, at)
        if place < 0:
            held += " " + next((run[:size] for size in range(len(run) - 1, 3, -1) if said.endswith(run[:size])), "")
            break
        held += f" {run}"
        at = place + len(run)
    return _count(held)


def _enough(words: int, said: str, runs: Sequence[str]) -> bool:
    """Half of the words, but for short patterns nearly all."""
    own = _count(" ".join(runs))
    return len(said) >= _SHORTEST and words >= max(min(own, _FEWEST_WORDS), own // 2, _FEWEST_WORDS - 1)


def _count(text: str) -> int:
    return len(_WORD.findall(text))


@lru_cache(maxsize=4096)
def _runs(pattern: str) -> tuple[str, ...]:
    return patterns.runs(pattern)


@lru_cache(maxsize=512)
def _letters(pattern: str) -> tuple[tuple[patterns.Letter, ...], ...]:
    return patterns.letters(pattern)


@lru_cache(maxsize=512)
def _partly(pattern: str, flags: int) -> Any:
    import regex

    return regex.compile(pattern, flags)
