"""The report to paste into an issue.

GitHub's Markdown, in which nothing of the log can become a link, a mention, HTML or a picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from qvl_doctor import __version__, messages
from qvl_doctor.model import Diagnosis, Finding, Fix, fact_text
from qvl_doctor.report import evidence, picture, sections
from qvl_doctor.report.checklist import counts, groups
from qvl_doctor.report.paste import Piece, pieces, snippet
from qvl_doctor.report.typeset import MAX_CHARS, window

_SIGNS = {"failed": "❌", "degraded": "⚠️", "healthy": "✅", "unknown": "❔"}
_CHECKS = {"problem": "❌", "warning": "⚠️", "ok": "✅", "unknown": "❔"}
_MAX_FIXES = 6
_MAX_SHORT = 20
_MAX_TEXT = 4000
_MAX_EVIDENCE = 600

_DIFF = {"same": " ", "removed": "-", "added": "+", "place": ""}
_BREAKS = re.compile(r"\s+")
_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SPECIAL = re.compile(r"[\\`*#\[\]<>|~&]|(?<![^\W_])_|_(?![^\W_])")
# What GitHub turns into a link by itself: a name after @, an issue number, a URL, a host. An invisible space takes it
# apart.
_AUTOLINK = re.compile(r"(@)(?=[^\W_])|(#|\b[Gg][Hh]-)(?=\d)|(:)(?=//)|(\b[Ww]{3})(?=\.)|(\bmailto:|\bxmpp:)")
_DOLLAR = "<span>$</span>"  # GitHub's way to write one that is not a formula
_BLOCK = re.compile(r"^( {0,3})([#+=-]|\d{1,9}[.)])")
_URL = re.compile(r"https?://[\w./%?&=#:@~+,;!$()-]{1,500}", re.ASCII)


def render(diagnosis: Diagnosis, lang: str) -> str:
    """The report as Markdown, ending in one line end."""
    return "\n".join(_blocks(diagnosis, lang)).rstrip() + "\n"


def escape(text: str) -> str:
    """The text as one line of Markdown that shows exactly this text."""
    text = _SPECIAL.sub(r"\\\g<0>", _one_line(text))
    text = _AUTOLINK.sub(lambda match: f"{match[0]}&#8203;", text).replace("$", _DOLLAR)
    return _BLOCK.sub(lambda match: f"{match[1]}{match[2][:-1]}\\{match[2][-1]}", text)


def code(text: str) -> str:
    """The text as a code span, whatever backticks it holds."""
    text = _one_line(text)
    if not text:
        return ""
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if "`" in (text[0], text[-1]) or (text[0] == text[-1] == " ") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def fence(lines: Iterable[str], language: str = "text", indent: int = 0) -> Iterator[str]:
    """The lines as a code block whose fence is longer than any run of backticks in them."""
    body = [_one_line(line, keep_blanks=True) for line in lines]
    ticks = "`" * max(3, max(map(_longest_run, body), default=0) + 1)
    yield from (" " * indent + line for line in (ticks + language, *body, ticks))


def change_lines(change: Sequence[Piece], lang: str, indent: int) -> Iterator[str]:
    """A change below a list item: what belongs in a shell as a code block, the rest in words."""
    shell = [str(piece) for piece in change if piece.shell or piece.kind == "run"]
    if shell:
        yield from fence(shell, "shell", indent)
    for piece in change:
        if messages.has(f"change.{piece.kind}"):
            yield from ("", f"{' ' * indent}{messages.say(f'change.{piece.kind}', lang)} {code(str(piece))}")


def links(references: Iterable[str]) -> list[str]:
    """The references as links; what is not a plain web address is left out."""
    return [f"<{url}>" for url in references if _URL.fullmatch(url)]


def _blocks(diagnosis: Diagnosis, lang: str) -> Iterator[str]:
    main, symptoms, warnings, notices = sections.sections(diagnosis)
    verdict = messages.say(f"verdict.{diagnosis.verdict}", lang) + messages.say("report.colon", lang)
    yield f"### {_SIGNS[diagnosis.verdict]} {verdict}{escape(diagnosis.summary[lang])}"
    yield ""
    head = [escape(part) for part in sections.release(diagnosis.facts)]
    if "model" in diagnosis.facts:
        head.append(code(fact_text(diagnosis.facts, "model")))
    if head:
        yield from (" · ".join(head), "")
    for finding in main:
        yield from _cause(finding, diagnosis, lang)
    yield from _command(diagnosis, lang)
    yield from _alternatives(diagnosis, lang)
    yield from _short("report.symptoms", symptoms, lang)
    yield from _short("report.warnings", warnings, lang, fixes=True)
    yield from _short("report.notices", notices, lang, fixes=True)
    ignored = sections.ignored(diagnosis, lang)
    if ignored:
        yield from (escape(ignored), "")
    yield from _checks(diagnosis, lang)
    if len(diagnosis.runs) > 1:
        yield from (escape(sections.runs(diagnosis.runs, lang)), "")
    yield from _not_checked(diagnosis, lang)
    yield from _details(diagnosis, lang)
    yield f"<sub>qvl-doctor {__version__}{''.join(f' · {escape(finding.rule)}' for finding in main)}</sub>"


def _cause(finding: Finding, diagnosis: Diagnosis, lang: str) -> Iterator[str]:
    title = escape(finding.title[lang])
    # Two stars around nothing would be a rule across the page.
    if title and finding.title[lang] not in diagnosis.summary[lang]:
        yield from (f"**{title}**", "")
    for part in filter(str.strip, finding.why[lang].split("\n")):
        yield from (escape(part), "")
    if sections.doubtful(finding):
        yield from (f"_{escape(messages.say(sections.doubt(finding, diagnosis), lang))}_", "")
    yield from _evidence(finding)
    if finding.fixes:
        yield from (f"**{messages.say(sections.fixes_heading(finding), lang)}**", "")
    for number, fix in enumerate(finding.fixes[:_MAX_FIXES], start=1):
        yield f"{number}. {escape(fix.text[lang])}"
        yield from _change(fix, lang, len(f"{number}. "))
    if finding.fixes:
        yield ""
    if finding.leads:
        yield from (f"**{messages.say('report.leads', lang)}**", "")
        yield from (f"{number}. {escape(lead.text[lang])}" for number, lead in enumerate(finding.leads, start=1))
        yield ""
    found = links(finding.references)
    if found:
        yield from (
            messages.say("report.references", lang) + messages.say("report.colon", lang) + " · ".join(found),
            "",
        )


def _command(diagnosis: Diagnosis, lang: str) -> Iterator[str]:
    """The user's command, or the whole file that it is in, with the first fix in it, as a diff."""
    if diagnosis.changes:
        yield from (f"**{messages.say('report.file', lang)} ({messages.say('report.corrected', lang)})**", "")
        yield from fence((f"{_DIFF[kind]}{text}" for kind, text in diagnosis.changes), "diff")
        yield ""
        return
    if diagnosis.command is None:
        return
    yield from (f"**{messages.say('report.command', lang)} ({messages.say('report.corrected', lang)})**", "")
    yield from fence((f"{_DIFF[kind]} {text}" for kind, text in diagnosis.command.lines), "diff")
    yield ""


