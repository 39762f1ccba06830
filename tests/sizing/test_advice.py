"""`advise` on diagnoses built by hand.

Which fix is checked, which is put in front, and what the corrected command says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from memory_shapes import TINY

from qvl_doctor.launch.command import Command
from qvl_doctor.launch.reading import read
from qvl_doctor.memory.configs import read as read_config
from qvl_doctor.memory.forensics import Progress
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.shape import ModelShape
from qvl_doctor.memory.solver import Case
from qvl_doctor.memory.units import GIB
from qvl_doctor.messages import both
from qvl_doctor.model import Diagnosis, Fact, Finding, Fix, Line
from qvl_doctor.sizing import advice
from qvl_doctor.sizing.advice import advise
from qvl_doctor.sizing.case import Known

# One token of this model takes 2 × 2 heads × 32 × 2 bytes in each of 4 layers: 1 KiB of KV cache. On 4 GiB about 3 GiB
# are left for it: three million tokens.
SHAPE = read_config({**TINY, "max_position_embeddings": 8_000_000})
CARD = Gpu("test", 4 * GIB, 8.9)
RELEASE = "0.21.0"
TOO_LONG, FITTING = "4000000", "1000000"


def known(release: str = RELEASE) -> Known:
    assert isinstance(SHAPE, ModelShape)
    return Known(SHAPE, "", CARD, release)


def command(*flags: str, model: str = "m") -> Command:
    return read(["vllm", "serve", model, *flags], RELEASE)[0]


class Recorded:
    """Stands in for a function: keeps what it was asked, and has one answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return self.answer


def short(*flags: str) -> Command:
    return command("--max-model-len", TOO_LONG, *flags)


def text(words: str) -> dict[str, str]:
    return {"en": words, "zh": words}


def fix(words: str, **flags: Any) -> Fix:
    return Fix(text(words), {"flags": {"--" + name.replace("_", "-"): value for name, value in flags.items()}})


ENOUGH = fix("shorter", max_model_len=FITTING)
NOT_ENOUGH = fix("fewer", max_num_seqs="8")


def finding(*fixes: Fix, memory: bool = True, role: str = "cause", said: str = "") -> Finding:
    evidence = (Line(1, said),) if said else ()
    return Finding("r", role, "fatal", "certain", text("t"), text("why."), evidence, fixes, memory=memory)


def case(*findings: Finding, **facts: Any) -> Diagnosis:
    return Diagnosis("x", facts={name: Fact(value) for name, value in facts.items()}, findings=findings)


def words(found: Finding) -> list[str]:
    return [each.text["en"] for each in found.fixes]


# ---- Fixes are checked


def test_of_a_shortage_the_best_change_stands_first_and_what_does_not_suffice_last() -> None:
    found = advise(case(finding(NOT_ENOUGH, ENOUGH)), known(), short()).findings[0]
    first, enough, less = found.fixes
    assert first.change["flags"].keys() == {"--max-model-len"}
    assert int(FITTING) < int(first.change["flags"]["--max-model-len"]) < int(TOO_LONG)
    assert first.verified is not None
    assert enough == ENOUGH._replace(verified=enough.verified)
    assert enough.verified is not None
    assert enough.verified["by"] == "memory-model"
    assert "(--max-model-len 1000000)" in enough.verified["detail"]
    assert less.verified is None
    assert less.text["en"].startswith("fewer " + both("lack.room", detail="")["en"].partition(":")[0])
    assert "GiB < 3.81 GiB (--max-model-len 4000000)" in less.text["zh"]  # four million KiB


def test_the_best_change_is_not_said_twice() -> None:
    best = advise(case(finding()), known(), short()).findings[0].fixes[0]
    again = advise(case(finding(NOT_ENOUGH, Fix(text("the same"), best.change))), known(), short()).findings[0]
    assert [each.change for each in again.fixes] == [best.change, NOT_ENOUGH.change]


