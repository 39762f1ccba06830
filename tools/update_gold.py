#!/usr/bin/env python3
"""Writes what each log and manifest below fixtures/ leads to beside it: LOG.report.json, MANIFEST.patched.yaml.

Read the difference before you commit it.

python tools/update_gold.py
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from qvl_doctor import rulebook
from qvl_doctor.diagnose import diagnose
from qvl_doctor.logs.records import read_records
from qvl_doctor.memory import gpus
from qvl_doctor.model import Rule
from qvl_doctor.report.as_json import dumps
from qvl_doctor.sizing.case import Known
from qvl_doctor.workflows.manifest import diagnose as diagnose_manifest

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


def manifests() -> list[Path]:
    """Every manifest that is corrected."""
    return [path for path in sorted(FIXTURES.glob("manifests/*.yaml")) if not path.name.endswith(".patched.yaml")]


def patched_of(manifest: Path) -> Path:
    """Where what becomes of it stands."""
    return manifest.with_suffix(".patched.yaml")


def corrected(manifest: Path) -> str:
    """What becomes of a manifest on the card and with the release of the article."""
    known = Known(gpu=gpus.of_size(23.65), release="0.7.2")
    text = manifest.read_text(encoding="utf-8")
    return diagnose_manifest(text, source=manifest.name, known=known, rules=rules()).file


def write(gold: Path, text: str) -> None:
    """Writes what changed, and says so."""
    if not gold.exists() or gold.read_text(encoding="utf-8") != text:
        gold.write_text(text, encoding="utf-8")
        print(gold.relative_to(FIXTURES))


if __name__ == "__main__":
    for path in logs():
        write(gold_of(path), report_of(path))
    for path in manifests():
        write(patched_of(path), corrected(path))
