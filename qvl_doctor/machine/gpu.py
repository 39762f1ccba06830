"""GPUs as NVML reports them: those that vLLM will use, their memory and who holds it, their health."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from qvl_doctor.machine.cuda_visible import Visible, choose
from qvl_doctor.machine.devices import Device, PhysicalGpu, links, read_gpu
from qvl_doctor.machine.nvml import ABSENT, Nvml, instead, start
from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.observations import observe

#: GiB that are in use on an idle GPU: the driver's own.
_IDLE_GIB = 1.0
_MOST_GPUS = 64


class Asked(NamedTuple):
    """How many GPUs the command uses, how many share a layer (tensor parallel), and whether vLLM is for CPUs."""

    ranks: int = 1
    tensor_parallel: int = 1
    for_cpu: bool = False


def inspect_gpus(env: Mapping[str, str] | None = None, asked: Asked | None = None, root: str = "/") -> Seen:
    """What NVML reports. GPUs become observations; the fact `nvml` is ok, or why NVML cannot be asked.

    Of the GPUs (or the instance) that the command uses, the one with the least free memory gives the facts gpu_name,
    compute_capability, total_gib and startup_free_gib. Sizes are as torch counts them: without what the driver
    reserves.
    """
    env, asked = os.environ if env is None else env, asked or Asked()
    nvml = start()
    if isinstance(nvml, str):
        word = instead(nvml, root, for_cpu=asked.for_cpu)
        return Seen({"nvml": Fact(word, "probe")}, tuple(_without(word, env)))
    try:
        return _seen(nvml, env, asked)
    finally:
        nvml.close()


def _without(word: str, env: Mapping[str, str]) -> Iterator[Record]:
    """Why there is no driver, if the container's own variable says it."""
    given = env.get("NVIDIA_VISIBLE_DEVICES", "").strip()
    if word in ABSENT and given in {"none", "void"}:
        yield observe("container_without_gpus", given=given)


def _seen(nvml: Nvml, env: Mapping[str, str], asked: Asked) -> Seen:
    facts: dict[str, object] = {"nvml": "ok"}
    driver = nvml.text("nvmlSystemGetDriverVersion")
    cuda = nvml.ask("nvmlSystemGetCudaDriverVersion_v2") or nvml.ask("nvmlSystemGetCudaDriverVersion")
    if driver:
        facts["driver"] = driver
    if cuda:
        facts["driver_cuda"] = f"{cuda // 1000}.{cuda % 1000 // 10}"
    count = min(nvml.ask("nvmlDeviceGetCount") or 0, _MOST_GPUS)
    facts["gpu_count"] = count
    found = {number: read_gpu(nvml, number) for number in range(count)}
    gpus = {number: gpu for number, gpu in found.items() if isinstance(gpu, PhysicalGpu)}
    lost = [
        observe("gpu_not_answering", index=number, reason=gpu) for number, gpu in found.items() if isinstance(gpu, str)
    ]
    visible = _visible(env, found)
    seen = [gpus[number] for number in visible.gpus if number in gpus]
    idle = [gpu for gpu in seen if gpu.divided and not gpu.instances]  # CUDA skips them
    used = [gpu for gpu in seen if gpu not in idle]
    facts |= {"gpu_visible": len(visible.gpus) - len(idle), **_chosen(nvml, used, visible, asked, count)}
    if idle and not used:
        facts |= {"mig": "yes", "gpu_name": idle[0].device.name}
    records = [*lost, *_about_list(env, visible, count), *_kinds(env, gpus)]
    for gpu in seen:
        records += _about(gpu, alone=not used)
    return Seen({name: Fact(value, "probe") for name, value in facts.items()}, tuple(records))


def _visible(env: Mapping[str, str], found: Mapping[int, PhysicalGpu | str]) -> Visible:
    """What CUDA_VISIBLE_DEVICES leaves. A GPU that cannot be queried still has its number."""
    uuids = {number: gpu.device.uuid if isinstance(gpu, PhysicalGpu) else "" for number, gpu in found.items()}
    instances = {
        each.uuid: number for number, gpu in found.items() if isinstance(gpu, PhysicalGpu) for each in gpu.instances
    }
    return choose(env.get("CUDA_VISIBLE_DEVICES"), uuids, instances)


