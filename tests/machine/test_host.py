"""The host before launch, on prepared trees and environments: limits, disks, addresses, users, variables."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from checking import report, rules, said, started, tree
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.launch.observing import arguments_of
from qvl_doctor.launch.reading import read as read_commands
from qvl_doctor.machine import disks, env_variables, fit_host, host, limits
from qvl_doctor.model import Fact

GIB = 1 << 30


def test_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = report("--only", "host", "--", "vllm", "serve", "m", "--host", "127.0.0.1", "--port", str(port))
        assert host.port_state("127.0.0.1", port) == "no"
        assert not any(
            "Errno 98" in text for text in started(f"vllm serve m --host 127.0.0.1 --port {port} --uds /tmp/s")
        )
    assert "port-in-use" in rules(found)


@pytest.mark.parametrize(
    ("address", "port", "state"),
    [
        ("203.0.113.7", 8000, "no-such-address"),  # of the documentation's network: nobody's
        ("127.0.0.1", 0, "unknown"),
        ("127.0.0.1", 70000, "unknown"),
        ("no.such.host.invalid", 8000, "unknown"),
        ("a" * 300, 8000, "unknown"),
        ("\x00", 8000, "unknown"),
    ],
)
def test_addresses_that_cannot_be_bound_are_told_apart(address: str, port: int, state: str) -> None:
    assert host.port_state(address, port) == state


def test_an_address_of_another_machine_is_no_port_in_use() -> None:
    found = report("--only", "host", "--", "vllm", "serve", "m", "--host", "203.0.113.7")
    assert "host-address-not-bindable" in rules(found)
    assert "port-in-use" not in rules(found)


def test_a_port_that_only_root_may_bind(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert host.port_state("", 80) == "not-permitted"
    found = started("vllm serve m --port 80")
    assert "[Errno 13] error while attempting to bind on address ('0.0.0.0', 80): permission denied" in found


def test_the_environment_is_read() -> None:
    found = report(
        "--only",
        "host",
        env={"VLLM_PORT": "tcp://10.0.0.1:8000", "http_proxy": "http://proxy:3128", "HF_ENDPOINT": "hf-mirror.com"},
    )
    assert {"vllm-port-from-kubernetes", "proxy-for-localhost", "hf-endpoint-without-scheme"} <= set(rules(found))


def test_a_prepared_host(tmp_path: Path) -> None:
    root = tree(tmp_path, sys__fs__cgroup__memory_DOT_max=str(8 * GIB), proc__meminfo="MemTotal:       65536000 kB\n")
    (tmp_path / ".dockerenv").touch()
    facts = host.inspect_host(0, root=root, env={"HOME": str(tmp_path)}).facts
    assert facts["memory_limit_gib"].value == 8.0
    assert facts["ram_gib"].value == 62.5
    assert facts["host_kind"].value == "docker"
    assert "shm_gib" not in facts


def test_the_narrowest_of_nested_control_groups_counts(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        proc__meminfo="MemTotal: 268435456 kB\nMemAvailable: 209715200 kB\nSwapTotal: 0 kB\n",
        proc__self__cgroup="0::/kubepods/pod1/main\n",
        sys__fs__cgroup__kubepods__pod1__main__memory_DOT_max="max\n",
        sys__fs__cgroup__kubepods__pod1__memory_DOT_max=f"{64 * GIB}\n",
        sys__fs__cgroup__kubepods__pod1__memory_DOT_current=f"{60 * GIB}\n",
        sys__fs__cgroup__kubepods__pod1__memory_DOT_stat=f"anon 1\ninactive_file {20 * GIB}\n",
        sys__fs__cgroup__kubepods__memory_DOT_max=f"{200 * GIB}\n",
    )
    found = limits.memory(root)
    assert found["memory_limit_gib"] == 64.0
    assert found["ram_available_gib"] == 24.0  # pages of files can be given back
    assert found["swap_gib"] == 0.0


def test_control_groups_of_version_1(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        proc__meminfo="MemTotal: 67108864 kB\n",
        proc__self__cgroup="5:cpu,cpuacct:/a\n4:memory:/docker/0123\n",  # the host's path; in the container only the root is there
        sys__fs__cgroup__memory__memory_DOT_limit_in_bytes=str(16 * GIB),
        sys__fs__cgroup__memory__memory_DOT_usage_in_bytes=str(GIB),
    )
    found = limits.memory(root)
    assert (found["memory_limit_gib"], found["ram_available_gib"]) == (16.0, 15.0)


@pytest.mark.parametrize("limit", ["max", "", "9223372036854771712", "-1", "12x", "٣"])
def test_no_limit_is_none(limit: str, tmp_path: Path) -> None:
    root = tree(tmp_path, proc__meminfo="MemTotal: 67108864 kB\n", sys__fs__cgroup__memory_DOT_max=limit)
    assert "memory_limit_gib" not in limits.memory(root)


LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max stack size            8388608              unlimited            bytes
Max open files            1024                 4096                 files
Max locked memory         8388608              8388608              bytes
"""


