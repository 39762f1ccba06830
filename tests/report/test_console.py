"""The report on a terminal.

Word for word at 80 columns, readable at any width, and never a way into the terminal for a log.
"""

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.printing import printed
from report_samples import DIAGNOSES, FAILED, HEALTHY, HOSTILE, UNKNOWN, text
from rich.cells import cell_len

from qvl_doctor.model import Diagnosis, Fact, Finding, Fix, Line

FAILED_EN = """\
✗ FAILED  Transformers is too old to know qwen2_5_vl
          pod.log · vLLM 0.7.2 · V0

  vLLM reads config.json through Transformers, which knows qwen2_5_vl from 4.49
  on. vLLM itself knows the architecture from 0.7.3 on. Upgrade both.

Evidence
  12 │ KeyError: 'qwen2_5_vl'
  31 │ ValueError: The checkpoint you are trying to load has model type
     │ `qwen2_5_vl` but Transformers does not recognize this architecture. This…

Fix
  1. Upgrade both packages.
     pip install 'vllm>=0.7.3' 'transformers>=4.49'
  2. Or run an image that has both.
     image: qwenllm/qwenvl:2.5-cu121

  https://github.com/vllm-project/vllm/issues/13446
  More: qvl-doctor explain transformers-unknown-model-type

Follows from it
  · The engine process failed to start (line 45, 2 times)

Facts
  packages  transformers 4.48.3

2 starts in this log; all failed in the same way:
transformers-unknown-model-type

Not checked
  · The start command is not in the log.
"""

FAILED_ZH = """\
✗ 失败  Transformers 版本过旧，无法识别 qwen2_5_vl
        pod.log · vLLM 0.7.2 · V0

  vLLM 通过 Transformers 读取 config.json，而 Transformers 从 4.49 起才支持
  qwen2_5_vl；vLLM 从 0.7.3 起才支持该架构。两者需一起升级。

证据
  12 │ KeyError: 'qwen2_5_vl'
  31 │ ValueError: The checkpoint you are trying to load has model type
     │ `qwen2_5_vl` but Transformers does not recognize this architecture. This…

修复方法
  1. 同时升级两个软件包。
     pip install 'vllm>=0.7.3' 'transformers>=4.49'
  2. 或使用已包含二者的镜像。
     镜像：qwenllm/qwenvl:2.5-cu121

  https://github.com/vllm-project/vllm/issues/13446
  详情：qvl-doctor explain transformers-unknown-model-type

由此引发
  · 引擎进程启动失败（第 45 行，2 次）

已知信息
  软件包  transformers 4.48.3

日志中共有 2 次启动，均因同一原因失败：transformers-unknown-model-type

未检查
  · 日志中没有启动命令。
"""

HEALTHY_EN = """\
✓ HEALTHY  The server is ready; notices: 1
           standard input · vLLM 0.7.2.dev56+gbf3b79ef · V0

Notices
  · The KV cache holds 2,976 tokens, one full-size image needs 16,384
    (kv-below-one-image, line 24, likely)
    → Give vLLM more of the card.
      --gpu-memory-utilization 0.9

Facts
  model          /models/qwen/Qwen2___5-VL-7B-Instruct
  dtype          float16
  memory budget  0.70 × 23.65 GiB = 16.55 GiB
  KV cache       0.16 GiB = 2,976 tokens = 2.91 × 1,024 tokens

GPU memory  23.65 GiB
  █████████████████████████████████████████████████▓▓▌▒░░░░░░·················
  █ weights 15.63   ▓ activation peak 0.69   ▌ outside PyTorch 0.08
  ▒ KV cache 0.16   ░ CUDA graphs 1.91   · left over 5.18

Startup  54 s
  loading the weights    23 s  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
  profiling memory       13 s  ━━━━━━━━━━━━━━━━━
  capturing CUDA graphs  18 s  ━━━━━━━━━━━━━━━━━━━━━━━━
"""

