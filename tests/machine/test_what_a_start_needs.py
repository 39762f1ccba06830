"""What GPUs and disk must have for a start: each entry of the tables, both sides of each bound and each release."""

from __future__ import annotations

from typing import Any

import pytest
from machine.facts_given import facts, keys

from qvl_doctor.machine import cuda_visible, fit_gpus, fit_memory
from qvl_doctor.memory import gpus
from qvl_doctor.sizing.case import Known

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"


# ---- GPUs


@pytest.mark.parametrize(
    ("capability", "arguments", "release", "wanted"),
    [
        ("7.5", {"dtype": "bfloat16"}, "0.11.0", ["bfloat16_not_computed"]),
        ("8.0", {"dtype": "bfloat16"}, "0.11.0", []),
        ("7.5", {"dtype": "float16"}, "0.11.0", []),
        ("8.6", {"quantization": "fp8"}, "0.11.0", ["fp8_weights_not_computed"]),
        ("8.9", {"quantization": "fp8"}, "0.11.0", []),
        ("7.0", {"quantization": "fp8"}, "0.11.0", ["quantization_on_old_gpu"]),
        ("8.6", {"quantization": "fp8"}, "", []),
        ("8.6", {"quantization": "awq"}, "0.11.0", []),
        ("", {"dtype": "bfloat16"}, "0.11.0", []),
    ],
)
def test_types_that_a_gpu_computes(capability: str, arguments: dict[str, str], release: str, wanted: list[str]) -> None:
    known = facts(gpu_name="G", compute_capability=capability) if capability else {}
    assert keys(fit_gpus.of_command(arguments, known, release)) == wanted


@pytest.mark.parametrize(
    ("asked", "known", "wanted"),
    [
        ({"tensor_parallel_size": 2}, {"gpu_visible": 1}, ["gpus_too_few"]),
        ({"tensor_parallel_size": 2}, {"gpu_visible": 1, "mig": "yes"}, ["one_mig_instance"]),
        ({"tensor_parallel_size": 2}, {"gpu_visible": 2}, []),
        ({"tensor_parallel_size": 2}, {"gpu_count": 1}, ["gpus_too_few"]),
        ({"tensor_parallel_size": 2}, {"gpu_visible": 2, "gpu_count": 1}, []),
        ({"tensor_parallel_size": 2}, {"gpu_visible": 0}, []),
        ({"tensor_parallel_size": 2}, {}, []),
        ({"tensor_parallel_size": 2, "pipeline_parallel_size": 2}, {"gpu_visible": 3}, ["gpus_too_few"]),
        ({"pipeline_parallel_size": 3}, {"gpu_visible": 3}, []),
        ({"tensor_parallel_size": 3}, {"gpu_visible": 3}, ["all_reduce_of_no_size"]),
        ({"tensor_parallel_size": 3, "disable_custom_all_reduce": True}, {"gpu_visible": 3}, []),
        *(({"tensor_parallel_size": size}, {"gpu_visible": 8}, []) for size in (1, 2, 4, 6, 8)),
        *(({"tensor_parallel_size": size}, {"gpu_visible": 8}, ["all_reduce_of_no_size"]) for size in (3, 5, 7)),
        ({"tensor_parallel_size": 4}, {"gpu_visible": 4, "gpu_links": "p2p"}, ["all_reduce_over_pcie"]),
        ({"tensor_parallel_size": 4}, {"gpu_visible": 4, "gpu_links": "no-p2p"}, ["all_reduce_over_pcie"]),
        ({"tensor_parallel_size": 4}, {"gpu_visible": 4, "gpu_links": "nvlink"}, []),
        ({"tensor_parallel_size": 2}, {"gpu_visible": 2, "gpu_links": "p2p"}, []),
        ({"tensor_parallel_size": 2}, {"gpu_visible": 2, "gpu_links": "no-p2p"}, ["all_reduce_without_p2p"]),
    ],
)
def test_how_many_gpus_and_how_they_are_joined(asked: dict[str, Any], known: dict[str, Any], wanted: list[str]) -> None:
    assert keys(fit_gpus.of_command(asked, facts(**known), "0.11.0")) == wanted


@pytest.mark.parametrize(("release", "wanted"), [("0.26.0", ["all_reduce_of_no_size"]), ("0.27.0", []), ("", [])])
def test_an_all_reduce_of_sixteen(release: str, wanted: list[str]) -> None:
    assert keys(fit_gpus.of_command({"tensor_parallel_size": 16}, facts(gpu_visible=16), release)) == wanted


