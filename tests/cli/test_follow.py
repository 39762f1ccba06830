"""`logs --follow` as people use it: real processes on real pipes and files, signals, readers that go away, exit codes.

Nothing here sleeps: each step waits for what the one before it prints.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from program import DOCTOR, plain_environment
from program import run_text as run

from qvl_doctor.cli.exit_codes import FOUND, OK, UNKNOWN, UNREADABLE, USAGE

FAILED, HEALTHY = "failed/0.11.0-lora-rank.log", "healthy/0.11.0-healthy-vl.log"
TOLD = "line 69: lora-rank-too-large (fatal): LoRA rank 64 is greater than max_lora_rank 16.\n"
#: After so many seconds a process that hangs is ended, and its test fails.
TOO_LONG_S = 30


class Program(NamedTuple):
    process: subprocess.Popen[str]

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def ended(self) -> tuple[int, str, str]:
        """Exit code, the rest of what it printed, and what it said on standard error."""
        out, err = self.process.communicate()
        return self.process.returncode, out, err


@contextmanager
def following(*arguments: str | Path, too_long_s: float = TOO_LONG_S) -> Iterator[Program]:
    process = subprocess.Popen(
        [*DOCTOR, "logs", "--follow", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**plain_environment(), "COLUMNS": "80"},
    )
    timer = threading.Timer(too_long_s, process.kill)
    timer.start()
    try:
        with process:
            yield Program(process)
    finally:
        timer.cancel()


def test_a_pipe_is_told_of_while_it_is_silent_and_ends_with_the_report(fixtures: Path) -> None:
    text = (fixtures / FAILED).read_text(encoding="utf-8")
    crash = text.index("Traceback", text.index("raise ValueError(f"))
    end = text.rindex("\n", 0, crash) + 1
    with following("-") as program:
        program.write(text[:end])  # the record is the last one, and the writer holds the pipe open
        assert program.line() == TOLD
        program.write(text[end:])
        code, rest, said = program.ended()
    plain = run("logs", "-", stdin=text.encode())
    assert (code, said) == (plain.returncode, "") == (FOUND, "")
    assert rest == "line 101: the server died\n" + plain.stdout


def test_a_file_through_rotation_until_sigterm(fixtures: Path, tmp_path: Path) -> None:
    text = (fixtures / FAILED).read_text(encoding="utf-8")
    lines = [line + "\n" for line in text.split("\n")][:-1]
    path = tmp_path / "vllm.log"
    with following("--format", "jsonl", path) as program:
        assert program.process.stderr is not None
        assert "vllm.log does not exist yet: waiting for it" in program.process.stderr.readline()
        with path.open("w", encoding="utf-8") as file:
            file.writelines(lines[:100])
            file.flush()
            first = json.loads(program.line())
            path.rename(tmp_path / "vllm.log.1")
            file.writelines(lines[100:103])
        path.write_text("".join(lines[103:]), encoding="utf-8")
        assert json.loads(program.line()) == {"event": "dead", "line": 101}
        os.truncate(path, 0)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
        assert json.loads(program.line()) == {"event": "dead", "line": len(lines) + 101}
        program.process.send_signal(signal.SIGTERM)
        code, rest, said = program.ended()
    assert first == {
        "event": "finding",
        "line": 69,
        "rule": "lora-rank-too-large",
        "severity": "fatal",
        "text": "LoRA rank 64 is greater than max_lora_rank 16.",
        "times": 1,
    }
    plain: dict[str, Any] = json.loads(run("logs", "--format", "jsonl", "-", stdin=2 * text.encode()).stdout)
    assert json.loads(rest) == {**plain, "source": str(path)}
    assert (code, said) == (FOUND, "")


def test_ctrl_c_ends_with_the_report_and_its_code(fixtures: Path) -> None:
    text = (fixtures / HEALTHY).read_text(encoding="utf-8")
    with following("-") as program:
        program.write(text[: text.index("Application startup complete") + 40])
        assert "the server is ready" in program.line()
        program.process.send_signal(signal.SIGINT)
        code, rest, said = program.ended()
    assert (code, said) == (OK, "")
    assert rest.startswith("✓ HEALTHY")


def test_a_reader_that_went_away_ends_it_quietly(fixtures: Path) -> None:
    with following("-") as program:
        program.write((fixtures / FAILED).read_text(encoding="utf-8"))
        assert program.line() == TOLD
        assert program.process.stdout is not None
        program.process.stdout.close()  # `| head -1`; nothing more is written to the log
        assert program.process.wait() == OK
        assert program.process.stderr is not None
        assert program.process.stderr.read() == ""


def serving(blocks: int, first: int) -> Iterator[str]:
    """What a server writes for days, in blocks of 0.1 MB: answers, statistics, refusals with tracebacks, warnings."""
    for block in range(first, first + blocks):
        lines = []
        for number in range(block * 600, block * 600 + 600):
            clock = f"12-01 {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
            lines.append(
                f'(APIServer pid=1) INFO:     10.0.0.{number % 250}:{number % 60000} - "POST /v1/chat/completions'
            )
            lines[-1] += ' HTTP/1.1" 200 OK\n' if number % 3 else f'?id={number} HTTP/1.1" 400 Bad Request\n'
            if number % 5 == 0:
                lines.append(
                    f"(APIServer pid=1) INFO {clock} [loggers.py:123] Engine 000: Avg prompt throughput: {number}\n"
                )
            if number % 7 == 0:
                head = f"(APIServer pid=1) ERROR {clock} [serving_chat.py:257] "
                lines.append(f"{head}Traceback (most recent call last):\n")
                lines.append(
                    f'{head}  File "/v/vllm/entrypoints/chat_utils.py", line {number % 900}, in parse_{number}\n'
                )
                lines.append(f"{head}ValueError: At most 1 image(s) may be provided in one prompt; this is {number}.\n")
            if number % 11 == 0:
                lines.append(f"(APIServer pid=1) WARNING {clock} [x{number}.py:{number}] thing {number} is odd\n")
            if number % 13 == 0:
                lines.append(f"Worker_{number} said: StrangeError{number}: of number {number}\n")
        yield "".join(lines)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads the size of a process from /proc")
def test_days_of_serving_take_no_more_memory(fixtures: Path) -> None:
    healthy = (fixtures / HEALTHY).read_text(encoding="utf-8")
    up = healthy[: healthy.index("Application startup complete") + 40]
    sizes = []
    with following("--quiet", "-", too_long_s=200) as program:
        program.write(up)
        for part in range(3):
            for block in serving(blocks=40, first=part * 40):
                program.write(block)
            status = Path(f"/proc/{program.process.pid}/status").read_text(encoding="ascii")
            sizes.append(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
        code, rest, said = program.ended()
    assert (code, said) == (OK, "")
    assert rest.startswith("✓ HEALTHY")
    assert sizes[-1] < 80, sizes
    assert sizes[-1] - sizes[0] < 6, sizes


# ---- In this process: the codes of --until, what is refused


@contextmanager
def fifo(path: Path, data: bytes) -> Iterator[Path]:
    """A pipe with a name, its writer, and its end."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    yield path
    writer.join()


