"""Compares packages with driver and GPU, and the command with the GPUs.

If torch or vLLM has a message for what will happen, that wording is used, so that the rules on logs judge it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qvl_doctor import knowledge
from qvl_doctor.knowledge.behaviors import ALL_REDUCE_OF_16
from qvl_doctor.knowledge.defaults import V0_WENT
from qvl_doctor.knowledge.releases import plain
from qvl_doctor.model import Facts, Record, fact_count, fact_text
from qvl_doctor.observations import observe
from qvl_doctor.versions import release, satisfies

#: Sizes of a tensor-parallel group for which vLLM has its own all-reduce (custom_all_reduce.py), and one that only
#: newer releases have.
_ALL_REDUCE, _ALL_REDUCE_MORE = (2, 4, 6, 8), 16


def of_packages(facts: Facts, env: Mapping[str, str], *, amd: bool = False) -> Iterator[Record]:
    """Whether driver and GPU can run what torch was built for; without a torch, the vLLM release that is asked for.

    `amd`: the machine also has GPUs by AMD.
    """
    torch, cuda = fact_text(facts, "torch"), fact_text(facts, "torch_cuda")
    name, count = fact_text(facts, "gpu_name"), fact_count(facts, "gpu_count")
    if count and torch and "cpu" not in fact_text(facts, "vllm"):
        if cuda == "None":
            yield observe("torch_without_cuda", torch=torch, gpus=count)
        elif cuda == "rocm" and not amd:
            yield observe("torch_for_rocm", version=torch, gpus=count)
    yield from _python(facts)
    yield from _driver(facts, env)
    capability = fact_text(facts, "compute_capability")
    if name and _no_code(capability, cuda, torch):
        yield observe("torch_without_code", gpu=name, capability=capability.replace(".", ""), torch=torch, cuda=cuda)


def _python(facts: Facts) -> Iterator[Record]:
    """Whether a vLLM that is still to be installed accepts this Python, in pip's words."""
    pin = knowledge.pin(fact_text(facts, "vllm")) if fact_text(facts, "vllm_installed") == "no" else None
    held = fact_text(facts, "python")
    if pin and held and satisfies(held, pin.python) is False:
        yield observe("python_refused", version=fact_text(facts, "vllm"), held=held, range=pin.python)


def _driver(facts: Facts, env: Mapping[str, str]) -> Iterator[Record]:
    """Whether the driver is new enough for the CUDA version that torch was built for.

    Within one major version of CUDA an older driver works; across major versions only with NVIDIA's forward
    compatibility package. NVML reads `driver_cuda` from the libcuda that is found, so it already reflects such a
    package on the path. vLLM's image adds the package to the path itself if VLLM_ENABLE_CUDA_COMPATIBILITY is set.
    """
    has, what, needs = (
        fact_text(facts, "driver_cuda"),
        f"torch {fact_text(facts, 'torch')}",
        fact_text(facts, "torch_cuda"),
    )
    if not needs and "torch" not in facts:
        pin = knowledge.pin(fact_text(facts, "vllm")) if "vllm" in facts else None
        what, needs = f"vLLM {fact_text(facts, 'vllm')} from PyPI", pin.cuda if pin else ""
    mine, wanted = release(has), release(needs)
    if not mine or not wanted:
        return
    if mine[0] < wanted[0]:
        if env.get("VLLM_ENABLE_CUDA_COMPATIBILITY", "0") in {"", "0"}:
            found = f"{mine[0]}{mine[1] if len(mine) > 1 else 0:02}0"
            yield observe("driver_too_old", found=found, what=what, needs=needs)
    elif "torch" in facts and mine[:2] < wanted[:2]:
        yield observe("driver_behind_cuda", has=has, what=what, needs=needs)


def _no_code(capability: str, cuda: str, torch: str) -> bool:
    """Whether torch certainly has no kernels for the GPU.

    Volta was dropped, and Blackwell came with CUDA 12.8. A GPU of 12.1 runs code for 12.0.
    """
    if satisfies(capability, "<7.5"):
        return bool(satisfies(cuda, ">=12.9") or (satisfies(cuda, "==12.8.*") and satisfies(torch, "==2.7.*")))
    return bool(satisfies(capability, ">=10.0") and satisfies(cuda, "<12.8"))


def of_command(arguments: Mapping[str, Any], facts: Facts, vllm: str) -> Iterator[Record]:
    """What the command asks of the GPUs: how many, how they are connected, and what they compute."""
    yield from _number(arguments, facts, vllm)
    capability = fact_text(facts, "compute_capability")
    if capability:
        yield from _types(arguments, facts, capability, vllm)


def ranks(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """How many GPUs one copy of the model uses, and how many of them share a layer."""
    tensor = _int(arguments.get("tensor_parallel_size"))
    return tensor * _int(arguments.get("pipeline_parallel_size")), tensor


def _number(arguments: Mapping[str, Any], facts: Facts, vllm: str) -> Iterator[Record]:
    asked, tensor = ranks(arguments)
    seen = facts.get("gpu_visible") or facts.get("gpu_count")  # a file from elsewhere may have only one of the two
    visible = seen.value if seen else None
    if not isinstance(visible, int) or not visible:
        return
    if asked > visible:
        if "mig" in facts:
            yield observe("one_mig_instance", asked=asked)
        else:
            yield observe("gpus_too_few", asked=asked, visible=visible)
    elif tensor > 1 and not arguments.get("disable_custom_all_reduce"):
        yield from _all_reduce(tensor, fact_text(facts, "gpu_links"), vllm)


def _all_reduce(tensor: int, joined: str, vllm: str) -> Iterator[Record]:
    """The warnings that vLLM gives about its own all-reduce.

    vLLM tests whether two GPUs can really read each other's memory; NVML only repeats the driver's word.
    """
    if tensor == _ALL_REDUCE_MORE and satisfies(vllm, ALL_REDUCE_OF_16) is not False:
        return
    if tensor not in _ALL_REDUCE:
        yield observe("all_reduce_of_no_size", ranks=tensor)
    elif tensor > 2 and joined in {"p2p", "no-p2p"}:
        yield observe("all_reduce_over_pcie")
    elif joined == "no-p2p":
        yield observe("all_reduce_without_p2p")


def _types(arguments: Mapping[str, Any], facts: Facts, capability: str, vllm: str) -> Iterator[Record]:
    """Data types that a GPU cannot compute in: bfloat16 needs 8.0, FP8 needs 8.9."""
    name, digits = fact_text(facts, "gpu_name"), capability.replace(".", "")
    if arguments.get("dtype") == "bfloat16" and satisfies(capability, "<8.0"):
        yield observe("bfloat16_not_computed", gpu=name, capability=capability)
    if not satisfies(capability, "<8.9"):
        return
    if arguments.get("quantization") == "fp8" and release(vllm):
        least = knowledge.quantization_minimum("fp8", vllm) or 80
        if satisfies(capability, f"<{least / 10}"):
            yield observe("quantization_on_old_gpu", method="fp8", least=least, current=digits)
        else:
            yield observe("fp8_weights_not_computed", gpu=name, capability=capability)
    kept = str(arguments.get("kv_cache_dtype") or "")
    # Before, the V0 engine took over, and its kernels can.
    if kept.startswith("fp8") and satisfies(vllm, f">={plain(V0_WENT)}"):
        yield observe("fp8_cache_hardly_read", kept=kept[:20], gpu=name, capability=capability)


def _int(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 1
