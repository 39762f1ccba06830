"""The whole budget: public logs end to end, verdicts, calibration by a log, and what must hold for any plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from memory_shapes import ARTICLE_CARD, card, model, serve

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory import constants
from qvl_doctor.memory.budget import (
    FITS,
    NO_BLOCKS,
    NO_ROOM_FOR_GRAPHS,
    PROFILE_OOM,
    TOO_LONG,
    Observed,
    graphs,
    plan,
    plans,
    start_needs,
)
from qvl_doctor.memory.gpus import Gpu, of_size
from qvl_doctor.memory.settings import Settings, resolve
from qvl_doctor.memory.units import GIB

H100: Release = (0, 19, 0)
SERVED: dict[str, Any] = {"max_model_len": 8192, "utilization": 0.95}

#: "Available KV cache memory" of public logs, nothing of them given.
LOGGED: list[tuple[str, str, Release, dict[str, Any], float]] = [
    ("Qwen2.5-7B-Instruct", "H100", H100, SERVED, 58.53),
    ("Llama-3.1-8B-Instruct", "H100", H100, SERVED, 58.11),
    ("Llama-3.1-8B-Instruct", "H100", H100, {**SERVED, "tp": 4}, 67.44),
    ("Qwen2.5-72B-Instruct", "H100", H100, {**SERVED, "tp": 2}, 3.04),
    ("gemma-3-4b-it", "H100", H100, SERVED, 62.51),
    ("Mistral-Small-3.1-24B-Instruct-2503", "H100", H100, SERVED, 28.19),
    ("Qwen3-30B-A3B", "H100", H100, SERVED, 15.41),
    ("Kimi-VL-A3B-Instruct", "H100", H100, {**SERVED, "tp": 2}, 54.78),
    ("CodeLlama-7b-hf", "H100", H100, SERVED, 61.66),
]


@pytest.mark.parametrize(("name", "gpu", "release", "flags", "logged"), LOGGED)
def test_kv_cache_end_to_end(name: str, gpu: str, release: Release, flags: dict[str, Any], logged: float) -> None:
    shape, settings, where = serve(name, gpu, release, **flags)
    made = plan(shape, settings, where)
    assert made.kv / GIB == pytest.approx(logged, rel=0.005)
    assert abs(made.kv / GIB - logged) <= made.error / GIB
    assert made.verdict == FITS


def test_a_card_too_small_for_the_default_video() -> None:
    """Qwen2.5-VL-7B with its defaults on 24 GB: the video of the profile alone takes 15 GiB."""
    shape, settings, gpu = serve("Qwen2.5-VL-7B-Instruct", ARTICLE_CARD, H100)
    assert plan(shape, settings, gpu).verdict == PROFILE_OOM
    _, no_video, _ = serve("Qwen2.5-VL-7B-Instruct", ARTICLE_CARD, H100, limits={"image": 1, "video": 0})
    made = plan(shape, no_video, gpu)
    assert made.verdict == TOO_LONG
    assert made.longest < 128000
    _, short, _ = serve(
        "Qwen2.5-VL-7B-Instruct", ARTICLE_CARD, H100, limits={"image": 1, "video": 0}, max_model_len=made.longest
    )
    assert plan(shape, short, gpu).verdict == FITS


def test_verdicts() -> None:
    shape, settings, _ = serve("Qwen3-8B", "L4", H100)
    assert plan(shape, settings, of_size(10)).verdict == PROFILE_OOM
    assert plan(shape, settings._replace(utilization=0.5), card("L4")).verdict == NO_BLOCKS
    assert plan(shape, settings._replace(max_model_len=200_000), card("L4")).verdict == TOO_LONG
    assert (
        plan(shape, settings._replace(max_model_len=2048, utilization=0.999), card("L4")).verdict == NO_ROOM_FOR_GRAPHS
    )
    assert plan(shape, settings._replace(max_model_len=2048), card("L4")).verdict == FITS


def test_graphs_come_out_of_the_request_from_0_20_on() -> None:
    shape = model("Qwen3-8B")
    older, newer = (
        resolve(shape, card("L4"), release, utilization=0.9, max_model_len=4096) for release in ((0, 19, 1), (0, 20, 0))
    )
    outside, inside = plan(shape, older, card("L4")), plan(shape, newer, card("L4"))
    assert (outside.graphs_inside, inside.graphs_inside) == (False, True)
    assert outside.kv - inside.kv == pytest.approx(constants.GRAPHS_ESTIMATE.value * outside.graphs, abs=2)
    assert graphs(shape, newer._replace(eager=True)) == 0


def test_a_start_needs_what_it_requests_from_0_9_1_on() -> None:
    gpu = card("H100")
    assert start_needs(Settings(release=(0, 9, 0)), gpu) == 0
    assert start_needs(Settings(release=(0, 9, 1), utilization=0.95), gpu) == pytest.approx(75.23 * GIB, rel=0.0001)


def test_numbers_of_a_log_are_used() -> None:
    shape, settings, gpu = serve("Qwen3-8B", "L4", H100, max_model_len=4096)
    seen = Observed(total_gib=20.0, weights_gib=16.0, activation_gib=1.0, non_torch_gib=0.5)
    made = plan(shape, settings, gpu, seen)
    assert made.kv / GIB == pytest.approx(20.0 * 0.9 - 16.0 - 1.0 - 0.5, abs=0.001)
    assert plan(shape, settings, gpu, seen._replace(kv_gib=3.0)).kv == 3 * GIB


def test_the_rest_is_calibrated_by_a_log() -> None:
    """A log with 0.3 GiB more activation than the model says: other settings keep the difference."""
    shape, logged, gpu = serve("Qwen3-8B", "L4", H100, max_model_len=4096)
    predicted = plan(shape, logged, gpu)
    seen = Observed(
        activation_gib=predicted.activation / GIB + 0.3, weights_gib=predicted.weights / GIB * 1.02, kv_gib=2.0
    )
    changed = logged._replace(max_num_batched_tokens=16384)
    made, plain = plan(shape, changed, gpu, seen, logged), plan(shape, changed, gpu)
    assert (made.activation - plain.activation) / GIB == pytest.approx(0.3, abs=0.001)
    assert made.weights / plain.weights == pytest.approx(1.02, rel=0.0001)
    assert made.kv != 2 * GIB


def test_the_worst_stage_decides() -> None:
    shape, settings, gpu = serve("Llama-3.1-8B-Instruct", "H100", H100, pp=2, **SERVED)
    first, last = plans(shape, settings, gpu)
    assert first.kv > last.kv
    assert plan(shape, settings, gpu) == last
    assert last.pool.tokens == pytest.approx(
        1_075_312, rel=0.002
    )  # as the log says, whose first rank has room for more


def test_notes_name_what_a_reader_must_know() -> None:
    shape, settings, gpu = serve("Qwen2.5-VL-7B-Instruct", "H20", H100, max_model_len=4096, quantization="brand-new")
    assert set(plan(shape, settings, gpu).notes) == {
        "card-size-nominal",
        "quantization-unknown",
        "largest-item-longer-than-prompt",
    }
    assert "card-unknown" in plan(shape, settings, of_size(30)).notes
    assert "memory-shared-with-host" in plan(shape, settings, card("GB10")).notes


def test_offloaded_weights_and_a_given_pool() -> None:
    shape, settings, gpu = serve("Qwen3-8B", "L4", H100, max_model_len=4096)
    assert plan(shape, settings._replace(offload_gib=4.0), gpu).weights == plan(shape, settings, gpu).weights - 4 * GIB
    assert plan(shape, settings._replace(kv_cache_bytes=GIB), gpu).kv == GIB


def test_every_fitted_constant_says_where_it_comes_from() -> None:
    rows = [row.fitted for row in constants.NON_TORCH]
    rows += [value for value in vars(constants).values() if isinstance(value, constants.Fitted)]
    assert len(rows) >= 20
    for fitted in rows:
        assert fitted.origin
        assert fitted.unit
        assert fitted.points >= 0


NAMES = [
    "Qwen3-8B",
    "Qwen2.5-VL-7B-Instruct",
    "Qwen3-VL-30B-A3B-Instruct",
    "gemma-3-27b-it",
    "InternVL3-8B",
    "gpt-oss-20b",
]
RELEASES: list[Release] = [(0, 7, 2), (0, 8, 5), (0, 10, 2), (0, 11, 2), (0, 19, 0), (0, 20, 0), (0, 33, 0)]
CASES = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(RELEASES),
    st.sampled_from([16, 24, 40, 80, 141]),
    st.floats(0.3, 0.99),
    st.integers(256, 60_000),
)


def drawn(case: tuple[str, Release, int, float, int], **flags: Any) -> tuple[Any, Settings, Gpu]:
    name, release, size, utilization, length = case
    return serve(name, of_size(size), release, **{"utilization": utilization, "max_model_len": length, **flags})


@given(CASES)
def test_what_fits_fits(case: tuple[str, Release, int, float, int]) -> None:
    made = plan(*drawn(case))
    assert made.total == made.spare + made.weights + made.non_torch + max(made.kv, 0) + made.graphs
    if made.verdict == FITS:
        assert made.kv >= made.request > 0
        assert made.pool.concurrency >= 1
        assert made.longest >= case[4]
        assert made.spare >= 0


@given(CASES, st.floats(0.0, 0.3))
def test_a_higher_utilization_never_leaves_less(case: tuple[str, Release, int, float, int], more: float) -> None:
    assume(case[3] + more < 1)
    assert plan(*drawn(case, utilization=case[3] + more)).kv >= plan(*drawn(case)).kv


@given(CASES)
def test_a_larger_card_never_leaves_less(case: tuple[str, Release, int, float, int]) -> None:
    name, release, size, utilization, length = case
    flags: dict[str, Any] = {"max_num_batched_tokens": 2048, "max_num_seqs": 64}
    assert plan(*drawn((name, release, size * 2, utilization, length), **flags)).kv >= plan(*drawn(case, **flags)).kv


@given(CASES)
def test_fp8_never_holds_fewer_tokens(case: tuple[str, Release, int, float, int]) -> None:
    assert plan(*drawn(case, kv_cache_dtype="fp8")).pool.tokens >= plan(*drawn(case)).pool.tokens


@given(CASES)
def test_without_video_there_is_never_less(case: tuple[str, Release, int, float, int]) -> None:
    assume(case[1] >= (0, 11, 0))
    # 0.11 and 0.12 count a video of Qwen3-VL 12.5 times: it is profiled instead of an image that is really larger.
    assume(not (case[0].startswith("Qwen3-VL") and case[1] < (0, 13, 0)))
    assert plan(*drawn(case, limits={"image": 1, "video": 0})).kv >= plan(*drawn(case)).kv


@given(CASES)
def test_a_plan_is_the_same_every_time(case: tuple[str, Release, int, float, int]) -> None:
    assert plan(*drawn(case)) == plan(*drawn(case))


def _fitted() -> list[constants.Fitted]:
    single = [value for value in vars(constants).values() if isinstance(value, constants.Fitted)]
    return [row.fitted for row in constants.NON_TORCH] + single


def test_the_page_shows_every_fitted_constant_as_it_is(root: Path) -> None:
    page = (root / "docs/memory-model.md").read_text(encoding="utf-8")
    table = page.partition("## Fitted constants")[2].partition("\n## ")[0]
    shown = [line.split(" | ", 1)[1] for line in table.splitlines() if line.startswith("| ")][1:]
    assert shown == [f"{each.value:g} {each.unit} | {each.points} | {each.origin} |" for each in _fitted()]
