"""`qvl-doctor logs`: inputs in, reports out.

This is the way that most people go, so nothing is imported that a plain log does not need.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from qvl_doctor.cli import session
from qvl_doctor.cli.inputs import command_of, package_facts, rule_book
from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.errors import UsageError
from qvl_doctor.model import Diagnosis
from qvl_doctor.workflows import log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qvl_doctor.model import Rule
    from qvl_doctor.workflows.following import Following

_PROGRESS_FROM = 64 * 1024 * 1024


def run(options: LogsOptions, out: TextIO | None = None) -> int:
    """Diagnoses every input, prints the reports in the order of the inputs, returns the exit code."""
    return session.run(lambda lang: _logs(options, lang, out), options.report.lang)


def _logs(options: LogsOptions, lang: str, out: TextIO | None) -> int:
    _check(options)
    report = options.report
    rules = rule_book(options.rules, override=options.override, ignore=report.ignore)
    beside = session.as_usage(lambda: _beside(options))
    if options.follow:
        return _followed(options.paths[0], options, beside, rules, lang, out)
    jobs = (_job(path, options, beside, rules, lang) for path in options.paths)
    return session.deliver(jobs, report, lang, out, whole=True)


def _check(options: LogsOptions) -> None:
    if options.report.format == "json" and len(options.paths) > 1:
        raise UsageError("error_logs.one_report")
    if options.follow and len(options.paths) > 1:
        raise UsageError("error_logs.one_input")
    if (options.until or options.timeout) and not options.follow:
        raise UsageError("error_logs.not_followed", name="--until" if options.until else "--timeout")
    if options.paths.count("-") > 1:
        raise UsageError("error_env.stdin_twice")


def _beside(options: LogsOptions) -> log.Beside:
    """What the options say besides the logs. What a plain call does not need is imported where it is asked for."""
    beside = log.Beside(packages=package_facts(options.pip))
    if options.gpu or options.model_dir:
        from qvl_doctor.workflows.asked import known_of

        beside = beside._replace(known=known_of(options.gpu, model_dir=options.model_dir))
    if options.env:
        from qvl_doctor.workflows import environment

        beside = beside._replace(env=environment.read(options.env), env_file=options.env)
    if options.command:
        beside = beside._replace(command=command_of((), options.command))
    return beside


def _followed(
    path: str, options: LogsOptions, beside: log.Beside, rules: Sequence[Rule], lang: str, out: TextIO | None
) -> int:
    from qvl_doctor.cli import following

    with following.way(path, options, lang, out) as how:
        job = _job(path, options, beside, rules, lang, how)
        code = following.code(options.until) if options.until else session.exit_code
        return session.deliver([job], options.report, lang, out, whole=True, code=code)


def _job(
    path: str,
    options: LogsOptions,
    beside: log.Beside,
    rules: Sequence[Rule],
    lang: str,
    follow: Following | None = None,
) -> session.Job:
    def diagnosis() -> Diagnosis:
        session.hint_at_terminal(path, lang)
        with _progress(options) as tap:
            return log.diagnose(
                path,
                beside,
                rules=rules,
                ignore=options.report.ignore,
                redacting=not options.no_redact,
                follow=follow,
                tap=tap,
            )

    return (path, diagnosis)


class _progress:  # noqa: N801 — reads like a function; contextlib costs more to import than it saves here
    """How much of a long log was read, on a terminal: a function that is told each chunk.

    None where nothing is to be shown.
    """

    def __init__(self, options: LogsOptions) -> None:
        self._shown = not options.follow and sys.stderr is not None and sys.stderr.isatty()
        self._size = 0

    def __enter__(self) -> Callable[[bytes], None] | None:
        return self._tell if self._shown else None

    def __exit__(self, *_: object) -> None:
        if self._size > _PROGRESS_FROM:
            sys.stderr.write("\r" + " " * 20 + "\r")
            sys.stderr.flush()

    def _tell(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > _PROGRESS_FROM:
            sys.stderr.write(f"\r{self._size // (1024 * 1024)} MiB")
            sys.stderr.flush()
