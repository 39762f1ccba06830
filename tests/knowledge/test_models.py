"""Whatever a log shows of a model leads to the release that serves it, and to nothing where the tables do not know
it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qvl_doctor import knowledge
from qvl_doctor.knowledge import model_names, models, modules, plugins
from qvl_doctor.versions import release

REGISTRY: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "tools/data/registry.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize(
    ("name", "architecture", "kind", "vllm"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2_5_VLForConditionalGeneration", "multimodal", "0.7.3"),
        ("/models/qwen2.5-vl-7b-awq", "Qwen2_5_VLForConditionalGeneration", "multimodal", "0.7.3"),
        ("qwen-2.5-vl-7b", "Qwen2_5_VLForConditionalGeneration", "multimodal", "0.7.3"),
        (
            "/root/.cache/huggingface/hub/models--Qwen--Qwen2.5-VL-7B-Instruct/snapshots/0ab12cd34ef5678",
            "Qwen2_5_VLForConditionalGeneration",
            "multimodal",
            "0.7.3",
        ),
        ("/models/Qwen2.5-VL-7B-Instruct/final", "Qwen2_5_VLForConditionalGeneration", "multimodal", "0.7.3"),
        ("unsloth/Qwen3-VL-235B-A22B-Instruct", "Qwen3VLMoeForConditionalGeneration", "multimodal", "0.11.0"),
        ("Qwen/Qwen3-30B-A3B-FP8", "Qwen3MoeForCausalLM", "text", "0.8.4"),
        ("THUDM/GLM-4.1V-9B-Thinking", "Glm4vForConditionalGeneration", "multimodal", "0.9.2"),
        ("moonshotai/Kimi-VL-A3B-Thinking", "KimiVLForConditionalGeneration", "multimodal", "0.8.5"),
        ("Skywork/Skywork-R1V-38B", "SkyworkR1VChatModel", "multimodal", "0.8.3"),
        ("PaddlePaddle/PaddleOCR-VL", "PaddleOCRVLForConditionalGeneration", "multimodal", "0.11.1"),
        ("zai-org/GLM-4.7-Flash", "Glm4MoeLiteForCausalLM", "text", "0.15.0"),
        # The same class has taken more versions of the model with time.
        ("openbmb/MiniCPM-V-2_6", "MiniCPMV", "multimodal", "0.6.0"),
        ("openbmb/MiniCPM-V-4_5", "MiniCPMV", "multimodal", "0.10.2"),
        # Small ones are text models, larger ones are not: the name leaves it open.
        ("google/gemma-3-27b-it", "Gemma3ForCausalLM", "", "0.8.0"),
    ],
)
def test_a_name_leads_to_its_release(name: str, architecture: str, kind: str, vllm: str) -> None:
    found = models.of_name(name)
    assert found
    assert (found.architecture, found.kind, found.vllm) == (architecture, kind, vllm)


@pytest.mark.parametrize(
    "name",
    [
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",  # is no DeepSeek-R1
        "Qwen/Qwen2.5-Math-RM-72B",
        "my/Qwen3-8B-vl-experiment",
        "/home/aria/model",
        "/srv/models/1",
        "tiny-random/moe",
        "",
        "/",
        "x" * 100_000,
        "名前/模型",
        "\x00",
    ],
)
def test_a_name_that_no_family_fits(name: str) -> None:
    assert models.of_name(name) is None


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("Gemma3Config", "Gemma3ForConditionalGeneration"),
        ("Gemma3TextConfig", "Gemma3ForConditionalGeneration"),
        ("SkyworkChatConfig", "SkyworkR1VChatModel"),
        ("InternVLChatConfig", "InternVLChatModel"),
        ("KimiVLConfig", "KimiVLForConditionalGeneration"),
        ("Qwen2_5_VLProcessor", "Qwen2_5_VLForConditionalGeneration"),
        ("Qwen2_5OmniConfig", "Qwen2_5OmniForConditionalGeneration"),
        ("MiniCPMOProcessingInfo", "MiniCPMO"),
    ],
)
def test_a_class_leads_to_its_model(name: str, architecture: str) -> None:
    found = models.of_class(name)
    assert found
    assert found.architecture == architecture


@pytest.mark.parametrize("name", ["VllmConfig", "LlavaQwenConfig", "Config", "", "x" * 10_000])
def test_a_class_of_no_model(name: str) -> None:
    assert models.of_class(name) is None


def test_every_checkpoint_that_vllm_names_leads_back_to_its_architecture() -> None:
    known = models.architectures_by_name()
    wrong = []
    for architecture, row in REGISTRY.items():
        for name in row["repositories"] if row["kind"] in ("text", "multimodal", "") else ():
            found = model_names.look_up(name, known)
            entered = bool(model_names.key_of(name.rpartition("/")[2]))
            by_hand = found in knowledge.table("traps")["names"]
            if entered and not by_hand and architecture not in known.get(found, []):
                wrong.append((name, architecture, found))
    assert not wrong


def test_every_model_is_served_from_a_release_on_that_is_known() -> None:
    releases = {release(name) for name in knowledge.table("pins")["releases"]}
    for architecture in knowledge.table("models")["architectures"]:
        found = models.of_architecture(architecture)
        assert found, architecture
        assert release(found.vllm) in releases, architecture


def test_names_by_hand_say_where_they_are_from() -> None:
    for name, entry in knowledge.table("traps")["names"].items():
        assert len(entry["source"]) > 20, name
        assert all(knowledge.architecture(each) for each in entry["architectures"]), name


@pytest.mark.parametrize(
    ("name", "span"),
    [
        ("vllm.model_executor.models.deepseek_ocr", ("0.11.1", "")),
        # It came with the package that it is in, and went with it.
        ("vllm.attention.backends.abstract", ("0.6.0", "0.13.0")),
        ("vllm.worker.model_runner", ("0.6.0", "0.10.2")),
        ("vllm.engine.arg_utils", None),  # in every release
        ("vllm.no_such_module", None),
        ("vllm", None),
        ("", None),
        ("." * 10_000, None),
    ],
)
def test_which_releases_have_a_module(name: str, span: tuple[str, str] | None) -> None:
    assert modules.module(name) == span


@pytest.mark.parametrize(
    ("plugin", "vllm", "pair"),
    [
        ("vllm_ascend", "0.20.2", ("vllm-ascend", "0.20.2rc1", {"torch_npu": "2.10.0", "CANN": "9.0.0"})),
        ("vllm-ascend", "0.9.1", ("vllm-ascend", "0.9.1", {"torch_npu": "2.5.1.post1", "CANN": "8.2.RC1"})),
        ("vllm_omni", "0.14.0", ("vllm-omni", "0.14.0", {})),
        ("vllm_omni", "0.15.0", ("vllm-omni", "", {})),  # nobody released one for it
        ("vllm_omni", "", ("vllm-omni", "", {})),
        ("vllm_nothing", "0.15.0", None),
    ],
)
def test_which_release_of_a_plugin_goes_with_a_vllm(plugin: str, vllm: str, pair: tuple[str, str, Any] | None) -> None:
    assert plugins.pair(plugin, vllm) == pair


def test_a_plugin_and_its_vllm_have_the_same_number() -> None:
    assert plugins.vllm_for("vllm_omni", "0.14.0") == "0.14.0"
    assert plugins.vllm_for("vllm_omni", "0.15.0") == ""
    assert plugins.of_flag("--omni") == "vllm_omni"
    assert plugins.of_flag("--model") == ""
    for name, entry in knowledge.table("plugins")["plugins"].items():
        assert len(entry["source"]) > 20
        for vllm, (version, *_) in entry["releases"].items():
            assert (release(version) or ())[:2] == (release(vllm) or ())[:2], (name, vllm)
