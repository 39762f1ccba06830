"""Packages of an interpreter, and which of them requires what.

The interpreter may be another one than ours, down to Python 3.8.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from qvl_doctor import knowledge
from qvl_doctor.facts.table import PACKAGES
from qvl_doctor.model import Fact, Record, Seen, fact_text
from qvl_doctor.observations import observe
from qvl_doctor.redaction.line import redact
from qvl_doctor.versions import satisfies

_TIME_LIMIT_S = 30
_MOST = 5000
_MOST_OTHERS = 4
_CUDAS = (11, 12, 13)
#: Packages whose requirements are checked: those on which vLLM's start depends.
_WATCHED = frozenset(
    (
        *(
            "vllm",
            "torch",
            "torchvision",
            "torchaudio",
            "xformers",
            "transformers",
            "tokenizers",
            "flash_attn",
            "flashinfer_python",
        ),
        *("compressed_tensors", "xgrammar", "torchcodec", "huggingface_hub", "ray"),
    )
)

#: Packages whose version.py says for which GPUs they were built.
_BUILT = ("torch", "torchvision")

#: Runs in the inspected interpreter, so it is written for Python 3.8. The current directory is removed from the path:
#: packages are not there.
_SCRIPT = r"""
import sys
sys.path[:] = [folder for folder in sys.path if folder]
import json, os, platform
from importlib import metadata
found = []
for each in metadata.distributions():
    try:
        name = each.metadata["Name"]
        if name:
            found.append([name, each.version, list(each.requires or [])])
    except Exception as error:
        found.append([str(getattr(each, "_path", "")), "", []])
built = {}
for name in sys.argv[1:]:
    for folder in sys.path:
        path = os.path.join(folder, name, "version.py")
        if os.path.isfile(path):
            with open(path, errors="replace") as file:
                built[name] = file.read(4096)
            break
json.dump({"python": platform.python_version(), "built": built, "packages": found}, sys.stdout)
"""


def inspect_packages(python: str = "") -> Seen:
    """The packages of an interpreter ("" is ours) as facts, and what does not fit together as observations.

    Never raises: an interpreter that does not answer becomes the fact `python_answers` = no.
    """
    words = [python or sys.executable, "-c", _SCRIPT, *_BUILT]
    try:
        done = subprocess.run(  # noqa: S603  # the interpreter that the user names
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIME_LIMIT_S, check=False
        )
        return read(
            json.loads(done.stdout.rpartition(b"\n")[2])
        )  # whatever the interpreter's startup files print comes before it
    except (OSError, ValueError, TypeError, AttributeError, subprocess.TimeoutExpired):
        return Seen({"python_answers": Fact("no", "probe")})


def read(found: Mapping[str, Any]) -> Seen:
    """Facts and observations of what the script printed."""
    rows = [(str(name), str(version), list(requires)) for name, version, requires in found.get("packages", ())][:_MOST]
    versions: dict[str, list[str]] = {}
    for name, version, _ in rows:
        versions.setdefault(_plain(name), []).append(version)
    facts = {name: Fact(redact(held[0]), "probe") for name, held in versions.items() if name in PACKAGES and held[0]}
    facts["python"] = Fact(str(found.get("python", ""))[:40], "probe")
    facts["vllm_installed"] = Fact("yes" if "vllm" in versions else "no", "probe")
    for name, text in found.get("built", {}).items():
        if name in _BUILT and (cuda := _built_for(str(text))):
            facts[f"{name}_cuda"] = Fact(cuda, "probe")
    files = (_twice(versions), _shadowed(versions), _overwritten(versions))
    releases = (_violations(rows, versions, str(found.get("python", ""))), _transformers(facts))
    return Seen(facts, tuple(chain.from_iterable(files + releases)))


def _built_for(text: str) -> str:
    """What version.py of torch or torchvision says of its build: a CUDA release, None, rocm; "" if it says nothing.

    torch names the release. torchvision asks its compiled part, so only the version tells: 0.28.0+cu130.
    """
    if re.search(r"^hip[^=\n]*=\s*['\"]", text, re.MULTILINE) or re.search(
        r"^__version__ = '[^']{1,40}\+rocm", text, re.MULTILINE
    ):
        return "rocm"
    named = re.search(r"^cuda(?::[^=\n]*)?\s*=\s*['\"]?(\d{1,2}\.\d{1,2}|None)\b", text, re.MULTILINE)
    if named:
        return named[1]
    tagged = re.search(r"^__version__ = '[^']{1,40}\+(?:cu(\d{2})(\d)|(cpu))'", text, re.MULTILINE)
    return "" if not tagged else "None" if tagged[3] else f"{tagged[1]}.{tagged[2]}"


def builds_apart(facts: Mapping[str, Fact]) -> Iterator[Record]:
    """A torchvision with CUDA next to a torch without, or with another: its compiled part does not load, or refuses.

    A successful import proves more, so this is for those who did not try it.
    """
    torch, vision = fact_text(facts, "torch_cuda"), fact_text(facts, "torchvision_cuda")
    if not vision[:1].isdigit():
        return
    if torch == "None":
        held = {name: fact_text(facts, name) for name in ("torchvision", "torch")}
        yield observe("torchvision_with_cuda_alone", **held, cuda=vision)
    elif torch[:1].isdigit() and torch.split(".")[0] != vision.split(".")[0]:
        yield observe("torchvision_of_other_cuda", torch=torch, torchvision=vision)


def _transformers(facts: Mapping[str, Fact]) -> Iterator[Record]:
    """A Transformers release that came after this vLLM and does not work with it, although vLLM's metadata allow it."""
    vllm, held = fact_text(facts, "vllm"), fact_text(facts, "transformers")
    wanted = knowledge.transformers_range(vllm) if vllm and held else ""
    ceiling = next((part for part in wanted.split(",") if part.startswith("<")), "")
    own = knowledge.pin(vllm) if ceiling else None
    if own and ceiling not in own.transformers.split(",") and satisfies(held, ceiling) is False:
        yield observe("transformers_unfit", version=vllm, held=held, range=wanted)


