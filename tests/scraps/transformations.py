"""What a log goes through before somebody asks about it.

A table of transformations that leave the words and spoil the form.

Collectors, terminals and compression are in `wrappings.py`; here are also chat messages, web pages, test runners, other
programs that quote vLLM, and all that leaves only a part of the log.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import wrappings

_EXCEPTION = re.compile(
    r"(?:[a-z_]\w*\.)*[A-Za-z]\w*(?:Error|Exception|OutOfMemoryError|EngineGenerationError)\b(?=:|$)"
)
_HEAD = re.compile(r"(?:INFO|WARNING|ERROR) \d\d-\d\d \d\d:\d\d:\d\d (?:\[?[\w./]+:\d+\] ?)?")


class Scrap(NamedTuple):
    """A text to transform: its lines, and the indexes of those that show what is wrong."""

    lines: Sequence[str]
    telling: frozenset[int]

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


class Transformation(NamedTuple):
    """A name, and what is left of a text; None where nothing telling is left, or where there is nothing to transform.

    `quotes`: only one line is left, in the text of somebody else. `cuts`: a part is left, as it was.
    """

    name: str
    apply: Callable[[Scrap], bytes | None]
    quotes: bool = False
    cuts: bool = False


def _split_head(line: str) -> tuple[str, str]:
    """A line's prefixes, and what it says."""
    head = _HEAD.search(line)
    return (line[: head.end()], line[head.end() :]) if head else ("", line)


def _exceptions(scrap: Scrap, change: Callable[[str, str], str]) -> str:
    """The text with each line that says what was raised changed. `change` gets its prefixes and its words."""
    lines = []
    for line in scrap.lines:
        head, said = _split_head(line)
        lines.append(change(head, said) if _EXCEPTION.match(said) else line)
    return "\n".join(lines) + "\n"


def _has_exceptions(scrap: Scrap) -> bool:
    return any(_EXCEPTION.match(_split_head(line)[1]) for line in scrap.lines)


# Markdown and web pages.


def bold(scrap: Scrap) -> str:
    return _exceptions(scrap, lambda head, said: f"{head}**_{said}_**")


def bold_name(scrap: Scrap) -> str:
    return _exceptions(scrap, lambda head, said: head + _EXCEPTION.sub(lambda name: f"**{name[0]}**", said, count=1))


def code_line(scrap: Scrap) -> str:
    return _exceptions(scrap, lambda head, said: f"{head}`{said}`")


def code_name(scrap: Scrap) -> str:
    return _exceptions(scrap, lambda head, said: head + _EXCEPTION.sub(lambda name: f"`{name[0]}`", said, count=1))


def indented(scrap: Scrap) -> str:
    return "1. I start it with docker compose:\n\n" + "".join(f"    {line}".rstrip() + "\n" for line in scrap.lines)


def in_list(scrap: Scrap) -> str:
    return "".join(f"- {line}\n" if line.strip() else "\n" for line in scrap.lines)


def fenced_on_the_line(scrap: Scrap) -> str:
    return f"logs:\n```{scrap.text.rstrip()}```\nwhat is wrong?\n"


def html_escaped(scrap: Scrap) -> str:
    return html.escape(scrap.text)


