"""benchmarks/memory.py: a table of errors out of any points, also those that nobody can predict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

POINT: dict[str, Any] = {
    "vllm_version": "0.19.0",
    "engine": "V1",
    "model": "Qwen/Qwen2.5-7B-Instruct",
    "gpu": "H100 80GB",
    "gpu_total_gib": 79.19,
    "flags": {
        "tp": 1,
        "max_model_len": 8192,
        "gpu_memory_utilization": 0.95,
        "max_num_seqs": 1024,
        "max_num_batched_tokens": 8192,
    },
    "observed": {
        "weights_gib": 14.25,
        "activation_peak_gib": 2.21,
        "kv_cache_gib": 58.53,
        "num_gpu_blocks": 68500,
        "kv_cache_tokens": 1096000,
        "max_concurrency": 133.79,
        "for_tokens": 8192,
        "cudagraph_gib": 0.87,
    },
}
VISION = {
    **POINT,
    "model": "google/gemma-3-4b-it",
    "observed": {
        "weights_gib": 8.58,
        "activation_peak_gib": 3.89,
        "kv_cache_gib": 62.51,
        "kv_cache_tokens": 468144,
        "for_tokens": 8192,
    },
}


def benchmark(root: Path, tmp_path: Path, *points: dict[str, Any]) -> str:
    file = tmp_path / "points.jsonl"
    file.write_text("\n".join(json.dumps(point) for point in points) + "\n\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(root / "benchmarks/memory.py"), str(file), "--verbose"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return done.stdout


def row(output: str, quantity: str) -> list[float]:
    """n, median, p95 and max of a quantity."""
    line = next(line for line in output.splitlines() if line.startswith(quantity + " "))
    return [float(field) for field in line.removeprefix(quantity).split()]


def test_a_point_that_is_well_predicted(root: Path, tmp_path: Path) -> None:
    output = benchmark(root, tmp_path, POINT, VISION)
    for quantity, within in (
        ("weights GiB, 16-bit", 0.1),
        ("activation GiB", 0.5),
        ("KV GiB end to end", 0.5),
        ("KV tokens from KV GiB", 0.1),
    ):
        count, median, p95, largest = row(output, quantity)
        assert count == 2
        assert median <= p95 <= largest <= within
    assert row(output, "activation GiB [V1]")[0] == 2
    assert row(output, "activation GiB [80 to 96 GB]")[0] == 2
    assert row(output, "activation GiB [vision]")[0] == 1
    assert output.count("google/gemma-3-4b-it, vLLM 0.19.0") >= 4


def test_points_that_cannot_be_predicted_are_counted_and_named(root: Path, tmp_path: Path) -> None:
    strange: list[dict[str, Any]] = [
        {**POINT, "model": "acme/Unheard-Of-9B"},
        {**POINT, "model": None},
        {**POINT, "model_inferred": True},
        {**POINT, "gpu": None, "gpu_total_gib": None, "flags": {}, "observed": {}},
        {**POINT, "vllm_version": None, "engine": None},
        {**POINT, "flags": {"quantization": "wna16", "max_model_len": None, "tp": 2, "limit_mm": {"image": 3}}},
        {**POINT, "observed": {"oom": True, "weights_gib": None, "kv_cache_gib": -7.8}},
        {**POINT, "note": "rank-1 line"},
        {name: value for name, value in POINT.items() if name != "observed"},
        {**POINT, "flags": {"max_model_len": "auto", "max_num_batched_tokens": "8k", "tp": 1}},
        {**POINT, "observed": {**POINT["observed"], "kv_cache_gib": "58.53"}},
    ]
    output = benchmark(root, tmp_path, *strange)
    assert output.startswith("11 points, 6 of them not predicted")
    assert "no card of this model" in output
    assert "acme/Unheard-Of-9B" in output
