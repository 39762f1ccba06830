"""What no rule knows is still named.

The innermost exception of the first process that failed, never with an invented fix.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from qvl_doctor.diagnose.life import Life
from qvl_doctor.late import late_pattern
from qvl_doctor.messages import both, joined
from qvl_doctor.model import UNRECOGNIZED, Facts, Finding, Fix, Frame, Lead, Line, Record, fact_text

_DEPTH = {"worker": 0, "engine": 1, "api": 2, "": 2}
_NO_FAILURE = frozenset(
    ("KeyboardInterrupt", "SystemExit", "asyncio.exceptions.CancelledError", "CancelledError", "GeneratorExit")
)
_MAX_CHAIN = 3
#: Functions of Starlette, FastAPI and vLLM's API server that only run while a request is handled.
_HANDLERS = frozenset(
    (
        *("run_endpoint_function", "wrapped_app", "run_asgi", "serve_http_request"),
        *("create_chat_completion", "create_completion", "create_embedding", "create_pooling", "create_responses"),
        *(
            "create_messages",
            "create_transcriptions",
            "create_translations",
            "create_score",
            "do_rerank",
            "create_classify",
        ),
        *("render_chat_request", "render_chat", "render_chat_async", "preprocess_chat", "_preprocess_chat"),
        *("process_for_engine_async", "_process_singleton_async", "_process_tokens_async"),
        *("chat_completion_full_generator", "chat_completion_stream_generator", "completion_stream_generator"),
    )
)
#: How programs and people say that something failed. A name in capitals with one word after it is a setting.
_COMPLAINT = late_pattern(
    r"\b[A-Z]+_[A-Z_]+: (?=[^\s/]+ [a-z])|\b(?:fatal|fatal error|panic|[Ee]rror|ERROR): |\[ERROR\]|\bERR\d+|out of memory"
    r"|(?<![`\w])[A-Z][a-z]\w*(?:Error|Exception)\b|\"type\": ?\"\w+Error\""
)
_FAILURE_WORDS = late_pattern(
    r"(?i:(?<!\")\b(?:errors?|fail(?:s|ed|ure)?|fatal|cannot|can't|could not|couldn't|unable to|not (?:found|possible|supported)"
    r"|do(?:es)?(?:n't| not) support|exhausted|crash(?:es|ed)?|abort(?:s|ed)?|invalid|refused|denied|killed)\b)"
    r"|报错|失败|错误|无法|不支持|崩溃"
)
#: The message in the body of an API's answer.
_BODY = late_pattern(r'"message": ?"((?:[^"\\]|\\.){1,1000})"')


class FailureLog:
    """Exceptions in the order they came, grouped into chains; bounded: of very many the first and the last stay."""

    LIMIT = 200
    LONGEST = 20

    def __init__(self) -> None:
        self.chains: list[list[Record]] = []
        self._last: dict[str, list[Record]] = {}

    def feed(self, record: Record) -> None:
        if not (record.exception or record.cut) or record.exception.rpartition(".")[2].endswith("Warning"):
            return
        if record.level == "WARNING":
            return  # its process went on, whatever it shows
        chain = self._last.get(record.process)
        if record.chained and chain is not None:
            if len(chain) < self.LONGEST:
                chain.append(record)
            return
        if len(self.chains) >= self.LIMIT:
            del self.chains[self.LIMIT // 2]
        if len(self._last) >= self.LIMIT:
            self._last.clear()
        self._last[record.process] = chain = [record]
        self.chains.append(chain)

    def forget(self, records: Collection[int]) -> None:
        """Drops the chains with one of these records, which a rule knows; they are given by their ids."""
        self.chains = [chain for chain in self.chains if not any(id(record) in records for record in chain)]


def first_unknown(
    chains: Sequence[Sequence[Record]], known: Sequence[Record], life: Life, after: int = 0
) -> Sequence[Record] | None:
    """The chain to name: of the deepest process, the first that no rule spoke on and that only repeats no known one.

    What comes before line `after` does not count, nor does what its process left behind, nor the noise of a stop.
    """
    spoken = {id(record) for record in known}
    said = [record.message for record in known if record.message]
    candidates = [
        chain
        for chain in chains
        if _counts(chain, life, after) and not any(id(record) in spoken or _repeats(record, said) for record in chain)
    ]
    return min(
        candidates,
        key=lambda chain: (says_nothing(chain), _DEPTH.get(chain[0].role, 2), chain[0].first_line),
        default=None,
    )


def has_failure(chains: Sequence[Sequence[Record]], life: Life) -> bool:
    """Whether any exception, known or not, was not overcome."""
    return any(_counts(chain, life, life.overcome_line) for chain in chains)


def is_of_request(chain: Sequence[Record]) -> bool:
    """Whether an exception was raised while the API server handled a request; it also runs a model's own processor."""
    frames = [frame for record in chain for frame in record.frames]
    return any(frame.function in _HANDLERS for frame in frames) and not any(
        "/worker/" in frame.file or frame.file.endswith("/engine/core.py") for frame in frames
    )


