"""GPUs as NVML reports them, their MIG instances, and how the GPUs are connected. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from qvl_doctor.machine.nvml import Nvml
from qvl_doctor.memory.units import GIB
from qvl_doctor.model import Observation

_MOST_INSTANCES = 16
_MOST_PROCESSES = 4
#: Reasons for reduced clocks that mean trouble with heat or power, as `nvidia-smi -q -d PERFORMANCE` names them; the
#: bits are those of nvml.h. 0x08 is left out: it also appears while clocks change.
_CLOCKS = {0x20: "SW Thermal Slowdown", 0x40: "HW Thermal Slowdown", 0x80: "HW Power Brake Slowdown"}
#: How far apart two GPUs are, as `nvidia-smi topo -m` writes it.
_LEVELS = {0: "PIX", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
_READ, _NVLINK = 0, 2


class Device(NamedTuple):
    """What a process computes on: a GPU, or an instance of one.

    Sizes are in GiB, as torch counts them: without what the driver reserves. If the memory could not be read, `failure`
    says why and the sizes are 0. `number` is NVML's; for an instance, its number within the GPU.
    """

    number: int
    name: str
    uuid: str
    total: float = 0.0
    free: float = 0.0
    failure: str = ""
    holders: tuple[str, ...] = ()


class PhysicalGpu(NamedTuple):
    """A GPU: its own device, compute capability ("8.9"), faults, and its instances if MIG is on."""

    device: Device
    handle: Any
    capability: str = ""
    faults: tuple[Observation, ...] = ()
    divided: bool = False
    instances: tuple[Device, ...] = ()


def read_gpu(nvml: Nvml, number: int) -> PhysicalGpu | str:
    """The GPU with a number, or the word for why it cannot be queried."""
    handle = nvml.ask("nvmlDeviceGetHandleByIndex", number)
    if handle is None:
        return nvml.failure
    mode = nvml.ask("nvmlDeviceGetMigMode", handle)
    divided = bool(mode and mode[0])
    capability = nvml.ask("nvmlDeviceGetCudaComputeCapability", handle)
    return PhysicalGpu(
        _device(nvml, handle, number),
        handle,
        f"{capability[0]}.{capability[1]}" if capability else "",
        tuple(_faults(nvml, handle)),
        divided,
        tuple(_instances(nvml, handle)) if divided else (),
    )


def _device(nvml: Nvml, handle: Any, number: int) -> Device:
    name = nvml.text("nvmlDeviceGetName", handle).replace(")", "") or "unknown GPU"
    uuid = nvml.text("nvmlDeviceGetUUID", handle)
    version = getattr(nvml.binding, "nvmlMemory_v2", None)
    memory = nvml.ask("nvmlDeviceGetMemoryInfo", handle, version) if version else None
    if memory is None:  # a driver before 510: it counts reserved memory as used and does not report it
        memory = nvml.ask("nvmlDeviceGetMemoryInfo", handle)
    if memory is None:
        return Device(number, name, uuid, failure=nvml.failure)
    total = (memory.total - getattr(memory, "reserved", 0)) / GIB
    return Device(number, name, uuid, total, memory.free / GIB, "", tuple(_holders(nvml, handle)))


def _instances(nvml: Nvml, gpu: Any) -> Iterator[Device]:
    """The instances that this process may see. Numbers between them may be unused."""
    for number in range(min(nvml.ask("nvmlDeviceGetMaxMigDeviceCount", gpu) or 0, _MOST_INSTANCES)):
        handle = nvml.ask("nvmlDeviceGetMigDeviceHandleByIndex", gpu, number)
        if handle is not None:
            yield _device(nvml, handle, number)


def _holders(nvml: Nvml, handle: Any) -> Iterator[str]:
    """Who holds memory. The process numbers are the host's and mean nothing inside a container."""
    found = nvml.ask("nvmlDeviceGetComputeRunningProcesses", handle)
    if found is None:  # a driver without the newest call
        found = nvml.ask("nvmlDeviceGetComputeRunningProcesses_v2", handle) or []
    for each in found[:_MOST_PROCESSES]:
        size = f"{each.usedGpuMemory / GIB:.2f} GiB" if each.usedGpuMemory else "size unknown"
        yield f"host process {each.pid} ({size})"
    if len(found) > _MOST_PROCESSES:
        yield f"{len(found) - _MOST_PROCESSES} more"


def _faults(nvml: Nvml, handle: Any) -> Iterator[Observation]:
    """What the GPU reports about its own health."""
    kinds = (
        getattr(nvml.binding, "NVML_MEMORY_ERROR_TYPE_UNCORRECTED", 1),
        getattr(nvml.binding, "NVML_VOLATILE_ECC", 0),
    )
    errors = nvml.ask("nvmlDeviceGetTotalEccErrors", handle, *kinds)
    if errors:
        yield Observation("gpu_ecc_errors", {"count": str(errors)})
    rows = nvml.ask("nvmlDeviceGetRemappedRows", handle)
    if rows and rows[3]:
        yield Observation("gpu_memory_not_replaced")
    elif (rows and rows[2]) or nvml.ask("nvmlDeviceGetRetiredPagesPendingStatus", handle):
        yield Observation("gpu_memory_waits_for_reset")
    reasons = nvml.ask("nvmlDeviceGetCurrentClocksEventReasons", handle)
    if reasons is None:
        reasons = nvml.ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle) or 0
    held = [name for bit, name in _CLOCKS.items() if reasons & bit]
    if held:
        yield Observation("gpu_clocks_held_down", {"reason": ", ".join(held)})
    if nvml.ask("nvmlDeviceGetPersistenceMode", handle) == 0:
        yield Observation("gpu_persistence_off")


def links(nvml: Nvml, gpus: Sequence[PhysicalGpu]) -> tuple[str, str]:
    """The worst connection between GPUs (nvlink, p2p, no-p2p) and the largest distance (PIX … SYS); "" if unknown.

    With more than two GPUs, vLLM uses its own all-reduce only if every pair has NVLink.
    """
    pairs = [(one.handle, other.handle) for number, one in enumerate(gpus) for other in gpus[number + 1 :]]
    if not pairs:
        return "", ""
    nvlink = [nvml.ask("nvmlDeviceGetP2PStatus", *pair, _NVLINK) for pair in pairs]
    reads = [nvml.ask("nvmlDeviceGetP2PStatus", *pair, _READ) for pair in pairs]
    levels = [nvml.ask("nvmlDeviceGetTopologyCommonAncestor", *pair) for pair in pairs]
    joined = "nvlink" if all(status == 0 for status in nvlink) else ""
    if not joined and None not in reads:
        joined = "p2p" if all(status == 0 for status in reads) else "no-p2p"
    return joined, "" if None in levels else _LEVELS.get(max(levels), "")
