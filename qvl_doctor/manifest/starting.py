"""How a container starts, who watches over it, and whether it can be reached."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from qvl_doctor import knowledge
from qvl_doctor.launch.kserve import is_kserve
from qvl_doctor.launch.yamltree import Node
from qvl_doctor.manifest.scene import Scene, deep, name_of, number
from qvl_doctor.model import Record

#: Seconds that a start takes at least where nothing better is known: profiling, graphs and imports of a small model, and a fast disk.
_LEAST_START_S = 120
_OVERHEAD_S = 60
_READ_GIB_PER_S = 1.0
_DEFAULTS = {"initialDelaySeconds": 0, "periodSeconds": 10, "failureThreshold": 3}
#: A command in the background of a script; what comes after it keeps the container alive.
_BACKGROUND = re.compile(r"(?:vllm serve|vllm\.entrypoints)[^\n]{0,4000}?(?<![&>])&(?![&>\d])")
#: What may be missing while a Deployment rolls out, where it does not say so.
_SOME_MAY_MISS = "25%"
_LOCAL = frozenset(("127.0.0.1", "localhost", "::1"))
#: Kinds whose pods Kubernetes starts again whatever happens, so that it takes no other policy.
_ALWAYS = frozenset(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"))


def look(scene: Scene) -> Iterator[Record]:
    """Observations of image, script, probes, ports and policies."""
    yield from _image(scene)
    script = _script(scene)
    alone = not _BACKGROUND.search(script)
    if not alone:
        said = f"container {scene.name} starts vLLM in the background of a script: the container goes on when vLLM dies"
        yield scene.at(scene.node, said)
    yield from _host(scene)
    if scene.shape != "kubernetes":
        return
    yield from _patience(scene)
    services = [] if scene.pod is None else _services(scene)
    if alone and scene.port:  # else a probe or a Service may be meant for another program, or port
        yield from _probed(scene)
        yield from _served(scene, services)
    yield from _links(scene)
    yield from _policy(scene)
    if services and scene.whole and not scene.node.get("readinessProbe"):
        yield scene.at(scene.node, f"container {scene.name} has no readiness probe, and a Service sends it requests")


def _script(scene: Scene) -> str:
    box = scene.box
    return box.words[box.script].replace("\\\n", " ") if 0 <= box.script < len(box.words) else ""


def _image(scene: Scene) -> Iterator[Record]:
    image = scene.node.get("image")
    tag = (scene.command.image or "").rpartition("/")[2]
    if image and tag and (":" not in tag or tag.endswith(":latest")) and "@" not in tag:
        yield scene.at(image, f"container {scene.name} runs an image without a release in its tag: {tag}")
    architecture = scene.card.shape.architecture if scene.card else ""
    span = knowledge.architecture(architecture) if architecture else None
    if image and scene.release and span and not knowledge.serves(span, scene.release):
        yield scene.at(image, f"Model architectures ['{architecture}'] are not supported for now.")


def _host(scene: Scene) -> Iterator[Record]:
    host = scene.arguments.get("host")
    if scene.node.get("network_mode"):  # that of the host, or of another service
        return
    if isinstance(host, str) and host in _LOCAL:
        yield scene.at(scene.node, f"container {scene.name} listens on {host} only, which nobody outside of it reaches")


# ---- Probes


def _patience(scene: Scene) -> Iterator[Record]:
    """A liveness probe that gives up before a start can be over. A startup probe holds it back until it has given up itself."""
    kind = "startup" if scene.node.get("startupProbe") else "liveness"
    probe = deep(scene.node, f"{kind}Probe")
    if probe is None:
        return
    needed, basis = _needed(scene)
    delay, period, failures = (number(probe.text(key) or default, default) for key, default in _DEFAULTS.items())
    allowed = delay + period * failures
    if allowed < needed:
        said = f"its {kind} probe gives up after {allowed} s ({delay} s + {failures} x {period} s)"
        yield scene.at(probe, f"container {scene.name}: {said}, and a start takes {needed:.0f} s or more ({basis})")


def _needed(scene: Scene) -> tuple[float, str]:
    """Seconds that a start takes, and where that is from."""
    if scene.start_s:
        return scene.start_s, "as the log shows"
    loading = _OVERHEAD_S + scene.weights_gib / _READ_GIB_PER_S
    if loading > _LEAST_START_S:
        return loading, f"{scene.weights_gib:.0f} GiB of weights at {_READ_GIB_PER_S:.0f} GiB/s, and {_OVERHEAD_S} s"
    return _LEAST_START_S, "no log says how long"


def _probed(scene: Scene) -> Iterator[Record]:
    """Probes that ask another port than vLLM's and than those of the pod's other containers, or a path that wants the key."""
    open_elsewhere = _other_ports(scene)
    for kind in ("startup", "liveness", "readiness"):
        asked = deep(scene.node, f"{kind}Probe", "httpGet") or deep(scene.node, f"{kind}Probe", "tcpSocket")
        port = asked.get("port") if asked else None
        if asked is None or port is None:
            continue
        at = scene.box.port_of(port.resolved.value)
        path = asked.text("path") or ""
        if at.isdecimal() and len(at) < 6 and int(at) != scene.port:
            if at in open_elsewhere:
                continue
            yield scene.at(port, f"container {scene.name}: its {kind} probe asks port {at}, and vLLM listens on {scene.port}")
        elif path.startswith("/v1/") and _guarded(scene) and not asked.get("httpHeaders"):
            yield scene.at(asked, f"container {scene.name}: its {kind} probe asks {path[:80]} without the API key that vLLM wants there")


def _guarded(scene: Scene) -> bool:
    """Whether vLLM surely wants a key below /v1. With a --root-path releases differ; KServe's server has no key; an empty one is none."""
    if is_kserve(scene.command) or scene.arguments.get("root_path"):
        return False
    value, _ = scene.box.variables.get("VLLM_API_KEY", (None, 0))
    empty = value is not None and value.kind == "scalar" and not value.value
    return bool(scene.arguments.get("api_key")) or ("VLLM_API_KEY" in scene.box.variables and not empty)


