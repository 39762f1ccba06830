"""Every problem of a command becomes a finding of a shipped rule, and what a fix changes is right afterwards."""

from __future__ import annotations

import pytest
from program import RULES

from qvl_doctor.diagnose.examining import examine
from qvl_doctor.launch.checking import check
from qvl_doctor.launch.editing import edit
from qvl_doctor.launch.observing import observe_text
from qvl_doctor.launch.reading import read
from qvl_doctor.model import Diagnosis, Fact, Seen

MODEL = "vllm serve Qwen/Qwen2.5-VL-7B-Instruct"


def examined(text: str, release: str) -> Diagnosis:
    seen = observe_text(text, release)
    return examine("-", Seen({**seen.facts, "vllm": Fact(release, "option")}, seen.observations), RULES)


#: A command for each kind of problem: release, arguments, rule.
SHOWN = [
    ("0.19.0", "--max-model-lenn 8192", "unknown-argument"),
    ("0.19.0", "--swap-space 4", "unknown-argument"),
    ("0.19.0", "--task generate", "unknown-argument"),
    ("0.19.0", "--device cuda", "unknown-argument"),
    ("0.19.0", "--guided-decoding-backend xgrammar", "unknown-argument"),
    ("0.7.2", "--async-scheduling", "unknown-argument"),
    ("0.19.0", "—port 8000", "unknown-argument"),
    ("0.19.0", "--port 8000 stray", "unknown-argument"),
    ("0.19.0", "--enforce-eager true", "unknown-argument"),
    ("0.19.0", "--enable-l", "unknown-argument"),
    ("0.19.0", "--port", "argument-value-missing"),
    ("0.19.0", "--port abc", "argument-type-invalid"),
    ("0.19.0", "--dtype bfloat", "argument-choice-invalid"),
    ("0.19.0", "--limit-mm-per-prompt image=1", "limit-mm-not-json"),
    ("0.19.0", "--compilation-config {level:3}", "argument-not-json"),
    ("0.7.2", "--limit-mm-per-prompt '{\"image\": 1}'", "limit-mm-key-value"),
    ("0.19.0", "--port 1 --port 2", "flag-given-twice"),
    ("0.19.0", "'--port 8000'", "flag-and-value-in-one-word"),
    ("0.7.2", "--limit-mm-per-prompt.image 1", "flag-dotted-too-early"),
    ("0.19.0", "\\ \n  --port 8000", "command-cut-short"),
]


@pytest.mark.parametrize(("release", "arguments", "rule"), SHOWN, ids=[arguments for _, arguments, _ in SHOWN])
def test_a_problem_of_a_command_is_a_finding(release: str, arguments: str, rule: str) -> None:
    found = examined(f"{MODEL} {arguments}", release)
    assert rule in {finding.rule for finding in found.findings}
    assert all(finding.fixes for finding in found.findings)


#: Of these the mended command is known; the others leave something for the user to say.
MENDED = ("--max", "--swap", "--task", "--device", "--guided", "--limit-mm-per-prompt image")
TWICE = [
    ("0.19.0", "--port 1 --port 2"),
    ("0.19.0", "--limit-mm-per-prompt image=2,video=0 --swap-space 4 --device cuda"),
]


@pytest.mark.parametrize(
    ("release", "arguments"), [(row[0], row[1]) for row in SHOWN if row[1].startswith(MENDED)] + TWICE
)
def test_the_corrected_command_has_no_problem_left(release: str, arguments: str) -> None:
    text = f"{MODEL} {arguments}"
    (command,) = read(text, release)
    assert check(command, release)
    for finding in examined(text, release).findings:
        change = next((fix.change for fix in finding.fixes if fix.change.get("flags")), {})
        command = edit(command, change, release)
    assert [problem.kind for problem in check(command, release)] == []


def test_two_unknown_flags_are_two_findings() -> None:
    found = examined(f"{MODEL} --swap-space 4 --device cuda", "0.19.0")
    titles = [finding.title["en"] for finding in found.findings if finding.rule == "unknown-argument"]
    assert len(titles) == len(set(titles)) == 2


def test_a_model_is_named() -> None:
    assert "no-model-given" in {finding.rule for finding in examined("vllm serve --port 8000", "0.19.0").findings}
    assert "model-as-option" in {
        finding.rule for finding in examined("vllm serve --model Qwen/Qwen2.5-VL-7B-Instruct", "0.7.2").findings
    }
    assert "unknown-argument" in {
        finding.rule
        for finding in examined(
            "python -m vllm.entrypoints.openai.api_server Qwen/Qwen2.5-VL-7B-Instruct", "0.8.5"
        ).findings
    }
