"""The documents are made of the rules, and say so when they are stale."""

from __future__ import annotations

import re
from pathlib import Path

import build_docs
import pytest
from rule_files import GOOD, OTHER, write

from qvl_doctor import rulebook

SOURCES = """
seen_in: [0.8.0–0.9.2]
checked: 'config.py of 0.8.5 | and 0.9.2: the check stands there.'
"""
REFERENCES = """references:
  - https://github.com/vllm-project/vllm/blob/v0.8.5/vllm/config.py#L2000
  - https://github.com/vllm-project/vllm/issues/14
  - https://docs.vllm.ai/en/latest/serving/engine_args.html
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "docs").mkdir()
    text = re.sub(r"references:\n.*\n", REFERENCES, GOOD) + SOURCES
    write(tmp_path / "rules", text, "length-above-model")
    write(tmp_path / "rules", OTHER, "engine-failed")
    return tmp_path


def run(folder: Path, *arguments: str) -> int:
    return build_docs.main(["--rules", str(folder / "rules"), "--docs", str(folder / "docs"), *arguments])


def test_a_page_has_a_section_for_each_rule_and_a_way_to_it(folder: Path) -> None:
    page = build_docs.documents(rulebook.load(str(folder / "rules")))["rules.md"]
    links = re.findall(r"^- \[.*\]\(#([\w-]+)\)$", page, re.MULTILINE)
    anchors = re.findall(r'^<a id="([\w-]+)"></a>\n\n### ', page, re.MULTILINE)
    assert links == anchors == ["engine-failed", "length-above-model"]
    assert "2 rules" in page
    assert (
        page.index("## The engine died")
        < page.index('"engine-failed"')
        < page.index("## Starting the server")
        < page.index('"length-ab')
    )
    assert r"### The length \<asked\> is more than the model's \<derived\>" in page
    assert "vLLM's own text, in the sources of 0.8.0–0.9.2" in page
    assert page.count("vLLM's own text") == 1
    assert "- Brings about: [engine-failed](#engine-failed) (The engine failed)" in page
    assert "- Can be brought about by: [length-above-model](#length-above-model)" in page


def test_the_pages_of_both_languages_have_the_same_shape(folder: Path) -> None:
    pages = build_docs.documents(rulebook.load(str(folder / "rules")))
    shapes = [
        re.findall(r"^(?:#+ |<a id=\S+|```\w*|\d+\. |- )", pages[name], re.MULTILINE)
        for name in ("rules.md", "rules.zh.md")
    ]
    assert shapes[0] == shapes[1]
    assert "### 长度" in pages["rules.zh.md"]
    assert "引擎退出" in pages["rules.zh.md"]


def test_a_section_shows_one_example(folder: Path) -> None:
    text = (folder / "rules/engine-failed.yaml").read_text(encoding="utf-8")
    example = "    - {name: the engine, log: Engine core initialization failed}\n"
    second = example.replace("failed}", "failed for good}")
    write(folder / "rules", text.replace(example, example + second), "engine-failed")
    page = build_docs.documents(rulebook.load(str(folder / "rules")))["rules.md"]
    assert "```text\nEngine core initialization failed\n```" in page
    assert "for good" not in page


def test_the_review_table_names_what_was_read(folder: Path) -> None:
    table = build_docs.documents(rulebook.load(str(folder / "rules")))["rules-review.md"].splitlines()
    assert table[-2].startswith("| [engine-failed](rules.md#engine-failed) | – | ")
    assert table[-2].endswith(" | **not yet** |")
    assert table[-1] == (
        "| [length-above-model](rules.md#length-above-model) | 0.8.0–0.9.2 | "
        "[config.py 0.8.5](https://github.com/vllm-project/vllm/blob/v0.8.5/vllm/config.py#L2000), "
        "[vllm-project/vllm#14](https://github.com/vllm-project/vllm/issues/14), "
        "[docs.vllm.ai](https://docs.vllm.ai/en/latest/serving/engine_args.html) | "
        r"config.py of 0.8.5 \| and 0.9.2: the check stands there. |"
    )


def test_only_fatal_rules_are_in_the_review(folder: Path) -> None:
    write(folder / "rules", OTHER.replace("severity: fatal", "severity: notice"), "engine-failed")
    assert "[engine-failed]" not in build_docs.documents(rulebook.load(str(folder / "rules")))["rules-review.md"]


def test_stale_documents_fail_and_are_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--check") == 1
    assert not list((folder / "docs").iterdir())
    assert run(folder) == 0
    assert sorted(path.name for path in (folder / "docs").iterdir()) == ["rules-review.md", "rules.md", "rules.zh.md"]
    assert run(folder, "--check") == 0
    assert "written: rules.md" in capsys.readouterr().out
    page = folder / "docs/rules.zh.md"
    page.write_text(page.read_text(encoding="utf-8") + "one line more\n", encoding="utf-8")
    assert run(folder, "--check") == 1
    assert capsys.readouterr().out == "docs/rules.zh.md is not what the rules say; run `python tools/build_docs.py`\n"
    assert page.read_text(encoding="utf-8").endswith("one line more\n")


def test_of_two_beginnings_the_longer_decides() -> None:
    chapters = {
        name: build_docs.topic_of(name).en
        for name in ("gpu-memory-not-free", "gpu-memory-broken", "gpu-busy", "new-thing")
    }
    assert chapters == {
        "gpu-memory-not-free": "Out of GPU memory",
        "gpu-memory-broken": "GPU, driver and CUDA libraries",
        "gpu-busy": "GPU, driver and CUDA libraries",
        "new-thing": "Starting the server: flags, ports, environment",
    }


def test_chapters_hold_nothing_that_no_rule_has(root: Path) -> None:
    ids = [path.stem for path in (root / "rules").rglob("*.yaml")]
    idle = [
        begin
        for topic in build_docs.TOPICS
        for begin in topic.ids.split()
        if not any(name.startswith(begin) for name in ids)
    ]
    assert idle == []


def test_every_fatal_rule_says_what_it_was_held_against(root: Path) -> None:
    rules = rulebook.load(str(root / "rules"))
    assert [rule.id for rule in rules if rule.severity == "fatal" and not rule.checked] == []
