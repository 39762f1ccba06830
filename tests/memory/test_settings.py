"""Defaults by release, card and use, and cards by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_shapes import ARTICLE_CARD, card, model, serve

from qvl_doctor.knowledge.releases import Release, at, newest, parse
from qvl_doctor.memory.gpus import find, known, meant, of_size, several
from qvl_doctor.memory.settings import OFFLINE, resolve
from qvl_doctor.memory.units import cdiv, gib, up


@pytest.mark.parametrize(
    ("gpu", "release", "context", "batched", "sequences"),
    [
        ("L4", (0, 19, 0), "server", 2048, 256),
        ("L4", (0, 19, 0), OFFLINE, 8192, 256),
        ("L4", (0, 8, 2), "server", 2048, 1024),
        ("L4", (0, 8, 4), "server", 2048, 256),
        ("H100", (0, 8, 2), "server", 8192, 1024),
        ("H100", (0, 19, 0), "server", 8192, 1024),
        ("H100", (0, 19, 0), OFFLINE, 16384, 1024),
        ("A100-80GB", (0, 8, 4), "server", 2048, 256),
        ("A100-80GB", (0, 8, 5), "server", 8192, 1024),
        ("A100-80GB", (0, 9, 0), "server", 2048, 256),
        ("A800", (0, 19, 0), "server", 8192, 1024),
        ("B200", (0, 27, 0), "server", 8192, 1024),
        ("B200", (0, 28, 0), "server", 16384, 1024),
        ("GB10", (0, 32, 0), "server", 8192, 1024),
        ("GB10", (0, 33, 0), "server", 2048, 256),
    ],
)
def test_batch_of_the_v1_engine(gpu: str, release: Release, context: str, batched: int, sequences: int) -> None:
    settings = resolve(model("Qwen3-8B"), card(gpu), release, context)
    assert (settings.max_num_batched_tokens, settings.max_num_seqs) == (batched, sequences)


@pytest.mark.parametrize(
    ("name", "release", "flags", "batched"),
    [
        ("Qwen3-8B", (0, 7, 2), {"max_model_len": 1000}, 2048),
        ("Qwen3-8B", (0, 7, 2), {"max_model_len": 30000}, 30000),
        ("Qwen3-8B", (0, 7, 2), {"max_model_len": 40000}, 2048),
        ("Qwen3-8B", (0, 6, 4), {"max_model_len": 40000}, 512),
        ("Qwen3-8B", (0, 7, 2), {"max_model_len": 40000, "chunked_prefill": False}, 40000),
        ("Qwen2.5-VL-7B-Instruct", (0, 7, 2), {}, 128000),
        ("Qwen2-VL-7B-Instruct", (0, 6, 2), {"max_model_len": 1000}, 4096),
        ("Qwen2-VL-7B-Instruct", (0, 6, 3), {"max_model_len": 1000}, 5120),
    ],
)
def test_batch_of_the_v0_engine(name: str, release: Release, flags: dict[str, Any], batched: int) -> None:
    assert serve(name, ARTICLE_CARD, release, **flags)[1].max_num_batched_tokens == batched


def test_what_the_command_sets_is_kept() -> None:
    shape, settings, _ = serve(
        "Qwen3-8B", "H100", (0, 19, 0), max_num_seqs=7, max_num_batched_tokens=99, utilization=0.5, max_model_len=None
    )
    assert (settings.max_num_seqs, settings.max_num_batched_tokens, settings.utilization, settings.max_model_len) == (
        7,
        99,
        0.5,
        shape.positions,
    )


def test_the_engine_and_the_dtype_follow_the_release_and_the_card() -> None:
    shape = model("Qwen3-8B")
    assert resolve(shape, card("T4"), (0, 9, 2)).engine == "V0"
    assert resolve(shape, card("L4"), (0, 9, 2)).engine == "V1"
    assert resolve(shape, card("T4"), (0, 11, 0)).engine == "V1"
    assert resolve(shape, card("L4"), (0, 7, 3)).engine == "V0"
    assert resolve(shape, card("T4"), (0, 9, 2)).dtype == "float16"
    assert resolve(shape, card("L4"), (0, 9, 2), dtype="auto").dtype == "bfloat16"


def test_utilization_rises_with_0_20() -> None:
    assert resolve(model("Qwen3-8B"), card("L4"), (0, 19, 1)).utilization == 0.9
    assert resolve(model("Qwen3-8B"), card("L4"), (0, 20, 0)).utilization == 0.92


def test_limits_are_those_of_the_family() -> None:
    assert dict(resolve(model("gemma-3-4b-it"), ARTICLE_CARD, newest()).limits) == {"image": 1}
    assert dict(resolve(model("Qwen3-VL-8B-Instruct"), ARTICLE_CARD, newest(), limits={"video": 0}).limits) == {
        "image": 1,
        "video": 0,
    }
    assert dict(resolve(model("Qwen3-8B"), ARTICLE_CARD, newest()).limits) == {}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("L4", "NVIDIA L4"),
        ("nvidia-l4", "NVIDIA L4"),
        ("A10", "NVIDIA A10"),
        ("A10G", "NVIDIA A10G"),
        ("rtx 4090", "NVIDIA GeForce RTX 4090"),
        ("RTX4090", "NVIDIA GeForce RTX 4090"),
        ("4090", "NVIDIA GeForce RTX 4090"),
        ("A100-40", "NVIDIA A100 40GB"),
        ("NVIDIA A100-SXM4-40GB", "NVIDIA A100 40GB"),
        ("NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB"),
        ("A100 80GB", "NVIDIA A100 80GB"),
        ("H100", "NVIDIA H100 80GB"),
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB"),
        ("H20", "NVIDIA H20"),
        ("L40S", "NVIDIA L40S"),
        ("L40", "NVIDIA L40"),
        ("Tesla T4", "NVIDIA T4"),
        ("V100-32", "NVIDIA V100 32GB"),
        ("Tesla V100-SXM2-16GB", "NVIDIA V100 16GB"),
        ("H100 80GB x4", "NVIDIA H100 80GB"),
        ("DGX Spark", "NVIDIA GB10"),
    ],
)
def test_cards_by_the_names_that_people_use(name: str, meant: str) -> None:
    found = find(name)
    assert found is not None
    assert found.name == meant


@pytest.mark.parametrize(
    "name",
    ["", "GPU", "24 GB card", "80 GB card", "RTX", "RTX 9999", "MI300X", "H1000", "x" * 100_000, "A100 24GB laptop"],
)
def test_names_of_no_known_card(name: str) -> None:
    assert find(name) is None


@given(st.text(max_size=60))
def test_any_text_is_a_card_or_none(name: str) -> None:
    found = find(name)
    assert found is None or found in known()


def test_every_card_says_where_its_size_comes_from() -> None:
    assert len(known()) >= 40
    for each in known():
        assert each.source, each.name
        assert each.nominal == (each.source.startswith("nominal"))
        assert 7.0 <= each.capability <= 12.1
        assert each.sms > 0
        assert 8 <= each.total_gib < 300


def test_a_card_of_which_only_the_size_is_known() -> None:
    assert of_size(23.65).total_gib == pytest.approx(23.65)
    assert of_size(48).name == "48 GiB card"


def test_the_table_of_cards_has_one_name_for_each_that_names_nothing_else(root: Any) -> None:
    cards = json.loads((root / "qvl_doctor/knowledge/gpus.json").read_text(encoding="utf-8"))["cards"]
    assert len({entry["name"] for entry in cards}) == len(cards)
    for entry in cards:
        assert len(set(entry["aliases"])) == len(entry["aliases"])
        own = find(entry["name"])
        assert own is not None
        assert own.name == entry["name"]


#: What people write for cards of several sizes, or for more than one card, and what it can mean.
@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("A100", ["NVIDIA A100 40GB", "NVIDIA A100 80GB"]),
        ("NVIDIA A100", ["NVIDIA A100 40GB", "NVIDIA A100 80GB"]),
        ("A100 PCIe", ["NVIDIA A100 40GB", "NVIDIA A100 80GB"]),
        ("v100", ["NVIDIA V100 16GB", "NVIDIA V100 32GB"]),
        ("RTX 4060 Ti", ["NVIDIA GeForce RTX 4060 Ti 16GB", "NVIDIA GeForce RTX 4060 Ti 8GB"]),
        ("3080", ["NVIDIA GeForce RTX 3080 10GB", "NVIDIA GeForce RTX 3080 12GB"]),
        ("Orin NX", ["NVIDIA Jetson Orin NX 16GB", "NVIDIA Jetson Orin NX 8GB"]),
        ("AGX Orin", ["NVIDIA Jetson AGX Orin 64GB", "NVIDIA Jetson AGX Orin 32GB"]),
        ("RTX 6000", ["NVIDIA RTX 6000 Ada Generation", "NVIDIA RTX PRO 6000 Blackwell"]),
        ("H100 MIG 3g.40gb", []),
        ("A100-SXM4-40GB MIG 1g.5gb", []),
        ("RTX 4090 Laptop GPU", []),
        ("RTX 3080 Max-Q", []),
        ("5070 Ti", []),
        ("H20 141GB", []),
    ],
)
def test_a_name_is_never_taken_for_a_bigger_sibling(name: str, choices: list[str]) -> None:
    assert find(name) is None
    assert [card.name for card in meant(name)] == choices


@pytest.mark.parametrize(
    ("name", "gib", "card"),
    [
        ("A100", 39.5, "NVIDIA A100 40GB"),
        ("A100", 79.2, "NVIDIA A100 80GB"),
        ("A100", 20.0, None),
        ("Orin", 61.4, "NVIDIA Jetson AGX Orin 64GB"),
        ("NVIDIA GeForce RTX 3080", 9.65, "NVIDIA GeForce RTX 3080 10GB"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 4.75, "NVIDIA A100 40GB"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 15.6, "NVIDIA GeForce RTX 4070 Ti SUPER"),
    ],
)
def test_what_was_measured_picks_between_cards_of_one_name(name: str, gib: float, card: str | None) -> None:
    found = find(name, gib)
    assert (found and found.name) == card


@pytest.mark.parametrize("name", ["2x4090", "4x A100-80GB", "L4 x 2", "8×H100", "L4 x8"])
def test_names_that_count(name: str) -> None:
    assert several(name)


@pytest.mark.parametrize("name", ["RTX 4090", "RTX4090", "GTX 1080", "L4", "rtx 3090", "4070 Ti SUPER"])
def test_names_that_count_nothing(name: str) -> None:
    assert not several(name)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0.7.2.dev56+gbf3b79ef", (0, 7, 2)), ("0.11", (0, 11, 0)), ("v0.8.5.post1", (0, 8, 5)), ("main", None)],
)
def test_releases(text: str, numbers: Release | None) -> None:
    assert parse(text) == numbers


def test_tables_by_release_and_roundings() -> None:
    table = (((0, 8, 0), "old"), ((0, 10, 1), "new"))
    assert [at(table, release) for release in ((0, 6, 0), (0, 10, 0), (0, 10, 1), (0, 33, 0))] == [
        "old",
        "old",
        "new",
        "new",
    ]
    assert (cdiv(7, 2), up(7, 4), gib(2**30), gib(float("nan"))) == (4, 8, 1.0, 0.0)
