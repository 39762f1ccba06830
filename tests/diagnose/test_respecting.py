"""A fix changes the command at hand.

Every rule's fixes against commands that have each flag already, tighter, equal, looser.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from program import READ

from qvl_doctor.diagnose.fixing import fixes_of
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.diagnose.respecting import left_to_do
from qvl_doctor.launch.checking import check
from qvl_doctor.launch.editing import edit
from qvl_doctor.launch.logged_command import from_arguments
from qvl_doctor.launch.spelling import read_map
from qvl_doctor.logs.fact_values import settings
from qvl_doctor.logs.records import read_records
from qvl_doctor.messages import listed
from qvl_doctor.model import Fact, Facts, Fix, Hit, Rule
from qvl_doctor.values import as_number

RELEASES = ("", "0.7.2", "0.9.1", "0.32.0")
#: Flags whose value is a number of something that can be too much or too little; others are set to what is right.
SIZES = (
    *("--max-model-len", "--max-num-seqs", "--max-num-batched-tokens", "--gpu-memory-utilization", "--max-loras"),
    *("--max-cpu-loras", "--max-lora-rank", "--max-logprobs", "--mm-processor-cache-gb", "--swap-space", "--api-server-count"),
)  # fmt: skip
LIMITS = "--limit-mm-per-prompt"
#: Rules that are about how a value was written: the facts do not have that.
OF_SPELLING = ("argument-not-json", "limit-mm-not-json", "limit-mm-key-value")
#: What the facts do not tell whether it was given.
UNTOLD = ("--model", "--api-key")
BY_ID = {rule.id: rule for rule in READ}


@cache
def hits(name: str) -> tuple[tuple[Hit, Facts], ...]:
    """What a rule says on its own examples, each with the facts of the example."""
    rule: Rule = BY_ID[name]
    found = []
    for example in rule.matches:
        facts = {key: Fact(value) for key, value in example.facts.items()}
        found += [(hit, facts) for hit in Matcher([rule]).feed(list(read_records(example.log)))]
    return tuple(found)


def dest(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")


def given(args: dict[str, Any], release: str, facts: Facts) -> dict[str, Fact]:
    """The facts of a run with these arguments."""
    stated = {name: Fact(value) for name, value in settings(args) if value is not None}
    known = {"vllm": Fact(release)} if release else {}
    return {**{name: fact for name, fact in facts.items() if name != "args"}, **known, **stated, "args": Fact(args)}


def asked(fix: Fix) -> dict[str, Any]:
    return dict(fix.change.get("flags", {}))


def cases() -> Iterator[tuple[str, str, Any]]:
    """Each flag that a rule's fixes set where nothing is known of the command, with the value."""
    for rule in READ:
        seen = set()
        for hit, facts in hits(rule.id):
            for fix in fixes_of(hit, {name: fact for name, fact in facts.items() if name != "args"}):
                for flag, value in asked(fix).items():
                    if (flag, str(value)) not in seen:
                        seen.add((flag, str(value)))
                        yield rule.id, flag, value


TOLD = [case for case in cases() if case[0] not in OF_SPELLING and case[1] not in UNTOLD]
CASES = [pytest.param(*case, id=f"{case[0]} {case[1]} {case[2]}") for case in TOLD]
NUMBERS = [case for case in TOLD if case[1] in SIZES and as_number(str(case[2]))]


def number(value: Any) -> float:
    return float(str(value))