@pytest.mark.parametrize(
    ("known", "env", "wanted"),
    [
        ({"driver_cuda": "12.8", "torch": "2.9.0", "torch_cuda": "12.8"}, {}, []),
        ({"driver_cuda": "12.4", "torch": "2.9.0", "torch_cuda": "12.8"}, {}, ["driver_behind_cuda"]),
        ({"driver_cuda": "13.0", "torch": "2.9.0", "torch_cuda": "12.8"}, {}, []),
        ({"driver_cuda": "11.8", "torch": "2.9.0", "torch_cuda": "12.8"}, {}, ["driver_too_old"]),
        ({"driver_cuda": "11.8", "torch": "2.9.0", "torch_cuda": "12.8"}, {"VLLM_ENABLE_CUDA_COMPATIBILITY": "0"}, ["driver_too_old"]),
        ({"driver_cuda": "11.8", "torch": "2.9.0", "torch_cuda": "12.8"}, {"VLLM_ENABLE_CUDA_COMPATIBILITY": "1"}, []),
        ({"driver_cuda": "11.8", "torch": "2.9.0", "torch_cuda": "None"}, {}, []),
        ({"driver_cuda": "", "torch": "2.9.0", "torch_cuda": "12.8"}, {}, []),
        ({"driver_cuda": "12.9", "vllm": "0.20.0"}, {}, ["driver_too_old"]),
        ({"driver_cuda": "13.0", "vllm": "0.20.0"}, {}, []),
        ({"driver_cuda": "12.9", "torch": "2.9.0", "vllm": "0.20.0"}, {}, []),
    ],
)  # fmt: skip
def test_driver_and_cuda(known: dict[str, Any], env: dict[str, str], wanted: list[str]) -> None:
    assert keys(fit_gpus.of_packages(facts(**known), env)) == wanted


@pytest.mark.parametrize(
    ("known", "amd", "wanted"),
    [
        ({"torch_cuda": "None"}, False, ["torch_without_cuda"]),
        ({"torch_cuda": "rocm"}, False, ["torch_for_rocm"]),
        ({"torch_cuda": "rocm"}, True, []),
        ({"torch_cuda": "None", "gpu_count": 0}, False, []),
        ({"torch_cuda": "None", "vllm": "0.11.0+cpu"}, False, []),
        ({"torch_cuda": "None", "torch": ""}, False, []),
        ({"torch_cuda": "12.8"}, False, []),
    ],
)
def test_a_torch_without_cuda(known: dict[str, Any], amd: bool, wanted: list[str]) -> None:
    given = facts(**{"torch": "2.9.0", "gpu_count": 1, "gpu_name": "G", **known})
    assert keys(fit_gpus.of_packages(given, {}, amd=amd)) == wanted


@pytest.mark.parametrize(
    ("capability", "cuda", "torch", "missing"),
    [
        ("7.0", "12.9", "2.8.0", True), ("7.0", "12.8", "2.7.1", True), ("7.0", "12.8", "2.8.0", False), ("7.0", "12.6", "2.7.1", False),
        ("7.5", "12.9", "2.8.0", False), ("10.0", "12.7", "2.6.0", True), ("10.0", "12.8", "2.7.0", False), ("9.0", "12.4", "2.6.0", False),
        ("12.0", "12.6", "2.6.0", True), ("7.0", "None", "2.8.0", False),
    ],
)  # fmt: skip
def test_kernels_that_torch_lacks(capability: str, cuda: str, torch: str, *, missing: bool) -> None:
    given = facts(gpu_name="G", compute_capability=capability, torch_cuda=cuda, torch=torch)
    assert ("torch_without_code" in keys(fit_gpus.of_packages(given, {}))) is missing


@pytest.mark.parametrize(
    ("installed", "held", "wanted"),
    [("no", "3.8.0", ["python_refused"]), ("no", "3.12.0", []), ("yes", "3.8.0", []), ("no", "", [])],
)
def test_a_python_that_a_release_refuses(installed: str, held: str, wanted: list[str]) -> None:
    given = facts(vllm="0.11.0", vllm_installed=installed, python=held)
    assert keys(fit_gpus.of_packages(given, {})) == wanted


UUIDS = {0: "GPU-aa", 1: "GPU-ab", 2: "GPU-b"}
INSTANCES = {"MIG-a": 0, "MIG-ab": 1, "MIG-c": 2}


