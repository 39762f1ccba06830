"""Leads for a failure that no rule knows: what its own words and its innermost telling frame say of settings.

A lead is not the cause and is not worded as one. It says what it rests on and what would decide it. None is better than
a doubtful one, so whatever names too much, or fails for reasons of its surroundings, gives none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qvl_doctor import knowledge
from qvl_doctor.diagnose.conditions import fits_platform
from qvl_doctor.knowledge import flag_table
from qvl_doctor.knowledge.features import Feature, Way, feature_of, is_owner, ways_in
from qvl_doctor.knowledge.settings import OWN, SPOKEN, Named, named_in, named_in_code
from qvl_doctor.launch.spelling import spell_flags
from qvl_doctor.messages import say
from qvl_doctor.model import LANGUAGES, PLATFORMS, Facts, Frame, Lead, Record, fact_map, fact_text
from qvl_doctor.versions import satisfies

MOST = 3
#: A text that names more than so many settings is a dump of all of them, or a list of what could be.
_MOST_NAMED, _MOST_TEXT, _MOST_LINE, _MOST_FRAMES, _LONGEST_VALUE = 3, 600, 200, 40, 60
#: Where a message goes over into a dump of values.
_DUMP = re.compile(r"\[type=|input_value=|VllmConfig\(|EngineArgs\(|Namespace\(|\bwith config:|non-default args")
#: What fails for reasons of machine, network or files, whatever part of vLLM was at work.
_SURROUNDINGS = re.compile(
    r"(?:OS|IO|FileNotFound|FileExists|Permission|Connection\w*|Timeout|HTTP|URL|BrokenPipe|EOF|Memory|OutOfMemory|NotADirectory"
    r"|\w*HTTP\w*|\w*Hub\w*|CalledProcess)Error$|Timeout$"
)
_OUT_OF_MEMORY = re.compile(r"out of memory|OutOfMemory|MemoryError|OOM\b|No space left|Connection refused|getpwuid")
#: A place in a message, as vLLM writes it.
_PLACE = re.compile(r"(?<![\w/])(\w{1,80}\.py):(\d{1,6}):(\w{1,80})")
#: What a package's own code is known by; what is neither is the user's.
_INSTALLED = re.compile(r"[-/](?:site|dist)-packages/|/vllm/|/lib/python|^<|/torchinductor_|/multiprocessing/|\.egg/")
#: Complaints that a version is too old are about that, and not about a break.
_TOO_OLD = re.compile(
    r"does not recognize|not recognized|unknown model type|[Pp]lease (?:update|upgrade|install)|too old|>=|newer version"
    r"|(?:requires|needs) (?:the |a )?[Tt]ransformers"
)
#: How it looks when one package calls another in a way that this one does not have.
_BREAKS = re.compile(
    r"unexpected keyword argument|multiple values for|positional argument|has no attribute|cannot import name"
    r"|is not defined|not subscriptable|missing \d+ required"
)
#: Parts of names of variables that only one platform has.
_ONLY_ON = {
    "ROCM": "rocm", "AITER": "rocm", "XPU": "xpu", "HPU": "gaudi", "TPU": "tpu", "XLA": "tpu", "NEURON": "neuron",
    "CPU": "cpu", "CUDA": "cuda", "FLASHINFER": "cuda", "CUTLASS": "cuda", "TRTLLM": "cuda", "NVFP4": "cuda",
}  # fmt: skip
#: What the engine says of its settings, whatever the command was.
_SAID_BY_ENGINE = {"enforce_eager": "enforce_eager", "enable_prefix_caching": "prefix_caching"}
_FRAME = {"off": "leads.frame_off", "other": "leads.frame_other", "look": "leads.frame_look"}
_FILE = re.compile(r'File "(?P<file>[^"\n]{1,400})", line \d+, in ')


def leads_of(chain: Sequence[Record], facts: Facts) -> tuple[Lead, ...]:
    """At most three leads for a chain of exceptions, or for one line that says that something failed."""
    inner = next((record for record in chain if record.exception), chain[0])
    release = fact_text(facts, "vllm")
    words = list(_by_words(inner, release, facts))
    # What the error names is nearer to it than where it was raised.
    found = words or [*_by_frame(inner, facts), *_by_pair(inner, release, facts)]
    return tuple(found[:MOST])


# ---- The error's own words


def _by_words(record: Record, release: str, facts: Facts) -> Iterator[Lead]:
    if record.message.count(" --") > _MOST_NAMED or "unexpected keyword argument" in record.message:
        return  # it quotes a command, or is about code of two releases and not about a value
    said = _DUMP.split(record.message.replace('\\"', '"'))[0][:_MOST_TEXT]
    if not record.exception:
        said = said[:_MOST_LINE]  # what people write goes on about other things
    named = named_in(said, release) or named_in_code(_code(record), release)
    named = [each for each in named if all(_is_here(setting, facts) for setting in each.settings)]
    if sum(each.how != SPOKEN for each in named) > _MOST_NAMED:
        return
    plain = [each for each in named if each.how != SPOKEN]
    for each in plain or named[:1]:
        yield _worded(each, facts)


def _worded(named: Named, facts: Facts) -> Lead:
    given = [f"{setting} {value}" for setting in named.settings if (value := _shown(_given(setting, facts)))]
    key = "leads.words_own" if named.how == OWN else "leads.words"
    shown = _quoted(given or named.settings)
    return _lead("words", named.settings, key, said=named.said, shown=shown)


def _shown(value: Any) -> str:
    """A value that fits into a sentence; "" for any other."""
    plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return str(value) if plain and len(str(value)) <= _LONGEST_VALUE else ""


def _code(record: Record) -> str:
    """The line of code that the traceback prints for its innermost frame, if that is vLLM's own and no kernel's."""
    if not record.frames or not _is_vllm(record.frames[-1]) or is_owner(_place(record.frames[-1])):
        return ""
    for index in range(len(record.lines) - 2, -1, -1):
        found = _FILE.search(record.lines[index].text)
        if found:
            return record.lines[index + 1].text if found["file"] == record.frames[-1].file else ""
    return ""


def _is_here(setting: str, facts: Facts) -> bool:
    """Whether a variable is none of another platform."""
    parts = setting.split("_") if setting.isupper() else ()
    only = {_ONLY_ON[part] for part in parts if part in _ONLY_ON}
    return not only or fits_platform(tuple(only), facts)


# ---- The feature that the innermost telling frame belongs to


def lead_of(feature: Feature, frame: Frame, facts: Facts) -> Lead | None:
    """The lead to a feature in which a frame lies; None if nothing can be done with it here, or it already is."""
    if feature.platforms and not _on(feature.platforms, facts):
        return None
    release = fact_text(facts, "vllm")
    way = next(ways_in(feature, flag_table.known(release), fact_text(facts, "compute_capability")), None)
    if way is None or _is_done(way, feature, facts):
        return None
    flags = spell_flags(way.flags, release)
    if feature.direction == "look":
        settings = (*flags, *way.env)
    else:
        settings = (*map(_written, flags.items()), *(f"{name}={value}" for name, value in way.env.items()))
    removes = any(value is None for value in way.flags.values())
    key = "leads.frame_remove" if removes else _FRAME[feature.direction]
    where = f"{_path(frame).rpartition('/')[2][-80:]}:{frame.line} {frame.function[:80]}"
    text = {
        lang: say(key, lang, feature=feature.name[lang], where=where, shown=_quoted(settings)) for lang in LANGUAGES
    }
    return Lead(text, "frame", settings)


def _by_frame(record: Record, facts: Facts) -> Iterator[Lead]:
    found = _telling(record.frames or _places_in(record.message))
    if found is None or _OUT_OF_MEMORY.search(f"{record.exception}: {record.message[:_MOST_TEXT]}"):
        return
    feature, frame = found
    if feature.direction != "look" and _SURROUNDINGS.search(record.exception):
        return
    lead = lead_of(feature, frame, facts)
    if lead:
        yield lead


def _telling(frames: Sequence[Frame]) -> tuple[Feature, Frame] | None:
    """The feature of the innermost frame that says something. What a model or a stranger's code called is not asked."""
    for frame in list(reversed(frames))[:_MOST_FRAMES]:
        place = _place(frame)
        feature = feature_of(place) if frame.function != "<module>" else None
        if feature:
            return feature, frame
        if is_owner(place) or (_is_vllm(frame) and frame.function == "<module>") or not _INSTALLED.search(place):
            return None
    return None


