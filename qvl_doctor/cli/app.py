"""The command line as typer shows it: help, completion, mistakes.

What each command does is told in the module of its name.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from qvl_doctor import __version__
from qvl_doctor.cli import completing, flags, shells
from qvl_doctor.cli.options import LogsOptions, ReportOptions
from qvl_doctor.cli.rules import app as rules_app

_EXAMPLES = """
Examples:

\b
  kubectl logs POD | qvl-doctor -
  qvl-doctor logs pod.log
  qvl-doctor logs --format json pod.log.gz
  kubectl logs -f POD | qvl-doctor logs --follow -
  qvl-doctor explain kv-below-context
"""

# A line with \b keeps the lines after it as they are.
_LOGS = """Find the root cause in startup or serving logs.

\b
  qvl-doctor logs pod.log
  kubectl logs POD --previous | qvl-doctor -
  qvl-doctor logs --pip pip-list.txt pod.log
  qvl-doctor logs --format jsonl logs/*.log > reports.jsonl

With --follow what the rules find is printed as it comes, one line each; the report follows at the end:

\b
  kubectl logs -f POD | qvl-doctor logs --follow -
  qvl-doctor logs --follow --until ready --timeout 600 vllm.log && start-traffic

With --until the exit code answers only this: 0 yes; 1 no, the server died first; 4 neither was seen before the
end, the time was up, or a signal came. A followed file may be rotated or truncated, and need not be there yet.
"""
_PLAN = """Say whether a command will fit a GPU, before anything is started, and which flags make it fit.

\b
  qvl-doctor plan --gpu L4 --vllm 0.8.5 -- vllm serve Qwen/Qwen2.5-VL-7B-Instruct --max-model-len 32768
  qvl-doctor plan --gpu-memory 23.65GiB --vllm 0.7.2 --command deployment.yaml
  qvl-doctor plan --gpu H100 --model-dir ./my-model -- vllm serve ./my-model

No GPU is needed and nothing is downloaded: sizes come from built-in model data, or from the files in --model-dir."""
_CHECK = """Check this machine before launch: packages, driver, GPU memory, shared memory, disk, port, the model's files, and the command.

\b
  qvl-doctor check -- vllm serve Qwen/Qwen2.5-VL-7B-Instruct --tensor-parallel-size 2
  qvl-doctor check --python /opt/vllm/bin/python --only gpu,packages
  qvl-doctor check --export env.json                  # on the server
  qvl-doctor check --from env.json -- vllm serve …    # anywhere

Each line of the checklist is ok, a warning, a problem, or says why it could not be checked. Nothing is changed.
--export - writes to standard output; the report is then printed only if --output names a file for it.
"""
_BUNDLE = """Pack what an issue needs into one archive: logs, this machine, the command, the reports. Secrets are masked, nothing is sent.

\b
  qvl-doctor bundle pod.log -- vllm serve Qwen/Qwen2.5-VL-7B-Instruct
  kubectl logs POD --previous | qvl-doctor bundle --no-check --command deployment.yaml -
  qvl-doctor bundle --env env.json -o case.zip logs/*.log

Look through the archive before you attach it: host names, addresses, paths and prompts are not masked.
"""
_MANIFEST = """Check a Deployment, a Pod or a compose file before it is applied, or what the cluster says about a pod.

\b
  qvl-doctor manifest deployment.yaml
  qvl-doctor manifest --gpu L4 --patch corrected.yaml deployment.yaml
  kubectl get pod POD -o yaml | qvl-doctor manifest -
  kubectl describe pod POD | qvl-doctor manifest -
"""
_EXPLAIN = """Show a rule's page: what it means, why it happens, what to do.

\b
  qvl-doctor explain kv-below-context
  qvl-doctor explain kv-below-context --lang zh
"""

app = typer.Typer(
    name="qvl-doctor",
    help="Say from a vLLM log why the server died or misbehaves, and which change fixes it. Works offline." + _EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,  # its options guess the shell; cli/shells.py asks
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.add_typer(rules_app, name="rules")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"qvl-doctor {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    show_completion: Annotated[
        str,
        typer.Option(
            shells.SHOW,
            metavar="SHELL",
            callback=shells.show,
            is_eager=True,
            help=f"Print the completion script: {', '.join(shells.SHELLS)}.",
            show_default=False,
        ),
    ] = "",
    install_completion: Annotated[
        str,
        typer.Option(
            shells.INSTALL,
            metavar="SHELL",
            callback=shells.install,
            is_eager=True,
            help="Install that script for you.",
            show_default=False,
        ),
    ] = "",
) -> None:
    del version, show_completion, install_completion


@app.command(help=flags.help_of("logs", _LOGS))
@flags.with_report
def logs(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Logs: plain, .gz, .zst; - is standard input.", show_default=False),
    ],
    report: ReportOptions,
    rules: flags.Rules = None,
    override: flags.Override = False,
    pip: Annotated[
        str, typer.Option("--pip", metavar="FILE", help="Output of `pip list` or `pip freeze` of the same machine.")
    ] = "",
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Wait for more; the end of a pipe, Ctrl-C or SIGTERM ends with the full report."),
    ] = False,
    until: Annotated[
        Literal["ready", "dead"] | None,
        typer.Option("--until", help="With --follow: end when the server is ready, or dead.", show_default=False),
    ] = None,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="SECONDS", help="With --follow: end after so many seconds.")
    ] = "",
    no_redact: flags.NoRedact = False,
    command: flags.CommandFile = "",
    gpu: flags.Gpu = "",
    model_dir: flags.ModelDir = "",
    env: Annotated[str, typer.Option("--env", metavar="FILE", help="What `check --export` found on the machine.")] = "",
) -> None:
    """Find the root cause in startup or serving logs."""
    from qvl_doctor.cli.logs import run

    options = LogsOptions(
        paths=tuple(paths),
        report=report,
        rules=tuple(rules or ()),
        override=override,
        pip=pip,
        follow=follow,
        until=until or "",
        timeout=timeout,
        no_redact=no_redact,
        command=command,
        gpu=gpu,
        model_dir=model_dir,
        env=env,
    )
    raise typer.Exit(run(options))


@app.command(help=flags.help_of("plan", _PLAN))
@flags.with_report
def plan(
    report: ReportOptions,
    words: flags.Words = None,
    gpu: flags.Gpu = "",
    gpu_memory: flags.GpuMemory = "",
    vllm: Annotated[
        str, typer.Option("--vllm", metavar="RELEASE", help="The release: 0.7.2. Default: the newest that is known.")
    ] = "",
    model_dir: flags.ModelDir = "",
    command: flags.CommandFile = "",
) -> None:
    """Say whether a command will fit a GPU."""
    from qvl_doctor.cli.plan import run

    raise typer.Exit(
        run(
            report,
            words=tuple(words or ()),
            gpu=gpu,
            gpu_memory=gpu_memory,
            vllm=vllm,
            model_dir=model_dir,
            command=command,
        )
    )


@app.command(help=flags.help_of("check", _CHECK))
@flags.with_report
def check(
    report: ReportOptions,
    words: flags.Words = None,
    command: flags.CommandFile = "",
    python: flags.Python = "",
    vllm: flags.Release = "",
    model_dir: flags.ModelDir = "",
    only: Annotated[
        str,
        typer.Option(
            "--only",
            metavar="NAMES",
            help="Some of packages,imports,gpu,host,model,command, with commas.",
            autocompletion=completing.looks,
        ),
    ] = "",
    no_import_test: flags.NoImportTest = False,
    export: Annotated[
        str,
        typer.Option("--export", metavar="FILE", help="Write what was found, secrets masked; - is standard output."),
    ] = "",
    source: Annotated[str, typer.Option("--from", metavar="FILE", help="Diagnose what --export wrote elsewhere.")] = "",
) -> None:
    """Say whether a command will start on this machine."""
    from qvl_doctor.cli.check import run

    raise typer.Exit(
        run(
            report,
            words=tuple(words or ()),
            command=command,
            python=python,
            vllm=vllm,
            model_dir=model_dir,
            only=only,
            import_test=not no_import_test,
            export=export,
            source=source,
        )
    )


class _AfterDashes(TyperCommand):
    """A command with inputs of its own: what comes after `--` is kept apart from them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes the words after the first `--` off, and leaves them in the context."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta["after_dashes"] = tuple(args[at + 1 :])
        parsed: list[str] = super().parse_args(ctx, args[:at])
        return parsed


@app.command(help=flags.help_of("bundle", _BUNDLE), cls=_AfterDashes)
def bundle(
    context: typer.Context,
    logs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LOG...] [-- vllm serve ...]",
            help="Logs: plain, .gz, .zst; - is standard input.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The archive; - is standard output.")
    ] = "qvl-doctor-bundle.zip",
    env: Annotated[
        str,
        typer.Option("--env", metavar="FILE", help="What `check --export` found, instead of checking this machine."),
    ] = "",
    command: flags.CommandFile = "",
    python: flags.Python = "",
    vllm: flags.Release = "",
    model_dir: flags.ModelDir = "",
    no_check: Annotated[bool, typer.Option("--no-check", help="Do not check this machine.")] = False,
    no_import_test: flags.NoImportTest = False,
    max_log: Annotated[
        str, typer.Option("--max-log", metavar="SIZE", help="Omit the middle of a longer log.")
    ] = "20MiB",
    force: Annotated[bool, typer.Option("--force", help="Replace the archive if it already exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not say what was packed.")] = False,
    lang: flags.Language = None,
) -> None:
    """Pack what an issue needs into one archive."""
    from qvl_doctor.cli.bundle import run

    raise typer.Exit(
        run(
            logs=tuple(logs or ()),
            output=output,
            env=env,
            command=command,
            words=context.meta.get("after_dashes", ()),
            python=python,
            vllm=vllm,
            model_dir=model_dir,
            check=not no_check,
            import_test=not no_import_test,
            max_log=max_log,
            force=force,
            quiet=quiet,
            lang=lang or "",
        )
    )


@app.command(help=flags.help_of("manifest", _MANIFEST))
@flags.with_report
def manifest(
    path: Annotated[str, typer.Argument(metavar="FILE", help="YAML or JSON; - is standard input.", show_default=False)],
    report: ReportOptions,
    vllm: flags.Release = "",
    gpu: flags.Gpu = "",
    gpu_memory: flags.GpuMemory = "",
    patch: Annotated[
        str,
        typer.Option(
            "--patch", metavar="FILE", help="Write the corrected manifest to FILE, with its secrets as they are."
        ),
    ] = "",
    log: Annotated[
        str, typer.Option("--log", metavar="FILE", help="A log of it: how long a start takes, for its probes.")
    ] = "",
) -> None:
    """Check a Kubernetes manifest or a compose file."""
    from qvl_doctor.cli.manifest import run

    raise typer.Exit(run(report, path=path, vllm=vllm, gpu=gpu, gpu_memory=gpu_memory, patch=patch, log_file=log))


@app.command(help=_EXPLAIN)
def explain(
    rule: Annotated[
        str, typer.Argument(metavar="RULE", help="A rule's id, as reports name it.", autocompletion=completing.rule_ids)
    ],
    lang: flags.Language = None,
    rules: flags.Rules = None,
    no_color: flags.NoColor = False,
) -> None:
    """Show a rule's page."""
    from qvl_doctor.cli.explain import run

    raise typer.Exit(run(rule, lang=lang or "", folders=tuple(rules or ()), no_color=no_color))


def run_typer(arguments: list[str]) -> int:
    """Runs typer on the arguments; returns the exit code."""
    if shells.ASKED in os.environ:
        shells.answer_shells()
    try:
        app(args=shells.named(arguments), prog_name="qvl-doctor")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0
