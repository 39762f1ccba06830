"""What one vLLM release says about itself: the architectures of its registry, and what it asks for.

Read from an unpacked sdist.
"""

from __future__ import annotations

import ast
import re
from email.parser import HeaderParser
from pathlib import Path

from build_knowledge import plain_range
from mine_model_types import mappings

#: Where the registry of models is; up to 0.6.1 it stood in the package itself.
REGISTRY_FILES = ("vllm/model_executor/models/registry.py", "vllm/model_executor/models/__init__.py")
#: The mapping that is put together from those of all kinds of models.
REGISTRIES = ("_VLLM_MODELS", "_MODELS")
#: Where a release says for which CUDA its wheels on PyPI are.
CUDA_FILES = ("vllm/envs.py", "setup.py")
_CUDA = re.compile(r"MAIN_CUDA_VERSION\W+(?:str\s*=\s*\")?(\d+\.\d+)\"")
_REQUIREMENT = re.compile(r"(torch|transformers)\s*\(?((?:[<>=!~]=?\s*[\w.*]+\s*,?\s*)+)\)?\s*(?:;(.*))?")


def architectures(folder: Path) -> frozenset[str]:
    """The names that the registry of a release serves by itself."""
    for file in REGISTRY_FILES:
        path = folder / file
        source = path.read_text(encoding="utf-8") if path.exists() else ""
        tables = mappings(source)
        merged = next((name for name in REGISTRIES if name in tables), "")
        if merged:
            return frozenset(name for table in (merged, *_parts(source, merged)) for name in tables.get(table, {}))
    raise SystemExit(f"{folder}: no registry of models found; has vLLM moved it?")


def pins(folder: Path) -> dict[str, str]:
    """What a release asks for: {transformers, torch, python, cuda}, as `qvl_doctor.knowledge.Pin` has it."""
    said = HeaderParser().parsestr((folder / "PKG-INFO").read_text(encoding="utf-8"))
    asked: dict[str, str] = {}
    for line in said.get_all("Requires-Dist", []):
        found = _REQUIREMENT.fullmatch(line.strip())
        if found and "extra" not in (found[3] or ""):
            asked.setdefault(found[1], plain_range(found[2]))
    missing = sorted({"torch", "transformers"} - set(asked))
    if missing or not said["Requires-Python"]:
        raise SystemExit(f"{folder}/PKG-INFO: does not say which {', '.join(missing) or 'Python'} it needs")
    torch = asked["torch"].removeprefix("==")
    return {
        "transformers": asked["transformers"],
        "torch": torch,
        "python": plain_range(said["Requires-Python"]),
        "cuda": cuda(folder),
    }


def cuda(folder: Path) -> str:
    """The CUDA version of the main wheel."""
    for file in CUDA_FILES:
        path = folder / file
        found = _CUDA.search(path.read_text(encoding="utf-8")) if path.exists() else None
        if found:
            return found[1]
    raise SystemExit(f"{folder}: nothing says for which CUDA its wheels are")


def _parts(source: str, name: str) -> list[str]:
    """The mappings that a mapping is put together from: `{**_A, **_B}`."""
    for node in ast.parse(source).body:
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if isinstance(target, ast.Name) and target.id == name and isinstance(value, ast.Dict):
            return [
                part.id
                for key, part in zip(value.keys, value.values, strict=True)
                if key is None and isinstance(part, ast.Name)
            ]
    return []
