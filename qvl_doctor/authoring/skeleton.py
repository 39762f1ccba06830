"""The beginnings of a rule: a log in, a rule file out that lacks nothing but what only a person can say (TODO)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count

from qvl_doctor import patterns
from qvl_doctor.diagnose.life import Life
from qvl_doctor.diagnose.unrecognized import FailureLog, first_unknown
from qvl_doctor.logs.records import read_records
from qvl_doctor.logs.source import clean
from qvl_doctor.model import Frame, Record
from qvl_doctor.redaction.line import redact

MAX_EXAMPLE_LINES = 60
_MAX_MESSAGE = 160
_FEW_WORDS = 3

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: What varies from log to log, and what may be in its place. The first that fits, wins.
_VARYING = re.compile(
    r"""
    (?P<url>https?://[^\s'",)\]]+)
  | (?P<path>(?<![\w.])~?/[\w./+@=-]*[\w/])
  | '(?P<name>[^']{1,80})' | `(?P<code>[^`]{1,80})`
  | (?P<address>\b0x[0-9a-fA-F]+\b)
  | (?P<version>\bv?\d+(?:\.\d+){2,}\b)
  | (?P<number>(?<![\w.])\d+(?:\.\d+)?)
    """,
    re.VERBOSE,
)
_TAKES: Mapping[str, str] = {
    "url": r"https?://\S+",
    "path": r"~?/\S*\w",
    "name": "[^']+",
    "code": "[^`]+",
    "address": r"0x\w+",
    "version": r"v?\d[\d.]*",
    "number": r"\d+(?:\.\d+)?",
}
_QUOTE = {"name": "'", "code": "`"}


def failing_record(records: Sequence[Record]) -> Record | None:
    """The record that a rule would be about.

    The first exception of the first process to fail, otherwise the last error, otherwise the last line.
    """
    failures = FailureLog()
    for record in records:
        failures.feed(record)
    chain = first_unknown(failures.chains, [], Life())
    if chain:
        return next((record for record in chain if record.exception), chain[0])
    errors = [record for record in records if record.level in {"ERROR", "CRITICAL", "FATAL"}]
    spoken = errors or [record for record in records if record.message]
    return spoken[-1] if spoken else None


def pattern_of(message: str) -> str:
    """A pattern for a message.

    Its words as they are, and named groups for numbers, paths, versions and what is in quotes.
    """
    message = (
        message if len(message) <= _MAX_MESSAGE else message[:_MAX_MESSAGE].rpartition(" ")[0] or message[:_MAX_MESSAGE]
    )
    parts = []
    used: set[str] = set()
    end = 0
    for found in _VARYING.finditer(message):
        kind = found.lastgroup or ""
        name = next(name for number in count(1) if (name := kind if number == 1 else f"{kind}{number}") not in used)
        used.add(name)
        quote = _QUOTE.get(kind, "")
        parts += [escape(message[end : found.start()]), f"{quote}(?P<{name}>{_TAKES[kind]}){quote}"]
        end = found.end()
    pattern = "".join([*parts, escape(message[end:])])
    return rf"\b{pattern}" if patterns.begins_open(pattern) else pattern


def escape(text: str) -> str:
    """The text as a pattern for itself; spaces stay readable."""
    return re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", text)


def skeleton(name: str, log: str) -> str | None:
    """The YAML of a rule with this id for the failure in a log; None if there is nothing to write a rule about."""
    records = sorted(read_records(log), key=lambda record: record.first_line)
    record = failing_record(records)
    if record is None or not (record.message or record.exception):
        return None
    item = _item(record)
    found = re.search(item["message"], record.message, re.IGNORECASE) if "message" in item else None
    captures = ", ".join(f"{group}: {_quoted(text)}" for group, text in (found.groupdict() if found else {}).items())
    return "\n".join(
        [
            f"id: {name}",
            "severity: fatal  # fatal: did not start, or died; degraded: serves, but badly; notice: the rest",
            "title:",
            "  en: TODO what is wrong, in one line",
            "  zh: TODO",
            "why:",
            "  en: TODO why it happens, for someone who has never read vLLM's source",
            "  zh: TODO",
            "",
            'match:  # the items of this list are "or", the keys of an item are "and"',
            *(
                f"  {'-' if number == 0 else ' '} {key}: {_quoted(pattern)}"
                for number, (key, pattern) in enumerate(item.items())
            ),
            "",
            "fixes:  # best first",
            "  - en: TODO what to do",
            "    zh: TODO",
            "    # change: {flags: {--some-flag: '1'}, env: {NAME: value}, pip: ['package>=1.2']}",
            "",
            "references:",
            "  - TODO the place in vLLM's source, or the issue in which a maintainer explains it",
            "",
            "tests:",
            "  matches:",
            "    - name: TODO release and situation",
            *_block(_example(record, log), 6),
            *([f"      captures: {{{captures}}}"] if captures else []),
            "  silent:",
            "    - name: TODO what is close to it and is something else",
            "      log: TODO",
            "",
        ]
    )


def _item(record: Record) -> dict[str, str]:
    """A match item for a record: its words, its exception, and where these say too little, its place."""
    item = {}
    pattern = pattern_of(record.message)
    if record.exception:
        item["exception"] = escape(record.exception.rpartition(".")[2])
    telling = bool(pattern) and patterns.check(pattern) is None
    if telling:
        item["message"] = pattern
    if record.frames and (not telling or patterns.literal_words(pattern) < _FEW_WORDS):
        frame = next((frame for frame in reversed(record.frames) if "/vllm/" in frame.file), record.frames[-1])
        item["frame"] = _place(frame)
    return item


def _place(frame: Frame) -> str:
    return escape(f"{frame.file.rpartition('/')[2]}:{frame.function}"[:_MAX_MESSAGE])


def _example(record: Record, log: str) -> list[str]:
    """The record's lines as they are in the log, without what YAML cannot hold.

    Of a long one, the first and the end.
    """
    lines = log.split("\n")
    numbers = sorted({line.number for line in record.lines if 0 < line.number <= len(lines)})
    if len(numbers) > MAX_EXAMPLE_LINES:
        numbers = [numbers[0], *numbers[1 - MAX_EXAMPLE_LINES :]]
    return [_printable(redact(lines[number - 1])) for number in numbers]


def _printable(line: str) -> str:
    """The line without what YAML cannot hold, and with spaces for tabs."""
    return _UNPRINTABLE.sub("", clean(line).expandtabs(4)).rstrip()


def _block(lines: Sequence[str], indent: int) -> list[str]:
    """`log: |` and the lines below it."""
    mark = "|2" if lines and lines[0].startswith(" ") else "|"
    return [f"{' ' * indent}log: {mark}", *(f"{' ' * (indent + 2)}{line}".rstrip() for line in lines)]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
