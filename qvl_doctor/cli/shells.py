"""`--show-completion SHELL` and `--install-completion SHELL`: typer's scripts, for the shell that is named.

Without a name it is the shell that started us, where that can be told.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")
SHOW, INSTALL = "--show-completion", "--install-completion"
_PROGRAM = "qvl-doctor"
#: The variable by which the scripts ask for candidates, as typer forms it from the program's name.
ASKED = "_QVL_DOCTOR_COMPLETE"
_UNKNOWN = "?"


def named(arguments: Sequence[str]) -> list[str]:
    """The arguments, with the name of the shell where an option for completion lacks it."""
    lacking = len(arguments) == 1 and arguments[0] in {SHOW, INSTALL}
    return [*arguments, _guessed()] if lacking else list(arguments)


def answer_shells() -> None:
    """Teaches typer to answer the scripts; it does so by itself only with its own options for completion."""
    from typer._completion_classes import completion_init

    completion_init()


def show(shell: str) -> None:
    """Prints the script."""
    if shell:
        from typer._completion_shared import get_completion_script

        typer.echo(get_completion_script(prog_name=_PROGRAM, complete_var=ASKED, shell=_known(shell, SHOW)))
        raise typer.Exit


def install(shell: str) -> None:
    """Writes the script to where the shell finds it."""
    if shell:
        from typer._completion_shared import install

        _, path = install(shell=_known(shell, INSTALL), prog_name=_PROGRAM, complete_var=ASKED)
        typer.echo(f"Completion for {shell} is in {path}; it works in the next shell that you start.")
        raise typer.Exit


def _known(shell: str, option: str) -> str:
    """The name in lower case, or an error that names all shells."""
    if shell.lower() not in SHELLS:
        said = "Your shell is unknown." if shell == _UNKNOWN else f"There is no completion for {shell[:40]!r}."
        raise typer.BadParameter(f"{said} Choose from {', '.join(SHELLS)}: {_PROGRAM} {option} bash")
    return shell.lower()


def _guessed() -> str:
    """The shell that started us, _UNKNOWN where that cannot be told."""
    from shellingham import ShellDetectionFailure, detect_shell

    try:
        return str(detect_shell()[0])
    except ShellDetectionFailure:
        return _UNKNOWN