def _shadowed(versions: Mapping[str, list[str]]) -> Iterator[Record]:
    """The old package pynvml has a module with the name of NVIDIA's own and hides it; in vLLM's own words."""
    major = (versions.get("pynvml") or ["12"])[0].split(".")[0]
    if "nvidia_ml_py" in versions and major.isdecimal() and int(major) < 12:
        yield observe("pynvml_deprecated")


def _overwritten(versions: Mapping[str, list[str]]) -> Iterator[Record]:
    """Libraries for two releases of CUDA that are installed to the same path."""
    for library in ("nccl", "cudnn"):
        held = [
            f"nvidia-{library}-cu{cuda} {versions[name][0]}"
            for cuda in _CUDAS
            if (name := f"nvidia_{library}_cu{cuda}") in versions
        ]
        if len(held) > 1:
            yield observe("packages_share_files", one=held[0], other=held[1])


def _twice(versions: Mapping[str, list[str]]) -> Iterator[Record]:
    for name, held in sorted(versions.items()):
        if len(set(held)) > 1 and name in PACKAGES:
            yield observe("package_twice", package=name, versions=" and ".join(sorted(set(held))))


def _violations(
    rows: Iterable[tuple[str, str, list[str]]], versions: Mapping[str, list[str]], python: str
) -> Iterator[Record]:
    """Requirements that are not met, and who else requires the same package. `python` is the interpreter's release."""
    wishes = list(_wishes(rows, python))
    for wish in wishes:
        held = versions.get(wish.package)
        if held is None:
            yield observe("requirement_not_installed", package=wish.by, version=wish.version, asked=wish.asked)
        elif not wish.allows(held[0]):
            others = [
                f"{each.by} {each.version} ({each.asked})"
                for each in wishes
                if each.package == wish.package and each[:2] != wish[:2]
            ]
            yield observe(
                "requirement_not_met",
                package=wish.by,
                version=wish.version,
                asked=wish.asked,
                held=held[0],
                others=", ".join(others[:_MOST_OTHERS]) or None,
            )


def _markers(python: str) -> dict[str, str]:
    """What requirements may ask of an interpreter's release such as "3.10.4"; nothing if it is not a release."""
    found = re.match(r"(\d{1,2}\.\d{1,3})\.\d{1,3}", python)
    return {"python_version": found[1], "python_full_version": found[0]} if found else {}


class _Wish(NamedTuple):
    """A requirement that applies here: whose (`vllm`, `0.11.0`), for what package, as written, what satisfies it."""

    by: str
    version: str
    package: str
    asked: str
    allows: Callable[[str], bool]


def _wishes(rows: Iterable[tuple[str, str, list[str]]], python: str) -> Iterator[_Wish]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion

    def allows(wanted: Any, version: str) -> bool:
        try:
            return bool(wanted.contains(version, prereleases=True))
        except InvalidVersion:
            return True  # not a version that can be compared: no reason to call it wrong

    there = {"extra": "", **_markers(python)}  # of the inspected interpreter, which need not be ours
    for name, version, requires in rows:
        if _plain(name) not in _WATCHED:
            continue
        for text in requires:
            try:
                asked = Requirement(text)
                if asked.marker and not asked.marker.evaluate(there):
                    continue
            except InvalidRequirement:
                continue
            yield _Wish(
                name,
                version,
                _plain(asked.name),
                f"{asked.name}{asked.specifier}",
                partial(allows, asked.specifier),
            )


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
