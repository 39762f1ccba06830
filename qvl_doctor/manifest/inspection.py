"""What a manifest says about containers that start vLLM, as observations with their lines. Rules say how bad it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from qvl_doctor.launch.command import Command
from qvl_doctor.launch.masking import secret
from qvl_doctor.launch.observing import arguments_of, facts_of, observe_command, observe_problems
from qvl_doctor.launch.pods.kserve import is_kserve, model_of
from qvl_doctor.launch.pods.pod_commands import ManifestSource
from qvl_doctor.launch.reading import is_manifest, read
from qvl_doctor.launch.yamltext.yaml_tree import Node, deep, documents, text_at
from qvl_doctor.manifest import hardware, kubelet_probes, lifecycle, services, storage
from qvl_doctor.manifest.surroundings import Scene
from qvl_doctor.model import Fact, Record, Seen

#: All releases so far begin with 0; a tag like 1.4.2 belongs to someone's own image.
_RELEASE = re.compile(r"vllm[^:@]*:v?(0\.\d{1,3}(?:\.\d{1,3})?)(?!\d)", re.IGNORECASE)
#: Images that contain vLLM, but whose tags count the versions of something else.
_OWN_VERSIONS = re.compile(r"lmcache/|vllm-omni", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|\((\w+)\)|(\w+))")
#: Not a secret: filled in before anything starts (`${HF_TOKEN}`, `$(KEY)`), a placeholder (`<your token>`), or a
#: switch.
_NO_SECRET = re.compile(
    r"\$\{\w+(?::?[?+-])?\}|\$\{\w+:?\?[^}]*\}|\$\w+|\$\(\w+\)|<[^<>]*>|\*+|\d{1,2}|true|false", re.IGNORECASE
)
_SECRET_FLAGS = ("--api-key", "--hf-token")


class Inspected(NamedTuple):
    """One vLLM command of a text, its release ("" if unknown), and what was seen of it and its surroundings.

    `model` is set if the command's arguments do not name it.
    """

    command: Command
    release: str
    seen: Seen
    model: str = ""


def inspect_manifest(text: str, release: str = "", start_s: float = 0.0) -> list[Inspected]:
    """Every vLLM command in a text of manifests. `start_s` is how long a start takes, if a log showed it.

    Raises LaunchError if the text is not YAML or holds no vLLM.
    """
    whole = tuple(objects(text)) if is_manifest(text) else ()
    commands = [command for command in read(text, release) if not _is_copy(command, whole)]
    return [_inspected(text, whole, replace(command, start_s=start_s), release) for command in commands]


def _is_copy(command: Command, whole: tuple[Node, ...]) -> bool:
    """Whether the text also holds the object that a controller made this one from: changes here would be lost."""
    owner = owner_of(command)
    return bool(owner) and any((each.text("kind"), text_at(each, "metadata", "name")) in owner for each in whole)


def owner_of(command: Command) -> list[tuple[str, str]]:
    """(kind, name) of what an object was made from, nearest first: a pod's ReplicaSet, then its Deployment."""
    root = command.source.box.spot.root if isinstance(command.source, ManifestSource) else None
    listed = deep(root, "metadata", "ownerReferences")
    found = [(each.text("kind") or "", each.text("name") or "") for each in (listed.items if listed else ())]
    hash_ = deep(root, "metadata", "labels", "pod-template-hash")
    for kind, name in found[:1]:
        if kind == "ReplicaSet" and hash_ and name.endswith(f"-{hash_.value}"):
            found.append(("Deployment", name.removesuffix(f"-{hash_.value}")))
    return found


def _inspected(text: str, whole: tuple[Node, ...], command: Command, release: str) -> Inspected:
    own, model = release or release_of(command.image or ""), ""
    seen = Seen({"vllm": Fact(own, "manifest")} if own else {})
    if isinstance(command.source, ManifestSource):
        box = command.source.box
        if is_kserve(command):
            model = model_of(command, box.spot.container)
            facts = {**facts_of(command, own), **({"model": Fact(model, "manifest")} if model else {})}
            seen |= Seen(facts, tuple(observe_problems(command, command.source.problems, own)))
        else:
            seen |= observe_command(command, own)
            model = _filled_in(command)
            seen |= Seen({"model": Fact(model, "manifest")} if model else {})
        scene = Scene(text, whole, box, command, arguments_of(command, own), own, command.start_s, model)
        seen |= Seen(observations=tuple(each for inspect in _INSPECTIONS for each in inspect(scene)))
    else:
        seen |= observe_command(command, own)
        if command.source and command.source.shape == "docker":
            seen |= Seen(observations=tuple(hardware.inspect_docker_run(command)))
    return Inspected(command, own, seen, model)


def _filled_in(command: Command) -> str:
    """The model, if a variable in the same manifest holds its name; "" otherwise."""
    named = _VARIABLE.fullmatch(command.model or "")
    value = command.env.get(named[1] or named[2] or named[3], "") if named else ""
    return "" if "$" in value else value


def release_of(image: str) -> str:
    """The release in the tag of a vLLM image: vllm/vllm-openai:v0.7.2 is 0.7.2."""
    found = None if _OWN_VERSIONS.search(image) else _RELEASE.search(image)
    return found[1] if found else ""


def objects(text: str) -> Iterator[Node]:
    """The objects of a text, including those inside Lists."""
    for document in documents(text):
        items = document.get("items")
        if items and (document.text("kind") or "").endswith("List"):
            yield from (item.resolved for item in items.resolved.items)
        else:
            yield document


def _inspect_secrets(scene: Scene) -> Iterator[Record]:
    """Secrets in the file, or in arguments, which every process list shows."""
    for variable, (value, _) in scene.box.variables.items():
        if value is not None and value.kind == "scalar" and _is_secret(variable, value.value):
            yield scene.at(value, "secret_in_variable", name=scene.name, variable=variable[:80])
    for name in _SECRET_FLAGS:
        given = scene.command.value(name)
        if given and not given.startswith("$"):
            yield scene.at(scene.node, "secret_in_arguments", name=scene.name, flag=name)


def _is_secret(name: str, value: str) -> bool:
    """Whether a variable's value is a readable secret."""
    return secret(name, value) != value and not _NO_SECRET.fullmatch(value.strip())


#: What is inspected around a container, in the order of the report.
_INSPECTIONS = (
    hardware.inspect_hardware,
    lifecycle.inspect_lifecycle,
    kubelet_probes.inspect_probes,
    services.inspect_services,
    storage.inspect_storage,
    _inspect_secrets,
)
