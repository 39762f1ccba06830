"""A model's folder against the command and the card: heads, lengths, quantizations, by release, and whether it fits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from checking import report, rules
from hypothesis import given
from hypothesis import strategies as st
from model_samples import CONFIG, arguments, model
from nvml.fixtures import RTX_4090, Describe

from qvl_doctor.machine import fit_config, fit_memory, model_folder
from qvl_doctor.machine.fit_gpus import of_command
from qvl_doctor.model import Fact
from qvl_doctor.sizing.case import Known


def fits(
    command: str, config: Mapping[str, Any] = CONFIG, release: str = "0.19.0", capability: str = "", **env: str
) -> list[str]:
    return [
        each.message for each in fit_config.observations(config, arguments(command, release), release, capability, env)
    ]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("-tp 4", ""),
        ("-tp 8", "Total number of attention heads (28) must be divisible by tensor parallel size (8)."),
        ("-tp 7", "the model's 4 key and value heads can neither be divided by nor repeated for 7 GPUs"),
        ("-tp 14", "the model's 4 key and value heads"),
        ("-tp 28 --mm-encoder-tp-mode data", ""),
        ("-tp 28", "the width 3420 of the vision encoder's layers is not divisible by 28 GPUs"),
        ("-tp 8 --hf-overrides '{\"num_attention_heads\": 32}'", ""),
    ],
)
def test_heads_and_gpus(flags: str, words: str) -> None:
    found = fits(f"vllm serve m {flags}")
    assert (bool(found) and words in found[0]) if words else found == []


def test_the_heads_of_the_language_model_count() -> None:
    nested = {"model_type": "qwen3_vl", "text_config": {"num_attention_heads": 16}, "vision_config": {"num_heads": 16}}
    assert fits("vllm serve m -tp 3", nested) == [
        "Total number of attention heads (16) must be divisible by tensor parallel size (3)."
    ]
    assert fits("vllm serve m -tp 2", nested) == []


def test_a_length_above_the_model() -> None:
    assert fits("vllm serve m --max-model-len 128000") == []
    long = fits("vllm serve m --max-model-len 200000")
    assert len(long) == 1
    assert long[0].startswith(
        "User-specified max_model_len (200000) is greater than the derived max_model_len (max_position_embeddings=128000"
    )
    assert fits("vllm serve m --max-model-len 200000", VLLM_ALLOW_LONG_MAX_MODEL_LEN="1") == []
    yarn = {**CONFIG, "max_position_embeddings": 32768, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}
    assert fits("vllm serve m --max-model-len 131072", yarn) == []
    assert fits("vllm serve m --max-model-len 131073", yarn) != []
    assert (
        fits("vllm serve m --max-model-len 200000", {"num_attention_heads": 8}) == []
    )  # the class's own default is not known here


def test_heads_length_and_card_are_judged_by_the_rules_on_logs(tmp_path: Path) -> None:
    folder = model(tmp_path)
    found = report(
        "--only",
        "model,command",
        "--vllm",
        "0.19.0",
        "--",
        "vllm",
        "serve",
        str(folder),
        "-tp",
        "8",
        "--max-model-len",
        "200000",
    )
    assert {"tp-not-dividing-heads", "max-model-len-above-model"} <= set(rules(found))
    shape = next(check for check in found["checks"] if check["name"] == "shape")
    assert shape["status"] == "problem"


AWQ = {**CONFIG, "quantization_config": {"quant_method": "awq", "bits": 4}}
FP8 = {**CONFIG, "quantization_config": {"quant_method": "fp8"}}


def test_sixteen_cards_have_an_all_reduce_of_vllm_s_own_in_newer_releases() -> None:
    facts = {"gpu_visible": Fact(16, "probe"), "gpu_links": Fact("nvlink", "probe")}
    assert [each.message for each in of_command({"tensor_parallel_size": 16}, facts, "0.24.0")] == [
        "Custom allreduce is disabled due to an unsupported world size: 16."
    ]
    assert not list(of_command({"tensor_parallel_size": 16}, facts, "0.33.0"))


def packed(bits: int, inputs: Any = None, form: str = "pack-quantized") -> Mapping[str, Any]:
    group = {"weights": {"num_bits": bits, "type": "int"}, "input_activations": inputs, "targets": ["Linear"]}
    return {
        **CONFIG,
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "format": form,
            "config_groups": {"group_0": group},
        },
    }


@pytest.mark.parametrize(
    ("config", "release", "capability", "words"),
    [
        (
            AWQ,
            "0.8.5",
            "7.0",
            "method awq is not supported for the current GPU. Minimum capability: 75. Current capability: 70.",
        ),
        (AWQ, "0.8.5", "7.5", ""),
        (AWQ, "0.8.5", "", ""),
        (AWQ, "", "7.0", ""),
        (
            FP8,
            "0.8.5",
            "7.5",
            "method fp8 is not supported for the current GPU. Minimum capability: 80. Current capability: 75.",
        ),
        (FP8, "0.19.0", "7.5", ""),
        (
            packed(4),
            "0.8.5",
            "7.5",
            "scheme is not supported for the current GPU. Min capability: 80. Current capability: 75.",
        ),
        (packed(4), "0.19.0", "7.5", ""),
        (packed(8, {"num_bits": 8, "type": "int"}, "int-quantized"), "0.19.0", "7.0", "Min capability: 75"),
        (packed(8, {"num_bits": 8, "type": "float"}, "float-quantized"), "0.19.0", "7.0", ""),
        ({**packed(4), "num_experts": 8}, "0.8.5", "7.5", ""),
        ({**CONFIG, "quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}, "0.19.0", "7.5", ""),
        (
            {**CONFIG, "quantization_config": {"quant_method": "of a plug-in"}},
            "0.19.0",
            "7.0",
            "of_a_plug-in of config.json is in no release",
        ),
        ({**CONFIG, "quantization_config": {"quant_method": "of a plug-in"}}, "99.0", "7.0", ""),
        ({**CONFIG, "quantization_config": {"quant_method": "ptpc_fp8"}}, "0.19.0", "9.0", ""),
        ({**CONFIG, "quantization_config": "fp8"}, "0.8.5", "7.0", ""),
    ],
)
def test_quantization_and_card(config: Mapping[str, Any], release: str, capability: str, words: str) -> None:
    found = fits("vllm serve m", config, release, capability)
    assert (len(found) == 1 and words in found[0]) if words else found == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        *(
            "architectures",
            "model_type",
            "num_attention_heads",
            "num_key_value_heads",
            "text_config",
            "vision_config",
            "quantization_config",
        ),
        *(
            "rope_scaling",
            "rope_parameters",
            "max_position_embeddings",
            "auto_map",
            "thinker_config",
            "quant_method",
            "config_groups",
            "factor",
        ),
    ]
)


@given(st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON, max_size=4), max_size=8))
def test_whatever_a_config_holds_the_look_survives(config: dict[str, Any]) -> None:
    command = {"tensor_parallel_size": 2, "max_model_len": 4096}
    list(fit_config.observations(config, command, "0.11.0", "7.5", {}))
    with TemporaryDirectory() as name:
        (Path(name) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        model_folder.inspect_model_folder(name, "0.11.0", "4.57.0", command)


# ---- Whether it fits the card


def plan(folder: Path, flags: str = "", **facts: Any) -> dict[str, Any]:
    """What the memory model says of a folder that no bundled card knows, on the card of the article."""
    known = {"gpu_name": "NVIDIA GeForce RTX 4090", "total_gib": 23.65, "model_complete": "yes", **facts}
    seen = {name: Fact(value, "probe") for name, value in known.items()}
    command = arguments(f"vllm serve {folder} --max-model-len 8192 {flags}", "0.11.0")
    found = fit_memory.inspect_memory_fit(command, fit_memory.known_of(seen, "0.11.0", str(folder)), seen, {})
    return {name: fact.value for name, fact in found.facts.items()}


def test_a_folder_that_no_card_knows_is_planned_by_its_own_shape(tmp_path: Path) -> None:
    folder = model(tmp_path / "our-finetune")
    assert plan(folder)["plan"] == "fits"
    deep = model(tmp_path / "deeper", config={**CONFIG, "num_hidden_layers": 80})
    assert plan(deep, model_complete="no")["plan"] != "fits"
    assert plan(deep, model_complete="no")["weights_needed_gib"] > 2 * plan(folder)["weights_needed_gib"]


def test_weights_that_are_there_count_as_they_are_stored_and_only_if_all_are_there(tmp_path: Path) -> None:
    folder = str(model(tmp_path / "m"))
    whole = fit_memory.known_of({"model_complete": Fact("yes", "probe")}, "0.11.0", folder)
    assert len(whole.tensors) == 4
    assert fit_memory.known_of({"model_complete": Fact("no", "probe")}, "0.11.0", folder).tensors == ()


@pytest.mark.parametrize(
    "config", [b"{", b"[]", b'{"architectures": ["NobodyKnowsForCausalLM"]}', b'{"architectures": 3}', b"[" * 100_000]
)
def test_a_folder_that_the_memory_model_cannot_read_is_unknown(config: bytes, tmp_path: Path) -> None:
    folder = model(tmp_path / "m", files={"config.json": config})
    assert plan(folder) == {"plan_unknown": "model"}
    assert fit_memory.known_of({}, "0.11.0", str(folder)) == Known(release="0.11.0")


def test_the_checklist_answers_for_a_local_folder_and_not_from_elsewhere(tmp_path: Path, nvml: Describe) -> None:
    folder, file = str(model(tmp_path / "our-finetune")), str(tmp_path / "env.json")
    serve = ("--", "vllm", "serve", folder, "--max-model-len", "32768")
    here = report("--only", "gpu,model,command", "--vllm", "0.11.0", "--export", file, *serve, env=nvml([RTX_4090]))
    assert next(each["status"] for each in here["checks"] if each["name"] == "fits") == "ok"
    assert here["facts"]["plan"] == "fits"
    there = report("--from", file, "--vllm", "0.11.0", *serve)  # a folder of this name here is another machine's
    assert there["facts"]["plan_unknown"] == "model"
