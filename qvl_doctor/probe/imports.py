"""Does it import? A set of packages can be right by every version number and still fail: only an import shows it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.redact import redact

#: In the order in which vLLM needs them, so that the first failure is the cause of the others.
MODULES = ("torch", "torchvision", "transformers", "vllm")
#: From a cold disk vLLM takes a minute.
_TIME_LIMIT_S = 120
#: What is kept of the output: its last part, where the traceback is.
_LONGEST = 256 * 1024
_LAST_WORDS_S = 2.0

#: Runs in the interpreter that is looked at. A mark that no package can know separates what the imports print. The folder that we are in is
#: not on the path of `vllm serve` either: a file `torch.py` in it must not answer for torch.
_SCRIPT = """
import faulthandler, sys
sys.path[:] = [folder for folder in sys.path if folder]
faulthandler.enable()
mark, names = sys.argv[1], sys.argv[2:]
def tell(*words):
    sys.stderr.write("\\n" + " ".join((mark,) + words) + "\\n")
    sys.stderr.flush()
def fail(name):
    sys.excepthook(*sys.exc_info())
    tell("failed", name)
    sys.exit(1)
for name in names:
    tell("begin", name)
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
tell("end")
"""


def look(python: str = "", modules: Sequence[str] = MODULES, limit_s: float = _TIME_LIMIT_S) -> Seen:
    """Imports the packages one after another in a process of their own, in our environment. What is not installed is passed over.

    The fact `imports` is ok, failed, timeout or not-run (nothing to import, or no interpreter); what each import came to is a fact of its
    own. What was printed counts only if an import failed, and is returned as a log would have it, so that the rules on logs see it: a
    warning alone breaks nothing.
    """
    mark = f"--{secrets.token_hex(8)}--"
    began = time.monotonic()
    try:
        code, printed = _run([python or sys.executable, "-c", _SCRIPT, mark, *modules], limit_s)
    except OSError:
        return Seen({"imports": Fact("not-run", "probe")})
    took = round(time.monotonic() - began, 1)
    results, said, ended = _read(printed.decode("utf-8", "replace"), mark)
    whole = "timeout" if code is None else "ok" if code == 0 and ended else "failed"
    if not results and code is not None:  # it does not even run a script
        return Seen({"imports": Fact("not-run", "probe")})
    last = next(reversed(results), "unknown")
    if results.get(last) == "begin":
        results[last] = whole
    facts: dict[str, object] = {"imports": whole, "imports_s": took, **{f"import_{name}": result for name, result in results.items()}}
    if whole == "ok":
        return _seen(facts if "ok" in results.values() else {**facts, "imports": "not-run"})
    facts["import_failed"] = last
    if code is not None:
        facts["imports_exit_code"] = code
    return _seen(facts, tuple(sorted(read_records(redact(said)), key=lambda record: record.first_line)))


def _seen(facts: Mapping[str, object], records: tuple[Record, ...] = ()) -> Seen:
    return Seen({name: Fact(value, "probe") for name, value in facts.items()}, records)


def _read(printed: str, mark: str) -> tuple[dict[str, str], str, bool]:
    """What became of each package (begin: nothing yet), what was printed since the last one was begun, and whether all were tried."""
    results: dict[str, str] = {}
    said: list[str] = []
    ended = False
    for line in printed.splitlines():
        if not line.startswith(mark):
            said.append(line)
            continue
        word, _, name = line[len(mark) :].strip().partition(" ")
        if word == "begin":
            said = []
        if name:
            results[name] = word
        ended = word == "end"
    return results, "\n".join(said), ended


def _run(words: Sequence[str], limit_s: float) -> tuple[int | None, bytes]:
    """Exit code (None: it took too long and was ended, with all that it had started) and the end of what it wrote to standard error."""
    process = subprocess.Popen(  # noqa: S603  # the interpreter that the user names
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    kept = bytearray()
    reader = threading.Thread(target=_drain, args=(process.stderr, kept), daemon=True)
    reader.start()
    code: int | None = None
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _end(process)
        reader.join(_LAST_WORDS_S)
    return code, bytes(kept)


def _drain(stream: Any, kept: bytearray) -> None:
    """Reads to the end, however much it is, and keeps the last part."""
    with stream:
        while chunk := stream.read1(64 * 1024):
            kept += chunk
            del kept[:-_LONGEST]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and whatever it left running: it is the leader of a session of its own."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()
