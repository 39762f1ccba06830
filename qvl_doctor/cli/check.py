"""`qvl-doctor check`: this machine, before launch. Or another one, from a file that `check --export` wrote there."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from qvl_doctor.cli.known import commands_of, read_command
from qvl_doctor.cli.logs import OK, UNREADABLE, USAGE, Output, UsageError, exit_code, print_report, rule_book, told
from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.diagnose.engine import without
from qvl_doctor.diagnose.static import examine
from qvl_doctor.launch.command import Command
from qvl_doctor.launch.observing import arguments_of
from qvl_doctor.logs.source import InputError, open_input, read_chunks
from qvl_doctor.model import Diagnosis, Fact, Seen
from qvl_doctor.probe.export import EnvironmentFileError, dumps, loads
from qvl_doctor.report.checklist import checklist
from qvl_doctor.words import language, say

PROBES = ("packages", "imports", "gpu", "host", "model", "command")


class CheckOptions(NamedTuple):
    """What `qvl-doctor check` was asked for. `words` is the command behind `--`."""

    words: tuple[str, ...] = ()
    command: str = ""
    python: str = ""
    vllm: str = ""
    model_dir: str = ""
    only: str = ""
    no_import_test: bool = False
    export: str = ""
    source: str = ""
    report: LogsOptions = LogsOptions()


def run(options: CheckOptions) -> int:
    """Looks, judges and prints; returns the exit code."""
    lang = language(options.report.lang, os.environ)
    try:
        command = _command(options, lang)
        rules = rule_book(options.report)
        only = _only(options, lang)
        seen = read_environment(options.source) if options.source else _look(options, command, only, lang)
        if options.export:
            with Output(options.export) as file:
                file.write(dumps(seen))
        known = {"vllm": Fact(options.vllm, "option")} if options.vllm else {}
        diagnosis = without(
            _sized(examine(options.source or say("check.source", lang), seen, rules, known), command), options.report.ignore
        )
        groups = {"packages" if name == "imports" else name for name in only if name != "command" or command}
        with Output(options.report.output) as file:
            print_report(diagnosis._replace(checks=checklist(diagnosis, groups)), options.report, lang, file)
    except UsageError as error:
        sys.stderr.write(f"qvl-doctor: {error}\n")
        return USAGE
    except InputError as error:
        sys.stderr.write(f"qvl-doctor: {told(error, lang)}\n")
        return UNREADABLE
    return max(OK, exit_code(diagnosis, options.report.fail_on))


def read_environment(path: str) -> Seen:
    """What a file of `check --export` says. Raises InputError."""
    with open_input(path) as stream:
        text = b"".join(read_chunks(stream, path)).decode("utf-8", "replace")
    try:
        return loads(text)
    except EnvironmentFileError as error:
        raise InputError("error_env.unreadable", path=path, reason=str(error)) from None


def _look(options: CheckOptions, command: Command | None, only: frozenset[str], lang: str) -> Seen:
    from qvl_doctor.probe.gather import Asked, gather

    def tell(name: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{say('check.running', lang, what=say(f'check.name.{name}', lang) if name == 'imports' else name)}")
            sys.stderr.flush()

    seen = gather(Asked(command, options.python, options.vllm, options.model_dir, only), tell)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    return seen


def _sized(diagnosis: Diagnosis, command: Command | None) -> Diagnosis:
    """The diagnosis with the corrected command and the memory model's word."""
    if command is None:
        return diagnosis
    from qvl_doctor.probe.gather import card_of
    from qvl_doctor.sizing.advice import advise
    from qvl_doctor.sizing.case import Known

    release = diagnosis.facts.get("vllm")
    known = Known(gpu=card_of(diagnosis.facts), release=str(release.value) if release else "")
    return advise(diagnosis, known, command)


def _command(options: CheckOptions, lang: str) -> Command | None:
    if options.words and options.command:
        raise UsageError(say("error_plan.two_commands", lang))
    if options.command:
        return read_command(options.command, options.vllm, lang)[0]
    if not options.words:
        return None
    source = options.words[0] if len(options.words) == 1 and " " in options.words[0] else list(options.words)
    found = commands_of(source, options.vllm, "--", lang)[0]
    return found if arguments_of(found) else None


def _only(options: CheckOptions, lang: str) -> frozenset[str]:
    asked = [name.strip() for name in options.only.split(",") if name.strip()] or list(PROBES)
    for name in asked:
        if name not in PROBES:
            raise UsageError(say("error_env.only", lang, name=name, known=", ".join(PROBES)))
    return frozenset(asked) - ({"imports"} if options.no_import_test else frozenset())
