"""vLLM commands in Kubernetes manifests and compose files, and how to change them there.

Any map with `containers` counts as a pod, so that Deployments, StatefulSets, Jobs, bare pods, Lists and custom resources are read alike;
a container may also stand alone. What matters is `command` and `args` as the words of one command line, or a shell script in them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from qvl_doctor.launch import argv, kserve, shell, yamledit
from qvl_doctor.launch.command import Changes, Command, Edit, LaunchError, Place, Problem, Reading, Source, Splice
from qvl_doctor.launch.views import WholeText
from qvl_doctor.launch.words import place_of
from qvl_doctor.launch.yamltree import Node, documents

_VLLM_IMAGE = re.compile(r"(?:^|[/_.-])vllm", re.IGNORECASE)
#: What YAML takes for something else than a text, and Kubernetes then refuses in `args` and in the value of a variable.
_NO_TEXT = re.compile(r"[-+]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|0x[0-9a-fA-F]+|true|false|yes|no|on|off|null|~|", re.IGNORECASE)
_NULLS = frozenset(("", "~", "null"))  # which are no value, and taken for a variable
_NAME = "vllm"
_CONTAINERS = ("containers", "initContainers")
SHM = "/dev/shm"  # noqa: S108 — nothing is written there


class Spot(NamedTuple):
    """A container, and how to get there.

    `root` is the object (the map with `kind`), `path` the keys from it to the container's list, `number` counts the containers of a text.
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
        metadata = self.root.get("metadata")
        return "/".join(part for part in (self.root.text("kind"), metadata and metadata.text("name"), self.name) if part)


def read_manifest(text: str, release: str = "") -> Iterator[Command]:
    """The vLLM commands of all containers of a YAML or JSON text. Raises LaunchError where it is neither."""
    for spot in _all_spots(text):
        yield from _commands(text, spot, release)


def containers(text: str) -> Iterator[Container]:
    """Every container of a YAML or JSON text, whatever it runs. Raises LaunchError where it is neither."""
    return (Container(text, spot) for spot in _all_spots(text))


def _all_spots(text: str) -> Iterator[Spot]:
    spots = (spot for document in documents(text) for spot in _spots(document))
    yield from (spot._replace(number=number) for number, spot in enumerate(spots))


def _spots(document: Node) -> Iterator[Spot]:
    """The containers of a document, wherever they are."""
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
            listed = node.get(name)
            for container in listed.resolved.items if listed else ():
                yield Spot("kubernetes", root, (*path, name), container.resolved, node, container.text("name") or "")
        for predictor, model in kserve.models(node):
            yield Spot("kubernetes", root, (*path, "predictor", "model"), model, predictor, model.text("name") or "")
        pending += [(item.resolved, root, path) for item in reversed(node.items)]
        pending += [(value.resolved, root, (*path, key.value)) for key, value in reversed(node.pairs) if key.value not in _CONTAINERS]


def _commands(text: str, spot: Spot, release: str) -> Iterator[Command]:
    """The commands of a container: one, or those of its script."""
    box = Container(text, spot)
    image = spot.container.text("image")
    for command in _inner(text, box, release):
        source = ManifestSource(text, box, inner=command.source)
        yield replace(command, env=source.env, image=image, where=spot.where, container=box.facts, source=source)
    if box.string or box.script >= 0:
        return
    first = argv.first_argument(box.words)
    if spot.container.get("modelFormat"):
        reading = argv.read_arguments(box.words, 0, release)
        yield Command(kserve.PROGRAM, None, reading.flags, box.env, image, spot.where, box.facts, ManifestSource(text, box, reading))
        return
    if first < 0 and not _entry_point_is_vllm(box):
        return
    reading = argv.read_arguments(box.words, max(first, 0), release)
    source = ManifestSource(text, box, reading)
    yield Command(reading.program, reading.model, reading.flags, source.env, image, spot.where, box.facts, source)


