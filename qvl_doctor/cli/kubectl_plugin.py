"""`kubectl qvl-doctor POD`: the pod, its events and its logs are fetched through kubectl, and become one diagnosis.

kubectl finds the program by its name, `kubectl-qvl_doctor`.
"""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from qvl_doctor.cli import flags, session
from qvl_doctor.cli.inputs import package_facts, rule_book
from qvl_doctor.cli.main import guarded
from qvl_doctor.cli.options import ReportOptions
from qvl_doctor.kube.kubectl import Kubectl
from qvl_doctor.model import Rule
from qvl_doctor.workflows import one_pod


def run(
    report: ReportOptions,
    asked: one_pod.Asked,
    kubectl: Kubectl,
    *,
    rules: tuple[str, ...] = (),
    override: bool = False,
    pip: str = "",
) -> int:
    """Looks at the pod and prints the report; returns the exit code."""

    def looked(lang: str) -> int:
        book: tuple[Rule, ...] = rule_book(rules, override=override, ignore=report.ignore)
        packages = session.as_usage(lambda: package_facts(pip))
        job = (
            " ".join(asked.words) or asked.selector or "pods",
            lambda: one_pod.diagnose(kubectl, asked, packages=packages, rules=book, ignore=report.ignore),
        )
        return session.deliver([job], report, lang, whole=True)

    return session.run(looked, report.lang)


_HELP = """Find the root cause in a pod: its status, its events and the logs of its last two starts, all through kubectl.

\b
  kubectl qvl-doctor vllm-0
  kubectl qvl-doctor deploy/qwen-vl -n serving
  kubectl qvl-doctor -l app=qwen-vl --format markdown
  kubectl qvl-doctor

Without a name it takes the pod of the namespace that runs vLLM and is worst off, and says so.
"""

app = typer.Typer(
    name="kubectl qvl-doctor",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _cluster(**given: str) -> tuple[str, ...]:
    """Options that are handed to kubectl as they are."""
    return tuple(f"--{name.removesuffix('_')}={value}" for name, value in given.items() if value)


@app.command(help=flags.help_of("kubectl qvl-doctor", _HELP))
@flags.with_report
def pod(
    report: ReportOptions,
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
    rules: flags.Rules = None,
    override: flags.Override = False,
    pip: Annotated[
        str, typer.Option("--pip", metavar="FILE", help="Output of `pip list` or `pip freeze` in the image.")
    ] = "",
    no_redact: flags.NoRedact = False,
) -> None:
    """Find the root cause in a pod."""
    options = _cluster(
        kubeconfig=kubeconfig, context=context, cluster=cluster, user=user, as_=impersonate, namespace=namespace
    )
    asked = one_pod.Asked(
        words=tuple(words or ()),
        selector=selector,
        container=container,
        tail=tail,
        redacting=not no_redact,
        now=time.time(),
    )
    raise typer.Exit(
        run(report, asked, Kubectl(options, timeout), rules=tuple(rules or ()), override=override, pip=pip)
    )


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
