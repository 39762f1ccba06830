"""The vLLM command as a value: what was started, with which model, flags and environment, and where that was written.

A command is read (`reading`), edited (`editing`), checked (`checking`) and written (`writing`, `patching`). It refers
to the text that it came from, so that writing it back changes that text only where the command was changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from qvl_doctor.late import late_pattern

#: Larger inputs are refused: no command is that long, and no manifest that people write.
MAX_SIZE = 512 * 1024
_VLLM_IMAGE = late_pattern(r"(?:^|[_.-])vllm", re.IGNORECASE)
#: Words that may be before vLLM, or in its place.
_BESIDE_VLLM = late_pattern(r"mock|simulat|router|proxy|exporter|operator", re.IGNORECASE)


class Place(NamedTuple):
    """A place: line and column of a text (from 1), or the index of an argument. 0 and -1 mean unknown."""

    line: int = 0
    column: int = 0
    argument: int = -1

    def __str__(self) -> str:
        if self.line:
            return f"{self.line}:{self.column}"
        return f"[{self.argument}]" if self.argument >= 0 else ""


NOWHERE = Place()


class LaunchError(ValueError):
    """An input that no command can be read from. `kind` says why, `place` where; `detail` is the wrong text."""

    def __init__(self, kind: str, place: Place = NOWHERE, detail: str = "") -> None:
        super().__init__(": ".join(part for part in (str(place), kind, detail[:80]) if part))
        self.kind = kind
        self.place = place
        self.detail = detail[:80]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a command. Fields that mean nothing for this kind are empty; `checking` lists the kinds.

    `first` and `last` are releases that have the flag, `replacement` is what to write instead, `expected` is a kind of
    value or the choices.
    """

    kind: str
    flag: str = ""
    value: str = ""
    place: Place = NOWHERE
    first: str = ""
    last: str = ""
    replacement: str = ""
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `name` is canonical (`--max-model-len`; a negative keeps its `--no-`), `spelled` as the user wrote it.

    `form`: separate (`--x 1`), equals (`--x=1`), bare (`--x`), attached (`-O3`). A word that belongs to no flag has no
    name. `at` is the index of its first word in the arguments that were read, -1 for a flag that was added.
    """

    name: str
    values: tuple[str, ...] = ()
    spelled: str = ""
    form: str = "separate"
    at: int = field(default=-1, compare=False)

    @property
    def keys(self) -> tuple[str, ...]:
        """The path after a dotted flag: `--speculative-config.model` -> ("model",)."""
        return tuple(self.spelled.split(".")[1:])

    @property
    def value(self) -> str | None:
        """The value as one text; None if there is none."""
        return " ".join(self.values) if self.values else None

    @property
    def words(self) -> tuple[str, ...]:
        """The flag as words of a command line."""
        if self.form == "equals":
            return (f"{self.spelled}={self.values[0]}",)
        if self.form == "attached":
            return (self.spelled + self.values[0],)
        return (*([self.spelled] if self.name else []), *self.values)


class Reading(NamedTuple):
    """What `argv` reads out of words. `counts`: how many words each flag has; `end`: where a new flag goes."""

    program: tuple[str, ...]
    model: str | None
    model_at: int
    flags: tuple[Flag, ...]
    counts: tuple[int, ...]
    end: int
    problems: tuple[Problem, ...] = ()


class Splice(NamedTuple):
    """Replaces the arguments from `start` to `stop` by others. `groups` belong together: a flag and its values."""

    start: int
    stop: int
    groups: tuple[tuple[str, ...], ...]


class Changes(NamedTuple):
    """How a command differs from what was read.

    None removes a variable. `options` are new ones of `docker run`, each with its value.
    """

    splices: tuple[Splice, ...] = ()
    env: Mapping[str, str | None] = {}
    image: str = ""
    options: tuple[tuple[str, ...], ...] = ()


class Edit(NamedTuple):
    """Replaces a piece of a text."""

    start: int
    stop: int
    text: str


class Source(Protocol):
    """Where a command was read from, and how to write a changed one there."""

    @property
    def shape(self) -> str:
        """Which kind of input it is: argv, shell, docker, kubernetes, compose, log."""

    @property
    def text(self) -> str:
        """The whole input; "" if there is none to write back to."""

    @property
    def words(self) -> Sequence[str]:
        """The words that `Flag.at` counts."""

    @property
    def reading(self) -> Reading:
        """What was read from the words."""

    @property
    def env(self) -> Mapping[str, str]:
        """The environment that was read."""

    @property
    def image(self) -> str:
        """The image that was read; "" if there is none."""

    @property
    def problems(self) -> Sequence[Problem]:
        """What is wrong with the way the command is written."""

    def raw(self, index: int) -> str:
        """A word as a shell reads it, with its quotes; "" if it is not shell text."""

    def place(self, index: int) -> Place:
        """The place of a word in the text."""

    def edits(self, changes: Changes) -> Sequence[Edit]:
        """The edits of the text that make the changes."""


@dataclass(frozen=True, slots=True)
class Command:
    """A vLLM server's command line and surroundings.

    `program` is everything before the arguments (`exec vllm serve`); it is empty if an image's entry point is the
    program. `env` is what the command, its shell or its container sets. `container` says what else is known of the
    container: name, gpus, shm-size, ipc. `where` names the place in a larger file: `Deployment/qwen-vl/qwen-vl-vllm`,
    `services/vllm`, or the line in a shell text. `pod` names the patches to make around the command
    (`pods/patches.py`). `start_s` is how many seconds a start takes, if a log showed it.
    """

    program: tuple[str, ...]
    model: str | None
    flags: tuple[Flag, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    where: str = field(default="", compare=False)
    container: Mapping[str, str] = field(default_factory=dict)
    source: Source | None = field(default=None, compare=False, repr=False)
    pod: tuple[str, ...] = ()
    start_s: float = field(default=0.0, compare=False)

    def flag(self, name: str) -> Flag | None:
        """The last flag of a name, which is the one that counts. None if there is none."""
        return next((flag for flag in reversed(self.flags) if flag.name == name), None)

    def value(self, name: str) -> str | None:
        """The value of a flag that counts; None if the flag is missing or has none."""
        found = self.flag(name)
        return found.value if found else None

    @property
    def positional(self) -> str | None:
        """The model, if it is given without its flag."""
        return None if self.model == self.value("--model") else self.model

    @property
    def words(self) -> Iterator[str]:
        """Program, model and flags as the words of a command line."""
        yield from self.program
        if self.positional is not None:
            yield self.positional
        for flag in self.flags:
            yield from flag.words


def splice_text(text: str, edits: Sequence[Edit]) -> str:
    """The text with the edits made. Of two at one place the first comes first; an overlapping one is left out."""
    pieces, at = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.stop)):
        if edit.start >= at:
            pieces += [text[at : edit.start], edit.text]
            at = edit.stop
    return "".join([*pieces, text[at:]])


def gpus_needed(command: Command, nodes: int = 1) -> int:
    """GPUs that a command uses in one of `nodes` pods that work together; 0 if it does not say.

    Tensor × pipeline × data parallel ranks.
    """
    sizes = [size_of(command, name) for name in ("--tensor-parallel-size", "--pipeline-parallel-size", "--nnodes")]
    data = size_of(
        command, "--data-parallel-size-local" if command.value("--data-parallel-size-local") else "--data-parallel-size"
    )
    if command.value("--data-parallel-rank") is not None:  # each rank is a server of its own
        data = 1
    return max(1, sizes[0] * sizes[1] // max(nodes, sizes[2])) * data if all(sizes) else 0


def serves(image: str) -> bool:
    """Whether an image starts vLLM's server, by its name. Routers, mocks and the like also have vLLM in their names."""
    name = image.rsplit("/", 1)[-1]
    return bool(_VLLM_IMAGE.search(name)) and not _BESIDE_VLLM.search(name)


def is_for_cpu(command: Command) -> bool:
    """Whether image or variables say that a vLLM for CPUs runs."""
    return "cpu" in (command.image or "").lower() or any(name.startswith("VLLM_CPU_") for name in command.env)


def size_of(command: Command, name: str, otherwise: int = 1) -> int:
    """A flag's whole number, `otherwise` if it is not given; 0 if a variable or a file of flags (--config) holds it."""
    value = command.value(name)
    if value is None:
        return 0 if command.value("--config") else otherwise
    return int(value) if value.isdecimal() and len(value) < 7 else 0
