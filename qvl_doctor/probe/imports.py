"""Does it import? A set of packages can be right by every version number and still fail: only an import shows it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Fact, Seen
from qvl_doctor.probe.running import run
from qvl_doctor.redact import redact

#: In the order in which vLLM needs them, so that the first failure is the cause of the others.
MODULES = ("torch", "torchvision", "transformers", "vllm")
_TIME_LIMIT_S = 60
_ANNOUNCED = "qvl-doctor imports "
_SCRIPT = """
import sys
for name in sys.argv[1:]:
    print("qvl-doctor imports " + name, flush=True)
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
"""


def look(
    python: str = "", modules: Sequence[str] = MODULES, limit_s: float = _TIME_LIMIT_S, tell: Callable[[str], None] = lambda _: None
) -> Seen:
    """Imports the packages one after another in a process of their own; `tell` hears of each. What is not installed is skipped.

    The fact `imports` is ok, failed, timeout or not-run. A traceback is returned as a log would have it, so that the rules on logs see it.
    """

    def announced(line: str) -> None:
        if line.startswith(_ANNOUNCED):
            tell(line.removeprefix(_ANNOUNCED)[:40])

    try:
        done = run([python or sys.executable, "-c", _SCRIPT, *modules], limit_s, announced)
    except OSError:
        return Seen({"imports": Fact("not-run", "probe")})
    if done.timed_out:
        return Seen({"imports": Fact("timeout", "probe")})
    if done.returncode == 0:
        return Seen({"imports": Fact("ok", "probe")})
    said = redact(done.stderr)
    facts = {"imports": Fact("failed", "probe"), "imports_exit_code": Fact(done.returncode, "probe")}
    return Seen(facts, tuple(sorted(read_records(said), key=lambda record: record.first_line)))
