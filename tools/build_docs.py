"""Writes the index of the rules, rules/README.md: their topics, and in each its rules with their titles.

python tools/build_docs.py            writes it
python tools/build_docs.py --check    exits with 1 if it is not what the rules say
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from qvl_doctor.model import Rule, Topic
from qvl_doctor.report.markdown import escape
from qvl_doctor.report.typeset import readable
from qvl_doctor.rulebook import load
from qvl_doctor.rulebook.topics import load_topics

ROOT = Path(__file__).resolve().parent.parent
INDEX = "README.md"


def index(rules: Sequence[Rule], topics: Sequence[Topic]) -> str:
    """The index as Markdown."""
    return "\n".join(_lines(rules, topics)).rstrip() + "\n"


def _lines(rules: Sequence[Rule], topics: Sequence[Topic]) -> Iterator[str]:
    yield from ("# Rules", "")
    yield from (
        f"{len(rules)} rules, each of which knows one failure. `qvl-doctor explain RULE` shows a rule with its causes, fixes and",
        "examples, in English or Chinese; [the rule format](../docs/rules-format.md) describes its file. This index is generated",
        "by `python tools/build_docs.py`.",
        "",
    )
    for topic in topics:
        own = [rule for rule in rules if rule.topic == topic.name]
        yield from (f"## {escape(topic.title['en'])} · {escape(topic.title['zh'])}", "")
        yield from (f"- [{rule.id}]({topic.name}/{rule.id}.yaml): {escape(readable(rule.title['en']))}" for rule in own)
        yield ""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the index is out of date")
    parser.add_argument("--rules", type=Path, default=ROOT / "rules")
    options = parser.parse_args(arguments)
    folder = str(options.rules)
    path: Path = options.rules / INDEX
    text = index(load(folder), load_topics(folder))
    current = path.exists() and path.read_text(encoding="utf-8") == text
    if options.check and not current:
        print(f"{path.name} of the rules is out of date; run `python tools/build_docs.py`")
        return 1
    if not current:
        path.write_text(text, encoding="utf-8")
        print(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
