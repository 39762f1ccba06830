"""Whether the model fits: its weights on the disk, vLLM's own check of free memory, and the GPU by the memory model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qvl_doctor.memory import gpus
from qvl_doctor.memory.budget import start_needs
from qvl_doctor.memory.checkpoint import Checkpoint, read_checkpoint
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.solver import Case
from qvl_doctor.memory.tensors import CheckpointError
from qvl_doctor.memory.units import GIB
from qvl_doctor.memory.weights import weights
from qvl_doctor.model import Fact, Facts, Record, Seen, fact_number, fact_text
from qvl_doctor.observations import observe
from qvl_doctor.sizing.case import Known, Unsized, of_arguments
from qvl_doctor.sizing.planning import planned


def inspect_memory_fit(
    arguments: Mapping[str, Any], known: Known, facts: Facts, env: Mapping[str, str], *, room: bool = True
) -> Seen:
    """What the command's start takes of the GPU and, with `room`, of the disk. `env` are the command's variables."""
    case = of_arguments(arguments, known, env)
    plan = planned(arguments, known, env)
    unknown = {"plan_unknown": Fact(plan.why, "probe")} if plan.reason else {}
    wrong = () if known.shape else plan.observations  # of a directory, its config.json has told
    if isinstance(case, Unsized):
        return Seen(unknown, wrong)
    needed = weights(case.shape, case.settings).tensors * case.settings.tp / GIB
    disk = _room(needed, facts, arguments) if room else {}
    return Seen({**disk, **plan.facts, **unknown}, (*wrong, *_free_memory(case, facts)))


def known_of(facts: Facts, release: str, folder: str = "") -> Known:
    """What the memory model knows besides the command: the GPU by the facts, the model by its directory."""
    own = _checkpoint(folder) if folder else None
    if own is None:
        return Known(gpu=gpu_of(facts), release=release)
    # Of an unfinished download, the tensors that are there are no all that will be loaded.
    tensors = own.tensors if fact_text(facts, "model_complete") == "yes" else ()
    return Known(own.shape, own.quantization, gpu_of(facts), release, tensors)


def _checkpoint(folder: str) -> Checkpoint | None:
    """None if the memory model cannot read the directory; inspecting the directory says what is wrong with it."""
    try:
        return read_checkpoint(folder)
    except CheckpointError:
        return None


def gpu_of(facts: Facts) -> Gpu | None:
    """The GPU that the facts describe, with the memory that it has here."""
    total = fact_number(facts, "total_gib")
    named = gpus.find(fact_text(facts, "gpu_name"), total or 0.0) if "gpu_name" in facts else None
    if not total:
        return named
    return named._replace(total_bytes=int(total * GIB), nominal=False) if named else gpus.of_size(total)


def _room(needed: float, facts: Facts, arguments: Mapping[str, Any]) -> dict[str, Fact]:
    """GiB of the weights, and whether the disk has room for a model that still has to be downloaded."""
    found = {"weights_needed_gib": Fact(round(needed, 1), "probe")}
    free = facts.get("download_free_gib" if arguments.get("download_dir") else "cache_free_gib")
    there = fact_number(facts, "weight_files_gib") or 0.0  # of a download that has begun
    if fact_text(facts, "model_place") in {"", "hub"} and free is not None and free.value < needed - there:
        found |= {"disk_small": Fact("yes", "probe"), "disk_free_gib": free}
    return found


def _free_memory(case: Case, facts: Facts) -> Iterator[Record]:
    """The check of free memory that newer releases of vLLM have, in its words."""
    free, total = fact_number(facts, "startup_free_gib"), case.gpu.total_bytes / GIB
    if free is None:
        return
    wanted = start_needs(case.settings, case.gpu) / GIB
    if wanted and free < wanted:
        utilization = f"{case.settings.utilization:g}"
        sizes = {"free": f"{free:.2f}", "total": f"{total:.2f}", "wanted": f"{wanted:.2f}"}
        yield observe("gpu_memory_not_free", **sizes, utilization=utilization)
