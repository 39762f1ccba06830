"""Which files of a folder are rules: those in it and, where rules are sorted by topic, those one folder deeper."""

from __future__ import annotations

import os

from qvl_doctor.rulebook.mistakes import Mistake

MAX_FILES = 2000
#: Names the topics and their order; the only .yaml file next to the topics that is not a rule.
TOPICS = "topics.yaml"


def rule_files(folder: str) -> tuple[list[str], list[Mistake]]:
    """The paths of the rules in a directory, sorted by file name across topics, and what is wrong with the others."""
    paths, mistakes = _entries(folder)
    if mistakes:
        return [], mistakes
    paths = [path for path in paths if os.path.basename(path) != TOPICS]
    for topic in filter(os.path.isdir, tuple(paths)):
        found, wrong = _entries(topic)
        paths += found
        mistakes += wrong
    files: dict[str, str] = {}
    for path in sorted(paths):
        name = os.path.basename(path)
        if name.endswith(".yml"):
            mistakes.append(Mistake(0, "", "other-ending", path=path))
        elif name.endswith(".yaml") and files.setdefault(name, path) != path:
            mistakes.append(Mistake(0, "", "file-twice", {"other": files[name]}, path=path))
    if not files or len(files) > MAX_FILES:
        counts = {"count": len(files), "most": MAX_FILES}
        return [], [*mistakes, Mistake(0, "", "number-of-files", counts, path=folder)]
    return [files[name] for name in sorted(files)], mistakes


def topic_of(path: str, folder: str) -> str:
    """The topic of a rule's file.

    The name of its directory, "" for a file that is not in one of the folder's topics.
    """
    inner = os.path.dirname(path)
    return "" if inner == folder else os.path.basename(inner)


def _entries(folder: str) -> tuple[list[str], list[Mistake]]:
    """The paths of everything in a folder but hidden files."""
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder) if not name.startswith(".")], []
    except OSError as error:
        return [], [Mistake(0, "", "unreadable", {"why": error.strerror or "cannot be read"}, path=str(folder))]