@pytest.mark.parametrize(
    ("said", "gpus_seen", "problem"),
    [
        (None, (0, 1, 2), ""), ("1,0", (1, 0), ""), (" 2 , 1 ", (2, 1), ""), ("", (), ""), ("-1", (), ""), ("0,-1,1", (0,), ""),
        ("0,,1", (0,), ""),
        ("0,7,1", (0,), "cuda_device_unknown"), ("x", (), "cuda_device_unknown"), ("0,0", (), "cuda_device_twice"), ("+1", (1,), ""),
        ("1x", (1,), ""), ("GPU-b", (2,), ""), ("GPU-aa,GPU-b", (0, 2), ""), ("GPU-a", (), "cuda_device_unknown"),
        ("GPU-aa,1", (0,), "cuda_device_unknown"), ("GPU-b,GPU-b", (), "cuda_device_twice"), ("MIG-c", (2,), ""), ("MIG-ab", (1,), ""),
        ("MIG-a", (), "cuda_instance_unknown"), ("MIG-x", (), "cuda_instance_unknown"), ("MIG-GPU-a/1/0", (), ""),
        ("MIG-c,MIG-ab", (2,), ""),
    ],
)  # fmt: skip
def test_what_cuda_visible_devices_leaves(said: str | None, gpus_seen: tuple[int, ...], problem: str) -> None:
    found = cuda_visible.choose(said, UUIDS, INSTANCES)
    assert (found.gpus, found.problem) == (gpus_seen, problem)


# ---- Memory of the GPU, and the disk for the weights


def fits(tp: int = 1, free: float | None = None, **known: Any) -> dict[str, Any]:
    card = gpus.find("A100-80GB")
    given = facts(**known, **({"cache_free_gib": free} if free is not None else {}))
    asked = {"model": MODEL, "tensor_parallel_size": tp, "max_model_len": 4096}
    found = fit_memory.inspect_memory_fit(asked, Known(gpu=card, release="0.11.0"), given, {})
    return {name: fact.value for name, fact in found.facts.items()}


def test_the_disk_must_hold_the_weights_of_all_ranks() -> None:
    """Each rank holds a part; the files are the whole, a little less than the ranks together hold."""
    one, two = fits(1)["weights_needed_gib"], fits(2)["weights_needed_gib"]
    assert 15 < one <= two < 1.2 * one


@pytest.mark.parametrize(
    ("free", "known", "small"),
    [
        (99.0, {}, False), (10.0, {}, True), (10.0, {"weight_files_gib": 9.0}, False), (10.0, {"weight_files_gib": 1.0}, True),
        (10.0, {"model_place": "hub"}, True), (10.0, {"model_place": "local"}, False), (None, {}, False),
    ],
)  # fmt: skip
def test_room_for_a_download(free: float | None, known: dict[str, Any], *, small: bool) -> None:
    found = fits(1, free, **known)
    assert ("disk_small" in found) is small
    assert found.get("disk_free_gib") == (free if small else None)


def test_the_folder_that_a_download_goes_to() -> None:
    asked = {"model": MODEL, "max_model_len": 4096, "download_dir": "/d"}
    known = Known(gpu=gpus.find("A100-80GB"), release="0.11.0")
    given = facts(cache_free_gib=1.0, download_free_gib=99.0)
    assert "disk_small" not in fit_memory.inspect_memory_fit(asked, known, given, {}).facts
    assert "disk_small" in fit_memory.inspect_memory_fit({**asked, "download_dir": ""}, known, given, {}).facts
    room = fit_memory.inspect_memory_fit({**asked, "download_dir": ""}, known, given, {}, room=False).facts
    assert "weights_needed_gib" not in room


def test_the_gpu_that_the_facts_describe() -> None:
    named = fit_memory.gpu_of(facts(gpu_name="NVIDIA A100-SXM4-80GB", total_gib=79.25))
    assert named is not None
    assert (named.total_bytes, named.nominal) == (int(79.25 * (1 << 30)), False)
    listed = fit_memory.gpu_of(facts(gpu_name="NVIDIA A100-SXM4-80GB"))
    assert listed == gpus.find("A100 80GB")
    nameless = fit_memory.gpu_of(facts(total_gib=24.0))
    assert nameless is not None
    assert nameless.total_bytes == 24 << 30
    assert fit_memory.gpu_of({}) is None


@pytest.mark.parametrize(("free", "wanted"), [(72.01, []), (71.99, ["gpu_memory_not_free"]), (None, [])])
def test_memory_that_is_not_free(free: float | None, wanted: list[str]) -> None:
    card = gpus.find("A100-80GB")
    assert card is not None
    known = Known(gpu=card._replace(total_bytes=80 << 30, nominal=False), release="0.11.0")
    given = facts(startup_free_gib=free) if free is not None else {}
    asked = {"model": MODEL, "max_model_len": 4096, "gpu_memory_utilization": 0.9}
    assert keys(fit_memory.inspect_memory_fit(asked, known, given, {}).observations) == wanted
