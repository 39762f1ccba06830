"""`qvl-doctor logs --follow`: what is printed while a log grows, how signals end it, and the exit code of --until."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TextIO

from qvl_doctor.cli import session
from qvl_doctor.cli.exit_codes import FOUND, OK, UNKNOWN
from qvl_doctor.cli.interrupts import Interrupts, reader_of
from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.diagnose.verdict import is_death
from qvl_doctor.errors import UsageError
from qvl_doctor.messages import say
from qvl_doctor.model import Diagnosis
from qvl_doctor.workflows.following import DEAD, READY, Following, Said

_LONGEST = 160


@contextmanager
def way(path: str, options: LogsOptions, lang: str, out: TextIO | None = None) -> Iterator[Following]:
    """How a log is followed as the options ask; signals are questions meanwhile. Raises UsageError."""
    file = out or sys.stdout
    timeout = _seconds(options.timeout)
    still_read = reader_of(file)
    with closing(Interrupts()) as interrupts:

        def stopped() -> bool:
            still_read()
            return interrupts.asked

        yield Following(
            tell=_teller(options, lang, file),
            ignore=options.report.ignore,
            until=options.until,
            timeout_s=timeout,
            stopped=stopped,
            wake=interrupts.wake,
            waiting=lambda: session.tell(say("follow.waiting", lang, path=path)),
        )


def code(until: str) -> Callable[[Diagnosis, str], int]:
    """The exit code of a report where a state was waited for: whether it was seen."""

    def seen(diagnosis: Diagnosis, fail_on: str) -> int:
        shown = diagnosis.shown
        state = DEAD if is_death(diagnosis) else READY if shown.up and not shown.stopped else ""
        if state == until or fail_on == "never":
            return OK
        return FOUND if state == DEAD else UNKNOWN

    return seen


def _seconds(text: str) -> float | None:
    """The seconds of --timeout. Raises UsageError."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise UsageError("error_logs.timeout", seconds=text)
    return seconds


def _teller(options: LogsOptions, lang: str, file: TextIO) -> Callable[[Said], None]:
    """Prints what a log shows while it grows: a line each on the console, an event each as JSON lines.

    Otherwise nothing.
    """
    report = options.report
    if report.quiet or report.format not in {"console", "jsonl"}:
        return lambda _: None
    written = _event if report.format == "jsonl" else lambda said: _line(said, lang)

    def tell(said: Said) -> None:
        file.write(written(said) + "\n")
        file.flush()

    return tell


def _line(said: Said, lang: str) -> str:
    where = say("follow.line_of" if said.origin else "follow.line", lang, line=str(said.line), origin=said.origin)
    if said.kind != "finding":
        return say(f"follow.{said.kind}", lang, where=where)
    if said.times > 1:
        return say("follow.again", lang, where=where, rule=said.rule, times=str(said.times))
    severity = say(f"follow.{said.severity}", lang)
    return say("follow.finding", lang, where=where, rule=said.rule, severity=severity, text=said.text[:_LONGEST])


def _event(said: Said) -> str:
    event = {
        "event": said.kind,
        "line": said.line,
        "origin": said.origin,
        "rule": said.rule,
        "severity": said.severity,
        "text": said.text[:_LONGEST],
        "times": said.times if said.rule else 0,
    }
    return json.dumps({name: value for name, value in event.items() if value}, ensure_ascii=False)
