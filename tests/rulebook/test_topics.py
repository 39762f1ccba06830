"""Topics: `topics.yaml` and the directories beside it name each other, and the pages of a wheel carry them."""

from __future__ import annotations

from pathlib import Path

import pytest
from rule_files import GOOD, OTHER, write

from qvl_doctor import rulebook
from qvl_doctor.model import Topic
from qvl_doctor.rulebook import RuleError, pages
from qvl_doctor.rulebook.topics import load_topics

TOPICS = "kv-cache: {en: KV cache, zh: KV 缓存}\nengine: {en: The engine, zh: 引擎}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("engine", "kv-cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "topics.yaml").write_text(TOPICS, encoding="utf-8")
    write(tmp_path / "kv-cache", GOOD)
    write(tmp_path / "engine", OTHER, "engine-failed")
    return tmp_path


def problems(folder: Path) -> list[str]:
    return [str(mistake).replace(f"{folder}/", "") for mistake in rulebook.read(str(folder))[1]]


def test_a_rule_knows_its_topic(folder: Path) -> None:
    assert load_topics(str(folder)) == (
        Topic("kv-cache", {"en": "KV cache", "zh": "KV 缓存"}),
        Topic("engine", {"en": "The engine", "zh": "引擎"}),
    )
    topics = {rule.id: rule.topic for rule in rulebook.load(str(folder))}
    assert topics == {"engine-failed": "engine", "length-above-model": "kv-cache"}


def test_without_the_file_any_directory_will_do(folder: Path) -> None:
    (folder / "topics.yaml").unlink()
    write(folder, OTHER.replace("id: engine-failed", "id: apart").replace("Engine core", "Apart core"), "apart")
    assert load_topics(str(folder)) == ()
    assert {rule.id: rule.topic for rule in rulebook.load(str(folder))}["apart"] == ""


@pytest.mark.parametrize(
    ("topics", "moved", "said"),
    [
        (TOPICS, "engin", "engin/engine-failed.yaml: topics.yaml has no topic 'engin'; did you mean 'engine'?"),
        (TOPICS, "engin", "topics.yaml:2: there is no rule on the topic 'engine'"),
        (TOPICS, ".", "engine-failed.yaml: a rule stands in the directory of its topic; topics.yaml lists the topics"),
        (
            TOPICS.replace("zh: 引擎", "zh: engine"),
            "engine",
            "topics.yaml:2: engine: there is no Chinese in the zh text",
        ),
        (TOPICS.replace(", zh: 引擎", ""), "engine", "topics.yaml:2: engine: there is no zh text"),
        (TOPICS + TOPICS, "engine", "topics.yaml:3: kv-cache: 'kv-cache' appears twice, first on line 1"),
        ("[a]", "engine", "topics.yaml:1: is a map: the name of each topic, with its title in en and zh"),
        ("", "engine", "topics.yaml:1: the file is empty"),
        ("a: b: c", "engine", "topics.yaml:1: is no YAML: "),
    ],
)
def test_what_is_wrong_with_topics(folder: Path, topics: str, moved: str, said: str) -> None:
    (folder / "topics.yaml").write_text(topics, encoding="utf-8")
    (folder / moved).mkdir(exist_ok=True)
    (folder / "engine/engine-failed.yaml").rename(folder / moved / "engine-failed.yaml")
    assert any(problem.startswith(said) for problem in problems(folder)), problems(folder)
    with pytest.raises(RuleError):
        rulebook.load(str(folder))


def test_topics_that_cannot_be_read(folder: Path) -> None:
    (folder / "topics.yaml").unlink()
    (folder / "topics.yaml").mkdir()
    assert problems(folder) == ["topics.yaml: Is a directory"]
    with pytest.raises(RuleError, match="Is a directory"):
        load_topics(str(folder))


class TestPages:
    @pytest.fixture(autouse=True)
    def _fresh(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("qvl_doctor.rulebook.book.PACKAGE", str(tmp_path))

    def test_a_wheel_gives_rules_back_as_they_were(self, folder: Path) -> None:
        rules = tuple(rule._replace(source="") for rule in rulebook.load(str(folder)))
        (folder / "rulebook.json").write_text(rulebook.compile_book(rules), encoding="ascii")
        text = pages.compile_pages(rules, load_topics(str(folder)))
        (folder / pages.COMPILED).write_text(text, encoding="ascii")
        assert pages.with_pages(rulebook.shipped()) == rules
        assert pages.shipped_topics() == load_topics(str(folder))

    def test_a_rule_of_ones_own_keeps_its_examples(self, folder: Path) -> None:
        rules = rulebook.load(str(folder))
        other = rules[0]._replace(matches=rules[1].matches)
        (folder / pages.COMPILED).write_text(pages.compile_pages([other], ()), encoding="ascii")
        assert pages.with_pages(rules) == rules

    def test_a_source_tree_has_them_anyway(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rulebook.book, "rules_folder", lambda: str(folder))
        rules = rulebook.load(str(folder))
        assert pages.with_pages(rules) == rules
        assert [topic.name for topic in pages.shipped_topics()] == ["kv-cache", "engine"]
