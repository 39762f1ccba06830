"""A diagnosis of some findings, and what a terminal of some width shows of it."""

from __future__ import annotations

import io
from typing import Any

from report_samples import text
from rich.console import Console

from qvl_doctor.model import Diagnosis, Finding
from qvl_doctor.report import console


def of(*found: Finding, **more: Any) -> Diagnosis:
    return Diagnosis("x.log", "degraded", text("a summary", ""), findings=found, **more)


def printed(diagnosis: Diagnosis, width: int = 80, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    console.render(diagnosis, "en", Console(file=stream, width=width, no_color=True))
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)
