#!/usr/bin/env python3
"""Writes the report that each log below fixtures/ leads to beside it, as LOG.report.json. Read the difference before you commit it.

python tools/update_gold.py
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from qvl_doctor import rulebook
from qvl_doctor.diagnose import diagnose
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Rule
from qvl_doctor.report.as_json import dumps

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


def logs() -> list[Path]:
    """Every whole log."""
    return sorted(FIXTURES.glob("*/*.log"))


def gold_of(log: Path) -> Path:
    """Where its expected report stands."""
    return log.with_suffix(".report.json")


@lru_cache(maxsize=1)
def rules() -> tuple[Rule, ...]:
    """The shipped rules, read once."""
    return rulebook.shipped()


def report_of(log: Path) -> str:
    """The report that the log leads to now."""
    text = log.read_text(encoding="utf-8")
    return dumps(diagnose(read_records(text), rules(), log.relative_to(FIXTURES).as_posix()), indent=1) + "\n"


if __name__ == "__main__":
    for path in logs():
        report, gold = report_of(path), gold_of(path)
        if not gold.exists() or gold.read_text(encoding="utf-8") != report:
            gold.write_text(report, encoding="utf-8")
            print(gold.relative_to(FIXTURES))
