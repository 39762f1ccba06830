"""A server that refuses: what is counted, when that is all it does, and when it is only worth a remark."""

from __future__ import annotations

import pytest
from program import RULES

from qvl_doctor.diagnose.engine import diagnose
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Diagnosis

READY = "INFO 02-16 10:00:00 [x.py:1] Available routes are:\nINFO:     Application startup complete.\n"
ANSWER = 'INFO:     10.0.0.5:40402 - "POST /v1/chat/completions HTTP/1.1" 200 OK\n'
REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    422: "Unprocessable Entity",
    500: "Internal Server Error",
}


def refused(status: int, route: str = "/v1/chat/completions", method: str = "POST") -> str:
    return f'INFO:     10.0.0.5:40402 - "{method} {route} HTTP/1.1" {status} {REASONS[status]}\n'


def look(*parts: str) -> Diagnosis:
    return diagnose(read_records("".join(parts)), RULES)


def found(seen: Diagnosis) -> list[tuple[str, str]]:
    return [(each.rule, each.severity) for each in seen.findings]


@pytest.mark.parametrize("ready", [READY, ""])
@pytest.mark.parametrize(
    ("status", "fix"), [(400, "max_tokens"), (422, "max_tokens"), (401, "Authorization"), (404, "GET /v1/models")]
)
def test_a_server_that_refuses_everything(status: int, fix: str, ready: str) -> None:
    seen = look(ready, refused(status) * 200)
    assert seen.verdict == "degraded"
    assert seen.facts["refused"].value == 200
    first = seen.findings[0]
    assert (first.rule, first.role) in {("all-requests-refused", "cause"), ("api-key-wrong", "cause")}
    assert any(fix in each.text["en"] for finding in seen.findings for each in finding.fixes)


def test_the_limit_between_some_and_all() -> None:
    assert found(look(READY, refused(400) * 19)) == [("requests-refused", "notice")]
    assert found(look(READY, refused(400) * 20)) == [("all-requests-refused", "degraded")]
    assert found(look(READY, refused(400) * 20, ANSWER)) == [("requests-refused", "notice")]
    assert look(READY, refused(400)).verdict == "healthy"
    assert look(refused(400)).verdict == "unknown"


def test_what_is_counted() -> None:
    facts = look(
        READY,
        refused(400) * 3,
        refused(404, "/v1/embeddings") * 2,
        refused(404, "/favicon.ico", "GET") * 9,
        refused(401, "/v1/models", "GET"),
        "INFO 02-16 10:02:00 [x.py:1] two minutes later\n",
    ).facts
    wanted = {
        "refused": 5,
        "refused_route": "/v1/chat/completions",
        "refused_status": "400",
        "refused_most": 3,
        "answered": "no",
        "refused_per_min": 2.5,
    }
    assert {name: facts[name].value for name in wanted} == wanted
    assert "refused" not in look(READY, ANSWER, refused(500)).facts


def test_routes_of_a_scanner_take_bounded_memory() -> None:
    seen = look(READY, *(refused(404, f"/x{number}/v1/completions") for number in range(2000)))
    assert seen.facts["refused"].value <= 300


def test_a_reason_that_is_known_stands_alone() -> None:
    limit = "ERROR 02-16 10:00:00 [serving_chat.py:1] ValueError: At most 1 image(s) may be provided in one request.\n"
    assert found(look(READY, ANSWER, limit, refused(400))) == [("mm-limit-exceeded", "notice")]


def test_a_500_after_its_traceback_is_not_guessed_about() -> None:
    lines = (
        "Traceback (most recent call last):",
        '  File "/x/vllm/entrypoints/openai/a.py", line 1, in create_completion',
    )
    traceback = "".join(f"ERROR 02-16 10:00:00 [x.py:1] {line}\n" for line in (*lines, "KeyError: 'x'"))
    assert found(look(READY, ANSWER, traceback, refused(500))) == [("unrecognized-failure", "notice")]
    assert found(look(READY, ANSWER, refused(500))) == [("http-500", "notice")]
    assert found(look(READY, ANSWER, traceback, ANSWER * 5, refused(500)))[0] == ("http-500", "notice")
