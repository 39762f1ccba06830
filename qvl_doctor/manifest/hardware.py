"""What a container requests from its node: GPUs, shared memory, container memory."""

from __future__ import annotations

from collections.abc import Iterator

from qvl_doctor.knowledge.defaults import ENGINE, V0_WENT
from qvl_doctor.knowledge.releases import at, parse
from qvl_doctor.launch.command import Command, gpus_needed, is_for_cpu
from qvl_doctor.launch.observing import line_of
from qvl_doctor.launch.yamltext.yaml_tree import Node, deep
from qvl_doctor.manifest.surroundings import UNNAMED, Scene, number, quantity_of
from qvl_doctor.memory.units import GIB
from qvl_doctor.model import Record
from qvl_doctor.observations import observe
from qvl_doctor.values import as_number

#: vLLM's workers and NCCL exchange data through shared memory; a container's 64 MiB are too little for several of them.
_SHM, _DOCKER_SHM_MIB = GIB, 64
#: Resources with a slash in their names that are not devices.
_NO_DEVICES = ("hugepages-", "kubernetes.io/", "attachable-volumes-")


def inspect_hardware(scene: Scene) -> Iterator[Record]:
    """Observations of what the container requests and what its command needs."""
    yield from _docker_gpus(scene) if scene.shape == "compose" else _gpus(scene)
    yield from _shared_memory(scene)
    yield from _container_memory(scene)


def inspect_docker_run(command: Command) -> Iterator[Record]:
    """What a `docker run` lacks."""
    held, ranks = command.container, gpus_needed(command)
    line = command.source.place(0).line if command.source else 0
    shown = line_of(command, line)
    cpu = is_for_cpu(command) or command.value("--device") == "cpu"
    if (
        not any(held.get(key) for key in ("gpus", "runtime", "device"))
        and not cpu
        and "tpu" not in (command.image or "").lower()
    ):
        yield observe("docker_run_without_gpu", line, shown)
    if ranks > 1 and not held.get("shm-size") and held.get("ipc") != "host":
        yield observe("shared_memory_small", line, shown, name=UNNAMED, size=_DOCKER_SHM_MIB, ranks=ranks)


def _gpus(scene: Scene) -> Iterator[Record]:
    node, name = scene.node, scene.name
    gpus = scene.command.container.get("gpus", "")
    requested = deep(node, "resources", "requests", "nvidia.com/gpu")
    needed = gpus_needed(scene.command, scene.box.nodes)
    if requested and not gpus:
        yield scene.at(requested, "gpu_only_in_requests", name=name)
    elif not gpus and scene.whole and not _devices(node) and not _without_gpu(scene) and not _given_otherwise(scene):
        yield scene.at(node, "pod_without_gpu", name=name)
    elif 0 <= number(gpus, -1) < needed and not _elsewhere(scene):
        yield scene.at(node, "pod_gpus_too_few", name=name, gpus=gpus, ranks=needed)
    elif number(gpus, -1) > needed > 0 and len(gpus) < 5:
        yield scene.at(node, "pod_gpus_unused", name=name, gpus=gpus, ranks=needed)


def _elsewhere(scene: Scene) -> bool:
    """Whether the ranks may run in other pods: those of a Ray cluster, which vLLM also joins unasked."""
    if scene.box.nodes > 1:
        return False
    backends = scene.arguments.get("distributed_executor_backend"), scene.arguments.get("data_parallel_backend")
    started = any("ray start" in word or "ray_cluster" in word for word in scene.box.words)
    return started or "external_launcher" in backends or "ray" in backends or scene.kind.startswith("Ray")


def _given_otherwise(scene: Scene) -> bool:
    """Whether a runtime class may provide the GPUs (RuntimeClass nvidia, as in K3s)."""
    return bool(scene.pod and scene.pod.text("runtimeClassName"))


