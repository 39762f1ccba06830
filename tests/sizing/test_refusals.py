"""What vLLM refuses by the shape of a model, values that no release takes, and settings of which no fit is promised."""

from __future__ import annotations

from typing import Any

import pytest
from memory_shapes import card, model
from program import RULES

from qvl_doctor.launch.ranges import RANGES, refused
from qvl_doctor.memory.gpus import of_size
from qvl_doctor.model import Diagnosis
from qvl_doctor.observations import key_of
from qvl_doctor.sizing.case import Known
from qvl_doctor.sizing.planning import near_models, planned
from qvl_doctor.sizing.refusals import model_above, refusals, unsure
from qvl_doctor.workflows import plan

VL = "Qwen2.5-VL-7B-Instruct"


def keys(name: str, **arguments: Any) -> list[str]:
    return [key_of(each) for each in refusals(arguments, model(name), {})]


@pytest.mark.parametrize(
    ("name", "ranks", "found"),
    [  # 28 heads and 4 of keys and values; 64 and 8
        (VL, 1, []),
        (VL, 2, []),
        (VL, 4, []),
        (VL, 3, ["heads_not_divisible"]),
        (VL, 8, ["heads_not_divisible"]),
        (VL, 7, ["kv_heads_not_shared"]),
        (VL, 28, ["vision_not_divisible"]),
        ("Qwen2.5-72B-Instruct", 16, []),
        ("Qwen2.5-72B-Instruct", 5, ["heads_not_divisible"]),
    ],
)
def test_heads_and_gpus(name: str, ranks: int, found: list[str]) -> None:
    assert keys(name, tensor_parallel_size=ranks) == found


def test_an_encoder_that_is_whole_on_each_gpu_is_not_divided() -> None:
    assert keys(VL, tensor_parallel_size=28, mm_encoder_tp_mode="data") == []
    assert keys(VL, tensor_parallel_size=28, language_model_only=True) == []


def test_what_changes_the_config_leaves_the_shape_unknown() -> None:
    assert keys(VL, tensor_parallel_size=3, hf_overrides={"num_attention_heads": 30}) == []


@pytest.mark.parametrize(("length", "found"), [(128000, []), (128001, ["length_above_model"])])
def test_length(length: int, found: list[str]) -> None:
    assert keys(VL, max_model_len=length) == found
    assert list(refusals({"max_model_len": length}, model(VL), {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"})) == []


def test_a_batch_smaller_than_its_sequences() -> None:
    assert keys(VL, max_num_batched_tokens=100, max_num_seqs=101) == ["batch_below_sequences"]
    assert keys(VL, max_num_batched_tokens=100, max_num_seqs=100) == []


@pytest.mark.parametrize("name", RANGES)
def test_the_edges_of_each_range(name: str) -> None:
    span = RANGES[name]
    least = span.least + 0.01 if span.above else span.least
    assert not list(refused({name: least}))
    assert [flag for flag, _, _ in refused({name: span.least - 1})] == ["--" + name.replace("_", "-")]
    assert bool(list(refused({name: span.least}))) is span.above
    if span.most < 10:
        assert not list(refused({name: span.most}))
        assert list(refused({name: span.most + 0.2}))


@pytest.mark.parametrize(("release", "taken"), [("0.13.0", False), ("0.14.0", True), ("", True)])
def test_minus_one_leaves_the_length_to_newer_releases(release: str, taken: bool) -> None:
    assert bool(list(refused({"max_model_len": -1}, release))) is not taken


def about(*words: str, gpu: str = "L4", release: str = "0.11.0", name: str = f"Qwen/{VL}") -> Diagnosis:
    return plan.diagnose(["vllm", "serve", name, *words], gpu=gpu, vllm=release, rules=RULES)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("--tensor-parallel-size", "3"), "tp-not-dividing-heads"),
        (("--tensor-parallel-size", "0"), "value-out-of-range"),
        (("--gpu-memory-utilization", "1.2"), "value-out-of-range"),
        (("--gpu-memory-utilization", "0"), "value-out-of-range"),
        (("--max-num-seqs", "0"), "value-out-of-range"),
        (("--max-model-len", "-5"), "value-out-of-range"),
        (("--max-num-batched-tokens", "8", "--max-num-seqs", "9"), "batched-tokens-below-sequences"),
        (("--max-model-len", "200000"), "max-model-len-above-model"),
    ],
)
def test_what_is_refused_is_no_question_of_memory(words: tuple[str, ...], rule: str) -> None:
    found = about(*words, gpu="H100")
    assert found.verdict == "failed"
    assert [each.rule for each in found.findings] == [rule]
    assert "plan" not in found.facts


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--quantization", "foo"), "foo"),
        (("--quantization", "awq"), "--quantization awq"),
        (("--speculative-config", '{"model": "a/b", "num_speculative_tokens": 3}'), "--speculative-config"),
        (("--enable-lora",), "--enable-lora"),
        (("--hf-overrides", '{"num_hidden_layers": 2}'), "--hf-overrides"),
        (("--load-format", "bitsandbytes"), "--load-format"),
        (("--pipeline-parallel-size", "40"), "40 > 28"),
    ],
)
def test_a_fit_that_was_not_computed_is_not_promised(words: tuple[str, ...], named: str) -> None:
    found = about(*words, gpu="H100")
    assert found.verdict == "unknown"
    assert named in found.summary["en"]
    assert named in found.summary["zh"]


