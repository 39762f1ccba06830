"""The catalogue: every text that vLLM can print, and the releases whose sources have it. `refresh_knowledge.py` writes it.

It is a text file, so that a new release is a diff of what it added and dropped:

    releases: 0.6.0 0.6.1 … 0.33.0
    vllm/engine/arg_utils.py                                    the file that has the text, in the last release that has
    it <tab>0.6.0-0.8.4,0.9.0-<tab>log:info<tab>Some text with {}  releases (an open end: still there), what it is for,
    the text
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from mine_messages import Message
from vllm_source import version_key

DEFAULT = Path(__file__).resolve().parent / "data" / "messages.txt"


class Row(NamedTuple):
    """A text: where and for what it stood last (see `Message.kind`; several kinds if several places print it), and who has it."""

    text: str
    file: str
    kinds: tuple[str, ...]
    releases: frozenset[str]


class Catalogue(NamedTuple):
    """The releases that were read, oldest first, and the texts of all of them."""

    releases: tuple[str, ...]
    rows: tuple[Row, ...]


def read(path: Path = DEFAULT) -> Catalogue:
    """The catalogue in a file. Raises OSError, or ValueError for a file that is none."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or not lines[0].startswith("releases: "):
        raise ValueError(f"{path} is no catalogue of messages")
    releases = tuple(lines[0].split()[1:])
    rows, file = [], ""
    for line in lines[1:]:
        if line.startswith("\t"):
            _, spans, kinds, text = line.split("\t", 3)
            rows.append(Row(text, file, tuple(kinds.split(",")), _spanned(spans, releases)))
        else:
            file = line
    return Catalogue(releases, tuple(rows))


def write(catalogue: Catalogue, path: Path = DEFAULT) -> None:
    """The file that `read` reads."""
    lines, file = ["releases: " + " ".join(catalogue.releases)], ""
    for row in sorted(catalogue.rows, key=lambda row: (row.file, row.text)):
        if row.file != file:
            file = row.file
            lines.append(file)
        spans = ",".join(
            "-".join(_open(span, catalogue.releases[-1])) for span in spans_of(row.releases, catalogue.releases)
        )
        lines.append("\t".join(("", spans, ",".join(row.kinds), row.text)))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def with_release(catalogue: Catalogue, release: str, found: Mapping[str, Iterable[Message]]) -> Catalogue:
    """The catalogue with one more release, or with a new reading of one; `found` are its messages by file."""
    releases = tuple(sorted({*catalogue.releases, release}, key=version_key))
    here = _by_text(found)
    rows = []
    for row in catalogue.rows:
        others = row.releases - {release}
        new = here.pop(row.text, None)
        if new is None and others:
            rows.append(row._replace(releases=others))
        elif new is not None:
            newest = all(version_key(other) < version_key(release) for other in others)
            rows.append((new if newest else row)._replace(releases=others | {release}))
    rows += [row._replace(releases=frozenset({release})) for row in here.values()]
    return Catalogue(releases, tuple(rows))


def spans_of(some: Collection[str], releases: Sequence[str]) -> list[tuple[str, str]]:
    """(first, last) of each unbroken run of releases."""
    runs: list[tuple[int, int]] = []
    for place in (number for number, release in enumerate(releases) if release in some):
        if runs and runs[-1][1] == place - 1:
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    return [(releases[first], releases[last]) for first, last in runs]


def ranges(some: Collection[str], releases: Sequence[str]) -> tuple[str, ...]:
    """Releases as people read them: '0.6.0–0.8.5', '0.9.0'."""
    return tuple(first if first == last else f"{first}–{last}" for first, last in spans_of(some, releases))


def _by_text(found: Mapping[str, Iterable[Message]]) -> dict[str, Row]:
    """One row for each text of a release: of several files the first, and all its kinds."""
    kinds: dict[str, set[str]] = {}
    files: dict[str, str] = {}
    for file in sorted(found):
        for message in found[file]:
            files.setdefault(message.text, file)
            kinds.setdefault(message.text, set()).add(message.kind)
    return {text: Row(text, file, tuple(sorted(kinds[text])), frozenset()) for text, file in files.items()}


def _open(span: tuple[str, str], newest: str) -> Iterator[str]:
    yield span[0]
    if span[1] == newest:
        yield ""
    elif span[1] != span[0]:
        yield span[1]


@lru_cache(maxsize=4096)
def _spanned(spans: str, releases: tuple[str, ...]) -> frozenset[str]:
    some: set[str] = set()
    for span in spans.split(","):
        first, dash, last = span.partition("-")
        begin = releases.index(first)
        end = releases.index(last) if last else len(releases) - 1 if dash else begin
        some.update(releases[begin : end + 1])
    return frozenset(some)
