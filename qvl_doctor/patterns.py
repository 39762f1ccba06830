"""What the patterns of rules are made of.

The literal text in them, their groups, and whether they are safe to search with.

Everything is read off Python's own parse of a pattern. Patterns are searched without regard to case in text whose white
space is single spaces.
"""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

SHORTEST_LITERAL = 4
LONGEST_PATTERN = 2000

_FLAGS = re.IGNORECASE | re.UNICODE
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT")
_GAP = "\0"
_WORD = re.compile(r"\w*[^\W\d_]\w+|\w+[^\W\d_]\w*")

_REFUSED = {
    "GROUPREF": "refers back to a group; a pattern that is searched in any text must not",
    "GROUPREF_EXISTS": "depends on whether a group matched; write two match items",
    "ATOMIC_GROUP": "has an atomic group, which Python 3.10 does not know",
    "POSSESSIVE_REPEAT": "has a possessive quantifier, which Python 3.10 does not know",
}


#: What a pattern is made of, groups as a whole: these nest, at most four deep in any rule.
_CLASS = r"\[\^?\]?(?:\\.|[^\]\\])*\]"
_INNER = rf"(?:\\.|{_CLASS}|[^()\[\\])*"
_GROUP = _INNER
for _ in range(5):
    _GROUP = rf"(?:\\.|{_CLASS}|[^()\[\\]|\({_GROUP}\))*"
_TOKEN = re.compile(
    rf"(?P<branch>\|)|(?:\({_GROUP}\)|{_CLASS}|[.^$]|(?P<literal>\\.|[^\[(|]))(?P<repeat>[*+?]\??|\{{\d*,?\d*\}}\??)?",
    re.DOTALL,
)


def literals(pattern: str) -> tuple[str, ...]:
    """The lower-case strings, longest first, that `text.lower()` contains for every text that matches.

    Only runs of at least four characters count. Of an alternation nothing is required. (Letters that merely fold to an
    ASCII letter, such as the long s, are not thought of.)
    """
    skeleton = _skeleton(_parse(pattern), lambda _branches: _GAP)
    runs = sorted(
        {run for run in skeleton.split(_GAP) if len(run.strip()) >= SHORTEST_LITERAL}, key=lambda run: (-len(run), run)
    )
    return tuple(run for number, run in enumerate(runs) if not any(run in longer for longer in runs[:number]))


def runs(pattern: str) -> tuple[str, ...]:
    """The lower-case literal texts of four characters or more in a pattern, in their order.

    Of an alternation nothing.
    """
    skeleton = _skeleton(_parse(pattern), lambda _branches: _GAP)
    return tuple(run for run in skeleton.split(_GAP) if len(run.strip()) >= SHORTEST_LITERAL)


class Letter(NamedTuple):
    """A literal character of a pattern, outside of every group: where it begins and ends in the source, lower case."""

    start: int
    end: int
    text: str


def letters(pattern: str) -> tuple[tuple[Letter, ...], ...]:
    """The literal runs of a pattern that lie outside of groups; the pattern may be cut at each letter.

    None where it has branches.
    """
    found: list[list[Letter]] = [[]]
    for token in _TOKEN.finditer(pattern):
        said = token["literal"]
        if token["branch"]:
            return ()
        if said and not token["repeat"] and not (said[0] == "\\" and said[1:].isalnum()):
            found[-1].append(Letter(token.start(), token.end(), said[-1].lower()))
        elif found[-1]:
            found.append([])
    return tuple(tuple(run) for run in found if run)


def literal_words(pattern: str) -> int:
    """How many words (two characters and a letter at least) every match has in common.

    Of an alternation the poorest branch counts.
    """
    return _words(_skeleton(_parse(pattern), lambda branches: min(branches, key=_words)))


@lru_cache(maxsize=64)
def groups(pattern: str) -> tuple[frozenset[str], frozenset[str]]:
    """The named groups that every match fills, and those that a match may leave empty."""
    parsed = _parse(pattern)
    names: dict[int, str] = {number: name for name, number in parsed.state.groupdict.items()}
    always = frozenset(names[number] for number in _filled(parsed) if number in names)
    return always, frozenset(names.values()) - always


def begins_open(pattern: str) -> bool:
    """Whether a match can begin with a repeat without an end: a search in a long text then takes quadratic time."""
    return _is_open_ended(_parse(pattern)) is True


def shortest(pattern: str) -> int:
    """The length of the shortest text that the pattern can match."""
    return int(_parse(pattern).getwidth()[0])


