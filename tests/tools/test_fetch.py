"""A release is fetched from pip's index and unpacked; what no honest sdist has is refused, and nothing of it is run."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
from pathlib import Path

import fetch_sdist
import pytest
from fetch_sdist import FetchError

GOOD = {
    "vllm-0.9.0/vllm/engine/core.py": b"raise RuntimeError('this is only read')\n",
    "vllm-0.9.0/requirements/common.txt": b"transformers >= 4.51.1\n",
    "vllm-0.9.0/setup.py": b"raise SystemExit('this is never run')\n",
    "vllm-0.9.0/PKG-INFO": b"Requires-Python: >=3.9\n",
    "vllm-0.9.0/csrc/kernel.cu": b"not wanted",
    "vllm-0.9.0/vllm/config.json": b"not wanted",
}
DAY = 1_746_000_000


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mtime = size, kind, target, DAY
    return info


def sdist(path: Path, files: dict[str, bytes], *others: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            archive.addfile(member(name, len(data)), io.BytesIO(data))
        for other in others:
            archive.addfile(other)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index with one release, and pip set up to use it."""
    project = tmp_path / "index" / "vllm"
    project.mkdir(parents=True)
    file = sdist(project / "vllm-0.9.0.tar.gz", GOOD)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (project / "index.html").write_text(
        f'<a href="vllm-0.9.0.tar.gz#sha256={digest}">vllm-0.9.0.tar.gz</a>'
        '<a href="vllm-0.9.0.post1.tar.gz#sha256=00">vllm-0.9.0.post1.tar.gz</a><a>nothing</a>',
        encoding="utf-8",
    )
    monkeypatch.setattr(fetch_sdist, "pip_settings", lambda: {"index-url": project.parent.as_uri()})
    return project


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_release_is_fetched_and_what_is_read_of_it_unpacked(index: Path, tmp_path: Path) -> None:
    folder = fetch_sdist.fetch("0.9.0", tmp_path / "sources")
    assert folder == tmp_path / "sources" / "vllm-0.9.0"
    assert below(tmp_path / "sources") == [
        f"vllm-0.9.0/{name}" for name in ("PKG-INFO", "requirements/common.txt", "setup.py", "vllm/engine/core.py")
    ]
    assert (folder / "PKG-INFO").stat().st_mtime == DAY
    (index / "vllm-0.9.0.tar.gz").unlink()
    assert fetch_sdist.fetch("0.9.0", tmp_path / "sources") == folder


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("0.9.1", r"vllm 0.9.1 cannot be fetched; file:.*: no vllm-0.9.1.tar.gz among 2 files"),
        ("0.9", r"vllm 0.9 cannot be fetched"),
        ("0.9.0.post1", r"vllm-0.9.0.post1.tar.gz: .*No such file"),
    ],
)
def test_a_release_that_the_index_does_not_have(release: str, said: str, index: Path, tmp_path: Path) -> None:
    assert index.exists()
    with pytest.raises(FetchError, match=said):
        fetch_sdist.fetch(release, tmp_path / "sources")
    assert below(tmp_path / "sources") == []


def test_an_index_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    nowhere = "http://name:secret@127.0.0.1:9/simple ftp://127.0.0.1/simple"
    monkeypatch.setattr(
        fetch_sdist, "pip_settings", lambda: {"index-url": (tmp_path / "none").as_uri(), "extra-index-url": nowhere}
    )
    with pytest.raises(FetchError) as error:
        fetch_sdist.fetch("0.9.0", tmp_path / "sources")
    assert re.search(
        r"none/vllm/index.html: .*; http://127.0.0.1:9/simple/vllm/: .*; ftp:.*: an index is an https, http or file",
        str(error.value),
    )
    assert "secret" not in str(error.value)


def test_a_file_that_is_not_the_one_that_the_index_names(index: Path, tmp_path: Path) -> None:
    sdist(index / "vllm-0.9.0.tar.gz", {**GOOD, "vllm-0.9.0/vllm/more.py": b""})
    with pytest.raises(FetchError, match="hash is not the one"):
        fetch_sdist.fetch("0.9.0", tmp_path / "sources")
    assert below(tmp_path / "sources") == []


