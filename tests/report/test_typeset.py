"""Text by its width on the screen.

Parts of the pages that stand on their own: what to paste, bars, the telling part of a line.
"""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import FAILED, HEALTHY, HOSTILE
from rich.cells import cell_len

from qvl_doctor.model import Fact
from qvl_doctor.report import evidence, paste, picture, sections
from qvl_doctor.report.typeset import MAX_CHARS, clean, cut, window, wrap

ANY = st.text(max_size=200) | st.text("a b，。（）中文GiB  \"'-", max_size=200)
WIDTHS = st.integers(2, 100)


@given(ANY, WIDTHS)
def test_wrapped_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = wrap(clean(text), width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(clean(text).split())


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 9, ["one two", "three"]),
        ("", 9, [""]),
        ("a" * 12, 5, ["aaaaa", "aaaaa", "aa"]),
        ("中文按字符断行", 6, ["中文按", "字符断", "行"]),
        ("断在这里，不断", 8, ["断在这", "里，不断"]),  # nothing begins with a comma
        ("看（括号）完", 4, ["看", "（括", "号）", "完"]),  # nothing ends with an opening bracket
        ("用 vLLM 的 GPU", 7, ["用 vLLM", "的 GPU"]),
        ("版本4.49起", 6, ["版本", "4.49起"]),
    ],
)
def test_wrapping(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width) == lines


@given(ANY, WIDTHS)
def test_cut_text_fits_and_keeps_its_ends(text: str, width: int) -> None:
    text = clean(text)
    short = cut(text, width)
    if cell_len(text) <= width:
        assert short == text
    else:
        head, mark, tail = short.partition("…") if "…" not in text else ("", "…", "")
        assert mark
        assert text.startswith(head)
        assert text.endswith(tail)
    assert cell_len(short) <= max(width, 3)


@given(ANY, WIDTHS, st.data())
def test_a_window_fits_and_shows_the_focus(text: str, width: int, data: st.DataObject) -> None:
    text = clean(text)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    seen = window(text, width, (start, end))
    assert cell_len(seen) <= max(width, 4)
    middle = seen.removeprefix("…").removesuffix("…")
    assert middle.strip() in text
    if cell_len(text[start:end]) + 24 <= width:  # room for the focus and for whole words beside it
        assert text[start:end].strip() in seen


def test_clean_is_one_harmless_line() -> None:
    assert clean("a\tb\r\nc\u2028d") == "a b c d"
    assert clean("\x1b[2J\x9b\u202e\ud800\U000e0041") == "\\x1b[2J\\x9b\\u202e\\ud800\\U000e0041"
    assert clean("… ×", "ascii") == "... x"
    assert clean("中", "ascii") == "?"
    assert clean("中 ✗", "gbk") == "中 ?"
    assert clean("é", "no-such-encoding") == "?"
    assert len(clean("x" * 10**6)) == MAX_CHARS


# ---- What to paste


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({}, []),
        ({"pip": ["vllm>=0.7.3", "torch"]}, ["pip install 'vllm>=0.7.3' torch"]),
        ({"flags": {"--a": True, "--b": "1", "--c": None, "--d": None}}, ["--a --b 1", "--c --d"]),
        (
            {"flags": {"--limit-mm-per-prompt": {"image": "1", "video": "0"}}},
            ['--limit-mm-per-prompt \'{"image": 1, "video": 0}\''],
        ),
        ({"flags": {"--limit-mm-per-prompt": "image=1,video=0"}}, ["--limit-mm-per-prompt image=1,video=0"]),
        ({"flags": {"--lora-modules": ["a=b", "c=d e"]}}, ["--lora-modules a=b --lora-modules 'c=d e'"]),
        ({"env": {"A": "x y", "B": None}}, ["export A='x y'", "unset B"]),
        ({"flags": {"--model": "$(reboot); `x`"}}, ["--model '$(reboot); `x`'"]),
        ({"flags": {"--max-model-len": "{max_model_len}"}}, ["--max-model-len {max_model_len}"]),
        ({"flags": {"--x": "{a,b}"}}, ["--x '{a,b}'"]),
        ({"image": "i", "pod": "p", "run": "r -v"}, ["i", "p", "r -v"]),
        ({"flags": "no mapping", "env": 1, "pip": "torch"}, ["pip install torch"]),
    ],
)
def test_pieces(change: dict[str, object], lines: list[str]) -> None:
    assert [str(piece) for piece in paste.pieces(change)] == lines


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_a_quoted_value_is_one_word(value: str) -> None:
    assert shlex.split(paste.quote(value)) == [value]


# ---- Bars


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=8), st.integers(8, 100))
def test_bars_add_up_and_hide_nothing(values: list[float], width: int) -> None:
    cells = picture.spread(values, width)
    assert sum(cells) == (width if sum(values) > 0 else 0)
    assert all((cell > 0) == (value > 0) for cell, value in zip(cells, values, strict=True) if sum(values) > 0)


