"""What a manifest says about the containers that start vLLM, as observations with their lines. Rules say how bad it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from qvl_doctor.launch.command import Command
from qvl_doctor.launch.manifest import Container, containers
from qvl_doctor.launch.observing import arguments_of, observe_command
from qvl_doctor.launch.reading import read
from qvl_doctor.launch.yamltree import Node, documents
from qvl_doctor.memory import cards
from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.observations import MANIFEST, observe

#: Seconds that a start takes at least where nothing better is known: loading, profiling and graphs of a small model from a local disk.
_LEAST_START_S = 120
#: Bytes of a parameter: two, or about half a byte in 4 bits.
_PLAIN, _QUANTIZED = 2, 0.5
_DEFAULTS = {"initialDelaySeconds": 0, "periodSeconds": 10, "failureThreshold": 3}
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([kMGT]i?|Ki)?")
_RELEASE = re.compile(r":v?(\d+\.\d+\.\d+)")
#: A command in the background of a script, and something after it that keeps the container alive.
_BACKGROUND = re.compile(r"(?:vllm serve|vllm\.entrypoints)[^\n]{0,4000}?(?<![&>])&(?![&>\d])")
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|API_KEY|CREDENTIAL", re.IGNORECASE)


def look(text: str, release: str = "", start_s: float = 0.0) -> tuple[Seen, list[Command]]:
    """What a text of manifests says, and the vLLM commands in it. `start_s`: how long a start takes, where a log said it.

    Raises LaunchError for what is no YAML, or holds no vLLM.
    """
    commands = read(text, release)
    boxes = {(box.spot.where, box.spot.name): box for box in containers(text)}
    seen = Seen()
    for command in commands:
        own = release or release_of(command.image or "")
        seen |= observe_command(command, own)
        if own:
            seen |= Seen({"vllm": Fact(own, "manifest")})
        box = next((box for (where, _), box in boxes.items() if where == command.where), None)
        if box is not None:
            seen |= Seen(observations=tuple(_container(text, box, command, arguments_of(command, own), start_s)))
    return seen | Seen(observations=tuple(_objects(text))), commands


def release_of(image: str) -> str:
    """The release that an image's tag names: vllm/vllm-openai:v0.7.2 is 0.7.2."""
    found = _RELEASE.search(image)
    return found[1] if found else ""


def _container(text: str, box: Container, command: Command, arguments: Mapping[str, Any], start_s: float) -> Iterator[Record]:
    node, name = box.spot.container, box.spot.name or "of vLLM"
    ranks = _int(arguments.get("tensor_parallel_size")) * _int(arguments.get("pipeline_parallel_size"))
    gpus = command.container.get("gpus", "")
    if box.spot.shape == "kubernetes":
        if not gpus and not _mentions(node, "gpu"):
            yield _at(text, node, f"container {name} asks for no GPU in its resources")
        elif gpus.isdecimal() and int(gpus) < ranks:
            yield _at(text, node, f"container {name} asks for {gpus} GPUs in its resources, and its command needs {ranks}")
        if ranks > 1 and not command.container.get("shm-size") and command.container.get("ipc") != "host":
            yield _at(text, node, f"container {name} has no volume in memory at /dev/shm, and its command uses {ranks} GPUs")
        yield from _probes(text, node, name, start_s)
        yield from _links(text, box)
    image = node.get("image")
    tag = (command.image or "").rpartition("/")[2]
    if image and (":" not in tag or tag.endswith(":latest")) and "@" not in tag:
        yield _at(text, image, f"container {name} runs an image without a release in its tag: {tag}")
    yield from _memory(text, box, command, name)
    script = box.words[box.script].replace("\\\n", " ") if 0 <= box.script < len(box.words) else ""
    if _BACKGROUND.search(script):
        yield _at(text, node, f"container {name} starts vLLM in the background of a script: the container goes on when vLLM dies")
    for variable, (value, _) in box.variables.items():
        if value is not None and value.kind == "scalar" and value.value and _SECRET.search(variable):
            yield _at(text, value, f"container {name} has a secret in plain text: the variable {variable}")


def _probes(text: str, node: Node, name: str, start_s: float) -> Iterator[Record]:
    """A liveness probe that gives up before a start can be over. A startup probe holds it back until it has given up itself."""
    needed = max(start_s, _LEAST_START_S)
    probe = next((found for kind in ("startupProbe", "livenessProbe") if (found := node.get(kind))), None)
    if probe is None:
        return
    delay, period, failures = (_int(probe.text(key) or default, default) for key, default in _DEFAULTS.items())
    allowed = delay + period * failures
    if allowed < needed:
        kind = "startup" if node.get("startupProbe") else "liveness"
        said = (
            f"its {kind} probe gives up after {allowed} s ({delay} s + {failures} x {period} s), and a start takes {needed:.0f} s or more"
        )
        yield _at(text, probe, f"container {name}: {said}")


def _memory(text: str, box: Container, command: Command, name: str) -> Iterator[Record]:
    """A memory limit below the model's weights: they pass through main memory while they are loaded."""
    limit = _bytes(command.container.get("memory", ""))
    card = cards.find(command.model or "")
    needed = card.parameters * (_QUANTIZED if card.quantization else _PLAIN) if card else 0
    if limit and limit < needed:
        said = f"its memory limit is {limit / 2**30:.0f} GiB, and the weights take {needed / 2**30:.0f} GiB"
        yield _at(text, box.spot.container, f"container {name}: {said}")


def _links(text: str, box: Container) -> Iterator[Record]:
    pod = box.spot.pod
    off = pod is not None and pod.text("enableServiceLinks") == "false"
    for document in documents(text):
        metadata = document.get("metadata")
        if not off and document.text("kind") == "Service" and metadata and metadata.text("name") == "vllm":
            said = "VLLM_PORT 'tcp://SERVICE:PORT' appears to be a URI: Kubernetes sets it in every pod beside a Service named vllm"
            yield _at(text, metadata, said)


def _objects(text: str) -> Iterator[Record]:
    """What is wrong with a volume, wherever it stands."""
    for document in documents(text):
        for node in document.walk():
            directory = node.get("emptyDir") if node.kind == "map" else None
            medium = directory.text("medium") if directory else None
            if directory and medium not in {None, "", "Memory"} and not str(medium).startswith("HugePages"):
                said = f"the volume {node.text('name') or ''} has the medium {medium}, and only Memory means main memory"
                yield _at(text, directory, said)


def _mentions(node: Node, word: str) -> bool:
    resources = node.get("resources")
    return any(word in key.value for each in (resources.walk() if resources else ()) for key, _ in each.pairs)


def _at(text: str, node: Node, said: str) -> Record:
    start = text.rfind("\n", 0, node.start) + 1
    end = text.find("\n", node.start)
    return observe(MANIFEST, said, text.count("\n", 0, node.start) + 1, text[start : end if end >= 0 else len(text)].strip()[:200])


def _int(value: Any, otherwise: int = 1) -> int:
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) < 9 else otherwise
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else otherwise


def _bytes(quantity: str) -> int:
    found = _QUANTITY.fullmatch(quantity.strip())
    return int(float(found[1]) * _UNITS[found[2] or ""]) if found else 0
