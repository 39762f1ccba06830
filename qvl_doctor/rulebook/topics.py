"""The topics of a folder of rules: `topics.yaml` gives their order and titles. A folder without that file has none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from qvl_doctor.model import Topic
from qvl_doctor.rulebook.folders import TOPICS, topic_of
from qvl_doctor.rulebook.mistakes import Mistake, RuleError, nearest
from qvl_doctor.rulebook.nodes import MAX_BYTES, read_tree
from qvl_doctor.rulebook.shapes import Shapes


def load_topics(folder: str) -> tuple[Topic, ...]:
    """The topics of a folder in their order; none if it has no `topics.yaml`. Raises RuleError."""
    topics, _, mistakes = _read(folder)
    if mistakes:
        raise RuleError(mistakes)
    return topics


def topic_mistakes(folder: str, files: Sequence[str]) -> list[Mistake]:
    """What is wrong with `topics.yaml`, rules without a topic in it, and topics without rules.

    `files` are the rules.
    """
    topics, lines, mistakes = _read(folder)
    if mistakes or not topics:
        return mistakes
    used = {topic_of(path, folder) for path in files}
    return [*mistakes, *_unknown(files, folder, lines), *_unused(folder, lines, used)]


def _unknown(files: Iterable[str], folder: str, known: dict[str, int]) -> Iterable[Mistake]:
    for path in files:
        topic = topic_of(path, folder)
        if not topic:
            yield Mistake(0, "", "no-topic", {"file": TOPICS}, path=path)
        elif topic not in known:
            yield Mistake(0, "", "unknown-topic", {"file": TOPICS, "topic": topic}, nearest(topic, known), path=path)


def _unused(folder: str, known: dict[str, int], used: set[str]) -> Iterable[Mistake]:
    path = os.path.join(folder, TOPICS)
    return [
        Mistake(line, "", "topic-without-rules", {"topic": name}, path=path)
        for name, line in known.items()
        if name not in used
    ]


def _read(folder: str) -> tuple[tuple[Topic, ...], dict[str, int], list[Mistake]]:
    """The topics, the line of each, and what is wrong with the file."""
    path = os.path.join(folder, TOPICS)
    shapes = Shapes(path)
    try:
        with open(path, "rb") as file:
            root, mistakes = read_tree(file.read(MAX_BYTES + 1))
    except (FileNotFoundError, NotADirectoryError):
        return (), {}, []
    except OSError as error:
        return (), {}, [Mistake(0, "", "unreadable", {"why": error.strerror or "cannot be read"}, path=path)]
    shapes.add(mistakes)
    if root is None or not isinstance(root.value, dict):
        if root is not None:
            shapes.wrong(root.line, "", "not-topics")
        return (), {}, shapes.mistakes
    topics = tuple(Topic(name, shapes.text(node, name)) for name, node in root.value.items())
    return topics, {name: node.line for name, node in root.value.items()}, shapes.mistakes
