"""A diagnosis of some findings, and what a terminal of some width shows of it."""

from __future__ import annotations

import io
from typing import Any

from report_samples import text
from rich.console import Console

from qvl_doctor.model import Diagnosis, Finding
from qvl_doctor.report.console import render


def of(*found: Finding, **more: Any) -> Diagnosis:
    return Diagnosis("x.log", "degraded", text("a summary", ""), findings=found, **more)


def printed(
    diagnosis: Diagnosis,
    lang: str = "en",
    width: int = 80,
    encoding: str = "utf-8",
    *,
    colour: bool = False,
    quiet: bool = False,
) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    console = Console(
        file=file, width=width, no_color=not colour, force_terminal=colour, color_system="truecolor" if colour else None
    )
    render(diagnosis, lang, console, quiet=quiet)
    file.flush()
    return raw.getvalue().decode(encoding)
