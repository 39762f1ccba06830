"""What a fix changes, as text to paste: flags, environment, packages, image, pod patch, command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from qvl_doctor.late import late_pattern
from qvl_doctor.launch.spelling import spell_flags

# What no shell touches, and the placeholders of a rule's template: no quotes needed, which reads better.
_BARE = late_pattern(r"(?:[\w@%+=:,./-]|\{\w+\})+", re.ASCII)


class Piece(NamedTuple):
    """One line to paste. `kind` is flags, remove, env, pip, image, pod or run.

    `words` are its parts, none of which may be broken.
    """

    kind: str
    words: tuple[str, ...]

    @property
    def shell(self) -> bool:
        """Whether it belongs in a shell, where a long line may be continued."""
        return self.kind in {"flags", "env", "pip"}

    def __str__(self) -> str:
        return " ".join(self.words)


def pieces(change: Mapping[str, Any]) -> list[Piece]:
    """The change of a fix, one piece for each thing to do, in the order in which one would do them."""
    flags = spell_flags(_mapping(change.get("flags")), "")  # a no-op on flags that were spelled for a release before
    added = tuple(word for flag, value in flags.items() if value is not None for word in _flag(str(flag), value))
    removed = tuple(str(flag) for flag, value in flags.items() if value is None)
    found = [
        Piece("pip", ("pip install", *map(quote, _list(change.get("pip"))))) if change.get("pip") else None,
        *_env(_mapping(change.get("env"))),
        Piece("flags", added) if added else None,
        Piece("remove", removed) if removed else None,
        *(Piece(kind, (str(change[kind]),)) for kind in ("image", "pod", "run") if change.get(kind)),
    ]
    return [piece for piece in found if piece]


def snippet(change: Mapping[str, Any]) -> tuple[str, ...]:
    """What a patch of the pod adds to its spec, as lines of YAML."""
    name = change.get("pod")
    if not isinstance(name, str) or not name:
        return ()
    from qvl_doctor.launch.pods import patches

    return patches.snippet(name)


def quote(value: object) -> str:
    """The value as one word of a shell command."""
    text = str(value)
    return text if _BARE.fullmatch(text) else shlex.quote(text)


def _flag(flag: str, value: object) -> Iterator[str]:
    if value is True:
        yield flag
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _flag(flag, item)
    else:
        yield f"{flag} {quote(value)}"


def _env(env: Mapping[str, Any]) -> Iterator[Piece]:
    for name, value in env.items():
        yield Piece("env", (f"unset {quote(name)}",) if value is None else (f"export {quote(name)}={quote(value)}",))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
