"""One call of a command.

What goes to standard error, reports in the format and at the place that was asked for, an exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TextIO, TypeVar

from qvl_doctor.cli.exit_codes import BUG, FOUND, OK, UNKNOWN, UNREADABLE, USAGE, WORST_FIRST
from qvl_doctor.cli.options import ReportOptions
from qvl_doctor.diagnose.verdict import is_death, unread
from qvl_doctor.errors import InputError, ToldError, UsageError
from qvl_doctor.logs.source import clean
from qvl_doctor.messages import language, say
from qvl_doctor.model import EXAMINED, SEVERITIES, Diagnosis
from qvl_doctor.report.formats import write

if TYPE_CHECKING:
    from types import TracebackType

_Read = TypeVar("_Read")


# ---- Exit codes


def exit_code(diagnosis: Diagnosis, fail_on: str) -> int:
    """The exit code of a report. A server that died is not a success, whatever findings are ignored."""
    if fail_on == "never":
        return OK
    limit = SEVERITIES.index("degraded" if fail_on == "unknown" else fail_on)
    if is_death(diagnosis) or any(SEVERITIES.index(finding.severity) <= limit for finding in diagnosis.findings):
        return FOUND
    shown = diagnosis.shown
    uncomputed = diagnosis.kind == EXAMINED and shown.reason is not None and not shown.unasked
    return UNKNOWN if uncomputed or (fail_on == "unknown" and diagnosis.verdict == "unknown") else OK


def worst(codes: Iterable[int]) -> int:
    """The exit code of a command whose inputs have these."""
    return min(codes, key=WORST_FIRST.index, default=OK)


# ---- What goes to standard error


def run(command: Callable[[str], int], lang: str) -> int:
    """The exit code of a command, which is given the language. Mistakes of the user are told in a sentence."""
    lang = language(lang, os.environ)
    try:
        return command(lang)
    except UsageError as error:
        tell(told(error, lang))
        return USAGE
    except InputError as error:
        tell(told(error, lang))
        return UNREADABLE


def as_usage(read: Callable[[], _Read]) -> _Read:
    """What `read` reads of files that options name.

    Where that fails it is wrong usage, and no input without a report.
    """
    try:
        return read()
    except InputError as error:
        raise UsageError(error.key, **error.values) from None


def told(error: ToldError, lang: str) -> str:
    """What is wrong, in words that cannot style a terminal, whatever the user's names are."""
    named = {**error.values, "path": say("report.stdin", lang)} if error.values.get("path") == "-" else error.values
    return clean(say(error.key, lang, **named))


def tell(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"qvl-doctor: {text}\n")


def hint_at_terminal(path: str, lang: str) -> None:
    """Tells whoever sits at the terminal that a log is waited for."""
    if path == "-" and sys.stdin is not None and sys.stdin.isatty():
        sys.stderr.write(say("hint.terminal", lang) + "\n")


# ---- Reports


#: An input's name and how its diagnosis is made.
Job = tuple[str, Callable[[], Diagnosis]]


def deliver(
    jobs: Iterable[Job],
    report: ReportOptions,
    lang: str,
    out: TextIO | None = None,
    *,
    whole: bool = False,
    code: Callable[[Diagnosis, str], int] = exit_code,
) -> int:
    """Prints the report on each input and returns the exit code.

    A bug of ours costs one report, and the others are kept.

    `code` is the exit code of one report, by --fail-on.
    `whole`: an input that cannot be read has a report as well, so that there are as many reports as inputs. Otherwise
    InputError is raised.
    """
    with Output(report.output, out) as file:
        return worst([_deliver(job, report, lang, file, code, whole=whole) for job in jobs])


def _deliver(
    job: Job, report: ReportOptions, lang: str, file: TextIO, code: Callable[[Diagnosis, str], int], *, whole: bool
) -> int:
    source, make = job
    try:
        diagnosis = make()
        print_report(diagnosis, report, lang, file)
        return code(diagnosis, report.fail_on)
    except InputError as error:
        if not whole:
            raise
        if report.format == "console":
            tell(told(error, lang))
        else:
            print_report(unread(source, error), report, lang, file)
        return UNREADABLE
    except (UsageError, OSError):
        raise  # the user's, or an output that takes nothing
    except Exception as error:  # noqa: BLE001 — whatever is wrong with us, the other inputs have reports
        bug = bug_in(error, source)
        tell(told(bug, lang))
        print_report(unread(source, bug), report, lang, file)
        return BUG


def bug_in(error: Exception, source: str) -> ToldError:
    """An exception that is our fault, as a request for an issue.

    What it says may be a secret of the input, and is left out.
    """
    return ToldError("error.bug", path=source, kind=type(error).__name__, where=_place(error.__traceback__))


def tell_bug(error: Exception) -> None:
    """Tells of an exception that came from outside any input."""
    tell(told(bug_in(error, "qvl-doctor"), language("", os.environ)))


def _place(trace: TracebackType | None) -> str:
    """The innermost line of ours in a traceback."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    place = "?"
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(ours):
            place = f"{file.removeprefix(ours)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def print_report(diagnosis: Diagnosis, report: ReportOptions, lang: str, file: TextIO) -> None:
    """Writes the report in the format that was asked for."""
    plain = report.no_color or bool(report.output)
    write(diagnosis, report.format, lang, file, plain=plain, quiet=report.quiet)


class Output:
    """Where reports go: standard output, or a file that replaces an older one only when it is whole.

    A link is followed; what is not a regular file (a pipe, a device) is written to and stays what it is. Raises
    InputError.
    """

    def __init__(self, path: str, out: TextIO | None = None) -> None:
        self._path, self._file = path and os.path.realpath(path), out or sys.stdout
        special = bool(path) and os.path.exists(self._path) and not os.path.isfile(self._path)
        self._target = self._path if special or not path else f"{self._path}.{os.getpid()}.part"

    def __enter__(self) -> TextIO:
        if self._path:
            try:
                self._file = open(self._target, "w", encoding="utf-8")
            except OSError as error:
                raise self._failed(error) from None
        return self._file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._path:
            return
        try:
            self._file.close()
            if self._target != self._path and kind is None:
                os.replace(self._target, self._path)
        except OSError as error:
            raise self._failed(error) from None
        finally:
            if self._target != self._path and os.path.exists(self._target):
                os.unlink(self._target)

    def _failed(self, error: OSError) -> InputError:
        return InputError("error.output", path=self._path, reason=error.strerror or str(error))
