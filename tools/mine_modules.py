"""Which modules each release of vLLM has: a plug-in imports what another release keeps elsewhere or not at all.

    python tools/mine_modules.py --vllm vllm-0.7.2 vllm-0.33.0 … --out tools/data/modules.json

Each argument is an unpacked sdist. `refresh_knowledge.py` adds a release and makes
`qvl_doctor/knowledge/vllm_modules.json` of it:
there, modules that all releases have are left out, and so is what lies below a package that came or went with all
that is in it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mine_model_types import order, version

#: package -> span ("0.6.0", "0.6.0 0.9.2") -> names of its modules, with blanks between them.
Table = dict[str, dict[str, str]]


def modules_of(folder: Path) -> frozenset[str]:
    """The dotted names of all modules and packages of one release."""
    return frozenset(
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for path in (folder / "vllm").rglob("*.py")
    )


def spans(releases: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """Module -> the releases that have it, "first" or "first last", of releases that are given in their order."""
    names = list(releases)
    found = {}
    for module in sorted(frozenset().union(*releases.values())):
        has = [name for name in names if module in releases[name]]
        found[module] = has[0] if has[-1] == names[-1] else f"{has[0]} {has[-1]}"
    return found


def telling(known: Mapping[str, str], oldest: str) -> dict[str, str]:
    """The modules that tell a release: not those that all have, nor those that came and went with their package."""
    return {
        module: span
        for module, span in known.items()
        if span != oldest and span != known.get(module.rpartition(".")[0])
    }


def by_package(known: Mapping[str, str]) -> Table:
    """Modules with their spans, put together by package and span."""
    found: Table = {}
    for module, span in sorted(known.items()):
        package, _, name = module.rpartition(".")
        row = found.setdefault(package, {})
        row[span] = f"{row.get(span, '')} {name}".strip()
    return {
        package: dict(sorted(row.items(), key=lambda item: order(item[0]))) for package, row in sorted(found.items())
    }


def flat(known: Table) -> dict[str, str]:
    """Module -> span, out of a table by packages: the reverse of `by_package`."""
    return {
        f"{package}.{name}".removeprefix("."): span
        for package, row in known.items()
        for span, names in row.items()
        for name in names.split()
    }


def of_releases(known: Table, releases: Sequence[str]) -> dict[str, frozenset[str]]:
    """Release -> its modules, out of a table of all modules."""
    found: dict[str, set[str]] = {release: set() for release in releases}
    for package, row in known.items():
        for span, names in row.items():
            first, _, last = span.partition(" ")
            modules = {f"{package}.{name}".removeprefix(".") for name in names.split()}
            for release in releases:
                if order(first) <= order(release) <= order(last or releases[-1]):
                    found[release] |= modules
    return {release: frozenset(names) for release, names in found.items()}


def written(known: Table) -> str:
    """One package a line."""
    return "{\n" + ",\n".join(f" {json.dumps(package)}: {json.dumps(row)}" for package, row in known.items()) + "\n}\n"


def main(arguments_given: Sequence[str] | None = None) -> None:
    """Write the table of all modules of all releases that are given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--vllm", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(arguments_given)
    folders = sorted(arguments.vllm, key=lambda path: order(version(path)))
    releases = {version(folder): modules_of(folder) for folder in folders}
    arguments.out.write_text(written(by_package(spans(releases))), encoding="utf-8")


if __name__ == "__main__":
    main()
