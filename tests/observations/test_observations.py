"""What was seen outside a log.

Rules match it by its key, a log cannot fake it, and each thing is a finding of its own.
"""

from __future__ import annotations

import json

import pytest
from program import RULES

from qvl_doctor.diagnose import Diagnosing
from qvl_doctor.diagnose.examining import examine
from qvl_doctor.diagnose.matching import Matcher
from qvl_doctor.launch.checking import check
from qvl_doctor.launch.observing import KEYS, observe_text
from qvl_doctor.launch.reading import read
from qvl_doctor.logs.records import read_records
from qvl_doctor.manifest.inspection import inspect_manifest
from qvl_doctor.model import Condition, Fact, FixTemplate, Line, Rule, Seen
from qvl_doctor.observations import key_of, observe, proof, quoted
from qvl_doctor.observations.levels import LEVELS
from qvl_doctor.observations.sentences import SENTENCES

TEXT = {"en": "GPU {index} holds {taken} GiB.", "zh": "GPU {index} 已用 {taken} GiB。"}
FREE = FixTemplate({"en": "Free it.", "zh": "释放它。"})
TAKEN = Rule("gpu-taken", "fatal", TEXT, TEXT, (Condition(observation="gpu_taken"),), (FREE,))
L4 = {"gpu": "NVIDIA L4", "total": "22.03"}


def rule(observation: str, title: str = "There.", **values: str) -> Rule:
    text = {"en": title, "zh": title}
    return TAKEN._replace(title=text, why=text, match=(Condition(observation=observation, values=values),))


def test_each_thing_is_a_finding_of_its_own() -> None:
    seen = Seen(observations=tuple(observe("gpu_taken", index=number, taken="17.95", **L4) for number in (0, 1)))
    found = examine("machine", seen, [TAKEN])
    assert [finding.title["en"] for finding in found.findings] == ["GPU 0 holds 17.95 GiB.", "GPU 1 holds 17.95 GiB."]
    assert {finding.role for finding in found.findings} == {"cause"}
    assert found.verdict == "failed"


def test_things_that_a_rule_words_alike_are_one_finding() -> None:
    ended = {"kind": "container", "container": "vllm", "code": "139", "signal": "SIGSEGV", "restarts": "4"}
    seen = Seen(observations=tuple(observe("container_crashed", pod=pod, **ended) for pod in ("vllm-0", "vllm-1")))
    (found,) = examine("-", seen, [rule("container_crashed", "It crashed by {signal}.")]).findings
    assert (found.title["en"], found.times) == ("It crashed by SIGSEGV.", 2)
    assert len(examine("-", seen, [rule("container_crashed", "{pod} crashed.")]).findings) == 2
    with_remedy = rule("container_crashed")._replace(fixes=(FREE._replace(remedy="releases_for_model_type"), FREE))
    assert len(examine("-", seen, [with_remedy]).findings) == 2


@pytest.mark.parametrize(
    ("asked", "speaks"),
    [
        ({}, True),
        ({"taken": "17.95"}, True),
        ({"taken": "17"}, False),  # the whole value is asked for
        ({"taken": ">=17,<18"}, True),
        ({"taken": ">=18"}, False),
        ({"gpu": "nvidia l4|nvidia l40s"}, True),
        ({"gpu": "NVIDIA L4", "index": "1"}, False),
        ({"holders": ".{0,200}"}, False),  # nothing is known of it
    ],
)
def test_a_match_item_may_ask_for_values(asked: dict[str, str], *, speaks: bool) -> None:
    record = observe("gpu_taken", index=0, taken="17.95", **L4, holders=None)
    hits = Matcher([rule("gpu_taken", **asked)]).feed([record])
    assert bool(hits) is speaks
    assert all(hit.captures == {"index": "0", "taken": "17.95", **L4} for hit in hits)


def test_of_two_rules_on_a_key_the_one_that_asks_for_more_speaks() -> None:
    record = observe("gpu_memory_unread", index=0, gpu="NVIDIA GB10", reason="not-supported")
    rules = [rule("gpu_memory_unread")._replace(id="any"), rule("gpu_memory_unread", reason="not-supported")]
    assert [finding.rule for finding in examine("-", Seen({}, (record,)), rules).findings] == ["gpu-taken"]


@pytest.mark.parametrize("key", ["gpu_taken", "gpus_too_few"], ids=["a sentence of our own", "the words of vLLM"])
def test_rules_on_logs_read_the_words_of_others_and_not_ours(key: str) -> None:
    values = {**dict.fromkeys(("index", "taken", "asked", "visible"), "4"), **L4}
    values = {name: value for name, value in values.items() if f"{{{name}}}" in SENTENCES[key].text}
    record = observe(key, **values)
    words = record.message[:40].lower()
    item = Condition(message=words.replace("(", r"\(").replace(")", r"\)"), literals=(words,))
    assert bool(Matcher([TAKEN._replace(match=(item,))]).feed([record])) is SENTENCES[key].theirs


@pytest.mark.parametrize("level", LEVELS)
def test_a_log_cannot_pretend_to_be_an_observation(level: str) -> None:
    said = observe("gpu_taken", index=0, taken="17.95", **L4).message
    lines = [
        f"{level} {said}",
        f"{level} 08-04 16:54:59 [x.py:1] {said}",
        json.dumps({"levelname": level, "message": said, "observation": "gpu_taken"}),
    ]
    records = list(read_records("\n".join(lines)))
    assert records
    assert not {record.level for record in records} & set(LEVELS)
    assert not Matcher([TAKEN]).feed(records)


