"""Which releases of vLLM, Transformers and torch a model needs, or an installation lacks.

Values that a fact supplies (`vllm_have`, `transformers_have`) are left out when it is not known: what was not seen is
not claimed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from qvl_doctor import knowledge
from qvl_doctor.model import Facts, fact_text
from qvl_doctor.versions import release, satisfies

Values = Mapping[str, str]

_OFFICIAL_IMAGE = "vllm/vllm-openai:v"
#: How draft models of speculative decoding are called.
_DRAFT = re.compile(r"Eagle|EAGLE|Medusa|MLPSpeculator|DFlash|\w+MTP(?:Model)?$")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def releases_for_model_type(values: Values, facts: Facts) -> Values | None:
    """What `model_type` needs: vllm_needed, transformers_needed, architecture.

    model_type_known is yes or no. A type that vLLM itself reads, and Transformers does not, has no
    transformers_needed;
    one that newer vLLM releases no longer serve has vllm_last instead of vllm_needed. config_shipped is yes where
    only the
    checkpoint brings its config.
    """
    name = values.get("model_type", "")
    if not name:
        return None
    known = knowledge.model_type(name)
    if not known:
        return {"model_type_known": "no", **_installed(facts)}
    return _named(
        model_type_known="yes",
        architecture=known.architecture,
        transformers_needed=known.transformers,
        vllm_needed="" if known.until or known.shipped else known.together or known.vllm,
        config_shipped="yes" if known.shipped else "",
        vllm_last=known.until,
        **_installed(facts),
    )


def image_for_model_type(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """An official image that serves `model_type`, and, where one is known, the model maker's own (image_of_maker)."""
    name = values.get("model_type", "")
    known = knowledge.model_type(name)
    if not known or not known.image:
        return None
    return _named(image=_OFFICIAL_IMAGE + known.image, image_of_maker=next(iter(knowledge.images(name)), ""))


def releases_for_architecture(values: Values, facts: Facts) -> Values | None:
    """What `architecture` (a name, or a list as vLLM prints it: the first counts) needs.

    architecture_known is yes or no. If yes: vllm_needed (unless the installed release is new enough already), and
    transformers_needed unless the checkpoint brings its config (config_shipped) or vLLM has one (vllm_alone). image
    is an
    official one: where the model type is known, the one that surely carries a Transformers release with it as well.
    Where
    newer releases dropped it: vllm_last instead, called vllm_removed if the installed release is one of those.
    likely_architecture is what the name of a bare backbone stands for. If no: draft is yes for a draft model of
    speculative decoding, converted is a checkpoint that was converted for vLLM.
    """
    found = _NAME.search(values.get("architecture", "")[:256])
    if not found:
        return None
    name, installed = found[0], _installed(facts)
    likely = knowledge.likely_architecture(name)
    span = knowledge.architecture(name)
    if not span:
        return _named(
            architecture=name,
            architecture_known="no",
            likely_architecture=likely,
            draft="yes" if _DRAFT.match(name) else "",
            converted=knowledge.converted(name),
            **installed,
        )
    have = installed.get("vllm_have", "")
    if span.last and _newer(have, span.last):
        return _named(
            architecture=name, architecture_known="yes", likely_architecture=likely, vllm_removed=span.last, **installed
        )
    needs = knowledge.model_type(knowledge.model_type_of(name)) or knowledge.ModelType()
    needed = _later(span.first, needs.vllm)
    enough = bool(have) and satisfies(have, f">={needed}") is True
    vllm_needed = "" if enough or span.last else needed
    shipped = needs.shipped or knowledge.is_shipped(name)
    return _named(
        architecture=name,
        architecture_known="yes",
        likely_architecture=likely,
        vllm_needed=vllm_needed,
        image=_OFFICIAL_IMAGE + (needed if shipped else _later(needed, needs.image)) if vllm_needed else "",
        vllm_last=span.last,
        transformers_needed="" if shipped else needs.transformers,
        vllm_alone="" if shipped or needs.transformers else vllm_needed,
        config_shipped="yes" if shipped else "",
        **installed,
    )


def transformers_for_vllm(values: Values, facts: Facts) -> Values | None:
    """transformers_pin, what to install with this vLLM, and vllm_needed, the first that runs with what is installed.

    A `model_type` that needs a newer Transformers than vLLM was made with raises the pin.
    """
    have = _installed(facts)
    vllm, transformers = have.get("vllm_have", ""), have.get("transformers_have", "")
    known = knowledge.model_type(values.get("model_type", "")) or knowledge.ModelType()
    wanted = knowledge.transformers_advice(vllm, at_least=known.transformers)
    needed = knowledge.vllm_for_transformers(transformers, at_least=vllm) if transformers else ""
    if release(needed) == release(vllm):
        needed = ""  # the pair is right as it is, as far as the tables know
    if not wanted and not needed:
        return None
    return _named(transformers_pin=wanted, vllm_needed=needed, **have)


def torch_for_vllm(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """torch_pin, the version that the installed vLLM was built with, and cuda, that of its main wheel."""
    have = _installed(facts)
    pin = knowledge.pin(have.get("vllm_have", ""))
    return _named(torch_pin=pin.torch, cuda=pin.cuda, **have) if pin else None


def wheel_for_torch(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """The wheel of the installed vLLM for the CUDA that torch was built for: torch_cuda and variant, as 12.9 and cu129.

    None where torch does not say its CUDA, or it is that of the release's main wheel.
    """
    have = _installed(facts)
    local = re.search(r"\+cu(\d{2})(\d)(?!\d)", have.get("torch_have", ""))
    pin = knowledge.pin(have.get("vllm_have", ""))
    if not local or not pin or pin.cuda == f"{local[1]}.{local[2]}":
        return None
    return {"torch_cuda": f"{local[1]}.{local[2]}", "variant": f"cu{local[1]}{local[2]}", "vllm_have": pin.vllm}


def _installed(facts: Facts) -> dict[str, str]:
    """The versions that are known to be installed, as the log names them."""
    seen = {name: fact_text(facts, name)[:64] for name in ("vllm", "transformers", "torch")}
    return {f"{name}_have": version for name, version in seen.items() if release(version)}


def _named(**values: str) -> Values:
    """The values that are known."""
    return {name: value for name, value in values.items() if value}


def _newer(version: str, than: str) -> bool:
    return bool(version) and satisfies(version, f">{than}") is True


def _later(one: str, other: str) -> str:
    return max(one, other, key=lambda version: release(version) or ())
