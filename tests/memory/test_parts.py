"""The small parts of the memory model.

Units, bytes of a weight, projections, fields of a config.json, fitted numbers, cards.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

import pytest

from qvl_doctor import memory
from qvl_doctor.knowledge import defaults
from qvl_doctor.knowledge.defaults import ENGINE
from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory import constants, gpus
from qvl_doctor.memory.config_fields import kind, number, share
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.parameters import Piece, Shards, norm
from qvl_doctor.memory.profile_tensors import Moment, tensor
from qvl_doctor.memory.quants import DTYPE_BYTES, METHODS, method_name, stored
from qvl_doctor.memory.shape import ShapeError, VisionShape
from qvl_doctor.memory.units import GIB, KIB, MIB, cdiv, gib, up


def test_units() -> None:
    assert (KIB, MIB, GIB) == (1024, 1024**2, 1024**3)
    assert [cdiv(count, 4) for count in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert [up(count, 4) for count in (0, 1, 4, 5)] == [0, 4, 4, 8]
    assert [gib(1.5 * GIB), gib(float("inf")), gib(float("nan"))] == [1.5, 0.0, 0.0]


# ---- Bytes of a weight


@pytest.mark.parametrize(
    ("size", "names"),
    [
        (8, "float64 int64 F64 I64 U64"),
        (4, "float32 float int32 F32 I32 U32"),
        (2, "float16 bfloat16 half int16 F16 BF16 I16 U16"),
        (1, "int8 uint8 bool F8_E4M3 F8_E5M2 F8_E8M0 I8 U8 BOOL"),
    ],
)
def test_bytes_of_a_dtype(size: int, names: str) -> None:
    assert {name: DTYPE_BYTES.get(name) for name in names.split()} == dict.fromkeys(names.split(), size)


#: 256 × 512 elements: 131072.
LINEAR = Piece("q_proj.weight", 256, 512, linear=True)
EXPERTS = Piece("w13", 256, 512, linear=True, experts=3)
WHOLE = 131072


@pytest.mark.parametrize(
    ("method", "sizes"),
    [
        ("fp8", [WHOLE]),
        ("fp8-dynamic", [WHOLE, 256 * 4]),  # a float32 for each output row
        ("fp8-block", [WHOLE, 2 * 4 * 4]),  # one for each square of 128
        ("w8a8", [WHOLE, 256 * 4]),
        ("int8", [WHOLE, 256 * 4]),
        ("w4a16", [WHOLE // 2, WHOLE // 128 * 2]),  # a 16-bit scale for each 128
        ("gptq", [WHOLE // 2, WHOLE // 128 * 5 // 2]),  # and four bits of zero point
        ("gptq4", [WHOLE // 2, WHOLE // 128 * 5 // 2]),
        ("gptq8", [WHOLE, WHOLE // 128 * 3]),  # and eight
        ("gptq_marlin", [WHOLE // 2, WHOLE // 128 * 2]),
        ("awq", [WHOLE // 2, WHOLE // 128 * 5 // 2]),
        ("awq_marlin", [WHOLE // 2, WHOLE // 128 * 5 // 2]),
        ("bnb4", [WHOLE // 2, WHOLE // 64]),  # a byte for each 64
        ("bitsandbytes", [WHOLE // 2, WHOLE // 64]),
        ("mxfp4", [WHOLE * 2]),  # experts only
        ("nvfp4", [WHOLE // 2, WHOLE // 16]),
        ("gguf-q8_0", [WHOLE, WHOLE // 32 * 2]),
        ("gguf-q4_0", [WHOLE // 2, WHOLE // 32 * 2]),
    ],
)
def test_bytes_of_a_projection_by_method(method: str, sizes: list[int]) -> None:
    assert list(stored(LINEAR, METHODS[method], 2)) == sizes


def test_bytes_of_what_is_not_quantized() -> None:
    assert list(stored(LINEAR, None, 2)) == [WHOLE * 2]
    assert list(stored(LINEAR, None, 4)) == [WHOLE * 4]
    plain = Piece("input_layernorm.weight", 256)
    assert list(stored(plain, METHODS["fp8-dynamic"], 2)) == [512]
    for table in (Piece("embed_tokens", 256, 512), Piece("lm_head", 256, 512)):
        assert list(stored(table, METHODS["awq"], 2)) == [WHOLE * 2]
        assert list(stored(table, METHODS["gguf-q8_0"], 2)) == [WHOLE, WHOLE // 32 * 2]
        assert list(stored(table, METHODS["gguf-q4_0"], 2)) == [WHOLE // 2, WHOLE // 32 * 2]
    assert list(stored(Piece("other", 256, 512), METHODS["gguf-q8_0"], 2)) == [WHOLE * 2]


def test_bytes_of_experts() -> None:
    assert list(stored(EXPERTS, METHODS["mxfp4"], 2)) == [3 * WHOLE // 2, 3 * WHOLE // 32]
    assert list(stored(EXPERTS, METHODS["fp8-dynamic"], 2)) == [3 * WHOLE, 3 * 256 * 4]
    assert list(stored(EXPERTS, METHODS["fp8-block"], 2)) == [3 * WHOLE, 3 * 2 * 4 * 4]
    odd = Piece("w", 129, 1, linear=True)
    assert list(stored(odd, METHODS["fp8-block"], 2)) == [129, 2 * 1 * 4]


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-block"),
        ({"quant_method": "other", "weight_block_size": [128, 128]}, "other"),
        ({"quant_method": "gptq", "bits": 8}, "gptq8"),
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "awq", "bits": 8}, "awq8"),
        ({"quant_method": "awq"}, "awq"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bnb4"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": False}, "bitsandbytes"),
        ({"quant_method": "other", "load_in_4bit": True}, "other"),
        ({}, "unknown"),
        ({"quant_method": "x" * 60}, "x" * 50),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
        ({"quant_method": "compressed-tensors", "config_groups": 3}, "compressed-tensors"),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": 3}}, "compressed-tensors"),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": 3}}}, "compressed-tensors"),
    ],
)
def test_the_method_that_a_config_means(config: dict[str, Any], name: str) -> None:
    assert method_name(config) == name


@pytest.mark.parametrize(
    ("scheme", "name"),
    [
        ({"num_bits": 4, "type": "int"}, "w4a16"),
        ({"num_bits": 4, "type": "float"}, "nvfp4"),
        ({"num_bits": 8, "type": "int"}, "w8a8"),
        ({"num_bits": 8, "type": "int", "strategy": "block"}, "w8a8"),
        ({"num_bits": 8, "type": "float", "strategy": "block"}, "fp8-block"),
        ({"num_bits": 8, "type": "float", "strategy": "channel"}, "fp8-dynamic"),
        ({"num_bits": 2, "type": "int"}, "compressed-tensors"),
    ],
)
def test_the_method_of_compressed_tensors(scheme: dict[str, Any], name: str) -> None:
    groups = {"none": "", "group_0": {"weights": scheme}, "group_1": {"weights": {"num_bits": 2}}}
    assert method_name({"quant_method": "compressed-tensors", "config_groups": groups}) == name


# ---- Projections


def test_what_a_rank_holds_of_a_projection() -> None:
    """A column-parallel one divides its output and its bias, a row-parallel one its input and keeps its bias whole."""
    two = Shards(2)
    assert list(two.column("q", 100, 60, bias=True)) == [Piece("q.weight", 50, 60, linear=True), Piece("q.bias", 50)]
    assert list(two.row("o", 100, 60, bias=True)) == [Piece("o.weight", 100, 30, linear=True), Piece("o.bias", 100)]
    assert list(two.column("q", 101, 60, linear=False)) == [Piece("q.weight", 51, 60)]
    assert list(two.row("o", 100, 61, linear=False)) == [Piece("o.weight", 100, 31)]
    assert list(Shards().column("q", 100, 60)) == [Piece("q.weight", 100, 60, linear=True)]
    assert list(norm("n", 8)) == [Piece("n.weight", 8)]
    assert list(norm("n", 8, bias=True)) == [Piece("n.weight", 8), Piece("n.bias", 8)]
    assert [Piece("x", 3, 5).elements, Piece("x", 3).elements, Piece("x", 3, 5, experts=7).elements] == [15, 3, 105]


def test_a_tensor_says_what_it_is_made_of() -> None:
    half = tensor("t", (128000, "tokens"), (0.5, "width"), (2.0, "bytes"), scaled_by=("--dtype",))
    assert (half.bytes, half.formula) == (128000, "128000 tokens × 0.5 width × 2 bytes")
    assert half.scaled_by == ("--dtype",)
    assert tensor("t", (1 / 3, "x"), (10, "y")).bytes == 3
    assert Moment("m", (half, half, tensor("t", (7, "bytes")))).bytes == 256007


# ---- Fields of a config.json


@pytest.mark.parametrize(("value", "found"), [(1, 1), (7, 7), (7.0, 7), (10**9, 10**9), (1e9, 10**9), (None, 5)])
def test_a_whole_number_of_a_config(value: Any, found: int) -> None:
    assert number({"layers": value}, "layers", default=5) == found
    assert type(number({"layers": value}, "layers", default=5)) is int


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (0, "must lie between 1 and 1000000000"),
        (10**9 + 1, "must lie between 1 and 1000000000"),
        (1e10, "must be a whole number, not a fraction"),
        (7.5, "must be a whole number, not a fraction"),
        (True, "must be a whole number, not true or false"),
        ("7", "must be a whole number, not a text"),
        ([7], "must be a whole number, not a list"),
        ({}, "must be a whole number, not an object"),
        (None, "is missing"),
    ],
)
def test_what_is_no_whole_number(value: Any, problem: str) -> None:
    with pytest.raises(ShapeError) as caught:
        number({"layers": value}, "layers", "text_config.")
    assert (caught.value.field, caught.value.problem) == ("text_config.layers", problem)
    assert str(caught.value) == f"text_config.layers: {problem}"


def test_bounds_of_a_field() -> None:
    for value in (2, 4):
        assert number({"a": value}, "a", least=2, most=4) == value
    for value in (1, 5):
        with pytest.raises(ShapeError, match="must lie between 2 and 4"):
            number({"a": value}, "a", least=2, most=4)
    assert number({}, "a", default=0) == 0
    assert kind(None) == "null"
    assert kind(b"") == "bytes"


def test_a_share() -> None:
    for value in (0.25, 1, 1.0):
        assert share(value, "f", 0.25, 1) == value
        assert type(share(value, "f", 0.25, 1)) is float
    for wrong in (0.24, 1.01, True, "1", None):
        with pytest.raises(ShapeError, match=r"f: must be a number from 0\.25 to 1"):
            share(wrong, "f", 0.25, 1)


def test_a_tower_of_one_frame_and_whole_patches() -> None:
    tower = VisionShape("siglip", depth=1, hidden=64, intermediate=64, heads=4, patch=14, out_hidden=64)
    assert (tower.merge, tower.patch_pixels) == (1, 3 * 14 * 14)
    assert tower._replace(temporal_patch=2).patch_pixels == 3 * 2 * 14 * 14


# ---- What changes with releases

MODULES = [import_module(f"qvl_doctor.memory.{found.name}") for found in pkgutil.iter_modules(memory.__path__)]
SINCE = [
    pytest.param(value, id=f"{module.__name__.rpartition('.')[2]}.{name}")
    for module in [*MODULES, defaults]
    for name, value in vars(module).items()
    if isinstance(value, tuple) and value and isinstance(value[0], tuple) and isinstance(value[0][0], tuple)
]


def test_there_are_tables_by_release() -> None:
    assert len(SINCE) > 15


@pytest.mark.parametrize("rows", SINCE)
def test_a_table_by_release_begins_with_the_first_and_goes_up(rows: Any) -> None:
    """What came before the first row is as the first row says, so that one stands at 0.6, or where the V1 engine
    begins."""
    releases = [first for first, *_ in rows]
    assert releases[0] in {(0, 6, 0), (0, 8, 0)}
    assert releases == sorted(set(releases))
    assert all(len(release) == 3 for release in releases)


# ---- Fitted numbers


@pytest.mark.parametrize(
    ("engine", "hopper", "ranks", "changes"),
    [
        ("V0", False, 1, {(0, 6, 0): 0.35, (0, 6, 4): 0.35, (0, 6, 5): 0.05, (0, 10, 2): 0.05}),
        ("V0", True, 1, {(0, 6, 0): 0.35, (0, 6, 4): 0.35, (0, 6, 5): 0.16, (0, 10, 2): 0.16}),
        ("V0", False, 2, {(0, 6, 0): 0.25, (0, 10, 2): 0.25}),
        ("V0", True, 2, {(0, 6, 0): 0.60, (0, 10, 2): 0.60}),
        ("V1", False, 1, {(0, 7, 0): 0.03, (0, 8, 0): 0.03, (0, 33, 0): 0.03}),
        ("V1", True, 1, {(0, 8, 0): 0.13, (0, 17, 1): 0.13, (0, 18, 0): 0.25}),
        ("V1", False, 2, {(0, 8, 0): 0.30, (0, 33, 0): 0.30}),
        ("V1", True, 2, {(0, 8, 0): 0.60, (0, 16, 0): 0.60, (0, 17, 0): 2.09}),
    ],
)
def test_memory_outside_of_torch(engine: str, hopper: bool, ranks: int, changes: dict[Release, float]) -> None:
    found = {release: constants.non_torch(engine, release, hopper, ranks, 1).value for release in changes}
    assert found == changes


def test_memory_outside_of_torch_of_a_pipeline_stage() -> None:
    assert constants.non_torch("V1", (0, 19, 0), hopper=True, ranks=1, stages=2).value == 0.07
    assert constants.non_torch("V1", (0, 19, 0), hopper=True, ranks=2, stages=2).value == 2.09


def test_the_first_row_of_an_engine_begins_with_it() -> None:
    first: dict[tuple[str, str, str], Release] = {}
    for row in constants.NON_TORCH:
        first.setdefault((row.engine, row.cards, row.ranks), row.since)
    begins = {engine: release for release, engine in ENGINE}
    assert first == {key: begins[key[0]] for key in first}


def test_every_row_of_memory_outside_of_torch_can_be_the_answer() -> None:
    found = {
        constants.non_torch(row.engine, row.since, row.cards == "hopper", 1 if row.ranks == "one" else 2, 1)
        for row in constants.NON_TORCH
    }
    assert found == {row.fitted for row in constants.NON_TORCH}
    assert len(constants.NON_TORCH) == 12


# ---- Cards


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RTX 4060 Ti 16GB", "NVIDIA GeForce RTX 4060 Ti 16GB"),
        ("RTX 4090 D", "NVIDIA GeForce RTX 4090 D"),
        ("2 x NVIDIA RTX 4090 D", "NVIDIA GeForce RTX 4090 D"),
        ("A10G", "NVIDIA A10G"),
        ("a10g 24gb oc", "NVIDIA A10G"),  # 10G is no size of it
        ("nvidia", None),
        ("geforce", None),
        ("b200 200gb", "NVIDIA B200"),  # 180 GiB are 0.9 × 200
        ("b200 201gb", None),
        ("RTX 4090D GPU", "NVIDIA GeForce RTX 4090 D"),
        ("rtx 3090 ti oc", "NVIDIA GeForce RTX 3090 Ti"),  # of two cards inside the one with more words
        ("rtx 3090 oc", "NVIDIA GeForce RTX 3090"),
        ("gtx1080", None),
        ("a100 80gib sxm", "NVIDIA A100 80GB"),
        ("a100 40gib sxm", "NVIDIA A100 40GB"),
        ("a100 40gb sxm", "NVIDIA A100 40GB"),
        ("rtx 3090 24gb oc", "NVIDIA GeForce RTX 3090"),
        ("rtx 3090 23.2gb oc", "NVIDIA GeForce RTX 3090"),  # 23.58 GiB are at most 1.02 × 23.2
        ("rtx 3090 23.1gb oc", None),
        ("rtx 3090 26.19gb oc", "NVIDIA GeForce RTX 3090"),  # and at least 0.9 × 26.19
        ("rtx 3090 26.3gb oc", None),
        ("rtx 3090 24 g oc", "NVIDIA GeForce RTX 3090"),
        ("rtx 3090 20gb 24gb oc", "NVIDIA GeForce RTX 3090"),
    ],
)
def test_a_card_inside_a_longer_name(name: str, meant: str | None) -> None:
    found = gpus.find(name)
    assert (found and found.name) == meant


def test_of_a_name_a_hundred_characters_are_read() -> None:
    assert gpus.find("-" * 98 + "L4") is not None
    assert gpus.find("-" * 99 + "L4") is None
    assert gpus.find("rtx 3090 oc" + "-" * 85 + "20gb") is None
    assert gpus.find("rtx 3090 oc" + "-" * 89 + "20gb") is not None


@pytest.mark.parametrize(
    ("capability", "hopper", "data_centre"),
    [(8.9, False, False), (9.0, True, True), (10.0, False, True), (10.3, False, True), (12.0, False, False)],
)
def test_generations_of_cards(capability: float, hopper: bool, data_centre: bool) -> None:
    card = Gpu("test", 3 * GIB // 2, capability)
    assert (card.hopper, card.data_centre, card.total_gib) == (hopper, data_centre, 1.5)


def test_the_table_of_cards_is_read_as_it_is() -> None:
    by_name = {card.name: card for card in gpus.known()}
    spark = by_name["NVIDIA GB10"]
    assert spark.total_gib == pytest.approx(119.7)
    assert (spark.capability, spark.sms, spark.l2_bytes) == (12.1, 48, 24 * MIB)
    assert (spark.shared, spark.nominal, spark.note[:6]) == (True, False, "shared")
    assert (by_name["NVIDIA A2"].nominal, by_name["NVIDIA A2"].source, by_name["NVIDIA L4"].note) == (
        True,
        "nominal",
        "",
    )
    assert gpus.of_size(23.65) == Gpu("23.65 GiB card", int(23.65 * GIB))
    assert gpus.of_size(8, "mine").name == "mine"
