"""The lines of the checklist.

What a check of a machine and a command tells, by group, and the facts that each line shows.

A rule names its line in `check:`, as "gpu.cards".
"""

from __future__ import annotations

from typing import NamedTuple


class CheckLine(NamedTuple):
    """A line of the checklist: its group and name, and the facts that it shows.

    One of them must be known for it to be well.
    """

    group: str
    name: str
    facts: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{self.group}.{self.name}"


LINES = (
    CheckLine("packages", "python", ("python",)),
    CheckLine("packages", "vllm", ("vllm", "vllm_installed")),
    CheckLine("packages", "torch", ("torch", "torch_cuda")),
    CheckLine("packages", "requirements", ("vllm_installed",)),
    CheckLine("packages", "imports", ("imports",)),
    CheckLine("gpu", "driver", ("driver", "driver_cuda")),
    CheckLine("gpu", "cards", ("gpu_count", "gpu_name", "compute_capability", "gpu_links", "gpu_topology")),
    CheckLine("gpu", "gpu_memory", ("startup_free_gib", "total_gib")),
    CheckLine("host", "shm", ("shm_gib",)),
    CheckLine("host", "ram", ("ram_gib", "memory_limit_gib")),
    CheckLine("host", "disk", ("cache_free_gib", "cache_writable")),
    CheckLine("host", "limits", ("open_files_limit", "locked_memory_kib_limit")),
    CheckLine("host", "port", ("port_free",)),
    CheckLine("host", "network", ("hub_offline",)),
    CheckLine("host", "environment", ("host_kind",)),
    CheckLine("model", "folder", ("model_folder", "architecture", "model_type", "weight_files_gib")),
    CheckLine("model", "texts", ("tokenizer_files",)),
    CheckLine("command", "shape", ("model_compared",)),
    CheckLine("command", "flags", ("args",)),
    CheckLine("command", "fits", ("plan", "kv_gib")),
)
#: The ids of all lines.
CHECKS = tuple(line.id for line in LINES)
