"""Where the model's files come from, and what the pod's volumes are."""

from __future__ import annotations

from collections.abc import Iterator

from qvl_doctor.launch.pods.kserve import KINDS as KSERVE_KINDS
from qvl_doctor.launch.pods.kserve import is_kserve
from qvl_doctor.launch.yamltext.yaml_tree import Node, deep, entries, text_at
from qvl_doctor.manifest.surroundings import Scene, number, quantity_of
from qvl_doctor.memory.units import GIB
from qvl_doctor.model import Record

#: Where the Hub's library keeps models unless a variable says otherwise: in the home of root, and of vLLM's images'
#: user.
_CACHES = ("/root/.cache/huggingface", "/home/vllm/.cache/huggingface")
_CACHE_VARIABLES = ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_XET_CACHE")
#: Where KServe puts the model that STORAGE_URI or a storageUri names.
_FETCHED = "/mnt/models/"
_ONE_NODE = frozenset(("ReadWriteOnce", "ReadWriteOncePod"))


def inspect_storage(scene: Scene) -> Iterator[Record]:
    """Observations of a container's mounts and its pod's volumes."""
    if scene.shape != "kubernetes" or scene.pod is None:
        return
    yield from _media(scene.pod, scene)
    if not scene.whole or is_kserve(scene.command):  # KServe adds a volume and fetches the model itself
        return
    yield from _undefined(scene)
    if scene.model.startswith("/"):
        yield from _path(scene)
    elif scene.model.count("/") == 1:
        yield from _download(scene)


def _media(pod: Node, scene: Scene) -> Iterator[Record]:
    """A medium that no kubelet supports; the API server accepts any word."""
    for volume in entries(pod, "volumes"):
        medium = deep(volume, "emptyDir", "medium")
        if medium and medium.value not in {"", "Memory"} and not medium.value.startswith("HugePages"):
            name = (volume.text("name") or "")[:80]
            yield scene.at(medium, "volume_medium_unknown", volume=name, medium=medium.value[:40])


def _undefined(scene: Scene) -> Iterator[Record]:
    """Mounts of volumes that the pod does not define: the API server refuses the object."""
    names = {volume.text("name") for volume in entries(scene.pod, "volumes")}
    names |= {
        text_at(template, "metadata", "name")
        for template in entries(scene.box.spot.root, "spec", "volumeClaimTemplates")
    }
    for mount in entries(scene.node, "volumeMounts"):
        name = mount.text("name")
        if name and name not in names:
            yield scene.at(mount, "volume_undefined", name=scene.name, volume=name[:80])


def _path(scene: Scene) -> Iterator[Record]:
    """A model that is a directory of the container."""
    name = scene.box.mount(scene.model)
    if name is None:
        if scene.kind in KSERVE_KINDS and f"{scene.model}/".startswith(_FETCHED):
            return
        yield scene.at(scene.node, "model_on_no_volume", model=scene.model[:200], name=scene.name)
        return
    volume = scene.box.volume(name)
    if volume is None:
        yield from _template(scene, name)
        return
    host = volume.get("hostPath")
    if host and not any(scene.pod and scene.pod.get(key) for key in ("nodeSelector", "nodeName", "affinity")):
        yield scene.at(host, "model_on_host_path", name=scene.name, path=(host.text("path") or "")[:200])
    yield from _claim(scene, volume)


def _download(scene: Scene) -> Iterator[Record]:
    """A model from the Hub: whether the download survives a restart, and whether there is room for it."""
    if scene.command.env.get("HF_HUB_OFFLINE") in {"1", "true", "True"}:
        return
    download = scene.arguments.get("download_dir")
    told = [scene.command.env[name] for name in _CACHE_VARIABLES if scene.command.env.get(name)]
    folders = [download] if isinstance(download, str) else told[:1] or _CACHES
    name = next(
        (
            name
            for folder in folders
            for each in (folder, f"{folder}/hub")
            if (name := scene.box.mount(each)) is not None
        ),
        None,
    )
    if name is None:
        yield scene.at(scene.node, "model_downloaded_each_start", name=scene.name, folder=folders[0][:120])
        return
    volume = scene.box.volume(name)
    yield from _template(scene, name) if volume is None else _claim(scene, volume)


def _claim(scene: Scene, volume: Node) -> Iterator[Record]:
    """A volume that is too small for the weights, or that only one node can use."""
    name = volume.text("name") or ""
    limit = deep(volume, "emptyDir", "sizeLimit")
    claim = deep(volume, "persistentVolumeClaim", "claimName")
    found = _object(scene, "PersistentVolumeClaim", claim.value) if claim else None
    asked = deep(found, "spec", "resources", "requests", "storage")
    yield from _small(scene, name, limit, asked)
    modes = deep(found, "spec", "accessModes")
    listed = [mode.value for mode in entries(modes)]
    asked_for = deep(scene.box.spot.root, "spec", "replicas")
    replicas = number(asked_for.value) if asked_for else 1
    if modes and claim and listed and set(listed) <= _ONE_NODE and replicas > 1 and scene.kind == "Deployment":
        found_claim, mode = claim.value[:80], listed[0]
        yield scene.at(modes, "claim_for_one_node", claim=found_claim, mode=mode, pods=replicas, name=scene.name)


def _small(scene: Scene, name: str, *sizes: Node | None) -> Iterator[Record]:
    for node in sizes:
        gib = quantity_of(node.value) / GIB if node else 0.0
        if node and 0 < gib < scene.weights_gib:
            weights = f"{scene.weights_gib:.0f}"
            yield scene.at(node, "volume_below_weights", volume=name[:80], size=f"{gib:.0f}", weights=weights)


def _template(scene: Scene, name: str) -> Iterator[Record]:
    """The claims that a StatefulSet makes for its pods."""
    for template in entries(scene.box.spot.root, "spec", "volumeClaimTemplates"):
        if text_at(template, "metadata", "name") == name:
            yield from _small(scene, name, deep(template, "spec", "resources", "requests", "storage"))


def _object(scene: Scene, kind: str, name: str) -> Node | None:
    """An object in the same text."""
    found = (
        each for each in scene.documents if each.text("kind") == kind and text_at(each, "metadata", "name") == name
    )
    return next(found, None)
