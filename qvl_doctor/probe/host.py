"""The host as vLLM will find it: shared memory, RAM and limits, disk, port, environment. Reads, and binds a port for a moment."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping

from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.observations import MACHINE, observe

_GIB = 1 << 30
#: Variables that say where files go, in the order in which the Hub's library looks.
_CACHES = ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME")
_ANYBODY = "0.0.0.0"  # noqa: S104  # what vLLM binds to by default
#: A cgroup without a limit shows a number near 2^63.
_UNLIMITED = 1 << 60
_PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def look(port: int = 8000, host: str = "", root: str = "/", env: Mapping[str, str] | None = None) -> Seen:
    """What the host shows. `root` and `env` are for looking at another tree than this machine's."""
    env = os.environ if env is None else env
    facts: dict[str, object] = {}
    shm = _size(os.path.join(root, "dev/shm"))
    if shm:
        facts |= {"shm_gib": round(shm[0], 3), "shm_free_gib": round(shm[1], 3)}
    ram = _ram(root)
    limit = _limit(root)
    if ram:
        facts["ram_gib"] = round(ram, 1)
    if limit and (not ram or limit < ram):
        facts["memory_limit_gib"] = round(limit, 1)
    cache = _cache(env)
    disk = _size(_existing(cache)) if cache else None
    if disk:
        facts |= {"cache_free_gib": round(disk[1], 1), "cache_writable": "yes" if os.access(_existing(cache), os.W_OK) else "no"}
    facts["port_free"] = _port_free(host, port)
    facts["host_kind"] = _kind(root, env)
    return Seen({name: Fact(value, "probe") for name, value in facts.items()}, tuple(_environment(env)))


def _size(path: str) -> tuple[float, float] | None:
    """GiB of a file system, and what of it is free."""
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return None
    return usage.total / _GIB, usage.free / _GIB


def _ram(root: str) -> float | None:
    found = re.search(r"^MemTotal:\s+(\d+) kB", _read(os.path.join(root, "proc/meminfo")), re.MULTILINE)
    return int(found[1]) / (1 << 20) if found else None


def _limit(root: str) -> float | None:
    """The memory limit of the container, by cgroup v2 or v1."""
    for name in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = _read(os.path.join(root, name)).strip()
        if text.isdecimal() and int(text) < _UNLIMITED:
            return int(text) / _GIB
    return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(64 * 1024)
    except OSError:
        return ""


def _cache(env: Mapping[str, str]) -> str:
    """Where models are kept."""
    name = next((name for name in _CACHES if env.get(name)), "")
    inside = {"HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub", "HOME": ".cache/huggingface/hub"}.get(name, "")
    return os.path.join(env[name], inside) if name else ""


def _existing(path: str) -> str:
    """The nearest folder that exists: what is to be made will be made there."""
    path = os.path.abspath(path)
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _port_free(host: str, port: int) -> str:
    if not 0 < port < 65536:
        return "unknown"
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host or _ANYBODY, port))
    except OSError:
        return "no"
    return "yes"


def _kind(root: str, env: Mapping[str, str]) -> str:
    """kubernetes, docker, podman, wsl, jetson or plain."""
    if env.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    if os.path.exists(os.path.join(root, ".dockerenv")):
        return "docker"
    if os.path.exists(os.path.join(root, "run/.containerenv")):
        return "podman"
    if "microsoft" in _read(os.path.join(root, "proc/version")).lower():
        return "wsl"
    return "jetson" if os.path.exists(os.path.join(root, "etc/nv_tegra_release")) else "plain"


def _environment(env: Mapping[str, str]) -> Iterator[Record]:
    """Variables that change what vLLM does. Values are shown only where they are no secret."""
    port = env.get("VLLM_PORT", "")
    if "://" in port:
        yield observe(MACHINE, f"VLLM_PORT '{port[:80]}' appears to be a URI. This may be caused by a Kubernetes service discovery issue.")
    if env.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1", "NoDevFiles"}:
        yield observe(MACHINE, "CUDA_VISIBLE_DEVICES is set to empty string, which means current platform support is disabled")
    proxies = [name for name in _PROXIES if env.get(name)]
    excluded = f"{env.get('no_proxy', '')},{env.get('NO_PROXY', '')}"
    if proxies and not any(name in excluded for name in ("localhost", "127.0.0.1", "*")):
        said = f"{proxies[0]} is set and NO_PROXY does not name it"
        yield observe(MACHINE, f"the environment sends requests to localhost through a proxy: {said}")
