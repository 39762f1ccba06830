"""A log that is followed: what is told while it comes, what ends it, and the report, which is that of the whole log.

The clock is a fake: silences take no time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from program import RULES

from qvl_doctor.logs.growing import Growing
from qvl_doctor.model import Diagnosis
from qvl_doctor.report.as_json import as_dict
from qvl_doctor.workflows import following, log
from qvl_doctor.workflows.following import QUIET_S, Following, Said

FAILED, HEALTHY = "failed/0.11.0-lora-rank.log", "healthy/0.11.0-healthy-vl.log"
#: What comes, in this order: bytes, or a silence of so many seconds.
Script = Sequence["bytes | float"]
READY = b"INFO 12-01 10:00:00 [launcher.py:28] Route: /v1/chat/completions, Methods: POST\nINFO:     Application startup complete.\n"
REFUSED = (
    "ERROR 12-01 10:00:{:02} [serving_chat.py:257] ValueError: At most 1 image(s) may be provided in one prompt.\n"
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Scripted(Growing):
    """An input as it is written here; it has an end only if the script has."""

    def __init__(self, script: Script, clock: Clock) -> None:
        super().__init__("-")
        self.rest = list(script)
        self._clock = clock

    def wait(self, seconds: float) -> bytes | None:
        if not self.rest:
            return None
        first = self.rest.pop(0)
        if isinstance(first, bytes):
            return first
        if first > seconds:
            self.rest.insert(0, first - seconds)
        self._clock.now += min(first, seconds)
        return b""


class Seen(NamedTuple):
    diagnosis: Diagnosis
    told: list[Said]
    #: The seconds that it took, and what was not read.
    took: float
    rest: list[bytes | float]


def follow(script: Script, until: str = "", timeout_s: float | None = None, ignore: tuple[str, ...] = ()) -> Seen:
    clock, told = Clock(), list[Said]()
    source = Scripted(script, clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(following, "growing", lambda *_: source)
        patch.setattr(following, "time", clock)
        how = Following(told.append, ignore, until, timeout_s)
        found = log.diagnose("-", rules=RULES, ignore=ignore, follow=how)
    return Seen(found, told, clock.now - 1000, source.rest)


def torn(data: bytes, seed: int) -> list[bytes | float]:
    """The same in pieces of any size, with silences anywhere, in lines as well."""
    chance = random.Random(seed)  # noqa: S311 — no secret
    script: list[bytes | float] = []
    at = 0
    while at < len(data):
        size = chance.choice((1, 40, 200, 1000, 5000))
        script.append(data[at : at + size])
        if chance.random() < 0.3:
            script.append(chance.choice((0.01, 0.06, 2.0)))
        at += size
    return script


def logs_of(fixtures: Path) -> list[Path]:
    return [path for path in sorted(fixtures.glob("*/*.log")) if path.stat().st_size < 100_000]


@pytest.mark.parametrize("share", range(3))
def test_the_report_is_that_of_the_whole_log_however_it_comes(share: int, fixtures: Path) -> None:
    for path in logs_of(fixtures)[share::15]:
        seen = follow(torn(path.read_bytes(), share))
        whole = log.diagnose(str(path), rules=RULES)
        assert as_dict(seen.diagnosis._replace(source=str(path))) == as_dict(whole), path
        findings = [said for said in seen.told if said.kind == "finding" and said.times == 1]
        lines = [said.line for said in findings]
        assert len(lines) == len(set(lines)), path
        assert {said.rule for said in findings} <= {finding.rule for finding in whole.findings}, path


@pytest.mark.slow
def test_the_same_for_every_whole_log(fixtures: Path) -> None:
    for seed, path in enumerate(logs_of(fixtures)):
        seen = follow(torn(path.read_bytes(), seed))
        assert as_dict(seen.diagnosis._replace(source=str(path))) == as_dict(log.diagnose(str(path), rules=RULES)), path


# ---- What is told


def test_the_last_record_before_a_silence_is_told_in_it() -> None:
    record = REFUSED.format(1).encode()
    assert [said.line for said in follow([READY, record, QUIET_S, 0.2, READY]).told if said.rule] == [3]
    quick = follow([READY, record, QUIET_S / 2, READY])
    assert [said.line for said in quick.told if said.rule] == [3]  # once, when the next record closes it
    assert not [said.line for said in follow([READY, record, QUIET_S / 2]).told if said.rule]  # the report says it


def test_a_line_in_two_pieces_is_one_line() -> None:
    line = REFUSED.format(1).encode()
    seen = follow([READY, line[:60], 3.0, line[60:], 0.1, READY, line])
    (first,) = [said for said in seen.told if said.rule]
    assert (first.line, first.text) == (3, "At most 1 image(s) may be provided in one prompt.")
    assert seen.diagnosis.findings[0].evidence[0].number == 3
    assert seen.diagnosis.findings[0].times == 2


def test_a_traceback_in_two_pieces_is_one_record(fixtures: Path) -> None:
    data = (fixtures / FAILED).read_bytes()
    middle = data.index(b"    peft_helper.validate_legal")
    seen = follow([data[:middle], 3.0, data[middle:]])
    assert [(said.kind, said.line) for said in seen.told] == [("finding", 69), ("dead", 101)]


def test_repetitions_are_counted() -> None:
    script: Script = [part for second in range(60) for part in (REFUSED.format(second).encode(), 0.06)]
    seen = follow([READY, *script, *script])
    assert [(said.line, said.times) for said in seen.told if said.rule] == [(3, 1), (12, 10), (102, 100)]
    assert next(each.times for each in seen.diagnosis.findings if each.evidence[0].number == 3) == 120


def test_what_is_ignored_is_not_told() -> None:
    script: Script = [READY, REFUSED.format(1).encode(), 0.1]
    (rule,) = {said.rule for said in follow(script).told if said.rule}
    assert not [said for said in follow(script, ignore=(rule,)).told if said.rule]


def test_a_rule_whose_facts_do_not_hold_is_not_told(fixtures: Path) -> None:
    """Of the rules on one line only the one that the report has speaks: others match its words, too."""
    seen = follow([(fixtures / FAILED).read_bytes()])
    assert [said.rule for said in seen.told if said.rule] == [seen.diagnosis.findings[0].rule]


def test_a_crash_loop_tells_of_each_death_and_counts_the_cause(fixtures: Path) -> None:
    data = (fixtures / FAILED).read_bytes()
    seen = follow([data, 2.0] * 3)
    assert [said.kind for said in seen.told] == ["finding", "dead", "dead", "dead"]


# ---- What ends it


def test_ready_ends_it_when_it_is_said() -> None:
    seen = follow([b"INFO 12-01 09:59:00 [api.py:1] vLLM API server version 0.11.0\n", 30.0, READY, 600.0], "ready")
    assert seen.told[-1] == Said("ready", 3)
    assert 30 < seen.took < 30.2
    assert seen.diagnosis.verdict == "healthy"


def test_a_death_ends_it_when_all_was_said(fixtures: Path) -> None:
    data = (fixtures / FAILED).read_bytes()
    crash = data.index(b"Traceback", data.index(b"raise ValueError(f"))
    for until in ("ready", "dead"):
        seen = follow([data[:crash], 0.5, data[crash:], 600.0], until)
        assert seen.diagnosis.verdict == "failed"
        assert seen.rest[0] == pytest.approx(599, abs=0.3)
    assert follow([data, 10.0]).took == pytest.approx(10)  # nothing was waited for


def test_a_server_that_starts_again_at_once_is_not_dead(fixtures: Path) -> None:
    failed, healthy = (fixtures / FAILED).read_bytes(), (fixtures / HEALTHY).read_bytes()
    up = healthy[: healthy.index(b"Application startup complete") + 40]
    seen = follow([failed, 0.3, up, 600.0], "ready")
    assert seen.told[-1].kind == "ready"
    assert seen.diagnosis.verdict == "healthy"


def test_an_old_start_in_the_file_is_not_the_server_of_now(fixtures: Path) -> None:
    failed, healthy = (fixtures / FAILED).read_bytes(), (fixtures / HEALTHY).read_bytes()
    up = healthy[: healthy.index(b"Application startup complete") + 40]
    assert follow([up, failed, 600.0], "ready").diagnosis.verdict == "failed"


def test_a_server_that_is_never_silent_is_ready_all_the_same() -> None:
    answers: list[bytes | float] = [b'INFO:     1.2.3.4:5 - "POST /v1/completions HTTP/1.1" 200 OK\n', 0.02] * 100
    seen = follow([READY, *answers], "ready")
    assert seen.took == pytest.approx(1.0, abs=0.1)


def test_one_pod_that_starts_keeps_the_others_waiting() -> None:
    def of(pod: str, text: bytes) -> bytes:
        return b"".join(f"[pod/{pod}/vllm] ".encode() + line for line in text.splitlines(keepends=True))

    start = (
        b"INFO 12-01 09:59:00 [api_server.py:1] vLLM API server version 0.11.0\n"
        b"INFO 12-01 09:59:09 [gpu_model_runner.py:1] Starting to load model Qwen/Qwen2.5-VL-7B-Instruct...\n"
    )
    script: Script = [of("a", start), of("b", start), of("a", READY), 60.0, of("b", READY), 600.0]
    seen = follow(script, "ready")
    assert 60 < seen.took < 61.5
    assert seen.told[-1].origin in {"a/vllm", "b/vllm"}


def test_a_time_ends_it() -> None:
    assert follow([READY, 600.0], timeout_s=7.5).took == pytest.approx(7.5)
    assert follow([READY, 600.0], "dead", timeout_s=7.5).took == pytest.approx(7.5)
