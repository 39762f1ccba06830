"""Which part of an evidence line tells.

What the finding's own words quote from it, otherwise the exception, otherwise the message.
"""

from __future__ import annotations

from qvl_doctor.late import late_pattern
from qvl_doctor.model import Finding, Line

MAX_LINES = 8

# The part of a line that says who and when: "(EngineCore pid=7) ERROR 02-16 09:04:35 [engine.py:389] ".
_PREFIX = late_pattern(
    r"(?:\([^()]{1,80}\) ?)*(?:[A-Z]{4,8} )?\d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d+)? \[?[\w./-]{1,120}:\d+\] ?"
)
_EXCEPTION = late_pattern(r"\b[\w.]{0,100}(?:Error|Exception|Interrupt|Exit|Warning)\b")
# Numbers, paths and identifiers: what a rule's sentence can only have from the log.
_TOKEN = late_pattern(r"[\w./-]*[\d_/-][\w./-]*\w|\d")
_MAX_SPOTS = 200


def hints(finding: Finding) -> frozenset[str]:
    """The words of a finding that are likely quotes from its log."""
    text = " ".join((*finding.title.values(), *finding.why.values()))[:10_000]
    return frozenset(token for token in _TOKEN.findall(text) if len(token) > 1)


def focus(text: str, words: frozenset[str], room: int) -> tuple[int, int]:
    """Begin and end of the part that tells, at most about `room` characters: where most of the words are together."""
    prefix = _PREFIX.match(text)
    start = prefix.end() if prefix else 0
    found = [match.span() for match in _TOKEN.finditer(text, start) if match[0].rstrip(".") in words][:_MAX_SPOTS]
    if found:
        first, last = max(
            ((begin, _last(found, begin + room)) for begin, _ in found), key=lambda span: _count(text, found, span)
        )
        return (start if last - start <= room else first), last
    exception = _EXCEPTION.search(text, start)
    begin = exception.start() if exception else start
    return (start if begin - start <= room // 2 else begin), min(len(text), begin + room // 2)


def shown(finding: Finding) -> tuple[tuple[Line, ...], int]:
    """The evidence lines to show, and how many are left out: a wall of lines proves no more than its two ends."""
    lines = tuple(line for line in finding.evidence if line.text.strip())
    if len(lines) <= MAX_LINES:
        return lines, 0
    return (*lines[: MAX_LINES // 2], *lines[-MAX_LINES // 2 :]), len(lines) - MAX_LINES


def _last(found: list[tuple[int, int]], limit: int) -> int:
    return max((end for _, end in found if end <= limit), default=found[0][1])


def _count(text: str, found: list[tuple[int, int]], span: tuple[int, int]) -> int:
    return len({text[begin:end] for begin, end in found if span[0] <= begin and end <= span[1]})
