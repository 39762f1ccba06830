"""A model's directory or its copy in the Hub's cache: whether this vLLM serves it and it is whole."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from qvl_doctor import knowledge
from qvl_doctor.files import listed, read_json, read_object, read_text
from qvl_doctor.machine import disks, text_files, weight_files
from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.observations import key_of, observe
from qvl_doctor.versions import satisfies

#: Classes that generate. From these vLLM derives those that classify or embed.
_HEADS = ("ForCausalLM", "ForConditionalGeneration")
_MOST_FILES = 5000
_MOST_INNER = 50
#: A name on the Hub, as its library checks it: one or two parts of letters, digits, `-`, `_` and `.`.
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[\w.-]{1,96})?")


class Place(NamedTuple):
    """Where a model is: its directory ("" if not here), whether it is a Hub snapshot, and unfinished downloads."""

    folder: str
    snapshot: bool = False
    unfinished: int = 0


def place(name: str, env: Mapping[str, str], revision: str = "", cache: str = "") -> Place:
    """The directory of a model: itself, or its snapshot in the Hub's cache (`cache` is another place for that)."""
    if os.path.isdir(name):
        return Place(name)
    if not _REPOSITORY.fullmatch(name):
        return Place("")
    store = os.path.join(cache or disks.hub_cache(env), "models--" + name.replace("/", "--"))
    unfinished = sum(each.endswith(".incomplete") for each in listed(os.path.join(store, "blobs"), _MOST_FILES))
    revision = revision or "main"
    commit = (
        read_text(os.path.join(store, "refs", revision), 200).strip()
        if re.fullmatch(r"[\w.-]{1,100}", revision)
        else ""
    )
    for each in (commit, revision):
        snapshot = os.path.join(store, "snapshots", each)
        if re.fullmatch(r"[\w-]{4,64}", each) and os.path.isdir(snapshot):
            return Place(snapshot, snapshot=True, unfinished=unfinished)
    return Place("", unfinished=unfinished)


def is_repository(name: str) -> bool:
    """Whether a name can be one on the Hub, as its library checks it."""
    return (
        bool(_REPOSITORY.fullmatch(name)) and ".." not in name and "--" not in name and not name.endswith((".git", "/"))
    )


class _Asked(NamedTuple):
    """For whom a directory is inspected: releases, the command's arguments, and whether missing files are fetched."""

    vllm: str
    transformers: str
    arguments: Mapping[str, Any]
    downloads: bool


def inspect_model_folder(
    folder: str,
    vllm: str = "",
    transformers: str = "",
    arguments: Mapping[str, Any] | None = None,
    *,
    downloads: bool = False,
) -> Seen:
    """What is in the directory and what is wrong with it, in vLLM's words if it has any.

    `arguments` are those of the command. `downloads`: missing files are downloaded at the start, so they are not
    reported.
    """
    if not os.path.isdir(folder):
        return Seen({"model_folder": Fact("missing", "probe")})
    names = listed(folder, _MOST_FILES)
    if not names and not os.access(folder, os.R_OK | os.X_OK):
        return Seen({"model_folder": Fact("not-permitted", "probe")}, (_not_permitted(folder),))
    found = read_json(os.path.join(folder, "config.json"))
    if isinstance(found.value, dict):
        return _with_config(folder, names, found.value, _Asked(vllm, transformers, arguments or {}, downloads))
    state, said = _without_config(folder, names, found.problem)
    elsewhere = downloads or bool((arguments or {}).get("hf_config_path"))
    kept = said if said and not (elsewhere and found.problem == "missing") else None
    pointers = tuple(weight_files.pointers(folder, names))
    return Seen({"model_folder": Fact(state, "probe")}, pointers or ((kept,) if kept else ()))


def _not_permitted(path: str) -> Record:
    return observe("model_folder_not_readable", path=path[:300])


def _without_config(folder: str, names: Sequence[str], problem: str) -> tuple[str, Record | None]:
    """What a directory without a readable config.json is, and what to report about it."""
    path = os.path.join(folder, "config.json")
    if problem == "unreadable":
        return "not-permitted", _not_permitted(path)
    if problem != "missing":
        return "broken-config", observe("config_no_json", path=path[:290])
    if "adapter_config.json" in names:
        base = str(read_object(os.path.join(folder, "adapter_config.json")).get("base_model_name_or_path") or "")
        named = base if re.fullmatch(r"[\w./-]{1,150}", base) else None
        return "adapter", observe("adapter_as_model", folder=folder[:200], base=named)
    if "params.json" in names or any(name.endswith(".gguf") for name in names):
        return "other-format", None  # Mistral's own format, or files that are named one by one
    inner = next(_inner(folder, names), "")
    if inner:
        return "too-high", observe("model_folder_too_high", folder=folder[:200], inner=inner[:200])
    return "no-config", observe("config_missing", folder=folder[:300])


