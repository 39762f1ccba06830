"""`qvl-doctor manifest`: a manifest before it is applied, or what the cluster says of its pod.

Findings, and the file corrected.
"""

from __future__ import annotations

from qvl_doctor.cli import session
from qvl_doctor.cli.inputs import rule_book
from qvl_doctor.cli.options import ReportOptions
from qvl_doctor.logs.source import clean, read_text
from qvl_doctor.messages import say
from qvl_doctor.model import Diagnosis
from qvl_doctor.workflows import log, manifest
from qvl_doctor.workflows.asked import known_of

_LONGEST = 4 << 20


def run(
    report: ReportOptions,
    *,
    path: str,
    vllm: str = "",
    gpu: str = "",
    gpu_memory: str = "",
    patch: str = "",
    log_file: str = "",
) -> int:
    """Reads, judges and prints; writes the corrected file to `patch` where that is asked for. Returns the exit code."""

    def checked(lang: str) -> int:
        rules = rule_book(ignore=report.ignore)
        known = known_of(gpu, gpu_memory, vllm=vllm)
        files = []

        def diagnosis() -> Diagnosis:
            text = read_text(path, _LONGEST)
            start_s = log.startup_s(log_file, rules) if log_file else 0.0
            found = manifest.diagnose(
                text, source=path, known=known, start_s=start_s, rules=rules, ignore=report.ignore
            )
            files.append(found.file)
            if patch and found.file:
                with session.Output(patch) as file:
                    file.write(found.file)
            return found.diagnosis

        code = session.deliver([(path, diagnosis)], report, lang)
        if patch and files:
            session.tell(clean(say("manifest.written" if files[0] else "manifest.unchanged", lang, path=patch)))
        return code

    return session.run(checked, report.lang)
