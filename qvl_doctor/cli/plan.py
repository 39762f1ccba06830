"""`qvl-doctor plan`: a command and a card in, a verdict, a picture of the card's memory and the command that fits out."""

from __future__ import annotations

import os
from typing import NamedTuple

from qvl_doctor.cli.known import commands_of, known_of, read_command
from qvl_doctor.cli.logs import Output, UsageError, exit_code, print_report, rule_book, told_mistakes
from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.diagnose.verdict import without
from qvl_doctor.knowledge import flag_table
from qvl_doctor.launch.command import Command
from qvl_doctor.messages import both, language, say
from qvl_doctor.sizing.case import Known
from qvl_doctor.sizing.planning import plan_command


class PlanOptions(NamedTuple):
    """What `qvl-doctor plan` was asked for. `words` is the command behind `--`."""

    words: tuple[str, ...] = ()
    gpu: str = ""
    gpu_memory: str = ""
    vllm: str = ""
    model_dir: str = ""
    command: str = ""
    report: LogsOptions = LogsOptions()


def run(options: PlanOptions) -> int:
    """Plans the command and prints the report; returns the exit code: 1 if it does not fit or is wrong otherwise."""
    lang = language(options.report.lang, os.environ)
    return told_mistakes(lambda: _plan(options, lang), lang)


def _plan(options: PlanOptions, lang: str) -> int:
    release = options.vllm or flag_table.newest()
    known = _known(options, release, lang)
    commands = _commands(options, release, lang)
    rules = rule_book(options.report)
    command = commands[0]
    diagnosis = without(plan_command(command, known, rules, options.command or "-"), options.report.ignore)
    notes = [] if options.vllm else [both("plan.newest", release=release)]
    if len(commands) > 1:
        notes.append(both("plan.several", count=len(commands), where=command.where or "1"))
    diagnosis = diagnosis._replace(not_checked=(*notes, *diagnosis.not_checked))
    with Output(options.report.output) as file:
        print_report(diagnosis, options.report, lang, file)
    return exit_code(diagnosis, options.report.fail_on)


def _known(options: PlanOptions, release: str, lang: str) -> Known:
    known = known_of(options.gpu, options.gpu_memory, options.model_dir, release, lang)
    if known.gpu is None:
        raise UsageError(say("error_plan.no_gpu", lang))
    return known


def _commands(options: PlanOptions, release: str, lang: str) -> tuple[Command, ...]:
    if options.words and options.command:
        raise UsageError(say("error_plan.two_commands", lang))
    if options.command:
        return read_command(options.command, release, lang)
    if not options.words:
        raise UsageError(say("error_plan.no_command", lang))
    return commands_of(options.words, release, "--", lang)
