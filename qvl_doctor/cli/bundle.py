"""`qvl-doctor bundle`: logs, what is to be seen of the machine, the command and the reports on them, as one archive for an issue.

0: written · 2: wrong usage · 3: an input could not be read. Where it cannot be opened nothing is written; where it
breaks off, what could be read is packed. What the reports say does not matter here: an archive about a broken server is
a good one.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from qvl_doctor.bundle.archive import Archive, Copied, LogCopy, manifest, member, readme
from qvl_doctor.cli.check import CheckOptions, command_of, judged, look
from qvl_doctor.cli.environment import beside, read_environment
from qvl_doctor.cli.logs import OK, UNREADABLE, UsageError, print_report, read_one, rule_book, told_mistakes, unread
from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.diagnose import Diagnosing
from qvl_doctor.logs.source import InputError, clean, open_input, read_text
from qvl_doctor.machine import PROBES
from qvl_doctor.machine.export import Environment, dumps
from qvl_doctor.messages import language, say
from qvl_doctor.model import Diagnosis, Rule, Text, fact_text
from qvl_doctor.redaction.line import MASK

if TYPE_CHECKING:
    from qvl_doctor.launch.command import Command

DEFAULT = "qvl-doctor-bundle.zip"
_MOST_COMMAND = 1 << 20
_SIZE = re.compile(r"(\d{1,9})\s*([KMG])(?:i?B)?", re.IGNORECASE)
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_WIDTH = 100


class BundleOptions(NamedTuple):
    """What `qvl-doctor bundle` was asked for. `words` is the command behind `--`."""

    logs: tuple[str, ...] = ()
    output: str = DEFAULT
    env: str = ""
    command: str = ""
    words: tuple[str, ...] = ()
    python: str = ""
    vllm: str = ""
    model_dir: str = ""
    no_check: bool = False
    no_import_test: bool = False
    max_log: str = "20MiB"
    force: bool = False
    quiet: bool = False
    lang: str = ""


def run(options: BundleOptions) -> int:
    """Packs and says what was packed; returns the exit code."""
    lang = language(options.lang, os.environ)
    return told_mistakes(lambda: _bundle(options, lang), lang)


def _bundle(options: BundleOptions, lang: str) -> int:
    limit = _limit(options, lang)
    _check(options, lang)
    _openable(options)
    with _target(options, lang) as file:
        with closing(Archive(file)) as archive:
            packing = _Packing(options, lang, limit, archive)
            packing.pack()
        size = file.tell()
    if not options.quiet:
        (sys.stderr if options.output == "-" else sys.stdout).write(packing.told(size))
    for note in packing.broken:
        sys.stderr.write(f"qvl-doctor: {note}\n")
    return UNREADABLE if packing.broken else OK


class _Packing:
    """One archive being put together."""

    def __init__(self, options: BundleOptions, lang: str, limit: int, archive: Archive) -> None:
        self.options, self.lang, self.limit, self.archive = options, lang, limit, archive
        self.rules: tuple[Rule, ...] = rule_book(LogsOptions())
        self.notes: list[str] = []
        self.broken: list[str] = []
        self.copies: dict[str, Copied] = {}
        self._names: set[str] = set()
        self._only = frozenset(PROBES) - ({"imports"} if options.no_import_test else frozenset())

    def pack(self) -> None:
        command = self._command()
        env = self._environment(command)
        diagnoses = [self._log(path, env, command) for path in self.options.logs]
        if env is not None:
            text = dumps(env)
            self.archive.add("env.json", "machine", text, text.count(MASK))
            diagnoses.insert(0, ("reports/check", self._judged(env, command)))
        for name, diagnosis in diagnoses:
            for suffix, form in (("txt", "console"), ("md", "markdown"), ("json", "json")):
                self.archive.add(f"{name}.{suffix}", "report", self._report(diagnosis, form))
        self.archive.add("README.md", "readme", readme(self.archive.entries, self.copies, self.notes, self.lang))
        self.archive.add("MANIFEST.json", "manifest", manifest(self.archive.entries, self.copies, self.notes))

    def told(self, size: int) -> str:
        """What was packed, for whoever is about to attach it. `size` is the archive's, in bytes."""
        entries = self.archive.entries
        width = max(len(each.name) for each in entries)
        lines = [say("bundle.written", self.lang, path=self.options.output, size=_shown(size))]
        for each in entries:
            masked = "  " + say("bundle.line_masked", self.lang, count=each.masked) if each.masked else ""
            lines.append(f"  {each.name:{width}}  {_shown(each.size):>9}{masked}")
        masks = say("bundle.masked", self.lang, count=sum(each.masked for each in entries))
        return "\n".join([*lines, *self.notes, masks, say("bundle.not_masked", self.lang), ""])

    # ---- The parts

    def _command(self) -> Command | None:
        """The command, which is packed as it was given; None where there is none, or none can be read."""
        options = self.options
        if not options.command and not options.words:
            return None
        name = member(options.command or "-", self._names, "command", "command.sh")
        text = read_text(options.command, _MOST_COMMAND) if options.command else _line(options.words)
        from qvl_doctor.launch.masking import masked_source

        shown = masked_source(text)
        if shown:
            self.archive.add(
                name,
                "command",
                shown if shown.endswith("\n") else f"{shown}\n",
                max(0, shown.count(MASK) - text.count(MASK)),
            )
        else:
            self.notes.append(say("bundle.secret_object", self.lang, name=name))
        try:
            if options.words:
                return command_of(CheckOptions(options.words, vllm=options.vllm), self.lang)
            from qvl_doctor.cli.known import commands_of

            return commands_of(text, options.vllm, name, self.lang)[0]
        except UsageError as error:
            self.notes.append(clean(str(error)))
            return None

    def _environment(self, command: Command | None) -> Environment | None:
        options = self.options
        if options.env:
            return read_environment(options.env)
        if options.no_check:
            return None
        return look(self._check_options(), command, self._only, self.lang)

    def _check_options(self) -> CheckOptions:
        options = self.options
        return CheckOptions(
            python=options.python,
            vllm=options.vllm,
            model_dir=options.model_dir,
            no_import_test=options.no_import_test,
            source="env.json" if options.env else "",
            report=LogsOptions(lang=self.lang, quiet=options.quiet),
        )

    def _judged(self, env: Environment, command: Command | None) -> Diagnosis:
        return judged(env, command, self._only, self._check_options(), self.rules)

    def _log(self, path: str, env: Environment | None, command: Command | None) -> tuple[str, Diagnosis]:
        """Packs a log and diagnoses it as it comes by; returns the name of its reports. Raises InputError before its first byte."""
        name = member(path, self._names)
        report = "reports/" + name.partition("/")[2].rpartition(".")[0]
        report = (
            report if report.casefold() not in self._names | {"reports/check"} else f"reports/{name.partition('/')[2]}"
        )
        self._names.add(report.casefold())
        engine = Diagnosing(self.rules)
        if path == "-" and sys.stdin is not None and sys.stdin.isatty():
            sys.stderr.write(say("hint.terminal", self.lang) + "\n")
        problem: InputError | None = None
        with self.archive.entry(name, "log") as put:
            copy = LogCopy(self.limit, put)
            try:
                problem = read_one(path, engine, tap=copy.feed)
            except InputError as error:
                problem = error
            self.copies[name] = copied = copy.close()
        self.archive.count(copied.masked)
        if problem is not None and not copied.lines and problem.key != "error.empty":
            raise problem
        if problem is not None and problem.key not in {"error.empty", "error.no_log"}:
            note = say(
                "bundle.cut_short",
                self.lang,
                name=name,
                reason=say(problem.key, self.lang, **{**problem.values, "path": name}),
            )
            self.notes.append(note)
            self.broken.append(note)
        return report, self._diagnosis(engine, name, problem, env, command)

    def _diagnosis(
        self,
        engine: Diagnosing,
        name: str,
        problem: InputError | None,
        env: Environment | None,
        command: Command | None,
    ) -> Diagnosis:
        if problem is not None and engine.empty:
            values = {**problem.values, "path": name}
            self.notes.append(
                say("bundle.not_diagnosed", self.lang, name=name, reason=say(problem.key, self.lang, **values))
            )
            return unread(name, InputError(problem.key, **values))
        notes: tuple[Text, ...] = ()
        if env is not None:
            seen, notes = beside(env, engine.facts, "env.json")
            engine.see(seen)
        if command is not None:
            from qvl_doctor.launch.observing import observe_command

            engine.see(observe_command(command, fact_text(engine.facts, "vllm") or self.options.vllm))
        from qvl_doctor.sizing.advice import advise

        diagnosis = advise(engine.finish(name), None, command)
        return diagnosis._replace(not_checked=(*diagnosis.not_checked, *notes))

    def _report(self, diagnosis: Diagnosis, form: str) -> str:
        """A report as text, in the width of a page. What could not be diagnosed has its reason."""
        text = io.StringIO()
        print_report(diagnosis, LogsOptions(format=form, no_color=True), self.lang, text, _WIDTH)
        return text.getvalue() or diagnosis.summary[self.lang] + "\n"