def test_only_the_first_shortage_is_solved() -> None:
    found = advise(case(finding(NOT_ENOUGH), finding(ENOUGH)), known(), short())
    assert [len(each.fixes) for each in found.findings] == [2, 1]
    later = advise(case(finding(NOT_ENOUGH, memory=False), finding(ENOUGH)), known(), short())
    assert [len(each.fixes) for each in later.findings] == [1, 2]


def test_other_ways_are_told_where_there_is_a_shortage() -> None:
    found = advise(case(finding()), known(), short())
    assert found.alternatives
    assert all(way.verified and way.text["en"] for way in found.alternatives)
    assert not advise(case(finding(memory=False)), known(), short()).alternatives
    assert not advise(case(finding()), known(), command("--max-model-len", FITTING)).alternatives


def test_where_no_flag_helps_it_is_said() -> None:
    tight = known()
    tight = Known(tight.shape, "", Gpu("small", GIB // 64, 8.9), RELEASE)
    found = advise(case(finding(NOT_ENOUGH)), tight, short()).findings[0]
    assert found.why["en"] == "why. " + both("advice.no_way")["en"]
    assert len(found.fixes) == 1


@pytest.mark.parametrize(
    ("diagnosis", "why"),
    [
        (case(finding(NOT_ENOUGH, ENOUGH, memory=False)), "it is not about memory"),
        (
            case(
                finding(NOT_ENOUGH, ENOUGH),
                gpu_total_gib=24.0,
                gpu_free_gib=1.0,
                oom_torch_allocated_gib=3.0,
            ),
            "others hold 20 GiB, which no change of this command frees",
        ),
    ],
)
def test_a_shortage_that_the_model_does_not_see_is_not_solved(diagnosis: Diagnosis, why: str) -> None:
    found = advise(diagnosis, known(), short()).findings[0]
    assert words(found) == ["fewer", "shorter"], why
    assert [bool(each.verified) for each in found.fixes] == [False, True]


def test_a_symptom_is_not_solved() -> None:
    found = advise(case(finding(NOT_ENOUGH, ENOUGH, role="symptom")), known(), short())
    assert [bool(each.verified) for each in found.findings[0].fixes] == [True, False]
    assert len(found.findings[0].fixes) == 2
    assert not found.alternatives


def test_no_fix_is_checked_against_a_problem_that_the_model_does_not_see() -> None:
    """By the model the command fits, so it would call every change enough."""
    fits = command("--max-model-len", str(int(FITTING) - 16))
    assert advise(case(finding(ENOUGH)), known(), fits).findings[0].fixes == (ENOUGH,)
    assert advise(case(finding(ENOUGH, memory=False)), known(), fits).findings[0].fixes[0].verified


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("max_model_len", "500000"),
        ("max_num_seqs", "8"),
        ("max_num_batched_tokens", "1024"),
        ("gpu_memory_utilization", "0.8"),
        ("limit_mm_per_prompt", {"image": 1}),
        ("mm_processor_kwargs", {"max_pixels": 1}),
        ("kv_cache_dtype", "fp8"),
        ("kv_cache_memory_bytes", "3000000000"),
        ("enforce_eager", True),
        ("tensor_parallel_size", "2"),
        ("pipeline_parallel_size", "2"),
        ("cpu_offload_gb", "1"),
        ("language_model_only", True),
        ("skip_mm_profiling", True),
    ],
)
def test_a_fix_with_a_flag_that_takes_memory_is_checked(flag: str, value: Any) -> None:
    fits = command("--max-model-len", FITTING)
    found = advise(case(finding(fix("f", **{flag: value}), memory=False)), known(), fits).findings[0].fixes[0]
    assert found.verified is not None
    assert found.verified["by"] == "memory-model"


@pytest.mark.parametrize("change", [{"flags": {"--port": "80"}}, {"env": {"A": "1"}}, {}])
def test_a_fix_that_takes_no_memory_is_not_checked(change: Mapping[str, Any]) -> None:
    fits = command("--max-model-len", FITTING)
    untouched = Fix(text("f"), change)
    assert advise(case(finding(untouched, memory=False)), known(), fits).findings[0].fixes == (untouched,)


