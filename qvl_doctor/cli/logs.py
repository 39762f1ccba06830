"""`qvl-doctor logs`: inputs in, reports out, an exit code that scripts can use.

0: nothing at or above --fail-on · 1: something · 2: wrong usage · 3: an input that could not be read or is no vLLM log.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.diagnose import Diagnosing
from qvl_doctor.diagnose.verdict import concluded, is_death, without
from qvl_doctor.logs.records import LogReader
from qvl_doctor.logs.source import InputError, clean, open_input, read_chunks, read_text
from qvl_doctor.messages import both, language, say
from qvl_doctor.model import SEVERITIES, Diagnosis, Fact, Hit, Rule, Text, fact_text
from qvl_doctor.redaction.line import redact
from qvl_doctor.sizing.need import wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qvl_doctor.launch.command import Command
    from qvl_doctor.machine.export import Environment
    from qvl_doctor.sizing.case import Known

OK, FOUND, USAGE, UNREADABLE = 0, 1, 2, 3
_PROGRESS_FROM = 64 * 1024 * 1024


class UsageError(Exception):
    """Options that cannot be followed; the text says which and why, and cannot style a terminal, whatever the options name."""

    def __str__(self) -> str:
        return clean(super().__str__())


def run(options: LogsOptions, out: TextIO | None = None) -> int:
    """Diagnoses every input, prints the reports in the order of the inputs, returns the highest exit code (3 > 1 > 0)."""
    lang = language(options.lang, os.environ)
    try:
        _check(options)
        rules = rule_book(options)
        known = package_facts(options.pip)
        extra = _Extra(options, lang)
    except (UsageError, InputError) as error:
        text = told(error, lang) if isinstance(error, InputError) else str(error)
        sys.stderr.write(f"qvl-doctor: {text}\n")
        return USAGE
    code = OK
    try:
        with Output(options.output, out) as file:
            for diagnosis, readable in _diagnoses(options, rules, known, extra, lang):
                print_report(diagnosis, options, lang, file)
                code = max(code, exit_code(diagnosis, options.fail_on) if readable else UNREADABLE)
    except InputError as error:
        sys.stderr.write(f"qvl-doctor: {told(error, lang)}\n")
        return UNREADABLE
    return code


def told_mistakes(work: Callable[[], int], lang: str) -> int:
    """The exit code of `work`; options that cannot be followed and inputs that cannot be read are told, and have codes of their own."""
    try:
        return work()
    except UsageError as error:
        sys.stderr.write(f"qvl-doctor: {error}\n")
        return USAGE
    except InputError as error:
        sys.stderr.write(f"qvl-doctor: {told(error, lang)}\n")
        return UNREADABLE


def rule_book(options: LogsOptions, *, packed: bool = True) -> tuple[Rule, ...]:
    """The shipped rules and those of --rules. Raises UsageError for a rule file that does not load."""
    from qvl_doctor import rulebook

    try:
        rules = rulebook.shipped(packed=packed)
        for folder in options.rules:
            rules = rulebook.merge(rules, rulebook.load(folder, beside=rules), override=options.override)
    except (rulebook.RuleError, OSError) as error:
        raise UsageError(str(error)) from None
    if options.ignore:
        _check_ignored(options, rules)
    return rules


def _check_ignored(options: LogsOptions, rules: Sequence[Rule]) -> None:
    """Raises UsageError for a name that is no rule's: a typing mistake would let through what was to be ignored."""
    from qvl_doctor.rulebook.ids import known_ids

    known = known_ids(rules)
    unknown = next((name for name in options.ignore if name not in known), None)
    if unknown is None:
        return
    lang = language(options.lang, os.environ)
    said = say("error.ignored_rule", lang, rule=unknown)
    raise UsageError(said + near(unknown, known, lang))


def near(name: str, known: Iterable[str], lang: str) -> str:
    """What may have been meant, to be put behind a sentence on a name that is not known."""
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(known), 3, 0.6)
    return " — " + say("error.did_you_mean", lang, names=", ".join(close)) if close else ""


def package_facts(path: str) -> dict[str, Fact]:
    """The packages of a `pip list` or `pip freeze` file. Raises InputError."""
    if not path:
        return {}
    from qvl_doctor.logs.package_lists import read_pip

    return dict(read_pip(redact(read_text(path, 4 << 20))))


def read_one(
    path: str,
    engine: Diagnosing,
    *,
    redacting: bool = True,
    seen: Callable[[list[Hit]], None] | None = None,
    tap: Callable[[bytes], None] | None = None,
) -> InputError | None:
    """Feeds one input to the engine as it comes; `seen` gets hits as soon as their records are whole, `tap` the bytes.

    Returns what ended the reading early, where enough was read to say something (a truncated .gz). Raises InputError
    otherwise.
    """
    reader = LogReader(redacting=redacting)
    size = 0
    damage = None
    follow = (lambda: True) if seen else None
    with open_input(path) as stream:
        try:
            for chunk in read_chunks(stream, path, follow=follow):
                size += len(chunk)
                if tap:
                    tap(chunk)
                records = reader.feed(chunk) if chunk else reader.flush()
                hits = engine.feed(records)
                if seen:
                    seen(hits)
                elif size > _PROGRESS_FROM:
                    _progress(size)
        except KeyboardInterrupt:
            if not seen:
                raise
        except InputError as error:
            damage = error
        engine.feed(reader.flush())
    if size > _PROGRESS_FROM and not seen:
        _progress(0)
    if engine.empty:
        raise damage or InputError("error.no_log" if size else "error.empty", path=path)
    return damage