HEALTHY_ZH = """\
✓ 健康  服务已就绪；另有提示 1 条
        标准输入 · vLLM 0.7.2.dev56+gbf3b79ef · V0

提示
  · KV 缓存容纳 2,976 个 token，一张满尺寸图片需要 16,384 个
    （kv-below-one-image，第 24 行，很可能）
    → 提高显存比例。
      --gpu-memory-utilization 0.9

已知信息
  模型      /models/qwen/Qwen2___5-VL-7B-Instruct
  数据类型  float16
  显存预算  0.70 × 23.65 GiB = 16.55 GiB
  KV 缓存   0.16 GiB = 2,976 tokens = 2.91 × 1,024 tokens

显存  23.65 GiB
  █████████████████████████████████████████████████▓▓▌▒░░░░░░·················
  █ 权重 15.63   ▓ 激活峰值 0.69   ▌ PyTorch 之外 0.08   ▒ KV 缓存 0.16
  ░ CUDA graph 1.91   · 剩余 5.18

启动过程  54 秒
  加载权重               23 秒  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
  预估显存（profiling）  13 秒  ━━━━━━━━━━━━━━━━━
  捕获 CUDA graph        18 秒  ━━━━━━━━━━━━━━━━━━━━━━━━
"""


@pytest.mark.parametrize(
    ("diagnosis", "lang", "expected"),
    [
        pytest.param(FAILED, "en", FAILED_EN, id="failed, English"),
        pytest.param(FAILED, "zh", FAILED_ZH, id="failed, Chinese"),
        pytest.param(HEALTHY, "en", HEALTHY_EN, id="healthy, English"),
        pytest.param(HEALTHY, "zh", HEALTHY_ZH, id="healthy, Chinese"),
    ],
)
def test_word_for_word(diagnosis: Diagnosis, lang: str, expected: str) -> None:
    assert printed(diagnosis, lang) == expected
    assert all(cell_len(line) <= 80 and line == line.rstrip() for line in expected.splitlines())


@pytest.mark.parametrize(
    ("diagnosis", "lang", "expected"),
    [
        (FAILED, "en", "✗ FAILED  pod.log: Transformers is too old to know qwen2_5_vl\n"),
        (FAILED, "zh", "✗ 失败  pod.log：Transformers 版本过旧，无法识别 qwen2_5_vl\n"),
        (HEALTHY, "en", "✓ HEALTHY  The server is ready; notices: 1\n"),
    ],
)
def test_quiet_is_the_verdict_line(diagnosis: Diagnosis, lang: str, expected: str) -> None:
    assert printed(diagnosis, lang, 30, quiet=True) == expected


# ---- Any width

# What is pasted or clicked stays in one piece, however narrow the page is.
UNBREAKABLE = re.compile(r"https?://|qvl-doctor explain|--[a-z]|pip install|^ +'[^']*'( \\)?$|(image:|镜像：)")


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("diagnosis", [FAILED, HEALTHY], ids=["failed", "healthy"])
@pytest.mark.parametrize("width", [1, 24, 40, 59, 60, 100])
def test_fits(diagnosis: Diagnosis, lang: str, width: int) -> None:
    for line in printed(diagnosis, lang, width).splitlines():
        assert cell_len(line) <= max(width, 24) or UNBREAKABLE.search(line)


@given(DIAGNOSES, st.integers(1, 150), st.sampled_from(["en", "zh"]))
def test_anything_can_be_printed(diagnosis: Diagnosis, width: int, lang: str) -> None:
    findings = tuple(finding._replace(fixes=(), references=(), rule="r") for finding in diagnosis.findings)
    bare = diagnosis._replace(
        findings=findings, alternatives=tuple(way._replace(change={}) for way in diagnosis.alternatives)
    )
    for line in printed(bare, lang, width).splitlines():
        assert cell_len(line) <= max(width, 24) or "qvl-doctor explain" in line


def test_a_wide_terminal_is_not_filled() -> None:
    assert printed(FAILED, width=300) == printed(FAILED, width=100)


