"""A command as rules see it: its flags as facts, what is wrong with it as observations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qvl_doctor.knowledge import flag_table
from qvl_doctor.knowledge.flag_table import JSON_KINDS
from qvl_doctor.launch import reading
from qvl_doctor.launch.checking import check
from qvl_doctor.launch.command import Command, Flag, Problem
from qvl_doctor.launch.spelling import plain_values, read_map
from qvl_doctor.logs.facts import settings
from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.observations import COMMAND, observe
from qvl_doctor.redact import redact

#: Problem of `checking` → the sentence that rules match. Values stand in backquotes, the flag in front.
SENTENCES: Mapping[str, str] = {
    "unknown": "flag `{flag}` is unknown to vLLM {release}; the nearest name is `{replacement}`",
    "removed": "flag `{flag}` was removed after vLLM {last} and is gone in {release}; `{replacement}` took its place",
    "not-yet": "flag `{flag}` is not in vLLM {release} yet, it came with {first}",
    "ambiguous": "flag `{flag}` is an abbreviation that may stand for several flags: {expected}",
    "taken-as": "flag `{flag}` is read as a short form of `{replacement}` by vLLM {release}",
    "deprecated": "flag `{flag}` is deprecated in vLLM {release}; `{replacement}` takes its place",
    "typed-dash": "flag `{flag}` begins with a typographic dash instead of two hyphens; `{replacement}` is meant",
    "no-negative": "flag `{flag}` has no negative form in vLLM {release}, it came with {first}",
    "missing-value": "flag `{flag}` has no value behind it, it takes: {expected}",
    "unexpected-value": "flag `{flag}` takes no value, but `{value}` stands behind it; `{replacement}` is meant",
    "wrong-type": "flag `{flag}` does not take the value `{value}`, it takes: {expected}; `{replacement}` is meant",
    "wrong-choice": "flag `{flag}` does not take the choice `{value}`, it takes one of: {expected}; `{replacement}` is meant",
    "bad-json": "flag `{flag}` has a value that is no JSON, `{value}`; `{replacement}` is meant",
    "smart-quotes": "flag `{flag}` has a value with typographic quotes, `{value}`; `{replacement}` is meant",
    "pairs-refused": "flag `{flag}` takes JSON only in vLLM {release}, not `{value}`; `{replacement}` is meant",
    "json-refused": "flag `{flag}` takes no JSON in vLLM {release}, which came with {first}, not `{value}`; `{replacement}` is meant",
    "dotted-not-yet": "flag `{flag}` takes no dotted keys in vLLM {release} yet, they came with {first}",
    "no-keys": "flag `{flag}` has dotted keys, but its value is no JSON",
    "repeated": "flag `{flag}` stands twice in the command; its first value `{value}` is lost, `{replacement}` counts",
    "json-and-dotted": "flag `{flag}` is given as JSON and with dotted keys at once; its JSON `{value}` is lost",
    "stray-word": "the word `{value}` belongs to no flag of the command",
    "words-in-one": "the words of flag `{flag}` and its value stand in one word of the command: `{value}`",
    "positional-model": "the model `{value}` stands without --model, and python -m vllm.entrypoints.openai.api_server does not read it",
    "model-option": "the model `{value}` is given with --model, and vllm serve takes it so only from {first} on",
    "no-model": "the command names no model to serve",
    "comment-after-backslash": "a comment follows a backslash at the end of a line: the command ends there",
    "comment-at-end": "a comment ends a line of the command that should go on: what follows is lost",
    "comment-between": "a comment line stands between the lines of the command: what follows is lost",
    "line-between": "an empty line stands between the lines of the command: what follows is lost",
    "blank-after-backslash": "a blank follows a backslash at the end of a line: the command ends there",
    "backslash-lost": "a line of the command does not end in a backslash, but the next one begins with a flag",
    "newline-lost": "a backslash stands in the middle of a line of the command: its line break was lost",
    "not-a-text": "the value `{value}` in the list of arguments is not a text: Kubernetes refuses numbers and truth values without quotes",
    "not-a-list": "the command or its arguments are not a list of texts, as Kubernetes wants it",
}
_FIELDS = ("flag", "value", "first", "last", "replacement", "expected")


def observe_command(command: Command, release: str = "") -> Seen:
    """What a command says, for a release ("" is unknown), and what is wrong with it."""
    text = command.source.text if command.source else ""
    return Seen(facts_of(command, release), tuple(_observations(check(command, release), release, text)))


def observe_text(text: str, release: str = "") -> Seen:
    """The same for every command of a text. Raises LaunchError."""
    seen = Seen()
    for command in reading.read(text, release):
        seen |= observe_command(command, release)
    return seen


def arguments_of(command: Command, release: str = "") -> dict[str, Any]:
    """The flags that a command sets, under the names that vLLM's log gives them: {"max_model_len": 4096, "enforce_eager": True}."""
    found: dict[str, Any] = {}
    for flag in command.flags:
        if not flag.name:
            continue
        match = flag_table.match(flag.name, release) or flag_table.match(flag.name)
        name = match.option.name if match else flag.name
        value = _value(flag, match.option if match else None, negative=bool(match and match.negative))
        for key in reversed(flag.keys):
            value = {key: value}
        dest = name.lstrip("-").replace("-", "_")
        before = found.get(dest)
        found[dest] = {**before, **value} if flag.keys and isinstance(before, dict) and isinstance(value, dict) else value
    if command.model is not None:
        found["model"] = command.model
    return found


