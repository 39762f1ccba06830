"""Ways to say a thing that the project's texts avoid, each with what they say instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from language.texts import Text

SPOKEN = ("title", "why", "fix", "message", "help")
EVERYWHERE = (*SPOKEN, "page", "code")
RULES = ("title", "why", "fix")


class Pattern(NamedTuple):
    """What is not said in texts of these kinds and this language."""

    name: str
    instead: str
    pattern: str
    language: str = "en"
    kinds: tuple[str, ...] = EVERYWHERE


PATTERNS = (
    Pattern("is-no", "is not a", r"(?<![Tt]here )\b(is|are) no (?!longer|more|fewer|less|such|better|out)\w"),
    Pattern("away", "omit, remove", r"\b(leave|left|take|taken) (\S+ ){0,4}away\b"),
    Pattern("stands", "is, appears", r"\bst(ands?|ood)\b(?! for| still|-in)"),
    Pattern(
        "archaic",
        "usually, otherwise, anyway, again",
        r"\b[Mm]ostly\b|([;,:.] |^)[Ee]lse\b|\ball the same\b|\banew\b|\bin vain\b|\bfor want of|\bby half\b|now and then|"
        r"without a word",
    ),
    Pattern("blank", "space", r"\bblanks?\b(?! line)"),
    Pattern("beside", "next to, in addition to", r"\b[Bb]eside\b"),
    Pattern("too", "also", r", too\b"),
    Pattern("belongs-into", "belongs in", r"\bbelongs? into\b"),
    Pattern("behind", "after", r"\bbehind (?!an? |the (proxy|load))"),
    Pattern("hold-against", "compare with", r"\b([Hh]old|[Hh]olds|[Hh]eld|[Hh]olding) (\S+ ){0,6}against\b"),
    Pattern("need-less", "Reduce, Increase", r"(^|\. )Need (less|more)\b"),
    Pattern("says-it", "name what is said", r"\bsays? (it|them)\b|\b(the|such|a) look\b|which (one|card)\?"),
    Pattern("card", "GPU; built-in model data", r"(?<!model )(?<!wild )(?<!\.)\b[Cc]ards?\b"),
    Pattern("main-memory", "host memory, GPU memory", r"\bmain memory\b|\bmemory of the (GPU|card|host|machine)\b"),
    Pattern(
        "british",
        "American spelling",
        r"\b([Cc]olours?|[Ll]icence|[Mm]isspelt|[Ii]nitialised|[Pp]lug-ins?|[Ss]et-up|[Ss]tart-ups?)\b",
    ),
    Pattern("vague-object", "name the object", r"^(Or )?(?!Or |If )[A-Za-z][a-z]+ (it|them)\b", kinds=("fix",)),
    Pattern("nobody", "unknown; at least one finding", r"\b([Nn]obody|[Aa]nybody|[Ss]omebody)\b|\b1 something\b"),
    Pattern("thousands", "16384", r"\b\d{1,3},\d{3}\b(?!,)", kinds=(*SPOKEN, "page")),
    Pattern(
        "zh-terms",
        "主机内存, 显存, KV 缓存, traceback, 视觉编码器, 图像, GPU, 显存利用率",
        r"主内存|GPU 显存|KV [Cc]ache|回溯|视觉塔|图片|你|您|显卡|份额",
        "zh",
    ),
    Pattern(
        "zh-kubernetes",
        "存活/就绪/启动探针, Pod",
        r"(liveness|readiness|startup) ?探针|(?<![\w./-])pod(?![\w./-])",
        "zh",
    ),
    Pattern("zh-releases", "及以上版本, 及以下版本; 不支持", r"不认识|[或及]更新(?!版本|的)|及以前|及之前", "zh"),
    Pattern(
        "zh-tokenizer", "分词器, 聊天模板", r'(?<![-_./"A-Za-z])tokenizer(?![-_."A-Za-z])|(?<![-_])chat template', "zh"
    ),
    Pattern("zh-half-width", "full-width punctuation", r"[\u4e00-\u9fff][,;:?!()]|[,;:?!()][\u4e00-\u9fff]", "zh"),
    Pattern("zh-space", "no space next to full-width punctuation", r"[，。；：（）、] | [，。；：（）、]", "zh"),
    Pattern("zh-english", "Chinese", r"[\u4e00-\u9fff，。；：] ?([a-z]{2,} ){3,}[a-z]{2,}", "zh"),
)
LONG_TITLE, LONG_SENTENCE = 14, 30
NAMES = (*(pattern.name for pattern in PATTERNS), "long-title", "long-sentence")
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+|\n")
_COMPILED = [(pattern, re.compile(pattern.pattern)) for pattern in PATTERNS]


def _words(text: str) -> int:
    return sum(any(map(str.isalpha, word)) for word in text.split())


def hits(text: Text) -> Iterator[tuple[str, str]]:
    """(name of the pattern, what it found) for every hit in a text."""
    for pattern, compiled in _COMPILED:
        if pattern.language == text.language and text.kind in pattern.kinds:
            yield from ((pattern.name, found[0]) for found in compiled.finditer(text.prose))
    if text.language == "en" and text.kind in SPOKEN:
        if text.kind == "title" and _words(text.prose) > LONG_TITLE:
            yield "long-title", text.prose
        for sentence in _SENTENCE.split(text.prose):
            if _words(sentence) > LONG_SENTENCE:
                yield "long-sentence", sentence
