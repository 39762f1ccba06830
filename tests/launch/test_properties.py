"""What holds for every command.

Written and read again it is the same, a change made twice is made once, and comments stay.
"""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.knowledge import flag_table, table
from qvl_doctor.launch.checking import check
from qvl_doctor.launch.command import Command, Flag, LaunchError
from qvl_doctor.launch.editing import edit
from qvl_doctor.launch.patching import patch, patched
from qvl_doctor.launch.reading import read
from qvl_doctor.launch.writing import diff, docker_line, quoted, shell_line

RELEASES = ["", *table("pins")["releases"]]
#: Texts that a command line can carry: no line breaks (a log or a YAML list seldom has them), no control characters.
TEXTS = st.text(
    st.characters(min_codepoint=32, blacklist_categories=["Cc", "Cs", "Zl", "Zp", "Co", "Cn"]), min_size=1, max_size=12
)
VALUES = TEXTS.filter(
    lambda text: not text.startswith(("-", "\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2015", "\u2212"))
)
NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)


@st.composite
def flags(draw: st.DrawFn) -> Flag:
    """A flag of vLLM's with values that it takes, spelled in one of the ways."""
    name = draw(st.sampled_from(flag_table.names()))
    spelled = draw(st.sampled_from([name, "--" + name[2:].replace("-", "_")]))
    found = flag_table.match(name)
    assert found
    if found.negative or found.option.bare:
        return Flag(found.name, (), spelled, "bare")
    if found.option.several:
        return Flag(found.name, tuple(draw(st.lists(VALUES, min_size=1, max_size=3))), spelled)
    if found.option.kind == "truth":
        return Flag(found.name, (draw(st.sampled_from(["true", "False"])),), spelled)
    if draw(st.booleans()):
        return Flag(found.name, (draw(TEXTS),), spelled, "equals")
    return Flag(found.name, (draw(VALUES),), spelled)


@st.composite
def commands(draw: st.DrawFn) -> Command:
    listed = tuple(draw(st.lists(flags().filter(lambda flag: flag.name != "--model"), max_size=6)))
    return Command(("vllm", "serve"), draw(VALUES), listed, draw(st.dictionaries(NAMES, TEXTS, max_size=3)))


JSON = st.recursive(
    st.integers(0, 9) | st.booleans() | st.from_regex(r"[a-z]{1,5}", fullmatch=True),
    lambda inner: st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner, min_size=1, max_size=2),
    max_leaves=3,
)


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """A change as rules make it."""
    names = st.sampled_from([*flag_table.names(), "--limit-mm-per-prompt", "--max-model-len", "--hf-overrides"])
    maps = st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), JSON, min_size=1, max_size=2)
    change: dict[str, Any] = {}
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        found = flag_table.match(name)
        assert found
        if found.negative or found.option.bare or found.option.kind == "truth":
            change[name] = draw(st.sampled_from([True, None]))
        elif found.option.value_kind in flag_table.JSON_KINDS:
            change[name] = draw(maps | st.none())
        else:
            change[name] = draw(st.none() | VALUES | st.integers(0, 99) | (st.lists(VALUES, min_size=1, max_size=2)))
    return {"flags": change, "env": draw(st.dictionaries(NAMES, st.none() | TEXTS, max_size=2))}


def in_list(command: Command) -> str:
    """The command in a pod, one word an entry, with a comment behind each."""
    entries = "".join(
        f"    - {json.dumps(word, ensure_ascii=False)} # {number}\n" for number, word in enumerate(command.words)
    )
    variables = "".join(
        f"    - name: {name}\n      value: {json.dumps(value, ensure_ascii=False)} # v\n"
        for name, value in command.env.items()
    )
    env = f"    env:\n{variables}" if variables else ""
    return f"# top\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - name: c # here\n{env}    command:\n{entries}  # end\n"


def shell_block(command: Command) -> str:
    """The command for a shell, one word a line."""
    env = (f"{name}={quoted(value)}" for name, value in command.env.items())
    return " \\\n  ".join([*env, *map(quoted, command.words)])


def in_script(command: Command) -> str:
    """The command in a script of a pod."""
    lines = "".join(f"        {line}\n" for line in shell_block(command).split("\n"))
    return f"spec:\n  containers:\n  - name: c\n    command: [sh, -c]\n    args:\n    - |\n        # first\n{lines}        wait # last\n"


