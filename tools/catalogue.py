"""The texts that releases of vLLM can print.

Mined from their published sources when they are asked for, and kept in a cache.

Nothing of them is part of this repository: what the rules need of them is their `seen_in`.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import mine_messages
from fetch_sdist import fetch
from mine_messages import Message, messages_of
from vllm_source import version_key


class Row(NamedTuple):
    """A text: where and for what it stood last (see `Message.kind`.

    Several kinds if several places print it), and who has it.
    """

    text: str
    file: str
    kinds: tuple[str, ...]
    releases: frozenset[str]


class Catalogue(NamedTuple):
    """The releases that were read, oldest first, and the texts of all of them."""

    releases: tuple[str, ...]
    rows: tuple[Row, ...]


def default_cache() -> Path:
    """Where mined texts are kept: XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qvl-doctor" / "messages"


def of_releases(releases: Iterable[str], cache: Path, sources: Path | None = None) -> Catalogue:
    """The texts of some releases. Raises FetchError where the sources of one cannot be had."""
    known = Catalogue((), ())
    for release in sorted(set(releases), key=version_key):
        known = with_release(known, release, texts_of(release, cache, sources))
    return known


def texts_of(release: str, cache: Path, sources: Path | None = None) -> dict[str, list[Message]]:
    """The messages of a release by file: from the cache, else mined and kept there.

    `sources` keeps the unpacked sources.

    Raises FetchError.
    """
    kept = cache / f"vllm-{release}-{miner()}.json"
    if kept.exists():
        found = json.loads(kept.read_text(encoding="utf-8"))
        return {file: [Message(*each) for each in messages] for file, messages in found.items()}
    with tempfile.TemporaryDirectory(prefix="qvl-doctor-") as scratch:
        mined = messages_of(fetch(release, sources or Path(scratch)))
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_name(kept.name + f".{os.getpid()}")
    unfinished.write_text(json.dumps(mined), encoding="utf-8")
    unfinished.rename(kept)
    return mined


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


def ranges(some: Collection[str], releases: Sequence[str], newest: str = "") -> tuple[str, ...]:
    """Releases as people read them: '0.6.0–0.8.5', '0.9.0'.

    What the `newest` of all has, too, has an open end: '0.10.0–'.
    """
    return tuple(_range(first, last, newest) for first, last in spans_of(some, releases))


def _range(first: str, last: str, newest: str) -> str:
    if last == newest:
        return f"{first}–"
    return first if first == last else f"{first}–{last}"


def expanded(said: Iterable[str], releases: Sequence[str]) -> frozenset[str]:
    """The releases that ranges speak of: the reverse of `ranges`. The ends of ranges must be among the releases."""
    some: set[str] = set()
    for each in said:
        first, dash, last = each.partition("–")
        begin = releases.index(first)
        end = releases.index(last) if last else len(releases) - 1 if dash else begin
        some.update(releases[begin : end + 1])
    return frozenset(some)


def spans_of(some: Collection[str], releases: Sequence[str]) -> list[tuple[str, str]]:
    """(first, last) of each unbroken run of releases."""
    runs: list[tuple[int, int]] = []
    for place in (number for number, release in enumerate(releases) if release in some):
        if runs and runs[-1][1] == place - 1:
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    return [(releases[first], releases[last]) for first, last in runs]


def _by_text(found: Mapping[str, Iterable[Message]]) -> dict[str, Row]:
    """One row for each text of a release: of several files the first, and all its kinds."""
    kinds: dict[str, set[str]] = {}
    files: dict[str, str] = {}
    for file in sorted(found):
        for message in found[file]:
            files.setdefault(message.text, file)
            kinds.setdefault(message.text, set()).add(message.kind)
    return {text: Row(text, file, tuple(sorted(kinds[text])), frozenset()) for text, file in files.items()}


def miner() -> str:
    """What a kept file was mined with: another miner finds other texts."""
    return hashlib.sha256(Path(mine_messages.__file__).read_bytes()).hexdigest()[:8]
