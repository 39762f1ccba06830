"""`qvl-doctor rules list|test|new`: for people who write rules."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import count
from typing import Annotated, NoReturn

import typer

from qvl_doctor.cli import completing, session
from qvl_doctor.cli.exit_codes import FOUND, OK, UNREADABLE, USAGE
from qvl_doctor.late import late_pattern
from qvl_doctor.model import Rule
from qvl_doctor.rulebook import Mistake

_MAX_LOG = 16 * 1024 * 1024
_WORDS = late_pattern(r"[a-z0-9]+(-[a-z0-9]+)*")


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
    str,
    typer.Option(
        "--rules", metavar="DIR", help="Rules of your own, in addition to the shipped ones.", show_default=False
    ),
]
_Topic = Annotated[
    str,
    typer.Option(
        "--topic", metavar="TOPIC", help="Only rules on it.", show_default=False, autocompletion=completing.topics
    ),
]
_Override = Annotated[bool, typer.Option("--override", help="Your rules may replace shipped ones of the same id.")]


@app.command("list")
def list_rules(
    severity: Annotated[_Severity | None, typer.Option("--severity", help="Only these.", show_default=False)] = None,
    topic: _Topic = "",
    lang: Annotated[_Language | None, typer.Option("--lang", help="Default: the locale's.", show_default=False)] = None,
    format: Annotated[_Format, typer.Option("--format", "-f", help="How to print.")] = _Format.table,  # noqa: A002 — the option's name
    rules: _Folder = "",
    override: _Override = False,
) -> None:
    """List the rules by topic: id, severity, number of examples, title."""
    from qvl_doctor.rulebook.pages import shipped_topics

    everyone, mistakes = _listed(rules, override)
    titles = {each.name: each.title for each in shipped_topics()}
    names = dict.fromkeys([*titles, *(rule.topic for rule in everyone)])
    if topic and topic not in names:
        _unknown_topic(topic, names)
    found = [rule for rule in everyone if severity in {None, rule.severity} and topic in {"", rule.topic}]
    if format is _Format.json:
        typer.echo(json.dumps([_as_dict(rule) for rule in found], ensure_ascii=False, indent=2))
        _end(mistakes)
    from qvl_doctor.messages import language

    spoken = language(lang.value if lang else None, os.environ)
    for line in _table(found, {name: titles.get(name, {}).get(spoken, "") for name in names}, spoken):
        typer.echo(line)
    _end(mistakes)


@app.command("test")
def check_rules(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RULE]...",
            help="Only the examples of these.",
            show_default=False,
            autocompletion=completing.rule_ids,
        ),
    ] = None,
    rules: _Folder = "",
    override: _Override = False,
) -> None:
    """Run every rule over every example: it must match its own, and neither its near misses nor other rules' examples.

    Exit code: 0 all rules pass, 1 at least one fails, 2 wrong usage.
    """
    from qvl_doctor import rulebook
    from qvl_doctor.authoring.examples import Problem, check_examples, slow_patterns, unjudged
    from qvl_doctor.cli.progress import doing
    from qvl_doctor.rulebook.checks import check_mistakes

    everyone, mistakes = _read(rules, override)
    chosen = [rule for rule in everyone if not names or rule.id in names]
    unknown = set(names or ()) - {rule.id for rule in everyone} - {_stem(mistake.path) for mistake in mistakes}
    if unknown:
        _fail(f"there is no rule '{min(unknown)}'", USAGE)
    ours = [rule for rule in everyone if rule.topic and rule.source.startswith(rulebook.rules_folder())]
    mistakes = [*mistakes, *(check_mistakes(ours) if ours else ())]
    wrong = [mistake for mistake in mistakes if not names or _stem(mistake.path) in names]
    with doing(whole_time=True) as show:

        def telling(what: str) -> Callable[[Rule], None]:
            number = count(1)
            return lambda _: show(f"{what} of rule {next(number)} of {len(chosen)}")

        problems: list[Mistake | Problem] = [*wrong, *check_examples(chosen, everyone, telling("examples"))]
        problems += slow_patterns(chosen, telling("patterns"))
    problems += unjudged(ours) if ours and not names else []
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
    topic: Annotated[
        str,
        typer.Option(
            "--topic",
            metavar="TOPIC",
            help="What it is about: a directory in that folder.",
            show_default=False,
            autocompletion=completing.topics,
        ),
    ] = "",
) -> None:
    r"""Start a rule from a log: its pattern and its first example are filled in, the rest is marked TODO.

    \b
      qvl-doctor rules new my-failure --topic kv-cache pod.log
      kubectl logs POD --previous | qvl-doctor rules new my-failure --rules my-rules
    """
    from qvl_doctor.authoring.skeleton import skeleton
    from qvl_doctor.rulebook.folders import rule_files

    path = os.path.join(_topic_folder(rules, topic), f"{name}.yaml")
    if not _WORDS.fullmatch(name):
        _fail(f"a rule's id is lower-case words joined by '-', not '{name}'", USAGE)
    there = next((each for each in rule_files(rules)[0] if _stem(each) == name), path)
    if os.path.exists(there):
        _fail(f"{there} exists already", USAGE)
    text = _log(log)
    content = skeleton(name, text)
    if content is None:
        _fail(f"{log}: there is nothing in it to write a rule about", UNREADABLE)
    known = _known_already(text)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
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


def _topic_folder(folder: str, topic: str) -> str:
    """Where a new rule belongs: the directory of its topic, which must be one of the folder's own if it has any."""
    from qvl_doctor.rulebook import RuleError
    from qvl_doctor.rulebook.topics import load_topics

    try:
        known = [each.name for each in load_topics(folder)]
    except RuleError as error:
        _fail(str(error), USAGE)
    if known and not topic:
        _fail(f"--topic is needed; there are: {', '.join(known)}", USAGE)
    if known and topic not in known:
        _unknown_topic(topic, known)
    if topic and not _WORDS.fullmatch(topic):
        _fail(f"a topic is lower-case words joined by '-', not '{topic}'", USAGE)
    return os.path.join(folder, topic)


