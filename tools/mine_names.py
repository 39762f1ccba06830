"""Which names each minor release of Transformers was the last to have.

VLLM, plug-ins and code of checkpoints import them.

    python tools/mine_names.py transformers-5.23.0.tar.gz transformers-5.24.0.tar.gz

Takes what is gone from each archive to the next, a wheel, an sdist or an unpacked folder, into
`qvl_doctor/knowledge/transformers_names.json`. A name that moved to another module is not gone. Names inside of
models count
only for those models that other code builds on.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from build_knowledge import minor, write
from mine_model_types import order, version

TABLE = Path(__file__).resolve().parent.parent / "qvl_doctor" / "knowledge" / "transformers_names.json"
SOURCE = "modules of Transformers' published releases"
#: Models that other code takes classes from.
BASES = frozenset(
    (
        *(
            "auto",
            "bert",
            "blip_2",
            "clip",
            "dinov2",
            "gemma",
            "gemma2",
            "gemma3",
            "gpt2",
            "idefics2",
            "idefics3",
            "llama",
            "llava",
        ),
        *(
            "mistral",
            "mixtral",
            "mllama",
            "opt",
            "phi",
            "phi3",
            "qwen2",
            "qwen2_5_vl",
            "qwen2_moe",
            "qwen2_vl",
            "qwen3",
            "sam",
        ),
        *("siglip", "vit", "whisper"),
    )
)
#: Parts that nobody imports from elsewhere.
_ASIDE = re.compile(
    r"\.(?:commands|onnx|benchmark|agents|tools|sagemaker|kernels|data|testing_utils|keras_callbacks)\b|convert|test|dummy"
)
_NAME = re.compile(r"[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+|_?[A-Z][a-z0-9A-Z]*[a-z]\w*|_?[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
#: Of other frameworks, and what a later release still answers to.
_LEFT_OUT = re.compile(r"(?:TF|Flax|FLAX|tf_|flax|keras).*|.*(?:Fast|OnnxConfig|DOCSTRING|FeatureExtractor)")
_MODULES = re.compile(
    r"(?:modeling|configuration|tokenization|processing|image_processing|feature_extraction|dummy|convert)_.*"
)


def names_of(archive: Path) -> dict[str, frozenset[str]]:
    """Module -> the names that can be imported from it."""
    found: dict[str, frozenset[str]] = {}
    for path, source in sources(archive):
        module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue
        names = set(_bound(tree.body))
        if path.endswith("__init__.py"):
            names |= {str(each) for each in _texts(tree) if each.isidentifier()}
        found[module] = frozenset(names)
    return found


def sources(archive: Path) -> Iterator[tuple[str, str]]:
    """The modules of an archive or folder: path from `transformers/` on, and text."""
    if archive.is_dir():
        for path in sorted(archive.rglob("transformers/**/*.py")):
            yield "transformers/" + path.as_posix().rpartition("/transformers/")[2], path.read_text(encoding="utf-8")
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if name.startswith("transformers/") and name.endswith(".py"):
                    yield name, wheel.read(name).decode()
    else:
        with tarfile.open(archive) as sdist:
            for member in sdist:
                inner = member.name.partition("/src/")[2]
                file = (
                    sdist.extractfile(member) if inner.startswith("transformers/") and inner.endswith(".py") else None
                )
                if file:
                    yield inner, file.read().decode()


def gone(before: Mapping[str, Iterable[str]], after: Mapping[str, Iterable[str]]) -> list[str]:
    """The names that the first release has, and the second has nowhere."""
    kept = frozenset().union(*after.values(), *(module.split(".") for module in after))
    counts = {name for module, names in before.items() if _counts(module) for name in names}
    return sorted(name for name in counts - kept if telling(name))


def telling(name: str) -> bool:
    """Whether a name is one that is missed by name: no module, and of no other framework."""
    return (
        len(name) > 4 and bool(_NAME.fullmatch(name)) and not _LEFT_OUT.fullmatch(name) and not _MODULES.fullmatch(name)
    )


def with_step(known: Mapping[str, str], before: str, lost: Iterable[str], there: Iterable[str]) -> dict[str, str]:
    """The table with what a release was the last to have, and without what is there again."""
    back = frozenset(there)
    table = {release: [name for name in names.split() if name not in back] for release, names in known.items()}
    entered = frozenset(name for names in table.values() for name in names)
    table.setdefault(minor(before), []).extend(name for name in lost if name not in entered)
    return {
        release: " ".join(sorted(names))
        for release, names in sorted(table.items(), key=lambda row: order(row[0]))
        if names
    }


def _counts(module: str) -> bool:
    parts = module.split(".")
    return not _ASIDE.search(module) and (len(parts) < 3 or parts[1] != "models" or parts[2] in BASES)


def _bound(body: Iterable[ast.stmt]) -> Iterator[str]:
    """The names that a module binds at its top level, imports among them."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((each.asname or each.name).partition(".")[0] for each in node.names)
        else:
            for part in ("body", "orelse", "finalbody"):
                yield from _bound(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from _bound(handler.body)


def _texts(tree: ast.Module) -> Iterator[str]:
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def main(given: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("archives", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--date", default=date.today().isoformat())  # noqa: DTZ011 — the day on the author's calendar
    arguments = parser.parse_args(given)
    known = json.loads(arguments.out.read_text(encoding="utf-8"))["last"] if arguments.out.exists() else {}
    before, names = arguments.archives[0], names_of(arguments.archives[0])
    for archive in arguments.archives[1:]:
        following = names_of(archive)
        known = with_step(known, version(before), gone(names, following), frozenset().union(*following.values()))
        before, names = archive, following
    write(arguments.out, {"source": SOURCE, "date": arguments.date}, {"last": known})


if __name__ == "__main__":
    main()
