"""Texts in two languages: that both say the same, and which values they ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from qvl_doctor.model import LANGUAGES, Text
from qvl_doctor.rulebook.mistakes import Mistake, listed
from qvl_doctor.rulebook.placeholders import PLACEHOLDER

_FLAG = re.compile(r"(?<![A-Za-z0-9_-])--[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
_VARIABLE = re.compile(r"(?<![A-Za-z0-9_])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![A-Za-z0-9_])")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
# YAML folds a line break into a space, which Chinese does not have.
_FOLDED = re.compile(
    r"(?<=[\u3001-\u3003\uff01\uff0c\uff1a\uff1b\uff1f\uff09]) (?=\S)"
    r"|(?<=[\u2018-\u201d\u3001-\u9fff\uff01-\uff60]) (?=[\u2018-\u201d\u3001-\u9fff\uff01-\uff60])"
)


def differences(text: Text, line: int, field: str) -> Iterator[Mistake]:
    """What the languages do not have in common, of what they must.

    Placeholders, flags, environment variables, numbers.
    """
    left = dict(text)
    for kind, wanted in (
        ("placeholders", PLACEHOLDER),
        ("flags", _FLAG),
        ("variables", _VARIABLE),
        ("numbers", _NUMBER),
    ):
        said = {
            language: frozenset(word.replace(",", "") for word in wanted.findall(left[language]))
            for language in LANGUAGES
        }
        if said["en"] != said["zh"]:
            only = [
                f"only {language} has {listed(said[language] - said[other])}"
                for language, other in _pairs()
                if said[language] - said[other]
            ]
            yield Mistake(line, field, "languages-differ", {"kind": kind, "only": "; ".join(only)})
        left = {language: wanted.sub(" ", left[language]) for language in LANGUAGES}
    if not _CHINESE.search(text["zh"]):
        yield Mistake(line, field, "no-chinese")


def unfolded(text: Text) -> Text:
    """The text without the spaces that YAML put between Chinese characters."""
    return {language: _FOLDED.sub("", words.strip()) for language, words in text.items()}


def _pairs() -> Iterator[tuple[str, str]]:
    yield LANGUAGES[0], LANGUAGES[1]
    yield LANGUAGES[1], LANGUAGES[0]
