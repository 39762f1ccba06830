"""One physical line → a `Piece`: what was said, by whom, from where, with every prefix taken off, in any nesting.

kubectl, docker, compose, CRI, journald, Ray, Buildkite and Markdown quotes; JSON lines of docker, Loki, CloudWatch and
fluent-bit; vLLM's own prefixes from 0.6 to 0.33, JSON logs included (vllm/logger.py and logging_utils/ of each).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from qvl_doctor.late import late_pattern
from qvl_doctor.logs.source import RawLine, clean
from qvl_doctor.redaction.line import redact


class Piece(NamedTuple):
    """A physical line without its prefixes.

    `origin` tells apart the containers and processes that share an input. `headed`: the line began with a log call's
    own prefix.
    """

    number: int
    text: str
    origin: str = ""
    process: str = ""
    level: str = ""
    file: str = ""
    file_line: int = 0
    clock: float | None = None
    headed: bool = False
    soft: bool = False
    partial: bool = False
    width: int = 0


_STAMP = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_LEVEL = "TRACE|DEBUG|INFO|WARNING|ERROR|CRITICAL"
_OUTER = late_pattern(
    rf"""
      {_STAMP}[ ](?:-[ ][\w.-]{{1,60}}[ ]-[ ](?P<logging>{_LEVEL})[ ]-[ ]
        |\|[ ](?P<loguru>{_LEVEL})[ ]{{0,8}}\|[ ][\w.:<>-]{{1,160}}[ ](?:-[ ]|\|(?:[ ]|$)))     # a launcher that logs what its child says
    | \[?{_STAMP}\]?[ ](?!-[ ])                                    # kubectl --timestamps, docker -t, CRI, Buildkite
    | std(?:out|err)[ ](?P<cri>[FP])[ ]                            # CRI
    | \[pod/(?P<pod>[^\]]{{1,200}})\][ ]                           # kubectl --prefix
    | (?P<compose>[A-Za-z][\w.-]{{0,80}}[-_]\d{{1,4}}
        |[A-Za-z][\w.-]{{0,120}}@[\w.-]{{1,80}}                       # docker swarm
        |[A-Za-z][\w.-]{{0,80}}(?=[ ]{{1,40}}\|[ ](?:[ ]{{2}}|\(|\[|INFO|WARN|ERROR|Traceback|[\w.]*Error)))
        [ ]{{1,40}}\|(?:[ ]|$)                                     # docker compose
    | (?P<stern>[a-z0-9][a-z0-9.-]{{0,200}}-(?:[a-z0-9]{{5}}|\d{{1,4}})[ ][a-z0-9][a-z0-9-]{{0,62}})[ ]
        (?=[ ]{{2}}|\(|\[|INFO|WARN|ERROR|DEBUG|Traceback|During[ ]handling|The[ ]above|[\w.]*Error|\d{{4}}-) # stern
    | [^\W\d_]{{3,10}}\.?[ ]+\d{{1,2}}[ ]\d\d:\d\d:\d\d[ ]\S{{1,80}}[ ][^\s:\[]{{1,60}}(?:\[\d+\])?:[ ] # journald, syslog
    | \[rank(?P<rank>\d{{1,5}})\]:(?:[ ]|$|(?=\[))                  # torch
    | rank(?P<cutrank>\d{{1,5}})\]:[ ]                             # the same, pasted without its bracket
    | \((?P<process>[A-Za-z][\w.-]{{0,60}}(?:[ ][\w=.-]{{1,40}}){{0,3}})[ ]pid=(?P<pid>\d+)(?:,[ ]ip=[\w.:]+)?\)(?:[ ]|$)
    | \((?P<ray>raylet|autoscaler|pid=\d+)(?:,[ ]ip=[\w.:]+|[ ]\+[\dhms]+)?\)(?:[ ]|$)
    | >(?:[ ]|$)|[ ]{{0,2}}\|[ ](?=\[{_STAMP}\])                    # quoted in Markdown, or from a CI page
    | (?:ERROR|WARNING|INFO):[ ]+(?=\([A-Z]\w+[ ]pid=)             # a launcher that logs what its child says
    | E[ ]{{3,11}}(?=[\w.]+(?:Error|Exception)\b)                   # pytest
    """,
    re.VERBOSE,
)
_LEVELS = frozenset(("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
_HEAD = late_pattern(
    r"""
    (?:(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL|TRACE)[ ]{1,8}(?:(?P<stamp>\d\d-\d\d[ ]{1,8}\d\d:\d\d:\d\d)|\.\.\.)[ ]{1,8}
     |(?P<bare_stamp>\d\d-\d\d[ ]\d\d:\d\d:\d\d)[ ]
    )
    (?:\[?(?P<file>[\w./-]{1,120}\.(?:py|rs)):(?P<line>\d{1,6})\](?:[ ]|$))?
    | \[(?P<bare_file>[\w./-]{1,120}\.py):(?P<bare_line>\d{1,6})\](?:[ ]|$)
    """,
    re.VERBOSE,
)
_HEAD_LATER = late_pattern(
    r"(?<=[\s\]|>])(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d \[?[\w./-]{1,120}\.(?:py|rs):\d"
)
_PYTHON = late_pattern(
    r"(?P<level>TRACE|DEBUG|INFO|WARNING|ERROR|CRITICAL)(?::(?:\s+|[\w.]{1,60}:)|\s+(?=\[?[\w.]+\.\w+:\d+\]? ))"
    r"|(?P<name>[a-z_]\w*(?:\.\w+){0,5})\s+(?:\d+\s+)?(?P<level2>DEBUG|INFO|WARNING|ERROR|CRITICAL):?\s+"
)
_ENVELOPE = ("log", "message", "msg", "@message", "line", "MESSAGE", "textPayload", "body")
_ENVELOPE_SIGNS = frozenset(
    {
        *(
            "stream",
            "time",
            "timestamp",
            "@timestamp",
            "ts",
            "date",
            "labels",
            "kubernetes",
            "logStreamName",
            "ingestionTime",
            "eventId",
        ),
        *(
            "tag",
            "log",
            "levelname",
            "asctime",
            "_SYSTEMD_UNIT",
            "__REALTIME_TIMESTAMP",
            "severity",
            "container_name",
            "source",
            "resource",
        ),
        *("docker", "_p", "file"),
    }
)
_JSON_MEMBER = late_pattern(r'\s*"(?:message|log|line|@message|msg)":\s*("(?:[^"\\]|\\.)*")\s*,?\s*$')
_FENCE = late_pattern(r"\s*(?:`{3,}|~{3,})[\w+-]*\s*$")
_RAY_REPEAT = late_pattern(r"\s*\[repeated \d+x across cluster\](?: \(Ray deduplicates logs.*)?$")
_NESTED = 8
_NO_PREFIX = ("INFO ", "WARNING ", "ERROR ", "DEBUG ", "    ", "  File ", "Traceback ")
_DAYS = (0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335)


def pieces(line: RawLine, mask: Callable[[str], str] = redact) -> Iterator[Piece]:
    """What one physical line says. A JSON line may hold several; a Markdown fence says nothing.

    `mask` hides secrets, also in what a JSON line holds escaped.
    """
    text = line.text
    if ("```" in text or "~~~" in text) and _FENCE.match(text):
        return
    text = mask(text)
    stripped = text.lstrip()
    if stripped.startswith("{") or (stripped.startswith('"') and _JSON_MEMBER.match(text)):
        unpacked = list(_unpack(line.number, stripped, text, _Nest(mask)))
        if unpacked:
            yield from unpacked
            return
    piece = peel(line.number, text, soft=line.soft)
    if not ("```" in text and _FENCE.match(piece.text)):
        yield piece


class _Nest(NamedTuple):
    """What holds for everything inside a JSON line.

    How secrets are masked, the container it came from, how deep it lies.
    """

    mask: Callable[[str], str] = redact
    origin: str = ""
    depth: int = 0


_TOP = _Nest()


class _Outer(NamedTuple):
    """What was in front of a log call, and what is left of the line."""

    text: str
    origin: str
    process: str = ""
    partial: bool = False
    level: str = ""


def without_outer(text: str) -> str:
    """The text without the prefixes of collectors and launchers."""
    return _outer(text, "").text


def is_envelope(text: str) -> bool:
    """Whether a line is a collector's JSON, which holds lines of a log."""
    said = without_outer(text).lstrip()
    return said.startswith("{") and next(_unpack(0, said, said, _TOP), None) is not None


def _outer(text: str, origin: str) -> _Outer:
    process, partial, level = "", False, ""
    for _ in range(_NESTED):
        # Most lines begin with a log call or are indented: they have no further prefix, and the big pattern need not
        # look.
        match = None if text.startswith(_NO_PREFIX) else _OUTER.match(text)
        if match is None or not match.end():
            break
        kind = match.lastgroup
        if kind == "pid":
            process = f"{match['process']} {match['pid']}"
        elif kind in {"rank", "cutrank"}:
            process = process or f"rank{match[kind]}"
        elif kind == "ray":
            process = process or match["ray"]
        elif kind == "cri":
            partial = partial or match["cri"] == "P"
        elif kind in {"pod", "compose", "stern"}:
            origin = match[kind].replace(" ", "/")
        elif kind in {"logging", "loguru"}:
            level = match[kind]
        text = text[match.end() :]
    return _Outer(text, origin, process, partial, level)


def peel(number: int, text: str, *, soft: bool = False, nest: _Nest = _TOP) -> Piece:
    """The piece of one line of text: outer prefixes first, then the log call's own."""
    width = len(text)
    text, origin, process, partial, outer_level = _outer(text, nest.origin)
    if nest.depth < 2 and text.startswith("{") and text.rstrip().endswith("}"):
        inner = list(_unpack(number, text, text, nest._replace(origin=origin, depth=nest.depth + 1)))
        if len(inner) == 1:
            return inner[0]._replace(process=inner[0].process or process)
    match = _HEAD.match(text) or _head_later(text)
    if match is None:
        return _unheaded(Piece(number, text, origin, process, outer_level, soft=soft, partial=partial, width=width))
    level, stamp, bare_stamp, file, line, bare_file, bare_line = match.groups()
    rest = match.string[match.end() :]
    if "[repeated " in rest:
        rest = _RAY_REPEAT.sub("", rest)
    later = _OUTER.match(rest) if rest.startswith("(") else None
    if later and later["process"] and not process:
        process, rest = f"{later['process']} {later['pid']}", rest[later.end() :]
    return Piece(
        number,
        rest,
        origin,
        process,
        level or "",
        (file or bare_file or "").rpartition("/")[2],
        int(line or bare_line or 0),
        _clock(stamp or bare_stamp),
        headed=True,
        soft=soft,
        partial=partial,
        width=width,
    )


def _head_later(text: str) -> re.Match[str] | None:
    """A log call that everybody knows after a prefix that no one knows: VLLM_LOGGING_PREFIX, a log shipper's own."""
    later = _HEAD_LATER.search(text, 0, 240) if len(text) > 20 else None
    return _HEAD.match(text[later.start() :]) if later and "%|" not in text[: later.start()] else None


def _unheaded(piece: Piece) -> Piece:
    """The piece, with the level of uvicorn's and Python's own log formats taken off."""
    text = piece.text
    if not text or text[0] in " \t":
        return piece
    match = _PYTHON.match(text, 0, 160)
    if match is None:
        if "[repeated " in text:
            return piece._replace(text=_RAY_REPEAT.sub("", text))
        return piece
    level = match["level"] or match["level2"]
    return piece._replace(text=text[match.end() :], level=level, headed=True)


@lru_cache(maxsize=256)
def _clock(stamp: str | None) -> float | None:
    """Seconds since the year's start of `02-16 10:03:00`: vLLM prints no year."""
    if stamp is None:
        return None
    stamp = " ".join(stamp.split())
    month, day, hour, minute, second = (int(stamp[at : at + 2]) for at in (0, 3, 6, 9, 12))
    if not 1 <= month <= 12:
        return None
    return float(((_DAYS[month - 1] + day) * 24 + hour) * 3600 + minute * 60 + second)


def _unpack(number: int, stripped: str, text: str, nest: _Nest) -> Iterator[Piece]:
    """The lines inside a JSON envelope; nothing if the JSON is not an envelope (an HTTP error body stays as it is)."""
    member = _JSON_MEMBER.match(text)
    try:
        value: Any = json.loads(member[1]) if member else json.loads(stripped)
    except (ValueError, RecursionError):
        return
    if isinstance(value, str):
        yield from _inner(number, value, nest)
    elif isinstance(value, dict):
        yield from _from_object(number, value, nest)


def _from_object(number: int, value: dict[str, Any], nest: _Nest) -> Iterator[Piece]:
    if isinstance(value.get("levelname"), str) and isinstance(value.get("message"), str):
        yield from _from_vllm_json(number, value, nest)
        return
    for entry in _loki_entries(value):
        yield from _inner(number, entry, nest)
    if not _ENVELOPE_SIGNS.isdisjoint(value):
        said = next((value[key] for key in _ENVELOPE if isinstance(value.get(key), str)), None)
        if said is not None:
            yield from _inner(number, said, nest)


def _loki_entries(value: dict[str, Any]) -> Iterator[str]:
    data = value.get("data")
    streams = data.get("result") if isinstance(data, dict) else value.get("streams")
    for stream in streams if isinstance(streams, list) else ():
        values = stream.get("values") if isinstance(stream, dict) else None
        for entry in values if isinstance(values, list) else ():
            if isinstance(entry, list) and len(entry) >= 2 and isinstance(entry[1], str):
                yield entry[1]
    events = value.get("events")
    for event in events if isinstance(events, list) else ():
        if isinstance(event, dict) and isinstance(event.get("message"), str):
            yield event["message"]


def _inner(number: int, said: str, nest: _Nest) -> Iterator[Piece]:
    for line in said.rstrip("\r\n").split("\n"):
        yield peel(number, nest.mask(clean(line.rstrip("\r"))), nest=nest._replace(depth=nest.depth + 1))


def _from_vllm_json(number: int, value: dict[str, Any], nest: _Nest) -> Iterator[Piece]:
    """A record of `--logging-config.formatter json` (0.32 on). Its traceback is in the message, or in `exc_info`."""
    head = _HEAD.match(f"INFO {value.get('asctime', '')} ")
    clock = _clock(head["stamp"]) if head else None
    name, pid = value.get("processName"), value.get("process")
    process = f"{name} {pid}" if isinstance(name, str) and name != "MainProcess" else ""
    file = value.get("filename") or value.get("pathname") or value.get("name") or ""
    file = str(file).rpartition("/")[2]
    line = value.get("lineno")
    level = value["levelname"] if value["levelname"] in _LEVELS else ""
    texts = [value["message"]] + [
        value[key] for key in ("exc_info", "exception", "stack_info") if isinstance(value.get(key), str)
    ]
    for text in "\n".join(texts).split("\n"):
        shown = nest.mask(clean(text.rstrip("\r")))
        at = line if isinstance(line, int) else 0
        yield Piece(number, shown, nest.origin, process, level, file[:120], at, clock, headed=True)