def test_the_parts_of_the_card_add_up() -> None:
    card = picture.memory(HEALTHY.facts)
    assert card is not None
    assert card.total == 23.65
    assert [part.name for part in card.parts] == ["weights", "activation", "non_torch", "kv", "graphs", "rest"]
    assert sum(part.gib for part in card.parts) == pytest.approx(23.65)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, None),
        ({"total_gib": 24}, None),
        ({"total_gib": "24", "weights_gib": True}, None),
        ({"total_gib": float("nan"), "weights_gib": 1}, None),
        ({"total_gib": 10**400, "weights_gib": 1}, None),
        ({"total_gib": 24, "weights_gib": 30}, {"weights": 30}),
        ({"total_gib": 24, "weights_gib": 16, "consumed_gib": 17}, {"weights": 16, "non_torch": 1, "rest": 7}),
        (
            {"total_gib": 24, "weights_gib": 16, "kv_gib": -2, "non_torch_gib": 1},
            {"weights": 16, "non_torch": 1, "rest": 7},
        ),
        ({"gpu_total_gib": 24, "gpu_free_gib": 4}, {"used": 20, "free": 4}),
        ({"gpu_total_gib": 24, "gpu_free_gib": 4, "weights_gib": 16}, {"weights": 16, "used": 4, "free": 4}),
        ({"gpu_total_gib": 24, "gpu_free_gib": 4, "weights_gib": 22}, {"used": 20, "free": 4}),
        ({"gpu_total_gib": 24, "gpu_free_gib": 25}, None),
    ],
)
def test_memory(facts: dict[str, object], expected: dict[str, float] | None) -> None:
    card = picture.memory({name: Fact(value) for name, value in facts.items()})
    assert (card and {part.name: part.gib for part in card.parts}) == expected


# ---- What a line tells

OOM = (
    "ERROR 02-16 09:04:35 engine.py:389] CUDA out of memory. Tried to allocate 9.03 GiB. GPU 0 has a total capacity of 23.65 GiB of which "
    "5.69 GiB is free. Process 698854 has 17.95 GiB memory in use."
)


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        (
            OOM,
            {"9.03", "5.69", "23.65"},
            "CUDA out of memory. Tried to allocate 9.03 GiB. GPU 0 has a total capacity of 23.65 GiB of which 5.69",
        ),
        (OOM, {"17.95"}, "17.95"),
        (f"{'x ' * 200}ValueError: no", set(), "ValueError: no"),
        ("nothing that tells", set(), "nothing that tells"),
        ("", {"1"}, ""),
    ],
)
def test_focus(text: str, words: set[str], expected: str) -> None:
    start, end = evidence.focus(text, frozenset(words), 120)
    assert text[start:end] == expected


@given(ANY, st.sets(st.sampled_from(["GiB", "9.03", "a", "0"])), st.integers(0, 100))
def test_focus_is_inside(text: str, words: set[str], room: int) -> None:
    start, end = evidence.focus(text, frozenset(words), room)
    assert 0 <= start <= end <= len(text)


def test_hints_are_what_a_sentence_has_from_its_log() -> None:
    assert evidence.hints(FAILED.findings[0]) >= {"qwen2_5_vl", "4.49", "0.7.3"}
    assert "Transformers" not in evidence.hints(FAILED.findings[0])


# ---- What is known


def test_sections_hold_every_finding_once() -> None:
    findings = tuple(
        FAILED.findings[0]._replace(rule=f"{role} {severity}", role=role, severity=severity)
        for role in ("cause", "symptom", "warning")
        for severity in ("fatal", "degraded", "notice")
    )
    found = sections.sections(FAILED._replace(findings=findings))
    assert sorted(finding.rule for group in found for finding in group) == sorted(finding.rule for finding in findings)
    assert [finding.role for finding in found.main] == ["cause"] * 3
    assert {finding.role for finding in found.symptoms} == {"symptom"}
    assert [finding.severity for finding in found.notices] == ["notice"]


def test_rows_name_packages_and_sizes() -> None:
    facts = {
        "model": Fact("m"),
        "quantization": Fact(None),
        "flash_attn": Fact("2.7.4"),
        "torch": Fact("2.5.1"),
        "tensor_parallel_size": Fact(2),
        "pipeline_parallel_size": Fact(1),
        "kv_tokens": Fact(2976),
    }
    assert sections.rows(facts) == [
        ("fact.model", "m"),
        ("fact.parallel", "tensor 2"),
        ("fact.kv", "2,976 tokens"),
        ("fact.packages", "torch 2.5.1, flash-attn 2.7.4"),
    ]


def test_a_release_may_be_a_range() -> None:
    assert sections.release({"vllm_range": Fact(">=0.8,<0.10.1"), "engine": Fact("V1")}) == ["vLLM >=0.8,<0.10.1", "V1"]
    assert sections.release({}) == []


def test_hostile_samples_are_hostile() -> None:
    assert clean(HOSTILE) != HOSTILE
