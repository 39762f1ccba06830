"""Read from vLLM's sources what kind of model each architecture is, and which checkpoints it names for it.

    python tools/mine_models.py --vllm vllm-0.7.2 vllm-0.33.0 … --out tools/data/registry.json

Each argument is an unpacked sdist. The kinds are those of the registry; the checkpoints are those of vLLM's own tests
(tests/models/registry.py, from 0.6.4 on) and of its list of supported models. Nothing is imported. Feed the result to
`build_knowledge.py`.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mine_model_types import order, version
from mine_release import REGISTRY_FILES

EXAMPLES = "tests/models/registry.py"
DOCUMENTS = "docs/**/supported_models.md"
#: The registry's mappings that say what a model is; a name that is in several is of the first kind that has it.
KINDS = (
    ("multimodal", "_MULTIMODAL_MODELS"),
    ("draft", "_SPECULATIVE_DECODING_MODELS"),
    ("text", "_TEXT_GENERATION_MODELS"),
    ("text", "_GENERATION_MODELS"),
    ("text", "_CONDITIONAL_GENERATION_MODELS"),
    ("pooling", "_EMBEDDING_MODELS"),
    ("pooling", "_CROSS_ENCODER_MODELS"),
    ("pooling", "_LATE_INTERACTION_MODELS"),
    ("pooling", "_REWARD_MODELS"),
    ("pooling", "_TOKEN_CLASSIFICATION_MODELS"),
    ("pooling", "_SEQUENCE_CLASSIFICATION_MODELS"),
)
#: Architectures that a release serves with the code of Transformers.
THROUGH_TRANSFORMERS = "_TRANSFORMERS_SUPPORTED_MODELS"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{1,60}/[\w.-]{2,100}")
_FAMILY = re.compile(r"(?=\D*\d)[A-Za-z][\w. -]{2,40}")
_QUOTED = re.compile(r"`([^`\s]+)`")

Row = dict[str, Any]


def models_of(folder: Path) -> dict[str, Row]:
    """Architecture -> {kind, repositories, remote, through} of one release.

    `remote` says whether the config comes with the checkpoint.
    """
    found: dict[str, Row] = {}
    for name, kind, through in _registry(folder):
        row = found.setdefault(name, {"kind": kind, "repositories": []})
        if kind != row["kind"] and "text" in (kind, row["kind"]) and "multimodal" in (kind, row["kind"]):
            row["kind"] = ""  # ChatGLMModel was the text model and the one that sees
        if through:
            row["through"] = True
    for name, repositories, remote in _examples(folder):
        if name in found:
            found[name]["repositories"] += repositories
            if remote is not None:
                found[name].setdefault("remote", remote)
    return {name: {**row, "repositories": sorted(set(row["repositories"]))} for name, row in found.items()}


def with_models(known: Mapping[str, Row], release: str, models: Mapping[str, Row]) -> dict[str, Row]:
    """What is known with one more release: the kind is the newest one's, `remote` the first one's that says it."""
    table = {name: dict(row) for name, row in known.items()}
    for name, new in models.items():
        row = table.setdefault(name, {"first": release, "last": release, "repositories": []})
        row["repositories"] = sorted({*row["repositories"], *new["repositories"]})
        if order(release) >= order(row["last"]) or "kind" not in row:
            row["kind"], row["last"] = new["kind"], max(release, row["last"], key=order)
            row["through"] = new.get("through", False)
        if "remote" in new and order(release) <= order(row.get("told", release)):
            row["remote"], row["told"] = new["remote"], release
        row["first"] = min(release, row["first"], key=order)
    return dict(sorted(table.items()))


def _registry(folder: Path) -> Iterator[tuple[str, str, bool]]:
    """(architecture, kind, served through Transformers) for each entry of the registry."""
    from mine_model_types import mappings

    for file in REGISTRY_FILES:
        path = folder / file
        tables = mappings(path.read_text(encoding="utf-8")) if path.exists() else {}
        if not any(table in tables for _, table in KINDS):
            continue
        for kind, table in KINDS:
            yield from ((name, kind, False) for name in tables.get(table, {}))
        for name, classes in tables.get(THROUGH_TRANSFORMERS, {}).items():
            yield name, "multimodal" if "Multi" in "".join(classes) else "text", True
        return


def _examples(folder: Path) -> Iterator[tuple[str, list[str], bool | None]]:
    """(architecture, repositories, whether its config comes with the checkpoint; None where nothing says it)."""
    tests = folder / EXAMPLES
    if tests.exists():
        for node in ast.walk(ast.parse(tests.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Dict):
                yield from _of_tests(node)
    for document in sorted(folder.glob(DOCUMENTS)):
        yield from _of_documents(document.read_text(encoding="utf-8"))


def _of_tests(table: ast.Dict) -> Iterator[tuple[str, list[str], bool | None]]:
    for key, value in zip(table.keys, table.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(value, ast.Call) and _name(value.func) == "_HfExamplesInfo":
            given = {keyword.arg: keyword.value for keyword in value.keywords}
            texts = [*value.args[:1], *([given["extras"]] if "extras" in given else [])]
            words = [each.value for part in texts for each in ast.walk(part) if isinstance(each, ast.Constant)]
            repositories = [word for word in words if isinstance(word, str) and _REPOSITORY.fullmatch(word)]
            trusted = given.get("trust_remote_code")
            remote = isinstance(trusted, ast.Constant) and bool(trusted.value)
            # A test that waits for a newer Transformers says that the config is not the checkpoint's own.
            yield str(key.value), repositories, remote and "min_transformers_version" not in given


def _of_documents(text: str) -> Iterator[tuple[str, list[str], bool | None]]:
    """The rows of the list of supported models: a line of a table from 0.9 on, items of nested lists before."""
    items = (item.split("\n:::")[0] for item in re.split(r"\n- ?\* (?=`)", text)[1:])
    for row in [*re.findall(r"^\| `.+$", text, re.MULTILINE), *items]:
        first = row.lstrip("| ").split("|" if row.startswith("|") else "\n")[0]
        repositories = [word for word in _QUOTED.findall(row) if _REPOSITORY.fullmatch(word)]
        if row.startswith("|"):  # the second column names families: "GLM-4.5, GLM-4.6, GLM-4.7"
            repositories += [word for word in re.split(r",\s*", row.split("|")[2].strip()) if _FAMILY.fullmatch(word)]
        yield from ((name, repositories, None) for name in _QUOTED.findall(first) if name.isidentifier())


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def write(table: Mapping[str, Row], path: Path) -> None:
    """One architecture a line."""
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(row, sort_keys=True)}" for name, row in table.items())
    path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def main(arguments_given: Sequence[str] | None = None) -> None:
    """Write one JSON file with the architectures of all releases that are given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--vllm", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(arguments_given)
    table: dict[str, Row] = {}
    for folder in sorted(arguments.vllm, key=lambda path: order(version(path))):
        table = with_models(table, version(folder), models_of(folder))
    write(table, arguments.out)


if __name__ == "__main__":
    main()