def _counts(chain: Sequence[Record], life: Life, after: int) -> bool:
    first = chain[0].first_line
    if first <= after or (life.stopped and first >= life.stop_line) or life.progressed(chain[-1]):
        return False
    return not all(record.exception in _NO_FAILURE for record in chain)


def _repeats(record: Record, said: Sequence[str]) -> bool:
    return bool(record.message) and any(words in record.message or record.message in words for words in said)


def says_nothing(chain: Sequence[Record]) -> bool:
    """Tracebacks that were cut before they said what was raised come last: that something failed is all they tell."""
    return not any(record.exception or record.message for record in chain)


def finding_of(chain: Sequence[Record], facts: Facts, severity: str) -> Finding:
    """The finding for a chain of exceptions that no rule knows."""
    inner = next((record for record in chain if record.exception), chain[0])
    frame = _telling_frame(inner.frames)
    values = {
        "exception": inner.exception or inner.lines[0].text.strip()[:80] or "?",
        "message": _short(inner.message),
        "where": f"{frame.file.rpartition('/')[2]}:{frame.line} {frame.function}" if frame else "?",
        "release": fact_text(facts, "vllm") or "?",
    }
    cut = says_nothing(chain)
    why = both("unrecognized.why" if frame and not cut else "unrecognized.why_no_frame", **values)
    if len(chain) > 1 and chain[-1].exception:
        more = both("unrecognized.chain", last=f"{chain[-1].exception}: {_short(chain[-1].message)}")
        why = joined(why, more)
    return Finding(
        rule=UNRECOGNIZED,
        role="warning" if severity == "notice" else "cause",
        severity=severity,
        confidence="unverified",
        title=both("unrecognized.title_cut" if cut else "unrecognized.title", **values),
        why=why,
        evidence=tuple(line for record in chain[:_MAX_CHAIN] for line in _raised_lines(record)),
        fixes=(Fix(both("unrecognized.look")),),
        process=inner.process,
        leads=_leads(chain, facts) if severity != "notice" else (),
    )


def finding_of_line(record: Record, facts: Facts) -> Finding:
    """The finding for a line that says that something died, where no rule knows why."""
    values = {"said": _short(record.message or record.lines[0].text), "release": fact_text(facts, "vllm") or "?"}
    return Finding(
        rule=UNRECOGNIZED,
        role="cause",
        severity="fatal",
        confidence="unverified",
        title=both("unrecognized.title_line", **values),
        why=both("unrecognized.why_no_frame", **values),
        evidence=record.lines[:1],
        fixes=(Fix(both("unrecognized.look")),),
        process=record.process,
        leads=_leads([record], facts),
    )


def _leads(chain: Sequence[Record], facts: Facts) -> tuple[Lead, ...]:
    """Where to look. A server that is up needs none for a request that failed: the request is the likelier reason."""
    from qvl_doctor.diagnose.leads import leads_of  # its tables are large, and most logs need none

    return leads_of(chain, facts)


def complaint_of(records: Iterable[Record]) -> Record | None:
    """The record in which someone says that something failed, without an exception and without a log.

    Its message is that.
    """
    said = [(record, line.text) for record in records for line in record.lines]
    for pattern in (_COMPLAINT, _FAILURE_WORDS):
        for record, text in said:
            if pattern.search(text):
                body = _BODY.search(text)
                line = record.lines[0]._replace(text=text)
                return record._replace(lines=(line,), message=body[1] if body else text.strip(" #*->`"))
    return None


def _telling_frame(frames: Sequence[Frame]) -> Frame | None:
    """The innermost frame in vLLM's own code: torch's and Python's say less about what vLLM was doing."""
    return next((frame for frame in reversed(frames) if "/vllm/" in frame.file), frames[-1] if frames else None)


def _raised_lines(record: Record) -> tuple[Line, ...]:
    if not record.exception:
        return record.lines[-1:]
    start = next(
        (
            index
            for index in range(len(record.lines) - 1, -1, -1)
            if record.lines[index].text.startswith(record.exception)
        ),
        -1,
    )
    return record.lines[start : start + 2] if start >= 0 else record.lines[-1:]


def _short(text: str, limit: int = 200) -> str:
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