def _checks(diagnosis: Diagnosis, lang: str) -> Iterator[str]:
    if not diagnosis.checks:
        return
    told = " · ".join(
        messages.say(f"check.count.{status}", lang, count=count) for status, count in counts(diagnosis.checks).items()
    )
    yield from (f"**{messages.say('check.list', lang)}**{messages.say('report.colon', lang)}{told}", "")
    for group, lines, alike in groups(diagnosis.checks):
        heading = messages.say(f"check.group.{group}", lang)
        for check in lines[: 1 if alike else None]:
            name = heading if alike else f"{heading}, {messages.say(f'check.name.{check.name}', lang)}"
            said = (
                messages.say("report.brackets", lang, notes=", ".join(map(escape, check.rules))) if check.rules else ""
            )
            yield f"- {_CHECKS[check.status]} {escape(name + messages.say('report.colon', lang) + check.detail[lang])}{said}"
    yield ""


def _alternatives(diagnosis: Diagnosis, lang: str) -> Iterator[str]:
    if not diagnosis.alternatives:
        return
    yield from (f"**{messages.say('report.alternatives', lang)}**", "")
    for way in diagnosis.alternatives:
        yield f"- {escape(way.text[lang]) or '&#8203;'}"  # a bare dash below a line makes a heading of it
        yield from change_lines(pieces(way.change), lang, 2)
    yield ""


