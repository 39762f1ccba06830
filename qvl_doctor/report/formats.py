"""A report in any of the formats, written to a file."""

from __future__ import annotations

from typing import TextIO

from qvl_doctor.model import Diagnosis


def write(  # noqa: PLR0913 — all that a format may need
    diagnosis: Diagnosis,
    form: str,
    lang: str,
    file: TextIO,
    *,
    width: int | None = None,
    plain: bool = False,
    quiet: bool = False,
) -> None:
    """Writes the report as console, json, jsonl or markdown.

    The console's report has colors where `file` is a terminal, unless it is to be `plain`, and its `width` if none is
    given; `quiet` leaves its verdict line alone.
    """
    if form in {"json", "jsonl"}:
        from qvl_doctor.report.as_json import dumps

        file.write(dumps(diagnosis, indent=None if form == "jsonl" else 2) + "\n")
    elif form == "markdown":
        from qvl_doctor.report.markdown import render

        file.write(render(diagnosis, lang) + "\n")
    else:
        from rich.console import Console

        from qvl_doctor.report import console

        view = Console(
            file=file, width=width, no_color=plain or None, highlight=False, markup=False, emoji=False, soft_wrap=False
        )
        console.render(diagnosis, lang, view, quiet=quiet)
    file.flush()
