"""The command out of what vLLM logs of it: `args: Namespace(…)` up to 0.8, `non-default args: {…}` from 0.9 on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qvl_doctor.knowledge import flag_table
from qvl_doctor.launch.command import Command, Flag
from qvl_doctor.launch.spelling import spell_map
from qvl_doctor.logs.arguments import parse_arguments

#: What vLLM keeps next to the arguments: the chosen subcommand, and the model again.
_NO_FLAGS = frozenset(("subparser", "dispatch_function", "func", "command", "model", "model_tag", "config"))


def is_arguments(text: str) -> bool:
    """Whether a text is a log line with arguments."""
    return "Namespace(" in text[:400] or "non-default args:" in text[:400]


def read_log_line(text: str, release: str = "") -> Command | None:
    """The command behind a line of arguments; None if the line has none."""
    values = parse_arguments(text)
    return from_arguments(values, release) if values else None


def from_arguments(values: Mapping[str, Any], release: str = "") -> Command:
    """A command that gives these arguments, by their names in vLLM. The release's defaults are left out."""
    release = flag_table.known(release)
    model = values.get("model_tag") or values.get("model")
    flags = [
        flag for dest, value in values.items() if dest not in _NO_FLAGS for flag in _flags(str(dest), value, release)
    ]
    return Command(("vllm", "serve"), str(model) if model else None, tuple(flags))


def _flags(dest: str, value: Any, release: str) -> Iterator[Flag]:
    option = flag_table.option("--" + dest.replace("_", "-"), release)
    if option is None or value is None or _is_default(option, value, release):
        return
    name = option.name
    if isinstance(value, bool):
        yield from _truth(option, value)
    elif isinstance(value, Mapping):
        yield Flag(name, (spell_map(value, name, release),), name)
    elif isinstance(value, (list, tuple)):
        yield from _list(option, value)
    else:
        yield Flag(name, (str(value),), name)


def _truth(option: flag_table.Option, value: bool) -> Iterator[Flag]:
    name = option.name
    if value:
        yield Flag(name, (), name, "bare")
    elif option.kind == "pair":
        yield Flag("--no-" + name[2:], (), "--no-" + name[2:], "bare")
    elif option.kind == "truth":
        yield Flag(name, ("False",), name)


def _list(option: flag_table.Option, values: Sequence[Any]) -> Iterator[Flag]:
    name = option.name
    texts = [_text(value) for value in values]
    if option.several:
        yield from [Flag(name, tuple(texts), name)] if texts else []
    elif option.kind.endswith("&"):
        yield from (Flag(name, (text,), name) for text in texts)
    elif option.value_kind in flag_table.JSON_KINDS:
        yield Flag(name, (json.dumps(list(values)),), name)
    elif texts:
        yield Flag(name, (",".join(texts),), name)


def _text(value: Any) -> str:
    """One value of a list; an adapter, which vLLM keeps as name and path, in the short form if that is enough."""
    if isinstance(value, Mapping):
        given = {key: item for key, item in value.items() if item is not None and item is not False}
        if set(given) <= {"name", "path"} and "name" in given and "path" in given:
            return f"{given['name']}={given['path']}"
        return json.dumps(given)
    return str(value)


def _is_default(option: flag_table.Option, value: Any, release: str) -> bool:
    """Whether the flag need not be given. For an unknown release, any default that there has been counts."""
    computed = option.default == flag_table.COMPUTED
    defaults = flag_table.defaults(option.name) if computed or not release else (option.default,)
    return any(_same(default, value) for default in defaults) or (computed and not value)


def _same(default: Any, value: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return default is value
    return bool(default == value) or (default is None and value in ("", [], {}))
