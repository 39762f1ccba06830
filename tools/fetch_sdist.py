"""Fetches the source distribution of a release from pip's index and unpacks the files that are read from it.

`pip download` would run the build of what it downloads, only to learn its name. Nothing of a release is run here: its
file is taken from the index that pip is set up to use, its hash is checked, and only text files below the release's own
folder are written, by this module.
"""

from __future__ import annotations

import hashlib
import html.parser
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path, PurePosixPath

DEFAULT_INDEX = "https://pypi.org/simple"
TIMEOUT_S = 60
MOST_ARCHIVE_BYTES = 500 * 1024 * 1024
MOST_FILES = 50_000
MOST_FILE_BYTES = 20 * 1024 * 1024
MOST_BYTES = 1024 * 1024 * 1024

_LATEST = 2**32 - 1
_WANTED = re.compile(
    r"vllm/.*\.py|requirements[^/]*\.txt|requirements/.*\.(?:txt|in)|(?:pyproject\.toml|setup\.py|PKG-INFO)"
    r"|tests/models/registry\.py|docs/.*supported_models\.md"
)


class FetchError(Exception):
    """A release that cannot be had, and why."""


def fetch(version: str, folder: Path) -> Path:
    """The unpacked sources of a vLLM release: `folder`/vllm-<version>. What is there already is not fetched again.

    Raises FetchError.
    """
    target = folder / f"vllm-{version}"
    if not target.is_dir():
        archive = download("vllm", version, folder)
        unpack(archive, target)
        archive.unlink()
    return target


def download(project: str, version: str, folder: Path) -> Path:
    """The sdist of a release as it is: `folder`/<project>-<version>.tar.gz. Raises FetchError."""
    archive = folder / f"{project}-{version}.tar.gz"
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        settings = pip_settings()
        unfinished = archive.with_name(archive.name + ".part")
        try:
            _download(_link(project, version, settings), unfinished, settings)
            unfinished.rename(archive)
        finally:
            unfinished.unlink(missing_ok=True)
    return archive


def pip_settings() -> dict[str, str]:
    """What pip is told about indexes, by its files and by PIP_… variables.

    Index-url, extra-index-url, cert and so on.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    settings = {}
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        settings[key.rpartition(".")[2]] = value.strip("'\"")
    named = {name[4:].lower().replace("_", "-"): value for name, value in os.environ.items() if name.startswith("PIP_")}
    return settings | named


def unpack(archive: Path, target: Path) -> None:
    """Write the files of an sdist that are read to a new folder.

    Raises FetchError on anything that no honest sdist has.
    """
    building = target.with_name(target.name + ".part")
    shutil.rmtree(building, ignore_errors=True)
    try:
        with tarfile.open(archive, "r:gz") as sdist:
            for path, day, data in _contents(sdist):
                place = building / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
                os.utime(place, (day, day))  # PKG-INFO tells on which day a release was built
        if not (building / "vllm").is_dir():
            raise FetchError(f"{archive.name}: there is no vllm/ in it")
        building.rename(target)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FetchError(f"{archive.name}: cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _contents(sdist: tarfile.TarFile) -> Iterator[tuple[PurePosixPath, int, bytes]]:
    """The wanted files: path below the release's folder, time and content. Everything is counted, wanted or not."""
    total = 0
    for number, member in enumerate(sdist):
        total += member.size
        if number >= MOST_FILES or total > MOST_BYTES:
            raise FetchError(f"more than {MOST_FILES} files or {MOST_BYTES} bytes: this is no sdist of vLLM")
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
            raise FetchError(f"refused: a file of the archive wants to be written to {member.name!r}")
        inner = PurePosixPath(*path.parts[1:])
        if not member.isfile() or not _WANTED.fullmatch(str(inner)):  # links and devices are no files
            continue
        if member.size > MOST_FILE_BYTES:
            raise FetchError(f"{member.name}: {member.size} bytes are no source file")
        file = sdist.extractfile(member)
        if file:
            yield inner, min(max(0, int(member.mtime)), _LATEST), file.read(MOST_FILE_BYTES)


def _link(project: str, version: str, settings: dict[str, str]) -> str:
    """The address of the release's sdist on the first index that has it."""
    wanted = re.compile(rf"{re.escape(project)}-{re.escape(version)}\.tar\.gz", re.IGNORECASE)
    indexes = [settings.get("index-url", DEFAULT_INDEX), *settings.get("extra-index-url", "").split()]
    problems = []
    for index in indexes:
        page = f"{index.rstrip('/')}/{project}/" + ("index.html" if index.startswith("file:") else "")
        try:
            with _open(page, settings) as answer:
                links = _Links(answer.read(MOST_FILE_BYTES).decode("utf-8", errors="replace"))
        except (OSError, ValueError) as error:
            problems.append(f"{_without_password(page)}: {getattr(error, 'reason', error)}")
            continue
        found = [link for link in links.found if wanted.fullmatch(urllib.parse.urlsplit(link).path.rpartition("/")[2])]
        if found:
            return urllib.parse.urljoin(page, found[0])
        problems.append(f"{_without_password(page)}: no {project}-{version}.tar.gz among {len(links.found)} files")
    raise FetchError(f"{project} {version} cannot be fetched; " + "; ".join(problems))


def _download(link: str, archive: Path, settings: dict[str, str]) -> None:
    address, _, fragment = link.partition("#")
    digest, size = hashlib.sha256(), 0
    try:
        with _open(address, settings) as answer, archive.open("wb") as file:
            while chunk := answer.read(1024 * 1024):
                size += len(chunk)
                if size > MOST_ARCHIVE_BYTES:
                    raise FetchError(f"{_without_password(address)}: larger than {MOST_ARCHIVE_BYTES} bytes")
                digest.update(chunk)
                file.write(chunk)
    except OSError as error:
        raise FetchError(f"{_without_password(address)}: {getattr(error, 'reason', error)}") from error
    promised = urllib.parse.parse_qs(fragment).get("sha256", [""])[0]
    if promised and promised != digest.hexdigest():
        raise FetchError(f"{_without_password(address)}: the file's hash is not the one that the index names")


def _open(address: str, settings: dict[str, str]) -> HTTPResponse:
    if urllib.parse.urlsplit(address).scheme not in {"https", "http", "file"}:
        raise ValueError("an index is an https, http or file address")
    context = ssl.create_default_context(cafile=settings["cert"]) if settings.get("cert") else None
    answer: HTTPResponse = urllib.request.urlopen(address, timeout=TIMEOUT_S, context=context)  # noqa: S310 — checked above
    return answer


def _without_password(address: str) -> str:
    """An address as it may be shown: indexes of companies carry passwords."""
    return re.sub(r"//[^/@]*@", "//", address)


class _Links(html.parser.HTMLParser):
    """The links of an index page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]
