"""A vLLM command from wherever people have it: arguments, shell text, docker, Kubernetes, compose, vLLM's log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from qvl_doctor.knowledge import flag_table
from qvl_doctor.late import late_pattern
from qvl_doctor.launch import argv
from qvl_doctor.launch.command import Changes, Command, Edit, LaunchError, Place, Problem, Reading
from qvl_doctor.launch.logged_command import is_arguments, read_log_line
from qvl_doctor.launch.pods.pod_commands import read_manifest
from qvl_doctor.launch.shell.lexer import checked_text
from qvl_doctor.launch.shell.shell_commands import program_of, read_shell, script_at
from qvl_doctor.launch.views import WholeText

#: A line that only a manifest has: a key at the beginning, or the first entry of a list of containers.
#: No file that people write starts more servers.
MAX_COMMANDS = 200
_KEYS = "apiVersion|kind|metadata|spec|services|containers|command|args|image|entrypoint"
_MANIFEST_LINE = late_pattern(rf"^(?:[ \t]*[{{\[]|---[ \t]*$|[ \t]*(?:- )?(?:{_KEYS})[\"']?\s*:(?:\s|$))", re.MULTILINE)
_SHELL_LINE = late_pattern(
    r"^[ \t]*(?:[$#>%][ \t]+)?(?:[A-Za-z_]\w*=\S*[ \t]+)*(?:exec|nohup|sudo|docker|podman|vllm|python3?|export)\b[^:]",
    re.MULTILINE,
)


class ArgvSource:
    """Arguments as a program gets them: there is no text to write back to."""

    shape = "argv"
    text = ""
    image = ""
    env: dict[str, str] = {}  # noqa: RUF012 — nothing is ever put in
    problems: tuple[Problem, ...] = ()

    def __init__(self, words: Sequence[str], reading: Reading) -> None:
        self.words = tuple(words)
        self.reading = reading

    def raw(self, index: int) -> str:  # noqa: ARG002 — the protocol's
        return ""

    def place(self, index: int) -> Place:
        return Place(argument=index)

    def edits(self, changes: Changes) -> list[Edit]:  # noqa: ARG002 — the protocol's
        return []


def read(source: str | Sequence[str], release: str = "") -> list[Command]:
    """All vLLM commands of a text or a list of arguments, in order. Raises LaunchError if none can be read.

    `release` settles what a flag means if releases differ; "" reads it as the newest release that has it.
    """
    release = flag_table.known(release)
    if not isinstance(source, str):
        return [read_argv(source, release)]
    text = checked_text(source.removeprefix("\ufeff"))
    if is_arguments(text):
        command = read_log_line(text, release)
        found = [command] if command else []
    elif is_manifest(text):
        found = list(islice(read_manifest(text, release), MAX_COMMANDS + 1))
    else:
        found = list(islice(read_shell(WholeText(text), release), MAX_COMMANDS + 1))
    if not found:
        raise LaunchError("no-command")
    if len(found) > MAX_COMMANDS:
        raise LaunchError("too-many-commands")
    return found


def read_argv(words: Sequence[str], release: str = "") -> Command:
    """The command of a list of arguments: `vllm serve …` or a vLLM module, alone or in `sh -c`, or bare arguments."""
    words = [str(word) for word in words]
    for index, word in enumerate(words):
        if "\0" in word:
            raise LaunchError("nul-byte", Place(argument=index))
    checked_text(" ".join(words))
    script = script_at(words)
    if script >= 0:
        return next(iter(read(words[script], release)))
    first = max(argv.first_argument(words), 0)
    if not first and (not words or not any(map(argv.is_flag, words))):
        raise LaunchError("no-command")
    reading = argv.read_arguments(words, first, release)
    return Command(program_of(reading.program), reading.model, reading.flags, source=ArgvSource(words, reading))


def is_manifest(text: str) -> bool:
    """Whether a text is YAML or JSON, by its first line that can only be that or only be shell."""
    manifest, shell = _MANIFEST_LINE.search(text), _SHELL_LINE.search(text)
    return bool(manifest) and (not shell or manifest.start() < shell.start())  # type: ignore[union-attr]  # of two
