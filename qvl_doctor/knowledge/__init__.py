"""Dated facts about the releases of vLLM and Transformers: what each one serves, asks for and takes.

The tables are JSON files next to this module, each with its source and its date. `tools/build_knowledge.py` writes
them,
and `tools/mine_flags.py` the flags (`flag_table` reads what a flag takes), `tools/mine_variables.py` environment
variables and the GPUs that quantizations need, but not `traps.json` and `images.json`: those hold what maintainers
said and no table shows. A table is read when it is first asked. `models` answers for a model, whatever a log shows
of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from qvl_doctor.versions import release, satisfies

#: The endings of the classes that generate text; a checkpoint with the bare backbone's name most likely means the
#: first
#: that exists.
_HEADS = ("ForConditionalGeneration", "ForCausalLM")
_BACKBONE = "Model"
#: How alike two names of variables must be (difflib's ratio), and how long the longest is that is compared.
_NEAR, _LONGEST_NAME = 0.87, 80


class Span(NamedTuple):
    """The releases that have something.

    `first` ("0.6.0" means that or earlier) to `last`; "" as `last` means that the newest has it.
    """

    first: str
    last: str = ""


class ModelType(NamedTuple):
    """What a `model_type` of config.json needs. What is not known, or not served, is ""."""

    #: The first Transformers release that knows the type.
    transformers: str = ""
    #: The architecture under which vLLM serves it.
    architecture: str = ""
    #: The first vLLM release that serves it. What reads its config may come with the checkpoint, or with a newer
    #: Transformers.
    vllm: str = ""
    #: The first vLLM release that also runs with a Transformers release that knows it, where that is a later one.
    together: str = ""
    #: The last vLLM release that serves it, if newer ones do not.
    until: str = ""
    #: The release whose official image surely carries both.
    image: str = ""
    #: Whether only the checkpoint itself brings the config by now (--trust-remote-code).
    shipped: bool = False


class Pin(NamedTuple):
    """What a vLLM release asks for.

    `transformers` and `python` are ranges, `torch` is a version, `cuda` that of its main wheel.
    """

    vllm: str
    transformers: str
    torch: str
    python: str
    cuda: str
    #: The first Transformers release that came well after this one, where its requirement has no such bound.
    below: str = ""


class Renamed(NamedTuple):
    """A flag that took the place of another.

    `value` is what a bare old flag turns into, "" if the old flag's value stays.
    """

    flag: str
    value: str = ""


class Ceiling(NamedTuple):
    """The first vLLM release that a machine cannot run.

    `cuda` is what it is built for, `driver` the oldest driver for that.

    Both are "" where the GPU is too old.
    """

    vllm: str
    cuda: str
    driver: str


def architecture(name: str) -> Span | None:
    """The vLLM releases whose registry has an architecture. None if none has."""
    found = table("architectures")["architectures"].get(name)
    return Span(*found) if found else None


def serves(span: Span, release: str) -> bool:
    """Whether a release is in a span; a release that cannot be read counts as in it."""
    return satisfies(release, f"<{span.first}") is not True and not (
        span.last and satisfies(release, f">{span.last}") is True
    )


def likely_architecture(name: str) -> str:
    """The architecture that a checkpoint with the class of a bare backbone means.

    Qwen2_5_VLModel -> Qwen2_5_VLForConditionalGeneration.
    """
    known = table("architectures")["architectures"]
    stem = name.removesuffix(_BACKBONE)
    if stem == name or not stem:
        return ""
    return next((stem + head for head in _HEADS if stem + head in known), "")


def is_shipped(name: str) -> bool:
    """Whether checkpoints of an architecture bring their config, so that Transformers need not know it."""
    return bool(table("models")["architectures"].get(name, {}).get("remote"))


def converted(name: str) -> str:
    """A checkpoint that was converted for vLLM, where no release serves the architecture of the original.

    "" if none is known.
    """
    return str(table("traps")["converted"].get(name, {}).get("checkpoint", ""))


def model_type(name: str) -> ModelType | None:
    """What a model type needs. None if neither Transformers nor vLLM is known to read it."""
    found = table("model_types")["model_types"].get(name)
    return ModelType(**found) if found else None


def model_type_of(architecture_name: str) -> str:
    """The model type that is served under an architecture, "" if there is none or several."""
    return _types_by_architecture().get(architecture_name, "")


def newest_vllm() -> str:
    """The newest release that the tables know."""
    return list(_releases())[-1]


def pin(vllm: str) -> Pin | None:
    """What a vLLM release asks for.

    A post release or a build from source counts as its release. None if the tables do not have it.
    """
    numbers = release(vllm)
    known = [name for name, each in _releases().items() if each == numbers]
    if not known:
        return None
    name = vllm if vllm in known else known[-1]
    return Pin(name, **table("pins")["releases"][name])


def ceiling(driver_cuda: str = "", driver: str = "", capability: str = "") -> Ceiling | None:
    """The first vLLM release that a machine cannot run. None if nothing that is known of it is in the way.

    `driver_cuda` is the newest CUDA that its driver supports ("12.2"), `driver` the driver's version ("535.104.05"),
    `capability` the GPU's ("7.0"). Within one major version of CUDA an older driver will do (NVIDIA's minor version
    compatibility).
    """
    limits = [
        Ceiling(card["vllm"], "", "")
        for card in table("cuda")["cards"]
        if capability and satisfies(capability, f"<{card['below']}")
    ]
    for name in _releases():
        cuda = str(table("pins")["releases"][name]["cuda"])
        needed = str(table("cuda")["drivers"].get(cuda.partition(".")[0], ""))
        if _older(driver_cuda, cuda) or _older(driver, needed):
            limits.append(Ceiling(name, cuda, needed))
            break
    return min(limits, key=lambda limit: release(limit.vllm) or (), default=None)


def _older(have: str, needed: str) -> bool:
    """Whether the major version of what is there is below that of what is needed; not, if either is not known."""
    mine, wanted = release(have), release(needed)
    return bool(mine and wanted and mine[:1] < wanted[:1])


def transformers_range(vllm: str, *limits: str) -> str:
    """The Transformers releases that a vLLM release runs with, "" if unknown.

    That is its own requirement, and limits that it did not know. `limits` are more of these, like "<4.54".
    """
    found = pin(vllm)
    if not found:
        return ""
    parts = found.transformers.split(",")
    upper = [each["transformers"] for each in table("traps")["ceilings"] if satisfies(found.vllm, each["vllm"])]
    upper += [*limits, *(part for part in parts if part.startswith("<"))]
    tightest = min(upper, key=lambda limit: release(limit.lstrip("<")) or (), default="")
    return ",".join([*(part for part in parts if not part.startswith("<")), *([tightest] if tightest else [])])


def transformers_advice(vllm: str, *limits: str, at_least: str = "") -> str:
    """What to install with a vLLM release: `transformers_range`, and nothing that came well after the release.

    Those it may run with as well; no one tried. `at_least` is what the model needs, which may be newer.
    """
    found = pin(vllm)
    then = f"<{found.below}" if found and found.below and satisfies(at_least, f">={found.below}") is not True else ""
    return transformers_range(vllm, *limits, *([then] if then else []))


def vllm_for_transformers(transformers: str, at_least: str = "") -> str:
    """The first vLLM release, from `at_least` on, that is no older than a Transformers version and runs with it.

    "" if none is known to.
    """
    floor = release(at_least) or ()
    for name, numbers in _releases().items():
        if numbers >= floor and satisfies(transformers, transformers_advice(name)):
            return name
    return ""


def images(model_type_name: str) -> tuple[str, ...]:
    """Images other than vLLM's own that are known to serve a model type."""
    return tuple(each["image"] for each in table("images")["model_types"].get(model_type_name, ()))


