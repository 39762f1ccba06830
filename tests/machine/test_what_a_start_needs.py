"""What GPU, disk and host must have for a start: each entry of the tables, both sides of each bound and each release."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qvl_doctor.machine import cuda_visible, disks, env_variables, fit_gpus, fit_host, fit_memory, host, limits
from qvl_doctor.machine.model_folder import Place
from qvl_doctor.memory import gpus
from qvl_doctor.model import Fact, Facts
from qvl_doctor.observations import key_of
from qvl_doctor.sizing.case import Known

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"


def facts(**known: Any) -> Facts:
    return {name: Fact(value, "probe") for name, value in known.items()}


def keys(records: Any) -> list[str]:
    return [key_of(each) for each in records]


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
    card = gpus.find("A100")
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
    known = Known(gpu=gpus.find("A100"), release="0.11.0")
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
    card = gpus.find("A100")
    assert card is not None
    known = Known(gpu=replace(card, total_bytes=80 << 30, nominal=False), release="0.11.0")
    given = facts(startup_free_gib=free) if free is not None else {}
    asked = {"model": MODEL, "max_model_len": 4096, "gpu_memory_utilization": 0.9}
    assert keys(fit_memory.inspect_memory_fit(asked, known, given, {}).observations) == wanted


# ---- Folders


@pytest.mark.parametrize(
    ("env", "hub", "vllm"),
    [
        ({"HOME": "/h"}, "/h/.cache/huggingface/hub", "/h/.cache/vllm"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub", "/x/vllm"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x", "HF_HOME": "/f"}, "/f/hub", "/x/vllm"),
        ({"HOME": "/h", "HF_HOME": "/f", "HUGGINGFACE_HUB_CACHE": "/g"}, "/g", "/h/.cache/vllm"),
        ({"HOME": "/h", "HUGGINGFACE_HUB_CACHE": "/g", "HF_HUB_CACHE": "/c"}, "/c", "/h/.cache/vllm"),
        ({"HOME": "/h", "VLLM_CACHE_ROOT": "~/v", "HF_HUB_CACHE": "~/c"}, "/h/c", "/h/v"),
        ({"HOME": "/h", "VLLM_CACHE_ROOT": "/v", "XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub", "/v"),
    ],
)
def test_where_files_are_kept(env: dict[str, str], hub: str, vllm: str) -> None:
    assert (disks.hub_cache(env), disks.vllm_cache(env)) == (hub, vllm)


@pytest.mark.parametrize(
    ("numbers", "lacks"),
    [
        ({}, ""), ({"f_bavail": 255}, "bytes"), ({"f_bavail": 256}, ""), ({"f_favail": 0}, "inodes"), ({"f_favail": 1}, ""),
        ({"f_files": 0, "f_favail": 0}, ""), ({"f_files": 1, "f_favail": 0}, "inodes"), ({"f_bavail": 0, "f_favail": 0}, "bytes"),
    ],
)  # fmt: skip
def test_what_a_file_system_has_run_out_of(
    numbers: dict[str, int], lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that counts no inodes, as btrfs, has none and lacks none. 1 MiB is the least to write anything."""
    given = {"f_bavail": 1000, "f_frsize": 4096, "f_files": 100, "f_favail": 50, **numbers}
    monkeypatch.setattr(os, "statvfs", lambda _: type("Numbers", (), given))
    assert disks.full("/") == lacks


@pytest.mark.parametrize(("length", "wanted"), [(70, []), (71, ["socket_path_long"])])
def test_the_path_of_a_socket(length: int, wanted: list[str]) -> None:
    """107 bytes, of which vLLM appends a slash and 36 of a UUID."""
    path = "/" + "x" * (length - 1)
    assert keys(disks.observations({"VLLM_RPC_BASE_PATH": path}, {})) == wanted
    assert keys(disks.observations({"VLLM_RPC_BASE_PATH": "/é" + "x" * (length - 3)}, {})) == wanted


@pytest.mark.parametrize("name", ["TMPDIR", "TEMP", "TMP"])
def test_each_variable_of_temporary_files(name: str, tmp_path: Path) -> None:
    assert disks.temporary({name: str(tmp_path)}) == str(tmp_path)
    assert disks.temporary({name: str(tmp_path / "missing")}) == "/tmp"
    order = {each: str(tmp_path / each) for each in ("TMP", "TEMP", "TMPDIR")}
    for path in order.values():
        os.mkdir(path)
    assert disks.temporary(order) == order["TMPDIR"]
    assert disks.temporary({**order, "TMPDIR": ""}) == order["TEMP"]


