"""`qvl-doctor plan`: a command and a GPU in, a verdict, a picture of the GPU's memory and the command that fits out."""

from __future__ import annotations

from qvl_doctor.cli import session
from qvl_doctor.cli.inputs import command_text, rule_book
from qvl_doctor.cli.options import ReportOptions
from qvl_doctor.errors import UsageError
from qvl_doctor.workflows import plan


def run(
    report: ReportOptions,
    *,
    words: tuple[str, ...] = (),
    command: str = "",
    gpu: str = "",
    gpu_memory: str = "",
    vllm: str = "",
    model_dir: str = "",
) -> int:
    """Plans the command and prints the report; returns the exit code. `words` is the command after `--`."""

    def planned(lang: str) -> int:
        text = command_text(words, command)
        if text is None:
            raise UsageError("error_plan.no_command")
        rules = rule_book(ignore=report.ignore)
        source = command or "-"
        job = (
            source,
            lambda: plan.diagnose(
                text,
                gpu=gpu,
                gpu_memory=gpu_memory,
                vllm=vllm,
                model_dir=model_dir,
                source=source,
                rules=rules,
                ignore=report.ignore,
            ),
        )
        return session.deliver([job], report, lang)

    return session.run(planned, report.lang)
