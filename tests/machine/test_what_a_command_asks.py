"""What a command and its variables ask of the host: memory, caches, a place to download to, ways between GPUs.

Each release and bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from machine.facts_given import facts, keys

from qvl_doctor.machine import env_variables, fit_host, limits
from qvl_doctor.machine.model_folder import Place


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
