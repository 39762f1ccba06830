"""vLLM commands in Kubernetes manifests and compose files, and how to change them there.

What matters of a container is `command` and `args` as the words of one command line, or a shell script in them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from qvl_doctor.late import late_pattern
from qvl_doctor.launch import argv
from qvl_doctor.launch.command import (
    Changes,
    Command,
    Edit,
    LaunchError,
    Place,
    Problem,
    Reading,
    Source,
    Splice,
    serves,
)
from qvl_doctor.launch.pods import kserve
from qvl_doctor.launch.pods.containers import Container, containers
from qvl_doctor.launch.shell import shell_commands
from qvl_doctor.launch.shell.lexer import place_of
from qvl_doctor.launch.views import WholeText
from qvl_doctor.launch.yamltext import yaml_edits
from qvl_doctor.launch.yamltext.yaml_tree import Node

#: What YAML reads as something other than text, and Kubernetes then refuses in `args` and in the value of a variable.
_NO_TEXT = late_pattern(
    r"[-+]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|0x[0-9a-fA-F]+|true|false|yes|no|on|off|null|~|", re.IGNORECASE
)
_NULLS = frozenset(("", "~", "null"))  # they are not value, and accepted for a variable
_NAME = "vllm"


def read_manifest(text: str, release: str = "") -> Iterator[Command]:
    """The vLLM commands of all containers of a YAML or JSON text. Raises LaunchError if the text is neither."""
    for box in containers(text):
        yield from _commands(text, box, release)


def _commands(text: str, box: Container, release: str) -> Iterator[Command]:
    """The commands of a container: one, or those of its script."""
    spot, image = box.spot, box.spot.container.text("image")
    for command in _inner(text, box, release):
        source = ManifestSource(text, box, inner=command.source)
        yield replace(command, env=source.env, image=image, where=spot.where, container=box.facts, source=source)
    if box.string or box.script >= 0:
        return
    first = argv.first_argument(box.words)
    if spot.container.get("modelFormat"):
        reading = argv.read_arguments(box.words, 0, release)
        yield Command(
            kserve.PROGRAM,
            None,
            reading.flags,
            box.env,
            image,
            spot.where,
            box.facts,
            ManifestSource(text, box, reading),
        )
        return
    if first < 0 and not _entry_point_is_vllm(box):
        return
    reading = argv.read_arguments(box.words, max(first, 0), release)
    source = ManifestSource(text, box, reading)
    yield Command(reading.program, reading.model, reading.flags, source.env, image, spot.where, box.facts, source)


def _entry_point_is_vllm(box: Container) -> bool:
    """Whether the container's words are arguments of the image's own vLLM."""
    return not box.has_program and serves(box.spot.container.text("image") or "")


def _inner(text: str, box: Container, release: str) -> Iterator[Command]:
    """The commands of a script, or of words that are written as one text."""
    whole = WholeText(text)
    # What does not name vLLM need not even be readable shell text.
    if box.script >= 0 and box.items[box.script].kind == "scalar" and _NAME in box.words[box.script]:
        yield from shell_commands.read_shell(yaml_edits.view_of(whole, box.items[box.script]), release)
    if box.string is None:
        return
    view = yaml_edits.view_of(whole, box.string)
    arguments = _entry_point_is_vllm(box) or argv.first_argument(box.words) == len(box.words) > 0
    if box.spot.shape != "compose":
        yield from shell_commands.read_shell(view, release) if _NAME in view.text else ()
        return
    for part in shell_commands.parts_of(view) if arguments or _NAME in view.text else ():
        found = list(shell_commands.read_part(view, part, (), release, 0))
        yield from found
        if arguments and not found:
            yield shell_commands.read_words(view, part, box.words, release)


class ManifestSource:
    """A command in a container: its words are entries of lists, or those of a script in one of them."""

    def __init__(self, text: str, box: Container, reading: Reading | None = None, inner: Source | None = None) -> None:
        self.text, self.box = text, box
        self._inner = inner
        if inner is None and reading is None:
            raise LaunchError("no-command")
        self.reading: Reading = inner.reading if inner else reading  # type: ignore[assignment]  # one of them is there
        self.shape = box.spot.shape
        self.image = box.spot.container.text("image") or ""
        self.words: Sequence[str] = inner.words if inner else box.words
        self.env: Mapping[str, str] = {**box.env, **(inner.env if inner else {})}

    @property
    def problems(self) -> Sequence[Problem]:
        return [*(self._inner.problems if self._inner else ()), *self._no_texts()]

    def _no_texts(self) -> Iterator[Problem]:
        """Numbers and truth values where Kubernetes requires texts."""
        if self.shape != "kubernetes":
            return
        for index, item in enumerate(self.box.items):
            if _is_no_text(item):
                yield Problem(
                    "not-a-text", value=item.value, place=place_of(self.text, item.start)._replace(argument=index)
                )
        for name, (value, _) in self.box.variables.items():
            if value and _is_no_text(value) and value.value not in _NULLS:
                yield Problem("variable-not-text", flag=name, value=value.value, place=place_of(self.text, value.start))
        if self.box.string:
            yield Problem(
                "not-a-list", value=self.box.string.value[:80], place=place_of(self.text, self.box.string.start)
            )

    def raw(self, index: int) -> str:
        return self._inner.raw(index) if self._inner else ""

    def place(self, index: int) -> Place:
        if self._inner:
            return self._inner.place(index)
        if index < len(self.box.items):
            return place_of(self.text, self.box.items[index].start)._replace(argument=index)
        return place_of(self.text, self.box.spot.container.start)

    def edits(self, changes: Changes) -> list[Edit]:
        inside = {name: value for name, value in changes.env.items() if self._inner and name in self._inner.env}
        outside = {
            name: value
            for name, value in changes.env.items()
            if name not in inside or (value is None and name in self.box.env)
        }
        edits = list(
            self._inner.edits(Changes(changes.splices, inside)) if self._inner else self._words(changes.splices)
        )
        # A new key of the container comes after what is added to its last one.
        edits += self._env(outside)
        edits += self._quotes({edit.start for edit in edits})
        image = self.box.spot.container.get("image")
        if changes.image and image:
            edits.append(yaml_edits.replaced(image, changes.image))
        return edits

    def _quotes(self, changed: Collection[int]) -> Iterator[Edit]:
        """Quotes around what Kubernetes would read as a number or a truth value, if nothing else is changed there."""
        texts = [*self.box.items, *(value for value, _ in self.box.variables.values() if value)]
        for item in texts if self.shape == "kubernetes" else ():
            if _is_no_text(item) and item.stop > item.start and item.start not in changed:
                yield yaml_edits.replaced(item, item.value)

    def _words(self, splices: Sequence[Splice]) -> Iterator[Edit]:
        changed: dict[int, str] = {}
        gone: set[int] = set()
        added: dict[int, list[str]] = {}
        for splice in splices:
            new = [word for group in splice.groups for word in group]
            old = range(splice.start, splice.stop)
            changed |= {index: word for index, word in zip(old, new, strict=False) if word != self.box.words[index]}
            gone |= set(old[len(new) :])
            if len(new) > len(old):
                added.setdefault(splice.stop - 1, []).extend(new[len(old) :])
        if not self.box.items:
            yield from self._new_list([word for words in added.values() for word in words])
            return
        first = 0
        for each in self.box.lists:
            last = first + len(each.items)
            here = {index - first: words for index, words in added.items() if max(index, 0) in range(first, last)}
            own = {index - first: word for index, word in changed.items() if first <= index < last}
            yield from yaml_edits.list_edits(
                self.text, each, own, {index - first for index in gone if first <= index < last}, here
            )
            first = last

    def _new_list(self, words: Sequence[str]) -> Iterator[Edit]:
        if words:
            node = self.box.spot.container
            key = "command" if self.shape == "compose" else "args"
            yield yaml_edits.entry_list(self.text, node, key, [(("", word),) for word in words], node.get("image"))

    def _env(self, env: Mapping[str, str | None]) -> Iterator[Edit]:
        node = self.box.env_node
        gone, added = [], []
        for name, wanted in env.items():
            value, index = self.box.variables.get(name, (None, -1))
            if wanted is None:
                gone += [index] if index >= 0 else []
            elif value and value.kind == "scalar":
                as_pair = self.shape == "compose" and bool(node and node.items)
                yield yaml_edits.replaced(value, f"{name}={wanted}" if as_pair else wanted)
            else:
                added.append((name, wanted))
        if node and (node.items or node.pairs):
            entries = [self._variable(name, value, as_map=bool(node.pairs)) for name, value in added]
            yield from yaml_edits.entries_edits(self.text, node, sorted(gone), entries)
        elif added:
            container = self.box.spot.container
            entries = [self._variable(name, value) for name, value in added]
            key = "environment" if self.shape == "compose" else "env"
            yield yaml_edits.entry_list(self.text, container, key, entries, container.get("image"))

    def _variable(self, name: str, value: str, *, as_map: bool = False) -> yaml_edits.Entry:
        if as_map:
            return ((name, value),)
        return (("", f"{name}={value}"),) if self.shape == "compose" else (("name", name), ("value", value))


def _is_no_text(item: Node) -> bool:
    return item.kind == "scalar" and item.style == "" and bool(_NO_TEXT.fullmatch(item.value))
