"""Write the generated tables of `qvl_doctor/knowledge/` from what was mined out of vLLM's and Transformers' published releases.

    python tools/build_knowledge.py --architectures architectures.jsonl --pins pins.jsonl --flags flags.jsonl \
        --model-types model_types.json --out qvl_doctor/knowledge --date 2026-11-22

Inputs are JSON lines, one object for each architecture (`architecture`, `first_version`, `last_version`), vLLM release (`version`,
`transformers`, `torch`, `python`, `main_cuda`) and flag (`flag`, `first_version`, `last_version`, `alias_of`, `defaults`, …), and what
`mine_model_types.py` writes. `traps.json` of the output folder is read, not written: it holds what no table says.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from qvl_doctor.versions import release, satisfies

Table = dict[str, Any]

#: An image's layer of requirements can be older than the release: the image of 0.11.0, a day younger than Transformers 4.57.0, lacked it.
LAYER_DAYS = 21


def architectures_table(rows: Iterable[Mapping[str, Any]], releases: list[str]) -> Table:
    """Architecture -> [first release] or [first, last] for those that the newest release has no more."""
    spans = {}
    for row in rows:
        if not row["first_version"]:
            continue  # served by a plug-in only
        gone = row["last_version"] != releases[-1]
        spans[row["architecture"]] = [row["first_version"], *([row["last_version"]] if gone else [])]
    return dict(sorted(spans.items()))


def pins_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """VLLM release -> what it asks for."""
    return {
        row["version"]: {
            "transformers": plain_range(row["transformers"]),
            "torch": plain_range(row["torch"]).removeprefix("=="),
            "python": plain_range(row["python"]),
            "cuda": row["main_cuda"],
        }
        for row in rows
    }


def plain_range(text: str) -> str:
    """A requirement's range without blanks and markers, lower bounds first: '<5,>= 4.56.0; x' is '>=4.56.0,<5'."""
    parts = [part.replace(" ", "") for part in text.split(";", maxsplit=1)[0].split(",")]
    return ",".join(sorted(parts, key=lambda part: (">=", "==", "!=", "<").index(re.match(r"[<>=!]+", part)[0])))  # type: ignore[index]


def flags_table(rows: Iterable[Mapping[str, Any]], releases: list[str], renamed: Mapping[str, str]) -> Table:
    """The flags that are not in every release: [first] or [first, last], and what took the place of those that are gone."""
    spans: Table = {}
    for row in rows:
        if row["type"] != "flag" or not row["first_version"]:
            continue
        first, last = row["first_version"], row["last_version"]
        spans[row["flag"]] = [first] if last == releases[-1] else [first, last]
    unknown = sorted(set(renamed) - set(spans))
    if unknown:
        raise SystemExit(f"renamed flags that no release has: {', '.join(unknown)}")
    return dict(sorted(spans.items()))


class Compatibility:
    """Which vLLM release runs with which Transformers release, by its own pins and by the known ceilings."""

    def __init__(self, pins: Mapping[str, Mapping[str, str]], ceilings: Iterable[Mapping[str, str]], mined: Mapping[str, Any]) -> None:
        limits = list(ceilings)
        self.releases = list(pins)
        self.known: dict[str, str] = mined["transformers"]["releases"]
        self.days: dict[str, str] = mined["vllm"]["releases"]
        self.ranges = {
            vllm: ",".join([pin["transformers"], *(each["transformers"] for each in limits if satisfies(vllm, each["vllm"]))])
            for vllm, pin in pins.items()
        }

    def runs(self, vllm: str, first: str) -> bool:
        """Whether some Transformers release from `first` on is right for this vLLM release."""
        floor = release(first) or ()
        return any((release(each) or ()) >= floor and satisfies(each, self.ranges[vllm]) for each in self.known)

    def brings(self, vllm: str, first: str) -> bool:
        """Whether a container image of this vLLM release surely has Transformers from `first` on.

        Either the release asks for it, or it is so much younger that no layer of its image can be older.
        """
        if not self.runs(vllm, first):
            return False
        floor = release(first) or ()
        asked = all((release(each) or ()) >= floor for each in self.known if satisfies(each, self.ranges[vllm]))
        return asked or (vllm in self.days and apart(self.known[first], self.days[vllm]) >= LAYER_DAYS)


def model_types_table(
    mined: Mapping[str, Any], spans: Table, compatibility: Compatibility, needs: Mapping[str, Mapping[str, str]]
) -> Table:
    """Model type -> what to install for it: {transformers, architecture, vllm, until, image}; see `knowledge.ModelType`."""
    transformers, vllm = mined["transformers"], mined["vllm"]
    newest = list(transformers["releases"])[-1]
    by_name = {loose(name): name for name in reversed(spans)}
    table: Table = {}
    for name in sorted({*transformers["model_types"], *vllm["model_types"]}):
        public, own = transformers["model_types"].get(name), vllm["model_types"].get(name)
        if public and public["last"] != newest:
            continue  # Transformers dropped it again: no "from … on" would be right
        entry: Table = {}
        if public:
            entry["transformers"] = minor(public["first"])
        architecture = served_as([*(public or own)["classes"], *(own["classes"] if own else [])], by_name)
        if architecture:
            entry["architecture"] = architecture
            window = served_by(public, own, spans[architecture], compatibility)
            if window and name in needs:
                window[0] = needs[name]["vllm"]
            if window:
                entry.update(zip(("vllm", "until"), window, strict=False))
                entry |= image_for(public, own, window, compatibility)
        if public or ("vllm" in entry and "until" not in entry):
            table[name] = entry
    return table


