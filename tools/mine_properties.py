"""Write `qvl_doctor/knowledge/settings.json`: names of vLLM's config classes that stand for flags with another name.

    python tools/mine_properties.py --vllm vllm-0.6.0 … vllm-0.33.0 --out qvl_doctor/knowledge

A source is an sdist or an unpacked folder, as for `mine_flags.py`. Nothing is imported. Messages of vLLM name what its
code computes: `local_world_size` is no flag, but follows from --tensor-parallel-size and two others. A name is a
property, a method without arguments or a computed attribute of a config class; the flags are those whose fields it
reads, directly or through other such names. What a config takes under another name than its flag (`cache_dtype` of
--kv-cache-dtype) is in the table as well. A name counts only if it is of two words, means at most three flags, and
is no act (`validate_…`). The newest release that has it is believed.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from build_knowledge import write
from vllm_source import Sources, version, version_key

KNOWLEDGE = Path(__file__).resolve().parent.parent / "qvl_doctor" / "knowledge"
#: Where config classes are written, and where they are made from flags.
CONFIGS = re.compile(r"vllm/config(?:\.py|/\w+\.py)")
ARGUMENTS = "vllm/engine/arg_utils.py"
#: So many flags say where to look; more say nothing.
MOST_FLAGS = 3
#: Fields that every other name depends on somehow.
VAGUE = frozenset(
    (
        *("model", "task", "runner", "convert", "hf_overrides", "hf_token", "revision", "code_revision", "tokenizer"),
        *("additional_config", "trust_remote_code", "dtype", "config_format", "hf_config_path", "seed", "model_impl"),
    )
)
#: Methods that do something; a message names what is.
ACTS = re.compile(
    r"(?:validate|verify|maybe|compute|get|set|init|post|try|update|finalize|stateless|log|check|has_same)_"
)

#: Name -> names that it is computed from.
Reads = dict[str, set[str]]


def reads_of(sources: Sources) -> list[Reads]:
    """For each config class what its computed names read of its own fields."""
    paths = filter(CONFIGS.fullmatch, sources.paths())
    trees = (ast.parse(sources.text(path)) for path in paths)
    return [_of_class(node) for tree in trees for node in ast.walk(tree) if _is_config(node)]


def aliases(sources: Sources) -> Reads:
    """Name of a config -> name of the flag it is given: CacheConfig(cache_dtype=self.kv_cache_dtype)."""
    found: Reads = {}
    for node in ast.walk(ast.parse(sources.text(ARGUMENTS) or "")):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Config"):
            for keyword in node.keywords:
                if keyword.arg and isinstance(keyword.value, ast.Attribute) and _of_self(keyword.value):
                    found.setdefault(keyword.arg, set()).add(keyword.value.attr)
    return {name: given for name, given in found.items() if given != {name}}


def flags_by_name(releases: Iterable[Sources], flags: Iterable[str]) -> dict[str, list[str]]:
    """Name -> flags that it follows from, over all releases, the newest last."""
    known = {flag[2:].replace("-", "_"): flag for flag in flags}
    found: dict[str, list[frozenset[str]]] = {}
    for sources in releases:
        given = aliases(sources)
        for reads in [*reads_of(sources), given]:
            for name in reads:
                means = frozenset(_flags(name, {**given, **reads}, known, frozenset()))
                if means and name not in known and "_" in name[1:] and not ACTS.match(name):
                    found.setdefault(name, []).append(means)
    settled = {name: _settled(each) for name, each in found.items()}
    return {name: means for name, means in sorted(settled.items()) if means}


def _settled(meanings: Sequence[frozenset[str]]) -> list[str]:
    """What the newest of them says; nothing where that is too much."""
    last = meanings[-1]
    return sorted(last) if len(last) <= MOST_FLAGS else []


def _flags(name: str, reads: Mapping[str, set[str]], known: Mapping[str, str], seen: frozenset[str]) -> Iterator[str]:
    for each in reads.get(name, ()):
        if each in VAGUE or each in seen:
            continue
        if each in known:
            yield known[each]
        else:
            yield from _flags(each, reads, known, seen | {name, each})


def _is_config(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and node.name.endswith("Config")


def _of_class(node: ast.AST) -> Reads:
    found: Reads = {}
    for each in getattr(node, "body", ()):
        if not isinstance(each, ast.FunctionDef):
            continue
        if _is_value(each):
            found.setdefault(each.name, set()).update(_read(each))
        for target, value in _assigned(each):
            found.setdefault(target, set()).update(_read(value) - {target})
    return found


def _is_value(function: ast.FunctionDef) -> bool:
    """A property, or a method that is asked without an argument."""
    names = {getattr(each, "id", getattr(each, "attr", "")) for each in function.decorator_list}
    return bool(names & {"property", "cached_property"}) or (
        len(function.args.args) == 1 and not function.name.startswith("_")
    )


def _assigned(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """`self.world_size = self.a * self.b` of a class' own set-up."""
    if function.name in {"__init__", "__post_init__"}:
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and _of_self(node.targets[0]):
                yield str(getattr(node.targets[0], "attr", "")), node.value


def _read(node: ast.AST) -> set[str]:
    """Fields that are read, the class' own and those of configs that it holds: `self.max_loras`, `self.a_config.b`."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Load):
            holds = each.value.attr.endswith("_config") if isinstance(each.value, ast.Attribute) else False
            if _of_self(each) or (holds and _of_self(each.value)):
                found.add(each.attr)
    return {name for name in found if not name.endswith("_config")} or found


def _of_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def main(given: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vllm", nargs="+", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=KNOWLEDGE)
    parser.add_argument("--date", default=date.today().isoformat())  # noqa: DTZ011 — the day on the author's calendar
    options = parser.parse_args(given)
    archives = sorted(options.vllm, key=lambda path: version_key(version(path)))
    flags = json.loads((options.out / "flags.json").read_text(encoding="utf-8"))["flags"]
    table = flags_by_name(map(Sources, archives), [name for name, entry in flags.items() if "in" in entry])
    source = f"config classes of vLLM's published sources, {version(archives[0])} to {version(archives[-1])}"
    write(options.out / "settings.json", {"source": source, "date": options.date}, {"names": table})


if __name__ == "__main__":
    main()
