"""The page of a rule, and which rules are related to it."""

import io
from pathlib import Path

import pytest
from program import RULES, apart
from report_samples import text
from rich.cells import cell_len
from rich.console import Console

from qvl_doctor.model import Example, FixTemplate, Rule, Topic
from qvl_doctor.report import rule_page
from qvl_doctor.report.related import related

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
    seen_in=("0.6.5–0.7.3", "0.8.2"),
    checked="profiling.py of 0.7.2.",
    topic="multimodal",
    explains=("request-failed", "not-there"),
    before=("weaker",),
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
TOPICS = (Topic("multimodal", text("Images", "图像")),)
OTHERS = (
    RULE._replace(
        id="request-failed", title=text("A request for {what} failed", "{what} 请求失败"), explains=(), before=()
    ),
    RULE._replace(id="deeper", title=text("Something deeper", "更深的原因"), explains=("worst-case-too-long",)),
    RULE._replace(id="stronger", title=text("Something stronger", "更准的原因"), before=("worst-case-too-long",)),
    RULE._replace(id="worst-case-unknown", title=text("The budget is not known", "预算未知"), explains=(), before=()),
    RULE._replace(id="worst-case-elsewhere", topic="requests", explains=(), before=()),
)

PAGE = """\
A full-size request needs <need> tokens, the budget is <have>
worst-case-too-long · Images · degraded: it serves, but badly · likely
applies to vllm >=0.6.5,<0.12 · text of vLLM 0.6.5–0.7.3, 0.8.2

  The worst case is tokens per item × items: <reserved>.

How it looks
  WARNING 02-17 03:21:12 profiling.py:187] The context length (24576) of the model is too short to hold the multi-modal embeddings in the worst case (81920 tokens in total, out of which {'image': 81920} are reserved for multi-modal embeddings).

Fix
  1. Switch video off, for <images> images. (only for vllm <0.10)
     --limit-mm-per-prompt '{"image": <images>, "video": 0}'
  2. Raise the budget.
     pip install 'vllm>=<needed>'
     --max-model-len <max_model_len>
     remove: --swap-space

Related rules
  · Causes: request-failed (A request for <what> failed)
  · Causes: not-there
  · Can be caused by: deeper (Something deeper)
  · Is reported instead of: weaker
  · Gives way to: stronger (Something stronger)
  · Similar: worst-case-unknown (The budget is not known)

Checked against
  profiling.py of 0.7.2.

References
  https://github.com/vllm-project/vllm/issues/14816
"""  # noqa: E501  lines of a log are not wrapped


def printed(rule: Rule, lang: str, width: int, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    rule_page.render(rule, lang, Console(file=file, width=width, no_color=True), (RULE, *OTHERS), TOPICS)
    file.flush()
    return raw.getvalue().decode(encoding)


def looks(*examples: Example) -> str:
    page = printed(RULE._replace(matches=examples), "en", 80)
    return page.partition("How it looks\n")[2].partition("\n\nFix\n")[0]


def test_the_page() -> None:
    assert printed(RULE, "en", 80) == PAGE


def test_the_page_in_chinese() -> None:
    page = printed(RULE, "zh", 80)
    assert page.startswith("最大请求需要 <need> 个 token，而预算只有 <have>\nworst-case-too-long · 图像 · ")
    assert "会引发：request-failed（<what> 请求失败）" in page
    assert "How it looks" not in page


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [24, 40, 120])
def test_prose_fits_and_what_is_copied_stays_in_one_line(lang: str, width: int) -> None:
    copied = ("WARNING 02-17", "--", "https://", "pip install", "remove:")
    for line in printed(RULE, lang, width).splitlines():
        assert cell_len(line) <= width or line.lstrip().startswith(copied)


def test_an_old_encoding_gets_english() -> None:
    assert printed(RULE, "zh", 80, "ascii").startswith("A full-size request needs <need> tokens")


def test_examples_are_whole_and_apart() -> None:
    long = "\n".join(
        ["Traceback (most recent call last):", *(f"  line {number}" for number in range(40)), "KeyError: 'x'"]
    )
    shown = looks(Example("a", "one\n\ntwo"), Example("b", long), Example("c", "three"))
    blocks = shown.split("\n\n")
    assert blocks[0] == "  one\n  two"
    assert blocks[1].splitlines() == [f"  {line}" for line in long.splitlines()]
    assert blocks[2] == "  three"


@pytest.mark.parametrize(
    ("example", "shown"),
    [
        (
            Example("a", observation="clock_wrong", values={"day": "1970-01-01"}),
            "  the clock of this machine shows 1970-01-01",
        ),
        (Example("a", command="vllm serve m \\\n  --port 1"), "  vllm serve m \\\n    --port 1"),
        (Example("a", facts={"nvml": "amd", "gpu_count": "1"}), "  nvml: amd, gpu_count: 1"),
        (Example("a", "ValueError: x", facts={"vllm": "0.8.5"}), "  ValueError: x"),
        (Example("a", "\x1b[31mred\x1b[0m"), "  \\x1b[31mred\\x1b[0m"),
    ],
)
def test_an_example_is_shown_as_it_is_met(example: Example, shown: str) -> None:
    assert looks(example) == shown


def test_a_rule_without_anything_to_show_has_no_heading() -> None:
    assert "How it looks" not in printed(RULE._replace(matches=()), "en", 80)
    assert "Checked against" not in printed(RULE._replace(checked=""), "en", 80)


def test_every_shipped_rule_shows_its_examples() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, no_color=True)
    for rule in RULES:
        rule_page.render(rule, "en", console)
        page = file.getvalue()
        file.truncate(file.seek(0))
        lines = [
            line for example in rule.matches for line in (*example.log.splitlines(), *example.command.splitlines())
        ]
        assert [line for line in lines if line.strip() and f"  {line.rstrip()}\n" not in page] == [], rule.id


class TestRelated:
    def test_a_rule_is_named_once_by_what_says_most(self) -> None:
        rule = RULE._replace(explains=("stronger",), before=("stronger", "deeper"))
        assert related(rule, (rule, *OTHERS)) == {
            "stronger": "causes",
            "deeper": "caused_by",
            "worst-case-unknown": "similar",
        }

    def test_a_rule_without_topic_is_similar_to_none(self) -> None:
        rules = [rule._replace(topic="", explains=(), before=()) for rule in (RULE, *OTHERS)]
        assert related(rules[0], rules) == {}

    def test_no_more_than_three_are_similar(self) -> None:
        rules = [RULE._replace(id=f"worst-case-{letter}", explains=(), before=()) for letter in "abcdef"]
        assert related(rules[0], rules) == {f"worst-case-{letter}": "similar" for letter in "bcd"}

    def test_among_the_shipped_rules(self) -> None:
        rules = {rule.id: rule for rule in RULES}
        assert list(related(rules["swap-space-frees-nothing"], RULES)) == [
            "block-size-frees-nothing",
            "swap-space-too-large",
        ]
        assert related(rules["tool-parser-unknown"], RULES)["reasoning-parser-unknown"] == "similar"


def test_compiled_rules_have_the_whole_page(tmp_path: Path) -> None:
    """The examples were missing: compiled rules have none."""
    compiled = apart("explain", "kv-below-context", cwd=tmp_path).stdout.decode()
    assert "How it looks\n  ERROR 02-16 10:03:50 engine.py:389] ValueError: The model's max seq len (60000)" in compiled
    assert "Checked against" in compiled
    assert "kv-below-context · KV cache and context length" in compiled
    assert "Similar: plan-context-too-long" in compiled