def _evidence(finding: Finding) -> Iterator[str]:
    lines, hidden = evidence.shown(finding)
    if not lines:
        return
    column = max(len(str(line.number)) for line in lines)
    telling = evidence.hints(finding)
    texts = (_one_line(line.text, MAX_CHARS) for line in lines)
    cut = (window(text, _MAX_EVIDENCE, evidence.focus(text, telling, _MAX_EVIDENCE * 3 // 4)) for text in texts)
    rows = [f"{line.number or '':>{column}} | {text}" for line, text in zip(lines, cut, strict=True)]
    if hidden:
        rows.insert(evidence.MAX_LINES // 2, f"{'':>{column}} | … (+{hidden})")
    yield from fence(rows)
    yield ""


def _change(fix: Fix, lang: str, indent: int) -> Iterator[str]:
    yield from change_lines(pieces(fix.change), lang, indent)
    yaml = snippet(fix.change)
    if yaml:
        yield from (" " * indent + line for line in ("", *fence(yaml, "yaml")))
    if fix.verified:
        verified = messages.say(
            "report.verified", lang, by=fix.verified.get("by", ""), detail=fix.verified.get("detail", "")
        )
        yield from ("", f"{' ' * indent}{escape(verified)}")


def _short(heading: str, findings: Sequence[Finding], lang: str, *, fixes: bool = False) -> Iterator[str]:
    if not findings:
        return
    yield from (f"**{messages.say(heading, lang)}**", "")
    for finding in findings[:_MAX_SHORT]:
        yield f"- {escape(finding.title[lang] + sections.where(finding, lang))}"
        for fix in finding.fixes[: 1 if fixes else 0]:
            yield from ("", f"  {escape(fix.text[lang])}")
            yield from _change(fix, lang, 2)
    if len(findings) > _MAX_SHORT:
        yield f"- {messages.say('report.more', lang, count=len(findings) - _MAX_SHORT)}"
    yield ""


def _not_checked(diagnosis: Diagnosis, lang: str) -> Iterator[str]:
    if diagnosis.not_checked:
        yield from (
            f"**{messages.say('report.look_at' if diagnosis.verdict == 'unknown' else 'report.not_checked', lang)}**",
            "",
        )
        yield from (f"- {escape(text[lang])}" for text in diagnosis.not_checked)
        yield ""


def _details(diagnosis: Diagnosis, lang: str) -> Iterator[str]:
    """Facts, memory and times, folded away."""
    rows = [(messages.say(key, lang), value) for key, value in sections.rows(diagnosis.facts)]
    card = picture.memory(diagnosis.facts)
    if card:
        key = "report.card_asked" if card.asked else "report.card"
        size = messages.say(key, lang, gib=picture.gib(card.total), asked=picture.gib(card.asked or 0))
        rows.append((messages.say("report.memory", lang), size))
        rows += [
            (f"· {messages.say(f'memory.{part.name}', lang)}", f"{picture.gib(part.gib)} GiB") for part in card.parts
        ]
    if diagnosis.timeline:
        total = picture.seconds(sum(phase.seconds for phase in diagnosis.timeline))
        rows.append((messages.say("report.timeline", lang), messages.say("report.seconds", lang, seconds=total)))
    for phase in diagnosis.timeline:
        took = messages.say("report.seconds", lang, seconds=picture.seconds(phase.seconds))
        rows.append((f"· {messages.say(f'phase.{phase.phase}', lang)}", took))
    if not rows:
        return
    yield from ("<details>", f"<summary>{messages.say('report.facts', lang)}</summary>", "", "| | |", "|---|---|")
    yield from (f"| {label} | {_cell(value)} |" for label, value in rows)
    yield from ("", "</details>", "")


def _cell(value: str) -> str:
    return code(value).replace("|", "\\|")  # a table takes its bars first, even in code


def _one_line(text: str, limit: int = _MAX_TEXT, *, keep_blanks: bool = False) -> str:
    text = text[:limit]
    text = (
        re.sub(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]", " ", text) if keep_blanks else _BREAKS.sub(" ", text).strip()
    )
    return _CONTROLS.sub(
        lambda match: f"\\x{ord(match[0]):02x}" if ord(match[0]) < 0x100 else f"\\u{ord(match[0]):04x}", text
    )


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
