"""A command with a rule's change made: in place, in the user's order and spelling, for the user's release."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from qvl_doctor.knowledge import flag_table
from qvl_doctor.launch.argv import canonical
from qvl_doctor.launch.command import Command, Flag
from qvl_doctor.launch.spelling import merge, plain_values, read_map, spell_map

_NEGATIVE = "--no-"


def edit(command: Command, change: Mapping[str, Any], release: str = "") -> Command:
    """The command with a change made.

    `flags`: a text sets, True is a bare flag, None removes, a map is merged into the user's value, a list is several
    values (or the flag repeated, if vLLM takes it so). `env`: None removes. `image` replaces the image, if there is
    one. `pod` is noted, and made when the command is written back. `pip` and `run` change no command. Existing flags
    are changed in place, new ones go to the end, and nothing appears twice. `--model: None` moves the model to its
    position after the program. Making a change again changes nothing.
    """
    release = flag_table.known(release)
    for name, value in (change.get("flags") or {}).items():
        command = _with_flag(command, str(name), value, release)
    env = dict(command.env)
    for name, value in (change.get("env") or {}).items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = str(value)
    patch = str(change.get("pod") or "")
    pod = (*command.pod, patch) if patch and patch not in command.pod else command.pod
    # A command without a container has no image to change.
    return replace(command, env=env, image=command.image and str(change.get("image") or command.image), pod=pod)


class _Style(NamedTuple):
    """How the user writes flags: `--max_model_len`, `--max-model-len=4096`."""

    underscores: bool
    equals: bool

    def spelled(self, name: str) -> str:
        return "--" + name[2:].replace("-", "_") if self.underscores and name.startswith("--") else name

    def flag(self, name: str, values: Sequence[str], like: Flag | None) -> Flag:
        """A flag with new values: spelled and attached like the one that it replaces, or like the others."""
        spelled = like.spelled if like and like.name == name and not like.keys else self.spelled(name)
        at = like.at if like else -1
        if not values:
            return Flag(name, (), spelled, "bare", at)
        form = like.form if like and like.form != "bare" else "equals" if self.equals else "separate"
        return Flag(name, tuple(values), spelled, form if len(values) == 1 else "separate", at)


def _style(flags: Sequence[Flag]) -> _Style:
    long = [flag for flag in flags if flag.spelled.startswith("--")]
    valued = [flag for flag in long if flag.values]
    return _Style(
        underscores=sum("_" in flag.spelled for flag in long) > sum("-" in flag.spelled[2:] for flag in long),
        equals=sum(flag.form == "equals" for flag in valued) * 2 > len(valued),
    )


def _with_flag(command: Command, name: str, value: Any, release: str) -> Command:
    base, *keys = name.split(".")
    name = canonical(base, release)
    if name == "--model" and command.positional is not None and not isinstance(value, (Mapping, list, bool)):
        return command if value is None else replace(command, model=str(value))
    if keys:
        value = _nested(keys, value) if value is not None else value
    family = [
        flag for flag in command.flags if flag.name and _option_name(flag.name, release) == _option_name(name, release)
    ]
    if keys and value is None:
        flags = _without_key(command.flags, family, keys, release)
    elif isinstance(value, Mapping) and any(flag.keys for flag in family):
        flags = _with_dotted(command.flags, family, value)
    else:
        style = _style(command.flags)
        flags = _in_place(command.flags, family, list(_wanted(name, value, family, style, release)))
    changed = replace(command, flags=flags)
    return replace(changed, model=changed.value("--model") or command.model) if command.positional is None else changed


def _wanted(name: str, value: Any, family: Sequence[Flag], style: _Style, release: str) -> Iterator[Flag]:
    """The flags that stand for a value; none for a removal."""
    first = family[0] if family else None
    if value is None:
        return
    if isinstance(value, bool):
        yield from _truth(name, value, first, style, release)
    elif isinstance(value, Mapping):
        before = family[-1].value or "" if family else ""
        merged = merge(read_map(before) or {}, plain_values(value))
        yield style.flag(name, [spell_map(merged, name, release, before)], first)
    elif isinstance(value, (list, tuple)):
        found = flag_table.match(name, release)
        if found and found.option.several:
            yield style.flag(name, [str(item) for item in value], first)
        else:
            yield from (style.flag(name, [str(item)], each) for item, each in _zip(value, family))
    else:
        yield style.flag(name, [str(value)], first)


def _truth(name: str, value: bool, first: Flag | None, style: _Style, release: str) -> Iterator[Flag]:
    """A bare flag, or its opposite: `--no-x`, `--x False`, or nothing if the release has neither."""
    found = flag_table.match(name, release) or flag_table.match(name)
    says_no = found.negative if found else name.startswith(_NEGATIVE)
    base = found.option.name if found else name.replace(_NEGATIVE, "--", 1)
    option = flag_table.option(base, release)
    if value == says_no and option and option.kind == "truth":
        yield style.flag(base, ["False"], first)
    elif value != says_no or not option or option.kind != "switch":
        wanted = base if value != says_no else name if says_no else _NEGATIVE + base[2:]
        yield first if first and first.name == wanted and not first.values else style.flag(wanted, [], first)


def _in_place(flags: Sequence[Flag], family: Sequence[Flag], wanted: Sequence[Flag]) -> tuple[Flag, ...]:
    """The flags of a family replaced by others, one by one; surplus ones are removed, further ones go to the end."""
    pending, ours = list(wanted), {id(flag) for flag in family}
    kept: list[Flag] = []
    for flag in flags:
        if id(flag) not in ours:
            kept.append(flag)
        elif pending:
            kept.append(replace(pending.pop(0), at=flag.at))
    return (*kept, *(replace(flag, at=-1) for flag in pending))


def _with_dotted(flags: Sequence[Flag], family: Sequence[Flag], value: Mapping[str, Any]) -> tuple[Flag, ...]:
    """`--x.key value` for each key of a map, in place of the existing ones."""
    dotted = [flag for flag in family if flag.keys]
    base = dotted[0].spelled.partition(".")[0]
    changed: dict[int, Flag | None] = {}
    added = []
    for keys, text in _leaves(value):
        old = [flag for flag in dotted if flag.keys == keys]
        like = old[0] if old else dotted[0]
        new = Flag(
            like.name, (text,), old[0].spelled if old else ".".join([base, *keys]), like.form, old[0].at if old else -1
        )
        if old:
            changed[id(old[0])] = new
            changed.update({id(each): None for each in old[1:]})
        else:
            added.append(new)
    kept = (changed.get(id(flag), flag) for flag in flags)
    return (*(flag for flag in kept if flag is not None), *added)


def _without_key(flags: Sequence[Flag], family: Sequence[Flag], keys: Sequence[str], release: str) -> tuple[Flag, ...]:
    """The flags without one key of a flag's value."""
    kept, ours = [], {id(flag) for flag in family}
    for flag in flags:
        if id(flag) not in ours:
            kept.append(flag)
        elif flag.keys:
            kept += [flag] if flag.keys[: len(keys)] != tuple(keys) else []
        else:
            kept.append(_with_value_without(flag, keys, release))
    return tuple(kept)


def _with_value_without(flag: Flag, keys: Sequence[str], release: str) -> Flag:
    value = read_map(flag.value or "")
    inside: Any = value
    for key in keys[:-1]:
        inside = inside.get(key) if isinstance(inside, dict) else None
    if value is None or not isinstance(inside, dict) or keys[-1] not in inside:
        return flag
    del inside[keys[-1]]
    return replace(flag, values=(spell_map(value, flag.name, release, flag.value or ""),))


def _leaves(value: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, (*above, key))
        else:
            plain = plain_values(item)
            yield (*above, key), plain if isinstance(plain, str) else json.dumps(plain)


def _nested(keys: Sequence[str], value: Any) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


def _zip(values: Sequence[Any], family: Sequence[Flag]) -> Iterator[tuple[Any, Flag | None]]:
    for index, value in enumerate(values):
        yield value, family[index] if index < len(family) else None


def _option_name(name: str, release: str) -> str:
    """The flag behind a name: for --no-x, --x."""
    found = flag_table.match(name, release) or flag_table.match(name)
    return found.option.name if found else name
