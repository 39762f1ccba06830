"""The page of a rule, for the terminal and as Markdown."""

import io

import pytest
from report_samples import text
from rich.cells import cell_len
from rich.console import Console

from qvl_doctor.model import Example, FixTemplate, Rule
from qvl_doctor.report import rule_page

RULE = Rule(
    id="worst-case-too-long",
    severity="degraded",
    title=text(
        "A full-size request needs {need} tokens, the budget is {have}",
        "最大请求需要 {need} 个 token，而预算只有 {have}",
    ),
    why=text("The worst case is tokens per item × items: {reserved}.", "最坏情况 = 每项 token 数 × 项数：{reserved}。"),
    match=(),
    fixes=(
        FixTemplate(
            text("Switch video off, for {images} images.", "关闭视频，{images} 张图。"),
            change={"flags": {"--limit-mm-per-prompt": {"image": "{images}", "video": "0"}}},
            applies={"vllm": "<0.10", "fits": "yes"},
        ),
        FixTemplate(
            text("Raise the budget.", "提高预算。"),
            change={"flags": {"--max-model-len": "{max_model_len}", "--swap-space": None}, "pip": ["vllm>={needed}"]},
        ),
    ),
    references=("https://github.com/vllm-project/vllm/issues/14816",),
    applies={"vllm": ">=0.6.5,<0.12"},
    explains=("request-failed", "not-there"),
    confidence="likely",
    matches=(
        Example(
            "vllm 0.7.2",
            "WARNING 02-17 03:21:12 profiling.py:187] The context length (24576) of the model is too short to hold the "
            "multi-modal embeddings in the worst case (81920 tokens in total, out of which {'image': 81920} are reserved for "
            "multi-modal embeddings).\n",
        ),
    ),
)
OTHERS = (
    RULE._replace(id="request-failed", title=text("A request for {what} failed", "{what} 请求失败"), explains=()),
    RULE._replace(id="deeper", title=text("Something deeper", "更深的原因"), explains=("worst-case-too-long",)),
)

PAGE = """\
A full-size request needs <need> tokens, the budget is <have>
worst-case-too-long · degraded: it serves, but badly · likely
holds for vllm >=0.6.5,<0.12

  The worst case is tokens per item × items: <reserved>.

How it looks
  WARNING 02-17 03:21:12 profiling.py:187] The context length (24576) of the
    model is too short to hold the multi-modal embeddings in the worst case…

Fix
  1. Switch video off, for <images> images. (only for vllm <0.10)
     --limit-mm-per-prompt '{"image": <images>, "video": 0}'
  2. Raise the budget.
     pip install 'vllm>=<needed>'
     --max-model-len <max_model_len>
     remove: --swap-space

Related rules
  · Brings about: request-failed (A request for <what> failed)
  · Brings about: not-there
  · Can be brought about by: deeper (Something deeper)

References
  https://github.com/vllm-project/vllm/issues/14816
"""

MARKDOWN = """\
## 最大请求需要 \\<need\\> 个 token，而预算只有 \\<have\\>

`worst-case-too-long` · 带病运行：能提供服务，但有问题 · 很可能 · 适用于 vllm \\>=0.6.5,\\<0.12

最坏情况 = 每项 token 数 × 项数：\\<reserved\\>。

**日志中的样子**

```text
WARNING 02-17 03:21:12 profiling.py:187] The context length (24576) of the model is too short to hold the multi-modal embeddings in the worst case (81920 tokens in total, out of which {'image': 81920} are reserved for multi-modal embeddings).
```

**修复方法**

1. 关闭视频，\\<images\\> 张图。（仅适用于 vllm \\<0.10）
   ```shell
   --limit-mm-per-prompt '{"image": <images>, "video": 0}'
   ```
2. 提高预算。
   ```shell
   pip install 'vllm>=<needed>'
   --max-model-len <max_model_len>
   ```

   删除： `--swap-space`

**相关规则**

- 会引发：request-failed（\\<what\\> 请求失败）
- 会引发：not-there
- 可能的起因：deeper（更深的原因）

**参考**

- <https://github.com/vllm-project/vllm/issues/14816>
"""  # noqa: E501  a paragraph is a line


def printed(rule: Rule, lang: str, width: int, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    rule_page.render(rule, lang, Console(file=file, width=width, no_color=True), OTHERS)
    file.flush()
    return raw.getvalue().decode(encoding)


def test_the_page() -> None:
    assert printed(RULE, "en", 80) == PAGE


def test_the_page_as_markdown() -> None:
    assert rule_page.markdown(RULE, "zh", OTHERS) == MARKDOWN


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [24, 40, 120])
def test_fits(lang: str, width: int) -> None:
    for line in printed(RULE, lang, width).splitlines():
        assert cell_len(line) <= width or line.lstrip().startswith(("--", "https://", "pip install", "remove:"))


def test_a_console_that_wraps_loses_nothing() -> None:
    file = io.StringIO()
    Console(file=file, width=40, no_color=True).print(rule_page.rule_page(RULE, "en", OTHERS))
    assert "".join(file.getvalue().split()) == "".join(printed(RULE, "en", 40).split())


def test_an_old_encoding_gets_english() -> None:
    assert printed(RULE, "zh", 80, "ascii").startswith("A full-size request needs <need> tokens")


def test_examples_stand_apart() -> None:
    page = printed(
        RULE._replace(matches=(Example("a", "one\n\ntwo"), Example("b", "three"), Example("c", "four"))), "en", 80
    )
    assert "How it looks\n  one\n  two\n\n  three\n\nFix" in page


def test_a_long_example_keeps_its_ends() -> None:
    log = "\n".join(
        ["Traceback (most recent call last):", *(f"  line {number}" for number in range(40)), "KeyError: 'x'"]
    )
    page = printed(RULE._replace(matches=(Example("x", log),)), "en", 80)
    assert page[page.index("How it looks") : page.index("\n\nFix")].splitlines()[1:] == [
        "  Traceback (most recent call last):",
        "    line 0",
        "    …",
        "    line 38",
        "    line 39",
        "  KeyError: 'x'",
    ]
