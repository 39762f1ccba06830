"""Every text of the project that a reader can see, and what of it is prose.

Code, addresses and placeholders are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from qvl_doctor import messages
from qvl_doctor.rulebook.texts import unfolded

LANGUAGES = ("en", "zh")
_NOT_PROSE = re.compile(r"```[\s\S]*?```|``[^`]*``|`[^`]*`|\]\([^)]*\)|https?://\S+|\{\w+\}")
_DOCSTRING = re.compile(r'r?"""([\s\S]*?)"""')
_COMMENT = re.compile(r"^[ \t]*#(?!!)[ :]*(.*)$|(?<=\S) {2}# (.*)$|(?<=, )# (.*)$", re.MULTILINE)


class Text(NamedTuple):
    """A text, with its language, the kind of place it is in, and its file."""

    kind: str  # title, why, fix, message, help, page, code
    language: str
    path: str
    prose: str


def prose(text: str) -> str:
    """The text with an X for each thing that is not prose, so that the words around it stay apart."""
    return _NOT_PROSE.sub("X", text)


def _spoken(said: object, kind: str, path: str) -> Iterator[Text]:
    if isinstance(said, Mapping):
        for language, words in unfolded({str(key): str(value) for key, value in said.items()}).items():
            if language in LANGUAGES:
                yield Text(kind, language, path, prose(words))


def of_rules(root: Path) -> Iterator[Text]:
    """Title, why and fixes of every rule. Its examples and patterns are other people's words."""
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted((root / "rules").glob("*/*.yaml")):
        rule = yaml.load(path.read_text(encoding="utf-8").split("\ntests:")[0], Loader=loader)  # noqa: S506
        name = path.relative_to(root).as_posix()
        yield from _spoken(rule["title"], "title", name)
        yield from _spoken(rule["why"], "why", name)
        for fix in rule["fixes"]:
            yield from _spoken(fix, "fix", name)


def of_messages(root: Path) -> Iterator[Text]:
    """The sentences of the interface."""
    path = root / "qvl_doctor/messages.yaml"
    for sentence in yaml.safe_load(messages.compile_messages(str(path))).values():
        yield from _spoken(sentence, "message", path.relative_to(root).as_posix())


def of_help(_root: Path) -> Iterator[Text]:
    """What `--help` says of each command and of each option."""
    from typer.main import get_command

    from qvl_doctor.cli.app import app

    waiting: list[Any] = [get_command(app)]
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        for said in (command.help, *(getattr(option, "help", "") for option in command.params)):
            yield Text("help", "en", "--help", prose(re.sub("\b[^\b]*?(\n\n|\\Z)", "", said or "")))


def of_pages(root: Path) -> Iterator[Text]:
    """README and docs/*.md, without the code in them: a text for each paragraph, item and cell."""
    for path in sorted([root / "README.md", root / "CONTRIBUTING.md", *(root / "docs").glob("*.md")]):
        page = re.sub(r"```[\s\S]*?```", "\n\n", path.read_text(encoding="utf-8"))
        for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\. ))|\|", page):
            yield Text("page", "en", path.relative_to(root).as_posix(), prose(part))


def of_code(root: Path) -> Iterator[Text]:
    """Docstrings and comments of the package. Read by their marks: parsing it all takes a second."""
    for path in sorted((root / "qvl_doctor").rglob("*.py")):
        source, name = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
        for docstring in _DOCSTRING.findall(source):
            yield Text("code", "en", name, prose(docstring))
        comments = ("".join(found) for found in _COMMENT.findall(_DOCSTRING.sub("", source)))
        yield Text("code", "en", name, prose("\n".join(comments)))


def everything(root: Path) -> Iterator[Text]:
    for gather in (of_rules, of_messages, of_help, of_pages, of_code):
        yield from gather(root)
