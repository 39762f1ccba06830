"""Which pod is meant: a name, an owner such as deploy/NAME, a selector, or the vLLM pod in the worst state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

from qvl_doctor.errors import InputError
from qvl_doctor.kube.kubectl import Kubectl
from qvl_doctor.kube.pod import Container, Event, Pod
from qvl_doctor.kube.status import read_pods
from qvl_doctor.kube.tree import Item, of_json

_NAME = re.compile(r"[a-zA-Z0-9](?:[\w.-]{0,251}[a-zA-Z0-9])?")
_PODS = frozenset(("pod", "pods", "po"))
_FINISHED = frozenset(("Succeeded", "Failed"))
_OPERATORS = {"In": "in", "NotIn": "notin"}


class Chosen(NamedTuple):
    """The pod and what else matched. `pod` is None if an owner has no pods; `item` is the pod's object."""

    asked: str
    pod: Pod | None
    item: Item
    others: tuple[Pod, ...] = ()
    owner: str = ""


def choose(kubectl: Kubectl, words: Sequence[str], selector: str) -> Chosen:
    """The pod that is meant. Raises InputError."""
    kind, name = _asked(words)
    if name and kind in _PODS:
        return _named(kubectl, name)
    asked, owner = selector or "pods", ""
    if name:
        owner = asked = f"{kind}/{name}"
        found = of_json(kubectl.read("get", kind, name, "-o", "json"))
        selector = selector_of(found[0].get("spec", "selector")) if found else ""
        if not selector:
            raise InputError("error_kube.no_selector", path=owner)
    items = of_json(kubectl.read("get", "pods", *(("-l", selector) if selector else ()), "-o", "json"))
    pods = read_pods(items)
    if not pods and owner:
        return Chosen(asked, None, Item(None), owner=name)
    if not pods:
        raise InputError("error_kube.no_pods", path=asked)
    ranked = sorted(pods, key=_worst, reverse=True)
    serving = [pod for pod in ranked if pod.serves]
    others = tuple(pod for pod in serving or ranked if pod is not ranked[0])
    item = next(each for each in items if each.text("metadata", "name") == ranked[0].name)
    return Chosen(asked, ranked[0], item, others)


def container_of(pod: Pod, name: str) -> Container:
    """The container that is asked for, or the one that runs vLLM. Raises InputError if there is none of that name."""
    if not name:
        own = [container for container in pod.containers if not container.init]
        return max(own, key=lambda each: (each.serves, each.restarts), default=Container(""))
    found = next((container for container in pod.containers if container.name == name), None)
    if found is None and pod.containers:
        raise InputError("error_kube.no_container", path=name, names=", ".join(each.name for each in pod.containers))
    return found or Container(name)


def events_of(kubectl: Kubectl, chosen: Chosen) -> list[Event]:
    """The events of the pod; if an owner has no pods, of everything named after the owner. Raises InputError."""
    from qvl_doctor.kube.events import read_events

    if chosen.pod:
        which = f"involvedObject.name={chosen.pod.name}"
        return read_events(of_json(kubectl.read("get", "events", "--field-selector", which, "-o", "json")))
    found = read_events(of_json(kubectl.read("get", "events", "-o", "json")))
    return [event for event in found if event.name == chosen.owner or event.name.startswith(f"{chosen.owner}-")]


def selector_of(item: Item) -> str:
    """A selector for kubectl's -l: from matchLabels and matchExpressions, or from a Service's plain map."""
    labels = item.pairs("matchLabels") or {
        key: value for key, value in item.pairs().items() if isinstance(value.value, str)
    }
    parts = [f"{key}={value.value}" for key, value in labels.items()]
    for each in item.items("matchExpressions"):
        key, operator = each.text("key"), each.text("operator")
        values = ",".join(value.value for value in each.items("values") if isinstance(value.value, str))
        if operator in _OPERATORS:
            parts.append(f"{key} {_OPERATORS[operator]} ({values})")
        elif operator in {"Exists", "DoesNotExist"}:
            parts.append(key if operator == "Exists" else f"!{key}")
    return ",".join(parts)


def _asked(words: Sequence[str]) -> tuple[str, str]:
    """(kind, name) of `NAME`, `KIND/NAME` or `KIND NAME`; two empty texts for nothing."""
    if not words:
        return "pod", ""
    kind, slash, name = words[0].partition("/")
    pair = (kind.lower(), name) if slash else ("pod", words[0]) if len(words) == 1 else (words[0].lower(), words[1])
    if len(words) > (1 if slash else 2) or not all(_NAME.fullmatch(part) for part in pair):
        raise InputError("error_kube.target", path=" ".join(words))
    return pair


def _named(kubectl: Kubectl, name: str) -> Chosen:
    try:
        items = of_json(kubectl.read("get", "pod", name, "-o", "json"))
    except InputError as error:
        if error.key == "error_kube.not_found":
            raise InputError("error_kube.no_pod", path=name, near=_near(kubectl, name)) from None
        raise
    pods = read_pods(items)
    if not pods:
        raise InputError("error_kube.failed", path=name, reason="no pod")
    return Chosen(name, pods[0], items[0])


def _near(kubectl: Kubectl, name: str) -> str:
    """Similar names of pods, or all if they are few; "-" if there are none."""
    try:
        names = [line.rpartition("/")[2] for line in kubectl.read("get", "pods", "-o", "name").split()]
    except InputError:
        return "-"
    starting = [each for each in names if each.startswith(name)]
    return ", ".join((starting or get_close_matches(name, names, n=5, cutoff=0.4) or names)[:5]) or "-"


def _worst(pod: Pod) -> tuple[bool, bool, bool, bool, int]:
    """Larger for a pod that needs attention: vLLM, still there, not ready, with a death to explain, restarted often."""
    container = container_of(pod, "")
    died = bool(container.death.state) or container.restarts > 0
    return pod.serves, pod.phase not in _FINISHED, not pod.ready, died, container.restarts
