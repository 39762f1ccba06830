"""Arguments and engine configuration as vLLM prints them, read into plain values and never evaluated.

Four spellings: `Namespace(model='…', config_format=<ConfigFormat.AUTO: 'auto'>, …)` up to 0.8.5, `{'model': '…', …}`
from 0.9 on, the engine's own `model='…', dtype=torch.bfloat16, …`, and JSON inside any of them. People cut these lines,
and terminals do; what is there whole is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from qvl_doctor.late import late_pattern
from qvl_doctor.redaction.line import MASK

#: What is longer is read up to here. The longest line that vLLM prints itself is about 8 KiB.
MAX_LENGTH = 256 * 1024
_MAX_DEPTH = 40

_SPACE = late_pattern(r"[\s,]*")
_STRING = late_pattern(
    r"""[bBrRuU]{0,2}(?:'(?P<single>[^'\\]*(?:\\.[^'\\]*)*)'|"(?P<double>[^"\\]*(?:\\.[^"\\]*)*)")""", re.DOTALL
)
_STRING_START = late_pattern(r"""[bBrRuU]{0,2}['"]""")
_NAME = late_pattern(r"[A-Za-z_]\w*(?==)")
# A plain word may hold spaces, but not before `name=`: 0.6.2 and 0.6.3 forget a comma there.
_BARE = late_pattern(r"""[^\s,()\[\]{}<>'"]*(?:\s+(?![a-z_]+=)[^\s,()\[\]{}<>'"]+)*""")
_BARE_KEY = late_pattern(r"""[^,()\[\]{}<>'":]*""")
_REST = late_pattern(r"[^,)\]}]*")
_ENUM = late_pattern(r"""<(?P<member>[\w.]+): (?:'(?P<single>[^'<>]*)'|"(?P<double>[^"<>]*)"|[^<>]*)>""")
_ADDRESS = late_pattern(r" at 0x[0-9a-fA-F]+")
_INTEGER = late_pattern(r"[+-]?\d{1,18}")
_NUMBER = late_pattern(r"[+-]?(?:\d{1,40}\.\d{0,40}|\.\d{1,40}|\d{1,40})(?:[eE][+-]?\d{1,3})?")
_ESCAPE = late_pattern(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_WORDS = {"None": None, "True": True, "False": False, "null": None, "true": True, "false": False}
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_SECRET = late_pattern(r"(?:api_?key|hf_token|auth_token|.*(?:password|passwd|secret))", re.IGNORECASE)


class _CutError(Exception):
    """The text ends, or stops making sense, inside a value."""


def parse_arguments(text: str) -> dict[str, Any]:
    """The arguments in `args: Namespace(…)` or `non-default args: {…}`; empty if the text holds neither.

    Values are JSON's: an enum member becomes its string value (or its name), a call like `PoolerConfig(x=1)` a dict,
    any other object its text without the address. A value that the text cuts off is left out, together with all that
    would follow. Secrets are masked, whoever forgot to before.
    """
    text = text[:MAX_LENGTH]
    start = re.search(r"Namespace\(|\{", text)
    if start is None:
        return {}
    parser = _Parser(text, start.end())
    return _masked(parser.pairs(")") if start.group() != "{" else parser.items())


def parse_call(text: str) -> dict[str, Any]:
    """The named arguments of the first call in a text, or the items of its first dict: `LLM(model='…', …)`."""
    text = text[:MAX_LENGTH]
    start = re.search(r"[({]", text)
    if start is None:
        return {}
    parser = _Parser(text, start.end())
    return _masked(parser.pairs(")") if start.group() == "(" else parser.items())


def parse_engine_config(text: str) -> dict[str, Any]:
    """What follows `with config:` in the engine's line, `key=value, …`.

    The last value is left out unless something ends it.
    """
    text = text[:MAX_LENGTH]
    marker = text.find("with config:")
    return _masked(_Parser(text, 0 if marker < 0 else marker + len("with config:")).pairs(""))


def _masked(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: MASK if value and not isinstance(value, bool) and _SECRET.fullmatch(key) else value
        for key, value in values.items()
    }


class _Parser:
    """Reads values from one position on. Each step moves on, nothing is read twice: the time is linear in the text."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.at = start

    def pairs(self, closing: str) -> dict[str, Any]:
        """`name=value, …` up to the closing character, or to where the text is cut."""
        return self._collect(self._named, closing)

    def items(self) -> dict[str, Any]:
        """`key: value, …` up to `}`, or to where the text is cut."""
        return self._collect(self._keyed, "}")

    def _collect(self, read: Callable[[dict[str, Any], int], None], closing: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        try:
            while not self._ends(closing):
                read(found, 1)
        except _CutError:
            pass
        return found

    def _ends(self, closing: str) -> bool:
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches the empty string
        if self.at >= len(self.text):
            raise _CutError
        if self.text[self.at] == closing:
            self.at += 1
            return True
        return False

    def _named(self, found: dict[str, Any], depth: int) -> None:
        """One `name=value`. What has no name (an ellipsis, a positional value) is passed over."""
        name = _NAME.match(self.text, self.at)
        if name is None:
            self._pass()
            return
        self.at = name.end() + 1
        value = self._value(depth)
        found[name.group()] = value

    def _keyed(self, found: dict[str, Any], depth: int) -> None:
        """One `key: value` of a dict, or the member of a set."""
        key = self._value(depth, _BARE_KEY)
        self._blanks()
        if self.text[self.at : self.at + 1] != ":":
            self._pass()
            return
        self.at += 1
        found[str(key)] = self._value(depth)

    def _pass(self) -> None:
        """Moves on to the next comma or closing bracket, by one character at least."""
        end = _REST.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches the empty string
        self.at = max(end, self.at + 1)

    def _blanks(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def _value(self, depth: int, bare: re.Pattern[str] = _BARE) -> Any:
        self._blanks()
        if self.at >= len(self.text) or depth > _MAX_DEPTH:
            raise _CutError
        first = self.text[self.at]
        if first in _CLOSING:
            self.at += 1
            return self._nested(_CLOSING[first], depth + 1)
        if first == "<":
            return self._object()
        if _STRING_START.match(self.text, self.at):
            return self._string()
        return self._word(depth, bare)

    def _string(self) -> str:
        found = _STRING.match(self.text, self.at)
        if found is None:
            raise _CutError
        self.at = found.end()
        quoted = found["single"] if found["single"] is not None else found["double"]
        return _ESCAPE.sub(_unescaped, quoted) if "\\" in quoted else quoted

    def _nested(self, closing: str, depth: int) -> Any:
        """The inside of brackets. Braces without a colon are a set, which is a list here."""
        if closing == "}":
            return self._dict_or_set(depth)
        members = []
        while not self._ends(closing):
            members.append(self._value(depth))
            self._settle()
        return members

    def _dict_or_set(self, depth: int) -> Any:
        pairs: dict[str, Any] = {}
        members = []
        while not self._ends("}"):
            key = self._value(depth, _BARE_KEY)
            self._blanks()
            if self.text[self.at : self.at + 1] == ":":
                self.at += 1
                pairs[str(key)] = self._value(depth)
            else:
                members.append(key)
            self._settle()
        return members if members and not pairs else pairs

    def _settle(self) -> None:
        """Passes over what is between a value and the comma or bracket after it."""
        self.at = _REST.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches the empty string

    def _object(self) -> str:
        """`<Foo.BAR: 'bar'>` is bar, `<Foo.BAR: 1>` is BAR, `<function f at 0x7f…>` is `<function f>`."""
        member = _ENUM.match(self.text, self.at)
        if member:
            self.at = member.end()
            value = member["single"] if member["single"] is not None else member["double"]
            return value if value is not None else member["member"].rpartition(".")[2]
        start, depth = self.at, 0
        for bracket in re.finditer(r"[<>]", self.text[start : start + 2000]):
            depth += 1 if bracket.group() == "<" else -1
            if not depth:
                self.at = start + bracket.end()
                return _ADDRESS.sub("", self.text[start : self.at])
        raise _CutError

    def _word(self, depth: int, bare: re.Pattern[str]) -> Any:
        """A number, a constant, a plain word, or a call."""
        start = self.at
        self.at = bare.match(self.text, start).end()  # type: ignore[union-attr]  # matches the empty string
        word = self.text[start : self.at].strip()
        if self.at >= len(self.text):
            raise _CutError  # 20 may be the beginning of 2048
        if self.text[self.at] == "(" and word.replace(".", "_").isidentifier():
            self.at += 1
            return self._call(depth + 1)
        if self.at == start:
            self._pass()
            return ""
        return _WORDS[word] if word in _WORDS else _number(word)

    def _call(self, depth: int) -> Any:
        """`Config(a=1)` is {"a": 1}, `PosixPath('/a')` is "/a"."""
        named: dict[str, Any] = {}
        others = []
        while not self._ends(")"):
            if _NAME.match(self.text, self.at):
                self._named(named, depth)
            else:
                others.append(self._value(depth))
            self._settle()
        if named or not others:
            return named
        return others[0] if len(others) == 1 else others


def _number(word: str) -> Any:
    if _INTEGER.fullmatch(word):
        return int(word)
    return float(word) if _NUMBER.fullmatch(word) else word


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    if code:
        number = int(code, 16)
        return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    return _ESCAPED.get(found[4], found[4])
