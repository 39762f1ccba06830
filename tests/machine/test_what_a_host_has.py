"""What the host of a start has: folders, files, limits, clock, names and ports.

Each entry of the tables, both sides of each bound.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from machine.facts_given import facts, keys

from qvl_doctor.machine import disks, fit_host, host, limits

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
