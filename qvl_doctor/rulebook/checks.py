"""Rules and the lines of the checklist belong together.

No line without a rule, no rule about a machine without its line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qvl_doctor.facts import table
from qvl_doctor.facts.lines import LINES
from qvl_doctor.model import Condition, Rule
from qvl_doctor.observations.levels import COMMAND, MACHINE
from qvl_doctor.observations.sentences import SENTENCES
from qvl_doctor.rulebook.mistakes import Mistake

_LEVELS = (COMMAND, MACHINE)
#: Facts that only a check of a machine or a command gives.
_FACTS = table.names("command", "packages", "gpu", "host", "model") - table.names("log", "run", "derived")


def check_mistakes(rules: Iterable[Rule]) -> list[Mistake]:
    """What the rules and the checklist lack of each other.

    It holds for the shipped rules; rules of one's own need no line.
    """
    rules = tuple(rules)
    return [*_rules_without_line(rules), *_lines_without_rule({rule.check for rule in rules})]


def speaks_on_a_machine(rule: Rule) -> bool:
    """Whether a rule asks for what only a check of a machine or a command gives, or has an example of such a check."""
    return any(map(_asks_for_a_look, rule.match)) or any(
        example.command or _is_of_a_look(example.observation) for example in rule.matches
    )


def _asks_for_a_look(item: Condition) -> bool:
    texts = item.message or item.exception or item.frame
    return _is_of_a_look(item.observation) or bool(not texts and _FACTS & item.facts.keys())


def _is_of_a_look(key: str) -> bool:
    return key in SENTENCES and SENTENCES[key].level in _LEVELS


def _rules_without_line(rules: Iterable[Rule]) -> Iterator[Mistake]:
    for rule in rules:
        if not rule.check and speaks_on_a_machine(rule):
            yield Mistake(0, "check", "no-check", path=rule.source or rule.id)


def _lines_without_rule(used: set[str]) -> Iterator[Mistake]:
    for line in LINES:
        if line.id not in used:
            yield Mistake(0, "check", "line-without-rules", {"name": line.id}, path="facts/lines.py")
