"""What is looked at right now, on a terminal, with the time that it takes.

Nothing of it stays there, and a pipe never sees it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from qvl_doctor.messages import say


@contextmanager
def progress(lang: str, *, quiet: bool = False, no_color: bool = False) -> Iterator[Callable[[str, str], None]]:
    """A function that takes a probe's name and, of the import test, the module.

    It shows them where standard error is a terminal.
    """
    with doing(quiet=quiet, no_color=no_color) as show:

        def tell(name: str, module: str) -> None:
            key = f"check.name.{name}" if name == "imports" else f"check.group.{name}"
            what = (
                say("check.importing", lang, what=module) if module else say("check.running", lang, what=say(key, lang))
            )
            show(what)

        yield tell


@contextmanager
def doing(*, quiet: bool = False, no_color: bool = False, whole_time: bool = False) -> Iterator[Callable[[str], None]]:
    """A function that shows on a terminal's standard error what is done now, with its time or the `whole_time`."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    console = Console(stderr=True, no_color=no_color or None, highlight=False, markup=False, emoji=False)
    if console.is_dumb_terminal:
        yield lambda _: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as shown:
        task = shown.add_task("", total=None)
        show = shown.update if whole_time else partial(shown.reset, total=None)
        yield lambda what: show(task, description=what)