def test_the_numbers_behind_a_check_are_those_after_the_change() -> None:
    fits = command("--max-model-len", FITTING, "--kv-cache-memory-bytes", "2G")

    def detail(change: Fix) -> str:
        verified = advise(case(finding(change, memory=False)), known(), fits).findings[0].fixes[0].verified
        return verified["detail"] if verified else ""

    assert detail(fix("f", max_num_seqs="8")).startswith("KV 2.00 ± 0.00 GiB ≥ 0.95 GiB (--max-model-len 1000000)")
    assert detail(fix("f", max_model_len="500000")).startswith("KV 2.00 ± 0.00 GiB ≥ 0.48 GiB (--max-model-len 500000)")
    assert detail(fix("f", kv_cache_dtype="fp8")).startswith("KV 2.00 ± 0.00 GiB ≥ 0.48 GiB (--max-model-len 1000000)")
    assert detail(fix("f", kv_cache_memory_bytes=None)).startswith("KV 2.79 ± 0.26 GiB ≥ 0.95")  # the flag is gone


def test_a_change_of_the_flag_does_not_quantize_a_checkpoint_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    lacks = Recorded("")
    monkeypatch.setattr(advice, "lacks", lacks)
    change = fix("f", max_num_seqs="8", quantization="fp8")
    advise(case(finding(change)), Known(known().shape, "awq", CARD, RELEASE), short())
    ((_, settings, _),) = lacks.calls
    assert (settings.max_num_seqs, settings.quantization) == (8, "awq")


def test_without_a_command_no_fix_is_checked() -> None:
    found = advise(case(finding(ENOUGH), max_model_len=int(TOO_LONG)), known())
    assert found.findings[0].fixes[1:] == (ENOUGH,)
    assert found.command is None


# ---- What a request was for


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Tried to allocate 3.21 GiB", "3.21 GiB does not match the size of any tensor"),
        ("Tried to allocate 100.00 MiB", "100.00 MiB does not match the size of any tensor"),
        ("Tried to allocate 99.99 MiB", ""),
        ("Tried to allocate 512.00 KiB", ""),
        ("Tried to allocate 512 bytes", ""),
        ("out of memory", ""),
        # gate and up of 65536 tokens, 2 × 512 wide, 2 bytes each
        ("Tried to allocate 128.00 MiB", "65536 tokens × 1024"),
    ],
)
def test_what_a_request_was_for(said: str, told: str) -> None:
    big = short("--max-num-batched-tokens", "65536")
    why = advise(case(finding(said=said)), known(), big).findings[0].why["en"]
    assert told in why
    assert (why == "why.") == (not told)
    assert advise(case(finding(said=said, memory=False)), known(), big).findings[0].why["en"] == "why."


def test_a_small_request_that_a_tensor_fits_is_explained() -> None:
    # 32768 tokens × 2 × 512 × 2 bytes are 64 MiB.
    found = advise(
        case(finding(said="Tried to allocate 64.00 MiB")), known(), short("--max-num-batched-tokens", "32768")
    )
    assert "32768 tokens" in found.findings[0].why["en"]


