"""The command line of `vllm serve`, release by release: which flags it has, what each takes, and how it may be spelled.

The facts are in `flags.json`, which `tools/mine_flags.py` reads out of vLLM's own parsers. A `release` may be "" (unknown): then a flag
counts as known if any release has it, and as its newest release has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

from qvl_doctor.knowledge import Span, renamed_flag, table
from qvl_doctor.versions import release as numbers_of

#: The value of a default that only a running vLLM knows.
COMPUTED = "?"
#: `--speculative-config.model X` stands for a key of the JSON from this release on (vllm/utils.py: `create_nested_dict`).
DOTTED_SINCE = "0.9.0"
#: `vllm serve --model X` without a positional model: from this release on the positional one may be missing (vllm/entrypoints/cli/serve.py).
MODEL_OPTION_SINCE = "0.8.3"

_NEGATIVE = "--no-"
_INVERSE = {"--enable-": "--disable-", "--disable-": "--enable-"}
_SIZES = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)([kKmMgGtT])")


class Option(NamedTuple):
    """A flag as one release has it. `kind` is described in `tools/mine_flags.py`; `choices` is empty where any value goes."""

    name: str
    span: Span
    kind: str
    choices: tuple[Any, ...]
    default: Any
    deprecated: bool

    @property
    def bare(self) -> bool:
        """Whether it takes no value."""
        return self.kind in {"switch", "pair"}

    @property
    def several(self) -> bool:
        """Whether several values may follow it."""
        return self.kind.endswith("*")

    @property
    def value_kind(self) -> str:
        """The kind of one value."""
        return self.kind.rstrip("*?&")


class Match(NamedTuple):
    """What a word of a command line means: its canonical name (a negative one keeps its `--no-`), and the flag behind it."""

    name: str
    option: Option
    negative: bool = False


def option(name: str, release: str = "") -> Option | None:
    """A flag by its own name, `--max-model-len`, as a release has it; one that a release does not have, as the nearest one has it."""
    entry = _flags().get(name)
    if not entry or "means" in entry:
        return None
    default = _at(entry, "default", release, None)
    return Option(
        name=name,
        span=Span(*entry["in"]),
        kind=_at(entry, "kind", release, "text"),
        choices=tuple(_at(entry, "choices", release, ())),
        default=default,
        deprecated=_at(entry, "deprecated", release, False),
    )


def has(name: str, release: str) -> bool:
    """Whether a release has a flag, by its canonical name: `--max-model-len`, `--no-enable-prefix-caching`."""
    found = _direct(name, release) or _inverted(name, release)
    return bool(found) and (not release or _within(_flags()[found.option.name]["in"], release))


def match(word: str, release: str = "") -> Match | None:
    """What a word like `--max_model_len`, `-tp`, `--no-enable-prefix-caching` or `--max-model` means, without value and dotted keys.

    As argparse does it: an exact name, else the one flag that begins like it.
    """
    if not word.startswith("--"):
        return _short(word, release)
    name = word.replace("_", "-")
    exact = _direct(name, release)
    if exact and (not release or has(exact.name, release)):
        return exact
    inverse = _inverted(name, release)
    if inverse:
        return inverse
    longer = completions(name, release)
    if len(longer) == 1 and not exact:
        return _direct(longer[0], release)
    return exact


def completions(name: str, release: str = "") -> tuple[str, ...]:
    """The flags of a release that begin with a name: what argparse takes an abbreviation for. Two names of one flag count once."""
    if len(name) < 4:
        return ()
    found = {each: _direct(each, release) for each in names(release) if each.startswith(name)}
    return tuple({(hit.option.name, hit.negative): each for each, hit in found.items() if hit}.values())


@lru_cache(maxsize=8)
def names(release: str = "") -> tuple[str, ...]:
    """Every flag of a release, with the negative forms."""
    return tuple(_names(release))


def replacement(name: str, release: str) -> str:
    """The flag that took a flag's place, if the release has it; "" if nothing did."""
    renamed = renamed_flag(name)
    return renamed.flag if renamed and has(renamed.flag.partition(".")[0], release) else ""


def size(text: str) -> int | None:
    """A number as `human_readable_int` reads it: 4096, 4k, 1M. None if it is none."""
    found = _SIZE.fullmatch(text.strip())
    if found:
        whole = found[1].isdigit()
        return int(float(found[1]) * _SIZES[found[2]]) if whole or found[2].islower() else None
    return int(text) if re.fullmatch(r"\s*[+-]?\d{1,30}\s*", text) else None


def newest() -> str:
    """The newest release that the table knows."""
    return str(table("flags")["newest"])


def at_least(release: str, first: str) -> bool:
    """Whether a release is `first` or newer. An unknown one is."""
    return not release or _numbers(release) >= _numbers(first)


def _names(release: str) -> Iterator[str]:
    for name, entry in _flags().items():
        if release and not _within(entry["in"], release):
            continue
        yield name
        if _kind(name, release) == "pair":
            yield _NEGATIVE + name[2:]


def _direct(name: str, release: str) -> Match | None:
    """A name of the table, or the negative of one that has a negative."""
    own = _flags().get(name, {}).get("means", name)
    found = option(own, release)
    if found:
        return Match(own, found)
    if name.startswith(_NEGATIVE):
        found = option("--" + name[len(_NEGATIVE) :], release)
        if found and found.kind == "pair":
            return Match(name, found, negative=True)
    return None


def _inverted(name: str, release: str) -> Match | None:
    """`--disable-x` where the release has `--enable-x` and takes both for one flag, and the other way round; with `--no-` too."""
    since = table("flags")["inverse_from"]
    if not release or not since or not at_least(release, since):
        return None
    for prefix, other in _INVERSE.items():
        if name.startswith(prefix):
            found = option(other + name[len(prefix) :], release)
            if found and found.kind == "pair" and _within([found.span.first, *filter(None, [found.span.last])], release):
                return Match(name, found, negative=True)
    return None


def _short(word: str, release: str) -> Match | None:
    names = _shorts().get(word, ())
    alive = [name for name in names if not release or _within(_flags()[name]["also"][word], release)]
    found = option((alive or names)[0], release) if names else None
    return Match(found.name, found) if found else None


def _at(entry: Mapping[str, Any], key: str, release: str, usual: Any) -> Any:
    """What an entry says for a release: the last change up to it."""
    changes = entry.get(key + "_from")
    if changes is None:
        return entry.get(key, usual)
    wanted = _numbers(release) if release else None
    value = changes[0][1]
    for first, changed in changes:
        if wanted is None or _numbers(first) <= wanted:
            value = changed
    return value


def _kind(name: str, release: str) -> str:
    return str(_at(_flags()[name], "kind", release, "text"))


def _within(span: list[str], release: str) -> bool:
    wanted = _numbers(release)
    return _numbers(span[0]) <= wanted and (len(span) < 2 or wanted <= _numbers(span[1]))


@lru_cache(maxsize=512)
def _numbers(release: str) -> tuple[int, ...]:
    """The numbers of a release, without trailing zeros: 0.10 and 0.10.0 are the same."""
    found = numbers_of(release) or ()
    while found and not found[-1]:
        found = found[:-1]
    return found


def _flags() -> Mapping[str, Any]:
    flags: Mapping[str, Any] = table("flags")["flags"]
    return flags


@cache
def _shorts() -> Mapping[str, tuple[str, ...]]:
    """-tp -> --tensor-parallel-size; several where it changed its meaning."""
    found: dict[str, tuple[str, ...]] = {}
    for name, entry in _flags().items():
        for short in entry.get("also", ()):
            found[short] = (*found.get(short, ()), name)
    return found
