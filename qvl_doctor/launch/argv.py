"""The words of a command line as program, model and flags, the way argparse would read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from qvl_doctor.knowledge import flag_table
from qvl_doctor.late import late_pattern
from qvl_doctor.launch.command import Flag, LaunchError, Place, Problem, Reading
from qvl_doctor.launch.shell.lexer import DASHES

#: No command line is longer: vLLM has some 400 flags.
MAX_WORDS = 2000
MODULE = "vllm.entrypoints."
_SCRIPT = late_pattern(r"vllm/entrypoints/(?:openai/)?api_server\.py$")
_LONGEST_SHORT = 20
_NUMBER = late_pattern(r"-(?:\d+|\d*\.\d+)(?:[eE][+-]?\d+)?$")
_TYPED_DASH = late_pattern(rf"[-{DASHES}]{{1,2}}(?=[A-Za-z])")
_JOINED = late_pattern(r"(--[A-Za-z][\w.-]*)\s+(\S.*)", re.DOTALL)
#: Commands that only talk about another command.
_OTHERS = frozenset(
    (
        "alias",
        "cat",
        "echo",
        "grep",
        "kill",
        "killall",
        "man",
        "pgrep",
        "pip",
        "pip3",
        "pkill",
        "printf",
        "ps",
        "tail",
        "which",
    )
)
_TRUTH = frozenset(("true", "false"))


def first_argument(words: Sequence[str]) -> int:
    """The index after `vllm serve`, or after the module or script of the API server; -1 if the words start neither."""
    if any(word.rpartition("/")[2] in _OTHERS for word in words[:2]):  # the first may be a prompt or sudo
        return -1
    for index, word in enumerate(words):
        following = words[index + 1] if index + 1 < len(words) else ""
        if word.rpartition("/")[2] == "vllm" and following == "serve":
            return index + 2
        if word == "-m" and following.startswith(MODULE):
            return index + 2
        if _SCRIPT.search(word):
            return index + 1
    return -1


def is_flag(word: str) -> bool:
    """Whether a word can only be a flag: `--x`, `-x`, or one with a typographic dash; not `-1`, not `-`."""
    return len(word) > 1 and bool(_TYPED_DASH.match(word)) and not _NUMBER.match(word)


def read_arguments(words: Sequence[str], first: int = 0, release: str = "") -> Reading:
    """Model and flags among the words from `first` on. Nothing is refused: nonsense is left to `checking`."""
    if len(words) > MAX_WORDS:
        raise LaunchError("too-many-words", Place(argument=MAX_WORDS))
    model, model_at, at = None, -1, first
    flags: list[Flag] = []
    counts: list[int] = []
    problems: list[Problem] = []
    while at < len(words):
        word = words[at]
        if not is_flag(word) and model is None:
            model, model_at = word, at
            at += 1
            continue
        flag, count = _flag(words, at, release) if is_flag(word) else (Flag("", (word,), "", "bare", at), 1)
        if _joined(word, release):
            problems.append(Problem("words-in-one", flag.name, word, Place(argument=at)))
        flags.append(flag)
        counts.append(count)
        at += count
    named = next((flag.value for flag in reversed(flags) if flag.name == "--model" and flag.values), None)
    return Reading(
        tuple(words[:first]),
        named if model is None else model,
        model_at,
        tuple(flags),
        tuple(counts),
        len(words),
        tuple(problems),
    )


def canonical(word: str, release: str = "") -> str:
    """The name of a flag in any spelling: `--max_model_len`, `-tp`, `—max-model-len`, `--speculative-config.model`."""
    typed = _TYPED_DASH.match(word)
    if typed and typed.group().strip("-"):
        word = "--" + word[typed.end() :]
    base = word.partition(".")[0]
    found = flag_table.match(base, release)
    if found:
        return found.name
    return base.replace("_", "-") if base.startswith("--") else base


def _flag(words: Sequence[str], at: int, release: str) -> tuple[Flag, int]:
    """The flag at an index, and how many words it takes."""
    joined = _joined(words[at], release)
    if joined:
        return replace(joined, at=at), 1
    spelled, equals, value = words[at].partition("=")
    name = canonical(spelled, release)
    if equals:
        return Flag(name, (value,), spelled, "equals", at), 1
    short = _short_name(words[at], release)
    if short:
        return Flag(canonical(short, release), (words[at][len(short) :],), short, "attached", at), 1
    found = flag_table.match(name, release)
    # After a dotted flag argparse looks no further: the next word is its value, whatever it is.
    values = (
        tuple(words[at + 1 : at + 2]) if "." in spelled else _values(words, at + 1, found.option if found else None)
    )
    return Flag(name, values, spelled, "separate" if values else "bare", at), 1 + len(values)


def _joined(word: str, release: str) -> Flag | None:
    """The flag in a word that also holds its value: `"--port 8000"`, or `-tp2`, which argparse refuses."""
    short = _short_name(word, release)
    if short and len(short) > 2:
        return Flag(canonical(short, release), (word[len(short) :],), short)
    found = _JOINED.fullmatch(word)
    known = flag_table.match(canonical(found[1], release), release) if found else None
    return (
        Flag(known.name, (found[2],), found[1])
        if found and known and not known.option.bare and not is_flag(found[2])
        else None
    )


def _short_name(word: str, release: str) -> str:
    """The short name in `-O3` and `-tp2`; "" if the word begins with none or is one."""
    if word.startswith("--") or "=" in word or flag_table.match(word.partition(".")[0], release):
        return ""
    return next(
        (
            word[:end]
            for end in range(min(len(word), _LONGEST_SHORT) - 1, 1, -1)
            if flag_table.match(word[:end], release)
        ),
        "",
    )


def _values(words: Sequence[str], at: int, option: flag_table.Option | None) -> tuple[str, ...]:
    end = at
    while end < len(words) and not is_flag(words[end]):
        end += 1
    if option is None or not (option.bare or option.several or option.kind == "truth"):
        return tuple(words[at : min(end, at + 1)])
    if option.several:
        return tuple(words[at:end])
    # A switch takes no value; people still write true and false there.
    return tuple(words[at : at + 1]) if words[at : at + 1] and words[at].lower() in _TRUTH else ()
