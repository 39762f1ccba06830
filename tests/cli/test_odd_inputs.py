"""Inputs that once crashed the program, kept it busy without end, or were answered wrongly.

Each has one right answer, at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from program import run_text as run

from qvl_doctor.cli.exit_codes import FOUND, OK, UNKNOWN, UNREADABLE, USAGE

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: heron}
spec:
  containers:
  - name: vllm
    image: vllm/vllm-openai:v0.11.0
    args: [--model, Qwen/Qwen2.5-7B-Instruct]
"""
BOMB = (
    "b0: &b0 {x: y}\n"
    + "".join(f"b{level}: &b{level} {{<<: [{', '.join([f'*b{level - 1}'] * 9)}]}}\n" for level in range(1, 10))
    + POD.replace("  - name: vllm", "  - <<: *b9\n    name: vllm")
)
CONFIG = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    "hidden_size": 3584,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "intermediate_size": 18944,
    "vocab_size": 152064,
    "max_position_embeddings": 128000,
    "vision_config": {"depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420},
}


@pytest.mark.parametrize("probe", ["4", "true", '"x"', "[1, 2]", "null"])
@pytest.mark.parametrize("name", ["livenessProbe", "readinessProbe", "startupProbe"])
def test_a_probe_that_is_no_map(name: str, probe: str) -> None:
    done = run("manifest", "-", stdin=f"{POD}    {name}: {probe}\n".encode())
    assert done.returncode == FOUND  # for want of a GPU
    assert not done.stderr


@pytest.mark.parametrize("probe", [[], {}, 3, None, ["gpu"]])
def test_an_observation_of_no_look(probe: object) -> None:
    said = [{"probe": probe, "level": "", "said": "x", "line": 1}]
    export = {"schema": "qvl-doctor/env/1", "probes": {"gpu": []}, "observations": said}
    done = run("check", "--from", "-", stdin=json.dumps(export).encode())
    assert done.returncode == OK, done.stderr
    assert "UNKNOWN  Nothing was seen of this machine" in done.stdout
    assert not done.stderr


@pytest.mark.parametrize("args", ["none", 0, [1], None, {"model": {}}])
def test_arguments_of_another_kind(args: object, fixtures: Path, tmp_path: Path) -> None:
    env = tmp_path / "env.json"
    env.write_text(json.dumps({"schema": "qvl-doctor/env/1", "facts": {"args": args}}), encoding="utf-8")
    done = run("logs", "--env", str(env), str(fixtures / "failed/0.11.0-lora-rank.log"))
    assert done.returncode == FOUND
    assert not done.stderr


@pytest.mark.parametrize(
    "flags",
    ["--block-size 0", "--max-num-seqs 0", "--max-model-len -1", "--max-model-len 1", "--tensor-parallel-size 0"],
)
def test_values_that_nothing_can_be_computed_with(flags: str, fixtures: Path, tmp_path: Path) -> None:
    script = tmp_path / "serve.sh"
    script.write_text(f"vllm serve Qwen/Qwen2.5-VL-7B-Instruct {flags}\n", encoding="utf-8")
    done = run("logs", "--command", str(script), str(fixtures / "healthy/0.11.0-healthy-vl.log"))
    assert done.returncode in {OK, FOUND}
    assert "bug" not in done.stderr
    done = run("plan", "--vllm", "0.11.0", "--gpu", "L4", "--command", str(script))
    assert done.returncode == FOUND
    assert not done.stderr


@pytest.mark.slow
def test_merges_of_merges_of_merges() -> None:
    done = run("manifest", "-", stdin=BOMB.encode())
    assert done.returncode == FOUND
    assert not done.stderr


class Folder(NamedTuple):
    """What is changed in config.json, the exit code, and what is said."""

    change: dict[str, object]
    code: int
    said: str


