"""`qvl-doctor bundle`: what is packed, what never is, and under which name."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from bundle.packing import OOM, bundle, unpacked
from hypothesis import given
from hypothesis import strategies as st
from program import run

from qvl_doctor.bundle.archive import Archive, LogCopy, member
from qvl_doctor.launch.masking import masked_source
from qvl_doctor.logs.source import BUNDLE
from qvl_doctor.machine.export import SCHEMA

SECRET = "Zk3v9QxT71pLmN8s2RwB"


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """A machine that was seen elsewhere: nothing of the one that runs the tests is in the archive."""
    path = tmp_path / "env.json"
    facts = {"nvml": "ok", "gpu_count": 1, "gpu_name": "NVIDIA GeForce RTX 4090", "total_gib": 23.65, "vllm": "0.7.2"}
    path.write_text(
        json.dumps({"schema": SCHEMA, "version": "0.1.0", "made": "2025-11-02T10:12:13Z", "facts": facts}),
        encoding="utf-8",
    )
    return path


# ---- What is in it


def test_what_an_issue_needs_is_in_one_archive(tmp_path: Path, fixtures: Path, env: Path) -> None:
    target = tmp_path / "case.zip"
    done = bundle(
        "-o",
        target,
        "--env",
        env,
        fixtures / OOM,
        "--",
        "vllm",
        "serve",
        "Qwen/Qwen2.5-VL-7B-Instruct",
        "--api-key",
        SECRET,
    )
    assert done.returncode == 0, done.stderr
    found = unpacked(target)
    assert list(found)[-2:] == ["README.md", "MANIFEST.json"]
    assert found["command/command.sh"] == "vllm serve Qwen/Qwen2.5-VL-7B-Instruct --api-key ***\n"
    assert found["logs/oom-9.03.log"] == (fixtures / OOM).read_text(encoding="utf-8")
    assert json.loads(found["env.json"])["made"] == "2025-11-02T10:12:13Z"
    report = json.loads(found["reports/oom-9.03.json"])
    assert report["source"] == "logs/oom-9.03.log"
    assert report["verdict"] == "failed"
    assert report["facts"]["gpu_name"] == "NVIDIA GeForce RTX 4090"
    assert json.loads(found["reports/check.json"])["checks"]
    assert "9.03 GiB" in found["reports/oom-9.03.txt"]
    assert "9.03 GiB" in found["reports/oom-9.03.md"]
    assert not any("\x1b" in text for text in found.values())
    assert not any(SECRET in text for text in found.values())
    said = done.stdout.decode()
    for word in ("logs/oom-9.03.log", "Nothing was sent anywhere", "NOT masked: host names"):
        assert word in said


def test_the_lists_are_right(tmp_path: Path, fixtures: Path, env: Path) -> None:
    target = tmp_path / "case.zip"
    bundle("-o", target, "--env", env, fixtures / OOM)
    found = unpacked(target)
    listed = {each["name"]: each for each in json.loads(found["MANIFEST.json"])["files"]}
    assert {*listed, "MANIFEST.json"} == set(found)
    for name, each in listed.items():
        data = found[name].encode()
        assert (each["bytes"], each["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert name == "README.md" or (name in found["README.md"] and each["sha256"][:16] in found["README.md"])


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, fixtures: Path, env: Path) -> None:
    for name in ("a.zip", "b.zip"):
        bundle("-o", tmp_path / name, "--env", env, fixtures / OOM, fixtures / "failed/0.11.0-lora-rank.log")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, zstandard.ZstdCompressor().compress, lambda data: data.decode().encode("utf-16")],
    ids=["plain", "gz", "zst", "utf16"],
)
def test_every_kind_of_log_is_packed_as_text(tmp_path: Path, fixtures: Path, pack: Any) -> None:
    log = tmp_path / "pod.log.gz"
    log.write_bytes(pack((fixtures / OOM).read_bytes()))
    bundle("--no-check", "-o", tmp_path / "case.zip", log)
    found = unpacked(tmp_path / "case.zip")
    assert found["logs/pod.log"] == (fixtures / OOM).read_text(encoding="utf-8")


def test_the_copy_of_a_log_leads_to_the_same_report(tmp_path: Path, fixtures: Path) -> None:
    """Line numbers included: the copy keeps its physical lines."""
    logs = sorted(fixtures.glob("failed/*.log"))[::6][:8]
    bundle("--no-check", "-o", tmp_path / "case.zip", *logs)
    with zipfile.ZipFile(tmp_path / "case.zip") as archive:
        archive.extractall(tmp_path)
    copies = [str(tmp_path / BUNDLE / "logs" / log.name) for log in logs]
    again = run("logs", "--format", "jsonl", *copies).stdout.splitlines()
    for log, line in zip(logs, again, strict=True):
        packed = json.loads((tmp_path / BUNDLE / "reports" / f"{log.stem}.json").read_text(encoding="utf-8"))[
            "findings"
        ]
        found = json.loads(line)["findings"]
        assert [(each["rule"], each["evidence"]) for each in found] == [
            (each["rule"], each["evidence"]) for each in packed
        ]


def test_a_log_that_nobody_understands_is_packed_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("milk, eggs, and\nthree lanterns\n", encoding="utf-8")
    (tmp_path / "empty.log").touch()
    done = bundle("--no-check", tmp_path / "notes.txt", tmp_path / "empty.log", cwd=tmp_path)
    assert done.returncode == 0
    found = unpacked(tmp_path / "qvl-doctor-bundle.zip")
    assert found["logs/notes.txt"].startswith("milk")
    assert "not a vLLM log" in found["reports/notes.txt"]
    assert "is empty" in found["README.md"]


def test_a_command_that_cannot_be_read_is_packed_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "start.sh").write_text(f"echo no server here\nexport HF_TOKEN={SECRET}\n", encoding="utf-8")
    done = bundle("--no-check", "--command", tmp_path / "start.sh", cwd=tmp_path)
    assert done.returncode == 0
    found = unpacked(tmp_path / "qvl-doctor-bundle.zip")
    assert found["command/start.sh"] == "echo no server here\nexport HF_TOKEN=***\n"
    assert "no vLLM command could be read" in found["README.md"]


# ---- Secrets


@given(st.integers(1, 60), st.integers(60, 100))
def test_no_chunk_and_no_edge_of_a_terminal_shows_a_secret(size: int, width: int) -> None:
    """The bytes come in pieces, and a terminal breaks the lines at its edge."""
    plain = "".join(
        f"INFO 11-02 10:00:{n:02} [api_server.py:1] request {n} was answered in time, as all the others were before it, too\n"
        for n in range(9)
    )
    said = f"INFO 11-02 10:00:10 [utils.py:1] non-default args: {{'model': 'm', 'api_key': ['{SECRET}'], 'port': 8000, 'host': None}}\n"
    text = "".join(
        line[at : at + width] + "\n"
        for line in (plain + said + plain).splitlines()
        for at in range(0, len(line), width)
    )
    out = io.BytesIO()
    copy = LogCopy(1 << 20, out.write)
    data = text.encode()
    for at in range(0, len(data), size):
        copy.feed(data[at : at + size])
    copy.close()
    assert SECRET not in out.getvalue().decode().replace("\n", "")
    assert out.getvalue().count(b"\n") == text.count("\n")


def test_a_manifest_is_packed_as_it_is_without_its_secrets(tmp_path: Path) -> None:
    text = (
        "# mine\napiVersion: v1\nkind: Secret\ndata:\n  hf: c2VjcmV0LXZhbHVl\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: v}\nspec:\n"
        f"  containers:\n  - name: vllm\n    image: vllm/vllm-openai:v0.11.0\n    args: [--model, m, --api-key, {SECRET}]\n"
        f"    env:\n    - {{name: HF_TOKEN, value: {SECRET}}}\n    - name: OTHER\n      value: plain\n"
    )
    path = tmp_path / "pod.yaml"
    path.write_text(text, encoding="utf-8")
    bundle("--no-check", "--command", path, cwd=tmp_path)
    found = unpacked(tmp_path / "qvl-doctor-bundle.zip")["command/pod.yaml"]
    assert SECRET not in found
    assert "c2VjcmV0LXZhbHVl" not in found
    assert found.startswith("# mine\n")
    assert "value: plain" in found


def test_a_secret_that_cannot_be_read_as_yaml_is_not_packed() -> None:
    assert masked_source("apiVersion: v1\nkind: Secret\ndata:\n  a: b\n c: [\n") == ""


def test_a_key_whose_begin_is_left_out_stays_hidden() -> None:
    """Blocks of 64 KiB are left out: wherever the edge of one falls into the key, its end is not shown."""
    line = "INFO nothing happened on this line at all\n"
    key = "-----BEGIN PRIVATE KEY-----\n" + f"{SECRET}{SECRET}\n" * 190 + "-----END PRIVATE KEY-----\n"
    for before in range(4500, 6400, 60):
        out = io.BytesIO()
        copy = LogCopy(128 << 10, out.write)
        copy.feed((line * before + key + line * 1400).encode())
        assert copy.close().left_out
        assert SECRET not in out.getvalue().decode()


# ---- Long logs


def test_a_long_log_keeps_its_head_and_its_tail_in_bounded_memory() -> None:
    out = io.BytesIO()
    copy = LogCopy(1 << 20, out.write)
    lines = 100_000
    tracemalloc.start()
    for first in range(0, lines, 1000):
        copy.feed(
            "".join(
                f"INFO line {number} of a log that does not end\n" for number in range(first, first + 1000)
            ).encode()
        )
    copied = copy.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    text = out.getvalue().decode().splitlines()
    assert peak < 8 << 20
    assert len(out.getvalue()) < (1 << 20) + 100_000
    assert copied.lines == lines
    at = next(index for index, line in enumerate(text) if line.startswith("[qvl-doctor bundle"))
    assert text[at - 1] == f"INFO line {copied.first_left_out - 2} of a log that does not end"
    assert text[at + 1] == f"INFO line {copied.first_left_out - 1 + copied.left_out} of a log that does not end"
    assert text[-1].startswith(f"INFO line {lines - 1} ")
    assert len(text) == lines - copied.left_out + 1
    assert f"{copied.left_out} lines" in text[at]


@pytest.mark.slow
def test_lines_of_one_letter_take_no_more_memory() -> None:
    copy = LogCopy(256 << 10, lambda _: None)
    tracemalloc.start()
    for _ in range(30):
        copy.feed(b"x\n" * 10_000)
    copy.close()
    assert tracemalloc.get_traced_memory()[1] < 12 << 20
    tracemalloc.stop()


def test_what_was_left_out_is_said(tmp_path: Path, fixtures: Path) -> None:
    log = tmp_path / "pod.log"
    log.write_text((fixtures / OOM).read_text(encoding="utf-8") + "INFO nothing new\n" * 30_000, encoding="utf-8")
    bundle("--no-check", "--max-log", "128KiB", log, cwd=tmp_path)
    found = unpacked(tmp_path / "qvl-doctor-bundle.zip")
    assert re.search(r"logs/pod\.log: \d+ lines in its middle were omitted", found["README.md"])
    assert json.loads(found["MANIFEST.json"])["logs"]["logs/pod.log"]["left_out_lines"] > 10_000


# ---- Names


@given(
    st.lists(
        st.text(max_size=40)
        | st.sampled_from(
            ["../../etc/passwd", "C:\\x\\CON", "a/b.log", "a\\b.log", "-", "..", "/", "nul.log", "A.LOG.gz", "a.log"]
        )
    )
)
def test_names_in_the_archive_are_safe_and_different(paths: list[str]) -> None:
    taken: set[str] = set()
    names = [member(path, taken) for path in paths]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        folder, _, last = name.partition("/")
        assert folder == "logs"
        assert re.fullmatch(r"[\w+=@-][\w.+=@-]*", last)
        assert not re.fullmatch(r"(?i)(con|prn|aux|nul)(\..*)?", last)
        assert len(last.encode()) < 400
        assert not last.endswith(".")


def test_names_tell_their_logs() -> None:
    taken: set[str] = set()
    paths = ("a/pod.log", "b/pod.log", "pod.log.gz", "-", ".hidden", f"hf_{SECRET}.log")
    assert [member(path, taken) for path in paths] == [
        "logs/pod.log",
        "logs/pod-2.log",
        "logs/pod-3.log",
        "logs/stdin.log",
        "logs/hidden.log",
        "logs/hf_masked.log",
    ]


def test_entries_have_no_times_and_are_plain_files() -> None:
    held = io.BytesIO()
    archive = Archive(held)
    archive.add("logs/a.log", "log", "x\n")
    archive.close()
    (info,) = zipfile.ZipFile(held).infolist()
    assert (info.date_time, info.external_attr >> 16, info.filename) == (
        (1980, 1, 1, 0, 0, 0),
        0o100644,
        "qvl-doctor-bundle/logs/a.log",
    )
