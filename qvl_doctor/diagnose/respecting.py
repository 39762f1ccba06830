"""Fixes compared with the command that ran: what it has already is not proposed again, nor what would undo part of it.

A number moves one way only, the way that its fix wants it to go: a context that is shorter already is not lengthened to
what a fix calls short. A value that is a map is changed key by key. Where the command is not known, nothing is held
back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qvl_doctor.launch.spelling import merge, plain_values, read_map
from qvl_doctor.model import Facts, fact_map, fact_text
from qvl_doctor.values import as_number

#: Functions that raise what they compute; the others lower it.
_RAISING = frozenset(
    (
        *("more_utilization", "longer_context", "token_budget", "one_item_longer", "batch_for_item", "items_sent"),
        *("length_for_items", "lora_rank", "more_gpus"),
    )
)
#: Flags that a fix without a function raises, and those that it lowers.
_RAISED = frozenset(
    (
        *("--max-loras", "--max-cpu-loras", "--max-logprobs", "--max-num-batched-tokens", "--lora-extra-vocab-size"),
        "--max-lora-rank",
    )
)
_LOWERED = frozenset(
    (
        *(
            "--max-model-len",
            "--max-num-seqs",
            "--gpu-memory-utilization",
            "--limit-mm-per-prompt",
            "--mm-processor-kwargs",
        ),
        *("--mm-processor-cache-gb", "--swap-space", "--api-server-count"),
    )
)
_SIZES = _RAISED | _LOWERED
#: Arguments → the facts that say what the engine made of them.
_SWITCHES = {
    "enforce_eager": "enforce_eager",
    "enable_prefix_caching": "prefix_caching",
    "enable_chunked_prefill": "chunked_prefill",
    "enable_lora": "lora",
}
#: Arguments of which the facts do not tell whether they were given.
_UNTOLD = frozenset(("model", "api_key"))


def left_to_do(flags: Mapping[str, Any], remedy: str, facts: Facts) -> dict[str, Any]:
    """The flags that change something of what ran; maps with what the command has in them besides."""
    found = {}
    for flag, value in flags.items():
        given = _given(flag, facts)
        wanted = _merged(flag, value, given, remedy) if isinstance(value, Mapping) else value
        if wanted is not _NOTHING and not (_is(flag, wanted, given, facts) or _undoes(flag, wanted, given, remedy)):
            found[flag] = wanted
    return found


_NOTHING: Any = object()


def _given(flag: str, facts: Facts) -> Any:
    """What the command, or the engine's own words, say of a flag; `_NOTHING` if nothing is known."""
    name = _dest(flag)
    if flag in _SIZES and name in facts:
        return facts[name].value
    switched = fact_text(facts, _SWITCHES.get(name, ""))
    return switched == "yes" if switched in {"yes", "no"} else fact_map(facts, "args").get(name, _NOTHING)


def _is(flag: str, value: Any, given: Any, facts: Facts) -> bool:
    """Whether a flag is as a fix wants it to be."""
    if value is None:
        return _is_absent(_dest(flag), given, facts)
    if given is _NOTHING or given is None:
        return flag.startswith("--no-") and value is True and _given("--" + flag[5:], facts) is False
    if isinstance(value, bool) or isinstance(given, bool):
        return str(value).lower() == str(given).lower()
    if isinstance(value, Mapping):
        return bool(plain_values(value) == _map_of(given))
    number, other = as_number(value), as_number(given)
    if number is not None and other is not None:
        return number == other
    return str(value) == (str(given[0]) if isinstance(given, list) and len(given) == 1 else str(given))


def _is_absent(name: str, given: Any, facts: Facts) -> bool:
    """Whether the command does not have a flag. Up to 0.8 vLLM logs all of them: what is missing there was cut off."""
    if name in _UNTOLD or "args" not in facts:
        return False
    if given is not _NOTHING:
        return given in (None, False, "", [], {})
    return facts["args"].source != "log" or None not in fact_map(facts, "args").values()


def _undoes(flag: str, value: Any, given: Any, remedy: str) -> bool:
    """Whether a number that a fix lowers is lower already, or one that it raises is higher."""
    number, now = as_number(value), as_number(given) if given is not _NOTHING else None
    if number is None or not now or now < 0 or flag not in _SIZES | {"--tensor-parallel-size"}:
        return False
    if remedy in _RAISING or (not remedy and flag in _RAISED):
        return number < now
    return flag in _LOWERED and number > now


def _merged(flag: str, value: Mapping[str, Any], given: Any, remedy: str) -> Any:
    """A map with the keys that the command has in it besides.

    `_NOTHING` where each key is as it should be, or beyond.
    """
    now = _map_of(given) or {}
    wanted = {
        key: item
        for key, item in plain_values(value).items()
        if now.get(key) != item and not (flag in _LOWERED and _undoes(flag, item, now.get(key), remedy))
    }
    return merge(now, wanted) if wanted else _NOTHING


def _map_of(given: Any) -> dict[str, Any] | None:
    if isinstance(given, str):
        return read_map(given)
    return dict(given) if isinstance(given, Mapping) else None


def _dest(flag: str) -> str:
    return flag.lstrip("-").partition(".")[0].replace("-", "_")
