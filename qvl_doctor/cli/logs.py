"""`qvl-doctor logs`: inputs in, reports out. This is the way that most people go, so nothing is imported that a plain log does not need."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TextIO

from qvl_doctor.cli import session
from qvl_doctor.cli.inputs import command_of, package_facts, rule_book
from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.errors import UsageError
from qvl_doctor.messages import say
from qvl_doctor.model import Diagnosis, Hit
from qvl_doctor.workflows import log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qvl_doctor.model import Rule

_PROGRESS_FROM = 64 * 1024 * 1024


def run(options: LogsOptions, out: TextIO | None = None) -> int:
    """Diagnoses every input, prints the reports in the order of the inputs, returns the exit code."""
    return session.run(lambda lang: _logs(options, lang, out), options.report.lang)


def _logs(options: LogsOptions, lang: str, out: TextIO | None) -> int:
    _check(options)
    report = options.report
    rules = rule_book(options.rules, override=options.override, ignore=report.ignore)
    beside = session.as_usage(lambda: _beside(options))
    jobs = (_job(path, options, beside, rules, lang) for path in options.paths)
    return session.deliver(jobs, report, lang, out, whole=True)


def _check(options: LogsOptions) -> None:
    if options.report.format == "json" and len(options.paths) > 1:
        raise UsageError("error_logs.one_report")
    if options.follow and len(options.paths) > 1:
        raise UsageError("error_logs.one_input")
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


def _job(path: str, options: LogsOptions, beside: log.Beside, rules: Sequence[Rule], lang: str) -> session.Job:
    def diagnosis() -> Diagnosis:
        session.hint_at_terminal(path, lang)
        with _progress(options) as tap:
            return log.diagnose(
                path,
                beside,
                rules=rules,
                ignore=options.report.ignore,
                redacting=not options.no_redact,
                follow=_follower(options, lang) if options.follow else None,
                tap=tap,
            )

    return (path, diagnosis)


def _follower(options: LogsOptions, lang: str) -> Callable[[list[Hit]], None]:
    """Prints what rules say while the log still grows, each rule once; the ranked report follows at the end (Ctrl-C)."""
    told: set[str] = set()

    def tell(hits: Iterable[Hit]) -> None:
        for hit in hits:
            if options.report.format != "console" or hit.rule.id in told or hit.record is None:
                continue
            told.add(hit.rule.id)
            text = say(
                "follow.seen", lang, line=str(hit.record.first_line), rule=hit.rule.id, said=hit.record.message[:160]
            )
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    return tell


class _progress:  # noqa: N801 — reads like a function; contextlib costs more to import than it saves here
    """How much of a long log was read, on a terminal: a function that is told each chunk; None where nothing is to be shown."""

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
