"""How each format writes what it shows: signs, fences, widths, values.

Each entry of the tables, both sides of each limit.
"""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from report.printing import of, printed
from report_samples import FAILED, HEALTHY

from qvl_doctor.model import Commands, Fact, Phase
from qvl_doctor.report import markdown, paste
from qvl_doctor.report.as_json import as_dict, dumps, plain
from qvl_doctor.report.formats import write
from qvl_doctor.report.page import Page
from qvl_doctor.report.typeset import clean, wrap

# ---- Changes to paste


@pytest.mark.parametrize(
    ("kind", "shell"),
    [
        ("flags", True),
        ("env", True),
        ("pip", True),
        ("remove", False),
        ("image", False),
        ("pod", False),
        ("run", False),
    ],
)
def test_what_belongs_into_a_shell(kind: str, *, shell: bool) -> None:
    assert paste.Piece(kind, ("x",)).shell is shell


def test_a_change_in_markdown() -> None:
    pieces = [paste.Piece(kind, (f"x{kind}",)) for kind in ("pip", "run", "image")]
    lines = list(markdown.change_lines(pieces, "en", 2))
    assert lines == ["  ```shell", "  xpip", "  xrun", "  ```", "", "  image: `ximage`"]
    assert list(markdown.change_lines(pieces[2:], "en", 0)) == ["", "image: `ximage`"]


@pytest.mark.parametrize(("name", "lines"), [("shm-volume", True), ("", False), (None, False), (3, False)])
def test_a_patch_of_the_pod(name: Any, *, lines: bool) -> None:
    assert bool(paste.snippet({"pod": name})) is lines
    assert paste.snippet({}) == ()


# ---- Markdown


@pytest.mark.parametrize(
    ("line", "fence"), [("x", "```"), ("`", "```"), ("``", "```"), ("```", "````"), ("a````b", "`````")]
)
def test_a_fence_is_longer_than_what_is_in_it(line: str, fence: str) -> None:
    assert list(markdown.fence([line, "x"])) == [f"{fence}text", line, "x", fence]


@pytest.mark.parametrize(
    ("given", "span"),
    [("", ""), ("x", "`x`"), ("a`b", "``a`b``"), ("`b", "`` `b ``"), ("a`", "`` a` ``"), ("a``b", "```a``b```"), ("x\ny", "`x y`")],
)  # fmt: skip
def test_a_code_span(given: str, span: str) -> None:
    assert markdown.code(given) == span


@pytest.mark.parametrize(
    ("given", "escaped"),
    [
        *((f"a{sign}b", f"a\\{sign}b") for sign in "\\`*#[]<>|~&"),
        ("a_b", "a_b"), ("_a", "\\_a"), ("a_ b", "a\\_ b"), ("$", "<span>$</span>"), ("@a", "@&#8203;a"), ("@ a", "@ a"),
        ("GH-1", "GH-&#8203;1"), ("www.x", "www&#8203;.x"), ("http://x", "http:&#8203;//x"), ("mailto:x", "mailto:&#8203;x"),
        ("xmpp:x", "xmpp:&#8203;x"), ("1. x", "1\\. x"), ("12) x", "12\\) x"), ("- x", "\\- x"), ("+ x", "\\+ x"), ("= x", "\\= x"),
        ("a - x", "a - x"), ("1234567890. x", "1234567890. x"), ("\x1b", "\\\\x1b"), ("\u202e", "\\\\u202e"),
    ],
)  # fmt: skip
def test_each_sign_that_means_something(given: str, escaped: str) -> None:
    assert markdown.escape(given) == escaped


def test_links_are_plain_web_addresses() -> None:
    urls = [
        "https://a.example/x",
        "http://a.example",
        "ftp://a",
        "https://a b",
        "https://a>",
        f"https://{'a' * 500}",
        f"https://{'a' * 501}",
    ]
    assert [url in "".join(markdown.links(urls)) for url in urls[:5]] == [True, True, False, False, False]
    assert len(markdown.links(urls)) == 3


@pytest.mark.parametrize(
    ("verdict", "sign"), [("failed", "❌"), ("degraded", "⚠️"), ("healthy", "✅"), ("unknown", "❔")]
)
def test_the_sign_of_a_verdict(verdict: str, sign: str) -> None:
    assert markdown.render(of()._replace(verdict=verdict), "en").startswith(f"### {sign} ")


