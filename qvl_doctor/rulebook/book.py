"""The rules as a book: read from a folder, put together, and compiled to JSON for the wheel.

`rulefile` reads and judges one file; it is imported only when there is YAML to read.
"""

from __future__ import annotations

import binascii
import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qvl_doctor.model import NOTHING, Condition, FixTemplate, Rule
from qvl_doctor.rulebook.mistakes import Mistake, RuleError, nearest

COMPILED = "rulebook.json"
_LITERALS = Condition._fields.index("literals")
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def load_file(path: str) -> Rule:
    """The rule in a YAML file. Raises RuleError with everything that is wrong in the file."""
    from qvl_doctor.rulebook.rulefile import read_rule

    rule, mistakes = read_rule(path)
    if rule is None or mistakes:
        raise RuleError(mistakes)
    return rule


def load(folder: str, beside: Iterable[Rule] = ()) -> tuple[Rule, ...]:
    """The rules in a folder, by id. They may name each other and the rules `beside` them. Raises RuleError."""
    rules, mistakes = read(folder, beside)
    if mistakes:
        raise RuleError(mistakes)
    return rules


def read(folder: str, beside: Iterable[Rule] = ()) -> tuple[tuple[Rule, ...], list[Mistake]]:
    """The rules in a folder, and in the folders in it, that are right, and all mistakes in the others."""
    from qvl_doctor.rulebook.folders import rule_files, topic_of
    from qvl_doctor.rulebook.rulefile import read_rule
    from qvl_doctor.rulebook.topics import topic_mistakes

    files, mistakes = rule_files(folder)
    rules: list[Rule] = []
    for path in files:
        rule, wrong = read_rule(path)
        mistakes += wrong
        rules += [rule._replace(topic=topic_of(path, folder))] if rule and not wrong else []
    mistakes += topic_mistakes(folder, files)
    # A rule that is wrong is there anyway, for those that name it.
    there = {*(os.path.basename(path).removesuffix(".yaml") for path in files), *(rule.id for rule in beside)}
    return tuple(rules), [*mistakes, *link_mistakes(rules, there)]


def shipped(*, packed: bool = False) -> tuple[Rule, ...]:
    """The rules of this package: compiled in a wheel, read from YAML in a source tree. Their `source` is empty.

    With `packed` they may lack their texts, which `complete` gives them: enough to match, and quicker to load.
    """
    compiled = os.path.join(PACKAGE, COMPILED)
    if os.path.exists(compiled):
        rules = load_compiled(compiled)
        return rules if packed else tuple(map(complete, rules))
    return tuple(rule._replace(source="") for rule in load(rules_folder()))


def rules_folder() -> str:
    """Where the YAML of the shipped rules is: inside the installed package, otherwise at the top of the source tree."""
    inside = os.path.join(PACKAGE, "rules")
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(PACKAGE), "rules")


def merge(rules: Sequence[Rule], own: Sequence[Rule], override: bool = False) -> tuple[Rule, ...]:
    """Both sets as one. An id that is in both is an error, or with `override` the own rule replaces the other.

    Raises RuleError.
    """
    new = {rule.id: rule for rule in own}
    clashes = [] if override else [rule.id for rule in rules if rule.id in new]
    if clashes:
        raise RuleError(
            Mistake(_line_of(new[name].source, name), "id", "id-taken", {"name": name}, path=new[name].source)
            for name in clashes
        )
    merged = (*(rule for rule in rules if rule.id not in new), *own)
    mistakes = link_mistakes(merged)
    if mistakes:
        raise RuleError(mistakes)
    return merged


