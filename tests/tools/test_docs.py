"""The index of the rules is made of them, and says so when it is out of date."""

from __future__ import annotations

import re
from pathlib import Path

import build_docs
import pytest
from rule_files import GOOD, OTHER, write

from qvl_doctor import rulebook
from qvl_doctor.rulebook.topics import load_topics

TOPICS = """
kv-cache: {en: KV cache and length, zh: KV 缓存与长度}
engine: {en: The engine, zh: 引擎}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("engine", "kv-cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "topics.yaml").write_text(TOPICS, encoding="utf-8")
    write(tmp_path / "kv-cache", GOOD, "length-above-model")
    write(tmp_path / "engine", OTHER, "engine-failed")
    return tmp_path


def run(folder: Path, *arguments: str) -> int:
    return build_docs.main(["--rules", str(folder), *arguments])


def test_the_index_has_every_topic_in_its_order_with_its_rules(folder: Path) -> None:
    text = build_docs.index(rulebook.load(str(folder)), load_topics(str(folder)))
    assert text.startswith("# Rules\n\n2 rules, ")
    assert text.endswith(
        r"""
## KV cache and length · KV 缓存与长度

- [length-above-model](kv-cache/length-above-model.yaml): The length \<asked\> is more than the model's \<derived\>

## The engine · 引擎

- [engine-failed](engine/engine-failed.yaml): The engine failed
"""
    )


def test_an_index_that_is_out_of_date_fails_and_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = folder / "README.md"
    assert run(folder, "--check") == 1
    assert not index.exists()
    assert run(folder) == 0
    assert run(folder, "--check") == 0
    assert f"written: {index}" in capsys.readouterr().out
    written = index.read_text(encoding="utf-8")
    index.write_text(written + "one line more\n", encoding="utf-8")
    assert run(folder, "--check") == 1
    assert capsys.readouterr().out == "README.md of the rules is out of date; run `python tools/build_docs.py`\n"
    assert index.read_text(encoding="utf-8") == written + "one line more\n"


def test_the_index_of_the_shipped_rules_leads_to_every_file(root: Path) -> None:
    assert build_docs.main(["--check"]) == 0
    links = re.findall(
        r"^- \[[\w-]+\]\((\S+)\): \S", (root / "rules/README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    files = {path.relative_to(root / "rules").as_posix() for path in (root / "rules").glob("*/*.yaml")}
    assert set(links) == files
    assert len(links) == len(files)
