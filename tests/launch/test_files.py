"""Commands out of whole files.

What was not changed stays as it was written, a change lands where the user has the flag, and only there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from qvl_doctor.launch.checking import check
from qvl_doctor.launch.editing import edit
from qvl_doctor.launch.patching import patched
from qvl_doctor.launch.reading import read

COMMANDS = Path(__file__).parents[2] / "fixtures" / "commands"
#: Written for a shell that misunderstands it: put right whenever it is written back.
MENDED = {"article-chatbot.sh", "terminal.txt"}
FILES = sorted(each.name for each in COMMANDS.iterdir())
CLEAN = [name for name in FILES if name not in MENDED]


def text(name: str) -> str:
    return (COMMANDS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CLEAN)
def test_an_unchanged_command_is_written_back_as_it_was(name: str) -> None:
    commands = read(text(name), "0.7.2")
    assert commands
    for command in commands:
        assert command.model
        assert patched(command, reveal=True) == text(name)


@pytest.mark.parametrize("name", FILES)
def test_a_change_lands_once_and_stays(name: str) -> None:
    for index, command in enumerate(read(text(name), "0.7.2")):
        changed = edit(command, {"flags": {"--max-model-len": "4096"}}, "0.7.2")
        again = read(patched(changed, reveal=True), "0.7.2")[index]
        assert [flag.values for flag in again.flags if flag.name == "--max-model-len"] == [("4096",)]
        assert edit(changed, {"flags": {"--max-model-len": "4096"}}, "0.7.2") == changed


@pytest.mark.parametrize("name", CLEAN)
def test_only_lines_with_the_flag_change(name: str) -> None:
    for command in read(text(name), "0.7.2"):
        if any(flag.name == "--max-model-len" for flag in command.flags):
            page = patched(edit(command, {"flags": {"--max-model-len": "4096"}}, "0.7.2"), reveal=True)
            lines = [
                (old, new) for old, new in zip(text(name).splitlines(), page.splitlines(), strict=True) if old != new
            ]
            assert len(lines) == 1
            assert "4096" in lines[0][1]


def test_the_chatbot_command_has_comments_that_end_it() -> None:
    (command,) = read(text("article-chatbot.sh"), "0.7.2")
    kinds = [problem.kind for problem in check(command, "0.7.2")]
    assert "comment-after-backslash" in kinds
    mended = patched(command, reveal=True)
    (again,) = read(mended, "0.7.2")
    assert "comment-after-backslash" not in {problem.kind for problem in check(again, "0.7.2")}


def test_the_article_command_is_sound_for_its_release() -> None:
    (command,) = read(text("article-docker.sh"), "0.7.2")
    assert check(command, "0.7.2") == []
    assert "--limit-mm-per-prompt" in {flag.name for flag in command.flags}


def test_json_of_a_newer_release_is_told_how_0_7_writes_it() -> None:
    command = read(text("deployment-args.yaml"), "0.7.2")[0]
    (problem,) = check(command, "0.7.2")
    assert (problem.kind, problem.replacement, problem.first) == ("json-refused", "image=4,video=1", "0.8.5")
    assert check(read(text("deployment-args.yaml"), "0.11.0")[0], "0.11.0") == []


@pytest.mark.parametrize("name", FILES)
def test_keys_are_shown_to_nobody(name: str) -> None:
    for command in read(text(name), "0.7.2"):
        secrets = [
            value
            for flag in command.flags
            if flag.name == "--api-key"
            for value in flag.values
            if not value.startswith("$")
        ]
        page = patched(edit(command, {"flags": {"--max-model-len": "4096"}}, "0.7.2"))
        assert not [secret for secret in secrets if secret in page]
