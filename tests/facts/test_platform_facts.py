"""Platform and machine are read from what the log states or evidences, and from nothing else."""

from __future__ import annotations

import pytest
from fact_samples import read_facts

from qvl_doctor.facts.platforms import plain
from qvl_doctor.knowledge import table
from qvl_doctor.knowledge.platforms import STEPS, step
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import PLATFORMS

TRACEBACK = """Traceback (most recent call last):
  File "/opt/venv/lib/python3.11/site-packages/{path}", line 31, in <module>
    import something
RuntimeError: it failed
"""
NO_PLATFORM = "INFO 11-22 20:07:06 [__init__.py:220] No platform detected, vLLM is running on UnspecifiedPlatform"
CONFIGURATION = """\
INFO 11-22 20:08:44 [core.py:93] Initializing a V1 LLM engine (v0.25.1) with config: model='x', \
compilation_config={'splitting_ops': ['vllm::rocm_aiter_sparse_attn_indexer']}"""


def fact(log: str, name: str) -> str | None:
    found = read_facts(read_records(log)).get(name)
    return found and str(found.value)


@pytest.mark.parametrize(
    ("log", "platform"),
    [
        ("INFO 11-22 20:08:44 [__init__.py:216] Automatically detected platform cuda.", "cuda"),
        ("INFO 11-22 20:08:44 [__init__.py:216] Automatically detected platform hpu.", "gaudi"),
        ("INFO 11-22 20:08:44 [__init__.py:44] Platform plugin ascend is activated", "ascend"),
        (TRACEBACK.format(path="vllm_ascend/worker/worker_v1.py"), "ascend"),
        (TRACEBACK.format(path="torch_npu/__init__.py"), "ascend"),
        ("ImportError: libhccl.so: cannot open shared object file: No such file or directory", "ascend"),
        ("RuntimeError: NPU out of memory. Tried to allocate 22.00 MiB (NPU 0; 60.97 GiB total capacity)", "ascend"),
        ("docker run --rm --device /dev/davinci0 quay.io/ascend/vllm-ascend:v0.9.1 bash", "ascend"),
        ("torch-npu==2.5.1.post1", "ascend"),
        ("torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB.", "rocm"),
        ("RuntimeError: HIP error: invalid device function", "rocm"),
        (TRACEBACK.format(path="aiter/jit/core.py"), "rocm"),
        ("torch==2.7.0+rocm6.3", "rocm"),
        ("vllm==0.10.2+rocm700", "rocm"),
        ("docker run --device /dev/kfd rocm/vllm:latest", "rocm"),
        ("RuntimeError: XPU out of memory. Tried to allocate 1.02 GiB (GPU 0; 15.56 GiB total capacity)", "xpu"),
        ("RuntimeError: level_zero backend failed with error: 40 (UR_RESULT_ERROR_OUT_OF_RESOURCES)", "xpu"),
        (TRACEBACK.format(path="vllm/v1/worker/xpu_worker.py"), "xpu"),
        (TRACEBACK.format(path="habana_frameworks/torch/hpex/kernels/Fp8Ops.py"), "gaudi"),
        (TRACEBACK.format(path="vllm_gaudi/attention/backends/hpu_attn.py"), "gaudi"),
        ("RuntimeError: synStatus=8 [Device not found] Device acquire failed.", "gaudi"),
        (TRACEBACK.format(path="torch_xla/core/xla_model.py"), "tpu"),
        ("XlaRuntimeError: RESOURCE_EXHAUSTED: Ran out of memory in memory space smem.", "tpu"),
        (TRACEBACK.format(path="neuronx_distributed_inference/models/config.py"), "neuron"),
        (TRACEBACK.format(path="vllm/v1/worker/cpu_worker.py"), "cpu"),
        ("export VLLM_CPU_KVCACHE_SPACE=40", "cpu"),
        # A statement counts before what the frames are.
        (
            "INFO 11-22 20:08:44 [__init__.py:216] Automatically detected platform cuda.\n"
            + TRACEBACK.format(path="vllm/v1/worker/cpu_worker.py"),
            "cuda",
        ),
        # What vLLM's own lines name as possible is no evidence.
        (CONFIGURATION, None),
        ("WARNING 11-22 20:08:44 [envs.py:9] Unknown vLLM environment variable detected: VLLM_TPU_X", None),
        # That vLLM found none does not hide what the rest of the log shows.
        (NO_PLATFORM + "\n/opt/rocm/bin/rocminfo: gfx942", "rocm"),
        ("The input is too long; the output is not.", None),
        (NO_PLATFORM, "unspecified"),
    ],
)  # fmt: skip
def test_platform(log: str, platform: str | None) -> None:
    assert fact(log, "platform") == platform


@pytest.mark.parametrize(
    ("log", "machine"),
    [
        ("Device 0: Orin (nvgpu)", "jetson"),
        ("Linux jetson 5.15.148-tegra #1 SMP PREEMPT", "jetson"),
        ("GPU 0: NVIDIA GB10 (UUID: GPU-0)", "spark"),
        ("Running on a DGX Spark", "spark"),
        ("Linux-5.15.167.4-microsoft-standard-WSL2-x86_64-with-glibc2.35", "wsl"),
        ("WARNING 06-22 19:44:31 [interface.py:376] Using 'pin_memory=False' as WSL is detected.", "wsl"),
        ("GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-0)", None),
        ("an apache spark job", None),
    ],
)
def test_machine(log: str, machine: str | None) -> None:
    assert fact(log, "machine") == machine


def test_a_machine_may_have_a_platform() -> None:
    assert fact("GPU 0: NVIDIA GB10 (UUID: GPU-0)", "platform") == "cuda"
    assert fact("Linux-5.15.167.4-microsoft-standard-WSL2", "platform") is None


@pytest.mark.parametrize(
    ("name", "platform"), [("npu", "ascend"), ("HPU", "gaudi"), (" cuda ", "cuda"), ("metax", "metax"), ("", "")]
)
def test_names_of_platforms(name: str, platform: str) -> None:
    assert plain(name) == platform


def test_every_platform_has_its_steps_and_sources() -> None:
    known = table("platforms")["platforms"]
    assert tuple(known) == PLATFORMS
    for entry in known.values():
        assert len(entry["source"]) > 20
        assert set(entry["steps"]) <= set(STEPS)
        assert all(value.isascii() for value in entry["steps"].values())  # no language of its own
    assert set(known["cuda"]["steps"]) == set(STEPS)


@pytest.mark.parametrize("platform", ["", "unspecified", "metax"])
def test_where_the_platform_is_not_known_the_steps_are_those_of_cuda(platform: str) -> None:
    assert step("show_devices", platform) == "nvidia-smi"


def test_a_platform_may_lack_a_step() -> None:
    assert step("visible_devices", "cpu") == ""
    assert step("show_devices", "ascend") == "npu-smi info"
