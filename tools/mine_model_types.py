"""Read from published archives which release of Transformers and of vLLM knows which model type.

    python tools/mine_model_types.py --transformers transformers-4.49.0-py3-none-any.whl … --vllm vllm-0.7.2.tar.gz …
    --out model_types.json

An archive is a wheel, an sdist or an unpacked folder, named `<package>-<version>…` or just `<version>`; `pip download
--no-deps` fetches them. Nothing is imported: the mappings are read from the syntax tree. Feed the result to
`build_knowledge.py`.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

#: Transformers' mappings from a model type to the class that serves it; where several name one, the first that vLLM
#: knows is its main one.
CLASS_MAPPINGS = (
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES",
    "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES",
    "MODEL_FOR_VISION_2_SEQ_MAPPING_NAMES",
    "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
    "MODEL_MAPPING_NAMES",
    "MODEL_FOR_PRETRAINING_MAPPING_NAMES",
)
#: Where Transformers lists its model types; from 5.6 on most of them stand in a generated file of their own.
TYPE_FILES = ("transformers/models/auto/auto_mappings.py", "transformers/models/auto/configuration_auto.py")
CLASS_FILE = "transformers/models/auto/modeling_auto.py"
VLLM_FILE = "vllm/transformers_utils/config.py"
VLLM_TABLES = ("_CONFIG_REGISTRY", "_CONFIG_REGISTRY_OVERRIDE_HF")


def read(archive: Path, inner: str) -> str:
    """One text file of an archive or folder, '' if it is not there.

    A leading folder (as sdists and `src/` layouts have) is skipped.
    """
    if archive.is_dir():
        found = sorted(archive.glob(f"**/{inner}"))
        return found[0].read_text(encoding="utf-8") if found else ""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(inner).decode() if inner in wheel.namelist() else ""
    with tarfile.open(archive) as sdist:
        for member in sdist:
            if member.name.endswith("/" + inner) and (file := sdist.extractfile(member)):
                return file.read().decode()
    return ""


def version(archive: Path) -> str:
    """The version in the name of an archive."""
    found = re.search(r"(?:^|-)(\d+(?:\.\d+)+(?:\.?(?:post|rc|dev)\d+)?)", archive.name)
    if not found:
        raise SystemExit(f"{archive}: no version in the name")
    return found[1]


def day(archive: Path) -> str:
    """The day on which a release was built, as its metadata file is dated: YYYY-MM-DD."""
    if archive.is_dir():
        found = [*archive.glob("**/PKG-INFO"), *archive.glob("**/METADATA")]
        seconds = found[0].stat().st_mtime if found else 0.0
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            return "{:04d}-{:02d}-{:02d}".format(*max(file.date_time for file in wheel.infolist()))
    else:
        with tarfile.open(archive) as sdist:
            seconds = max((float(member.mtime) for member in sdist if member.name.endswith("/PKG-INFO")), default=0.0)
    return datetime.fromtimestamp(seconds, timezone.utc).date().isoformat()


def order(text: str) -> tuple[int, ...]:
    """A sort key for the versions of releases."""
    return tuple(map(int, re.findall(r"\d+", text)))


def mappings(source: str) -> dict[str, dict[str, list[str]]]:
    """Every mapping of names that a module builds at its top level: assigned, annotated or updated later."""
    tables: dict[str, dict[str, list[str]]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            name, value = node.target.id, node.value
        elif (
            isinstance(node, ast.Expr)
            and isinstance(call := node.value, ast.Call)
            and isinstance(call.func, ast.Attribute)
        ):
            if call.func.attr != "update" or not isinstance(call.func.value, ast.Name):
                continue
            name, value = call.func.value.id, call
        else:
            continue
        tables.setdefault(name, {}).update(_pairs(value))
    return tables


def _pairs(node: ast.expr) -> Iterator[tuple[str, list[str]]]:
    """The (key, names) of a dict, `OrderedDict([(key, name), …])`, `Lazy(key="name")` or `x.update({…})`."""
    if isinstance(node, ast.Call):
        for nested in (*node.args, *(keyword.value for keyword in node.keywords if not keyword.arg)):
            yield from _pairs(nested)
        yield from ((keyword.arg, _names(keyword.value)) for keyword in node.keywords if keyword.arg)
        return
    items: list[tuple[ast.expr | None, ast.expr]] = []
    if isinstance(node, ast.Dict):
        items = list(zip(node.keys, node.values, strict=True))
    elif isinstance(node, (ast.List, ast.Tuple)):
        items = [
            (item.elts[0], item.elts[1]) for item in node.elts if isinstance(item, ast.Tuple) and len(item.elts) == 2
        ]
    for key, value in items:
        if key is None:  # {**other}
            yield from _pairs(value)
        elif isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value, _names(value)


def _names(node: ast.expr) -> list[str]:
    """The class names that a value stands for: a string, a bare name, or several strings."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def transformers_types(archive: Path) -> dict[str, list[str]]:
    """Model type -> classes of one Transformers release, the ones that serve it first."""
    types: dict[str, list[str]] = {}
    for file in TYPE_FILES:
        types.update(mappings(read(archive, file)).get("CONFIG_MAPPING_NAMES", {}))
    if not types:
        raise SystemExit(f"{archive}: no model types found; has Transformers moved CONFIG_MAPPING_NAMES?")
    classes = mappings(read(archive, CLASS_FILE))
    return {name: list(dict.fromkeys(serving(name, classes))) for name in types}