def _inner(folder: str, names: Sequence[str]) -> Iterator[str]:
    """Subdirectories that hold a model: one level down, or the snapshots of a Hub cache."""
    candidates = [name for name in names[:_MOST_INNER] if os.path.isdir(os.path.join(folder, name))]
    if "snapshots" in candidates:
        candidates += [
            os.path.join("snapshots", name) for name in listed(os.path.join(folder, "snapshots"), _MOST_INNER)
        ]
    for name in candidates:
        if os.path.isfile(os.path.join(folder, name, "config.json")):
            yield name


def _with_config(folder: str, names: Sequence[str], config: Mapping[str, Any], asked: _Asked) -> Seen:
    architectures = config.get("architectures")
    architecture = str(architectures[0])[:120] if isinstance(architectures, list) and architectures else ""
    model_type = str(config.get("model_type") or "")[:80]
    weights = weight_files.inspect_weights(folder, names)
    facts: dict[str, object] = {"model_folder": "ok", **text_files.facts_of(folder, names, asked.arguments)}
    facts |= {"weight_files": weights.files, "weight_files_gib": round(weights.gib, 2)} if weights.files else {}
    facts |= {name: value for name, value in (("architecture", architecture), ("model_type", model_type)) if value}
    facts["model_complete"] = "yes" if weights.complete else "no"
    seen = (
        *_support(architecture, model_type, asked.vllm, asked.transformers),
        *_in_no_release(config, architecture, asked.vllm),
        *_untyped(config, folder, asked.arguments),
        *_remote_code(config, model_type, folder, asked.arguments),
        *weight_files.pointers(folder, names),
        *_files(folder, names, config, asked, weights),
    )
    return Seen({name: Fact(value, "probe") for name, value in facts.items()}, seen)


def _files(
    folder: str, names: Sequence[str], config: Mapping[str, Any], asked: _Asked, weights: weight_files.Weights
) -> Iterator[Record]:
    wrong = weights.observations if _usual_format(asked.arguments) else ()
    if asked.downloads:
        # Existing files are not downloaded again, so a broken file stays broken.
        yield from (each for each in wrong if key_of(each) == "weight_file_broken")
        return
    yield from wrong
    yield from text_files.observations(folder, names, config, asked.arguments, asked.transformers)
    if not weights.files and not wrong and _usual_format(asked.arguments):
        yield observe("weights_missing", folder=folder[:300])


def _usual_format(arguments: Mapping[str, Any]) -> bool:
    """Whether the command's loader reads the files that are inspected here."""
    return arguments.get("load_format") in {None, "auto", "hf", "safetensors", "pt"}


def _support(architecture: str, model_type: str, vllm: str, transformers: str) -> Iterator[Record]:
    span = knowledge.architecture(architecture) if architecture else None
    if vllm and span and not knowledge.serves(span, vllm):
        yield observe("architecture_unknown", architecture=architecture)
    known = knowledge.model_type(model_type) if model_type else None
    first = getattr(known, "transformers", "") if known else ""
    if transformers and first and satisfies(transformers, f"<{first}"):
        yield observe("model_type_unknown", model_type=model_type)


def _in_no_release(config: Mapping[str, Any], architecture: str, vllm: str) -> Iterator[Record]:
    """A class that generates, brings no code of its own, and is in none of the known registries."""
    newest = knowledge.newest_vllm()
    if not vllm or config.get("auto_map") or not architecture.endswith(_HEADS) or knowledge.architecture(architecture):
        return
    if satisfies(vllm, f"<={newest}"):
        yield observe("architecture_in_no_release", architecture=architecture, newest=newest)


def _untyped(config: Mapping[str, Any], folder: str, arguments: Mapping[str, Any]) -> Iterator[Record]:
    """A config.json without its model type, in Transformers' words.

    Up to 4.57 Transformers also tries the words of the path.
    """
    if (
        config.get("model_type")
        or config.get("auto_map")
        or arguments.get("config_format")
        or arguments.get("hf_config_path")
    ):
        return
    if not any(name in folder for name in knowledge.table("model_types")["model_types"]):
        yield observe("model_type_missing", folder=folder.replace(" ", "_")[:290])


def _remote_code(
    config: Mapping[str, Any], model_type: str, folder: str, arguments: Mapping[str, Any]
) -> Iterator[Record]:
    """A configuration class of the model's own, of a type that neither Transformers nor vLLM reads in any release."""
    code = config.get("auto_map")
    if not isinstance(code, dict) or not code.get("AutoConfig") or arguments.get("trust_remote_code"):
        return
    if model_type and knowledge.model_type(model_type) is None:
        yield observe("model_with_code", folder=folder[:300])
