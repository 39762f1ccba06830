"""Text for a terminal.

Made harmless, wrapped and cut by the width that it takes on the screen, which for Chinese is two a character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len

from qvl_doctor.late import late_pattern

#: More of a single text than this is never looked at: a report is not a place for a 200 MB line.
MAX_CHARS = 20_000

_BLANKS = late_pattern(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
# Controls, and what is invisible or turns the direction of the text around it: shown as escapes, never obeyed.
_UNSAFE = late_pattern(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_PLAIN = str.maketrans(
    {
        "…": "...",
        "×": "x",
        "→": "->",
        "·": "-",
        "–": "-",
        "—": "-",
        "≥": ">=",
        "≤": "<=",
        "“": '"',
        "”": '"',
        "‘": "'",
        "’": "'",
        "\xa0": " ",
    }
)

# Chinese breaks between any two characters, except before what closes and after what opens.
_CLOSING = frozenset("，。、；：？！）】》」』〉％”’…·,.;:?!)]}%")
_OPENING = frozenset("（【《「『〈“‘([{")
_PLACEHOLDER = late_pattern(r'"\{(\w+)\}"|\{(\w+)\}')  # a number of a JSON value is a string in the template


def readable(template: str) -> str:
    """A text of a rule with its placeholders as one would write them by hand: <max_model_len>."""
    return _PLACEHOLDER.sub(lambda match: f"<{match[1] or match[2]}>", template)


def clean(text: str, encoding: str = "utf-8") -> str:
    """The text on one line, harmless, and made of what the encoding has. Never longer than a few times MAX_CHARS."""
    text = _UNSAFE.sub(_escape, _BLANKS.sub(" ", text[:MAX_CHARS]))
    if encoding.lower().replace("-", "").startswith("utf"):
        return text
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "replace").decode(encoding, "replace")
    except LookupError:
        return text.translate(_PLAIN).encode("ascii", "replace").decode("ascii")
    return text


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` cells, broken at spaces and between Chinese characters.

    A longer word is cut.
    """
    width = max(width, 2)
    lines: list[str] = []
    line, used = "", 0
    for atom in _atoms(text):
        for piece in _chopped(atom, width):
            if line and used + cell_len(piece.rstrip()) > width:
                lines.append(line.rstrip())
                line, used = "", 0
            line += piece
            used += cell_len(piece)
    if line.strip() or not lines:
        lines.append(line.rstrip())
    return lines


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """The text in at most `width` cells.

    A longer one loses its middle, because paths and names tell most at their ends.
    """
    if cell_len(text) <= width:
        return text
    room = max(width - cell_len(ellipsis), 2)
    head = _fitting(text, room // 3)
    return head + ellipsis + _fitting(text[::-1], room - cell_len(head))[::-1]


def window(text: str, width: int, focus: tuple[int, int], ellipsis: str = "…") -> str:
    """The text in at most `width` cells, cut at either end so that the characters from focus[0] to focus[1] are seen.

    What is before the focus is kept where there is room for both. If the focus is too wide, its begin is kept.
    Words stay whole where they are not too long for that.
    """
    if cell_len(text) <= width:
        return text
    start, end = focus
    mark = cell_len(ellipsis)
    if cell_len(text[:end]) + mark <= width:
        return _whole_words(text, _fitting(text, width - mark)) + ellipsis
    room = max(width - 2 * mark, 2)
    if cell_len(text[start:]) <= room + mark:  # the end of the text fits as well
        return ellipsis + _whole_words(text[::-1], _fitting(text[::-1], room + mark))[::-1]
    # Some of what leads to the focus helps to read it, where the focus leaves room for that.
    before = text[:start][::-1]
    lead = _whole_words(before, _fitting(before, max(0, min(room - cell_len(text[start:end]), room // 4))))[::-1]
    rest = (lead + text[start:]).lstrip()
    return ellipsis + _whole_words(rest, _fitting(rest, room)) + ellipsis


def _whole_words(text: str, begin: str) -> str:
    """A begin of the text without the part of a word at its end, unless little would be left."""
    if len(begin) == len(text) or text[len(begin)] == " ":
        return begin.rstrip()
    shorter = begin.rpartition(" ")[0].rstrip()
    return shorter if len(begin) - len(shorter) <= min(20, len(begin) // 3) else begin


def _fitting(text: str, width: int) -> str:
    """The longest begin of the text that fits."""
    used = 0
    for index, char in enumerate(text):
        used += cell_len(char)
        if used > width:
            return text[:index]
    return text


def _atoms(text: str) -> Iterator[str]:
    """What must not be broken: words with the space after them, and Chinese characters with their punctuation."""
    atom = ""
    for char in text:
        if atom and _may_break(atom[-1], char):
            yield atom
            atom = ""
        atom += char
    if atom:
        yield atom


def _may_break(left: str, right: str) -> bool:
    if right == " ":
        return False
    if left == " ":
        return True
    if right in _CLOSING or left in _OPENING:
        return False
    return cell_len(left) == 2 or cell_len(right) == 2


def _chopped(atom: str, width: int) -> Iterator[str]:
    while cell_len(atom.rstrip()) > width:
        piece = _fitting(atom, width) or atom[0]
        yield piece
        atom = atom[len(piece) :]
    yield atom
