"""vLLM's Python files out of an sdist or a folder, and what a name means in them.

Resolved through imports, without importing.
"""

from __future__ import annotations

import ast
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

#: Names are followed through so many imports and aliases.
MAX_STEPS = 12


def version(archive: Path) -> str:
    """The version in the name of an archive or folder."""
    found = re.search(r"(?:^|-)(\d+(?:\.\d+)+(?:\.?(?:post|rc|dev)\d+)?)", archive.name)
    if not found:
        raise SystemExit(f"{archive}: no version in the name")
    return found[1]


def version_key(text: str) -> tuple[int, ...]:
    """A sort key for the versions of releases."""
    return tuple(map(int, re.findall(r"\d+", text)))


class Meaning(NamedTuple):
    """What a name stands for (a class, or the value that is assigned to it) and the module where that is written."""

    module: Module
    node: ast.AST


class Sources:
    """The Python files of one release."""

    def __init__(self, archive: Path) -> None:
        self._files = dict(_python_files(archive))
        self._modules: dict[str, Module | None] = {}

    def text(self, path: str) -> str:
        """One file, as vllm/engine/arg_utils.py, or "" if the release has none such."""
        return self._files.get(path, "")

    def paths(self) -> tuple[str, ...]:
        """Every file that is there."""
        return tuple(self._files)

    def module(self, path: str) -> Module | None:
        """A parsed file."""
        if path not in self._modules:
            self._modules[path] = Module(self, path) if path in self._files else None
        return self._modules[path]

    def named(self, dotted: str) -> Module | None:
        """A module by its dotted name."""
        path = dotted.replace(".", "/")
        return self.module(f"{path}.py") or self.module(f"{path}/__init__.py")


class Module:
    """One file: its top-level names, and those that it imports."""

    def __init__(self, sources: Sources, path: str) -> None:
        self.sources = sources
        self.path = path
        self.tree = ast.parse(sources.text(path))
        package = path.rsplit("/", 1)[0].replace("/", ".")
        self._imports: dict[str, tuple[str, str]] = {}
        self._stars: list[str] = []
        self._names: dict[str, ast.AST] = {}
        for node in _top_level(self.tree.body):
            self._enter(node, package)

    def _enter(self, node: ast.stmt, package: str) -> None:
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -(node.level - 1) or None] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            if node.names[0].name == "*":
                self._stars.append(source)
            for alias in node.names:
                self._imports[alias.asname or alias.name] = (source, alias.name)
        elif isinstance(node, ast.ClassDef):
            self._names[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            self._names[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            self._names[node.target.id] = node.value

    def find(self, name: str, steps: int = MAX_STEPS) -> Meaning | None:
        """What a name means here. What stands in the file itself counts more than an import.

        The import may be for type checkers.
        """
        if name in self._names:
            return Meaning(self, self._names[name])
        if not steps:
            return None
        sources = [self._imports[name]] if name in self._imports else [(star, name) for star in self._stars]
        modules = ((self.sources.named(source), original) for source, original in sources)
        return next(
            (found for module, original in modules if module and (found := module.find(original, steps - 1))), None
        )

    def find_class(self, name: str) -> Meaning | None:
        """A class by its name, or by the name of something that is assigned to it."""
        found = self.find(name)
        return found if found and isinstance(found.node, ast.ClassDef) else None

    def functions(self) -> list[ast.FunctionDef]:
        """Every function of the file, those inside classes and other functions too."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)]


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported.

    Of `if TYPE_CHECKING` the imports, and then the other branch.
    """
    for node in body:
        if isinstance(node, ast.If):
            yield from _top_level(node.body)
            yield from _top_level(node.orelse)
        elif isinstance(node, ast.Try):
            yield from _top_level(node.body)
        else:
            yield node


def _python_files(archive: Path) -> Iterator[tuple[str, str]]:
    if archive.is_dir():
        for path in archive.glob("vllm/**/*.py"):
            yield path.relative_to(archive).as_posix(), path.read_text(encoding="utf-8")
        return
    with tarfile.open(archive) as sdist:
        for member in sdist:
            inner = member.name.partition("/")[2]
            if inner.startswith("vllm/") and inner.endswith(".py") and (file := sdist.extractfile(member)):
                yield inner, file.read().decode()
