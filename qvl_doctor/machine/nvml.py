"""NVIDIA's management library through its Python binding, with every failure turned into a word."""

from __future__ import annotations

import os
from typing import Any

from qvl_doctor.files import listed, read_text

#: NVML's return codes (nvml.h) in words. What is not in here is `error-` and the number.
FAILURES = {
    3: "not-supported",
    4: "no-permission",
    6: "not-found",
    8: "power-cable-missing",
    9: "driver-not-loaded",
    10: "timeout",
    11: "interrupt-problem",
    12: "library-missing",
    13: "not-supported",
    14: "inforom-corrupted",
    15: "gpu-lost",
    16: "reset-required",
    17: "blocked-by-system",
    18: "version-mismatch",
    20: "out-of-memory",
    23: "out-of-resources",
    28: "gpu-not-found",
    999: "unknown-error",
}
_NVIDIA, _MOST_DEVICES = "0x10de", 1000
#: Failures that mean no more than that there is no driver of NVIDIA's.
ABSENT = ("library-missing", "driver-not-loaded")


class Nvml:
    """The library after its start. A call that fails gives None, and `failure` says why ("" after a call that did not)."""

    def __init__(self, binding: Any) -> None:
        self.binding = binding
        self.failure = ""

    def ask(self, name: str, *arguments: Any) -> Any:
        """The answer of one call by its name, None if it failed or is missing. Never raises."""
        self.failure = ""
        try:
            return getattr(self.binding, name)(*arguments)
        except self.binding.NVMLError as error:
            self.failure = word(error)
        except Exception:  # noqa: BLE001  # NVMLLibraryMismatchError is no NVMLError, and an old binding lacks the call
            self.failure = "not-supported"
        return None

    def text(self, name: str, *arguments: Any) -> str:
        """The same as text, "" if there is none. Old bindings give bytes."""
        value = self.ask(name, *arguments)
        return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or ""))[:120]

    def close(self) -> None:
        """Gives the library back."""
        self.ask("nvmlShutdown")


def start() -> Nvml | str:
    """The library, or the word for why it cannot be asked: binding-missing, or one of FAILURES."""
    try:
        import pynvml
    except ImportError:
        return "binding-missing"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return word(error)
    except Exception:  # noqa: BLE001  # the binding raises its own class for a library of another version
        return "unknown-error"
    return Nvml(pynvml)


def word(error: Any) -> str:
    """A failure of the binding in one word."""
    code = getattr(error, "value", 999)
    return FAILURES.get(code, f"error-{code}")


def instead(failure: str, root: str, *, for_cpu: bool) -> str:
    """The same failure, or why it is none: the machine has AMD's cards, is a Jetson, or vLLM was built for CPUs.

    VLLM takes a Jetson for CUDA without asking NVML, by the same two files.
    """
    if for_cpu:
        return "not-needed"
    if any(os.path.exists(os.path.join(root, path)) for path in ("etc/nv_tegra_release", "sys/class/tegra-firmware")):
        return "jetson"
    if failure in ABSENT and os.path.exists(os.path.join(root, "dev/kfd")) and not _has_nvidia_gpu(root):
        return "amd"
    return failure


def _has_nvidia_gpu(root: str) -> bool:
    """Whether a display device of NVIDIA's is on the PCI bus, with a driver or without: many processors have graphics of AMD's inside."""
    devices = os.path.join(root, "sys/bus/pci/devices")
    for name in listed(devices, _MOST_DEVICES):
        folder = os.path.join(devices, name)
        if read_text(os.path.join(folder, "vendor"), 16).strip() == _NVIDIA and read_text(
            os.path.join(folder, "class"), 16
        ).startswith("0x03"):
            return True
    return False
