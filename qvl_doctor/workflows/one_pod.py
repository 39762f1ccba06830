"""A pod: what the cluster says of it, and the logs of its last two starts, as one diagnosis.

The log of the start that ended last says why. Where that start is over and the next one runs, the older log is asked
first; the newer one only if it shows a failure of its own, or if the older one is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from qvl_doctor import rulebook
from qvl_doctor.diagnose.examining import examine
from qvl_doctor.diagnose.streams import Streams
from qvl_doctor.diagnose.verdict import POD, concluded, of_pod, without
from qvl_doctor.errors import InputError
from qvl_doctor.kube.kubectl import Kubectl
from qvl_doctor.kube.observing import PAST_S, observe_pods
from qvl_doctor.kube.pod import Container, Pod
from qvl_doctor.kube.selection import Chosen, choose, container_of, events_of
from qvl_doctor.kube.tree import as_json
from qvl_doctor.launch.command import LaunchError
from qvl_doctor.launch.observing import observe_command
from qvl_doctor.manifest.inspection import Inspected, inspect_manifest
from qvl_doctor.messages import both
from qvl_doctor.model import NOTHING, Diagnosis, Facts, Line, Rule, Seen, Text
from qvl_doctor.observations import key_of
from qvl_doctor.workflows.advice import advised
from qvl_doctor.workflows.log import feed

_MAX_NAMED = 5


class Asked(NamedTuple):
    """What is asked of the cluster.

    `words` name the pod or its owner; `tail` is -1 for the whole log; `now` the time of the check.
    """

    words: tuple[str, ...] = ()
    selector: str = ""
    container: str = ""
    tail: int = -1
    redacting: bool = True
    now: float = 0.0


def diagnose(
    kubectl: Kubectl,
    asked: Asked,
    *,
    packages: Facts = NOTHING,
    rules: Sequence[Rule] = (),
    ignore: Collection[str] = (),
) -> Diagnosis:
    """The diagnosis of the pod that is meant. Raises InputError if there is none, or the cluster cannot be asked."""
    rules = rules or rulebook.shipped(packed=True)
    chosen = choose(kubectl, asked.words, asked.selector)
    notes: list[Text] = []
    try:
        events = events_of(kubectl, chosen)
    except InputError as error:
        events = []
        notes.append(both("kube.no_events", reason=_reason(error)))
    if chosen.pod is None:
        notes.append(both("kube.no_pods_yet", owner=chosen.asked))
        found = of_pod(examine(chosen.asked, _here(observe_pods([], events, asked.now)), rules, packages))
        return without(found, ignore)._replace(not_checked=tuple(notes))
    pod = chosen.pod
    container = container_of(pod, asked.container)
    if chosen.others:
        notes.append(_several(chosen, pod))
    looked = _looked(chosen, container)
    seen = _here(observe_pods([pod], events, asked.now))
    if looked:
        seen = _here(_spec(looked, pod, container)) | seen
    reading = _Reading(kubectl, asked, pod, container, rules, packages)
    found = without(_settled(reading.diagnosis(seen), pod, container, asked.now), ignore)
    found = advised(found, None, looked.command if looked else None)
    return found._replace(source=f"pod/{pod.name}", not_checked=(*notes, *reading.notes, *found.not_checked))


class _Reading:
    """One container: its logs, and what is to be said about reading them."""

    def __init__(
        self,
        kubectl: Kubectl,
        asked: Asked,
        pod: Pod,
        container: Container,
        rules: Sequence[Rule],
        packages: Facts,
    ) -> None:
        self._kubectl, self._asked, self._pod, self._container = kubectl, asked, pod, container
        self._rules, self._known = rules, packages
        self.notes: list[Text] = []

    def diagnosis(self, seen: Seen) -> Diagnosis:
        """The diagnosis of what was seen, with whichever log tells most."""
        container = self._container
        running = container.now.state == "running"
        if not running and not container.death.state:
            return examine(self._pod.name, seen, self._rules, self._known)  # it never started, so there is no log
        current = self._read("kube.no_log")
        if running and container.restarts:
            since = self._asked.now - container.now.started if container.now.started else 0.0
            before = None if container.ready and since >= PAST_S else self._read("kube.no_previous", "--previous")
            if before and not (current and current.finish("").verdict == "failed"):
                self.notes.append(both("kube.again", number=container.restarts + 1, seconds=f"{since:.0f}"))
                current = before
        if current is None:
            return examine(self._pod.name, seen, self._rules, self._known)
        current.see(seen)
        return current.finish(self._pod.name)

    def _read(self, note: str, *options: str) -> Streams | None:
        """An engine that was fed a log as it came; None if that log says nothing."""
        tail = (f"--tail={self._asked.tail}",) if self._asked.tail >= 0 else ()
        engine = Streams(self._rules, self._known)
        chunks = self._kubectl.stream("logs", self._pod.name, "-c", self._container.name, *options, *tail)
        feed(chunks, engine, redacting=self._asked.redacting)
        trouble = self._kubectl.trouble
        if trouble:
            self.notes.append(both(note, reason=_reason(trouble)))
        return None if engine.empty else engine


def _settled(found: Diagnosis, pod: Pod, container: Container, now: float) -> Diagnosis:
    """The diagnosis with what the cluster says, where the log alone cannot know.

    A log of something that still runs has no end.
    """
    if not found.runs:
        return of_pod(found)
    found = concluded(found, kind=POD, ready=pod.ready)
    if found.verdict != "unknown" or container.now.state != "running" or not container.now.started or not now:
        return found
    pointless = (both("not_checked.early_end"), both("look_at.cut_off"))
    notes = tuple(note for note in found.not_checked if note not in pointless)
    starting = both("kube.starting", seconds=f"{now - container.now.started:.0f}")
    return concluded(found._replace(not_checked=notes), reason=starting)


def _looked(chosen: Chosen, container: Container) -> Inspected | None:
    """What the container starts and what is around it, where that can be read."""
    try:
        found = inspect_manifest(as_json(chosen.item))
    except LaunchError:
        return None
    return next((each for each in found if (each.command.where or "").rpartition("/")[2] == container.name), None)


def _spec(looked: Inspected, pod: Pod, container: Container) -> Seen:
    """What of the spec matters now: of a pod that is ready, its command alone.

    Whether a container that started has a GPU, its log says.
    """
    if pod.ready:
        return observe_command(looked.command, looked.release)
    started = container.now.state == "running" or bool(container.death.state)
    kept = tuple(each for each in looked.seen.observations if not (started and key_of(each) == "pod_without_gpu"))
    return looked.seen._replace(observations=kept)


def _here(seen: Seen) -> Seen:
    """What was seen, without lines: no one has the text that they count."""
    facts = {name: fact._replace(line=0) for name, fact in seen.facts.items()}
    return Seen(facts, tuple(record._replace(lines=(Line(0, ""),)) for record in seen.observations))


def _several(chosen: Chosen, pod: Pod) -> Text:
    names = [f"{each.name} ({_state(each)})" for each in chosen.others[:_MAX_NAMED]]
    rest = len(chosen.others) - len(names)
    return both(
        "kube.several",
        count=len(chosen.others) + 1,
        pod=pod.name,
        others=", ".join(names) + (f" … +{rest}" if rest else ""),
    )


def _state(pod: Pod) -> str:
    container: Container = container_of(pod, "")
    return "Ready" if pod.ready else pod.reason or container.now.reason or pod.phase


def _reason(error: InputError | None) -> str:
    return error.values.get("reason") or error.key.rpartition(".")[2].replace("_", " ") if error else ""