def _entry_point_is_vllm(box: Container) -> bool:
    """Whether the container's words are arguments of the image's own vLLM."""
    return not box.has_program and bool(_VLLM_IMAGE.search(box.spot.container.text("image") or ""))


def _inner(text: str, box: Container, release: str) -> Iterator[Command]:
    """The commands of a script, or of words that are written as one text."""
    whole = WholeText(text)
    # What does not name vLLM need not even be shell text that we can read.
    if box.script >= 0 and box.items[box.script].kind == "scalar" and _NAME in box.words[box.script]:
        yield from shell.read_shell(yamledit.view_of(whole, box.items[box.script]), release)
    if box.string is None:
        return
    view = yamledit.view_of(whole, box.string)
    arguments = _entry_point_is_vllm(box) or argv.first_argument(box.words) == len(box.words) > 0
    if box.spot.shape != "compose":
        yield from shell.read_shell(view, release) if _NAME in view.text else ()
        return
    for part in shell.parts_of(view) if arguments or _NAME in view.text else ():
        found = list(shell.read_part(view, part, (), release, 0))
        yield from found
        if arguments and not found:
            yield shell.read_words(view, part, box.words, release)


class Container:
    """The words, variables and surroundings of one container, with their nodes."""

    def __init__(self, text: str, spot: Spot) -> None:
        self.text, self.spot = text, spot
        node = spot.container
        keys = ("entrypoint", "command") if spot.shape == "compose" else ("command", "args")
        values = [value.resolved for value in (node.get(key) for key in keys) if value]
        self.lists = [value for value in values if value.kind == "list"]
        strings = [value for value in values if value.kind == "scalar" and value.value.strip()]
        #: A command that is written as one text: words for compose, a mistake that reads like a script for Kubernetes.
        self.string = strings[-1] if strings else None
        self.items = [item for each in self.lists for item in each.items]
        self.words = tuple(item.resolved.value for item in self.items)
        self.script = shell.script_at(self.words)
        self.has_program = bool(node.get(keys[0]))
        self.variables = dict(self._variables())
        self.env = {name: value.value for name, (value, _) in self.variables.items() if value and value.kind == "scalar"}
        self.facts = {key: value for key, value in self._facts() if value}

    def again(self, text: str) -> Node:
        """The same container in the text after a change."""
        return next(spot.container for spot in _all_spots(text) if spot.number == self.spot.number)

    @property
    def nodes(self) -> int:
        """Pods that run one server together: the size of a LeaderWorkerSet, else 1."""
        template = _deep(self.spot.root, "spec", "leaderWorkerTemplate")
        size = (template and template.text("size")) or "1"
        return int(size) if size.isdecimal() and len(size) < 5 and int(size) else 1

    def mount(self, path: str) -> str | None:
        """The name of the volume that is mounted at a path or above it, the nearest one; None if there is none."""
        mounts = self.spot.container.get("volumeMounts")
        nearest: tuple[str, str | None] = ("", None)
        for mount in mounts.resolved.items if mounts else ():
            at = (mount.text("mountPath") or "").rstrip("/")
            if at and (path == at or path.startswith(f"{at}/")) and len(at) > len(nearest[0]):
                nearest = (at, mount.text("name") or "")
        return nearest[1]

    def volume(self, name: str) -> Node | None:
        """The volume of the pod with a name."""
        volumes = self.spot.pod.get("volumes") if self.spot.pod else None
        found = (item.resolved for item in (volumes.resolved.items if volumes else ()))
        return next((volume for volume in found if volume.text("name") == name), None)

    def port_of(self, name: str) -> str:
        """The number behind the name of a port; what is no such name stays."""
        ports = self.spot.container.get("ports")
        found = (port.text("containerPort") for port in (ports.resolved.items if ports else ()) if port.text("name") == name)
        return next(found, None) or name

    @property
    def env_node(self) -> Node | None:
        """The list or map of the variables."""
        found = self.spot.container.get("environment" if self.spot.shape == "compose" else "env")
        return found.resolved if found else None

    def _variables(self) -> Iterator[tuple[str, tuple[Node | None, int]]]:
        """(name, (value, index of the entry)): a list of name and value, of NAME=VALUE, or a map."""
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
            for key, name in (("shm_size", "shm-size"), ("ipc", "ipc"), ("runtime", "runtime"), ("mem_limit", "memory")):
                yield name, node.text(key) or ""
            yield "gpus", _compose_gpus(node)
            mounts = node.get("volumes")
            if any(SHM in (item.resolved.value or item.text("target") or "") for item in (mounts.resolved.items if mounts else ())):
                yield "ipc", "host"  # the host's own /dev/shm
            return
        limits = _deep(node, "resources", "limits")
        yield "gpus", (limits and limits.text("nvidia.com/gpu")) or ""
        yield "memory", (limits and limits.text("memory")) or ""
        yield "shm-size", self._shm()
        if self.spot.pod and self.spot.pod.text("hostIPC") == "true":
            yield "ipc", "host"

    def _shm(self) -> str:
        """The size of the volume in memory that is mounted at /dev/shm; "memory" if it has no limit."""
        volume = self.volume(self.mount(SHM) or "")
        directory = volume.get("emptyDir") if volume else None
        if directory is None or directory.text("medium") != "Memory":
            return ""
        return directory.text("sizeLimit") or "memory"


