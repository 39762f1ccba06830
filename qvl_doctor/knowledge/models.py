"""Which vLLM serves a model, and of what kind it is: one answer, whatever a log shows of the model.

`models.json` has the kinds and names of architectures; the releases are those of `architectures.json` and
`model_types.json`.
`tools/mine_models.py` reads both out of vLLM's registry, its model tests and its list of supported models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

from qvl_doctor import knowledge
from qvl_doctor.versions import release

#: The model that vLLM serves where none is given, by its first release.
DEFAULTS = (("0.6.0", "facebook/opt-125m"), ("0.10.0", "Qwen/Qwen3-0.6B"))
#: What follows a model's name in the names of its classes, longest first.
_ENDINGS = (
    *(
        "ForConditionalGeneration",
        "ForCausalLM",
        "PreTrainedModel",
        "ImageProcessorFast",
        "ImageProcessor",
        "VideoProcessor",
    ),
    *("FeatureExtractor", "ProcessingInfo", "MultiModalProcessor", "DummyInputsBuilder", "TextConfig", "VisionConfig"),
    *("Processor", "TokenizerFast", "Tokenizer", "Config", "TextModel", "Model"),
)


class Model(NamedTuple):
    """A model that vLLM serves. What is not known is ""."""

    #: The class under which vLLM serves it; the first, where a name leaves several open.
    architecture: str
    #: text, multimodal, pooling or draft; "" where its name leaves it open.
    kind: str = ""
    #: The first vLLM release that serves it, and the last, where newer ones do not.
    vllm: str = ""
    until: str = ""
    #: The first vLLM release that also runs with a Transformers release that reads its config, where that came later.
    together: str = ""
    #: The first Transformers release that reads its config.
    transformers: str = ""
    #: Whether the config comes with the checkpoint (--trust-remote-code), so that Transformers need not know it.
    remote: bool = False
    #: Whether vLLM runs it with the code of Transformers.
    through: bool = False


def of_architecture(name: str) -> Model | None:
    """The model that is served under an architecture, or under the one that a bare backbone stands for.

    None if no release has it.
    """
    known = name if knowledge.architecture(name) else knowledge.likely_architecture(name)
    return _model([known]) if known else None


def of_type(name: str) -> Model | None:
    """The model of a `model_type` of config.json. None if vLLM is not known to serve it."""
    known = knowledge.model_type(name)
    if known is None or not known.vllm:
        return None
    entry = _entry(known.architecture)
    return Model(
        known.architecture,
        str(entry.get("kind", "text")),
        known.vllm,
        known.until,
        known.together,
        known.transformers,
        known.shipped or bool(entry.get("remote")),
        bool(entry.get("through")),
    )


def of_class(name: str) -> Model | None:
    """The model that a class of Transformers or of vLLM belongs to.

    Gemma3Config, Qwen2_5_VLProcessor, MiniCPMOProcessingInfo.
    """
    stem = next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)
    if not stem or len(stem) > 120:
        return None
    found = _types_by_name().get(_loose(stem), "")
    return (of_type(found) if found else None) or of_architecture(
        next(
            (
                each
                for each in (stem + "ForConditionalGeneration", stem + "ForCausalLM", stem)
                if knowledge.architecture(each)
            ),
            "",
        )
    )


def of_name(name: str) -> Model | None:
    """The model of a repository or path.

    `Qwen/Qwen2.5-VL-7B-Instruct`, `/models/qwen2.5-vl-7b-awq`. None if no family fits.
    """
    from qvl_doctor.knowledge import model_names

    known = architectures_by_name()
    key = model_names.look_up(name, known)
    if not key:
        return None
    model, first = _model(known[key]), str(knowledge.table("traps")["names"].get(key, {}).get("vllm", ""))
    return model._replace(vllm=_later(model.vllm, first))


def is_default(name: str) -> bool:
    """Whether a model is the one that vLLM serves where none is given."""
    return any(name == default for _, default in DEFAULTS)


def _model(architectures: Iterable[str]) -> Model:
    """What is known of a model that is served under one of some architectures.

    The earliest counts, and what they have in common.
    """
    found = [_of_one(name) for name in architectures]
    kinds = {model.kind for model in found}
    first = min(found, key=lambda model: release(model.vllm) or ())
    return first._replace(kind=kinds.pop() if len(kinds) == 1 else "", remote=any(model.remote for model in found))


def _of_one(architecture: str) -> Model:
    entry, span = _entry(architecture), knowledge.architecture(architecture)
    needs = knowledge.model_type(knowledge.model_type_of(architecture)) or knowledge.ModelType()
    first = span.first if span else ""
    return Model(
        architecture,
        str(entry.get("kind", "text")),
        _later(first, needs.vllm),
        span.last if span else "",
        needs.together,
        needs.transformers,
        bool(entry.get("remote")),
        bool(entry.get("through")),
    )


def _entry(architecture: str) -> Mapping[str, object]:
    found: Mapping[str, object] = knowledge.table("models")["architectures"].get(architecture, {})
    return found


def _later(one: str, other: str) -> str:
    return max(one, other, key=lambda each: release(each) or ())


def _loose(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


@cache
def _types_by_name() -> Mapping[str, str]:
    """Model types by their names without signs and capitals: Qwen2_5_VL of the classes is qwen2_5_vl."""
    return {_loose(name): name for name in knowledge.table("model_types")["model_types"]}


@cache
def architectures_by_name() -> Mapping[str, list[str]]:
    """Families of names and the architectures that serve them.

    What was entered by hand counts instead of what was mined.
    """
    known: dict[str, list[str]] = {}
    for architecture, entry in knowledge.table("models")["architectures"].items():
        for name in entry.get("names", ()):
            known.setdefault(name, []).append(architecture)
    return known | {name: entry["architectures"] for name, entry in knowledge.table("traps")["names"].items()}