def test_limits_of_the_user(tmp_path: Path) -> None:
    root = tree(tmp_path, proc__self__limits=LIMITS)
    seen = host.inspect_host(0, root=root, env={"HOME": "/", "USER": "me"})
    assert seen.facts["open_files_limit"].value == 4096
    assert seen.facts["open_files_soft_limit"].value == 1024
    assert seen.facts["locked_memory_kib_limit"].value == 8192
    assert seen.facts["stack_kib_limit"].value == "unlimited"
    assert "locked_memory_small" not in seen.facts  # there is no card that would need it
    assert any(
        text.startswith("at most 1024 files") for text in said(seen.observations)
    )  # a hard limit below vLLM's wish keeps the soft one
    (tmp_path / "sys/class/infiniband/mlx5_0").mkdir(parents=True)
    assert host.inspect_host(0, root=root, env={"HOME": "/"}).facts["locked_memory_small"].value == "yes"
    tree(tmp_path, proc__self__status="Name:\tpython\nCapEff:\t000001ffffffffff\n")
    assert (
        "locked_memory_small" not in host.inspect_host(0, root=root, env={"HOME": "/"}).facts
    )  # root may lock what it likes
    tree(tmp_path, proc__self__status="Name:\tpython\nCapEff:\t00000000a80425fb\n")  # root of a container
    assert "locked_memory_small" in host.inspect_host(0, root=root, env={"HOME": "/"}).facts


def test_a_limit_that_is_high_enough_is_no_finding(tmp_path: Path) -> None:
    root = tree(tmp_path, proc__self__limits=LIMITS.replace("4096", "65535").replace("1024", "100"))
    assert not [
        text for text in said(host.inspect_host(0, root=root, env={}).observations) if "files may be open" in text
    ]


