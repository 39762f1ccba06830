"""The command with the first fix of each cause.

Which change is made, what is never written, and what a report shows.
"""

from __future__ import annotations

from typing import Any

import pytest

from qvl_doctor.launch.command import Command
from qvl_doctor.launch.reading import read
from qvl_doctor.model import Diagnosis, Fact, Finding, Fix
from qvl_doctor.sizing.advice import advise, corrected

RELEASE = "0.21.0"


def command(*flags: str) -> Command:
    return read(["vllm", "serve", "m", *flags], RELEASE)[0]


def text(words: str) -> dict[str, str]:
    return {"en": words, "zh": words}


def fix(words: str, **flags: Any) -> Fix:
    return Fix(text(words), {"flags": {"--" + name.replace("_", "-"): value for name, value in flags.items()}})


def finding(*fixes: Fix, role: str = "cause") -> Finding:
    return Finding("r", role, "fatal", "certain", text("t"), text("why."), (), fixes)


def case(*findings: Finding) -> Diagnosis:
    return Diagnosis("x", findings=findings)


def test_of_two_causes_the_first_has_the_last_word() -> None:
    first, second = finding(fix("a", max_model_len="1", port="7")), finding(fix("b", max_model_len="2", seed="3"))
    after = corrected((first, second), command(), RELEASE)
    assert [after.value(f"--{name}") for name in ("max-model-len", "port", "seed")] == ["1", "7", "3"]


def test_only_the_first_fix_of_a_cause_is_made() -> None:
    given = command("--port", "1")
    assert corrected((finding(fix("a", port="2"), fix("b", port="3")),), given, RELEASE).value("--port") == "2"
    for no_cause in (finding(), finding(fix("a", port="2"), role="consequence")):
        assert corrected((no_cause,), given, RELEASE) == given


DOCKER = "docker run --gpus all -p 8000:8000 vllm/vllm-openai:v0.10.0 --model m --api-key abc"
PIP = Fix(text("p"), {"pip": ["vllm>=0.11.0"]})
IMAGE = Fix(text("i"), {"image": "vllm/vllm-openai:v0.11.0"})


def test_a_container_gets_other_packages_with_another_image() -> None:
    container, program = read(DOCKER)[0], command()
    assert corrected((finding(PIP, fix("a", port="2"), IMAGE),), container, "").image == IMAGE.change["image"]
    assert corrected((finding(PIP, fix("a", port="2")),), container, "") == container
    assert corrected((finding(fix("a", port="2"), IMAGE),), container, "").image == container.image
    assert corrected((finding(PIP, IMAGE),), program, "") == program


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("***", "s3cret"),  # a finding only has the mask
        ("x ***", "s3cret"),
        ("new", "new"),
        (None, None),
    ],
)
def test_a_mask_is_never_written_into_a_command(value: Any, after: str | None) -> None:
    given = command("--api-key", "s3cret", "--port", "1")
    made = corrected((finding(fix("a", api_key=value, port="2")),), given, RELEASE)
    assert (made.value("--api-key"), made.value("--port")) == (after, "2")


def test_a_masked_value_of_a_flag_that_is_not_there_is_left_out() -> None:
    made = corrected((finding(fix("a", api_key="***", enforce_eager=True)),), command(), RELEASE)
    assert (made.flag("--api-key"), made.flag("--enforce-eager") is not None) == (None, True)


# ---- The report's command and patch

PORT = case(finding(fix("a", port="2")))


def shown(given: str | list[str], *, whole: bool = True) -> tuple[str, str, str]:
    found = advise(PORT, None, read(given)[0], whole=whole)
    return (*found.command[:2], found.patch) if found.command else ("", "", found.patch)


SCRIPT = "export A=1\nvllm serve m --port 1  # mine\n"


def test_what_the_report_shows_of_a_command() -> None:
    line, after = "vllm serve m --port 1", "vllm serve m --port 2"
    assert shown(line.split()) == (line, after, "")
    assert shown(line) == (line, after, "")  # the text is the command
    assert shown(line + "\n") == (line, after, "")
    assert shown(SCRIPT) == (f"A=1 {line}", f"A=1 {after}", SCRIPT.replace("1  #", "2  #"))
    assert shown(SCRIPT, whole=False) == (f"A=1 {line}", f"A=1 {after}", "")


def test_what_the_report_shows_of_a_container() -> None:
    before, after, patch = shown(DOCKER)
    assert before == DOCKER.replace("abc", "'***'")
    assert after == f"{before} --port 2"
    assert patch == f"{DOCKER.replace('abc', '***')} --port 2"


