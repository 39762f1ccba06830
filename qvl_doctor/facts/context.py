"""What people write next to a log.

The release that ran, other packages, driver and GPU, in a label, an image or a sentence.

A release that a sentence only compares, recommends or abandons is none that ran: where prose is ambiguous there is
no fact. A path in a cache names the model. Lines of vLLM's own, and what users wrote in prompts, do not come here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from qvl_doctor.late import late_pattern
from qvl_doctor.model import Fact, Line, Record

_MOST_LINES = 600
_MOST_LETTERS = 64 * 1024
_LONGEST = 2000
_LONGEST_SENTENCE = 400
_MOST_PATHS = 8

#: What people call a package or a part of the machine → the name of its fact.
_NAMES = {
    "vllm": "vllm",
    "transformers": "transformers",
    "torch": "torch",
    "pytorch": "torch",
    "flashinfer": "flashinfer_python",
    "triton": "triton",
    "cuda": "cuda",
    "driver": "driver",
    "python": "python",
    "vllm-ascend": "vllm_ascend",
    "vllm_ascend": "vllm_ascend",
}
_NAME = r"(?P<name>vllm[-_]ascend|vllm|transformers|pytorch|torch|flashinfer|triton|cuda|python|(?:nvidia )?driver)"
_VERSION = (
    r"v?(?P<version>\d{1,4}\.\d{1,4}(?:\.\d{1,5}){0,2}(?:[.-]?(?:post|rc|dev|alpha|beta|a|b)\.?\d{0,9}){0,2}(?:\+[\w.]{1,40})?)"
    r"(?![\w+*]|\.\w|[.-]\d)"
)
_CALLED = rf"(?<![\w/.@-]){_NAME}"
#: `vLLM: 0.27.0`, `- **vLLM version**: v0.9.0`, `my vllm version is 0.13.0`, and nothing more but an aside.
_LABEL = (
    rf"(?i)^[\s>*#|+•·`_\[\]-]{{0,12}}(?:(?:the|my|our|current) )?{_CALLED}(?:[ _-]?(?:version|release|版本号?))?"
    rf"[\s`*_\]]{{0,4}}(?:(?:=(?!=)|[:：]|\bis\b)[\s`*_]{{0,4}}|(?<=\s)){_VERSION}[\s`*_.,;]{{0,6}}(?:[(\[（].{{0,80}}[)\]）])?\s*$"
)
#: The same within a sentence.
_PAIR = rf"(?i){_CALLED}(?:[ _-]?version|[ ]?版本)?[\s`*]{{0,3}}(?:==?|[:：(]|\bis\b)?[\s`*]{{0,3}}{_VERSION}"
#: Who says what runs here …
_OWN = (
    r"(?i)\b(?:running|using|installed|currently|current|environment|env|setup|versions?:)\b|\b(?:my|our)\b"
    r"|\b(?:i'm|i am|we're|we are|i run|we run|i use|we use|i have|we have) |使用|用的|当前|环境|我的|本地|安装的"
)
#: … and what makes a sentence be about another release as well.
_DOUBT = (
    r"(?i)\b(?:up|down)grad|\bsolv|\bresolv|\bhelp|\bupdat|\bsince\b|\buntil\b|\bbefore\b|\bafter\b|\bfrom\b|\bwork|\bfix"
    r"|\binstead\b|\bprevious|\bearlier\b|\blater\b|\bolder?\b|\bnewe?[rs]?t?\b|\blatest\b|\brequire|\bneed|\bmust\b"
    r"|\bshould\b|\bsupport|\brecommend|\bsuggest|\btry\b|\btried\b|\bswitch|\bchang|\brevert|\bregress|\bback\b|\bcompar"
    r"|\bvs\b|\bthan\b|[<>~≥≤!]=?|\bwill\b|\bwould\b|\bif\b|\bonly\b|\bor\b|\bnot\b|n't\b|\bno\b|\bdocs?\b|\bdocumentation\b"
    r"|\bmerged\b|\bintroduc|\bremov|\bdeprecat|\bavailable\b|\bstarting\b|\bas of\b|\bwas\b|\bwere\b|\bhad\b|\bused to\b"
    r"|\bboth\b|\bcould\b|\bmay\b|\bbuilt (?:for|against)|https?://|\bpip3? install|\bbuilding\b"
    r"|升级|降级|更新|之前|以前|以后|之后|修复|解决|支持|需要|建议|换成|改成|可以|正常|最新|以上|以下|不是|如果|应该"
)
#: An image of vLLM's own, or of the plugin whose releases follow vLLM's; others count for themselves.
_IMAGE = (
    r"(?<![\w.-])(?P<image>vllm/vllm-openai(?:-[a-z]{2,10})?|(?:[\w.-]{1,60}/){0,3}vllm-ascend)"
    r":v?(?P<version>\d{1,3}\.\d{1,3}(?:\.\d{1,4}){0,2}(?:\.?(?:post|rc)\d{1,4})?)(?![\w.])"
)
_STARTED = (
    r"(?i)\b(?:docker|podman|nerdctl) run\b|^\s*(?:- )?[\"']?(?:image|FROM|IMAGE)\b[\"']?\s*[:=]?|\\$|^[\s`]*\S+$"
)
_SMI = r"Driver Version: (?P<driver>\d[\d.]{2,20})\s+CUDA Version: (?P<cuda>\d[\d.]{1,10})"
_GPU = (
    r"(?i)^[\s>*#|+`_-]{0,12}(?:gpus?|graphics card|显卡|gpu (?:type|model|name)|gpu型号|显卡型号)[\s`*_]{0,4}[:：=][\s`*_]{0,4}"
    r"(?:\d{1,3} ?[x×*张] ?)?(?P<gpu>(?:NVIDIA|Tesla|GeForce|RTX|GTX|Quadro|[AHLBVT]\d{1,4}|AMD|Ascend|Jetson)[\w .()/+-]{0,40}?)"
    r"[\s`*_.,;]{0,6}(?:[x×*] ?\d{1,3})?\s*$"
)
_HUB = r"models--(?P<owner>(?:[\w.]|-(?!-)){1,80})--(?P<model>(?:[\w.]|-(?!-)){1,120})(?![\w.-])"
_MODELSCOPE = r"/modelscope/(?:hub/)?(?:models/)?(?P<owner>[\w.-]{1,80})/(?P<model>[\w.-]{1,120})"
_SENTENCE = late_pattern(r"(?<=[!?。！？；;])|(?<=[.])(?=\s)")
#: What is cheap to ask of every line: what a label begins with, after its marks, and a release close to vLLM's name.
_MARKS = " \t>*#|+•·`_[]-"
_FIRST = ("vllm", "transformers", "pytorch", "torch", "flashinfer", "triton", "cuda", "python", "nvidia", "driver")
_FIRST_WORDS = (*_FIRST, "the ", "my ", "our ", "current ")
_FIRST_OF_GPU = ("gpu", "graphics card", "显卡")
_DOTTED = late_pattern(r"\d\.\d")
_NEAR = late_pattern(r"[vV][lL][lL][mM][^/\n]{0,24}\d\.\d")


class ContextReader:
    """Keeps the lines that no process logged, and reads them when someone asks."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._letters = 0
        self._raised: set[int] = set()
        self._paths: dict[str, int] = {}

    def feed(self, record: Record) -> None:
        """Takes in a record. What has a place in vLLM's code, or a level, was logged.

        Only its paths are of interest.
        """
        if record.observation is not None:
            return
        if ("models--" in record.message or "/modelscope/" in record.message) and len(self._paths) < _MOST_PATHS:
            for name in models_in(record.message[:_LONGEST]):
                self._paths.setdefault(name, record.first_line)
        if record.file or record.level or self._letters >= _MOST_LETTERS or len(self.lines) >= _MOST_LINES:
            return
        for line in record.lines[: _MOST_LINES - len(self.lines)]:
            self.lines.append(line)
            self._letters += min(len(line.text), _LONGEST)
            if record.exception or record.frames:
                self._raised.add(line.number)

    def facts(self) -> dict[str, Fact]:
        """What the lines say, each fact only if they say one thing about it."""
        prose = [line for line in self.lines if line.number not in self._raised]
        found = _agreed(mentions(self.lines, prose))
        if len(self._paths) == 1:
            found["model"] = next(Fact(name, "inferred", line) for name, line in self._paths.items())
        return found


