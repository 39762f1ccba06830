"""What users wrote is not evidence.

Prompts, outputs and bodies that a server logged are cut off before anything reads them.

A user can quote any error, and a model can write one. vLLM escapes what it logs of a request, but other loggers do not:
then the text goes on over several lines, each of which may look like a line of the log. Lines are held back until the
end of such a text is seen. If it does not come, they were lines of the log, and nothing of them is lost.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from qvl_doctor.late import late_pattern
from qvl_doctor.logs.prefixes import Piece


class UserText(NamedTuple):
    """Where a user's text begins in a message, how its last line ends (empty: on the same line), and who prints it.

    `releases` with an open end ("0.8.3–") are all up to the newest that was read.
    """

    begins: str
    ends: str
    releases: str
    place: str


#: The body of a refusal is the server's own word.
_NO_ERROR = r'(?!\{+"(?:error"|object": ?"error"))'
#: Everything after `begins` is the users', sampling parameters too: stop words and JSON schemas are theirs.
USER_TEXTS = (
    UserText(
        r"Received request \S{1,200}: (?=prompt|params)",
        r"(?:lora_request|prompt_adapter_request): .{0,2000}\.$",
        "0.6.0–",
        "entrypoints/logger.py, from 0.20 entrypoints/serve/utils/request_logger.py: log_inputs",
    ),
    UserText(
        r"Request \S{1,200} details: (?=prompt)",
        r"prompt_embeds shape: .{0,200}\.$",
        "0.11.1–",
        "entrypoints/logger.py: log_inputs, at DEBUG",
    ),
    UserText(
        r"Generated response \S{1,200}(?: \(streaming (?:delta|complete)\))?: (?=output)",
        r"finish_reason: \S+$",
        "0.10.1–",
        "entrypoints/logger.py: log_outputs",
    ),
    UserText(
        r"Request \S{1,200} JSON body: ",
        "",
        "0.31.0–",
        "entrypoints/serve/utils/request_logger.py: log_request_body",
    ),
    UserText(
        rf"response_body=\{{{_NO_ERROR}",
        r"\}$",
        "0.8.3–",
        "entrypoints/openai/api_server.py, from 0.20 entrypoints/serve/middleware/log_response.py",
    ),
    UserText(
        r"(?:Model output|model_output|Input prompt|delta_text|Parsed tool call|diffing old arguments):? ",
        "",
        "0.6.0–",
        "tool_parsers/*.py and renderers/chat_utils, at DEBUG",
    ),
    UserText(
        r"(?:Failed to parse function calls from model output|Error in extracting tool call from response):? ",
        "",
        "0.6.0–",
        "tool_parsers/*.py",
    ),
    UserText(r"(?:Prompt|Generated text): (?=['\"])", "", "0.6.0–", "examples/offline_inference/*.py"),
    UserText(
        rf"(?i:(?:incoming |raw )?(?:request|response)[ _-](?:body|payload) ?[:=] ?){_NO_ERROR}",
        "",
        "",
        "middleware of the users' own",
    ),
)
_BEGINS = late_pattern("|".join(f"(?P<t{number}>{text.begins})" for number, text in enumerate(USER_TEXTS)))
_ENDS = tuple(late_pattern(text.ends) if text.ends else None for text in USER_TEXTS)
#: What such a line holds, whatever its prefixes.
_SIGNS = ("equest ", "esponse", "body", "BODY", "Body", "payload", "rompt", "utput", "text: ", "call", "arguments")
_FIRST_LETTERS = frozenset("RrGPMmIiDdFE")
#: A request's body where an error quotes it: pydantic's `input_value={…}`, FastAPI's `'input': {…}`.
_QUOTED = late_pattern(r"(?<=input_value=)\{.*\}(?=, input_type=dict)|(?<='input': )[\[{\"'].*(?=\}\]|\}, \{'type')")
#: An access line: what is after the question mark of a URL is the client's.
_QUERY = late_pattern(r'(?<=[A-Z] )(/[^\s"?]{0,2000})\?\S*(?= HTTP/\d)')
CUT = "…"
_AFTER_CUT = late_pattern(rf"(?:[:=] ?|\{{){CUT}")
_MOST_LINES = 1000
_MOST_LETTERS = 1024 * 1024


def held_user_text(message: str) -> bool:
    """Whether a text that users wrote was cut off a message."""
    return CUT in message and any(sign in message for sign in _SIGNS) and _AFTER_CUT.search(message) is not None


def begins_user_text(line: str) -> bool:
    """Whether a text that users wrote begins somewhere in a line, prefixes and all."""
    return any(sign in line for sign in _SIGNS) and _BEGINS.search(line) is not None


class UserTexts:
    """Pieces in, the same pieces without what users wrote out."""

    def __init__(self) -> None:
        self._held: list[Piece] = []
        self._letters = 0
        self._end: re.Pattern[str] | None = None
        self._head: Piece | None = None
        self._cut_line = False

    def feed(self, piece: Piece) -> list[Piece]:
        """The pieces that are now known to be the log's own."""
        text = piece.text
        if self._cut_line and self._head is not None and piece.origin == self._head.origin and not piece.headed:
            self._cut_line = piece.partial
            return []  # the rest of a line that CRI cut
        begun = _BEGINS.match(text) if text and text[0] in _FIRST_LETTERS else None
        if begun is None:
            if self._end is not None:
                return self._hold(piece)
            if self._head is not None:
                if _same_call(self._head, piece):
                    return []
                self._head = None
            return [_without_quotes(piece)]
        released = self.flush()
        self._head = piece
        self._cut_line = piece.partial
        end = _ENDS[int(str(begun.lastgroup)[1:])]
        if end is not None and not piece.partial and not end.search(text):
            self._end = end
        return [*released, piece._replace(text=text[: begun.end()] + CUT, partial=False)]

    def flush(self) -> list[Piece]:
        """What was held back for nothing: no end of a users' text came."""
        released = [_without_quotes(piece) for piece in self._held]
        self._held, self._letters, self._end, self._head, self._cut_line = [], 0, None, None, False
        return released

    def _hold(self, piece: Piece) -> list[Piece]:
        if piece.origin != (self._head.origin if self._head else ""):
            return [_without_quotes(piece)]
        if self._end is not None and self._end.search(piece.text):
            self._held, self._letters, self._end = [], 0, None
            return []
        self._held.append(piece)
        self._letters += len(piece.text)
        return self.flush() if len(self._held) > _MOST_LINES or self._letters > _MOST_LETTERS else []


def _same_call(head: Piece, piece: Piece) -> bool:
    """Whether a line belongs to the log call of the one before.

    VLLM repeats the prefix before each line of a message.
    """
    return bool(head.headed and piece.headed and piece.file) and (
        (piece.file, piece.file_line, piece.clock, piece.process, piece.origin)
        == (head.file, head.file_line, head.clock, head.process, head.origin)
    )


def _without_quotes(piece: Piece) -> Piece:
    text = piece.text
    if "input_value={" in text or "'input': " in text:
        return piece._replace(text=_QUOTED.sub(CUT, text))
    if "?" in text and " HTTP/" in text:
        return piece._replace(text=_QUERY.sub(r"\1", text))
    return piece
