"""Web pages, word processors and Markdown: escaped characters, typographic quotes, marks around an exception."""

from __future__ import annotations

from qvl_doctor.logs.paste.starts import LEVEL, NAME, PROCESS, TRACEBACK, Undo, compiled, each

_TAGS = r"</?(?:pre|code|br|p|div|span|li|td|tr|b|i|em|strong|samp|blockquote)\b[^<>]{0,200}>"
_ENTITIES = {"&quot;": '"', "&#34;": '"', "&lt;": "<", "&gt;": ">", "&#39;": "'", "&#x27;": "'", "&nbsp;": ""}
_STRAIGHT = str.maketrans("“”„‟«»‘’‚‛\xa0", '""""""\'\'\'\' ')
_DASHES = r"(?<![^\s'\"`])[—–](?=[a-z])"
#: What tells the language of a fence, where something follows it on its line.
_LANGUAGES = "text|txt|plaintext|log|logs|console|bash|sh|shell|python|py|json|yaml"
_FENCE = rf"^\s*```(?:(?:{_LANGUAGES})[ \t]+)?(?=\S)(?![\w+-]*\s*$)"
_FENCE_AFTER = r"(?<=[^\s`])[ \t]*```[ \t]*$"
_MARKABLE = rf"(?=({NAME})|{LEVEL}|{PROCESS}|{TRACEBACK})"
_MARKED = rf"(?:^|(?<=[\])|>] ))(?:([*_`~]{{1,6}})|^\s*([\"'`*_]{{1,6}})){_MARKABLE}"
_LABELED = rf"\s*(?:[Ee]rror|ERROR|Exception|[Ll]og|报错|错误|日志)(?: message)?[:：]\s*(?={NAME}: |{LEVEL}|{PROCESS}|{TRACEBACK})"
#: With what a marked or labeled line begins, what is between a prefix and a mark, and what such a line says.
_LABELS = tuple(
    f"{word}{end}" for word in ("Error", "error", "ERROR", "Exception", "Log", "log") for end in (":", " m")
)
_FIRST = (*"*_`~\"'", *_LABELS, "报错", "错误", "日志")
_WITHIN = tuple(f"{end} {mark}" for end in "])|" for mark in "*_`~")
_SAID = ("Error", "Exception", "Traceback", "INFO ", "WARNING ")


def tags(text: str) -> Undo | None:
    """`<pre><code>…</code></pre>` and `<br>`; `<module>` and `<lambda>` are a traceback's."""
    if "<br" in text or ("</" in text and compiled(_TAGS).search(text)):
        return each(lambda line: compiled(_TAGS).sub("", line) if "<" in line else line)
    return None


def entities(text: str) -> Undo | None:
    """`&quot;` and the like."""
    return each(_unescaped) if "&" in text and any(entity in text for entity in _ENTITIES) else None


def _unescaped(line: str) -> str:
    """The line; one that has a character both raw and escaped was not escaped, but is about escapes."""
    if any(entity in line and (not raw or raw not in line) for entity, raw in _ENTITIES.items()):
        import html

        return html.unescape(line).replace("\xa0", " ")
    return line


def quotes(text: str) -> Undo | None:
    """Typographic quotes, spaces that do not break, and one long dash in place of the two before a flag."""
    shown = not text.isascii() and any(mark in text for mark in "“”„‟«»‘’‚‛\xa0—–")
    return each(_straight) if shown else None


def _straight(line: str) -> str:
    return line if line.isascii() else compiled(_DASHES).sub("--", line.translate(_STRAIGHT))


def fences(text: str) -> Undo | None:
    """Fences of a code block that share a line with it."""
    return each(_unfenced) if "```" in text else None


def _unfenced(line: str) -> str:
    if "```" not in line:
        return line
    return compiled(_FENCE_AFTER).sub("\n```", compiled(_FENCE).sub("```\n", line))


def marks(text: str) -> Undo | None:
    """Bold, italic, code and quotation marks around an exception, a label before it."""
    within = [opened for opened in _WITHIN if opened in text]
    shown = any(
        compiled(_LABELED).match(line) or compiled(_MARKED).search(line, 0, 400)
        for line in text.split("\n")
        if (line.startswith(_FIRST) or (within and any(opened in line for opened in within)))
        and any(said in line for said in _SAID)
    )
    return each(_unmarked) if shown else None


def _unmarked(line: str) -> str:
    line = compiled(_LABELED).sub("", line, count=1) if compiled(_LABELED).match(line) else line
    found = compiled(_MARKED).search(line, 0, 400)
    if found is None:
        return line
    closing, name = (found[1] or found[2])[::-1], found[3] or ""
    said = line[found.end() :].rstrip()
    if name and said[len(name) :].startswith(closing):
        said = name + said[len(name) + len(closing) :]
    return line[: found.start()] + said.removesuffix(closing)
