"""`qvl-doctor check`: this machine, before launch. Or another one, from a file that `check --export` wrote there."""

from __future__ import annotations

import sys

from qvl_doctor.cli import session
from qvl_doctor.cli.inputs import command_of, rule_book
from qvl_doctor.cli.options import ReportOptions
from qvl_doctor.cli.progress import progress
from qvl_doctor.errors import UsageError
from qvl_doctor.launch.command import Command
from qvl_doctor.launch.observing import arguments_of
from qvl_doctor.machine import PROBES
from qvl_doctor.machine.export import Environment, dumps
from qvl_doctor.messages import say
from qvl_doctor.model import Diagnosis
from qvl_doctor.workflows import environment, machine


def run(
    report: ReportOptions,
    *,
    words: tuple[str, ...] = (),
    command: str = "",
    python: str = "",
    vllm: str = "",
    model_dir: str = "",
    only: str = "",
    import_test: bool = True,
    export: str = "",
    source: str = "",
) -> int:
    """Looks, judges and prints; returns the exit code.

    `words` is the command after `--`, `source` a file of --export.
    """

    def checked(lang: str) -> int:
        if source:
            here = {
                "--python": python,
                "--model-dir": model_dir,
                "--export": export,
                "--no-import-test": not import_test,
            }
            _contradictions(here, twice=source == command == "-")
        if export and export != "-" and export == report.output:
            raise UsageError("error_env.same_file", path=export)
        probes = _probes(only, import_test=import_test)
        asked = machine.Asked(wanted_command(words, command, vllm), python, vllm, model_dir, probes)
        seen = environment.read(source) if source else None
        rules = rule_book(ignore=report.ignore)

        def diagnosis() -> Diagnosis:
            env = seen or look(asked, lang, quiet=report.quiet, no_color=report.no_color)
            _export(env, export)
            here = say("check.source", lang)
            return machine.diagnose(
                env, asked, file=source, source=here, import_test=import_test, rules=rules, ignore=report.ignore
            )

        job = (source or say("check.source", lang), diagnosis)
        if export == "-" and not report.output:
            return session.exit_code(diagnosis(), report.fail_on)
        return session.deliver([job], report, lang)

    return session.run(checked, report.lang)


def look(asked: machine.Asked, lang: str, *, quiet: bool = False, no_color: bool = False) -> Environment:
    """What is to be seen of this machine; on a terminal it is shown what is looked at."""
    with progress(lang, quiet=quiet, no_color=no_color) as tell:
        return machine.look(asked, tell)


def wanted_command(words: tuple[str, ...], path: str, vllm: str) -> Command | None:
    """The command after `--`, where it has any arguments, or in a file. Raises UsageError or InputError."""
    found = command_of(words, path, vllm)
    return found if found is not None and (path or arguments_of(found)) else None


def _export(env: Environment, path: str) -> None:
    if path == "-":
        sys.stdout.write(dumps(env))
    elif path:
        with session.Output(path) as file:
            file.write(dumps(env))


def _contradictions(here: dict[str, object], *, twice: bool) -> None:
    """Options of which one would be ignored are told, so that no one believes it."""
    for name, given in here.items():
        if given:
            raise UsageError("error_env.elsewhere", name=name)
    if twice:
        raise UsageError("error_env.stdin_twice")


def _probes(only: str, *, import_test: bool) -> frozenset[str]:
    asked = [name.strip() for name in only.split(",") if name.strip()]
    known = ", ".join(PROBES)
    if only and not asked:
        raise UsageError("error_env.only_nothing", known=known)
    for name in asked:
        if name not in PROBES:
            from difflib import get_close_matches

            close = "".join(get_close_matches(name, PROBES, n=1, cutoff=0.5))
            raise UsageError("error_env.only_near" if close else "error_env.only", name=name, near=close, known=known)
    if "imports" in asked and not import_test:
        raise UsageError("error_env.imports_twice")
    return frozenset(asked or PROBES) - (frozenset() if import_test else {"imports"})
