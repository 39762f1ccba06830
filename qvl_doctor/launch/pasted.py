"""The command that someone pasted next to a log: as a line of a shell, in a manifest, or as a call in Python.

There is one only where all that are in the text are the same: of two it is not known which one failed.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from qvl_doctor.launch.command import Command, LaunchError
from qvl_doctor.launch.logged_command import from_arguments
from qvl_doctor.launch.reading import read, read_argv
from qvl_doctor.logs.arguments import parse_call

#: The beginning of a command: `usage: vllm serve [model_tag]` and `vllm serve: error` are none.
_SHELL = (
    r"(?<![\w.-])vllm[ \t]+serve(?=\s|$)|(?<!\S)-m[ \t]+vllm\.entrypoints\.[\w.]{1,60}api_server(?=\s|$)"
    r"|\b(?:docker|podman|nerdctl)[ \t]+run(?=\s)"
)
#: What may be before it: variables, what launches programs, and the interpreter.
_BEFORE = r"[A-Za-z_]\w{0,80}=\S*|sudo|exec|nohup|time|uv|run|\S{0,200}/?python[\d.]{0,5}|-[uO]"
_FLAG_LINE = r"\s*-{1,2}[A-Za-z]"
_YAML = r"\s*(?:- )?[\"']?(?:apiVersion|kind|services|spec|containers|command|args|image|entrypoint)[\"']?\s*:(?:\s|$)"
_YAML_MORE = r"\s*(?:- |-$|#|[\w\"'./-]{1,80}\s*:(?:\s|$))"
#: A call with the engine's arguments, and what launchers hand to one.
_PYTHON = r"\b(?:LLM|AsyncEngineArgs|EngineArgs)\(|\b(?:llm_)?engine_kwargs[\"']?\s*[:=]\s*(?:dict\(|\{)"
_SPACED = r"(?<=[(,\s])([a-z_]{2,60}) {0,4}= {0,4}(?=[^\s=])"
#: A value that is the name of a variable: what it holds is not in the text.
_VARIABLE = (
    r"\b([a-z_]{2,60})=(?!(?:None|True|False)\b)[A-Za-z_][\w.]{0,80}(?:\[[^\]]{0,80}\]|\([^)]{0,80}\))?\s*(?=[,)\n])"
)
#: What someone left to be filled in: `<model_path>`.
_BLANK = r"(?<=\s)<[A-Za-z][\w /.-]{0,80}>(?=\s|$)"
#: Flags that only vLLM has.
_TELLING = (
    "--max-model-len",
    "--gpu-memory-utilization",
    "--max-num-seqs",
    "--tensor-parallel-size",
    "--served-model-name",
)
_MODEL = re.compile(r"[\d/$_-]")
_MOST_LINES = 80
_LONGEST = 16 * 1024
_MOST = 20
#: So many places of a text are looked at that may begin a command.
_MOST_TRIED = 40
#: So many words that belong to no flag are a sentence.
_MOST_STRAY = 3


#: Numbered lines of a text.
Lines = Sequence[tuple[int, str]]
#: How many lines a command takes, 0 where none begins, and the commands.
Found = tuple[int, "list[Command]"]
NOWHERE: Found = (0, [])


class Pasted(NamedTuple):
    """A command, by the line that it begins on.

    `words`: it is written as a command, so that it can be shown corrected.
    """

    command: Command
    line: int
    words: bool


def pasted_command(lines: Lines, release: str = "") -> Pasted | None:
    """The one command that is in numbered lines, None if there is none, or if there are several."""
    found: list[Pasted] = []
    for each in _commands(lines, release):
        found.append(each)
        if each.command != found[0].command or len(found) > _MOST:
            return None
    return found[0] if found else None


def _commands(lines: Lines, release: str) -> Iterator[Pasted]:
    past = tried = 0
    for at, (number, text) in enumerate(lines):
        if at < past or tried >= _MOST_TRIED or not ("vllm" in text or "(" in text or ":" in text or " run " in text):
            continue
        for reader in (_of_shell, _of_manifest, _of_call):
            taken, commands = reader(lines, at, release)
            yield from (Pasted(command, number, reader is not _of_call) for command in commands)
            if taken:
                past, tried = at + taken, tried + 1
                break


def _of_shell(lines: Lines, at: int, release: str) -> Found:
    """The command of a shell that begins on a line."""
    first = lines[at][1][:_LONGEST]
    found = _compiled(_SHELL).search(first)
    if found is None or "usage:" in first[: found.start()]:
        return NOWHERE
    start = _begins(first, found.start())
    end = first.find("`", found.end()) if start and first[start - 1] == "`" else -1
    if end >= 0:
        return 1, _read(first[start:end], release)
    taken = [first[start:].rstrip()]
    while at + len(taken) < len(lines) and len(taken) < _MOST_LINES:
        before, following = lines[at + len(taken) - 1][0], lines[at + len(taken)]
        if not _goes_on(taken[-1], before, following):
            break
        taken[-1] = taken[-1].removesuffix("\\")
        taken.append(following[1].rstrip().strip("`"))
    text = _compiled(_BLANK).sub(r"'\g<0>'", " ".join(taken).rstrip("\\` "))
    return len(taken), _read(f"python {text}" if text.startswith("-m") else text, release)


def _begins(text: str, core: int) -> int:
    """Where a command begins whose program is at `core`: before it may be variables and what launches it."""
    start = core - len(re.search(r"[\w./~-]{0,200}$", text[:core]).group())  # type: ignore[union-attr]  # may be empty
    for word in reversed(list(re.finditer(r"[^\s`!$#]+", text[:start]))):
        if not _compiled(_BEFORE).fullmatch(word.group()) or text[word.end() : start].strip():
            break
        start = word.start()
    return start


def _goes_on(line: str, before: int, following: tuple[int, str]) -> bool:
    """Whether a command goes on: in the next line after a backslash, or with flags where the backslash was lost."""
    number, text = following
    if not text.strip() or number - before > 2:
        return False
    return (line.endswith("\\") and number - before == 1) or _compiled(_FLAG_LINE).match(text) is not None


def _read(text: str, release: str) -> list[Command]:
    try:
        commands = [_plausible(command) for command in read(text[:_LONGEST], release)]
    except LaunchError:
        return []
    return [command for command in commands if command is not None]


def _plausible(command: Command) -> Command | None:
    """The command without the words of the sentence that it is in; None if it is only mentioned."""
    known = [flag for flag in command.flags if flag.name.startswith("-")]
    if len(command.flags) - len(known) > _MOST_STRAY:
        return None
    if not known and not _MODEL.search(command.model or ""):
        return None
    return replace(command, flags=tuple(known))


def _of_manifest(lines: Lines, at: int, release: str) -> Found:
    """The commands of the part of a manifest that begins on a line."""
    if not _compiled(_YAML).match(lines[at][1]):
        return NOWHERE
    indent = len(lines[at][1]) - len(lines[at][1].lstrip())
    end = at + 1
    while end < len(lines) and end - at < _MOST_LINES * 4:
        text = lines[end][1]
        if len(text) - len(text.lstrip()) <= indent and not _compiled(_YAML_MORE).match(text):
            break
        end += 1
    text = textwrap.dedent("\n".join(line for _, line in lines[at:end]))
    found = _read(text, release) if "vllm" in text else _of_words(text, release)
    return (end - at, found) if found else (1, [])


def _of_words(text: str, release: str) -> list[Command]:
    """The command of a list of arguments that is alone: whose container it is was not pasted."""
    words = [line.lstrip()[2:].strip().strip("\"'") for line in text.split("\n")[1:] if line.lstrip().startswith("- ")]
    if not text.startswith("args:") or not any(word.partition("=")[0] in _TELLING for word in words):
        return []
    try:
        return [read_argv(["vllm", "serve", *words], release)]
    except LaunchError:
        return []


def _of_call(lines: Lines, at: int, release: str) -> Found:
    """The command that has the arguments of a call; what the call takes from variables is not known."""
    first = lines[at][1][:_LONGEST]
    found = _compiled(_PYTHON).search(first)
    if found is None:
        return NOWHERE
    text, end = first[found.start() :], at + 1
    depth = _open(text)
    while depth > 0 and end < len(lines) and end - at < _MOST_LINES and len(text) < _LONGEST:
        depth += _open(lines[end][1])
        text, end = f"{text}\n{lines[end][1]}", end + 1
    text = _compiled(_SPACED).sub(r"\1=", text[:_LONGEST])
    variables = {each[1] for each in _compiled(_VARIABLE).finditer(text)}
    given = {name: value for name, value in parse_call(text).items() if name not in variables and value is not None}
    return end - at, [from_arguments(given, release)] if given else []


def _open(text: str) -> int:
    """How many brackets a text leaves open; those in strings count as well, which ends a call a little late."""
    return text.count("(") + text.count("{") - text.count(")") - text.count("}")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
