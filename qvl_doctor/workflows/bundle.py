"""What an issue needs as one archive: logs, what is to be seen of the machine, the command, and the reports on them."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable, Sequence
from typing import NamedTuple

from qvl_doctor.bundle.archive import Archive, Copied, LogCopy, manifest, member, readme
from qvl_doctor.diagnose.streams import Streams
from qvl_doctor.diagnose.verdict import unread
from qvl_doctor.errors import InputError, UsageError
from qvl_doctor.launch.command import Command
from qvl_doctor.launch.masking import masked_source
from qvl_doctor.launch.observing import arguments_of
from qvl_doctor.logs.source import clean
from qvl_doctor.machine.export import Environment, dumps
from qvl_doctor.messages import say
from qvl_doctor.model import Diagnosis, Rule
from qvl_doctor.redaction.line import MASK
from qvl_doctor.report.formats import write
from qvl_doctor.workflows import log, machine
from qvl_doctor.workflows.asked import commands_of

_FORMS = (("txt", "console"), ("md", "markdown"), ("json", "json"))


class Packed(NamedTuple):
    """What a reader must know of an archive; `broken` are the inputs that broke off."""

    notes: tuple[str, ...]
    broken: tuple[str, ...]


class Case(NamedTuple):
    """What is to be packed.

    `command` is the command's words, or the text of `command_file`. `look` sees the machine, or reads the file
    `env_file`; without it there is no machine in the archive. Of a log longer than `limit` bytes the middle is left
    out.
    """

    logs: Sequence[str] = ()
    command: str | Sequence[str] | None = None
    command_file: str = ""
    look: Callable[[machine.Asked], Environment] | None = None
    env_file: str = ""
    asked: machine.Asked = machine.Asked()
    import_test: bool = True
    limit: int = 20 << 20


def pack(
    archive: Archive,
    case: Case,
    *,
    rules: Sequence[Rule],
    lang: str = "en",
    tell: Callable[[str], None] = lambda _: None,
) -> Packed:
    """Puts everything into the archive. `tell` is called before a log is read.

    Raises InputError for a log that cannot be opened.
    """
    packing = _Packing(archive, case, rules, lang)
    packing.pack(tell)
    return Packed(tuple(packing.notes), tuple(packing.broken))


class _Packing:
    """One archive being put together."""

    def __init__(self, archive: Archive, case: Case, rules: Sequence[Rule], lang: str) -> None:
        self.archive, self.case, self.rules, self.lang = archive, case, rules, lang
        self.notes: list[str] = []
        self.broken: list[str] = []
        self._copies: dict[str, Copied] = {}
        self._names: set[str] = set()

    def pack(self, tell: Callable[[str], None]) -> None:
        asked = self.case.asked._replace(command=self._command())
        env = self.case.look(asked) if self.case.look else None
        beside = log.Beside(asked.command, release=asked.release, env=env, env_file="env.json")
        diagnoses = [self._log(path, beside, tell) for path in self.case.logs]
        if env is not None:
            text = dumps(env)
            self.archive.add("env.json", "machine", text, text.count(MASK))
            diagnoses.insert(0, ("reports/check", self._checked(env, asked)))
        for name, diagnosis in diagnoses:
            for suffix, form in _FORMS:
                self.archive.add(f"{name}.{suffix}", "report", self._report(diagnosis, form))
        self.archive.add("README.md", "readme", readme(self.archive.entries, self._copies, self.notes, self.lang))
        self.archive.add("MANIFEST.json", "manifest", manifest(self.archive.entries, self._copies, self.notes))

    def _command(self) -> Command | None:
        """The command, which is packed as it was given; None where there is none, or none can be read."""
        given = self.case.command
        if given is None:
            return None
        name = member(self.case.command_file or "-", self._names, "command", "command.sh")
        text = given if isinstance(given, str) else _line(given)
        shown = masked_source(text)
        if shown:
            masked = max(0, shown.count(MASK) - text.count(MASK))
            self.archive.add(name, "command", shown if shown.endswith("\n") else f"{shown}\n", masked)
        else:
            self.notes.append(say("bundle.secret_object", self.lang, name=name))
        try:
            found = commands_of(given, self.case.asked.release, name if isinstance(given, str) else "--")[0]
        except UsageError as error:
            self.notes.append(clean(say(error.key, self.lang, **error.values)))
            return None
        return found if isinstance(given, str) or arguments_of(found) else None

    def _checked(self, env: Environment, asked: machine.Asked) -> Diagnosis:
        here = say("check.source", self.lang)
        file = "env.json" if self.case.env_file else ""
        return machine.diagnose(env, asked, file=file, source=here, import_test=self.case.import_test, rules=self.rules)

    def _log(self, path: str, beside: log.Beside, tell: Callable[[str], None]) -> tuple[str, Diagnosis]:
        """Packs a log and diagnoses it as it comes by; returns the name of its reports.

        Raises InputError before its first byte.
        """
        name = member(path, self._names)
        report = "reports/" + name.partition("/")[2].rpartition(".")[0]
        report = (
            report if report.casefold() not in self._names | {"reports/check"} else f"reports/{name.partition('/')[2]}"
        )
        self._names.add(report.casefold())
        engine = Streams(self.rules)
        tell(path)
        problem: InputError | None = None
        with self.archive.entry(name, "log") as put:
            copy = LogCopy(self.case.limit, put)
            try:
                problem = log.read(path, engine, tap=copy.feed)
            except InputError as error:
                problem = error
            self._copies[name] = copied = copy.close()
        self.archive.count(copied.masked)
        if problem is not None and not copied.lines and problem.key != "error.empty":
            raise problem
        if problem is not None:
            problem = InputError(problem.key, **{**problem.values, "path": name})
            self._note(problem, name, broken=not _is_refusal(problem), empty=engine.empty)
        if problem is not None and (engine.empty or _is_refusal(problem)):
            return report, unread(name, problem)
        return report, log.judged(engine, name, beside)

    def _note(self, problem: InputError, name: str, *, broken: bool, empty: bool) -> None:
        """Notes that a log broke off, and that there is no report on it."""
        reason = say(problem.key, self.lang, **problem.values)
        if broken:
            note = say("bundle.cut_short", self.lang, name=name, reason=reason)
            self.notes.append(note)
            self.broken.append(note)
        if empty:
            self.notes.append(say("bundle.not_diagnosed", self.lang, name=name, reason=reason))

    def _report(self, diagnosis: Diagnosis, form: str) -> str:
        """A report as text, in the width of the widest page. What could not be diagnosed has its reason."""
        if form == "console" and diagnosis.kind == "log" and not diagnosis.runs:
            return diagnosis.summary[self.lang] + "\n"
        from qvl_doctor.report.page import MAX_WIDTH

        text = io.StringIO()
        write(diagnosis, form, self.lang, text, width=MAX_WIDTH, plain=True)
        return text.getvalue()


def _is_refusal(problem: InputError) -> bool:
    """Whether a file was read, and there is nothing in it to diagnose."""
    return problem.key in {"error.empty", "error.no_log"} or problem.key.startswith("no_log.")


def _line(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 and " " in words[0] else shlex.join(words)
