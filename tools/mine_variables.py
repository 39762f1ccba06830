"""Write `qvl_doctor/knowledge/variables.json` and `quantization.json`.

The environment variables and the quantizations of each release.

    python tools/mine_variables.py --vllm vllm-0.6.0.tar.gz … vllm-0.33.0.tar.gz --out qvl_doctor/knowledge --date
    2026-11-29

A source is an sdist or an unpacked folder, named `vllm-<version>…`, as for `mine_flags.py`. Nothing is imported. A
variable is one that `vllm/envs.py` of some release declares; it is known to every release that names it anywhere,
because some are read past that list. So a name that a release does not know has no effect in it. A span has no gaps:
what one release forgot counts as known.

For a quantization method the table has the least compute capability (75 means 7.5) that its class asks for, as
`[release, minimum]` for each change; null means that the release does not have the method, or does not say a number.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from vllm_source import Sources, version, version_key

#: A name as a whole string.
NAMED = re.compile(r"""(["'])(VLLM_[A-Z0-9_]*[A-Z0-9])\1""")
#: Where a release declares its variables, and the name of the mapping.
DECLARED = ("vllm/envs.py", "environment_variables")
QUANTIZATIONS = "vllm/model_executor/layers/quantization/"
#: Schemes of compressed-tensors whose class is no method of its own.
SCHEMES = {
    "CompressedTensorsWNA16": "compressed-tensors WNA16",
    "CompressedTensorsW8A8Int8": "compressed-tensors W8A8Int8",
}

Minima = dict[str, int]


def declared(sources: Sources) -> frozenset[str]:
    """The variables of its own that a release declares."""
    module = sources.module(DECLARED[0])
    found = module.find(DECLARED[1]) if module else None
    if found is None or not isinstance(found.node, ast.Dict):
        raise SystemExit(f"no {DECLARED[1]} in {DECLARED[0]}; has vLLM moved it?")
    keys = (key.value for key in found.node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
    return frozenset(key for key in keys if key.startswith("VLLM_"))


def named(sources: Sources) -> frozenset[str]:
    """All names of that form that stand in a release as whole strings."""
    return frozenset(found[2] for path in sources.paths() for found in NAMED.finditer(sources.text(path)))


def minima(sources: Sources) -> Minima:
    """Quantization method -> least compute capability."""
    classes = dict(_classes(sources))
    methods = _methods(sources.text(QUANTIZATIONS + "__init__.py"))
    named = {**methods, **{method: name for name, method in SCHEMES.items()}}
    found = {method: _minimum(name, classes) for method, name in named.items()}
    return {method: least for method, least in sorted(found.items()) if least is not None}


def _methods(text: str) -> dict[str, str]:
    """Method -> class, out of the mapping of the package, wherever it stands in it."""
    tables = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Dict)]
    rows = (_pairs(table) for table in tables)
    return max(rows, key=len, default={})


def _pairs(table: ast.Dict) -> dict[str, str]:
    pairs = zip(table.keys, table.values, strict=True)
    return {
        str(key.value): value.id
        for key, value in pairs
        if isinstance(key, ast.Constant) and isinstance(value, ast.Name) and value.id.endswith("Config")
    }


def _classes(sources: Sources) -> Iterator[tuple[str, tuple[list[str], int | None]]]:
    """Name -> bases and own minimum of each class of the package and of its schemes."""
    for path in sources.paths():
        if path.startswith(QUANTIZATIONS) and "get_min_capability" in sources.text(path):
            for node in ast.parse(sources.text(path)).body:
                if isinstance(node, ast.ClassDef):
                    yield (
                        node.name,
                        ([base.id for base in node.bases if isinstance(base, ast.Name)], _own_minimum(node)),
                    )


def _own_minimum(node: ast.ClassDef) -> int | None:
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name == "get_min_capability":
            last = each.body[-1]
            number = last.value if isinstance(last, ast.Return) else None
            return number.value if isinstance(number, ast.Constant) and isinstance(number.value, int) else None
    return None


def _minimum(name: str, classes: Mapping[str, tuple[list[str], int | None]], steps: int = 4) -> int | None:
    """A class's own minimum, or that of what it is made of."""
    bases, own = classes.get(name, ([], None))
    if own is not None or not steps:
        return own
    return next((found for base in bases if (found := _minimum(base, classes, steps - 1)) is not None), None)


def segments(releases: Mapping[str, Minima]) -> dict[str, list[list[Any]]]:
    """Method -> [release, minimum] for each change."""
    table: dict[str, list[list[Any]]] = {}
    for release in sorted(releases, key=version_key):
        for method in {*table, *releases[release]}:
            rows, least = table.setdefault(method, []), releases[release].get(method)
            if (not rows and least is not None) or (rows and rows[-1][1] != least):
                rows.append([release, least])
    return dict(sorted(table.items()))


def of_segments(table: Mapping[str, Sequence[Sequence[Any]]], releases: Sequence[str]) -> dict[str, Minima]:
    """Release -> minima: the reverse of `segments`."""
    found: dict[str, Minima] = {release: {} for release in releases}
    for method, rows in table.items():
        for release in releases:
            least = next((row[1] for row in reversed(rows) if version_key(row[0]) <= version_key(release)), None)
            if least is not None:
                found[release][method] = least
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Read all releases, write both tables."""
    from build_knowledge import spans, write

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vllm", nargs="+", type=Path, required=True, metavar="SDIST")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--date", default=date.today().isoformat())  # noqa: DTZ011 — the day on the author's calendar
    options = parser.parse_args(arguments)
    own: dict[str, frozenset[str]] = {}
    others: dict[str, frozenset[str]] = {}
    least: dict[str, Minima] = {}
    for archive in sorted(options.vllm, key=lambda path: version_key(version(path))):
        sources = Sources(archive)
        release = version(archive)
        own[release], others[release], least[release] = declared(sources), named(sources), minima(sources)
    releases = list(own)
    ever = frozenset().union(*own.values())
    found = spans({release: own[release] | (others[release] & ever) for release in releases}, releases)
    header = {"date": options.date}
    sdists = f"vLLM's published sources, {releases[0]} to {releases[-1]}"
    write(
        options.out / "variables.json", {"source": f"variables that {sdists}, declare", **header}, {"variables": found}
    )
    write(
        options.out / "quantization.json",
        {"source": f"get_min_capability of {sdists}", **header},
        {"methods": segments(least)},
    )
    print(f"{len(found)} variables and {len(least[releases[-1]])} quantizations of {len(releases)} releases")


if __name__ == "__main__":
    main()