def _places_in(message: str) -> list[Frame]:
    """Places that a message itself names, "attn.py:879:forward"."""
    found = _PLACE.findall(message[:_MOST_TEXT])
    return [Frame(f"/{file}", int(line), function) for file, line, function in found[:1]]


def _is_done(way: Way, feature: Feature, facts: Facts) -> bool:
    """Whether the command already is as the lead would have it."""
    if feature.direction == "look" or not way.flags:
        return False
    return all(_is_set(name, value, facts) for name, value in way.flags.items())


def _is_set(name: str, value: Any, facts: Facts) -> bool:
    negative = name.startswith("--no-")
    given = _given("--" + name[5:] if negative else name, facts)
    if value is None:
        return "args" in facts and given in (None, False, "")
    if value is True:
        return str(given) == str(not negative)
    if isinstance(value, Mapping):
        return isinstance(given, Mapping) and all(given.get(key) == item for key, item in value.items())
    return str(given) == str(value)


def _given(setting: str, facts: Facts) -> Any:
    """What the command gives a flag, or what the engine reports; None if neither does."""
    name = setting.lstrip("-").replace("-", "_")
    args = fact_map(facts, "args")
    if name in args or name not in _SAID_BY_ENGINE:
        return args.get(name)
    return {"yes": True, "no": False}.get(fact_text(facts, _SAID_BY_ENGINE[name]))


