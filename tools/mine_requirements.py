"""What each release of vLLM, Transformers and torch asks of other packages, as its metadata say.

    pip install --dry-run --no-deps --ignore-installed --report torch.json torch==2.14.0
    python tools/mine_requirements.py torch.json

Takes releases into `qvl_doctor/knowledge/requirements.json`: from reports of pip, as above, from files of metadata
(PKG-INFO,
METADATA), and from unpacked sdists of vLLM. What Python on Linux with an NVIDIA card needs counts, and no extras.
`refresh_knowledge.py`
does it for vLLM and Transformers; torch has no sources on the index, so it is a step of its own.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from build_knowledge import plain_range, write
from mine_model_types import order

#: Package -> [[release from which on, range], …]; "" as range says nothing.
Rows = dict[str, list[list[str]]]

TABLE = Path(__file__).resolve().parent.parent / "qvl_doctor" / "knowledge" / "requirements.json"
SOURCE = "metadata of the releases of vLLM, Transformers and torch on PyPI"
OWNERS = ("vllm", "transformers", "torch")
#: What pins.json has, for vLLM.
ELSEWHERE = {"vllm": ("torch", "transformers")}
CONNECTORS = "requirements/kv_connectors.txt"
_LINE = re.compile(r"([\w.-]+)(?:\[[^\]]*\])?\s*\(?((?:[<>=!~]=?\s*[\w.*+]+\s*,?\s*)*)\)?\s*(?:;(.*))?")
#: Markers of an extra, of another machine, and of a Python that is older or newer than most.
_OTHERS = re.compile(
    r"s390x|ppc64le|riscv64|[Dd]arwin|win32|Windows|python_version\s*(?:<\s*.3\.(?:9|1[01])\b|==|>=?\s*.3\.1[3-9])"
)
_THIS = re.compile(r"x86_64|!=|python_version\s*<\s*.3\.1[3-9]")


class Table:
    """The table, as it is on disk and with what is added: the releases of each owner, and its rows."""

    def __init__(self, path: Path = TABLE) -> None:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.releases: dict[str, list[str]] = {
            owner: known.get("releases", {}).get(owner, "").split() for owner in OWNERS
        }
        self.rows: dict[str, Rows] = {owner: known.get(owner, {}) for owner in OWNERS}

    def add(self, owner: str, release: str, lines: Iterable[str]) -> None:
        """Take in a release with the lines of what it requires."""
        asked = of_releases(self.rows[owner], self.releases[owner]) | {release: requirements(lines, owner)}
        self.releases[owner] = sorted(asked, key=order)
        self.rows[owner] = rows({name: asked[name] for name in self.releases[owner]})

    def write(self, path: Path, day: str) -> None:
        """One package a line."""
        releases = {owner: " ".join(self.releases[owner]) for owner in OWNERS}
        write(path, {"source": SOURCE, "date": day}, {"releases": releases, **self.rows})


def requirements(lines: Iterable[str], owner: str) -> dict[str, str]:
    """Package -> range, of what is asked for with a range."""
    asked: dict[str, str] = {}
    for line in lines:
        found = _LINE.fullmatch(line.strip())
        if not found or not found[2]:
            continue
        marker = found[3] or ""
        if "extra" in marker or (_OTHERS.search(marker) and not _THIS.search(marker)):
            continue
        name = re.sub(r"[-_.]+", "-", found[1]).lower()
        if name not in ELSEWHERE.get(owner, ()):
            asked.setdefault(name, plain_range(found[2]))
    return asked


def rows(releases: Mapping[str, Mapping[str, str]]) -> Rows:
    """Package -> the releases at which its range changes, of releases that are given in their order."""
    found: Rows = {}
    for package in sorted({name for asked in releases.values() for name in asked}):
        last = ""
        for release, asked in releases.items():
            if asked.get(package, "") != last:
                last = asked.get(package, "")
                found.setdefault(package, []).append([release, last])
    return found


def of_releases(known: Rows, releases: Sequence[str]) -> dict[str, dict[str, str]]:
    """Release -> what it asks for: the reverse of `rows`."""
    return {
        release: {package: text for package, changes in known.items() if (text := at(changes, release))}
        for release in releases
    }


def at(changes: Sequence[Sequence[str]], release: str) -> str:
    """The range that holds for a release."""
    return next((text for first, text in reversed(changes) if order(first) <= order(release)), "")


def of_metadata(text: str) -> list[str]:
    """What a file of metadata requires."""
    return [str(line) for line in HeaderParser().parsestr(text).get_all("Requires-Dist", [])]


def optional(folder: Path) -> list[str]:
    """What vLLM's connectors for KV caches need; that is in no metadata."""
    path = folder / CONNECTORS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line.partition("#")[0] for line in lines]


def releases_of(path: Path) -> list[tuple[str, str, list[str]]]:
    """Name, version and requirements of what an unpacked sdist, a report of pip or a file of metadata is about."""
    if path.is_dir():
        (name, version, lines), *_ = releases_of(path / "PKG-INFO")
        return [(name, version, [*lines, *optional(path)])]
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".json":
        said = HeaderParser().parsestr(text)
        return [(str(said["Name"]), str(said["Version"]), of_metadata(text))]
    found: list[dict[str, Any]] = [each["metadata"] for each in json.loads(text)["install"]]
    return [(each["name"], each["version"], each.get("requires_dist", [])) for each in found]


def main(given: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--date", default=date.today().isoformat())  # noqa: DTZ011 — the day on the author's calendar
    arguments = parser.parse_args(given)
    table = Table(arguments.out)
    for path in arguments.files:
        for owner, release, lines in releases_of(path):
            table.add(owner, release, lines)
    table.write(arguments.out, arguments.date)


if __name__ == "__main__":
    main()
