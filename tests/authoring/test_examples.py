"""What the examples of a rule show to be wrong is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rule_files import GOOD, OTHER, changed, write

from qvl_doctor import rulebook
from qvl_doctor.authoring.examples import check_examples, facts_of, slow_patterns
from qvl_doctor.model import Condition, Example, FixTemplate, Rule

PLAIN = r"""
id: plain
severity: fatal
title: {en: "The port {port} is taken", zh: "端口 {port} 已被占用"}
why: {en: Another process listens there., zh: 另一个进程正在监听。}
match:
  - message: 'address already in use on port (?P<port>\d+)'
fixes:
  - en: Take another port.
    zh: 换一个端口。
    change: {flags: {--port: '{server_port}', --uds: null}, env: {VLLM_PORT: null}, pip: ['vllm>=0.9']}
references: ['https://docs.vllm.ai/en/latest/serving/engine_args.html']
tests:
  matches:
    - name: taken
      log: |
        ERROR 02-19 18:44:51 [api_server.py:366] address already in use on port 8000
      facts: {server_port: '8001'}
      captures: {port: '8000'}
      fixes: |
        pip install 'vllm>=0.9'
        unset VLLM_PORT
        --port 8001
        remove --uds
  silent:
    - name: free
      log: |
        INFO 02-19 18:44:51 [api_server.py:366] listening on port 8000
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Rule]:
    def load(old: str = "", new: str = "", name: str = "plain", text: str = PLAIN) -> Rule:
        assert old in text
        return rulebook.load_file(
            str(write(tmp_path, text.replace(old, new).replace("id: plain", f"id: {name}"), name))
        )

    return load


def problems(*rules: Rule) -> list[str]:
    return [str(problem).partition(".yaml: ")[2] for problem in check_examples(rules)]


def test_a_rule_that_holds(read: Callable[..., Rule]) -> None:
    assert check_examples([read()]) == []


def test_a_problem_names_the_file_and_the_example(read: Callable[..., Rule]) -> None:
    rule = read("captures: {port: '8000'}", "captures: {port: '80'}")
    (problem,) = check_examples([rule])
    assert str(problem) == f"{rule.source}: taken: captures port: '8000', not port: '80'"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("already in use on port 8000\n", "already in service on port 8000\n", "is silent; the last of 1 records: address already"),
        ("match:\n", "applies: {vllm: '>=0.9'}\nmatch:\n", ""),
        ("    - name: taken", "    - name: taken", ""),
        ("listening on port 8000", "address already in use on port 8000", "free: speaks, and must be silent"),
        ("        remove --uds\n", "", "its fixes are pip install 'vllm>=0.9' | unset VLLM_PORT | --port 8001 | remove --uds, not"),
        ("--port: '{server_port}'", "--port: '{total_gib}'", "shows no fix: all of them lack a value or do not apply"),
        ("    change:", "    applies: {server_port: '9'}\n    change:", "shows no fix"),
        ("Another process listens there., zh: 另一个进程正在监听。", '"See {model}.", zh: "见 {model}。"', "its why is empty"),
    ],
)  # fmt: skip
def test_what_an_example_shows(old: str, new: str, said: str, read: Callable[..., Rule]) -> None:
    found = problems(read(old, new))
    assert any(said in problem for problem in found) if said else found == []


def test_an_example_whose_facts_do_not_hold(read: Callable[..., Rule]) -> None:
    rule = read(
        "match:\n",
        "applies: {vllm: '>=0.9'}\nmatch:\n",
        text=PLAIN.replace("facts: {server_port: '8001'}", "facts: {vllm: 0.8.5, server_port: '8001'}"),
    )
    assert problems(rule) == [
        "taken: is silent: its pattern matches, but it asks for vllm: '>=0.9', and the facts are vllm: '0.8.5'"
    ]


def test_a_phase_that_the_log_does_not_reach(read: Callable[..., Rule]) -> None:
    rule = read("  - message:", "  - facts: {phase: load}\n    message:")
    assert "it asks for phase: 'load', and the facts are phase: ''" in problems(rule)[0]


def test_two_rules_on_one_record_tie(read: Callable[..., Rule]) -> None:
    found = problems(read(), read(r"'address already", r"'already", name="second"))
    assert "taken: 'plain' and 'second' tie on a record: one of them says 'before: [second]' or '[plain]'" in found
    assert "taken: loses its example to plain; write more conditions, or 'before: [plain]'" in found


