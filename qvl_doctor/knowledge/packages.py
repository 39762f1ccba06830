"""Which releases of other packages fit: what vLLM, Transformers and torch ask for, and pairs that are known to break.

`requirements.json` and `transformers_names.json` are mined; `breaks.json` holds what no metadata say, each pair
with its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from qvl_doctor import knowledge
from qvl_doctor.versions import release, satisfies

#: Packages whose modules have another name than they.
_MODULES = {
    "PIL": "pillow",
    "cutlass": "nvidia-cutlass-dsl",
    "cv2": "opencv-python-headless",
    "cudnn": "nvidia-cudnn-frontend",
    "flashinfer": "flashinfer-python",
    "google.protobuf": "protobuf",
    "humming": "humming-kernels",
    "lmformatenforcer": "lm-format-enforcer",
    "openai_harmony": "openai-harmony",
    "opentelemetry": "opentelemetry-api",
    "opentelemetry.exporter": "opentelemetry-exporter-otlp",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "opentelemetry.semconv_ai": "opentelemetry-semantic-conventions-ai",
    "pkg_resources": "setuptools",
    "quack": "quack-kernels",
    "tvm_ffi": "apache-tvm-ffi",
    "zmq": "pyzmq",
}
#: How much of a text is looked at.
_MOST_TEXT = 24_000
#: How the packages that ask for others are called.
OWNERS = {"vllm": "vLLM", "transformers": "Transformers", "torch": "torch"}


class Asked(NamedTuple):
    """What is asked for: a range of a package, and by whom ("vLLM 0.9.1")."""

    package: str
    range: str
    by: tuple[str, ...]


class Break(NamedTuple):
    """A pair that does not run together. What does not apply is "" or ()."""

    #: How it looks: patterns of what is printed.
    looks: tuple[str, ...]
    #: The package to change, and the releases of it that are well.
    package: str = ""
    good: str = ""
    #: The vLLM releases that break with others, and the first that does not.
    vllm: str = ""
    fixed: str = ""
    #: A package to uninstall: vLLM does without it.
    remove: str = ""
    #: Other packages that are to be upgraded.
    upgrade: tuple[str, ...] = ()


def package_of(module: str) -> str:
    """The package that a module belongs to.

    Google.protobuf.internal -> protobuf, compressed_tensors.config -> compressed-tensors.
    """
    parts = module.split(".")[:4]
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in _MODULES:
            return _MODULES[".".join(parts[:length])]
    return parts[0].replace("_", "-").lower()


def asked(package: str, installed: Mapping[str, str]) -> Asked | None:
    """What the installed releases of vLLM, Transformers and torch ask of a package.

    None if nothing is known to be asked.
    """
    table = knowledge.table("requirements")
    ranges, owners = [], []
    for owner, title in OWNERS.items():
        version = installed.get(owner, "")
        found = _at(table[owner].get(package, ()), version) if _read(owner, version) else ""
        if found:
            ranges.append(found)
            owners.append(f"{title} {version}")
    text = merged(ranges)
    return Asked(package, text, tuple(owners)) if text else None


def merged(ranges: Iterable[str]) -> str:
    """Several ranges as one.

    '>=1.0,<3' and '>=2' is '>=2,<3'. "" where they contradict one another, or say nothing.
    """
    clauses = [clause for text in ranges for clause in text.split(",") if clause]
    lower = [clause for clause in clauses if clause[0] == ">"]
    upper = [clause for clause in clauses if clause[0] == "<"]
    others = list(dict.fromkeys(clause for clause in clauses if clause[0] not in "<>"))
    highest = max(lower, key=_number, default="")
    lowest = min(upper, key=_number, default="")
    exact = [clause[2:] for clause in others if clause.startswith("==") and "*" not in clause]
    if any(satisfies(version, clause) is False for version in exact for clause in clauses):
        return ""
    if highest and lowest and _number(highest) >= _number(lowest):
        return ""
    kept = [each for each in others if not _aside(each, highest, lowest)]
    return f"=={exact[0]}" if exact else ",".join(each for each in (highest, *kept, lowest) if each)


def _aside(clause: str, highest: str, lowest: str) -> bool:
    """Whether what a clause leaves out lies outside of the range anyway."""
    numbers = release(clause.lstrip("!=~").removesuffix(".*")) or ()
    length = len(numbers)
    below = bool(highest) and numbers < _number(highest)[:length]
    above = bool(lowest) and numbers >= _number(lowest)[:length]
    return clause.startswith("!=") and (below or above)


def gone_after(name: str) -> str:
    """The Transformers releases that still have a name that newer ones have not, as "<4.53".

    "" if none is known to have lost it.
    """
    return _gone().get(name, "")


@cache
def breaks() -> tuple[Break, ...]:
    """All pairs that are known to break."""
    return tuple(map(_break, knowledge.table("breaks")["breaks"].values()))


def break_of(said: str, installed: Mapping[str, str]) -> Break | None:
    """The pair that a text tells of, unless what is installed is known to be well."""
    text = said[:_MOST_TEXT]
    return next((each for each in breaks() if _applies(each, installed) and _looks_like(each, text)), None)


def _break(entry: Mapping[str, Any]) -> Break:
    rows: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return Break(**{key: value for key, value in rows.items() if key in Break._fields})


def _looks_like(pair: Break, said: str) -> bool:
    return any(re.search(look, said) for look in pair.looks)


def _applies(pair: Break, installed: Mapping[str, str]) -> bool:
    version, vllm = installed.get(pair.package.replace("-", "_"), ""), installed.get("vllm", "")
    well = pair.good and version and satisfies(version, pair.good) is True
    return not well and not (pair.vllm and vllm and satisfies(vllm, pair.vllm) is False)


def _at(changes: Sequence[Sequence[str]], version: str) -> str:
    return next((text for first, text in reversed(changes) if satisfies(version, f">={first}")), "")


def _read(owner: str, version: str) -> bool:
    """Whether the metadata of a release were read, or those of releases on both sides of it.

    Torch's say nothing of others.
    """
    numbers = release(version)
    known = knowledge.table("requirements")["releases"][owner].split()
    if owner == "torch":
        return bool(numbers) and numbers in map(release, known)
    return (
        bool(numbers) and satisfies(version, f">={known[0]}") is True and satisfies(version, f"<={known[-1]}") is True
    )


@cache
def _gone() -> Mapping[str, str]:
    last = knowledge.table("transformers_names")["last"]
    return {name: _before(minor) for minor, names in last.items() for name in names.split()}


def _before(minor: str) -> str:
    """The range up to a minor release of Transformers; 4.57 is the last one before 5."""
    major, _, number = minor.partition(".")
    return "<5" if minor == "4.57" else f"<{major}.{int(number) + 1}"


def _number(clause: str) -> tuple[int, ...]:
    return release(clause.lstrip("<>=")) or ()
