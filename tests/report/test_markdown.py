"""The report for an issue: whole in GitHub's Markdown, and nothing of a log in it but text."""

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from report_samples import DIAGNOSES, FAILED, HEALTHY, HOSTILE, UNKNOWN, text

from qvl_doctor import __version__
from qvl_doctor.model import Alternative, Diagnosis, Fact, Finding, Fix, Line
from qvl_doctor.report.markdown import code, escape, fence, render

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
EMPTY = {"en": "", "zh": ""}
BARE_WAY = Alternative(EMPTY, {"image": "0"}, {}, None)
NAMELESS = Finding("a", "cause", "fatal", "certain", {"en": "\r", "zh": ""}, EMPTY)
ANY = st.text(st.characters(codec=None)) | st.text("\\`*_[]()<>#+-=.!|&~$@:/ aw1\n", max_size=40) | st.just(HOSTILE)

FAILED_EN = """\
### ❌ FAILED: Transformers is too old to know qwen2_5_vl

vLLM 0.7.2 · V0

vLLM reads config.json through Transformers, which knows qwen2_5_vl from 4.49 on. vLLM itself knows the architecture from 0.7.3 on. Upgrade both.

```text
12 | KeyError: 'qwen2_5_vl'
31 | ValueError: The checkpoint you are trying to load has model type `qwen2_5_vl` but Transformers does not recognize this architecture. This could be because of an issue with the checkpoint, or because your version of Transformers is out of date.
```

**Fix**

1. Upgrade both packages.
   ```shell
   pip install 'vllm>=0.7.3' 'transformers>=4.49'
   ```
2. Or run an image that has both.

   image: `qwenllm/qwenvl:2.5-cu121`

References: <https://github.com/vllm-project/vllm/issues/13446>

**Follows from it**

- The engine process failed to start (line 45, 2 times)

2 starts in this log; all failed in the same way: transformers-unknown-model-type

**Not checked**

- The start command is not in the log.

<details>
<summary>Facts</summary>

| | |
|---|---|
| packages | `transformers 4.48.3` |

</details>

<sub>qvl-doctor VERSION · transformers-unknown-model-type</sub>
"""  # noqa: E501  a paragraph is a line

HEALTHY_ZH = """\
### ✅ 健康：服务已就绪；另有提示 1 条

vLLM 0.7.2.dev56+gbf3b79ef · V0 · `/models/qwen/Qwen2___5-VL-7B-Instruct`

**提示**

- KV 缓存容纳 2,976 个 token，一张满尺寸图片需要 16,384 个（kv-below-one-image，第 24 行，很可能）

  提高显存比例。
  ```shell
  --gpu-memory-utilization 0.9
  ```

<details>
<summary>已知信息</summary>

| | |
|---|---|
| 模型 | `/models/qwen/Qwen2___5-VL-7B-Instruct` |
| 数据类型 | `float16` |
| 显存预算 | `0.70 × 23.65 GiB = 16.55 GiB` |
| KV 缓存 | `0.16 GiB = 2,976 tokens = 2.91 × 1,024 tokens` |
| 显存 | `23.65 GiB` |
| · 权重 | `15.63 GiB` |
| · 激活峰值 | `0.69 GiB` |
| · PyTorch 之外 | `0.08 GiB` |
| · KV 缓存 | `0.16 GiB` |
| · CUDA graph | `1.91 GiB` |
| · 剩余 | `5.18 GiB` |
| 启动过程 | `54 秒` |
| · 加载权重 | `23 秒` |
| · 预估显存（profiling） | `13 秒` |
| · 捕获 CUDA graph | `18 秒` |

</details>

<sub>qvl-doctor VERSION</sub>
"""


@pytest.mark.parametrize(
    ("diagnosis", "lang", "expected"),
    [
        pytest.param(FAILED, "en", FAILED_EN, id="failed, English"),
        pytest.param(HEALTHY, "zh", HEALTHY_ZH, id="healthy, Chinese"),
    ],
)
def test_word_for_word(diagnosis: Diagnosis, lang: str, expected: str) -> None:
    assert render(diagnosis, lang) == expected.replace("VERSION", __version__)


def shown(markdown: str) -> str:
    """The text that a reader sees of one line of Markdown, without the invisible blanks that take links apart."""
    page = GITHUB.render(markdown).strip().removeprefix("<p>").removesuffix("</p>")
    return html.unescape(page.replace("<span>", "").replace("</span>", "")).replace("\u200b", "")


