"""A machine beside a log, and of another day: what of it counts, and what a reader is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from qvl_doctor.machine.export import Environment
from qvl_doctor.messages import both
from qvl_doctor.model import Fact, Facts, Seen
from qvl_doctor.workflows.environment import beside, elsewhere, provenance


def facts(**known: Any) -> Facts:
    return {name: Fact(value, "probe") for name, value in known.items()}


def machine(**looks: dict[str, Any]) -> Environment:
    return Environment({name: Seen(facts(**known)) for name, known in looks.items()}, made="2026-01-02T03:04:05Z")


def kept(env: Environment, logged: dict[str, Any]) -> tuple[set[str], list[str]]:
    """The facts that may be used, and the keys of what is told."""
    seen, notes = beside(env, facts(**logged), "env.json")
    packages = both("check.other_packages", logged="0.11.0", seen=both("check.none"))["en"].partition("0.11.0")[0]
    told = ["packages" if note["en"].startswith(packages) else "card" for note in notes[1:]]
    return set(seen.facts) - {"seen_at", "seen_by"}, told


@pytest.mark.parametrize(
    ("logged", "packages", "told"),
    [
        ("0.11.0", {"vllm": "0.11.0"}, False),
        ("0.11.0", {"vllm": "0.12.0"}, True),
        ("0.11.0", {"vllm_installed": "no"}, True),
        ("0.11.0", {"vllm_installed": "yes"}, False),
        ("0.11.0", {"torch": "2.8.0"}, False),
        ("", {"vllm": "0.12.0"}, False),
        ("", {"vllm_installed": "no"}, False),
    ],
)
def test_packages_of_another_place(logged: str, packages: dict[str, Any], *, told: bool) -> None:
    env = machine(packages=packages, imports={"import_vllm": "ok"}, host={"cpus": 4})
    used, notes = kept(env, {"vllm": logged} if logged else {})
    assert used == {"cpus"} | (set() if told else {"import_vllm", *packages})
    assert notes == (["packages"] if told else [])


@pytest.mark.parametrize(
    ("ran", "gpu", "told"),
    [
        ({"total_gib": 80.0}, {"total_gib": 80.0}, False),
        ({"total_gib": 80.0}, {"total_gib": 77.7}, False),
        ({"total_gib": 80.0}, {"total_gib": 77.5}, True),
        ({"total_gib": 80.0}, {"total_gib": 82.3}, False),
        ({"total_gib": 80.0}, {"total_gib": 82.5}, True),
        ({"gpu_total_gib": 80.0}, {"total_gib": 24.0}, True),
        ({"total_gib": 80.0, "gpu_total_gib": 24.0}, {"total_gib": 80.0}, False),
        ({"total_gib": 80.0}, {"nvml": "ok"}, False),
        ({"total_gib": 80.0}, {"nvml": "ok", "gpu_count": 0}, True),
        ({"total_gib": 80.0}, {"nvml": "no_library"}, True),
        ({"total_gib": 80.0}, {"gpu_name": "L4"}, False),
        ({}, {"nvml": "no_library"}, False),
        ({}, {"total_gib": 24.0}, False),
    ],
)
def test_a_card_that_the_log_did_not_run_on(ran: dict[str, Any], gpu: dict[str, Any], *, told: bool) -> None:
    used, notes = kept(machine(gpu=gpu, host={"cpus": 4}), ran)
    assert used == {"cpus"} | (set() if told else set(gpu))
    assert notes == (["card"] if told else [])


@pytest.mark.parametrize(
    ("gpu", "shown"), [({"total_gib": 24.0}, "24.00 GiB"), ({"nvml": "no_library"}, both("check.none"))]
)
def test_how_the_other_card_is_told(gpu: dict[str, Any], shown: Any) -> None:
    _, (_, note) = beside(machine(gpu=gpu), facts(total_gib=80.0), "-")
    assert note == both("check.other_card", logged="80.00", seen=shown)


def test_the_command_of_a_machine_is_not_the_one_of_a_log() -> None:
    env = machine(command={"port": 8000}, host={"cpus": 4})
    assert kept(env, {})[0] == {"cpus"}
    assert set(elsewhere(env).facts) == {"cpus", "seen_at"}
    assert set(elsewhere(env._replace(version="0.1.0"), Seen()).facts) == {"seen_at", "seen_by"}


@pytest.mark.parametrize(
    ("count", "names"),
    [(0, None), (1, "f0"), (8, "f0, f1, f2, f3, f4, f5, f6, f7"), (9, "f0, f1, f2, f3, f4, f5, f6, f7 …")],
)
def test_facts_that_were_not_believed(count: int, names: str | None) -> None:
    env = Environment(made="2026-01-02T03:04:05Z", left_out=tuple(f"f{index}" for index in range(count)))
    notes = provenance(env, "x.json")
    assert notes[0] == both("check.seen_there", path="x.json", made="2026-01-02 03:04:05 UTC", version="?")
    assert notes[1:] == (() if names is None else (both("check.values_left_out", path="x.json", names=names),))


def test_a_machine_of_no_day() -> None:
    (note,) = provenance(Environment(version="0.1.0"), "-")
    assert note == both("check.seen_once", path="stdin", made=" UTC", version="0.1.0")
