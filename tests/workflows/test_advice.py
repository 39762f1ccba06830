"""When a diagnosis is advised on.

A command that is given, memory that is short, a command in the log that can be changed.
"""

from __future__ import annotations

from typing import Any

import pytest

from qvl_doctor.model import Diagnosis, Fact, Finding, Fix
from qvl_doctor.workflows import advice

TEXT = {"en": "t", "zh": "t"}
FLAGS = {"flags": {"--max-model-len": "1"}}
ENV = {"env": {"A": "1"}}
RUN = {"run": "nvidia-smi"}
ARGS = {"args": Fact({"max_model_len": 8}, "log")}


def finding(role: str = "cause", change: dict[str, Any] | None = None, *, memory: bool = False, **more: Any) -> Finding:
    fixes = () if change is None else (Fix(TEXT, change),)
    return Finding("a-rule", role, "fatal", "certain", TEXT, TEXT, fixes=more.pop("fixes", fixes), memory=memory)


@pytest.mark.parametrize(
    ("found", "facts", "wanted"),
    [
        (finding(memory=True), {}, True),
        (finding("warning", memory=True), {}, True),
        (finding("symptom", memory=True), {}, False),
        (finding(change=FLAGS), ARGS, True),
        (finding(change=ENV), ARGS, True),
        (finding(change=RUN), ARGS, False),
        (finding(), ARGS, False),
        (finding(change=FLAGS), {}, False),
        (finding("symptom", FLAGS), ARGS, False),
        (finding("warning", FLAGS), ARGS, False),
        # Only the first fix is taken into a command.
        (finding(fixes=(Fix(TEXT, RUN), Fix(TEXT, FLAGS))), ARGS, False),
    ],
)
def test_what_asks_for_advice(
    found: Finding, facts: dict[str, Fact], monkeypatch: pytest.MonkeyPatch, *, wanted: bool
) -> None:
    advised: list[Diagnosis] = []
    monkeypatch.setattr("qvl_doctor.sizing.advice.advise", lambda diagnosis, *_, **__: advised.append(diagnosis))
    plain = Diagnosis("x", findings=(finding("warning"), found), facts=facts)
    given = advice.advised(plain, None, None)
    assert (advised == [plain]) is wanted
    assert (given is plain) is not wanted
