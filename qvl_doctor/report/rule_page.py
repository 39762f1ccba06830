"""The page of a rule for the terminal: what it means, how the failure looks, what to change, and what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console

from qvl_doctor import messages
from qvl_doctor.knowledge.releases import closed
from qvl_doctor.model import Example, FixTemplate, Rule, Topic
from qvl_doctor.observations import observe
from qvl_doctor.report.console import put_pieces
from qvl_doctor.report.page import Page
from qvl_doctor.report.paste import Piece, pieces
from qvl_doctor.report.related import related
from qvl_doctor.report.typeset import readable


def render(rule: Rule, lang: str, console: Console, rules: Sequence[Rule] = (), topics: Sequence[Topic] = ()) -> None:
    """Print the page of a rule. `rules` are all that there are, to name the related ones, and `topics` theirs.

    Prose is wrapped to the width. Lines of logs, commands and addresses are left to the terminal to wrap, so that a
    copy of them is in one piece.
    """
    page = Page(console.width, console.encoding)
    _put(page, rule, lang if page.can_show(rule.title[lang]) else "en", rules, topics)
    console.print(page.text, soft_wrap=True)


def _put(page: Page, rule: Rule, lang: str, rules: Sequence[Rule], topics: Sequence[Topic]) -> None:
    page.paragraph(readable(rule.title[lang]), 0, "bold")
    page.flow([rule.id, *_notes(rule, lang, topics)], 0, f" {page.glyphs.dot} ", "dim")
    page.gap()
    page.paragraph(readable(rule.why[lang]))
    _put_examples(page, rule, lang)
    page.heading(messages.say("report.fixes", lang))
    for number, fix in enumerate(rule.fixes, start=1):
        page.item(f"{number}.", readable(fix.text[lang]) + _only_for(fix, lang), label_style="bold")
        put_pieces(page, _template(fix), 5, lang)
    others = list(_related(rule, lang, rules))
    if others:
        page.heading(messages.say("explain.related", lang))
    for text in others:
        page.item(page.glyphs.dot, text)
    if rule.checked:
        page.heading(messages.say("explain.checked", lang))
        page.paragraph(rule.checked)
    page.heading(messages.say("report.references", lang))
    for url in rule.references:
        page.add(("  " + url, "dim"))


def _put_examples(page: Page, rule: Rule, lang: str) -> None:
    """The rule's own examples, whole, with an empty line between them."""
    examples = [lines for example in rule.matches if (lines := list(_looks(example)))]
    if examples:
        page.heading(messages.say("explain.looks", lang))
    for number, lines in enumerate(examples):
        if number:
            page.gap()
        for line in lines:
            page.add(("  " + line, ""))


def _looks(example: Example) -> Iterator[str]:
    """An example as whoever has the failure meets it: lines of a log, what was seen, a command.

    Otherwise the facts that lead to it.
    """
    yield from (line for line in example.log.splitlines() if line.strip())
    if example.observation:
        yield observe(example.observation, **example.values).message
    yield from example.command.splitlines()
    if not (example.log or example.observation or example.command):
        yield ", ".join(f"{name}: {value}" for name, value in example.facts.items())


def _notes(rule: Rule, lang: str, topics: Sequence[Topic]) -> list[str]:
    """What is below the title: topic, severity, confidence, releases."""
    notes = [topic.title[lang] for topic in topics if topic.name == rule.topic]
    notes.append(messages.say(f"severity.{rule.severity}", lang))
    if rule.confidence != "certain":
        notes.append(messages.say(f"confidence.{rule.confidence}", lang))
    if rule.symptom:
        notes.append(messages.say("explain.symptom", lang))
    if rule.applies:
        notes.append(messages.say("explain.applies", lang, ranges=_ranges(rule.applies)))
    if rule.seen_in:
        notes.append(messages.say("explain.seen_in", lang, releases=", ".join(map(closed, rule.seen_in))))
    return notes


def _only_for(fix: FixTemplate, lang: str) -> str:
    """For whom a fix is, where it is not for all.

    Facts that a remedy computes are not release and say nothing to a reader.
    """
    releases = {name: value for name, value in fix.applies.items() if value[:1] in "<>=!~"}
    if not releases:
        return ""
    return messages.say("report.brackets", lang, notes=messages.say("explain.only", lang, ranges=_ranges(releases)))


def _ranges(applies: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in applies.items())


def _related(rule: Rule, lang: str, rules: Sequence[Rule]) -> Iterator[str]:
    titles = {other.id: readable(other.title[lang]) for other in rules}
    for name, how in related(rule, rules).items():
        note = messages.say("report.brackets", lang, notes=titles[name]) if name in titles else ""
        yield messages.say(f"explain.{how}", lang, rule=name) + note


def _template(fix: FixTemplate) -> list[Piece]:
    """The change of a fix, quoted while its placeholders are still harmless words."""
    return [Piece(piece.kind, tuple(map(readable, piece.words))) for piece in pieces(fix.change)]