def check(pattern: str) -> str | None:
    """What is wrong with a pattern, or None.

    What passes is right in `re` and in `regex` and cannot take exponential time.
    """
    if not pattern:
        return "is empty"
    if len(pattern) > LONGEST_PATTERN:
        return f"is {len(pattern)} characters long; {LONGEST_PATTERN} are enough for anyone"
    try:
        parsed = _parse(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        return f"is no regular expression: {error}"
    if parsed.state.flags & ~_FLAGS:
        return "sets flags; case is ignored anyway, and there are no line breaks to see"
    return _layout(pattern, parsed) or next(filter(None, map(_fault, _nodes(parsed))), None)


def pumps(pattern: str) -> Iterator[str]:
    """Texts that, repeated, are hard on a search.

    What the pattern begins with, ever more of it, and what its gaps may take.
    """
    runs = [run for run in _skeleton(_parse(pattern), lambda branches: branches[-1]).split(_GAP) if run]
    for filler in ("0", "a", " ", "a 0"):
        yield filler
        for count in range(1, min(len(runs), 6) + 1):
            yield filler.join([*runs[:count], ""])


@lru_cache(maxsize=64)
def _parse(pattern: str) -> Any:
    """Python's own parse. What it warns of, such as `[[`, means something else in `regex` and is an error."""
    parser = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return parser.parse(pattern, re.IGNORECASE)


def _children(name: str, argument: Any) -> list[Any]:
    if name in {*_REPEATS, "POSSESSIVE_REPEAT"}:
        return [argument[2]]
    if name == "SUBPATTERN":
        return [argument[3]]
    if name == "BRANCH":
        return list(argument[1])
    if name in {"ASSERT", "ASSERT_NOT"}:
        return [argument[1]]
    return []


def _nodes(parsed: Any) -> Iterator[tuple[str, Any]]:
    for operation, argument in parsed.data:
        name = str(operation)
        yield name, argument
        for child in _children(name, argument):
            yield from _nodes(child)


def _filled(parsed: Any) -> Iterator[int]:
    """The numbers of the groups that every match goes through."""
    for operation, argument in parsed.data:
        name = str(operation)
        if name == "SUBPATTERN":
            if argument[0] is not None:
                yield argument[0]
            yield from _filled(argument[3])
        elif name in _REPEATS and argument[0] > 0:
            yield from _filled(argument[2])


def _skeleton(parsed: Any, choose: Callable[[Sequence[str]], str]) -> str:
    """The pattern as text, with `_GAP` for whatever can vary; `choose` says what stands for an alternation."""
    return "".join(_bones(str(operation), argument, choose) for operation, argument in parsed.data)


def _bones(name: str, argument: Any, choose: Callable[[Sequence[str]], str]) -> str:
    if name == "LITERAL":
        return _letter(chr(argument))
    if name == "SUBPATTERN":
        return _skeleton(argument[3], choose)
    if name in _REPEATS and argument[0] > 0:
        body = _skeleton(argument[2], choose)
        return body if argument[1] == 1 else f"{_GAP}{body}{_GAP}"
    if name == "BRANCH":
        return choose([_skeleton(branch, choose) for branch in argument[1]])
    if name in {"AT", "ASSERT", "ASSERT_NOT"}:
        return ""  # no width: what is before and behind still touches
    return _GAP


def _letter(char: str) -> str:
    """A literal character as `str.lower` leaves it, or a gap where ignoring case is more than lowering."""
    return char.lower() if char.isascii() or char.lower() == char.upper() else _GAP


def _words(skeleton: str) -> int:
    return len(_WORD.findall(skeleton))


def _layout(pattern: str, parsed: Any) -> str | None:
    """Faults of the text rather than of a construct.

    The pattern would never match, or `regex` would read it differently.
    """
    skeleton = _skeleton(parsed, lambda branches: _GAP.join(["", *branches, ""]))
    if "  " in skeleton:
        return "has two blanks in a row; white space in the text is one blank"
    if re.search(r"[\n\r\t\f\v]", skeleton):
        return "has a line break or tab; white space in the text is one blank"
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "", pattern)
    if "{" in re.sub(r"\{\d*,?\d*\}", "", bare):
        return "has a '{' that starts no quantifier; write '\\{'"
    return None


def _is_open_ended(parsed: Any) -> bool | None:
    """Whether a pattern can begin with a repeat without an end; None if it can be empty."""
    for operation, argument in parsed.data:
        name = str(operation)
        if name in _REPEATS:
            if str(argument[1]) == "MAXREPEAT":
                return True
            inside = _is_open_ended(argument[2])
            answer = inside if inside or argument[0] else None
        elif name in {"SUBPATTERN", "BRANCH"}:
            answers = [_is_open_ended(child) for child in _children(name, argument)]
            answer = True if True in answers else None if None in answers else False
        else:
            answer = False
        if answer is not None:
            return answer
    return None


def _fault(node: tuple[str, Any]) -> str | None:
    name, argument = node
    if name in _REFUSED:
        return _REFUSED[name]
    if name in {"ASSERT", "ASSERT_NOT"} and argument[0] < 0:
        return "looks behind; say what stands there as part of the pattern"
    if name == "SUBPATTERN" and (argument[1] or argument[2]):
        return "sets flags; case is ignored anyway, and there are no line breaks to see"
    return _repeat_fault(*argument) if name in _REPEATS else None


def _repeat_fault(_low: int, high: int, body: Any) -> str | None:
    inner = list(_nodes(body))
    if high > 1 and any(kind == "BRANCH" or (kind in _REPEATS and item[0] != item[1]) for kind, item in inner):
        return "repeats something that itself repeats or has branches, which can take forever; repeat a character class instead"
    if str(high) == "MAXREPEAT" and any(kind == "ANY" for kind, _item in inner):
        return "has '.*' or '.+'; say what it may run over ('[^)]*') or how far ('.{0,200}')"
    return None