def link_mistakes(rules: Sequence[Rule], there: Iterable[str] = ()) -> list[Mistake]:
    """`explains` and `before` that name no rule, or that lead back to where they began.

    `there` are ids of other rules.
    """
    known = {rule.id: rule for rule in rules}
    names = {*known, *there}
    mistakes = [
        _about(rule, name, field, "no-rule", near=nearest(name, names), name=name)
        for rule in rules
        for field, linked in (("explains", rule.explains), ("before", rule.before))
        for name in linked
        if name not in names
    ]
    for field in ("explains", "before"):
        circle = _circle({rule.id: getattr(rule, field) for rule in rules})
        if circle:
            mistakes.append(_about(known[circle[0]], circle[1], field, "circle", circle=" → ".join(circle)))
    return mistakes


def compile_book(rules: Iterable[Rule]) -> str:
    """The rules as JSON for `load_compiled`, without their examples and what was read for them.

    Those are for tests and documents.
    """
    return json.dumps([_compiled(rule) for rule in rules], separators=(",", ":"))


def load_compiled(path: str) -> tuple[Rule, ...]:
    """The rules in a file that `compile_book` made, packed."""
    with open(path, encoding="ascii") as file:
        return tuple([_rule(*values) for values in json.load(file)])


def complete(rule: Rule) -> Rule:
    """The rule with its texts; one that has them already stays as it is."""
    if not rule.packed:
        return rule
    texts = json.loads(zlib.decompress(binascii.a2b_base64(rule.packed)))
    fixes = tuple(FixTemplate(**fix | {"platforms": tuple(fix.get("platforms", ()))}) for fix in texts["fixes"])
    return rule._replace(
        title=texts["title"],
        why=texts["why"],
        fixes=fixes,
        references=tuple(texts["references"]),
        check=texts["check"],
        topic=texts["topic"],
        packed="",
    )


def _compiled(rule: Rule) -> tuple[Any, ...]:
    """What `_rule` takes, in its order."""
    texts = {
        "title": rule.title,
        "why": rule.why,
        "fixes": [_set_fields(fix) for fix in rule.fixes],
        "references": rule.references,
        "check": rule.check,
        "topic": rule.topic,
    }
    packed = binascii.b2a_base64(zlib.compress(json.dumps(texts).encode(), 9), newline=False).decode()
    left_out = ("matches", "silent", "seen_in", "checked", "source", "match", "packed", *texts)
    plain = {name: value for name in Rule._fields if name not in left_out and (value := getattr(rule, name))}
    return packed, [tuple(map(_jsonable, item)) for item in rule.match], plain


def _jsonable(value: Any) -> Any:
    """A value of a condition. A mapping that may not be changed is none for `json`."""
    return dict(value) if isinstance(value, Mapping) else value


def _set_fields(item: FixTemplate) -> dict[str, Any]:
    return {name: value for name in item._fields if (value := getattr(item, name))}


def _rule(packed: str, match: list[list[Any]], plain: dict[str, Any]) -> Rule:
    """A rule, packed. Conditions are lists of their fields' values: there are many of them."""
    for name in ("explains", "before", "platforms"):
        if name in plain:
            plain[name] = tuple(plain[name])
    for values in match:
        values[_LITERALS] = tuple(values[_LITERALS])
    return Rule(
        title=NOTHING,
        why=NOTHING,
        fixes=(),
        match=tuple([Condition(*values) for values in match]),
        packed=packed,
        **plain,
    )


def _about(rule: Rule, linked: str, field: str, problem: str, near: str = "", **values: object) -> Mistake:
    """What is wrong with a rule's link to another one."""
    return Mistake(_line_of(rule.source, linked), field, problem, values, near, rule.source or rule.id)


def _circle(links: Mapping[str, Sequence[str]]) -> list[str]:
    """The ids along a circle, its first one repeated at the end; empty if there is none."""
    from graphlib import CycleError, TopologicalSorter

    try:
        TopologicalSorter(links).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def _line_of(path: str, name: str) -> int:
    """The line of a rule file that names another rule; looked up only to report a mistake."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [
                number
                for number, line in enumerate(file, 1)
                if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", line)
            ]
    except OSError:
        return 0
    return lines[0] if lines else 0
