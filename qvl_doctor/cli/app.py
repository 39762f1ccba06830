"""The command line as typer shows it: help, completion, mistakes. `logs` itself stands in cli/logs.py."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from qvl_doctor import __version__
from qvl_doctor.cli import completing
from qvl_doctor.cli import logs as logs_command
from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.cli.rules import app as rules_app

INTERRUPTED = 130

Format = Literal["console", "json", "jsonl", "markdown"]
Language = Literal["en", "zh"]
FailOn = Literal["fatal", "degraded", "notice", "never"]

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
_LOGS = """Find the root cause in start-up or serving logs.

\b
  qvl-doctor logs pod.log
  kubectl logs POD --previous | qvl-doctor -
  qvl-doctor logs --pip pip-list.txt pod.log
  qvl-doctor logs --format jsonl logs/*.log > reports.jsonl

Exit code: 0 nothing at or above --fail-on, 1 something, 2 wrong usage, 3 an input could not be read or is no vLLM log.
"""
_PLAN = """Say whether a command will fit a card, before anything is started, and which flags make it fit.

\b
  qvl-doctor plan --gpu L4 --vllm 0.8.5 -- vllm serve Qwen/Qwen2.5-VL-7B-Instruct --max-model-len 32768
  qvl-doctor plan --gpu-memory 23.65GiB --vllm 0.7.2 --command deployment.yaml
  qvl-doctor plan --gpu H100 --model-dir ./my-model -- vllm serve ./my-model

No GPU is needed and nothing is downloaded: sizes come from bundled cards of models, or from the files in --model-dir.
Exit code: 0 it fits, 1 it does not or the command is wrong, 2 wrong usage, 3 the input could not be read.
"""
_CHECK = """Look at this machine before launch: packages, driver, GPU memory, shared memory, disk, port, the model's files, and the command.

\b
  qvl-doctor check -- vllm serve Qwen/Qwen2.5-VL-7B-Instruct --tensor-parallel-size 2
  qvl-doctor check --python /opt/vllm/bin/python --only gpu,packages
  qvl-doctor check --export env.json                  # on the server
  qvl-doctor check --from env.json -- vllm serve …    # anywhere

Each line of the checklist is ok, a warning, a problem, or says why it could not be checked. Nothing is changed.
--export - writes to standard output; the report is then printed only if --output names a file for it.

Exit code: 0 nothing at or above --fail-on, 1 something, 2 wrong usage, 3 a file could not be read.
"""
_BUNDLE = """Pack what an issue needs into one archive: logs, this machine, the command, the reports. Secrets are masked, nothing is sent.

\b
  qvl-doctor bundle pod.log -- vllm serve Qwen/Qwen2.5-VL-7B-Instruct
  kubectl logs POD --previous | qvl-doctor bundle --no-check --command deployment.yaml -
  qvl-doctor bundle --env env.json -o case.zip logs/*.log

Look through it before you attach it: host names, addresses, paths and prompts are not masked.

Exit code: 0 written, whatever the reports say; 2 wrong usage; 3 an input could not be read: if it cannot be opened, nothing is written;
if it breaks off, what could be read is packed.
"""
_MANIFEST = """Check a Deployment, a Pod or a compose file before it is applied, or what the cluster says of a pod.

\b
  qvl-doctor manifest deployment.yaml
  qvl-doctor manifest --gpu L4 --patch corrected.yaml deployment.yaml
  kubectl get pod POD -o yaml | qvl-doctor manifest -
  kubectl describe pod POD | qvl-doctor manifest -

Exit code: 0 nothing at or above --fail-on, 1 something, 2 wrong usage, 3 there is no vLLM in the file.
"""
_EXPLAIN = """Show a rule's page: what it means, why it happens, what to do.

\b
  qvl-doctor explain kv-below-context
  qvl-doctor explain kv-below-context --lang zh
"""

app = typer.Typer(
    name="qvl-doctor",
    help="Tells from a vLLM log why the server died or misbehaves, and which change fixes it. Offline." + _EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
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
) -> None:
    del version


@app.command(help=_LOGS)
def logs(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Logs: plain, .gz, .zst; - is standard input.", show_default=False),
    ],
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
        str, typer.Option("--pip", metavar="FILE", help="Output of `pip list` or `pip freeze` of the same machine.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more; Ctrl-C ends with the full report.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the verdict line.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours (also: NO_COLOR=1).")] = False,
    no_redact: Annotated[bool, typer.Option("--no-redact", help="Do not mask API keys, tokens and passwords.")] = False,
    command: Annotated[
        str,
        typer.Option(
            "--command",
            metavar="FILE",
            help="The command that was started: shell text, a manifest, compose, docker run.",
        ),
    ] = "",
    gpu: Annotated[str, typer.Option("--gpu", metavar="NAME", help="The card, where the log does not say it.")] = "",
    model_dir: Annotated[
        str, typer.Option("--model-dir", metavar="DIR", help="The model's folder, for its exact sizes.")
    ] = "",
    env: Annotated[str, typer.Option("--env", metavar="FILE", help="What `check --export` saw of the machine.")] = "",
) -> None:
    """Find the root cause in start-up or serving logs."""
    options = LogsOptions(
        tuple(paths),
        form,
        output,
        lang or "",
        fail_on,
        tuple(ignore or ()),
        tuple(rules or ()),
        override,
        pip,
        follow,
        quiet,
        no_color,
        no_redact,
        command,
        gpu,
        model_dir,
        env,
    )
    try:
        code = logs_command.run(options)
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)


def _gpu_names() -> list[str]:
    from qvl_doctor.memory import gpus

    return [card.name for card in gpus.known()]


@app.command(help=_PLAN)
def plan(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- vllm serve ...", help="The command, behind --.", show_default=False),
    ] = None,
    gpu: Annotated[
        str,
        typer.Option("--gpu", metavar="NAME", help="The card: L4, A100-80GB, RTX 4090 …", autocompletion=_gpu_names),
    ] = "",
    gpu_memory: Annotated[
        str, typer.Option("--gpu-memory", metavar="SIZE", help="Its memory as torch sees it: 23.65GiB.")
    ] = "",
    vllm: Annotated[
        str, typer.Option("--vllm", metavar="RELEASE", help="The release: 0.7.2. Default: the newest that is known.")
    ] = "",
    model_dir: Annotated[
        str, typer.Option("--model-dir", metavar="DIR", help="The model's folder, for its exact sizes.")
    ] = "",
    command: Annotated[
        str, typer.Option("--command", metavar="FILE", help="Read the command from a script, manifest or compose file.")
    ] = "",
    form: Annotated[Format, typer.Option("--format", "-f", help="How to report.")] = "console",
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Write the report to FILE.")] = "",
    lang: Annotated[Language | None, typer.Option("--lang", help="Default: the locale's.")] = None,
    fail_on: Annotated[FailOn, typer.Option("--fail-on", help="Exit 1 from this severity on.")] = "degraded",
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="RULE", help="Leave a rule's findings out.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the verdict line.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours (also: NO_COLOR=1).")] = False,
) -> None:
    """Say whether a command will fit a card."""
    from qvl_doctor.cli.plan import PlanOptions, run

    report = LogsOptions(
        format=form,
        output=output,
        lang=lang or "",
        fail_on=fail_on,
        ignore=tuple(ignore or ()),
        quiet=quiet,
        no_color=no_color,
    )
    raise typer.Exit(run(PlanOptions(tuple(words or ()), gpu, gpu_memory, vllm, model_dir, command, report)))


def _looks(incomplete: str) -> list[str]:
    """Names behind those that are written already: `gpu,` goes on with `gpu,host`."""
    from qvl_doctor.machine import PROBES

    before, comma, last = incomplete.rpartition(",")
    return [
        f"{before}{comma}{name}" for name in PROBES if name.startswith(last.strip()) and name not in before.split(",")
    ]


@app.command(help=_CHECK)
def check(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- vllm serve ...]", help="The command, behind --.", show_default=False),
    ] = None,
    command: Annotated[
        str, typer.Option("--command", metavar="FILE", help="A script, manifest or compose file with the command.")
    ] = "",
    python: Annotated[
        str, typer.Option("--python", metavar="PATH", help="The interpreter that runs vLLM. Default: this one.")
    ] = "",
    vllm: Annotated[
        str, typer.Option("--vllm", metavar="RELEASE", help="The release, where it is not installed here.")
    ] = "",
    model_dir: Annotated[str, typer.Option("--model-dir", metavar="DIR", help="The model's folder.")] = "",
    only: Annotated[
        str,
        typer.Option(
            "--only",
            metavar="NAMES",
            help="Some of packages,imports,gpu,host,model,command, with commas.",
            autocompletion=_looks,
        ),
    ] = "",
    no_import_test: Annotated[
        bool, typer.Option("--no-import-test", help="Do not import torch and vllm: faster.")
    ] = False,
    export: Annotated[
        str, typer.Option("--export", metavar="FILE", help="Write what was seen, secrets masked; - is standard output.")
    ] = "",
    source: Annotated[str, typer.Option("--from", metavar="FILE", help="Diagnose what --export wrote elsewhere.")] = "",
    form: Annotated[Format, typer.Option("--format", "-f", help="How to report.")] = "console",
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Write the report to FILE.")] = "",
    lang: Annotated[Language | None, typer.Option("--lang", help="Default: the locale's.")] = None,
    fail_on: Annotated[FailOn, typer.Option("--fail-on", help="Exit 1 from this severity on.")] = "degraded",
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="RULE", help="Leave a rule's findings out.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the verdict line.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours (also: NO_COLOR=1).")] = False,
) -> None:
    """Say whether a command will start on this machine."""
    from qvl_doctor.cli.check import CheckOptions, run

    report = LogsOptions((), form, output, lang or "", fail_on, tuple(ignore or ()), quiet=quiet, no_color=no_color)
    raise typer.Exit(
        run(
            CheckOptions(
                tuple(words or ()), command, python, vllm, model_dir, only, no_import_test, export, source, report
            )
        )
    )


class _BehindDashes(TyperCommand):
    """A command with inputs of its own: what stands behind `--` is kept apart from them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes the words behind the first `--` off, and leaves them in the context."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta["behind_dashes"] = tuple(args[at + 1 :])
        parsed: list[str] = super().parse_args(ctx, args[:at])
        return parsed


@app.command(help=_BUNDLE, cls=_BehindDashes)
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
        typer.Option("--env", metavar="FILE", help="What `check --export` saw, instead of looking at this machine."),
    ] = "",
    command: Annotated[
        str, typer.Option("--command", metavar="FILE", help="A script, manifest or compose file with the command.")
    ] = "",
    python: Annotated[
        str, typer.Option("--python", metavar="PATH", help="The interpreter that runs vLLM. Default: this one.")
    ] = "",
    vllm: Annotated[
        str, typer.Option("--vllm", metavar="RELEASE", help="The release, where it is not installed here.")
    ] = "",
    model_dir: Annotated[str, typer.Option("--model-dir", metavar="DIR", help="The model's folder.")] = "",
    no_check: Annotated[bool, typer.Option("--no-check", help="Do not look at this machine.")] = False,
    no_import_test: Annotated[
        bool, typer.Option("--no-import-test", help="Do not import torch and vllm: faster.")
    ] = False,
    max_log: Annotated[
        str, typer.Option("--max-log", metavar="SIZE", help="Of a longer log the middle is left out.")
    ] = "20MiB",
    force: Annotated[bool, typer.Option("--force", help="Replace the archive if it is there already.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not say what was packed.")] = False,
    lang: Annotated[Language | None, typer.Option("--lang", help="Default: the locale's.")] = None,
) -> None:
    """Pack what an issue needs into one archive."""
    from qvl_doctor.cli.bundle import BundleOptions, run

    words = context.meta.get("behind_dashes", ())
    paths = tuple(logs or ())
    raise typer.Exit(
        run(
            BundleOptions(
                paths,
                output,
                env,
                command,
                words,
                python,
                vllm,
                model_dir,
                no_check,
                no_import_test,
                max_log,
                force,
                quiet,
                lang or "",
            )
        )
    )


@app.command(help=_MANIFEST)
def manifest(
    path: Annotated[str, typer.Argument(metavar="FILE", help="YAML or JSON; - is standard input.", show_default=False)],
    vllm: Annotated[
        str, typer.Option("--vllm", metavar="RELEASE", help="The release, where the image's tag does not say it.")
    ] = "",
    gpu: Annotated[
        str, typer.Option("--gpu", metavar="NAME", help="The card: memory is checked, too.", autocompletion=_gpu_names)
    ] = "",
    gpu_memory: Annotated[
        str, typer.Option("--gpu-memory", metavar="SIZE", help="Its memory as torch sees it: 23.65GiB.")
    ] = "",
    patch: Annotated[
        str,
        typer.Option(
            "--patch", metavar="FILE", help="Write the corrected manifest to FILE, with its secrets as they are."
        ),
    ] = "",
    log: Annotated[
        str, typer.Option("--log", metavar="FILE", help="A log of it: how long a start takes, for its probes.")
    ] = "",
    form: Annotated[Format, typer.Option("--format", "-f", help="How to report.")] = "console",
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Write the report to FILE.")] = "",
    lang: Annotated[Language | None, typer.Option("--lang", help="Default: the locale's.")] = None,
    fail_on: Annotated[FailOn, typer.Option("--fail-on", help="Exit 1 from this severity on.")] = "degraded",
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="RULE", help="Leave a rule's findings out.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the verdict line.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours (also: NO_COLOR=1).")] = False,
) -> None:
    """Check a Kubernetes manifest or a compose file."""
    from qvl_doctor.cli.manifest import ManifestOptions, run

    report = LogsOptions((), form, output, lang or "", fail_on, tuple(ignore or ()), quiet=quiet, no_color=no_color)
    raise typer.Exit(run(ManifestOptions(path, vllm, gpu, gpu_memory, patch, log, report)))


@app.command(help=_EXPLAIN)
def explain(
    rule: Annotated[
        str, typer.Argument(metavar="RULE", help="A rule's id, as reports name it.", autocompletion=completing.rule_ids)
    ],
    lang: Annotated[Language | None, typer.Option("--lang", help="Default: the locale's.")] = None,
    rules: Annotated[list[str] | None, typer.Option("--rules", metavar="DIR", help="More rules, of your own.")] = None,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.")] = False,
) -> None:
    """Show a rule's page."""
    from qvl_doctor.cli.explain import run

    raise typer.Exit(run(rule, lang or "", tuple(rules or ()), no_color=no_color))


def run_typer(arguments: list[str]) -> int:
    """Runs typer on the arguments; returns the exit code."""
    try:
        app(args=arguments, prog_name="qvl-doctor")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0
