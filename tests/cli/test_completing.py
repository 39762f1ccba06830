"""What a shell offers for rules and topics, asked for as a shell does."""

from __future__ import annotations

import pytest
from program import run_text


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("explain kv-below", ["kv-below-context", "kv-below-one-image"]),
        ("logs --ignore oom-w", ["oom-weights", "oom-while-serving"]),
        ("check --ignore oom-w", ["oom-weights", "oom-while-serving"]),
        ("rules test oom-w", ["oom-weights", "oom-while-serving"]),
        ("rules list --topic k", ["kv-cache", "kubernetes"]),
        ("rules new a-rule --topic engine", ["engine-and-server"]),
        ("explain no-such-rule", []),
    ],
)
def test_ids_and_topics(line: str, offered: list[str]) -> None:
    asked = {"COMP_WORDS": f"qvl-doctor {line}", "COMP_CWORD": str(len(line.split()))}
    done = run_text(env={"_QVL_DOCTOR_COMPLETE": "complete_bash", **asked})
    assert done.stdout.split() == offered