@pytest.mark.parametrize("release", ["0.99", "0.34.0", "1.0", "0.5.4"])
def test_releases_of_which_nothing_is_known(release: str) -> None:
    found = about(gpu="H100", release=release)
    assert found.verdict == "unknown"
    assert release in found.summary["en"]


def test_releases_that_are_known() -> None:
    assert unsure({}, "0.33.1") is None
    assert unsure({}, "0.6.0") is None
    assert about(gpu="H100").verdict == "healthy"
    assert about("--quantization", "fp8", gpu="H100").verdict == "healthy"


@pytest.mark.parametrize(
    ("name", "gib", "arguments", "above"),
    [
        ("a/Heron-70B", 22.0, {}, True),
        ("a/Heron-70B", 80.0, {}, False),
        ("a/Heron-70B", 22.0, {"tensor_parallel_size": 2}, False),
        ("a/Heron-1T", 141.0, {"tensor_parallel_size": 2}, True),
        ("a/Heron-1T-2bit", 141.0, {"tensor_parallel_size": 2}, False),
        ("a/Heron-8x22B", 40.0, {}, True),
        ("a/Heron-235B-A22B", 80.0, {}, True),
        ("a/Heron-70B", 22.0, {"cpu_offload_gb": 40}, False),
        ("a/Heron", 4.0, {}, False),
        ("a/Heron-v2T5", 4.0, {}, False),
        ("70B/Heron", 4.0, {}, False),
    ],
)
def test_the_size_in_a_name_alone_can_say_no(name: str, gib: float, arguments: dict[str, Any], above: bool) -> None:
    assert bool(list(model_above(name, of_size(gib), arguments))) is above


def test_unknown_models() -> None:
    assert about(name="a/Heron-70B").verdict == "failed"
    typo = about(name="Qwen/Qwen2.5-VL-7B-Instuct")
    assert typo.verdict == "unknown"
    assert "Did you mean Qwen/Qwen2.5-VL-7B-Instruct" in typo.summary["en"]
    assert near_models("nobody/knows-this") == []


def test_nothing_is_computed_without_a_gpu_or_a_release() -> None:
    assert planned({"model": f"Qwen/{VL}"}, Known(release="0.11.0"), {}).why == "gpu"
    assert planned({"model": f"Qwen/{VL}"}, Known(gpu=card("L4")), {}).why == "release"
