"""Inputs of every kind become the same lines; bad ones become one clear error."""

import gzip
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from qvl_doctor.errors import InputError
from qvl_doctor.logs.source import CHUNK, MAX_LINE, LineSplitter, RawLine, open_input, read_chunks, shortened

TEXT = "INFO 02-16 10:03:00 [x.py:1] hello\n启动完成\nlast line without an end"


def lines_of(data: bytes) -> list[RawLine]:
    splitter = LineSplitter()
    chunks = read_chunks(io.BufferedReader(io.BytesIO(data)))
    return [line for chunk in chunks for line in splitter.feed(chunk)] + list(splitter.flush())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(encoding: str) -> None:
    assert [line.text for line in lines_of(TEXT.encode(encoding))] == TEXT.split("\n")


def test_broken_utf8_loses_only_its_bytes() -> None:
    assert [line.text for line in lines_of(b"caf\xe9 \xff\xfe bar\nnext")] == ["caf\ufffd \ufffd\ufffd bar", "next"]


@pytest.mark.parametrize(
    ("name", "compress"),
    [("pod.log.gz", gzip.compress), ("pod.log.zst", zstandard.ZstdCompressor().compress), ("pod.log", bytes)],
)
def test_compressed_files_by_their_first_bytes(tmp_path: Path, name: str, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name.replace(".gz", ".txt")
    path.write_bytes(compress(TEXT.encode()))
    with open_input(str(path)) as stream:
        assert b"".join(read_chunks(stream)) == TEXT.encode()


def test_zst_of_several_frames(tmp_path: Path) -> None:
    path = tmp_path / "pod.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(b"one\n") + zstandard.ZstdCompressor().compress(b"two\n"))
    with open_input(str(path)) as stream:
        assert b"".join(read_chunks(stream)) == b"one\ntwo\n"


def test_one_endless_line_keeps_head_and_tail_and_little_memory() -> None:
    splitter = LineSplitter()
    block = b"x" * CHUNK
    tracemalloc.start()
    for _ in range(40):
        assert not list(splitter.feed(block))
    assert tracemalloc.get_traced_memory()[1] < 6 * CHUNK
    tracemalloc.stop()
    (line, after) = [*splitter.feed(b" the end\nafter\n")]
    assert (line.number, after.number, after.text) == (1, 2, "after")
    assert len(line.text) <= MAX_LINE + 16
    assert line.text.startswith("xxx")
    assert line.text.endswith("the end")


def test_the_tail_of_a_cut_line_does_not_begin_inside_a_secret() -> None:
    """Without the name before it, the rest of a secret would not be taken for one."""
    secret = "Zk3v9QxT71pLmN8s2RwB" * 3
    end = "x" * 2020  # the tail of 2048 bytes begins within the secret
    (whole,) = lines_of(f"{'y ' * 10_000}HF_TOKEN={secret} {end}\n".encode())
    line = shortened(whole)
    assert len(line.text) <= MAX_LINE + 16
    assert secret[-20:] not in line.text
    assert line.text.endswith(end)


@pytest.mark.parametrize(
    ("data", "key", "said"),
    [
        (b"PK\x03\x04" + bytes(26) + b"pod.log" + bytes(500), "error.archive", "unzip"),
        (b"PK\x03\x04" + bytes(26) + b"qvl-doctor-bundle/env.json" + bytes(500), "error.bundle", ""),
        (b"pod.log" + bytes(250) + b"ustar\x0000" + bytes(500), "error.archive", "tar xf"),
        (b"\xfd7zXZ\0" + bytes(500), "error.archive", "unxz"),
        (b"BZh91AY&SY" + bytes(500), "error.archive", "bunzip2"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_an_archive_is_told_by_what_unpacks_it(tmp_path: Path, data: bytes, key: str, said: str, zipped: bool) -> None:
    path = tmp_path / "input"
    path.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.raises(InputError) as error, open_input(str(path)) as stream:
        list(read_chunks(stream, str(path)))
    assert error.value.key == key
    assert said in error.value.values.get("unpack", "")


def test_numbers_count_physical_lines_whatever_the_chunks() -> None:
    data = b"a\n\nb\rc\nd\r\n"
    whole = lines_of(data)
    splitter = LineSplitter()
    pieces = [line for byte in data for line in splitter.feed(bytes([byte]))] + list(splitter.flush())
    assert [line.number for line in whole] == [1, 2, 3, 3, 4]
    assert whole == pieces


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda _: None, "error.missing"),
        (lambda path: path.mkdir(), "error.directory"),
        (lambda path: path.write_bytes(b"\x7fELF" + bytes(5000)), "error.binary"),
        (lambda path: path.write_bytes(gzip.compress(TEXT.encode() * 99)[:-20]), "error.unreadable"),
        (
            lambda path: path.write_bytes(zstandard.ZstdCompressor().compress(TEXT.encode() * 99)[:9] + b"rubbish"),
            "error.damaged",
        ),
    ],
)
def test_bad_input_is_one_error(tmp_path: Path, make: Callable[[Path], object], key: str) -> None:
    path = tmp_path / "input"
    make(path)
    with pytest.raises(InputError) as error, open_input(str(path)) as stream:
        list(read_chunks(stream, str(path)))
    assert error.value.key == key


def test_name_with_nul_byte() -> None:
    with pytest.raises(InputError):
        open_input("a\0b").__enter__()
