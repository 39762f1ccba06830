"""The containers of Kubernetes manifests and compose files: place, words, variables, and what is around them.

Any map with `containers` counts as a pod, so that Deployments, StatefulSets, Jobs, bare pods, Lists and custom
resources are read alike; a container may also are alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from qvl_doctor.launch.pods import kserve
from qvl_doctor.launch.shell import shell_commands
from qvl_doctor.launch.yamltext.yaml_tree import Node, documents, entries, text_at

_CONTAINERS = ("containers", "initContainers")
SHM = "/dev/shm"  # noqa: S108 — nothing is written there


class Spot(NamedTuple):
    """A container, and how to get there.

    `root` is the object (the map with `kind`), `path` the keys from it to the container's list, `number` counts the
    containers of a text.
    """

    shape: str
    root: Node
    path: tuple[str, ...]
    container: Node
    pod: Node | None
    name: str
    number: int = 0

    @property
    def where(self) -> str:
        """`Deployment/qwen-vl/vllm`, `services/vllm`."""
        if self.shape == "compose":
            return f"services/{self.name}"
        return "/".join(
            part for part in (self.root.text("kind"), text_at(self.root, "metadata", "name"), self.name) if part
        )


def containers(text: str) -> Iterator[Container]:
    """Every container of a YAML or JSON text, whatever it runs. Raises LaunchError if the text is neither."""
    return (Container(text, spot) for spot in _all_spots(text))


def _all_spots(text: str) -> Iterator[Spot]:
    spots = (spot for document in documents(text) for spot in _spots(document))
    yield from (spot._replace(number=number) for number, spot in enumerate(spots))


def _spots(document: Node) -> Iterator[Spot]:
    """The containers of a document, at any depth."""
    services = document.get("services")
    if services and not document.get("kind"):
        for key, service in services.resolved.pairs:
            yield Spot("compose", document, ("services",), service.resolved, None, key.value)
        return
    found = list(_in_pods(document))
    yield from found
    for node in () if found else document.items or [document]:
        container = node.resolved
        if any(container.get(key) for key in ("command", "args", "image")):
            yield Spot("kubernetes", document, (), container, None, container.text("name") or "")


def _in_pods(document: Node) -> Iterator[Spot]:
    pending: list[tuple[Node, Node, tuple[str, ...]]] = [(document, document, ())]
    seen: set[int] = set()
    while pending:
        node, root, path = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.get("kind") and node.get("metadata"):
            root, path = node, ()
        for name in _CONTAINERS:
            for container in entries(node, name):
                yield Spot("kubernetes", root, (*path, name), container, node, container.text("name") or "")
        for predictor, model in kserve.models(node):
            yield Spot("kubernetes", root, (*path, "predictor", "model"), model, predictor, model.text("name") or "")
        pending += [(item.resolved, root, path) for item in reversed(node.items)]
        pending += [
            (value.resolved, root, (*path, key.value))
            for key, value in reversed(node.pairs)
            if key.value not in _CONTAINERS
        ]


class Container:
    """The words, variables and surroundings of one container, with their nodes."""

    def __init__(self, text: str, spot: Spot) -> None:
        self.text, self.spot = text, spot
        node = spot.container
        keys = ("entrypoint", "command") if spot.shape == "compose" else ("command", "args")
        values = [value.resolved for value in (node.get(key) for key in keys) if value]
        self.lists = [value for value in values if value.kind == "list"]
        strings = [value for value in values if value.kind == "scalar" and value.value.strip()]
        #: A command that is written as one text: words for compose; for Kubernetes a mistake, read like a script.
        self.string = strings[-1] if strings else None
        self.items = [item for each in self.lists for item in each.items]
        self.words = tuple(item.resolved.value for item in self.items)
        self.script = shell_commands.script_at(self.words)
        self.has_program = bool(node.get(keys[0]))
        self.variables = dict(self._variables())
        self.env = {
            name: value.value for name, (value, _) in self.variables.items() if value and value.kind == "scalar"
        }
        self.facts = {key: value for key, value in self._facts() if value}

    def again(self, text: str) -> Node:
        """The same container in the text after a change."""
        return next(spot.container for spot in _all_spots(text) if spot.number == self.spot.number)

    @property
    def nodes(self) -> int:
        """How many pods run one server together: the size of a LeaderWorkerSet, otherwise 1."""
        size = text_at(self.spot.root, "spec", "leaderWorkerTemplate", "size")
        return int(size) if size.isdecimal() and len(size) < 5 and int(size) else 1

    def mount(self, path: str) -> str | None:
        """The name of the volume that is mounted at a path or nearest above it; None if there is none."""
        nearest: tuple[str, str | None] = ("", None)
        for mount in entries(self.spot.container, "volumeMounts"):
            at = (mount.text("mountPath") or "").rstrip("/")
            if at and (path == at or path.startswith(f"{at}/")) and len(at) > len(nearest[0]):
                nearest = (at, mount.text("name") or "")
        return nearest[1]

    def volume(self, name: str) -> Node | None:
        """The volume of the pod with a name."""
        return next((volume for volume in entries(self.spot.pod, "volumes") if volume.text("name") == name), None)

    def port_of(self, name: str) -> str:
        """The number of a named port; anything else is returned as it is."""
        found = (
            port.text("containerPort") for port in entries(self.spot.container, "ports") if port.text("name") == name
        )
        return next(found, None) or name

    @property
    def env_node(self) -> Node | None:
        """The list or map of the variables."""
        found = self.spot.container.get("environment" if self.spot.shape == "compose" else "env")
        return found.resolved if found else None

    def _variables(self) -> Iterator[tuple[str, tuple[Node | None, int]]]:
        """(name, (value, index of the entry)) of a list of name and value, of NAME=VALUE, or of a map."""
        node = self.env_node
        for index, item in enumerate(node.items if node else ()):
            name = item.text("name")
            if name:
                value = item.resolved.get("value")
                yield name, (value.resolved if value else None, index)
            elif "=" in item.resolved.value:
                name, _, value_text = item.resolved.value.partition("=")
                yield name, (Node("scalar", item.start, item.stop, item.column, value_text, item.style), index)
        for index, (key, value) in enumerate(node.pairs if node else ()):
            yield key.value, (value.resolved, index)

    def _facts(self) -> Iterator[tuple[str, str]]:
        node = self.spot.container
        yield "name", self.spot.name
        if self.spot.shape == "compose":
            for key, name in (
                ("shm_size", "shm-size"),
                ("ipc", "ipc"),
                ("runtime", "runtime"),
                ("mem_limit", "memory"),
            ):
                yield name, node.text(key) or ""
            yield "gpus", _compose_gpus(node)
            if any(SHM in (item.value or item.text("target") or "") for item in entries(node, "volumes")):
                yield "ipc", "host"  # the host's own /dev/shm
            return
        yield "gpus", text_at(node, "resources", "limits", "nvidia.com/gpu")
        yield "memory", text_at(node, "resources", "limits", "memory")
        yield "shm-size", self._shm()
        if self.spot.pod and self.spot.pod.text("hostIPC") == "true":
            yield "ipc", "host"

    def _shm(self) -> str:
        """The size of the memory volume that is mounted at /dev/shm; "memory" if it has no limit."""
        volume = self.volume(self.mount(SHM) or "")
        directory = volume.get("emptyDir") if volume else None
        if directory is None or directory.text("medium") != "Memory":
            return ""
        return directory.text("sizeLimit") or "memory"


def _compose_gpus(service: Node) -> str:
    """What a service requests: "all", a number of devices, or "some"; "" for none."""
    asked = service.get("gpus")
    if asked:
        return asked.resolved.value or "some"
    for device in entries(service, "deploy", "resources", "reservations", "devices"):
        if device.text("driver") == "nvidia" or any(item.value == "gpu" for item in entries(device, "capabilities")):
            return device.text("count") or "some"
    return ""
