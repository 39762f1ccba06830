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
from qvl_doctor.launch.spelling import SMART_QUOTES, plain_values, read_map
from qvl_doctor.logs.facts import settings
from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.observations import COMMAND, observe
from qvl_doctor.redaction.text import redact_value

#: Problem of `checking` → what is said of it. What vLLM's own parser refuses is said in the parser's words, which the
#: rules on logs know.
SENTENCES: Mapping[str, str] = {
    **dict.fromkeys(
        ("unknown", "removed", "not-yet", "no-negative", "typed-dash"), "error: unrecognized arguments: {flag} {value}"
    ),
    **dict.fromkeys(("stray-word", "unexpected-value", "positional-model"), "error: unrecognized arguments: {value}"),
    "ambiguous": "error: ambiguous option: {flag} could match {expected}",
    "missing-value": "error: argument {flag}: expected one argument",
    "wrong-type": "error: argument {flag}: invalid {expected} value: '{value}'",
    "wrong-choice": "error: argument {flag}: invalid choice: '{value}' (choose from {expected})",
    **dict.fromkeys(
        ("bad-json", "smart-quotes", "pairs-refused"),
        "error: argument {flag}: Value {value} cannot be converted to <function loads",
    ),
    "json-refused": "error: argument {flag}: Each item should be in the form KEY=VALUE",
    "no-model": "error: the following arguments are required: model_tag",
    "model-option": "you should provide the model as a positional argument instead of via the `--model` option.",
    "deprecated": "argument '{name}' is deprecated",
    # The rest no parser says.
    "taken-as": "flag `{flag}` is read as a short form of `{replacement}` by vLLM {release}",
    "dotted-not-yet": "flag `{flag}` takes no dotted keys in vLLM {release} yet, they came with {first}",
    "no-keys": "flag `{flag}` has dotted keys, but its value is no JSON",
    "repeated": "flag `{flag}` stands twice in the command; its first value `{value}` is lost, `{replacement}` counts",
    "json-and-dotted": "flag `{flag}` is given as JSON and with dotted keys at once; its JSON `{value}` is lost",
    "words-in-one": "the words of flag `{flag}` and its value stand in one word of the command: `{value}`",
    "comment-after-backslash": "a comment follows a backslash at the end of a line: the command ends there",
    "comment-at-end": "a comment ends a line of the command that should go on: what follows is lost",
    "comment-between": "a comment line stands between the lines of the command: what follows is lost",
    "line-between": "an empty line stands between the lines of the command: what follows is lost",
    "blank-after-backslash": "a blank follows a backslash at the end of a line: the command ends there",
    "backslash-lost": "a line of the command does not end in a backslash, but the next one begins with a flag",
    "newline-lost": "a backslash stands in the middle of a line of the command: its line break was lost",
    "not-a-text": "the value `{value}` in the list of arguments is not a text: Kubernetes refuses numbers and truth values without quotes",
    "variable-not-text": "the value `{value}` of the variable {flag} is not a text: Kubernetes refuses numbers and truths without quotes",
    "not-a-list": "the command or its arguments are not a list of texts, as Kubernetes wants it",
}
#: How argparse names the kinds of value that it refuses.
_KINDS = {"size": "human_readable_int", "size-or-auto": "human_readable_int", "truth": "bool"}
_YAML = frozenset(("kubernetes", "compose"))
_FIELDS = ("flag", "value", "first", "last", "replacement", "expected")


def observe_command(command: Command, release: str = "") -> Seen:
    """What a command says, for a release ("" is unknown), and what is wrong with it."""
    return Seen(facts_of(command, release), tuple(observe_problems(command, check(command, release), release)))


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
        found[dest] = (
            {**before, **value} if flag.keys and isinstance(before, dict) and isinstance(value, dict) else value
        )
    if command.model is not None:
        found["model"] = command.model
    return found


def facts_of(command: Command, release: str = "") -> dict[str, Fact]:
    """Facts of a command, by the names that the log's have."""
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
    source = command.source
    lines = source.text.split("\n") if source else []
    for problem in problems:
        line = problem.place.line
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        if source and shown and source.shape in _YAML:
            start = sum(len(each) + 1 for each in lines[: line - 1])
            shown = masked_part(source.text, start, start + len(shown))
        yield observe(COMMAND, _sentence(problem, command, release), line, shown.strip())


def _sentence(problem: Problem, command: Command, release: str) -> str:
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
    return SENTENCES[kind].format(**values, release=release or "of any release", name=problem.flag.lstrip("-"))


def _flag_before(word: str, command: Command) -> str:
    """The flag behind whose values a word stands that belongs to none: a second key behind --api-key is a secret, too."""
    before = ""
    for flag in command.flags:
        if not flag.name and flag.value == word:
            return before
        before = flag.name or before
    return before


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
