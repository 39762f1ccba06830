"""`kubectl get pod -o json|yaml`: pods with the status that the cluster gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qvl_doctor.kube.pod import PLAIN_REASONS, Container, Pod, Probe, Start
from qvl_doctor.kube.times import moment
from qvl_doctor.kube.tree import Item

MAX_PODS = 2000
MAX_CONTAINERS = 50
_MOST_VALUES = 5000
_STATES = ("waiting", "running", "terminated")


def read_pods(objects: Iterable[Item]) -> list[Pod]:
    """The pods among the objects that have a status; a manifest has none."""
    pods = [item for item in objects if item.text("kind") == "Pod" and item.pairs("status")]
    return [_pod(item) for item in pods[:MAX_PODS]]


def _pod(item: Item) -> Pod:
    status = item.get("status")
    conditions = {condition.text("type"): condition for condition in status.items("conditions")}
    scheduled = conditions.get("PodScheduled", Item(None))
    containers = [
        *_containers(item, "initContainers", "initContainerStatuses", init=True),
        *_containers(item, "containers", "containerStatuses", init=False),
    ]
    owner = next((f"{each.text('kind')}/{each.text('name')}" for each in item.items("metadata", "ownerReferences")), "")
    return Pod(
        name=item.text("metadata", "name"),
        namespace=item.text("metadata", "namespace"),
        phase=status.text("phase"),
        reason=status.text("reason"),
        message=status.text("message"),
        node=item.text("spec", "nodeName"),
        unscheduled=scheduled.text("message") if scheduled.text("status") == "False" else "",
        containers=tuple(containers),
        grace=item.get("spec").number("terminationGracePeriodSeconds", default=30),
        owner=owner,
        line=(scheduled if scheduled.text("status") == "False" else status).get("message").line
        or status.get("reason").line
        or status.get("phase").line,
        newest=max(_times(item), default=0.0),
    )


def _containers(item: Item, named: str, reported: str, *, init: bool) -> Iterator[Container]:
    """The containers, including those without a status because the pod has no node."""
    specs = {spec.text("name"): spec for spec in item.items("spec", named)}
    states = {status.text("name"): status for status in item.items("status", reported)}
    for name in list({**specs, **states})[:MAX_CONTAINERS]:
        spec, status = specs.get(name, Item(None)), states.get(name, Item(None))
        yield Container(
            name=name,
            init=init,
            ready=status.text("ready") == "true",
            restarts=status.number("restartCount"),
            now=_start(status.get("state")),
            before=_start(status.get("lastState")),
            image=spec.text("image") or status.text("image"),
            command=" ".join(
                word.value for key in ("command", "args") for word in spec.items(key) if isinstance(word.value, str)
            ),
            memory_limit=spec.text("resources", "limits", "memory"),
            gpus=spec.text("resources", "limits", "nvidia.com/gpu"),
            probes=tuple(_probes(spec)),
        )


def _start(item: Item) -> Start:
    state = next((state for state in _STATES if state in item.pairs()), "")
    inner = item.get(state)
    code = inner.text("exitCode")
    telling = "exitCode" if code and inner.text("reason") in PLAIN_REASONS else "reason"
    return Start(
        state=state,
        reason=inner.text("reason"),
        message=inner.text("message"),
        exit_code=inner.number("exitCode") if code else None,
        signal=inner.number("signal"),
        started=moment(inner.text("startedAt")),
        ended=moment(inner.text("finishedAt")),
        line=inner.get(telling).line or inner.line,
    )


def _probes(spec: Item) -> Iterator[Probe]:
    for kind in ("startup", "liveness"):
        probe = spec.get(f"{kind}Probe")
        if probe.pairs():
            yield Probe(
                kind,
                probe.number("initialDelaySeconds"),
                probe.number("periodSeconds", default=10),
                probe.number("failureThreshold", default=3),
            )


def _times(item: Item) -> Iterator[float]:
    """All times in a pod: it was printed no earlier than the latest."""
    pending = [item]
    for _ in range(_MOST_VALUES):  # aliases can make a large tree of a small text
        if not pending:
            return
        value = pending.pop().value
        if isinstance(value, dict):
            pending += [each for key, each in value.items() if key != "spec"]
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str) and len(value) == 20 and value.endswith("Z"):
            found = moment(value)
            if found is not None:
                yield found
