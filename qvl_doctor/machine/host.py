"""The host as vLLM will find it: shared memory, memory, limits, disks, port, user, clock, environment.

A port is bound for a moment.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping

from qvl_doctor.files import listed, read_text
from qvl_doctor.knowledge.defaults import PORT
from qvl_doctor.machine import disks, env_variables, limits
from qvl_doctor.memory.units import GIB
from qvl_doctor.model import Fact, Record, Seen
from qvl_doctor.observations import observe

_ANYBODY = "0.0.0.0"  # noqa: S104  # what vLLM binds to by default
#: Nothing that this program knows was released before this day: a clock that shows an earlier one is wrong.
_EARLIEST = 1_704_067_200  # 2024-01-01
#: vLLM raises its own limit of open files to this.
_OPEN_FILES = 65535
#: Where Python looks for the user's name before it reads /etc/passwd.
_USER = ("LOGNAME", "USER", "LNAME", "USERNAME")
#: errno of binding → the fact.
_BIND = {errno.EADDRINUSE: "no", errno.EACCES: "not-permitted", errno.EADDRNOTAVAIL: "no-such-address"}


def inspect_host(
    port: int = PORT, host: str = "", root: str = "/", env: Mapping[str, str] | None = None, download_dir: str = ""
) -> Seen:
    """What the host shows. `root` and `env` are for inspecting another tree than this machine's."""
    env = os.environ if env is None else env
    facts: dict[str, object] = {}
    shm = _size(os.path.join(root, "dev/shm"))
    if shm:
        facts |= {"shm_gib": round(shm[0], 3), "shm_free_gib": round(shm[1], 3)}
    facts |= (
        limits.memory(root) | limits.own(root) | disks.inspect_disks(env, download_dir) | env_variables.facts_of(env)
    )
    facts["port_free"] = port_state(host, port)
    facts["host_kind"] = _kind(root, env)
    if _is_wsl(root):
        facts["wsl"] = "yes"
    if not _has_name(env):
        facts["user_id_without_name"] = os.getuid()
    if listed(os.path.join(root, "sys/class/infiniband"), 1) and not limits.can_lock(facts, root):
        facts["locked_memory_small"] = "yes"
    seen = (*env_variables.observations(env), *disks.observations(env, facts), *_odd(facts))
    return Seen({name: Fact(value, "probe") for name, value in facts.items()}, seen)


def _odd(facts: Mapping[str, object]) -> Iterator[Record]:
    if time.time() < _EARLIEST:
        yield observe("clock_wrong", day=time.strftime("%Y-%m-%d", time.gmtime()))
    files, hard = facts.get("open_files_soft_limit"), facts.get("open_files_limit")
    if (
        isinstance(files, int) and isinstance(hard, int) and files < _OPEN_FILES and hard < _OPEN_FILES
    ):  # then vLLM cannot raise it
        yield observe("open_files_few", files=files, wanted=_OPEN_FILES)


def _size(path: str) -> tuple[float, float] | None:
    """GiB of a file system, and what of it is free."""
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return None
    return usage.total / GIB, usage.free / GIB


def port_state(host: str, port: int) -> str:
    """Whether the address can be bound: yes, no (in use), not-permitted, no-such-address, or unknown."""
    if not 0 < port < 65536:
        return "unknown"
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host or _ANYBODY, port))
    except socket.gaierror:
        return "unknown"  # a name: whether it resolves may depend on the network
    except (OSError, ValueError, TypeError) as error:
        return _BIND.get(getattr(error, "errno", None) or 0, "unknown")
    return "yes"


def _kind(root: str, env: Mapping[str, str]) -> str:
    """kubernetes, docker, podman, wsl, jetson or plain."""
    if env.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    if os.path.exists(os.path.join(root, ".dockerenv")):
        return "docker"
    if os.path.exists(os.path.join(root, "run/.containerenv")):
        return "podman"
    if _is_wsl(root):
        return "wsl"
    return "jetson" if os.path.exists(os.path.join(root, "etc/nv_tegra_release")) else "plain"


def _is_wsl(root: str) -> bool:
    """Whether this is WSL, detected as vLLM does: by the kernel's name, also inside a container."""
    return "microsoft" in read_text(os.path.join(root, "proc/version")).lower()


def _has_name(env: Mapping[str, str]) -> bool:
    if any(env.get(name) for name in _USER):
        return True
    try:
        import pwd

        return bool(pwd.getpwuid(os.getuid()))
    except (KeyError, ImportError, AttributeError):
        return False
