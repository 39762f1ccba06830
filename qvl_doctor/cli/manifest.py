"""`qvl-doctor manifest`: a manifest before it is applied, or what the cluster says of its pod; findings, and the file corrected."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from qvl_doctor.cli.known import known_of, unreadable
from qvl_doctor.cli.logs import Output, UsageError, exit_code, print_report, rule_book, told_mistakes
from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.diagnose import Diagnosing
from qvl_doctor.diagnose.verdict import without
from qvl_doctor.launch.command import LaunchError
from qvl_doctor.logs.records import LogReader
from qvl_doctor.logs.source import InputError, clean, open_input, read_chunks, read_text
from qvl_doctor.manifest.diagnosing import Found, diagnose
from qvl_doctor.messages import language, say
from qvl_doctor.model import Rule
from qvl_doctor.sizing.case import Known

_LONGEST = 4 << 20


class ManifestOptions(NamedTuple):
    """What `qvl-doctor manifest` was asked for."""

    path: str = ""
    vllm: str = ""
    gpu: str = ""
    gpu_memory: str = ""
    patch: str = ""
    log: str = ""
    report: LogsOptions = LogsOptions()


def run(options: ManifestOptions) -> int:
    """Reads, judges and prints; writes the corrected file where it was asked for. Returns the exit code."""
    lang = language(options.report.lang, os.environ)
    return told_mistakes(lambda: _manifest(options, lang), lang)


def _manifest(options: ManifestOptions, lang: str) -> int:
    rules = rule_book(options.report)
    known = known_of(options.gpu, options.gpu_memory, "", options.vllm, lang)
    found = _found(options, rules, known, lang)
    diagnosis = without(found.diagnosis, options.report.ignore)
    if options.patch and found.file:
        with Output(options.patch) as file:
            file.write(found.file)
    with Output(options.report.output) as file:
        print_report(diagnosis, options.report, lang, file)
    if options.patch:
        sys.stderr.write(
            f"qvl-doctor: {clean(say('manifest.written' if found.file else 'manifest.unchanged', lang, path=options.patch))}\n"
        )
    return exit_code(diagnosis, options.report.fail_on)


def _found(options: ManifestOptions, rules: Sequence[Rule], known: Known, lang: str) -> Found:
    text = read_text(options.path, _LONGEST)
    try:
        return diagnose(options.path, text, rules, known, _start_s(options.log, rules, lang))
    except LaunchError as error:
        if "{{" in text and error.kind not in {"too-large", "nul-byte"}:
            raise InputError("error_manifest.template", path=options.path) from None
        raise InputError("error_plan.command", path=options.path, said=unreadable(error, lang)) from None


def _start_s(path: str, rules: Sequence[Rule], lang: str) -> float:
    """Seconds that the start in a log took. Raises UsageError for a log that shows none."""
    if not path:
        return 0.0
    engine, reader = Diagnosing(rules), LogReader()
    with open_input(path) as stream:
        for chunk in read_chunks(stream, path):
            engine.feed(reader.feed(chunk))
    engine.feed(reader.flush())
    seconds = engine.finish(path).facts.get("startup_s")
    if seconds is None:
        raise UsageError(say("error_manifest.no_start", lang, path=path))
    return float(seconds.value)
