"""Names of vLLM's config classes that stand for flags are read out of its sources, which are not run."""

from __future__ import annotations

import json
from pathlib import Path

import mine_properties

PARALLEL = """
raise RuntimeError("this must not be run")
class ParallelConfig:
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    def __post_init__(self):
        self.world_size = self.pipeline_parallel_size * self.tensor_parallel_size
    @property
    def half_world(self):
        return self.world_size // 2
    def is_big(self):
        return self.cache_config.cpu_offload_gb > 1
    def needs_nothing(self):
        return self.hf_thing
    @property
    def knows_all(self):
        return self.world_size + self.cpu_offload_gb + self.max_num_seqs
    def validate_size(self):
        assert self.tensor_parallel_size
    def _own_size(self):
        return self.tensor_parallel_size
    def with_argument(self, other):
        return self.tensor_parallel_size
    @property
    def size(self):
        return self.tensor_parallel_size
class Helper:
    @property
    def some_size(self):
        return self.tensor_parallel_size
"""
ARGUMENTS = """
class EngineArgs:
    def create_engine_config(self):
        return CacheConfig(cache_dtype=self.kv_cache_dtype, max_num_seqs=self.max_num_seqs, other_thing=self.model)
"""
FLAGS = ("--tensor-parallel-size", "--pipeline-parallel-size", "--cpu-offload-gb", "--max-num-seqs", "--kv-cache-dtype")


def sources(folder: Path, parallel: str = PARALLEL) -> Path:
    for name, text in (("vllm/config/parallel.py", parallel), ("vllm/engine/arg_utils.py", ARGUMENTS)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_names_lead_to_flags(tmp_path: Path) -> None:
    flags = {flag: {"in": ["0.6.0"]} for flag in FLAGS} | {"--tp": {"means": FLAGS[0]}}
    (tmp_path / "flags.json").write_text(json.dumps({"flags": flags}), encoding="utf-8")
    older = PARALLEL.replace("self.cache_config.cpu_offload_gb", "self.max_num_seqs")
    folders = [sources(tmp_path / "vllm-0.10.0"), sources(tmp_path / "vllm-0.9.0", older)]
    mine_properties.main(["--vllm", *map(str, folders), "--out", str(tmp_path), "--date", "2026-01-31"])
    table = json.loads((tmp_path / "settings.json").read_text(encoding="utf-8"))
    assert table["source"].endswith("0.9.0 to 0.10.0")
    world = ["--pipeline-parallel-size", "--tensor-parallel-size"]
    assert table["names"] == {
        "cache_dtype": ["--kv-cache-dtype"],
        "half_world": world,
        "is_big": ["--cpu-offload-gb"],  # as the newest release has it, in whatever order they are given
        "world_size": world,
    }
