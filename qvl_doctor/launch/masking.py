"""The secrets of a command, masked by the same rules as those of a log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from qvl_doctor.late import late_pattern
from qvl_doctor.launch.command import Command, Edit, Flag, LaunchError, splice_text
from qvl_doctor.launch.yamltext.yaml_edits import replaced
from qvl_doctor.launch.yamltext.yaml_tree import Node
from qvl_doctor.redaction.line import MASK, redact

_SECRET_OBJECT = late_pattern(r"""["']?kind["']?\s*:\s*["']?Secret\b""")
#: What is already masked.
_MASKED = late_pattern(r"(?:hf_|sk-)?\*{3}")
#: Stands for a value when asking whether a name is that of a secret.
_SAMPLE = "sample"
_QUOTED_MASK = late_pattern(r"""(['"])((?:[\w.-]{1,200}=)?\*{3})\1""")
_JSON = ("{", "[")
#: `--api-key=…`, `HF_TOKEN=…`
_PAIR = late_pattern(r"[\w.-]+=\S*")


def masked(command: Command) -> Command:
    """The command with the values of secret flags and variables replaced by `***`."""
    return replace(
        command,
        model=None if command.model is None else redact(command.model),
        flags=tuple(_flag(flag) for flag in command.flags),
        env={name: secret(name, value) for name, value in command.env.items()},
    )


def secret(name: str, value: str) -> str:
    """What may be shown of the value of a name: the mask if it looks like a secret."""
    if not value or _MASKED.fullmatch(value) or redact(f"{name}={value}") == f"{name}={value}":
        return value
    shown = redact(value)
    return shown if shown != value else MASK


def masked_text(text: str) -> str:
    """A text with the secrets of each line masked; a mask that is already in quotes keeps them."""
    return "\n".join(map(_masked_line, text.split("\n")))


def masked_part(text: str, start: int, stop: int) -> str:
    """A part of a manifest as it may be shown: masked in the whole text, so that a name on another line counts."""
    edits = [edit for edit in _edits(text) if edit.start < stop and edit.stop > start]
    inside = [Edit(max(edit.start - start, 0), min(edit.stop, stop) - start, edit.text) for edit in edits]
    return masked_text(splice_text(text[start:stop], inside))


@lru_cache(maxsize=2)
def _edits(text: str) -> tuple[Edit, ...]:
    from qvl_doctor.launch.yamltext.yaml_tree import documents

    return tuple(masking_edits(documents(text)))


def masked_source(text: str) -> str:
    """Shell text or a manifest with its secrets masked and nothing else changed.

    "" for a Secret that cannot be read as YAML.
    """
    from qvl_doctor.launch.reading import is_manifest
    from qvl_doctor.launch.yamltext.yaml_tree import documents
    from qvl_doctor.redaction.text import redact_text

    if is_manifest(text):
        try:
            text = masked_text(splice_text(text, list(masking_edits(documents(text)))))
        except LaunchError:
            if _SECRET_OBJECT.search(text):
                return ""
    return redact_text(text)


def unquoted(text: str) -> str:
    """Shell text in which masks need no quotes, wherever they came from."""
    return _QUOTED_MASK.sub(r"\2", text)


def _masked_line(line: str) -> str:
    bare = line.replace(f'"{MASK}"', MASK).replace(f"'{MASK}'", MASK)
    return line if redact(bare) == bare else redact(line)


def _flag(flag: Flag) -> Flag:
    shown = tuple(secret(flag.name or "word", value) for value in flag.values)
    return flag if shown == flag.values else replace(flag, values=shown)


def masking_edits(documents: list[Node]) -> Iterator[Edit]:
    """The edits that mask the secrets of a manifest: variables, arguments after a secret flag, Secrets."""
    for document in documents:
        for node in document.walk():
            yield from _in_map(node) if node.kind == "map" else _in_list(node)


def _in_map(node: Node) -> Iterator[Edit]:
    name, value = node.text("name"), node.get("value")
    if name and value and value.kind == "scalar":
        yield from _masking(name, value)
    is_secret = node.text("kind") == "Secret"
    for key, each in node.pairs:
        if each.kind == "scalar" and key.value not in {"name", "value"}:
            yield from _masking(key.value, each)
        if is_secret and key.value in {"data", "stringData"}:
            yield from (replaced(entry, MASK) for _, entry in each.pairs if entry.kind == "scalar")


def _in_list(node: Node) -> Iterator[Edit]:
    name = ""
    for item in node.items:
        if item.kind == "scalar":
            if (name and not item.value.startswith("-")) or item.value[:1] in _JSON:
                yield from _masking(name, item)
            elif _PAIR.fullmatch(item.value):
                before, _, value = item.value.partition("=")
                shown = secret(before, value)
                if shown != value:
                    yield replaced(item, f"{before}={shown}")
            if item.value.startswith("-") or secret(name, _SAMPLE) != MASK:  # another one may follow a secret
                name = item.value if item.value.startswith("-") and "=" not in item.value else ""


def _masking(name: str, node: Node) -> Iterator[Edit]:
    value = node.value
    if value.lstrip()[:1] in _JSON:
        shown = _masked_json(value)
    elif "\n" in value.strip():  # several lines are masked one by one, unless all of them are the secret
        shown = MASK if secret(name, _SAMPLE) == MASK else value
    else:
        shown = secret(name, value)
    if shown != value:
        yield replaced(node, shown)


def _masked_json(text: str) -> str:
    """JSON in a text, as in kubectl's annotation of what was applied last; other texts unchanged."""
    from qvl_doctor.redaction.text import redact_value

    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    shown = redact_value(value)
    return text if shown == value else json.dumps(shown, ensure_ascii=False)
