#!/usr/bin/env python3
"""The imports of the package and of the tools: circles of files, circles of folders, and arrows upward.

Every import counts, those within functions and those for types alone too. A folder is what a file lies in directly, and
a file at the top of the package is one by itself; a sub-room and the room that it is in may use each other. ROOMS is
the order of the house: a room imports only what stands before it.
Exit code 1 if there is a circle, an arrow upward, or a room that has no place in the order.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "qvl_doctor"
TOOLS = ("tools", "benchmarks")
#: From the ground up. What stands on one line does not import each other; a file at the top of the package is a room.
ROOMS = (
    ("__init__", "late"),
    ("values",),
    ("versions", "files", "patterns", "model"),
    ("messages",),
    ("errors", "redaction", "facts", "knowledge"),
    ("observations", "memory"),
    ("logs", "remedies"),
    ("launch",),
    ("rulebook", "sizing"),
    ("machine", "kube", "manifest"),
    ("diagnose", "report"),
    ("authoring", "bundle"),
    ("workflows",),
    ("cli",),
    ("__main__",),
    TOOLS,
)
_LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}

#: File or folder → what it imports.
Graph = dict[str, set[str]]


def files(root: Path) -> dict[str, Path]:
    """The modules by the name that others import them by.

    Those of the tools, which lie beside each other, with their folder.
    """
    found = {}
    for folder in (PACKAGE, *TOOLS):
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> Graph:
    """Module → the modules that it imports."""
    known = files(root)
    graph: Graph = {}
    for name, path in known.items():
        named = _named(ast.parse(path.read_text(encoding="utf-8")), name, path)
        wanted = {_module(each, name, known) for each in named}
        graph[name] = wanted - {"", name}
    return graph


def _named(tree: ast.AST, name: str, path: Path) -> Iterator[str]:
    """The full names of what a file imports."""
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{each.name}" for each in node.names)


def _module(wanted: str, name: str, known: Mapping[str, Path]) -> str:
    """The module that an imported name is in, "" if it is none of ours."""
    beside = f"{name.partition('.')[0]}.{wanted}" if name.startswith(TOOLS) else wanted
    for full in (wanted, beside):
        parts = full.split(".")
        found = next((module for end in range(len(parts), 0, -1) if (module := ".".join(parts[:end])) in known), "")
        if found:
            return found
    return ""


def folders(root: Path, graph: Graph) -> Graph:
    """Folder → the folders that its files import from."""
    place = {name: _folder(name, path, root) for name, path in files(root).items()}
    found: Graph = {folder: set() for folder in place.values()}
    for name, wanted in graph.items():
        mine = place[name]
        found[mine] |= {place[each] for each in wanted if not _together(mine, place[each])}
    return found


def _together(one: str, other: str) -> bool:
    """The same folder, or one in the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _folder(name: str, path: Path, root: Path) -> str:
    folder = str(path.parent.relative_to(root))
    return name if folder == PACKAGE else folder


def circles(graph: Graph) -> list[list[str]]:
    """The groups in which each reaches each other, the largest first."""
    reached = {name: _reached(name, graph) for name in graph}
    groups = {
        frozenset({name} | {other for other in reached[name] if name in reached[other]})
        for name in graph
        if name in reached[name]
    }
    return sorted((sorted(group) for group in groups), key=lambda group: (-len(group), group))


def _reached(start: str, graph: Graph) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = graph[ahead.pop()] - found
        found |= new
        ahead += new
    return found


def room(name: str) -> str:
    """The room of a module: its folder in the package, or itself at the top of it; of a tool, the tools."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return parts[0]
    return parts[1] if len(parts) > 1 else "__init__"


def upward(graph: Graph) -> list[tuple[str, str]]:
    """The imports that go up, or to another room on the same level."""
    return [
        (name, other)
        for name, wanted in sorted(graph.items())
        for other in sorted(wanted)
        if room(other) != room(name) and _LEVEL.get(room(other), -1) >= _LEVEL.get(room(name), len(ROOMS))
    ]


def unplaced(graph: Graph) -> list[str]:
    """Rooms that have no place in the order."""
    return sorted({room(name) for name in graph} - _LEVEL.keys())


def main() -> int:
    """Prints the figures, and what is wrong; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="another tree of the project")
    root = parser.parse_args().root
    graph = imports(root)
    places = folders(root, graph)
    of_files, of_folders, up, lost = circles(graph), circles(places), upward(graph), unplaced(graph)
    print(f"{len(graph)} files, {sum(map(len, graph.values()))} imports, {len(places)} folders")
    print(f"circles of files: {len(of_files)}, of folders: {len(of_folders)}; imports upward: {len(up)}")
    for kind, groups in (("files", of_files), ("folders", of_folders)):
        for group in groups:
            print(f"  circle of {len(group)} {kind}: {', '.join(group)}")
    for name, other in up:
        print(f"  upward: {name} imports {other}")
    if lost:
        print(f"  without a place in ROOMS: {', '.join(lost)}")
    return int(bool(of_files or of_folders or up or lost))


if __name__ == "__main__":
    raise SystemExit(main())
