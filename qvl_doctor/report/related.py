"""Which rules are related to a rule: by what they explain, by which one wins a line, and by what they are about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from qvl_doctor.late import late_pattern
from qvl_doctor.model import Rule

_WORD = late_pattern(r"[a-z0-9]{3,}")
_PLACEHOLDER = late_pattern(r"\{\w+\}")
_MOST_SIMILAR = 3
#: The share of a rule's words, each weighted by how rare it is, that a similar rule has too.
_LEAST_SHARED = 0.2


def related(rule: Rule, rules: Sequence[Rule]) -> dict[str, str]:
    """The id of each related rule and how it is related: causes, caused_by, before, after or similar.

    `rules` are all that there are.
    """
    found = {
        **dict.fromkeys(rule.explains, "causes"),
        **{other.id: "caused_by" for other in rules if rule.id in other.explains},
    }
    for how, names in (
        ("before", rule.before),
        ("after", [other.id for other in rules if rule.id in other.before]),
        ("similar", _similar(rule, rules)),
    ):
        found |= {name: how for name in names if name not in found}
    return found


def _similar(rule: Rule, rules: Sequence[Rule]) -> list[str]:
    """Other rules on the same topic that share telling words of id and title, the nearest first."""
    words = {other.id: _words(other) for other in rules}
    rarity = {word: 1 / times for word, times in Counter(word for own in words.values() for word in own).items()}
    own = _words(rule)
    whole = sum(rarity.get(word, 1) for word in own)
    shared = {
        other.id: sum(rarity[word] for word in own & words[other.id]) / whole
        for other in rules
        if rule.topic and other.topic == rule.topic and other.id != rule.id
    }
    near = sorted((name for name in shared if shared[name] >= _LEAST_SHARED), key=lambda name: (-shared[name], name))
    return near[:_MOST_SIMILAR]


def _words(rule: Rule) -> frozenset[str]:
    return frozenset(_WORD.findall(f"{rule.id} {_PLACEHOLDER.sub('', rule.title['en'])}".lower()))