def near(flag: str, value: Any) -> tuple[Any, Any, Any]:
    """A tighter, the same and a looser value of a flag."""
    if flag == "--gpu-memory-utilization":
        return round(number(value) - 0.07, 2), number(value), round(min(0.99, number(value) + 0.04), 2)
    size = int(number(value))
    return max(1, size // 2), size, size * 2 + 1


def answers(name: str, args: dict[str, Any], release: str = "") -> Iterator[tuple[Fix, ...]]:
    for hit, facts in hits(name):
        yield fixes_of(hit, given(args, release, facts))


@pytest.mark.parametrize(("name", "flag", "value"), CASES)
def test_what_the_command_has_is_not_proposed(name: str, flag: str, value: Any) -> None:
    for release in RELEASES:
        args = {dest(flag): read_map(value) if isinstance(value, str) and value.startswith("{") else value}
        if value is None:
            args = {"model": "x"}
        elif as_number(str(value)) is not None:
            args = {dest(flag): int(value) if str(value).isdigit() else float(value)}
        for fixes in answers(name, args, release):
            assert all(asked(fix).get(flag, ...) != value for fix in fixes)
            changes = [fix.change for fix in fixes if fix.change]
            assert all(change not in changes[:at] for at, change in enumerate(changes))
            assert not fixes or not fixes[0].text["en"].startswith("Or ")


@pytest.mark.parametrize(("name", "flag", "value"), NUMBERS)
def test_a_number_moves_one_way(name: str, flag: str, value: Any) -> None:
    lower, same, higher = near(flag, value)
    proposed: dict[Any, set[float]] = {}
    for now in (lower, same, higher):
        for fixes in answers(name, {dest(flag): now}):
            told = [number(asked(fix)[flag]) for fix in fixes if as_number(str(asked(fix).get(flag))) is not None]
            assert number(now) not in told
            assert not (any(one < now for one in told) and any(one > now for one in told)), "two fixes pull apart"
            proposed.setdefault(now, set()).update(told)
    wanted = number(value)
    if lower != same:
        assert not (wanted in proposed.get(lower, ()) and wanted in proposed.get(higher, ())), (
            "proposed from both sides"
        )


@pytest.mark.parametrize("name", sorted({name for name, flag, _ in cases() if flag in SIZES and BY_ID[name].memory}))
def test_nothing_is_loosened_where_memory_ran_out(name: str) -> None:
    for length in (512, 1024, 2048, 4096, 8192):
        args = {"max_model_len": length, "max_num_seqs": 2, "max_num_batched_tokens": length}
        for fixes in answers(name, args):
            for fix in fixes:
                for flag in ("--max-model-len", "--max-num-seqs", "--max-num-batched-tokens"):
                    if str(asked(fix).get(flag)).isdigit() and "worst-case" not in name:
                        assert number(asked(fix)[flag]) < args[dest(flag)]


@pytest.mark.parametrize(("name", "flag", "value"), CASES)
def test_a_fix_changes_the_command_and_the_release_reads_it(name: str, flag: str, value: Any) -> None:
    args = {
        "model": "Qwen/Qwen2.5-VL-7B-Instruct",
        "max_model_len": 20000,
        "limit_mm_per_prompt": {"image": 3, "audio": 2},
    }
    for release in RELEASES[1:]:
        command = from_arguments(args, release)
        known = {problem.kind for problem in check(command, release)}
        for fixes in answers(name, args, release):
            for fix in fixes:
                flags = asked(fix)
                if flags and fix.change.keys() == {"flags"}:
                    after = edit(command, fix.change, release)
                    assert after != command, f"{flag} {value}"
                    new = [problem for problem in check(after, release) if problem.kind not in known]
                    assert not [problem for problem in new if problem.flag == LIMITS], new
                    if isinstance(flags.get(LIMITS), str):
                        assert (read_map(flags[LIMITS]) or {}).get("audio") == 2


def facts_of(**args: Any) -> dict[str, Fact]:
    return given(args, "", {})


@pytest.mark.parametrize(
    ("flags", "remedy", "args", "left"),
    [
        ({"--max-model-len": "4096"}, "", {"max_model_len": 2048}, {}),
        ({"--max-model-len": "4096"}, "", {"max_model_len": 4096}, {}),
        ({"--max-model-len": "4096"}, "", {"max_model_len": 8192}, {"--max-model-len": "4096"}),
        ({"--max-model-len": "4096"}, "", {}, {"--max-model-len": "4096"}),
        ({"--max-model-len": "4096"}, "", {"max_model_len": -1}, {"--max-model-len": "4096"}),
        ({"--max-model-len": "4096"}, "longer_context", {"max_model_len": 2048}, {"--max-model-len": "4096"}),
        ({"--max-model-len": "4096"}, "longer_context", {"max_model_len": 8192}, {}),
        ({"--gpu-memory-utilization": "0.95"}, "more_utilization", {"gpu_memory_utilization": 0.95}, {}),
        ({"--gpu-memory-utilization": "0.95"}, "more_utilization", {"gpu_memory_utilization": 0.98}, {}),
        ({"--max-loras": "4"}, "", {"max_loras": 8}, {}),
        ({"--max-loras": "4"}, "", {"max_loras": 2}, {"--max-loras": "4"}),
        ({"--tensor-parallel-size": "2"}, "more_gpus", {"tensor_parallel_size": 4}, {}),
        ({"--tensor-parallel-size": "2"}, "tensor_parallel_for_heads", {"tensor_parallel_size": 4}, {"--tensor-parallel-size": "2"}),
        ({"--enforce-eager": True}, "", {"enforce_eager": True}, {}),
        ({"--enforce-eager": True}, "", {"enforce_eager": False}, {"--enforce-eager": True}),
        ({"--enforce-eager": None}, "", {"enforce_eager": False}, {}),
        ({"--enforce-eager": None}, "", {"enforce_eager": True}, {"--enforce-eager": None}),
        ({"--no-enable-prefix-caching": True}, "", {"enable_prefix_caching": False}, {}),
        ({"--no-enable-prefix-caching": True}, "", {"enable_prefix_caching": True}, {"--no-enable-prefix-caching": True}),
        ({"--dtype": "half"}, "", {"dtype": "half"}, {}),
        ({"--dtype": "half"}, "", {"dtype": "bfloat16"}, {"--dtype": "half"}),
        ({"--served-model-name": "a"}, "", {"served_model_name": ["a"]}, {}),
        ({"--quantization": None}, "", {"model": "x"}, {}),
        ({"--api-key": None}, "", {"model": "x"}, {"--api-key": None}),
        ({"--quantization": None}, "", {"model": "x", "revision": None}, {"--quantization": None}),
        ({LIMITS: {"video": "0"}}, "", {"limit_mm_per_prompt": {"image": 4}}, {LIMITS: {"image": 4, "video": 0}}),
        ({LIMITS: {"video": "0"}}, "", {"limit_mm_per_prompt": {"image": 4, "video": 0}}, {}),
        ({LIMITS: {"image": "2"}}, "", {"limit_mm_per_prompt": {"image": 1}}, {}),
        ({LIMITS: {"image": "2"}}, "items_sent", {"limit_mm_per_prompt": {"image": 1}}, {LIMITS: {"image": 2}}),
        ({LIMITS: {"image": "2"}}, "items_sent", {"limit_mm_per_prompt": {"image": 4}}, {}),
        ({LIMITS: {"image": "1"}}, "", {"limit_mm_per_prompt": "image=4,video=0"}, {LIMITS: {"image": 1, "video": 0}}),
        ({"--mm-processor-kwargs": {"max_pixels": "100"}}, "", {"mm_processor_kwargs": {"max_pixels": 50}}, {}),
        (
            {"--max-model-len": "9", "--max-num-seqs": "4"}, "", {"max_model_len": 9, "max_num_seqs": 8},
            {"--max-num-seqs": "4"},
        ),
    ],
)  # fmt: skip
def test_what_is_left_to_do(flags: dict[str, Any], remedy: str, args: dict[str, Any], left: dict[str, Any]) -> None:
    assert left_to_do(flags, remedy, facts_of(**args)) == left


def test_nothing_is_held_back_where_the_command_is_not_known() -> None:
    assert left_to_do({"--quantization": None, "--enforce-eager": True}, "", {}) == {
        "--quantization": None,
        "--enforce-eager": True,
    }


def test_the_first_fix_begins_with_no_or() -> None:
    other = Fix({"en": "Or use less.", "zh": "或减少用量。"}, {"flags": {"--a": "1"}})
    first = Fix({"en": "Use more.", "zh": "增加用量。"}, {"flags": {"--a": "2"}})
    assert [fix.text["en"] for fix in listed([other, other, first])] == ["Use less.", "Use more."]
    assert listed([other])[0].text["zh"] == "减少用量。"
    assert [fix.text["en"] for fix in listed([first, other])] == ["Use more.", "Or use less."]
    assert listed([]) == ()


@pytest.mark.parametrize("zh", ["或减少用量。", "或者减少用量。", "或者，减少用量。"])
def test_the_first_fix_begins_with_no_or_in_chinese(zh: str) -> None:
    assert listed([Fix({"en": "Or use less.", "zh": zh})])[0].text == {"en": "Use less.", "zh": "减少用量。"}
