"""Directories that a start writes to: the Hub's cache, downloads, vLLM's cache, temporary files; space and rights."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping

from qvl_doctor.memory.units import GIB
from qvl_doctor.model import Record
from qvl_doctor.observations import observe

#: Variables that place the Hub's files, in the order in which its library reads them, and what it appends to each.
_HUB = (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub"))
#: Where Python looks for a directory for temporary files.
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")
_FALLBACKS = ("/tmp", "/var/tmp", "/usr/tmp")  # noqa: S108  # Python's own list
#: A socket's path has at most 107 bytes; vLLM appends a slash and a UUID to the directory.
_LONGEST_SOCKET, _NAME = 107, 37
#: With fewer free bytes than this, nothing can be written.
_LEAST = 1 << 20


def home(env: Mapping[str, str]) -> str:
    """The user's home directory, as Python finds it; "" if there is none."""
    if env.get("HOME"):
        return env["HOME"]
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_dir
    except (ImportError, KeyError, AttributeError):
        return ""


def hub_cache(env: Mapping[str, str]) -> str:
    """The directory that holds the Hub's models; "" if nothing names one."""
    for name, inside in _HUB:
        if env.get(name):
            return os.path.join(_expanded(env[name], env), inside) if inside else _expanded(env[name], env)
    return os.path.join(home(env), ".cache/huggingface/hub") if home(env) else ""


def vllm_cache(env: Mapping[str, str]) -> str:
    """The directory where vLLM keeps compiled code; "" if nothing names one."""
    if env.get("VLLM_CACHE_ROOT"):
        return _expanded(env["VLLM_CACHE_ROOT"], env)
    base = env.get("XDG_CACHE_HOME") or (os.path.join(home(env), ".cache") if home(env) else "")
    return os.path.join(base, "vllm") if base else ""


def _expanded(path: str, env: Mapping[str, str]) -> str:
    return os.path.join(home(env), path[2:]) if path.startswith("~/") and home(env) else path


def inspect_disks(env: Mapping[str, str], download_dir: str = "") -> dict[str, object]:
    """Free space and rights of these directories; of one that does not exist yet, those of its nearest parent."""
    facts: dict[str, object] = {}
    for name, path in (("cache", hub_cache(env)), ("download", download_dir), ("vllm_cache", vllm_cache(env))):
        if path:
            facts |= _folder(name, existing(path))
    usable = temporary(env)
    facts["tmp_writable"] = "yes" if usable else "no"
    if usable:
        facts |= {name: value for name, value in _folder("tmp", usable).items() if name != "tmp_writable"}
    return facts


def _folder(name: str, path: str) -> dict[str, object]:
    facts: dict[str, object] = {}
    try:
        facts[f"{name}_free_gib"] = round(shutil.disk_usage(path).free / GIB, 1)
    except OSError:
        return facts
    facts[f"{name}_writable"] = "yes" if os.access(path, os.W_OK | os.X_OK) else "no"
    lacks = full(path)
    return facts | ({f"{name}_full": lacks} if lacks else {})


def full(path: str) -> str:
    """What a file system has run out of for this user: bytes (less than 1 MiB left), inodes, or "".

    Some file systems do not count inodes.
    """
    try:
        found = os.statvfs(path)
    except (OSError, AttributeError):
        return ""
    if found.f_bavail * found.f_frsize < _LEAST:
        return "bytes"
    return "inodes" if found.f_files > 0 and found.f_favail == 0 else ""


def no_room(path: str, lacks: str) -> Record:
    """The operating system's message for a full file system."""
    return observe("disk_full", path=path[:300], lacks=lacks)


def existing(path: str) -> str:
    """The nearest directory that exists: the missing ones will be created there."""
    path = os.path.abspath(path)
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def temporary(env: Mapping[str, str]) -> str:
    """The directory that Python will use for temporary files; "" if none is writable."""
    for path in (*(env[name] for name in _TEMPORARY if env.get(name)), *_FALLBACKS, os.curdir):
        if os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK):
            return os.path.abspath(path)
    return ""


def observations(env: Mapping[str, str], facts: Mapping[str, object]) -> Iterator[Record]:
    """Problems with these directories that affect every start, in the words of Python, the system and ZeroMQ."""
    if facts.get("tmp_writable") == "no":
        yield observe("no_temporary_folder")
    sockets = env.get("VLLM_RPC_BASE_PATH") or temporary(env)
    if len(sockets.encode("utf-8", "replace")) + _NAME > _LONGEST_SOCKET:
        yield observe("socket_path_long", path=sockets[:300], longest=_LONGEST_SOCKET)
    if "tmp_full" in facts:
        yield no_room(temporary(env), str(facts["tmp_full"]))
