"""Does it import? A set of packages can be right by every version number and still fail: only an import shows it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Fact, Seen
from qvl_doctor.redact import redact

#: In the order in which vLLM needs them, so that the first failure is the cause of the others.
MODULES = ("torch", "torchvision", "transformers", "vllm")
_TIME_LIMIT_S = 60
_LONGEST = 64 * 1024
_SCRIPT = """
import sys
for name in sys.argv[1:]:
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
"""


def look(python: str = "", modules: Sequence[str] = MODULES, limit_s: float = _TIME_LIMIT_S) -> Seen:
    """Imports the packages one after another in a process of their own. What is not installed is skipped.

    The fact `imports` is ok, failed, timeout or not-run. A traceback is returned as a log would have it, so that the rules on logs see it.
    """
    words = [python or sys.executable, "-c", _SCRIPT, *modules]
    try:
        done = subprocess.run(words, capture_output=True, timeout=limit_s, check=False)  # noqa: S603  # the interpreter that the user names
    except subprocess.TimeoutExpired:
        return Seen({"imports": Fact("timeout", "probe")})
    except OSError:
        return Seen({"imports": Fact("not-run", "probe")})
    if done.returncode == 0:
        return Seen({"imports": Fact("ok", "probe")})
    said = redact(done.stderr[-_LONGEST:].decode("utf-8", "replace"))
    code = done.returncode
    facts = {"imports": Fact("failed", "probe"), "imports_exit_code": Fact(code, "probe")}
    return Seen(facts, tuple(sorted(read_records(said), key=lambda record: record.first_line)))
