"""Edits of YAML text: values, entries of lists and entries of maps, written like their neighbors."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby, pairwise

from qvl_doctor.late import late_pattern
from qvl_doctor.launch.command import Edit
from qvl_doctor.launch.views import Encoded, Lines, View
from qvl_doctor.launch.yamltext.yaml_tree import Node

#: What needs no quotes: it begins like a word, a path or a flag (a number would be read as one), and holds nothing that
#: ends it.
_PLAIN = late_pattern(r"(?:-{1,2}[A-Za-z]|[A-Za-z_/$])(?:[^\s:#]|:(?=\S)|(?<=\S)#| (?=[^\s#]))*")
_MEANS_MORE = late_pattern(r"(?:true|false|null|yes|no|on|off|y|n)", re.IGNORECASE)
_UNWRITABLE = late_pattern("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_FLOW_SIGNS = frozenset(",[]{}")
_HEADER = late_pattern(r"[|>][+\-0-9]*[^\n]*\n")


#: A new entry of a list or map: its keys and values. A single text has the key "".
Entry = Sequence[tuple[str, str]]
_PLAIN_NODE = Node("scalar", 0, 0, 0)


def scalar(text: str, like: Node | None = None, *, flow: bool = False) -> str:
    """A text as YAML, in the quotes of its neighbor. What would be read as a number or more gets double quotes."""
    style = like.style if like else '"'
    if style == "'" and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    plain = _PLAIN.fullmatch(text) and not _MEANS_MORE.fullmatch(text) and text.isprintable()
    if style == "" and plain and not (flow and _FLOW_SIGNS & set(text)):
        return text
    return double_quoted(text)


def double_quoted(text: str) -> str:
    """A text in the quotes that JSON and YAML share.

    What YAML would read as the end of a line, or not accept at all, is escaped.
    """
    return _UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def view_of(whole: View, node: Node) -> View:
    """The text of a scalar, so that edits of it become edits of the file."""
    raw = whole.text[node.start : node.stop]
    header = _HEADER.match(raw)
    if node.style in {"|", ">"} and header:
        lines = raw[header.end() :].split("\n")
        indent = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
        starts, inner, at = [], [], node.start + header.end()
        for line in lines:
            skipped = indent if line[:indent].isspace() and len(line) >= indent else 0
            starts.append(at + skipped)
            inner.append(line[skipped:] if line.strip() else "")
            at += len(line) + 1
        return Lines(whole, starts, inner, _folded(inner) if node.style == ">" else "\n".join(inner), " " * indent)
    return Encoded(whole, node.start, node.stop, node.value, lambda text: scalar(text, node))


def _folded(lines: Sequence[str]) -> str:
    """The lines of a `>` block: the end of a line is one space, except at empty and indented lines."""
    text = lines[0] if lines else ""
    for before, line in pairwise(lines):
        apart = not before.strip() or not line.strip() or before[0] in " \t" or line[0] in " \t"
        text += ("\n" if apart else " ") + line
    return text


def replaced(node: Node, text: str, *, flow: bool = False) -> Edit:
    """Another text in place of a scalar."""
    if node.start == node.stop:  # nothing follows the dash or colon
        return Edit(node.start, node.stop, " " + scalar(text))
    return Edit(node.start, node.stop, scalar(text, node if node.style in {"", "'", '"'} else None, flow=flow))


def list_edits(
    text: str, parent: Node, changed: Mapping[int, str], gone: Collection[int], added: Mapping[int, Sequence[str]]
) -> Iterator[Edit]:
    """Entries of a list of texts changed, removed and added (after an index; -1: in front)."""
    changed, gone, added = dict(changed), set(gone), dict(added)
    if len(gone) == len(parent.items) and added:
        # If nothing would stay, the first new entry replaces the first old one.
        first, *rest = [value for values in added.values() for value in values]
        changed[0], added = first, {0: rest}
        gone.discard(0)
    for index, value in changed.items():
        yield replaced(parent.items[index], value, flow=parent.flow)
    for start, stop in _runs(sorted(gone)):
        yield _removed(text, parent, parent.items, start, stop)
    for index, values in added.items():
        yield from _inserted(text, parent, index, [(("", value),) for value in values])


def entries_edits(text: str, parent: Node, gone: Sequence[int], entries: Sequence[Entry]) -> Iterator[Edit]:
    """Entries of a list of maps, or of a map, removed, and new ones at the end."""
    spans = parent.items or [pair_of(*pair) for pair in parent.pairs]
    if len(gone) == len(spans) and entries:
        first, gone, entries = spans[0], gone[1:], list(entries)
        yield Edit(first.start, first.stop, _entry(parent, entries.pop(0), " " * first.column))
    for start, stop in _runs(gone):
        yield _removed(text, parent, spans, start, stop)
    if entries:
        last = len(spans) - 1
        yield from _inserted(text, parent, last, entries)


def pair_of(key: Node, value: Node) -> Node:
    """An entry of a map as one piece."""
    return Node("pair", key.start, max(value.stop, key.stop), key.column)


def _entry(parent: Node, entry: Entry, indent: str) -> str:
    """A new entry as text. `indent` is where further lines of it begin."""
    if parent.kind == "map":
        (key, value), *_ = entry
        return f"{double_quoted(key)}: {double_quoted(value)}" if parent.flow else f"{key}: {scalar(value)}"
    if not entry[0][0]:
        return scalar(entry[0][1], _quoting(parent.items), flow=parent.flow)
    if parent.flow:
        return "{" + ", ".join(f"{double_quoted(key)}: {double_quoted(value)}" for key, value in entry) + "}"
    return f"\n{indent}".join(f"{key}: {scalar(value, _PLAIN_NODE if key == 'name' else None)}" for key, value in entry)


def _inserted(text: str, parent: Node, index: int, entries: Sequence[Entry]) -> Iterator[Edit]:
    """New entries after the one at an index."""
    spans = parent.items or [pair_of(*pair) for pair in parent.pairs]
    dash = dash_of(text, parent) if parent.items else " " * spans[0].column
    new = [_entry(parent, lines, " " * len(dash)) for lines in entries]
    if parent.flow:
        separator = _flow_separator(text, spans)
        at = spans[index].stop if index >= 0 else parent.start + 1
        yield Edit(at, at, "".join(separator + each if index >= 0 else each + ", " for each in new))
    elif index < 0:
        at = line_start(text, spans[0].start)
        yield Edit(at, at, "".join(dash + each + "\n" for each in new))
    else:
        at = line_end(text, spans[index].stop)
        yield Edit(at, at, "".join("\n" + dash + each for each in new))


def _removed(text: str, parent: Node, spans: Sequence[Node], start: int, stop: int) -> Edit:
    """The entries from `start` to `stop` removed, with their lines."""
    if parent.flow:
        if start:
            return Edit(spans[start - 1].stop, spans[stop - 1].stop, "")
        return Edit(spans[0].start, spans[stop].start if stop < len(spans) else spans[-1].stop, "")
    first, last = line_start(text, spans[start].start), line_end(text, spans[stop - 1].stop)
    if stop - start == len(spans):
        empty = "[]" if parent.items else "{}"
        return Edit(first, last, " " * (len(dash_of(text, parent)) if parent.items else spans[0].column) + empty)
    if start:
        return Edit(first - (2 if text[:first].endswith("\r\n") else 1), last, "")
    return Edit(first, min(last + (2 if text.startswith("\r\n", last) else 1), len(text)), "")


def _runs(indices: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Neighboring indices as (first, one after the last)."""
    for _, group in groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0]):
        run = [index for _, index in group]
        yield run[0], run[-1] + 1