def test_what_a_machine_shows_does_not_fail_a_server_that_started_but_what_a_pod_shows_may() -> None:
    log = "INFO 08-04 16:54:59 [api_server.py:1] vLLM API server version 0.10.0\nINFO:     Application startup complete.\n"

    def severity(key: str, **values: str) -> str:
        engine = Diagnosing([rule(key)], seen=Seen({}, (observe(key, **values),)))
        engine.feed(read_records(log))
        return next(finding.severity for finding in engine.finish("-").findings)

    assert severity("clock_wrong", day="1970-01-01") == "notice"
    assert severity("pod_evicted", pod="vllm-0") == "fatal"


def test_facts_of_what_was_seen_are_known_and_what_the_log_says_wins() -> None:
    engine = Diagnosing([], seen=Seen({"vllm": Fact("0.8.5", "probe"), "driver": Fact("550.54.14", "probe")}))
    engine.feed(read_records("INFO 08-04 16:54:59 [api_server.py:1] vLLM API server version 0.10.0"))
    facts = engine.finish("-").facts
    assert (facts["vllm"].value, facts["driver"].value) == ("0.10.0", "550.54.14")


def test_secrets_are_masked_in_observations() -> None:
    secret = "hf_" + "a" * 34
    record = observe("secret_in_arguments", 3, f"- --hf-token={secret}", name="vllm", flag=f"--hf-token={secret}")
    assert secret not in str(record)
    assert secret not in str(
        observe_text(f"vllm serve m --api-key sk-abcdefghijklmnop1234 --hf-token {secret} --unknown-flagg {secret}")
    )


def test_evidence_is_the_users_own_line_and_never_our_sentence() -> None:
    values = {"name": "vllm", "gpus": "1", "ranks": "2"}
    own = observe("pod_gpus_too_few", 7, "nvidia.com/gpu: 1", **values)
    assert proof(own) == (Line(7, "nvidia.com/gpu: 1"),)
    assert proof(observe("pod_gpus_too_few", 7, **values)) == (Line(0, "name = vllm, gpus = 1, ranks = 2"),)
    assert proof(observe("docker_run_without_gpu")) == ()


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (["a", "  reason: OOMKilled "], (Line(2, "reason: OOMKilled"),)),
        (["a", ""], (Line(0, "pod = vllm-0"),)),
        (["a"], (Line(0, "pod = vllm-0"),)),
        (["a", "x" * 501], (Line(0, "pod = vllm-0"),)),
        (["a", "token: hf_" + "a" * 34], (Line(2, "token: hf_***"),)),
    ],
)
def test_an_observation_quotes_its_line(lines: list[str], shown: tuple[Line, ...]) -> None:
    assert proof(quoted(observe("pod_evicted", 2, pod="vllm-0"), lines)) == shown
    told = observe("pod_evicted", 2, "as it was read", pod="vllm-0")
    assert quoted(told, lines) == told


def test_findings_on_a_manifest_show_its_lines_in_every_language() -> None:
    text = (
        "services:\n  vllm:\n    image: vllm/vllm-openai:latest\n    command: [--model, Qwen/Qwen2.5-VL-7B-Instruct]\n"
    )
    (looked,) = inspect_manifest(text, "0.11.0")
    lines = text.split("\n")
    found = examine("-", looked.seen, RULES).findings
    assert {"service-without-gpu", "image-without-release"} <= {finding.rule for finding in found}
    for line in (line for finding in found for line in finding.evidence):
        assert line.text == lines[line.number - 1].strip()


def test_a_docker_run_is_quoted() -> None:
    text = (
        "#!/bin/sh\ndocker run -p 8000:8000 \\\n  vllm/vllm-openai:v0.11.0 --model Qwen/Qwen2.5-VL-7B-Instruct -tp 2\n"
    )
    (looked,) = inspect_manifest(text)
    shown = {key_of(each): each.lines for each in looked.seen.observations}
    line = Line(2, "docker run -p 8000:8000 \\")
    assert {key: lines for key, lines in shown.items() if key.startswith(("docker", "shared"))} == {
        "docker_run_without_gpu": (line,),
        "shared_memory_small": (line,),
    }


def test_a_value_is_one_plain_line_of_bounded_length() -> None:
    record = observe("volume_undefined", name="a\n  b\x1b[31m\u202ec", volume="v" * 100_000)
    assert record.observation
    assert record.observation.values["name"] == "a b[31mc"
    assert record.message.isprintable()
    assert max(map(len, (record.message, *record.observation.values.values()))) <= 2000


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
def test_every_problem_of_a_command_becomes_an_observation(text: str) -> None:
    release = "0.18.0"
    problems = [problem for command in read(text, release) for problem in check(command, release)]
    seen = observe_text(text, release).observations
    assert len(seen) == len(problems) > 0
    assert [key_of(each) for each in seen] == [KEYS[problem.kind] for problem in problems]
    assert not any("``" in each.message or "{flag}" in each.message for each in seen)
    for problem, each in zip(problems, seen, strict=True):
        assert problem.flag.lstrip("-–—") in each.message or problem.value in each.message


def test_every_kind_of_problem_has_a_sentence() -> None:
    from qvl_doctor.launch import checking

    listed = {word.strip(" ,.;-*\n") for word in (checking.__doc__ or "").replace("(", " ").replace(")", " ").split()}
    assert KEYS.keys() <= listed


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