@given(
    st.lists(
        st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), min_size=1), min_size=1, max_size=8
    )
)
def test_a_continued_command_is_the_same_command(values: list[str]) -> None:
    fix = Fix(text("x", "x"), {"flags": {f"--flag-{number}": value for number, value in enumerate(values)}})
    finding = FAILED.findings[0]._replace(fixes=(fix,), references=(), why=text("", ""), evidence=())
    page = printed(Diagnosis("-", "failed", finding.title, findings=(finding,)), width=40)
    command = page[page.index("--flag-0") : page.index("\n\n  More: ")].replace("\\\n", "")  # as a shell does
    expected = [word for number, value in enumerate(values) for word in (f"--flag-{number}", value)]
    assert shlex.split(command) == expected


def test_leads_come_after_the_advice() -> None:
    page = printed(UNKNOWN)
    expected = """
What to look at
  1. Search for its text.

Leads, not causes
  1. The error itself names `--x`.
  2. It was raised in the cache.
"""
    assert expected in page
    assert "线索（不是结论）" in printed(UNKNOWN, lang="zh")
    assert "Leads" not in printed(FAILED)


# ---- Hostile text


@given(DIAGNOSES)
def test_a_log_never_reaches_the_terminal(diagnosis: Diagnosis) -> None:
    plain = printed(diagnosis)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", plain)
    # With colours nothing but colours is added.
    coloured = printed(diagnosis, colour=True)
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain


def test_markup_and_controls_are_shown() -> None:
    finding = Finding(
        "r", "cause", "fatal", "certain", text(HOSTILE, HOSTILE), text(HOSTILE, HOSTILE), (Line(3, HOSTILE),)
    )
    page = printed(
        Diagnosis("\x1b[2J.log", "failed", text("s", "s"), {"model": Fact(HOSTILE)}, (finding,)), colour=True
    )
    assert "\\x1b[2J.log" in page
    assert page.count("[bold]m[/bold]") >= 3
    assert "\\x1b[31mred" in page
    assert "\\u202egpj" in page


def test_a_huge_line_is_cut_around_what_tells() -> None:
    line = Line(
        7,
        "ERROR 02-16 09:04:35 engine.py:389] "
        + "blah " * 100_000
        + "asked for 9.03 GiB of 23.65 GiB "
        + "blub " * 100_000,
    )
    title = text("Asked for 9.03 GiB of 23.65 GiB", "申请 9.03 GiB，共 23.65 GiB")
    finding = Finding(
        "r", "cause", "fatal", "certain", title, text("x", "x"), (line, *(Line(number, "y") for number in range(50)))
    )
    page = printed(Diagnosis("-", "failed", title, findings=(finding,)))
    rows = page[page.index("Evidence") : page.index("More: ")].splitlines()
    assert len(rows) < 16
    assert "43 more" in page
    assert page.count("y\n") == 7


def test_the_telling_part_of_a_line_is_kept() -> None:
    noise = "word " * 200
    line = Line(1, f"ERROR 02-16 09:04:35 engine.py:389] {noise}KeyError: 'qwen2_5_vl' was raised {noise}")
    finding = FAILED.findings[0]._replace(evidence=(line,))
    for width in (40, 80):
        page = printed(FAILED._replace(findings=(finding,)), width=width)
        shown = " ".join(row.partition("│")[2].strip() for row in page.splitlines() if "│" in row)
        assert "KeyError: 'qwen2_5_vl'" in shown
        assert shown.startswith("…")
        assert shown.endswith("…")


@pytest.mark.parametrize(
    ("lang", "encoding"),
    [("en", "ascii"), ("zh", "ascii"), ("en", "latin-1"), ("en", "cp1252"), ("en", "gbk"), ("zh", "gbk")],
)
@pytest.mark.parametrize("diagnosis", [FAILED, HEALTHY], ids=["failed", "healthy"])
def test_old_encodings(diagnosis: Diagnosis, lang: str, encoding: str) -> None:
    page = printed(diagnosis, lang, encoding=encoding)
    assert page.startswith(("x FAILED", "+ HEALTHY", "x 失败", "+ 健康"))
    assert ("失败" in page or "健康" in page) == ((lang, encoding) == ("zh", "gbk"))
    assert "?" not in page
