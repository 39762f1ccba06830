"""The solver: what it offers holds by the model, and nothing that loses less would have done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory import gpus, model_cards
from qvl_doctor.memory.levers import Lever, joined, least_length
from qvl_doctor.memory.solver import Case, Solution, alternatives, holds, lacks, solve

MODELS = (
    "Qwen2.5-VL-3B-Instruct",
    "Qwen2.5-VL-7B-Instruct",
    "Qwen2-VL-7B-Instruct",
    "Qwen3-VL-8B-Instruct",
    "Qwen3-VL-30B-A3B-Instruct",
    "InternVL3-8B",
    "gemma-3-27b-it",
    "Llama-3.1-8B-Instruct",
    "Qwen2.5-7B-Instruct",
)
CARDS = ("L4", "A10", "RTX 4090", "A100-40GB", "A100-80GB", "H100", "V100-32GB", "T4")
RELEASES: tuple[Release, ...] = (
    (0, 7, 2),
    (0, 8, 5),
    (0, 9, 2),
    (0, 11, 0),
    (0, 14, 0),
    (0, 19, 0),
    (0, 22, 0),
    (0, 30, 0),
)
GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "max_model_len": st.sampled_from([2048, 8192, 20000, 32768]),
        "utilization": st.sampled_from([0.5, 0.7, 0.85, 0.9, 0.97]),
        "max_num_seqs": st.sampled_from([8, 64, 256, 512]),
        "eager": st.booleans(),
        "limits": st.fixed_dictionaries({"image": st.integers(1, 5)}, optional={"video": st.integers(0, 5)}),
        "tp": st.sampled_from([1, 2, 4]),
    },
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    card = model_cards.find(draw(st.sampled_from(MODELS)))
    gpu = gpus.find(draw(st.sampled_from(CARDS)))
    assert card
    assert gpu
    return Case(card.shape, gpu, draw(st.sampled_from(RELEASES)), draw(GIVEN))


def rungs_of(case: Case, found: Solution) -> dict[str, int]:
    """How far the solution pulled each lever."""
    pulled: dict[str, int] = {}
    for lever in case.levers():
        step = next((step for step in found.steps if step.lever == lever.name), None)
        if step is None:
            pulled[lever.name] = 0
        elif lever.name == "length":  # it may lie between two rungs
            pulled[lever.name] = next(
                (at for at, rung in enumerate(lever.rungs, 1) if int(rung.value) <= int(step.value)), len(lever.rungs)
            )
        else:
            pulled[lever.name] = next(at for at, rung in enumerate(lever.rungs, 1) if rung.value == step.value)
    return pulled


def with_rungs(case: Case, pulled: dict[str, int]) -> dict[str, Any]:
    """What is asked of the settings when levers are pulled so far; a context is not cut below what images need."""
    chosen = {lever.name: lever.rungs[pulled[lever.name] - 1] for lever in case.levers() if pulled[lever.name]}
    asked = joined(*(rung.given for rung in chosen.values()))
    if "max_model_len" in asked:
        asked["max_model_len"] = min(
            max(asked["max_model_len"], least_length(case.shape, case.settings_with(asked))),
            case.settings.max_model_len,
        )
    return asked


def loss(levers: tuple[Lever, ...], pulled: dict[str, int]) -> tuple[int, ...]:
    """What is given up, by level, the dearest first."""
    given_up = [0] * 8
    for lever in levers:
        for rung in lever.rungs[: pulled[lever.name]]:
            given_up[rung.level] += rung.cost
    return tuple(reversed(given_up))


@given(case=cases())
def test_what_is_offered_holds(case: Case) -> None:
    best = solve(case)
    if holds(case, case.settings):
        assert best
        assert not best.steps
    if best is None:
        return
    assert best.plan.fits
    # Built again from the flags' own values, not from what the solver kept.
    assert lacks(case, best.settings, case.plan(best.settings)) == ""
    assert best.plan.kv - best.plan.error >= best.plan.request
    for _, other in alternatives(case, best):
        assert lacks(replace(case, logged=case.settings), other.settings) == ""


@given(case=cases(), data=st.data())
def test_nothing_that_loses_less_would_have_done(case: Case, data: st.DataObject) -> None:
    best = solve(case)
    levers = case.levers()
    limit = None if best is None else loss(levers, rungs_of(case, best))
    for _ in range(12):
        other = {lever.name: data.draw(st.integers(0, len(lever.rungs)), lever.name) for lever in levers}
        if limit is not None and loss(levers, other) >= limit:
            continue
        assert not holds(case, case.settings_with(with_rungs(case, other))), other
    if best:
        pulled = rungs_of(case, best)
        for name, rung in pulled.items():  # giving one thing back must break it
            if rung:
                back = {**pulled, name: rung - 1}
                assert not holds(case, case.settings_with(with_rungs(case, back))), (name, best.steps)


def case(model: str, gpu: str, release: Release, **flags: Any) -> Case:
    card, found = model_cards.find(model), gpus.find(gpu)
    assert card
    assert found
    return Case(card.shape, found, release, flags)


def test_the_cheapest_comes_first() -> None:
    found = solve(case("Qwen2.5-VL-7B-Instruct", "L4", (0, 19, 0), max_model_len=32768))
    assert found
    assert [step.lever for step in found.steps] == ["video", "utilization"]


def test_what_free_nothing_is_never_offered() -> None:
    for model in MODELS:
        found = solve(case(model, "T4", (0, 8, 5)))
        offered = set(found.flags) if found else set()
        assert not offered & {"--block-size", "--swap-space"}


def test_a_length_between_two_powers_of_two_is_as_long_as_it_can_be() -> None:
    start = case("Qwen2.5-VL-7B-Instruct", "L4", (0, 19, 0))
    found = solve(start)
    assert found
    longer = found.settings._replace(max_model_len=found.settings.max_model_len + 512)
    assert not holds(start, longer)


def test_nothing_is_offered_where_nothing_helps() -> None:
    assert solve(case("DeepSeek-V3", "T4", (0, 8, 5), max_model_len=2048)) is None


@pytest.mark.parametrize("utilization", [0.98, 0.99])
def test_a_utilization_that_leaves_no_room_for_graphs_is_lowered(utilization: float) -> None:
    found = solve(case("Qwen2.5-7B-Instruct", "L4", (0, 11, 0), max_model_len=4096, utilization=utilization))
    assert found
    assert float(found.flags["--gpu-memory-utilization"]) < utilization
