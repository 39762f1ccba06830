#!/usr/bin/env python3
"""What starting costs: CPU time of qvl-doctor's commands as a multiple of `python -c pass`.

Measures the wheel, installed into an environment of its own, as a user has it: with compiled rules and byte code. The
commands take turns in every round, so that whatever else the machine does meets all of them; the figures are medians of
user and system time. Exit code 1 if a command costs more than its bound.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
READY = "Application startup complete."


def realistic_log(size: int) -> str:
    """A recorded start, then requests and statistics up to `size` bytes, then the recorded death of its engine."""
    fixtures = ROOT / "fixtures"
    lines = (fixtures / "failed/0.11.0-sigkill-engine.log").read_text(encoding="utf-8").splitlines()
    healthy = (fixtures / "healthy/0.11.0-healthy-vl.log").read_text(encoding="utf-8").splitlines()
    ready = next(number for number, line in enumerate(lines) if READY in line) + 1
    server = re.search(r"APIServer pid=\d+", lines[ready - 1])
    healthy = [re.sub(r"APIServer pid=\d+", server.group() if server else "", line) for line in healthy]
    access = next(line for line in healthy if '"POST /v1/chat/completions HTTP/1.1" 200 OK' in line)
    client = access.split(" - ")[0].rpartition(" ")[2]
    stats = next(line for line in healthy if "Avg prompt throughput" in line)
    missing = size - sum(len(line) + 1 for line in lines)
    served: list[str] = []
    while missing > 0:
        number = len(served)
        line = (
            stats if number % 4 == 3 else access.replace(client, f"10.42.{number % 7}.{number % 250}:{33000 + number}")
        )
        served.append(line)
        missing -= len(line) + 1
    return "\n".join([*lines[:ready], *served, *lines[ready:]]) + "\n"


def install(folder: Path) -> Path:
    """The interpreter of a new environment in which the wheel of this tree is installed."""
    python = folder / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ROOT], check=True)
    return python


def cpu_seconds(command: Sequence[str | Path]) -> float:
    """User and system time of one run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT.anchor, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 1}:
        sys.exit(f"exit code {process.returncode}: {' '.join(map(str, command))}")
    return usage.ru_utime + usage.ru_stime


def measure(commands: dict[str, list[str | Path]], rounds: int) -> dict[str, float]:
    """The median of each command, after one round that only warms the caches."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            seconds = cpu_seconds(command)
            if number:
                times[name].append(seconds)
    return {name: median(values) for name, values in times.items()}


def main() -> None:
    """Measure, print, compare with the bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--python", type=Path, help="an interpreter beside which qvl-doctor is installed, instead of a new environment"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--kilobytes", type=int, default=200, help="size of the log")
    parser.add_argument(
        "--max-json", type=float, default=9, help="bound for the log to JSON, times `python -c pass` (default 9)"
    )
    parser.add_argument("--max-version", type=float, help="bound for --version (default: none)")
    parser.add_argument("--max-console", type=float, help="bound for the log to the console (default: none)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qvl-doctor-startup-") as name:
        folder = Path(name)
        python = options.python.absolute() if options.python else install(folder)
        doctor = python.parent / "qvl-doctor"
        log = folder / "pod.log"
        log.write_text(realistic_log(options.kilobytes * 1000), encoding="utf-8")
        commands: dict[str, list[str | Path]] = {
            "python -c pass": [python, "-c", "pass"],
            "--version": [doctor, "--version"],
            "logs --format json": [doctor, "logs", "--format", "json", log],
            "logs --format console": [doctor, "logs", "--format", "console", log],
        }
        times = measure(commands, options.rounds)
    base = times["python -c pass"]
    bounds = {
        "--version": options.max_version,
        "logs --format json": options.max_json,
        "logs --format console": options.max_console,
    }
    print(
        f"{'':24}{'CPU ms':>8}{'times pass':>12}{'bound':>8}   (medians of {options.rounds}, {options.kilobytes} KB log)"
    )
    for name, seconds in times.items():
        bound = bounds.get(name)
        print(f"{name:24}{seconds * 1000:8.1f}{seconds / base:12.2f}{'' if bound is None else f'{bound:g}':>8}")
    slow = [name for name, bound in bounds.items() if bound is not None and times[name] > bound * base]
    if slow:
        sys.exit(f"above its bound: {', '.join(slow)}")


if __name__ == "__main__":
    main()
