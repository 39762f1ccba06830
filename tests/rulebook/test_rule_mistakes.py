"""Every mistake in a rule file is named, with its line and with what would be right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import RULES
from rule_files import FILES, GOOD, OTHER, changed, line_of, mistakes, write
from rule_mistakes import MISTAKES

from qvl_doctor import rulebook
from qvl_doctor.rulebook.checks import check_mistakes
from qvl_doctor.rulebook.mistakes import PROBLEMS, Mistake, RuleError


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name: str, tmp_path: Path) -> None:
    old, new, said = MISTAKES[name]
    found = mistakes(tmp_path, changed(old, new))
    assert any(said in mistake for mistake in found), found


def test_every_mistake_that_there_is_can_be_made(tmp_path: Path) -> None:
    made = [_found(tmp_path, changed(old, new).encode()) for old, new, _ in MISTAKES.values()]
    made += [_found(tmp_path, data) for data in FILES.values()]
    shelf = tmp_path / "shelf"
    made.append(rulebook.read(str(shelf))[1])
    shelf.mkdir()
    made.append(rulebook.read(str(shelf))[1])
    (shelf / "other.yml").touch()
    topic = shelf / "topic"
    topic.mkdir()
    write(shelf, GOOD)
    write(topic, GOOD)
    (topic / "folder.yaml").mkdir()
    made.append(rulebook.read(str(shelf))[1])
    (topic / "length-above-model.yaml").unlink()
    write(shelf, OTHER.replace("symptom: yes", "explains: [length-above-model]"), "engine-failed")
    rules, circle = rulebook.read(str(shelf))
    made.append(circle)
    with pytest.raises(RuleError) as twice:
        rulebook.merge(rules, rules)
    made.append(list(twice.value.mistakes))
    for topics in ("[topic]", "topi: {en: Topic, zh: 话题}"):
        (shelf / "topics.yaml").write_text(topics, encoding="utf-8")
        made.append(rulebook.read(str(shelf))[1])
    (rule,) = (rule for rule in RULES if rule.id == "gpu-persistence-off")
    made.append(check_mistakes([rule._replace(check="")]))
    assert {mistake.name for mistakes in made for mistake in mistakes} == set(PROBLEMS)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_rule(name: str, tmp_path: Path) -> None:
    (found,) = _found(tmp_path, FILES[name])
    assert (found.name, found.field, found.line > 0) == (name, "", True)


def _found(folder: Path, data: bytes) -> list[Mistake]:
    path = folder / "length-above-model.yaml"
    path.write_bytes(data)
    with pytest.raises(RuleError) as raised:
        rulebook.load_file(str(path))
    return list(raised.value.mistakes)


def test_a_mistake_names_its_line(tmp_path: Path) -> None:
    for old, new, part in (
        ("    level: ERROR", "    mesage: ERROR", "mesage"),
        ("pod: shm-volume", "pod: shm-volumes", "shm-volumes"),
        ("en: Ask less.", "en: Ask less: one.", "Ask less: one."),
        ("applies: {vllm: '>=0.8,<0.10'}", "applies:\n  vllm: '>>1'", "vllm: '>>1'"),
        ("en: Ask less.", "en: Ask \x07 less.", "\x07"),
    ):
        text = changed(old, new)
        assert [mistake.split(":")[0] for mistake in mistakes(tmp_path, text)] == [str(line_of(text, part))], new


def test_all_mistakes_of_a_file_are_said_in_the_order_of_its_lines(tmp_path: Path) -> None:
    text = (
        changed("severity: fatal", "severity: fatl")
        .replace("level: ERROR", "mesage: ERROR")
        .replace("pod: shm-volume", "pod: shm")
    )
    found = mistakes(tmp_path, text)
    assert len(found) == 3
    assert [word in line for word, line in zip(("fatl", "mesage", "pod"), found, strict=True)] == [True] * 3


@pytest.mark.parametrize("key", ["id", "severity", "title", "why", "match", "fixes", "references", "tests"])
def test_every_required_key_is_asked_for(key: str, tmp_path: Path) -> None:
    text = changed(f"\n{key}:", f"\nnot_{key}:")
    assert any(f"there is no {key}" in mistake for mistake in mistakes(tmp_path, text))


def test_a_remedy_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qvl_doctor.rulebook.rulefile._remedies", lambda: frozenset(["spare", "video_off"]))
    text = changed("    applies: {engine: V1}", "    remedy: spre")
    assert mistakes(tmp_path, text) == [
        f"{line_of(text, 'spre')}: fixes[0].remedy: there is no remedy 'spre'; did you mean 'spare'?; there are: spare, video_off"
    ]


def test_the_schema_for_editors_takes_what_the_loader_takes(root: Path) -> None:
    import jsonschema
    import yaml

    schema = json.loads((root / "docs/rule.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert not list(validator.iter_errors(yaml.safe_load(GOOD)))
    assert not list(validator.iter_errors(yaml.safe_load(OTHER)))
    for name in ("a misspelt key of a match item", "an unknown key of a fix", "an unknown key of a change", "a patch that does not exist",
                 "an unknown severity", "no Chinese text", "an unknown kind of example"):  # fmt: skip
        old, new, _ = MISTAKES[name]
        assert list(validator.iter_errors(yaml.safe_load(changed(old, new)))), name
