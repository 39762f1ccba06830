"""No fix names another platform's tool, on any platform and in any language.

Without a platform nothing is taken away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache

import pytest
from fact_samples import read_facts
from platform_words import WORDS

from qvl_doctor import rulebook
from qvl_doctor.authoring.examples import facts_of, seen_of
from qvl_doctor.diagnose.conditions import hit_holds, on_platform
from qvl_doctor.diagnose.engine import Diagnosing
from qvl_doctor.diagnose.fixing import fixes_of
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import PLATFORMS, Example, Fact, Facts, Fix, Hit, Rule


@cache
def said() -> tuple[tuple[Rule, Example, Hit, Facts], ...]:
    """Every rule's own hits on its own examples, with what the example says."""
    found = []
    for rule in rulebook.shipped():
        matcher = Matcher([rule])
        for example in rule.matches:
            records = list(read_records(example.log))
            seen = seen_of(example)
            facts = {**seen.facts, **facts_of(example), **read_facts(records)}
            engine = Diagnosing([rule], facts_of(example), seen)
            engine.feed(sorted(records, key=lambda record: record.first_line))
            facts = dict(engine.finish(example.name).facts)
            hits = [*matcher.feed(records), *matcher.feed(seen.observations)]
            found += [(rule, example, hit, facts) for hit in hits if hit_holds(hit, facts)]
    return tuple(found)


def wrong_words(fix: Fix, platform: str, hit: Hit) -> Iterator[str]:
    """The words of other platforms in a fix; what it quotes from the user's own text is not its own."""
    shown = [*fix.text.values(), json.dumps(dict(fix.change), ensure_ascii=False)]
    quoted = " ".join(hit.captures.values())
    for pattern, platforms in WORDS.items():
        if platform not in platforms:
            found = (match[0] for text in shown for match in re.finditer(pattern, text))
            yield from (word for word in found if word not in quoted)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_fix_names_another_platforms_tool(platform: str) -> None:
    wrong: dict[str, set[str]] = {}
    for rule, _, hit, known in said():
        if known.get("platform", Fact(platform)).value not in (platform, "unspecified"):
            continue  # the example's own lines say where it was
        facts = {**known, "platform": Fact(platform, "log")}
        if not on_platform(rule.platforms, facts):
            continue
        for fix in fixes_of(hit, facts):
            if words := set(wrong_words(fix, platform, hit)):
                wrong.setdefault(rule.id, set()).update(words)
    assert not wrong


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_rule_that_speaks_on_a_platform_has_a_fix_there(platform: str) -> None:
    without = set()
    for rule, _, hit, known in said():
        if known.get("platform", Fact(platform)).value not in (platform, "unspecified"):
            continue
        facts = {**known, "platform": Fact(platform, "log")}
        if on_platform(rule.platforms, facts) and fixes_of(hit, known) and not fixes_of(hit, facts):
            without.add(rule.id)
    assert not without


@pytest.mark.parametrize("platform", ["unspecified", "metax", "something-new"])
def test_a_platform_that_no_table_has_takes_nothing_away(platform: str) -> None:
    for rule, example, hit, known in said():
        if "platform" not in known and "platform" not in {name for fix in rule.fixes for name in fix.applies}:
            facts = {**known, "platform": Fact(platform, "log")}
            assert on_platform(rule.platforms, facts)
            assert fixes_of(hit, facts) == fixes_of(hit, known), (rule.id, example.name)
