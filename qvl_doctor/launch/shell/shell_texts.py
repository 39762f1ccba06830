"""One command of a shell text, and how to change its words in place, with the user's quotes, lines and comments."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from functools import cached_property

from qvl_doctor.late import late_pattern
from qvl_doctor.launch.command import Edit, Place, Problem, Splice
from qvl_doctor.launch.shell.lexer import Part, Word
from qvl_doctor.launch.views import View

_CONTINUES = late_pattern(r"\\\r?\n(?P<indent>[ \t]*)$")
_LINE_LOST = late_pattern(r"\n(?P<indent>[ \t]*)$")


class ShellText:
    """The words of one simple command, in a text."""

    def __init__(self, view: View, part: Part) -> None:
        self.view = view
        self.part = part
        self.words = tuple(word.text for word in part.words)

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """What a shell would misunderstand."""
        return tuple(
            Problem(repair.kind, value=repair.note, place=self.view.place(repair.start)) for repair in self.part.repairs
        )

    def place(self, index: int) -> Place:
        """The place of a word."""
        words = self.part.words
        return self.view.place(words[index].start if index < len(words) else words[-1].stop)._replace(argument=index)

    def raw(self, index: int) -> str:
        """A word as it is written."""
        word = self.part.words[index]
        return self.view.text[word.start : word.stop]

    def edits(self, splices: Iterable[Splice], more: Sequence[Edit] = ()) -> list[Edit]:
        """The edits of the whole input that make the splices. What a shell would misunderstand is repaired as well."""
        edits = [edit for splice in splices for edit in self._edits(splice)]
        taken = [(edit.start, edit.stop) for edit in edits if edit.stop > edit.start]
        edits += more
        notes = []
        for repair in self.part.repairs:
            notes += repair.note.splitlines()
            if not any(start <= repair.start < stop for start, stop in taken):
                edits.append(Edit(repair.start, repair.stop, repair.put))
        return self.view.outer([*self._notes(notes), *edits])

    def _edits(self, splice: Splice) -> list[Edit]:
        words = self.part.words
        new = [word for group in splice.groups for word in group]
        old = words[splice.start : splice.stop]
        if not old:
            at = words[splice.start - 1].stop if splice.start else words[0].start
            return [Edit(at, at, "".join(self._separator() + self._joined(group) for group in splice.groups))]
        if not new:
            return [self._removal(splice)]
        if len(new) == len(old):
            changed = ((word, text) for word, text in zip(old, new, strict=True) if word.text != text)
            return [Edit(word.start, word.stop, self._requoted(word, text)) for word, text in changed]
        return [Edit(old[0].start, old[-1].stop, " ".join(map(shlex.quote, new)))]

    def _removal(self, splice: Splice) -> Edit:
        """The words with what separates them from the word before, so that no empty line is left."""
        words = self.part.words
        if splice.start == 0:
            return Edit(words[0].start, words[splice.stop].start if splice.stop < len(words) else words[-1].stop, "")
        return Edit(words[splice.start - 1].stop, words[splice.stop - 1].stop, "")

    def _joined(self, group: tuple[str, ...]) -> str:
        return " ".join(map(shlex.quote, group))

    def _separator(self) -> str:
        """What separates two flags: a new line if the user begins one for each, otherwise a space."""
        words = self.part.words
        for before, word in zip(reversed(words[:-1]), reversed(words), strict=False):
            gap = self._repaired_gap(before.stop, word.start)
            continued = _CONTINUES.search(gap)
            if continued:
                return " \\\n" + continued["indent"]
        return " "

    def _repaired_gap(self, start: int, stop: int) -> str:
        gap = self.view.text[start:stop]
        for repair in self.part.repairs:
            if start <= repair.start < stop:
                lost = _LINE_LOST.search(gap)
                return gap if _CONTINUES.search(gap) or not lost else " \\" + lost.group()
        return gap

    def _requoted(self, word: Word, text: str) -> str:
        """A new text in the quotes of the old one."""
        raw = self.view.text[word.start : word.stop]
        name, equals, rest = raw.partition("=")
        if equals and name.startswith("-") and text.startswith(f"{name}="):
            return f"{name}={_quoted_like(rest, text[len(name) + 1 :])}"
        return _quoted_like(raw, text)

    def _notes(self, notes: Sequence[str]) -> list[Edit]:
        """Comments from places where none can be, above the command."""
        if not notes:
            return []
        text, start = self.view.text, self.part.words[0].start
        line = text.rfind("\n", 0, start) + 1
        while line and text[:line].rstrip("\r\n").endswith("\\"):
            line = text.rfind("\n", 0, line - 1) + 1
        indent = text[line : len(text) - len(text[line:].lstrip(" \t"))]
        return [Edit(line, line, "".join(f"{indent}{note}\n" for note in notes))]


def _quoted_like(raw: str, text: str) -> str:
    quote = raw[:1]
    if quote == raw[-1:] == "'" and len(raw) > 1 and "'" not in text:
        return f"'{text}'"
    if quote == raw[-1:] == '"' and len(raw) > 1 and not any(char in text for char in '"$`\\'):
        return f'"{text}"'
    return shlex.quote(text)
