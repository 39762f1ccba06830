"""The report on a terminal.

The verdict first, then the cause, its proof and its fixes, and below these what else is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console

from qvl_doctor import messages
from qvl_doctor.model import UNRECOGNIZED, Check, Diagnosis, Finding, Fix
from qvl_doctor.report import evidence, picture, sections
from qvl_doctor.report.checklist import counts, groups
from qvl_doctor.report.page import Page
from qvl_doctor.report.paste import Piece, pieces, snippet
from qvl_doctor.report.typeset import window, wrap

_VERDICTS = {
    "failed": (0, "bold red"),
    "degraded": (1, "bold yellow"),
    "healthy": (2, "bold green"),
    "unknown": (3, "bold magenta"),
}
_PARTS = {
    "weights": "blue",
    "activation": "yellow",
    "non_torch": "magenta",
    "kv": "green",
    "graphs": "cyan",
    "rest": "dim",
    "used": "yellow",
    "free": "dim",
}
_PASTE = "cyan"
#: How a line of a checklist is shown: the verdict whose sign it has, and its style.
_CHECKS = {"problem": (0, "red"), "warning": (1, "yellow"), "ok": (2, "green"), "unknown": (3, "dim")}
#: How a line of a changed command is shown: its sign and its style.
_DIFF = {"same": (" ", "dim"), "removed": ("-", "red"), "added": ("+", "green"), "place": ("", "cyan")}
_MAX_REFERENCES = 3
_MAX_FIXES = 6
_MAX_SHORT = 12


def render(diagnosis: Diagnosis, lang: str, console: Console, *, quiet: bool = False) -> None:
    """Print the report to the console, in at most 100 columns; `quiet` prints the verdict line alone."""
    page = Page(console.width, console.encoding)
    report = _Report(diagnosis, lang if page.can_show(diagnosis.summary[lang]) else "en", page)
    report.quiet() if quiet else report.whole()
    console.print(page.text, soft_wrap=True)


def put_pieces(page: Page, change: Sequence[Piece], indent: int, lang: str) -> None:
    """The change of a fix, as lines to paste."""
    for piece in change:
        if piece.shell:
            page.shell(piece.words, indent, _PASTE)
        else:
            page.add((" " * indent + _label(piece, lang), "dim"), (str(piece), _PASTE))


def _label(piece: Piece, lang: str) -> str:
    """What is before a line that does not speak for itself."""
    text = messages.say(f"change.{piece.kind}", lang) if messages.has(f"change.{piece.kind}") else ""
    return f"{text} " if text.endswith(":") else text


class _Report:
    """One diagnosis being put onto one page."""

    def __init__(self, diagnosis: Diagnosis, lang: str, page: Page) -> None:
        self.diagnosis, self.lang, self.page = diagnosis, lang, page
        self.sections = sections.sections(diagnosis)

    def say(self, key: str, **values: object) -> str:
        return messages.say(key, self.lang, **values)

    def quiet(self) -> None:
        sign, word, style = self.verdict()
        source = "" if self.diagnosis.source == "-" else self.diagnosis.source + self.say("report.colon")
        self.page.add((f"{sign} {word}", style), (f"  {source}{self.summary()}", ""))

    def whole(self) -> None:
        self.head()
        for index, finding in enumerate(self.sections.main):
            self.cause(finding, first=index == 0)
        self.changes()
        self.command()
        self.alternatives()
        self.symptoms()
        self.others("report.warnings", self.sections.warnings)
        self.others("report.notices", self.sections.notices)
        self.ignored()
        self.checks()
        self.facts()
        self.memory()
        self.timeline()
        self.runs()
        self.not_checked()

    # ---- The parts, from top to bottom

    def head(self) -> None:
        page, (sign, word, style) = self.page, self.verdict()
        label = f"{sign} {word}"
        hang = 2 if page.narrow else cell_len(label) + 2
        first, *rest = wrap(page.clean(self.summary()), page.width - hang)
        if page.narrow:
            page.add((label, style))
            rest = [first, *rest]
        else:
            page.add((f"{label}  ", style), (first, "bold"))
        for line in rest:
            page.add((" " * hang, ""), (line, "bold"))
        page.flow([self.source(), *sections.release(self.diagnosis.facts)], hang, f" {page.glyphs.dot} ", "dim")

    def cause(self, finding: Finding, *, first: bool) -> None:
        page, title = self.page, finding.title[self.lang]
        page.gap()
        if not first or title not in self.summary():  # the verdict line has said it already
            page.item(
                page.glyphs.verdicts[0 if finding.severity == "fatal" else 1],
                title,
                0,
                "bold",
                "bold red" if first else "bold",
            )
        page.paragraph(finding.why[self.lang])
        if sections.doubtful(finding):
            page.paragraph(self.say(sections.doubt(finding, self.diagnosis)), style="yellow")
        self.evidence(finding)
        self.fixes(finding)
        self.leads(finding)
        self.origin(finding)

    def evidence(self, finding: Finding) -> None:
        page, (lines, hidden) = self.page, evidence.shown(finding)
        if not lines:
            return
        page.heading(
            self.say("report.evidence"), self.say("report.times", count=finding.times) if finding.times > 1 else ""
        )
        column = max(len(str(line.number or "")) for line in lines) + 2
        width = page.width - column - 3
        rows = 3 if page.narrow else 2
        telling = evidence.hints(finding)
        for index, (number, raw) in enumerate(lines):
            if hidden and index == evidence.MAX_LINES // 2:
                page.add((" " * (column + 3) + self.say("report.more", count=hidden), "dim"))
            text = page.clean(raw.strip())
            seen = window(
                text, width * rows, evidence.focus(text, telling, width * rows * 3 // 4), page.glyphs.ellipsis
            )
            for row, part in enumerate(page.lines_of(seen, width, rows)):
                gutter = page.pad(str(number or "") if row == 0 else "", column, right=True)
                page.add((f"{gutter} {page.glyphs.gutter} ", "dim"), (part, ""))

    def fixes(self, finding: Finding) -> None:
        if finding.fixes:
            self.page.heading(self.say(sections.fixes_heading(finding)))
        for number, fix in enumerate(finding.fixes[:_MAX_FIXES], start=1):
            self.page.item(f"{number}.", fix.text[self.lang], label_style="bold")
            self.paste(
                fix, 5, () if self.diagnosis.patch else snippet(fix.change)
            )  # a corrected file has it in its place

    def leads(self, finding: Finding) -> None:
        if finding.leads:
            self.page.heading(self.say("report.leads"))
        for number, lead in enumerate(finding.leads, start=1):
            self.page.item(f"{number}.", lead.text[self.lang], label_style="bold")

    def paste(self, fix: Fix, indent: int, yaml: Sequence[str] = ()) -> None:
        put_pieces(self.page, pieces(fix.change), indent, self.lang)
        for line in yaml:
            self.page.add((" " * (indent + 2) + line, _PASTE))
        if fix.verified:
            by, detail = fix.verified.get("by", ""), fix.verified.get("detail", "")
            self.page.paragraph(self.say("report.verified", by=by, detail=detail), indent, "dim")

    def origin(self, finding: Finding) -> None:
        page = self.page
        page.gap()
        for url in finding.references[:_MAX_REFERENCES]:
            page.add(("  " + url, "dim"))
        if finding.rule != UNRECOGNIZED:
            page.add(("  " + self.say("report.explain", rule=finding.rule), "dim"))

    def checks(self) -> None:
        """The checklist: a line for each thing that was looked at, by group, below how many of them are well."""
        checks, page = self.diagnosis.checks, self.page
        if not checks:
            return
        told = (self.say(f"check.count.{status}", count=count) for status, count in counts(checks).items())
        page.heading(self.say("check.list"), f" {page.glyphs.dot} ".join(told))
        told_alone = {lines[0].group for _, lines, alike in groups(checks) if alike}
        names = [self.say(f"check.name.{check.name}") for check in checks if check.group not in told_alone]
        names += [self.say(f"check.group.{group}") for group in told_alone]
        column = 0 if page.narrow else max(map(cell_len, names)) + 2
        for group, lines, alike in groups(checks):
            heading = self.say(f"check.group.{group}")
            if alike:
                self.check(lines[0], heading, 2, column + 2 if column else 0)
                continue
            page.add((f"  {heading}", "bold"))
            for check in lines:
                self.check(check, self.say(f"check.name.{check.name}"), 4, column)

    def check(self, check: Check, name: str, indent: int, column: int) -> None:
        """One line of the checklist.

        Its sign, its name in a column of that width (0: as wide as it is), what was seen.
        """
        index, style = _CHECKS[check.status]
        page, sign = self.page, self.page.glyphs.verdicts[index]
        text = check.detail[self.lang] + (
            self.say("report.brackets", notes=", ".join(check.rules)) if check.rules else ""
        )
        plain = "dim" if check.status == "unknown" else ""
        if not column:
            page.item(sign, name + self.say("report.colon") + text, indent, plain, style)
            return
        hang = indent + 2 + column
        first, *rest = wrap(page.clean(text), page.width - hang)
        page.add((f"{' ' * indent}{sign} ", style), (page.pad(name, column), plain), (first, plain))
        for line in rest:
            page.add((" " * hang + line, plain))

    def changes(self) -> None:
        """What was changed in the user's file, with the lines around.

        Indentation means something there, so lines are cut, not wrapped.
        """
        if self.diagnosis.changes:
            self.page.heading(self.say("report.file"), self.say("report.corrected"))
        for kind, text in self.diagnosis.changes:
            sign, style = _DIFF[kind]
            self.page.add((f"  {sign} {self.page.cut(text, self.page.width - 4)}", style))

    def command(self) -> None:
        """The user's command with the first fix in it, as a diff."""
        if self.diagnosis.command is None or self.diagnosis.changes:
            return
        self.page.heading(self.say("report.command"), self.say("report.corrected"))
        for kind, text in self.diagnosis.command.lines:
            sign, style = _DIFF[kind]
            self.page.item(sign, self.page.clean(text), 2, style=style, label_style=style)

    def alternatives(self) -> None:
        """Other ways to make it fit: what each gives up, and what it leaves."""
        if self.diagnosis.alternatives:
            self.page.heading(self.say("report.alternatives"))
        for way in self.diagnosis.alternatives:
            self.page.item(self.page.glyphs.dot, way.text[self.lang])
            put_pieces(self.page, pieces(way.change), 4, self.lang)

    def symptoms(self) -> None:
        found = self.sections.symptoms
        if found:
            self.page.heading(self.say("report.symptoms"))
        for finding in found[:_MAX_SHORT]:
            self.page.item(
                self.page.glyphs.dot, finding.title[self.lang] + sections.where(finding, self.lang), style="dim"
            )
        self.more(found)

    def others(self, heading: str, findings: Sequence[Finding]) -> None:
        page = self.page
        if findings:
            page.heading(self.say(heading))
        for finding in findings[:_MAX_SHORT]:
            page.item(page.glyphs.dot, finding.title[self.lang] + sections.where(finding, self.lang))
            for fix in finding.fixes[:1]:
                page.item(page.glyphs.arrow, fix.text[self.lang], 4, "dim")
                self.paste(fix, 5 + cell_len(page.glyphs.arrow))
        self.more(findings)

    def ignored(self) -> None:
        said = sections.ignored(self.diagnosis, self.lang)
        if said:
            self.page.gap()
            self.page.paragraph(said, 0, "dim")

    def more(self, findings: Sequence[Finding]) -> None:
        if len(findings) > _MAX_SHORT:
            self.page.add(("  " + self.say("report.more", count=len(findings) - _MAX_SHORT), "dim"))

    def facts(self) -> None:
        rows = [(self.say(key), value) for key, value in sections.rows(self.diagnosis.facts)]
        if rows:
            self.page.heading(self.say("report.facts"))
            self.page.rows(rows)

    def memory(self) -> None:
        page, card = self.page, picture.memory(self.diagnosis.facts)
        if card is None:
            return
        key = "report.card_asked" if card.asked else "report.card"
        page.heading(
            self.say("report.memory"), self.say(key, gib=picture.gib(card.total), asked=picture.gib(card.asked or 0))
        )
        signs = dict(zip(picture.NAMES, page.glyphs.parts, strict=True))
        cells = picture.spread([part.gib for part in card.parts], page.width - 4)
        page.add(
            ("  ", ""),
            *((signs[part.name] * length, _PARTS[part.name]) for part, length in zip(card.parts, cells, strict=True)),
        )
        names = [f" {self.say(f'memory.{part.name}')} {picture.gib(part.gib)}" for part in card.parts]
        page.legend([(signs[part.name], _PARTS[part.name], name) for part, name in zip(card.parts, names, strict=True)])

    def timeline(self) -> None:
        page, timeline = self.page, self.diagnosis.timeline
        if not timeline:
            return
        total = sum(phase.seconds for phase in timeline)
        page.heading(self.say("report.timeline"), self.say("report.seconds", seconds=picture.seconds(total)))
        labels = [self.say(f"phase.{phase.phase}") for phase in timeline]
        times = [self.say("report.seconds", seconds=picture.seconds(phase.seconds)) for phase in timeline]
        numbers = max(map(cell_len, times))
        column = max(4, min(max(map(cell_len, labels)), page.width - numbers - 4))
        room = page.width - column - numbers - 6
        cells = picture.timeline_cells(timeline, min(30, room) if room >= 4 else 0)
        for label, time, length in zip(labels, times, cells, strict=True):
            row = page.pad(page.cut(label, column), column), page.pad(time, numbers, right=True)
            page.add((f"  {row[0]}  ", "dim"), (row[1], ""), ("  " + page.glyphs.bar * length, "blue"))

    def runs(self) -> None:
        runs = self.diagnosis.runs
        if len(runs) < 2:
            return
        self.page.gap()
        self.page.paragraph(sections.runs(runs, self.lang), 0)

    def not_checked(self) -> None:
        """Last, unless nothing else is known: then it is what to do next."""
        unknown = self.diagnosis.verdict == "unknown"
        if self.diagnosis.not_checked:
            self.page.heading(self.say("report.look_at" if unknown else "report.not_checked"))
        for text in self.diagnosis.not_checked:
            self.page.item(self.page.glyphs.dot, text[self.lang], style="" if unknown else "dim")

    # ---- What they share

    def verdict(self) -> tuple[str, str, str]:
        index, style = _VERDICTS[self.diagnosis.verdict]
        return self.page.glyphs.verdicts[index], self.say(f"verdict.{self.diagnosis.verdict}"), style

    def summary(self) -> str:
        return self.diagnosis.summary[self.lang]

    def source(self) -> str:
        return (
            self.say("report.stdin")
            if self.diagnosis.source == "-"
            else self.page.cut(self.diagnosis.source, self.page.width - 12)
        )
