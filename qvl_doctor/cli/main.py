"""The entry point: the quick way for `logs` and `--version`, typer for everything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from qvl_doctor import __version__

USAGE, INTERRUPTED = 2, 130


def main() -> None:
    """Runs the command of `sys.argv` and exits with its code."""
    sys.exit(guarded(_run, sys.argv[1:]))


def guarded(run: Callable[[list[str]], int], arguments: list[str]) -> int:
    """The exit code of a command; Ctrl-C and a reader that went away are no tracebacks."""
    try:
        code = run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`): that is its right. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    return code


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        sys.stdout.write(f"qvl-doctor {__version__}\n")
        return 0
    from qvl_doctor.cli.options import read_quickly, with_command

    arguments = with_command(arguments)
    options = read_quickly(arguments)
    if options is not None:
        import gc

        from qvl_doctor.cli.logs import run

        gc.set_threshold(100_000)  # records live long and hold no cycles: looking for garbage among them only takes time
        return run(options)
    from qvl_doctor.cli.app import run_typer

    return run_typer(arguments)
