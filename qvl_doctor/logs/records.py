"""Lines → records, one per event.

A traceback is one record; its chain is several; interleaved processes are kept apart.

The builder can start at any line and holds only what is not finished, so that it works on a pipe, on a growing file,
and on a window cut out of a large one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from qvl_doctor.late import late_pattern
from qvl_doctor.logs.open_record import BARE, DOTTED, FRAME, HEADER, MAX_MESSAGE, RAISED, OpenRecord, finished, is_class
from qvl_doctor.logs.paste import Paste
from qvl_doctor.logs.prefixes import Piece, pieces
from qvl_doctor.logs.source import LineSplitter, RawLine, shortened
from qvl_doctor.logs.user_text import UserTexts
from qvl_doctor.logs.wraps import TerminalWraps
from qvl_doctor.model import Record
from qvl_doctor.redaction.line import masker, unmasked

_MAX_CONTINUED = 60
_MAX_GLUED = 200
_NARROWEST = 60
_MAX_OPEN = 256
_BEGINNING = 64 * 1024

#: Lines that say that all is well: the access line of a request that went well, and how much was generated. One in many
#: is enough.
_ANSWERED = 'HTTP/1.1" 2'
_STATISTICS = "Avg prompt throughput: "
_ROUTINE_KEPT = 64
_HEADER_START = "Traceback (most"  # as much of it as a broken line keeps
_CHAINS = ("During handling of the", "The above exception was")
#: After these words Python itself shows a traceback and goes on: it says no more than a warning.
_UNRAISABLE, _NOT_LOGGED = "Exception ignored in", "--- Logging error ---"
#: So ends the stack that Python shows of a log call that failed.
_STACK_END = ("Message: ", "Arguments: ")
_FRAME_START = late_pattern(r'\s*File "[^"]*(?:"(?:, (?:l(?:i(?:n(?:e(?: \d*)?)?)?)?)?)?)?$')
#: An exception's line, indented by who pasted it: no line of source looks so.
_INDENTED = late_pattern(r"\s+(?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception): \S")
_STARTS = late_pattern(
    r"Traceback \(most|(?:During handling of|The above exception)|Process [\w-]+:|usage: |\S+\.py:\d+: \w*Warning|\[W\d|"
    r"\S+:\d+:\d+ \[\d+\] NCCL|[\w -]{2,60}:\s+\d+%\||Loading \w+ checkpoint|Capturing |INFO|WARNING|ERROR|DEBUG|CRITICAL|"
    r"[\w.-]+@[\w.-]+:\S*[#$] |\$ |➜ |"  # someone's prompt
    r"Exception ignored in|--- Logging error|Call stack:|"
    r"terminate called |\S+ exited with code |\S+\.service: |\S+: line \d+: |[\w. -]{1,40}: error: "  # what ends a process
)
_PROGRESS = late_pattern(r".{0,120}?(?:\d+%\||\d+% Completed|\bit/s\]|\bs/it\]|\d+%\s)")


class RecordBuilder:
    """Pieces in, finished records out. `flush` ends what is open."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, ...], OpenRecord] = {}
        self._last: tuple[str, ...] | None = None
        self._chained: set[tuple[str, ...]] = set()
        self._ignored: dict[tuple[str, ...], str] = {}
        self._partial: Piece | None = None
        self._last_width = 0

    def feed(self, piece: Piece) -> list[Record]:
        """The records that this piece finishes."""
        whole = self._whole(piece) if piece.partial or self._partial is not None else piece
        if whole is None or self._continues_wrapped(whole):
            return []
        piece = whole
        key: tuple[str, ...] = (piece.origin, piece.process)
        if piece.headed:
            key = (*key, piece.level, piece.file, str(piece.file_line))
        current = self._open.get(key)
        if current is not None and self._takes(current, piece):
            self._last = key
            return []
        done = self._finish_plain(key)
        if not piece.text.strip():
            if current is not None:
                current.blank = True
            return done
        if current is not None and current.traceback and current.raised < 0 and _PROGRESS.match(piece.text):
            return [*done, finished(OpenRecord(piece))]  # a progress bar in the middle of someone's traceback
        done += self._finish(key)
        if piece.text.startswith(_CHAINS):
            self._chained.add(key)
            return done
        done += self._begin(key, piece)
        if len(self._open) > _MAX_OPEN:
            done += self._finish(next(iter(self._open)))
        return done

    def _whole(self, piece: Piece) -> Piece | None:
        """The piece with what CRI, which cuts long lines, held back of it; None if the rest is still to come."""
        held, self._partial = self._partial, None
        if held is not None and not piece.headed:
            piece = held._replace(text=held.text + piece.text, partial=piece.partial)
        if piece.partial and len(piece.text) < MAX_MESSAGE:
            self._partial = piece
            return None
        return piece

    def unfinished(self) -> list[Record]:
        """What is open, as if nothing more came; without tracebacks that have not said yet what was raised.

        It stays open.
        """
        records = [finished(each) for each in self._open.values() if each.raised >= 0 or not each.traceback]
        return sorted(records, key=lambda record: record.first_line)

    def flush(self) -> list[Record]:
        """All that is open, in the order of its first line."""
        records = [finished(record) for record in self._open.values()]
        self._open.clear()
        self._last = None
        return sorted(records, key=lambda record: record.first_line)

    def _begin(self, key: tuple[str, ...], piece: Piece) -> list[Record]:
        done: list[Record] = []
        text = piece.text.strip()
        if text.endswith(HEADER) and len(text) > len(HEADER) and not text.startswith(("+", "|")):
            said = piece._replace(text=text[: -len(HEADER)].rstrip(" ,"))
            done.append(finished(OpenRecord(said)))
            piece = piece._replace(text=HEADER)
        piece = self._calmed(key, piece)
        record = OpenRecord(piece)
        record.chained = key in self._chained
        self._chained.discard(key)
        self._open[key] = record
        self._last = key
        return done

    def _calmed(self, key: tuple[str, ...], piece: Piece) -> Piece:
        """The piece, as a warning where Python itself shows it and goes on."""
        why = self._ignored.pop(key, "")
        if piece.text.startswith((_UNRAISABLE, _NOT_LOGGED)):
            self._ignored[key] = piece.text
        elif why and not piece.headed:
            if why.startswith(_NOT_LOGGED) and not piece.text.startswith("Arguments: "):
                self._ignored[key] = why
            return piece._replace(level="WARNING")
        return piece

    def _finish(self, key: tuple[str, ...]) -> list[Record]:
        record = self._open.pop(key, None)
        return [finished(record)] if record else []

    def _finish_plain(self, key: tuple[str, ...]) -> list[Record]:
        """Ends the one-line records of the same process: only a traceback may be interrupted and go on."""
        if self._last is None or self._last == key:
            return []
        last = self._open.get(self._last)
        if last is None or (last.traceback and last.raised < 0):
            return []
        return self._finish(self._last)

    def _takes(self, current: OpenRecord, piece: Piece) -> bool:
        text = piece.text
        if current.traceback and current.raised < 0:
            return self._takes_frame(current, _outdented(current, piece))
        if not text.strip():
            current.blank = True
            return not piece.headed
        if text.startswith((_HEADER_START, *_CHAINS)) or FRAME.match(text):
            return False
        if current.raised >= 0:
            return self._takes_said(current, piece)
        if piece.headed:
            same = piece.clock == current.head.clock and (current.head.soft or text[0] in " \t█▄▀" or text[0].islower())
            if same and len(current.texts) < _MAX_CONTINUED:
                current.add(piece)
                return True
            return False
        if text[0] in " \t" and not current.blank and len(current.texts) < _MAX_CONTINUED and not _PROGRESS.match(text):
            current.add(piece)
            return True
        return False

    @staticmethod
    def _takes_frame(current: OpenRecord, piece: Piece) -> bool:
        """A traceback that has not said yet what was raised: frames, source lines, at last the exception."""
        text = piece.text
        if not text.strip():
            return True
        if text.startswith(_STACK_END) and not current.head.headed:
            current.head = current.head._replace(level="WARNING")
            return False
        if text.startswith(_CHAINS) or (text.startswith(HEADER) and len(current.texts) > 1):
            return False
        if text[0] in " \t|+":
            current.add(piece)
            return True
        if _FRAME_START.match(current.texts[-1]) or (FRAME.match(current.texts[-1]) and _is_word_rest(current, piece)):
            current.glue(piece)
            return True
        if _PROGRESS.match(text):
            return False
        raised = RAISED.match(text)
        if raised and (raised["colon"] or is_class(raised)) and len(raised["type"]) < 200:
            current.add(piece)
            current.raised = len(current.texts) - 1
            return True
        if piece.headed:  # the first half of a broken line: what was raised is found when all is there
            current.add(piece)
            return True
        if current.glued < _MAX_GLUED and not _STARTS.match(text):
            current.glue(piece)
            return True
        return False

    @staticmethod
    def _takes_said(current: OpenRecord, piece: Piece) -> bool:
        """What an exception says may go on over several lines, space ones too."""
        text = piece.text
        if len(current.texts) - current.raised > _MAX_CONTINUED:
            return False
        if piece.headed:
            if piece.clock != current.head.clock or BARE.match(text):
                return False
        elif text[0] not in " \t" and (_STARTS.match(text) or BARE.match(text) or DOTTED.match(text)):
            return False
        elif text[0].isalpha() and not text[0].isascii() and current.texts[-1].isascii():
            return False  # what the person who pasted it says about it
        current.add(piece)
        return True

    def _continues_wrapped(self, piece: Piece) -> bool:
        """The rest of a broken line, where names in it were replaced and its width says nothing.

        It lacks the prefix of its fellows.
        """
        wide, self._last_width = self._last_width >= _NARROWEST, piece.width
        last = self._open.get(self._last) if self._last else None
        text = piece.text
        if last is None or piece.headed or piece.process or not text.strip() or last.glued >= _MAX_GLUED:
            return False
        if _STARTS.match(text) or _PROGRESS.match(text) or FRAME.match(text):
            return False
        if not (wide and self._looks_like_rest(last, text)):
            return False
        if last.traceback and last.raised < 0:
            last.glue(piece)
        else:
            last.add(piece)
        return True

    @staticmethod
    def _looks_like_rest(last: OpenRecord, text: str) -> bool:
        if not (last.head.headed or last.head.process):
            return False
        if not (text[0].islower() or text[0].isdigit() or text[0] in " .,;:)]}'\"_-"):
            return False
        return not (text.startswith(("  ", "\t", "- ")) or BARE.match(text)) and _plausible_rest(text)


