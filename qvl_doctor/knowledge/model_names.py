"""What family a model belongs to by its name: `Qwen/Qwen2.5-VL-7B-Instruct` is a `qwen2.5 vl`, as is `qwen2_5-vl-awq`.

A name is a repository of the Hub or a path. Its words are compared with the families of `models.json`; what is
after the
family may only be sizes, dates, formats and kinds of training, so that a model of another kind is not taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

#: How many parts of a path, from its end, and how many words of a part are looked at.
_PARTS, _WORDS = 4, 12
_LONGEST = 300
#: Parts of a path that name no model: folders of the Hub's cache, hashes, numbers of versions.
_NO_NAME = re.compile(r"snapshots|blobs|refs|main|latest|models?|weights|checkpoints?(-\d+)?|[0-9a-f]{7,64}|v?\d{1,3}|")
_SEPARATORS = re.compile(r"[-_.\s]+")
_IN_NUMBER = re.compile(r"(?<=\d)_(?=\d)")
_DOT_OUTSIDE = re.compile(r"(?<!\d)\.|\.(?!\d)")
_SIZE = re.compile(r"e?\d+(\.\d+)?[bmkt]|\d+x\d+(\.\d+)?b|\d+e|\d+-?bit")
_ACTIVE = re.compile(r"a\d+(\.\d+)?[bm]")
_DATE = re.compile(r"\d{4}|\d{6}|\d{8}")
_REVISION = re.compile(r"v0\.\d+")
_VARIANT_WORDS = """
instruct inst chat base it pt sft rl dpo thinking think reasoning preview exp hf random tiny vllm merged lora
finetuned
fp8 fp4 nvfp4 mxfp4 mxfp8 awq gptq int4 int8 bf16 fp16 w4a16 w8a8 w8a16 gguf bnb quantized dynamic block autoround
marlin
"""
_VARIANTS = frozenset(_VARIANT_WORDS.split())
#: Words that make another kind of model out of a family's name.
_OTHER_WORDS = """
vl v o omni audio vision image video ocr asr tts embed embedding rerank reranker rm prm reward cls seq colbert distill
eagle eagle3 mtp draft speculator dflash dspark moe mamba
"""
_OTHER_KIND = frozenset(_OTHER_WORDS.split())


def words(part: str) -> tuple[str, ...]:
    """The words of one part of a name, in lower case, with numbers put to the word before them.

    `Qwen-2_5-VL` is (qwen2.5, vl).
    """
    text = _DOT_OUTSIDE.sub("-", _IN_NUMBER.sub(".", part.lower().rpartition("--")[2]))
    found: list[str] = []
    for word in re.split(r"[-_\s]+", text)[:_WORDS]:
        number = word[:1].isdecimal() and not _is_variant(word)
        if number and len(found) > 0 and found[-1].isalpha():
            found[-1] += word
        elif word:
            found.append(word)
    return tuple(found)


def family(part: str) -> tuple[str, ...]:
    """The words of a name before its first size, date or kind of training."""
    found = words(part)
    end = next((index for index, word in enumerate(found) if index and _is_variant(word)), len(found))
    return found[:end]


def keys(part: str) -> Iterator[str]:
    """Under what `models.json` has a name, the most telling first.

    With `+a` (experts) and `+hf` (converted) if it says so.

    Nothing where the name is that of another kind of model than its family.
    """
    stem = family(part)
    rest = words(part)[len(stem) :]
    if any(word in _OTHER_KIND for word in rest) or not _is_telling(stem):
        return
    marks = [mark for mark, told in (("+a", any(map(_ACTIVE.fullmatch, rest))), ("+hf", "hf" in rest)) if told]
    for taken in (marks, marks[:1], marks[1:], []) if marks else ([], ["+a"], ["+hf"]):
        yield " ".join([*stem, *taken])


def key_of(part: str) -> str:
    """The key under which a name is entered, "" if it names no family."""
    return next(keys(part), "")


def look_up(name: str, known: Mapping[str, object]) -> str:
    """The key of `known` that a repository or path stands for, "" if there is none.

    Before the last part of a path only a family with a number counts: `/models/Qwen2.5-VL-7B/final`, but not
    `/home/aria/final`.
    """
    parts = re.split(r"[/\\]+", name[-_LONGEST:].strip().rstrip("/\\"))
    named = [(part is parts[-1], part) for part in parts if not _NO_NAME.fullmatch(part.lower())]
    for last, part in reversed(named[-_PARTS:]):
        if not last and not any(character.isdecimal() for character in "".join(family(part))):
            continue
        if found := next((key for key in keys(part) if key in known), ""):
            return found
    return ""


def _is_telling(stem: tuple[str, ...]) -> bool:
    """Whether words name a family, and not a size, a kind or a single letter, as `tiny`, `moe` and `r` do."""
    return any(len(word) > 1 and word not in _OTHER_KIND and not _is_variant(word) for word in stem)


def _is_variant(word: str) -> bool:
    return word in _VARIANTS or any(pattern.fullmatch(word) for pattern in (_SIZE, _ACTIVE, _DATE, _REVISION))
