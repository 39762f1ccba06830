"""Commands and logs as cases of the memory model: which model, which GPU, which settings, and what the log measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from qvl_doctor.knowledge.defaults import V0_WENT
from qvl_doctor.knowledge.releases import parse
from qvl_doctor.late import late_pattern
from qvl_doctor.launch.spelling import read_map
from qvl_doctor.memory import gpus, model_cards
from qvl_doctor.memory.budget import Observed
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.quants import METHODS
from qvl_doctor.memory.shape import ModelShape
from qvl_doctor.memory.solver import Case
from qvl_doctor.memory.tensors import Tensor
from qvl_doctor.memory.units import GIB
from qvl_doctor.memory.weights import checkpoint_weights
from qvl_doctor.model import Facts, fact_map, fact_number, fact_text

#: vLLM's name of an argument → the field of `Settings` that it sets as it is.
_ARGUMENTS = {
    "tensor_parallel_size": "tp",
    "pipeline_parallel_size": "pp",
    "gpu_memory_utilization": "utilization",
    "max_model_len": "max_model_len",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "max_num_seqs": "max_num_seqs",
    "block_size": "block_size",
    "cpu_offload_gb": "offload_gib",
    "kv_cache_memory_bytes": "kv_cache_bytes",
    "num_gpu_blocks_override": "kv_blocks",
    "enforce_eager": "eager",
    "enable_chunked_prefill": "chunked_prefill",
    "skip_mm_profiling": "skip_encoder_profile",
    "kv_cache_dtype": "kv_cache_dtype",
}
_WHOLE = frozenset(
    ("tp", "pp", "max_model_len", "max_num_batched_tokens", "max_num_seqs", "block_size", "kv_cache_bytes", "kv_blocks")
)
_SHARES = frozenset(("utilization", "offload_gib"))
_DTYPES = {"half": "float16", "float": "float32", "float16": "float16", "bfloat16": "bfloat16", "float32": "float32"}
_QUANTIZATIONS = {"awq_marlin": "awq", "gptq_marlin": "gptq", "bitsandbytes": "bnb4", "moe_wna16": "awq"}
#: No start has more; larger numbers are mistakes, and would only cost time.
_MOST = 1 << 40
_MOST_RANKS = 1024
#: The first release whose V1 engine the memory model knows, where it is asked for.
_V1_MODELLED = (0, 7, 0)
#: Facts that a log states with its own numbers, whatever the arguments were.
_STATED = {
    "max_model_len": "max_model_len",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "max_num_seqs": "max_num_seqs",
    "gpu_memory_utilization": "gpu_memory_utilization",
    "tensor_parallel_size": "tensor_parallel_size",
    "pipeline_parallel_size": "pipeline_parallel_size",
    "kv_cache_dtype": "kv_cache_dtype",
    "enforce_eager": "enforce_eager",
    "chunked_prefill": "enable_chunked_prefill",
    "dtype": "dtype",
    "block_size": "block_size",
}
#: Facts that are sizes which a log measured.
_OBSERVED = ("total_gib", "weights_gib", "activation_gib", "non_torch_gib", "graphs_gib", "kv_gib")
#: A count of items has fewer digits.
_LONGEST_COUNT = 8
_VARIABLE = late_pattern(
    r"\$(?:\{(?=\w)|(?=\w))(?P<name>\w{1,80})(?::?-(?P<default>[\w.-]{0,80}))?\}?|\$\((?P<kube>\w{1,80})\)"
)
_NUMBER = late_pattern(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
#: Arguments without which no memory can be computed, where a variable that no one knows holds them.
_SIZES = (
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
    "gpu_memory_utilization",
    "limit_mm_per_prompt",
    "mm_processor_kwargs",
    "kv_cache_dtype",
    "quantization",
    "dtype",
)


class Unsized(NamedTuple):
    """Why the memory model has nothing to say. `detail` names which.

    `reason` is release, model, unnamed, architecture, gpu, variable or numbers.
    """

    reason: str
    detail: str = ""


class Known(NamedTuple):
    """What is known from elsewhere than the input: the model's own directory, the GPU, the release."""

    shape: ModelShape | None = None
    quantization: str = ""
    gpu: Gpu | None = None
    release: str = ""
    tensors: tuple[Tensor, ...] = ()


def filled_in(value: Any, env: Mapping[str, str]) -> Any:
    """A value that is a variable of the shell or of Kubernetes, where `env` or its own default says what it holds.

    4 for `${TP}`.
    """
    found = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    text = env.get(found["name"] or found["kube"] or "") or found["default"] or value
    number = _NUMBER.fullmatch(text)
    return text if not number else float(text) if number[1] else int(text)


def of_arguments(arguments: Mapping[str, Any], known: Known, env: Mapping[str, str] | None = None) -> Case | Unsized:
    """The case of a command, by its arguments as vLLM names them (`launch.observing.arguments_of`)."""
    release = parse(known.release)
    if release is None:
        return Unsized("release")
    if known.gpu is None:
        return Unsized("gpu")
    model = _model(str(arguments.get("model") or ""), known)
    if isinstance(model, Unsized):
        return model
    shape, quantization = model
    arguments = {name: filled_in(value, env or {}) for name, value in arguments.items()}
    unknown = next((name for name in _SIZES if "$" in str(arguments.get(name, ""))), "")
    if unknown:
        return Unsized("variable", "--" + unknown.replace("_", "-"))
    given = given_of(arguments, quantization)
    if (env or {}).get("VLLM_USE_V1") == "0" and release < V0_WENT:
        given["engine"] = "V0"
    elif (env or {}).get("VLLM_USE_V1") == "1" and release >= _V1_MODELLED:
        given["engine"] = "V1"
    case = Case(shape, known.gpu, release, given)
    if known.tensors:
        stored = checkpoint_weights(shape, case.settings, known.tensors).allocated
        case = replace(case, observed=Observed(weights_gib=stored / GIB), logged=case.settings)
    return case


