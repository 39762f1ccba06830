"""What a report shows and what it leaves out.

Both sides of each limit, each entry of the tables, each branch of a choice.
"""

from __future__ import annotations

from typing import Any

import pytest
from report.printing import of, printed
from report_samples import text

from qvl_doctor.facts.lines import LINES
from qvl_doctor.messages import both, say
from qvl_doctor.model import Check, Diagnosis, Fact, Finding, Fix, Line, Phase, Run, Shown
from qvl_doctor.report import checklist, evidence, markdown, picture, sections
from qvl_doctor.report.checklist import Looked, counts, groups

EMPTY = text("", "")


def finding(role: str = "warning", severity: str = "notice", rule: str = "r", **more: Any) -> Finding:
    return Finding(rule, role, severity, "certain", text(f"title of {rule}", ""), EMPTY, **more)


# ---- Which findings get how much room


@pytest.mark.parametrize(
    ("found", "main"),
    [
        ([("cause", "notice"), ("warning", "fatal")], [0]),
        ([("cause", "fatal")] * 4, [0, 1, 2]),
        ([("warning", "notice"), ("warning", "degraded"), ("warning", "fatal")], [1]),
        ([("symptom", "fatal"), ("warning", "degraded")], [1]),
        ([("symptom", "fatal")], []),
        ([("warning", "notice")], []),
    ],
)
def test_what_is_told_in_full(found: list[tuple[str, str]], main: list[int]) -> None:
    given = [finding(role, severity, str(index)) for index, (role, severity) in enumerate(found)]
    assert [each.rule for each in sections.sections(of(*given)).main] == [str(index) for index in main]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (finding(), " (r)"),
        (finding("symptom"), ""),
        (finding(evidence=(Line(7, "x"), Line(8, "y"))), " (r, line 7)"),
        (finding(evidence=(Line(0, "x"),)), " (r)"),
        (finding(times=2), " (r, 2 times)"),
        (finding("symptom", times=2, evidence=(Line(7, "x"),)), " (line 7, 2 times)"),
        (finding()._replace(confidence="likely"), " (r, likely)"),
        (finding("symptom")._replace(confidence="likely"), ""),
        (finding(rule="unrecognized-failure")._replace(confidence="likely"), " (unrecognized-failure)"),
    ],
)
def test_what_stands_behind_a_title(given: Finding, shown: str) -> None:
    assert sections.where(given, "en") == shown


@pytest.mark.parametrize(("count", "shown", "hidden"), [(0, 0, 0), (8, 8, 0), (9, 8, 1), (20, 8, 12)])
def test_the_two_ends_of_a_wall_of_evidence(count: int, shown: int, hidden: int) -> None:
    lines = tuple(Line(number, f"line {number}") for number in range(1, count + 1))
    found, left = evidence.shown(finding(evidence=(*lines, Line(99, " "))))
    assert (len(found), left) == (shown, hidden)
    if hidden:
        assert [line.number for line in found] == [1, 2, 3, 4, *range(count - 3, count + 1)]
        rows = markdown.render(of(finding("cause", evidence=lines)), "en").split("\n")
        assert rows[rows.index(" 4 | line 4" if count > 9 else "4 | line 4") + 1].endswith(f"| … (+{hidden})")


@pytest.mark.parametrize(("short", "more"), [(12, ""), (13, "1 more")])
@pytest.mark.parametrize("role", ["warning", "symptom"])
def test_how_many_short_ones_a_terminal_shows(short: int, more: str, role: str) -> None:
    page = printed(of(*(finding(role, rule=f"r{number:03}") for number in range(short))))
    assert (page.count("title of"), "more" in page) == (12, bool(more))
    assert more in page


@pytest.mark.parametrize(("short", "more"), [(20, ""), (21, "- 1 more")])
def test_how_many_short_ones_markdown_shows(short: int, more: str) -> None:
    page = markdown.render(of(*(finding(rule=f"r{number:03}") for number in range(short))), "en")
    assert (page.count("title of"), "more" in page) == (20, bool(more))
    assert more in page


def test_how_many_fixes_and_references_are_shown() -> None:
    fixes = tuple(Fix(text(f"fix {number}", ""), {}) for number in range(1, 8))
    urls = tuple(f"https://example.org/{number}" for number in range(1, 5))
    given = of(finding("cause", fixes=fixes, references=urls))
    page = printed(given)
    assert [f"  {number}. fix {number}\n" in page for number in range(1, 8)] == [True] * 6 + [False]
    assert [url in page for url in urls] == [True, True, True, False]
    page = markdown.render(given, "en")
    assert [f"\n{number}. fix {number}\n" in page for number in range(1, 8)] == [True] * 6 + [False]
    assert page.count("https://example.org") == 4
    short = markdown.render(of(finding(fixes=fixes), finding("symptom", fixes=fixes)), "en")
    assert short.count("fix 1") == 1
    assert "fix 2" not in short


