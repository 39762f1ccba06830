"""Whether a container's server can be reached: the address it listens on, and the Services that send it requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qvl_doctor.launch.yamltext.yaml_tree import Node, deep, entries, text_at
from qvl_doctor.manifest.surroundings import Scene
from qvl_doctor.model import Record

_LOCAL = frozenset(("127.0.0.1", "localhost", "::1"))


def inspect_services(scene: Scene) -> Iterator[Record]:
    """Observations of address, ports and Services."""
    services = [] if scene.shape != "kubernetes" or scene.pod is None else _services(scene)
    yield from _host(scene, services)
    if scene.shape != "kubernetes":
        return
    yield from _links(scene)
    if scene.alone and scene.port:  # otherwise a Service may be meant for another program or port
        yield from _served(scene, services)
    if services and scene.whole and not scene.node.get("readinessProbe"):
        yield scene.at(scene.node, "readiness_probe_missing", name=scene.name)


def _host(scene: Scene, services: list[Node]) -> Iterator[Record]:
    """A server on localhost that is asked from outside. Behind a proxy in the same pod that is fine."""
    host = scene.arguments.get("host")
    if scene.node.get("network_mode"):  # that of the host or of another service
        return
    if isinstance(host, str) and host in _LOCAL and _asked_from_outside(scene, services):
        yield scene.at(scene.node, "server_on_localhost", name=scene.name, host=host)


def _asked_from_outside(scene: Scene, services: list[Node]) -> bool:
    """Whether a published port, a probe or a Service leads to the server's port."""
    if scene.shape == "compose":
        return bool(entries(scene.node, "ports"))
    kinds = [
        deep(scene.node, f"{kind}Probe", way)
        for kind in ("startup", "liveness", "readiness")
        for way in ("httpGet", "tcpSocket")
    ]
    asked = [port for probe in kinds if probe and not probe.get("host") and (port := probe.get("port"))]
    asked += [
        port
        for service in services
        for each in entries(service, "spec", "ports")
        if (port := each.get("targetPort") or each.get("port"))
    ]
    return bool(scene.port) and any(scene.box.port_of(port.resolved.value) == str(scene.port) for port in asked)


def _services(scene: Scene) -> list[Node]:
    """The Services in the text that send requests to this pod."""
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
    labels = deep(root, "spec", "template", "metadata", "labels") or (
        deep(root, "metadata", "labels") if scene.kind == "Pod" else None
    )
    return {key.value: value.resolved.value for key, value in labels.pairs} if labels else {}


def _served(scene: Scene, services: list[Node]) -> Iterator[Record]:
    """Services that send to a port on which nothing of this pod is known to listen."""
    open_elsewhere = other_ports(scene)
    for service in services:
        targets = [port.get("targetPort") or port.get("port") for port in entries(service, "spec", "ports")]
        known = [(node, scene.box.port_of(node.resolved.value)) for node in targets if node]
        if any(value == str(scene.port) for _, value in known):
            continue
        for node, value in known:
            if value.isdecimal() and len(value) < 6 and value not in open_elsewhere:
                name = text_at(service, "metadata", "name")[:80]
                yield scene.at(
                    node, "service_on_other_port", service=name, asked=value, name=scene.name, port=scene.port
                )


def other_ports(scene: Scene) -> frozenset[str]:
    """Ports of the pod's other containers, including init containers that keep running."""
    listed = (*entries(scene.pod, "containers"), *entries(scene.pod, "initContainers"))
    others = (each for each in listed if each is not scene.node)
    return frozenset(port.text("containerPort") or "" for other in others for port in entries(other, "ports"))


def _links(scene: Scene) -> Iterator[Record]:
    """A Service named vllm: Kubernetes then sets VLLM_PORT in every pod of the namespace to a URL."""
    if scene.pod is not None and scene.pod.text("enableServiceLinks") == "false":
        return
    for document in scene.documents:
        metadata = deep(document, "metadata")
        if document.text("kind") == "Service" and metadata and metadata.text("name") == "vllm":
            yield scene.at(metadata, "service_named_vllm")