def test_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    assert disks.existing(str(tmp_path / "a/b")) == str(tmp_path)
    assert disks.existing(str(tmp_path)) == str(tmp_path)
    assert disks.existing("/no/such") == "/"


# ---- The host


def test_the_files_of_the_host(tmp_path: Path) -> None:
    def kind(env: Mapping[str, str] | None = None) -> tuple[Any, bool]:
        found = host.inspect_host(0, root=str(tmp_path), env={"HOME": str(tmp_path), **(env or {})}).facts
        return found["host_kind"].value, "wsl" in found

    assert kind() == ("plain", False)
    files = {
        "etc/nv_tegra_release": "jetson",
        "proc/version": "wsl",
        "run/.containerenv": "podman",
        ".dockerenv": "docker",
    }
    for file, wanted in files.items():
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text("Linux Microsoft")
        assert kind() == (wanted, wanted != "jetson")
    assert kind({"KUBERNETES_SERVICE_HOST": "x"}) == ("kubernetes", True)


@pytest.mark.parametrize(
    ("soft", "hard", "few"),
    [
        ("65534", "65534", True),
        ("65535", "65535", False),
        ("1024", "65535", False),
        ("1024", "65534", True),
        ("1024", "unlimited", False),
    ],
)
def test_open_files(soft: str, hard: str, tmp_path: Path, *, few: bool) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/limits").write_text(
        f"Max open files            {soft}                {hard}               files\n"
    )
    found = host.inspect_host(0, root=str(tmp_path), env={"HOME": str(tmp_path)})
    assert ("open_files_few" in keys(found.observations)) is few


@pytest.mark.parametrize(("now", "wrong"), [(1_704_067_199, True), (1_704_067_200, False)])
def test_a_clock_before_anything_was_released(
    now: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, wrong: bool
) -> None:
    monkeypatch.setattr(time, "time", lambda: now)
    found = host.inspect_host(0, root=str(tmp_path), env={"HOME": str(tmp_path)})
    assert ("clock_wrong" in keys(found.observations)) is wrong