def mentions(lines: Sequence[Line], prose: Sequence[Line]) -> Iterator[tuple[str, Fact]]:
    """Each release, driver and GPU that a line names as what is there; sentences are read in `prose` alone."""
    for line in lines:
        if len(line.text) <= _LONGEST:
            for name, value in _labelled(line.text):
                yield name, Fact(value, "mentioned", line.number)
    for line in prose:
        if len(line.text) <= _LONGEST and _NEAR.search(line.text):
            for sentence in _SENTENCE.split(line.text):
                for name, value in _told(sentence):
                    yield name, Fact(value, "mentioned", line.number)


def models_in(text: str) -> Iterator[str]:
    """The models whose folders in the caches of the Hub and of ModelScope a text names.

    There `___` stands for a dot.
    """
    for found in _compiled(_HUB).finditer(text):
        yield f"{found['owner']}/{found['model']}"
    for found in _compiled(_MODELSCOPE).finditer(text):
        yield f"{found['owner']}/{found['model']}".replace("___", ".")


def _labelled(text: str) -> Iterator[tuple[str, str]]:
    """What a line says that says nothing else: a label with a version, an image, nvidia-smi's head, a GPU."""
    first = text.lstrip(_MARKS)[:20].lower()
    if first.startswith(_FIRST_WORDS) and _DOTTED.search(text) and (found := _compiled(_LABEL).match(text)):
        yield _fact_of(found["name"]), found["version"]
    if first.startswith(_FIRST_OF_GPU) and (found := _compiled(_GPU).match(text)):
        yield "gpu_name", found["gpu"].strip()
    if "Driver Version: " in text and (found := _compiled(_SMI).search(text)):
        yield "driver", found["driver"]
        yield "driver_cuda", found["cuda"]
    if ("vllm-openai" in text or "vllm-ascend" in text) and _compiled(_STARTED).search(text):
        yield from _images(text)