# ---- What was asked for


def _limit(options: BundleOptions, lang: str) -> int:
    size = _SIZE.fullmatch(options.max_log.strip())
    limit = int(size[1]) * _UNITS[size[2].lower()] if size else 0
    if not 64 << 10 <= limit <= 1 << 30:
        raise UsageError(say("error_bundle.max_log", lang, size=options.max_log))
    return limit


def _check(options: BundleOptions, lang: str) -> None:
    """Raises UsageError for options that cannot be followed together, and for a target that must not be written."""
    if options.words and options.command:
        raise UsageError(say("error_plan.two_commands", lang))
    if options.no_check and not (options.logs or options.env or options.command or options.words):
        raise UsageError(say("error_bundle.nothing", lang))
    skipped = "--env" if options.env else "--no-check" if options.no_check else ""
    here = {"--python": options.python, "--model-dir": options.model_dir, "--no-import-test": options.no_import_test}
    for name, given in here.items():
        if given and skipped:
            raise UsageError(say("error_bundle.check_option", lang, name=name, other=skipped))
    if (*options.logs, options.env, options.command).count("-") > 1:
        raise UsageError(say("error_env.stdin_twice", lang))
    _check_target(options, lang)


def _check_target(options: BundleOptions, lang: str) -> None:
    """Raises UsageError for a target that must not be written."""
    if options.output == "-":
        if sys.stdout.isatty():
            raise UsageError(say("error_bundle.terminal", lang))
        return
    if os.path.isdir(options.output):
        raise UsageError(say("error_bundle.directory", lang, path=options.output))
    if not os.path.isfile(options.output):
        return
    for path in (*options.logs, options.env, options.command):
        if path and os.path.exists(path) and os.path.samefile(path, options.output):
            raise UsageError(say("error_bundle.input", lang, path=path))
    if not options.force:
        raise UsageError(say("error_bundle.exists", lang, path=options.output))