@pytest.mark.parametrize("name", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_each_variable_with_a_users_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert "user_id_without_name" not in host.inspect_host(0, env={name: "x", "HOME": "/"}).facts
    assert "user_id_without_name" in host.inspect_host(0, env={"HOME": "/"}).facts


@pytest.mark.parametrize(
    ("port", "state"), [(0, "unknown"), (1, "yes"), (65535, "yes"), (65536, "unknown"), (-1, "unknown")]
)
@pytest.mark.parametrize(("address", "family"), [("", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_the_ports_that_there_are(
    port: int, state: str, address: str, family: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: list[Any] = []

    class Bound:
        def __init__(self, kind: int, _: int) -> None:
            bound.append(kind)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def setsockopt(self, *_: object) -> None:
            pass

        def bind(self, to: tuple[str, int]) -> None:
            bound.append(to)

    monkeypatch.setattr(socket, "socket", Bound)
    assert host.port_state(address, port) == state
    assert bound == ([family, (address or ".".join("0000"), port)] if state == "yes" else [])


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        ("yes", []),
        ("unknown", []),
        ("no", ["port_in_use"]),
        ("not-permitted", ["port_not_permitted"]),
        ("no-such-address", ["address_not_here"]),
    ],
)
def test_why_an_address_cannot_be_bound(state: str, wanted: list[str]) -> None:
    found = list(fit_host.address(facts(port_free=state), {}))
    assert keys(found) == wanted
    assert all(map(fit_host.is_about_address, found))
    assert list(fit_host.address(facts(port_free=state), {"uds": "/s"})) == []


@pytest.mark.parametrize(("port", "wanted"), [(9000, 9000), (None, 8000), (True, 8000), ("9000", 8000)])
def test_the_port_of_a_command(port: Any, wanted: int) -> None:
    assert fit_host.port_of({"port": port}) == wanted


def fit(arguments: Mapping[str, Any], release: str, env: Mapping[str, str] | None = None, **known: Any) -> list[str]:
    return keys(
        fit_host.inspect_host_fit(arguments, facts(**known), release, {"HOME": "/h", **(env or {})}).observations
    )


@pytest.mark.parametrize(
    ("swap", "ranks", "ram", "release", "large"),
    [
        (70.0, 1, 100.0, "0.9.2", False), (70.1, 1, 100.0, "0.9.2", True), (35.1, 2, 100.0, "0.9.2", True), (None, 1, 5.0, "0.9.2", True),
        (None, 1, 6.0, "0.9.2", False), (0, 1, 1.0, "0.9.2", False), (99.0, 1, 100.0, "0.17.1", True), (99.0, 1, 100.0, "0.18.0", False),
        (99.0, 1, 100.0, "", False), (99.0, 1, None, "0.9.2", False),
    ],
)  # fmt: skip
def test_swap_space_and_main_memory(
    swap: float | None, ranks: int, ram: float | None, release: str, *, large: bool
) -> None:
    asked = {"swap_space": swap, "tensor_parallel_size": ranks}
    known: dict[str, Any] = {} if ram is None else {"ram_gib": ram}
    assert fit(asked, release, **known) == (["swap_space_large"] if large else [])


SEGMENTS = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
CONNECTOR = {"kv_transfer_config": {"kv_connector": "X"}}


@pytest.mark.parametrize(
    ("arguments", "release", "env", "wanted"),
    [
        ({"enable_sleep_mode": True}, "0.8.0", SEGMENTS, ["segments_with_sleep_mode"]),
        ({"enable_sleep_mode": True}, "0.20.0", SEGMENTS, ["segments_with_sleep_mode"]),
        ({"enable_sleep_mode": True}, "0.20.1", SEGMENTS, []),
        ({"enable_sleep_mode": True}, "0.8.0", {}, []),
        ({"enable_sleep_mode": True}, "", SEGMENTS, []),
        ({}, "0.8.0", SEGMENTS, []),
        (CONNECTOR, "0.20.0", SEGMENTS, []),
        (CONNECTOR, "0.21.0", SEGMENTS, ["segments_with_connector"]),
        ({**CONNECTOR, "enable_sleep_mode": True}, "0.21.0", SEGMENTS, []),
        ({**CONNECTOR, "enable_cumem_allocator": True}, "0.21.0", SEGMENTS, []),
        ({"kv_transfer_config": "text"}, "0.21.0", SEGMENTS, []),
    ],
)
def test_expandable_segments(arguments: Any, release: str, env: dict[str, str], wanted: list[str]) -> None:
    assert fit(arguments, release, env) == wanted


@pytest.mark.parametrize(
    ("arguments", "release", "env", "writable", "told"),
    [
        ({}, "0.8.0", {}, "no", True), ({}, "0.7.3", {}, "no", False), ({}, "", {}, "no", False), ({}, "0.8.0", {}, "yes", False),
        ({"enforce_eager": True}, "0.8.0", {}, "no", False), ({}, "0.8.0", {"VLLM_USE_V1": "0"}, "no", False),
        ({}, "0.8.0", {"VLLM_USE_V1": "1"}, "no", True), ({}, "0.8.0", {"VLLM_DISABLE_COMPILE_CACHE": "1"}, "no", False),
        ({"optimization_level": 0}, "0.11.0", {}, "no", False), ({"optimization_level": 1}, "0.11.0", {}, "no", False),
        ({"optimization_level": 2}, "0.11.0", {}, "no", True), ({"optimization_level": 3}, "0.11.0", {}, "no", True),
        ({"compilation_config": {"level": 0}}, "0.11.0", {}, "no", False),
    ],
)  # fmt: skip
def test_a_cache_of_what_is_compiled(
    arguments: Any, release: str, env: dict[str, str], writable: str, *, told: bool
) -> None:
    assert fit(arguments, release, env, vllm_cache_writable=writable) == (["cache_not_writable"] if told else [])
    assert not fit_host.inspect_host_fit(
        arguments, facts(vllm_cache_writable=writable), release, env, folders=False
    ).observations


@pytest.mark.parametrize(
    ("known", "env", "wanted"),
    [
        ({"model_place": "hub", "cache_writable": "no"}, {}, ["download_not_permitted"]),
        ({"model_place": "hub", "download_writable": "no"}, {}, ["download_not_permitted"]),
        ({"model_place": "hub", "cache_full": "bytes"}, {}, ["disk_full"]),
        ({"model_place": "hub", "cache_writable": "no", "cache_full": "bytes"}, {}, ["download_not_permitted"]),
        ({"model_place": "local", "cache_writable": "no"}, {}, []),
        ({"model_place": "hub", "cache_writable": "no"}, {"HF_HUB_OFFLINE": "1"}, []),
        ({"model_place": "hub", "cache_writable": "no"}, {"VLLM_USE_MODELSCOPE": "True"}, []),
        ({"model_place": "hub", "cache_writable": "yes"}, {}, []),
    ],
)
def test_a_download_that_has_no_place(known: dict[str, Any], env: dict[str, str], wanted: list[str]) -> None:
    assert fit({"download_dir": "/d"}, "", env, **known) == wanted


@pytest.mark.parametrize(
    ("env", "ranks", "off"),
    [
        ({"NCCL_P2P_DISABLE": "1"}, 2, "peer to peer"),
        ({"NCCL_SHM_DISABLE": "1"}, 2, "shared memory"),
        ({"NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1"}, 2, "peer to peer and shared memory"),
        ({"NCCL_P2P_DISABLE": "0"}, 2, None),
        ({"NCCL_P2P_DISABLE": "1"}, 1, None),
    ],
)
def test_ways_between_gpus_that_are_off(env: dict[str, str], ranks: int, off: str | None) -> None:
    found = fit_host.inspect_host_fit({"tensor_parallel_size": ranks}, {}, "0.11.0", env).facts.get("nccl_off")
    assert (found and found.value) == off


@pytest.mark.parametrize(
    ("release", "env", "told"),
    [
        ("0.23.0", {"VLLM_WSL2_ENABLE_PIN_MEMORY": "1"}, True),
        ("0.24.0", {"VLLM_WSL2_ENABLE_PIN_MEMORY": "1"}, False),
        ("0.24.0", {}, True),
        ("", {}, False),
    ],
)
def test_pinned_memory_in_wsl(release: str, env: dict[str, str], *, told: bool) -> None:
    assert fit({}, release, env, wsl="yes") == (["pinned_memory_off"] if told else [])
    assert fit({}, release, env) == []


@pytest.mark.parametrize(
    ("name", "place", "env", "complete", "wanted"),
    [
        ("a/b", Place(""), {"HF_HUB_OFFLINE": "1"}, False, "model_not_cached"),
        ("a/b", Place("/c", snapshot=True), {"HF_HUB_OFFLINE": "1"}, False, "model_cached_in_part"),
        ("a/b", Place("/c"), {"HF_HUB_OFFLINE": "1"}, False, ""),
        ("a/b", Place(""), {}, False, ""),
        ("a/b", Place(""), {"HF_HUB_OFFLINE": "1"}, True, ""),
        ("a/b/c", Place(""), {}, False, "model_name_refused"),
        ("a/b/c", Place(""), {"VLLM_USE_MODELSCOPE": "true"}, False, ""),
        ("s3://a/b/c", Place(""), {}, False, ""),
        ("a/b:x.gguf", Place(""), {}, False, ""),
        ("./b:x", Place(""), {}, False, "model_name_refused"),
        ("/b:x", Place(""), {}, False, "model_name_refused"),
        ("~b:x", Place(""), {}, False, "model_name_refused"),
    ],
)
def test_a_model_that_is_not_here(name: str, place: Place, env: dict[str, str], complete: bool, wanted: str) -> None:
    assert keys(fit_host.model(name, place, env, complete=complete)) == ([wanted] if wanted else [])


@pytest.mark.parametrize(
    ("release", "torch", "key"),
    [
        ("0.22.0", "2.12.0", "user_of_no_name"),
        ("0.21.0", "2.12.0", "user_without_name"),
        ("0.22.0", "2.13.0", "user_without_name"),
        ("", "2.12.0", "user_without_name"),
    ],
)
def test_a_user_of_no_name(release: str, torch: str, key: str) -> None:
    assert keys(fit_host.user(facts(user_id_without_name=1000, torch=torch), release)) == [key]
    assert keys(fit_host.user(facts(torch=torch), release)) == []


@pytest.mark.parametrize(
    ("limit", "effective", "can"),
    [
        ("unlimited", "0", True), (64, "0", False), (64, "4000", True), (64, "3fff", False), (64, "ffffffff", True), (64, "8000", False),
    ],
)  # fmt: skip
def test_locked_memory(limit: Any, effective: str, tmp_path: Path, *, can: bool) -> None:
    """CAP_IPC_LOCK is bit 14."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text(f"CapEff:\t{effective}\n")
    assert limits.can_lock({"locked_memory_kib_limit": limit}, str(tmp_path)) is can
    assert limits.can_lock({}, str(tmp_path))


def test_the_numbers_of_memory(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 10485760 kB\nMemAvailable: 5242880 kB\nSwapTotal: 1048576 kB\n")
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    root = str(tmp_path)
    whole = {"ram_gib": 10.0, "ram_available_gib": 5.0, "swap_gib": 1.0}
    assert limits.memory(root) == whole

    def grouped(limit: int | str, used: int = 0, inactive: int = 0) -> dict[str, object]:
        (group / "memory.max").write_text(f"{limit}\n")
        (group / "memory.current").write_text(f"{used << 30}\n")
        (group / "memory.stat").write_text(f"anon 1\ninactive_file {inactive << 30}\n")
        return limits.memory(root)

    assert grouped("max") == whole
    assert grouped(8 << 30, 6, 1) == {**whole, "memory_limit_gib": 8.0, "ram_available_gib": 3.0}
    assert grouped(8 << 30, 1, 2) == {**whole, "memory_limit_gib": 8.0}
    assert grouped(8 << 30, 9) == {**whole, "memory_limit_gib": 8.0, "ram_available_gib": 0.0}
    assert grouped(10 << 30) == whole
    assert grouped(1 << 60) == whole


def test_each_limit_of_a_process(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    rows = (
        ("Max open files", "1024", "4096"),
        ("Max locked memory", "1", "65536"),
        ("Max stack size", "1", "unlimited"),
        ("Max cpu time", "1", "1"),
    )
    (tmp_path / "proc/self/limits").write_text(
        "".join(f"{name:<26}{soft:<21}{hard:<21}bytes\n" for name, soft, hard in rows)
    )
    assert limits.own(str(tmp_path)) == {
        "open_files_limit": 4096, "open_files_soft_limit": 1024, "locked_memory_kib_limit": 64, "stack_kib_limit": "unlimited",
    }  # fmt: skip


# ---- Variables


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({"VLLM_PORT": "tcp://10.0.0.1:80"}, "port_is_uri"), ({"VLLM_PORT": "8000"}, ""),
        *(({"CUDA_VISIBLE_DEVICES": value}, "cuda_devices_hidden") for value in ("", " ", "-1", "NoDevFiles")),
        ({"CUDA_VISIBLE_DEVICES": "0"}, ""), ({}, ""),
        *(({name: "http://p"}, "localhost_through_proxy") for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")),
        *(({name: "http://p"}, "localhost_through_proxy") for name in ("all_proxy", "ALL_PROXY")),
        *(({"http_proxy": "http://p", name: value}, "") for name in ("no_proxy", "NO_PROXY") for value in ("localhost", "127.0.0.1", "*")),
        ({"http_proxy": "http://p", "no_proxy": "example.org"}, "localhost_through_proxy"),
        ({"HF_ENDPOINT": "hf-mirror.com"}, "hub_endpoint_without_scheme"), ({"HF_ENDPOINT": "https://hf-mirror.com"}, ""),
        ({"HF_ENDPOINT": "http://hf-mirror.com"}, ""),
    ],
)  # fmt: skip
def test_each_variable_that_is_wrong(env: dict[str, str], wanted: str) -> None:
    assert keys(env_variables.observations(env)) == ([wanted] if wanted else [])


@pytest.mark.parametrize("value", ["1", "ON", "yes", "True"])
def test_each_way_to_be_offline(value: str) -> None:
    assert env_variables.offline({"HF_HUB_OFFLINE": value})
    assert env_variables.offline({"TRANSFORMERS_OFFLINE": value})
    assert not env_variables.offline({"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": value})


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("eth", True), ("eth0", True), ("eth1", False), ("=eth", False), ("=eth0", True), ("^eth0", True), ("^eth,lo", False),
        ("^=eth0", True), ("^=eth0,lo", False), ("eth0:1234", True), ("ib,eth", True), ("", True),
    ],
)  # fmt: skip
def test_interfaces_of_nccl(wanted: str, tmp_path: Path, *, found: bool) -> None:
    for name in ("eth0", "lo", "bonding_masters"):
        (tmp_path / "sys/class/net" / name).mkdir(parents=True)
    env = {"NCCL_SOCKET_IFNAME": wanted}
    assert keys(env_variables.interfaces(env, str(tmp_path))) == ([] if found else ["interface_not_found_by_nccl"])
    assert keys(env_variables.interfaces({"GLOO_SOCKET_IFNAME": "eth0, eth"}, str(tmp_path))) == [
        "interface_not_found_by_gloo"
    ]
    assert keys(env_variables.interfaces({"NCCL_SOCKET_IFNAME": "x"}, str(tmp_path / "none"))) == []
