"""Write the generated tables of `qvl_doctor/knowledge/` from mined releases of vLLM and Transformers.

    python tools/build_knowledge.py --architectures architectures.jsonl --pins pins.jsonl \
        --model-types model_types.json --registry registry.json --out qvl_doctor/knowledge --date 2026-11-22

Inputs are JSON lines, one object for each architecture (`architecture`, `first_version`, `last_version`) and vLLM
release (`version`, `transformers`, `torch`, `python`, `main_cuda`), and what `mine_model_types.py` and
`mine_models.py`
write. `traps.json` of the output folder is read, not written: it holds what no table says. `mine_flags.py` writes
flags.json by itself.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from qvl_doctor.knowledge import model_names
from qvl_doctor.versions import release, satisfies

Table = dict[str, Any]

#: In the order in which a range is written.
_OPERATORS = (">=", ">", "~=", "==", "!=", "<", "<=")
#: An image may have a layer of requirements that is older than its release: some were published with Qwen3-VL in vLLM
#: and without a Transformers that reads it (QwenLM/Qwen3-VL issue 1515). After three weeks no layer is that old.
LAYER_DAYS = 21
#: A vLLM release that is the first to serve a model was tried with the Transformers release for it, even if that came
#: some days later.
TESTED_DAYS = 14


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


def limit_by_day(pins: Mapping[str, dict[str, str]], spans: Table, mined: Mapping[str, Any]) -> None:
    """Add to each vLLM release `below`: the first minor release of Transformers that it cannot have been made for.

    That is one which came after its day, unless a model that it is the first to serve needs it and it came within
    TESTED_DAYS. No
    release is narrower here than the one before it.
    """
    public, days = mined["transformers"]["releases"], mined["vllm"]["releases"]
    minors: dict[str, str] = {}
    for each, day in public.items():
        minors.setdefault(minor(each), day)
    known: set[str] = set()
    for vllm, pin in pins.items():
        pin.pop("below", None)
        if vllm not in days:
            continue
        wanted = {
            minor(own["first"])
            for own in mined["transformers"]["model_types"].values()
            if any(spans.get(name, [""])[0] == vllm for name in own["classes"])
        }
        upper = next((part for part in pin["transformers"].split(",") if part.startswith("<")), "")
        known |= {
            name
            for name, day in minors.items()
            if day <= days[vllm] or (name in wanted and apart(days[vllm], day) <= TESTED_DAYS)
        }
        first = min(set(minors) - known, key=lambda name: release(name) or (), default="")
        if (
            first
            and satisfies(first, pin["transformers"]) is not False
            and not satisfies(upper.lstrip("<"), f"<={first}")
        ):
            pin["below"] = first.removesuffix(".0")


def plain_range(text: str) -> str:
    """A requirement's range without blanks and markers, lower bounds first: '<5,>= 4.56.0; x' is '>=4.56.0,<5'."""
    parts = [part.replace(" ", "") for part in text.split(";", maxsplit=1)[0].split(",")]
    return ",".join(sorted(parts, key=lambda part: _OPERATORS.index(re.match(r"[<>=!~]+", part)[0])))  # type: ignore[index]


class Compatibility:
    """Which vLLM release runs with which Transformers release, by its own pins and by the known ceilings."""

    def __init__(
        self, pins: Mapping[str, Mapping[str, str]], ceilings: Iterable[Mapping[str, str]], mined: Mapping[str, Any]
    ) -> None:
        limits = list(ceilings)
        self.releases = list(pins)
        self.known: dict[str, str] = mined["transformers"]["releases"]
        self.days: dict[str, str] = mined["vllm"]["releases"]
        self.ranges = {
            vllm: ",".join(
                [pin["transformers"], *(each["transformers"] for each in limits if satisfies(vllm, each["vllm"]))]
            )
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
    mined: Mapping[str, Any], spans: Table, compatibility: Compatibility, traps: Mapping[str, Any]
) -> Table:
    """Model type -> what to install for it, with the keys of `knowledge.ModelType`."""
    transformers, vllm = mined["transformers"]["model_types"], mined["vllm"]["model_types"]
    newest = list(mined["transformers"]["releases"])[-1]
    table: Table = {}
    for name in sorted({*transformers, *vllm}):
        public, own = transformers.get(name), vllm.get(name)
        if public and public["last"] != newest:
            continue  # Transformers dropped it again: no "from … on" would be right
        entry: Table = {"transformers": minor(public["first"])} if public else {}
        if name not in traps["not_served"]:
            reader = Reader(compatibility, public, own)
            entry |= serving(reader, spans, traps["model_types"].get(name, {}).get("vllm", ""))
            if "vllm" in entry and not any(
                map(reader.reads_with_transformers, from_on(entry["vllm"], compatibility.releases))
            ):
                entry.pop("transformers", None)  # vLLM reads it by itself, and runs with no Transformers that does
        if public or ("vllm" in entry and "until" not in entry):
            table[name] = entry
    return table


