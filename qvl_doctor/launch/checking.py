"""What vLLM's own parser would say to a command, and what it would silently misunderstand, before anything is started.

The kinds of `Problem`, by what is wrong:

- **names** unknown (`replacement`: what it looks like), removed (`last`, `replacement`), not-yet (`first`), ambiguous
(`expected`: the flags that it may stand for), taken-as (argparse reads it as a short form of `replacement`),
deprecated, typed-dash (a long dash), no-negative (`first` that has one);
- **values** missing-value, unexpected-value, wrong-type (`expected`: the kind), wrong-choice (`expected`: the choices),
bad-json, smart-quotes, pairs-refused (`a=1` where only JSON is read; `last` that read it), json-refused (the other way
round; `first`), dotted-not-yet (`first`), no-keys (a dotted flag whose value is not JSON);
- **the whole** repeated (the last one counts: `replacement`), json-and-dotted (the JSON is lost), stray-word,
words-in-one (flag and value in one word: `-tp2`, `"--port 1"`), positional-model (the module does not read it),
model-option (`first` that accepts the model so), no-model;
- **the text** comment-after-backslash, comment-at-end, comment-between, line-between, blank-after-backslash,
backslash-lost, newline-lost, not-a-text and variable-not-text (a number or a truth value where Kubernetes requires
text), not-a-list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache

from qvl_doctor.knowledge import flag_table
from qvl_doctor.knowledge.flag_table import JSON_KINDS, Match, Option
from qvl_doctor.late import late_pattern
from qvl_doctor.launch.command import NOWHERE, Command, Flag, Place, Problem
from qvl_doctor.launch.shell.lexer import DASHES
from qvl_doctor.launch.spelling import SMART_QUOTES, read_map, read_pairs, spell_map

_INTEGER = late_pattern(r"\s*[+-]?\d+(?:_\d+)*\s*")
_LEVELS = frozenset("0123")
_LONGEST_LITERAL = 4096
#: A number with a suffix, which newer releases accept inside JSON.
_SUFFIXED = late_pattern(r"(?<=[:\[,\s])\d+(?:\.\d+)?[kKmMgGtT]\b")
#: Filled in before vLLM sees it: variables of the shell and Kubernetes, templates of Helm.
_FILLED_IN = late_pattern(r"\$|`|\{\{")


#: vLLM's modules that have flags of their own (an input file, an output file) besides those of the engine.
_SERVER_MODULES = frozenset(("vllm.entrypoints.openai.api_server", "vllm.entrypoints.api_server"))


def check(command: Command, release: str = "") -> list[Problem]:
    """Everything that is wrong with a command for a release, in the order of its text.

    For an unknown release, what is wrong in all of them.
    """
    release = flag_table.known(release)
    found: list[Problem] = []
    if command.source:
        found += [*command.source.problems, *(_placed(command, each) for each in command.source.reading.problems)]
    found += _model(command, release)
    for flag in command.flags:
        found += (
            each for each in _flag(command, flag, release) if each.kind != "unknown" or not _has_own_flags(command)
        )
    found += _repeated(command, release)
    return sorted(found, key=lambda problem: (problem.place.line, problem.place.column, problem.place.argument))


def _has_own_flags(command: Command) -> bool:
    """Whether the program has flags that vLLM's server never had: run_batch with its -i and -o, or vLLM-Omni."""
    program = command.program
    if any(flag.name == "--omni" for flag in command.flags):
        return True
    return len(program) > 1 and program[-2] == "-m" and program[-1] not in _SERVER_MODULES


def _place(command: Command, at: int) -> Place:
    return command.source.place(at) if command.source and at >= 0 else NOWHERE


def _placed(command: Command, problem: Problem) -> Problem:
    place = _place(command, problem.place.argument)
    return Problem(problem.kind, problem.flag, problem.value, place)


def _model(command: Command, release: str) -> Iterator[Problem]:
    named, at = command.flag("--model"), command.source.reading.model_at if command.source else -1
    serve = command.program[-1:] == ("serve",)
    if command.model is None:
        if serve and not command.flag("--config"):
            yield Problem("no-model")
    elif serve and command.positional is None and named:
        since = flag_table.MODEL_WORD_SINCE if named.form == "separate" else flag_table.MODEL_OPTION_SINCE
        if not flag_table.at_least(release, since):
            yield Problem("model-option", "--model", command.model, _place(command, named.at), first=since)
    elif command.positional is not None and command.program and not serve:
        yield Problem("positional-model", "--model", command.model, _place(command, at))


def _flag(command: Command, flag: Flag, release: str) -> Iterator[Problem]:
    place = _place(command, flag.at)
    if not flag.name and _FILLED_IN.match(flag.value or ""):
        return  # it may be flags, or nothing
    if not flag.name:
        yield Problem("stray-word", value=flag.value or "", place=place)
        return
    if flag.spelled[:1] in DASHES or flag.spelled[1:2] in DASHES:
        yield Problem("typed-dash", flag.spelled, place=place, replacement=flag.name)
    found = _match(flag, release)
    problem = _name(flag, found, release, place)
    if problem:
        yield problem
    if found and (problem is None or problem.kind == "deprecated"):
        yield from _values(flag, found, release, place)


