"""The entry point: the quick way for `logs` and `--version`, typer for everything else."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable

from qvl_doctor import __version__
from qvl_doctor.cli.exit_codes import BUG, INTERRUPTED, OK, UNREADABLE


def main() -> None:
    """Runs the command of `sys.argv` and exits with its code."""
    code = guarded(_run, sys.argv[1:])
    gc.freeze()  # at exit Python looks for garbage among all that is left; what it would find ends with the process
    sys.exit(code)


def guarded(run: Callable[[list[str]], int], arguments: list[str]) -> int:
    """The exit code of a command.

    Ctrl-C, a reader that went away, and an output that takes nothing are not tracebacks.
    """
    if sys.stdout is None:
        sys.stderr.write("qvl-doctor: standard output is closed\n")
        return UNREADABLE
    for stream in (sys.stdout, sys.stderr):
        if (
            stream is not None
            and (stream.encoding or "").lower().replace("-", "") != "utf8"
            and hasattr(stream, "reconfigure")
        ):
            stream.reconfigure(errors="replace")  # a sign that the terminal's encoding lacks is not a reason to fail
    try:
        code = run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`): that is its right. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    except OSError as error:
        sys.stderr.write(f"qvl-doctor: {error.strerror or error}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = UNREADABLE
    except Exception as error:  # noqa: BLE001 — whatever it is, it is our fault, and not a traceback's worth of the user's time
        from qvl_doctor.cli.session import tell_bug

        tell_bug(error)
        code = BUG
    return code


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        sys.stdout.write(f"qvl-doctor {__version__}\n")
        return 0
    from qvl_doctor.cli.options import read_quickly, with_command

    gc.set_threshold(
        100_000
    )  # records and rules live long and hold no cycles: looking for garbage among them only takes time
    arguments = with_command(arguments)
    options = read_quickly(arguments)
    if options is not None:
        from qvl_doctor.cli.logs import run

        return run(options)
    from qvl_doctor.cli.app import run_typer

    return run_typer(arguments)