@given(st.text(max_size=400))
def test_whatever_proc_says_the_look_survives(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        root = tree(
            Path(name),
            proc__self__limits=text,
            proc__meminfo=text,
            proc__self__cgroup=text,
            proc__version=text,
            sys__fs__cgroup__memory_DOT_max=text,
        )
        assert host.inspect_host(0, root=root, env={"HOME": name}).facts["port_free"].value == "unknown"


def test_where_files_go(tmp_path: Path) -> None:
    assert disks.hub_cache({"HF_HOME": "/a", "HF_HUB_CACHE": "/b"}) == "/b"
    assert disks.hub_cache({"HF_HOME": "~/a", "HOME": "/h"}) == "/h/a/hub"
    assert disks.hub_cache({"HOME": "/h"}) == "/h/.cache/huggingface/hub"
    assert disks.vllm_cache({"HOME": "/h", "XDG_CACHE_HOME": "/x"}) == "/x/vllm"
    facts = disks.inspect_disks(
        {"HF_HOME": str(tmp_path / "to/be/made"), "HOME": str(tmp_path)}, str(tmp_path / "downloads")
    )
    assert facts["cache_writable"] == facts["download_writable"] == "yes"
    assert isinstance(facts["cache_free_gib"], float)


SERVE = ("--", "vllm", "serve", "Qwen/Qwen2.5-VL-7B-Instruct")
BLOCKED = {"HF_HOME": "/blocked/hf", "VLLM_CACHE_ROOT": "/blocked/vllm"}


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system on which this user, even if it is root, may not write above /blocked."""
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != "/" and may(path, mode))


@pytest.mark.usefixtures("blocked")
def test_a_read_only_file_system() -> None:
    facts = disks.inspect_disks({**BLOCKED, "HOME": "/tmp"})
    assert (facts["cache_writable"], facts["vllm_cache_writable"]) == ("no", "no")
    found = started("vllm serve Qwen/Qwen2.5-VL-7B-Instruct", env=BLOCKED, only="host,model,command")
    assert "PermissionError at /blocked/hf/hub when downloading the model" in found
    assert "vLLM cannot write its cache folder: /blocked/vllm" in found


@pytest.mark.usefixtures("blocked")
def test_what_is_not_downloaded_and_not_compiled_needs_no_cache() -> None:
    assert not any("cache folder" in text for text in started("vllm serve m --enforce-eager", env=BLOCKED))
    assert not any(
        "when downloading" in text for text in started("vllm serve /tmp", env=BLOCKED, only="host,model,command")
    )


def test_no_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disks, "_FALLBACKS", ())
    monkeypatch.setattr(os, "curdir", str(tmp_path / "gone"))
    env = {"TMPDIR": str(tmp_path / "missing"), "HOME": str(tmp_path)}
    facts = disks.inspect_disks(env)
    assert facts["tmp_writable"] == "no"
    assert said(disks.observations(env, facts)) == [
        "[Errno 2] No usable temporary directory found in /tmp, /var/tmp, /usr/tmp and the folder of the start"
    ]


def test_a_folder_too_deep_for_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 70)
    deep.mkdir()
    found = report("--only", "host", env={"TMPDIR": str(deep)})
    assert "ipc-path-too-long" in rules(found)
    assert "ipc-path-too-long" not in rules(
        report("--only", "host", env={"TMPDIR": str(deep), "VLLM_RPC_BASE_PATH": "/tmp"})
    )


def test_swap_space_above_the_machines_memory() -> None:
    command = read_commands("vllm serve m --swap-space 64 -tp 4", "0.9.2")[0]
    facts = {"ram_gib": Fact(100.0)}
    found = said(fit_host.inspect_host_fit(arguments_of(command, "0.9.2"), facts, "0.9.2", {}).observations)
    assert found == [
        "Too large swap space. 256.00 GiB out of the 100.00 GiB total CPU memory is allocated for the swap space."
    ]
    assert not fit_host.inspect_host_fit(arguments_of(command, "0.18.0"), facts, "0.18.0", {}).observations


@pytest.mark.parametrize(
    ("release", "env", "slow"),
    [("0.11.0", {}, True), ("0.24.0", {"VLLM_WSL2_ENABLE_PIN_MEMORY": "1"}, False), ("0.24.0", {}, True)],
)
def test_windows_subsystem(release: str, env: dict[str, str], slow: bool, tmp_path: Path) -> None:
    root = tree(tmp_path, proc__version="Linux version 5.15.90.1-microsoft-standard-WSL2\n")
    (tmp_path / ".dockerenv").touch()
    facts = host.inspect_host(0, root=root, env={}).facts
    assert (facts["host_kind"].value, facts["wsl"].value) == ("docker", "yes")
    assert bool(fit_host.inspect_host_fit({}, facts, release, env).observations) is slow


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"user_id_without_name": Fact(1000910000), "torch": Fact("2.11.0")}
    assert said(fit_host.user(facts, "0.22.0")) == ["KeyError: 'getpwuid(): uid not found: 1000910000'"]
    assert said(fit_host.user(facts, "0.11.0")) == [
        "the user 1000910000 has no name: neither USER nor /etc/passwd says one"
    ]
    assert said(fit_host.user({**facts, "torch": Fact("2.13.0")}, "0.22.0"))[0].startswith("the user")
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert host.inspect_host(0, env={}).facts["user_id_without_name"].value == 3_999_999_999
    assert "user_id_without_name" not in host.inspect_host(0, env={"USER": "me"}).facts


def test_a_clock_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr(time, "time", lambda: 86_400.0)
    monkeypatch.setattr(time, "gmtime", lambda: time.struct_time((1970, 1, 2, 0, 0, 0, 4, 2, 0)))
    assert "the clock of this machine shows 1970-01-02" in said(host.inspect_host(0, env={}).observations)


def test_a_token_is_never_shown(tmp_path: Path) -> None:
    secret = "hf_" + "q" * 34
    file = tmp_path / "env.json"
    found = report("--only", "host", "--export", str(file), env={"HF_TOKEN": secret, "HOME": str(tmp_path)})
    assert found["facts"]["hub_token"] == "yes"
    assert json.loads(file.read_text(encoding="utf-8"))["facts"]["hub_token"] == "yes"
    assert secret not in file.read_text(encoding="utf-8") + json.dumps(found)
    assert env_variables.facts_of({"HOME": str(tmp_path)})["hub_token"] == "no"
    stored = tmp_path / ".cache/huggingface/token"
    stored.parent.mkdir(parents=True)
    stored.write_text(secret, encoding="ascii")
    assert env_variables.facts_of({"HOME": str(tmp_path)})["hub_token"] == "yes"


@pytest.mark.parametrize(
    ("env", "off"),
    [({"HF_HUB_OFFLINE": "1"}, True), ({"TRANSFORMERS_OFFLINE": "yes"}, True), ({"HF_HUB_OFFLINE": "0"}, False)],
)
def test_offline_as_the_library_reads_it(env: dict[str, str], off: bool) -> None:
    assert env_variables.offline(env) is off


def test_a_pipe_in_the_place_of_a_file_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    os.mkfifo(tmp_path / "proc/meminfo")
    assert stat.S_ISFIFO((tmp_path / "proc/meminfo").stat().st_mode)
    assert "ram_gib" not in host.inspect_host(0, root=str(tmp_path), env={}).facts


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def with_nothing(what: str) -> Any:
        numbers = {
            "f_bavail": 1 << 20,
            "f_frsize": 4096,
            "f_files": 100,
            "f_favail": 50,
            "f_blocks": 1 << 21,
            "f_bfree": 1 << 20,
            what: 0,
        }
        return lambda _: type("Numbers", (), numbers)

    monkeypatch.setattr(os, "statvfs", with_nothing("f_favail"), raising=False)
    env = {"HF_HOME": str(tmp_path), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    facts = disks.inspect_disks(env)
    assert facts["cache_full"] == "inodes"
    assert said(disks.observations(env, facts)) == [
        f"[Errno 28] No space left on device: the file system of {tmp_path} has no free inodes"
    ]
    monkeypatch.setattr(os, "statvfs", with_nothing("f_files"), raising=False)
    assert disks.full(str(tmp_path)) == ""  # such a file system counts none
    monkeypatch.setattr(os, "statvfs", with_nothing("f_bavail"), raising=False)
    assert disks.full(str(tmp_path)) == "bytes"
    found = started("vllm serve Qwen/Qwen2.5-VL-7B-Instruct", env=env, only="host,model,command")
    assert any("No space left on device" in text for text in found)
