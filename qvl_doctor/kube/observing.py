"""Pods and events → facts and observations about what is true now.

What is over is left out: a pod on a node was scheduled, a container that runs was pulled, and a probe that failed while
the model loaded without ending anything is part of every start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from qvl_doctor.kube.pod import PLAIN_REASONS, Container, Event, Pod, Probe, Start
from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.observations import observe

MAX_TOLD = 200
#: After this long, a container that runs and is not ready is reported, and a death before one that is ready no longer
#: is.
LONG_S = 1200
PAST_S = 3600
#: Exit code → the key of the observation, and the signal.
_SIGNALS: Mapping[int, tuple[str, str]] = {
    129: ("container_stopped", "SIGHUP"),
    130: ("container_stopped", "SIGINT"),
    132: ("container_crashed", "SIGILL"),
    134: ("container_crashed", "SIGABRT"),
    135: ("container_crashed", "SIGBUS"),
    136: ("container_crashed", "SIGFPE"),
    137: ("container_killed", "SIGKILL"),
    139: ("container_crashed", "SIGSEGV"),
    143: ("container_stopped", "SIGTERM"),
}
#: What the kubelet writes before the resource that a node lacks for a pod.
_OUT_OF = "OutOf"
#: A container that waits with one of these reasons is starting normally.
_USUAL = frozenset(("", "ContainerCreating", "PodInitializing"))
_NOT_STARTED = frozenset(("StartError", "ContainerCannotRun"))
#: How a container ends that a probe gave up on: its own answer to SIGTERM, or SIGKILL after the grace period.
_BY_PROBE = frozenset((0, 137, 143))
_KILLED_BY_PROBE = re.compile(r"failed (liveness|startup) probe, will be restarted")
_PROBE_FAILED = re.compile(r"(Liveness|Startup|Readiness) probe (?:failed|errored)")
#: An event → the events before it that are over.
_OVER = {
    "Scheduled": ("FailedScheduling",),
    "SuccessfulAttachVolume": ("FailedAttachVolume",),
    "Pulled": ("Failed", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"),
    "Created": ("Failed", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "InspectFailed"),
    "Started": ("Failed", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "InspectFailed"),
    "SuccessfulCreate": ("FailedCreate",),
}
_BEFORE_RUNNING = frozenset(
    ("FailedScheduling", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedCreatePodContainer")
)
#: Warnings that add nothing, and normal events that do.
_MUTE = frozenset(
    ("FailedToUpdateEndpointSlices", "DNSConfigForming", "FailedGetResourceMetric", "FailedComputeMetricsReplicas")
)
_TELLING = frozenset(("Killing", "Preempted", "TaintManagerEviction", "NodeNotReady", "Preempting"))
_ROUTINE = re.compile(
    r"Pulling|Successful|Scaling|Starting|Registered|Removing|Node(?:Has|Allocatable|Ready|Schedulable)"
    r"|(?:External)?Provisioning|WaitFor"
)
#: In lower case, as the table of events writes them.
_OF_PODS = frozenset(
    ("pod", "replicaset", "statefulset", "deployment", "job", "leaderworkerset", "node", "persistentvolumeclaim")
)


def observe_pods(pods: Sequence[Pod], events: Sequence[Event], now: float | None = None) -> Seen:
    """Facts and observations of pods and their events. If any of several pods runs vLLM, only those count."""
    mine = [pod for pod in pods if pod.serves] or list(pods)
    names = {pod.name for pod in mine}
    others = {pod.name for pod in pods} - names
    current = [event for event in _standing(events) if event.name not in others]
    clock = now or max([pod.newest for pod in mine] + [event.when or 0.0 for event in events], default=0.0)
    told: dict[str, Record] = {}
    for pod in mine:
        of_pod = [event for event in current if event.name == pod.name]
        for record in _of_pod(pod, of_pod, clock):
            told.setdefault(record.message, record)
    for event in current:
        if event.name not in names and not _is_probe(event):
            record = _event(event)
            told.setdefault(record.message, record)
    return Seen(_facts(mine), tuple(told.values())[:MAX_TOLD])


def _of_pod(pod: Pod, events: Sequence[Event], clock: float) -> Iterator[Record]:
    if pod.unscheduled and not pod.node:
        yield observe("pod_not_scheduled", pod.line, pod=pod.name, message=pod.unscheduled)
    message = pod.message or None
    if pod.reason == "Evicted":
        yield observe("pod_evicted", pod.line, pod=pod.name, message=message)
    elif pod.phase in {"Failed", "Unknown"} and pod.reason.startswith(_OUT_OF):
        resource = pod.reason.removeprefix(_OUT_OF)
        yield observe("pod_refused_by_node", pod.line, pod=pod.name, resource=resource, message=message)
    elif pod.phase in {"Failed", "Unknown"} and pod.reason:
        yield observe("pod_failed", pod.line, pod=pod.name, reason=pod.reason, message=message)
    for container in pod.containers:
        yield from _of_container(pod, container, events, clock)
    said = [event for event in events if _tells(pod, event)]
    yield from map(_event, said)
    if pod.phase == "Pending" and pod.node and not said:
        for container in pod.containers:
            if not container.init and container.now.state == "waiting" and container.now.reason == "ContainerCreating":
                yield observe("container_not_created", container.now.line, pod=pod.name, container=container.name)


def _of_container(pod: Pod, container: Container, events: Sequence[Event], clock: float) -> Iterator[Record]:
    who = _who(pod, container)
    now, death = container.now, container.death
    if now.state == "waiting" and now.reason not in _USUAL:
        yield observe("container_waiting", now.line, **who, reason=now.reason, message=now.message or None)
    if death.state and _matters(pod, container, death, clock):
        yield _end(pod, container, death)
        if death.message and death.reason not in _NOT_STARTED:
            yield observe("container_last_words", death.line, **who, message=death.message)
    since = clock - now.started if now.state == "running" and now.started and clock else 0.0
    if since >= LONG_S and not container.ready and not container.init:
        refused = next(
            (event.message for event in reversed(events) if event.message.startswith("Readiness probe")), None
        )
        more = {**who, "seconds": f"{since:.0f}", "restarts": str(container.restarts)}
        yield observe("container_not_ready", now.line, **more, message=refused)


def _who(pod: Pod, container: Container) -> dict[str, str]:
    """The values that name a container."""
    kind = "init-container" if container.init else "container"
    return {"pod": pod.name, "kind": kind, "container": container.name}


def _matters(pod: Pod, container: Container, death: Start, clock: float) -> bool:
    """Whether the end of a container is still news.

    It is not for an init container that did its work, or long before a good start.
    """
    if death is container.now:
        done = death.exit_code == 0
        return not (done and (container.init or pod.phase == "Succeeded"))
    if container.init:
        return container.now.state == "waiting"
    now = container.now
    return not (container.ready and now.started and clock - now.started >= PAST_S)


def _end(pod: Pod, container: Container, death: Start) -> Record:
    """How a container ended: by what, after how long, and which probe that fits."""
    code = death.exit_code if death.exit_code is not None else 128 + death.signal if death.signal else -1
    ended: dict[str, str] = {**_who(pod, container), "code": str(code), "restarts": str(container.restarts)}
    if death.reason in _NOT_STARTED:
        message = death.message or None
        return observe("container_not_started", death.line, **ended, reason=death.reason, message=message)
    lasted = None if death.lasted is None else f"{death.lasted:.0f}"
    if death.reason == "OOMKilled":
        limit = container.memory_limit or None
        return observe("container_killed_at_limit", death.line, **ended, seconds=lasted, limit=limit)
    key, signal = _SIGNALS.get(code, ("container_ended", ""))
    probe = _gave_up(pod, container, death) if code in _BY_PROBE and (signal or container.restarts) else None
    return observe(
        key,
        death.line,
        **ended,
        signal=signal or None,
        reason=None if death.reason in PLAIN_REASONS else death.reason,
        seconds=lasted,
        probe=probe.kind if probe else None,
        arithmetic=f"{probe.delay} s + {probe.failures} x {probe.period} s" if probe else None,
    )


def _gave_up(pod: Pod, container: Container, death: Start) -> Probe | None:
    """The probe whose last failure fits the container's end, if it never succeeded.

    The first failure may come up to one period after the delay; the container then has its grace period to end by
    itself.
    """
    lasted = death.lasted
    probe = next(iter(container.probes), None)  # a startup probe holds the liveness probe back
    if probe is None or lasted is None:
        return None
    first = probe.delay + probe.period * (probe.failures - 1)
    last = first + 2 * probe.period + (pod.grace if death.exit_code == 137 else min(pod.grace, 15)) + 5
    return probe if first - 2 <= lasted <= last else None


def _standing(events: Sequence[Event]) -> Iterator[Event]:
    """Events that no later one of the same object refutes; of one reason and kind of message, only the newest.

    They come oldest first.
    """
    over: dict[tuple[str, str], float] = {}
    for event in events:
        for reason in _OVER.get(event.reason, ()):
            over[event.name, reason] = event.order
    newest: dict[tuple[str, str, str], Event] = {}
    for event in events:
        if not event.message or event.kind.lower() not in _OF_PODS or event.reason in _MUTE or not _warns(event):
            continue
        if event.order < over.get((event.name, event.reason), float("-inf")):
            continue
        key = (event.name, event.reason, "" if event.reason == "FailedScheduling" else _kind(event.message))
        newest.pop(key, None)
        newest[key] = event
    yield from newest.values()


def _warns(event: Event) -> bool:
    return event.reason in _TELLING or (event.reason not in _OVER and not _ROUTINE.match(event.reason))


def _kind(message: str) -> str:
    """A message without its numbers and names, so that two of a kind are equal."""
    return re.sub(r'"[^"]*"|\d+', "", message)[:80]


def _tells(pod: Pod, event: Event) -> bool:
    """Whether an event says something about the pod as it is now."""
    container = max(pod.containers, key=lambda each: (each.serves, each.restarts), default=Container(""))
    if event.reason == "FailedScheduling":
        return not pod.node and not pod.unscheduled
    started = container.now.state == "running" or container.restarts > 0
    if event.reason in _BEFORE_RUNNING:
        return not started
    if event.reason == "Failed":
        return container.now.state != "running"
    if event.reason == "BackOff":
        return container.now.state != "running" or not pod.ready
    probe = _PROBE_FAILED.match(event.message)
    if probe:
        return (
            probe[1] != "Readiness"
            and not pod.ready
            and container.restarts > 0
            and container.death.exit_code in _BY_PROBE
            and container.death.reason != "OOMKilled"
        )
    if _KILLED_BY_PROBE.search(event.message):
        return container.death.reason != "OOMKilled"
    return event.reason != "Killing"


def _is_probe(event: Event) -> bool:
    """Whether an event alone only says that a server does not answer yet.

    Three failures of a liveness probe end a container.
    """
    probe = _PROBE_FAILED.match(event.message)
    if probe:
        return probe[1] != "Liveness" or event.times < 3
    return event.reason == "Killing" and not _KILLED_BY_PROBE.search(event.message)


def _event(event: Event) -> Record:
    return observe(
        "event",
        event.line,
        event.text,
        kind=event.kind.lower(),
        name=event.name,
        reason=event.reason,
        times=event.times if event.times > 1 else None,
        message=event.message,
    )


def _facts(pods: Iterable[Pod]) -> dict[str, Fact]:
    """Facts on one pod: the one in the worst state."""
    pod = max(pods, key=lambda each: (not each.ready, sum(one.restarts for one in each.containers)), default=None)
    if pod is None:
        return {}
    container = max(
        (one for one in pod.containers if not one.init),
        key=lambda each: (each.serves, each.restarts),
        default=Container(""),
    )
    death = container.death
    found: dict[str, str | int | float | None] = {
        "pod": pod.name,
        "pod_phase": pod.phase,
        "pod_node": pod.node,
        "pod_state": container.now.reason if container.now.state == "waiting" else container.now.state,
        "pod_ready": "yes" if pod.ready else "no",
        "pod_restarts": container.restarts if container.name else None,
        "pod_exit_code": death.exit_code,
        "pod_lasted_s": death.lasted,
    }
    return {name: Fact(value, "manifest", pod.line) for name, value in found.items() if value not in {None, ""}}
