"""The table of sentences.

Each has one key, is said somewhere with all its values, and can be read back from its text.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import READ

from qvl_doctor.authoring.examples import seen_of
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Observation, Record
from qvl_doctor.observations import filled, is_observation, names, needed, observe
from qvl_doctor.observations.levels import COMMAND, LEVELS, MACHINE
from qvl_doctor.observations.recalling import recalled
from qvl_doctor.observations.sentences import SENTENCES

#: An observation with each key, as the rules' examples have them.
SAMPLES = {
    each.observation.key: each
    for rule in READ
    for example in (*rule.matches, *rule.silent)
    for each in seen_of(example).observations
    if each.observation
}


def seen(record: Record) -> Observation:
    assert record.observation
    return record.observation


def calls(root: Path) -> Iterator[tuple[str, str, set[str] | None]]:
    """(where, key, names of the values, or None where some come as a mapping) of every observation that is made by its
    key."""
    for path in sorted((root / "qvl_doctor").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            at = {"observe": 0, "at": 1}.get(name, 9)
            key = node.args[at] if len(node.args) > at else None
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                whole = all(word.arg for word in node.keywords)
                given = {word.arg for word in node.keywords if word.arg}
                yield f"{path.relative_to(root)}:{node.lineno}", key.value, given if whole else None


def test_what_is_said_is_in_the_table_with_all_its_values(root: Path) -> None:
    made = list(calls(root))
    assert len(made) > 100
    for where, key, given in made:
        assert key in SENTENCES, f"{where}: no sentence {key}"
        if given is not None:
            text = SENTENCES[key].text
            assert needed(text) <= given <= names(text), f"{where}: {key} has {sorted(names(text))}"


@pytest.mark.parametrize("key", SENTENCES)
def test_every_sentence_is_said_somewhere(key: str, root: Path) -> None:
    code = [path for path in (root / "qvl_doctor").rglob("*.py") if path.name != "sentences.py"]
    assert any(f'"{key}"' in path.read_text(encoding="utf-8") for path in code)


def test_every_key_is_there_once(root: Path) -> None:
    tree = ast.parse((root / "qvl_doctor/observations/sentences.py").read_text(encoding="utf-8"))
    keys = Counter(
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    )
    assert [key for key, times in keys.items() if times > 1] == []
    assert keys.keys() == SENTENCES.keys()


@pytest.mark.parametrize("key", SENTENCES)
def test_a_sentence_is_well_formed(key: str) -> None:
    level, text, _ = SENTENCES[key]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", key)
    assert level in LEVELS
    assert text == " ".join(text.split())
    assert text.count("[[") == text.count("]]")
    assert not re.findall(r"\{(?!\w+\})", text)
    assert not {"line", "text", "key"} & (names(text) - {"key"})


@pytest.mark.parametrize("key", SENTENCES)
def test_a_sentence_is_read_back_from_its_text(key: str) -> None:
    """So are the files of versions that wrote no keys.

    Of a flag that no release knows, the value and a word look alike.
    """
    sample = SAMPLES[key]
    back = recalled(sample.level, sample.message, 7)
    assert back.first_line == 7
    assert back.message == sample.message
    if key != "word_not_recognized":
        assert seen(back) == seen(sample)


@pytest.mark.parametrize("key", [key for key in SENTENCES if needed(SENTENCES[key].text) < names(SENTENCES[key].text)])
def test_what_is_not_known_is_left_out(key: str) -> None:
    text = SENTENCES[key].text
    whole, bare = (dict.fromkeys(found, "7") for found in (names(text), needed(text)))
    long, short = observe(key, **whole), observe(key, **bare, **dict.fromkeys(whole.keys() - bare.keys()))
    assert len(long.message) > len(short.message)
    assert not set("[]{}") & set(long.message + short.message)
    assert seen(short).values.keys() == bare.keys()
    assert seen(recalled(short.level, short.message)) == seen(short)


@pytest.mark.parametrize("key", [key for key, sentence in SENTENCES.items() if sentence.level in {COMMAND, MACHINE}])
def test_what_is_seen_of_a_machine_or_a_command_has_a_line_of_the_checklist(key: str) -> None:
    hits = Matcher(READ).feed([SAMPLES[key]])
    assert hits
    assert [hit.rule.id for hit in hits if not hit.rule.check] == []


@pytest.mark.parametrize(
    ("text", "values", "said"),
    [
        ("[[{a}]]", {"a": "1"}, "1"),
        ("[[{a}]]", {}, ""),
        ("x[[ {a} {b}]]", {"a": "1"}, "x"),
        ("x[[ {a}]][[ {b}]]", {"b": "2"}, "x 2"),
        ("{a} [{a}]", {"a": "[[{b}]]"}, "[[{b}]] [[[{b}]]]"),
    ],
)
def test_a_part_is_said_where_its_values_are_known(text: str, values: dict[str, str], said: str) -> None:
    assert filled(text, values) == said


def test_a_sentence_is_not_said_without_what_it_needs() -> None:
    with pytest.raises(KeyError):
        observe("gpu_taken", index=0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing that is in the table",
        "GPU 0 (NVIDIA L4): its fans are loud",
        "GPU (): :",
        "clock",
        "the clock of this machine shows",
        "weight file is broken: x",  # its two ends overlap
    ],
)
def test_a_text_that_is_no_sentence_stays_a_text(text: str) -> None:
    record = recalled("MACHINE", text, 3)
    assert (record.message, record.level, record.observation, record.first_line) == (text, "MACHINE", None, 3)
    assert is_observation(record)


def test_a_record_of_a_log_is_no_observation() -> None:
    (record,) = read_records("ERROR 02-16 09:03:12 [core.py:1] the clock of this machine shows 1970-01-01")
    assert not is_observation(record)
    assert not is_observation(None)
    assert is_observation(observe("clock_wrong", day="1970-01-01"))


def test_the_ends_of_a_sentence_do_not_overlap() -> None:
    assert recalled("COMMAND", "argument ' is deprecated").observation is None
    assert seen(recalled("COMMAND", "argument '' is deprecated")) == Observation(
        "flag_deprecated", {"name": ""}, theirs=True
    )