def test_a_file_that_never_ends(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert index.exists()
    monkeypatch.setattr(fetch_sdist, "MOST_ARCHIVE_BYTES", 100)
    with pytest.raises(FetchError, match="larger than 100 bytes"):
        fetch_sdist.fetch("0.9.0", tmp_path / "sources")
    assert below(tmp_path / "sources") == []


@pytest.mark.parametrize(
    "name", ["../evil.py", "vllm-0.9.0/../../evil.py", "/tmp/evil.py", "vllm-0.9.0/vllm\\..\\evil.py"]
)
def test_a_file_that_wants_to_be_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    archive = sdist(tmp_path / "hostile.tar.gz", {**GOOD, name: b"evil"})
    with pytest.raises(FetchError, match="refused: a file of the archive wants to be written to"):
        fetch_sdist.unpack(archive, tmp_path / "sources" / "vllm-0.9.0")
    assert [path.name for path in tmp_path.rglob("*")] in (
        ["hostile.tar.gz"],
        ["hostile.tar.gz", "sources"],
        ["sources", "hostile.tar.gz"],
    )


def test_links_and_devices_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("secret", encoding="utf-8")
    archive = sdist(
        tmp_path / "hostile.tar.gz",
        GOOD,
        member("vllm-0.9.0/vllm/link.py", kind=tarfile.SYMTYPE, target=str(tmp_path / "secret.py")),
        member("vllm-0.9.0/vllm/hard.py", kind=tarfile.LNKTYPE, target="vllm-0.9.0/csrc/kernel.cu"),
        member("vllm-0.9.0/vllm/folder", kind=tarfile.SYMTYPE, target=str(tmp_path)),
        member("vllm-0.9.0/vllm/device.py", kind=tarfile.CHRTYPE),
        member("vllm-0.9.0/vllm/pipe.py", kind=tarfile.FIFOTYPE),
    )
    with tarfile.open(archive, "r:gz") as written:
        assert len(written.getmembers()) == len(GOOD) + 5
    fetch_sdist.unpack(archive, tmp_path / "vllm-0.9.0")
    assert below(tmp_path / "vllm-0.9.0") == ["PKG-INFO", "requirements/common.txt", "setup.py", "vllm/engine/core.py"]


def test_a_file_below_a_link_lands_in_the_folder(tmp_path: Path) -> None:
    """Links are never made, so that nothing can be written through one."""
    archive = tmp_path / "hostile.tar.gz"
    with tarfile.open(archive, "w:gz") as hostile:
        hostile.addfile(member("vllm-0.9.0/vllm/out", kind=tarfile.SYMTYPE, target=str(tmp_path / "outside")))
        hostile.addfile(member("vllm-0.9.0/vllm/out/evil.py", 4), io.BytesIO(b"evil"))
    (tmp_path / "outside").mkdir()
    fetch_sdist.unpack(archive, tmp_path / "vllm-0.9.0")
    assert below(tmp_path / "outside") == []
    assert below(tmp_path / "vllm-0.9.0") == ["vllm/out/evil.py"]


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        ("MOST_FILES", 3, "more than 3 files"),
        ("MOST_BYTES", 50, "or 50 bytes"),
        ("MOST_FILE_BYTES", 20, "bytes are no source file"),
    ],
)
def test_an_archive_that_is_far_too_large(
    limit: str, value: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_sdist, limit, value)
    with pytest.raises(FetchError, match=said):
        fetch_sdist.unpack(sdist(tmp_path / "large.tar.gz", GOOD), tmp_path / "vllm-0.9.0")
    assert not (tmp_path / "vllm-0.9.0").exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"not an archive", "cannot be unpacked"),
        (b"", "cannot be unpacked"),
        (gzip.compress(b"not a tar" * 100, mtime=0), "cannot be unpacked"),
        (gzip.compress(bytes(10240), mtime=0), r"there is no vllm/ in it"),
    ],
)
def test_a_file_that_is_no_sdist(data: bytes, said: str, tmp_path: Path) -> None:
    archive = tmp_path / "broken.tar.gz"
    archive.write_bytes(data)
    with pytest.raises(FetchError, match=said):
        fetch_sdist.unpack(archive, tmp_path / "vllm-0.9.0")
    assert not (tmp_path / "vllm-0.9.0").exists()


def test_an_archive_that_was_cut_off(tmp_path: Path) -> None:
    archive = sdist(tmp_path / "whole.tar.gz", GOOD)
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(FetchError, match="cannot be unpacked"):
        fetch_sdist.unpack(archive, tmp_path / "vllm-0.9.0")
    assert not (tmp_path / "vllm-0.9.0").exists()


def test_pip_is_asked_for_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.org/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://example.com/a https://example.com/b")
    settings = fetch_sdist.pip_settings()
    assert settings["index-url"] == "https://example.org/simple"
    assert settings["extra-index-url"].split() == ["https://example.com/a", "https://example.com/b"]
