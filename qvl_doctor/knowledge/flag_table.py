"""The command line of `vllm serve`, release by release: which flags it has, what each takes, and how it may be spelled.

The facts are in `flags.json`, which `tools/mine_flags.py` reads out of vLLM's own parsers. A `release` may be ""
(unknown): then a flag counts as known if any release has it, and as its newest release has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from qvl_doctor.knowledge import Span, renamed_flag, table
from qvl_doctor.late import late_pattern
from qvl_doctor.versions import release as numbers_of

#: The value of a default that only a running vLLM knows.
COMPUTED = "?"
#: `--speculative-config.model X` stands for a key of the JSON from this release on (vllm/utils.py:
#: `create_nested_dict`).
DOTTED_SINCE = "0.9.0"
#: From this release on numbers in JSON may have suffixes, where a config class reads it
#: (`_expand_json_human_readable_numbers`).
SUFFIXES_SINCE = "0.20.0"
#: The kinds whose value is JSON, or may be.
JSON_KINDS = frozenset(("json", "object", "literal", "json-or-pairs", "json-or-text"))

#: From this release on `vllm serve` may go without a positional model (vllm/entrypoints/cli/serve.py).
MODEL_OPTION_SINCE = "0.8.3"
#: Before this release it refuses the word `--model` anyway, but not `--model=X` (parse_args of vllm/utils.py).
MODEL_WORD_SINCE = "0.11.1"

#: What the parser itself makes of `-O3`, from a release on (vllm/utils/argparse_utils.py).
_LEVEL = ("-O", "--optimization-level", "0.12.0")

_NEGATIVE = "--no-"
_INVERSE = {"--enable-": "--disable-", "--disable-": "--enable-"}
_SIZES = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = late_pattern(r"(\d{1,18}(?:\.\d{1,18})?)([kKmMgGtT])")


class Option(NamedTuple):
    """A flag as one release has it.

    `kind` is described in `tools/mine_flags.py`; `choices` is empty where any value goes.
    """

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
    """What a word of a command line means.

    Its canonical name (a negative one keeps its `--no-`), and the flag that it means.
    """

    name: str
    option: Option
    negative: bool = False


@lru_cache(maxsize=2048)
def option(name: str, release: str = "") -> Option | None:
    """A flag by its own name, `--max-model-len`, as a release has it.

    One that a release does not have, as the nearest one has it.
    """
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
        deprecated=bool(_at(entry, "deprecated", release, None)),
    )


def variants(name: str) -> tuple[Option, ...]:
    """A flag in every way in which releases have had it, the oldest first."""
    entry = _flags().get(name, {})
    changes = {first for key in ("kind_from", "choices_from") for first, _ in entry.get(key, ())} or set(
        entry.get("in", ())[:1]
    )
    found = (option(name, release) for release in sorted(changes, key=_numbers))
    return tuple(each for each in found if each)


def has(name: str, release: str) -> bool:
    """Whether a release has a flag, by its canonical name: `--max-model-len`, `--no-enable-prefix-caching`."""
    return _alive(_direct(name, release), release) or _inverted(name, release) is not None


@lru_cache(maxsize=2048)
def match(word: str, release: str = "") -> Match | None:
    """What a word like `--max_model_len`, `-tp` or `--max-model` means, without value and dotted keys.

    As argparse does it: an exact name, otherwise the one flag that begins like it.
    """
    if not word.startswith("--"):
        return _short(word, release)
    name = word.replace("_", "-")
    exact = _direct(name, release)
    if _alive(exact, release):
        return exact
    inverse = _inverted(name, release)
    if inverse:
        return inverse
    longer = completions(name, release)
    if len(longer) == 1 and not exact:
        return _direct(longer[0], release) or _inverted(longer[0], release)
    return exact


def completions(name: str, release: str = "") -> tuple[str, ...]:
    """The flags of a release that begin with a name: what argparse takes an abbreviation for.

    Two names of one flag count once.
    """
    if len(name) < 4:
        return ()
    found = {
        each: _direct(each, release) or _inverted(each, release) for each in names(release) if each.startswith(name)
    }
    return tuple({(hit.option.name, hit.negative): each for each, hit in found.items() if hit}.values())


@lru_cache(maxsize=8)
def names(release: str = "") -> tuple[str, ...]:
    """Every flag of a release, with the negative forms."""
    return tuple(_names(release))


def defaults(name: str) -> tuple[Any, ...]:
    """Every default that a flag has had."""
    entry = _flags().get(name, {})
    return tuple(value for _, value in entry.get("default_from", ())) or (entry.get("default"),)


def spelling_span(spelled: str) -> Span | None:
    """The releases that know a second name of a flag, like -cc; None for a first name."""
    if spelled == _LEVEL[0]:
        return None  # it has always meant something
    for name in _shorts().get(spelled, ()):
        return Span(*_flags()[name]["also"][spelled])
    entry = _flags().get(spelled.replace("_", "-"), {})
    return Span(*entry["in"]) if "means" in entry else None


def first_with(name: str, kind: str) -> str:
    """The first release in which a flag's kind names a way of writing values (json, pairs, pair); "" if none does."""
    return next((first for first, each in _kinds(name) if kind in each.split("-or-")), "")


def last_with(name: str, kind: str) -> str:
    """The last release in which it does; "" if the newest still does, or none did."""
    kinds = [(first, kind in each.split("-or-")) for first, each in _kinds(name)]
    ends = [first for (_, has_it), (first, still) in pairwise(kinds) if has_it and not still]
    return _before(ends[-1]) if ends else ""


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


@cache
def oldest() -> str:
    """The oldest release that the table knows."""
    return min((str(entry["in"][0]) for entry in _flags().values() if "in" in entry), key=_numbers)


def known(release: str) -> str:
    """A release as it is if the table reaches back to it, otherwise "": what it says of flags is then unknown."""
    return release if numbers_of(release) and at_least(release, oldest()) else ""


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
            yield from _inverses(name, release)


def _inverses(name: str, release: str) -> Iterator[str]:
    """`--disable-x` of `--enable-x` where the release takes both for one flag, and the other way round."""
    since = table("flags")["inverse_from"]
    if release and since and at_least(release, since):
        yield from (other + name[len(prefix) :] for prefix, other in _INVERSE.items() if name.startswith(prefix))


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


def _alive(found: Match | None, release: str) -> bool:
    return found is not None and (not release or _within(_flags()[found.option.name]["in"], release))


def _inverted(name: str, release: str) -> Match | None:
    """What `--disable-x` means where the release has `--enable-x` and takes both for one flag."""
    for other in _inverses(name, release):
        found = option(other, release)
        if found and found.kind == "pair" and _within(_flags()[other]["in"], release):
            return Match(name, found, negative=True)
    return None


def _short(word: str, release: str) -> Match | None:
    if word == _LEVEL[0] and release and at_least(release, _LEVEL[2]):
        return _direct(_LEVEL[1], release)
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


def _kinds(name: str) -> list[tuple[str, str]]:
    entry = _flags().get(name, {})
    return [(first, kind) for first, kind in entry.get("kind_from", ())] or [
        (entry["in"][0], entry.get("kind", "text"))
    ]


def _before(release: str) -> str:
    """The release before one."""
    names = list(table("pins")["releases"])
    return names[names.index(release) - 1] if release in names[1:] else ""


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
