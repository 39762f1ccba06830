"""The program as tests run it in a process of its own: from this tree, with the rules compiled as a wheel has them.

Reading the YAML of all rules takes most of the time of a short run, so that is done once for all of them.
tests/cli/test_docs.py and tests/test_packaging.py run it as it stands in a source tree and in a wheel.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from qvl_doctor import rulebook

#: Every rule of this tree.
RULES = rulebook.shipped()
_FOLDER = tempfile.mkdtemp(prefix="qvl-doctor-tests-")
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
_BOOK = Path(_FOLDER, "rulebook.json")
_BOOK.write_text(rulebook.compile_book(RULES), encoding="ascii")
_START = f"from qvl_doctor.rulebook import book; book.COMPILED = {str(_BOOK)!r}; from qvl_doctor.cli.main import main; main()"
#: The words that start it.
DOCTOR = (sys.executable, "-c", _START)


def run(
    *arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """One run, without the proxies of whoever runs the tests; `env` are more variables."""
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    words = [*DOCTOR, *map(str, arguments)]
    return subprocess.run(
        words, input=stdin, capture_output=True, check=False, timeout=100, env={**plain, **(env or {})}, cwd=cwd
    )


def run_text(
    *arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The same with what it prints as text."""
    done = run(*arguments, stdin=stdin, env=env)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
