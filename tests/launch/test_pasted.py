"""A command that was pasted next to a log.

Found in a sentence, a fence, a manifest or a call, and only if it is one.
"""

from __future__ import annotations

import time

import pytest

from qvl_doctor.launch.observing import arguments_of
from qvl_doctor.launch.pasted import Pasted, pasted_command


def found(text: str, release: str = "") -> Pasted | None:
    return pasted_command(list(enumerate(text.split("\n"), 1)), release)


ASKED = {"model": "Qwen/Qwen3-8B", "max_model_len": 4096}
WRITTEN = [
    "vllm serve Qwen/Qwen3-8B --max-model-len 4096",
    "I ran `vllm serve Qwen/Qwen3-8B --max-model-len 4096` and got this:",
    "I ran vllm serve Qwen/Qwen3-8B --max-model-len 4096 and it died",
    "vllm serve Qwen/Qwen3-8B \\\n  --max-model-len 4096 \\\n\nThen this happened:",
    "vllm serve Qwen/Qwen3-8B\n--max-model-len 4096\n\ngives this error:",
    "(venv) user@host:~$ VLLM_USE_V1=0 vllm serve Qwen/Qwen3-8B --max-model-len 4096",
    "root@host:/work# nohup python3 -m vllm.entrypoints.openai.api_server --model Qwen/Qwen3-8B --max-model-len=4096 > log 2>&1 &",
    "启动命令：python -u -m vllm.entrypoints.openai.api_server --model Qwen/Qwen3-8B --max_model_len 4096",
    "-m vllm.entrypoints.openai.api_server --model Qwen/Qwen3-8B --max-model-len 4096",
    "/opt/venv/bin/vllm serve Qwen/Qwen3-8B --max-model-len 4096",
    "docker run --gpus all -p 8000:8000 \\\n    vllm/vllm-openai:v0.9.1 \\\n    --model Qwen/Qwen3-8B \\\n    --max-model-len 4096",
    "services:\n  vllm:\n    image: vllm/vllm-openai:v0.9.1\n    command: --model Qwen/Qwen3-8B --max-model-len 4096\n\nIt says:",
    ("      containers:\n      - name: vllm\n        image: vllm/vllm-openai:v0.9.1\n        args:\n        - --model\n"
    "        - Qwen/Qwen3-8B\n        - --max-model-len=4096\nThe pod says:"),
    '        args:\n        - --model\n        - Qwen/Qwen3-8B\n        - "--max-model-len=4096"',
    'llm = LLM(model="Qwen/Qwen3-8B", max_model_len=4096)',
    "llm = LLM(\n    model = 'Qwen/Qwen3-8B',\n    max_model_len = 4096,\n    tensor_parallel_size=tp,\n)\nllm.chat()",
    "Engine args: AsyncEngineArgs(model='Qwen/Qwen3-8B', max_model_len=4096, seed=0, config_format=<ConfigFormat.AUTO: 'auto'>)",
    "vllm serve Qwen/Qwen3-8B --max-model-len 4096\nand once more:\nvllm serve Qwen/Qwen3-8B --max-model-len 4096",
]  # fmt: skip
NONE = [
    "vllm serve fails with this error",
    "usage: vllm serve [model_tag] [options]",
    "vllm serve: error: argument --dtype: invalid choice: 'int4'",
    "`vllm serve` does not start",
    "vllm serve Qwen/Qwen3-8B\nworks, but not\nvllm serve Qwen/Qwen3-8B --max-model-len 4096",
    "docker run --gpus all nvidia/cuda:12.4 nvidia-smi",
    "docker run 'vllm",
    "services:\n  web:\n    image: nginx",
    "args:\n- --port\n- '80'",
    "engine = AsyncEngineArgs(**kwargs)",
    "raise RuntimeError(LLM",
    "self.llm = LLM(model=model_path)",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_a_command_wherever_it_stands(text: str) -> None:
    pasted = found(text)
    assert pasted is not None
    assert arguments_of(pasted.command) == ASKED


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_command_or_not_the_only_one(text: str) -> None:
    assert found(text) is None


def test_a_place_to_fill_in_is_no_redirection() -> None:
    pasted = found("vllm serve <model_path> \\\n  --dtype auto")
    assert pasted is not None
    assert (pasted.command.model, pasted.command.value("--dtype")) == ("<model_path>", "auto")


@pytest.mark.parametrize(("text", "words"), [(WRITTEN[0], True), (WRITTEN[-4], False), (WRITTEN[-7], True)])
def test_only_a_command_in_words_can_be_shown_corrected(text: str, words: bool) -> None:
    pasted = found("\n" + text)
    assert pasted is not None
    assert (pasted.words, pasted.line) == (words, 2)


def test_what_comes_before_it_is_read() -> None:
    pasted = found("$ A=1 vllm serve x/y --max-model-len 1")
    assert pasted is not None
    assert pasted.command.env == {"A": "1"}
    pasted = found(WRITTEN[10])
    assert pasted is not None
    assert pasted.command.image == "vllm/vllm-openai:v0.9.1"


@pytest.mark.parametrize(
    "line",
    [
        "services:", "vllm serve x", "vllm serve " * 300, "LLM(", "LLM(" + "(" * 3000, "docker run \\", "  args:", "image: [vllm",
        "vllm serve '" + "a'" * 900, "a" * 3000 + " vllm serve x/y", "A=1 " * 900 + "vllm serve x/y", "LLM(a=" * 500, "<a " * 900,
    ],
)  # fmt: skip
def test_hostile_lines_take_no_time(line: str) -> None:
    started = time.process_time()
    found("\n".join([line] * 600))
    assert time.process_time() - started < 3