def _docker_gpus(scene: Scene) -> Iterator[Record]:
    held = scene.command.container
    if (
        not any(held.get(key) for key in ("gpus", "runtime"))
        and not scene.node.get("devices")
        and not _without_gpu(scene)
    ):
        yield scene.at(scene.node, "service_without_gpu", name=scene.name)


def _devices(node: Node) -> bool:
    """Whether anything is requested that a device plugin or a driver provides: GPUs of any vendor, TPUs, claims."""
    resources = node.get("resources")
    names = [key.value for each in (resources.resolved.walk() if resources else ()) for key, _ in each.pairs]
    return any("/" in name and not name.startswith(_NO_DEVICES) for name in names) or "claims" in names


def _without_gpu(scene: Scene) -> bool:
    """Whether this vLLM is meant for a CPU, by its image, flags or variables."""
    return is_for_cpu(scene.command) or scene.arguments.get("device") == "cpu"


def _shared_memory(scene: Scene) -> Iterator[Record]:
    """Too little shared memory for several ranks. What the host shares (`ipc: host`, a hostPath) is enough."""
    held, ranks = scene.command.container, gpus_needed(scene.command, scene.box.nodes)
    size = held.get("shm-size", "")
    if ranks < 2 or not scene.whole or held.get("ipc") == "host":
        return
    volume = scene.box.volume(scene.box.mount("/dev/shm") or "")  # noqa: S108 — read only
    if not size and volume and not volume.get("emptyDir"):
        return
    bytes_ = quantity_of(size, docker=scene.shape == "compose")
    if not size and scene.shape == "compose":
        yield scene.at(scene.node, "shared_memory_small", name=scene.name, size=_DOCKER_SHM_MIB, ranks=ranks)
    elif not size:
        yield scene.at(scene.node, "shared_memory_default", name=scene.name, ranks=ranks)
    elif 0 < bytes_ < _SHM:
        at = deep(volume, "emptyDir", "sizeLimit") or scene.node
        yield scene.at(at, "shared_memory_small", name=scene.name, size=bytes_ >> 20, ranks=ranks)


def _container_memory(scene: Scene) -> Iterator[Record]:
    """A memory limit below the weights, which pass through container memory, or below what vLLM pins there."""
    limit = quantity_of(scene.command.container.get("memory", ""), docker=scene.shape == "compose") / GIB
    if not limit:
        return
    at = deep(scene.node, "resources", "limits", "memory") or scene.node
    pinned = _pinned_gib(scene)
    if limit <= pinned:
        yield scene.at(at, "memory_below_pinned", name=scene.name, limit=f"{limit:.0f}", pinned=f"{pinned:.0f}")
    elif limit < scene.weights_gib:
        weights = f"{scene.weights_gib:.0f}"
        yield scene.at(at, "memory_below_weights", name=scene.name, limit=f"{limit:.0f}", weights=weights)


def _pinned_gib(scene: Scene) -> float:
    """GiB that stay in container memory: weights moved by --cpu-offload-gb, and --swap-space of the V0 engine.

    No more can be moved than there are weights, so nothing is counted for an unknown model.
    """
    ranks = gpus_needed(scene.command, scene.box.nodes)
    moved = min(_gib(scene.arguments.get("cpu_offload_gb")), scene.weights_gib / ranks) if ranks else 0.0
    return (moved + (_gib(scene.arguments.get("swap_space")) if _is_v0(scene) else 0.0)) * ranks


def _is_v0(scene: Scene) -> bool:
    """Whether the V0 engine certainly runs: it was the default below 0.8, and could be requested below 0.11."""
    release = parse(scene.release)
    asked = scene.command.env.get("VLLM_USE_V1")
    return release is not None and (
        (at(ENGINE, release) == "V0" and asked != "1") or (release < V0_WENT and asked == "0")
    )


def _gib(value: object) -> float:
    size = as_number(value) or 0.0
    return size if 0 < size < 1 << 20 else 0.0
