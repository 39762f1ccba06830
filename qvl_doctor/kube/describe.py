"""The text of `kubectl describe pod`, read by its indentation. One text may hold several pods."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from qvl_doctor.kube import events
from qvl_doctor.kube.pod import PLAIN_REASONS, Container, Event, Pod, Probe, Start
from qvl_doctor.kube.times import moment

MAX_PODS = 2000
_LINE = re.compile(r"( *)([^\s:](?:[^:]|:(?=\S))*):(?: +(.*)|)$")
#: What every described pod has near its top, and hardly anything else has.
_START = re.compile(r"^Name: +\S+ *\r?\n", re.MULTILINE)
_OF_PODS = re.compile(r"^(?:Node|Containers|Init Containers|QoS Class|IPs):", re.MULTILINE)
_PROBE = re.compile(r"delay=(\d{1,6})s.{0,200}? period=(\d{1,6})s.{0,200}? #failure=(\d{1,6})")
_STATES = {"Waiting": "waiting", "Running": "running", "Terminated": "terminated"}
_NONE = frozenset(("<none>", "<unset>", "<unknown>"))


class _Field(NamedTuple):
    """`key: value` and what is indented below it. A line without a key is a field with an empty key."""

    key: str
    value: str
    line: int
    text: str
    depth: int
    inner: list[_Field]

    def find(self, key: str) -> _Field:
        return next((field for field in self.inner if field.key == key), _EMPTY)

    def said(self, key: str) -> str:
        value = self.find(key).value
        return "" if value in _NONE else value


_EMPTY = _Field("", "", 0, "", -1, [])


def is_described(text: str) -> bool:
    """Whether a text is what `kubectl describe pod` prints."""
    return bool(_START.search(text) and _OF_PODS.search(text) and ("\nNamespace:" in text))


def read_described(text: str) -> tuple[list[Pod], list[Event]]:
    """The pods of a text, and their events, oldest first."""
    pods: list[Pod] = []
    said: list[Event] = []
    for block in _blocks(text.split("\n")):
        root = _tree(block)
        name = root.said("Name")
        if not name or len(pods) >= MAX_PODS:
            continue
        below = _below(block, "Events:")
        found = sorted(events.read_described(below, name), key=lambda event: event.order)
        said += found
        if root.find("Containers").inner or root.said("Node") or root.said("Status"):
            pods.append(_pod(root, name, block))
    return pods, said


def _blocks(lines: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """The numbered lines of each pod; a pod begins with `Name:`."""
    block: list[tuple[int, str]] = []
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r ").replace("\t", "    ")
        if line.startswith("Name:"):
            if block:
                yield block
            block = []
        if line.strip():
            block.append((number, line[:4000]))
    if block:
        yield block


def _below(block: Sequence[tuple[int, str]], heading: str) -> list[tuple[int, str]]:
    at = next((index for index, (_, line) in enumerate(block) if line.startswith(heading)), len(block))
    end = next((index for index in range(at + 1, len(block)) if not block[index][1].startswith(" ")), len(block))
    return list(block[at + 1 : end])


def _tree(block: Sequence[tuple[int, str]]) -> _Field:
    root = _Field("", "", 0, "", -1, [])
    path = [root]
    for number, line in block:
        found = _LINE.match(line)
        depth = len(found[1]) if found else len(line) - len(line.lstrip())
        while len(path) > 1 and path[-1].depth >= depth:
            path.pop()
        field = _Field(
            found[2] if found else "",
            (found[3] or "").strip() if found else line.strip(),
            number,
            line.strip(),
            depth,
            [],
        )
        path[-1].inner.append(field)
        if found:
            path.append(field)
    return root


def _pod(root: _Field, name: str, block: Sequence[tuple[int, str]]) -> Pod:
    containers = [_container(field, init=True) for field in root.find("Init Containers").inner if field.key]
    containers += [_container(field, init=False) for field in root.find("Containers").inner if field.key]
    grace = re.match(r"lasts (\d{1,6})s", root.find("Termination Grace Period").value)
    return Pod(
        name=name,
        namespace=root.said("Namespace"),
        phase=root.said("Status").partition(" ")[0],
        reason=root.said("Reason"),
        message=root.said("Message"),
        node=root.said("Node").partition("/")[0],
        containers=tuple(containers),
        grace=int(grace[1]) if grace else 30,
        owner=root.said("Controlled By"),
        line=root.find("Message").line or root.find("Reason").line or root.find("Status").line,
        newest=max((moment(line.partition(":")[2].strip()) or 0.0 for _, line in block if ":" in line), default=0.0),
    )


def _container(field: _Field, *, init: bool) -> Container:
    restarts = field.said("Restart Count")
    words = [inner.text for key in ("Command", "Args") for inner in field.find(key).inner]
    return Container(
        name=field.key.strip(),
        init=init,
        ready=field.said("Ready") == "True",
        restarts=int(restarts) if restarts.isdecimal() and len(restarts) < 10 else 0,
        now=_start(field.find("State")),
        before=_start(field.find("Last State")),
        image=field.said("Image"),
        command=" ".join(words),
        memory_limit=field.find("Limits").said("memory"),
        gpus=field.find("Limits").said("nvidia.com/gpu"),
        probes=tuple(_probes({"startup": field.said("Startup"), "liveness": field.said("Liveness")})),
    )


def _start(field: _Field) -> Start:
    state = _STATES.get(field.value, "")
    if not state:
        return Start()
    code, signal, reason = field.said("Exit Code"), field.said("Signal"), field.find("Reason")
    return Start(
        state=state,
        reason=field.said("Reason"),
        message=_whole(field, "Message"),
        exit_code=int(code) if code.removeprefix("-").isdecimal() and len(code) < 10 else None,
        signal=int(signal) if signal.isdecimal() and len(signal) < 4 else 0,
        started=moment(field.said("Started")),
        ended=moment(field.said("Finished")),
        line=(field.find("Exit Code") if code and reason.value in PLAIN_REASONS else reason).line or field.line,
    )


def _whole(field: _Field, key: str) -> str:
    """A text that may continue on the lines below."""
    found = field.find(key)
    if not found.line:
        return ""
    after = [inner.text for inner in found.inner]
    index = field.inner.index(found)
    for other in field.inner[index + 1 :]:
        if other.key in {"Exit Code", "Started", "Finished", "Signal"}:
            break
        after.append(other.text)
    return " ".join([found.value, *after])[:4000]


def _probes(said: Mapping[str, str]) -> Iterator[Probe]:
    for kind, text in said.items():
        found = _PROBE.search(text)
        if found:
            yield Probe(kind, int(found[1]), int(found[2]), int(found[3]))
