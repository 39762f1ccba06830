"""From records to a verdict.

The cause first, its consequences as symptoms, nothing invented, nothing loud about a healthy server.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from qvl_doctor.diagnose import Diagnosing, diagnose
from qvl_doctor.diagnose.verdict import without
from qvl_doctor.logs.records import LogReader, read_records
from qvl_doctor.model import Condition, Diagnosis, Fact, FixTemplate, Rule
from qvl_doctor.patterns import literals


def rule(name: str, message: str, severity: str = "fatal", **more: object) -> Rule:
    facts = more.pop("facts", {})
    condition = Condition(message=message, literals=literals(message) if message else (), facts=facts)  # type: ignore[arg-type]
    words = {"en": f"{name} happened.", "zh": f"发生了 {name}。"}
    fix = FixTemplate(text={"en": f"Mend {name}.", "zh": f"修复 {name}。"})
    return Rule(id=name, severity=severity, title=words, why=words, match=(condition,), fixes=(fix,), **more)  # type: ignore[arg-type]


KV = rule("kv-too-small", r"larger than the available KV cache memory")
ENGINE = rule("engine-failed", r"Engine core initialization failed", symptom=True)
DEAD = rule("engine-dead", r"EngineCore encountered an issue", symptom=True)
WORST = rule("worst-case", r"too short to hold the multi-modal embeddings", severity="degraded")
LIMIT = rule("too-many-images", r"At most \d+ image\(s\) may be provided", severity="notice")
RULES = (KV, ENGINE, DEAD, WORST, LIMIT)

BANNER = "(APIServer pid=1) INFO 02-16 10:03:00 [api_server.py:1839] vLLM API server version 0.11.0\n"
READY = "(APIServer pid=1) INFO:     Application startup complete.\n"
KV_FAILURE = (
    "(EngineCore_DP0 pid=2) ERROR 02-16 10:03:20 [core.py:708] EngineCore failed to start.\n"
    "(EngineCore_DP0 pid=2) ERROR 02-16 10:03:20 [core.py:708] Traceback (most recent call last):\n"
    '(EngineCore_DP0 pid=2) ERROR 02-16 10:03:20 [core.py:708]   File "/p/vllm/v1/core/kv_cache_utils.py", line 699, in check\n'
    "(EngineCore_DP0 pid=2) ERROR 02-16 10:03:20 [core.py:708] ValueError: 2.0 GiB is needed, "
    "which is larger than the available KV cache memory (1.0 GiB).\n"
)
ENGINE_FAILED = (
    "(APIServer pid=1) Traceback (most recent call last):\n"
    '(APIServer pid=1)   File "/p/vllm/v1/engine/utils.py", line 785, in wait_for_engine_startup\n'
    "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n"
)
UNKNOWN = (
    "(EngineCore_DP0 pid=2) Traceback (most recent call last):\n"
    '(EngineCore_DP0 pid=2)   File "/p/vllm/v1/worker/lantern.py", line 7, in light\n'
    "(EngineCore_DP0 pid=2) KeyError: 'wick'\n"
    "\n"
    "(EngineCore_DP0 pid=2) During handling of the above exception, another exception occurred:\n"
    "\n"
    "(EngineCore_DP0 pid=2) Traceback (most recent call last):\n"
    '(EngineCore_DP0 pid=2)   File "/p/vllm/v1/engine/core.py", line 9, in run\n'
    "(EngineCore_DP0 pid=2) RuntimeError: no light\n"
)
DEATH = (
    "(APIServer pid=1) ERROR 02-16 11:00:00 [async_llm.py:480] Traceback (most recent call last):\n"
    '(APIServer pid=1) ERROR 02-16 11:00:00 [async_llm.py:480]   File "/p/vllm/v1/engine/core_client.py", line 846, in get_output\n'
    "(APIServer pid=1) ERROR 02-16 11:00:00 [async_llm.py:480] vllm.v1.engine.exceptions.EngineDeadError: "
    "EngineCore encountered an issue. See stack trace (above) for the root cause.\n"
)
REQUEST = (
    "(APIServer pid=1) ERROR 02-16 10:10:00 [serving_chat.py:257] Traceback (most recent call last):\n"
    '(APIServer pid=1) ERROR 02-16 10:10:00 [serving_chat.py:257]   File "/p/vllm/entrypoints/chat_utils.py", line 5, in add\n'
    "(APIServer pid=1) ERROR 02-16 10:10:00 [serving_chat.py:257] ValueError: At most 1 image(s) may be provided in one request.\n"
)


def look(log: str, rules: Sequence[Rule] = RULES, **known: Fact) -> Diagnosis:
    return diagnose(read_records(log), rules, "pod.log", known)


def roles(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    return [(finding.rule, finding.role) for finding in diagnosis.findings]


def test_cause_comes_first_and_its_consequence_is_a_symptom_whatever_the_order_of_the_pipes() -> None:
    for log in (BANNER + KV_FAILURE + ENGINE_FAILED, BANNER + ENGINE_FAILED + KV_FAILURE):
        diagnosis = look(log)
        assert diagnosis.verdict == "failed"
        assert roles(diagnosis) == [("kv-too-small", "cause"), ("engine-failed", "symptom")]
        assert diagnosis.summary["en"] == "kv-too-small happened."


def test_a_symptom_alone_is_the_finding() -> None:
    assert roles(look(BANNER + ENGINE_FAILED)) == [("engine-failed", "cause")]


def test_explained_rule_is_a_symptom_even_in_a_deeper_process() -> None:
    cause = rule("cause", r"Engine core initialization failed", explains=("kv-too-small",))
    assert roles(look(BANNER + KV_FAILURE + ENGINE_FAILED, (KV, cause))) == [
        ("cause", "cause"),
        ("kv-too-small", "symptom"),
    ]


def test_unknown_failure_is_named_by_its_innermost_exception_and_gets_no_invented_fix() -> None:
    diagnosis = look(BANNER + UNKNOWN + ENGINE_FAILED)
    first, second = diagnosis.findings
    assert (first.rule, first.role, first.severity, first.confidence) == (
        "unrecognized-failure",
        "cause",
        "fatal",
        "unverified",
    )
    assert first.title["en"] == "KeyError: 'wick'"
    assert "lantern.py" in first.why["en"]
    assert "no light" in first.why["en"]
    assert "0.11.0" in first.why["en"]
    assert [dict(fix.change) for fix in first.fixes] == [{}]
    assert (second.rule, second.role) == ("engine-failed", "symptom")


def test_what_only_repeats_a_known_failure_is_no_unknown_one() -> None:
    again = ENGINE_FAILED.replace(
        "Engine core initialization failed.",
        "Worker said: 2.0 GiB is needed, which is larger than the available KV cache memory (1.0 GiB).",
    )
    assert roles(look(BANNER + KV_FAILURE + again)) == [("kv-too-small", "cause")]


def test_healthy_with_failed_requests_stays_healthy() -> None:
    diagnosis = look(BANNER + READY + REQUEST)
    assert diagnosis.verdict == "healthy"
    assert [(finding.rule, finding.severity) for finding in diagnosis.findings] == [("too-many-images", "notice")]
    unknown = look(BANNER + READY + REQUEST.replace("At most 1 image(s) may", "Lanterns may"))
    assert unknown.verdict == "healthy"
    assert [(finding.rule, finding.severity) for finding in unknown.findings] == [("unrecognized-failure", "notice")]


def test_what_went_wrong_before_the_server_became_ready_did_not_kill_it() -> None:
    diagnosis = look(BANNER + KV_FAILURE + READY)
    assert diagnosis.verdict == "healthy"
    assert [(finding.rule, finding.severity) for finding in diagnosis.findings] == [("kv-too-small", "notice")]


def test_engine_that_dies_while_serving() -> None:
    diagnosis = look(BANNER + READY + UNKNOWN + DEATH)
    assert diagnosis.verdict == "failed"
    assert roles(diagnosis) == [("unrecognized-failure", "cause"), ("engine-dead", "symptom")]
    assert diagnosis.facts["ended"].value == "abrupt"


def test_traceback_of_a_request_is_not_why_the_engine_died() -> None:
    request = REQUEST.replace("At most 1 image(s) may", "Lanterns may")
    diagnosis = look(BANNER + READY + request + DEATH)
    assert diagnosis.verdict == "failed"
    assert roles(diagnosis) == [("engine-dead", "cause"), ("unrecognized-failure", "warning")]


@pytest.mark.parametrize(
    "stop",
    [
        "(APIServer pid=1) INFO 02-16 10:59:59 [launcher.py:110] [shutdown] API server: shutdown triggered\n",
        "(APIServer pid=1) INFO:     Shutting down\n",
    ],
)
def test_clean_shutdown_is_no_failure_whatever_noise_it_makes(stop: str) -> None:
    diagnosis = look(BANNER + READY + stop + DEATH)
    assert (diagnosis.verdict, diagnosis.findings) == ("healthy", ())
    assert diagnosis.facts["ended"].value == "clean"


def test_death_before_the_shutdown_is_a_failure() -> None:
    assert look(BANNER + READY + DEATH + "(APIServer pid=1) INFO:     Shutting down\n").verdict == "failed"


def test_log_that_stops_is_unknown_and_says_what_to_look_at() -> None:
    diagnosis = look(
        BANNER + "(EngineCore_DP0 pid=2) INFO 02-16 10:03:05 [gpu_model_runner.py:2602] Starting to load model m...\n"
    )
    assert diagnosis.verdict == "unknown"
    assert diagnosis.facts["ended"].value == "cut off"
    assert any("weights" in text["en"] for text in diagnosis.not_checked)


def test_log_that_only_waits_is_stalled() -> None:
    wait = "(EngineCore_DP0 pid=2) INFO 02-16 10:{:02}:00 [shm_broadcast.py:466] No available shared memory broadcast block found in "
    wait += "60 seconds.\n"
    diagnosis = look(BANNER + "".join(wait.format(minute) for minute in range(4, 10)))
    assert diagnosis.verdict == "unknown"
    assert diagnosis.facts["stalled_s"].value == 360
    assert "6 minutes" in diagnosis.summary["en"]


def test_several_start_ups_are_several_runs_and_the_last_one_is_the_verdict() -> None:
    crash = BANNER + KV_FAILURE + ENGINE_FAILED
    diagnosis = look(crash * 14)
    assert [(run.verdict, run.cause) for run in diagnosis.runs] == [("failed", "kv-too-small")] * 14
    assert diagnosis.findings[0].times == 1
    diagnosis = look(crash + BANNER + READY)
    assert [run.verdict for run in diagnosis.runs] == ["failed", "healthy"]
    assert (diagnosis.verdict, diagnosis.findings) == ("healthy", ())


def test_one_finding_a_rule_however_often_it_speaks() -> None:
    workers = "".join(KV_FAILURE.replace("EngineCore_DP0 pid=2", f"Worker_TP{rank} pid={rank}") for rank in range(4))
    (finding,) = look(BANNER + workers).findings
    assert finding.times == 4
    assert len(finding.evidence) == 4


def test_most_conditions_win_a_record_and_before_settles_ties() -> None:
    plain = rule("plain", r"larger than the available KV cache memory")
    first = rule("first", r"larger than the available KV cache memory", before=("plain",))
    asked = rule("asked", r"larger than the available KV cache memory", facts={"engine": "V1"})
    assert [finding.rule for finding in look(BANNER + KV_FAILURE, (plain, first)).findings] == ["first"]
    assert [finding.rule for finding in look(BANNER + KV_FAILURE, (plain, asked), engine=Fact("V1")).findings] == [
        "asked"
    ]
    bare = "ValueError: 2.0 GiB is needed, which is larger than the available KV cache memory (1.0 GiB).\n"
    assert [finding.rule for finding in look(bare, (plain, asked), engine=Fact("V0")).findings] == ["plain"]


@pytest.mark.parametrize(
    ("range_", "release", "spoken"),
    [
        (">=0.8,<0.12", "0.11.0", "certain"),
        ("<0.10", "0.11.0", ""),
        (">=0.11.0", "0.11.0.dev3", "unverified"),
        (">=0.10", "0.11.0.dev3", "certain"),
    ],
)
def test_applies_compares_releases(range_: str, release: str, spoken: str) -> None:
    gated = rule("gated", r"larger than the available KV cache memory", applies={"vllm": range_})
    findings = [
        finding
        for finding in look(BANNER.replace("0.11.0", release) + KV_FAILURE, (gated,)).findings
        if finding.rule == "gated"
    ]
    assert [finding.confidence for finding in findings] == ([spoken] if spoken else [])


def test_unknown_release_speaks_unverified() -> None:
    gated = rule("gated", r"larger than the available KV cache memory", applies={"vllm": ">=0.8"})
    log = "ValueError: 2.0 GiB is needed, which is larger than the available KV cache memory (1.0 GiB).\n"
    assert look(log, (gated,)).findings[0].confidence == "unverified"


def test_degraded_server() -> None:
    warning = "WARNING 02-16 10:03:48 [profiling.py:187] 5120 is too short to hold the multi-modal embeddings in the worst case\n"
    diagnosis = look(BANNER + warning + READY)
    assert (diagnosis.verdict, roles(diagnosis)) == ("degraded", [("worst-case", "cause")])


def test_an_ignored_rule_leaves_and_the_verdict_stays() -> None:
    diagnosis = without(look(BANNER + KV_FAILURE + ENGINE_FAILED), ("kv-too-small", "engine-failed"))
    assert (diagnosis.verdict, diagnosis.findings) == ("failed", ())
    assert diagnosis.ignored == ("kv-too-small", "engine-failed")


def test_pieces_of_a_log_give_what_the_whole_gives() -> None:
    data = ((BANNER + KV_FAILURE + ENGINE_FAILED) * 3 + BANNER + READY + REQUEST).encode()
    whole = look(data.decode())
    for size in (7, 100, 1000):
        reader, engine = LogReader(), Diagnosing(RULES)
        for start in range(0, len(data), size):
            engine.feed(reader.feed(data[start : start + size]))
        engine.feed(reader.flush())
        pieced = engine.finish("pod.log")
        assert (roles(pieced), pieced.runs, pieced.verdict) == (roles(whole), whole.runs, whole.verdict)


def test_other_peoples_patterns_cannot_run_away() -> None:
    slow = rule("slow", r"(?:a+)+b", source="/elsewhere/slow.yaml")
    assert look("RuntimeError: " + "a" * 5000 + "\n", (slow,)).findings[0].rule == "unrecognized-failure"
