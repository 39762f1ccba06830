"""A changed command is written back to where it came from, and nothing else of that text is touched."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest
import yaml

from qvl_doctor.launch.editing import edit
from qvl_doctor.launch.patching import patch, patched
from qvl_doctor.launch.reading import read

COMMANDS = Path(__file__).parents[2] / "fixtures" / "commands"
NAMES = sorted(path.name for path in COMMANDS.iterdir())
ARTICLE = {"--max-model-len": 4096, "--limit-mm-per-prompt": {"image": "1", "video": "0"}}


def fixture(name: str) -> str:
    return (COMMANDS / name).read_text(encoding="utf-8")


def changed_lines(before: str, after: str) -> list[str]:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    return [line for line in lines if not line.startswith("@@")]


def after_edit(text: str, change: dict[str, Any], release: str = "", number: int = 0) -> str:
    """The text after a change, which must then read as the changed command."""
    command = edit(read(text, release)[number], change, release)
    written = patched(command, reveal=True)
    assert command == read(written, release)[number]
    return written


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("vllm serve --port 1 --model m --api-key k\n", "vllm serve m --port 1 --api-key k\n"),
        ("vllm serve --model=m\n", "vllm serve m\n"),
        ("docker run -e A=1 vllm/vllm-openai --model m --port 1\n", "docker run -e A=1 vllm/vllm-openai m --port 1\n"),
    ],
)
def test_a_model_moves_behind_the_program(before: str, after: str) -> None:
    """Taking --model away must not lose the model."""
    change = {"flags": {"--model": None}}
    assert after_edit(before, change) == after
    assert after_edit(after, change) == after


@pytest.mark.parametrize(
    "lines",
    [
        ["vllm", "serve", "--port", "'1'", "--model", "m"],
        ["vllm", "serve", "--model", "m"],
        ["vllm", "serve", "--model=m", "-tp=2"],
    ],
)
def test_a_model_moves_in_a_manifest(lines: list[str]) -> None:
    """Into the list where the program stands, whatever stands there first."""
    head = "kind: Pod\nspec:\n  containers:\n  - name: vllm\n    image: vllm/vllm-openai:v0.7.2\n    command:\n"
    written = after_edit(head + "".join(f"    - {line}\n" for line in lines), {"flags": {"--model": None}})
    (command,) = read(written)
    assert (command.positional, command.flag("--model")) == ("m", None)
    assert written.startswith(head + "    - vllm\n    - serve\n    - m\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_command_that_is_not_changed_is_written_as_it_was(name: str) -> None:
    for command in read(fixture(name)):
        assert command.source
        # What a shell would misunderstand is put right all the same.
        assert (patched(command, reveal=True) == fixture(name)) == (not command.source.problems)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("article-deployment.yaml", ['-    - "24576" # 介于16384和32768之间', '+    - "4096" # 介于16384和32768之间']),
        ("article-script.yaml", ["-  --max-model-len 24576 \\", "+  --max-model-len 4096 \\"]),
        ("article-and-then.sh", ["---max-model-len 24576 \\", "+--max-model-len 4096 \\"]),
        (
            "article-docker.sh",
            [
                '---limit-mm-per-prompt "image=5,video=0" \\',
                '+--limit-mm-per-prompt "image=1,video=0" \\',
                "---max-model-len 24576 \\",
                "+--max-model-len 4096 \\",
            ],
        ),
    ],
)
def test_the_article(name: str, lines: list[str]) -> None:
    assert changed_lines(fixture(name), after_edit(fixture(name), {"flags": ARTICLE}, "0.7.2")) == lines


def test_the_article_for_a_newer_release() -> None:
    after = after_edit(fixture("article-deployment.yaml"), {"flags": {**ARTICLE, "--swap-space": None}}, "0.18.0")
    assert changed_lines(fixture("article-deployment.yaml"), after) == [
        '-    - "image=1,video=0"',
        '+    - "{\\"image\\": 1, \\"video\\": 0}"',
        '-    - "--swap-space"',
        '-    - "20"',
        '-    - "24576" # 介于16384和32768之间',
        '+    - "4096" # 介于16384和32768之间',
    ]


def test_new_flags_of_a_script_stand_before_what_ends_the_command() -> None:
    after = after_edit(fixture("article-script.yaml"), {"flags": {"--enforce-eager": True}})
    assert changed_lines(fixture("article-script.yaml"), after) == [
        "-  --block-size 16 & # 放到后台,否则会阻塞后面的命令执行",
        "+  --block-size 16 \\",
        "+  --enforce-eager & # 放到后台,否则会阻塞后面的命令执行",
    ]


def test_comments_that_break_a_command_move_above_it() -> None:
    after = after_edit(fixture("article-chatbot.sh"), {"flags": {"--max-model-len": 4096}}, "0.7.2")
    assert after.splitlines()[:6] == [
        "# 平衡上下文长度和显存",
        "# 显存利用率提升到90%",
        "# 减小KV缓存块大小(可选)",
        "# 仅支持图像,严格限制Token",
        "# 限制并发请求数",
        "vllm serve /models/qwen/Qwen2___5-VL-7B-Instruct \\",
    ]
    assert "--max-model-len 4096 \\\n" in after
    (again,) = read(after)
    assert again.source
    assert not again.source.problems


CHANGE = {
    "flags": {"--max-model-len": 4096, "--enforce-eager": True},
    "env": {"VLLM_USE_V1": "0"},
    "image": "vllm/vllm-openai:v0.9.2",
}


@pytest.mark.parametrize(
    ("name", "number", "lines"),
    [
        (
            "deployment-args.yaml",
            0,
            [
                '-                    image: "vllm/vllm-openai:v0.11.0"   # the first that serves Qwen3-VL',
                '+                    image: "vllm/vllm-openai:v0.9.2"   # the first that serves Qwen3-VL',
                "-                           '--max-model-len=32768',",
                '-                           --limit-mm-per-prompt, \'{"image": 4, "video": 1}\']',
                "+                           '--max-model-len=4096',",
                "+                           --limit-mm-per-prompt, '{\"image\": 4, \"video\": 1}', '--enforce-eager']",
                "+                        -   name: VLLM_USE_V1",
                '+                            value: "0"',
            ],
        ),
        (
            "list.json",
            0,
            [
                '-                                "image": "vllm/vllm-openai:v0.8.5",',
                '+                                "image": "vllm/vllm-openai:v0.9.2",',
                '-                                    "16"',
                '+                                    "16",',
                '+                                    "--max-model-len",',
                '+                                    "4096",',
                '+                                    "--enforce-eager"',
                '-                                        "value": "1"',
                '+                                        "value": "0"',
            ],
        ),
        (
            "pod-script.yaml",
            0,
            [
                "-        --limit-mm-per-prompt '{\"image\":2}'",
                "+        --limit-mm-per-prompt '{\"image\":2}' \\",
                "+        --max-model-len 4096 \\",
                "+        --enforce-eager",
                "+    - name: VLLM_USE_V1",
                '+      value: "0"',
            ],
        ),
        (
            "compose.yaml",
            0,
            [
                "-    image: vllm/vllm-openai:v0.10.2",
                "+    image: vllm/vllm-openai:v0.9.2",
                "-    command: --model Qwen/Qwen2.5-VL-7B-Instruct --max-model-len 16384 --limit-mm-per-prompt '{\"image\":4}'",
                (
                    "+    command: --model Qwen/Qwen2.5-VL-7B-Instruct --max-model-len 4096 "
                    "--limit-mm-per-prompt '{\"image\":4}' --enforce-eager"
                ),
                '+      VLLM_USE_V1: "0"',
            ],
        ),
        (
            "compose.yaml",
            1,
            [
                '-    image: "vllm/vllm-openai:v0.10.2"',
                '+    image: "vllm/vllm-openai:v0.9.2"',
                "+      - --max-model-len",
                '+      - "4096"',
                "+      - VLLM_USE_V1=0",
            ],
        ),
        (
            "compose.yaml",
            2,
            [
                "-    image: vllm/vllm-openai:v0.10.2",
                "+    image: vllm/vllm-openai:v0.9.2",
                "+    environment:",
                '+      - "VLLM_USE_V1=0"',
                "-      --max-num-seqs 8",
                "+      --max-num-seqs 8 --max-model-len 4096 --enforce-eager",
            ],
        ),
        (
            "podman-image.sh",
            0,
            [
                (
                    "-podman run --rm -it --device nvidia.com/gpu=all -p8000:8000 -eHF_HUB_OFFLINE=1 "
                    "docker.io/vllm/vllm-openai:v0.8.5 --model /m --dtype half -tp 2"
                ),
                (
                    "+podman run --rm -it --device nvidia.com/gpu=all -p8000:8000 -eHF_HUB_OFFLINE=1 -e VLLM_USE_V1=0 "
                    "vllm/vllm-openai:v0.9.2 --model /m --dtype half -tp 2 --max-model-len 4096 --enforce-eager"
                ),
            ],
        ),
        (
            "docker-script.sh",
            0,
            [
                (
                    '-  vllm/vllm-openai:v0.9.1 -c "pip install -U transformers && '
                    'vllm serve Qwen/Qwen2.5-VL-7B-Instruct --max-model-len 32768 --api-key $KEY"'
                ),
                "+  -e VLLM_USE_V1=0 \\",
                (
                    '+  vllm/vllm-openai:v0.9.2 -c "pip install -U transformers && '
                    'vllm serve Qwen/Qwen2.5-VL-7B-Instruct --max-model-len 4096 --api-key $KEY --enforce-eager"'
                ),
            ],
        ),
        (
            "terminal.txt",
            0,
            [
                "+# was 32768",
                "-    --model /models/Qwen2-VL-72B-Instruct-AWQ",
                "-    --tensor-parallel-size 2",
                "-    --max-model-len 8192   # was 32768",
                "-",
                '-    --limit-mm-per-prompt "image=2,video=0" > server.log 2>&1 &',
                "+    --model /models/Qwen2-VL-72B-Instruct-AWQ \\",
                "+    --tensor-parallel-size 2 \\",
                "+    --max-model-len 4096 \\",
                '+    --limit-mm-per-prompt "image=2,video=0" \\',
                "+    --enforce-eager > server.log 2>&1 &",
            ],
        ),
    ],
)
def test_each_shape_is_changed_in_place(name: str, number: int, lines: list[str]) -> None:
    assert changed_lines(fixture(name), after_edit(fixture(name), CHANGE, "0.9.2", number)) == lines


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        # The last word goes, all go, all go while one comes.
        ("args: [--model, m, --swap-space, '4']", {"--swap-space": None}, "args: [--model, m]"),
        ("args: [--swap-space, '4']", {"--swap-space": None}, "args: []"),
        ("args: [--swap-space, '4']", {"--swap-space": None, "--port": 1}, 'args: [--port, "1"]'),
        ("args:\n- --swap-space\n- '4'", {"--swap-space": None}, "args:\n  []"),
        ("args:\n- --swap-space\n- '4'\n", {"--swap-space": None, "--port": 1}, 'args:\n- --port\n- "1"\n'),
        ("args:\n- --swap-space\n- '4'\n- --port\n- '1'", {"--swap-space": None}, "args:\n- --port\n- '1'"),
        ("args: []", {"--port": 1}, 'args: ["--port", "1"]'),
        ("args:", {"--port": 1}, 'args: ["--port", "1"]'),
        ("name: a", {"--port": 1}, 'args:\n  - "--port"\n  - "1"\nname: a'),
        ("args: ['--port 8000', --model, m]", {"--port": 1}, "args: ['--port', \"1\", --model, m]"),
        ("command: [vllm, serve, m]\nargs: [--port, '1']", {"--port": 2}, "command: [vllm, serve, m]\nargs: [--port, '2']"),
        ("command: [vllm, serve, m]\nargs: [--port, '1']", {"--port": None}, "command: [vllm, serve, m]\nargs: []"),
        ("args:\n- --model\n- m\n# the end", {"--port": 1}, 'args:\n- --model\n- m\n- --port\n- "1"\n# the end'),
        ('args:\n- --hf-overrides\n- |\n  {"a": 1}\n', {"--hf-overrides": {"a": "2"}}, 'args:\n- --hf-overrides\n- "{\\"a\\": 2}"\n'),
        ("args: &a [--model, m]\nx: *a", {"--port": 1}, 'args: &a [--model, m, --port, "1"]\nx: *a'),
        ("x: &m m\nargs: [--model, *m, --port, '1']", {"--model": "other"}, "x: &m m\nargs: [--model, other, --port, '1']"),
    ],
)  # fmt: skip
def test_lists(before: str, change: dict[str, Any], after: str) -> None:
    text = "image: vllm/vllm-openai\n" + before
    (command,) = read(text)
    assert patched(edit(command, {"flags": change}), reveal=True) == "image: vllm/vllm-openai\n" + after


@pytest.mark.parametrize(
    ("before", "env", "after"),
    [
        ("env: []", {"A": "2"}, 'env: [{"name": "A", "value": "2"}]'),
        ("env: [{name: A, value: '1'}]", {"A": "2"}, "env: [{name: A, value: '2'}]"),
        ("env: [{name: A, value: '1'}]", {"B": "2"}, 'env: [{name: A, value: \'1\'}, {"name": "B", "value": "2"}]'),
        ("env: [{name: A, value: '1'}]", {"A": None}, "env: []"),
        ("env: [{name: A, value: '1'}]", {"A": None, "B": "2"}, 'env: [{"name": "B", "value": "2"}]'),
        ("env:\n- name: A\n  value: x # c\n- name: B\n  value: y", {"A": None}, "env:\n- name: B\n  value: y"),
        ("env:\n- name: A\n  value: x # c", {"A": "1"}, 'env:\n- name: A\n  value: "1" # c'),
        ("env:\n- name: A\n  value: x", {"A": None, "B": "true"}, 'env:\n- name: B\n  value: "true"'),
    ],
)
def test_variables_of_a_container(before: str, env: dict[str, Any], after: str) -> None:
    text = "image: vllm/vllm-openai\nargs: [--model, m]\n"
    (command,) = read(text + before)
    assert patched(edit(command, {"env": env}), reveal=True) == text + after


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ("A=1 B=2 vllm serve m", {"env": {"A": None}}, "B=2 vllm serve m"),
        ("A=1 exec vllm serve m", {"env": {"A": "x y", "C": "3"}}, "C=3 A='x y' exec vllm serve m"),
        ("export A=1 B=2\nvllm serve m", {"env": {"A": None, "B": "3"}}, "export B=3\nvllm serve m"),
        ("export A=1\nvllm serve m", {"env": {"A": None}}, "unset A\nvllm serve m"),
        ("docker run -e A=1 -e B=2 vllm/vllm-openai --model m", {"env": {"A": None}}, "docker run -e B=2 vllm/vllm-openai --model m"),
        ("docker run -eA=1 vllm/vllm-openai --model m", {"env": {"A": "2"}}, "docker run -eA=2 vllm/vllm-openai --model m"),
        ("docker run --env=A=1 vllm/vllm-openai --model m", {"env": {"A": "2"}}, "docker run --env=A=2 vllm/vllm-openai --model m"),
        ("vllm serve m --port 1 > log", {"flags": {"--host": "h"}}, "vllm serve m --port 1 --host h > log"),
        ("vllm serve m --port=1; ls", {"flags": {"--port": 2}}, "vllm serve m --port=2; ls"),
        ('vllm serve m --api-key="$K" --port 1', {"flags": {"--port": None}}, 'vllm serve m --api-key="$K"'),
        ("vllm serve m --served-model-name='a b'", {"flags": {"--served-model-name": "c d"}}, "vllm serve m --served-model-name='c d'"),
        ('sh -c "vllm serve m"', {"flags": {"--hf-overrides": {"a": "1"}}}, "sh -c \"vllm serve m --hf-overrides '{\\\"a\\\": 1}'\""),
    ],
)  # fmt: skip
def test_shell_text(before: str, change: dict[str, Any], after: str) -> None:
    (command,) = read(before)
    changed = edit(command, change)
    written = patched(changed, reveal=True)
    assert written == after
    assert read(written) == [changed]


def test_quotes_in_quotes() -> None:
    for outer in (
        "sh -c 'vllm serve m --port 1'",
        'sh -c "vllm serve m --port 1"',
        'sh -c "vllm serve \\"m\\" --port 1"',
    ):
        (command,) = read(outer)
        changed = edit(command, {"flags": {"--host": 'it\'s "$x"'}})
        assert read(patched(changed, reveal=True)) == [changed]


def test_a_patch_for_kubectl() -> None:
    (command,) = read(fixture("deployment-args.yaml"))
    change = {
        "flags": {"--max-model-len": 4096},
        "env": {"VLLM_LOGGING_LEVEL": None, "A": "1"},
        "image": "vllm/vllm-openai:v0.12.0",
    }
    loaded = yaml.safe_load(patch(edit(command, change, "0.11.0")))
    assert (loaded["apiVersion"], loaded["kind"]) == ("apps/v1", "Deployment")
    assert loaded["metadata"] == {"name": "qwen3-vl", "namespace": "inference"}
    assert loaded["spec"]["template"]["spec"]["containers"] == [
        {
            "name": "vllm",
            "image": "vllm/vllm-openai:v0.12.0",
            "args": [
                "--model=Qwen/Qwen3-VL-8B-Instruct",
                "--max-model-len=4096",
                "--limit-mm-per-prompt",
                '{"image": 4, "video": 1}',
            ],
            "env": [{"name": "A", "value": "1"}, {"name": "VLLM_LOGGING_LEVEL", "$patch": "delete"}],
        }
    ]


def test_a_patch_holds_a_whole_script() -> None:
    (command,) = read(fixture("pod-script.yaml"))
    changed = edit(command, {"flags": {"--enforce-eager": True}}, "0.9.2")
    (container,) = yaml.safe_load(patch(changed))["spec"]["containers"]
    assert list(container) == ["name", "args"]
    assert container["args"] == yaml.safe_load(patched(changed))["spec"]["containers"][0]["args"]
    assert "--enforce-eager" in container["args"][0]


def test_only_what_kubectl_can_merge_gets_a_patch() -> None:
    (command,) = read(
        "kind: RayService\nmetadata: {name: r}\nspec: {containers: [{name: c, command: [vllm, serve, m]}]}"
    )
    assert patch(edit(command, {"flags": {"--port": 1}})) == ""
    (command,) = read("vllm serve m")
    assert patch(command) == ""
