"""Write `qvl_doctor/knowledge/flags.json`.

Every flag of `vllm serve`, its releases, spellings, kind of value and default.

    python tools/mine_flags.py --vllm vllm-0.6.0.tar.gz … vllm-0.33.0.tar.gz --out qvl_doctor/knowledge/flags.json
    --date 2026-11-22

A source is an sdist or an unpacked folder, named `vllm-<version>…`; `pip download --no-deps --no-binary :all:` fetches
sdists. Nothing is imported: each call of `add_argument` is read from the syntax tree (`vllm_source.py`), with what
vLLM's own `get_kwargs` makes of a type hint (`get_kwargs.py`). Give all releases at once, since a flag's span is what
they say together.

Kinds: `switch` (bare), `pair` (bare, with `--no-…`), `truth` (true or false, or bare), `int`, `size` (int, or 4k, 1M),
`size-or-auto`, `float`, `text`, `json`, `object` (JSON in braces), `literal` (of Python), `pairs` (a=1,b=2),
`json-or-pairs`, `json-or-text`. Behind it `?`: the value may be missing; `*`: several values; `&`: may be repeated.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from get_kwargs import COMPUTED, FOLDED, Kwargs, Reader
from vllm_source import Sources, version, version_key

#: The files that make up the parser of `vllm serve` and of the API server, as far as a release has them.
PARSER_FILES = (
    "vllm/engine/arg_utils.py",
    "vllm/entrypoints/openai/cli_args.py",
    "vllm/entrypoints/common/cli_args.py",
    "vllm/entrypoints/launchers/cli_args.py",
    "vllm/entrypoints/cli/serve.py",
    "vllm/scripts.py",
)
#: Longer lists of choices are names of plug-ins and methods that change with every release, and that users add to.
MOST_CHOICES = 12
#: Where `--enable-x` and `--disable-x` are two names of one flag, the parser says so by this class.
INVERSE_CLASS = "class EnableDisableAction"

Options = dict[str, dict[str, Any]]


def options_of(sources: Sources) -> Options:
    """The flags of one release: --name -> {also, kind, choices, default, deprecated}."""
    found: Options = {}
    for path in PARSER_FILES:
        if sources.text(path):
            for names, kwargs in Reader(sources, path).arguments():
                _take(found, names, kwargs)
    return found


def _take(found: Options, names: Sequence[str], kwargs: Kwargs) -> None:
    long = [name.replace("_", "-") for name in names if name.startswith("--")]
    if not long or kwargs.get("action") == "version":
        return
    option: dict[str, Any] = {
        "also": [name for name in names if not name.startswith("--")],
        "kind": kind_of(kwargs),
        "choices": [] if kwargs.get("type") == FOLDED else _choices(kwargs.get("choices")),
        "default": kwargs.get("default", False if kwargs.get("action") == "store_true" else None),
        "deprecated": bool(kwargs.get("deprecated")),
    }
    for name in long:
        found.setdefault(name, option if name == long[0] else {**option, "means": long[0]})


def kind_of(kwargs: Kwargs) -> str:
    """What the command line takes behind a flag, from the keyword arguments of its `add_argument`."""
    action, several = kwargs.get("action"), str(kwargs.get("nargs", ""))
    if action in {"store_true", "store_false"}:
        return "switch"
    if action == "BooleanOptionalAction":
        return "pair"
    if action == "StoreBoolean":
        return "truth"
    kind = kwargs.get("type", FOLDED).replace(FOLDED, "text")
    if several == "?":
        return f"{kind}?"
    if several in {"+", "*"} or several.isdigit():
        return f"{kind}*"
    return f"{kind}&" if action == "append" else str(kind)


def _choices(choices: Any) -> list[Any]:
    if not isinstance(choices, list) or not 0 < len(choices) <= MOST_CHOICES or COMPUTED in choices:
        return []
    return sorted({choice for choice in choices if choice not in {None, "None"}})


def table(releases: Mapping[str, Options]) -> dict[str, Any]:
    """Flag -> what all releases say about it together; what a reader takes for granted is left out."""
    order = sorted(releases, key=version_key)
    names = sorted({name for options in releases.values() for name in options})
    return {
        name: _entry(name, {each: releases[each][name] for each in order if name in releases[each]}, order)
        for name in names
    }


def _entry(name: str, seen: Mapping[str, Mapping[str, Any]], order: list[str]) -> dict[str, Any]:
    first, last = next(iter(seen)), list(seen)[-1]
    between = order[order.index(first) : order.index(last) + 1]
    if between != list(seen):
        raise SystemExit(f"{name} is missing in {', '.join(sorted(set(between) - set(seen)))}")
    newest = seen[last]
    entry: dict[str, Any] = {"in": _span(list(seen), order)}
    if "means" in newest:
        return {**entry, "means": newest["means"]}
    also = {
        each: _span([release for release in seen if each in seen[release]["also"]], order) for each in _all_also(seen)
    }
    entry |= {"also": also} if also else {}
    for key, usual in (("kind", "text"), ("choices", []), ("default", None), ("deprecated", False)):
        segments = _segments({release: option[key] for release, option in seen.items()})
        if len(segments) > 1:
            entry[key + "_from"] = segments
        elif segments[0][1] != usual:
            entry[key] = segments[0][1]
    return entry


def _span(releases: list[str], order: list[str]) -> list[str]:
    """[first] or [first, last], if it is gone."""
    return [releases[0]] if releases[-1] == order[-1] else [releases[0], releases[-1]]


def _all_also(seen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(each for option in seen.values() for each in option["also"]))


def _segments(values: Mapping[str, Any]) -> list[list[Any]]:
    """[release, value] for each change."""
    found: list[list[Any]] = []
    for release, value in values.items():
        if not found or found[-1][1] != value or type(found[-1][1]) is not type(value):
            found.append([release, value])
    return found


def written(flags: Mapping[str, Any], inverse: str, newest: str, day: str) -> str:
    """The file: one flag a line, so that a refresh is a readable diff."""
    head = {
        "source": f"argument parsers of vLLM's published sources, up to {newest}",
        "date": day,
        "inverse_from": inverse,
    }
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in flags.items())
    return json.dumps(head, indent=1)[:-2] + ',\n "flags": {\n' + lines + "\n }\n}\n"


def main(arguments: Iterable[str] | None = None) -> None:
    """Read all releases, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vllm", nargs="+", type=Path, required=True, metavar="SDIST")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--date", default=date.today().isoformat())  # noqa: DTZ011 — the day on the author's calendar
    options = parser.parse_args(arguments)
    releases: dict[str, Options] = {}
    with_inverse = []
    for archive in options.vllm:
        sources = Sources(archive)
        releases[version(archive)] = options_of(sources)
        if INVERSE_CLASS in sources.text("vllm/utils/argparse_utils.py"):
            with_inverse.append(version(archive))
    newest = max(releases, key=version_key)
    flags = table(releases)
    options.out.write_text(
        written(flags, min(with_inverse, key=version_key, default=""), newest, options.date), encoding="utf-8"
    )
    print(f"{len(flags)} flags of {len(releases)} releases")


if __name__ == "__main__":
    main()