def exit_code(diagnosis: Diagnosis, fail_on: str) -> int:
    """1 if the diagnosis has a finding at or above the level, or is that of a server that died; else 0."""
    if fail_on == "never":
        return OK
    if is_death(diagnosis):
        return FOUND
    limit = SEVERITIES.index(fail_on)
    return FOUND if any(SEVERITIES.index(finding.severity) <= limit for finding in diagnosis.findings) else OK


def _check(options: LogsOptions) -> None:
    if options.format == "json" and len(options.paths) > 1:
        raise UsageError("--format json prints one report: use --format jsonl for several inputs")
    if options.follow and len(options.paths) > 1:
        raise UsageError("--follow takes one input")
    if options.paths.count("-") > 1:
        raise UsageError("standard input (-) can be read once only")


def _diagnoses(
    options: LogsOptions, rules: Sequence[Rule], known: dict[str, Fact], extra: _Extra, lang: str
) -> Iterator[tuple[Diagnosis, bool]]:
    """A diagnosis for each input, and whether it could be read; the others are read all the same."""
    for path in options.paths:
        engine = Diagnosing(rules, known)
        seen = _follower(options, lang) if options.follow else None
        if path == "-" and sys.stdin is not None and sys.stdin.isatty():
            sys.stderr.write(say("hint.terminal", lang) + "\n")
        try:
            damage = read_one(path, engine, redacting=not options.no_redact, seen=seen)
        except InputError as error:
            if options.format == "console":
                sys.stderr.write(f"qvl-doctor: {told(error, lang)}\n")
            yield unread(path, error), False
            continue
        extra.show(engine)
        diagnosis = extra.advised(without(engine.finish(path), options.ignore))
        if damage:
            diagnosis = diagnosis._replace(not_checked=(*diagnosis.not_checked, both(damage.key, **damage.values)))
        yield diagnosis, True


class _Extra:
    """What --command, --gpu and --model-dir say, and what the memory model adds to a diagnosis. Loaded only where needed."""

    def __init__(self, options: LogsOptions, lang: str) -> None:
        self._known: Known | None = None
        self._command: Command | None = None
        if options.gpu or options.model_dir:
            from qvl_doctor.cli.known import known_of

            self._known = known_of(options.gpu, "", options.model_dir, "", lang)
        self._env: Environment | None = None
        self._path = options.env
        self._notes: tuple[Text, ...] = ()
        if options.env:
            from qvl_doctor.cli.environment import read_environment

            self._env = read_environment(options.env)
        if options.command:
            from qvl_doctor.cli.known import read_command

            self._command = read_command(options.command, "", lang)[0]

    def show(self, engine: Diagnosing) -> None:
        """Shows the engine the machine, and the command for the release that the log names."""
        if self._env is not None:
            from qvl_doctor.cli.environment import beside

            seen, self._notes = beside(self._env, engine.facts, self._path)
            engine.see(seen)
        if self._command is not None:
            from qvl_doctor.launch.observing import observe_command

            engine.see(observe_command(self._command, fact_text(engine.facts, "vllm")))

    def advised(self, diagnosis: Diagnosis) -> Diagnosis:
        """The diagnosis with the corrected command and the memory model's word, where there is something to add."""
        diagnosis = diagnosis._replace(not_checked=(*diagnosis.not_checked, *self._notes)) if self._notes else diagnosis
        if self._command is None and not wanted(diagnosis):
            return diagnosis
        from qvl_doctor.sizing.advice import advise

        return advise(diagnosis, self._known, self._command)


def told(error: InputError, lang: str) -> str:
    """What is wrong with an input, in words."""
    path = error.values.get("path", "")
    return clean(say(error.key, lang, **{**error.values, "path": say("report.stdin", lang) if path == "-" else path}))


def unread(path: str, error: InputError) -> Diagnosis:
    """The report on an input that could not be read: nothing is lost of the others, and nothing is claimed of this one."""
    reason = both(error.key, **error.values)
    return concluded(Diagnosis(path, not_checked=(reason,)), reason=reason)


def print_report(diagnosis: Diagnosis, options: LogsOptions, lang: str, file: TextIO, width: int | None = None) -> None:
    """Writes the report in the format that was asked for; `width` is the console's, where it is not a terminal's."""
    if options.format in {"json", "jsonl"}:
        from qvl_doctor.report.as_json import dumps

        file.write(dumps(diagnosis, indent=None if options.format == "jsonl" else 2) + "\n")
    elif options.format == "markdown":
        from qvl_doctor.report.markdown import render

        file.write(render(diagnosis, lang) + "\n")
    elif diagnosis.runs or diagnosis.verdict != "unknown" or diagnosis.kind != "log":
        from rich.console import Console

        from qvl_doctor.report import console

        plain = options.no_color or bool(options.output)
        view = Console(
            file=file, width=width, no_color=plain or None, highlight=False, markup=False, emoji=False, soft_wrap=False
        )
        console.render(diagnosis, lang, view, quiet=options.quiet)
    file.flush()


def _follower(options: LogsOptions, lang: str) -> Callable[[list[Hit]], None]:
    """Prints what rules say while the log still grows, each rule once; the ranked report follows at the end (Ctrl-C)."""
    told: set[str] = set()

    def tell(hits: Iterable[Hit]) -> None:
        for hit in hits:
            if options.format != "console" or hit.rule.id in told or hit.record is None:
                continue
            told.add(hit.rule.id)
            text = say(
                "follow.seen", lang, line=str(hit.record.first_line), rule=hit.rule.id, said=hit.record.message[:160]
            )
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    return tell


def _progress(size: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{size // (1024 * 1024)} MiB" if size else "\r" + " " * 20 + "\r")
        sys.stderr.flush()


class Output:
    """Where reports go: standard output, or a file that replaces an older one only when it is whole.

    A link is followed; what is no regular file (a pipe, a device) is written to and stays what it is. Raises
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
