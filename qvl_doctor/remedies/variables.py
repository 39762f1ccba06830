"""What became of an environment variable that a release does not read."""

from __future__ import annotations

import re
from collections.abc import Mapping

from qvl_doctor import knowledge
from qvl_doctor.model import Facts, fact_text

#: Read by setup.py and Dockerfiles, or set by them.
_OF_BUILDS = re.compile(
    r"VLLM_(?:BUILD_\w+|IMAGE_\w+|\w*PRECOMPILED\w*|TARGET_DEVICE|MAIN_CUDA_VERSION|VERSION(?:_OVERRIDE)?|COMMIT|BRANCH|REPO|"
    r"GIT_\w+|DOCKER_\w+|SKIP_\w*VERSION_SUFFIX|\w*WHEEL_\w+|PYTHON_\w+|DISABLE_SCCACHE|REQUIRE_RUST_FRONTEND)"
)


def variable_history(values: Mapping[str, str], facts: Facts) -> Mapping[str, str] | None:
    """`last`: the last release that reads it, if newer ones do not; `first`: if it came later.

    `nearest`: a name like it that is read.

    `meant_for_vllm` is no where no release reads it and none has a name like it: builds, images and people's own
    scripts set such variables as well.
    """
    name, vllm = values.get("variable", ""), fact_text(facts, "vllm")
    span = knowledge.variable(name)
    found = {"last": span.last} if span and span.last else {}
    if span and not span.last and vllm and not knowledge.reads_variable(name, vllm):
        found["first"] = span.first
    nearest = knowledge.variable_near(name, vllm) if vllm and not span else ""
    if nearest:
        found["nearest"] = nearest
    meant = bool(span or nearest or not vllm) and not _OF_BUILDS.fullmatch(name)
    return {**found, "meant_for_vllm": "yes" if meant else "no"}
