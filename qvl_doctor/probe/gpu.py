"""GPUs as NVML shows them: memory, who holds it, capability, errors, MIG. Nothing is changed, and a missing piece is a fact."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.observations import MACHINE, observe

_GIB = 1 << 30
#: So much is gone on a card that nobody uses: the driver's own.
_IDLE_GIB = 1.0
#: NVML's return codes (nvml.h) → the fact `nvml`.
_FAILURES = {
    4: "no-permission",
    9: "driver-not-loaded",
    12: "library-missing",
    15: "gpu-lost",
    16: "reset-required",
    17: "blocked-by-system",
    18: "version-mismatch",
    999: "unknown-error",
}
_NOT_SUPPORTED = (3, 13)


def look(env: Mapping[str, str] | None = None) -> Seen:
    """What NVML shows. Cards are observations; the fact `nvml` is ok, binding-missing, or why it cannot be asked.

    The first card that vLLM will see gives the facts gpu_name, compute_capability, total_gib and startup_free_gib, as torch counts: the
    total less what the driver reserves.
    """
    try:
        import pynvml
    except ImportError:
        return Seen({"nvml": Fact("binding-missing", "probe")})
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Seen({"nvml": Fact(_why(error), "probe")})
    except Exception:  # noqa: BLE001  # the binding raises its own class for libraries of another version
        return Seen({"nvml": Fact("unknown-error", "probe")})
    try:
        return _cards(_Nvml(pynvml), os.environ if env is None else env)
    finally:
        pynvml.nvmlShutdown()


class _Nvml:
    """The binding with every failure turned into None, and the last one kept."""

    def __init__(self, binding: Any) -> None:
        self.binding = binding
        self.failure = ""

    def ask(self, name: str, *arguments: Any) -> Any:
        self.failure = ""
        try:
            return getattr(self.binding, name)(*arguments)
        except self.binding.NVMLError as error:
            self.failure = "not-supported" if error.value in _NOT_SUPPORTED else _why(error)
        except Exception:  # noqa: BLE001  # NVMLLibraryMismatchError is no NVMLError: a driver without the call
            self.failure = "old-driver"
        return None


def _why(error: Any) -> str:
    return _FAILURES.get(getattr(error, "value", 0), "unknown-error")


def _cards(nvml: _Nvml, env: Mapping[str, str]) -> Seen:
    facts: dict[str, Fact] = {"nvml": Fact("ok", "probe")}
    driver = _text(nvml.ask("nvmlSystemGetDriverVersion"))
    cuda = nvml.ask("nvmlSystemGetCudaDriverVersion_v2") or nvml.ask("nvmlSystemGetCudaDriverVersion")
    if driver:
        facts["driver"] = Fact(driver, "probe")
    if cuda:
        facts["driver_cuda"] = Fact(f"{cuda // 1000}.{cuda % 1000 // 10}", "probe")
    count = nvml.ask("nvmlDeviceGetCount") or 0
    facts["gpu_count"] = Fact(count, "probe")
    seen: list[Record] = []
    names: list[str] = []
    first = _first_visible(env, count)
    for index in range(min(count, 64)):
        handle = nvml.ask("nvmlDeviceGetHandleByIndex", index)
        if handle is None:
            seen.append(observe(MACHINE, f"GPU {index} cannot be asked: {nvml.failure}"))
            continue
        card = _card(nvml, handle)
        names.append(card["name"])
        seen += _observations(nvml, handle, index, card)
        if index == first:
            facts |= {name: Fact(value, "probe") for name, value in _first_facts(card).items()}
    if len(set(names)) > 1:
        seen.append(observe(MACHINE, f"the GPUs are of different kinds: {', '.join(names[:8])}"))
    return Seen(facts, tuple(seen))


def _first_visible(env: Mapping[str, str], count: int) -> int:
    """The card that CUDA calls 0. A name by UUID is not resolved: then it is the first."""
    said = env.get("CUDA_VISIBLE_DEVICES")
    first = (said or "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) < count else 0


def _card(nvml: _Nvml, handle: Any) -> dict[str, Any]:
    version = getattr(nvml.binding, "nvmlMemory_v2", None)
    memory = nvml.ask("nvmlDeviceGetMemoryInfo", handle, version) if version else None
    if memory is None:  # a driver before 510 counts what is reserved as used
        memory = nvml.ask("nvmlDeviceGetMemoryInfo", handle)
    failure = nvml.failure
    capability = nvml.ask("nvmlDeviceGetCudaComputeCapability", handle)
    reserved = getattr(memory, "reserved", 0) if memory else 0
    return {
        "name": _text(nvml.ask("nvmlDeviceGetName", handle)) or "unknown card",
        "total": (memory.total - reserved) / _GIB if memory else 0.0,
        "free": memory.free / _GIB if memory else 0.0,
        "capability": f"{capability[0]}.{capability[1]}" if capability else "",
        "failure": "" if memory else failure,
    }


def _first_facts(card: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"gpu_name": card["name"]}
    if card["capability"]:
        found["compute_capability"] = card["capability"]
    if card["total"]:
        found |= {"total_gib": round(card["total"], 2), "startup_free_gib": round(card["free"], 2)}
    return found


def _observations(nvml: _Nvml, handle: Any, index: int, card: Mapping[str, Any]) -> Iterator[Record]:
    name = f"GPU {index} ({card['name']})"
    if card["failure"]:
        yield observe(MACHINE, f"{name}: its memory cannot be read: {card['failure']}")
    taken = card["total"] - card["free"]
    if card["total"] and taken >= _IDLE_GIB:
        who = _holders(nvml, handle)
        by = f", by {who}" if who else ""
        yield observe(MACHINE, f"{name}: {taken:.2f} GiB of {card['total']:.2f} GiB are taken before vLLM starts{by}")
    mode = nvml.ask("nvmlDeviceGetMigMode", handle)
    if mode and mode[0]:
        yield observe(MACHINE, f"{name}: MIG is switched on, its memory is divided into instances")
    kinds = getattr(nvml.binding, "NVML_MEMORY_ERROR_TYPE_UNCORRECTED", 1), getattr(nvml.binding, "NVML_VOLATILE_ECC", 0)
    errors = nvml.ask("nvmlDeviceGetTotalEccErrors", handle, *kinds)
    if errors:
        yield observe(MACHINE, f"{name}: {errors} memory errors that ECC could not correct since the driver was loaded")


def _holders(nvml: _Nvml, handle: Any) -> str:
    """Processes with their memory. Their numbers are the host's: inside a container they mean nothing."""
    asked: tuple[Callable[[], Any], ...] = tuple(
        (lambda name=name: nvml.ask(name, handle))  # type: ignore[misc]
        for name in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetComputeRunningProcesses_v2")
    )
    found: Any = next((each for ask in asked if (each := ask()) is not None), [])
    shown = [f"host process {each.pid} ({(each.usedGpuMemory or 0) / _GIB:.2f} GiB)" for each in found[:4]]
    return ", ".join(shown)


def _text(value: Any) -> str:
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or ""))[:120]
