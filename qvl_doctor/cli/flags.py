"""Options that several commands have, each declared once. `with_report` adds the report options to a command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from qvl_doctor.cli import completing
from qvl_doctor.cli.exit_codes import exit_codes
from qvl_doctor.cli.options import ReportOptions

Format = Annotated[
    Literal["console", "json", "jsonl", "markdown"], typer.Option("--format", "-f", help="How to report.")
]
ReportFile = Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Write the report to FILE.")]
Language = Annotated[Literal["en", "zh"] | None, typer.Option("--lang", help="Default: the locale's.")]
FailOn = Annotated[
    Literal["fatal", "degraded", "notice", "unknown", "never"],
    typer.Option(
        "--fail-on", help="Exit 1 at this severity or above; unknown: like degraded, and 4 if nothing is certain."
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="RULE",
        help="Omit a rule's findings; may be repeated.",
        autocompletion=completing.rule_ids,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the verdict line.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colors (also: NO_COLOR=1).")]

Rules = Annotated[
    list[str] | None, typer.Option("--rules", metavar="DIR", help="More rules, of your own; may be repeated.")
]
Override = Annotated[bool, typer.Option("--override", help="Your rules may replace shipped ones of the same id.")]
NoRedact = Annotated[bool, typer.Option("--no-redact", help="Do not mask API keys, tokens and passwords.")]

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[-- vllm serve ...]", help="The command, after --.", show_default=False),
]
CommandFile = Annotated[
    str, typer.Option("--command", metavar="FILE", help="A script, manifest or compose file with the command.")
]
Gpu = Annotated[
    str,
    typer.Option(
        "--gpu", metavar="NAME", help="The GPU: L4, A100-80GB, RTX 4090 …", autocompletion=completing.gpu_names
    ),
]
GpuMemory = Annotated[str, typer.Option("--gpu-memory", metavar="SIZE", help="Its memory as torch sees it: 23.65GiB.")]
ModelDir = Annotated[
    str, typer.Option("--model-dir", metavar="DIR", help="The model's directory, for its exact sizes.")
]
Release = Annotated[
    str, typer.Option("--vllm", metavar="RELEASE", help="The release of vLLM, where it is not found otherwise.")
]
Python = Annotated[
    str, typer.Option("--python", metavar="PATH", help="The interpreter that runs vLLM. Default: this one.")
]
NoImportTest = Annotated[bool, typer.Option("--no-import-test", help="Do not import torch and vllm: faster.")]

#: The options of every report: field of ReportOptions → the type of its parameter.
_OF_REPORTS: dict[str, Any] = {
    "format": Format,
    "output": ReportFile,
    "lang": Language,
    "fail_on": FailOn,
    "ignore": Ignore,
    "quiet": Quiet,
    "no_color": NoColor,
}


def with_report(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the report options in place of its parameter `report`, which gets them as one value."""
    own = inspect.signature(command, eval_str=True).parameters
    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if name in {"lang", "ignore"} else ReportOptions._field_defaults[name],
            annotation=annotation,
        )
        for name, annotation in _OF_REPORTS.items()
    ]
    kept = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, each in own.items() if name != "report"]
    parameters = [*kept, *shared]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        told = {name: given.pop(name) for name in _OF_REPORTS}
        report = ReportOptions(**{**told, "lang": told["lang"] or "", "ignore": tuple(told["ignore"] or ())})
        command(**given, report=report)

    # Typer reads both.
    vars(run)["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def help_of(command: str, text: str) -> str:
    """The help of a command, with its exit codes at the end."""
    codes = "\n".join(f"  {code:2}  {said}" for code, said in exit_codes(command).items())
    return f"{text.rstrip()}\n\nExit codes:\n\n\b\n{codes}\n"
