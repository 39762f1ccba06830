"""What became of a flag that the command line refused, and JSON for a value that was written another way."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from qvl_doctor import knowledge
from qvl_doctor.model import Facts, fact_map, fact_text
from qvl_doctor.versions import release, satisfies

Values = Mapping[str, str]

_MAX_TEXT = 4000
_MAX_WORDS = 100
_FLAG = re.compile(r"--[A-Za-z][A-Za-z0-9_.-]{0,79}")
#: What word processors and chat programs make of two hyphens.
_DASHED = re.compile(r"(?:[\u2010-\u2015\u2212]{1,2}-?|-[\u2010-\u2015\u2212])(?P<name>[A-Za-z][A-Za-z0-9_.-]{0,79})")
_PAIR = re.compile(
    r"[\s{,]*[\"']?(?P<name>[A-Za-z_]\w{0,63})[\"']?\s*[=:]\s*[\"']?(?P<value>-?\d{1,9}(?:\.\d{1,9})?|true|false)[\"']?[\s},]*",
    re.IGNORECASE,
)
#: What took their place wants another value, or several: the rule has words of its own for these.
_NOT_ALONE = frozenset(
    (
        "--enable-reasoning",
        "--num-speculative-tokens",
        "--rope-scaling",
        "--rope-theta",
        "--speculative-model",
        "--task",
    )
)
_OLDEST = (0, 6)


def refused_flag(values: Values, facts: Facts) -> Values | None:
    """What to do about `arguments`, the words that the command line did not know.

    `fate` is that of the first flag: gone (releases after `last` do not have it), later (it came with `first`),
    elsewhere (this release has it: another command was asked), misspelled (`near` is a flag), unknown, dashed (it
    begins with a dash that is not a hyphen; `near` is right), or word (no flag at all, but `word`). `flag` is the flag,
    `value` the word after it and `bare` whether there is none, `gone` all flags to remove, `others` those besides the
    first. `near_value` is the value in the form that `near` takes. Where a flag took its place: `new_flag` and, unless
    it is `bare`, `new_value`.
    """
    words = values.get("arguments", "")[:_MAX_TEXT].split()[:_MAX_WORDS]
    if not words:
        return None
    given = _flags_with_values(words)
    if not given:
        return _without_flag(words)
    flag, value = given[0]
    others = list(dict.fromkeys(name for name, _ in given[1:] if name != flag))
    found = {
        "flag": flag,
        "value": value,
        "bare": "no" if value else "yes",
        "gone": " ".join([flag, *others]),
        "others": ", ".join(others),
    }
    return _named(**{**found, **_fate(flag, value, _release(facts)), **_replacement(flag, value, _release(facts))})


def json_from_pairs(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """`json` for a `value` written as `image=1,video=0`, or as JSON that lost its quotes.

    Numbers, true and false only.
    """
    pairs = _pairs(values.get("value", ""))
    return {"json": json.dumps(pairs)} if pairs else None


def limits_as_pairs(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """`pairs`, image=4,video=0, for the limits that the command gives in another form. Whole numbers only."""
    given = fact_map(facts, "args").get("limit_mm_per_prompt")
    pairs = _pairs(given) if isinstance(given, str) else given
    if not isinstance(pairs, Mapping) or not all(type(count) is int and count >= 0 for count in pairs.values()):
        return None
    return {"pairs": ",".join(f"{name}={count}" for name, count in pairs.items())} if pairs else None


def _pairs(text: str) -> dict[str, object] | None:
    """What `image=1,video=0` says, or JSON without its quotes.

    None where it is not read to its end, or says one thing twice.
    """
    text = text[:_MAX_TEXT].strip()
    pairs: dict[str, object] = {}
    place = 0
    while place < len(text):
        found = _PAIR.match(text, place)
        if not found or found["name"] in pairs:
            return None
        pairs[found["name"]] = json.loads(_plain_number(found["value"]))
        place = found.end()
    return pairs


def _flags_with_values(words: list[str]) -> list[tuple[str, str]]:
    """The flags among the words, in vLLM's spelling, each with the value that was given to it or ""."""
    given: list[tuple[str, str]] = []
    for number, word in enumerate(words):
        name, _, value = word.partition("=")
        if not _FLAG.fullmatch(name):
            continue
        behind = words[number + 1] if number + 1 < len(words) else ""
        if not value and behind and not _FLAG.match(behind) and not _DASHED.match(behind):
            value = behind
        given.append((_spelled(name), value))
    return given


def _without_flag(words: list[str]) -> Values:
    for number, word in enumerate(words):
        found = _DASHED.fullmatch(word.partition("=")[0])
        if found:
            flag = "--" + found["name"]
            return _named(
                fate="dashed", flag=word[:80], near=flag, value=words[number + 1] if number + 1 < len(words) else ""
            )
    return {"fate": "word", "word": words[0][:80]}


def _fate(flag: str, value: str, have: str) -> dict[str, str]:
    base = flag.partition(".")[0]
    span = knowledge.flag(base) or (
        knowledge.flag("--" + base.removeprefix("--no-")) if base.startswith("--no-") else None
    )
    if span is None:
        if theirs := knowledge.flag_of_others(flag):
            formed = theirs.value.replace("{value}", value) if value and "=" not in value else value
            return {"fate": "misspelt", "near": theirs.flag, "near_value": formed or value}
        near = _near(flag)
        return {"fate": "misspelt", "near": near, "near_value": value} if near else {"fate": "unknown"}
    if span.last and (not have or satisfies(have, f">{span.last}")):
        return {"fate": "gone", "last": span.last}
    came = release(span.first) or ()
    if satisfies(have, f"<{span.first}") if have else came[:2] > _OLDEST and not span.last:
        return {"fate": "later", "first": span.first}
    return {"fate": "elsewhere", "first": span.first}


def _replacement(flag: str, value: str, have: str) -> dict[str, str]:
    """The flag that does the same now, as far as the installed release has it."""
    renamed = knowledge.renamed_flag(flag)
    if not renamed or flag in _NOT_ALONE:
        return {}
    span = knowledge.flag(renamed.flag.partition(".")[0].replace("--no-", "--", 1))
    if span is None or (have and satisfies(have, f">={span.first}") is False):
        return {}
    new_value = renamed.value or value
    return {"new_flag": renamed.flag, "new_value": new_value, "bare": "no" if new_value else "yes"}


def _near(flag: str) -> str:
    """The flag of the newest release that is spelled almost alike."""
    from difflib import get_close_matches

    names = [name for name in knowledge.flags() if not (knowledge.flag(name) or knowledge.Span("")).last]
    return next(iter(get_close_matches(flag, names, n=1, cutoff=0.8)), "")


def _spelled(name: str) -> str:
    base, dot, rest = name.partition(".")
    return base.replace("_", "-") + dot + rest


def _plain_number(text: str) -> str:
    """A number as JSON writes it: without leading zeros."""
    return re.sub(r"^(-?)0+(?=\d)", r"\1", text.lower())


def _release(facts: Facts) -> str:
    version = fact_text(facts, "vllm")[:64]
    return version if release(version) else ""


def _named(**values: str) -> Values:
    """The values that are known."""
    return {name: value for name, value in values.items() if value}
