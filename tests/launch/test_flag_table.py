"""What the flag table says of single flags was read in the sources of the releases named, and in parsers that these
releases built."""

from __future__ import annotations

from typing import Any

import pytest

from qvl_doctor.knowledge import flag_table, table
from qvl_doctor.launch.spelling import spell_flags


@pytest.mark.parametrize(
    ("name", "release", "kind", "default"),
    [
        ("--max-model-len", "0.7.2", "int", None),
        ("--max-model-len", "0.8.4", "size", None),
        ("--max-model-len", "0.14.0", "size-or-auto", None),
        ("--limit-mm-per-prompt", "0.8.4", "pairs", None),
        ("--limit-mm-per-prompt", "0.8.5", "json-or-pairs", {}),
        ("--limit-mm-per-prompt", "0.10.0", "json", {}),
        ("--gpu-memory-utilization", "0.19.1", "float", 0.9),
        ("--gpu-memory-utilization", "0.20.0", "float", 0.92),
        ("--enable-chunked-prefill", "0.8.4", "truth", None),
        ("--enable-chunked-prefill", "0.8.5", "pair", None),
        ("--enforce-eager", "0.8.5", "switch", False),
        ("--enforce-eager", "0.9.0", "pair", False),
        ("--served-model-name", "0.6.0", "text*", None),
        ("--api-key", "0.10.0", "text", None),
        ("--api-key", "0.10.1", "text*", None),
        ("--middleware", "0.10.2", "text&", []),
        ("--hf-token", "0.10.2", "text?", "?"),
        ("--dtype", "0.11.0", "text", "auto"),
        ("--swap-space", "0.7.2.dev56+gbf3b79ef", "float", 4),
        ("--swap-space", "0.17.1.post1", "float", 4),
    ],
)
def test_a_flag_is_as_its_release_has_it(name: str, release: str, kind: str, default: Any) -> None:
    found = flag_table.option(name, release)
    assert found
    assert (found.kind, found.default) == (kind, default)
    assert flag_table.has(name, release)


@pytest.mark.parametrize(
    ("word", "release", "name"),
    [
        ("--max_model_len", "", "--max-model-len"),
        ("-tp", "", "--tensor-parallel-size"),
        ("-O", "0.10.0", "--compilation-config"),
        ("-O", "0.12.0", "--optimization-level"),
        ("-cc", "", "--compilation-config"),
        ("--device-memory-utilization", "0.31.0", "--gpu-memory-utilization"),
        # argparse takes the one flag that begins so; vLLM's own log advises --kv-cache-memory.
        ("--kv-cache-memory", "0.10.2", "--kv-cache-memory-bytes"),
        ("--max-model", "", "--max-model-len"),
        ("--no-enable-prefix-caching", "0.6.5", "--no-enable-prefix-caching"),
        # 0.24 to 0.30 have one flag that begins with the --device of old.
        ("--device", "0.24.0", "--device"),
    ],
)
def test_words_are_known_however_they_are_spelled(word: str, release: str, name: str) -> None:
    found = flag_table.match(word, release)
    assert found
    assert found.name == name


@pytest.mark.parametrize(
    "word",
    ["", "-", "--", "--x", "--max", "--enable-", "-zz", "max-model-len", "--no-", "--no-swap-space", "x" * 10_000],
)
def test_other_words_mean_nothing(word: str) -> None:
    assert flag_table.match(word) is None
    assert not flag_table.has(word, "0.7.2")


def test_two_names_of_a_flag_are_no_ambiguity() -> None:
    assert flag_table.completions("--device", "0.31.0") == ("--device-ids", "--device-memory-utilization")
    assert flag_table.completions("--gpu-mem", "0.31.0") == ("--gpu-memory-utilization",)


def test_enable_and_disable_are_one_flag_from_0_33_on() -> None:
    assert not flag_table.has("--disable-log-requests", "0.32.0")
    assert flag_table.has("--disable-log-requests", "0.33.0")
    found = flag_table.match("--disable-log-requests", "0.33.0")
    assert found
    assert (found.option.name, found.negative) == ("--enable-log-requests", True)


def test_guided_decoding_flags_lived_on_in_a_loop_until_0_11_2() -> None:
    found = flag_table.option("--guided-decoding-backend", "0.11.0")
    assert found
    assert (found.span.last, found.deprecated) == ("0.11.2", True)


def test_what_took_a_flags_place_is_offered_where_it_exists() -> None:
    assert flag_table.replacement("--guided-decoding-backend", "0.11.0") == "--structured-outputs-config.backend"
    assert flag_table.replacement("--guided-decoding-backend", "0.10.2") == ""
    assert flag_table.replacement("--swap-space", "0.18.0") == ""


def test_ways_of_writing_have_their_releases() -> None:
    assert flag_table.first_with("--limit-mm-per-prompt", "json") == "0.8.5"
    assert flag_table.last_with("--limit-mm-per-prompt", "pairs") == "0.9.2"
    assert flag_table.first_with("--enable-prefix-caching", "pair") == "0.6.5"
    assert flag_table.last_with("--limit-mm-per-prompt", "json") == ""
    assert [option.kind for option in flag_table.variants("--limit-mm-per-prompt")] == [
        "pairs",
        "json-or-pairs",
        "json",
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4096", 4096),
        ("4k", 4000),
        ("4K", 4096),
        ("25.6k", 25600),
        ("1M", 2**20),
        ("1.5K", None),
        ("4kb", None),
        ("", None),
        ("-1", -1),
    ],
)
def test_sizes(text: str, number: int | None) -> None:
    assert flag_table.size(text) == number


def test_maps_are_spelled_as_the_table_says() -> None:
    for release in table("pins")["releases"]:
        for name in flag_table.names(release):
            found = flag_table.match(name, release)
            assert found
            pairs = spell_flags({name: {"image": "1"}}, release)[name] == "image=1"
            assert pairs == (found.option.kind == "pairs"), (name, release)


KINDS = {"switch", "pair", "truth", "int", "size", "size-or-auto", "float", "text", "pairs"} | flag_table.JSON_KINDS


def test_every_entry_can_be_asked_for_every_release() -> None:
    for release in ("", *table("pins")["releases"]):
        for name in flag_table.names(release):
            found = flag_table.match(name, release)
            assert found, (name, release)
            assert not release or flag_table.has(name, release), (name, release)
            assert found.option.value_kind in KINDS


@pytest.mark.parametrize(
    ("span", "spelled"),
    [
        (">=0.6.5,<0.8.0", "image=1"),
        ("<0.8.5", "image=1"),
        ("<0.10.0", "image=1"),  # pairs are read by all of them, JSON is not
        (">=0.8.0,<0.9.0", "image=1"),
        (">=0.8.5,<0.10.0", '{"image": 1}'),
        (">=0.8.0,<0.11.0", '{"image": 1}'),
        ("<0.10.1", '{"image": 1}'),
        (">=0.7.0", '{"image": 1}'),
        (">=0.10.0", '{"image": 1}'),
        ("", '{"image": 1}'),
    ],
)
def test_a_map_is_spelled_for_a_whole_range(span: str, spelled: str) -> None:
    assert spell_flags({"--limit-mm-per-prompt": {"image": "1"}}, span) == {"--limit-mm-per-prompt": spelled}
    assert spell_flags({"--mm-processor-kwargs": {"a": "1"}}, span) == {"--mm-processor-kwargs": '{"a": 1}'}
