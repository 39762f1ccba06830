"""Whether the newest release prints the words that logs are read by.

Milestones, and wordings that tell releases apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from catalogue import Catalogue

from qvl_doctor.knowledge import table
from qvl_doctor.logs.milestones import MILESTONES

#: What other programs print, or only the beginning of what vLLM prints, cannot be looked up in its texts.
_LEAST_WORDS = 2
_OTHERS = "tqdm"


class Mark(NamedTuple):
    """Words that stand in a table, and whether it says that the newest release has them."""

    where: str
    words: str
    current: bool


def marks() -> Iterator[Mark]:
    """All words that a release can take away."""
    for row in MILESTONES:
        if row.releases.endswith("–") and row.place.split(",")[0].endswith(".py") and _OTHERS not in row.place:
            yield Mark("logs/milestones.py", row.words, current=True)
    for words, _, last in table("wordings")["messages"]:
        yield Mark("knowledge/wordings.json", words, current=not last)


def problems(known: Catalogue) -> Iterator[str]:
    """The words that the newest of the releases has and should not have, or the other way round."""
    newest = known.releases[-1]
    texts = [row.text for row in known.rows if newest in row.releases]
    for mark in marks():
        if len(re.findall(r"[A-Za-z]{2,}", mark.words)) < _LEAST_WORDS:
            continue
        printed = _printed(mark.words.strip(), texts) or (mark.current and _printed(_in_a_gap(mark.words), texts))
        if printed != mark.current:
            yield f"{mark.where}: {mark.words!r} is in {'a text again in' if printed else 'no text of'} {newest}"


def _printed(words: str, texts: Iterable[str]) -> bool:
    return bool(words) and any(words in text for text in texts)


def _in_a_gap(words: str) -> str:
    """The words without the first one, which may be filled in: "GPU KV cache size:". "" where that leaves too few."""
    first, _, rest = words.strip().partition(" ")
    return rest if first.isalpha() and rest.count(" ") >= _LEAST_WORDS else ""
