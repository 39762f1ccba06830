"""The checklist of a look at a machine: what was looked at, whether a finding speaks against it, and why what could not be seen was not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from qvl_doctor.messages import both, has, say
from qvl_doctor.model import LANGUAGES, Check, Diagnosis, Facts, Finding, Text, fact_text


class Row(NamedTuple):
    """A line: its group and name, the facts that it shows (the first must be known), and the beginnings of rules that spoil it."""

    group: str
    name: str
    facts: tuple[str, ...]
    rules: tuple[str, ...]


class Looked(NamedTuple):
    """What was to be looked at, and what was: probes, and what they were not given. `file` is the export that was read instead, or ""."""

    only: frozenset[str] = frozenset()
    probes: frozenset[str] = frozenset()
    command: bool = False
    model: str = ""
    import_test: bool = True
    file: str = ""


_DRIVER = ("nvidia-driver-", "driver-", "nvml-", "cuda-unknown-", "container-without-gpus", "amd-gpu-")
_CARDS = (
    *(
        "gpu-not-",
        "gpu-ecc",
        "gpu-in-",
        "gpus-of",
        "gpu-memory-repair",
        "gpu-clocks-",
        "not-enough-",
        "no-cuda",
        "cuda-visible-",
    ),
    *("mig-", "bfloat16-", "fp8-", "quantization-", "custom-all-reduce-"),
)
ROWS = (
    Row("packages", "python", ("python",), ("python-", "interpreter-")),
    Row("packages", "vllm", ("vllm", "vllm_installed"), ("vllm-not-installed", "architecture-not-supported")),
    Row(
        "packages",
        "torch",
        ("torch", "torch_cuda"),
        ("torch-", "torchvision-", "vllm-built-", "cuda-libraries-", "cuda-no-kernel"),
    ),
    Row(
        "packages",
        "requirements",
        ("vllm_installed",),
        ("package-", "nvidia-package-", "pynvml-", "transformers-", "numpy-"),
    ),
    Row("packages", "imports", ("imports",), ("imports-",)),
    Row("gpu", "driver", ("driver", "driver_cuda"), _DRIVER),
    Row("gpu", "cards", ("gpu_count", "gpu_name", "compute_capability", "gpu_links", "gpu_topology"), _CARDS),
    Row(
        "gpu", "gpu_memory", ("startup_free_gib", "total_gib"), ("gpu-memory-not-", "gpu-memory-shared-", "gpu-taken-")
    ),
    Row("host", "shm", ("shm_gib",), ("shared-memory-", "nccl-shared-")),
    Row("host", "ram", ("ram_gib", "memory_limit_gib"), ("swap-space-too-large",)),
    Row(
        "host",
        "disk",
        ("cache_free_gib", "cache_writable"),
        ("disk-", "hf-cache-not-writable", "home-not-writable", "temporary-"),
    ),
    Row("host", "limits", ("open_files_limit", "locked_memory_kib_limit"), ("open-files-", "locked-memory-", "user-")),
    Row("host", "port", ("port_free",), ("port-in-use", "host-address-not-")),
    Row(
        "host",
        "network",
        ("hub_offline",),
        ("proxy-", "hf-endpoint-", "nccl-no-interface", "nccl-ways-", "clock-", "ipc-path-"),
    ),
    Row("host", "environment", ("host_kind",), ("vllm-port-", "unknown-vllm-", "expandable-segments-", "wsl-")),
    Row(
        "model",
        "folder",
        ("model_folder", "architecture", "model_type", "weight_files_gib"),
        ("weight", "config-", "model-", "lora-adapter-as-", "trust-remote-", "hf-offline-"),
    ),
    Row("model", "texts", ("tokenizer_files",), ("tokenizer-", "chat-template-", "processor-not-", "generation-")),
    Row("command", "shape", ("model_compared",), ("tp-not-", "max-model-len-")),
    Row(
        "command",
        "flags",
        ("args",),
        ("flag-", "unknown-argument", "argument-", "limit-mm", "command-", "no-model", "block-", "swap-"),
    ),
    Row("command", "fits", ("plan", "kv_gib"), ("plan-", "kv-")),
)
#: Facts whose values say nothing on a line.
_SILENT = (
    *("args", "vllm_installed", "imports", "port_free", "cache_writable", "model_folder", "plan"),
    *("hub_offline", "tokenizer_files", "model_compared"),
)
_LABELS = {
    "driver_cuda": "CUDA ",
    "torch_cuda": "CUDA ",
    "compute_capability": "sm ",
    "total_gib": "/ ",
    "memory_limit_gib": "≤ ",
    "kv_gib": "KV ",
    "open_files_limit": "nofile ",
    "locked_memory_kib_limit": "memlock KiB ",
}
_WORST = {"fatal": "problem", "degraded": "problem", "notice": "warning"}
#: Values that mean that all is well, where others do not: without a finding they are no news, but nothing is known to
#: be well either.
_GOOD = {
    "imports": "ok",
    "port_free": "yes",
    "vllm_installed": "yes",
    "model_folder": "ok",
    "plan": "fits",
    "tokenizer_files": "yes",
}
#: In this order, in counts too.
STATUSES = ("problem", "warning", "ok", "unknown")


def checklist(diagnosis: Diagnosis, looked: Looked) -> tuple[Check, ...]:
    """A line for each thing that can be looked at. What could not be seen is `unknown` and not ok, and says why."""
    return tuple(_check(row, diagnosis.facts, diagnosis.findings, looked) for row in ROWS)


def counts(checks: Sequence[Check]) -> dict[str, int]:
    """How many lines have each status, in the order of STATUSES, and how many were left out by will; what none has is not there."""
    unwanted = both("check.why.only"), both("check.why.no_import_test")
    told = ["left_out" if check.detail in unwanted else check.status for check in checks]
    return {status: told.count(status) for status in (*STATUSES, "left_out") if status in told}


def groups(checks: Sequence[Check]) -> Iterator[tuple[str, tuple[Check, ...], bool]]:
    """(group, its lines, whether they are all unknown for the same reason and can be told as one)."""
    for group in dict.fromkeys(check.group for check in checks):
        lines = tuple(check for check in checks if check.group == group)
        alike = all(check.status == "unknown" and check.detail == lines[0].detail for check in lines)
        yield group, lines, alike


def _check(row: Row, facts: Facts, findings: Sequence[Finding], looked: Looked) -> Check:
    against = [finding for finding in findings if row.rules and finding.rule.startswith(row.rules)]
    if against:
        status, detail = _WORST[against[0].severity], against[0].title
    elif why := _unknown(row, facts, looked):
        status, detail = "unknown", why
    else:
        status, detail = "ok", {lang: _detail(row, facts, lang) for lang in LANGUAGES}
    return Check(row.group, row.name, status, detail, tuple(dict.fromkeys(finding.rule for finding in against)))


def _detail(row: Row, facts: Facts, lang: str) -> str:
    key = f"check.ok.{row.name}" if row.name != "flags" or "vllm" in facts else "check.ok.flags_of_any"
    shown = ", ".join(_shown(name, facts) for name in row.facts if name in facts and name not in _SILENT)
    shown = shown.replace(" ×, ", " × ").replace(", / ", " / ")  # what belongs together
    if has(key):
        return say(key, lang, shown=shown)
    return shown or say("check.fine", lang)


def _shown(name: str, facts: Facts) -> str:
    value = facts[name].value
    if name == "torch_cuda" and value == "None":
        return "CPU"
    unit = " GiB" if name.endswith("_gib") else " ×" if name == "gpu_count" else ""
    return f"{_LABELS.get(name, '')}{f'{value:.4g}' if isinstance(value, float) else value}{unit}"


# ---- Why something could not be checked


def _unknown(row: Row, facts: Facts, looked: Looked) -> Text | None:
    """Why a line says nothing; None if it has something to say."""
    left_out = _left_out(row, looked)
    if left_out:
        return left_out
    if row.name == "imports" and _is(facts, "vllm_installed", "no") and "torch" not in facts:
        return both("check.why.nothing_to_import")  # the test passed because there was nothing to import
    first = row.facts[0]
    if any(name in facts and (name not in _GOOD or facts[name].value == _GOOD[name]) for name in row.facts) and not _is(
        facts, first, 0
    ):
        return None
    return _broken(row, facts) or _reason(row, facts, looked)


def _left_out(row: Row, looked: Looked) -> Text | None:
    if row.name == "imports" and row.group in looked.only and not looked.import_test:
        return both("check.why.no_import_test")
    probe = "imports" if row.name == "imports" else row.group
    if probe not in looked.only:
        return both("check.why.only")
    if row.group == "command" and not looked.command:
        return both("check.why.no_command")
    return both("check.why.not_in_file", file=looked.file) if looked.file and probe not in looked.probes else None


def _broken(row: Row, facts: Facts) -> Text | None:
    fact = facts.get(f"probe_failed_{'imports' if row.name == 'imports' else row.group}")
    return both("check.why.broken", error=fact.value) if fact else None


def _reason(row: Row, facts: Facts, looked: Looked) -> Text:
    if row.group == "packages":
        return _of_packages(row, facts)
    if row.group == "gpu":
        return _of_gpus(facts)
    if row.group == "model" and "model_folder" not in facts:
        return both("check.why.no_folder", model=looked.model) if looked.model else both("check.why.no_model")
    return _first(
        f"check.why.{row.name}_{_value(facts, 'plan_unknown' if row.name == 'fits' else row.facts[0])}",
        f"check.why.{row.name}",
    )


def _of_packages(row: Row, facts: Facts) -> Text:
    if _is(facts, "python_answers", "no"):
        return both("check.why.no_answer")
    if row.name == "imports" and "imports" in facts:
        return _first(f"check.why.imports_{_value(facts, 'imports')}")
    return both("check.why.not_installed", name="vLLM" if row.name in {"vllm", "requirements"} else row.name)


def _of_gpus(facts: Facts) -> Text:
    if _is(facts, "gpu_count", 0):
        return both("check.why.no_gpu")
    nvml = fact_text(facts, "nvml")
    if nvml in {"", "ok"}:
        return both("check.not_seen")
    return _first(f"check.why.nvml_{_value(facts, 'nvml')}", "check.why.nvml", nvml=nvml)


def _first(*keys: str, **values: object) -> Text:
    """The first of the sentences that there is."""
    return both(next((key for key in keys if has(key)), "check.not_seen"), **values)


def _value(facts: Facts, name: str) -> str:
    return fact_text(facts, name).replace("-", "_")


def _is(facts: Facts, name: str, value: object) -> bool:
    return name in facts and facts[name].value == value