class Reader:
    """Who reads the config of a model type: Transformers (`public`), vLLM itself (`own`), or both."""

    def __init__(self, compatibility: Compatibility, public: Table | None, own: Table | None) -> None:
        self.compatibility, self.public, self.own = compatibility, public, own
        self.classes: list[str] = [*(public or own or {})["classes"], *(own["classes"] if own else [])]

    def reads(self, vllm: str) -> bool:
        """Whether a vLLM release reads the type, alone or with a Transformers release that it runs with."""
        return self.alone(vllm) or self.reads_with_transformers(vllm)

    def reads_with_transformers(self, vllm: str) -> bool:
        """Whether a vLLM release runs with a Transformers release that reads the type."""
        return bool(self.public and self.compatibility.runs(vllm, self.public["first"]))

    def reads_in_image(self, vllm: str) -> bool:
        """Whether the official image of a vLLM release surely reads the type."""
        return self.alone(vllm) or bool(self.public and self.compatibility.brings(vllm, self.public["first"]))

    def alone(self, vllm: str) -> bool:
        """Whether a vLLM release brings a config of its own."""
        return bool(self.own and within(vllm, [self.own["first"], self.own["last"]]))


def serving(reader: Reader, spans: Table, needs: str) -> Table:
    """The architecture of a type and the vLLM releases that serve it.

    {architecture, vllm, together, until, shipped, image}, if known.

    `vllm` is the first release whose registry has the architecture. `together` is the first of the newest unbroken
    run of releases
    that also read the config, alone or with a Transformers release that they run with; left out where that is the
    same one.
    `needs` is a first release known better than the tables have it.
    """
    architecture = served_as(reader.classes, spans)
    if not architecture:
        return {}
    releases, span = reader.compatibility.releases, spans[architecture]
    run: list[str] = []
    for vllm in reversed(releases):
        if within(vllm, span) and reader.reads(vllm):
            run.insert(0, vllm)
        elif run:
            break
    if not run or (run[-1] != releases[-1] and len(span) == 1 and reader.public):
        return {
            "architecture": architecture
        }  # the newest vLLM has it but does not run with a Transformers that knows it: nothing is proven
    first = needs or span[0]
    entry: Table = {"architecture": architecture, "vllm": first}
    if run[-1] != releases[-1] and len(span) == 1 and not reader.public:
        return entry | {"shipped": True}  # vLLM dropped its config: the checkpoint brings it
    if not within(first, [run[0]]):
        entry["together"] = run[0]
    if run[-1] != releases[-1]:
        entry["until"] = run[-1]
    return entry | image_for(reader, from_on(needs, run))


def image_for(reader: Reader, run: list[str]) -> Table:
    """The official image to name for a type.

    The last patch release of the first minor release that surely carries all it needs.
    """
    for vllm in run:
        if reader.reads_in_image(vllm):
            return {"image": [each for each in run if minor(each) == minor(vllm)][-1]}
    return {}


def models_table(models: Mapping[str, Any], spans: Table) -> Table:
    """Architecture -> {kind, names, remote, through}.

    What `knowledge.models` says of it; text is the kind that is not written.
    """
    families: dict[str, set[str]] = {}
    for name, row in models.items():
        for repository in row["repositories"]:
            key = model_names.key_of(repository.rpartition("/")[2])
            if key and row["kind"] in ("text", "multimodal", ""):
                families.setdefault(name, set()).add(key)
    table: Table = {}
    for name, row in models.items():
        entry = {"kind": row["kind"]} if row["kind"] != "text" else {}
        entry |= {key: True for key in ("remote", "through") if row.get(key)}
        entry |= {"names": sorted(families[name])} if name in families else {}
        if entry and name in spans:
            table[name] = entry
    return table