CHANGES = (("place", "@@ 1"), ("same", " a"), ("removed", "b"), ("added", "c"))
COMMAND = Commands("a", "b", (("same", "a"), ("removed", "b"), ("added", "c")))


@pytest.mark.parametrize(
    ("more", "diff"),
    [
        ({"command": COMMAND}, ["  a", "- b", "+ c"]),
        ({"command": COMMAND, "changes": CHANGES}, ["@@ 1", "  a", "-b", "+c"]),
    ],
)  # fmt: skip
def test_a_diff_in_markdown(more: dict[str, Any], diff: list[str]) -> None:
    rows = markdown.render(of(**more), "en").split("\n")
    start = rows.index("```diff")
    assert rows[start + 1 : rows.index("```", start)] == diff
    page = printed(of(**more))
    assert ("changes" in more) is ("@@ 1" in page)


def test_facts_and_times_in_markdown() -> None:
    page = markdown.render(
        of(facts={"gpu_total_gib": Fact(24), "gpu_free_gib": Fact(4), "oom_tried_gib": Fact(9)}), "en"
    )
    assert "24.00 GiB; asked for 9.00 GiB more" in page
    assert "| · in use | `20.00 GiB` |" in page
    assert "<details>" not in markdown.render(of(), "en")
    assert "| `a\\|b` |" in markdown.render(of(facts={"driver": Fact("a|b")}), "en")


# ---- JSON


@pytest.mark.parametrize("depth", [8, 9])
def test_values_are_as_deep_as_anybody_reads(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    assert json.dumps(plain(value)).count("[") == 8 + (depth > 8)
    assert isinstance(plain(value), list)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(None, None), (True, True), (1, 1), (1.5, 1.5), (float("inf"), None), ((1, 2), [1, 2]), (frozenset([1]), [1]), ({1: {2}}, {"1": [2]})],
)  # fmt: skip
def test_values_become_plain(value: Any, wanted: Any) -> None:
    assert plain(value) == wanted
    assert plain(b"x") == "b'x'"


@pytest.mark.parametrize(
    ("name", "value", "source", "group"),
    [
        ("x_gib", 1.0, "log", "memory"), ("kv_tokens", 1, "log", "memory"), ("gpu_count", 1, "log", "memory"), ("x_gib", True, "log", ""),
        ("x_gib", "1", "log", ""), ("x_kv_", 1, "log", ""), ("torch", "2", "log", "packages"), ("any", "2", "pip", "packages"),
        ("vllm", "2", "pip", ""), ("any", 1, "log", ""),
    ],
)  # fmt: skip
def test_the_group_of_a_fact(name: str, value: Any, source: str, group: str) -> None:
    facts = as_dict(of(facts={name: Fact(value, source)}))["facts"]
    assert facts == ({group: {name: value}} if group else {name: value})


@pytest.mark.parametrize("char", ["\x7f", "\x9f", "\u200e", "\u200f", "\u2028", "\u202e", "\u2066", "\u2069", "\ufeff"])
def test_signs_that_a_terminal_obeys_are_escaped(char: str) -> None:
    page = dumps(of()._replace(source=char))
    assert char not in page
    assert json.loads(page)["source"] == char


def test_formats() -> None:
    def written(form: str, **more: Any) -> str:
        stream = io.StringIO()
        write(HEALTHY, form, "en", stream, **more)
        return stream.getvalue()

    assert written("jsonl").count("\n") == 1
    assert written("json").startswith('{\n  "schema"')
    assert json.loads(written("json")) == json.loads(written("jsonl"))
    assert written("markdown").startswith("### ✅")
    assert written("console", width=80).startswith("✓ HEALTHY")
    assert written("console", quiet=True, width=80).count("\n") == 1


# ---- Terminals


@pytest.mark.parametrize(("asked", "width"), [(10, 24), (24, 24), (25, 25), (100, 100), (101, 100)])
def test_the_width_of_a_page(asked: int, width: int) -> None:
    assert Page(asked, "utf-8").width == width
    assert Page(59, "utf-8").narrow
    assert not Page(60, "utf-8").narrow


