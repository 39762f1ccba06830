"""NVML as tests have it.

The real binding on a library of our own that answers from a description (nvml.c says which).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

_SOURCE = Path(__file__).parent / "nvml.c"
MIB_PER_GIB = 1024
#: The card of the article: 24564 MiB as NVML counts, of which 347 are the driver's.
RTX_4090 = {
    "name": "NVIDIA GeForce RTX 4090",
    "uuid": "GPU-4090",
    "total": 24564,
    "reserved": 347,
    "used": 0,
    "capability": [8, 9],
}
V100 = {"name": "Tesla V100-SXM2-32GB", "uuid": "GPU-v100", "total": 32768, "used": 0, "capability": [7, 0]}
A100 = {
    "name": "NVIDIA A100-SXM4-40GB",
    "uuid": "GPU-a100",
    "total": 40960,
    "reserved": 560,
    "used": 0,
    "capability": [8, 0],
    "mig": 0,
}
A10 = {"name": "NVIDIA A10", "uuid": "GPU-a10", "total": 23028, "reserved": 512, "used": 0, "capability": [8, 6]}


def instance(profile: str, uuid: str, gib: float, number: int, **more: Any) -> dict[str, Any]:
    """An instance of A100, as a process that may see it does."""
    name = f"NVIDIA A100-SXM4-40GB MIG {profile}"
    return {"name": name, "uuid": uuid, "total": int(gib * MIB_PER_GIB), "used": 0, "number": number, **more}


def every_pair(count: int, **link: int) -> list[dict[str, Any]]:
    """The same link between all of some cards."""
    return [{"between": [one, other], **link} for one in range(count) for other in range(one + 1, count)]


Describe = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Describe:
    """A function that gives the environment in which NVML shows some cards.

    `nvml(cards, old=…, driver=…, cuda=…, links=…, fail=…)`.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to build the library that stands in for NVML")
    folder = tmp_path_factory.mktemp("nvml")

    def build(*flags: str) -> Path:
        built = folder / ("-".join(flags) or "new")
        if not built.exists():
            built.mkdir()
            # Without a soname: a process that has loaded one of these finds no other under the library's name.
            words = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", *flags]
            subprocess.run([*words, "-o", str(built / "libnvidia-ml.so.1"), str(_SOURCE)], check=True)
        return built

    def described(cards: Sequence[dict[str, Any]], *, old: bool = False, **machine: Any) -> dict[str, str]:
        text = json.dumps({**machine, "cards": list(cards)})
        file = folder / f"{abs(hash(text))}.json"
        file.write_text(text, encoding="utf-8")
        return {"LD_LIBRARY_PATH": str(build("-DOLD_DRIVER") if old else build()), "NVML_DESCRIPTION": str(file)}

    return described