def test_before_settles_a_tie(read: Callable[..., Rule]) -> None:
    second = read(r"'address already", r"'already", name="second")
    found = problems(second._replace(matches=()), read("match:\n", "before: [second]\nmatch:\n"))
    assert found == []


def test_more_conditions_win_without_a_tie(read: Callable[..., Rule]) -> None:
    assert (
        problems(read(name="second")._replace(matches=()), read("  - message:", "  - level: ERROR\n    message:")) == []
    )


def test_a_rule_that_speaks_on_the_example_of_another(read: Callable[..., Rule]) -> None:
    log = "        ERROR 02-19 18:44:51 [api_server.py:366] address already in use on port 8000\n"
    more = log + "        ERROR 02-19 18:44:52 [api_server.py:367] the server will end itself\n"
    first = read(log, more)
    other = read(name="second")._replace(
        match=(Condition(message="the server will end itself", literals=("the server will end itself",)),),
        matches=(),
        title=first.why,
    )
    assert problems(first, other) == ["taken: 'second' speaks here, too, and neither explains the other"]
    assert problems(first._replace(explains=("second",)), other) == []
    assert problems(first, other._replace(explains=("plain",))) == []
    assert problems(first, other._replace(symptom=True)) == []


def test_rules_beside_are_not_tested_themselves(read: Callable[..., Rule]) -> None:
    wrong = read("captures: {port: '8000'}", "captures: {port: '80'}", name="second")
    assert check_examples([read()._replace(before=("second",))], beside=[wrong, read()]) == []


def test_a_rule_on_facts_alone(tmp_path: Path) -> None:
    text = OTHER.replace("  - message: Engine core initialization failed\n", "  - facts: {kv_tokens: '<100'}\n")
    text = text.replace("log: Engine core initialization failed}", "facts: {kv_tokens: 99}}").replace(
        "log: Engine core initialization went well}", "facts: {kv_tokens: 100}}"
    )
    assert check_examples([rulebook.load_file(str(write(tmp_path, text, "engine-failed")))]) == []


def test_facts_of_an_example_have_the_types_of_a_log() -> None:
    example = Example(
        "x",
        "",
        {
            "vllm": "0.10",
            "kv_tokens": "2976",
            "weights_gib": "15.63",
            "ready": "no",
            "args": {"seed": "0", "port": ["1"]},
            "transformers": "4",
        },
    )
    assert {name: fact.value for name, fact in facts_of(example).items()} == {
        "vllm": "0.10", "kv_tokens": 2976, "weights_gib": 15.63, "ready": "no", "args": {"seed": 0, "port": [1]}, "transformers": "4",
    }  # fmt: skip


def test_a_good_rule_of_every_field_holds_where_its_example_says_so(tmp_path: Path) -> None:
    write(tmp_path, OTHER, "engine-failed")
    rule = rulebook.load_file(
        str(
            write(
                tmp_path,
                changed("    facts: {phase: config, vllm: '<0.12'}\n", "").replace("    level: ERROR|WARNING\n", ""),
            )
        )
    )
    found = [problem.problem for problem in check_examples([rule])]
    assert found == ["its fixes are without a change, not --max-model-len 32768"]  # the fix is for engine V1
    assert GOOD.count("applies: {engine: V1}") == 1


@pytest.mark.parametrize(
    "pattern",
    [
        r"\b\w*\w*\w*ended at once",
        r"[a-z]{0,3000}\w{0,3000}ended at once",
        r"\ba{1500}\w*\w*\w*ended at once",  # quick in every text that is too short for it
    ],
)
def test_a_slow_pattern_is_named(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qvl_doctor.authoring.examples.TIME_LIMIT_S", 0.1)
    text = {"en": "x", "zh": "x"}
    rule = Rule("slow", "fatal", text, text, (Condition(message=pattern),), (FixTemplate(text),))
    (problem,) = slow_patterns([rule])
    assert str(problem).startswith(f"slow.yaml: match[0]: the pattern '{pattern}' takes more than 0.1 s: ")
    assert slow_patterns([rule._replace(match=(Condition(message="ended at once"),))]) == []


def test_a_message_that_begins_with_anything_is_named() -> None:
    text = {"en": "x", "zh": "x"}
    rule = Rule(
        "slow", "fatal", text, text, (Condition(message=r"(?P<need>\d+) tokens in total"),), (FixTemplate(text),)
    )
    (problem,) = slow_patterns([rule])
    assert "match[0]: the pattern '(?P<need>\\d+) tokens in total' begins with something of any length" in str(problem)
    assert slow_patterns([rule._replace(match=(Condition(message=r"\b(?P<need>\d+) tokens in total"),))]) == []