@pytest.mark.parametrize(
    ("encoding", "dot"), [("utf-8", "·"), ("UTF8", "·"), ("utf-16", "·"), ("ascii", "-"), ("gbk", "-")]
)
def test_the_signs_of_a_page(encoding: str, dot: str) -> None:
    assert Page(80, encoding).glyphs.dot == dot
    assert Page(80, encoding).can_show("中") is (encoding != "ascii")


def test_a_heading_and_its_note() -> None:
    def lines(note: str) -> list[str]:
        page = Page(24, "utf-8")
        page.heading("x" * 10, note)
        return [line.plain for line in page.lines]

    assert lines("y" * 12) == [f"{'x' * 10}  {'y' * 12}"]
    assert lines("y" * 13) == ["x" * 10, f"  {'y' * 13}"]
    assert lines("") == ["x" * 10]


def test_a_command_is_continued_where_it_is_too_long() -> None:
    def lines(*words: str) -> list[str]:
        page = Page(24, "utf-8")
        page.shell(words, 2, "")
        return [line.plain for line in page.lines]

    assert lines("a" * 10, "b" * 9) == [f"  {'a' * 10} {'b' * 9}"]
    assert lines("a" * 10, "b" * 10) == [f"  {'a' * 10} \\", f"    {'b' * 10}"]
    assert lines("a" * 30) == [f"  {'a' * 30}"]


def test_small_parts_of_a_page() -> None:
    page = Page(24, "utf-8")
    page.gap()
    page.rows([("a", "b c"), ("long", "x" * 30)])
    page.gap()
    page.gap()
    page.flow(["x" * 10, "y" * 9], 2, "   ")
    page.flow(["x" * 10, "y" * 10], 2, "   ")
    page.item("1.", "word " * 5)
    shown = [line.plain for line in page.lines]
    assert shown[:3] == ["  a     b c", f"  long  {'x' * 5}…{'x' * 10}", ""]
    assert shown[3:6] == [f"  {'x' * 10}   {'y' * 9}", f"  {'x' * 10}", f"  {'y' * 10}"]
    assert shown[6:] == ["  1. word word word word", "     word"]
    assert page.lines_of("a b c", 2, 3) == ["a", "b", "c"]
    assert page.lines_of("aa bb cc", 3, 2) == ["aa", "bb…"]
    assert (page.pad("a", 3), page.pad("a", 3, right=True), page.pad("中", 3), page.pad("abcd", 3)) == (
        "a  ",
        "  a",
        "中 ",
        "abcd",
    )


@pytest.mark.parametrize(
    ("chars", "plain"),
    [("…", "..."), ("×", "x"), ("→", "->"), ("·–—", "-"), ("≥", ">="), ("≤", "<="), ("“”", '"'), ("‘’", "'"), ("\xa0", " ")],
)  # fmt: skip
def test_each_sign_has_a_plain_form(chars: str, plain: str) -> None:
    assert [clean(f"a{char}b", "ascii") for char in chars] == [f"a{plain}b"] * len(chars)


@pytest.mark.parametrize("char", "，。、；：？！）】》」』〉％”’…·,.;:?!)]}%")
def test_no_line_begins_with_what_closes(char: str) -> None:
    assert wrap(f"中中{char}中", 4)[1].startswith("中")


@pytest.mark.parametrize("char", "（【《「『〈“‘([{")
def test_no_line_ends_with_what_opens(char: str) -> None:
    assert not wrap(f"中{char}中中", 4)[0].endswith(char)


def test_a_long_source_and_a_narrow_page() -> None:
    assert printed(of()).startswith("! DEGRADED  a summary\n")
    assert printed(of(), width=59).startswith("! DEGRADED\n  a summary\n  x.log")
    assert printed(FAILED, width=59).count("\n") > printed(FAILED, width=60).count("\n")


def test_a_timeline() -> None:
    page = printed(of(timeline=(Phase("load", 20.0), Phase("profile", 5.0))), width=100)
    rows = [line for line in page.split("\n") if "━" in line]
    assert [line.count("━") for line in rows] == [30, 8]
    assert "25 s" in page