def facts_of(command: Command, release: str = "") -> dict[str, Fact]:
    """Facts of a command, by the names that the log's have."""
    given = arguments_of(command, release)
    masked = {name: redact(value) if isinstance(value, str) else value for name, value in given.items()}
    facts = {name: Fact(value, "command") for name, value in settings(given) if value is not None}
    facts["args"] = Fact({name: value for name, value in masked.items() if name != "api_key"}, "command")
    if isinstance(given.get("swap_space"), (int, float)):
        facts["swap_space"] = Fact(given["swap_space"], "command")
    if given.get("enforce_eager") is True:
        facts["eager_asked"] = Fact("yes", "command")
    return facts


def _observations(problems: Iterable[Problem], release: str, text: str) -> Iterable[Record]:
    lines = text.splitlines()
    for problem in problems:
        sentence = SENTENCES[problem.kind]
        values = {
            name: str(getattr(problem, name)).replace("`", "'") for name in ("flag", "value", "first", "last", "replacement", "expected")
        }
        line = problem.place.line
        shown = lines[line - 1].strip() if 0 < line <= len(lines) else ""
        # A part that has nothing to say is left out: "; `` is meant", "; the nearest name is ``".
        parts = [part for part in sentence.format(**values, release=release or "of any release").split("; ") if "``" not in part]
        yield observe(COMMAND, "; ".join(parts) or sentence.partition(";")[0], line, shown)


def _value(flag: Flag, option: flag_table.Option | None, *, negative: bool) -> Any:
    """The value as vLLM's parser would have it: a number, a truth, a map, or a text."""
    if not flag.values:
        return not negative
    kind = "json" if flag.keys else option.value_kind if option else "text"
    values = [_one(text, kind) for text in flag.values]
    return values if option and option.several else values[0]


def _one(text: str, kind: str) -> Any:
    if kind in JSON_KINDS or kind == "pairs":
        found = read_map(text)
        return plain_values(text) if found is None else found
    if kind == "truth":
        return text.lower() == "true"
    if kind in {"size", "size-or-auto", "int"}:
        found_size = flag_table.size(text.strip())
        return text if found_size is None else found_size
    if kind == "float":
        try:
            return float(text)
        except ValueError:
            return text
    return text