def changed_in(text: str, command: Command, change: dict[str, Any], release: str) -> tuple[Command, str]:
    """The command of a text with a change made, and the text with it: both read as the same."""
    (found,) = read(text)
    assert (found.model, found.flags, found.env) == (command.model, command.flags, command.env)
    assert patched(found, reveal=True) == text
    changed = edit(found, change, release)
    written = patched(changed, reveal=True)
    assert read(written) == [changed]
    return changed, written


@given(commands())
def test_what_is_written_reads_as_the_same_command(command: Command) -> None:
    assert read(shell_line(command, reveal=True)) == [command]
    assert read(shell_block(command)) == [command]
    assert read("sh -c " + json.dumps("vllm serve m"))[0].model == "m"
    (again,) = read(list(command.words))
    assert again == Command(command.program, command.model, command.flags)


@given(commands())
def test_a_docker_line_starts_the_same_server(command: Command) -> None:
    (again,) = read(docker_line(command, "img", reveal=True))
    assert (again.model, again.flags, again.env, again.image) == (command.model, command.flags, command.env, "img")


@given(commands(), changes(), st.sampled_from(RELEASES))
def test_a_change_made_twice_is_made_once(command: Command, change: dict[str, Any], release: str) -> None:
    once = edit(command, change, release)
    assert edit(once, change, release) == once


@given(commands(), changes(), st.sampled_from(RELEASES))
def test_what_a_change_does_not_name_stays(command: Command, change: dict[str, Any], release: str) -> None:
    once = edit(command, change, release)

    def others(flags: tuple[Flag, ...]) -> list[Flag]:
        named = {flag_table.match(name).option.name for name in change["flags"]}  # type: ignore[union-attr]  # they are the table's
        return [flag for flag in flags if flag_table.match(flag.name).option.name not in named]  # type: ignore[union-attr]

    assert others(once.flags) == others(command.flags)
    assert {name: value for name, value in once.env.items() if name not in change["env"]} == {
        name: value for name, value in command.env.items() if name not in change["env"]
    }


@given(commands(), changes(), st.sampled_from(RELEASES))
def test_a_patched_manifest_differs_only_where_it_was_changed(
    command: Command, change: dict[str, Any], release: str
) -> None:
    text = in_list(command)
    changed, written = changed_in(text, command, change, release)
    # Lines that stay, stay as they are and in their order; a comment goes only with its own line.
    kept = [line for line in text.splitlines() if line in written.splitlines()]
    words = set(changed.words)
    for number, word in enumerate(command.words):
        if word in words and list(command.words).count(word) == 1:
            assert any(line.endswith(f" # {number}") for line in written.splitlines()), word
    assert {"# top", "kind: Pod", "  - name: c # here", "  # end"} <= set(kept)
    # What kubectl would get says the same.
    container = yaml.safe_load(written)["spec"]["containers"][0]
    assert container["command"] == list(changed.words)
    loaded = yaml.safe_load(patch(changed, reveal=True))
    assert loaded["spec"]["containers"][0].get("command", container["command"]) == container["command"]


@given(commands(), changes(), st.sampled_from(RELEASES))
def test_a_patched_script_keeps_its_lines(command: Command, change: dict[str, Any], release: str) -> None:
    text = in_script(command)
    changed, written = changed_in(text, command, change, release)
    assert written.startswith(text[: text.index("# first") + 7])
    assert written.endswith("wait # last\n") or changed.env.keys() > command.env.keys()


@given(commands(), changes(), st.sampled_from(RELEASES))
def test_nothing_raises(command: Command, change: dict[str, Any], release: str) -> None:
    changed = edit(command, change, release)
    for each in (command, changed, *read(shell_line(changed, reveal=True))):
        for problem in check(each, release):
            assert problem.kind
        assert shell_line(each)
        assert diff(command, each)
        assert patch(each) == ""


@given(
    st.text(alphabet="vllm serve --xy=1\n\\'\"$(){}[]#&|;:-, *&!<>%@`é–", max_size=120),
    st.sampled_from(["vllm serve ", "kind: Pod\n", "docker run ", ""]),
)
def test_any_text_is_commands_or_an_error(text: str, start: str) -> None:
    try:
        found = read(start + text)
    except LaunchError as error:
        found = []
        str(error)
    for command in found:
        changed = edit(command, {"flags": {"--max-model-len": 1, "--limit-mm-per-prompt": {"image": 1}}}, "0.7.2")
        patched(changed)
        check(changed, "0.18.0")
        shell_line(changed)
