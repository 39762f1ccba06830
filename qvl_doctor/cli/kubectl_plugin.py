"""`kubectl qvl-doctor POD`: the pod, its events and its logs are fetched through kubectl, and become one diagnosis.

kubectl finds the program by its name, `kubectl-qvl_doctor`. 0: nothing at or above --fail-on · 1: something · 2: wrong
usage · 3: the cluster could not be asked, or there is no such pod.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Annotated, NamedTuple

import typer

from qvl_doctor.cli.app import FailOn, Format, Language
from qvl_doctor.cli.logs import (
    UNREADABLE,
    USAGE,
    Output,
    UsageError,
    exit_code,
    package_facts,
    print_report,
    rule_book,
    told,
    unread,
)
from qvl_doctor.cli.main import guarded
from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.diagnose.verdict import without
from qvl_doctor.kube.diagnosing import Asked, diagnose_pod
from qvl_doctor.kube.kubectl import Kubectl
from qvl_doctor.logs.source import InputError
from qvl_doctor.messages import language


class KubectlOptions(NamedTuple):
    """What `kubectl qvl-doctor` was asked for. `cluster` are options that are handed to kubectl as they are."""

    words: tuple[str, ...] = ()
    selector: str = ""
    container: str = ""
    cluster: tuple[str, ...] = ()
    tail: int = -1
    seconds: float = 60.0
    report: LogsOptions = LogsOptions()


def run(options: KubectlOptions) -> int:
    """Looks at the pod and prints the report; returns the exit code."""
    report = options.report
    lang = language(report.lang, os.environ)
    try:
        rules = rule_book(report)
        known = package_facts(report.pip)
    except (UsageError, InputError) as error:
        text = told(error, lang) if isinstance(error, InputError) else str(error)
        sys.stderr.write(f"qvl-doctor: {text}\n")
        return USAGE
    asked = Asked(options.words, options.selector, options.container, options.tail, not report.no_redact, time.time())
    try:
        diagnosis = without(diagnose_pod(Kubectl(options.cluster, options.seconds), asked, rules, known), report.ignore)
        code = exit_code(diagnosis, report.fail_on)
    except InputError as error:
        if report.format == "console":
            sys.stderr.write(f"qvl-doctor: {told(error, lang)}\n")
        diagnosis, code = unread(" ".join(options.words) or options.selector or "pods", error), UNREADABLE
    try:
        with Output(report.output) as file:
            print_report(diagnosis, report, lang, file)
    except InputError as error:
        sys.stderr.write(f"qvl-doctor: {told(error, lang)}\n")
        return UNREADABLE
    return code


_HELP = """Find the root cause in a pod: its status, its events and the logs of its last two starts, all through kubectl.

\b
  kubectl qvl-doctor vllm-0
  kubectl qvl-doctor deploy/qwen-vl -n serving
  kubectl qvl-doctor -l app=qwen-vl --format markdown
  kubectl qvl-doctor

Without a name it takes the pod of the namespace that runs vLLM and is worst off, and says so.
Exit code: 0 nothing at or above --fail-on, 1 something, 2 wrong usage, 3 the cluster could not be asked, or there is no such pod.
"""

app = typer.Typer(
    name="kubectl qvl-doctor",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _handed(name: str, value: str) -> list[str]:
    return [f"--{name}={value}"] if value else []


@app.command(help=_HELP)
def pod(
    words: Annotated[list[str] | None, typer.Argument(metavar="[POD | TYPE/NAME]", show_default=False)] = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n", metavar="NAME", help="As kubectl's.")] = "",
    selector: Annotated[
        str, typer.Option("--selector", "-l", metavar="LABELS", help="Pods with these labels: app=vllm.")
    ] = "",
    container: Annotated[
        str, typer.Option("--container", "-c", metavar="NAME", help="Default: the one that runs vLLM.")
    ] = "",
    context: Annotated[str, typer.Option("--context", metavar="NAME", help="As kubectl's.")] = "",
    kubeconfig: Annotated[str, typer.Option("--kubeconfig", metavar="FILE", help="As kubectl's.")] = "",
    cluster: Annotated[str, typer.Option("--cluster", metavar="NAME", help="As kubectl's.")] = "",
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="As kubectl's.")] = "",
    impersonate: Annotated[str, typer.Option("--as", metavar="NAME", help="As kubectl's.")] = "",
    tail: Annotated[int, typer.Option("--tail", min=-1, help="Only the last lines of each log; -1 is all.")] = -1,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds for each call of kubectl.")] = 60.0,
    form: Annotated[Format, typer.Option("--format", "-f", help="How to report.")] = "console",
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Write the report to FILE.")] = "",
    lang: Annotated[Language | None, typer.Option("--lang", help="Default: the locale's.")] = None,
    fail_on: Annotated[FailOn, typer.Option("--fail-on", help="Exit 1 from this severity on.")] = "degraded",
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="RULE", help="Leave a rule's findings out; may be repeated.")
    ] = None,
    rules: Annotated[
        list[str] | None, typer.Option("--rules", metavar="DIR", help="More rules, of your own; may be repeated.")
    ] = None,
    override: Annotated[
        bool, typer.Option("--override", help="Your rules may replace shipped ones of the same id.")
    ] = False,
    pip: Annotated[
        str, typer.Option("--pip", metavar="FILE", help="Output of `pip list` or `pip freeze` in the image.")
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the verdict line.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours (also: NO_COLOR=1).")] = False,
    no_redact: Annotated[bool, typer.Option("--no-redact", help="Do not mask API keys, tokens and passwords.")] = False,
) -> None:
    """Find the root cause in a pod."""
    handed = {
        "kubeconfig": kubeconfig,
        "context": context,
        "cluster": cluster,
        "user": user,
        "as": impersonate,
        "namespace": namespace,
    }
    report = LogsOptions(
        format=form,
        output=output,
        lang=lang or "",
        fail_on=fail_on,
        ignore=tuple(ignore or ()),
        rules=tuple(rules or ()),
        override=override,
        pip=pip,
        quiet=quiet,
        no_color=no_color,
        no_redact=no_redact,
    )
    options = tuple(option for name, value in handed.items() for option in _handed(name, value))
    raise typer.Exit(run(KubectlOptions(tuple(words or ()), selector, container, options, tail, timeout, report)))


def run_typer(arguments: list[str]) -> int:
    """Runs typer on the arguments; returns the exit code."""
    try:
        app(args=arguments, prog_name="kubectl qvl-doctor")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0


def main() -> None:
    """Runs the plugin on `sys.argv` and exits with its code."""
    sys.exit(guarded(run_typer, sys.argv[1:]))
