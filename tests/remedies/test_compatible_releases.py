"""Which releases a model needs, an installation lacks, or a text in a log asks for."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from qvl_doctor import remedies
from qvl_doctor.model import Fact
from qvl_doctor.remedies import compatible_releases

HOSTILE = [
    "",
    " ",
    "[]",
    "'",
    "\x00",
    "名",
    "{vllm}",
    "../x",
    "[" * 100_000,
    "x" * 100_000,
    "['" * 50_000,
    "9" * 100_000,
]


def facts(**known: object) -> dict[str, Fact]:
    return {name: Fact(value) for name, value in known.items()}


def test_every_remedy_of_the_register_exists() -> None:
    assert remedies.names() == sorted(set(remedies.names()))
    for name in remedies.names():
        remedy = remedies.find(name)
        assert remedy, name
        assert remedy.__name__ == name


@pytest.mark.parametrize(
    "name", ["", "releases", "find", "names", "__init__", "releases_for_model_type.x", "os.system"]
)
def test_what_is_no_remedy(name: str) -> None:
    assert remedies.find(name) is None


def test_the_register_imports_no_remedy() -> None:
    code = "import sys, qvl_doctor.remedies as r; r.names(); print([m for m in sys.modules if m.startswith('qvl_doctor.remedies.')])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"


def test_both_packages_are_named_for_a_model_type() -> None:
    answer = compatible_releases.releases_for_model_type(
        {"model_type": "qwen2_5_vl"}, facts(vllm="0.7.2", transformers="4.48.3")
    )
    assert answer == {
        "model_type_known": "yes",
        "architecture": "Qwen2_5_VLForConditionalGeneration",
        "transformers_needed": "4.49",
        "transformers_have": "4.48.3",
        "vllm_needed": "0.7.3",
        "vllm_have": "0.7.2",
    }


def test_what_was_not_seen_is_not_claimed() -> None:
    answer = compatible_releases.releases_for_model_type({"model_type": "qwen2_5_vl"}, facts(vllm="not a version"))
    assert answer is not None
    assert not {"vllm_have", "transformers_have"} & set(answer)


@pytest.mark.parametrize("model_type", ["qwen9_vl", *HOSTILE[1:]])
def test_an_unknown_model_type_gets_no_invented_release(model_type: str) -> None:
    assert compatible_releases.releases_for_model_type({"model_type": model_type}, {}) == {"model_type_known": "no"}
    assert compatible_releases.image_for_model_type({"model_type": model_type}, {}) is None


def test_without_a_model_type_there_is_no_help() -> None:
    assert compatible_releases.releases_for_model_type({}, facts(vllm="0.7.2")) is None
    assert compatible_releases.image_for_model_type({"model_type": ""}, {}) is None


def test_a_type_that_vllm_reads_by_itself_needs_no_transformers() -> None:
    answer = compatible_releases.releases_for_model_type({"model_type": "kimi_vl"}, {})
    assert answer == {
        "model_type_known": "yes",
        "architecture": "KimiVLForConditionalGeneration",
        "vllm_needed": "0.8.5",
    }


def test_a_type_that_vllm_dropped_has_a_last_release_and_no_first() -> None:
    answer = compatible_releases.releases_for_model_type({"model_type": "mllama"}, {})
    assert answer == {
        "model_type_known": "yes",
        "architecture": "MllamaForConditionalGeneration",
        "transformers_needed": "4.45",
        "vllm_last": "0.10.2",
    }


@pytest.mark.parametrize(
    ("model_type", "answer"),
    [
        ("qwen2_5_vl", {"image": "vllm/vllm-openai:v0.8.5.post1", "image_of_maker": "qwenllm/qwenvl:2.5-cu121"}),
        ("qwen3_vl", {"image": "vllm/vllm-openai:v0.11.2", "image_of_maker": "qwenllm/qwenvl:qwen3vl-cu128"}),
        ("gemma3", {"image": "vllm/vllm-openai:v0.8.5.post1"}),
        ("detr", None),
    ],
)
def test_images(model_type: str, answer: dict[str, str] | None) -> None:
    assert compatible_releases.image_for_model_type({"model_type": model_type}, {}) == answer


def test_an_architecture_needs_a_release_that_works() -> None:
    answer = compatible_releases.releases_for_architecture(
        {"architecture": "Qwen2_5_VLForConditionalGeneration"}, facts(vllm="0.6.3")
    )
    assert answer == {
        "architecture": "Qwen2_5_VLForConditionalGeneration",
        "architecture_known": "yes",
        "image": "vllm/vllm-openai:v0.8.5.post1",  # that of 0.7.3 may carry an older Transformers release
        "vllm_needed": "0.7.3",  # 0.7.2 has it, but works with a development build of Transformers only
        "vllm_have": "0.6.3",
        "transformers_needed": "4.49",
    }


@pytest.mark.parametrize(
    "text",
    [
        "['Qwen3VLForConditionalGeneration']",
        "['Qwen3VLForConditionalGeneration', 'Other']",
        " Qwen3VLForConditionalGeneration ",
    ],
)
def test_the_first_of_a_list_counts(text: str) -> None:
    answer = compatible_releases.releases_for_architecture({"architecture": text}, {})
    assert answer is not None
    assert (answer["architecture"], answer["vllm_needed"]) == ("Qwen3VLForConditionalGeneration", "0.11.0")


@pytest.mark.parametrize(
    ("vllm", "needed"),
    [
        ("0.7.2", "0.7.3"),
        ("0.7.2.dev56+gbf3b79ef", "0.7.3"),
        ("0.7.3", None),
        ("0.8.5.post1", None),
        ("0.7.3.dev12", "0.7.3"),  # before or after the change: open
        (None, "0.7.3"),
    ],
)
def test_a_release_that_is_new_enough_is_not_named_again(vllm: str | None, needed: str | None) -> None:
    known = facts(vllm=vllm) if vllm else {}
    answer = compatible_releases.releases_for_architecture(
        {"architecture": "Qwen2_5_VLForConditionalGeneration"}, known
    )
    assert answer is not None
    assert answer.get("vllm_needed") == needed


@pytest.mark.parametrize(
    ("vllm", "key"),
    [("0.12.0", "vllm_removed"), ("0.10.2", "vllm_last"), ("0.6.0", "vllm_last"), (None, "vllm_last")],
)
def test_an_architecture_that_vllm_dropped(vllm: str | None, key: str) -> None:
    known = facts(vllm=vllm) if vllm else {}
    answer = compatible_releases.releases_for_architecture({"architecture": "MllamaForConditionalGeneration"}, known)
    assert answer is not None
    assert answer[key] == "0.10.2"
    assert len({"vllm_removed", "vllm_last", "vllm_needed"} & set(answer)) == 1


@pytest.mark.parametrize("vllm", ["0.8.1", "0.33.0"])
def test_a_bare_backbone_is_named_for_what_it_belongs_to(vllm: str) -> None:
    assert compatible_releases.releases_for_architecture({"architecture": "Qwen2_5_VLModel"}, facts(vllm=vllm)) == {
        "architecture": "Qwen2_5_VLModel",
        "architecture_known": "no",
        "likely_architecture": "Qwen2_5_VLForConditionalGeneration",
        "vllm_have": vllm,
    }


def test_a_backbone_that_vllm_serves_itself_is_known_and_has_a_likely_one() -> None:
    answer = compatible_releases.releases_for_architecture({"architecture": "Qwen3Model"}, {})
    assert answer is not None
    assert answer["likely_architecture"] == "Qwen3ForCausalLM"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_architectures(text: str) -> None:
    start = time.perf_counter()
    answer = compatible_releases.releases_for_architecture({"architecture": text}, {})
    assert answer is None or answer["architecture_known"] == "no"
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("vllm", "transformers", "answer"),
    [
        # Transformers 5 under a release that never heard of it. No newer one takes 5.1 either: lowering it is the
        # only
        # way.
        ("0.11.0", "5.1.0", {"transformers_pin": ">=4.55.2,<5"}),
        ("0.11.0", "5.6.2", {"transformers_pin": ">=4.55.2,<5", "vllm_needed": "0.20.0"}),
        # 'aimv2' is already used by a Transformers config.
        ("0.9.1", "4.54.1", {"transformers_pin": ">=4.51.1,<4.53", "vllm_needed": "0.10.0"}),
        # What the tables know of this pair is fine.
        ("0.8.5", "4.51.3", {"transformers_pin": ">=4.51.1,<4.52"}),
        ("0.8.5.post1", "4.51.3", {"transformers_pin": ">=4.51.1,<4.52"}),
        ("0.7.2.dev56+gbf3b79ef", "4.49.0.dev0", {"transformers_pin": ">=4.48.2,<4.50"}),
        ("0.9.1", None, {"transformers_pin": ">=4.51.1,<4.53"}),
        # Newer than the tables: nothing is claimed.
        ("0.99.0", "5.99.0", None),
        (None, None, None),
        (None, "5.6.2", {"vllm_needed": "0.20.0"}),
    ],
)
def test_transformers_for_a_vllm(vllm: str | None, transformers: str | None, answer: dict[str, str] | None) -> None:
    installed = {name: version for name, version in (("vllm", vllm), ("transformers", transformers)) if version}
    have = {f"{name}_have": version for name, version in installed.items()}
    assert compatible_releases.transformers_for_vllm({}, facts(**installed)) == (answer and answer | have)


def test_a_model_that_needs_a_newer_transformers_raises_the_limit() -> None:
    for model_type, pin in (("qwen3_vl", ">=4.51.1,<4.54"), ("qwen2_5_vl", ">=4.51.1,<4.53"), ("", ">=4.51.1,<4.53")):
        answer = compatible_releases.transformers_for_vllm({"model_type": model_type}, facts(vllm="0.9.1"))
        assert answer == {"transformers_pin": pin, "vllm_have": "0.9.1"}


@pytest.mark.parametrize(
    ("vllm", "torch", "cuda"),
    [("0.8.5", "2.6.0", "12.4"), ("0.10.2", "2.8.0", "12.8"), ("0.6.3.post2.dev171+g890ca360", "2.4.0", "12.1")],
)
def test_torch_for_a_vllm(vllm: str, torch: str, cuda: str) -> None:
    answer = compatible_releases.torch_for_vllm({}, facts(vllm=vllm, torch="2.9.0+cu128"))
    assert answer == {"torch_pin": torch, "cuda": cuda, "vllm_have": vllm, "torch_have": "2.9.0+cu128"}


@pytest.mark.parametrize("vllm", [*HOSTILE, "0.99.0", None, 7, ["0.8.5"]])
def test_no_torch_for_a_release_that_is_not_known(vllm: object) -> None:
    assert compatible_releases.torch_for_vllm({}, facts(vllm=vllm)) is None
    assert compatible_releases.transformers_for_vllm({}, facts(vllm=vllm, transformers=vllm)) is None


def test_a_look_up_costs_little() -> None:
    known = facts(vllm="0.6.0", transformers="5.6.2")
    compatible_releases.transformers_for_vllm({}, known)
    start = time.perf_counter()
    for _ in range(10):
        compatible_releases.transformers_for_vllm({}, known)
    assert time.perf_counter() - start < 0.5