def _told(sentence: str) -> Iterator[tuple[str, str]]:
    """What a sentence says of what runs here; nothing if it is about other releases as well."""
    if len(sentence) > _LONGEST_SENTENCE:
        return
    pairs = [(_fact_of(found["name"]), found["version"]) for found in _compiled(_PAIR).finditer(sentence)]
    known = {name for name, _ in pairs}
    images = [*_images(sentence)] if "vllm-" in sentence else []
    if not (pairs or images) or len(known) < len(set(pairs)) or _compiled(_DOUBT).search(sentence):
        return
    if len(known) > 1 or _compiled(_OWN).search(sentence):
        yield from pairs
        yield from images


def _images(text: str) -> Iterator[tuple[str, str]]:
    for found in _compiled(_IMAGE).finditer(text):
        if found["image"].endswith("vllm-ascend"):
            yield "vllm_ascend", found["version"]
            yield "vllm", re.sub(r"\.?rc\d+$", "", found["version"])
        else:
            yield "vllm", found["version"]


def _agreed(found: Iterable[tuple[str, Fact]]) -> dict[str, Fact]:
    """By name, the fact that all agree on; the longer one of 0.9 and 0.9.1."""
    held: dict[str, Fact] = {}
    split: set[str] = set()
    for name, fact in found:
        before = held.setdefault(name, fact)
        short, long = sorted((str(before.value), str(fact.value)), key=len)
        if short != long and not long.startswith(f"{short}."):
            split.add(name)
        elif len(str(fact.value)) > len(str(before.value)):
            held[name] = fact
    return {name: fact for name, fact in held.items() if name not in split}


def _fact_of(name: str) -> str:
    return _NAMES[name.lower().rpartition(" ")[2]]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
