"""What proves life and what proves death: each mark of the table before and after each other kind."""

from __future__ import annotations

import pytest
from milestone_samples import SAMPLES

from qvl_doctor.diagnose.life import Life, life_of
from qvl_doctor.logs.records import read_records

UP = "INFO:     Application startup complete."
ANSWER = 'INFO:     10.0.0.5:40402 - "POST /v1/chat/completions HTTP/1.1" 200 OK'
DEAD = "ERROR 02-16 10:03:00 [core.py:1584] EngineCore encountered a fatal error."
GONE = (
    "ERROR 02-16 10:03:00 [core_client.py:564] Engine core proc EngineCore_DP0 died unexpectedly, shutting down client."
)
ASKED = "INFO 02-16 10:03:01 [launcher.py:99] Shutting down FastAPI HTTP server."
LATER = "INFO 02-16 10:04:00 [x.py:1] something"


def life(*lines: str) -> Life:
    return life_of(list(read_records("\n".join(lines) + "\n")))


def lines(*kinds: str) -> list[str]:
    return [line for kind in kinds for _, line in SAMPLES[kind]]


@pytest.mark.parametrize("line", lines("death", "gone", "crash", "bound"))
def test_every_death_is_one_for_a_server_that_was_up(line: str) -> None:
    assert life(UP, line).dead
    assert life(ANSWER, line).dead
    assert life(line).dead


@pytest.mark.parametrize("line", lines("activity", "fault", "told", "stopping", "engine", "listening", "step"))
def test_what_ends_no_death(line: str) -> None:
    """Statistics, other routes, errors, the shutdown that follows, steps of a start-up."""
    assert life(UP, DEAD, line, LATER, line).dead
    assert life(UP, GONE, line, LATER, line).dead


@pytest.mark.parametrize("line", lines("ready"))
def test_a_new_ready_mark_ends_a_death(line: str) -> None:
    assert not life(UP, DEAD, line).dead
    assert life(UP, DEAD, line, DEAD).dead


@pytest.mark.parametrize("line", lines("answer"))
def test_an_answer_ends_a_death_only_if_it_was_given_after_it(line: str) -> None:
    """The server says 200 to what streams before it knows of the death, for as long as it does not look."""
    assert life(UP, DEAD, line).dead
    assert life(UP, DEAD, "INFO 02-16 10:03:04 [x.py:1] something", line).dead
    assert life(UP, DEAD, LATER, line).dead == ("HTTP" not in line)  # a progress bar is shown once more
    assert life(UP, line, DEAD).dead
    assert life(UP, DEAD, LATER, line, DEAD).dead


def test_without_times_several_answers_are_needed() -> None:
    fatal = "Fatal Python error: Segmentation fault"
    assert life(UP, fatal, ANSWER).dead
    assert life(UP, fatal, ANSWER, ANSWER).dead
    assert not life(UP, fatal, ANSWER, ANSWER, ANSWER).dead


@pytest.mark.parametrize("line", lines("asked", "early"))
def test_deaths_after_a_stop_that_was_asked_for_are_its_noise(line: str) -> None:
    for death in lines("death", "gone", "crash"):
        assert not life(UP, line, death).dead, death
        assert life(UP, line, death).stopped, death


@pytest.mark.parametrize(
    ("kinds", "quoted"),
    [
        (("told", "asked"), 1), (("stopping", "early"), 1), (("asked", "early"), 0), (("asked", "told"), 0),
        (("told", "stopping"), 0), (("told", "stopping", "asked"), 2), (("early", "stopping"), 0),
    ],
)  # fmt: skip
def test_which_line_of_a_stop_is_quoted(kinds: tuple[str, ...], quoted: int) -> None:
    """The first, but one that says who asked for it."""
    said = [lines(kind)[0] for kind in kinds]
    stop = life(UP, *said).stop
    assert stop is not None
    assert stop.first_line == 2 + quoted


def test_a_stop_that_nobody_asked_for_hides_no_death_but_that_of_its_engine() -> None:
    stops = "INFO:     Shutting down"
    assert life(UP, stops, DEAD).dead
    assert not life(UP, stops, GONE).dead
    assert life(UP, DEAD, ASKED).dead


def test_ctrl_c_may_end_the_engine_before_the_server_hears_of_it() -> None:
    assert not life(UP, GONE, ASKED).dead
    assert life(UP, GONE, ASKED).stopped
    assert life(UP, GONE, ASKED.replace("10:03:01", "10:04:01")).dead
    assert life(UP, GONE, DEAD, ASKED).dead


@pytest.mark.parametrize("line", lines("told"))
def test_an_engine_that_was_told_to_stop_dies_no_death_but_its_program_may(line: str) -> None:
    for death in lines("death", "gone"):
        assert not life(UP, line, death).dead, death
    for crash in lines("crash"):
        assert life(UP, line, crash).dead, crash


@pytest.mark.parametrize("line", lines("fault"))
def test_a_server_that_fails_on_requests_came_up_but_proves_nothing(line: str) -> None:
    assert life(line).came_up
    assert not life(line).was_up


def test_stop_before_it_was_ready() -> None:
    start = "INFO 02-16 10:02:00 [api_server.py:1] vLLM API server version 0.11.0"
    assert life(start, ASKED).interrupted
    assert life(start, ASKED).ran_s == 61.0
    assert not life(start, UP, ASKED).interrupted
    assert not life(start, DEAD, ASKED).interrupted
    assert not life(ASKED).interrupted  # a tail: it may have served
    assert life("KeyboardInterrupt: terminated").interrupted  # said only before it listens
    listening = "INFO 02-16 10:02:30 [api_server.py:500] Starting vLLM API server 0 on http://0.0.0.0:8000"
    assert not life(start, listening, ASKED).interrupted  # uvicorn may have been told to be quiet


def test_an_error_that_its_process_left_behind() -> None:
    worker = "(Worker_TP0 pid=7) "
    failed = worker + "ERROR 02-16 10:03:00 [x.py:1] ValueError: no such kernel"
    step = "INFO 02-16 10:03:09 [x.py:1] Model loading took 4.2530 GiB and 1.175218 seconds"
    record = next(iter(read_records(failed)))
    assert life(failed, worker + step).progressed(record)
    assert not life(worker + step, worker + LATER, failed).progressed(next(iter(read_records("\n\n" + failed))))
    assert not life(failed, "(Worker_TP1 pid=8) " + step).progressed(record)
    line = "ERROR 02-16 10:03:00 [config.py:29] Failed to import Triton kernels."
    assert life(line, step).progressed(next(iter(read_records(line))))
    assert not life(line).progressed(next(iter(read_records(line))))


@pytest.mark.parametrize("line", lines("activity"))
def test_a_server_that_is_active_had_come_up(line: str) -> None:
    assert life(line).was_up


def test_a_program_without_server_has_worked_when_its_engine_is_told_to_stop() -> None:
    engine = "INFO 02-16 10:03:00 [core.py:413] init engine (profile, create kv cache, warmup model) took 4.04 s"
    stop = "INFO 02-16 10:03:09 [core.py:1525] [shutdown] EngineCore: trigger received signal=SIGTERM"
    assert life(engine, stop).worked
    assert not life(stop).worked
    assert not life(engine, DEAD, stop).worked
    assert not life("(APIServer pid=1) INFO 02-16 10:02:00 [utils.py:1] args: x", engine, stop).worked


def test_a_port_that_was_taken_makes_ready_untrue() -> None:
    taken = "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use"
    assert life(UP, taken).dead
    assert not life(UP, taken).was_up
