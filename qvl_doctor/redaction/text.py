"""Secrets of a text that stays a text.

Masked as `redact` does it for a line, and where a secret is not on the line that names it.

A log that becomes records is masked piece by piece (`logs/prefixes.py`). A copy of a log keeps its lines, so three more
things can hide a secret there: the name may end one line and the value begin the next, a key block spans lines, and
JSON escapes the quotes around a name.
"""

from __future__ import annotations

import json
import re
from typing import Any

from qvl_doctor.late import late_pattern
from qvl_doctor.redaction.line import MASK, redact

_KEY_BEGIN = late_pattern(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_END = late_pattern(r"-----END [A-Z ]*PRIVATE KEY-----")
#: No private key has more lines; what looks like an endless one is a log again.
_LONGEST_KEY = 200
_NAMES_IT = (
    r"(?:(?i:api[-_]?key|(?:hf|hub|access|auth|bearer|refresh|session|private|secret)[-_]?(?:access[-_]?)?(?:token|key)|client[-_]?secret"
    r"|passw(?:or)?d|passphrase|ssl-keyfile-password)|[A-Z][A-Z0-9_]{0,80}?(?:TOKEN|SECRET|PASSWORD|PASSWD|_KEY|CREDENTIALS?))"
)
#: A line that ends with a name whose value is still to come: `--api-key \\`, `- --api-key`, `"HF_TOKEN":`, `name:
#: HF_TOKEN`.
_DANGLING = late_pattern(rf"""(?:--|\b|_){_NAMES_IT}['"]?\s*[:=,]?\s*(?:['"]|[|>][-+]?)?\s*\\?\s*$""")
_NAMED = late_pattern(r"""^\W{0,80}(?:name|key)['"]?\s*[:=]""", re.IGNORECASE)
_ASKED = late_pattern(r"--[\w-]+['\"]?,?\s*\\?\s*$|[:=]\s*(?:['\"]|[|>][-+]?)?\s*\\?\s*$")
_VALUE = late_pattern(r"""^(\s*(?:-\s+)?['"]?)(?![-$])([^\s'",\\]+)""")
_VALUE_KEY = late_pattern(r"""^(\s*(?:-\s+)?['"]?(?:value|data)['"]?\s*[:=]\s*)(?!\{)(\S.*)$""", re.IGNORECASE)
_GOES_ON = late_pattern(r"(?<!\\)\s\\\s*$")
#: So much of the end of a line is looked at for a name.
_END = 300
_DEEPEST = 8


class LineRedactor:
    """Lines in, the same number of lines out, masked. `masked` counts the masks that were put."""

    def __init__(self) -> None:
        self.masked = 0
        self._waiting = ""
        self._key = 0

    def feed(self, line: str) -> str:
        """One line without its end."""
        if self._key or "-----BEGIN" in line:
            shown = self._in_key(line)
        else:
            goes_on = _GOES_ON.search(line)  # a backslash is not a value
            body = line[: goes_on.start()] if goes_on else line
            shown = self._after_name(redact_line(body), line) + line[len(body) :]
        self.masked += max(0, shown.count(MASK) - line.count(MASK))
        return shown

    def _in_key(self, line: str) -> str:
        """A line of a private key: its marks stay, and what is around them."""
        begin = _KEY_BEGIN.search(line)
        if not self._key and not begin:
            return redact_line(line)
        self._waiting = ""
        start = begin.end() if begin else 0
        end = _KEY_END.search(line, start)
        before = redact_line(line[: begin.start()]) + begin[0] if begin and not self._key else ""
        hidden = line[start : end.start() if end else None]
        after = end[0] + redact_line(line[end.end() :]) if end else ""
        self._key = 0 if end or self._key > _LONGEST_KEY else self._key + 1
        return before + (MASK if hidden.strip() else hidden) + after

    def _after_name(self, line: str, original: str) -> str:
        """The line, without its first word where the line before ended with the name of a secret."""
        if not original.strip():
            return line
        waiting, self._waiting = self._waiting, self._waits(original)
        if waiting == "value":
            return _VALUE_KEY.sub(rf"\1{MASK}", line)
        return _VALUE.sub(rf"\1{MASK}", line) if waiting else line

    @staticmethod
    def _waits(line: str) -> str:
        tail = line[-_END:]
        if not _DANGLING.search(tail):
            return ""
        if _NAMED.match(tail):
            return "value"
        return "word" if _ASKED.search(tail) else ""


def redact_line(line: str) -> str:
    """The line with its secrets masked, also those inside JSON that is in it."""
    if line.rstrip().endswith("}"):
        line = _redact_json(line)
    if "\\" in line:
        plain = _bare(line.replace('\\"', '"').replace("\\'", "'"))
        if (
            redact(plain) != plain != _bare(line)
        ):  # quotes escaped outside JSON: better without them than with the secret
            return redact(plain)
    return line if redact(_bare(line)) == _bare(line) else redact(line)


def _bare(line: str) -> str:
    """The line with masks out of their quotes: what is masked already needs no mask."""
    return line.replace(f'"{MASK}"', MASK).replace(f"'{MASK}'", MASK) if MASK in line else line


def redact_text(text: str) -> str:
    """A whole text, masked line by line."""
    redactor = LineRedactor()
    return "\n".join(redactor.feed(line) for line in text.split("\n"))


def _redact_json(line: str) -> str:
    """The line with the JSON at its end written again, if there was a secret in it.

    JSON in its texts is shorter each time: this ends.
    """
    before, brace, rest = line.partition("{")
    try:
        value = json.loads(brace + rest)
        shown = redact_value(value)
        return line if shown == value else before + json.dumps(shown, ensure_ascii=False)
    except (ValueError, RecursionError):
        return line


def redact_value(value: Any, depth: int = 0) -> Any:
    """A value of JSON with its secrets masked.

    By their looks, their keys, a `name` next to them, and the flag before them in a list.
    """
    if depth > _DEEPEST:
        text = json.dumps(value, ensure_ascii=False)
        shown_text = redact(text)
        return value if shown_text == text else shown_text
    if isinstance(value, dict):
        shown = {key: _of_name(str(key), redact_value(item, depth + 1)) for key, item in value.items()}
        if "value" in shown:
            shown["value"] = _of_name(str(shown.get("name")), shown["value"])
        return shown
    if isinstance(value, list):
        items = [redact_value(item, depth + 1) for item in value]
        texts = list(map(str, items))
        return [
            _of_name(flag, item) if flag.startswith("-") and not text.startswith("-") else item
            for flag, text, item in zip(["", *texts], texts, items, strict=False)
        ]
    if not isinstance(value, str):
        return value
    return "\n".join(redact_line(part) for part in value.split("\n"))


def _of_name(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    pair = f"{name}={value}"
    return MASK if redact(pair) != pair and redact(value) == value else value
