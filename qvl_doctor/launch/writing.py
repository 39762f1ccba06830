"""A command as text: one shell line, a `docker run`, and what two commands differ in.

Secrets are masked in everything that is written, unless `reveal` is set.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from qvl_doctor.late import late_pattern
from qvl_doctor.launch.command import Command, Flag, splice_text
from qvl_doctor.launch.masking import masked, masked_text
from qvl_doctor.launch.patching import edits_of
from qvl_doctor.launch.pods.patches import docker_options
from qvl_doctor.launch.shell.docker import DockerSource

#: Starts the same server as an image whose entry point is the program.
_PROGRAM = ("vllm", "serve")
_IMAGE = "vllm/vllm-openai"
_VARIABLE = late_pattern(r"\$\w+|\$\{\w+\}")
_KUBERNETES_VARIABLE = late_pattern(r"\$\((\w+)\)")


def shell_line(command: Command, *, reveal: bool = False) -> str:
    """The command as one line for a shell, with its environment in front."""
    return _out(" ".join(piece for line in _lines(command, reveal=reveal) for piece in line), reveal=reveal)


def docker_line(command: Command, image: str = "", *, reveal: bool = False) -> str:
    """The command as one line of `docker run`: the user's own with all its options, or else a new one."""
    shown = command if reveal else masked(command)
    if isinstance(command.source, DockerSource):
        return _out(_own_docker_line(shown, command.source), reveal=reveal)
    options = [
        "--gpus",
        shown.container.get("gpus") or "all",
        "--ipc=host",
        "-p",
        "{0}:{0}".format(shown.value("--port") or "8000"),
    ]
    env = [word for name, value in shown.env.items() for word in ("-e", _with_variables(f"{name}={value}"))]
    # With its own entry point it does not matter which one the image has.
    start = ["--entrypoint", "vllm", image or shown.image or _IMAGE, "serve"]
    words = ["docker", "run", *map(quoted, options), *env, *map(quoted, start), *_arguments(shown)]
    return _out(" ".join(words), reveal=reveal)


def diff(before: Command, after: Command, *, reveal: bool = False) -> list[tuple[str, str]]:
    """What changed, one line for each flag: (same, removed or added, text)."""
    old, new = (_diff_lines(each, reveal=reveal) for each in (before, after))
    found: list[tuple[str, str]] = []
    for kind, start, stop, new_start, new_stop in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind == "equal":
            found += [("same", line) for line in old[start:stop]]
        else:
            found += [("removed", line) for line in old[start:stop]]
            found += [("added", line) for line in new[new_start:new_stop]]
    return found


def quoted(word: str) -> str:
    """A word for a shell. Variables of Kubernetes, `$(NAME)`, become the shell's."""
    variable = _KUBERNETES_VARIABLE.sub(r"${\1}", word)
    if variable != word and not any(char in word for char in '"\\`'):
        return f'"{variable}"'
    return shlex.quote(word)


def _out(text: str, *, reveal: bool) -> str:
    return text if reveal else masked_text(text)


def _lines(command: Command, *, reveal: bool) -> Iterator[list[str]]:
    """The command in lines: environment and program, then each flag."""
    shown = command if reveal else masked(command)
    env = [_assignment(name, value) for name, value in shown.env.items()]
    program = shown.program or _PROGRAM
    flags = [flag for flag in shown.flags if shown.program or flag.name != "--model"]
    model = shown.positional if shown.program else shown.model
    yield [*env, *map(quoted, program), *([] if model is None else [_written(shown, _model_at(shown), model)])]
    for flag in flags:
        yield _flag_words(shown, flag)


def _arguments(command: Command) -> Iterator[str]:
    lines = list(_lines(Command((), command.model, command.flags, source=command.source), reveal=True))
    yield from lines[0][len(_PROGRAM) :]
    for line in lines[1:]:
        yield from line


def _flag_words(command: Command, flag: Flag) -> list[str]:
    words = flag.words
    unchanged = flag.at >= 0 and command.source and tuple(command.source.words[flag.at : flag.at + len(words)]) == words
    return [_written(command, flag.at + index if unchanged else -1, word) for index, word in enumerate(words)]


def _model_at(command: Command) -> int:
    at = command.source.reading.model_at if command.source else -1
    return at if at >= 0 and command.source and command.source.words[at] == command.model else -1


def _written(command: Command, at: int, word: str) -> str:
    """A word for a shell: unchanged if the user's shell text has it with a variable, which quotes would not expand."""
    raw = command.source.raw(at) if command.source and at >= 0 and ("$" in word or "`" in word) else ""
    return raw or quoted(word)


def _with_variables(value: str) -> str:
    return f'"{value}"' if "$" in value and not any(char in value for char in '"\\`(') else quoted(value)


def _assignment(name: str, value: str) -> str:
    """A variable in front of a command. A single `$NAME` needs no quotes there."""
    return f"{name}={value}" if _VARIABLE.fullmatch(value) else f"{name}={_with_variables(value)}"


def _diff_lines(command: Command, *, reveal: bool) -> Sequence[str]:
    shown = command if reveal else masked(command)
    lines = [f"image {shown.image}"] if shown.image else []
    if command.source and command.source.shape == "docker":
        lines += map(" ".join, docker_options(command))
    lines += [_assignment(name, value) for name, value in shown.env.items()]
    bare = Command(shown.program, shown.model, shown.flags, source=command.source)
    return [_out(line, reveal=reveal) for line in [*lines, *(" ".join(words) for words in _lines(bare, reveal=True))]]


def _own_docker_line(command: Command, source: DockerSource) -> str:
    return source.one_line(splice_text(source.text, edits_of(command)))
