"""Nobody is told to install a vLLM that their driver or card cannot run."""

from __future__ import annotations

import pytest

from qvl_doctor.diagnose.upgrades import within_limits
from qvl_doctor.knowledge import Ceiling, ceiling
from qvl_doctor.model import Fact, Fix

TEXT = {"en": "Upgrade.", "zh": "请升级。"}


@pytest.mark.parametrize(
    ("driver_cuda", "driver", "capability", "limit"),
    [
        ("12.2", "", "8.6", Ceiling("0.20.0", "13.0", "580")),
        ("", "535.104.05", "", Ceiling("0.20.0", "13.0", "580")),
        ("11.4", "", "8.0", Ceiling("0.6.0", "12.1", "525")),
        ("", "570.86.10", "7.0", Ceiling("0.12.0", "", "")),
        ("13.0", "580.65.06", "9.0", None),
        ("", "", "", None),
        ("nonsense", "also", "x", None),
    ],
)
def test_ceiling(driver_cuda: str, driver: str, capability: str, limit: Ceiling | None) -> None:
    assert ceiling(driver_cuda, driver, capability) == limit


def test_open_range_is_closed_below_what_the_driver_cannot_run() -> None:
    fix = within_limits(Fix(TEXT, {"pip": ["vllm>=0.7.3", "transformers>=4.49"]}), {"driver_cuda": Fact("12.2")})
    assert fix.change == {"pip": ["vllm>=0.7.3,<0.20.0", "transformers>=4.49"]}
    assert "driver 580" in fix.text["en"]
    assert "580" in fix.text["zh"]


def test_release_that_the_machine_cannot_run_says_what_comes_first() -> None:
    fix = within_limits(Fix(TEXT, {"pip": ["vllm>=0.24"]}), {"driver": Fact("535.104.05")})
    assert fix.change == {"pip": ["vllm>=0.24"]}
    assert "Update the NVIDIA driver first" in fix.text["en"]
    fix = within_limits(Fix(TEXT, {"image": "vllm/vllm-openai:v0.14.0"}), {"compute_capability": Fact("7.0")})
    assert "cannot run on this GPU" in fix.text["en"]


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"pip": ["vllm>=0.7.3"]}, {}),
        ({"pip": ["vllm>=0.7.3"]}, {"driver_cuda": Fact("13.0")}),
        ({"pip": ["transformers<5"]}, {"driver_cuda": Fact("12.2")}),
        ({"image": "vllm/vllm-openai:v0.8.5.post1"}, {"driver_cuda": Fact("12.2")}),
        ({"image": "qwenllm/qwenvl:2.5-cu121"}, {"driver_cuda": Fact("12.2")}),
        ({"pip": ["vllm<=0.11.0"]}, {"compute_capability": Fact("7.0")}),
        ({"flags": {"--max-model-len": "4096"}}, {"driver_cuda": Fact("11.4")}),
    ],
)
def test_everything_else_stays(change: dict[str, object], facts: dict[str, Fact]) -> None:
    fix = Fix(TEXT, change)
    assert within_limits(fix, facts) == fix
