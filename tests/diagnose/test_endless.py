"""Logs that never end: what a server says for days takes no more memory, and what comes last still counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from program import RULES

from qvl_doctor.diagnose.engine import MAX_HITS, Diagnosing
from qvl_doctor.diagnose.matching import thinned
from qvl_doctor.diagnose.unrecognized import FailureLog
from qvl_doctor.logs.records import LogReader, read_records
from qvl_doctor.model import Condition, Diagnosis, Hit, Line, Record, Rule

READY = "INFO 12-01 10:00:00 [launcher.py:28] Route: /v1/chat/completions, Methods: POST\nINFO:     Application startup complete.\n"
REFUSED = "ERROR 12-01 {:02}:{:02}:{:02} [serving_chat.py:257] ValueError: At most 1 image(s) may be provided in one prompt.\n"
DEATH = """\
(EngineCore_DP0 pid=12) ERROR 12-02 10:00:00 [core.py:710] EngineCore encountered a fatal error.
(EngineCore_DP0 pid=12) ERROR 12-02 10:00:00 [core.py:710] Traceback (most recent call last):
(EngineCore_DP0 pid=12) ERROR 12-02 10:00:00 [core.py:710]   File "/v/vllm/v1/engine/core.py", line 701, in run_engine_core
(EngineCore_DP0 pid=12) ERROR 12-02 10:00:00 [core.py:710]     engine_core.run_busy_loop()
(EngineCore_DP0 pid=12) ERROR 12-02 10:00:00 [core.py:710] {raised}
(APIServer pid=1) ERROR 12-02 10:00:01 [async_llm.py:480] AsyncLLM output_handler failed.
(APIServer pid=1) INFO 12-02 10:00:02 [launcher.py:100] Shutting down FastAPI HTTP server.
"""
KNOWN = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of "
    "which 1.00 GiB is free."
)
STRANGE = "MoonPhaseError: the moon is in the wrong phase"


def refusals(count: int) -> Iterator[str]:
    for second in range(count):
        yield REFUSED.format(second // 3600, second // 60 % 60, second % 60)


def diagnosis(*texts: str) -> Diagnosis:
    engine, reader = Diagnosing(RULES), LogReader()
    for text in texts:
        engine.feed(reader.feed(text.encode()))
    engine.feed(reader.flush())
    return engine.finish("-")


@pytest.mark.parametrize("raised", [KNOWN, STRANGE])
def test_a_death_after_thousands_of_refusals_is_the_one_that_a_short_log_has(raised: str) -> None:
    death = DEATH.format(raised=raised)
    short = diagnosis(READY, *refusals(3), death)
    long = diagnosis(READY, *refusals(MAX_HITS * 2), death)
    assert long.verdict == short.verdict == "failed"
    assert [finding.rule for finding in long.findings] == [finding.rule for finding in short.findings]
    assert long.findings[0].title == short.findings[0].title
    assert max(finding.times for finding in long.findings) == MAX_HITS * 2


def test_what_is_kept_of_a_server_that_is_refused_for_days() -> None:
    engine, reader = Diagnosing(RULES), LogReader()
    for text in (READY, *refusals(3 * MAX_HITS)):
        engine.feed(reader.feed(text.encode()))
    watch = engine._watch  # noqa: SLF001 — how much it keeps is what is asked
    assert len(watch.hits) <= MAX_HITS
    assert len(watch.failures.chains) <= FailureLog.LIMIT


def hit(rule: str, line: int, times: int = 1) -> Hit:
    record = Record((Line(line, "x"),), "x")
    return Hit(Rule(rule, "notice", {}, {}, (), ()), Condition(), record, {}, (), times=times)


def lines(hits: list[Hit], rule: str) -> list[int]:
    return [each.record.first_line for each in hits if each.rule.id == rule and each.record]


def test_of_many_hits_the_first_and_the_last_are_kept_and_all_are_counted() -> None:
    hits = [hit("often" if line % 100 else "seldom", line) for line in range(1, 1001)]
    kept = thinned(hits)
    assert lines(kept, "seldom") == [*range(100, 1001, 100)]
    often = [line for line in range(1, 1001) if line % 100]
    assert lines(kept, "often") == often[:50] + often[-50:]
    assert sum(each.times for each in kept if each.rule.id == "often") == len(often)
    assert [each.record.first_line for each in kept if each.record] == sorted(
        lines(kept, "often") + lines(kept, "seldom")
    )
    again = thinned(kept + [hit("often", line) for line in range(1001, 1101)])
    assert sum(each.times for each in again if each.rule.id == "often") == len(often) + 100
    assert lines(again, "often")[-1] == 1100


def test_exceptions_that_nobody_knows_are_bounded_and_the_last_ones_stay() -> None:
    log = FailureLog()
    records = [
        record for number in range(FailureLog.LIMIT * 3) for record in read_records(f"StrangeError: number {number}")
    ]
    for record in records:
        log.feed(record)
    assert len(log.chains) == FailureLog.LIMIT
    assert log.chains[0][0] is records[0]
    assert log.chains[-1][0] is records[-1]
    log.forget({id(records[0])})
    assert len(log.chains) == FailureLog.LIMIT - 1
    for record in records:
        log.feed(record._replace(chained=True))
    assert len(log.chains[-1]) == FailureLog.LONGEST
