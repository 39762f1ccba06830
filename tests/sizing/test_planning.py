"""`qvl-doctor plan`, end to end: the article's command in each of its shapes, other models, bad input."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from program import run_text

from qvl_doctor.launch.observing import arguments_of
from qvl_doctor.launch.reading import read
from qvl_doctor.memory import gpus
from qvl_doctor.memory.solver import holds
from qvl_doctor.sizing.case import Known, Unsized, of_arguments

SHELL = """python -m vllm.entrypoints.openai.api_server \\
  --model Qwen/Qwen2.5-VL-7B-Instruct \\
  --limit-mm-per-prompt image=5,video=5 \\
  --swap-space 20
"""
DOCKER = (
    "docker run --gpus all -p 8000:8000 --ipc=host vllm/vllm-openai:v0.7.2 "
    "--model Qwen/Qwen2.5-VL-7B-Instruct --limit-mm-per-prompt image=5,video=5\n"
)
MANIFEST = """# The vision service.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: qwen-vl
spec:
  selector: {matchLabels: {app: qwen-vl}}
  template:
    metadata: {labels: {app: qwen-vl}}
    spec:
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.7.2  # pinned
          command:
            - python3
            - -m
            - vllm.entrypoints.openai.api_server
            - --model
            - Qwen/Qwen2.5-VL-7B-Instruct
            - --limit-mm-per-prompt
            - image=5,video=5   # five of each
            - --port
            - "8000"
          resources:
            limits: {nvidia.com/gpu: 1}
