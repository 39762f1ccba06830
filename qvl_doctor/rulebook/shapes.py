"""The shapes of a rule file: which maps, lists and texts are where. What is wrong is collected, and reading goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qvl_doctor.model import LANGUAGES, Text
from qvl_doctor.rulebook.mistakes import Mistake, listed, nearest, short
from qvl_doctor.rulebook.nodes import Node
from qvl_doctor.rulebook.texts import differences, unfolded

#: What each kind of map takes: (required keys, optional keys).
KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a rule": (
        ("id", "severity", "title", "why", "match", "fixes", "references", "tests"),
        (
            *("confidence", "check", "applies", "platforms", "explains", "before", "symptom", "memory"),
            *("remedy", "seen_in", "checked"),
        ),
    ),
    "a text": (LANGUAGES, ()),
    "a match item": ((), ("message", "exception", "frame", "level", "observation", "values", "facts")),
    "a fix": (LANGUAGES, ("remedy", "applies", "platforms", "change")),
    "tests": (("matches", "silent"), ()),
    "an example that matches": (("name",), ("log", "observation", "values", "command", "facts", "captures", "fixes")),
    "an example that stays silent": (("name",), ("log", "observation", "values", "command", "facts")),
}


class Shapes:
    """Reads nodes of one file. Every method returns a usable value for any input and reports what is wrong."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.mistakes: list[Mistake] = []

    def wrong(self, line: int, field: str, name: str, near: str = "", /, **values: object) -> None:
        self.add([Mistake(line, field, name, values, near)])

    def add(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes += [mistake._replace(path=self.path) for mistake in mistakes]

    def map(self, node: Node | None, field: str, what: str) -> dict[str, Node]:
        """The entries of a map; keys that it lacks or must not have are reported."""
        required, optional = KEYS[what]
        legal = listed(sorted((*required, *optional)))
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self.wrong(node.line, field, "not-a-map", what=what, legal=legal)
            return {}
        for key in node.value:
            if key not in required and key not in optional:
                near = nearest(key, (*required, *optional))
                self.wrong(node.value[key].line, field, "unknown-key", near, what=what, legal=legal, key=short(key))
        for key in required:
            if key not in node.value:
                self.wrong(node.line, field, "missing-text" if key in LANGUAGES else "missing", key=key)
        return {key: value for key, value in node.value.items() if key in required or key in optional}

    def items(self, node: Node | None, field: str, what: str) -> Iterable[tuple[Node, str]]:
        if node is None:
            return []
        if not isinstance(node.value, list) or not node.value:
            self.wrong(node.line, field, "not-a-list", what=what)
            return []
        return [(item, f"{field}[{number}]") for number, item in enumerate(node.value)]

    def string(self, node: Node | None, field: str) -> str:
        if node is None:
            return ""
        if not isinstance(node.value, str):
            self.wrong(node.line, field, "not-a-text")
            return ""
        if not node.value.strip():
            self.wrong(node.line, field, "empty")
        if node.value.lstrip().startswith("TODO"):
            self.wrong(node.line, field, "todo")
        return node.value.rstrip("\n")

    def strings(self, node: Node, field: str) -> dict[str, str]:
        if not isinstance(node.value, dict):
            self.wrong(node.line, field, "not-texts-by-name")
            return {}
        return {name: self.string(item, f"{field}.{name}") for name, item in node.value.items()}

    def one_of(self, node: Node | None, field: str, legal: tuple[str, ...]) -> str:
        value = self.string(node, field)
        if node and value and value not in legal:
            near = nearest(value, legal)
            self.wrong(node.line, field, "not-one-of", near, legal=" or ".join(legal), value=short(value))
        return value

    def text(self, node: Node | None, field: str) -> Text:
        """A text in every language."""
        part = self.map(node, field, "a text") if node else {}
        text = {language: self.string(part.get(language), f"{field}.{language}") for language in LANGUAGES}
        if node and part:
            self.check_languages(text, node.line, field)
        return unfolded(text)

    def check_languages(self, text: Text, line: int, field: str) -> None:
        """The same placeholders, numbers and flags in both. What is empty or not written yet is reported already."""
        if all(words and not words.startswith("TODO") for words in text.values()):
            self.add(differences(text, line, field))
