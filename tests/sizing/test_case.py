"""Commands and logs as cases of the memory model: what each argument, variable and fact becomes."""

from __future__ import annotations

from typing import Any

import pytest
from memory_shapes import TINY, model

from qvl_doctor.memory.configs import read
from qvl_doctor.memory.gpus import Gpu, of_size
from qvl_doctor.memory.shape import ModelShape
from qvl_doctor.memory.solver import Case
from qvl_doctor.memory.tensors import Tensor
from qvl_doctor.memory.units import GIB
from qvl_doctor.model import Fact
from qvl_doctor.sizing.case import Known, Unsized, filled_in, given_of, of_arguments, of_facts

CARD = Gpu("test", 24 * GIB, 8.9)
QWEN = "Qwen/Qwen2.5-VL-7B-Instruct"


def tiny() -> ModelShape:
    shape = read(TINY)
    assert isinstance(shape, ModelShape)
    return shape


KNOWN = Known(tiny(), "", CARD, "0.10.0")


def case_of(found: Case | Unsized) -> Case:
    assert isinstance(found, Case), found
    return found


def facts(**values: Any) -> dict[str, Fact]:
    return {name: Fact(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("value", "env", "filled"),
    [
        ("${TP}", {"TP": "4"}, 4),
        ("$TP", {"TP": "4"}, 4),
        ("$(TP)", {"TP": "4"}, 4),
        ("${TP:-2}", {}, 2),
        ("${TP-2}", {}, 2),
        ("${TP:-2}", {"TP": "4"}, 4),
        ("${TP:-2}", {"TP": ""}, 2),
        ("${TP:-}", {}, "${TP:-}"),
        ("${TP}", {}, "${TP}"),
        ("$(TP)", {}, "$(TP)"),
        ("$TP", {"TP": "0.85"}, 0.85),
        ("$TP", {"TP": "fp8"}, "fp8"),
        ("$TP", {"TP": "123456789"}, 123456789),
        ("$TP", {"TP": "1234567890"}, "1234567890"),
        ("x$TP", {"TP": "4"}, "x$TP"),
        (8, {"8": "4"}, 8),
        (None, {}, None),
    ],
)
def test_a_variable_is_filled_in_where_its_value_is_known(value: Any, env: dict[str, str], filled: Any) -> None:
    found = filled_in(value, env)
    assert (found, type(found)) == (filled, type(filled))


WHOLE = {
    "tensor_parallel_size": "tp",
    "pipeline_parallel_size": "pp",
    "max_model_len": "max_model_len",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "max_num_seqs": "max_num_seqs",
    "block_size": "block_size",
    "kv_cache_memory_bytes": "kv_cache_bytes",
    "num_gpu_blocks_override": "kv_blocks",
}
SHARES = {"gpu_memory_utilization": "utilization", "cpu_offload_gb": "offload_gib"}
TRUTHS = {
    "enforce_eager": "eager",
    "enable_chunked_prefill": "chunked_prefill",
    "skip_mm_profiling": "skip_encoder_profile",
}


def given(name: str, value: Any) -> dict[str, Any]:
    return given_of({name: value})


@pytest.mark.parametrize(("name", "field"), WHOLE.items())
def test_an_argument_that_is_a_whole_number(name: str, field: str) -> None:
    for value in (3, "3", 3.0, 3.9):
        assert given(name, value) == {field: 3}
        assert type(given(name, value)[field]) is int
    nonsense: tuple[Any, ...] = (None, "auto", -1, "None", True, "many", [3], -0.5, "nan", "inf", 10**400)
    for each in nonsense:
        assert given(name, each) == {}


@pytest.mark.parametrize(("name", "field"), SHARES.items())
def test_an_argument_that_is_a_share_or_a_size(name: str, field: str) -> None:
    assert given(name, "0.5") == {field: 0.5}
    assert given(name, 0) == {field: 0.0}
    assert given(name, value=True) == {}


@pytest.mark.parametrize(("name", "field"), TRUTHS.items())
def test_an_argument_that_is_a_truth(name: str, field: str) -> None:
    for yes in (True, "yes", "True", "true"):
        assert given(name, yes) == {field: True}
    for no in (False, "no", 0, "maybe"):
        assert given(name, no) == {field: False}
    assert given(name, None) == {}


@pytest.mark.parametrize(
    ("name", "value", "made"),
    [
        ("tensor_parallel_size", 0, {}),
        ("tensor_parallel_size", 1, {"tp": 1}),
        ("tensor_parallel_size", 1024, {"tp": 1024}),
        ("tensor_parallel_size", 1025, {}),
        ("pipeline_parallel_size", 0, {}),
        ("pipeline_parallel_size", 1024, {"pp": 1024}),
        ("pipeline_parallel_size", 1025, {}),
        ("max_model_len", 0, {"max_model_len": 0}),
        ("max_model_len", 1 << 40, {"max_model_len": 1 << 40}),
        ("max_model_len", (1 << 40) + 1, {}),
        ("kv_cache_dtype", "fp8", {"kv_cache_dtype": "fp8"}),
        ("kv_cache_dtype", "auto", {}),
        *((("dtype"), name, {"dtype": dtype}) for name, dtype in (("half", "float16"), ("float", "float32"))),
        *((("dtype"), name, {"dtype": name}) for name in ("float16", "bfloat16", "float32")),
        ("dtype", "torch.bfloat16", {"dtype": "bfloat16"}),
        ("dtype", "auto", {}),
        ("dtype", None, {}),
        ("quantization", "awq_marlin", {"quantization": "awq"}),
        ("quantization", "gptq_marlin", {"quantization": "gptq"}),
        ("quantization", "bitsandbytes", {"quantization": "bnb4"}),
        ("quantization", "moe_wna16", {"quantization": "awq"}),
        ("quantization", "fp8", {"quantization": "fp8"}),
        ("quantization", "of-tomorrow", {}),
        ("mm_encoder_tp_mode", "data", {"split_encoder": False}),
        ("mm_encoder_tp_mode", "weights", {}),
        ("disable_hybrid_kv_cache_manager", True, {"hybrid": False}),
        ("disable_hybrid_kv_cache_manager", False, {}),
        ("language_model_only", True, {"limits": {"image": 0, "video": 0}}),
        ("language_model_only", False, {}),
        ("mm_processor_kwargs", {"max_pixels": 3}, {"processor": {"max_pixels": 3}}),
        ("mm_processor_kwargs", '{"max_pixels": 3}', {"processor": {"max_pixels": 3}}),
        ("mm_processor_kwargs", "none of it", {}),
        ("limit_mm_per_prompt", "image=5,video=0", {"limits": {"image": 5, "video": 0}}),
        ("limit_mm_per_prompt", {"image": 5, "video": "2"}, {"limits": {"image": 5, "video": 2}}),
        ("limit_mm_per_prompt", {"image": True, "video": -1, "audio": 2.5}, {"limits": {}}),
        ("limit_mm_per_prompt", {"image": 9_999_999, "video": 10_000_000}, {"limits": {"image": 9_999_999}}),
        ("limit_mm_per_prompt", "many", {}),
        ("limit_mm_per_prompt", None, {}),
        (
            "limit_mm_per_prompt",
            {"image": {"count": 2, "width": 640, "height": 0}, "video": {"num_frames": 1048575}},
            {
                "limits": {"image": 2, "video": 1},
                "dummies": {"image": {"width": 640}, "video": {"num_frames": 1048575}},
            },
        ),
        (
            "limit_mm_per_prompt",
            {"image": {"width": 1048576, "height": True, "count": 3}, "video": {"num_frames": "8"}},
            {"limits": {"image": 3, "video": 1}},
        ),
    ],
)
def test_what_an_argument_asks_of_the_settings(name: str, value: Any, made: dict[str, Any]) -> None:
    assert given(name, value) == made


def test_what_a_checkpoint_says_of_its_quantization_counts_more_than_the_flag() -> None:
    assert given_of({"quantization": "fp8"}, "w8a8") == {"quantization": "w8a8"}
    assert given_of({}, "w8a8") == {"quantization": "w8a8"}
    assert given_of({"language_model_only": True, "limit_mm_per_prompt": {"image": 5}}) == {
        "limits": {"image": 0, "video": 0}
    }


def test_a_command_needs_release_card_and_model() -> None:
    assert of_arguments({"model": QWEN}, Known(gpu=CARD)) == Unsized("release")
    assert of_arguments({"model": QWEN}, Known(release="0.10.0")) == Unsized("gpu")
    assert of_arguments({"model": "a/b"}, Known(gpu=CARD, release="0.10.0")) == Unsized("model", "a/b")
    assert of_arguments({"model": "a" * 130}, Known(gpu=CARD, release="0.10.0")) == Unsized("model", "a" * 120)
    assert of_arguments({}, Known(gpu=CARD, release="0.10.0")) == Unsized("unnamed")
    found = case_of(of_arguments({"model": QWEN + "-AWQ"}, Known(gpu=CARD, release="0.10.0")))
    assert (found.shape, found.gpu, found.release) == (model(QWEN), CARD, (0, 10, 0))
    assert found.given == {"quantization": "awq"}
    assert found.observed is None


def test_a_model_that_is_known_need_not_be_named() -> None:
    found = case_of(of_arguments({"max_model_len": 4096}, Known(tiny(), "fp8", CARD, "0.10.0")))
    assert found.shape == tiny()
    assert found.given == {"max_model_len": 4096, "quantization": "fp8"}


@pytest.mark.parametrize(
    "name",
    [
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "data_parallel_size",
        "max_model_len",
        "max_num_seqs",
        "max_num_batched_tokens",
        "gpu_memory_utilization",
        "limit_mm_per_prompt",
        "mm_processor_kwargs",
        "kv_cache_dtype",
        "quantization",
        "dtype",
    ],
)
def test_a_size_in_a_variable_that_nobody_knows(name: str) -> None:
    flag = "--" + name.replace("_", "-")
    assert of_arguments({name: "$SIZE"}, KNOWN) == Unsized("variable", flag)
    assert of_arguments({name: "$SIZE"}, KNOWN, {"OTHER": "4"}) == Unsized("variable", flag)
    assert isinstance(of_arguments({name: "$SIZE"}, KNOWN, {"SIZE": "4"}), Case)
    assert isinstance(of_arguments({"served_model_name": "$SIZE"}, KNOWN), Case)


@pytest.mark.parametrize(
    ("asked", "release", "engine"),
    [
        ("0", "0.7.0", "V0"),
        ("0", "0.10.2", "V0"),
        ("0", "0.11.0", None),
        ("1", "0.6.6", None),
        ("1", "0.7.0", "V1"),
        ("1", "0.11.0", "V1"),
        ("2", "0.10.0", None),
        (None, "0.10.0", None),
    ],
)
def test_which_engine_a_variable_asks_for(asked: str | None, release: str, engine: str | None) -> None:
    env = {"VLLM_USE_V1": asked} if asked else {}
    found = case_of(of_arguments({}, Known(tiny(), "", CARD, release), env))
    assert found.given.get("engine") == engine


def test_tensors_of_the_files_are_weights_that_were_seen() -> None:
    tensors = (Tensor("model.embed_tokens.weight", "BF16", (1000, 256), 1000 * 256 * 2),)
    found = case_of(of_arguments({}, Known(tiny(), "", CARD, "0.10.0", tensors)))
    assert found.observed is not None
    stored = (1000 * 256 * 2 + 4096 * 32 * 2) / GIB  # with the rotary table
    assert found.observed.weights_gib == stored
    assert found.logged == found.settings
    logged = case_of(of_facts(facts(activation_gib=0.5), Known(tiny(), "", CARD, "0.10.0", tensors)))
    assert logged.observed is not None
    assert (logged.observed.weights_gib, logged.observed.activation_gib) == (stored, 0.5)
    measured = case_of(of_facts(facts(weights_gib=0.75), Known(tiny(), "", CARD, "0.10.0", tensors)))
    assert measured.observed is not None
    assert measured.observed.weights_gib == 0.75


# ---- Logs


@pytest.mark.parametrize(
    ("fact", "value", "field", "setting"),
    [
        ("max_model_len", 2000, "max_model_len", 2000),
        ("max_num_batched_tokens", 3000, "max_num_batched_tokens", 3000),
        ("max_num_seqs", 17, "max_num_seqs", 17),
        ("gpu_memory_utilization", 0.7, "utilization", 0.7),
        ("tensor_parallel_size", 2, "tp", 2),
        ("pipeline_parallel_size", 2, "pp", 2),
        ("kv_cache_dtype", "fp8", "kv_cache_dtype", "fp8"),
        ("enforce_eager", "yes", "eager", True),
        ("chunked_prefill", "no", "chunked_prefill", False),
        ("dtype", "torch.float16", "dtype", "float16"),
        ("block_size", 32, "block_size", 32),
    ],
)
def test_what_a_log_states_counts_whatever_the_arguments_were(fact: str, value: Any, field: str, setting: Any) -> None:
    for stated in (facts(**{fact: value}), facts(**{fact: value}, args={"max_logprobs": 5})):
        found = case_of(of_facts(stated, KNOWN))
        assert getattr(found.settings, field) == setting
        assert getattr(found.logged, field) == setting


def test_what_a_log_states_is_given_only_where_it_is_not_the_default() -> None:
    """So that a default that depends on another setting follows it."""
    found = case_of(of_facts(facts(max_num_seqs=256, max_model_len=2000, args={"seed": 1}), KNOWN))
    assert found.given == {"max_model_len": 2000}


def test_the_model_of_a_log() -> None:
    known = Known(gpu=CARD, release="0.10.0")
    for named in (
        facts(model=QWEN),
        facts(model=QWEN, args={"model": "a/b"}),
        facts(args={"model": QWEN}),
        facts(args={"model_tag": QWEN}),
        facts(args={"model": QWEN, "model_tag": "a/b"}),
    ):
        assert case_of(of_facts(named, known)).shape == model(QWEN)
    assert of_facts({}, known) == Unsized("unnamed")


def test_release_and_engine_of_a_log() -> None:
    assert case_of(of_facts(facts(vllm="0.9.1"), KNOWN)).release == (0, 9, 1)
    assert case_of(of_facts({}, KNOWN)).release == (0, 10, 0)
    assert of_facts(facts(model=QWEN)) == Unsized("release")
    for engine, expected in (("V0", "V0"), ("V1", "V1"), ("V2", "V1")):
        assert case_of(of_facts(facts(engine=engine), KNOWN)).settings.engine == expected
    assert case_of(of_facts(facts(engine="V1"), Known(tiny(), "", CARD, "0.7.2"))).settings.engine == "V1"


def test_the_card_of_a_log() -> None:
    def card(**values: Any) -> Gpu | None:
        found = of_facts(facts(**values), Known(tiny(), "", None, "0.10.0"))
        return found.gpu if isinstance(found, Case) else None

    named = card(gpu_name="Tesla T4")
    assert named is not None
    assert (named.capability, named.nominal) == (7.5, False)
    sized = card(gpu_name="RTX 4080 SUPER", total_gib=15.5)
    assert sized is not None
    assert (sized.total_bytes, sized.capability, sized.nominal) == (int(15.5 * GIB), 8.9, False)
    assert card(total_gib=23.65, gpu_total_gib=11) == of_size(23.65)
    assert card(gpu_total_gib=23.65) == of_size(23.65)
    assert card(gpu_name="nobody's", total_gib=23.65) == of_size(23.65)
    assert card(total_gib=1) == of_size(1)
    assert card(total_gib=4096) == of_size(4096)
    for no_card in (card(), card(total_gib=0.99), card(total_gib=4097), card(gpu_name="nobody's")):
        assert no_card is None
    mine = case_of(of_facts(facts(total_gib=11.0), KNOWN))
    assert (mine.gpu, mine.plan().total) == (CARD, 11 * GIB)


@pytest.mark.parametrize(
    "name", ["total_gib", "weights_gib", "activation_gib", "non_torch_gib", "graphs_gib", "kv_gib"]
)
def test_what_a_log_measured(name: str) -> None:
    found = case_of(of_facts(facts(**{name: 0.5}), KNOWN))
    assert found.observed is not None
    assert getattr(found.observed, name) == 0.5
    assert found.logged == found.settings
    for nonsense in (0, -1, 1 << 20, "much"):
        found = case_of(of_facts(facts(**{name: nonsense}), KNOWN))
        assert found.observed is not None
        assert getattr(found.observed, name) is None
    found = case_of(of_facts(facts(**{name: (1 << 20) - 1}), KNOWN))
    assert getattr(found.observed, name) == (1 << 20) - 1