"""


def doctor(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return run_text(*arguments, stdin=given.encode(), env={"NO_COLOR": "1", "COLUMNS": "100"})


def report(*arguments: str, given: str = "") -> dict[str, Any]:
    done = doctor("plan", "--format", "json", *arguments, given=given)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_sentences_about_another_way_have_no_space_between_them_in_chinese() -> None:
    ways = report("--command", "-", "--gpu", "L4", given=SHELL)["alternatives"]
    assert ways
    for way in ways:
        assert ". " in way["text"]["en"]
        assert "。" in way["text"]["zh"]
        assert "。 " not in way["text"]["zh"]


@pytest.mark.parametrize("text", [SHELL, DOCKER, MANIFEST], ids=["shell", "docker", "kubernetes"])
def test_the_articles_command_becomes_one_that_the_model_accepts(text: str, tmp_path: Path) -> None:
    file = tmp_path / "start"
    file.write_text(text, encoding="utf-8")
    card = ("--gpu-memory", "23.65GiB", "--vllm", "0.7.2")
    found = report(*card, "--command", str(file))
    assert found["verdict"] == "failed"
    assert found["findings"][0]["rule"] == "plan-profile-too-large"
    changed = found["patch"]
    assert changed
    # The changed text, read again from nothing, holds by the model and needs no further change.
    command = read(changed, "0.7.2")[0]
    case = of_arguments(arguments_of(command, "0.7.2"), Known(gpu=gpus.of_size(23.65), release="0.7.2"))
    assert not isinstance(case, Unsized)
    assert holds(case, case.settings)
    file.write_text(changed, encoding="utf-8")
    again = report(*card, "--command", str(file))
    assert again["verdict"] == "healthy"
    assert again["command"] is None


def test_the_manifest_keeps_its_comments_and_its_order(tmp_path: Path) -> None:
    file = tmp_path / "deployment.yaml"
    file.write_text(MANIFEST, encoding="utf-8")
    changed = report("--gpu-memory", "23.65GiB", "--vllm", "0.7.2", "--command", str(file))["patch"]
    kept = [line for line in MANIFEST.splitlines() if "image=5" not in line]
    rest = iter(changed.splitlines())
    assert all(line in rest for line in kept)
    assert "# five of each" in changed


def test_a_plan_from_arguments_and_from_one_quoted_word_is_the_same() -> None:
    words = ["vllm", "serve", "Qwen/Qwen2.5-VL-7B-Instruct", "--max-model-len", "8192"]
    assert report("--gpu", "L4", "--vllm", "0.11.0", "--", *words) == report(
        "--gpu", "L4", "--vllm", "0.11.0", "--", " ".join(words)
    )


def test_exit_code_says_whether_it_fits() -> None:
    fits = doctor(
        "plan",
        "--gpu",
        "H100",
        "--vllm",
        "0.19.0",
        "--",
        "vllm",
        "serve",
        "Qwen/Qwen2.5-VL-7B-Instruct",
        "--max-model-len",
        "32768",
    )
    assert fits.returncode == 0, fits.stdout
    assert (
        doctor(
            "plan", "--gpu", "T4", "--vllm", "0.19.0", "--", "vllm", "serve", "Qwen/Qwen2.5-VL-7B-Instruct"
        ).returncode
        == 1
    )


def test_an_unknown_model_is_said_to_be_unknown_and_nothing_is_guessed() -> None:
    found = report("--gpu", "L4", "--vllm", "0.19.0", "--", "vllm", "serve", "nobody/heard-of-this")
    assert found["findings"] == []
    assert "total_gib" not in found["facts"].get("memory", {})
    assert any("nobody/heard-of-this" in note for note in found["not_checked"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gpu", "L4"], "--"),
        (["--", "vllm", "serve", "m"], "--gpu"),
        (["--gpu", "L5000", "--", "vllm", "serve", "m"], "L5000"),
        (["--gpu-memory", "lots", "--", "vllm", "serve", "m"], "lots"),
        (["--gpu-memory", "0", "--", "vllm", "serve", "m"], "0"),
        (["--gpu", "L4", "--vllm", "latest", "--", "vllm", "serve", "m"], "latest"),
        (["--gpu", "L4", "--", "vllm serve m --dtype 'float16"], "quot"),
    ],
)
def test_wrong_usage_says_what_would_be_right(arguments: list[str], said: str) -> None:
    done = doctor("plan", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_flag_without_its_value_and_smart_quotes_are_findings() -> None:
    found = report(
        "--gpu",
        "L4",
        "--vllm",
        "0.19.0",
        "--",
        "vllm serve Qwen/Qwen2.5-VL-7B-Instruct --limit-mm-per-prompt '{“image”: 1}' --max-model-len",
    )
    assert found["verdict"] in {"failed", "degraded"}
    said = json.dumps(found["findings"], ensure_ascii=False)
    assert "--max-model-len" in said


def config(**changes: Any) -> dict[str, Any]:
    plain = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "vocab_size": 1000,
        "max_position_embeddings": 2048,
        "torch_dtype": "bfloat16",
    }
    return {key: value for key, value in {**plain, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(config()), ""),
        (json.dumps(config(hidden_size=None)), "hidden_size"),
        (json.dumps(config(num_hidden_layers=-3)), "num_hidden_layers"),
        (json.dumps(config(architectures=["NobodyKnowsThis"])), "NobodyKnowsThis"),
        ('{"architectures": ', "line 1"),
        ("[" * 100_000, "config.json"),
        ("", "config.json"),
    ],
)
def test_a_models_folder_is_read_or_told_where_it_breaks(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    done = doctor(
        "plan", "--gpu", "L4", "--vllm", "0.19.0", "--model-dir", str(tmp_path), "--", "vllm", "serve", str(tmp_path)
    )
    assert "Traceback" not in done.stderr
    assert (done.returncode, said in done.stderr) == ((2, True) if said else (0, True)), done.stderr + done.stdout


def test_a_cut_off_safetensors_header_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config()), encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes((500).to_bytes(8, "little") + b'{"a": {"dtype"')
    done = doctor(
        "plan", "--gpu", "L4", "--vllm", "0.19.0", "--model-dir", str(tmp_path), "--", "vllm", "serve", str(tmp_path)
    )
    assert done.returncode == 2
    assert "model.safetensors" in done.stderr
    assert "500" in done.stderr


def test_a_log_and_the_command_that_made_it_give_forensics_and_a_checked_fix(fixtures: Path, tmp_path: Path) -> None:
    file = tmp_path / "start.sh"
    file.write_text(SHELL, encoding="utf-8")
    done = doctor("logs", "--format", "json", "--command", str(file), str(fixtures / "article" / "oom-9.03.log"))
    found = json.loads(done.stdout)
    first = found["findings"][0]
    assert "128000 tokens × 37888 width × 2 bytes = 9.0332 GiB" in first["why"]["en"]
    assert "9.0332 GiB" in first["why"]["zh"]
    assert first["fixes"][0]["verified"]["by"] == "memory-model"
    assert found["command"]["before"].startswith("python -m vllm")
    assert "video=0" in found["command"]["after"]
    assert "swap-space-frees-nothing" in {finding["rule"] for finding in found["findings"]}
    assert found["patch"].startswith("python -m vllm.entrypoints.openai.api_server \\\n")
