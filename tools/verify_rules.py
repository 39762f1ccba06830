"""Holds the rules against the texts that releases of vLLM can print, mined from their published sources.

    python tools/verify_rules.py                       the newest release that is known, and the one before it
    python tools/verify_rules.py --release 0.34.0      another one, and the one before it; `all`: every one
    python tools/verify_rules.py fill --release …      writes `seen_in` into the rule files; touches nothing else
    python tools/verify_rules.py show RULE …           the texts that each pattern of a rule (or a pattern given as it
                                                       is) matches
    python tools/verify_rules.py foreign               the patterns that match no text of vLLM: torch's, NCCL's, the
                                                       system's, and mistakes

It fails where a rule claims a release that does not have its text, where one has it and the rule does not say so, and
where the newer of them reworded a text so that no rule sees it, or no longer prints what logs are read by
(`tools/marks.py`). The sources come from pip's index, and what was mined
is kept in a cache; exit code 3 means that they cannot be had. A text that reads like a reworded one and is something
else is entered in `tools/data/other_texts.txt`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import catalogue
import marks
import seen
from catalogue import Catalogue, expanded, ranges
from fetch_sdist import FetchError
from pattern_search import Index, Machine
from seen import Item
from vllm_source import version_key

from qvl_doctor.knowledge import table
from qvl_doctor.model import Rule
from qvl_doctor.rulebook import RuleError, load

ROOT = Path(__file__).resolve().parent.parent
OTHER_TEXTS = Path(__file__).resolve().parent / "data" / "other_texts.txt"
UNREACHABLE = 3
#: Releases of which the tables know only the one that mended them.
_MENDED = ("0.6.1", "0.6.3", "0.6.4", "0.6.6")
_LONGEST_LINE = 140
_FILL = " (`python tools/verify_rules.py fill` writes it)"


def released() -> tuple[str, ...]:
    """The releases whose sources were published, oldest first, as far as they are known."""
    known = {*table("pins")["releases"], *_MENDED} - set(table("call_sites")["unread"])
    return tuple(sorted(known, key=version_key))


def wanted(asked: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The releases to read.

    Those that are asked for, each with the one before it, from which it may have reworded a text.
    """
    if "all" in asked:
        return tuple(known)
    found = set()
    for name in asked or known[-1:]:
        older = [each for each in known if version_key(each) < version_key(name)]
        found.update([*older[-1:], name])
    return tuple(sorted(found, key=version_key))


def order_of(rules: Iterable[Rule], *more: Iterable[str]) -> tuple[str, ...]:
    """All releases that rules speak of, and others, oldest first."""
    named = {end for rule in rules for each in rule.seen_in for end in each.split("–") if end}
    return tuple(sorted(named.union(*more), key=version_key))


def seen_in_after(rule: Rule, found: Sequence[str], read: Sequence[str], order: Sequence[str]) -> tuple[str, ...]:
    """What `seen_in` has to say when `found` are those of the releases that were read that have the rule's text."""
    before = expanded(rule.seen_in, order)
    return ranges((before - frozenset(read)) | frozenset(found), order, order[-1])


def problems(
    rules: Sequence[Rule],
    items: Sequence[Item],
    known: Catalogue,
    others: Mapping[str, frozenset[str]],
    order: Sequence[str],
) -> Iterator[str]:
    """What is wrong with the rules, one sentence each; `others` are texts by rule that only read like reworded ones."""
    found = seen.seen_in(items)
    read = frozenset(known.releases)
    for rule in rules:
        has, says = found.get(rule.id, frozenset()), expanded(rule.seen_in, order) & read
        if says - has:
            yield f"{rule.id}: seen_in names {_listed(ranges(says - has, known.releases))}, and its text is not there{_FILL}"
        if has - says:
            yield f"{rule.id}: seen_in does not name {_listed(ranges(has - says, known.releases))}, and its text is there{_FILL}"
    for item in items if frozenset(order) <= frozenset(known.releases) else ():
        if item.rows and not item.seen:
            has_it = _listed(ranges(item.found, known.releases))
            yield f"{item.rule.id}: match[{item.number}] is meant for releases that do not have its text; it is in {has_it}"
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


def check(rules: Sequence[Rule], known: Catalogue, others: Mapping[str, frozenset[str]], order: Sequence[str]) -> int:
    """Print what is wrong; the number of mistakes."""
    items = seen.items_of(rules, known)
    wrong = list(problems(rules, items, known, others, order))
    wrong += marks.problems(known) if known.releases[-1] == order[-1] else ()
    for sentence in wrong:
        print(sentence)
    own = sum(map(bool, seen.seen_in(items).values()))
    read = ", ".join(known.releases) if len(known.releases) < 4 else f"{known.releases[0]} to {known.releases[-1]}"
    print(f"{len(rules)} rules, {len(items)} patterns, texts of vLLM {read}: {own} rules see some of them")
    print(f"{len(wrong)} mistakes" if wrong else "no mistakes")
    return len(wrong)


def fill(rules: Sequence[Rule], known: Catalogue, order: Sequence[str]) -> int:
    """Write `seen_in` where it is not right; the number of files that were changed."""
    found = seen.seen_in(seen.items_of(rules, known))
    changed = 0
    for rule in rules:
        new = seen_in_after(rule, sorted(found.get(rule.id, ())), known.releases, order)
        if rule.seen_in != new:
            path = Path(rule.source)
            with path.open(encoding="utf-8", newline="") as file:
                text = file.read()
            with path.open("w", encoding="utf-8", newline="") as file:
                file.write(with_seen_in(text, new))
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
    parser.add_argument("--release", action="append", default=[], metavar="VERSION", help="a vLLM release, or all")
    parser.add_argument("--rules", type=Path, default=ROOT / "rules")
    parser.add_argument("--cache", type=Path, default=catalogue.default_cache())
    parser.add_argument("--sources", type=Path, help="a folder for the sources; without it they are deleted again")
    parser.add_argument("--other-texts", type=Path, default=OTHER_TEXTS)
    options = parser.parse_args(arguments)
    try:
        rules = load(str(options.rules))
        known = catalogue.of_releases(wanted(options.release, released()), options.cache, options.sources)
    except RuleError as error:
        print(error, file=sys.stderr)
        return 1
    except FetchError as error:
        print(f"the rules were not held against vLLM's sources: {error}", file=sys.stderr)
        return UNREACHABLE
    order = order_of(rules, released(), known.releases)
    if options.command == "check":
        return int(check(rules, known, other_texts(options.other_texts), order) > 0)
    if options.command == "fill":
        fill(rules, known, order)
    elif options.command == "show":
        show(rules, known, options.asked)
    else:
        foreign(rules, known)
    return 0


if __name__ == "__main__":
    sys.exit(main())
