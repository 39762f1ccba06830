"""A command as rules see it: its flags as facts, what is wrong with it as observations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qvl_doctor.knowledge import flag_table
from qvl_doctor.knowledge.flag_table import JSON_KINDS
from qvl_doctor.launch import reading
from qvl_doctor.launch.checking import check
from qvl_doctor.launch.command import Command, Flag, Problem
from qvl_doctor.launch.masking import masked_part, secret
from qvl_doctor.launch.ranges import refused
from qvl_doctor.launch.spelling import SMART_QUOTES, merge, plain_values, read_map
from qvl_doctor.logs.fact_values import settings
from qvl_doctor.model import Fact, Facts, Record, Seen, fact_map
from qvl_doctor.observations import names, needed, observe
from qvl_doctor.observations.sentences import SENTENCES
from qvl_doctor.redaction.text import redact_value

#: Problem of `checking` → the key of its sentence. What vLLM's own parser refuses is said in the parser's words.
KEYS: Mapping[str, str] = {
    **dict.fromkeys(("unknown", "removed", "not-yet", "no-negative", "typed-dash"), "flag_not_recognized"),
    **dict.fromkeys(("stray-word", "unexpected-value", "positional-model"), "word_not_recognized"),
    "ambiguous": "flag_ambiguous",
    "missing-value": "value_missing",
    "wrong-type": "value_of_wrong_type",
    "wrong-choice": "value_no_choice",
    **dict.fromkeys(("bad-json", "smart-quotes", "pairs-refused"), "value_no_json"),
    "json-refused": "value_no_pairs",
    "no-model": "model_not_given",
    "model-option": "model_given_as_option",
    "deprecated": "flag_deprecated",
    # What follows no parser says.
    "taken-as": "flag_abbreviated",
    "dotted-not-yet": "flag_dotted_too_early",
    "no-keys": "flag_dotted_without_json",
    "repeated": "flag_given_twice",
    "json-and-dotted": "flag_json_and_dotted",
    "words-in-one": "flag_and_value_in_one_word",
    "comment-after-backslash": "comment_after_backslash",
    "comment-at-end": "comment_at_end",
    "comment-between": "comment_between",
    "line-between": "line_between",
    "blank-after-backslash": "blank_after_backslash",
    "backslash-lost": "backslash_lost",
    "newline-lost": "newline_lost",
    "not-a-text": "argument_not_text",
    "variable-not-text": "variable_not_text",
    "not-a-list": "arguments_not_a_list",
}
#: The part of a problem that fills a placeholder, if its name is another one.
_NAMES: Mapping[str, Mapping[str, str]] = {
    "flag_ambiguous": {"candidates": "expected"},
    "value_of_wrong_type": {"kind": "expected"},
    "value_no_choice": {"choices": "expected"},
    "flag_abbreviated": {"long": "replacement"},
    "flag_given_twice": {"lost": "value", "kept": "replacement"},
    "flag_json_and_dotted": {"lost": "value"},
    "flag_and_value_in_one_word": {"word": "value"},
    "variable_not_text": {"variable": "flag"},
}
#: What argparse calls the kinds of value that it refuses.
_KINDS = {"size": "human_readable_int", "size-or-auto": "human_readable_int", "truth": "bool"}
_YAML = frozenset(("kubernetes", "compose"))
_PLAIN = (str, int, float)
_FIELDS = ("flag", "value", "first", "last", "replacement", "expected")


def observe_command(command: Command, release: str = "") -> Seen:
    """What a command says, for a release ("" is unknown), and what is wrong with it."""
    wrong = (*observe_problems(command, check(command, release), release), *_out_of_range(command, release))
    return Seen(facts_of(command, release), wrong)


def observe_text(text: str, release: str = "") -> Seen:
    """The same for every command of a text. Raises LaunchError."""
    seen = Seen()
    for command in reading.read(text, release):
        seen |= observe_command(command, release)
    return seen


def arguments_of(command: Command, release: str = "") -> dict[str, Any]:
    """The flags that a command sets, by the names in vLLM's log: {"max_model_len": 4096, "enforce_eager": True}."""
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
        found[dest] = (
            merge(before, value) if flag.keys and isinstance(before, dict) and isinstance(value, dict) else value
        )
    if command.model is not None:
        found["model"] = command.model
    return found


