"""How the project speaks: patterns that its texts avoid, and the hits that are left, a list that may only shrink."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from language import patterns, texts

#: A line for each pattern and file: how often the file still says it. Delete what is gone; add nothing.
LEFT = Path(__file__).with_name("left.txt")

#: Pattern → (a text that has it, one near it that has not).
EXAMPLES = {
    "is-no": ("This is no model.", "There is no model."),
    "away": ("Or leave the flag away.", "Or leave the directory."),
    "stands": ("The flag stands last.", "vLLM stands for nothing."),
    "archaic": ("Mostly it fails.", "Usually it fails; anything else works."),
    "blank": ("A blank is missing.", "A blank line is missing."),
    "beside": ("Two files beside it.", "Two files besides."),
    "too": ("The second, too.", "The second is too long."),
    "belongs-into": ("It belongs into a file.", "It belongs in a file."),
    "behind": ("The name behind the flag.", "A server behind a proxy."),
    "hold-against": ("Hold each flag against the list.", "Hold the flag."),
    "need-less": ("Need less memory: close it.", "Programs need less memory."),
    "says-it": ("The log says it.", "The log says so."),
    "card": ("A card is free.", "The model card is empty."),
    "main-memory": ("The memory of the GPU is full.", "The GPU memory is full."),
    "british": ("At start-up.", "At startup."),
    "vague-object": ("Or remove it.", "Or remove the flag."),
    "nobody": ("Nobody knows.", "No one knows."),
    "thousands": ("Pass 16,384.", "Pass 16384, 32."),
    "zh-terms": ("主内存不足", "主机内存不足"),
    "zh-kubernetes": ("pod 未就绪", "`kubectl get pod/x`，Pod 未就绪"),
    "zh-releases": ("升级到 4.49 或更新", "如有更新版本，请升级"),
    "zh-tokenizer": ("加载 tokenizer 失败", "加载 tokenizer.json 失败"),
    "zh-half-width": ("参数(可选)", "参数（可选）"),
    "zh-space": ("缩小图像。 如果不行", "缩小图像。如果不行"),
    "zh-english": ("峰值在 tower of the model", "峰值在 model tower"),
    "long-title": ("a " * 15, "a " * 14),
    "long-sentence": ("a " * 31, "a " * 29 + "end. A start."),
}


def of(name: str, words: str) -> list[str]:
    """The names of the patterns that a text of the kind that `name` is about has."""
    kind = {"long-title": "title", "vague-object": "fix"}.get(name, "why")
    language = "zh" if name.startswith("zh-") else "en"
    return [found for found, _ in patterns.hits(texts.Text(kind, language, "a file", texts.prose(words)))]


@pytest.mark.parametrize("name", patterns.NAMES)
def test_a_pattern_tells_its_mistake_from_what_is_right(name: str) -> None:
    wrong, right = EXAMPLES[name]
    assert name in of(name, wrong)
    assert name not in of(name, right)


def test_every_kind_of_text_is_read(root: Path) -> None:
    read: dict[str, set[str]] = defaultdict(set)
    for text in texts.everything(root):
        read[text.kind].add(text.path)
    assert set(read) == set(patterns.EVERYWHERE)
    assert len(read["why"]) > 500
    assert len(read["code"]) > 150
    assert len(read["page"]) > 9


def test_what_is_left_only_shrinks(root: Path) -> None:
    found: Counter[tuple[str, str]] = Counter()
    quoted: dict[tuple[str, str], list[str]] = defaultdict(list)
    for text in texts.everything(root):
        for name, words in patterns.hits(text):
            found[name, text.path] += 1
            quoted[name, text.path].append(words)
    lines = [line.rsplit(" ", 1) for line in LEFT.read_text(encoding="utf-8").splitlines()]
    left = {(name, path): int(count) for where, count in lines for name, path in [where.split(" ", 1)]}
    instead = {pattern.name: pattern.instead for pattern in patterns.PATTERNS}
    new = [
        f"{path}: {name}, {quoted[name, path]}: say {instead.get(name, 'less')}"
        for (name, path), count in found.items()
        if count > left.get((name, path), 0)
    ]
    assert not new
    gone = [f"{name} {path} {count}" for (name, path), count in left.items() if found[name, path] < count]
    if gone and os.environ.get("LANGUAGE_LEFT") == "write":
        kept = ((name, path, min(count, found[name, path])) for (name, path), count in left.items())
        LEFT.write_text("".join(f"{name} {path} {count}\n" for name, path, count in kept if count), encoding="utf-8")
        gone = []
    assert not gone, f"better than {LEFT.name} says: run this test with LANGUAGE_LEFT=write"