def test_the_lines_that_differ() -> None:
    found = advise(PORT, None, command("--port", "1"))
    assert found.command is not None
    assert ("removed", "--port 1") in [(kind, line.strip()) for kind, line in found.command.lines]
    assert ("added", "--port 2") in [(kind, line.strip()) for kind, line in found.command.lines]


def test_a_command_that_stays_is_not_shown() -> None:
    for diagnosis in (PORT._replace(findings=()), case(finding(fix("a", port="1")))):
        found = advise(diagnosis, None, command("--port", "1"))
        assert (found.command, found.patch) == (None, "")


def test_the_command_that_a_log_shows() -> None:
    found = advise(PORT._replace(facts={"args": Fact({"model_tag": "m", "port": 1, "seed": 3})}), None)
    assert found.command is not None
    assert found.command[:2] == ("vllm serve m --port 1 --seed 3", "vllm serve m --port 2 --seed 3")
    assert advise(PORT, None).command is None


POD = """apiVersion: v1
kind: Pod
metadata: {name: v}
spec:
  containers:
    - name: vllm
      image: vllm/vllm-openai:v0.10.0
      args: [--model, m]
"""


def test_a_change_around_the_command_is_a_patch_alone() -> None:
    change = Fix(text("p"), {"pod": "startup-probe"})
    found = advise(case(finding(change)), None, read(POD)[0])
    assert found.command is None
    assert "startupProbe:" in found.patch
    assert advise(case(finding(change)), None, read(POD)[0], whole=False).patch == ""


def told(*fixes: Fix, given: Command | None = None, release: str = RELEASE) -> list[Any]:
    """The changes that a report has of these fixes, for a command."""
    known = {"vllm": Fact(release)}
    after = advise(case(finding(*fixes))._replace(facts=known), None, given)
    return [each.change for each in after.findings[0].fixes]


@pytest.mark.parametrize(
    ("change", "flags", "left"),
    [
        ({"flags": {"--port": "1"}}, ("--port", "1"), False),
        ({"flags": {"--port": "2"}}, ("--port", "1"), True),
        ({"flags": {"--port": "1", "--seed": "3"}}, ("--port", "1"), True),
        ({"flags": {"--seed": None}}, ("--port", "1"), False),
        ({"flags": {"--seed": None}}, ("--config", "x.yaml"), True),  # what is in the file is not known
        ({"flags": {"--port": "1"}, "pip": ["x"]}, ("--port", "1"), True),
        ({"env": {"A": "1"}}, (), True),
        ({"env": {"A": None}}, (), True),  # it may be set elsewhere
        ({}, (), True),
    ],
)
def test_what_the_command_has_is_no_fix(change: dict[str, Any], flags: tuple[str, ...], left: bool) -> None:
    assert told(Fix(text("a"), change), given=command(*flags)) == ([change] if left else [])


def test_a_variable_that_is_set_so_already_is_no_fix() -> None:
    given = read("A=1 vllm serve m")[0]
    made, other = Fix(text("a"), {"env": {"A": "1"}}), Fix(text("b"), {"env": {"A": "2"}})
    assert told(made, other, given=given) == [other.change]


@pytest.mark.parametrize(
    ("release", "flags", "value"),
    [
        ("0.7.2", (), "video=0"),
        ("0.7.2", ("--limit-mm-per-prompt", "image=4"), "image=4,video=0"),
        ("0.9.0", ("--limit-mm-per-prompt", "image=4"), "image=4,video=0"),
        ("0.9.0", (), '{"video": 0}'),
        ("0.21.0", ("--limit-mm-per-prompt", '{"image":4}'), '{"image":4,"video":0}'),
        ("0.21.0", ("--limit-mm-per-prompt.image", "4"), '{"video": 0}'),
    ],
)
def test_a_fix_is_spelled_as_the_corrected_command(release: str, flags: tuple[str, ...], value: str) -> None:
    given = read(["vllm", "serve", "m", *flags], release)[0]
    assert told(fix("a", limit_mm_per_prompt={"video": 0}), given=given, release=release) == [
        {"flags": {"--limit-mm-per-prompt": value}}
    ]


def test_without_a_command_a_fix_is_spelled_for_the_release() -> None:
    assert told(fix("a", limit_mm_per_prompt={"video": 0}), release="0.7.2") == [
        {"flags": {"--limit-mm-per-prompt": "video=0"}}
    ]


def test_the_fix_that_is_left_begins_with_no_or() -> None:
    given, second = command("--port", "1"), Fix(text("Or take 2."), {"flags": {"--port": "2"}})
    after = advise(case(finding(fix("Take 1.", port="1"), second))._replace(facts={"vllm": Fact(RELEASE)}), None, given)
    assert [each.text["en"] for each in after.findings[0].fixes] == ["Take 2."]
