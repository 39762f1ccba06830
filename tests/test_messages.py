"""The sentences of the interface: whole in both languages, all of them said somewhere, filled in without surprises."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from qvl_doctor import messages
from qvl_doctor.model import LANGUAGES, PHASES, SEVERITIES

SENTENCES: dict[str, dict[str, str]] = json.loads(
    messages.compile_messages(str(Path(messages.__file__).with_name("messages.yaml")))
)


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def calls(root: Path) -> Iterator[tuple[str, str, set[str] | None]]:
    """(where, key, names of the values, or None where they are not written out) of every sentence that the package asks
    for."""
    for path in sorted((root / "qvl_doctor").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            key = node.args[0]
            if (
                name not in {"say", "both", "InputError"}
                or not isinstance(key, ast.Constant)
                or not isinstance(key.value, str)
            ):
                continue
            given = (
                None if any(word.arg is None for word in node.keywords) else {word.arg or "" for word in node.keywords}
            )
            yield f"{path.relative_to(root)}:{node.lineno}", key.value, given


@pytest.mark.parametrize("key", SENTENCES)
def test_languages_agree(key: str) -> None:
    sentence = SENTENCES[key]
    assert list(sentence) == list(LANGUAGES)
    en, zh = sentence["en"], sentence["zh"]
    assert placeholders(en) == placeholders(zh)
    # What is pasted or looked for is the same in every language: flags, variables, commands.
    telling = re.compile(r"--[a-z-]+|\b[A-Z][A-Z0-9]*_[A-Z_0-9]+\b|`[^`]+`|\b\d+\b|(?<!\w)/\w+")
    assert sorted(set(telling.findall(en))) == sorted(set(telling.findall(zh)))


@pytest.mark.parametrize("key", SENTENCES)
def test_chinese_is_typeset(key: str) -> None:
    zh = SENTENCES[key]["zh"]
    assert not re.search(r"[\u4e00-\u9fff][,;:!?.]", zh), "punctuation of half width"
    assert not re.search(r"[\u4e00-\u9fff][A-Za-z0-9{`]|[A-Za-z0-9}`][\u4e00-\u9fff]", zh), (
        "no blank between Chinese and Latin"
    )
    assert not re.search(r"[，。：；、（）] | [，。：；、（）]", zh), "a blank beside full-width punctuation"


def test_every_key_asked_for_exists_with_its_values(root: Path) -> None:
    asked = list(calls(root))
    assert len(asked) > 40
    for where, key, given in asked:
        assert key in SENTENCES, f"{where}: no sentence {key}"
        if given is not None:
            assert placeholders(SENTENCES[key]["en"]) <= given, (
                f"{where}: {key} needs {placeholders(SENTENCES[key]['en'])}"
            )


def test_no_sentence_is_left_over(root: Path) -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (root / "qvl_doctor").rglob("*.py"))
    computed = set(re.findall(r"""f["']((?:[a-z_]+\.)+)\{""", code))
    quoted = set(re.findall(r"""["']([a-z_]+\.[\w-]+)["']""", code))
    unsaid = {key for key in SENTENCES if key not in quoted and not key.startswith(tuple(computed))}
    assert unsaid == set()


@pytest.mark.parametrize(
    ("group", "members"),
    [
        ("verdict", ("failed", "degraded", "healthy", "unknown")),
        ("severity", SEVERITIES),
        ("confidence", ("certain", "likely", "unverified")),
        ("phase", (*PHASES, "unknown")),
        ("look_at", PHASES),
        ("doubt", ("likely", "unverified")),
    ],
)
def test_closed_lists_have_words(group: str, members: tuple[str, ...]) -> None:
    assert {f"{group}.{member}" for member in members} <= set(SENTENCES)


def test_say_fills_in() -> None:
    assert messages.say("error.missing", "en", path="{reason}.log") == "{reason}.log: no such file"
    assert messages.say("summary.failed", "zh", title={"en": "one", "zh": "一"}) == "一"
    assert messages.both("summary.failed", title={"en": "one", "zh": "一"}) == {"en": "one", "zh": "一"}
    assert messages.say("report.times", "en", count=3) == "3 times"


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("load", "The log ends without an error and before the server was ready; last seen: loading the weights"),
        ("", "The log ends without an error and before the server was ready; last seen: an unknown step"),
        ("elsewhere", "The log ends without an error and before the server was ready; last seen: elsewhere"),
    ],
)
def test_a_phase_is_given_by_its_id(phase: str, expected: str) -> None:
    assert messages.say("summary.cut_off", "en", phase=phase) == expected


def test_what_is_not_there_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        messages.say("no.such.key", "en")
    with pytest.raises(KeyError):
        messages.say("error.missing", "en")
    assert messages.has("error.missing")
    assert not messages.has("error")


@pytest.mark.parametrize(
    ("option", "env", "expected"),
    [
        ("zh", {"LANG": "en_US.UTF-8"}, "zh"),
        ("en", {"LC_ALL": "zh_CN.UTF-8"}, "en"),
        (None, {"LC_ALL": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
        (None, {"LC_ALL": "", "LC_MESSAGES": "zh_TW.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
        (None, {"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ("", {"LANG": "zh_CN.GBK"}, "zh"),
        (None, {"LANG": "de_DE.UTF-8"}, "en"),
        (None, {}, "en"),
    ],
)
def test_language(option: str | None, env: dict[str, str], expected: str) -> None:
    assert messages.language(option, env) == expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a:\n  b: {en: x, zh: y}\n  b: {en: x, zh: y}\n", "messages.yaml:2: a key stands twice in a"),
        ("a:\n  b:\n    en: x\n", "messages.yaml:3: a.b needs a text in en and zh"),
        ("a:\n  b: {en: x, zh: ''}\n", "messages.yaml:2: a.b needs a text"),
        ("a:\n  b: {en: x, zh: y, de: z}\n", "messages.yaml:2: a.b needs a text"),
        ("a:\n  b: {en: x, zh: [y]}\n", "messages.yaml:2: a.b needs a text"),
        ("a:\n  b: x\n", "messages.yaml:2: a.b is neither a group nor a sentence"),
        ("", "messages.yaml: the file is neither"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "messages.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(error)):
        messages.compile_messages(str(path))


def test_folded_chinese_has_no_blanks(tmp_path: Path) -> None:
    path = tmp_path / "messages.yaml"
    path.write_text(
        "a:\n  b:\n    en: >-\n      one\n      two\n    zh: >-\n      第一行，\n      第二行\n      接着 GPU\n      完。\n      Z\n",
        encoding="utf-8",
    )
    assert json.loads(messages.compile_messages(str(path))) == {
        "a.b": {"en": "one two", "zh": "第一行，第二行接着 GPU 完。Z"}
    }


def test_a_wheel_reads_the_compiled_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "messages.json").write_text('{"x.y": {"en": "compiled", "zh": "编译"}}', encoding="utf-8")
    monkeypatch.setattr(messages, "_FOLDER", str(tmp_path))
    messages._words.cache_clear()  # noqa: SLF001  the only state that the module has
    try:
        assert messages.say("x.y", "zh") == "编译"
    finally:
        messages._words.cache_clear()  # noqa: SLF001
