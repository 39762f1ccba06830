"""Values that are maps: read from how the user wrote them, changed, and spelled for a release.

`--limit-mm-per-prompt` takes `image=1,video=0` up to 0.9.2, JSON from 0.8.5 on, JSON only from 0.10.0
(vllm/engine/arg_utils.py: `nullable_kvs`, from 0.8.5 `optional_type(json.loads)` with the old form deprecated).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qvl_doctor.late import late_pattern
from qvl_doctor.versions import is_spec, satisfies

#: Quotes that word processors and chat programs put in place of plain ones.
SMART_QUOTES = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02", '"'),
        **dict.fromkeys("\u2018\u2019\u201a\uff07", "'"),
    }
)
#: Flags, and the releases that read no JSON there. `knowledge.flag_table` knows them as well, but a report need not
#: load all flags for that.
_ONLY_PAIRS = {"--limit-mm-per-prompt": "<0.8.5"}
#: The first release that reads nothing but JSON there.
_ONLY_JSON = {"--limit-mm-per-prompt": "0.10.0"}
_PAIR = late_pattern(r"\s*([A-Za-z_]\w*)\s*=\s*([^,=]*?)\s*")
_LONGEST = 64 * 1024


def spell_flags(flags: Mapping[str, Any], release: str) -> dict[str, Any]:
    """The flags with every map as one string; True stays a bare flag, None a removal.

    `release` may be a range: then all releases in it that can read it so; for an unknown one, JSON.
    """
    return {
        flag: spell_map(value, flag, release) if isinstance(value, Mapping) else value for flag, value in flags.items()
    }


def spell_map(value: Mapping[str, Any], flag: str, release: str, like: str = "") -> str:
    """A map as the value of a flag.

    `like` is how the user wrote it before: the new one has the same form, if the release accepts it, and spacing.
    """
    if _as_pairs(flag, release, like):
        pairs = ",".join(f"{key}={item}" for key, item in value.items())
        if read_pairs(pairs) == plain_values(value):
            return pairs
    dense = like.lstrip().startswith("{") and ": " not in like and ", " not in like
    return json.dumps(plain_values(value), ensure_ascii=False, separators=(",", ":") if dense else None)


def read_map(text: str) -> dict[str, Any] | None:
    """A map written as JSON, even with smart quotes or Python's words, or as `a=1,b=2`. None if it is none."""
    if len(text) > _LONGEST:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _mended(text)
    return found if isinstance(found, dict) else read_pairs(text)


def read_pairs(text: str) -> dict[str, Any] | None:
    """`image=1,video=0` as a map."""
    found = [_PAIR.fullmatch(part) for part in text[:_LONGEST].split(",")]
    pairs = [pair for pair in found if pair]
    return {pair[1].lower(): _number(pair[2]) for pair in pairs} if len(pairs) == len(found) else None


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The old map with the values of the new one, also in nested maps. The order stays."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        merged[key] = merge(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return merged


def plain_values(value: Any) -> Any:
    """JSON's own types for what a rule, where everything is text, wrote as text."""
    if isinstance(value, Mapping):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_values(item) for item in value]
    return _number(value) if isinstance(value, str) else value


def _as_pairs(flag: str, release: str, like: str) -> bool:
    if not like:
        if flag not in _ONLY_PAIRS or not release:
            return False
        return _is_before(release, flag) if is_spec(release) else satisfies(release, _ONLY_PAIRS[flag]) is True
    from qvl_doctor.knowledge import flag_table

    found = flag_table.match(flag.partition(".")[0], release)
    kind = found.option.kind if found else ""
    if release and kind in {"pairs", "json", "object"}:
        return kind == "pairs"
    # The release accepts both, or is unknown: as the user wrote it.
    return read_pairs(like) is not None


def _is_before(span: str, flag: str) -> bool:
    """Whether a range begins where only pairs are read, and ends before only JSON is: pairs serve all of it."""
    parts = span.split(",")
    last = next((part[1:] for part in parts if part.startswith("<") and not part.startswith("<=")), "")
    first = next((part[2:] for part in parts if part.startswith(">=")), "0")
    return (
        bool(last) and satisfies(last, f"<={_ONLY_JSON[flag]}") is True and satisfies(first, _ONLY_PAIRS[flag]) is True
    )


def _mended(text: str) -> Any:
    """JSON out of text with smart quotes, or with Python's single quotes and words."""
    plain = text.translate(SMART_QUOTES)
    for attempt in (plain, plain.replace("'", '"')):
        try:
            return json.loads(attempt)
        except (ValueError, RecursionError):
            continue
    return None


def _number(value: str) -> Any:
    try:
        number = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return number if isinstance(number, (int, float, bool)) or number is None else value
