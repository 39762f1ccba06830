"""Takes new vLLM releases into the tables of `qvl_doctor/knowledge/`; docs/new-release.md has the steps around it.

    python tools/refresh_knowledge.py 0.34.0                          fetches the sdist from pip's index and reads it;
                                                                      nothing of it is run
    python tools/refresh_knowledge.py 0.34.0 --transformers 5.24.0    the same, and a new Transformers release with
    its
                                                                      model types
    python tools/refresh_knowledge.py 0.34.0 --sources DIR            keeps, or finds, the sources in DIR/vllm-0.34.0

All files have one entry a line: `git diff` is what the release changed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import call_sites
import mine_flags
import mine_model_types
import mine_models
import mine_modules
import mine_release
import mine_requirements
import mine_variables
from build_knowledge import Compatibility, Table, limit_by_day, model_types_table, models_table, spans, write
from fetch_sdist import FetchError, download, fetch
from vllm_source import Sources, version_key

KNOWLEDGE = Path(__file__).resolve().parent.parent / "qvl_doctor" / "knowledge"
#: The model types of all Transformers and vLLM releases that were read, as `mine_model_types.py` writes them.
MODEL_TYPES = Path(__file__).resolve().parent / "data" / "model_types.json"
#: What lies beside that file: the registry and the modules of all vLLM releases that were read, as `mine_models.py`
#: and
#: `mine_modules.py` write them.
REGISTRY, MODULES = "registry.json", "modules.json"


class Tables:
    """All tables, as they are on disk and with what new releases add."""

    def __init__(self, knowledge: Path, model_types: Path, day: str) -> None:
        self.knowledge, self.types_file, self.day = knowledge, model_types, day
        self.registry_file, self.modules_file = model_types.with_name(REGISTRY), model_types.with_name(MODULES)
        self.pins: dict[str, Any] = _read(knowledge / "pins.json")["releases"]
        self.architectures: Table = _read(knowledge / "architectures.json")["architectures"]
        self.flags = _read(knowledge / "flags.json")
        self.variables: Table = _read(knowledge / "variables.json")["variables"]
        self.minima: Table = _read(knowledge / "quantization.json")["methods"]
        self.types = _read(model_types)
        self.registry: Table = _read(self.registry_file) if self.registry_file.exists() else {}
        self.modules: mine_modules.Table = _read(self.modules_file) if self.modules_file.exists() else {}
        self.sites = _read(knowledge / "call_sites.json")
        self.requirements = mine_requirements.Table(knowledge / "requirements.json")
        self.changes: list[str] = []

    def add(self, release: str, folder: Path) -> None:
        """Take in a vLLM release from its unpacked sources."""
        self.changes.append(f"vLLM {release}")
        releases = list(self.pins)
        self._add_flags(release, releases, folder)
        self._add_variables(release, releases, Sources(folder))
        self._add_modules(release, folder)
        self._add_sites(release, releases, folder)
        architectures = expanded(self.architectures, releases) | {release: mine_release.architectures(folder)}
        self.pins = dict(
            sorted({**self.pins, release: mine_release.pins(folder)}.items(), key=lambda pair: version_key(pair[0]))
        )
        self._replace("architectures", self.architectures, spans(architectures, list(self.pins)))
        self.types["vllm"] = with_types(
            self.types["vllm"], release, mine_model_types.vllm_types(folder), mine_model_types.day(folder)
        )
        for _, _, lines in mine_requirements.releases_of(folder):
            self.requirements.add("vllm", release, lines)
        self.registry = mine_models.with_models(self.registry, release, mine_models.models_of(folder))
        self.changes.append(f"asks for {', '.join(f'{name} {value}' for name, value in self.pins[release].items())}")

    def add_transformers(self, release: str, archive: Path) -> None:
        """Take in the model types of a Transformers release."""
        types = mine_model_types.transformers_types(archive)
        self.requirements.add(
            "transformers", release, mine_requirements.of_metadata(mine_model_types.read(archive, "PKG-INFO"))
        )
        new = sorted(set(types) - set(self.types["transformers"]["model_types"]))
        self.types["transformers"] = with_types(
            self.types["transformers"], release, types, mine_model_types.day(archive)
        )
        self.changes.append(f"Transformers {release}: new model types: {', '.join(new) or 'none'}")

    def save(self) -> None:
        """Write all files."""
        traps = _read(self.knowledge / "traps.json")
        releases, public = list(self.pins), list(self.types["transformers"]["releases"])
        compatibility = Compatibility(self.pins, traps["ceilings"], self.types)
        sdists = f"vLLM's published sources, {releases[0]} to {releases[-1]}"
        mappings = f"auto mappings of Transformers {public[0]} to {public[-1]}; registry, config registry and requirements of {sdists}"
        types = model_types_table(self.types, self.architectures, compatibility, traps)
        examples = f"registry, model tests and list of supported models of {sdists}"
        limit_by_day(self.pins, self.architectures, self.types)
        self._write("architectures", f"model registry of {sdists}", {"architectures": self.architectures})
        self._write("variables", f"variables that {sdists}, declare", {"variables": self.variables})
        self._write("quantization", f"get_min_capability of {sdists}", {"methods": self.minima})
        self._write("pins", f"requirement files of {sdists}", {"releases": self.pins})
        self._write("model_types", mappings, {"model_types": types})
        modules = mine_modules.telling(mine_modules.flat(self.modules), releases[0]) if releases else {}
        self._write("vllm_modules", f"files of {sdists}", {"modules": mine_modules.by_package(modules)})
        self._write("models", examples, {"architectures": models_table(self.registry, self.architectures)})
        self.requirements.write(self.knowledge / "requirements.json", self.day)
        flags = mine_flags.written(self.flags["flags"], self.flags["inverse_from"], releases[-1], self.day)
        (self.knowledge / "flags.json").write_text(flags, encoding="utf-8")
        write_types(self.types, self.types_file)
        mine_models.write(self.registry, self.registry_file)
        self.modules_file.write_text(mine_modules.written(self.modules), encoding="utf-8")
        sites = call_sites.written(f"log calls of {sdists}", self.day, self.sites["unread"], self.sites["sites"])
        (self.knowledge / "call_sites.json").write_text(sites, encoding="utf-8")

    def _write(self, name: str, source: str, body: Mapping[str, Any]) -> None:
        write(self.knowledge / f"{name}.json", {"source": source, "date": self.day}, body)

    def _add_modules(self, release: str, folder: Path) -> None:
        known = mine_modules.of_releases(self.modules, list(self.pins)) | {release: mine_modules.modules_of(folder)}
        self.modules = mine_modules.by_package(
            mine_modules.spans({name: known[name] for name in sorted(known, key=version_key)})
        )

    def _add_flags(self, release: str, releases: Sequence[str], folder: Path) -> None:
        options = options_of_releases(self.flags["flags"], releases)
        if mine_flags.table(options) != self.flags["flags"]:
            raise SystemExit(
                "flags.json says more than this tool reads; write it with mine_flags.py and the sources of all releases"
            )
        sources = Sources(folder)
        options[release] = mine_flags.options_of(sources)
        if not self.flags["inverse_from"] and mine_flags.INVERSE_CLASS in sources.text("vllm/utils/argparse_utils.py"):
            self.flags["inverse_from"] = release
        self._replace("flags", self.flags["flags"], mine_flags.table(options))

    def _add_variables(self, release: str, releases: Sequence[str], sources: Sources) -> None:
        own = mine_variables.declared(sources)
        known = expanded(self.variables, releases) | {
            release: own | (mine_variables.named(sources) & (own | set(self.variables)))
        }
        order = sorted(known, key=version_key)
        self._replace("variables", self.variables, spans(known, order))
        least = mine_variables.of_segments(self.minima, releases) | {release: mine_variables.minima(sources)}
        self.minima = mine_variables.segments(least)

    def _add_sites(self, release: str, releases: Sequence[str], folder: Path) -> None:
        before = {(row["file"], row["words"]): row["lines"] for row in self.sites["sites"]}
        self.sites["sites"] = call_sites.with_release(self.sites, releases, release, folder)
        gone = [
            f"{row['file']} {row['words']!r}"
            for row in self.sites["sites"]
            if row["lines"].endswith(f"{release}:-") and row["lines"] != before.get((row["file"], row["words"]))
        ]
        self.changes.append(f"log calls: gone: {', '.join(gone) or 'none'}")

    def _replace(self, name: str, old: Table, new: Table) -> None:
        """Put a new table in the place of the old one, and say what is new in it."""
        added, ended = (
            sorted(set(new) - set(old)),
            sorted(key for key in new if key in old and _ends(new[key]) and not _ends(old[key])),
        )
        self.changes.append(f"{name}: new: {', '.join(added) or 'none'}; gone: {', '.join(ended) or 'none'}")
        old.clear()
        old.update(new)


def expanded(table: Table, releases: Sequence[str]) -> dict[str, frozenset[str]]:
    """Release -> names, from a table of names and their first and last release."""
    return {
        release: frozenset(name for name, span in table.items() if _within(release, span, releases))
        for release in releases
    }


def options_of_releases(flags: Table, releases: Sequence[str]) -> dict[str, mine_flags.Options]:
    """Release -> flags, out of the table that `mine_flags.table` made of them."""
    options: dict[str, mine_flags.Options] = {release: {} for release in releases}
    for name, entry in flags.items():
        for release in releases:
            if _within(release, entry["in"], releases):
                options[release][name] = _option(entry, release, releases)
    return options


def with_types(known: Table, release: str, types: Mapping[str, list[str]], day: str) -> Table:
    """The model types of one project with one more release: {releases, model_types}."""
    releases = dict(sorted({**known["releases"], release: day}.items(), key=lambda pair: version_key(pair[0])))
    entries = {name: dict(entry) for name, entry in known["model_types"].items()}
    for name, classes in types.items():
        entry = entries.setdefault(name, {"first": release, "last": release, "classes": []})
        newest = version_key(release) >= version_key(entry["last"])
        entry["first"] = min(entry["first"], release, key=version_key)
        entry["last"] = max(entry["last"], release, key=version_key)
        entry["classes"] = list(
            dict.fromkeys([*classes, *entry["classes"]] if newest else [*entry["classes"], *classes])
        )
    return {"releases": releases, "model_types": dict(sorted(entries.items()))}


def write_types(types: Mapping[str, Table], path: Path) -> None:
    """The file of model types, one a line."""
    parts = []
    for project, table in types.items():
        rows = ",\n".join(f"   {json.dumps(name)}: {json.dumps(entry)}" for name, entry in table["model_types"].items())
        parts.append(
            f' "{project}": {{\n  "releases": {json.dumps(table["releases"])},\n  "model_types": {{\n{rows}\n  }}\n }}'
        )
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _option(entry: Table, release: str, releases: Sequence[str]) -> dict[str, Any]:
    """What a flag is in one release."""
    if "means" in entry:
        return {"means": entry["means"], "also": []}
    option: dict[str, Any] = {
        "also": [each for each, span in entry.get("also", {}).items() if _within(release, span, releases)]
    }
    for key, usual in (("kind", "text"), ("choices", []), ("default", None), ("deprecated", False)):
        option[key] = entry.get(key, usual)
        for begins, value in entry.get(f"{key}_from", ()):
            if version_key(begins) <= version_key(release):
                option[key] = value
    return option


def _within(release: str, span: Sequence[str], releases: Sequence[str]) -> bool:
    """Whether a release lies in [first] or [first, last]."""
    last = span[1] if len(span) > 1 else releases[-1]
    return version_key(span[0]) <= version_key(release) <= version_key(last)


def _ends(entry: Any) -> bool:
    """Whether a name is gone from the newest release."""
    return len(entry["in"] if isinstance(entry, dict) else entry) > 1


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", nargs="+", metavar="VERSION", help="a vLLM release")
    parser.add_argument("--transformers", nargs="*", default=[], metavar="VERSION", help="a Transformers release")
    parser.add_argument(
        "--sources", type=Path, help="a folder for the sources; without it they are fetched and deleted again"
    )
    parser.add_argument("--knowledge", type=Path, default=KNOWLEDGE)
    parser.add_argument("--model-types", type=Path, default=MODEL_TYPES)
    parser.add_argument("--date", default=date.today().isoformat())  # noqa: DTZ011 — the day on the author's calendar
    options = parser.parse_args(arguments)
    tables = Tables(options.knowledge, options.model_types, options.date)
    with tempfile.TemporaryDirectory(prefix="qvl-doctor-") as scratch:
        folder = options.sources or Path(scratch)
        try:
            for release in sorted(options.releases, key=version_key):
                tables.add(release, fetch(release, folder))
            for release in sorted(options.transformers, key=version_key):
                tables.add_transformers(release, download("transformers", release, folder))
        except FetchError as error:
            print(f"{error}; nothing was written", file=sys.stderr)
            return 1
    tables.save()
    print("\n".join(tables.changes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
