"""A command as a line, a block, a `docker run` and a difference; and no secret in any of what goes out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from qvl_doctor.launch.command import Command
from qvl_doctor.launch.editing import edit
from qvl_doctor.launch.patching import patch, patched
from qvl_doctor.launch.reading import read
from qvl_doctor.launch.writing import diff, docker_line, shell_line

COMMANDS = Path(__file__).parents[2] / "fixtures" / "commands"


def fixture(name: str) -> str:
    return (COMMANDS / name).read_text(encoding="utf-8")


def test_lines() -> None:
    (command,) = read("""A='x y' vllm serve m --limit-mm-per-prompt '{"image": 1}' --port 1""")
    assert shell_line(command) == """A='x y' vllm serve m --limit-mm-per-prompt '{"image": 1}' --port 1"""
    expected = (
        "docker run --gpus all --ipc=host -p 1:1 -e 'A=x y' --entrypoint vllm img serve m "
        """--limit-mm-per-prompt '{"image": 1}' --port 1"""
    )
    assert docker_line(command, "img") == expected


def test_a_docker_line_keeps_its_options() -> None:
    (command,) = read(fixture("docker-script.sh"))
    assert docker_line(edit(command, {"flags": {"--max-model-len": 4096}})) == (
        'docker run -d --name vlm --gpus \'"device=0,1"\' --ipc=host --shm-size 16g -e "HF_TOKEN=$HF_TOKEN" --env=VLLM_LOGGING_LEVEL=DEBUG '
        "-v ~/.cache/huggingface:/root/.cache/huggingface -p 8000:8000 --entrypoint bash vllm/vllm-openai:v0.9.1 "
        '-c "pip install -U transformers && vllm serve Qwen/Qwen2.5-VL-7B-Instruct --max-model-len 4096 --api-key $KEY"'
    )


def test_variables_stay_variables() -> None:
    (command,) = read("vllm serve $MODEL --port ${PORT} --served-model-name \"$(hostname)\" --host '$x'")
    assert shell_line(command) == "vllm serve $MODEL --port ${PORT} --served-model-name \"$(hostname)\" --host '$x'"
    (command,) = read("kind: Pod\nspec: {containers: [{name: c, command: [vllm, serve, $(MODEL)]}]}")
    assert shell_line(command) == 'vllm serve "${MODEL}"'


def test_an_image_with_its_own_program_becomes_vllm_serve() -> None:
    (command,) = read("docker run vllm/vllm-openai --port 1 --model m")
    assert shell_line(command) == "vllm serve m --port 1"


def test_a_difference_has_one_line_for_each_flag() -> None:
    (command,) = read("A=1 vllm serve m --swap-space 4 --max-model-len 8192 --port 1")
    changed = edit(
        command, {"flags": {"--swap-space": None, "--max-model-len": 4096, "--enforce-eager": True}, "env": {"A": None}}
    )
    assert diff(command, changed) == [
        ("removed", "A=1"),
        ("same", "vllm serve m"),
        ("removed", "--swap-space 4"),
        ("removed", "--max-model-len 8192"),
        ("added", "--max-model-len 4096"),
        ("same", "--port 1"),
        ("added", "--enforce-eager"),
    ]


SECRETS = {
    "shell": "HF_TOKEN=plain-secret vllm serve m --api-key other-secret --port 1",
    "exported": "export HF_TOKEN=plain-secret\nvllm serve m --api-key=other-secret --port 1",
    "docker": "docker run -e HF_TOKEN=plain-secret vllm/vllm-openai --model m --api-key other-secret --port 1",
    "list": (
        "kind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    image: vllm/vllm-openai\n"
        "    args:\n    - --model\n    - m\n    - --api-key\n    - other-secret\n    - --port\n    - '1'\n"
        "    env:\n    - name: HF_TOKEN\n      value: plain-secret\n"
        "  - name: other\n    env:\n    - {name: DB_PASSWORD, value: third-secret}\n    args: [--hf-token=fourth-secret]\n"
        "---\nkind: Secret\nmetadata: {name: s}\nstringData:\n  anything: fifth-secret\n"
    ),
    "script": (
        "kind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    command: [sh, -c]\n"
        "    args:\n    - |\n      export HF_TOKEN=plain-secret\n      vllm serve m --api-key other-secret --port 1\n"
    ),
    "compose": (
        "services:\n  a:\n    image: vllm/vllm-openai\n    command: --model m --api-key other-secret --port 1\n"
        "    environment:\n      HF_TOKEN: plain-secret\n"
    ),
}


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_masked_wherever_text_goes_out(name: str) -> None:
    text = SECRETS[name]
    command = read(text)[0]
    assert command.value("--api-key") == "other-secret"
    changed = edit(command, {"flags": {"--port": 2}})
    outputs = [
        shell_line(changed),
        docker_line(changed),
        patch(changed),
        patched(changed),
        patched(command),
    ]
    outputs += [line for _, line in diff(command, changed)]
    for output in outputs:
        assert "-secret" not in output, output
    assert "***" in patched(changed)
    revealed = patched(changed, reveal=True)
    assert revealed.count("-secret") == text.count("-secret")
    assert "other-secret" in shell_line(changed, reveal=True)
    # A masked text is still the same command, but for its secrets.
    masked_again = read(patched(changed))[0]
    assert masked_again.value("--port") == "2"
    assert masked_again.value("--api-key") == "***"


def test_a_patch_does_not_write_the_mask_over_a_secret_that_was_not_changed() -> None:
    (command, *_) = read(SECRETS["list"])
    (container,) = yaml.safe_load(patch(edit(command, {"env": {"A": "1"}})))["spec"]["containers"]
    assert container == {"name": "c", "env": [{"name": "A", "value": "1"}]}


def test_commands_without_a_text_have_nothing_to_write_back() -> None:
    for command in (
        *read(["vllm", "serve", "m"]),
        *read("non-default args: {'model': 'm', 'port': 1}"),
        Command(("vllm", "serve"), "m"),
    ):
        assert patched(command) == ""
        assert shell_line(command).startswith("vllm serve m")
