"""`qvl-doctor check` as tests run it: in a process of its own, because NVML is loaded once for a whole process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

SERVE = ("--", "vllm", "serve", "Qwen/Qwen2.5-VL-7B-Instruct", "--max-model-len", "8192", "--limit-mm-per-prompt", '{"video": 0}')
#: Variables of whoever runs the tests that would change what is seen.
_OURS = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "VLLM_ENABLE_CUDA_COMPATIBILITY")


def doctor(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One run of `check`."""
    plain = {name: value for name, value in os.environ.items() if not name.endswith(("_proxy", "_PROXY")) and name not in _OURS}
    words = [sys.executable, "-m", "qvl_doctor", "check", *arguments]
    return subprocess.run(
        words, capture_output=True, text=True, env={**plain, "NO_COLOR": "1", "LANG": "C.UTF-8", **(env or {})}, check=False
    )


def report(*arguments: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What it says, as JSON."""
    done = doctor("--format", "json", *arguments, env=env)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rules(found: Mapping[str, Any]) -> list[str]:
    """The rules that spoke, the worst first."""
    return [finding["rule"] for finding in found["findings"]]


def evidence(found: Mapping[str, Any], rule: str) -> str:
    """What proves a finding, its title in front."""
    finding = next(each for each in found["findings"] if each["rule"] == rule)
    return " | ".join([finding["title"]["en"], *(line["text"] for line in finding["evidence"])])