@pytest.mark.parametrize(("severity", "sign"), [("fatal", "✗"), ("degraded", "!"), ("notice", "!")])
def test_the_sign_of_a_second_cause(severity: str, sign: str) -> None:
    page = printed(of(finding("cause", "fatal", "first"), finding("cause", severity, "second")))
    assert f"{sign} title of second\n" in page


def test_a_title_that_the_summary_says_is_not_said_again() -> None:
    given = of(finding("cause", "fatal"), finding("cause", "fatal"))._replace(summary=text("title of r", ""))
    assert printed(given).count("title of r") == 2  # in the summary, and for the second
    assert markdown.render(given, "en").count("title of r") == 1


# ---- Facts


@pytest.mark.parametrize(
    ("facts", "rows"),
    [
        *(({name: Fact("x")}, [(f"fact.{name}", "x")]) for name in ("model", "architecture", "dtype", "quantization", "gpu_name")),
        *(({name: Fact("x")}, [(f"fact.{name}", "x")]) for name in ("driver", "attention_backend", "max_model_len")),
        *(
            ({name: Fact("1")}, [("fact.packages", f"{name.replace('_', '-')} 1")])
            for name in ("transformers", "torch", "flash_attn", "flashinfer_python", "xformers", "triton", "qwen_vl_utils", "ray")
        ),
        ({"quantization": Fact("none")}, []), ({"model": Fact("")}, []), ({"model": Fact({"a": 1})}, []), ({"model": Fact(["a"])}, []),
        (
            {f"{name}_parallel_size": Fact(2) for name in ("tensor", "pipeline", "data")},
            [("fact.parallel", "tensor 2, pipeline 2, data 2")],
        ),
        ({"tensor_parallel_size": Fact(1)}, []),
        ({"total_gib": Fact(24.0), "gpu_memory_utilization": Fact(0.9)}, [("fact.budget", "0.90 × 24.00 GiB = 21.60 GiB")]),
        (
            {"total_gib": Fact(24.0), "gpu_memory_utilization": Fact(0.9), "budget_gib": Fact(0.0)},
            [("fact.budget", "0.90 × 24.00 GiB = 0.00 GiB")],
        ),
        ({"total_gib": Fact(24.0), "budget_gib": Fact(1.0)}, []), ({"gpu_memory_utilization": Fact(0.9), "budget_gib": Fact(1.0)}, []),
        ({"kv_gib": Fact(1.5)}, [("fact.kv", "1.50 GiB")]), ({"kv_tokens": Fact(1024)}, [("fact.kv", "1,024 tokens")]),
        ({"concurrency": Fact(2.5)}, []), ({"concurrency_tokens": Fact(1024)}, []),
        ({"concurrency": Fact(2.5), "concurrency_tokens": Fact(1024)}, [("fact.kv", "2.50 × 1,024 tokens")]),
    ],
)  # fmt: skip
def test_rows_of_facts(facts: dict[str, Fact], rows: list[tuple[str, str]]) -> None:
    assert sections.rows(facts) == rows


def test_the_release_of_the_head() -> None:
    assert sections.release({"vllm": Fact("0.8.5"), "vllm_range": Fact(">=0.8")}) == ["vLLM 0.8.5"]
    assert sections.release({"engine": Fact("V1")}) == ["V1"]


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([("failed", "a"), ("failed", "b")], "FAILED 2"),
        ([("failed", "a"), ("healthy", "a")], "FAILED 1, HEALTHY 1"),
        ([("failed", "a"), ("failed", "a")], "failed in the same way: a"),
        ([("failed", ""), ("failed", "")], "all failed"),
    ],
)
def test_a_sentence_on_several_starts(runs: list[tuple[str, str]], said: str) -> None:
    assert said in sections.runs([Run(1, 2, verdict, cause) for verdict, cause in runs], "en")


@pytest.mark.parametrize(
    ("rules", "said"), [((), ""), (("a",), "1 finding ignored: a"), (("a", "b", "a"), "3 findings ignored: a, b")]
)
def test_what_was_ignored(rules: tuple[str, ...], said: str) -> None:
    given = of(shown=Shown(ignored=tuple(finding(rule=rule) for rule in rules)))
    assert sections.ignored(given, "en").rstrip(".") == said
    assert said in printed(given)
    assert said in markdown.render(given, "en")