def _read(folder: str, override: bool) -> tuple[tuple[Rule, ...], list[Mistake]]:
    """The shipped rules, with their examples, and those of a folder.

    All that are right, and what is wrong with the others.
    """
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


def _table(rules: Sequence[Rule], topics: Mapping[str, str], lang: str) -> Iterator[str]:
    """The rules by topic, each in one line however long its title is: for a terminal and for grep."""
    from qvl_doctor.report.typeset import clean, readable

    column = max((len(rule.id) for rule in rules), default=4)
    yield f"{'rule':{column}}  severity  examples  title"
    for name, title in topics.items():
        own = [rule for rule in rules if rule.topic == name]
        if name and own:
            yield from ("", f"{title} ({name})" if title else name)
        for rule in own:
            count = len(rule.matches) + len(rule.silent)
            shown = clean(readable(rule.title[lang]), sys.stdout.encoding)
            yield f"{rule.id:{column}}  {rule.severity:8}  {count:8}  {shown}"


def _listed(folder: str, override: bool) -> tuple[tuple[Rule, ...], Sequence[Mistake]]:
    """The same for a list. Without other rules those of a wheel come compiled, which takes a tenth of the time."""
    from qvl_doctor import rulebook
    from qvl_doctor.rulebook.pages import with_pages

    if folder and not _is_shipped(folder):
        return _read(folder, override)
    try:
        return with_pages(rulebook.shipped()), ()
    except rulebook.RuleError:
        return _read("", override)


def _unknown_topic(topic: str, known: Iterable[str]) -> NoReturn:
    from qvl_doctor.rulebook.mistakes import nearest

    near = nearest(topic, known)
    meant = f"did you mean '{near}'?" if near else f"there are: {', '.join(filter(None, known))}"
    _fail(f"there is no topic '{topic}'; {meant}", USAGE)


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
        "topic": rule.topic,
        "title": dict(rule.title),
        "examples": {"matches": len(rule.matches), "silent": len(rule.silent)},
        "references": list(rule.references),
    }


def _log(path: str) -> str:
    """The lines of a log, decoded and without control characters; of an endless one, the beginning."""
    from qvl_doctor.errors import InputError
    from qvl_doctor.logs.source import LineSplitter, open_input, read_chunks
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
    session.tell(message)
    raise typer.Exit(code)
