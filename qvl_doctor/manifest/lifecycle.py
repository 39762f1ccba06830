"""A container's image and script, whether it is restarted, and how a new version replaces the old one."""

from __future__ import annotations

from collections.abc import Iterator

from qvl_doctor import knowledge
from qvl_doctor.launch.yamltext.yaml_tree import deep, text_at
from qvl_doctor.manifest.surroundings import Scene, number
from qvl_doctor.model import Record

#: The share of pods that may be missing during a rollout, unless the Deployment says otherwise.
_SOME_MAY_MISS = "25%"
#: Kinds whose pods Kubernetes always restarts; it accepts no other policy for them.
_ALWAYS = frozenset(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"))


def inspect_lifecycle(scene: Scene) -> Iterator[Record]:
    """Observations of image, script and policies."""
    yield from _image(scene)
    if not scene.alone:
        yield scene.at(scene.node, "vllm_in_background", name=scene.name)
    if scene.shape == "kubernetes":
        yield from _policy(scene)
        yield from _rollout(scene)


def _image(scene: Scene) -> Iterator[Record]:
    image = scene.node.get("image")
    tag = (scene.command.image or "").rpartition("/")[2]
    if image and tag and (":" not in tag or tag.endswith(":latest")) and "@" not in tag:
        yield scene.at(image, "image_without_release", name=scene.name, image=tag[:200])
    architecture = scene.card.shape.architecture if scene.card else ""
    span = knowledge.architecture(architecture) if architecture else None
    if image and scene.release and span and not knowledge.serves(span, scene.release):
        yield scene.at(image, "image_without_architecture", architecture=architecture)


def _policy(scene: Scene) -> Iterator[Record]:
    policy = scene.pod.get("restartPolicy") if scene.pod else None
    value = policy.resolved.value if policy else "Always"
    if policy and scene.kind in _ALWAYS and value != "Always":
        yield scene.at(policy, "restart_policy_refused", kind=scene.kind, policy=value[:40])
    elif policy and scene.kind == "Pod" and value in {"Never", "OnFailure"}:
        yield scene.at(policy, "pod_not_restarted", name=scene.name, policy=value)


def _rollout(scene: Scene) -> Iterator[Record]:
    """A rolling update that must start a new pod before it may end an old one.

    By default a quarter of the pods may be missing, rounded down.
    """
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
        name = text_at(scene.box.spot.root, "metadata", "name")
        yield scene.at(strategy or spec, "rollout_doubles_gpus", name=name[:80], gpus=gpus)


def _is_none(share: str, of: int) -> bool:
    """Whether a number or a percentage of pods, rounded down, is none."""
    percent = share.removesuffix("%")
    return (percent != share and number(percent) * of < 100) or share == "0"
