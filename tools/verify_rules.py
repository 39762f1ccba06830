"""Holds the rules against the texts of all vLLM releases: `tools/data/messages.txt`, which `refresh_knowledge.py` mines from the sources.

    python tools/verify_rules.py                 fails where a rule claims a text that no release has, or that a newer
    release reworded python tools/verify_rules.py fill            writes `seen_in` into the rule files; touches nothing
    else python tools/verify_rules.py show RULE …     the texts that each pattern of a rule (or a pattern given as it
    is) matches python tools/verify_rules.py foreign         the patterns that match no text of vLLM: torch's, NCCL's,
    the system's, and mistakes

A text that reads like a reworded one and is something else is entered in `tools/data/other_texts.txt`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import catalogue
import seen
from catalogue import Catalogue, ranges
from pattern_search import Index, Machine
from seen import Item

from qvl_doctor.model import Rule
from qvl_doctor.rulebook import RuleError, load

ROOT = Path(__file__).resolve().parent.parent
OTHER_TEXTS = catalogue.DEFAULT.with_name("other_texts.txt")
_LONGEST_LINE = 140


def problems(
    rules: Sequence[Rule], items: Sequence[Item], known: Catalogue, others: Mapping[str, frozenset[str]]
) -> Iterator[str]:
    """What is wrong with the rules, one sentence each; `others` are texts by rule that only read like reworded ones."""
    found = seen.seen_in(items, known.releases)
    for rule in rules:
        wanted = found.get(rule.id, ())
        if rule.seen_in != wanted:
            says = f"says {_listed(rule.seen_in)}" if rule.seen_in else "is missing"
            yield f"{rule.id}: seen_in {says}; the catalogue has {_listed(wanted)} (`python tools/verify_rules.py fill` writes it)"
    for item in items:
        if item.rows and not item.seen:
            has = _listed(ranges(item.found, known.releases))
            yield f"{item.rule.id}: match[{item.number}] is meant for releases that do not have its text; it is in {has}"
    for change in seen.reworded(items, known, others):
        old, new = (
            f"{row.text!r} ({_listed(ranges(row.releases, known.releases))})" for row in (change.old, change.new)
        )
        yield f"{change.rule}: the text {old} reads like {new} in {change.new.file}, and no rule matches that"


def with_seen_in(text: str, releases: Sequence[str]) -> str:
    """A rule file with this `seen_in`; everything else stays as it is. Without releases the key is taken out."""
    lines = text.splitlines(keepends=True)
    old = next((number for number, line in enumerate(lines) if line.startswith("seen_in:")), None)
    if old is None:
        start = end = next(number for number, line in enumerate(lines) if line.startswith("references:"))
    else:
        start = end = old
        end += 1
        while end < len(lines) and re.match(r"\s+\S|- ", lines[end]):
            end += 1
    line_end = "\r\n" if lines[start].endswith("\r\n") else "\n"
    return "".join([*lines[:start], *(line + line_end for line in _written(releases)), *lines[end:]])


def other_texts(path: Path = OTHER_TEXTS) -> dict[str, frozenset[str]]:
    """The texts by rule that somebody looked at: `rule: text` lines, comments begin with '#'."""
    found: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        rule, colon, text = line.partition(": ")
        if colon and not line.startswith("#"):
            found.setdefault(rule, set()).add(text)
    return {rule: frozenset(texts) for rule, texts in found.items()}


def check(rules: Sequence[Rule], known: Catalogue, others: Mapping[str, frozenset[str]]) -> int:
    """Print what is wrong; the number of mistakes."""
    items = seen.items_of(rules, known)
    wrong = list(problems(rules, items, known, others))
    for sentence in wrong:
        print(sentence)
    own = sum(map(bool, seen.seen_in(items, known.releases).values()))
    span = f"{len(known.releases)} releases ({known.releases[0]} to {known.releases[-1]})"
    print(
        f"{len(rules)} rules, {len(items)} patterns, {span}: {own} rules see texts of vLLM, {len(rules) - own} those of others or none"
    )
    print(f"{len(wrong)} mistakes" if wrong else "no mistakes")
    return len(wrong)


def fill(rules: Sequence[Rule], known: Catalogue) -> int:
    """Write `seen_in` where it is not right; the number of files that were changed."""
    found = seen.seen_in(seen.items_of(rules, known), known.releases)
    changed = 0
    for rule in rules:
        if rule.seen_in != found.get(rule.id, ()):
            path = Path(rule.source)
            with path.open(encoding="utf-8", newline="") as file:
                text = file.read()
            with path.open("w", encoding="utf-8", newline="") as file:
                file.write(with_seen_in(text, found.get(rule.id, ())))
            changed += 1
    print(f"{changed} rule files changed")
    return changed


def show(rules: Sequence[Rule], known: Catalogue, asked: Sequence[str]) -> None:
    """Print what the patterns of some rules match, or what a pattern matches that is given instead of a rule."""
    by_id = {rule.id: rule for rule in rules}
    for name in asked:
        print(name)
        if name in by_id:
            for item in seen.items_of([by_id[name]], known):
                print(f"  match[{item.number}] {item.pattern}")
                print(f"    is for {_listed(ranges(item.claimed, known.releases))}")
                _print_rows(item.rows, known)
        else:
            machine = Machine(name)
            near = Index([row.text for row in known.rows]).near(name)
            _print_rows([known.rows[place] for place in near if machine.filled(known.rows[place].text)], known)


def foreign(rules: Sequence[Rule], known: Catalogue) -> None:
    """Print the patterns that match no text of vLLM."""
    for item in seen.items_of(rules, known):
        if not item.rows:
            print(f"{item.rule.id}: match[{item.number}] {item.pattern}")


def _print_rows(rows: Sequence[catalogue.Row], known: Catalogue) -> None:
    for row in rows:
        print(
            f"    {_listed(ranges(row.releases, known.releases))} · {', '.join(row.kinds)} · {row.file}\n      {row.text}"
        )
    if not rows:
        print("    no text of vLLM")


def _written(releases: Sequence[str]) -> list[str]:
    line = f"seen_in: [{_listed(releases)}]"
    if not releases or len(line) <= _LONGEST_LINE:
        return [line] if releases else []
    return ["seen_in:", *(f"  - {each}" for each in releases)]


def _listed(releases: Sequence[str]) -> str:
    return ", ".join(releases) or "none"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=["check", "fill", "show", "foreign"], default="check")
    parser.add_argument("asked", nargs="*", metavar="RULE")
    parser.add_argument("--rules", type=Path, default=ROOT / "rules")
    parser.add_argument("--catalogue", type=Path, default=catalogue.DEFAULT)
    parser.add_argument("--other-texts", type=Path, default=OTHER_TEXTS)
    options = parser.parse_args(arguments)
    try:
        rules = load(str(options.rules))
    except RuleError as error:
        print(error, file=sys.stderr)
        return 1
    known = catalogue.read(options.catalogue)
    if options.command == "check":
        return int(check(rules, known, other_texts(options.other_texts)) > 0)
    if options.command == "fill":
        fill(rules, known)
    elif options.command == "show":
        show(rules, known, options.asked)
    else:
        foreign(rules, known)
    return 0


if __name__ == "__main__":
    sys.exit(main())
