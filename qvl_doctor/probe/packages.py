"""Packages of an interpreter, and who asks for which version of whom. The interpreter may be another one than ours, down to Python 3.8."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from qvl_doctor.logs.packages import KNOWN
from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.observations import MACHINE, observe
from qvl_doctor.redact import redact

_TIME_LIMIT_S = 30
_MOST = 5000
#: Those whose requirements are looked at: what vLLM's start depends on.
_WATCHED = frozenset(
    ("vllm", "torch", "torchvision", "torchaudio", "xformers", "transformers", "tokenizers", "flash_attn", "flashinfer_python")
)

#: Runs in the interpreter that is looked at, so it is written for Python 3.8. torch's version.py says for which CUDA it was built.
_SCRIPT = r"""
import json, os, platform, re, sys
from importlib import metadata
found = []
for each in metadata.distributions():
    try:
        name = each.metadata["Name"]
        if name:
            found.append([name, each.version, list(each.requires or [])])
    except Exception as error:
        found.append([str(getattr(each, "_path", "")), "", []])
cuda = ""
for folder in sys.path:
    path = os.path.join(folder, "torch", "version.py")
    if os.path.isfile(path):
        with open(path) as file:
            text = file.read(4096)
        match = re.search(r"^cuda[^=\n]*=\s*(\S+)", text, re.M)
        hip = re.search(r"^hip[^=\n]*=\s*'(\S+)'", text, re.M)
        cuda = "rocm" if hip else match.group(1).strip("'\"") if match else ""
        break
json.dump({"python": platform.python_version(), "torch_cuda": cuda, "packages": found}, sys.stdout)
"""


def look(python: str = "") -> Seen:
    """The packages of an interpreter ("" is ours) as facts, and what does not go together as observations.

    Never raises: an interpreter that does not answer is the fact `python_answers` = no.
    """
    words = [python or sys.executable, "-c", _SCRIPT]
    try:
        done = subprocess.run(words, capture_output=True, timeout=_TIME_LIMIT_S, check=False)  # noqa: S603  # the interpreter that the user names
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return Seen({"python_answers": Fact("no", "probe")})
    return read(found)


def read(found: Mapping[str, Any]) -> Seen:
    """Facts and observations of what the script printed."""
    rows = [(str(name), str(version), list(requires)) for name, version, requires in found.get("packages", ())][:_MOST]
    versions: dict[str, list[str]] = {}
    for name, version, _ in rows:
        versions.setdefault(_plain(name), []).append(version)
    facts = {name: Fact(redact(held[0]), "probe") for name, held in versions.items() if name in KNOWN and held[0]}
    facts["python"] = Fact(str(found.get("python", ""))[:40], "probe")
    facts["vllm_installed"] = Fact("yes" if "vllm" in versions else "no", "probe")
    if found.get("torch_cuda"):
        facts["torch_cuda"] = Fact(str(found["torch_cuda"])[:20], "probe")
    return Seen(facts, (*_twice(versions), *_shadowed(versions), *_violations(rows, versions)))


def _shadowed(versions: Mapping[str, list[str]]) -> Iterator[Record]:
    """The old package pynvml has a module of the name of NVIDIA's own and wins over it; vLLM's own words for that."""
    major = (versions.get("pynvml") or ["12"])[0].split(".")[0]
    if "nvidia_ml_py" in versions and major.isdecimal() and int(major) < 12:
        said = "You are using a deprecated `pynvml` package. Please uninstall `pynvml` or upgrade to at least version 12.0."
        yield observe(MACHINE, said)


def _twice(versions: Mapping[str, list[str]]) -> Iterator[Record]:
    for name, held in sorted(versions.items()):
        if len(set(held)) > 1 and name in KNOWN:
            yield observe(MACHINE, f"package {name} is installed twice, as {' and '.join(sorted(set(held)))}")


def _violations(rows: Iterable[tuple[str, str, list[str]]], versions: Mapping[str, list[str]]) -> Iterator[Record]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion

    for name, version, requires in rows:
        if _plain(name) not in _WATCHED:
            continue
        for text in requires:
            try:
                asked = Requirement(text)
                if asked.marker and not asked.marker.evaluate({"extra": ""}):
                    continue
                held = versions.get(_plain(asked.name))
                if held is None:
                    yield observe(MACHINE, f"package {name} {version} requires {asked.name}{asked.specifier}, which is not installed")
                elif not asked.specifier.contains(held[0], prereleases=True):
                    yield observe(MACHINE, f"package {name} {version} requires {asked.name}{asked.specifier}, but {held[0]} is installed")
            except (InvalidRequirement, InvalidVersion):
                continue


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
