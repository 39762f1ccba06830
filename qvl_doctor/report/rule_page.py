"""The page of a rule: what it means, how it looks in a log, what to change. For the terminal and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult

from qvl_doctor import messages
from qvl_doctor.model import FixTemplate, Rule
from qvl_doctor.report.console import put_pieces
from qvl_doctor.report.evidence import focus
from qvl_doctor.report.markdown import change_lines, code, escape, fence, links
from qvl_doctor.report.page import Page
from qvl_doctor.report.paste import Piece, pieces
from qvl_doctor.report.typeset import window

_PLACEHOLDER = re.compile(r'"\{(\w+)\}"|\{(\w+)\}')  # a number of a JSON value is a string in the template
_MAX_EXAMPLES = 2
_MAX_LINES = 6
_MAX_LINE = 300
_MAX_ROWS = 2


@dataclass(frozen=True, slots=True)
class RulePage:
    """A rule as a rich renderable. Print it with `soft_wrap=True`, so that what is to be pasted stays in one piece."""

    rule: Rule
    lang: str
    rules: Sequence[Rule] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rich's protocol for what can be printed."""
        page = Page(options.max_width, options.encoding)
        _put(page, self.rule, self.lang if page.can_show(self.rule.title[self.lang]) else "en", self.rules)
        yield page.text


def rule_page(rule: Rule, lang: str, rules: Sequence[Rule] = ()) -> RulePage:
    """The page of a rule for the terminal; `rules` are all there are, to name the related ones."""
    return RulePage(rule, lang, rules)


def render(rule: Rule, lang: str, console: Console, rules: Sequence[Rule] = ()) -> None:
    """Print the page of a rule to the console."""
    console.print(rule_page(rule, lang, rules), soft_wrap=True)


def markdown(rule: Rule, lang: str, rules: Sequence[Rule] = (), level: int = 2) -> str:
    """The page of a rule as Markdown, its title a heading of `level`; ends in one line end."""
    return "\n".join(_blocks(rule, lang, rules, level)).rstrip() + "\n"


def readable(text: str) -> str:
    """A template with its placeholders as one would write them by hand: <max_model_len>."""
    return _PLACEHOLDER.sub(lambda match: f"<{match[1] or match[2]}>", text)


def _put(page: Page, rule: Rule, lang: str, rules: Sequence[Rule]) -> None:
    page.paragraph(readable(rule.title[lang]), 0, "bold")
    page.flow([rule.id, *_notes(rule, lang)], 0, f" {page.glyphs.dot} ", "dim")
    page.gap()
    page.paragraph(readable(rule.why[lang]))
    page.heading(messages.say("explain.looks", lang))
    for line in _looks(rule):
        text = page.clean(line)
        width = page.width - 4
        seen = window(text, width * _MAX_ROWS, focus(text, frozenset(), 0), page.glyphs.ellipsis)
        for row, part in enumerate(page.lines_of(seen, width, _MAX_ROWS)):
            page.add(("    " if row else "  ", ""), (part, ""))
    page.heading(messages.say("report.fixes", lang))
    for number, fix in enumerate(rule.fixes, start=1):
        page.item(f"{number}.", readable(fix.text[lang]) + _only_for(fix, lang), label_style="bold")
        put_pieces(page, _template(fix), 5, lang)
    related = list(_related(rule, lang, rules))
    if related:
        page.heading(messages.say("explain.related", lang))
    for text in related:
        page.item(page.glyphs.dot, text)
    page.heading(messages.say("report.references", lang))
    for url in rule.references:
        page.add(("  " + url, "dim"))


def _blocks(rule: Rule, lang: str, rules: Sequence[Rule], level: int) -> Iterator[str]:
    yield from (f"{'#' * level} {escape(readable(rule.title[lang]))}", "")
    yield from (" · ".join([code(rule.id), *map(escape, _notes(rule, lang))]), "")
    for part in filter(str.strip, rule.why[lang].split("\n")):
        yield from (escape(readable(part)), "")
    yield from (f"**{messages.say('explain.looks', lang)}**", "")
    yield from fence(line[:_MAX_LINE] for line in _looks(rule))
    yield from ("", f"**{messages.say('report.fixes', lang)}**", "")
    for number, fix in enumerate(rule.fixes, start=1):
        yield f"{number}. {escape(readable(fix.text[lang]) + _only_for(fix, lang))}"
        yield from change_lines(_template(fix), lang, len(f"{number}. "))
    yield ""
    related = list(_related(rule, lang, rules))
    if related:
        yield from (f"**{messages.say('explain.related', lang)}**", "", *(f"- {escape(text)}" for text in related), "")
    yield from (f"**{messages.say('report.references', lang)}**", "", *(f"- {link}" for link in links(rule.references)))


def _notes(rule: Rule, lang: str) -> list[str]:
    """Severity, confidence, releases: what stands below the title."""
    notes = [messages.say(f"severity.{rule.severity}", lang)]
    if rule.confidence != "certain":
        notes.append(messages.say(f"confidence.{rule.confidence}", lang))
    if rule.symptom:
        notes.append(messages.say("explain.symptom", lang))
    return [*notes, messages.say("explain.applies", lang, ranges=_ranges(rule.applies))] if rule.applies else notes


def _only_for(fix: FixTemplate, lang: str) -> str:
    """For whom a fix is, where it is not for all; facts that a remedy computes are no release and say nothing to a reader."""
    releases = {name: value for name, value in fix.applies.items() if value[:1] in "<>=!~"}
    if not releases:
        return ""
    return messages.say("report.brackets", lang, notes=messages.say("explain.only", lang, ranges=_ranges(releases)))


def _ranges(applies: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in applies.items())


def _looks(rule: Rule) -> Iterator[str]:
    """The rule's own examples, shortened, with an empty line between them."""
    for index, example in enumerate(rule.matches[:_MAX_EXAMPLES]):
        lines = [line for line in example.log.splitlines() if line.strip()]
        if index:
            yield ""
        # The exception stands last in a traceback: what is left out is the middle.
        yield from lines if len(lines) <= _MAX_LINES else (*lines[:2], "  …", *lines[3 - _MAX_LINES :])


def _related(rule: Rule, lang: str, rules: Sequence[Rule]) -> Iterator[str]:
    titles = {other.id: readable(other.title[lang]) for other in rules}
    causes = [other.id for other in rules if rule.id in other.explains]
    for key, ids in (("explain.causes", rule.explains), ("explain.caused_by", causes)):
        for name in ids:
            note = messages.say("report.brackets", lang, notes=titles[name]) if name in titles else ""
            yield messages.say(key, lang, rule=name) + note


def _template(fix: FixTemplate) -> list[Piece]:
    """The change of a fix, quoted while its placeholders are still harmless words."""
    return [Piece(piece.kind, tuple(map(readable, piece.words))) for piece in pieces(fix.change)]
