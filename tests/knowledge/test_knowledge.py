"""The tables say what vLLM's and Transformers' sources say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from qvl_doctor import knowledge
from qvl_doctor.versions import release, satisfies

TABLES = sorted((Path(knowledge.__file__).parent).glob("*.json"))
HOSTILE = ["", " ", "../../etc/passwd", "__class__", "\x00", "qwen2_5_vl\n", "{}", "名", "x" * 100_000]


def table(name: str) -> dict[str, Any]:
    (path,) = (path for path in TABLES if path.stem == name)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


MODEL_TYPES: dict[str, dict[str, str]] = table("model_types")["model_types"]
TRANSFORMERS = [f"{major}.{minor}.1" for major, minors in ((4, range(40, 58)), (5, range(24))) for minor in minors]
RELEASES: list[str] = list(table("pins")["releases"])


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_table_says_where_it_is_from_and_when(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert len(content["source"]) > 20
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", content["date"])


def test_the_tables_stay_small() -> None:
    assert sum(path.stat().st_size for path in TABLES) < 450_000


@pytest.mark.parametrize(
    ("name", "transformers", "vllm"),
    [
        # Where vLLM's first release with the architecture does not work, traps.json says why.
        ("qwen2_vl", "4.45", "0.6.3"),
        ("qwen2_5_vl", "4.49", "0.7.3"),
        ("qwen3", "4.51", "0.8.5"),
        ("qwen3_moe", "4.51", "0.8.4"),
        ("qwen3_vl", "4.57", "0.11.0"),
        ("qwen3_vl_moe", "4.57", "0.11.0"),
        ("qwen2_5_omni", "4.52", "0.9.0"),
        ("gemma3", "4.50", "0.8.0"),
        ("mistral3", "4.50", "0.8.3"),
        ("llama4", "4.51", "0.8.3"),
        ("glm4v", "4.53", "0.9.2"),
        ("internvl", "4.52", "0.10.2"),
        ("gemma4", "5.5", "0.19.0"),
        # The checkpoint brings the config that Transformers has only now.
        ("paddleocr_vl", "5.0", "0.11.1"),
        ("deepseek_v2", "4.54", "0.6.0"),
        ("minimax_m2", "5.0", "0.11.1"),
        ("molmo2", "5.20", "0.15.0"),
        ("glm4_moe_lite", "5.0", "0.15.0"),
        # vLLM reads these itself.
        ("kimi_vl", "", "0.8.5"),
        ("deepseek_vl_v2", "", "0.7.0"),
        # vLLM read it itself before Transformers did.
        ("qwen3_next", "4.57", "0.10.2"),
        ("qwen3_5", "5.2", "0.17.0"),
        # No architecture of vLLM's.
        ("pixtral", "4.45", ""),
        ("detr", "4.40", ""),
    ],
)
def test_what_a_model_type_needs(name: str, transformers: str, vllm: str) -> None:
    known = knowledge.model_type(name)
    assert known
    assert (known.transformers, known.vllm) == (transformers, vllm)


@pytest.mark.parametrize(
    ("name", "together"),
    [
        # 0.19.0 asks for Transformers below 5.
        ("gemma4", "0.19.1"),
        ("glm4_moe_lite", "0.19.1"),
        ("deepseek_v2", "0.10.0"),
        # Where the first release runs with a Transformers that knows the type, there is nothing to add.
        ("qwen3_vl", ""),
    ],
)
def test_the_first_release_that_runs_with_a_transformers_that_knows_the_type(name: str, together: str) -> None:
    known = knowledge.model_type(name)
    assert known
    assert known.together == together


def test_a_config_that_vllm_dropped_comes_with_the_checkpoint() -> None:
    known = knowledge.model_type("skywork_chat")
    assert known
    assert (known.vllm, known.until, known.shipped) == ("0.8.3", "", True)


def test_a_model_type_that_vllm_dropped_has_a_last_release() -> None:
    known = knowledge.model_type("mllama")
    assert known
    assert (known.vllm, known.until) == ("0.6.2", "0.10.2")


@pytest.mark.parametrize("name", ["qwen9_vl", "Qwen2_5_VL", "llava-next-video", *HOSTILE])
def test_what_no_table_knows(name: str) -> None:
    assert knowledge.model_type(name) is None
    assert knowledge.architecture(name) is None
    assert knowledge.flag(name) is None
    assert knowledge.renamed_flag(name) is None
    assert knowledge.pin(name) is None
    assert knowledge.transformers_range(name) == ""
    assert knowledge.likely_architecture(name) == ""
    assert knowledge.model_type_of(name) == ""
    assert knowledge.images(name) == ()


def test_every_pair_of_releases_can_be_installed_together() -> None:
    for name, entry in MODEL_TYPES.items():
        if "vllm" not in entry or "transformers" not in entry or "until" in entry:
            continue
        # pip takes any release from the first on; one of them must accept a Transformers release from its first on.
        first = entry.get("together", entry["vllm"])
        ranges = [knowledge.transformers_range(each) for each in RELEASES if satisfies(each, f">={first}")]
        candidates = [each for each in TRANSFORMERS if satisfies(each, f">={entry['transformers']}")]
        assert any(satisfies(each, spec) for each in candidates for spec in ranges), name


def test_every_release_named_for_a_model_type_has_its_architecture() -> None:
    for name, entry in MODEL_TYPES.items():
        for vllm in (entry[key] for key in ("vllm", "until", "image") if key in entry):
            span = knowledge.architecture(entry["architecture"])
            assert span, name
            assert satisfies(vllm, f">={span.first}" + (f",<={span.last}" if span.last else "")), name


@pytest.mark.parametrize(
    ("name", "image"),
    [
        # 0.7.3 appeared three days after Transformers 4.49: its image may have an older layer.
        ("qwen2_5_vl", "0.8.5.post1"),
        # 0.11.0 is ten days older than Transformers 4.57.1, the first 4.57 that was not withdrawn.
        ("qwen3_vl", "0.11.2"),
        ("qwen2_vl", "0.6.6.post1"),
        ("kimi_vl", "0.8.5.post1"),
    ],
)
def test_an_image_surely_carries_both(name: str, image: str) -> None:
    known = knowledge.model_type(name)
    assert known
    assert known.image == image
    assert satisfies(image, f">={known.vllm}")


def test_images_of_model_makers_belong_to_known_types() -> None:
    assert knowledge.images("qwen2_5_vl") == ("qwenllm/qwenvl:2.5-cu121",)
    assert set(table("images")["model_types"]) <= set(MODEL_TYPES)


@pytest.mark.parametrize(
    ("name", "span"),
    [
        ("Qwen2_5_VLForConditionalGeneration", ("0.7.2", "")),
        ("Qwen3VLForConditionalGeneration", ("0.11.0", "")),
        ("InternVLChatModel", ("0.6.0", "")),
        ("MllamaForConditionalGeneration", ("0.6.2", "0.10.2")),
    ],
)
def test_architectures(name: str, span: tuple[str, str]) -> None:
    assert knowledge.architecture(name) == span


@pytest.mark.parametrize(
    ("backbone", "architecture"),
    [
        ("Qwen2_5_VLModel", "Qwen2_5_VLForConditionalGeneration"),
        ("Qwen3VLModel", "Qwen3VLForConditionalGeneration"),
        ("Gemma3Model", "Gemma3ForConditionalGeneration"),
        ("Phi3Model", "Phi3ForCausalLM"),
        ("Qwen9Model", ""),
        ("Model", ""),
        ("Qwen2_5_VLForConditionalGeneration", ""),
    ],
)
def test_a_bare_backbone_stands_for_its_model(backbone: str, architecture: str) -> None:
    assert knowledge.likely_architecture(backbone) == architecture


def test_an_architecture_of_several_types_is_nobodys() -> None:
    assert knowledge.model_type_of("Qwen2_5_VLForConditionalGeneration") == "qwen2_5_vl"
    assert knowledge.model_type_of("GPT2LMHeadModel") == ""  # gpt2 and gpt-sw3


@pytest.mark.parametrize(
    ("vllm", "spec"),
    [
        ("0.6.6.post1", ">=4.45.2,<5"),
        ("0.7.2", ">=4.48.2,<5"),
        ("0.9.2", ">=4.51.1,<4.54"),
        ("0.10.0", ">=4.53.2,<5"),
        ("0.11.0", ">=4.55.2,<5"),
        ("0.12.0", ">=4.56.0,<5"),
        ("0.24.0", ">=5.5.3"),
        ("0.33.0", ">=5.16.1,<5.21.0"),
        ("0.99.0", ""),
    ],
)
def test_transformers_that_a_release_runs_with(vllm: str, spec: str) -> None:
    assert knowledge.transformers_range(vllm) == spec


def test_the_tightest_limit_counts() -> None:
    assert knowledge.transformers_range("0.9.2", "<4.53") == ">=4.51.1,<4.53"
    assert knowledge.transformers_range("0.9.2", "<5") == ">=4.51.1,<4.54"


@pytest.mark.parametrize(
    ("vllm", "at_least", "spec"),
    [
        ("0.8.5", "", ">=4.51.1,<4.52"),
        ("0.8.5", "4.51", ">=4.51.1,<4.52"),
        ("0.8.5", "4.53", ">=4.51.1,<5"),  # the model needs more than the release was tried with
        (
            "0.11.0",
            "",
            ">=4.55.2,<5",
        ),  # 4.57, the last before 5, came some days after the release that serves Qwen3-VL with it
        ("0.12.0", "", ">=4.56.0,<5"),
        ("0.24.0", "", ">=5.5.3,<5.13"),
        ("0.33.0", "", ">=5.16.1,<5.21.0"),
        ("0.99.0", "", ""),
    ],
)
def test_transformers_to_install_is_none_that_came_well_after_the_release(vllm: str, at_least: str, spec: str) -> None:
    assert knowledge.transformers_advice(vllm, at_least=at_least) == spec


@pytest.mark.parametrize(
    ("transformers", "at_least", "vllm"),
    [
        ("4.54.1", "0.9.1", "0.10.0"),
        ("4.57.1", "0.11.0", "0.11.0"),
        ("5.6.2", "0.11.0", "0.20.0"),
        ("5.1.0", "0.11.0", ""),  # every release asks for less, or excludes it by name
        ("4.57.1", "0.30.0", ""),
        ("no version", "", ""),
    ],
)
def test_the_first_release_that_runs_with_a_transformers(transformers: str, at_least: str, vllm: str) -> None:
    assert knowledge.vllm_for_transformers(transformers, at_least) == vllm


@pytest.mark.parametrize(
    ("vllm", "name", "torch", "cuda"),
    [
        ("0.8.5", "0.8.5", "2.6.0", "12.4"),
        ("0.8.5.post1", "0.8.5.post1", "2.6.0", "12.4"),
        ("0.6.6", "0.6.6.post1", "2.5.1", "12.1"),
        ("0.7.2.dev56+gbf3b79ef", "0.7.2", "2.5.1", "12.1"),
        ("0.20.0", "0.20.0", "2.11.0", "13.0"),
    ],
)
def test_pins(vllm: str, name: str, torch: str, cuda: str) -> None:
    found = knowledge.pin(vllm)
    assert found
    assert (found.vllm, found.torch, found.cuda) == (name, torch, cuda)


def test_every_range_can_be_read() -> None:
    assert knowledge.newest_vllm() == RELEASES[-1]
    for vllm in RELEASES:
        found = knowledge.pin(vllm)
        assert found
        assert release(found.torch)
        # Malformed ranges raise.
        assert satisfies("3.7", found.python) is False
        assert satisfies("3.11", found.python) is True
        assert satisfies("4.0", knowledge.transformers_range(vllm)) is False


@pytest.mark.parametrize(
    ("name", "span"),
    [
        ("--max-model-len", ("0.6.0", "")),
        ("--max_model_len", ("0.6.0", "")),
        ("--swap-space", ("0.6.0", "0.17.1")),
        ("--mm-processor-cache-gb", ("0.10.1", "")),
    ],
)
def test_flags(name: str, span: tuple[str, str]) -> None:
    assert knowledge.flag(name) == span


def test_a_flag_that_took_the_place_of_another_overlaps_it_or_follows() -> None:
    for name in table("traps")["renamed_flags"]:
        old, new = knowledge.flag(name), knowledge.renamed_flag(name)
        assert old, name
        assert old.last, f"{name} is still there"
        assert new, name
        flag = knowledge.flag(new.flag.split(".")[0].replace("--no-", "--"))
        assert flag, new.flag
        following = RELEASES[RELEASES.index(old.last) + 1]
        assert satisfies(following, f">={flag.first}"), name


def test_a_flag_of_others_is_none_of_vllms_and_stands_for_one_that_every_release_has_or_will_have() -> None:
    for name in table("traps")["flags_of_others"]:
        assert knowledge.flag(name) is None, name
        theirs = knowledge.flag_of_others(name)
        assert theirs, name
        flag = knowledge.flag(theirs.flag.replace("--no-", "--"))
        assert flag, theirs.flag
        assert not flag.last, theirs.flag


def test_a_bare_flag_turns_into_one_with_a_value() -> None:
    assert knowledge.renamed_flag("--disable-mm-preprocessor-cache") == ("--mm-processor-cache-gb", "0")
    assert knowledge.renamed_flag("--cuda_graph_sizes") == ("--cudagraph-capture-sizes", "")
    assert knowledge.renamed_flag("--max-model-len") is None
    assert "--max-model-len" in knowledge.flags()