def _match(flag: Flag, release: str) -> Match | None:
    spelled = flag.spelled.partition(".")[0]
    return flag_table.match(spelled if spelled.startswith("-") else flag.name, release) or flag_table.match(
        flag.name, release
    )


def _name(flag: Flag, found: Match | None, release: str, place: Place) -> Problem | None:
    """What is wrong with the flag itself for the release."""
    name = flag.name
    longer = flag_table.completions(name, release)
    if found is None:
        return _unknown(name, longer, release, place)
    option = found.option
    if not release or flag_table.has(found.name, release):
        other = _other_spelling(flag, release, place)
        if other:
            return other
        if name != found.name and name == option.name:
            return Problem("taken-as", name, place=place, replacement=found.name)
        if option.deprecated and release:
            return Problem("deprecated", name, place=place, replacement=flag_table.replacement(option.name, release))
        return None
    if len(longer) == 1 and longer[0] != name:
        return Problem("taken-as", name, place=place, last=option.span.last, replacement=longer[0])
    if not flag_table.at_least(release, option.span.first):
        return Problem("not-yet", name, place=place, first=option.span.first)
    return Problem(
        "removed", name, place=place, last=option.span.last, replacement=flag_table.replacement(option.name, release)
    )


def _other_spelling(flag: Flag, release: str, place: Place) -> Problem | None:
    """A second name, like -cc, of a flag that the release has only under another name."""
    spelled = flag.spelled.partition(".")[0]
    span = flag_table.spelling_span(spelled) if release else None
    if span and not flag_table.at_least(release, span.first):
        return Problem("not-yet", spelled, place=place, first=span.first, replacement=flag.name)
    if span and span.last and not flag_table.at_least(span.last, release):
        return Problem("removed", spelled, place=place, last=span.last, replacement=flag.name)
    return None


def _unknown(name: str, longer: tuple[str, ...], release: str, place: Place) -> Problem:
    positive = flag_table.match("--" + name[5:], release) if name.startswith("--no-") else None
    if positive and not positive.negative:
        return Problem("no-negative", name, place=place, first=flag_table.first_with(positive.option.name, "pair"))
    if len(longer) > 1:
        return Problem("ambiguous", name, place=place, expected=", ".join(longer[:8]))
    return Problem("unknown", name, place=place, replacement=_near(name, release))


@lru_cache(maxsize=64)
def _near(name: str, release: str) -> str:
    """The flag that a name most likely misspells."""
    from difflib import get_close_matches

    near = get_close_matches(name, flag_table.names(release), n=1, cutoff=0.75) if len(name) < 80 else []
    return next(iter(near), "")


def _values(flag: Flag, found: Match, release: str, place: Place) -> Iterator[Problem]:
    option = found.option
    variants = (option,) if release else flag_table.variants(option.name)
    if flag.keys:
        yield from _dotted(flag, release, place, takes_keys=any(each.value_kind in JSON_KINDS for each in variants))
        return
    if found.negative or all(each.bare for each in variants):
        if flag.values:
            yield _unexpected(flag.name, option, flag.values[0], place)
        return
    if not flag.values:
        if not any(each.bare or each.kind == "truth" or each.kind.endswith("?") for each in variants):
            yield Problem("missing-value", flag.name, place=place, expected=option.value_kind)
        return
    if flag.spelled == "-O" and flag.values[0] in _LEVELS:
        return  # the parser itself makes a level of it
    for value in flag.values:
        problems = (
            [] if _FILLED_IN.search(value) else [_value(flag.name, each, value, release, place) for each in variants]
        )
        if problems and all(problems):
            yield from filter(None, problems[-1:])


def _unexpected(name: str, option: Option, value: str, place: Place) -> Problem:
    """A value after a flag that takes none; `--x false` means --no-x."""
    meant = {"true": name, "false": "--no-" + name[2:] if option.kind == "pair" and name == option.name else ""}
    return Problem("unexpected-value", name, value, place, replacement=meant.get(value.lower(), ""))


def _dotted(flag: Flag, release: str, place: Place, *, takes_keys: bool) -> Iterator[Problem]:
    if not takes_keys:
        yield Problem("no-keys", flag.spelled, flag.value or "", place)
    elif not flag_table.at_least(release, flag_table.DOTTED_SINCE):
        yield Problem("dotted-not-yet", flag.name, flag.value or "", place, first=flag_table.DOTTED_SINCE)
    elif not flag.values:
        yield Problem("missing-value", flag.spelled, place=place)


