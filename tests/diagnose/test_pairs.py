"""Every pair of packages that is known to break leads from what is printed to the releases that are well."""

from __future__ import annotations

import pytest

from qvl_doctor import knowledge, rulebook
from qvl_doctor.diagnose.engine import Diagnosing
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Fact, Fix
from qvl_doctor.remedies import packages
from qvl_doctor.versions import satisfies

ENTRIES = knowledge.table("breaks")["breaks"]
RULES = rulebook.shipped()
MATCHER = Matcher(RULES)
RELEASES = list(knowledge.table("pins")["releases"])


def printed(example: str) -> str:
    """A traceback that ends in what the entry has as its example; the lines after its first are frames."""
    said, _, frames = example.partition("\n")
    lines = ["Traceback (most recent call last):"]
    for frame in frames.splitlines() or ["/usr/lib/python3/dist-packages/vllm/entrypoints/llm.py:<module>"]:
        file, _, function = frame.rpartition(":")
        lines += [f'  File "{file}", line 10, in {function}', "    run()"]
    return "\n".join([*lines, said, ""])


def fixes_for(example: str, vllm: str, torch: str) -> tuple[Fix, ...]:
    known = {"vllm": Fact(vllm), "torch": Fact(torch)}
    engine = Diagnosing(RULES, known, matcher=MATCHER)
    engine.feed(list(read_records(printed(example))))
    findings = engine.finish("log").findings
    return findings[0].fixes if findings else ()


@pytest.mark.parametrize("name", ENTRIES)
def test_a_pair_is_known_from_what_it_prints(name: str) -> None:
    entry = ENTRIES[name]
    vllm = next((each for each in reversed(RELEASES) if not entry.get("vllm") or satisfies(each, entry["vllm"])), "")
    if entry.get("fixed") and satisfies(vllm, f">={entry['fixed']}"):
        vllm = [each for each in RELEASES if satisfies(each, f"<{entry['fixed']}")][-1]
    torch = knowledge.table("pins")["releases"][vllm]["torch"]
    wanted = packages.pair_that_broke({"said": entry["example"]}, {"vllm": Fact(vllm), "torch": Fact(torch)})
    assert wanted
    changes = [str(dict(fix.change)) for fix in fixes_for(entry["example"], vllm, torch)]
    for text in (
        wanted.get("package", "") + wanted.get("package_range", ""),
        wanted.get("package_removed", ""),
        wanted.get("packages_newer", ""),
        wanted.get("vllm_fixed", "") and f"vllm>={wanted['vllm_fixed'].partition('.post')[0]}",
    ):
        assert any(text in change for change in changes), (text, changes)