def serving(name: str, classes: Mapping[str, Mapping[str, list[str]]]) -> Iterator[str]:
    """The classes for a model type, the ones that serve it first."""
    for table in CLASS_MAPPINGS:
        yield from classes.get(table, {}).get(name, [])


def vllm_types(archive: Path) -> dict[str, list[str]]:
    """Model type -> config class of the types for which one vLLM release brings a config of its own."""
    tables = mappings(read(archive, VLLM_FILE))
    types = {name: classes for table in VLLM_TABLES for name, classes in tables.get(table, {}).items()}
    if not types:
        raise SystemExit(f"{archive}: no config registry found; has vLLM moved it?")
    return types


def spans(releases: Mapping[str, Mapping[str, Iterable[str]]]) -> dict[str, dict[str, object]]:
    """Model type -> its first and last release, and all classes named for it, those of the newest release first."""
    result: dict[str, dict[str, object]] = {}
    known: dict[str, dict[str, None]] = {}
    for number in sorted(releases, key=order, reverse=True):
        for name, classes in releases[number].items():
            entry = result.setdefault(name, {"first": number, "last": number})
            entry["first"] = number
            known.setdefault(name, {}).update(dict.fromkeys(classes))
    for name, entry in result.items():
        entry["classes"] = list(known[name])
    return dict(sorted(result.items()))


def dated(archives: Iterable[Path]) -> dict[str, str]:
    """Release -> day, in the order of the releases."""
    return dict(sorted(((version(archive), day(archive)) for archive in archives), key=lambda pair: order(pair[0])))


def main(arguments_given: Sequence[str] | None = None) -> None:
    """Write one JSON file with both tables and the releases that were read."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--transformers", type=Path, nargs="+", required=True, metavar="ARCHIVE")
    parser.add_argument("--vllm", type=Path, nargs="+", required=True, metavar="ARCHIVE")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(arguments_given)
    transformers = {version(archive): transformers_types(archive) for archive in arguments.transformers}
    vllm = {version(archive): vllm_types(archive) for archive in arguments.vllm}
    table = {
        "transformers": {"releases": dated(arguments.transformers), "model_types": spans(transformers)},
        "vllm": {"releases": dated(arguments.vllm), "model_types": spans(vllm)},
    }
    arguments.out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
