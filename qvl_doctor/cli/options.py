"""The options of every report, those of `logs`, and the short way to read them that does without typer.

Importing typer costs several times what diagnosing a log costs. `read_quickly` understands the plain spellings
(`--format json`, `--format=json`, paths) and leaves everything else, mistakes and `--help` included, to typer. A test
compares the two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

FORMATS = ("console", "json", "jsonl", "markdown")
FAIL_ON = ("fatal", "degraded", "notice", "unknown", "never")
UNTIL = ("ready", "dead")
#: Options that typer itself has; the word after them names a shell.
_TYPERS = ("--install-completion", "--show-completion")
COMMANDS = ("logs", "plan", "check", "bundle", "manifest", "explain", "rules", "completion")


class ReportOptions(NamedTuple):
    """How a report is to look, where it goes, and what counts. Every command that prints one has these options."""

    format: str = "console"
    output: str = ""
    lang: str = ""
    fail_on: str = "degraded"
    ignore: tuple[str, ...] = ()
    quiet: bool = False
    no_color: bool = False


class LogsOptions(NamedTuple):
    """What `qvl-doctor logs` was asked for."""

    paths: tuple[str, ...] = ()
    report: ReportOptions = ReportOptions()
    rules: tuple[str, ...] = ()
    override: bool = False
    pip: str = ""
    follow: bool = False
    until: str = ""
    timeout: str = ""
    no_redact: bool = False
    command: str = ""
    gpu: str = ""
    model_dir: str = ""
    env: str = ""


#: Option → field of LogsOptions or ReportOptions. A field that is a bool takes no value, one that is a tuple may come
#: several times.
OPTIONS = {
    "--format": "format",
    "-f": "format",
    "--output": "output",
    "-o": "output",
    "--lang": "lang",
    "--fail-on": "fail_on",
    "--ignore": "ignore",
    "--rules": "rules",
    "--override": "override",
    "--pip": "pip",
    "--follow": "follow",
    "--until": "until",
    "--timeout": "timeout",
    "--quiet": "quiet",
    "-q": "quiet",
    "--no-color": "no_color",
    "--no-redact": "no_redact",
    "--command": "command",
    "--gpu": "gpu",
    "--model-dir": "model_dir",
    "--env": "env",
}
#: The values that an option may have, where the list is closed.
CHOICES = {"format": FORMATS, "lang": ("en", "zh"), "fail_on": FAIL_ON, "until": UNTIL}

_OF_REPORTS = ReportOptions._field_defaults
_DEFAULTS = {**LogsOptions._field_defaults, **_OF_REPORTS}


def with_command(arguments: Sequence[str]) -> list[str]:
    """The arguments with `logs` put in front where the short form was used: `qvl-doctor -`, `qvl-doctor pod.log`."""
    first = next((argument for argument in arguments if not argument.startswith("-") or argument == "-"), None)
    if not arguments or arguments[0] in COMMANDS or arguments[0] in _TYPERS or first is None or first in COMMANDS:
        return list(arguments)
    return ["logs", *arguments]


def read_quickly(arguments: Sequence[str]) -> LogsOptions | None:
    """The options of a plain `logs` call; None for whatever typer had better read."""
    if not arguments or arguments[0] != "logs":
        return None
    given: dict[str, Any] = {}
    paths: list[str] = []
    rest = deque(arguments[1:])
    while rest:
        word = rest.popleft()
        if word == "-" or not word.startswith("-"):
            paths.append(word)
        elif not _take(word, rest, given):
            return None
    report = ReportOptions(**{name: given.pop(name) for name in _OF_REPORTS.keys() & given.keys()})
    return LogsOptions(paths=tuple(paths), report=report, **given) if paths else None


def _take(word: str, rest: deque[str], given: dict[str, Any]) -> bool:
    """Enters an option, with its value from the words after it, into what is given.

    False if typer had better look at it.
    """
    option, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
    name = OPTIONS.get(option)
    if name is None:
        return False
    default = _DEFAULTS[name]
    if isinstance(default, bool):
        given[name] = True
        return not equals
    if not equals:
        if not rest or (rest[0].startswith("-") and rest[0] != "-"):
            return False
        value = rest.popleft()
    given[name] = (*given.get(name, ()), value) if isinstance(default, tuple) else value
    return bool(value) and value in CHOICES.get(name, (value,))
