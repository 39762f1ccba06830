"""`docker run …`: image, environment and what else matters to vLLM, and how to change them there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from qvl_doctor.launch import argv
from qvl_doctor.launch.command import Changes, Command, Edit, Place, Problem, Reading, Source, Splice, serves
from qvl_doctor.launch.shell.lexer import parts
from qvl_doctor.launch.shell.shell_texts import ShellText

_PROGRAMS = frozenset(("docker", "podman", "nerdctl", "nvidia-docker", "docker.exe"))
_VERBS = frozenset(("run", "create"))
#: The options of `docker run` that take no value (docker 29, podman 5). All others take one.
_BARE = frozenset(
    (
        *(
            "--detach",
            "--disable-content-trust",
            "--help",
            "--init",
            "--interactive",
            "--no-healthcheck",
            "--no-hosts",
            "--no-hostname",
        ),
        *(
            "--oom-kill-disable",
            "--privileged",
            "--publish-all",
            "--quiet",
            "--read-only",
            "--read-only-tmpfs",
            "--replace",
            "--rm",
            "--rmi",
        ),
        *(
            "--rootfs",
            "--sig-proxy",
            "--tls-verify",
            "--tty",
            "--use-api-socket",
            "--env-host",
            "--http-proxy",
            "--passwd",
        ),
    )
)
_BARE_LETTERS = frozenset("ditPq")
#: What else is reported of a container: option -> name.
_FACTS = {
    "--gpus": "gpus",
    "--runtime": "runtime",
    "--device": "device",
    "--shm-size": "shm-size",
    "--ipc": "ipc",
    "--name": "name",
    "--memory": "memory",
    "-m": "memory",
}
_MOUNTS = frozenset(("-v", "--volume", "--mount"))
_SHM = "/dev/shm"  # noqa: S108 — nothing is written there


class Run(NamedTuple):
    """The parts of a `docker run` among its words. `env` holds (index of NAME=VALUE, index of its option, option)."""

    image: int
    entrypoint: str
    env: Mapping[str, tuple[int, int, str]]
    facts: Mapping[str, str]


def parse(words: Sequence[str]) -> Run | None:
    """The parts of a `docker run` (or podman, nerdctl) with an image; None if the words are none."""
    start = next((at for at, word in enumerate(words) if word.rpartition("/")[2] in _PROGRAMS), -1)
    if start < 0:
        return None
    verb = start + 1 + (list(words[start + 1 : start + 2]) == ["container"])
    if verb >= len(words) or words[verb] not in _VERBS:
        return None
    env: dict[str, tuple[int, int, str]] = {}
    facts: dict[str, str] = {}
    entrypoint, at = "", verb + 1
    while at < len(words) and words[at].startswith("-"):
        option, value, value_at, following = _option(words, at)
        if option in {"-e", "--env"}:
            name, equals, _ = value.partition("=")
            if equals:
                env[name] = (value_at, at, option)
        elif option == "--entrypoint":
            entrypoint = value
        elif option in _FACTS:
            facts[_FACTS[option]] = value
        elif option in _MOUNTS and _SHM in value:
            facts["ipc"] = "host"  # the host's own /dev/shm
        at = following
    return Run(at, entrypoint, env, facts) if at < len(words) else None


def _option(words: Sequence[str], at: int) -> tuple[str, str, int, int]:
    """(option, value, index of the value's word, index of the next option) of the option at an index."""
    word = words[at]
    name, equals, value = word.partition("=")
    if word.startswith("--"):
        if equals or name in _BARE:
            return name, value, at, at + 1
        return name, "".join(words[at + 1 : at + 2]), at + 1, at + 2
    letters = word[1:]
    if set(letters) <= _BARE_LETTERS:
        return word, "", at, at + 1
    bare = len(letters) - len(letters.lstrip("".join(_BARE_LETTERS)))
    option, attached = "-" + letters[bare], letters[bare + 1 :]
    if attached:
        return option, attached.removeprefix("="), at, at + 1
    return option, "".join(words[at + 1 : at + 2]), at + 1, at + 2


def read(words: Sequence[str], run: Run, release: str) -> Reading | None:
    """The vLLM arguments after the image: after `vllm serve`, or all of them if the image's entry point is vLLM."""
    behind = [*([run.entrypoint] if run.entrypoint else []), *words[run.image + 1 :]]
    offset = run.image + 1 - bool(run.entrypoint)
    first = argv.first_argument(behind)
    if first < 0 and not (not run.entrypoint and serves(words[run.image]) and _only_arguments(behind)):
        return None
    begin = run.image + 1 if first < 0 else first + offset
    reading = argv.read_arguments(words, begin, release)
    return reading._replace(program=tuple(behind[: max(first, 0)]))


def _only_arguments(words: Sequence[str]) -> bool:
    return not words or argv.is_flag(words[0]) or (len(words) > 1 and argv.is_flag(words[1]))


class DockerSource:
    """A command that a `docker run` starts. The container's environment counts, and what a script inside it adds."""

    shape = "docker"

    def __init__(self, text: ShellText, run: Run, reading: Reading | None = None, inner: Source | None = None) -> None:
        self.text = text.view.whole
        self.run = run
        self.image = text.words[run.image]
        self._text, self._inner, self._reading = text, inner, reading
        self._own = {name: self._value(at) for name, (at, _, _) in run.env.items()}
        self.words: Sequence[str] = inner.words if inner else text.words
        self.env: Mapping[str, str] = {**self._own, **(inner.env if inner else {})}

    def _value(self, at: int) -> str:
        """What follows NAME= in `-e NAME=VALUE` or `--env=NAME=VALUE`."""
        word = self._text.words[at]
        return (word.partition("=")[2] if word.startswith("--env=") else word).partition("=")[2]

    @property
    def reading(self) -> Reading:
        if self._inner:
            return self._inner.reading
        if self._reading is None:
            raise TypeError("a docker run without a command")
        return self._reading

    @property
    def problems(self) -> Sequence[Problem]:
        return [*self._text.problems, *(self._inner.problems if self._inner else ())]

    def raw(self, index: int) -> str:
        return self._inner.raw(index) if self._inner else self._text.raw(index)

    def one_line(self, text: str) -> str:
        """The `docker run` as one line, out of the whole text after a change."""
        number = [part.words[0].start for part in parts(self.text)].index(self._text.part.words[0].start)
        return " ".join(text[word.start : word.stop] for word in parts(text)[number].words)

    def place(self, index: int) -> Place:
        return self._inner.place(index) if self._inner else self._text.place(index)

    def edits(self, changes: Changes) -> list[Edit]:
        inside = {name: value for name, value in changes.env.items() if self._inner and name in self._inner.env}
        outside = {
            name: value
            for name, value in changes.env.items()
            if name not in inside or (value is None and name in self._own)
        }
        options = [Splice(self.run.image, self.run.image, (option,)) for option in changes.options]
        splices = [*options, *self._env(outside), *self._image(changes.image)]
        if self._inner:
            return [*self._text.edits(splices), *self._inner.edits(Changes(changes.splices, inside))]
        return self._text.edits([*splices, *changes.splices])

    def _env(self, env: Mapping[str, str | None]) -> Iterator[Splice]:
        for name, value in env.items():
            value_at, option_at, option = self.run.env.get(name, (-1, -1, ""))
            if value is None and value_at >= 0:
                yield Splice(option_at, value_at + 1, ())
            elif value is not None and value_at >= 0:
                prefix = (
                    "--env="
                    if self._text.words[value_at].startswith("--env=")
                    else option
                    if value_at == option_at
                    else ""
                )
                yield Splice(value_at, value_at + 1, ((f"{prefix}{name}={value}",),))
            elif value is not None:
                yield Splice(self.run.image, self.run.image, (("-e", f"{name}={value}"),))

    def _image(self, image: str) -> Iterator[Splice]:
        if image:
            yield Splice(self.run.image, self.run.image + 1, ((image,),))

    def around(self, command: Command) -> Command:
        """A command of a script inside the container, with the container around it."""
        source = DockerSource(self._text, self.run, inner=command.source)
        return replace(command, env=source.env, image=self.image, container=self.run.facts, source=source)

    def direct(self, reading: Reading, where: str) -> Command:
        """The command that the container's own words are."""
        source = DockerSource(self._text, self.run, reading)
        return Command(
            reading.program, reading.model, reading.flags, source.env, self.image, where, self.run.facts, source
        )
