"""How a value is spelled on the command line of a release.

`--limit-mm-per-prompt` takes `image=1,video=0` up to 0.9.2, JSON from 0.8.5 on, JSON only from 0.10.0
(vllm/engine/arg_utils.py: `nullable_kvs`, from 0.8.5 `optional_type(json.loads)` with the old form deprecated).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qvl_doctor.versions import satisfies

_KEY_VALUE_FLAGS = {"--limit-mm-per-prompt": "<0.8.5"}


def spell_flags(flags: Mapping[str, Any], release: str) -> dict[str, Any]:
    """The flags with every map as one string; True stays a bare flag and None a removal. `release` may be "" (unknown): JSON."""
    return {flag: _spelled(flag, value, release) for flag, value in flags.items()}


def _spelled(flag: str, value: Any, release: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    key_value = _KEY_VALUE_FLAGS.get(flag)
    if key_value and release and satisfies(release, key_value) and not any(isinstance(item, Mapping) for item in value.values()):
        return ",".join(f"{key}={item}" for key, item in value.items())
    return json.dumps({key: _number(item) for key, item in value.items()})


def _number(value: Any) -> Any:
    """JSON's own types for what a rule, where everything is text, wrote as text."""
    if isinstance(value, Mapping):
        return {key: _number(item) for key, item in value.items()}
    if isinstance(value, str):
        try:
            number = json.loads(value)
        except ValueError:
            return value
        return number if isinstance(number, (int, float, bool)) or number is None else value
    return value
