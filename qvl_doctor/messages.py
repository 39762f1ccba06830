"""The sentences of the interface, from messages.yaml, in the language of the user.

A wheel carries them compiled (messages.json, made by the build hook); a source tree reads the YAML.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from qvl_doctor.late import late_pattern
from qvl_doctor.model import LANGUAGES, Fix, Text

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_PLACEHOLDER = late_pattern(r"\{(\w+)\}")
# YAML folds a line break into a space, which Chinese has neither between its characters nor next to its punctuation.
_PUNCTUATION, _CHINESE = r"[\u3000-\u303f\uff01-\uff60]", r"[\u3000-\u9fff\uff01-\uff60]"
_FOLDED = rf"(?<={_PUNCTUATION}) | (?={_PUNCTUATION})|(?<={_CHINESE}) (?={_CHINESE})"
#: What is between two sentences.
_BETWEEN: Mapping[str, str] = {"en": " ", "zh": ""}


def say(key: str, lang: str, **values: object) -> str:
    """The sentence `key` in `lang`, its placeholders filled in.

    A value that is itself a text in all languages gives its own words, and a `phase` is given by its id. Values are
    never searched for placeholders. Raises KeyError for a key or a placeholder that does not exist: that is a mistake
    of ours.
    """
    words = _words()

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        value = values[name]
        if name == "phase":
            value = words.get(f"phase.{value or 'unknown'}", value)
        return str(value[lang] if isinstance(value, Mapping) else value)

    return _PLACEHOLDER.sub(fill, words[key][lang])


def both(key: str, **values: object) -> dict[str, str]:
    """The sentence `key` in every language of the interface."""
    return {lang: say(key, lang, **values) for lang in LANGUAGES}


def sentences(parts: Iterable[str], lang: str) -> str:
    """Sentences of one language, one after the other; empty ones are left out."""
    return _BETWEEN[lang].join(filter(None, parts))


def joined(*texts: Text) -> dict[str, str]:
    """Texts one after the other, in every language."""
    return {lang: sentences((text[lang] for text in texts), lang) for lang in LANGUAGES}


def has(key: str) -> bool:
    """Whether there is a sentence `key`."""
    return key in _words()


def listed(fixes: Iterable[Fix]) -> tuple[Fix, ...]:
    """Fixes in their order, each change once. The first begins with no "or": the fix that it followed is gone."""
    kept: list[Fix] = []
    for fix in fixes:
        if not (fix.change and any(fix.change == other.change for other in kept)):
            kept.append(fix)
    return (kept[0]._replace(text=_without_or(kept[0].text)), *kept[1:]) if kept else ()


def _without_or(text: Text) -> Text:
    if not text["en"].startswith("Or "):
        return text
    en, zh = text["en"].removeprefix("Or "), text["zh"].removeprefix("或")
    return {"en": en[:1].upper() + en[1:], "zh": zh.removeprefix("者").removeprefix("，")}


def language(option: str | None, env: Mapping[str, str]) -> str:
    """The language to speak.

    The option if given, otherwise the locale's (the first of LC_ALL, LC_MESSAGES, LANG that is set).
    """
    if option:
        return option
    locale = next((env[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(name)), "")
    return "zh" if locale.lower().startswith("zh") else "en"


def compile_messages(path: str) -> str:
    """The YAML file at `path` as JSON: one flat object, key to language to sentence. For the build hook.

    Raises ValueError, with the line, for what is not a sentence in every language, and for a key that is twice.
    """
    return json.dumps(_read(path), ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=1)
def _words() -> dict[str, dict[str, str]]:
    try:
        with open(os.path.join(_FOLDER, "messages.json"), encoding="utf-8") as file:
            compiled: dict[str, dict[str, str]] = json.load(file)
            return compiled
    except FileNotFoundError:
        return _read(os.path.join(_FOLDER, "messages.yaml"))


def _read(path: str) -> dict[str, dict[str, str]]:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times faster, where it was built
    with open(path, encoding="utf-8") as file:
        root = yaml.compose(file, Loader=loader)
    words: dict[str, dict[str, str]] = {}
    _collect(root, "", words)
    return words


def _collect(node: Any, key: str, words: dict[str, dict[str, str]]) -> None:
    """Walk the nodes rather than the loaded values: only they know lines, and a key that is twice."""
    where = f"messages.yaml:{node.start_mark.line + 1}" if node else "messages.yaml"
    if getattr(node, "id", "") != "mapping":
        raise ValueError(
            f"{where}: {key or 'the file'} is neither a group nor a sentence with {' and '.join(LANGUAGES)}"
        )
    names = [name.value for name, _ in node.value]
    if len(set(names)) < len(names):
        raise ValueError(f"{where}: a key stands twice in {key or 'the file'}")
    if set(names) & set(LANGUAGES):
        sentence = {name.value: value.value for name, value in node.value}
        if set(names) != set(LANGUAGES) or not all(isinstance(text, str) and text for text in sentence.values()):
            raise ValueError(f"{where}: {key} needs a text in {' and '.join(LANGUAGES)}, and nothing else")
        words[key] = {lang: re.sub(_FOLDED, "", text) for lang, text in sentence.items()}
        return
    for name, value in node.value:
        _collect(value, f"{key}.{name.value}" if key else name.value, words)
