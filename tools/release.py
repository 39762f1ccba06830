#!/usr/bin/env python3
"""Prepares a release of qvl-doctor, and says what does not agree. docs/releasing.md has the steps around it.

python tools/release.py            names what disagrees of versions, changelog, schemas, pages; exits with 1 if so
python tools/release.py 0.2.0      writes that version, dates the unreleased part of the changelog, and says the same
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from qvl_doctor.knowledge import newest_vllm

ROOT = Path(__file__).resolve().parent.parent
VERSION, CHANGELOG, PROJECT, CI = "qvl_doctor/__init__.py", "CHANGELOG.md", "pyproject.toml", ".github/workflows/ci.yml"
UNRELEASED = "## [Unreleased]"
#: Gives the text of a file by its path below the root.
Reader = Callable[[str], str]

_VERSION = re.compile(r'(?m)^__version__ = "(.*)"$')
_HEADING = re.compile(r"(?m)^## \[(.*?)\](?: - (.*))?$")
_NUMBERS = re.compile(r"\d+\.\d+\.\d+")
#: Where the oldest Python is named, and how.
_OLDEST = (
    (PROJECT, r'requires-python = ">=(3\.\d+)"'),
    (PROJECT, r'target-version = "py(3\d+)"'),
    (PROJECT, r'python_version = "(3\.\d+)"'),
    ("README.md", r"Python (3\.\d+) or later"),
    (".ci/run", r"Python \(>= (3\.\d+)\)"),
    (".ci/run", r"if python(3\.\d+) -c pass"),
)
#: A kind of file with a schema of its own: where the program names it.
_SCHEMAS = {
    "report": "qvl_doctor/report/as_json.py",
    "env": "qvl_doctor/machine/export.py",
    "bundle": "qvl_doctor/bundle/archive.py",
}
_REPORT_SCHEMA = "qvl_doctor/report/schema-v{}.json"


def problems(read: Reader) -> list[str]:
    """What does not agree in a tree, one sentence each."""
    return [*_of_changelog(read), *_of_pythons(read), *_of_schemas(read), *_of_vllm(read)]


def released(read: Reader, version: str, day: str) -> dict[str, str]:
    """The files that a release changes, with their new texts.

    Raises ValueError where the version cannot be released.
    """
    old, changelog = _version(read), read(CHANGELOG)
    dated = [name for name, _ in _headings(read) if name != "Unreleased"]
    if not _NUMBERS.fullmatch(version):
        raise ValueError(f"a version is three numbers, such as 0.2.0, not {version}")
    if version in dated or _numbers(version) < _numbers(old):
        raise ValueError(f"{version} does not follow {old}")
    if not _unreleased(changelog):
        raise ValueError(f"{CHANGELOG} has nothing under {UNRELEASED}")
    return {
        VERSION: _VERSION.sub(f'__version__ = "{version}"', read(VERSION)),
        CHANGELOG: changelog.replace(UNRELEASED, f"{UNRELEASED}\n\n## [{version}] - {day}", 1),
    }


def _of_changelog(read: Reader) -> Iterator[str]:
    version, headings = _version(read), _headings(read)
    if not _NUMBERS.fullmatch(version):
        yield f"{VERSION}: {version} is not a version of three numbers"
        return
    if not headings or headings[0] != ("Unreleased", ""):
        yield f"{CHANGELOG}: the first heading is not {UNRELEASED}"
    dated = headings[1:]
    for name, day in dated:
        if not _NUMBERS.fullmatch(name) or not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
            yield f"{CHANGELOG}: [{name}] needs three numbers and a date: ## [0.2.0] - 2026-01-31"
            return
    if dated != sorted(dated, key=lambda each: (_numbers(each[0]), each[1]), reverse=True):
        yield f"{CHANGELOG}: the newest release does not come first"
    if dated and _numbers(dated[0][0]) > _numbers(version):
        yield f"{CHANGELOG} has {dated[0][0]}, but {VERSION} still has {version}"


def _of_pythons(read: Reader) -> Iterator[str]:
    listed = re.findall(r"Programming Language :: Python :: (3\.\d+)", read(PROJECT))
    matrix = re.search(r"python: \[(.*)\]", read(CI))
    if not matrix or re.findall(r"3\.\d+", matrix[1]) != listed:
        yield f"{CI} tests other versions of Python than {PROJECT} lists: {', '.join(listed)}"
    for path, pattern in _OLDEST:
        named = re.search(pattern, read(path))
        if not named or named[1].replace("3.", "3") != listed[0].replace("3.", "3"):
            yield f"{path} names another oldest Python than {PROJECT} lists, {listed[0]}: {pattern}"


def _of_schemas(read: Reader) -> Iterator[str]:
    for kind, path in _SCHEMAS.items():
        named = re.search(rf'(?m)^SCHEMA = "qvl-doctor/{kind}/(\d+)"$', read(path))
        if not named:
            yield f"{path} names no schema qvl-doctor/{kind}/NUMBER"
        elif kind == "report":
            yield from _of_report_schema(read, named[1])


def _of_report_schema(read: Reader, number: str) -> Iterator[str]:
    path = _REPORT_SCHEMA.format(number)
    try:
        text = read(path)
    except OSError:
        yield f"{path}: there is no such file, and the program writes reports by it"
        return
    for wanted in (f'"$id": "urn:qvl-doctor:report:{number}"', f'"schema": {{"const": "qvl-doctor/report/{number}"}}'):
        if wanted not in text:
            yield f"{path} does not say {wanted}"
    if path not in read("README.md"):
        yield f"README.md does not lead to {path}"


def _of_vllm(read: Reader) -> Iterator[str]:
    newest = ".".join(newest_vllm().split(".")[:2])
    said = re.search(r"vLLM 0\.\d+ to (0\.\d+)", read("README.md"))
    if not said or said[1] != newest:
        yield f"README.md does not say that the newest release of vLLM in the tables is {newest}: vLLM 0.6 to {newest}"


def _version(read: Reader) -> str:
    found = _VERSION.search(read(VERSION))
    return found[1] if found else ""


def _headings(read: Reader) -> list[tuple[str, str]]:
    return [(name, day or "") for name, day in _HEADING.findall(read(CHANGELOG))]


def _unreleased(changelog: str) -> str:
    return changelog.partition(UNRELEASED)[2].partition("\n## ")[0].strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", nargs="?", help="the version to write; without it nothing is written")
    parser.add_argument("--root", type=Path, default=ROOT)
    options = parser.parse_args(arguments)

    def read(path: str) -> str:
        return Path(options.root, path).read_text(encoding="utf-8")

    if options.version:
        day = dt.datetime.now(tz=dt.timezone.utc).date().isoformat()
        try:
            changed = released(read, options.version, day)
        except ValueError as error:
            parser.error(str(error))
        for path, text in changed.items():
            Path(options.root, path).write_text(text, encoding="utf-8")
            print(f"written: {path}")
    found = problems(read)
    for problem in found:
        print(problem)
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