def served_by(public: Table | None, own: Table | None, span: list[str], compatibility: Compatibility) -> list[str]:
    """The newest unbroken run of vLLM releases that serve a type: [first], or [first, last] if it ended. Empty if there is none."""
    run: list[str] = []
    for vllm in reversed(compatibility.releases):
        registered = within(vllm, span)
        readable = bool(own and within(vllm, [own["first"], own["last"]])) or bool(public and compatibility.runs(vllm, public["first"]))
        if registered and readable:
            run.append(vllm)
        elif run:
            break
    if not run:
        return []
    return [run[-1]] if run[0] == compatibility.releases[-1] else [run[-1], run[0]]


def image_for(public: Table | None, own: Table | None, window: list[str], compatibility: Compatibility) -> Table:
    """The official image to name for a type: the last patch release of the first minor release that surely carries all it needs."""
    for vllm in compatibility.releases:
        readable = bool(own and within(vllm, [own["first"], own["last"]])) or bool(public and compatibility.brings(vllm, public["first"]))
        if readable and within(vllm, window):
            series = [each for each in compatibility.releases if minor(each) == minor(vllm) and within(each, window)]
            return {"image": series[-1]}
    return {}


def apart(earlier: str, later: str) -> int:
    """Days between two days written as YYYY-MM-DD."""
    return (date.fromisoformat(later) - date.fromisoformat(earlier)).days


def served_as(classes: Iterable[str], by_name: Mapping[str, str]) -> str:
    """The architecture under which vLLM serves one of these classes: the same name, or the name of its config class with an ending."""
    for cls in classes:
        if cls.endswith("Config"):
            stem = loose(cls.removesuffix("Config"))
            for ending in ("", "forconditionalgeneration", "forcausallm", "model", "lmheadmodel"):
                if stem + ending in by_name:
                    return by_name[stem + ending]
        elif loose(cls) in by_name:
            return by_name[loose(cls)]
    return ""


def within(version: str, span: list[str]) -> bool:
    """Whether a release lies in [first] or [first, last], by release numbers."""
    return bool(satisfies(version, ",".join(operator + bound for operator, bound in zip((">=", "<="), span, strict=False))))


def loose(name: str) -> str:
    """A class name without the differences in spelling between Transformers and vLLM."""
    return name.replace("_", "").lower()


def minor(version: str) -> str:
    """Transformers brings models with minor releases; 4.52.1 is a first one too, because 4.52.0 was withdrawn."""
    return ".".join(version.split(".")[:2])


def write(path: Path, header: Mapping[str, str], body: Mapping[str, Any]) -> None:
    """One entry a line, so that a refresh can be reviewed."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in header.items()]
    for key, table in body.items():
        if isinstance(table, dict):
            rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in table.items())
            lines.append(f" {json.dumps(key)}: {{\n{rows}\n }},")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(table)},")
    path.write_text("{\n" + "\n".join(lines).removesuffix(",") + "\n}\n", encoding="utf-8")


def rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def main() -> None:
    """Write architectures.json, pins.json, model_types.json and flags.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    for name in ("architectures", "pins", "flags", "model-types"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--date", required=True, help="the day on which the inputs were mined, as YYYY-MM-DD")
    arguments = parser.parse_args()
    traps = json.loads((arguments.out / "traps.json").read_text(encoding="utf-8"))
    pins = pins_table(rows(arguments.pins))
    releases = list(pins)
    spans = architectures_table(rows(arguments.architectures), releases)
    mined = json.loads(arguments.model_types.read_text(encoding="utf-8"))
    compatibility = Compatibility(pins, traps["ceilings"], mined)
    types = model_types_table(mined, spans, compatibility, traps["model_types"])
    flags = flags_table(rows(arguments.flags), releases, traps["renamed_flags"])

    def header(source: str) -> dict[str, str]:
        return {"source": source, "date": arguments.date}

    sdists = f"vLLM's published sources, {releases[0]} to {releases[-1]}"
    write(arguments.out / "architectures.json", header(f"model registry of {sdists}"), {"architectures": spans})
    write(arguments.out / "pins.json", header(f"requirement files of {sdists}"), {"releases": pins})
    public = list(mined["transformers"]["releases"])
    source = f"auto mappings of Transformers {public[0]} to {public[-1]}; registry, config registry and requirements of {sdists}"
    write(arguments.out / "model_types.json", header(source), {"model_types": types})
    write(arguments.out / "flags.json", header(f"argument parsers of {sdists}"), {"newest": releases[-1], "flags": flags})


if __name__ == "__main__":
    main()
