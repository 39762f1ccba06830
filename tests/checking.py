"""`qvl-doctor check` as tests run it, and the machines that they show it.

Where cards matter it runs in a process of its own, because NVML is loaded once for a whole process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from program import DOCTOR, RULES

from qvl_doctor.diagnose.examining import examine
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.launch.reading import read
from qvl_doctor.machine.export import Environment, loads
from qvl_doctor.machine.gather import Asked, gather
from qvl_doctor.model import Fact, Record
from qvl_doctor.report.as_json import as_dict
from qvl_doctor.report.checklist import Looked, checklist

SERVE = (
    "--",
    "vllm",
    "serve",
    "Qwen/Qwen2.5-VL-7B-Instruct",
    "--max-model-len",
    "8192",
    "--limit-mm-per-prompt",
    '{"video": 0}',
)
#: Variables of whoever runs the tests that would change what is seen.
_OURS = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "VLLM_ENABLE_CUDA_COMPATIBILITY")


def doctor(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One run of `check`."""
    ours = {**_plain_environment(), "NO_COLOR": "1", "LANG": "C.UTF-8", **(env or {})}
    return subprocess.run([*DOCTOR, "check", *arguments], capture_output=True, text=True, env=ours, check=False)


def _plain_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_proxy", "_PROXY")) and name not in _OURS
    }


def report(*arguments: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What it says, as JSON."""
    done = doctor("--format", "json", *arguments, env=env)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


_PROBES = """
import sys
from qvl_doctor.launch.reading import read
from qvl_doctor.machine.export import Environment, dumps
from qvl_doctor.machine.gather import Asked, gather
only, release, *command = sys.argv[1:]
asked = Asked(read(command)[0] if command else None, release=release, only=frozenset(only.split(",")))
sys.stdout.write(dumps(Environment(gather(asked))))
"""


def probed(only: str, *command: str, vllm: str = "", env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The same without the advice, and faster: the probes run in a process of their own, what they saw is judged here."""
    words = [sys.executable, "-c", _PROBES, only, vllm, *command]
    done = subprocess.run(
        words, capture_output=True, text=True, env={**_plain_environment(), **(env or {})}, check=False
    )
    assert done.returncode == 0, done.stderr
    known = {"vllm": Fact(vllm, "option")} if vllm else {}
    seen = loads(done.stdout).seen()
    assert unclaimed(seen.observations) == []
    diagnosis = examine("here", seen, RULES, known)
    looked = frozenset(only.split(","))
    return as_dict(diagnosis._replace(checks=checklist(diagnosis, Looked(looked, looked, bool(command)))))


def unclaimed(observations: Iterable[Record]) -> list[str]:
    """Sentences that no rule knows: whoever says one would be heard by nobody."""
    said = list(observations)
    known = {id(hit.record) for hit in Matcher(RULES).feed(said)}
    return [each.message for each in said if id(each) not in known]


def rules(found: Mapping[str, Any]) -> list[str]:
    """The rules that spoke, the worst first."""
    return [finding["rule"] for finding in found["findings"]]


def evidence(found: Mapping[str, Any], rule: str) -> str:
    """What proves a finding, its title in front."""
    finding = next(each for each in found["findings"] if each["rule"] == rule)
    return " | ".join([finding["title"]["en"], *(line["text"] for line in finding["evidence"])])


# ---- In this process


def said(records: Iterable[Record]) -> list[str]:
    return [record.message for record in records]


def tree(root: Path, **files: str) -> str:
    """A machine's /proc and /sys: names with `__` for `/`, as keyword arguments."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(root)


def started(
    command: str, *, env: Mapping[str, str] | None = None, release: str = "0.11.0", only: str = "host,command"
) -> list[str]:
    """What is observed of a command's start on this machine with an environment of its own."""
    asked = Asked(
        read(command, release)[0], "", release, "", frozenset(only.split(",")), {"HOME": "/tmp", **(env or {})}
    )
    return said(Environment(gather(asked)).seen().observations)