@pytest.mark.parametrize(
    ("facts", "progress"),
    [
        ({}, Progress(loaded=False, blocks=0)),
        ({"weights_gib": 0.02}, Progress(loaded=True, blocks=0)),
        ({"kv_blocks": "1,234"}, Progress(loaded=False, blocks=1234)),
    ],
)
def test_how_far_the_start_had_come(facts: dict[str, Any], progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    explain = Recorded(())
    monkeypatch.setattr("qvl_doctor.memory.forensics.explain", explain)
    advise(case(finding(said="Tried to allocate 3.21 GiB"), **facts), known(), short())
    assert explain.calls[0][:2] == (3.21, "GiB")
    assert explain.calls[0][-1] == progress


# ---- What cannot be computed


def test_why_memory_was_not_computed_is_said_where_a_finding_is_about_memory() -> None:
    release = Known(known().shape, "", CARD)
    diagnosis = case(finding(ENOUGH))._replace(not_checked=(text("before"),))
    found = advise(diagnosis, release, short())
    assert found.not_checked == (text("before"), both("sizing.release"))
    assert found.findings == diagnosis.findings
    some = case(finding(memory=False), finding(), finding(memory=False))
    assert advise(some, release, short()).not_checked == (both("sizing.release"),)
    assert advise(case(finding(ENOUGH, memory=False)), release, short()).not_checked == ()
    unknown = advise(case(finding()), Known(gpu=CARD, release=RELEASE), command(model="a/b"))
    assert unknown.not_checked == (both("sizing.model", detail="a/b"),)


@pytest.mark.parametrize("error", [ValueError, ZeroDivisionError, OverflowError, TypeError, KeyError, IndexError])
@pytest.mark.parametrize("where", ["holds", "solve"])
def test_numbers_that_make_no_sense_cost_the_advice_only(
    error: type[Exception], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> bool:
        raise error("x" * 200)

    monkeypatch.setattr(advice, where, fails)
    diagnosis = case(finding(ENOUGH))
    found = advise(diagnosis, known(), short())
    assert found.findings == diagnosis.findings
    assert found.not_checked == (both("sizing.numbers", detail=str(error("x" * 200))[:120]),)
    assert found.alternatives == ()


def test_a_block_size_of_zero_is_no_crash() -> None:
    assert advise(case(finding(ENOUGH)), known(), short("--block-size", "0")).not_checked


# ---- Which case it is


class Seen:
    """The cases that `advise` asked about."""

    def __init__(self) -> None:
        self.holds = Recorded(answer=True)

    @property
    def last(self) -> Case:
        case = self.holds.calls[-1][0]
        assert isinstance(case, Case)
        return case


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    found = Seen()
    monkeypatch.setattr(advice, "holds", found.holds)
    return found


def test_a_log_counts_more_than_the_command_that_is_said_to_have_made_it(seen: Seen) -> None:
    logged = case(finding(), max_model_len=5000, vllm="0.20.0")
    advise(logged, known(), short())
    assert (seen.last.settings.max_model_len, seen.last.release) == (5000, (0, 20, 0))
    examined = logged._replace(facts={name: fact._replace(source="option") for name, fact in logged.facts.items()})
    advise(examined, known(), short())
    assert (seen.last.settings.max_model_len, seen.last.release) == (4_000_000, (0, 20, 0))


def test_what_a_log_does_not_say_the_command_does(seen: Seen) -> None:
    """A log without a model, and a command that names one."""
    model = "Qwen/Qwen2.5-VL-7B-Instruct"
    advise(case(finding(), total_gib=20.0), Known(release=RELEASE), command("--max-model-len", "5000", model=model))
    assert not seen.holds.calls  # the log's card is not the command's while nobody knows the log's model
    advise(case(finding(), total_gib=20.0), Known(gpu=CARD, release=RELEASE), command(model=model))
    assert seen.last.gpu == CARD


def test_the_card_of_facts_is_that_of_the_command(seen: Seen) -> None:
    facts = {"total_gib": Fact(4.0, "option")}
    nowhere = Known(known().shape, "fp8", None, RELEASE)
    advise(case(finding())._replace(facts=facts), nowhere, short())
    assert seen.last.gpu.total_bytes == 4 * GIB
    assert seen.last.given == {"max_model_len": 4_000_000, "quantization": "fp8"}
    advise(case(finding())._replace(facts=facts), known(), short())
    assert seen.last.gpu == CARD


def test_the_commands_environment_belongs_to_the_case(seen: Seen) -> None:
    text_ = "VLLM_USE_V1=0 vllm serve m --max-model-len 5000"
    advise(case(finding()), known("0.10.0"), read(text_, "0.10.0")[0])
    assert seen.last.settings.engine == "V0"
