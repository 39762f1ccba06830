"""The shapes of a rule file: which maps, lists and texts stand where. What is wrong is collected, and reading goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qvl_doctor.model import LANGUAGES
from qvl_doctor.rulebook.book import Mistake, did_you_mean
from qvl_doctor.rulebook.nodes import Node

#: What each kind of map takes: (required keys, optional keys).
KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a rule": (
        ("id", "severity", "title", "why", "match", "fixes", "references", "tests"),
        ("confidence", "applies", "explains", "before", "symptom", "memory", "remedy", "seen_in", "checked"),
    ),
    "a text": (LANGUAGES, ()),
    "a match item": ((), ("message", "exception", "frame", "level", "facts")),
    "a fix": (LANGUAGES, ("remedy", "applies", "change")),
    "tests": (("matches", "silent"), ()),
    "an example that matches": (("name",), ("log", "seen", "command", "facts", "captures", "fixes")),
    "an example that stays silent": (("name",), ("log", "seen", "command", "facts")),
}


class Shapes:
    """Reads nodes of one file. Every method gives something usable, whatever it was given, and reports what is wrong."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.mistakes: list[Mistake] = []

    def wrong(self, line: int, field: str, problem: str) -> None:
        self.mistakes.append(Mistake(self.path, line, field, problem))

    def map(self, node: Node | None, field: str, what: str) -> dict[str, Node]:
        """The entries of a map; keys that it lacks or must not have are reported."""
        required, optional = KEYS[what]
        legal = listed(sorted((*required, *optional)))
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self.wrong(node.line, field, f"{what} is a map of {legal}")
            return {}
        for key in node.value:
            if key not in required and key not in optional:
                near = did_you_mean(key, (*required, *optional))
                self.wrong(node.value[key].line, field, f"{what} takes {legal}; not '{short(key)}'{near}")
        for key in required:
            if key not in node.value:
                self.wrong(node.line, field, f"there is no {key}" + (" text" if key in LANGUAGES else ""))
        return {key: value for key, value in node.value.items() if key in required or key in optional}

    def items(self, node: Node | None, field: str, what: str) -> Iterable[tuple[Node, str]]:
        if node is None:
            return []
        if not isinstance(node.value, list) or not node.value:
            self.wrong(node.line, field, f"is a list with at least one item; each is {what}")
            return []
        return [(item, f"{field}[{number}]") for number, item in enumerate(node.value)]

    def string(self, node: Node | None, field: str) -> str:
        if node is None:
            return ""
        if not isinstance(node.value, str):
            self.wrong(node.line, field, "is a text; quote it if it begins with '{' or '['")
            return ""
        if not node.value.strip():
            self.wrong(node.line, field, "is empty")
        if node.value.lstrip().startswith("TODO"):
            self.wrong(node.line, field, "is not written yet")
        return node.value.rstrip("\n")

    def strings(self, node: Node, field: str) -> dict[str, str]:
        if not isinstance(node.value, dict):
            self.wrong(node.line, field, "is a map of names and texts")
            return {}
        return {name: self.string(item, f"{field}.{name}") for name, item in node.value.items()}

    def one_of(self, node: Node | None, field: str, legal: tuple[str, ...]) -> str:
        value = self.string(node, field)
        if node and value and value not in legal:
            self.wrong(node.line, field, f"is {' or '.join(legal)}, not '{short(value)}'{did_you_mean(value, legal)}")
        return value


def listed(words: Iterable[str]) -> str:
    """Words as an enumeration; sets are sorted."""
    return ", ".join(sorted(words) if isinstance(words, (set, frozenset)) else words)


def short(text: str, limit: int = 60) -> str:
    """A value as far as it fits into a message."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