def _value(name: str, option: Option, value: str, release: str, place: Place) -> Problem | None:
    kind = option.value_kind
    plain = value.translate(SMART_QUOTES)
    if plain != value and (kind != "text" or (plain[:1], plain[-1:]) == (value[:1].translate(SMART_QUOTES), plain[:1])):
        return Problem("smart-quotes", name, value, place, replacement=_without_smart_quotes(plain, option, release))
    if option.bare:
        return _unexpected(name, option, value, place)
    if kind in JSON_KINDS or kind == "pairs":
        return _map(name, option, value, release, place)
    if not _is_of(kind, value):
        return Problem("wrong-type", name, value, place, expected=kind)
    if option.choices and value not in {"", "None", *map(str, option.choices)}:
        near = next((str(choice) for choice in option.choices if str(choice) == value.lower()), "")
        return Problem(
            "wrong-choice", name, value, place, replacement=near, expected=", ".join(map(str, option.choices))
        )
    return None


def _without_smart_quotes(plain: str, option: Option, release: str) -> str:
    """What was meant, if that is obvious."""
    bare = plain.strip("\"'")
    if option.value_kind in JSON_KINDS or option.value_kind == "pairs":
        found = read_map(plain) or read_map(bare)
        return spell_map(found, option.name, release) if found else ""
    return bare if _is_of(option.value_kind, bare) else ""


def _is_of(kind: str, value: str) -> bool:
    """Whether a text is a value of a kind. Most flags accept "None" for no value."""
    if value in {"", "None"} or kind == "text":
        return True
    if kind == "truth":
        return value.lower() in {"true", "false"}
    if kind == "int":
        return bool(_INTEGER.fullmatch(value))
    if kind in {"size", "size-or-auto"}:
        return flag_table.size(value) is not None or (kind == "size-or-auto" and value.lower() == "auto")
    try:
        float(value)
    except ValueError:
        return False
    return True


def _map(name: str, option: Option, value: str, release: str, place: Place) -> Problem | None:
    """What is wrong with JSON, or with `a=1,b=2`, for a release that reads one or the other."""
    kind = option.value_kind
    pairs = read_pairs(value)
    whole = pairs is not None and all(isinstance(each, int) for each in pairs.values())
    if kind == "pairs":
        return None if whole else _no_pairs(name, option, value, release, place)
    if value in {"", "None"} or (kind == "json-or-text" and not value.strip().startswith("{")):
        return None
    if whole if kind == "json-or-pairs" and not value.startswith("{") else _reads(kind, value, release):
        return None
    if pairs is not None and "text" not in kind:
        better = spell_map(pairs, name, release)
        if kind == "json-or-pairs":
            return Problem("wrong-type", name, value, place, expected="pairs", replacement=better)
        return Problem(
            "pairs-refused", name, value, place, last=flag_table.last_with(option.name, "pairs"), replacement=better
        )
    mended = read_map(value)
    return Problem(
        "bad-json", name, value, place, replacement=spell_map(mended, name, release) if mended is not None else ""
    )


def _no_pairs(name: str, option: Option, value: str, release: str, place: Place) -> Problem:
    if not value.lstrip().startswith("{"):
        return Problem("wrong-type", name, value, place, expected="pairs")
    found = read_map(value)
    better = spell_map(found, name, release) if found else ""
    return Problem(
        "json-refused", name, value, place, first=flag_table.first_with(option.name, "json"), replacement=better
    )


def _reads(kind: str, value: str, release: str) -> bool:
    """Whether vLLM reads a text that should be JSON."""
    if kind == "literal":
        return _is_literal(value)
    if kind == "object" and flag_table.at_least(release, flag_table.SUFFIXES_SINCE):
        value = _SUFFIXED.sub("0", value)
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return False
    return kind != "object" or isinstance(found, dict)


def _is_literal(value: str) -> bool:
    """Whether Python reads a text as a value.

    The first releases read JSON that way, which is why `true` was no value there.
    """
    import ast

    try:
        ast.literal_eval(value[:_LONGEST_LITERAL])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return True


def _repeated(command: Command, release: str) -> Iterator[Problem]:
    """Flags that are given twice.

    argparse keeps the last; dotted keys are merged and then win over JSON.
    """
    seen: dict[tuple[str, tuple[str, ...]], Flag] = {}
    for flag in command.flags:
        found = flag_table.match(flag.name, release) or flag_table.match(flag.name)
        if not flag.name or (found and found.option.kind.endswith("&")):
            continue
        key = (found.option.name if found else flag.name, flag.keys)
        if key in seen:
            yield Problem(
                "repeated",
                flag.name,
                seen[key].value or "",
                _place(command, seen[key].at),
                replacement=flag.value or "",
            )
        seen[key] = flag
    dotted = {name for name, keys in seen if keys}
    for (name, keys), flag in seen.items():
        if name in dotted and not keys:
            yield Problem("json-and-dotted", name, flag.value or "", _place(command, flag.at))
