"""Variables that a release does not read: those that were meant for it, all in one finding.

Not what builds and images set.
"""

from __future__ import annotations

import pytest
from program import RULES

from qvl_doctor.diagnose.engine import diagnose
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Finding

BANNER = "INFO 10-05 08:01:09 [api_server.py:1] vLLM API server version 0.22.0\n"


def remark(*names: str) -> Finding | None:
    said = "".join(
        f"WARNING 10-05 08:01:10 [interface.py:1470] Unknown vLLM environment variable detected: {name}\n"
        for name in names
    )
    findings = diagnose(read_records(BANNER + said), RULES).findings
    return next((each for each in findings if each.rule == "unknown-vllm-variable"), None)


#: Set by vLLM's build, by its images, and one that nobody but a script of the user's reads.
OTHERS = (
    "VLLM_BUILD_COMMIT",
    "VLLM_BUILD_URL",
    "VLLM_IMAGE_TAG",
    "VLLM_PRECOMPILED_WHEEL_COMMIT",
    "VLLM_TARGET_DEVICE",
    "VLLM_VERSION",
    "VLLM_USE_PRECOMPILED",
    "VLLM_LANTERN_HOME",
)


@pytest.mark.parametrize("name", OTHERS)
def test_what_builds_images_and_scripts_set(name: str) -> None:
    assert remark(name) is None


def test_all_that_were_meant_for_vllm_are_named() -> None:
    found = remark("VLLM_USE_V1", "VLLM_IMAGE_TAG", "VLLM_ATTENTION_BACKEND")
    assert found is not None
    assert found.title["en"].endswith("VLLM_USE_V1, VLLM_ATTENTION_BACKEND")
    assert found.title["zh"].endswith("VLLM_USE_V1, VLLM_ATTENTION_BACKEND")
    assert [fix.change for fix in found.fixes] == [
        {"env": {"VLLM_USE_V1": None}},
        {"env": {"VLLM_ATTENTION_BACKEND": None}},
    ]


def test_one_alone_has_its_history_and_a_misspelling_what_was_meant() -> None:
    old, misspelled = remark("VLLM_USE_V1"), remark("VLLM_LOGGING_LEVL")
    assert old is not None
    assert "last release" in old.why["en"]
    assert misspelled is not None
    assert "VLLM_LOGGING_LEVEL" in misspelled.why["en"]


def test_very_many_are_cut() -> None:
    found = remark(*(f"VLLM_LOGGING_LEVEL{number}" for number in range(40)))
    assert found is not None
    assert len(found.title["en"]) < 300
