"""Package versions from the lists of pip, uv and conda, `pip show`, and what pip and Transformers print.

Inside a log only packages count that matter to vLLM, so that no sentence with a number becomes a package. A file that
is said to be pip's output is believed in all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from qvl_doctor.facts.table import PACKAGES
from qvl_doctor.model import Fact, Record

_MAX_LINE = 400
_MAX_PACKAGES = 5000
#: What a line of interest begins with: a known package in one of its spellings, or a mark of pip's tables.
_FIRST_WORDS = (
    PACKAGES | {name.replace("_", "-") for name in PACKAGES} | {"[pip3]", "[pip]", "[conda]", "|", "name:", "version:"}
)

_VERSION = r"\d{1,6}(?:\.[\w*]{1,20}){1,6}(?:[+-][\w.+-]{1,60})?"
_NAME = r"[A-Za-z0-9](?:[\w.-]{0,80}[A-Za-z0-9])?"
# After the version may come a path, a newer version with its kind, or conda's build and channel: never a plain word, as
# in a sentence. `[pip3] torch==2.5.1` and `[conda] torch 2.5.1 pypi_0 pypi` are how vLLM's collect_env prints them.
_ROW = (
    rf"(?:\[(?:pip3?|conda)\] )?(?P<name>{_NAME})(?:={{2,3}}|[ \t]+)(?P<version>{_VERSION})"
    r"(?:[ \t]+(?=\S{0,80}[\d_/])\S{1,300}(?:[ \t]+[\w.-]{1,60}){0,2})?(?:[ \t]*;.{0,200})?\s*"
)
_TABLE_ROW = rf"\|\s*(?P<name>{_NAME})\s*\|\s*(?P<version>{_VERSION})\s*\|.{{0,200}}"
_SHOWN_NAME = rf"Name: (?P<name>{_NAME})\s*"
_SHOWN_VERSION = rf"Version: (?P<version>{_VERSION})\s*"
_INSTALLED = rf"(?P<name>{_NAME}?)-(?P<version>{_VERSION})"
_SATISFIED = rf"Requirement already satisfied: (?P<name>{_NAME}?)(?:\[[\w,-]{{1,80}}\])?[\s<>=!~].{{0,300}}\((?P<version>{_VERSION})\)"
_FOUND = rf"but found (?P<name>{_NAME})==(?P<version>{_VERSION})"


class PackageReader:
    """Finds packages in the lines of a log. Keeps only the name that a `Name:` line has said."""

    def __init__(self) -> None:
        self._named = ""

    def feed(self, record: Record) -> Iterable[tuple[str, Fact]]:
        """The known packages that one record tells, as facts.

        People paste `pip list` right behind a traceback: its lines count too.
        """
        message = record.message
        if message.startswith("Successfully installed "):
            return _known(map(_compiled(_INSTALLED).fullmatch, message.split()[2:_MAX_PACKAGES]), record.first_line)
        if message.startswith("Requirement already satisfied"):
            return _known([_compiled(_SATISFIED).match(message[:_MAX_LINE])], record.first_line)
        found: list[tuple[str, Fact]] = []
        if record.exception and "but found " in message:
            found += _known(_compiled(_FOUND).finditer(message[:_MAX_LINE]), record.first_line)
        for number, text in record.lines:
            if _begins_like_one(text):
                found += self._of_line(text.strip(), number)
        return found

    def _of_line(self, text: str, number: int) -> Iterable[tuple[str, Fact]]:
        if len(text) > _MAX_LINE:
            return ()
        if shown := _compiled(_SHOWN_NAME).fullmatch(text):
            self._named = shown["name"]
            return ()
        if shown := _compiled(_SHOWN_VERSION).fullmatch(text):
            name, self._named = _fact_name(self._named), ""
            return ((name, Fact(shown["version"], "pasted", number)),) if name in PACKAGES else ()
        return _known([_compiled(_ROW).fullmatch(text) or _compiled(_TABLE_ROW).fullmatch(text)], number)


def _begins_like_one(text: str) -> bool:
    """Whether the line is worth a closer look: cheap, because every line of a log is asked."""
    first = text[:60].split(None, 1)
    return bool(first) and first[0].partition("=")[0].lower() in _FIRST_WORDS


def read_pip(text: str) -> dict[str, Fact]:
    """The packages of a whole `pip list`, `pip freeze`, `conda list` or `pip show`.

    What is none of these is passed over.
    """
    found: dict[str, Fact] = {}
    named = ""
    for number, line in enumerate(text.splitlines(), 1):
        row = line.strip()
        if not row or len(row) > _MAX_LINE or len(found) >= _MAX_PACKAGES:
            continue
        if shown := _compiled(_SHOWN_NAME).fullmatch(row):
            named = shown["name"]
        elif named and (shown := _compiled(_SHOWN_VERSION).fullmatch(row)):
            found.setdefault(_fact_name(named), Fact(shown["version"], "pip", number))
            named = ""
        elif shown := _compiled(_ROW).fullmatch(row) or _compiled(_TABLE_ROW).fullmatch(row):
            found.setdefault(_fact_name(shown["name"]), Fact(shown["version"], "pip", number))
    return found


def _known(matches: Iterable[re.Match[str] | None], number: int) -> list[tuple[str, Fact]]:
    named = [(_fact_name(match["name"]), match["version"]) for match in matches if match]
    return [(name, Fact(version, "pasted", number)) for name, version in named if name in PACKAGES]


@lru_cache(maxsize=16)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _fact_name(package: str) -> str:
    return re.sub(r"[-_.]+", "_", package).lower()
