"""Rule files for tests: a good one with everything in it, another that it names, and a way to break them."""

from __future__ import annotations

from pathlib import Path

import pytest

from qvl_doctor import rulebook
from qvl_doctor.rulebook import RuleError
from qvl_doctor.rulebook.nodes import MAX_BYTES, MAX_NODES

GOOD = r"""
id: length-above-model
severity: fatal
confidence: likely
title:
  en: The length {asked} is more than the model's {derived}
  zh: 长度 {asked} 超过模型的 {derived}
why:
  en: >-
    The model was trained for {derived} tokens;
    --max-model-len asks for {asked}.
  zh: >-
    模型训练长度为 {derived}；
    而 --max-model-len 为 {asked}。

match:
  - exception: ValueError
    message: 'max_model_len \((?P<asked>\d+)\) is greater than the derived max_model_len \(\S+=(?P<derived>\d+)\)'
    level: ERROR|WARNING
    facts: {phase: config, vllm: '<0.12'}
  - message: 'asked for (?P<asked>\d+) tokens, but the model has (?P<derived>\d+)'

applies: {vllm: '>=0.8,<0.10'}
explains: [engine-failed]
before: [engine-failed]
symptom: no

fixes:
  - en: Lower --max-model-len to {derived}.
    zh: 将 --max-model-len 降为 {derived}。
    applies: {engine: V1}
    change:
      flags:
        --max-model-len: '{derived}'
        --enforce-eager: true
        --swap-space: null
        --allowed-origins: [one, two]
        --limit-mm-per-prompt: {image: '1', video: '0'}
        --hf-overrides: {a: {b: true}}
        '{asked}': null
      env: {VLLM_ALLOW_LONG_MAX_MODEL_LEN: '1', VLLM_USE_V1: null}
      pip: ['transformers>=4.49,<5', 'vllm[audio]=={vllm}', 'torch{derived}']
      image: vllm/vllm-openai:v0.8.5
      pod: shm-volume
      run: ray status
  - en: Ask less.
    zh: 减少输入。

references:
  - https://docs.vllm.ai/en/latest/serving/engine_args.html

tests:
  matches:
    - name: a length above
      log: |
        ValueError: max_model_len (131072) is greater than the derived max_model_len (max_position_embeddings=32768)
      facts: {vllm: 0.8.5}
      captures: {asked: '131072', derived: '32768'}
      fixes: |
        --max-model-len 32768
  silent:
    - name: a length that fits
      log: |
        INFO all is well
"""

OTHER = """
id: engine-failed
severity: fatal
symptom: yes
title: {en: The engine failed, zh: 引擎启动失败}
why: {en: Look above., zh: 请看上文。}
match:
  - message: Engine core initialization failed
fixes:
  - {en: Look above., zh: 请看上文。}
references: ['https://github.com/vllm-project/vllm']
tests:
  matches:
    - {name: the engine, log: Engine core initialization failed}
  silent:
    - {name: another, log: Engine core initialization went well}
"""


def write(folder: Path, text: str, name: str = "length-above-model") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(folder: Path, text: str) -> list[str]:
    """What is said about a rule file, without its path."""
    path = write(folder, text)
    with pytest.raises(RuleError) as raised:
        rulebook.load_file(str(path))
    return [str(mistake).removeprefix(f"{path}:") for mistake in raised.value.mistakes]


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1, old
    return GOOD.replace(old, new, 1)


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


#: Files that are no rule at all.
FILES = {
    "file-too-large": b"# \n" * MAX_BYTES,
    "no-utf-8": b"id: \xff",
    "file-empty": b"",
    "too-deep": b"[" * 99,
    "too-many-values": b"- a\n" * 2 * MAX_NODES,
    "key-not-a-word": b"? {a: b}\n: c\n",
}
