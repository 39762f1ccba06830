"""What a room hands out is what the other rooms take of it."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

#: Rooms that hand out what is theirs by a list.
LISTED = ("qvl_doctor.diagnose", "qvl_doctor.rulebook", "qvl_doctor.workflows.machine")


def taken(root: Path, room: str) -> set[str]:
    """The names that other modules take of it, its modules apart."""
    names: set[str] = set()
    for path in (each for folder in ("qvl_doctor", "tests", "tools") for each in (root / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if f"from {room} import" not in text and f"from {room.rpartition('.')[0]} import" not in text:
            continue
        tree = ast.parse(text)
        aliases = {room.rpartition(".")[2]}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == room:
                names |= {each.name for each in node.names}
            if not (isinstance(node, ast.ImportFrom) and node.module == room.rpartition(".")[0]):
                continue
            if any(each.name in aliases for each in node.names):
                names |= {
                    each.attr
                    for each in ast.walk(tree)
                    if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id in aliases
                }
    folder = root / room.replace(".", "/")
    modules = {each.stem for each in folder.glob("*.py")} if folder.is_dir() else set()
    return {name for name in names if not name.startswith("_")} - modules


@pytest.mark.parametrize("room", LISTED)
def test_what_is_taken_is_handed_out(room: str, root: Path) -> None:
    assert set(import_module(room).__all__) == taken(root, room)