# ---- Services


def _services(scene: Scene) -> list[Node]:
    """The Services of the text that send requests to this pod."""
    pod = _labels(scene)
    found = []
    for document in scene.documents:
        selector = deep(document, "spec", "selector") if document.text("kind") == "Service" else None
        wanted = {key.value: value.resolved.value for key, value in selector.pairs} if selector else {}
        if wanted and wanted.items() <= pod.items():
            found.append(document)
    return found


def _labels(scene: Scene) -> Mapping[str, str]:
    root = scene.box.spot.root
    labels = deep(root, "spec", "template", "metadata", "labels") or (deep(root, "metadata", "labels") if scene.kind == "Pod" else None)
    return {key.value: value.resolved.value for key, value in labels.pairs} if labels else {}


def _served(scene: Scene, services: list[Node]) -> Iterator[Record]:
    """Services that send to a port on which nothing of this pod is known to listen."""
    open_elsewhere = _other_ports(scene)
    for service in services:
        listed = deep(service, "spec", "ports")
        targets = [port.resolved.get("targetPort") or port.resolved.get("port") for port in (listed.items if listed else ())]
        known = [(node, scene.box.port_of(node.resolved.value)) for node in targets if node]
        if any(value == str(scene.port) for _, value in known):
            continue
        for node, value in known:
            if value.isdecimal() and len(value) < 6 and value not in open_elsewhere:
                name = (deep(service, "metadata") or service).text("name") or ""
                listens = f"vLLM in container {scene.name} listens on {scene.port}"
                yield scene.at(node, f"Service {name} sends to port {value}, and {listens}")


def _other_ports(scene: Scene) -> frozenset[str]:
    """Ports of the pod's other containers, and of those that are started before it and go on beside it."""
    lists = [scene.pod.get(key) if scene.pod else None for key in ("containers", "initContainers")]
    others = [item.resolved for held in lists for item in (held.resolved.items if held else ()) if item.resolved is not scene.node]
    listed = [ports.resolved.items for other in others if (ports := other.get("ports"))]
    return frozenset(port.text("containerPort") or "" for items in listed for port in items)


def _links(scene: Scene) -> Iterator[Record]:
    """A Service named vllm: Kubernetes then sets VLLM_PORT in every pod of the namespace, to a URL."""
    if scene.pod is not None and scene.pod.text("enableServiceLinks") == "false":
        return
    for document in scene.documents:
        metadata = document.get("metadata")
        if document.text("kind") == "Service" and metadata and metadata.text("name") == "vllm":
            said = "VLLM_PORT 'tcp://SERVICE:PORT' appears to be a URI: Kubernetes sets it in every pod beside a Service named vllm"
            yield scene.at(metadata, said)


# ---- Policies


def _policy(scene: Scene) -> Iterator[Record]:
    policy = scene.pod.get("restartPolicy") if scene.pod else None
    value = policy.resolved.value if policy else "Always"
    if policy and scene.kind in _ALWAYS and value != "Always":
        yield scene.at(policy, f"the restart policy of a {scene.kind} is {value[:40]}, and only Always is taken")
    elif policy and scene.kind == "Pod" and value in {"Never", "OnFailure"}:
        yield scene.at(policy, f"container {scene.name} is not started again by the restart policy {value}")
    yield from _rollout(scene)


def _rollout(scene: Scene) -> Iterator[Record]:
    """A rolling update that must start a new pod before it may end an old one. By default a quarter may be missing, rounded down."""
    spec = deep(scene.box.spot.root, "spec")
    gpus = scene.command.container.get("gpus", "")
    if scene.kind != "Deployment" or spec is None or not number(gpus, 0):
        return
    strategy, replicas = spec.get("strategy"), number(spec.text("replicas") or "1")
    kind = strategy.text("type") if strategy else None
    bounds = deep(strategy, "rollingUpdate")
    surge, missing = (bounds.text(key) if bounds else None for key in ("maxSurge", "maxUnavailable"))
    may_miss = not _is_none(missing or _SOME_MAY_MISS, replicas)
    if kind in {None, "RollingUpdate"} and surge not in {"0", "0%"} and not may_miss:
        said = (
            f"a rollout of Deployment {name_of(scene.box.spot.root)} starts the new pod before the old one ends, and each holds {gpus} GPUs"
        )
        yield scene.at(strategy or spec, said)


def _is_none(share: str, of: int) -> bool:
    """Whether a number or a percentage of pods, rounded down, is none."""
    percent = share.removesuffix("%")
    return (percent != share and number(percent) * of < 100) or share == "0"
