"""`qvl-doctor check`: this machine, before launch. Or another one, from a file that `check --export` wrote there."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from qvl_doctor.cli.environment import elsewhere, provenance, read_environment
from qvl_doctor.cli.logs import Output, UsageError, exit_code, print_report, rule_book, told_mistakes
from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.diagnose.examining import examine
from qvl_doctor.diagnose.verdict import without
from qvl_doctor.machine import PROBES
from qvl_doctor.machine.export import Environment, dumps
from qvl_doctor.messages import language, say
from qvl_doctor.model import Diagnosis, Fact, fact_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qvl_doctor.launch.command import Command
    from qvl_doctor.machine.gather import Asked
    from qvl_doctor.model import Rule
    from qvl_doctor.report.checklist import Looked


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
    return told_mistakes(lambda: _check(options, lang), lang)


def _check(options: CheckOptions, lang: str) -> int:
    _contradictions(options, lang)
    only = _only(options, lang)
    command = command_of(options, lang)
    env = read_environment(options.source) if options.source else None
    rules = rule_book(options.report)
    env = env or look(options, command, only, lang)
    if options.export == "-":
        sys.stdout.write(dumps(env))
    elif options.export:
        with Output(options.export) as file:
            file.write(dumps(env))
    diagnosis = judged(env, command, only, options, rules)
    if options.export != "-" or options.report.output:
        with Output(options.report.output) as file:
            print_report(diagnosis, options.report, lang, file)
    return exit_code(diagnosis, options.report.fail_on)


def look(options: CheckOptions, command: Command | None, only: frozenset[str], lang: str) -> Environment:
    """What is to be seen of this machine; on a terminal it is shown what is looked at."""
    from qvl_doctor.cli.progress import progress
    from qvl_doctor.machine.gather import gather, wanted

    asked = _asked(options, command, only)
    with progress(lang, quiet=options.report.quiet, no_color=options.report.no_color) as tell:
        looks = gather(asked, tell)
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Environment(looks, {**wanted(asked), "command": _shown(command)}, made)


def judged(
    env: Environment, command: Command | None, only: frozenset[str], options: CheckOptions, rules: Sequence[Rule]
) -> Diagnosis:
    """The diagnosis of what was seen, with its checklist. A command is held against a machine that was seen elsewhere."""
    from qvl_doctor.report.checklist import checklist

    looks = {name: found for name, found in env.looks.items() if name in only or not name}
    if options.source and command is not None:
        from qvl_doctor.machine.gather import held_against

        looks = held_against(_asked(options, command, only), looks, env.asked)
    seen = Environment(looks).seen()
    known = {"vllm": Fact(options.vllm, "option")} if options.vllm else {}
    if options.source:
        seen = elsewhere(env, seen)
    source = options.source or say("check.source", language(options.report.lang, os.environ))
    found = examine(source, seen, rules, known)
    if command is not None:
        found = _sized(found, command, _asked(options, command, only), here=not options.source)
    notes = provenance(env, options.source) if options.source else ()
    diagnosis = without(found, options.report.ignore)._replace(not_checked=(*found.not_checked, *notes))
    return diagnosis._replace(checks=checklist(diagnosis, _looked(env, command, only, options)))


def command_of(options: CheckOptions, lang: str) -> Command | None:
    """The command behind `--`, or in --command FILE. Raises UsageError or InputError."""
    if not options.words and not options.command:
        return None
    from qvl_doctor.cli.known import commands_of, read_command
    from qvl_doctor.launch.observing import arguments_of

    if options.words and options.command:
        raise UsageError(say("error_plan.two_commands", lang))
    if options.command:
        return read_command(options.command, options.vllm, lang)[0]
    found = commands_of(options.words, options.vllm, "--", lang)[0]
    return found if arguments_of(found) else None


def _sized(diagnosis: Diagnosis, command: Command, asked: Asked, *, here: bool) -> Diagnosis:
    """The diagnosis with the corrected command and the memory model's word. `here`: this machine was looked at."""
    from qvl_doctor.machine.fit_memory import known_of
    from qvl_doctor.machine.gather import folder_of
    from qvl_doctor.sizing.advice import advise

    known = known_of(diagnosis.facts, fact_text(diagnosis.facts, "vllm"), folder_of(asked) if here else "")
    return advise(diagnosis, known, command)


def _asked(options: CheckOptions, command: Command | None, only: frozenset[str]) -> Asked:
    from qvl_doctor.machine.gather import Asked

    return Asked(command, options.python, options.vllm, options.model_dir, only)


def _looked(env: Environment, command: Command | None, only: frozenset[str], options: CheckOptions) -> Looked:
    from qvl_doctor.report.checklist import Looked

    seen = frozenset(PROBES) if "" in env.looks else frozenset(env.looks)
    told = command is not None or bool(env.asked.get("command"))
    return Looked(
        only,
        seen | ({"command"} if told else frozenset()),
        told,
        _model(env, command),
        not options.no_import_test,
        options.source,
    )


def _model(env: Environment, command: Command | None) -> str:
    if command is not None and command.model:
        return command.model
    return env.asked.get("model", "")


def _shown(command: Command | None) -> str:
    if command is None:
        return ""
    from qvl_doctor.launch.writing import shell_line

    return shell_line(command)


def _contradictions(options: CheckOptions, lang: str) -> None:
    """Options of which one would be ignored are told, so that nobody believes it."""
    if options.source:
        here = {"--python": options.python, "--model-dir": options.model_dir, "--export": options.export}
        for name, given in {**here, "--no-import-test": options.no_import_test}.items():
            if given:
                raise UsageError(say("error_env.elsewhere", lang, name=name))
        if options.source == options.command == "-":
            raise UsageError(say("error_env.stdin_twice", lang))
    if options.export and options.export != "-" and options.export == options.report.output:
        raise UsageError(say("error_env.same_file", lang, path=options.export))


def _only(options: CheckOptions, lang: str) -> frozenset[str]:
    asked = [name.strip() for name in options.only.split(",") if name.strip()]
    if options.only and not asked:
        raise UsageError(say("error_env.only_nothing", lang, known=", ".join(PROBES)))
    for name in asked:
        if name not in PROBES:
            from difflib import get_close_matches

            near = get_close_matches(name, PROBES, n=1, cutoff=0.5)
            key = "error_env.only_near" if near else "error_env.only"
            raise UsageError(say(key, lang, name=name, near="".join(near), known=", ".join(PROBES)))
    if "imports" in asked and options.no_import_test:
        raise UsageError(say("error_env.imports_twice", lang))
    return frozenset(asked or PROBES) - ({"imports"} if options.no_import_test else frozenset())
