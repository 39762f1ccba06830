"""Which vLLM a model, or a module that is imported from vLLM, needs.

Bounds of releases, compared with the installed one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qvl_doctor.knowledge import Span
from qvl_doctor.knowledge.models import Model, is_default, of_architecture, of_class, of_name, of_type
from qvl_doctor.model import Facts, fact_text
from qvl_doctor.versions import release, satisfies

Values = Mapping[str, str]

_OFFICIAL_IMAGE = "vllm/vllm-openai:v"
#: Fields of a text model's config. A release that does not know a model with vision asks its outer config for them.
_FIELDS = """
vocab_size hidden_size num_hidden_layers num_attention_heads num_key_value_heads intermediate_size head_dim
max_position_embeddings num_layers n_layer n_embd
"""
_TEXT_FIELDS = frozenset(_FIELDS.split())
#: What a log shows of a model, and how it is looked up; what tells most comes first.
_SHOWN: tuple[tuple[str, Callable[[str], Model | None]], ...] = (
    ("config", of_class),
    ("model_type", of_type),
    ("architecture", of_architecture),
    ("model", of_name),
)


def release_for_model(values: Values, facts: Facts) -> Values | None:
    """What the model needs, as far as the log shows which it is; see `_about`.

    model_kind is text, multimodal, pooling, draft, or unknown if the tables do not know the model or its name
    leaves it open.
    """
    found = _shown(values, facts)
    if found is None:
        return {"model_kind": "unknown"}
    return {"model_kind": found.kind or "unknown", **_about(found, facts)}


def release_for_config(values: Values, facts: Facts) -> Values | None:
    """The same for a config that lacks an `attribute`: None unless the model is newer than the release, or may be.

    Which release runs may be unknown: then only fields of text models tell, because vLLM asks for them where it
    does not know a model
    with vision.
    """
    found = of_class(values.get("config", ""))
    if found is None:
        return None
    about = _about(found, facts)
    if "vllm_needed" not in about or (not _lowest(facts) and values.get("attribute", "") not in _TEXT_FIELDS):
        return None
    return about


def default_model(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """Nothing but whether the `model` is the one that vLLM serves where none was given."""
    return {} if is_default(values.get("model", "")) else None


def release_for_module(values: Values, facts: Facts) -> Values | None:
    """Which vLLM has the `module`: vllm_needed, if the installed one is older or unknown.

    vllm_last, if newer ones lack it.

    None if the tables do not know the module, or the installed release has it.
    """
    from qvl_doctor.knowledge.modules import module

    span = module(values.get("module", "").strip(".")[:200])
    return _bounds(span, facts) if span else None


def plugin_for_vllm(values: Values, facts: Facts) -> Values | None:
    """The `plugin` (or what brings `flag`) that goes with the installed vLLM: plugin, plugin_pin, plugin_pin_known.

    Where the plugin's release is known: plugin_have, and plugin_vllm, the vLLM that it is made for. None if no
    plugin is known.
    """
    from qvl_doctor.knowledge import plugins

    name = values.get("plugin", "") or plugins.of_flag(values.get("flag", ""))
    have, installed = fact_text(facts, "vllm"), fact_text(facts, name.replace("-", "_").lower())
    pair = plugins.pair(name, have)
    if pair is None:
        return None
    made_for = plugins.vllm_for(name, installed)
    found = {
        "plugin": pair.package,
        "plugin_pin": f"=={pair.version}" if pair.version else "",
        "plugin_pin_known": "yes" if pair.version else "no",
        "plugin_have": installed,
        "plugin_vllm": made_for if release(made_for) != release(have) else "",
        "vllm_have": have,
    }
    return {name: value for name, value in found.items() if value}


def _bounds(span: Span, facts: Facts) -> Values | None:
    have = fact_text(facts, "vllm")
    too_old = not have or satisfies(have, f"<{span.first}") is True
    too_new = bool(span.last) and (not have or satisfies(have, f">{span.last}") is True)
    if too_old and release(span.first) == (0, 6, 0):
        too_old = False  # the table's first release stands for all before it
    values = {"vllm_needed": span.first if too_old else "", "vllm_last": span.last if too_new else ""}
    if not any(values.values()):
        return None
    return {name: value for name, value in values.items() if value} | ({"vllm_have": have} if have else {})


def _shown(values: Values, facts: Facts) -> Model | None:
    """The model that captures, then facts, show."""
    for name, look_up in _SHOWN:
        for shown in dict.fromkeys((values.get(name, ""), fact_text(facts, name))):
            found = look_up(shown[:300]) if shown else None
            if found is not None and not found.architecture.startswith("Transformers"):
                return found
    return None


def _about(model: Model, facts: Facts) -> dict[str, str]:
    """served_as, and what is needed.

    Vllm_needed unless the installed release is new enough, transformers_needed, an image; vllm_last.
    """
    have = fact_text(facts, "vllm")
    gone = bool(model.until and have and satisfies(have, f">{model.until}"))
    lowest = have or _lowest(facts)
    enough = bool(lowest) and satisfies(lowest, f">={model.vllm}") is True
    needed = "" if enough or gone else model.vllm
    values = {
        "served_as": model.architecture,
        "vllm_have": have,
        "vllm_needed": needed,
        "vllm_last": model.until if gone else "",
        "transformers_needed": "" if model.remote else model.transformers,
        "config_shipped": "yes" if model.remote else "no",
        "image": _OFFICIAL_IMAGE + needed if needed else "",
    }
    return {name: value for name, value in values.items() if value}


def _lowest(facts: Facts) -> str:
    """The oldest release that may be installed, "" if anything may be."""
    have = fact_text(facts, "vllm")
    bounds = [part[2:] for part in fact_text(facts, "vllm_range").split(",") if part.startswith(">=")]
    return have or (bounds[0] if bounds else "")


def ascend_stack(values: Values, facts: Facts) -> Values:  # noqa: ARG001
    """What goes with the installed vLLM on Ascend.

    Plugin_version, plugin_pin, torch_npu, cann. Always answers, with what is known.
    """
    from qvl_doctor.knowledge import plugins

    have = fact_text(facts, "vllm")
    pair = plugins.pair("vllm_ascend", have)
    if pair is None or not pair.version:
        return {}
    found = {
        "vllm_have": have,
        "plugin_version": pair.version,
        "plugin_pin": f"=={pair.version}",
        "torch_npu": pair.also.get("torch_npu", ""),
        "cann": pair.also.get("CANN", ""),
    }
    return {name: value for name, value in found.items() if value}


def gaudi_stack(values: Values, facts: Facts) -> Values:  # noqa: ARG001
    """What goes with the installed vLLM on Gaudi: gaudi_software. Always answers, with what is known."""
    from qvl_doctor.knowledge import plugins

    have = fact_text(facts, "vllm")
    pair = plugins.pair("vllm_gaudi", have)
    software = pair.also.get("Intel Gaudi software", "") if pair else ""
    return {"vllm_have": have, "gaudi_software": software} if software else {}
