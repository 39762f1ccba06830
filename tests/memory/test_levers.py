"""The rungs of each lever: where it begins, how far it goes, what it costs, and which flag says it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from memory_shapes import model, shape_of

from qvl_doctor.memory.budget import Observed
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.levers import (
    CHECKPOINT,
    FREE,
    GPUS,
    NEARLY_FREE,
    OFFLOAD,
    QUALITY,
    SLOWER,
    Rung,
    joined,
    least_length,
    levers,
)
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import FULL, ModelShape, VisionShape
from qvl_doctor.memory.units import GIB

TEXT = shape_of(FULL, heads=32, kv_heads=8)
CARD = Gpu("test", 10 * GIB, 8.9)
#: Nothing can be changed with these: each test opens one lever.
SHUT = Settings(
    (0, 21, 0),
    max_model_len=2048,
    max_num_seqs=16,
    max_num_batched_tokens=2048,
    utilization=0.95,
    kv_cache_dtype="fp8",
    quantization="awq",
    tp=8,
    eager=True,
    offload_gib=16,
)


def rungs(shape: ModelShape = TEXT, gpu: Gpu = CARD, seen: Observed | None = None, **changes: Any) -> dict[str, Any]:
    """The levers by name."""
    found = {lever.name: lever.rungs for lever in levers(shape, SHUT._replace(**changes), gpu, seen)}
    assert all(found.values())
    return found


def values(name: str, *where: Any, **changes: Any) -> list[str]:
    return [rung.value for rung in rungs(*where, **changes).get(name, ())]


def test_what_cannot_be_changed_has_no_lever() -> None:
    assert rungs() == {}


def test_the_levels_are_in_their_order() -> None:
    assert [FREE, NEARLY_FREE, QUALITY, SLOWER, GPUS, CHECKPOINT, OFFLOAD] == [1, 2, 3, 4, 5, 6, 7]
    everything = rungs(
        model("Qwen2.5-VL-7B-Instruct"),
        engine="V0",
        limits={"image": 2, "video": 1},
        max_model_len=4096,
        max_num_seqs=17,
        max_num_batched_tokens=2049,
        utilization=0.5,
        kv_cache_dtype="auto",
        quantization="",
        tp=1,
        eager=False,
        offload_gib=0.0,
    )
    assert list(everything) == [
        *("video", "sequences", "length", "utilization", "batch", "pixels"),
        *("images", "kv_dtype", "eager", "gpus", "checkpoint", "offload"),
    ]


VL, VL3, INTERN = model("Qwen2.5-VL-7B-Instruct"), model("Qwen3-VL-8B-Instruct"), model("InternVL3-8B")


def test_video() -> None:
    off = (Rung(FREE, 1, {"limits": {"video": 0}}, {"--limit-mm-per-prompt": {"video": 0}}),)
    assert rungs(VL, limits={"video": 1}) == {"video": off}
    assert rungs(VL, limits={"video": 0}) == {}
    assert rungs(VL, limits={}) == {}
    assert rungs(limits={"video": 1}) == {}


def test_images_of_a_prompt() -> None:
    assert values("images", VL, engine="V0", limits={"image": 9}) == ["5", "3", "2", "1"]
    assert values("images", VL, engine="V0", limits={"image": 2}) == ["1"]
    assert values("images", VL, engine="V0", limits={"image": 1}) == []
    assert values("images", VL, limits={"image": 9}) == []
    assert values("images", engine="V0", limits={"image": 9}) == []
    first = rungs(VL, engine="V0", limits={"image": 2})["images"]
    assert first == (Rung(QUALITY, 2, {"limits": {"image": 1}}, {"--limit-mm-per-prompt": {"image": 1}}, "1"),)


def test_sequences() -> None:
    assert rungs(max_num_seqs=257)["sequences"] == (
        Rung(FREE, 1, {"max_num_seqs": 256}, {"--max-num-seqs": "256"}, "256"),
        Rung(NEARLY_FREE, 1, {"max_num_seqs": 64}, {"--max-num-seqs": "64"}, "64"),
        Rung(QUALITY, 1, {"max_num_seqs": 16}, {"--max-num-seqs": "16"}, "16"),
    )
    assert values("sequences", max_num_seqs=256) == ["64", "16"]
    assert values("sequences", max_num_seqs=64) == ["16"]
    assert values("sequences", max_num_seqs=17) == ["16"]


def test_length() -> None:
    assert values("length", max_model_len=8193) == ["8192", "4096", "2048"]
    assert values("length", max_model_len=8192) == ["4096", "2048"]
    assert values("length", max_model_len=2049) == ["2048"]
    found = rungs(max_model_len=65536)["length"]
    assert found[0] == Rung(NEARLY_FREE, 1, {"max_model_len": 32768}, {"--max-model-len": "32768"}, "32768")
    assert [rung.cost for rung in found] == [1, 2, 2, 2, 2]


SEEN = Observed(graphs_gib=1.0)


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({"utilization": 0.94}, "0.95"),
        ({"utilization": 0.9445}, "0.95"),
        ({"utilization": 0.945}, ""),
        ({"utilization": 0.96}, ""),  # eager, and the graphs inside: nothing is needed beside it
        ({"utilization": 0.94, "kv_cache_bytes": GIB}, ""),
        # Graphs of 1 GiB and half a GiB of air on 10 GiB leave 85 %.
        ({"release": (0, 19, 1), "eager": False, "utilization": 0.8}, "0.85"),
        ({"release": (0, 19, 1), "eager": False, "utilization": 0.85}, ""),
        ({"release": (0, 19, 1), "eager": False, "utilization": 0.86}, "0.85"),  # less than now
        ({"release": (0, 19, 1), "eager": True, "utilization": 0.86}, "0.95"),
        ({"release": (0, 20, 0), "eager": False, "utilization": 0.86}, "0.95"),
    ],
)
def test_utilization(changes: dict[str, Any], value: str) -> None:
    found = rungs(seen=SEEN, **changes).get("utilization", ())
    assert found == (
        (Rung(NEARLY_FREE, 1, {"utilization": float(value)}, {"--gpu-memory-utilization": value}, value),)
        if value
        else ()
    )


@pytest.mark.parametrize(("size", "value"), [(2.2, ["0.31"]), (2.15, ["0.30"]), (2.14, []), (9.9, ["0.84"])])
def test_a_utilization_beside_graphs_and_air(size: float, value: list[str]) -> None:
    """1 - 1.5 / size, rounded down; below 0.3 nothing runs."""
    small = Gpu("test", int(size * GIB), 8.9)
    assert values("utilization", TEXT, small, SEEN, release=(0, 19, 1), eager=False, utilization=0.95) == value


def test_batch() -> None:
    assert rungs(max_num_batched_tokens=8193)["batch"][0] == Rung(
        NEARLY_FREE, 1, {"max_num_batched_tokens": 8192}, {"--max-num-batched-tokens": "8192"}, "8192"
    )
    assert values("batch", max_num_batched_tokens=8193) == ["8192", "4096", "2048"]
    assert values("batch", max_num_batched_tokens=8192) == ["4096", "2048"]
    assert values("batch", max_num_batched_tokens=2049) == ["2048"]
    for engine, chunked, found in (("V0", False, []), ("V0", True, ["2048"]), ("V1", False, ["2048"])):
        assert values("batch", max_num_batched_tokens=4096, engine=engine, chunked_prefill=chunked) == found


def test_smaller_images() -> None:
    one: dict[str, Any] = {"limits": {"image": 1}}
    assert values("pixels", VL, **one) == ["8192", "4096", "2048", "1280"]
    first = rungs(VL, **one)["pixels"][0]
    wanted = {"max_pixels": 8192 * 28 * 28}
    assert first == Rung(QUALITY, 1, {"processor": wanted}, {"--mm-processor-kwargs": wanted}, "8192")
    assert values("pixels", model("Qwen2-VL-7B-Instruct"), **one) == ["8192", "4096", "2048", "1280"]
    for pixels, found in ((4096 * 784, ["2048", "1280"]), (4096 * 784 + 1, ["4096", "2048", "1280"])):
        assert values("pixels", VL, processor={"max_pixels": pixels}, **one) == found
    assert values("pixels", VL, limits={"image": 0}) == []
    assert values("pixels", VL, limits={}) == []
    assert values("pixels", **one) == []
    assert values("pixels", model("gemma-3-4b-it"), **one) == []
    assert values("pixels", INTERN, **one) == ["6", "3", "1"]
    tiles = {"max_dynamic_patch": 6}
    assert rungs(INTERN, **one)["pixels"][0] == Rung(
        QUALITY, 1, {"processor": tiles}, {"--mm-processor-kwargs": tiles}, "6"
    )


def test_smaller_images_of_qwen3_are_edges() -> None:
    found = rungs(VL3, limits={"image": 1})["pixels"]
    # 65536 pixels are its least; a token is 32 × 32.
    assert [rung.given["processor"] for rung in found] == [
        {"size": {"shortest_edge": 65536, "longest_edge": tokens * 1024}} for tokens in (8192, 4096, 2048, 1280)
    ]
    large = {"size": {"shortest_edge": 3_000_000, "longest_edge": 9_000_000}}
    least = rungs(VL3, limits={"image": 1}, processor=large)["pixels"][-1].given["processor"]
    assert least == {"size": {"shortest_edge": 1280 * 1024, "longest_edge": 1280 * 1024}}


def test_kv_cache_in_8_bits() -> None:
    found = (Rung(SLOWER, 1, {"kv_cache_dtype": "fp8"}, {"--kv-cache-dtype": "fp8"}),)
    assert rungs(kv_cache_dtype="auto") == {"kv_dtype": found}
    assert rungs(gpu=CARD._replace(capability=8.6), kv_cache_dtype="auto") == {}
    assert rungs(kv_cache_dtype="fp8_e5m2") == {}


def test_without_graphs() -> None:
    assert rungs(eager=False)["eager"] == (Rung(SLOWER, 2, {"eager": True}, {"--enforce-eager": True}),)


@pytest.mark.parametrize(
    ("shape", "tp", "found"),
    [
        ({}, 1, ["2", "4", "8"]),
        ({}, 2, ["4", "8"]),
        ({}, 4, ["8"]),
        ({}, 3, ["6"]),
        ({"heads": 28, "kv_heads": 4}, 1, ["2", "4"]),  # 28 heads do not divide by 8
        ({"heads": 24, "kv_heads": 2}, 1, ["2", "4", "8"]),  # heads are repeated on 4 and on 8
        ({"heads": 24, "kv_heads": 6}, 1, ["2"]),  # 6 neither divides 4 nor is divided by it
    ],
)
def test_more_gpus(shape: dict[str, int], tp: int, found: list[str]) -> None:
    sizes = {"heads": 24 if tp == 3 else 32, "kv_heads": 6 if tp == 3 else 8, **shape}
    assert values("gpus", shape_of(FULL, **sizes), tp=tp) == found


def test_a_gpu_more() -> None:
    assert rungs(tp=4)["gpus"] == (Rung(GPUS, 1, {"tp": 8}, {"--tensor-parallel-size": "8"}, "8"),)
    tower = VisionShape("qwen2_5", depth=1, hidden=64, intermediate=64, heads=12, patch=14, out_hidden=64)
    vision = replace(TEXT, vision=tower)
    assert values("gpus", vision, tp=1) == ["2", "4"]  # 12 heads of the tower
    assert values("gpus", vision, tp=1, split_encoder=False) == ["2", "4", "8"]


def test_another_checkpoint() -> None:
    fp8, awq = (
        Rung(CHECKPOINT, 1, {"quantization": "fp8"}, {}, "FP8"),
        Rung(CHECKPOINT, 2, {"quantization": "awq"}, {}, "AWQ"),
    )
    assert rungs(quantization="") == {"checkpoint": (fp8, awq)}
    assert rungs(gpu=CARD._replace(capability=8.6), quantization="") == {"checkpoint": (awq,)}


def test_offloading() -> None:
    assert values("offload", offload_gib=0.0) == ["4", "8", "16"]
    assert values("offload", offload_gib=4.0) == ["8", "16"]
    assert rungs(offload_gib=8.0)["offload"] == (
        Rung(OFFLOAD, 1, {"offload_gib": 16.0}, {"--cpu-offload-gb": "16"}, "16"),
    )


@pytest.mark.parametrize(
    ("tokens", "limits", "v1", "v0"),
    [
        (100, {"image": 1, "video": 0}, 2048, 2048),
        (1536, {"image": 1, "video": 0}, 2048, 2048),  # 1536 + 512
        (1600, {"image": 1, "video": 0}, 2304, 2304),
        (4096, {"image": 1, "video": 0}, 4608, 4608),
        (4096, {"image": 3, "video": 0}, 4608, 3 * 4096 + 512),
    ],
)
def test_the_shortest_context_of_use(tokens: int, limits: dict[str, int], v1: int, v0: int) -> None:
    """Pixels for so many tokens, or the square of tokens below: 1600 are 40 × 40, 100 are 10 × 10."""
    settings = Settings((0, 19, 0), limits=limits, processor={"min_pixels": 1, "max_pixels": tokens * 784})
    assert least_length(VL, settings) == v1
    assert least_length(VL, settings._replace(engine="V0", release=(0, 7, 2))) == v0
    assert least_length(TEXT, settings) == 2048


def test_a_video_can_be_what_the_shortest_context_is_for() -> None:
    settings = Settings((0, 19, 0), limits={"image": 1, "video": 1}, processor={"max_pixels": 1600 * 784})
    # 14 frames, two of which take as much as an image: 11200 tokens, and text.
    assert least_length(VL, settings._replace(max_model_len=32768)) == 11776


def test_maps_as_one() -> None:
    assert joined({"a": {"x": 1, "y": 1}, "b": 1}, {"a": {"y": 2}, "c": 3}) == {"a": {"x": 1, "y": 2}, "b": 1, "c": 3}
    assert joined({"a": {"x": 1}}, {"a": 2}) == {"a": 2}
    assert joined({"a": 2}, {"a": {"x": 1}}) == {"a": {"x": 1}}
    assert joined() == {}
