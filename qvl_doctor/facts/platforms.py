"""On which platform and machine a log was written, where its own first lines do not say it.

Frames, libraries, devices, images and the words of a platform's runtime tell: `torch_npu`, `libhccl.so`, `HIP out of
memory`, `quay.io/ascend/vllm-ascend`. vLLM's own lines that report no failure are not looked at, because they name
what
other platforms could do ("vllm::rocm_aiter_sparse_attn_indexer" is in every configuration).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from qvl_doctor.model import PLATFORMS, Fact, Record

#: What vLLM says where it found none.
UNSPECIFIED = "unspecified"
#: Other names of them: vLLM's own, the plugins', the builds' (`0.10.2+rocm700`), the packages'.
_NAMES = {
    "npu": "ascend",
    "hpu": "gaudi",
    "habana": "gaudi",
    "xla": "tpu",
    "libtpu": "tpu",
    "cu": "cuda",
    "ipex": "xpu",
}
#: Packages that only one platform has.
_PACKAGES = {
    "torch_npu": "ascend",
    "vllm_ascend": "ascend",
    "vllm_gaudi": "gaudi",
    "torch_xla": "tpu",
    "vllm_tpu": "tpu",
}
_LOUD = frozenset(("ERROR", "CRITICAL"))
_MOST = 4000
_LONGEST = 20_000


class _Mark(NamedTuple):
    """How a text looks: one of these words, in lower case, must be in it, and then the pattern (verbose) decides."""

    words: tuple[str, ...]
    pattern: str


_MARKS: Mapping[str, _Mark] = {
    "ascend": _Mark(
        ("npu", "ascend", "hccl", "davinci", "cann", "atlas"),
        r"""
        \bNPU[ ]out[ ]of[ ]memory | \btorch_npu\b | \bvllm_ascend\b | ascend/vllm-ascend | /dev/davinci | \bnpu-smi\b
        | \blib(?:hccl|ascend\w*|atb|torch_npu)\.so | \bHCCL[ ](?:function[ ])?error | \bhccl\w{0,20}Init | \bASCEND_\w+
        | \bAscend[ ]?(?:910|310|950) | /usr/local/Ascend | \bascend-toolkit\b | \bAtlas[ ]\d{3} | \bCANN\b
        """,
    ),
    "rocm": _Mark(
        ("hip", "rocm", "gfx", "radeon", "aiter", "instinct"),
        r"""
        \bHIP[ ](?:out[ ]of[ ]memory|error) | \bhipError\w+ | /opt/rocm | \brocm/vllm | vllm-openai-rocm | \blibamdhip64
        | \bgfx(?:90a|94\w|95\w|1[01]\d\d)\b | \bRadeon\b | \bAMD[ ]Instinct\b | (?:site|dist)-packages/aiter/ | \+rocm\d
        """,
    ),
    "xpu": _Mark(
        ("xpu", "level_zero", "sycl", "intel", "ipex"),
        r"""
        \bXPU[ ]out[ ]of[ ]memory | \blevel_zero\b | \bUR_RESULT_ERROR | \bxpu_(?:worker|model_runner)\b | torch/xpu/
        | vllm-openai-xpu | \bintel/(?:vllm|llm-scaler-vllm) | ipex-llm-serving-xpu | \bsycl:: | \blibsycl
        | \bIntel\(R\)[ ](?:Arc|Data[ ]Center[ ]GPU) | \bPyTorch[ ]XPU | \bxpu:\d
        """,
    ),
    "gaudi": _Mark(
        ("habana", "hpu", "gaudi", "synapse", "synstatus", "hl-smi"),
        r"""
        \bhabana_frameworks\b | \bvllm_(?:hpu_extension|gaudi)\b | vault\.habana\.ai | \bhpu_(?:worker|model_runner|attn)\b
        | \bPT_HPU_\w+ | \bhl-smi\b | \bSynapse(?:AI|[ ]detected) | \bsynStatus | \bHABANA_VISIBLE
        """,
    ),
    "tpu": _Mark(
        ("tpu", "xla", "jaxlib", "memory space"),
        r"""
        \btorch_xla\b | \btpu_inference\b | \bvllm[-/]tpu\b | \blibtpu\b | \btpu_(?:worker|model_runner)\b | \bTPU[ ]v\d
        | \bTPU_\w+ | \bXlaRuntimeError | \bjaxlib\. | \bmemory[ ]space[ ](?:smem|vmem|hbm)
        """,
    ),
    "neuron": _Mark(
        ("neuron", "nrt_"),
        r"""
        \b(?:torch_)?neuronx\w* | \bnrt_\w+ | \bNRT_\w+ | \blibneuronxla\b | \bneuron_(?:worker|model_runner)\b
        | \bNEURON_\w+ | \bneuron-(?:ls|top|monitor)\b
        """,
    ),
    "cpu": _Mark(
        ("cpu",),
        r"""
        \bVLLM_CPU_(?:KVCACHE_SPACE|OMP_THREADS_BIND) | /cpu_(?:worker|model_runner)\.py | \bCPUWorker | vllm-openai-cpu
        | vllm-cpu-(?:env|release)
        """,
    ),
}
#: The same for machines. A machine may be of a platform: a Jetson has CUDA.
_MACHINES: Mapping[str, _Mark] = {
    "jetson": _Mark(
        ("jetson", "orin", "tegra", "l4t", "thor", "nvgpu"),
        r"\b[Jj]etson\b | \bOrin\b | \bNVIDIA[ ]Thor\b | -tegra\b | \bnvgpu\b | \bL4T\b | dustynv/",
    ),
    "spark": _Mark(("gb10", "spark"), r"\bGB10\b | \bDGX[- ]?Spark\b"),
    "wsl": _Mark(("wsl",), r"\bWSL2?\b"),
}
_MACHINE_PLATFORM = {"jetson": "cuda", "spark": "cuda"}


class PlatformReader:
    """Looks for marks in the records of a start, as long as nothing said the platform."""

    def __init__(self) -> None:
        self._found: dict[str, Fact] = {}
        self._looked = 0

    def feed(self, record: Record) -> None:
        """Takes in a record that is not a plain line of vLLM's own."""
        if (record.file and record.level not in _LOUD and not record.frames) or self._looked >= _MOST:
            return
        self._looked += 1
        text = _text(record)
        low = text.lower()
        for name, marks in (("platform", _MARKS), ("machine", _MACHINES)):
            if name not in self._found:
                value = _first(marks, text, low)
                if value:
                    self._found[name] = Fact(value, "inferred", record.first_line)

    def facts(self, known: Mapping[str, Fact]) -> dict[str, Fact]:
        """Platform and machine as far as they are known.

        What is in `known` (versions of packages) tells them as well.
        """
        found = dict(self._found)
        if "machine" not in found and "gpu_name" in known:
            name = str(known["gpu_name"].value)
            if machine := _first(_MACHINES, name, name.lower()):
                found["machine"] = Fact(machine, "inferred", known["gpu_name"].line)
        platform = _of_versions(known) or _MACHINE_PLATFORM.get(
            str(found["machine"].value) if "machine" in found else ""
        )
        if platform and "platform" not in found:
            found["platform"] = Fact(platform, "inferred")
        return found


def plain(name: str) -> str:
    """A platform by the name that is used here: npu is ascend. A name that is not known stays."""
    low = name.strip().lower()
    return _NAMES.get(low, low)


def _of_versions(known: Mapping[str, Fact]) -> str:
    """The platform that a package is for: `torch_npu`, vLLM 0.10.2+rocm700."""
    for name, platform in _PACKAGES.items():
        if name in known:
            return platform
    for name in ("vllm", "torch"):
        build = str(known[name].value).partition("+")[2].lower() if name in known else ""
        word = re.match(r"[a-z]+", build)
        platform = plain(word[0]) if word else ""
        if platform in PLATFORMS and not (name == "torch" and platform == "cpu"):
            return platform
    return ""


def _text(record: Record) -> str:
    """What a record says: its exception, its message, and the files of its frames."""
    files = "\n".join(frame.file for frame in record.frames)
    return f"{record.exception} {record.message}\n{files}"[:_LONGEST]


def _first(marks: Mapping[str, _Mark], text: str, low: str) -> str:
    """The first name whose mark a text bears, "" if there is none."""
    for name, mark in marks.items():
        if any(word in low for word in mark.words) and _compiled(mark.pattern).search(text):
            return name
    return ""


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.VERBOSE)
