"""The checklist of a look at a machine: what was looked at, and whether a finding speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from qvl_doctor.model import LANGUAGES, Check, Diagnosis, Facts, Finding
from qvl_doctor.words import say


class Row(NamedTuple):
    """A line: its group and name, the facts that it shows (the first must be known), and the beginnings of rules that spoil it."""

    group: str
    name: str
    facts: tuple[str, ...]
    rules: tuple[str, ...]


ROWS = (
    Row("packages", "python", ("python",), ("python-",)),
    Row("packages", "vllm", ("vllm", "vllm_installed"), ("vllm-not-installed", "architecture-not-supported")),
    Row("packages", "torch", ("torch", "torch_cuda"), ("torch-", "torchvision-", "vllm-built-", "cuda-")),
    Row("packages", "requirements", ("vllm_installed",), ("package-", "pynvml-", "transformers-", "numpy-")),
    Row("packages", "imports", ("imports",), ("imports-fail",)),
    Row("gpu", "driver", ("driver", "driver_cuda"), ("nvidia-driver-", "driver-")),
    Row(
        "gpu",
        "cards",
        ("gpu_count", "gpu_name", "compute_capability"),
        ("gpu-not-", "gpu-ecc", "gpu-in-", "gpus-of", "not-enough-", "no-cuda", "bfloat16-"),
    ),
    Row("gpu", "gpu_memory", ("startup_free_gib", "total_gib"), ("gpu-memory-", "gpu-taken-")),
    Row("host", "shm", ("shm_gib",), ("shared-memory-", "nccl-shared-")),
    Row("host", "ram", ("ram_gib", "memory_limit_gib"), ("swap-space-too-large",)),
    Row("host", "disk", ("cache_free_gib", "cache_writable"), ("disk-", "hf-cache-not-writable", "home-not-writable", "temporary-")),
    Row("host", "limits", ("open_files_limit", "locked_memory_kib_limit"), ("open-files-", "locked-memory-", "user-")),
    Row("host", "port", ("port_free",), ("port-in-use", "host-address-not-")),
    Row("host", "network", ("hub_offline",), ("proxy-", "hf-endpoint-", "nccl-no-interface", "nccl-ways-", "clock-", "ipc-path-")),
    Row("host", "environment", ("host_kind",), ("vllm-port-", "unknown-vllm-", "expandable-segments-", "wsl-")),
    Row(
        "model",
        "folder",
        ("model_folder", "architecture", "model_type", "weight_files_gib"),
        ("weight", "config-", "model-", "lora-adapter-as-", "trust-remote-", "hf-offline-"),
    ),
    Row("model", "texts", ("tokenizer_files",), ("tokenizer-", "chat-template-", "processor-not-", "generation-")),
    Row("command", "shape", ("model_compared",), ("tp-not-", "max-model-len-", "quantization-")),
    Row("command", "flags", ("args",), ("flag-", "unknown-argument", "argument-", "limit-mm", "command-", "no-model", "block-", "swap-")),
    Row("command", "fits", ("plan", "kv_gib"), ("plan-", "kv-")),
)
#: Facts that are shown as "yes" or as a mapping say nothing on a line.
_SILENT = (
    *("args", "vllm_installed", "imports", "port_free", "cache_writable", "model_folder"),
    *("hub_offline", "tokenizer_files", "model_compared"),
)
_LIMITS = {"open_files_limit": "nofile ", "locked_memory_kib_limit": "memlock KiB "}
_LABELS = {
    "driver_cuda": "CUDA ",
    "torch_cuda": "CUDA ",
    "compute_capability": "sm ",
    "total_gib": "/ ",
    "memory_limit_gib": "≤ ",
    **_LIMITS,
}
_WORST = {"fatal": "problem", "degraded": "problem", "notice": "warning"}


def checklist(diagnosis: Diagnosis, groups: Iterable[str]) -> tuple[Check, ...]:
    """The lines of the groups that were looked at. What could not be seen is `unknown`, not ok."""
    wanted = frozenset(groups)
    return tuple(_check(row, diagnosis.facts, diagnosis.findings) for row in ROWS if row.group in wanted)


def _check(row: Row, facts: Facts, findings: Sequence[Finding]) -> Check:
    against = [finding for finding in findings if row.rules and finding.rule.startswith(row.rules)]
    known = [name for name in row.facts if name in facts]
    status = _WORST[against[0].severity] if against else "ok" if known else "unknown"
    detail = {lang: _detail(row, facts, against, lang) for lang in LANGUAGES}
    return Check(row.group, row.name, status, detail, tuple(dict.fromkeys(finding.rule for finding in against)))


def _detail(row: Row, facts: Facts, against: Sequence[Finding], lang: str) -> str:
    if against:
        return against[0].title[lang]
    shown = [_shown(name, facts) for name in row.facts if name in facts and name not in _SILENT]
    if shown:
        return ", ".join(shown)
    return say("check.status.ok" if any(name in facts for name in row.facts) else "check.not_seen", lang)


def _shown(name: str, facts: Facts) -> str:
    value = facts[name].value
    unit = " GiB" if name.endswith("_gib") else " ×" if name == "gpu_count" else ""
    return f"{_LABELS.get(name, '')}{value}{unit}"
