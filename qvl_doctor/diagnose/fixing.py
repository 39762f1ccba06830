"""A rule's words and changes with the numbers filled in.

Words stay in rules, numbers come from facts, captures and remedies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qvl_doctor import remedies
from qvl_doctor.diagnose.conditions import applies, fits_platform
from qvl_doctor.diagnose.respecting import left_to_do
from qvl_doctor.diagnose.upgrades import for_platform
from qvl_doctor.late import late_pattern
from qvl_doctor.launch.spelling import spell_flags
from qvl_doctor.messages import listed, say, sentences
from qvl_doctor.model import LANGUAGES, Facts, Fix, FixTemplate, Hit, Text, fact_text
from qvl_doctor.rulebook import complete
from qvl_doctor.rulebook.placeholders import PLACEHOLDER, placeholders
from qvl_doctor.values import as_text

_MOST_TEXT, _MOST_FRAMES = 4000, 60
_SENTENCE = late_pattern(r"(?<=[.!?])\s+|(?<=[。！？])")


class MissingValueError(Exception):
    """A text asks for a value that no one knows."""


def values_of(hit: Hit, facts: Facts) -> dict[str, str]:
    """What placeholders stand for: facts, then named groups, then what the rule's own remedy computes.

    `said` is for remedies alone: the text of the record, and the frames of its traceback.
    """
    values = {
        name: as_text(fact.value) for name, fact in facts.items() if not isinstance(fact.value, (dict, list, tuple))
    }
    values.update(hit.captures)
    values["said"] = _said(hit)
    return _remedied(hit.rule.remedy, values, facts) or values


def shown_captures(hit: Hit) -> dict[str, str]:
    """The captures that a rule's words, changes and conditions ask for; all where a remedy may ask for more."""
    rule = complete(hit.rule)
    if rule.remedy or any(fix.remedy for fix in rule.fixes):
        return dict(hit.captures)
    words = [*rule.title.values(), *rule.why.values(), *(each for fix in rule.fixes for each in fix.text.values())]
    asked = placeholders([*words, *(dict(fix.change) for fix in rule.fixes)])
    conditions = {*rule.applies, *(name for fix in rule.fixes for name in fix.applies)}
    return {name: value for name, value in hit.captures.items() if name in asked | conditions}


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders replaced.

    What differs by platform is that of the platform. Raises MissingValueError.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] in values:
            return str(values[found[1]])
        from qvl_doctor.knowledge.platforms import STEPS, step

        here = step(found[1], values.get("platform", "")) if found[1] in STEPS else ""
        if not here:
            raise MissingValueError(found[1])
        return here

    return PLACEHOLDER.sub(value, text)


def fill_text(text: Text, values: Mapping[str, str]) -> dict[str, str]:
    """A text in all languages; a sentence that asks for what no one knows is left out."""
    filled = {}
    for language in LANGUAGES:
        known = []
        words = {**values, "reached": say(f"phase.{values['reached']}", language)} if "reached" in values else values
        for sentence in _SENTENCE.split(text[language]):
            try:
                known.append(fill(sentence, words))
            except MissingValueError:
                continue
        filled[language] = sentences(known, language).strip()
    return filled


def fixes_of(hit: Hit, facts: Facts) -> tuple[Fix, ...]:
    """The fixes that can be given for a hit, best first.

    Those that apply, whose values are known, and that change something; each change once.
    """
    values = values_of(hit, facts)
    seen = hit.record is not None and hit.record.observation is not None
    fixes = (_fix(template, values, facts, seen=seen) for template in hit.rule.fixes)
    return listed(fix for fix in fixes if fix is not None)


def _fix(template: FixTemplate, known: dict[str, str], facts: Facts, *, seen: bool) -> Fix | None:
    if not fits_platform(template.platforms, facts):
        return None
    values = _remedied(template.remedy, known, facts)
    if values is None or applies(template.applies, values) is False:
        return None
    try:
        text = {language: fill(template.text[language], values) for language in LANGUAGES}
        change = {key: _filled(value, values) for key, value in template.change.items()}
    except MissingValueError:
        return None
    if "flags" in change:
        # What was seen of a command is about its words, which facts do not have: a flag given twice, or misspelled.
        flags = change.pop("flags")
        left = flags if seen else left_to_do(flags, template.remedy, facts)
        if left:
            change = {"flags": spell_flags(left, fact_text(facts, "vllm") or fact_text(facts, "vllm_range")), **change}
        if not change:
            return None
    return for_platform(Fix(text, change), facts)


def _said(hit: Hit) -> str:
    """What a record says, for those who look it up.

    Exception and text, the lines that were found, and the frames of its traceback.
    """
    record = hit.record
    if not record:
        return ""
    said = f"{record.exception}: {record.message}" if record.exception else record.message
    found = " ".join(line.text for line in hit.evidence)
    return "\n".join(
        [
            said[:_MOST_TEXT],
            found[:_MOST_TEXT],
            *(f"{each.file}:{each.function}" for each in record.frames[-_MOST_FRAMES:]),
        ]
    )


def _remedied(name: str, values: dict[str, str], facts: Facts) -> dict[str, str] | None:
    """The values and those of the remedy; None if it cannot help."""
    if not name:
        return values
    remedy = remedies.find(name)
    more = remedy(values, facts) if remedy else None
    return None if more is None else {**values, **more}


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return fill(value, values)
    if isinstance(value, Mapping):
        # A remedy may name several flags at once, with spaces between them.
        return {
            name: _filled(item, values)
            for key, item in value.items()
            for name in (fill(key, values).split() if "{" in key else (key,))
        }
    if isinstance(value, (list, tuple)):
        return [_filled(item, values) for item in value]
    return value
