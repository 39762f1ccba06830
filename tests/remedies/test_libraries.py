"""Which package brings a library: by its name without number and build."""

from __future__ import annotations

import pytest

from qvl_doctor import remedies
from qvl_doctor.knowledge import table


@pytest.mark.parametrize(
    ("library", "answer"),
    [
        ("libGL.so.1", {"apt": "libgl1 libglib2.0-0"}),
        ("libavutil.so.58", {"apt": "ffmpeg"}),
        ("libpython3.10.so.1.0", {"apt": "libpython3.10"}),
        ("libucp.so.0", {"pip": "nixl"}),
        ("libgomp-24e2ab19.so.1.0.0", {"apt": "libgomp1"}),
        ("libamdhip64.so.6", None),  # it is known that it comes with ROCm, not from a package
        ("libnobody.so.1", None),
        ("ascend_transport.so", None),
        ("", None),
        ("x" * 10_000, None),
    ],
)
def test_package_of_library(library: str, answer: dict[str, str] | None) -> None:
    function = remedies.find("package_of_library")
    assert function
    assert function({"library": library}, {}) == answer


def test_every_library_says_what_brings_it() -> None:
    for name, entry in table("libraries")["libraries"].items():
        assert name.startswith("lib")
        assert ".so" not in name
        assert entry.keys() <= {"apt", "pip", "source"}
        assert entry.keys() & {"apt", "pip"} or len(entry["source"]) > 10, name
