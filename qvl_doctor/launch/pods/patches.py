"""The patches around a command that rules name: a volume, a limit, a probe, as each kind of file writes them.

A patch says what a map of the file is to hold; `yaml_merging` merges that into the text. What a file cannot express is
left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from qvl_doctor.launch.command import Command, Edit, gpus_needed, size_of
from qvl_doctor.launch.pods.containers import SHM, Container, containers
from qvl_doctor.launch.pods.pod_commands import ManifestSource, read_manifest
from qvl_doctor.launch.yamltext.yaml_merging import block, grown, set_to, value_of
from qvl_doctor.launch.yamltext.yaml_tree import Node, deep, entries
from qvl_doctor.model import NOTHING

#: The size of /dev/shm in vLLM's own page on Kubernetes.
_SHM_SIZE = {"kubernetes": "2Gi", "compose": "2gb", "docker": "2g"}
#: A startup probe that waits too long only delays the restart of a start that hangs; one that is too short kills every
#: start.
_LEAST_WAIT_S = 1800
_PERIOD_S = 10
_CACHE = "/root/.cache/huggingface"
#: On the host, which compose finds by the ~, and a volume of Docker's own, since no quotes keep a shell from expanding
#: it.
_HOST_CACHE, _VOLUME = "~/.cache/huggingface", "huggingface-cache"

Wanted = Mapping[str, Any]


class _Wants(NamedTuple):
    """What a container and its pod are to hold, and edits that are neither."""

    container: Wanted = NOTHING
    pod: Wanted = NOTHING
    edits: tuple[Edit, ...] = ()


def manifest_edits(commands: Sequence[Command]) -> Iterator[Edit]:
    """The edits of all patches for the commands of one manifest; what several want of one map is merged first."""
    wanted: dict[int, tuple[ManifestSource, Node, dict[str, Any]]] = {}  # by where a map begins
    for command in commands:
        source = command.source
        if not isinstance(source, ManifestSource):
            continue
        for patch in command.pod:
            for box in (source.box, *_workers(source.box, patch)):
                wants = _wants(patch, command, box)
                yield from wants.edits
                for node, more in ((box.spot.container, wants.container), (box.spot.pod, wants.pod)):
                    if node and more:
                        _merge(wanted.setdefault(node.start, (source, node, {}))[2], more)
    for source, node, more in wanted.values():
        yield from grown(source.text, node, more)


def _workers(box: Container, name: str) -> list[Container]:
    """The containers of a LeaderWorkerSet's workers: they hold GPUs like the leader, and have no vLLM command."""
    if box.nodes < 2 or name not in {"shm-volume", "gpu-resource"}:
        return []
    root = box.spot.root.start
    return [
        each for each in containers(box.text) if each.spot.root.start == root and "workerTemplate" in each.spot.path
    ]


def snippet(name: str) -> tuple[str, ...]:
    """What a patch adds to the spec of a pod with a container vllm, as YAML lines; none if it only corrects."""
    (command,) = read_manifest("kind: Pod\nspec:\n  containers:\n  - {name: vllm, image: vllm/vllm-openai}\n")
    source = command.source
    wants = _wants(name, command, source.box) if isinstance(source, ManifestSource) else _Wants()
    held = {"containers": [{"name": "vllm", **wants.container}]} if wants.container else {}
    return tuple(block({**held, **wants.pod}))


def docker_options(command: Command) -> tuple[tuple[str, ...], ...]:
    """The options of `docker run` for the patches, unless they are there already."""
    found: dict[str, tuple[str, ...]] = {
        "gpu-resource": () if command.container.get("gpus") else ("--gpus", "all"),
        "shm-volume": () if command.container.get("shm-size") else ("--shm-size", _SHM_SIZE["docker"]),
        "cache-volume": ("-v", f"{_VOLUME}:{_cache(command)}"),
    }
    return tuple(option for name in command.pod if (option := found.get(name, ())))


def _wants(name: str, command: Command, box: Container) -> _Wants:
    table = _COMPOSE if box.spot.shape == "compose" else _KUBERNETES
    return (
        table[name](command, box)
        if name in table and (box.spot.shape == "compose" or box.spot.container.pairs)
        else _Wants()
    )


def _merge(into: dict[str, Any], more: Wanted) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            _merge(into.setdefault(key, {}), value)
        elif isinstance(value, list):
            held = into.setdefault(key, [])
            held += [entry for entry in value if entry not in held]
        else:
            into[key] = value


# ---- Kubernetes


def _gpus(command: Command, box: Container) -> _Wants:
    resources: dict[str, Any] = {"limits": {"nvidia.com/gpu": gpus_needed(command, box.nodes) or 1}}
    if deep(box.spot.container, "resources", "requests", "nvidia.com/gpu"):
        resources["requests"] = dict(resources["limits"])  # the two must be equal
    return _Wants({"resources": resources})


def _shared_memory(command: Command, box: Container) -> _Wants:
    """A memory volume at /dev/shm: a new one, or the mounted one corrected."""
    del command
    pod = box.spot.pod
    if pod is None:
        return _Wants()
    memory = {"medium": "Memory", "sizeLimit": _SHM_SIZE["kubernetes"]}
    mounted = box.mount(SHM)
    if mounted is None:
        name = _free("dshm", box)
        return _Wants(
            {"volumeMounts": [{"name": name, "mountPath": SHM}]}, {"volumes": [{"name": name, "emptyDir": memory}]}
        )
    volume = box.volume(mounted)
    if volume is None:
        return _Wants(pod={"volumes": [{"name": mounted, "emptyDir": memory}]})
    return _Wants(edits=tuple(grown(box.text, volume, {"emptyDir": memory}))) if volume.get("emptyDir") else _Wants()


