"""What was seen outside a log: it is matched like a log, cannot be faked by one, and each thing is a finding of its own."""

from __future__ import annotations

import json

import pytest
from program import RULES

from qvl_doctor.diagnose import Diagnosing
from qvl_doctor.diagnose.examining import examine
from qvl_doctor.launch.checking import check
from qvl_doctor.launch.observing import SENTENCES, observe_text
from qvl_doctor.launch.reading import read
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import Condition, Fact, FixTemplate, Rule, Seen
from qvl_doctor.observations import LEVELS, MACHINE, MANIFEST, observe, read_observations

TEXT = {"en": "card {card} is taken", "zh": "显卡 {card} 被占用"}
TAKEN = Rule(
    id="card-taken",
    severity="fatal",
    title=TEXT,
    why=TEXT,
    match=(
        Condition(
            message=r"card (?P<card>\d+) is taken before start", level="MACHINE", literals=("is taken before start",)
        ),
    ),
    fixes=(FixTemplate({"en": "free it", "zh": "释放它"}),),
)


def test_each_thing_is_a_finding_of_its_own() -> None:
    seen = Seen(observations=tuple(observe(MACHINE, f"card {number} is taken before start") for number in (0, 1)))
    found = examine("machine", seen, [TAKEN])
    assert [finding.title["en"] for finding in found.findings] == ["card 0 is taken", "card 1 is taken"]
    assert {finding.role for finding in found.findings} == {"cause"}
    assert found.verdict == "failed"
    assert [line.text for line in found.findings[0].evidence] == ["card 0 is taken before start"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_log_cannot_pretend_to_be_an_observation(level: str) -> None:
    said = "card 0 is taken before start"
    lines = [
        f"{level} {said}",
        f"{level} 08-04 16:54:59 [x.py:1] {said}",
        json.dumps({"levelname": level, "message": said}),
    ]
    records = list(read_records("\n".join(lines)))
    assert records
    assert not {record.level for record in records} & set(LEVELS)


def test_what_a_machine_shows_does_not_fail_a_server_that_started_but_what_a_pod_shows_may() -> None:
    log = "INFO 08-04 16:54:59 [api_server.py:1] vLLM API server version 0.10.0\nINFO:     Application startup complete.\n"

    def severity(level: str) -> str:
        rule = TAKEN._replace(match=tuple(item._replace(level=level) for item in TAKEN.match))
        engine = Diagnosing([rule], seen=Seen({}, (observe(level, "card 0 is taken before start"),)))
        engine.feed(read_records(log))
        return next(finding.severity for finding in engine.finish("-").findings)

    assert severity(MACHINE) == "notice"
    assert severity(MANIFEST) == "fatal"


def test_facts_of_what_was_seen_are_known_and_what_the_log_says_wins() -> None:
    engine = Diagnosing([], seen=Seen({"vllm": Fact("0.8.5", "probe"), "driver": Fact("550.54.14", "probe")}))
    engine.feed(read_records("INFO 08-04 16:54:59 [api_server.py:1] vLLM API server version 0.10.0"))
    facts = engine.finish("-").facts
    assert (facts["vllm"].value, facts["driver"].value) == ("0.10.0", "550.54.14")


def test_secrets_are_masked_in_observations() -> None:
    secret = "hf_" + "a" * 34
    assert secret not in str(observe(MANIFEST, f"the token {secret} stands in args", 3, f"- --hf-token={secret}"))
    assert secret not in str(
        observe_text(f"vllm serve m --api-key sk-abcdefghijklmnop1234 --hf-token {secret} --unknown-flagg {secret}")
    )


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        list(read_observations("MACHINE a b\nLOG c d"))


COMMANDS = (
    "vllm serve m --max-model-lenn 5",
    "vllm serve m --swap-space 4",
    "vllm serve m --limit-mm-per-prompt image=1",
    "vllm serve m --port abc --dtype bfloat --enforce-eager 3 --max-model-len",
    "vllm serve m --compilation-config '{”a”: 1}' --port 1 --port 2",
    "python -m vllm.entrypoints.openai.api_server m",
    "vllm serve --port 8000",
    "vllm serve m \\ # comment\n  --port 8000",
    "vllm serve m --max-model-len 4096\n  --port 8000",
)


@pytest.mark.parametrize("text", COMMANDS)
def test_every_problem_of_a_command_becomes_a_sentence(text: str) -> None:
    release = "0.18.0"
    problems = [problem for command in read(text, release) for problem in check(command, release)]
    said = observe_text(text, release).observations
    assert len(said) == len(problems) > 0
    assert not any("``" in each.message or "{flag}" in each.message for each in said)
    for problem, each in zip(problems, said, strict=True):
        assert problem.flag.lstrip("-–—") in each.message or problem.value in each.message


def test_every_kind_of_problem_has_a_sentence() -> None:
    from qvl_doctor.launch import checking

    listed = {word.strip(" ,.;-*\n") for word in (checking.__doc__ or "").replace("(", " ").replace(")", " ").split()}
    assert set(SENTENCES) <= listed


def test_a_command_gives_the_facts_of_a_log_with_its_arguments() -> None:
    seen = observe_text(
        "vllm serve Qwen/Qwen2.5-VL-7B-Instruct -tp 2 --max-model-len 8k --limit-mm-per-prompt.image 3 --enforce-eager",
        "0.11.0",
    )
    facts = {name: fact.value for name, fact in seen.facts.items()}
    assert facts["model"] == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert (facts["tensor_parallel_size"], facts["max_model_len"], facts["enforce_eager"]) == (2, 8000, "yes")
    assert facts["limit_mm_per_prompt"] == {"image": 3}
    assert facts["eager_asked"] == "yes"


def test_the_shipped_rules_examine_without_a_log() -> None:
    assert examine("-", Seen(), RULES).verdict == "healthy"