def apart(earlier: str, later: str) -> int:
    """Days between two days written as YYYY-MM-DD."""
    return (date.fromisoformat(later) - date.fromisoformat(earlier)).days


def served_as(classes: Iterable[str], spans: Table) -> str:
    """The architecture under which vLLM serves one of these classes.

    The same name, or the name of its config class with an ending.
    """
    by_name = {loose(name): name for name in reversed(spans)}
    for cls in classes:
        if cls in spans:
            return cls
        stem = loose(cls.removesuffix("Config"))
        endings = (
            ("", "forconditionalgeneration", "forcausallm", "model", "lmheadmodel") if cls.endswith("Config") else ("",)
        )
        for ending in endings:
            if stem + ending in by_name:
                return by_name[stem + ending]
    return ""


def within(version: str, span: list[str]) -> bool:
    """Whether a release lies in [first] or [first, last], by release numbers."""
    return bool(
        satisfies(version, ",".join(operator + bound for operator, bound in zip((">=", "<="), span, strict=False)))
    )


def from_on(first: str, releases: list[str]) -> list[str]:
    """The releases from one on; all of them if it is ""."""
    return [each for each in releases if not first or within(each, [first])]


def loose(name: str) -> str:
    """A class name without the differences in spelling between Transformers and vLLM."""
    return name.replace("_", "").lower()


def minor(version: str) -> str:
    """Transformers brings models with minor releases; 4.52.1 is a first one too, because 4.52.0 was withdrawn."""
    return ".".join(version.split(".")[:2])


def spans(names: Mapping[str, Iterable[str]], releases: Sequence[str]) -> Table:
    """Name -> [first release] or [first, last] for those that the newest release has no more.

    The reverse of `expanded`.
    """
    found: dict[str, list[str]] = {}
    for each in releases:
        for name in names[each]:
            found.setdefault(name, []).append(each)
    return {name: [has[0]] if has[-1] == releases[-1] else [has[0], has[-1]] for name, has in sorted(found.items())}


def write(path: Path, header: Mapping[str, str], body: Mapping[str, Any]) -> None:
    """One entry a line, so that a refresh can be reviewed."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in header.items()]
    for key, table in body.items():
        if isinstance(table, dict):
            rows = ",\n".join(
                f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in table.items()
            )
            lines.append(f" {json.dumps(key)}: {{\n{rows}\n }},")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(table)},")
    path.write_text("{\n" + "\n".join(lines).removesuffix(",") + "\n}\n", encoding="utf-8")


def rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def main(arguments_given: Sequence[str] | None = None) -> None:
    """Write architectures.json, pins.json, model_types.json and models.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    for name in ("architectures", "pins", "model-types", "registry"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--date", required=True, help="the day on which the inputs were mined, as YYYY-MM-DD")
    arguments = parser.parse_args(arguments_given)
    traps = json.loads((arguments.out / "traps.json").read_text(encoding="utf-8"))
    pins = pins_table(rows(arguments.pins))
    releases = list(pins)
    spans = architectures_table(rows(arguments.architectures), releases)
    mined = json.loads(arguments.model_types.read_text(encoding="utf-8"))
    compatibility = Compatibility(pins, traps["ceilings"], mined)
    limit_by_day(pins, spans, mined)
    models = json.loads(arguments.registry.read_text(encoding="utf-8"))
    types = model_types_table(mined, spans, compatibility, traps)

    def header(source: str) -> dict[str, str]:
        return {"source": source, "date": arguments.date}

    sdists = f"vLLM's published sources, {releases[0]} to {releases[-1]}"
    write(arguments.out / "architectures.json", header(f"model registry of {sdists}"), {"architectures": spans})
    write(arguments.out / "pins.json", header(f"requirement files of {sdists}"), {"releases": pins})
    public = list(mined["transformers"]["releases"])
    source = f"auto mappings of Transformers {public[0]} to {public[-1]}; registry, config registry and requirements of {sdists}"
    write(arguments.out / "model_types.json", header(source), {"model_types": types})
    source = f"registry, model tests and list of supported models of {sdists}"
    write(arguments.out / "models.json", header(source), {"architectures": models_table(models, spans)})


if __name__ == "__main__":
    main()