@given(ANY)
def test_escaped_text_is_shown_as_it_is(line: str) -> None:
    plain = " ".join(line.split())
    if all(char == " " or char.isprintable() for char in plain):
        assert shown(escape(line)) == plain


@given(ANY)
def test_escaped_text_becomes_nothing_else(line: str) -> None:
    page = GITHUB.render(escape(line))
    assert set(re.findall(r"<(/?\w+)", page)) <= {"p", "/p", "span", "/span"}
    assert set(re.findall(r"<span>(.*?)</span>", page)) <= {"$"}
    # GitHub's own links, which no Markdown parser knows of.
    assert not re.search(r"@[a-z0-9]|#\d|\bgh-\d|://|\bwww\.|\bmailto:\S", html.unescape(page), re.IGNORECASE)


@given(ANY)
def test_code_spans_hold(line: str) -> None:
    page = GITHUB.render(f"x {code(line)} y").strip()
    if code(line):
        assert page.startswith("<p>x <code>")
        assert page.endswith("</code> y</p>")
        assert page.count("<code>") == 1


@given(st.lists(ANY, min_size=1, max_size=4), st.sampled_from([0, 3]))
def test_fences_hold(lines: list[str], indent: int) -> None:
    block = "\n".join(fence(lines, "text", indent))
    tokens = GITHUB.parse(f"1. x\n{block}\n" if indent else f"{block}\n")
    fences = [token for token in tokens if token.type == "fence"]
    assert len(fences) == 1
    assert fences[0].content.count("\n") == len(lines)
    around = {
        "ordered_list_open",
        "list_item_open",
        "paragraph_open",
        "inline",
        "paragraph_close",
        "list_item_close",
        "ordered_list_close",
    }
    assert {token.type for token in tokens} <= {"fence", *around}


@given(DIAGNOSES, st.sampled_from(["en", "zh"]))
@example(diagnosis=Diagnosis("", "failed", EMPTY, {}, (NAMELESS,)), lang="en")
@example(diagnosis=Diagnosis("", "failed", EMPTY, {}, alternatives=(BARE_WAY, BARE_WAY)), lang="en")
def test_any_report_holds_nothing_but_text(diagnosis: Diagnosis, lang: str) -> None:
    page = render(diagnosis, lang)
    assert page.encode("utf-8")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", page)
    drawn = GITHUB.render(page)
    assert not re.search(r"<(?:img|script|iframe|style|hr|h[124-6]|blockquote)\b", drawn)
    links = [html.unescape(link) for link in re.findall(r'href="([^"]*)"', drawn)]
    assert len(links) <= sum(len(finding.references) for finding in diagnosis.findings)


def test_hostile_text_everywhere() -> None:
    hostile = text(HOSTILE, HOSTILE)
    fix = Fix(
        hostile, {"flags": {"--model": HOSTILE}, "run": HOSTILE, "image": HOSTILE}, {"by": HOSTILE, "detail": HOSTILE}
    )
    references = ("https://docs.vllm.ai/en/latest/", "javascript:alert(1)", "https://x> <img src=x>")
    finding = Finding(
        "r", "cause", "degraded", "likely", hostile, hostile, (Line(3, HOSTILE), Line(4, "```")), (fix,), references
    )
    drawn = GITHUB.render(
        render(
            Diagnosis(HOSTILE, "degraded", hostile, {"model": Fact(HOSTILE), "vllm": Fact(HOSTILE)}, (finding,)), "en"
        )
    )
    assert set(re.findall(r'href="([^"]*)"', drawn)) == {"https://docs.vllm.ai/en/latest/"}
    assert "<img" not in drawn
    outside = re.sub(r"<code.*?</code>", "", drawn, flags=re.DOTALL).replace("<a href", "").replace(references[0], "")
    assert "@someone" not in outside
    assert "https://evil" not in outside
    assert "\x1b" not in drawn


def test_a_long_line_is_cut() -> None:
    finding = FAILED.findings[0]._replace(
        evidence=(Line(1, "blah " * 2000 + "KeyError: 'qwen2_5_vl' " + "blub " * 2000),)
    )
    page = render(FAILED._replace(findings=(finding,)), "en")
    assert "KeyError: 'qwen2_5_vl'" in page
    assert len(page) < 3000


def test_leads_come_after_the_advice() -> None:
    page = render(UNKNOWN, "en")
    assert page.index("**What to look at**") < page.index("**Leads, not causes**\n\n1. The error itself names")
    assert "\n2. It was raised in the cache.\n\n" in page
    assert "**线索（不是结论）**" in render(UNKNOWN, "zh")
    assert "Leads" not in render(FAILED, "en")
