"""The program as tests run it, from this tree: most of them in their own process, which takes a tenth of the time.

`run` and `run_text` call the command line with streams, environment and folder of its own. `apart` starts a process:
for signals, pipes, terminals, encodings, limits, and closed streams. Both have the rules compiled, as a wheel has them;
tests/cli/test_docs.py and tests/test_packaging.py run the program as it is in a source tree and in a wheel.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from qvl_doctor import rulebook
from qvl_doctor.cli.main import _run, guarded
from qvl_doctor.rulebook import pages

#: Every rule of this tree with its examples and where it is from, and what is wrong with the files; read once for all
#: tests.
READ, MISTAKES = rulebook.read(rulebook.rules_folder())
#: The rules as they are shipped.
RULES = tuple(rule._replace(source="") for rule in READ)
_FOLDER = tempfile.mkdtemp(prefix="qvl-doctor-tests-")
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
_BOOK, _PAGES = Path(_FOLDER, "rulebook.json"), Path(_FOLDER, "rulepages.json")
_BOOK.write_text(rulebook.compile_book(RULES), encoding="ascii")
_PAGES.write_text(pages.compile_pages(RULES, pages.shipped_topics()), encoding="ascii")
_START = f"""
from qvl_doctor.rulebook import book, pages
book.COMPILED, pages.COMPILED = {str(_BOOK)!r}, {str(_PAGES)!r}
from qvl_doctor.cli.main import main
main()
"""
#: The words that start it in a process of its own.
DOCTOR = (sys.executable, "-c", _START)
#: What the person who runs the tests may have set, and what would change the answers.
_THEIRS = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "VLLM_ENABLE_CUDA_COMPATIBILITY")


def plain_environment() -> dict[str, str]:
    """The environment without the proxies and devices of whoever runs the tests."""
    return {
        name: value for name, value in os.environ.items() if not (name.lower().endswith("_proxy") or name in _THEIRS)
    }


@contextmanager
def surroundings(env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Iterator[pytest.MonkeyPatch]:
    """This process with a plain environment, those variables, and that folder; everything is put back."""
    wanted = {**plain_environment(), **(env or {})}
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - wanted.keys():
            patch.delenv(name)
        for name, value in wanted.items():
            patch.setenv(name, value)
        if cwd is not None:
            patch.chdir(cwd)
        yield patch


def run(
    *arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """One run in this process; `env` are more variables. Streams are UTF-8 and no terminal."""
    words = list(map(str, arguments))
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    thresholds = gc.get_threshold()
    with surroundings({"COLUMNS": "80", **(env or {})}, cwd) as patch:
        patch.setattr(rulebook.book, "COMPILED", str(_BOOK))
        patch.setattr(pages, "COMPILED", str(_PAGES))
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)), encoding="utf-8"))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        try:
            code = guarded(_run, words)
        finally:
            gc.set_threshold(*thresholds)
    return subprocess.CompletedProcess(["qvl-doctor", *words], code, *map(_written, (out, err)))


def _written(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    written = stream.buffer
    assert isinstance(written, io.BytesIO)
    return written.getvalue()


def run_text(
    *arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The same with what it prints as text."""
    done = run(*arguments, stdin=stdin, env=env)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def apart(
    *arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """One run in a process of its own."""
    words = [*DOCTOR, *map(str, arguments)]
    variables = {**plain_environment(), **(env or {})}
    return subprocess.run(words, input=stdin, capture_output=True, check=False, timeout=100, env=variables, cwd=cwd)
