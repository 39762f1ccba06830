"""Every fact is listed once, with its kind, its unit and its meaning, and whoever reads or tells facts goes by that
list."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from qvl_doctor.authoring.examples import facts_of
from qvl_doctor.facts import table
from qvl_doctor.facts.kinds import fits
from qvl_doctor.facts.table import COUNT, MAP, NUMBER, TEXT, VERSION, Entry, entry, kind, names, unit
from qvl_doctor.model import PHASES, Example

ENTRIES = [found for name in sorted(names()) if (found := entry(name))]
#: A value of each kind as a rule's example writes it, as it counts then, and one that a file cannot claim.
VALUES: dict[str, tuple[Any, Any, Any]] = {
    TEXT: ("7", "7", None),
    VERSION: ("0.10", "0.10", None),
    NUMBER: ("7.5", 7.5, float("nan")),
    COUNT: ("7", 7, float("inf")),
    MAP: ({"image": "5"}, {"image": 5}, None),
}


def test_a_name_is_listed_once() -> None:
    listed = Counter(name for facts in table.LISTED.values() for name in facts)
    assert [name for name, times in listed.items() if times > 1 or name in table.PACKAGES - {"vllm"}] == []
    assert len(ENTRIES) == len(names())


@pytest.mark.parametrize("fact", ENTRIES, ids=[fact.name for fact in ENTRIES])
def test_an_entry(fact: Entry) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", fact.name)
    assert fact.kind in VALUES
    assert fact.meaning
    assert len(fact.values) != 1
    if fact.unit:
        assert fact.kind in {NUMBER, COUNT}
    for value in fact.values:
        assert fits(fact.name, value)


@pytest.mark.parametrize("fact", ENTRIES, ids=[fact.name for fact in ENTRIES])
def test_an_example_gives_a_fact_the_type_of_its_kind(fact: Entry) -> None:
    written, typed, never = VALUES[fact.kind]
    value = facts_of(Example("it", facts={fact.name: written}))[fact.name].value
    assert (value, type(value)) == (typed, type(typed))
    assert not fits(fact.name, never)
    assert not fits(fact.name, [written])
    assert fits(fact.name, {"a": 1}) == (fact.kind == MAP)


@pytest.mark.parametrize(
    ("name", "of", "kind_of", "unit_of"),
    [
        ("vllm", "log", VERSION, ""),
        ("weights_gib", "log", NUMBER, "GiB"),
        ("kv_tokens", "log", COUNT, "tokens"),
        ("stalled_s", "run", NUMBER, "s"),
        ("image_tokens", "derived", COUNT, "tokens"),
        ("plan", "command", TEXT, ""),
        ("flash_attn", "packages", VERSION, ""),
        ("gpu_count", "gpu", COUNT, ""),
        ("shm_gib", "host", NUMBER, "GiB"),
        ("model_type", "model", TEXT, ""),
        ("pod_lasted_s", "pod", NUMBER, "s"),
        ("seen_by", "look", VERSION, ""),
    ],
)
def test_what_is_known_of_a_fact(name: str, of: str, kind_of: str, unit_of: str) -> None:
    found = entry(name)
    assert found is not None
    assert (found.told_by, found.kind, found.unit, kind(name)) == (of, kind_of, unit_of, kind_of)
    assert name in names()
    assert name in names(of) or name in table.PACKAGES


def test_a_fact_that_nobody_knows() -> None:
    assert entry("lamp") is None
    assert kind("lamp") == ""
    assert (unit("lamp"), unit("lamp_watts")) == (("", 0.0), ("W", 1e5))


def test_few_values_are_all_listed() -> None:
    known = {name: found.values for name in ("engine", "ready", "phase", "ended") if (found := entry(name))}
    assert known["engine"] == ("V0", "V1")
    assert known["ready"] == ("yes", "no")
    assert known["phase"] == PHASES
    assert known["ended"] == ("clean", "abrupt", "interrupted", "cut off", "running")


def test_every_fact_that_the_code_tells_is_listed(root: Path) -> None:
    told = {
        name
        for path in (root / "qvl_doctor").rglob("*.py")
        for name in re.findall(r'"([a-z_0-9]+)"(?:\] =|:) Fact\(', path.read_text(encoding="utf-8"))
    }
    assert len(told) > 30
    assert told - names() == set()