def _written(pair: tuple[str, Any]) -> str:
    name, value = pair
    return (
        name if value is None or value is True else f"{name} {value}" if "{" not in str(value) else f"{name} '{value}'"
    )


def _on(platforms: Sequence[str], facts: Facts) -> bool:
    """Whether it is one of these platforms; where none is known, what CUDA has."""
    here = fact_text(facts, "platform")
    return (here if here in PLATFORMS else "cuda") in platforms


# ---- The pair of vLLM and Transformers


def _by_pair(record: Record, release: str, facts: Facts) -> Iterator[Lead]:
    said = record.message[:_MOST_TEXT]
    if not release or not _BREAKS.search(said) or _TOO_OLD.search(said):
        return
    asked = knowledge.transformers_advice(release)
    have = fact_text(facts, "transformers")
    if not asked or not any("/transformers/" in frame.file for frame in record.frames[-3:]):
        return
    if have and satisfies(have, asked) is not False:
        return
    yield _lead(
        "pair",
        (f"transformers{asked}",),
        "leads.pair_have" if have else "leads.pair",
        vllm=release,
        asked=asked,
        have=have,
    )


# ---- All of them


def _lead(ground: str, settings: Sequence[str], key: str, **values: str) -> Lead:
    return Lead({lang: say(key, lang, **values) for lang in LANGUAGES}, ground, tuple(settings))


def _quoted(settings: Sequence[str]) -> str:
    return ", ".join(f"`{setting}`" for setting in settings)


def _place(frame: Frame) -> str:
    return f"{_path(frame)}:{frame.function}"


def _is_vllm(frame: Frame) -> bool:
    return "/vllm/" in _path(frame)


def _path(frame: Frame) -> str:
    return frame.file.replace("\\", "/")