@pytest.mark.parametrize("render", [printed, lambda given: markdown.render(given, "en")], ids=["terminal", "markdown"])
def test_one_start_needs_no_sentence_and_two_do(render: Any) -> None:
    assert "starts in this log" not in render(of(runs=(Run(1, 2, "failed"),)))
    assert "2 starts" in render(of(runs=(Run(1, 2, "failed"), Run(3, 4, "failed"))))


# ---- Pictures


@pytest.mark.parametrize(
    ("values", "width", "cells"),
    [
        ([1, 1], 10, [5, 5]), ([3, 1], 8, [6, 2]), ([1000, 1], 10, [9, 1]), ([1, 0], 4, [4, 0]), ([0, 0], 4, [0, 0]),
        ([1], 0, [0]), ([1, 1, 1], 2, [1, 1, 1]), ([1, 1, 1], 10, [4, 3, 3]), ([-1, 2], 4, [0, 4]), ([0.3, 0.7], 1, [1, 1]),
    ],
)  # fmt: skip
def test_a_width_is_divided(values: list[float], width: int, cells: list[int]) -> None:
    assert picture.spread(values, width) == cells


@pytest.mark.parametrize(
    ("seconds", "width", "cells"), [([], 9, []), ([2, 4], 10, [5, 10]), ([0, 0], 10, [0, 0]), ([1, 3], 9, [3, 9])]
)
def test_bars_of_phases(seconds: list[float], width: int, cells: list[int]) -> None:
    assert picture.timeline_cells([Phase("load", each) for each in seconds], width) == cells


@pytest.mark.parametrize(("value", "shown"), [(0.0, "0.0"), (9.94, "9.9"), (10.0, "10"), (10.4, "10"), (99.6, "100")])
def test_seconds_that_anybody_needs(value: float, shown: str) -> None:
    assert picture.seconds(value) == shown


@pytest.mark.parametrize(
    ("facts", "parts"),
    [
        ({"gpu_total_gib": 24, "gpu_free_gib": 0}, {"used": 24}),
        ({"gpu_total_gib": 24, "gpu_free_gib": 24}, {"free": 24}),
        ({"gpu_total_gib": 24, "gpu_free_gib": -1}, None),
        ({"gpu_total_gib": 24}, None),
        ({"gpu_total_gib": 0, "gpu_free_gib": 0}, None),
        ({"gpu_total_gib": 24, "gpu_free_gib": 4, "weights_gib": 20}, {"used": 20, "free": 4}),
        ({"gpu_total_gib": 24, "gpu_free_gib": 4, "weights_gib": 19}, {"weights": 19, "used": 1, "free": 4}),
        ({"gpu_total_gib": 24, "gpu_free_gib": 4, "weights_gib": 0}, {"used": 20, "free": 4}),
        ({"total_gib": 24, "weights_gib": 0}, None),
        ({"total_gib": 24, "weights_gib": -1}, None),
        ({"total_gib": -24, "weights_gib": 1}, None),
        ({"total_gib": 24, "weights_gib": 24}, {"weights": 24}),
        ({"total_gib": 24, "weights_gib": 14, "non_torch_gib": 2, "consumed_gib": 20}, {"weights": 14, "non_torch": 2, "rest": 8}),
        ({"total_gib": 24, "weights_gib": 14, "consumed_gib": 14}, {"weights": 14, "rest": 10}),
    ],
)  # fmt: skip
def test_what_fills_the_card(facts: dict[str, float], parts: dict[str, float] | None) -> None:
    card = picture.memory({name: Fact(value) for name, value in facts.items()})
    assert (card and {part.name: part.gib for part in card.parts}) == parts


# ---- The checklist

EVERY = frozenset(line.group for line in LINES) | {"imports"}


def status(name: str, looked: Looked, **facts: Any) -> tuple[str, str]:
    """The status of a line and the key of why it is so: the beginning of its sentence."""
    given = Diagnosis("x", "healthy", EMPTY, facts={key: Fact(value) for key, value in facts.items()})
    check = next(each for each in checklist.checklist(given, looked) if each.name == name)
    return check.status, check.detail["en"]