def _outdented(current: OpenRecord, piece: Piece) -> Piece:
    """The piece; an exception at the left edge, where it belongs, if whoever pasted the traceback indented it."""
    if _INDENTED.match(piece.text) and not FRAME.match(current.texts[-1]):
        return piece._replace(text=piece.text.lstrip())
    return piece


def _plausible_rest(text: str) -> bool:
    """Not a line of its own: pip list, key=value output, a command."""
    first = text.split(None, 1)[0]
    return not re.match(
        r"[\w.-]+==|[\w-]+\s+\d+\.\d+|[\w.]+=|\d{4}-\d\d-\d\d|\d+\.\d+\.\d+\.\d+", text
    ) and first not in {
        "vllm",
        "pip",
        "docker",
        "warnings.warn",
    }


def _is_word_rest(current: OpenRecord, piece: Piece) -> bool:
    """`…, in _initialize_k` + `v_caches`: a single identifier after a frame is the rest of its function's name."""
    return current.head.process != "" and piece.text.isidentifier()


class LogReader:
    """Bytes in, records out; secrets are masked unless `redacting` is off.

    `live`: the log still grows. No record waits for the rest of a paste, and no line for the rest that a terminal broke
    off.

    `beginning` is what the text begins with, as it was before it was pasted.
    """

    def __init__(self, *, redacting: bool = True, live: bool = False) -> None:
        self.beginning = ""
        self._redacting = redacting
        self._lines = LineSplitter()
        self._paste = Paste(live=live)
        self._wraps = None if live else TerminalWraps()
        self._routine = 0
        self._users = UserTexts()
        self._records = RecordBuilder()

    def feed(self, chunk: bytes) -> list[Record]:
        return self._build(self._joined(self._paste.feed(list(self._lines.feed(chunk)))))

    def unfinished(self) -> list[Record]:
        """The records that may still grow, as they are.

        Neither they nor a line without its end are finished by that.
        """
        return self._records.unfinished()

    def flush(self) -> list[Record]:
        last = self._paste.feed(list(self._lines.flush())) + self._paste.flush()
        done = self._build(self._joined(last) + (self._wraps.flush() if self._wraps else []))
        for piece in self._users.flush():
            done += self._records.feed(piece)
        return done + self._records.flush()

    def _joined(self, block: list[RawLine]) -> list[RawLine]:
        return self._wraps.join(block) if self._wraps else block

    def _build(self, block: list[RawLine]) -> list[Record]:
        done: list[Record] = []
        text = "\n".join([line.text for line in block])
        if len(self.beginning) < _BEGINNING:
            self.beginning += text[:_BEGINNING] + "\n"
        mask = masker(text) if self._redacting else unmasked
        for line in map(shortened, block):
            if _ANSWERED in line.text or _STATISTICS in line.text:
                self._routine += 1
                if self._routine > _ROUTINE_KEPT and self._routine % _ROUTINE_KEPT:
                    continue  # most of a serving log, and those that are kept say as much
            for piece in pieces(line, mask):
                for own in self._users.feed(piece):
                    done += self._records.feed(own)
        return done


def read_records(text: str | Iterable[str]) -> Iterator[Record]:
    """The records of a text, or of lines without their line ends."""
    whole = text if isinstance(text, str) else "\n".join(text)
    reader = LogReader()
    yield from sorted(
        reader.feed(whole.encode("utf-8", "replace")) + reader.flush(), key=lambda record: record.first_line
    )