def _chosen(nvml: Nvml, seen: Sequence[PhysicalGpu], visible: Visible, asked: Asked, there: int) -> dict[str, object]:
    """Facts of the GPUs that the command uses."""
    facts: dict[str, object] = {}
    if not seen:
        return facts
    if seen[0].divided:  # a process sees one instance: the named one, or the first
        device = next((each for each in seen[0].instances if each.uuid.startswith(visible.instance)), None)
        facts["gpu_visible"] = 1 if device else 0
        facts["mig"] = "yes"
        if visible.instance and device:
            facts["mig_named"] = device.number
            if device.number >= there:
                facts["mig_card_missing"] = "yes"
    else:
        used = seen[: asked.ranks]
        device = min((gpu.device for gpu in used), key=lambda each: (not each.total, each.free))
        joined, level = links(nvml, used[: asked.tensor_parallel])
        facts |= {name: value for name, value in (("gpu_links", joined), ("gpu_topology", level)) if value}
    facts["gpu_name"] = device.name if device else seen[0].device.name
    if seen[0].capability:
        facts["compute_capability"] = min(
            (gpu.capability for gpu in seen[: asked.ranks] if gpu.capability), key=_version
        )
    if device and device.total:
        facts |= {"total_gib": round(device.total, 2), "startup_free_gib": round(device.free, 2)}
    return facts


def _version(capability: str) -> tuple[int, ...]:
    return tuple(int(part) for part in capability.split("."))


def _about_list(env: Mapping[str, str], visible: Visible, count: int) -> Iterator[Record]:
    said = env.get("CUDA_VISIBLE_DEVICES", "").strip()
    if visible.problem:
        left = len(visible.gpus)
        yield observe(visible.problem, given=said[:200], name=visible.name, there=visible.there, visible=left)
    if not count or (visible.problem and not visible.gpus):
        yield observe("gpus_not_visible", there=count)
    if said.startswith(("GPU-", "MIG-")):
        yield observe("cuda_devices_by_uuid", name=said.split(",")[0].strip()[:80])


def _kinds(env: Mapping[str, str], gpus: Mapping[int, PhysicalGpu]) -> Iterator[Record]:
    """The warning that vLLM gives: it counts GPUs in NVML's order, CUDA by speed unless told otherwise."""
    names = [gpu.device.name for gpu in gpus.values()]
    if len(set(names)) > 1 and env.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        yield observe("gpus_of_two_kinds", gpus=", ".join(names[:16]))


def _about(gpu: PhysicalGpu, *, alone: bool) -> Iterator[Record]:
    """What there is to say about a GPU. `alone`: no other GPU can be used."""
    index, name = str(gpu.device.number), gpu.device.name
    for fault in gpu.faults:
        yield observe(fault.key, index=index, gpu=name, **fault.values)
    if not gpu.divided:
        yield from _memory(index, gpu.device)
        return
    if not gpu.instances and alone:
        yield observe("gpu_without_instance", index=index, gpu=name)
        return
    listed = ", ".join(f"{each.name} ({each.uuid})" for each in gpu.instances[:8]) or None
    yield observe("gpu_in_instances", index=index, gpu=name, instances=listed)
    for each in gpu.instances:
        yield from _memory(f"{index}, instance {each.number}", each)


def _memory(index: str, device: Device) -> Iterator[Record]:
    if device.failure:
        yield observe("gpu_memory_unread", index=index, gpu=device.name, reason=device.failure)
    taken = device.total - device.free
    if device.total and taken >= _IDLE_GIB:
        sizes = {"taken": f"{taken:.2f}", "total": f"{device.total:.2f}"}
        holders = ", ".join(device.holders) or None
        yield observe("gpu_taken", index=index, gpu=device.name, **sizes, holders=holders)