LOOKED = Looked(EVERY, EVERY, command=True)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("imports", {"imports": "ok"}, {"imports": "failed"}),
        ("port", {"port_free": "yes"}, {"port_free": "no"}),
        ("vllm", {"vllm_installed": "yes"}, {"vllm_installed": "no"}),
        ("folder", {"model_folder": "ok"}, {"model_folder": "missing"}),
        ("fits", {"plan": "fits"}, {"plan": "unknown"}),
        ("texts", {"tokenizer_files": "yes"}, {"tokenizer_files": "no"}),
        ("cards", {"gpu_count": 2}, {"gpu_count": 0}),
        ("driver", {"driver": "580"}, {}),
        ("environment", {"host_kind": "bare"}, {}),
    ],
)
def test_a_line_is_well_where_a_fact_says_so(name: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert status(name, LOOKED, **good)[0] == "ok"
    assert status(name, LOOKED, **bad)[0] == "unknown"
    assert status(name, LOOKED._replace(only=frozenset()), **good)[0] == "unknown"


@pytest.mark.parametrize(
    ("name", "facts", "shown"),
    [
        ("driver", {"driver": "580", "driver_cuda": "13.0"}, "580, CUDA 13.0"),
        ("torch", {"torch": "2.9", "torch_cuda": "12.8"}, "2.9, CUDA 12.8"),
        ("torch", {"torch": "2.9", "torch_cuda": "None"}, "2.9, CPU"),
        ("cards", {"gpu_count": 2, "gpu_name": "L4", "compute_capability": "8.9"}, "2 × L4, sm 8.9"),
        ("gpu_memory", {"startup_free_gib": 20.0, "total_gib": 23.654}, "20 GiB / 23.65 GiB"),
        ("ram", {"ram_gib": 64.0, "memory_limit_gib": 32.0}, "64 GiB, ≤ 32 GiB"),
        ("limits", {"open_files_limit": 1024, "locked_memory_kib_limit": 64}, "nofile 1024, memlock KiB 64"),
    ],
)
def test_what_a_line_shows(name: str, facts: dict[str, Any], shown: str) -> None:
    assert shown in status(name, LOOKED, **facts)[1]


def test_why_a_line_was_left_out() -> None:
    def why(looked: Looked, name: str) -> str:
        return status(name, looked, driver="580", imports="ok", args={"a": 1})[1]

    only = say("check.why.only", "en")
    assert why(LOOKED._replace(only=frozenset({"host"})), "driver") == only
    assert why(LOOKED._replace(only=EVERY - {"imports"}), "imports") == only
    assert why(LOOKED._replace(only=EVERY - {"imports"}, import_test=False), "imports") == say(
        "check.why.no_import_test", "en"
    )
    assert why(LOOKED._replace(only=frozenset({"host"}), import_test=False), "imports") == only
    assert why(LOOKED._replace(command=False), "flags") == say("check.why.no_command", "en")
    in_file = say("check.why.not_in_file", "en", file="f")
    assert why(LOOKED._replace(file="f", probes=frozenset()), "driver") == in_file
    assert why(LOOKED._replace(file="f"), "driver") != in_file
    assert why(LOOKED._replace(probes=frozenset()), "driver") != in_file


@pytest.mark.parametrize(
    ("name", "facts", "key", "values"),
    [
        ("imports", {"vllm_installed": "no", "imports": "ok"}, "check.why.nothing_to_import", {}),
        ("driver", {"probe_failed_gpu": "boom"}, "check.why.broken", {"error": "boom"}),
        ("imports", {"probe_failed_imports": "boom"}, "check.why.broken", {"error": "boom"}),
        ("python", {"python_answers": "no"}, "check.why.no_answer", {}),
        ("vllm", {}, "check.why.not_installed", {"name": "vLLM"}),
        ("requirements", {}, "check.why.not_installed", {"name": "vLLM"}),
        ("torch", {}, "check.why.not_installed", {"name": "torch"}),
        ("cards", {"gpu_count": 0}, "check.why.no_gpu", {}),
        ("driver", {}, "check.not_seen", {}),
        ("driver", {"nvml": "ok"}, "check.not_seen", {}),
        ("driver", {"nvml": "odd"}, "check.why.nvml", {"nvml": "odd"}),
        ("texts", {}, "check.why.no_model", {}),
    ],
)
def test_why_a_line_is_not_known(name: str, facts: dict[str, Any], key: str, values: dict[str, str]) -> None:
    assert status(name, LOOKED, **facts) == ("unknown", say(key, "en", **values))


def check_of(group: str, kind: str, why: str = "why") -> Check:
    return Check(group, "n", kind, text(why, ""), ())


def test_lines_are_counted_and_grouped() -> None:
    left_out = [Check("c", "n", "unknown", both(key), ()) for key in ("check.why.only", "check.why.no_import_test")]
    checks = [*(check_of("a", kind) for kind in ("unknown", "ok", "warning", "problem", "ok")), *left_out]
    assert list(counts(checks).items()) == [("problem", 1), ("warning", 1), ("ok", 2), ("unknown", 1), ("left_out", 2)]
    alike = [
        check_of("a", "unknown"),
        check_of("b", "unknown"),
        check_of("b", "ok"),
        check_of("c", "unknown"),
        check_of("c", "unknown", "else"),
    ]
    assert [(group, len(lines), same) for group, lines, same in groups(alike)] == [
        ("a", 1, True),
        ("b", 2, False),
        ("c", 2, False),
    ]