def flag(name: str) -> Span | None:
    """The vLLM releases whose command line has a flag, as `--max-model-len`. None if none has."""
    found = table("flags")["flags"].get(name.replace("_", "-"))
    return Span(*found["in"]) if found else None


def renamed_flag(name: str) -> Renamed | None:
    """What took the place of a flag that newer releases no longer have. None if nothing did."""
    found = table("traps")["renamed_flags"].get(name.replace("_", "-"))
    return Renamed(found["now"], found.get("value", "")) if found else None


def flag_of_others(name: str) -> Renamed | None:
    """The flag of vLLM for what another server or library calls `name`; `value` is a form to put the {value} into."""
    found = table("traps")["flags_of_others"].get(name.replace("_", "-"))
    return Renamed(found["now"], found.get("value", "")) if found else None


def flags() -> tuple[str, ...]:
    """Every flag that any release has had."""
    return tuple(table("flags")["flags"])


def variable(name: str) -> Span | None:
    """The vLLM releases that read an environment variable of vLLM's. None if none is known to."""
    found = table("variables")["variables"].get(name)
    return Span(*found) if found else None


def reads_variable(name: str, vllm: str) -> bool:
    """Whether a release may read a variable: not only if it is known that it does not."""
    span = variable(name)
    return span is not None and _has(vllm, span)


def variable_near(name: str, vllm: str) -> str:
    """The variable of a release whose name is nearly this one.

    Most likely it was meant. "" if there is none, or if it is one itself.
    """
    from difflib import get_close_matches

    known = [each for each, span in table("variables")["variables"].items() if _has(vllm, Span(*span))]
    near = get_close_matches(name, known, 1, _NEAR) if len(name) <= _LONGEST_NAME else []
    return near[0] if near and near[0] != name else ""


def quantization_minimum(method: str, vllm: str) -> int | None:
    """The least compute capability (75 is 7.5) that a release asks for before it runs a quantization.

    None if that is not known.
    """
    numbers, found = release(vllm), None
    for first, least in table("quantization")["methods"].get(method, ()) if numbers else ():
        if (release(first) or ()) <= (numbers or ()):
            found = least
    return found


def quantization_known(method: str) -> bool:
    """Whether any release has a quantization of this name with a least compute capability."""
    return any(name.split(" ")[0] == method for name in table("quantization")["methods"])


def _has(vllm: str, span: Span) -> bool:
    """Whether a release lies in a span; the first release that was read stands for all before it."""
    began = span.first == next(iter(_releases())) or satisfies(vllm, f">={span.first}") is not False
    return began and not (span.last and satisfies(vllm, f">{span.last}"))


@cache
def table(name: str) -> Mapping[str, Any]:
    """A whole table, by the name of its file."""
    # Without pathlib: importing it costs startup time.
    with open(os.path.join(os.path.dirname(__file__), f"{name}.json"), encoding="utf-8") as file:
        content: Mapping[str, Any] = json.load(file)
    return content


@cache
def _releases() -> Mapping[str, tuple[int, ...]]:
    """Every vLLM release that the tables know with its numbers, the oldest first."""
    return {name: release(name) or () for name in table("pins")["releases"]}


@cache
def _types_by_architecture() -> Mapping[str, str]:
    """Architecture -> model type, where the class belongs to one type alone."""
    owners: dict[str, str] = {}
    for name, entry in table("model_types")["model_types"].items():
        if "architecture" in entry:
            owners[entry["architecture"]] = "" if entry["architecture"] in owners else name
    return owners
