"""NVIDIA's management library through its Python binding. Every failure becomes a word."""

from __future__ import annotations

import os
from typing import Any

from qvl_doctor.files import listed, read_text

#: NVML's return codes (nvml.h) as words. Others become `error-` and the number.
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
#: Failures that only mean that NVIDIA's driver is missing.
ABSENT = ("library-missing", "driver-not-loaded")


class Nvml:
    """The initialized library. A failed call returns None, and `failure` says why ("" after a call that succeeded)."""

    def __init__(self, binding: Any) -> None:
        self.binding = binding
        self.failure = ""

    def ask(self, name: str, *arguments: Any) -> Any:
        """The result of one call by its name, None if it failed or does not exist. Never raises."""
        self.failure = ""
        try:
            return getattr(self.binding, name)(*arguments)
        except self.binding.NVMLError as error:
            self.failure = word(error)
        except Exception:  # noqa: BLE001  # an old binding lacks the call, and a mismatch is not an NVMLError
            self.failure = "not-supported"
        return None

    def text(self, name: str, *arguments: Any) -> str:
        """The same as text, "" if there is none. Old bindings return bytes."""
        value = self.ask(name, *arguments)
        return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or ""))[:120]

    def close(self) -> None:
        """Shuts the library down."""
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
    """A failure of the binding as one word."""
    code = getattr(error, "value", 999)
    return FAILURES.get(code, f"error-{code}")


def instead(failure: str, root: str, *, for_cpu: bool) -> str:
    """The same failure, or why it does not matter: AMD's GPUs, a Jetson, or a vLLM that was built for CPUs.

    vLLM recognizes a Jetson by the same two files and does not ask NVML there.
    """
    if for_cpu:
        return "not-needed"
    if any(os.path.exists(os.path.join(root, path)) for path in ("etc/nv_tegra_release", "sys/class/tegra-firmware")):
        return "jetson"
    if failure in ABSENT and os.path.exists(os.path.join(root, "dev/kfd")) and not _has_nvidia_gpu(root):
        return "amd"
    return failure


def _has_nvidia_gpu(root: str) -> bool:
    """Whether an NVIDIA GPU is on the PCI bus, with or without a driver. Many processors have AMD graphics inside."""
    devices = os.path.join(root, "sys/bus/pci/devices")
    for name in listed(devices, _MOST_DEVICES):
        folder = os.path.join(devices, name)
        if read_text(os.path.join(folder, "vendor"), 16).strip() == _NVIDIA and read_text(
            os.path.join(folder, "class"), 16
        ).startswith("0x03"):
            return True
    return False
