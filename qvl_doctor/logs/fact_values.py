"""The values of facts: numbers, sizes and names from how a log shows them, and the arguments that are facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from qvl_doctor.facts.platforms import plain as plain_platform
from qvl_doctor.facts.table import COUNT, NUMBER, kind, unit

_LONGEST_NUMBER = 24
_UNITS = {"b": 1 / 1024**3, "K": 1 / 1024**2, "M": 1 / 1024}

#: Argument or field of the engine's configuration → fact. `auto` says nothing about what was chosen.
_SETTINGS = {
    "model": "model",
    "served_model_name": "served_model_name",
    "dtype": "dtype",
    "quantization": "quantization",
    "load_format": "load_format",
    "kv_cache_dtype": "kv_cache_dtype",
    "tensor_parallel_size": "tensor_parallel_size",
    "pipeline_parallel_size": "pipeline_parallel_size",
    "data_parallel_size": "data_parallel_size",
    "max_model_len": "max_model_len",
    "max_seq_len": "max_model_len",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "max_num_seqs": "max_num_seqs",
    "block_size": "block_size",
    "gpu_memory_utilization": "gpu_memory_utilization",
    "enforce_eager": "enforce_eager",
    "enable_prefix_caching": "prefix_caching",
    "enable_chunked_prefill": "chunked_prefill",
    "chunked_prefill_enabled": "chunked_prefill",
    "enable_lora": "lora",
    "attention_backend": "attention_backend",
    "limit_mm_per_prompt": "limit_mm_per_prompt",
    "port": "server_port",
}


def settings(values: Mapping[str, Any], *, chosen: bool = False) -> Iterator[tuple[str, Any]]:
    """Arguments by their names in vLLM, as facts; None where an argument leaves the choice to vLLM.

    `chosen`: they are those of the engine, with which vLLM runs.
    """
    return (
        (name, _setting(name, values[setting], chosen=chosen))
        for setting, name in _SETTINGS.items()
        if setting in values
    )


def converted(name: str, shown: str) -> Any:
    """The value of a fact from how the log shows it; None if it is none."""
    converter = _CONVERTERS.get(name)
    if converter is None:
        converter = _gib if unit(name)[0] == "GiB" else _BY_KIND.get(kind(name), str)
    return converter(shown)


def _int(shown: str) -> int | None:
    digits = shown.replace(",", "")
    return int(digits) if digits.isdecimal() and len(digits) <= _LONGEST_NUMBER else None


def _float(shown: str) -> float | None:
    try:
        return float(shown.rstrip(".")) if len(shown) <= _LONGEST_NUMBER else None
    except ValueError:
        return None


def _gib(shown: str) -> float | None:
    """'9.03 GiB', '152.49 MiB', '0 bytes' and the bare numbers of lines that say GiB themselves."""
    number = shown.rstrip("KMGiBbytes ")
    value, unit = _float(number), shown[len(number) :].strip()[:1]
    return None if value is None else round(value * _UNITS.get(unit, 1.0), 6)


def _capability(shown: str) -> str:
    """sm_120 is 12.0."""
    return shown if "." in shown else f"{shown[:-1]}.{shown[-1]}"


def _driver_cuda(shown: str) -> str:
    """11080 is 11.8."""
    return shown if "." in shown or len(shown) < 4 else f"{int(shown) // 1000}.{int(shown) % 1000 // 10}"


def _plain(shown: str) -> str:
    return shown.replace("torch.", "")


def _last_part(shown: str) -> str:
    return shown.rpartition(".")[2]


_BY_KIND: Mapping[str, Callable[[str], Any]] = {NUMBER: _float, COUNT: _int}
#: What releases before 0.11 call the backends, by the names that they have had since.
_BACKENDS = {
    "FLASH_ATTENTION": "FLASH_ATTN",
    "FLASHATTENTION": "FLASH_ATTN",
    "TRITON": "TRITON_ATTN",
    "TRITON_ATTENTION": "TRITON_ATTN",
    "FLEXATTENTION": "FLEX_ATTENTION",
    "ROCMFLASHATTENTION": "ROCM_FLASH",
    "TORCH_SDPA_BACKEND": "TORCH_SDPA",
}


def _backend(shown: str) -> str:
    """`Flash Attention`, `FLASH_ATTN` and `AttentionBackendEnum.FLASH_ATTN` are one; so are XFormers and XFORMERS."""
    name = shown.rpartition(".")[2].strip().upper().replace(" ", "_").replace("-", "_")
    return _BACKENDS.get(name, name)


_CONVERTERS: Mapping[str, Callable[[str], Any]] = {
    "compute_capability": _capability,
    "driver_cuda": _driver_cuda,
    "dtype": _plain,
    "dtype_cast": _plain,
    "platform": plain_platform,
    "load_format": lambda shown: _last_part(shown).lower(),
    "gpu_name": lambda shown: shown.replace("_", " ").strip(),
    "vit_backend": _backend,
    "attention_backend": _backend,
}


def _setting(name: str, value: Any, *, chosen: bool) -> Any:
    """An argument's value as a fact; None where it leaves the choice to vLLM."""
    if name == "quantization" and value is None and chosen:
        return "none"
    if isinstance(value, list) and name == "served_model_name":
        value = value[0] if value else None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "" or (value == "auto" and name in ("dtype", "attention_backend")):
        return None
    if isinstance(value, dict):
        return value if name == "limit_mm_per_prompt" and value else None
    if isinstance(value, (int, float)):
        return value if value > 0 else None
    found = converted(name, str(value))
    return None if found == "" else found
