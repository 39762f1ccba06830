"""NVIDIA's own library, as Debian packages it: on a machine without a driver it says so itself.

Fetched for a test, never kept here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_LIMIT_S = 120


@pytest.fixture(scope="session")
def genuine_nvml(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of the genuine libnvidia-ml.so.1.

    Skips where there is a driver, or where Debian's package cannot be had.
    """
    if os.path.exists("/proc/driver/nvidia"):
        pytest.skip("this machine has a driver of NVIDIA's")
    for needed in ("apt-get", "dpkg"):
        if shutil.which(needed) is None:
            pytest.skip(f"there is no {needed} to fetch Debian's package of the library with")
    if not os.path.exists(_KEYS):
        pytest.skip(f"there are no keys of Debian's archive in {_KEYS}")
    folder = tmp_path_factory.mktemp("genuine")
    (folder / "lists" / "partial").mkdir(parents=True)
    (folder / "archives" / "partial").mkdir(parents=True)
    mirror = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
    (folder / "sources.list").write_text(
        f"deb [signed-by={_KEYS}] {mirror} bookworm main contrib non-free\n", encoding="utf-8"
    )
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder,
        "APT::Sandbox::User": "root",
        "Acquire::Retries": "0",
    }
    apt = ["apt-get", "-qq", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    _run([*apt, "update"], folder)
    _run([*apt, "download", "libnvidia-ml1"], folder)
    for package in folder.glob("*.deb"):
        _run(["dpkg", "-x", str(package), "root"], folder)
    found = next(folder.glob("root/**/libnvidia-ml.so.1"), None)
    if found is None:
        pytest.skip(f"{mirror} has no package libnvidia-ml1 with the library in it")
    return str(found.parent)


def _run(words: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{words[0]} did not end within {_LIMIT_S} s")
    if done.returncode:
        pytest.skip(f"the genuine library cannot be fetched: {' '.join(done.stderr.split())[-200:]}")
