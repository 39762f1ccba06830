"""A user may quote any error: what stands in a logged prompt or answer changes no report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from milestone_samples import SAMPLES
from program import READ, RULES

from qvl_doctor.diagnose.engine import Diagnosing
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.logs.records import LogReader
from qvl_doctor.report.as_json import as_dict

FIXTURES = Path(__file__).parents[2] / "fixtures"
HEALTHY = sorted(FIXTURES.glob("healthy/*.log"))
MATCHER = Matcher(RULES)
#: How the releases log a request, and what the model said.
_HEAD = "INFO 02-16 10:59:00 [logger.py:41] "
_END = "params: SamplingParams(n=1), prompt_token_ids: None, lora_request: None, prompt_adapter_request: None."
FORMS = (
    _HEAD + "Received request chatcmpl-9: prompt: {}, " + _END,
    _HEAD + "Request chatcmpl-9 details: prompt: {}, prompt_token_ids: None, prompt_embeds shape: None.",
    "(APIServer pid=1) " + _HEAD + "Generated response chatcmpl-9: output: {}, finish_reason: stop",
)
QUOTED = [line for samples in SAMPLES.values() for _, line in samples] + [
    example.log.strip("\n") for rule in READ for example in rule.matches if example.log
]


def report(text: str) -> dict[str, Any]:
    """What a report says, but for the lines on which it was said."""
    reader, engine = LogReader(), Diagnosing(RULES, matcher=MATCHER)
    engine.feed(reader.feed(text.encode()) + reader.flush())
    found = as_dict(engine.finish("-"))
    for finding in found["findings"]:
        finding["evidence"] = [line["text"] for line in finding["evidence"]]
    for run in found["runs"]:
        del run["first_line"], run["last_line"]
    return found


def escaped(text: str) -> str:
    return repr(text)


def raw(text: str) -> str:
    return f"'{text}'"


def changed(log: Path, quoted: Sequence[str], form: str, quote: Any) -> bool:
    """Whether the report on a healthy log changes where requests are logged in it that quote these texts."""
    lines = log.read_text(encoding="utf-8").rstrip("\n").split("\n")
    at = max(number for number, line in enumerate(lines) if 'HTTP/1.1" 200' in line)
    requests = [form.format(quote(text)) for text in quoted]
    plain = [form.format(quote("once upon a time")) for _ in quoted]
    return report("\n".join([*lines[:at], *requests, *lines[at:]])) != report(
        "\n".join([*lines[:at], *plain, *lines[at:]])
    )


@pytest.mark.parametrize("quote", [escaped, raw])
@pytest.mark.parametrize("form", FORMS)
def test_what_users_and_models_write_is_no_evidence(form: str, quote: Any) -> None:
    for log in HEALTHY:
        if changed(log, QUOTED, form, quote):
            guilty = [text for text in QUOTED if changed(log, [text], form, quote)]
            pytest.fail(f"{log.name}: {guilty[:3]}")


@pytest.mark.slow
@pytest.mark.parametrize("quote", [escaped, raw])
@pytest.mark.parametrize("log", HEALTHY, ids=[log.name for log in HEALTHY])
def test_each_text_alone(log: Path, quote: Any) -> None:
    assert [text for text in QUOTED[::7] if changed(log, [text], FORMS[0], quote)] == []
