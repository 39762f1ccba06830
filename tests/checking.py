"""`qvl-doctor check` as tests run it, and the machines that they show it."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from program import RULES, run_text, surroundings

from qvl_doctor.diagnose.examining import examine
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.launch.reading import read
from qvl_doctor.machine.export import Environment, dumps, loads
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


def doctor(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One run of `check`."""
    with _cards(env):
        return run_text("check", *arguments, env={"NO_COLOR": "1", "LANG": "C.UTF-8", **(env or {})})


@contextmanager
def _cards(env: Mapping[str, str] | None) -> Iterator[None]:
    """The real binding on the library in LD_LIBRARY_PATH, which the loader reads only when a process starts."""
    import pynvml

    folder = (env or {}).get("LD_LIBRARY_PATH", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pynvml, "CDLL", lambda name: ctypes.CDLL(os.path.join(folder, name)))
        patch.setattr(pynvml, "nvmlLib", None)
        patch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
        yield


def report(*arguments: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What it says, as JSON."""
    done = doctor("--format", "json", *arguments, env=env)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert off_the_checklist(found) == []
    return found


def probed(only: str, *command: str, vllm: str = "", env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The same without the advice, and faster: what the probes see is judged here."""
    looks = frozenset(only.split(","))
    with _cards(env), surroundings(env):
        asked = Asked(read(list(command))[0] if command else None, release=vllm, only=looks)
        seen = loads(dumps(Environment(gather(asked)))).seen()
    known = {"vllm": Fact(vllm, "option")} if vllm else {}
    assert unclaimed(seen.observations) == []
    diagnosis = examine("here", seen, RULES, known)
    found = as_dict(diagnosis._replace(checks=checklist(diagnosis, Looked(looks, looks, bool(command)))))
    assert off_the_checklist(found) == []
    return found


def unclaimed(observations: Iterable[Record]) -> list[str]:
    """Sentences that no rule knows: whoever says one would be heard by nobody."""
    said = list(observations)
    known = {id(hit.record) for hit in Matcher(RULES).feed(said)}
    return [each.message for each in said if id(each) not in known]


def off_the_checklist(found: Mapping[str, Any]) -> list[str]:
    """Rules that spoke while every line of the checklist is as if they had not.

    What a failed import printed may have any rule.
    """
    if found["facts"].get("imports") == "failed":
        return []
    shown = {rule for check in found["checks"] for rule in check["rules"]}
    return [rule for rule in rules(found) if rule not in shown]


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