@pytest.mark.parametrize(
    ("name", "part", "until", "code", "verdict"),
    [
        (HEALTHY, b"Application startup complete", "ready", OK, "HEALTHY"),
        (HEALTHY, b"Application startup complete", "dead", UNKNOWN, "HEALTHY"),
        (HEALTHY, b"Starting vLLM API server", "ready", UNKNOWN, "UNKNOWN"),
        (HEALTHY, b"", "ready", UNKNOWN, "HEALTHY"),  # it was stopped
        (FAILED, b"", "ready", FOUND, "FAILED"),
        (FAILED, b"", "dead", OK, "FAILED"),
        ("failed/0.32.0-disable-log-requests.log", b"", "dead", OK, "FAILED"),
    ],
)
def test_until_says_by_the_code_whether_it_was_seen(  # noqa: PLR0917 — a table
    name: str, part: bytes, until: str, code: int, verdict: str, fixtures: Path, tmp_path: Path
) -> None:
    data = (fixtures / name).read_bytes()
    if part:
        data = data[: data.index(b"\n", data.index(part)) + 1]
    with fifo(tmp_path / "log", data) as path:
        done = run("logs", "--follow", "--quiet", "--until", until, path)
    assert (done.returncode, done.stderr) == (code, "")
    assert verdict in done.stdout
    assert done.stdout.count("\n") == 1


def test_until_and_a_time(fixtures: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    data = (fixtures / HEALTHY).read_bytes()
    log.write_bytes(data[: data.index(b"Starting vLLM API server")])
    asked = ("logs", "--follow", "--until", "ready", "--timeout", "0.2")
    assert run(*asked, log).returncode == UNKNOWN
    assert run(*asked, "--fail-on", "never", log).returncode == OK
    assert run("logs", "--follow", "--timeout", "0.2", log).returncode == OK
    assert run("logs", "--follow", "--timeout", "0.1", tmp_path / "none").returncode == UNREADABLE


@pytest.mark.parametrize("form", ["json", "markdown"])
def test_other_formats_are_one_report(form: str, fixtures: Path, tmp_path: Path) -> None:
    with fifo(tmp_path / "log", (fixtures / FAILED).read_bytes()) as path:
        done = run("logs", "--follow", "--format", form, path)
    plain = run("logs", "--format", form, fixtures / FAILED)
    assert done.stdout.replace(str(path), "x") == plain.stdout.replace(str(fixtures / FAILED), "x")


def test_the_report_may_go_to_a_file(fixtures: Path, tmp_path: Path) -> None:
    with fifo(tmp_path / "log", (fixtures / FAILED).read_bytes()) as path:
        done = run("logs", "--follow", "--output", tmp_path / "report", path)
    assert done.stdout.startswith(TOLD)
    assert "FAILED" not in done.stdout
    assert (tmp_path / "report").read_text(encoding="utf-8").startswith("✗ FAILED")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--until", "ready", "a.log"], "--until needs --follow"),
        (["--timeout", "3", "a.log"], "--timeout needs --follow"),
        (["--follow", "--timeout", "soon", "a.log"], "--timeout soon is not a number of seconds"),
        (["--follow", "--timeout", "nan", "a.log"], "--timeout nan is not a number of seconds"),
        (["--follow", "a.log", "b.log"], "--follow takes one input"),
        (["--follow", "{packed}"], "compressed logs cannot be followed"),
    ],
)
def test_what_cannot_be_followed(arguments: list[str], said: str, tmp_path: Path) -> None:
    packed = tmp_path / "log.gz"
    packed.write_bytes(b"\x1f\x8b\x08\0")
    done = run("logs", *(word.format(packed=packed) for word in arguments))
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert said in done.stderr
