"""Which package brings a library that the dynamic linker did not find."""

from __future__ import annotations

import re
from collections.abc import Mapping

from qvl_doctor import knowledge
from qvl_doctor.model import Facts

Values = Mapping[str, str]

_STEM = re.compile(r"(?P<stem>[\w.+-]+?)\.so\b")
#: `libavutil.so.58`, `libOpenCL-1.2.so`, `libopenblas-r0-abc.so`: what follows a hyphen may be a build.
_BUILD = re.compile(r"-[0-9a-f]{6,12}$")


def package_of_library(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """What brings the `library`: apt, packages of Debian and Ubuntu, or pip. None if the table does not know."""
    found = _STEM.match(values.get("library", "")[:120])
    if not found:
        return None
    entry = knowledge.table("libraries")["libraries"].get(_BUILD.sub("", found["stem"]), {})
    answer = {name: str(entry[name]) for name in ("apt", "pip") if name in entry}
    return answer or None
