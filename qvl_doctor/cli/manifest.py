"""`qvl-doctor manifest`: a manifest before it is applied, or what the cluster says of its pod; findings, and the file corrected."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from qvl_doctor import kube
from qvl_doctor.cli.known import known_of
from qvl_doctor.cli.logs import OK, UNREADABLE, USAGE, Output, UsageError, exit_code, print_report, rule_book, told
from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.diagnose.engine import without
from qvl_doctor.diagnose.static import examine
from qvl_doctor.launch.command import Command, LaunchError
from qvl_doctor.launch.observing import arguments_of
from qvl_doctor.logs.source import InputError, open_input, read_chunks
from qvl_doctor.manifest.looking import look
from qvl_doctor.memory.solver import Case
from qvl_doctor.model import Diagnosis, Rule, Seen
from qvl_doctor.sizing.advice import advise
from qvl_doctor.sizing.case import of_arguments
from qvl_doctor.sizing.telling import facts_of
from qvl_doctor.words import language

_LONGEST = 4 << 20


class ManifestOptions(NamedTuple):
    """What `qvl-doctor manifest` was asked for."""

    path: str = ""
    vllm: str = ""
    gpu: str = ""
    gpu_memory: str = ""
    patch: str = ""
    report: LogsOptions = LogsOptions()


def run(options: ManifestOptions) -> int:
    """Reads, judges and prints; writes the corrected file where it was asked for. Returns the exit code."""
    lang = language(options.report.lang, os.environ)
    try:
        rules = rule_book(options.report)
        with open_input(options.path) as stream:
            text = b"".join(read_chunks(stream, options.path))[:_LONGEST].decode("utf-8", "replace")
        diagnosis = without(_diagnosis(text, options, rules, lang), options.report.ignore)
        if options.patch and diagnosis.patch:
            with Output(options.patch) as file:
                file.write(diagnosis.patch)
        with Output(options.report.output) as file:
            print_report(diagnosis, options.report, lang, file)
    except UsageError as error:
        sys.stderr.write(f"qvl-doctor: {error}\n")
        return USAGE
    except InputError as error:
        sys.stderr.write(f"qvl-doctor: {told(error, lang)}\n")
        return UNREADABLE
    return max(OK, exit_code(diagnosis, options.report.fail_on))


def _diagnosis(text: str, options: ManifestOptions, rules: tuple[Rule, ...], lang: str) -> Diagnosis:
    """What the spec says and, of `kubectl get pod -o yaml` and `kubectl describe`, what the cluster says. Raises InputError if neither."""
    status = kube.look(text)
    commands: list[Command] = []
    try:
        seen, commands = look(text, options.vllm)
    except LaunchError as error:
        if status is None:
            place = f" {error.place}" if str(error.place) else ""
            detail = f": {error.detail}" if error.detail else ""
            raise InputError("error_plan.command", path=options.path, kind=error.kind, place=place, detail=detail) from None
        seen = Seen()
    release = str(seen.facts["vllm"].value) if "vllm" in seen.facts else options.vllm
    known = known_of(options.gpu, options.gpu_memory, "", release, lang)
    if commands and known.gpu:
        case = of_arguments(arguments_of(commands[0], release), known, commands[0].env)
        seen |= Seen(facts_of(case, case.plan())) if isinstance(case, Case) else Seen()
    diagnosis = examine(options.path, seen | (status or Seen()), rules)
    if commands:
        diagnosis = advise(diagnosis, known, commands[0])
    return kube.retold(diagnosis) if status is not None else diagnosis