def entry_list(text: str, parent: Node, key: str, entries: Sequence[Entry], after: Node | None = None) -> Edit:
    """A new list under a key of a map that has nothing yet: in its place, or after the value `after`, or at the end."""
    last, there = after or parent.pairs[-1][1], parent.get(key)
    new = Node("list", 0, 0, 0, flow=parent.flow or there is not None)
    in_brackets = f"[{', '.join(_entry(new, entry, '') for entry in entries)}]"
    if there:
        return Edit(there.start, there.stop, in_brackets if there.stop > there.start else f" {in_brackets}")
    if parent.flow:
        return Edit(last.stop, last.stop, f", {json.dumps(key)}: {in_brackets}")
    indent = " " * parent.pairs[0][0].column
    nested = indent + list_indent(parent)
    body = "".join(f"\n{nested}- {_entry(new, entry, nested + '  ')}" for entry in entries)
    at = line_end(text, last.stop)
    return Edit(at, at, f"\n{indent}{key}:{body}")


def line_start(text: str, offset: int) -> int:
    """The offset where the line of an offset begins."""
    return text.rfind("\n", 0, offset) + 1


def line_end(text: str, offset: int) -> int:
    """The offset of the end of the line, before its line break."""
    end = text.find("\n", offset)
    end = len(text) if end < 0 else end
    return end - 1 if end > offset and text[end - 1] == "\r" else end


def dash_of(text: str, parent: Node) -> str:
    """Indentation and dash of the entries of a list, as its last entry has them."""
    item = parent.items[-1]
    before = text[line_start(text, item.start) : item.start]
    dash = before.rfind("-")
    if dash < 0 or before[dash + 1 :].strip() or before[:dash].strip(" -"):
        return " " * parent.column + "- "
    return " " * dash + (before[dash:] if before.endswith(" ") else "- ")


def _quoting(items: Sequence[Node]) -> Node | None:
    """The last of the entries that are quoted like most; texts in blocks do not count."""
    styles = [item for item in items if item.kind == "scalar" and item.style in {"", "'", '"'}]
    if not styles:
        return None
    most = max(("", "'", '"'), key=lambda style: sum(item.style == style for item in styles))
    return next(item for item in reversed(styles) if item.style == most)


def _flow_separator(text: str, items: Sequence[Node]) -> str:
    if len(items) < 2:
        return ", "
    between = text[items[-2].stop : items[-1].start]
    return between if re.fullmatch(r"\s*,\s*", between) else ", "


def list_indent(parent: Node) -> str:
    """How much further than its key a list is indented in this map: two spaces, or none."""
    for key, value in parent.pairs:
        if value.kind == "list" and not value.flow and value.items:
            return " " * max(0, value.column - key.column)
    return "  "
