"""vLLM commands in shell text: alone, among others, after `exec` and variables, in `sh -c` and in `docker run`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from qvl_doctor.late import late_pattern
from qvl_doctor.launch import argv
from qvl_doctor.launch.command import Changes, Command, Edit, LaunchError, Place, Problem, Reading
from qvl_doctor.launch.shell import docker
from qvl_doctor.launch.shell.lexer import Part, Word, offset_of, parts
from qvl_doctor.launch.shell.shell_texts import ShellText
from qvl_doctor.launch.views import View, in_word

_ASSIGNMENT = late_pattern(r"[A-Za-z_]\w*=", re.ASCII)
_SHELLS = frozenset(("sh", "bash", "zsh", "dash", "ash", "ksh"))
_SCRIPT_OPTION = late_pattern(r"-[a-zA-Z]*c")
_KEYWORDS = frozenset(("then", "do", "else", "{", "!", "time", "if", "while"))
#: What a terminal shows before a command.
_PROMPT = late_pattern(r"(?:.*[\w~\]:)])?[$#%>➜❯]")
_DEEPEST = 4


class ShellSource:
    """A command in shell text. Variables may be set before it, or in an earlier `export`."""

    shape = "shell"
    image = ""

    def __init__(self, text: ShellText, reading: Reading, variables: Variables) -> None:
        self.text = text.view.whole
        self.words: Sequence[str] = text.words
        self.reading = reading
        self.env: Mapping[str, str] = variables.values
        self._text, self._variables = text, variables

    @property
    def problems(self) -> Sequence[Problem]:
        return self._text.problems

    def raw(self, index: int) -> str:
        return self._text.raw(index)

    def place(self, index: int) -> Place:
        return self._text.place(index)

    def edits(self, changes: Changes) -> list[Edit]:
        return self._text.edits(changes.splices, self._variables.edits(changes.env))


class Variables:
    """The environment that shell text sets for a command: by assignments before it and by `export`."""

    def __init__(self, part: Part, first: int, exports: Sequence[Part]) -> None:
        self._command = part.words
        self._own = dict(_assignments(part.words[:first]))
        self._exported = {name: (word, each) for each in exports for name, word in _assignments(each.words)}
        words = {**{name: word for name, (word, _) in self._exported.items()}, **self._own}
        self.values = {name: word.text.partition("=")[2] for name, word in words.items()}

    def edits(self, env: Mapping[str, str | None]) -> list[Edit]:
        """The edits of the text that set and remove variables."""
        return [edit for name, value in env.items() for edit in self._edit(name, value)]

    def _edit(self, name: str, value: str | None) -> Iterator[Edit]:
        own, exported = self._own.get(name), self._exported.get(name)
        if value is not None:
            written = f"{name}={shlex.quote(value)}"
            word = own or (exported[0] if exported else None)
            if word:
                yield Edit(word.start, word.stop, written)
            else:
                start = _program_start(self._command)
                yield Edit(start, start, written + " ")
            return
        if own:
            following = next(word for word in self._command if word.start > own.start)
            yield Edit(own.start, following.start, "")
        if exported:
            yield _without_export(name, *exported)


def read_shell(view: View, release: str = "", depth: int = 0) -> Iterator[Command]:
    """Every vLLM command in a shell text. Raises LaunchError if the text is not shell text."""
    exports: list[Part] = []
    for part in parts_of(view):
        if any(word.text == "export" for word in part.words[:2]):  # the first may be a prompt
            exports.append(part)
        yield from read_part(view, part, exports, release, depth)


def parts_of(view: View) -> list[Part]:
    """The simple commands of a text. Raises LaunchError with the place in the whole input."""
    try:
        return parts(view.text)
    except LaunchError as error:
        raise LaunchError(error.kind, view.place(offset_of(view.text, error.place)), error.detail) from None


def read_part(view: View, part: Part, exports: Sequence[Part], release: str, depth: int) -> Iterator[Command]:
    """The vLLM commands in one simple command; several only if it holds a script that has several."""
    text = ShellText(view, part)
    run = docker.parse(text.words)
    if run:
        yield from _in_container(text, run, release, depth)
        return
    script = script_at(text.words)
    if script >= 0 and depth < _DEEPEST:
        yield from read_shell(in_word(view, part.words[script]), release, depth + 1)
        return
    first = argv.first_argument(text.words)
    if first >= 0:
        reading = argv.read_arguments(text.words, first, release)
        source = ShellSource(text, reading, Variables(part, first, exports))
        yield _command(source, reading, where=str(text.place(0)._replace(argument=-1)))


def read_words(view: View, part: Part, program: tuple[str, ...], release: str) -> Command:
    """The words of a text that are all arguments of a program named elsewhere."""
    text = ShellText(view, part)
    reading = argv.read_arguments(text.words, 0, release)._replace(program=program)
    source = ShellSource(text, reading, Variables(part, 0, ()))
    return Command(program, reading.model, reading.flags, source=source)


def script_at(words: Sequence[str]) -> int:
    """The index of the script in `sh -c SCRIPT`; -1 if there is none."""
    for index, word in enumerate(words):
        if word.rpartition("/")[2] in _SHELLS:
            for at in range(index + 1, len(words) - 1):
                if not words[at].startswith("-"):
                    break
                if _SCRIPT_OPTION.fullmatch(words[at]):
                    return at + 1
    return -1


def program_of(words: Sequence[str]) -> tuple[str, ...]:
    """The words of a program without prompts, keywords and assignments."""
    kept = [word for word in words if not _ASSIGNMENT.match(word)]
    while kept and (kept[0] in _KEYWORDS or _PROMPT.fullmatch(kept[0])):
        kept.pop(0)
    return tuple(kept)


def _command(source: ShellSource, reading: Reading, where: str) -> Command:
    return Command(program_of(reading.program), reading.model, reading.flags, source.env, where=where, source=source)


def _in_container(text: ShellText, run: docker.Run, release: str, depth: int) -> Iterator[Command]:
    """The command that a `docker run` starts: its last words, or a script in them."""
    outer = docker.DockerSource(text, run)
    inner = list(_inner(text, run, release, depth))
    for command in inner:
        yield outer.around(command)
    if not inner:
        reading = docker.read(text.words, run, release)
        if reading:
            yield outer.direct(reading, str(text.place(0)._replace(argument=-1)))


def _inner(text: ShellText, run: docker.Run, release: str, depth: int) -> Iterator[Command]:
    behind = text.words[run.image + 1 :]
    script = script_at(behind)
    if run.entrypoint.rpartition("/")[2] in _SHELLS:
        script = 1 if len(behind) > 1 and _SCRIPT_OPTION.fullmatch(behind[0]) else -1
    if script >= 0 and depth < _DEEPEST:
        word = text.part.words[run.image + 1 + script]
        yield from read_shell(in_word(text.view, word), release, depth + 1)


def _assignments(words: Sequence[Word]) -> Iterator[tuple[str, Word]]:
    for word in words:
        if _ASSIGNMENT.match(word.text):
            yield word.text.partition("=")[0], word


def _program_start(words: Sequence[Word]) -> int:
    for word in words:
        if word.text not in _KEYWORDS and not _PROMPT.fullmatch(word.text):
            return word.start
    return words[0].start


def _without_export(name: str, word: Word, part: Part) -> Edit:
    """`export A=1 B=2` without A; `unset A` if nothing else is exported."""
    at = part.words.index(word)
    if len(dict(_assignments(part.words))) == 1:
        return Edit(part.words[at - 1].start, word.stop, f"unset {name}")
    return Edit(part.words[at - 1].stop, word.stop, "")