class ManifestSource:
    """A command in a container: its words are entries of lists, or those of a script in one of them."""

    def __init__(self, text: str, box: Container, reading: Reading | None = None, inner: Source | None = None) -> None:
        self.text, self.box = text, box
        self._inner = inner
        if inner is None and reading is None:
            raise LaunchError("no-command")
        self.reading: Reading = inner.reading if inner else reading  # type: ignore[assignment]  # one of them is there
        self.shape = box.spot.shape
        self.image = box.spot.container.text("image") or ""
        self.words: Sequence[str] = inner.words if inner else box.words
        self.env: Mapping[str, str] = {**box.env, **(inner.env if inner else {})}

    @property
    def problems(self) -> Sequence[Problem]:
        return [*(self._inner.problems if self._inner else ()), *self._no_texts()]

    def _no_texts(self) -> Iterator[Problem]:
        """Numbers and truths where Kubernetes wants texts."""
        if self.shape != "kubernetes":
            return
        for index, item in enumerate(self.box.items):
            if _is_no_text(item):
                yield Problem("not-a-text", value=item.value, place=place_of(self.text, item.start)._replace(argument=index))
        for name, (value, _) in self.box.variables.items():
            if value and _is_no_text(value) and value.value not in _NULLS:
                yield Problem("variable-not-text", flag=name, value=value.value, place=place_of(self.text, value.start))
        if self.box.string:
            yield Problem("not-a-list", value=self.box.string.value[:80], place=place_of(self.text, self.box.string.start))

    def raw(self, index: int) -> str:
        return self._inner.raw(index) if self._inner else ""

    def place(self, index: int) -> Place:
        if self._inner:
            return self._inner.place(index)
        if index < len(self.box.items):
            return place_of(self.text, self.box.items[index].start)._replace(argument=index)
        return place_of(self.text, self.box.spot.container.start)

    def edits(self, changes: Changes) -> list[Edit]:
        inside = {name: value for name, value in changes.env.items() if self._inner and name in self._inner.env}
        outside = {name: value for name, value in changes.env.items() if name not in inside or (value is None and name in self.box.env)}
        edits = list(self._inner.edits(Changes(changes.splices, inside)) if self._inner else self._words(changes.splices))
        # A new key of the container comes behind what is added to its last one.
        edits += self._env(outside)
        edits += self._quotes({edit.start for edit in edits})
        image = self.box.spot.container.get("image")
        if changes.image and image:
            edits.append(yamledit.replaced(image, changes.image))
        return edits

    def _quotes(self, changed: Collection[int]) -> Iterator[Edit]:
        """Quotes around what Kubernetes would take for a number or a truth, where nothing else is changed."""
        texts = [*self.box.items, *(value for value, _ in self.box.variables.values() if value)]
        for item in texts if self.shape == "kubernetes" else ():
            if _is_no_text(item) and item.stop > item.start and item.start not in changed:
                yield yamledit.replaced(item, item.value)

    def _words(self, splices: Sequence[Splice]) -> Iterator[Edit]:
        changed: dict[int, str] = {}
        gone: set[int] = set()
        added: dict[int, list[str]] = {}
        for splice in splices:
            new = [word for group in splice.groups for word in group]
            old = range(splice.start, splice.stop)
            changed |= {index: word for index, word in zip(old, new, strict=False) if word != self.box.words[index]}
            gone |= set(old[len(new) :])
            if len(new) > len(old):
                added.setdefault(splice.stop - 1, []).extend(new[len(old) :])
        if not self.box.items:
            yield from self._new_list([word for words in added.values() for word in words])
            return
        first = 0
        for each in self.box.lists:
            last = first + len(each.items)
            here = {index - first: words for index, words in added.items() if max(index, 0) in range(first, last)}
            own = {index - first: word for index, word in changed.items() if first <= index < last}
            yield from yamledit.list_edits(self.text, each, own, {index - first for index in gone if first <= index < last}, here)
            first = last

    def _new_list(self, words: Sequence[str]) -> Iterator[Edit]:
        if words:
            node = self.box.spot.container
            key = "command" if self.shape == "compose" else "args"
            yield yamledit.entry_list(self.text, node, key, [(("", word),) for word in words], node.get("image"))

    def _env(self, env: Mapping[str, str | None]) -> Iterator[Edit]:
        node = self.box.env_node
        gone, added = [], []
        for name, wanted in env.items():
            value, index = self.box.variables.get(name, (None, -1))
            if wanted is None:
                gone += [index] if index >= 0 else []
            elif value and value.kind == "scalar":
                as_pair = self.shape == "compose" and bool(node and node.items)
                yield yamledit.replaced(value, f"{name}={wanted}" if as_pair else wanted)
            else:
                added.append((name, wanted))
        if node and (node.items or node.pairs):
            entries = [self._variable(name, value, as_map=bool(node.pairs)) for name, value in added]
            yield from yamledit.entries_edits(self.text, node, sorted(gone), entries)
        elif added:
            container = self.box.spot.container
            entries = [self._variable(name, value) for name, value in added]
            key = "environment" if self.shape == "compose" else "env"
            yield yamledit.entry_list(self.text, container, key, entries, container.get("image"))

    def _variable(self, name: str, value: str, *, as_map: bool = False) -> yamledit.Entry:
        if as_map:
            return ((name, value),)
        return (("", f"{name}={value}"),) if self.shape == "compose" else (("name", name), ("value", value))


def _deep(node: Node, *keys: str) -> Node | None:
    found: Node | None = node
    for key in keys:
        found = found.get(key) if found else None
    return found


def _is_no_text(item: Node) -> bool:
    return item.kind == "scalar" and item.style == "" and bool(_NO_TEXT.fullmatch(item.value))


def _compose_gpus(service: Node) -> str:
    """What a service asks for: "all", a number of devices, or "some"; "" for none."""
    asked = service.get("gpus")
    if asked:
        return asked.resolved.value or "some"
    devices = _deep(service, "deploy", "resources", "reservations", "devices")
    for device in devices.resolved.items if devices else ():
        capabilities = device.resolved.get("capabilities")
        if device.text("driver") == "nvidia" or any(item.value == "gpu" for item in (capabilities.resolved.items if capabilities else ())):
            return device.text("count") or "some"
    return ""
