"""A command is found in whatever people have, and an input that has none is an error that says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from qvl_doctor.launch.argv import MAX_WORDS
from qvl_doctor.launch.command import Command, Flag, LaunchError
from qvl_doctor.launch.reading import MAX_COMMANDS, read

COMMANDS = Path(__file__).parents[2] / "fixtures" / "commands"
LOGS = Path(__file__).parents[2] / "fixtures" / "healthy"


def fixture(name: str) -> str:
    return (COMMANDS / name).read_text(encoding="utf-8")


def one(text: str | list[str], release: str = "") -> Command:
    (command,) = read(text, release)
    return command


def flags(command: Command) -> dict[str, str | None]:
    return {flag.name: flag.value for flag in command.flags}


def test_arguments() -> None:
    command = one(
        [
            "vllm",
            "serve",
            "m",
            "--max_model_len=4096",
            "-tp",
            "2",
            "-O3",
            "--enforce-eager",
            "--served-model-name",
            "a",
            "b",
        ]
    )
    assert command.program == ("vllm", "serve")
    assert command.model == "m"
    assert command.flags == (
        Flag("--max-model-len", ("4096",), "--max_model_len", "equals"),
        Flag("--tensor-parallel-size", ("2",), "-tp", "separate"),
        Flag("--compilation-config", ("3",), "-O", "attached"),
        Flag("--enforce-eager", (), "--enforce-eager", "bare"),
        Flag("--served-model-name", ("a", "b"), "--served-model-name", "separate"),
    )


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        # Switches take no value, but true and false are what people write there.
        ("--enforce-eager x", Flag("--enforce-eager", (), "--enforce-eager", "bare")),
        ("--enforce-eager True", Flag("--enforce-eager", ("True",), "--enforce-eager")),
        ("--enable-chunked-prefill False", Flag("--enable-chunked-prefill", ("False",), "--enable-chunked-prefill")),
        ("--seed -1", Flag("--seed", ("-1",), "--seed")),
        ("--port --host", Flag("--port", (), "--port", "bare")),
        ("--speculative-config.model x", Flag("--speculative-config", ("x",), "--speculative-config.model")),
        (
            "--speculative_config.num_tokens=3",
            Flag("--speculative-config", ("3",), "--speculative_config.num_tokens", "equals"),
        ),
        ("--max-model 8", Flag("--max-model-len", ("8",), "--max-model")),
        ("—max-model-len 8", Flag("--max-model-len", ("8",), "—max-model-len")),
        ("--no-enable-prefix-caching", Flag("--no-enable-prefix-caching", (), "--no-enable-prefix-caching", "bare")),
        ("--frobnicate 3", Flag("--frobnicate", ("3",), "--frobnicate")),
        ("--config=", Flag("--config", ("",), "--config", "equals")),
    ],
)
def test_flags(words: str, flag: Flag) -> None:
    assert one(f"vllm serve m {words}").flags[0] == flag


@pytest.mark.parametrize(
    ("text", "program", "model"),
    [
        ("vllm serve m --port 1", ("vllm", "serve"), "m"),
        ("vllm serve --port 1 m", ("vllm", "serve"), "m"),
        ("vllm serve --model m", ("vllm", "serve"), "m"),
        ("/opt/venv/bin/vllm serve m", ("/opt/venv/bin/vllm", "serve"), "m"),
        ("exec nohup vllm serve m", ("exec", "nohup", "vllm", "serve"), "m"),
        ("uv run vllm serve m", ("uv", "run", "vllm", "serve"), "m"),
        ("numactl --cpunodebind=0 vllm serve m", ("numactl", "--cpunodebind=0", "vllm", "serve"), "m"),
        (
            "python3 -u -m vllm.entrypoints.openai.api_server --model m",
            ("python3", "-u", "-m", "vllm.entrypoints.openai.api_server"),
            "m",
        ),
        (
            "python vllm/entrypoints/openai/api_server.py --model m",
            ("python", "vllm/entrypoints/openai/api_server.py"),
            "m",
        ),
        ("$ vllm serve m", ("vllm", "serve"), "m"),
        ("(base) user@host:~$ vllm serve m", ("vllm", "serve"), "m"),
        ("while true; do vllm serve m; sleep 1; done", ("vllm", "serve"), "m"),
        ("echo vllm serve x\nsource env && vllm serve m || true", ("vllm", "serve"), "m"),
        ("pkill -f 'vllm serve'; vllm serve m &", ("vllm", "serve"), "m"),
        ("kubectl exec -it pod -- sh -c 'cd /m && vllm serve m'", ("vllm", "serve"), "m"),
        ("cat > start.sh <<EOF\nvllm serve m\nEOF", ("vllm", "serve"), "m"),
        ("```sh\nvllm serve m\n```", ("vllm", "serve"), "m"),
    ],
)
def test_programs(text: str, program: tuple[str, ...], model: str) -> None:
    command = one(text)
    assert (command.program, command.model) == (program, model)


def test_variables_in_front_and_exported() -> None:
    command = one("export A=1 B=2\nB=3 C='x y' exec vllm serve m")
    assert command.env == {"A": "1", "B": "3", "C": "x y"}
    assert command.program == ("exec", "vllm", "serve")


def test_several_commands_come_in_their_order() -> None:
    assert [command.model for command in read("vllm serve a & vllm serve b\nbash -lc 'vllm serve c'")] == [
        "a",
        "b",
        "c",
    ]


def test_the_articles_docker_line() -> None:
    command = one(fixture("article-docker.sh"))
    assert command.image == "qwenllm/qwenvl:2.5-cu121"
    assert command.program == ("vllm", "serve")
    assert command.model == "/models/qwen/Qwen2___5-VL-7B-Instruct"
    assert flags(command) == {
        "--served-model-name": "qwen2.5-VL-7B-Instruct",
        "--api-key": "sk-REDACTED",
        "--port": "7869",
        "--dtype": "bfloat16",
        "--limit-mm-per-prompt": "image=5,video=0",
        "--gpu-memory-utilization": "0.9",
        "--swap-space": "20",
        "--max-model-len": "24576",
        "--block-size": "16",
    }


@pytest.mark.parametrize("name", ["article-deployment.yaml", "article-script.yaml", "article-and-then.sh"])
def test_the_articles_other_commands_say_the_same(name: str) -> None:
    docker, other = one(fixture("article-docker.sh")), one(fixture(name))
    assert (other.program, other.model) == (docker.program, docker.model)
    assert list(flags(other)) == list(flags(docker))
    assert other.value("--limit-mm-per-prompt") == "image=1,video=0"


def test_comments_behind_backslashes() -> None:
    command = one(fixture("article-chatbot.sh"))
    assert command.value("--limit-mm-per-prompt") == "image=1024,video=0"
    assert command.flags[-1] == Flag("--enforce-eager", (), "--enforce-eager", "bare")
    assert all(flag.name for flag in command.flags)


@pytest.mark.parametrize(
    ("text", "image", "program", "env", "container"),
    [
        ("docker run vllm/vllm-openai:v0.8.5 --model m", "vllm/vllm-openai:v0.8.5", (), {}, {}),
        (
            "docker run --rm -it --gpus all --ipc host --shm-size=8g -p 80:80 -e A=1 --env=B=2 -eC=3 -e D --name x img vllm serve m",
            "img",
            ("vllm", "serve"),
            {"A": "1", "B": "2", "C": "3"},
            {"gpus": "all", "ipc": "host", "shm-size": "8g", "name": "x"},
        ),
        ("sudo podman run --entrypoint vllm img serve m", "img", ("vllm", "serve"), {}, {}),
        (
            "docker run img python3 -m vllm.entrypoints.openai.api_server --model m",
            "img",
            ("python3", "-m", "vllm.entrypoints.openai.api_server"),
            {},
            {},
        ),
        (
            "docker run -e A=1 --entrypoint sh img -c 'A=2 B=3 vllm serve m'",
            "img",
            ("vllm", "serve"),
            {"A": "2", "B": "3"},
            {},
        ),
        ("docker container run -dit img bash -c 'vllm serve m'", "img", ("vllm", "serve"), {}, {}),
    ],
)
def test_docker(
    text: str, image: str, program: tuple[str, ...], env: dict[str, str], container: dict[str, str]
) -> None:
    assert one(text) == Command(program, "m", one(text).flags, env, image, container=container)


@pytest.mark.parametrize(
    "text", ["docker run nginx", "docker run vllm-runner bash", "docker ps", "docker exec x ls", "docker run -it"]
)
def test_other_containers_are_no_server(text: str) -> None:
    with pytest.raises(LaunchError):
        assert not [command for command in read(text) if command.model or command.flags]


def test_a_deployment_among_other_objects() -> None:
    command = one(fixture("deployment-args.yaml"))
    assert command.where == "Deployment/qwen3-vl/vllm"
    assert (command.program, command.model, command.image) == (
        (),
        "Qwen/Qwen3-VL-8B-Instruct",
        "vllm/vllm-openai:v0.11.0",
    )
    assert command.value("--limit-mm-per-prompt") == '{"image": 4, "video": 1}'
    assert command.env == {"VLLM_LOGGING_LEVEL": "DEBUG"}
    assert command.container == {"name": "vllm", "gpus": "2", "memory": "64Gi", "shm-size": "16Gi"}


def test_a_list_of_objects_in_json() -> None:
    command = one(fixture("list.json"))
    assert (command.where, command.model) == ("StatefulSet/internvl/server", "OpenGVLab/InternVL3-8B")
    assert flags(command) == {"--trust-remote-code": None, "--max-num-seqs": "16"}


def test_a_script_in_a_pod() -> None:
    command = one(fixture("pod-script.yaml"))
    assert command.program == ("exec", "vllm", "serve")
    assert command.env == {"NCCL_P2P_DISABLE": "1", "VLLM_ATTENTION_BACKEND": "FLASH_ATTN", "HF_HUB_OFFLINE": "1"}
    assert command.value("--served-model-name") == "$(hostname)"


def test_a_compose_file() -> None:
    caption, ocr, folded = read(fixture("compose.yaml"))
    assert [each.where for each in (caption, ocr, folded)] == ["services/caption", "services/ocr", "services/folded"]
    assert (caption.program, caption.model) == ((), "Qwen/Qwen2.5-VL-7B-Instruct")
    assert caption.env == {"HF_HOME": "/cache", "VLLM_LOGGING_LEVEL": "INFO"}
    assert caption.container == {"name": "caption", "shm-size": "16gb", "ipc": "host"}
    assert (ocr.program, ocr.model, ocr.env) == (
        ("vllm", "serve"),
        "Qwen/Qwen2.5-VL-3B-Instruct",
        {"CUDA_VISIBLE_DEVICES": "1"},
    )
    assert (folded.model, folded.value("--max-num-seqs")) == ("${MODEL}", "8")


def test_other_containers_may_hold_anything() -> None:
    other = """  - name: sidecar\n    command: [sh, -c, 'echo "']\n  - name: odd\n    command: [sh, -c, {a: b}]\n    args: "it's"\n"""
    assert one(fixture("pod-script.yaml") + other).where == "Pod/gemma/gemma"
    assert len(read(fixture("compose.yaml") + "  x:\n    image: busybox\n    command: echo it's\n")) == 3


def test_a_container_alone() -> None:
    assert one("image: vllm/vllm-openai\nargs: [--model, m]").model == "m"
    assert one("- name: a\n  command: [vllm, serve, m]").where == "a"
    assert one('{"command": "vllm serve m --port 1"}').value("--port") == "1"


def test_what_a_terminal_shows() -> None:
    command = one(fixture("terminal.txt"))
    assert command.env == {"VLLM_USE_V1": "0", "HF_TOKEN": "hf_REDACTED00000000", "CUDA_VISIBLE_DEVICES": "0,1"}
    assert flags(command) == {
        "--model": "/models/Qwen2-VL-72B-Instruct-AWQ",
        "--tensor-parallel-size": "2",
        "--max-model-len": "8192",
        "--limit-mm-per-prompt": "image=2,video=0",
    }


@pytest.mark.parametrize(
    ("log", "release", "expected"),
    [
        (
            "0.8.5.post2-healthy-vl.log",
            "0.8.5",
            {"--host": "127.0.0.1", "--port": "8280", "--max-model-len": "2048", "--enforce-eager": None}
            | {"--limit-mm-per-prompt": '{"image": 2, "video": 0}'},
        ),
        (
            "0.11.0-healthy-vl.log",
            "0.11.0",
            {"--host": "127.0.0.1", "--port": "8310", "--max-model-len": "2048", "--enforce-eager": None}
            | {"--limit-mm-per-prompt": '{"image": 2, "video": 0}'},
        ),
    ],
)
def test_the_arguments_in_a_log(log: str, release: str, expected: dict[str, str | None]) -> None:
    lines = (LOGS / log).read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if "args: Namespace(" in line or "non-default args:" in line)
    command = one(line, release)
    assert (command.program, command.model) == (("vllm", "serve"), "/srv/models/tiny-qwen25vl")
    assert flags(command) == expected
    assert flags(one(line)) == expected


@pytest.mark.parametrize(
    ("line", "release", "words"),
    [
        ("Namespace(model='m', limit_mm_per_prompt={'image': 2})", "0.7.2", ["--limit-mm-per-prompt", "image=2"]),
        ("Namespace(model='m', enable_chunked_prefill=False)", "0.7.2", ["--enable-chunked-prefill", "False"]),
        ("Namespace(model='m', multi_step_stream_outputs=False)", "0.8.5", ["--no-multi-step-stream-outputs"]),
        ("Namespace(model='m', gpu_memory_utilization=0.9)", "0.19.0", []),
        ("Namespace(model='m', gpu_memory_utilization=0.9)", "0.20.0", ["--gpu-memory-utilization", "0.9"]),
        ("Namespace(model='m', served_model_name=['a', 'b'])", "0.8.5", ["--served-model-name", "a", "b"]),
        ("Namespace(model='m', middleware=['a', 'b'])", "0.8.5", ["--middleware", "a", "--middleware", "b"]),
        ("Namespace(model='m', allowed_origins=['x'])", "0.8.5", ["--allowed-origins", '["x"]']),
        (
            "non-default args: {'model': 'm', 'lora_modules': [LoRAModulePath(name='a', path='/a', base_model_name=None)]}",
            "0.9.2",
            ["--lora-modules", "a=/a"],
        ),
        ("Namespace(model='m', no_such_thing=3, dispatch_function=<function f at 0x7f>)", "0.8.5", []),
    ],
)
def test_arguments_become_flags_again(line: str, release: str, words: list[str]) -> None:
    command = one(line, release)
    assert [word for flag in command.flags for word in flag.words] == words


@pytest.mark.parametrize(
    ("text", "kind", "place"),
    [
        ("", "no-command", ""),
        ("hello world", "no-command", ""),
        ("ls -l\ncat x", "no-command", ""),
        ("kind: Service\nspec: {}", "no-command", ""),
        ("vllm serve m --x 'a", "unclosed-quote", "1:18"),
        ("apiVersion: v1\nspec: ]", "broken-yaml", "2:"),
        ("apiVersion: v1\n\tx: 1", "broken-yaml", "2:"),
        ("vllm serve m\n--x \0", "nul-byte", "2:5"),
        ("kind: Pod\nx: " + "[" * 100 + "]" * 100, "too-deep", "2:67"),
        ("kind: Pod\nx: [" + "a, " * 60_000 + "a]", "too-many-values", "2:149990"),
        ("vllm serve m\n" * (MAX_COMMANDS + 1), "too-many-commands", ""),
        ("vllm serve m " + "--port 1 " * MAX_WORDS, "too-many-words", f"[{MAX_WORDS}]"),
        ("x" * 600_000, "too-large", ""),
        ("args: Namespace(", "no-command", ""),
        ("&a [*a]", "no-command", ""),
        ("kind: Pod\nx: *nowhere", "broken-yaml", "2:4"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_place(text: str, kind: str, place: str) -> None:
    with pytest.raises(LaunchError) as caught:
        read(text)
    assert caught.value.kind == kind
    # PyYAML's two parsers do not agree on the column of a mistake.
    assert str(caught.value.place).startswith(place) if place.endswith(":") else str(caught.value.place) == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (
            "kind: Pod\nspec:\n  containers:\n  - command: [sh, -c]\n    args:\n    - |\n      true\n      vllm serve 'm\n",
            "8:18",
        ),
        ("services:\n  a:\n    command: vllm serve 'm\n", "3:14"),
        ("docker run img sh -c 'vllm serve \"m'", "1:34"),
    ],
)
def test_mistakes_in_scripts_have_their_place_in_the_whole(text: str, place: str) -> None:
    with pytest.raises(LaunchError, match="unclosed-quote") as caught:
        read(text)
    assert str(caught.value.place) == place


@pytest.mark.parametrize(("words", "place"), [(["vllm", "serve", "m\0"], "[2]"), ([], ""), (["ls"], "")])
def test_arguments_that_cannot_be_read(words: list[str], place: str) -> None:
    with pytest.raises(LaunchError) as caught:
        read(words)
    assert str(caught.value.place) == place


def test_a_bomb_of_aliases_costs_nothing() -> None:
    levels = "".join(f"l{n + 1}: &l{n + 1} [{', '.join([f'*l{n}'] * 9)}]\n" for n in range(40))
    with pytest.raises(LaunchError, match="no-command"):
        read("kind: Pod\nl0: &l0 [x]\n" + levels + "containers: *l40\n")