def html_numbers(scrap: Scrap) -> str:
    """As Go's and Python's templates write them."""
    return html.escape(scrap.text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")


def html_page(scrap: Scrap) -> str:
    lines = "<br/>\n".join(html.escape(line, quote=False) for line in scrap.lines)
    return f"<pre><code>{lines}</code></pre>\n"


def typographic(scrap: Scrap) -> str:
    text = re.sub(r'"([^"\n]*)"', "“\\1”", scrap.text)
    return re.sub(r"'([^'\n]*)'", "‘\\1’", text)


# Strings in other texts.


def json_string(scrap: Scrap) -> str:
    return json.dumps(scrap.text.rstrip("\n")) + "\n"


def json_member(scrap: Scrap) -> str:
    return json.dumps({"status": 500, "detail": scrap.text.rstrip("\n")}, ensure_ascii=False) + "\n"


def literal_line_ends(scrap: Scrap) -> str:
    return "Error: " + scrap.text.rstrip("\n").replace("\t", "\\t").replace("\n", "\\n") + "\n"


def github_annotation(scrap: Scrap) -> str:
    return "::error::" + scrap.text.rstrip("\n").replace("%", "%25").replace("\n", "%0A") + "\n"


def python_repr(scrap: Scrap) -> str:
    return repr(scrap.text.rstrip("\n")) + "\n"


def joined(scrap: Scrap) -> str:
    return " ".join(scrap.lines) + "\n"


def joined_and_flattened(scrap: Scrap) -> str:
    return " ".join(scrap.text.split()) + "\n"


# Order and layout.


def newest_first(scrap: Scrap) -> str | None:
    """As a log viewer shows it, where something tells the order."""
    times = {found[0] for line in scrap.lines if (found := re.search(r"\d\d-\d\d[ T]\d\d:\d\d:\d\d", line))}
    told = "Traceback (most recent call last)" in scrap.text or len(times) > 2
    return "".join(f"{line}\n" for line in reversed(scrap.lines)) if told else None


def several_spaces(scrap: Scrap) -> str:
    return re.sub(r"(?<=\S) (?=\S)", "  ", scrap.text)


def padded_wraps(scrap: Scrap) -> str:
    """Copied from a terminal that pads what it wraps, with the line ends lost."""
    return "".join((" " * 16).join(_rows(line, 100)) + "\n" for line in scrap.lines)


def _rows(line: str, columns: int) -> list[str]:
    return [line[at : at + columns] for at in range(0, max(len(line), 1), columns)]


def exception_indented(scrap: Scrap) -> str | None:
    return _exceptions(scrap, lambda head, said: f"{head}    {said}") if _has_exceptions(scrap) else None


def other_language(scrap: Scrap) -> str | None:
    ask = "请问这个问题怎么解决？用的是 8 张卡"
    return _exceptions(scrap, lambda head, said: f"{head}{said}\n{ask}") if _has_exceptions(scrap) else None


def banner_above(scrap: Scrap) -> str:
    return "INFO 02-16 10:03:00 [api_server.py:1287] vLLM API server version 0.9.2\n" + scrap.text


# Other programs that write vLLM's lines down.


def pytest_lines(scrap: Scrap) -> str | None:
    return _exceptions(scrap, lambda _head, said: f"E       {said}") if _has_exceptions(scrap) else None


def python_logging(scrap: Scrap) -> str:
    return "".join(f"2025-02-16 08:31:{n % 60:02},123 - vllm_runner - ERROR - {line}\n" for n, line in _numbered(scrap))


def loguru(scrap: Scrap) -> str:
    return "".join(
        f"2025-02-16 08:31:{n % 60:02}.511 | ERROR    | runner.engine:watch:476 - {line}\n"
        for n, line in _numbered(scrap)
    )


def cloudwatch_csv(scrap: Scrap) -> str:
    rows = (
        f'2025-02-16 08:31:{n % 60:02}.000,"{line.replace(chr(34), chr(34) * 2)}#015"\n' for n, line in _numbered(scrap)
    )
    return "@timestamp,@message\n" + "".join(rows)


def stern(scrap: Scrap) -> str:
    return "".join(f"qwen-vl-5fcb84cf6-ldtdj qwen-vl-vllm {line}\n" for line in scrap.lines)


def swarm(scrap: Scrap) -> str:
    return "".join(f"ai_vllm.1.q5mvvwmdgmqc@gpu-node-1    | {line}\n" for line in scrap.lines)


def ray(scrap: Scrap) -> str:
    return "".join(f"(EngineCore pid=1402, ip=10.0.0.7) {line}\n" for line in scrap.lines)


def github_job(scrap: Scrap) -> str:
    return "".join(f"e2e\tStart the server\t2025-02-16T08:31:21.1234567Z {line}\n" for line in scrap.lines)


def _numbered(scrap: Scrap) -> list[tuple[int, str]]:
    return list(enumerate(scrap.lines))


# Errors in the text of others.


def _telling(scrap: Scrap) -> int:
    """The index of the telling line that says most; -1 if there is none."""
    return max(scrap.telling, key=lambda index: len(_split_head(scrap.lines[index])[1]), default=-1)


def _telling_exception(scrap: Scrap) -> str:
    """What it says, without its prefixes."""
    at = _telling(scrap)
    return "" if at < 0 else _split_head(wrappings.uncolored(scrap.lines[at]))[1].strip()


def in_a_sentence(scrap: Scrap) -> str | None:
    said = _telling_exception(scrap)
    return f"Hi all, since yesterday my vLLM pod dies with `{said}` and I do not know what to do.\n" if said else None


def in_chinese(scrap: Scrap) -> str | None:
    said = _telling_exception(scrap)
    return f"用 vllm 部署模型时报错：{said}，请问怎么解决？\n" if said else None


def of_a_worker(scrap: Scrap) -> str | None:
    said = _words(scrap)
    return (
        f"RuntimeError: Worker failed with error '{said}', please check the stack trace above for the root cause\n"
        if said
        else None
    )


def of_a_core(scrap: Scrap) -> str | None:
    said = _telling_exception(scrap)
    return f"Engine core initialization failed. Failed core proc(s): {{'EngineCore_0': {said}}}\n" if said else None


def of_an_api(scrap: Scrap) -> str | None:
    said = _words(scrap)
    body = {"object": "error", "message": said, "type": "BadRequestError", "param": None, "code": 400}
    return f"status code: 400, body: {json.dumps(body)}\n" if said else None


def of_a_client(scrap: Scrap) -> str | None:
    said = _words(scrap)
    body = {"error": {"message": said, "type": "BadRequestError", "param": None, "code": 400}}
    return f"openai.BadRequestError: Error code: 400 - {body}\n" if said else None


def _words(scrap: Scrap) -> str:
    """The same without the name of the exception."""
    return _EXCEPTION.sub("", _telling_exception(scrap), count=1).lstrip(": ")


# Parts of a log.


def last(count: int) -> Callable[[Scrap], str | None]:
    """`tail -n COUNT`."""

    def cut(scrap: Scrap) -> str | None:
        start = max(0, len(scrap.lines) - count)
        return "\n".join(scrap.lines[start:]) + "\n" if any(index >= start for index in scrap.telling) else None

    cut.__name__ = f"last_{count}"
    return cut


def cut_end(scrap: Scrap) -> str | None:
    """Cut in the middle of the last telling line."""
    at = _telling(scrap)
    line = scrap.lines[at]
    keep = len(line) - 24
    return "\n".join([*scrap.lines[:at], line[:keep]]) if len(_words(scrap)) > 80 else None


def cut_start(scrap: Scrap) -> str | None:
    """The last telling line without its beginning, and what comes after it."""
    said = _words(scrap)
    return "\n".join([said[3:], *scrap.lines[_telling(scrap) + 1 :]]) if len(said) > 80 else None


def _wrapped(wrapping: Callable[[str], str]) -> Callable[[Scrap], str]:
    def apply(scrap: Scrap) -> str:
        return wrapping(scrap.text)

    apply.__name__ = wrapping.__name__
    return apply


def _terminal(columns: int) -> Callable[[Scrap], str]:
    def apply(scrap: Scrap) -> str:
        return wrappings.terminal(scrap.text, columns)

    apply.__name__ = f"terminal_{columns}"
    return apply


def _then(first: Callable[[Scrap], str | None], second: Callable[[Scrap], str | None]) -> Callable[[Scrap], str | None]:
    """Both, one after the other; the telling lines are found again by what they say."""

    def apply(scrap: Scrap) -> str | None:
        text = first(scrap)
        if text is None:
            return None
        lines = text.removesuffix("\n").split("\n")
        said = [scrap.lines[index].strip() for index in scrap.telling]
        telling = frozenset(index for index, line in enumerate(lines) if any(part and part in line for part in said))
        return second(Scrap(lines, telling or frozenset((len(lines) - 1,))))

    apply.__name__ = f"{first.__name__}+{second.__name__}"
    return apply


_PASTED = (
    *(_wrapped(wrapping) for wrapping in (wrappings.fenced, wrappings.quoted)),
    *(bold, bold_name, code_line, code_name, indented, in_list, fenced_on_the_line),
    *(html_escaped, html_numbers, html_page, typographic),
    *(json_string, json_member, literal_line_ends, github_annotation, python_repr, joined, joined_and_flattened),
    *(newest_first, several_spaces, padded_wraps, exception_indented, other_language, banner_above),
)
_LOGGED = (
    *(_wrapped(wrapping) for wrapping in (*wrappings.PLAIN_COLLECTORS, *wrappings.JSON_COLLECTORS)),
    *(pytest_lines, python_logging, loguru, cloudwatch_csv, stern, swarm, ray, github_job),
)
_QUOTED = (in_a_sentence, in_chinese, of_a_worker, of_a_core, of_an_api, of_a_client)
_CUT = (*(last(count) for count in (1, 2, 5, 25)), cut_end, cut_start)
_LAID_OUT = (*(_terminal(columns) for columns in (80, 100, 120, 200)), _wrapped(wrappings.crlf))
_COMBINED = (
    _then(html_escaped, joined),
    _then(joined, html_escaped),
    _then(_wrapped(wrappings.docker_compose), bold),
    _then(bold, _wrapped(wrappings.fenced)),
    _then(_wrapped(wrappings.kubectl_timestamps), json_string),
    _then(typographic, indented),
    _then(stern, html_escaped),
    _then(newest_first, _wrapped(wrappings.kubectl_prefix)),
    _then(_terminal(120), _wrapped(wrappings.quoted)),
    _then(last(5), bold),
    _then(last(2), html_escaped),
    _then(last(1), typographic),
    _then(in_a_sentence, typographic),
    _then(in_a_sentence, html_escaped),
    _then(of_an_api, html_escaped),
)


def _bytes(apply: Callable[[Scrap], str | None]) -> Transformation:
    def encoded(scrap: Scrap) -> bytes | None:
        text = apply(scrap)
        return None if text is None else text.encode()

    name = apply.__name__
    first = name.split("+")[0]
    quotes, cuts = (first in {each.__name__ for each in kind} for kind in (_QUOTED, _CUT))
    return Transformation(name, encoded, quotes, cuts)


TRANSFORMATIONS = (
    *map(_bytes, (*_PASTED, *_LOGGED, *_QUOTED, *_CUT, *_LAID_OUT, *_COMBINED)),
    Transformation("utf16", lambda scrap: wrappings.utf16(scrap.text)),
)