FOLDERS = (
    Folder({"vision_config": {**CONFIG["vision_config"], "depth": 3584}}, USAGE, "vision_config.depth"),  # type: ignore[dict-item]
    Folder({"num_hidden_layers": 10**6}, USAGE, "num_hidden_layers"),
    Folder({"max_position_embeddings": 1}, FOUND, ""),
    Folder({"max_position_embeddings": 0}, USAGE, "max_position_embeddings"),
    Folder({"num_attention_heads": 0}, USAGE, "num_attention_heads"),
)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda each: next(iter(each.change)) + each.said[:1])
def test_a_config_of_a_model_that_cannot_be(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, **folder.change}), encoding="utf-8")
    done = run("plan", "--vllm", "0.11.0", "--gpu", "L4", "--model-dir", str(tmp_path), "--", "vllm", "serve", "x")
    assert done.returncode == folder.code, done.stdout + done.stderr
    assert folder.said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_manifest_says_what_was_not_computed() -> None:
    gpu = '    resources: {limits: {nvidia.com/gpu: "1"}}\n'
    done = run("manifest", "-", stdin=(POD + gpu).encode())
    assert done.returncode == OK
    assert "will start" not in done.stdout
    assert "whether the model fits was not computed" in " ".join(done.stdout.split())
    assert run("manifest", "--fail-on", "unknown", "-", stdin=(POD + gpu).encode()).returncode == UNKNOWN
    assert "same text" not in run("manifest", "-", stdin=POD.encode()).stdout


SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: heron}
spec:
  predictor:
    model:
      modelFormat: {name: huggingface}
      args: [--model_id=Qwen/Qwen2.5-7B-Instruct, --max-model-len=8192]
      resources: {limits: {nvidia.com/gpu: "1"}}
"""


@pytest.mark.parametrize("words", [(), ("--gpu", "H100", "--vllm", "0.11.0")])
def test_arguments_that_another_program_reads(words: tuple[str, ...]) -> None:
    done = run("manifest", *words, "--format", "json", "-", stdin=SERVICE.encode())
    found = json.loads(done.stdout)
    assert found["verdict"] == "unknown"
    assert "huggingfaceserver" in " ".join(found["not_checked"])
    assert done.returncode == (UNKNOWN if words else OK)


LOGGED = """\
INFO 06-13 08:25:31 [utils.py:233] non-default args: {'model': 'Qwen/Qwen2.5-7B-Instruct', 'max_model_len': 4096, \
'gpu_memory_utilization': 0.9, 'tensor_parallel_size': 2}
INFO 06-13 08:25:33 [core.py:77] Initializing a V1 LLM engine (v0.11.0) with config: model='Qwen/Qwen2.5-7B-Instruct'
INFO:     Application startup complete.
"""


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("Qwen/Qwen2.5-7B-Instruct --max-model-len 4096 --gpu-memory-utilization 0.90 --tensor-parallel-size 2", []),
        ("Qwen/Qwen2.5-7B-Instruct --max-model-len 8192 --port 9000", ["--max-model-len is 8192"]),
        ("Qwen/Qwen2.5-14B-Instruct", ["--model is Qwen/Qwen2.5-14B-Instruct"]),
        ("Qwen/Qwen2.5-7B-Instruct --tensor-parallel-size $TP", []),
    ],
)
def test_a_command_that_is_not_the_one_of_the_log(words: str, named: list[str], tmp_path: Path) -> None:
    script = tmp_path / "serve.sh"
    script.write_text(f"vllm serve {words}\n", encoding="utf-8")
    done = run("logs", "--format", "json", "--command", str(script), "-", stdin=LOGGED.encode())
    found = [each["title"]["en"] for each in json.loads(done.stdout)["findings"] if "not-the-logged" in each["rule"]]
    assert len(found) == len(named)
    assert all(said in title for said, title in zip(named, found, strict=True))
    assert done.returncode == OK


OFFLINE = """\
INFO 06-13 08:25:33 [core.py:105] Initializing a V1 LLM engine (v0.23.0) with config: model='example/heron-7b', dtype=torch.bfloat16
(EngineCore pid=54) INFO 06-13 08:26:33 [core.py:278] init engine (profile, create kv cache, warmup model) took 21.50 seconds
(EngineCore pid=54) INFO 06-13 08:27:33 [core.py:1183] [shutdown] EngineCore: trigger received signal=SIGTERM
(EngineCore pid=54) INFO 06-13 08:27:33 [core.py:1196] [shutdown] EngineCore: exiting busy loop
"""


def test_a_program_around_llm_that_ends_was_not_stopped_from_outside() -> None:
    done = run("logs", "--quiet", "-", stdin=OFFLINE.encode())
    assert done.returncode == OK
    assert "did its work and shut down cleanly" in done.stdout


def test_what_is_no_input_at_all() -> None:
    assert run("manifest", "-", stdin=b"\x00\x01").returncode == UNREADABLE