def of_facts(facts: Facts, known: Known | None = None) -> Case | Unsized:
    """The case of a log: its arguments, its GPU, and the numbers that it measured."""
    known = known or Known()
    args = fact_map(facts, "args")
    said = {theirs: facts[ours].value for ours, theirs in _STATED.items() if ours in facts}
    arguments = {**{name: value for name, value in said.items() if not args}, **args}
    arguments["model"] = fact_text(facts, "model") or str(arguments.get("model") or arguments.get("model_tag") or "")
    found = known._replace(gpu=known.gpu or _card(facts), release=fact_text(facts, "vllm") or known.release)
    case = of_arguments(arguments, found)
    if isinstance(case, Unsized):
        return case
    engine = fact_text(facts, "engine")
    if engine in {"V0", "V1"}:
        case = replace(case, given={**case.given, "engine": engine})
    stated = given_of({**arguments, **said}, str(case.given.get("quantization", "")))
    differs = {name: value for name, value in stated.items() if getattr(case.settings, name) != value}
    case = replace(case, given={**case.given, **differs})
    observed = Observed(**{name: _gib(facts, name) for name in _OBSERVED})
    if observed.weights_gib is None and case.observed:
        observed = observed._replace(weights_gib=case.observed.weights_gib)
    return replace(case, observed=observed, logged=case.settings)


def given_of(arguments: Mapping[str, Any], quantization: str = "") -> dict[str, Any]:
    """What the arguments ask of `settings.resolve`.

    What they leave open, or say in a way that is not a setting, is not in it.
    """
    found: dict[str, Any] = {}
    for theirs, ours in _ARGUMENTS.items():
        value = _plain(arguments.get(theirs), ours)
        if value is not None:
            found[ours] = value
    dtype = _DTYPES.get(str(arguments.get("dtype") or "").removeprefix("torch."))
    if dtype:
        found["dtype"] = dtype
    asked = str(arguments.get("quantization") or "")
    method = _QUANTIZATIONS.get(asked, asked)
    if quantization or method in METHODS:
        found["quantization"] = quantization or method
    if arguments.get("mm_encoder_tp_mode") == "data":
        found["split_encoder"] = False
    if arguments.get("disable_hybrid_kv_cache_manager") is True:
        found["hybrid"] = False
    return found | _limits(arguments) | _processor(arguments)


def _limits(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Items of a prompt, and the sizes that limit_mm_per_prompt sets for the profiling run."""
    if arguments.get("language_model_only") is True:
        return {"limits": {"image": 0, "video": 0}}
    value = arguments.get("limit_mm_per_prompt")
    value = read_map(value) if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        return {}
    counts: dict[str, int] = {}
    dummies: dict[str, dict[str, int]] = {}
    for name, item in value.items():
        count = str(item.get("count", 1) if isinstance(item, Mapping) else item)
        if count.isdecimal() and len(count) < _LONGEST_COUNT:
            counts[str(name)] = int(count)
        if isinstance(item, Mapping):
            sizes = {
                key: size for key, size in item.items() if key != "count" and type(size) is int and 0 < size < 1 << 20
            }
            if sizes:
                dummies[str(name)] = sizes
    return {"limits": counts} | ({"dummies": dummies} if dummies else {})


def _processor(arguments: Mapping[str, Any]) -> dict[str, Any]:
    value = arguments.get("mm_processor_kwargs")
    value = read_map(value) if isinstance(value, str) else value
    return {"processor": dict(value)} if isinstance(value, Mapping) else {}


def _plain(value: Any, field: str) -> Any:
    """An argument as a setting: a truth, a number in bounds, or a name. None for what leaves the choice to vLLM."""
    if value is None or value in ("auto", "None"):
        return None
    if field in {"eager", "chunked_prefill", "skip_encoder_profile"}:
        return value in (True, "yes", "True", "true")
    if field in _WHOLE or field in _SHARES:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return None
        least, most = (1, _MOST_RANKS) if field in {"tp", "pp"} else (0, _MOST)
        if isinstance(value, bool) or not least <= number <= most:  # nor NaN
            return None
        return int(number) if field in _WHOLE else number
    return str(value)


def _model(name: str, known: Known) -> tuple[ModelShape, str] | Unsized:
    if known.shape:
        return known.shape, known.quantization
    card = model_cards.find(name) if name else None
    return (card.shape, card.quantization) if card else Unsized("model", name[:120]) if name else Unsized("unnamed")


def _card(facts: Facts) -> Gpu | None:
    total = _gib(facts, "total_gib") or _gib(facts, "gpu_total_gib")
    found = gpus.find(fact_text(facts, "gpu_name"), total or 0.0) if "gpu_name" in facts else None
    if found and total:
        return found._replace(total_bytes=int(total * GIB), nominal=False)
    return found or (gpus.of_size(total) if total and 1 <= total <= 4096 else None)


def _gib(facts: Facts, name: str) -> float | None:
    """A size that a GPU's memory can have."""
    size = fact_number(facts, name)
    return size if size is not None and 0 < size < 1 << 20 else None
