"""Inputs that still grow: real pipes and files, through everything that rotates and truncates logs."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from qvl_doctor.errors import InputError, UsageError
from qvl_doctor.logs.growing import Growing, growing

ENOUGH_S = 5.0


def next_of(source: Growing) -> bytes:
    """What comes next, however long the machine takes."""
    data = source.wait(ENOUGH_S)
    assert data, data
    return data


@contextmanager
def pipe() -> Iterator[tuple[str, int]]:
    """A pipe by a name that can be opened, and the end to write to."""
    reading, writing = os.pipe()
    try:
        yield f"/dev/fd/{reading}", writing
    finally:
        os.close(reading)


def test_a_pipe_gives_what_came_then_silence_then_its_end() -> None:
    with pipe() as (path, writing), closing(growing(path)) as source:
        assert source.wait(0) == b""
        os.write(writing, b"one\ntw")
        assert next_of(source) == b"one\ntw"
        assert source.wait(0.001) == b""
        os.write(writing, b"o\n")
        os.close(writing)
        assert next_of(source) == b"o\n"
        assert source.wait(ENOUGH_S) is None


def test_a_fifo_that_nobody_writes_to_yet_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    with closing(growing(str(tmp_path / "log"))) as source:
        assert source.wait(0.01) == b""
        with (tmp_path / "log").open("wb") as file:
            file.write(b"one\n")
        assert next_of(source) == b"one\n"
        assert source.wait(ENOUGH_S) is None


@pytest.mark.parametrize("name", ["pipe", "file"])
def test_what_wakes_it_ends_a_wait(name: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"")
    wake, waking = os.pipe()
    with pipe() as (path, writing):
        os.write(waking, b".")
        with closing(growing(path if name == "pipe" else str(tmp_path / "log"), wake)) as source:
            before = time.monotonic()
            assert source.wait(ENOUGH_S) == b""
            assert time.monotonic() - before < ENOUGH_S / 2
        os.close(writing)
    os.close(wake)
    os.close(waking)


def renamed(path: Path) -> None:
    """As logrotate's `create`, and the kubelet."""
    path.rename(path.with_suffix(".1"))
    path.write_bytes(b"")


def renamed_over(path: Path) -> None:
    """A new file in the place of the old one, at once."""
    path.with_suffix(".new").write_bytes(b"")
    path.with_suffix(".new").replace(path)


def copied_and_truncated(path: Path) -> None:
    shutil.copy(path, path.with_suffix(".1"))
    os.truncate(path, 0)


def removed(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"")


def relinked(path: Path) -> None:
    """As the links in /var/log/containers."""
    path.rename(path.with_suffix(".1"))
    path.with_suffix(".2").write_bytes(b"")
    path.symlink_to(path.with_suffix(".2"))


ROTATIONS = (renamed, renamed_over, copied_and_truncated, removed, relinked)


@pytest.mark.parametrize("rotate", ROTATIONS)
@pytest.mark.parametrize("ended", [True, False])
def test_a_file_is_followed_through_rotation(rotate: Callable[[Path], None], tmp_path: Path, *, ended: bool) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a long line of the old file" + b"\n" * ended)
    with closing(growing(str(path))) as source:
        assert next_of(source).startswith(b"a long")
        rotate(path)
        seen = source.wait(0.02)
        with path.open("ab") as file:
            file.write(b"new\n")
        while not (seen or b"").endswith(b"new\n"):
            seen = (seen or b"") + next_of(source)
        # A line that the old file left open does not go on in the new one.
        assert seen == (b"new\n" if ended else b"\nnew\n")
        with path.open("ab") as file:
            file.write(b"more\n")
        assert next_of(source) == b"more\n"
        assert source.wait(0) == b""


def test_a_file_that_was_truncated_and_filled_between_two_looks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    with closing(growing(str(path))) as source:
        assert next_of(source) == b"one\n"
        path.write_bytes(b"two\nthree\n")
        assert next_of(source) == b"two\nthree\n"


def test_a_writer_that_goes_on_at_the_old_place_after_a_truncation(tmp_path: Path) -> None:
    """As `vllm serve > log` does: the file then begins with zeros."""
    path = tmp_path / "log"
    with path.open("wb", buffering=0) as file, closing(growing(str(path))) as source:
        file.write(b"one\n")
        assert next_of(source) == b"one\n"
        os.truncate(path, 0)
        file.write(b"two\n")
        assert next_of(source).lstrip(b"\0") == b"two\n"
        file.write(b"three\n")
        assert next_of(source) == b"three\n"


def test_what_was_written_to_the_old_file_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    with closing(growing(str(path))) as source, path.open("ab", buffering=0) as old:
        assert next_of(source) == b"one\n"
        path.rename(tmp_path / "log.1")
        assert source.wait(0.02) == b""  # there is no such file for a moment
        old.write(b"two\n")
        path.write_bytes(b"three\n")
        assert next_of(source) + next_of(source) == b"two\nthree\n"


def test_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with closing(growing(str(path))) as source:
        assert source.missing
        assert source.wait(0.01) == b""
        path.write_bytes(b"one\n")
        assert next_of(source) == b"one\n"
        assert not source.missing


def test_standard_input_from_a_file_is_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\n")
    with path.open("r", encoding="utf-8") as stdin:
        os.lseek(stdin.fileno(), 4, os.SEEK_SET)  # `{ read line; qvl-doctor -; } < log`
        monkeypatch.setattr(sys, "stdin", stdin)
        with closing(growing("-")) as source:
            assert next_of(source) == b"two\n"
            path.rename(tmp_path / "log.1")
            path.write_bytes(b"another\n")
            assert source.wait(0.02) == b""
            os.truncate(tmp_path / "log.1", 0)
            with (tmp_path / "log.1").open("ab") as file:
                file.write(b"3\n")
            assert next_of(source) == b"3\n"


@pytest.mark.parametrize(
    ("begins", "error"),
    [
        (b"\x1f\x8b\x08", UsageError),
        (b"\x28\xb5\x2f\xfd", UsageError),
        (b"PK\x03\x04", InputError),
        (b"BZh9", InputError),
    ],
)
def test_what_cannot_be_followed_is_refused(begins: bytes, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(begins + b"\0" * 100)
    with closing(growing(str(path))) as source, pytest.raises(error):
        source.wait(0)


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_a_folder_and_no_name_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        growing(f"{tmp_path}/{name}")
