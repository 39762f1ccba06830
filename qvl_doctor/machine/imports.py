"""Does it import? Packages can be right by every version number and still fail; only an import shows it."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from qvl_doctor.logs.records import read_records
from qvl_doctor.machine.subprocesses import run
from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.redaction.line import redact

#: In the order in which vLLM needs them, so that the first failure is the cause of the others.
MODULES = ("torch", "torchvision", "transformers", "vllm")
#: From a cold disk, importing vLLM takes a minute.
_TIME_LIMIT_S = 120

#: Runs in the inspected interpreter. A mark that no package can know reports on stdout how each import ended, and shows
#: on stderr where its output begins. The current directory is removed from the path, as it is for `vllm serve`: a file
#: `torch.py` in it must not answer for torch.
_SCRIPT = """
import faulthandler, sys
sys.path[:] = [folder for folder in sys.path if folder]
faulthandler.enable()
mark, names = sys.argv[1], sys.argv[2:]
out = sys.__stdout__
def tell(*words):
    out.write("\\n" + " ".join((mark,) + words) + "\\n")
    out.flush()
def fail(name):
    sys.excepthook(*sys.exc_info())
    tell("failed", name)
    sys.exit(1)
for name in names:
    tell("begin", name)
    sys.stderr.write("\\n" + mark + "\\n")
    sys.stderr.flush()
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            fail(name)
        tell("missing", name)
    except BaseException:
        fail(name)
    else:
        tell("ok", name)
tell("end", "")
"""


def inspect_imports(
    python: str = "",
    modules: Sequence[str] = MODULES,
    limit_s: float = _TIME_LIMIT_S,
    tell: Callable[[str], None] = lambda _: None,
) -> Seen:
    """Imports the packages one by one in a separate process, in our environment; `tell` is called with each module.

    Packages that are not installed are skipped. The fact `imports` is ok, failed, timeout or not-run (nothing to
    import, or no interpreter); each import's result is a fact of its own. The output counts only if an import failed.
    It is returned as records of a log, so that the rules on logs see it: a warning alone breaks nothing.
    """
    mark = f"--{secrets.token_hex(8)}--"
    results: dict[str, str] = {}

    def heard(line: str) -> None:
        said, _, rest = line.partition(" ")
        word, _, name = rest.partition(" ")
        if said == mark:
            results[name] = word
        if said == mark and word == "begin":
            tell(name)

    began = time.monotonic()
    try:
        done = run([python or sys.executable, "-c", _SCRIPT, mark, *modules], limit_s, heard)
    except OSError:
        return Seen({"imports": Fact("not-run", "probe")})
    took = round(time.monotonic() - began, 1)
    ended = results.pop("", "") == "end"
    whole = "timeout" if done.timed_out else "ok" if done.returncode == 0 and ended else "failed"
    if not results and not done.timed_out:  # it does not even run a script
        return Seen({"imports": Fact("not-run", "probe")})
    last = next(reversed(results), "unknown")
    if results.get(last) == "begin":
        results[last] = whole
    facts: dict[str, object] = {
        "imports": whole,
        "imports_s": took,
        **{f"import_{name}": result for name, result in results.items()},
    }
    if whole == "ok":
        return _seen(facts if "ok" in results.values() else {**facts, "imports": "not-run"})
    facts["import_failed"] = last
    if not done.timed_out:
        facts["imports_exit_code"] = done.returncode
    said = redact(done.stderr.rpartition(mark)[2])
    return _seen(facts, tuple(sorted(read_records(said), key=lambda record: record.first_line)))


def _seen(facts: Mapping[str, object], records: tuple[Record, ...] = ()) -> Seen:
    return Seen({name: Fact(value, "probe") for name, value in facts.items()}, records)
