"""`qvl-doctor rules list|test|new`: for people who write rules."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, NoReturn

import typer

from qvl_doctor.model import Rule
from qvl_doctor.rulebook import Mistake

OK, FOUND, USAGE, UNREADABLE = 0, 1, 2, 3
_MAX_LOG = 16 * 1024 * 1024


class _Severity(str, Enum):
    fatal = "fatal"
    degraded = "degraded"
    notice = "notice"


class _Language(str, Enum):
    en = "en"
    zh = "zh"


class _Format(str, Enum):
    table = "table"
    json = "json"


app = typer.Typer(help="List the rules, test them, or start a new one.", no_args_is_help=True, rich_markup_mode=None)

_Folder = Annotated[
    str, typer.Option("--rules", metavar="DIR", help="Rules of your own, beside the shipped ones.", show_default=False)
]
_Override = Annotated[bool, typer.Option("--override", help="Your rules may replace shipped ones of the same id.")]


@app.command("list")
def list_rules(
    severity: Annotated[_Severity | None, typer.Option("--severity", help="Only these.", show_default=False)] = None,
    lang: Annotated[_Language | None, typer.Option("--lang", help="Default: the locale's.", show_default=False)] = None,
    format: Annotated[_Format, typer.Option("--format", "-f", help="How to print.")] = _Format.table,  # noqa: A002 — the option's name
    rules: _Folder = "",
    override: _Override = False,
) -> None:
    """List the rules: id, severity, number of examples, title."""
    everyone, mistakes = _read(rules, override)
    found = [rule for rule in everyone if severity in {None, rule.severity}]
    if format is _Format.json:
        typer.echo(json.dumps([_as_dict(rule) for rule in found], ensure_ascii=False, indent=2))
        _end(mistakes)
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from qvl_doctor.messages import language
    from qvl_doctor.report.rule_page import readable

    spoken = language(lang.value if lang else None, os.environ)
    table = Table("rule", "severity", "examples", "title", box=None, pad_edge=False, header_style="")
    table.columns[0].no_wrap = True
    table.columns[2].justify = "right"
    for rule in found:
        table.add_row(
            rule.id, rule.severity, str(len(rule.matches) + len(rule.silent)), Text(readable(rule.title[spoken]))
        )
    Console(highlight=False, markup=False, emoji=False).print(table)
    _end(mistakes)


@app.command("test")
def check_rules(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[RULE]...", help="Only the examples of these.", show_default=False)
    ] = None,
    rules: _Folder = "",
    override: _Override = False,
) -> None:
    """Run every rule over every example: it speaks on its own, is silent on its near misses, and leaves the others' alone.

    Exit code: 0 all hold, 1 something does not, 2 wrong usage.
    """
    from qvl_doctor.authoring.examples import Problem, check_examples, slow_patterns

    everyone, mistakes = _read(rules, override)
    chosen = [rule for rule in everyone if not names or rule.id in names]
    unknown = set(names or ()) - {rule.id for rule in everyone} - {_stem(mistake.path) for mistake in mistakes}
    if unknown:
        _fail(f"there is no rule '{min(unknown)}'", USAGE)
    wrong = [mistake for mistake in mistakes if not names or _stem(mistake.path) in names]
    problems: list[Mistake | Problem] = [*wrong, *check_examples(chosen, beside=everyone), *slow_patterns(chosen)]
    for problem in problems:
        typer.echo(str(problem))
    examples = sum(len(rule.matches) + len(rule.silent) for rule in chosen)
    broken = len({problem.path for problem in problems})
    files = len({*(rule.source for rule in chosen), *(mistake.path for mistake in wrong)})
    result = f"{len(problems)} problem{'s' * (len(problems) != 1)} in {broken} of them" if problems else "all hold"
    typer.echo(f"{files} rule{'s' * (files != 1)}, {examples} examples: {result}")
    raise typer.Exit(FOUND if problems else OK)


@app.command("new")
def new_rule(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new rule's id: lower-case words joined by '-'.")],
    log: Annotated[
        str, typer.Argument(metavar="[LOG]", help="The log of the failure; - is standard input.", show_default=False)
    ] = "-",
    rules: Annotated[str, typer.Option("--rules", metavar="DIR", help="The folder for the new file.")] = "rules",
) -> None:
    r"""Start a rule from a log: its pattern and its first example are filled in, the rest is marked TODO.

    \b
      qvl-doctor rules new my-failure pod.log
      kubectl logs POD --previous | qvl-doctor rules new my-failure --rules my-rules
    """
    from qvl_doctor.authoring.skeleton import skeleton

    path = os.path.join(rules, f"{name}.yaml")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        _fail(f"a rule's id is lower-case words joined by '-', not '{name}'", USAGE)
    if os.path.exists(path):
        _fail(f"{path} exists already", USAGE)
    text = _log(log)
    content = skeleton(name, text)
    if content is None:
        _fail(f"{log}: there is nothing in it to write a rule about", UNREADABLE)
    known = _known_already(text)
    try:
        os.makedirs(rules, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(content)
    except OSError as error:
        _fail(f"{path}: {error.strerror}", USAGE)
    typer.echo(path)
    if known:
        typer.echo(f"\nNote: {', '.join(known)} already speaks on this log. Is another rule needed?")
    typer.echo("\nNext:\n  1. Take names, addresses and paths of your own out of the example.")
    typer.echo("  2. Replace every TODO; keep of the pattern what tells this failure from others.")
    typer.echo(f"  3. qvl-doctor rules test{'' if _is_shipped(rules) else f' --rules {rules}'}")


def _read(folder: str, override: bool) -> tuple[tuple[Rule, ...], list[Mistake]]:
    """The shipped rules, with their examples, and those of a folder: all that are right, and what is wrong with the others."""
    from qvl_doctor import rulebook

    found, mistakes = rulebook.read(rulebook.rules_folder())
    if not folder or _is_shipped(folder):
        return found, mistakes
    if not os.path.isdir(folder):
        _fail(f"{folder}: no such folder", USAGE)
    own, wrong = rulebook.read(folder, beside=found)
    try:
        return rulebook.merge(found, own, override=override), [*mistakes, *wrong]
    except rulebook.RuleError as error:
        own_ids = {rule.id for rule in own}
        return (*(rule for rule in found if rule.id not in own_ids), *own), [*mistakes, *wrong, *error.mistakes]


def _stem(path: str) -> str:
    return os.path.basename(path).removesuffix(".yaml")


def _is_shipped(folder: str) -> bool:
    from qvl_doctor import rulebook

    return os.path.realpath(folder) == os.path.realpath(rulebook.rules_folder())


def _as_dict(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "severity": rule.severity,
        "confidence": rule.confidence,
        "symptom": rule.symptom,
        "title": dict(rule.title),
        "examples": {"matches": len(rule.matches), "silent": len(rule.silent)},
        "references": list(rule.references),
    }


def _log(path: str) -> str:
    """The lines of a log, decoded and without control characters; of an endless one, the beginning."""
    from qvl_doctor.logs.source import InputError, LineSplitter, open_input, read_chunks
    from qvl_doctor.messages import language, say

    if path == "-" and sys.stdin.isatty():
        typer.echo("Paste the log, then press Ctrl-D.", err=True)
    splitter = LineSplitter()
    lines = []
    size = 0
    try:
        with open_input(path) as stream:
            for chunk in read_chunks(stream, path):
                lines += [line.text for line in splitter.feed(chunk)]
                size += len(chunk)
                if size > _MAX_LOG:
                    break
    except InputError as error:
        _fail(say(error.key, language(None, os.environ), **error.values), UNREADABLE)
    return "\n".join([*lines, *(line.text for line in splitter.flush())])


def _known_already(log: str) -> Sequence[str]:
    """The rules that speak on the log as its cause."""
    from qvl_doctor import rulebook
    from qvl_doctor.diagnose import diagnose
    from qvl_doctor.logs.records import read_records

    rules, _ = rulebook.read(rulebook.rules_folder())
    ids = {rule.id for rule in rules}
    findings = diagnose(read_records(log), rules).findings
    return [finding.rule for finding in findings if finding.role == "cause" and finding.rule in ids]


def _end(mistakes: Sequence[Mistake]) -> NoReturn:
    for mistake in mistakes:
        typer.echo(str(mistake), err=True)
    raise typer.Exit(FOUND if mistakes else OK)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"qvl-doctor: {message}", err=True)
    raise typer.Exit(code)