def _openable(options: BundleOptions) -> None:
    """Raises InputError for an input that is not there: better before a minute of import test than after. Pipes are left alone."""
    for path in filter(None, (*options.logs, options.env, options.command)):
        try:
            special = path == "-" or stat.S_ISFIFO(os.stat(path).st_mode) or stat.S_ISCHR(os.stat(path).st_mode)
        except (OSError, ValueError):
            special = False
        if not special:
            with open_input(path):
                pass


@contextmanager
def _target(options: BundleOptions, lang: str) -> Iterator[BinaryIO]:
    """A file to write the archive to. It takes the target's place when it is whole; a pipe gets it whole, too. Raises InputError."""
    if options.output == "-" or (os.path.exists(options.output) and not os.path.isfile(options.output)):
        with tempfile.TemporaryFile() as held:
            yield held
            held.seek(0)
            if options.output == "-":
                shutil.copyfileobj(held, sys.stdout.buffer)
                return
            with _writing(options.output), open(options.output, "wb") as file:
                shutil.copyfileobj(held, file)
        return
    path = os.path.realpath(options.output)
    part = f"{path}.{os.getpid()}.part"
    with _writing(options.output):
        file = open(part, "xb")  # noqa: SIM115 — closed below, before it is renamed
    try:
        with file:
            yield file
        if os.path.exists(path) and not options.force:  # somebody else was quicker
            raise UsageError(say("error_bundle.exists", lang, path=options.output))
        with _writing(options.output):
            os.replace(part, path)
    except OSError as error:
        raise InputError("error.output", path=options.output, reason=error.strerror or str(error)) from None
    finally:
        if os.path.exists(part):
            os.unlink(part)


@contextmanager
def _writing(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise InputError(
            "error.output", path=path.replace("\0", "?"), reason=getattr(error, "strerror", "") or str(error)
        ) from None


def _line(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 and " " in words[0] else shlex.join(words)


def _shown(size: int) -> str:
    if size < 1 << 10:
        return f"{size} B"
    return f"{size / (1 << 10):.0f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"