def facts_of(command: Command, release: str = "") -> dict[str, Fact]:
    """Facts of a command, by the names that facts of a log have."""
    given = arguments_of(command, release)
    masked = redact_value(given)
    facts = {name: Fact(value, "command") for name, value in settings(given) if value is not None}
    facts["args"] = Fact({name: value for name, value in masked.items() if name != "api_key"}, "command")
    if isinstance(given.get("swap_space"), (int, float)):
        facts["swap_space"] = Fact(given["swap_space"], "command")
    if given.get("enforce_eager") is True:
        facts["eager_asked"] = Fact("yes", "command")
    return facts


def observe_problems(command: Command, problems: Iterable[Problem], release: str = "") -> Iterable[Record]:
    """Problems of a command as observations, each with its line."""
    for problem in problems:
        line = problem.place.line
        key, values = _said(problem, command, release)
        yield observe(key, line, line_of(command, line), **values)


def observe_difference(command: Command, logged: Facts, release: str = "") -> Iterable[Record]:
    """Where a command sets something else than the arguments that a log shows: it is not the one that was started."""
    shown = {**fact_map(logged, "args"), **({"model": logged["model"].value} if "model" in logged else {})}
    for name, value in arguments_of(command, release).items():
        other = shown.get(name)
        if value is None or other is None or not isinstance(value, _PLAIN) or not isinstance(other, _PLAIN):
            continue
        if _compared(value) != _compared(other) and not {"$", "*"} & {str(value)[:1], str(other)[:1]}:
            flag = "--" + name.replace("_", "-")
            told = (secret(flag, str(each)) for each in (value, other))
            yield observe("command_not_the_logged_one", flag=flag, **dict(zip(("asked", "logged"), told, strict=True)))


def _compared(value: Any) -> Any:
    """A value as what is the same however it is spelled: 0.90 and 0.9, True and true."""
    text = str(value).strip().lower()
    try:
        return float(text)
    except ValueError:
        return text


def _out_of_range(command: Command, release: str) -> Iterable[Record]:
    for name, value, allowed in refused(arguments_of(command, release), release):
        flag = command.flag(name)
        line = command.source.place(flag.at).line if flag and flag.at >= 0 and command.source else 0
        yield observe("value_out_of_range", line, line_of(command, line), flag=name, value=value, allowed=allowed)


def line_of(command: Command, number: int) -> str:
    """A line of the text that a command was read from, secrets masked; "" if there is none."""
    source = command.source
    lines = source.text.split("\n") if source else []
    shown = lines[number - 1] if 0 < number <= len(lines) else ""
    if source and shown and source.shape in _YAML:
        start = sum(len(each) + 1 for each in lines[: number - 1])
        shown = masked_part(source.text, start, start + len(shown))
    return shown.strip()


def _said(problem: Problem, command: Command, release: str) -> tuple[str, dict[str, str | None]]:
    """The key of a problem's sentence, and its values with secrets masked."""
    told = {name: str(getattr(problem, name)) for name in _FIELDS}
    told |= {
        name: secret(problem.flag or _flag_before(problem.value, command), told[name])
        for name in ("value", "replacement")
        if told[name]
    }
    values = {name: text.translate(SMART_QUOTES).replace("`", "'") for name, text in told.items()}
    values["expected"] = _KINDS.get(values["expected"], values["expected"])
    if problem.kind != "stray-word" and not values["value"]:
        values["value"] = secret(problem.flag, command.value(problem.flag) or "")
    kind = "json-refused" if problem.kind == "wrong-type" and problem.expected == "pairs" else problem.kind
    key = KEYS[kind]
    values |= {"release": release, "name": problem.flag.lstrip("-")}
    text, own = SENTENCES[key].text, _NAMES.get(key, {})
    given = {name: values[own.get(name, name)] for name in names(text)}
    return key, {name: value if value or name in needed(text) else None for name, value in given.items()}


def _flag_before(word: str, command: Command) -> str:
    """The flag before a word that belongs to none: a second key after --api-key is a secret as well."""
    before = ""
    for flag in command.flags:
        if not flag.name and flag.value == word:
            return before
        before = flag.name or before
    return before


def _value(flag: Flag, option: flag_table.Option | None, *, negative: bool) -> Any:
    """The value as vLLM's parser would have it: a number, a truth value, a map, or a text."""
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
