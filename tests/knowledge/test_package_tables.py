"""What is known of other packages: what is asked for, what is gone, and which pairs break."""

from __future__ import annotations

import json
import re

import pytest

from qvl_doctor import knowledge
from qvl_doctor.knowledge import packages
from qvl_doctor.versions import release, satisfies

ENTRIES = knowledge.table("breaks")["breaks"]
HOSTILE = ["", ".", "." * 10_000, "x" * 100_000, "名", "'[", "\x00"]


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("cv2", "opencv-python-headless"),
        ("google.protobuf.internal", "protobuf"),
        ("compressed_tensors.config", "compressed-tensors"),
        ("flashinfer", "flashinfer-python"),
        ("opentelemetry.sdk.trace", "opentelemetry-sdk"),
        ("opentelemetry.trace", "opentelemetry-api"),
        ("numpy", "numpy"),
    ],
)
def test_a_module_belongs_to_a_package(module: str, package: str) -> None:
    assert packages.package_of(module) == package


@pytest.mark.parametrize(
    ("package", "installed", "spec", "by"),
    [
        # requirements/common.txt of 0.10.0; 0.10.1 asks for more.
        ("openai", {"vllm": "0.10.0"}, ">=1.87.0,<=1.90.0", ("vLLM 0.10.0",)),
        ("openai", {"vllm": "0.10.1.1"}, ">=1.99.1", ("vLLM 0.10.1.1",)),
        ("xformers", {"vllm": "0.11.0"}, "==0.0.32.post1", ("vLLM 0.11.0",)),
        ("xformers", {"vllm": "0.12.0"}, "", ()),  # no longer
        ("huggingface-hub", {"transformers": "4.57.1"}, ">=0.34.0,<1.0", ("Transformers 4.57.1",)),
        # Two that ask: the tighter bounds count.
        (
            "huggingface-hub",
            {"vllm": "0.9.2", "transformers": "4.53.2"},
            ">=0.33.0,<1.0",
            ("vLLM 0.9.2", "Transformers 4.53.2"),
        ),
        (
            "tokenizers",
            {"vllm": "0.10.0", "transformers": "4.55.4"},
            ">=0.21.1,<0.22",
            ("vLLM 0.10.0", "Transformers 4.55.4"),
        ),
        ("triton", {"torch": "2.8.0+cu128"}, "==3.4.0", ("torch 2.8.0+cu128",)),
        ("triton", {"torch": "2.12.0"}, "", ()),  # its metadata were not read
        ("nvidia-nccl-cu12", {"torch": "2.8.0"}, "==2.27.3", ("torch 2.8.0",)),
        # In no metadata, but in a file of the sources.
        ("nixl", {"vllm": "0.20.0"}, ">=0.7.1,<=0.10.1", ("vLLM 0.20.0",)),
        ("openai", {"vllm": "0.99.0"}, "", ()),
        ("openai", {"vllm": "dev"}, "", ()),
        ("openai", {}, "", ()),
        ("no-such-package", {"vllm": "0.10.0"}, "", ()),
    ],
)
def test_what_the_installed_releases_ask_for(
    package: str, installed: dict[str, str], spec: str, by: tuple[str, ...]
) -> None:
    found = packages.asked(package, installed)
    assert (found.range, found.by) == (spec, by) if found else not spec


@pytest.mark.parametrize(
    ("ranges", "joined"),
    [
        ([], ""),
        ([">=1.0,<3", ">=2"], ">=2,<3"),
        ([">=1", "<2", "<=1.5"], ">=1,<=1.5"),
        ([">=1.0", "==1.2"], "==1.2"),
        (["==1.2", "==1.3"], ""),
        (["==1.2", ">=1.3"], ""),
        ([">=2", "<2"], ""),
        ([">=3", "<2"], ""),
        ([">=4.56.0,!=5.0.*", ">=4.57"], ">=4.57,!=5.0.*"),
        ([">=4.56.0,!=5.0.*", ">=5.10,<5.15"], ">=5.10,<5.15"),  # what is left out lies outside
        ([">=5.29.6,!=6.30.*", "<6"], ">=5.29.6,<6"),
    ],
)
def test_ranges_are_joined(ranges: list[str], joined: str) -> None:
    assert packages.merged(ranges) == joined


def test_all_that_is_asked_for_can_be_read() -> None:
    table = knowledge.table("requirements")
    for owner in packages.OWNERS:
        versions = table["releases"][owner].split()
        for package, changes in table[owner].items():
            assert re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", package)
            for first, spec in changes:
                assert first in versions, package
                assert not spec or satisfies("1.0", spec) is not None  # malformed ranges raise
    assert set(table["releases"]["vllm"].split()) <= set(knowledge.table("pins")["releases"])


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("WHISPER_ATTENTION_CLASSES", "<4.53"),
        ("HybridCache", "<5"),
        ("LlamaFlashAttention2", "<4.48"),
        ("Gemma3ProcessorKwargs", "<5.23"),
        ("DynamicCache", ""),
        ("Qwen2_5_VLConfig", ""),
        *((name, "") for name in HOSTILE),
    ],
)
def test_names_that_transformers_has_no_more(name: str, limit: str) -> None:
    assert packages.gone_after(name) == limit


def test_no_name_is_gone_twice() -> None:
    last = knowledge.table("transformers_names")["last"]
    names = [name for row in last.values() for name in row.split()]
    assert len(names) == len(set(names)) > 1000
    assert list(last) == sorted(last, key=lambda minor: release(minor) or ())


def test_enough_pairs_are_known_to_break() -> None:
    assert len(ENTRIES) >= 60
    assert len({json.dumps(entry["looks"]) for entry in ENTRIES.values()}) == len(ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_pair_says_how_it_looks_what_helps_and_where_that_is_from(name: str) -> None:
    entry = ENTRIES[name]
    assert any(re.search(look, entry["example"]) for look in entry["looks"])
    assert set(entry) <= {*packages.Break._fields, "breaks", "example", "source"}
    assert any(entry.get(key) for key in ("package", "fixed", "remove", "upgrade"))
    assert len(entry["breaks"]) > 15
    assert re.match(r"https://\S+$|vllm/\S+ of \d", entry["source"])
    for spec in (entry.get("good", ""), entry.get("vllm", "")):
        assert not spec or satisfies("1.0", spec) is not None
    assert not entry.get("fixed") or entry["fixed"] in knowledge.table("pins")["releases"]
    # A pair with a range of vLLM is well from the end of that range on, or later, where the releases between want
    # another Transformers.
    if entry.get("fixed") and entry.get("vllm"):
        assert satisfies(entry["fixed"], entry["vllm"]) is False


@pytest.mark.parametrize(
    ("said", "installed", "known"),
    [
        ("got multiple values for argument 'image_processor'", {"vllm": "0.9.1"}, True),
        ("got multiple values for argument 'image_processor'", {"vllm": "0.9.2"}, False),
        ("got multiple values for argument 'image_processor'", {"vllm": "0.9.1", "transformers": "4.52.4"}, False),
        ("got multiple values for argument 'image_processor'", {"vllm": "0.9.1", "transformers": "4.53.0"}, True),
        ("got multiple values for argument 'image_processor'", {}, True),
        *((said, {}, False) for said in HOSTILE),
    ],
)
def test_a_pair_is_none_where_its_releases_are_well(said: str, installed: dict[str, str], known: bool) -> None:
    assert bool(packages.break_of(said, installed)) is known
