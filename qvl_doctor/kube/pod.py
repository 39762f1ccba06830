"""A pod as the cluster reports it: the values between the readers and `observing.py`."""

from __future__ import annotations

from typing import NamedTuple

#: Reasons that say no more than the exit code.
PLAIN_REASONS = frozenset(("", "Error", "Completed"))


class Start(NamedTuple):
    """One start of a container. `state` is waiting, running, terminated or "" (there was none).

    `line` is the most telling one: that of the reason, or of the exit code if the reason says no more.
    """

    state: str = ""
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    signal: int = 0
    started: float | None = None
    ended: float | None = None
    line: int = 0

    @property
    def lasted(self) -> float | None:
        """How many seconds it ran, if both ends are known."""
        if self.started is None or self.ended is None or self.ended < self.started:
            return None
        return self.ended - self.started


class Probe(NamedTuple):
    """A probe that ends the container when it fails: liveness or startup."""

    kind: str
    delay: int = 0
    period: int = 10
    failures: int = 3


class Container(NamedTuple):
    """A container with its present start and the one before."""

    name: str
    init: bool = False
    ready: bool = False
    restarts: int = 0
    now: Start = Start()
    before: Start = Start()
    image: str = ""
    command: str = ""
    memory_limit: str = ""
    gpus: str = ""
    probes: tuple[Probe, ...] = ()

    @property
    def serves(self) -> bool:
        """Whether vLLM runs here, judging by name, image, command and GPUs."""
        return not self.init and (bool(self.gpus) or "vllm" in f"{self.name} {self.image} {self.command}".lower())

    @property
    def death(self) -> Start:
        """How it ended last; a Start without state if it never did."""
        return next((start for start in (self.now, self.before) if start.state == "terminated"), Start())


class Pod(NamedTuple):
    """A pod and its containers. `unscheduled` is why it has no node."""

    name: str
    namespace: str = ""
    phase: str = ""
    reason: str = ""
    message: str = ""
    node: str = ""
    unscheduled: str = ""
    containers: tuple[Container, ...] = ()
    grace: int = 30
    owner: str = ""
    line: int = 0
    newest: float = 0.0

    @property
    def serves(self) -> bool:
        return any(container.serves for container in self.containers)

    @property
    def ready(self) -> bool:
        own = [container for container in self.containers if not container.init]
        return bool(own) and all(container.ready for container in own)


class Event(NamedTuple):
    """An event. `order` grows with its last time, on whatever clock; `kind` may be in lower case."""

    reason: str
    message: str
    kind: str = "Pod"
    name: str = ""
    times: int = 1
    order: float = 0.0
    when: float | None = None
    line: int = 0
    text: str = ""