def _medium(command: Command, box: Container) -> _Wants:
    """Every medium that Kubernetes does not support, corrected."""
    del command
    media = [deep(volume, "emptyDir", "medium") for volume in entries(box.spot.pod, "volumes")]
    wrong = [
        node for node in media if node and node.value not in {"", "Memory"} and not node.value.startswith("HugePages")
    ]
    return _Wants(edits=tuple(set_to(node, "Memory") for node in wrong))


def _startup_probe(command: Command, box: Container) -> _Wants:
    """A startup probe with the handler of the liveness probe that waits twice as long as a start took."""
    wait = max(_LEAST_WAIT_S, 2 * command.start_s)
    probe: dict[str, Any] = {"periodSeconds": _PERIOD_S, "failureThreshold": math.ceil(wait / _PERIOD_S)}
    if not box.spot.container.get("startupProbe"):
        liveness = box.spot.container.get("livenessProbe")
        held = value_of(liveness) if liveness else {}
        known = held if isinstance(held, dict) else {}  # Kubernetes refuses anything else
        handlers = {key: known[key] for key in ("httpGet", "tcpSocket", "exec", "grpc") if key in known}
        if not handlers or {"probe-ports", "probe-paths"} & set(command.pod):  # that handler itself is wrong
            handlers = {"httpGet": {"path": "/health", "port": _port(command)}} if _port(command) else {}
        probe = handlers | probe if handlers else {}
    return _Wants({"startupProbe": probe} if probe else NOTHING)


def _cache_volume(command: Command, box: Container) -> _Wants:
    """A volume where models are kept.

    An emptyDir outlives restarts of the container, not the pod; a claim would have to exist.
    """
    path = _cache(command)
    if box.spot.pod is None or box.mount(path) is not None:
        return _Wants()
    name = _free("model-cache", box)
    return _Wants({"volumeMounts": [{"name": name, "mountPath": path}]}, {"volumes": [{"name": name, "emptyDir": {}}]})


def _no_links(command: Command, box: Container) -> _Wants:
    del command, box
    return _Wants(pod={"enableServiceLinks": False})


def _readiness_probe(command: Command, box: Container) -> _Wants:
    """A probe on /health; vLLM opens its port when it is ready."""
    if box.spot.container.get("readinessProbe") or not _port(command):
        return _Wants()
    return _Wants(
        {"readinessProbe": {"httpGet": {"path": "/health", "port": _port(command)}, "periodSeconds": _PERIOD_S}}
    )


def _probe_ports(command: Command, box: Container) -> _Wants:
    """All probes on vLLM's port."""
    ports = [asked.get("port") for asked in _asked(box)]
    wrong = [port.resolved for port in ports if port and box.port_of(port.resolved.value) != str(_port(command))]
    return _Wants(edits=tuple(set_to(port, _port(command)) for port in wrong))


def _probe_paths(command: Command, box: Container) -> _Wants:
    """All probes on a path that needs no key."""
    del command
    paths = [asked.get("path") for asked in _asked(box)]
    return _Wants(
        edits=tuple(
            set_to(path.resolved, "/health") for path in paths if path and path.resolved.value.startswith("/v1/")
        )
    )


def _asked(box: Container) -> list[Node]:
    places = (
        (f"{kind}Probe", key) for kind in ("startup", "liveness", "readiness") for key in ("httpGet", "tcpSocket")
    )
    return [asked for place in places if (asked := deep(box.spot.container, *place))]


def _restart(command: Command, box: Container) -> _Wants:
    del command, box
    return _Wants(pod={"restartPolicy": "Always"})


_KUBERNETES = {
    "readiness-probe": _readiness_probe,
    "probe-ports": _probe_ports,
    "probe-paths": _probe_paths,
    "restart-always": _restart,
    "gpu-resource": _gpus,
    "shm-volume": _shared_memory,
    "volume-medium": _medium,
    "startup-probe": _startup_probe,
    "cache-volume": _cache_volume,
    "enable-service-links-false": _no_links,
}
#: The names of all patches, which rules may use.
PATCHES = tuple(sorted(_KUBERNETES))

# ---- Compose


def _compose_gpus(command: Command, box: Container) -> _Wants:
    del box
    device = {"driver": "nvidia", "count": gpus_needed(command) or "all", "capabilities": ["gpu"]}
    return _Wants({"deploy": {"resources": {"reservations": {"devices": [device]}}}})


def _compose_shared_memory(command: Command, box: Container) -> _Wants:
    del command, box
    return _Wants({"shm_size": _SHM_SIZE["compose"]})


def _compose_cache(command: Command, box: Container) -> _Wants:
    del box
    return _Wants({"volumes": [f"{_HOST_CACHE}:{_cache(command)}"]})


_COMPOSE = {"gpu-resource": _compose_gpus, "shm-volume": _compose_shared_memory, "cache-volume": _compose_cache}

# ---- What they share


def _cache(command: Command) -> str:
    """Where the Hub's library keeps models in this container."""
    return command.env.get("HF_HUB_CACHE") or command.env.get("HF_HOME") or _CACHE


def _port(command: Command) -> int:
    return size_of(command, "--port", 8000)


def _free(name: str, box: Container) -> str:
    """A name that no volume of the pod has."""
    number, found = 1, name
    while box.volume(found) is not None:
        number += 1
        found = f"{name}-{number}"
    return found
