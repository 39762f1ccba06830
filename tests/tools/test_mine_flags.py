"""The flags of a release are read from its sources.

Here made-up ones, in the ways in which vLLM has written them over time.
"""

from __future__ import annotations

import importlib
import io
import json
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def miner(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module("mine_flags")


#: Every argument written out, as up to 0.8.3.
OLD = {
    "vllm/engine/arg_utils.py": """
from vllm.config import CompilationConfig, LoadFormat, PoolerConfig, TaskOption
DEVICES = ["auto", "cuda"]

class EngineArgs:
    model: str = "facebook/opt-125m"
    max_num_seqs: Optional[int] = None
    swap_space: float = 4
    load_format: str = LoadFormat.AUTO

    def add_cli_args(parser):
        parser.add_argument("--model", type=str, default=EngineArgs.model)
        parser.add_argument("--task", default="auto", choices=get_args(TaskOption))
        parser.add_argument("--device", choices=DEVICES)
        parser.add_argument('--tensor-parallel-size', '-tp', type=int, default=1)
        parser.add_argument("--swap_space", type=float, default=EngineArgs.swap_space)
        parser.add_argument("--load-format", type=str, default=EngineArgs.load_format)
        parser.add_argument("--enforce-eager", action="store_true")
        parser.add_argument("--enable-chunked-prefill", action=StoreBoolean, nargs="?", const="True")
        parser.add_argument("--limit-mm-per-prompt", type=nullable_kvs)
        parser.add_argument("--rope-scaling", type=json.loads)
        parser.add_argument("--served-model-name", nargs="+", type=str)
        parser.add_argument("--workers", default=count_cpus())
        parser.add_argument("--compilation-config", "-O", type=CompilationConfig.from_cli)
        parser.add_argument("--pooler-config", type=PoolerConfig.from_json)
""",
    "vllm/config.py": """
TaskOption = Literal["auto", "generate"]
class LoadFormat(str, enum.Enum):
    AUTO = "auto"
class CompilationConfig:
    def from_cli(cls, text):
        return CompilationConfig(**ast.literal_eval(text))
class PoolerConfig:
    def from_json(text):
        return PoolerConfig(**json.loads(text))
""",
    "vllm/scripts.py": """
def main():
    chat_parser.add_argument("--url")
    serve_parser.add_argument("model_tag")
    serve_parser.add_argument("--config", default='')
""",
}
#: From type hints, as from 0.8.5 on; the front end's too, as from 0.9.2 on.
NEW = {
    "vllm/engine/arg_utils.py": """
from vllm.config import CacheConfig, ModelConfig, VllmConfig

def optional_type(return_type):
    ...

def literal_to_kwargs(type_hints):
    ...

def get_kwargs(cls):
    if is_dataclass(cls):
        return TypeAdapter(cls)
    action = BooleanOptionalAction
    if name in {'max_model_len'}:
        return human_readable_int
    return union_dict_and_str

class EngineArgs:
    def add_cli_args(parser):
        model_kwargs = get_kwargs(ModelConfig)
        model_kwargs["spec"]["type"] = optional_type(json.loads)
        model_kwargs["traces"]["choices"] += ["both"]
        group.add_argument("--model", **model_kwargs["model"])
        group.add_argument("--max-model-len", **model_kwargs["max_model_len"])
        group.add_argument("--seed", **model_kwargs["seed"])
        group.add_argument("--enforce-eager", **model_kwargs["enforce_eager"])
        group.add_argument("--traces", **model_kwargs["traces"])
        group.add_argument("--spec", "-sc", **model_kwargs["spec"])
        group.add_argument("--overrides", **model_kwargs["overrides"])
        cache_kwargs = get_kwargs(CacheConfig)
        group.add_argument("--kv-cache-dtype", **cache_kwargs["cache_dtype"])
        group.add_argument("--gpu-memory-utilization", "--device-memory-utilization", **{**cache_kwargs["share"], "default": 0.9})
        one_kwargs = get_kwargs(VllmConfig)["compilation_config"]
        group.add_argument("--compilation-config", "-cc", **one_kwargs)
        for arg, type in [("--guided-backend", str), ("--guided-fallback", bool)]:
            group.add_argument(arg, type=type, deprecated=True)
""",
    "vllm/config/__init__.py": """
from vllm.config.parts import *
from .parts import CacheConfig
""",
    "vllm/config/parts.py": """
if TYPE_CHECKING:
    Method = Literal["a"]
else:
    Method = Any
Size = int
Dtypes = Literal["auto", Eights]
Eights = Literal["fp8"]

@config
class Base:
    seed: Optional[int] = None

@config
class ModelConfig(Base):
    model: str = "Qwen/Qwen3-0.6B"
    max_model_len: Annotated[Size, Field(gt=0)] | None = None
    enforce_eager: bool = False
    traces: list[Literal["model", "worker"]] | None = None
    spec: SpecConfig | None = None
    overrides: Union[dict, "Other"] = field(default_factory=dict)
    not_a_field: ClassVar[int] = 3

@config
class CacheConfig:
    cache_dtype: SkipValidation[Dtypes] = "auto"
    share: float = Field(default=0.8, gt=0)

@dataclass
class CompilationConfig:
    level: int = 0

@config
class VllmConfig:
    compilation_config: CompilationConfig = Field(default_factory=CompilationConfig)
""",
    "vllm/entrypoints/openai/cli_args.py": """
@config
class FrontendArgs:
    api_key: list[str] | None = None
    allowed_origins: list[str] = field(default_factory=lambda: ["*"])
    middleware: list[str] = field(default_factory=list)
    method: Method | None = None

    def add_cli_args(cls, parser):
        frontend_kwargs = get_kwargs(cls)
        frontend_kwargs["allowed_origins"]["type"] = json.loads
        del frontend_kwargs["allowed_origins"]["nargs"]
        frontend_kwargs["middleware"]["action"] = "append"
        del frontend_kwargs["middleware"]["nargs"]
""",
    "vllm/utils/argparse_utils.py": "class EnableDisableAction: ...",
}


def sdist(folder: Path, release: str, files: dict[str, str]) -> Path:
    path = folder / f"vllm-{release}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"vllm-{release}/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def mined(miner: ModuleType, folder: Path, **releases: dict[str, str]) -> dict[str, Any]:
    archives = [str(sdist(folder, name[1:].replace("_", "."), files)) for name, files in releases.items()]
    out = folder / "flags.json"
    miner.main(["--vllm", *archives, "--out", str(out), "--date", "2026-01-31"])
    table: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return table


def test_arguments_that_are_written_out(miner: ModuleType, tmp_path: Path) -> None:
    assert mined(miner, tmp_path, v0_7_2=OLD)["flags"] == {
        "--compilation-config": {"in": ["0.7.2"], "also": {"-O": ["0.7.2"]}, "kind": "literal"},
        "--config": {"in": ["0.7.2"], "default": ""},
        "--device": {"in": ["0.7.2"], "choices": ["auto", "cuda"]},
        "--enable-chunked-prefill": {"in": ["0.7.2"], "kind": "truth"},
        "--enforce-eager": {"in": ["0.7.2"], "kind": "switch", "default": False},
        "--limit-mm-per-prompt": {"in": ["0.7.2"], "kind": "pairs"},
        "--load-format": {"in": ["0.7.2"], "default": "auto"},
        "--model": {"in": ["0.7.2"], "default": "facebook/opt-125m"},
        "--pooler-config": {"in": ["0.7.2"], "kind": "json"},
        "--rope-scaling": {"in": ["0.7.2"], "kind": "json"},
        "--served-model-name": {"in": ["0.7.2"], "kind": "text*"},
        "--swap-space": {"in": ["0.7.2"], "kind": "float", "default": 4},
        "--task": {"in": ["0.7.2"], "choices": ["auto", "generate"], "default": "auto"},
        "--tensor-parallel-size": {"in": ["0.7.2"], "also": {"-tp": ["0.7.2"]}, "kind": "int", "default": 1},
        "--workers": {"in": ["0.7.2"], "default": "?"},
    }


def test_arguments_that_come_from_type_hints(miner: ModuleType, tmp_path: Path) -> None:
    table = mined(miner, tmp_path, v0_33_0=NEW)
    assert table["inverse_from"] == "0.33.0"
    assert table["flags"] == {
        "--allowed-origins": {"in": ["0.33.0"], "kind": "json", "default": ["*"]},
        "--api-key": {"in": ["0.33.0"], "kind": "text*"},
        "--compilation-config": {"in": ["0.33.0"], "also": {"-cc": ["0.33.0"]}, "kind": "object", "default": "?"},
        "--device-memory-utilization": {"in": ["0.33.0"], "means": "--gpu-memory-utilization"},
        "--enforce-eager": {"in": ["0.33.0"], "kind": "pair", "default": False},
        "--gpu-memory-utilization": {"in": ["0.33.0"], "kind": "float", "default": 0.9},
        "--guided-backend": {"in": ["0.33.0"], "deprecated": True},
        "--guided-fallback": {"in": ["0.33.0"], "deprecated": True},
        "--kv-cache-dtype": {"in": ["0.33.0"], "choices": ["auto", "fp8"], "default": "auto"},
        "--max-model-len": {"in": ["0.33.0"], "kind": "size"},
        "--method": {"in": ["0.33.0"]},
        "--middleware": {"in": ["0.33.0"], "kind": "text&", "default": []},
        "--model": {"in": ["0.33.0"], "default": "Qwen/Qwen3-0.6B"},
        "--overrides": {"in": ["0.33.0"], "kind": "json-or-text", "default": {}},
        "--seed": {"in": ["0.33.0"], "kind": "int"},
        "--spec": {"in": ["0.33.0"], "also": {"-sc": ["0.33.0"]}, "kind": "json"},
        "--traces": {"in": ["0.33.0"], "kind": "text*"},
    }


def test_releases_are_told_apart(miner: ModuleType, tmp_path: Path) -> None:
    flags = mined(miner, tmp_path, v0_10_0=NEW, v0_7_2=OLD, v0_9_1=NEW)["flags"]
    assert flags["--swap-space"]["in"] == ["0.7.2", "0.7.2"]
    assert flags["--seed"]["in"] == ["0.9.1"]
    assert flags["--enforce-eager"] == {
        "in": ["0.7.2"],
        "kind_from": [["0.7.2", "switch"], ["0.9.1", "pair"]],
        "default": False,
    }
    assert flags["--model"]["default_from"] == [["0.7.2", "facebook/opt-125m"], ["0.9.1", "Qwen/Qwen3-0.6B"]]


def test_a_flag_with_a_gap_is_a_mistake_of_the_reader(miner: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"--config is missing in 0\.8\.0"):
        mined(miner, tmp_path, v0_7_2=OLD, v0_8_0=NEW, v0_9_0=OLD)
