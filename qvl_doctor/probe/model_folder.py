"""A model's folder or its copy in the hub's cache: is everything there and whole? Headers are read, never the weights themselves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping

from qvl_doctor import knowledge
from qvl_doctor.memory.tensors import CheckpointError, read_header
from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.observations import MACHINE, observe
from qvl_doctor.versions import satisfies

_LONGEST = 8 << 20
_MOST_FILES = 2000
#: What git leaves in place of a large file that was not fetched.
_POINTER = b"version https://git-lfs"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json", "tokenizer_config.json", "vocab.txt")


def find(name: str, env: Mapping[str, str]) -> str:
    """The folder of a model: itself, or its newest snapshot in the hub's cache; "" if there is none."""
    if os.path.isdir(name):
        return name
    if name.count("/") != 1:
        return ""
    home = env.get("HF_HOME") or os.path.join(env.get("XDG_CACHE_HOME") or os.path.join(env.get("HOME", ""), ".cache"), "huggingface")
    store = os.path.join(env.get("HF_HUB_CACHE") or os.path.join(home, "hub"), "models--" + name.replace("/", "--"))
    revision = _read(os.path.join(store, "refs", "main"), 200).decode("ascii", "replace").strip()
    snapshot = os.path.join(store, "snapshots", revision)
    return snapshot if revision and os.path.isdir(snapshot) else ""


def look(folder: str, vllm: str = "", transformers: str = "") -> Seen:
    """What is in the folder, and what is wrong with it, in the words that vLLM would use where it has any."""
    if not os.path.isdir(folder):
        return Seen({"model_folder": Fact("missing", "probe")})
    try:
        config = json.loads(_read(os.path.join(folder, "config.json"), _LONGEST))
    except (ValueError, RecursionError):
        there = os.path.isfile(os.path.join(folder, "config.json"))
        return Seen({"model_folder": Fact("broken-config" if there else "no-config", "probe")})
    if not isinstance(config, dict):
        return Seen({"model_folder": Fact("broken-config", "probe")})
    names = sorted(os.listdir(folder))[:_MOST_FILES]
    architectures = config.get("architectures")
    architecture = str(architectures[0])[:120] if isinstance(architectures, list) and architectures else ""
    facts: dict[str, object] = {"model_folder": "ok", "tokenizer_files": "yes" if set(names) & set(_TOKENIZERS) else "no"}
    if architecture:
        facts["architecture"] = architecture
    model_type = str(config.get("model_type") or "")[:80]
    if model_type:
        facts["model_type"] = model_type
    seen = (*_support(architecture, model_type, vllm, transformers), *_files(folder, names))
    return Seen({name: Fact(value, "probe") for name, value in facts.items()}, tuple(seen))


def _support(architecture: str, model_type: str, vllm: str, transformers: str) -> Iterator[Record]:
    span = knowledge.architecture(architecture) if architecture else None
    if vllm and span and (satisfies(vllm, f"<{span.first}") or (span.last and satisfies(vllm, f">{span.last}"))):
        yield observe(MACHINE, f"Model architectures ['{architecture}'] are not supported for now.")
    known = knowledge.model_type(model_type) if model_type else None
    first = getattr(known, "transformers", "") if known else ""
    if transformers and first and satisfies(transformers, f"<{first}"):
        said = f"The checkpoint you are trying to load has model type `{model_type}` but Transformers does not recognize this architecture."
        yield observe(MACHINE, said)


def _files(folder: str, names: list[str]) -> Iterator[Record]:
    """Shards that the index names and that are not there, and files whose header is broken."""
    index = _read(os.path.join(folder, "model.safetensors.index.json"), 64 << 20)
    if index:
        try:
            wanted = {str(name) for name in json.loads(index)["weight_map"].values()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            yield observe(MACHINE, "model.safetensors.index.json cannot be read: its weight_map is missing or broken")
            wanted = set()
        missing = sorted(wanted - set(names))
        if missing:
            shown = ", ".join(f"'{name}'" for name in missing[:8])
            yield observe(MACHINE, f"Weight files referenced in index but missing: {{{shown}}}")
    for name in names:
        if not name.endswith(".safetensors"):
            continue
        path = os.path.join(folder, name)
        if _read(path, len(_POINTER)) == _POINTER:
            yield observe(MACHINE, f"{name} is a pointer of Git LFS, not the file itself")
            continue
        try:
            with open(path, "rb") as file:
                read_header(file, os.path.getsize(path), name)
        except CheckpointError as error:
            yield observe(MACHINE, f"weight file {error.where} is broken: {error.problem}")
        except OSError as error:
            yield observe(MACHINE, f"weight file {name} is broken: {error.strerror or 'cannot be read'}")


def _read(path: str, most: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(most)
    except OSError:
        return b""
