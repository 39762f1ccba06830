"""A new release is one command: its sdist comes from the index, is read and not run, and every table follows."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import build_knowledge
import fetch_sdist
import mine_flags
import mine_modules
import mine_release
import mine_variables
import pytest
import refresh_knowledge

DAY = 1_746_057_600  # 2025-05-01

ARGUMENTS = """
raise RuntimeError("this must not be run")
class EngineArgs:
    def add_cli_args(parser):
        parser.add_argument("--model", type=str, default="facebook/opt-125m")
"""
EXAMPLES = """
_MODELS = {
    "AlphaForCausalLM": _HfExamplesInfo("org/Alpha-7B-Instruct", trust_remote_code=True),
    "BetaVLForConditionalGeneration": _HfExamplesInfo(
        "org/Beta-VL-3B", extras={"large": "org/Beta-VL-30B-A3B"}, trust_remote_code=True, min_transformers_version="5.0"
    ),
    "NobodyForCausalLM": _HfExamplesInfo("org/Nobody-1B"),
}
"""
REGISTRY = """
_TEXT_GENERATION_MODELS = {"AlphaForCausalLM": ("alpha", "AlphaForCausalLM")}
_MULTIMODAL_MODELS = {
    # [Decoder-only]
    "BetaVLForConditionalGeneration": ("beta_vl", "BetaVLForConditionalGeneration"),
}
_PREVIOUSLY_SUPPORTED_MODELS = {"OldForCausalLM": "0.5.0"}
_VLLM_MODELS = {
    **_TEXT_GENERATION_MODELS,
    **_MULTIMODAL_MODELS,
}
"""
METADATA = """Metadata-Version: 2.4
Name: vllm
Requires-Python: >=3.9
Requires-Dist: transformers>=4.51.1
Requires-Dist: torch==2.7.0; platform_machine != "other"
Requires-Dist: torchvision==0.22.0
Requires-Dist: torch==9.9; extra == "nightly"
Requires-Dist: numba==0.60.0; python_version == "3.9"
Requires-Dist: numba==0.61.2; python_version > "3.9"
Requires-Dist: xgrammar==0.1.18; platform_machine == "x86_64" or platform_machine == "s390x"
Requires-Dist: mistral_common[image,audio]>=1.8.2
Requires-Dist: tqdm

Requires-Dist: torch==0 stands in the description
"""
QUANTIZATION = "vllm/model_executor/layers/quantization/"
METHODS = """
def get_quantization_config(name):
    method_to_config: dict[str, type] = {"alpha": AlphaConfig, "beta": BetaConfig}
"""
CLASSES = """
class AlphaConfig(QuantizationConfig):
    def get_min_capability(cls):
        return 80
class BetaConfig(AlphaConfig):
    pass
"""
OLD = {
    "vllm/envs.py": 'environment_variables = {"VLLM_OLD": lambda: os.getenv("VLLM_OLD"), "VLLM_KEPT": None, "CUDA_HOME": None}\n',
    QUANTIZATION + "__init__.py": METHODS,
    QUANTIZATION + "alpha.py": CLASSES,
    "PKG-INFO": METADATA,
    "requirements/kv_connectors.txt": "nixl >= 0.5.1 # for disaggregated prefill\n",
    "setup.py": 'raise SystemExit("this is never run")\nMAIN_CUDA_VERSION = "12.1"\n',
    "vllm/engine/arg_utils.py": ARGUMENTS
    + '        parser.add_argument("--swap-space", type=float, default=4)\n'
    + '        parser.add_argument("--max-num-seqs", "-ms", type=int, default=256)\n',
    "vllm/engine/core.py": 'x = 1\nlogger.info("init engine (profile) took %s", x)\nlogger.error("EngineCore failed to start.")\n',
    "vllm/model_executor/models/registry.py": REGISTRY,
    "vllm/transformers_utils/config.py": '_CONFIG_REGISTRY = {"gamma": GammaConfig}\n',
    "vllm/attention/__init__.py": "",
    "vllm/attention/backends.py": "",
    "tests/models/registry.py": EXAMPLES,
    "docs/models/supported_models.md": "| `BetaVLForConditionalGeneration` | Beta 2 VL, Beta | T + I | `org/Beta2-VL-7B`, etc. |\n",
}
NEW = {
    "PKG-INFO": METADATA.replace("4.51.1", "4.56.0,<5").replace("2.7.0", "2.8.0").replace("0.1.18", "0.1.25"),
    "vllm/envs.py": 'VLLM_MAIN_CUDA_VERSION: str = "12.9"\nenvironment_variables: dict[str, Any] = {"VLLM_NEW": None}\n',
    "vllm/worker.py": "os.environ.get('VLLM_KEPT'); os.environ.get('VLLM_NEVER_DECLARED')\n",
    QUANTIZATION + "__init__.py": METHODS,
    QUANTIZATION + "alpha.py": CLASSES.replace("80", "75"),
    "vllm/engine/arg_utils.py": ARGUMENTS
    + '        parser.add_argument("--max-num-seqs", type=int, default=1024)\n'
    + '        parser.add_argument("--stream-interval", type=int, default=1)\n',
    "vllm/engine/core.py": 'x = 1\n\n\nlogger.error("EngineCore failed to start.")\n',
    "vllm/model_executor/models/registry.py": REGISTRY.replace('"AlphaForCausalLM"', '"DeltaForCausalLM"'),
    "vllm/transformers_utils/config.py": '_CONFIG_REGISTRY = LazyConfigDict(beta_vl="BetaVLConfig")\n',
}
TRANSFORMERS = {
    "src/transformers/models/auto/configuration_auto.py": 'CONFIG_MAPPING_NAMES = OrderedDict([("beta_vl", "B"), ("delta", "D")])\n',
    "src/transformers/models/auto/modeling_auto.py": 'MODEL_FOR_CAUSAL_LM_MAPPING_NAMES = OrderedDict([("delta", "DeltaForCausalLM")])\n',
    "PKG-INFO": 'Name: transformers\nRequires-Dist: tokenizers<=0.23.0,>=0.22.0\nRequires-Dist: torch>=2.2; extra == "torch"\n',
}


def sdist(folder: Path, name: str, files: dict[str, str]) -> None:
    """A release on an index in a folder."""
    project = folder / name.partition("-")[0]
    project.mkdir(parents=True, exist_ok=True)
    with tarfile.open(project / f"{name}.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(f"{name}/{path}")
            info.size, info.mtime = len(text.encode()), DAY
            archive.addfile(info, io.BytesIO(text.encode()))
    links = "".join(f'<a href="{file.name}">{file.name}</a>' for file in sorted(project.glob("*.tar.gz")))
    (project / "index.html").write_text(links, encoding="utf-8")


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index with two releases, and tables that know none."""
    sdist(tmp_path / "index", "vllm-0.9.0", OLD)
    sdist(tmp_path / "index", "vllm-0.10.0", NEW)
    sdist(tmp_path / "index", "transformers-4.56.0", TRANSFORMERS)
    monkeypatch.setattr(fetch_sdist, "pip_settings", lambda: {"index-url": (tmp_path / "index").as_uri()})
    for name, body in {
        "architectures": {"architectures": {}},
        "pins": {"releases": {}},
        "flags": {"inverse_from": "", "flags": {}},
        "variables": {"variables": {}},
        "quantization": {"methods": {}},
        "call_sites": {"unread": [], "sites": []},
        "traps": {"ceilings": [], "model_types": {}, "not_served": {}},
        "mined": {
            "transformers": {
                "releases": {"4.51.1": "2025-01-01"},
                "model_types": {"alpha": {"first": "4.51.1", "last": "4.51.1", "classes": ["AlphaForCausalLM"]}},
            },
            "vllm": {"releases": {}, "model_types": {}},
        },
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(body), encoding="utf-8")
    return tmp_path


def refresh(folder: Path, *arguments: str) -> int:
    return refresh_knowledge.main(
        [
            *arguments,
            *("--knowledge", str(folder)),
            *("--model-types", str(folder / "mined.json")),
            *("--date", "2026-01-31"),
        ]
    )


def table(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


def written(folder: Path) -> dict[str, str]:
    names = (
        "variables.json",
        "quantization.json",
        "architectures.json",
        "pins.json",
        "flags.json",
        "model_types.json",
        "mined.json",
        "call_sites.json",
        "requirements.json",
    )
    return {name: (folder / name).read_text(encoding="utf-8") for name in names}


def test_every_table_follows_a_release(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refresh(tables, "0.9.0") == 0
    capsys.readouterr()
    assert refresh(tables, "0.10.0", "--transformers", "4.56.0") == 0
    assert capsys.readouterr().out.splitlines() == [
        "vLLM 0.10.0",
        "flags: new: --stream-interval; gone: --swap-space",
        "variables: new: VLLM_NEW; gone: VLLM_OLD",
        "log calls: gone: core.py 'init engine (profile'",
        "architectures: new: DeltaForCausalLM; gone: AlphaForCausalLM",
        "asks for transformers >=4.56.0,<5, torch 2.8.0, python >=3.9, cuda 12.9",
        "Transformers 4.56.0: new model types: beta_vl, delta",
    ]
    assert table(tables, "architectures") == {
        "source": "model registry of vLLM's published sources, 0.9.0 to 0.10.0",
        "date": "2026-01-31",
        "architectures": {
            "AlphaForCausalLM": ["0.9.0", "0.9.0"],
            "BetaVLForConditionalGeneration": ["0.9.0"],
            "DeltaForCausalLM": ["0.10.0"],
        },
    }
    assert table(tables, "variables") == {
        "source": "variables that vLLM's published sources, 0.9.0 to 0.10.0, declare",
        "date": "2026-01-31",
        "variables": {"VLLM_KEPT": ["0.9.0"], "VLLM_NEW": ["0.10.0"], "VLLM_OLD": ["0.9.0", "0.9.0"]},
    }
    assert table(tables, "quantization")["methods"] == {
        "alpha": [["0.9.0", 80], ["0.10.0", 75]],
        "beta": [["0.9.0", 80], ["0.10.0", 75]],
    }
    assert table(tables, "pins")["releases"] == {
        "0.9.0": {"transformers": ">=4.51.1", "torch": "2.7.0", "python": ">=3.9", "cuda": "12.1"},
        "0.10.0": {"transformers": ">=4.56.0,<5", "torch": "2.8.0", "python": ">=3.9", "cuda": "12.9"},
    }
    flags = table(tables, "flags")
    assert flags["flags"]["--swap-space"]["in"] == ["0.9.0", "0.9.0"]
    assert flags["flags"]["--max-num-seqs"]["default_from"] == [["0.9.0", 256], ["0.10.0", 1024]]
    assert flags["flags"]["--max-num-seqs"]["also"] == {"-ms": ["0.9.0", "0.9.0"]}
    types = table(tables, "model_types")["model_types"]
    assert types["beta_vl"] == {
        "transformers": "4.56",
        "architecture": "BetaVLForConditionalGeneration",
        "vllm": "0.9.0",  # with a newer Transformers than it asks for; only the next one's image brings that
        "image": "0.10.0",
    }
    assert types["delta"]["vllm"] == "0.10.0"
    sites = {row["file"] + row["words"]: row["lines"] for row in table(tables, "call_sites")["sites"]}
    assert {words: lines for words, lines in sites.items() if lines} == {
        "core.pyEngineCore failed to start": "0.9.0:3 0.10.0:4",
        "core.pyinit engine (profile": "0.9.0:2 0.10.0:-",
    }
    assert table(tables, "models")["architectures"] == {
        "AlphaForCausalLM": {"remote": True, "names": ["alpha"]},  # its tests need no newer Transformers
        "BetaVLForConditionalGeneration": {
            "kind": "multimodal",
            "names": ["beta vl", "beta vl +a", "beta2 vl"],
        },
    }
    # vllm.attention went with all that was in it, and vllm.envs is in both.
    modules = table(tables, "vllm_modules")["modules"]
    assert modules["vllm"] == {"0.9.0 0.9.0": "attention", "0.10.0": "worker"}
    assert "vllm.attention" not in modules
    asked = table(tables, "requirements")
    assert asked["releases"] == {"vllm": "0.9.0 0.10.0", "transformers": "4.56.0", "torch": ""}
    assert asked["vllm"] == {
        "mistral-common": [["0.9.0", ">=1.8.2"]],
        "nixl": [["0.9.0", ">=0.5.1"], ["0.10.0", ""]],
        "numba": [["0.9.0", "==0.61.2"]],
        "torchvision": [["0.9.0", "==0.22.0"]],
        "xgrammar": [["0.9.0", "==0.1.18"], ["0.10.0", "==0.1.25"]],
    }
    assert asked["transformers"] == {"tokenizers": [["4.56.0", ">=0.22.0,<=0.23.0"]]}
    assert table(tables, "mined")["vllm"]["releases"] == {"0.9.0": "2025-05-01", "0.10.0": "2025-05-01"}


def test_the_order_and_the_number_of_steps_do_not_matter(tables: Path) -> None:
    # A name that only an older release declares is looked for in newer ones when they are read after it.
    sdist(tables / "index", "vllm-0.10.0", {**NEW, "vllm/worker.py": ""})
    before = {path: path.read_bytes() for path in tables.glob("*.json")}
    assert refresh(tables, "0.10.0", "0.9.0") == 0
    at_once = written(tables)
    for steps in (("0.9.0", "0.10.0"), ("0.10.0", "0.9.0"), ("0.9.0", "0.10.0", "0.9.0", "0.10.0")):
        for path, data in before.items():
            path.write_bytes(data)
        for release in steps:
            assert refresh(tables, release) == 0
        assert written(tables) == at_once


def test_sources_that_are_kept_are_not_fetched_again(tables: Path) -> None:
    assert refresh(tables, "0.9.0", "--sources", str(tables / "sources")) == 0
    assert (tables / "sources/vllm-0.9.0/vllm/engine/core.py").exists()
    first = written(tables)
    (tables / "index/vllm/vllm-0.9.0.tar.gz").unlink()
    assert refresh(tables, "0.9.0", "--sources", str(tables / "sources")) == 0
    assert written(tables) == first


def test_nothing_is_written_if_one_release_cannot_be_had(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refresh(tables, "0.9.0", "0.99.0") == 1
    said = capsys.readouterr()
    assert "vllm 0.99.0 cannot be fetched" in said.err
    assert "nothing was written" in said.err
    assert said.out == ""
    assert table(tables, "pins") == {"releases": {}}
    assert table(tables, "call_sites") == {"unread": [], "sites": []}


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("vllm/model_executor/models/registry.py", "_MODELS_ELSEWHERE = {}", "no registry of models found"),
        ("vllm/transformers_utils/config.py", "", "no config registry found"),
        (
            "PKG-INFO",
            "Requires-Python: >=3.9\nRequires-Dist: torch==2.7.0\n",
            "does not say which transformers it needs",
        ),
        ("PKG-INFO", METADATA.replace("Requires-Python", "Other"), "does not say which Python it needs"),
        ("setup.py", "", "nothing says for which CUDA"),
        ("vllm/envs.py", "VARIABLES = {}", "no environment_variables in vllm/envs.py"),
    ],
)
def test_a_release_that_moved_what_is_read(file: str, text: str, said: str, tables: Path) -> None:
    sdist(tables / "index", "vllm-0.9.1", {**OLD, file: text})
    with pytest.raises(SystemExit, match=said):
        refresh(tables, "0.9.1")
    assert table(tables, "pins") == {"releases": {}}


def test_a_table_of_flags_that_says_more_than_is_known_is_not_rewritten(tables: Path) -> None:
    assert refresh(tables, "0.9.0") == 0
    flags = table(tables, "flags")
    flags["flags"]["--model"]["another"] = "key"
    (tables / "flags.json").write_text(json.dumps(flags), encoding="utf-8")
    with pytest.raises(SystemExit, match="says more than this tool reads"):
        refresh(tables, "0.10.0")


def test_the_first_registry_stood_in_the_package(tmp_path: Path) -> None:
    path = tmp_path / "vllm/model_executor/models/__init__.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        '_GENERATION_MODELS = {"A": ("a", "A")}\n_MODELS = {**_GENERATION_MODELS, "B": ("b", "B")}\n', encoding="utf-8"
    )
    assert mine_release.architectures(tmp_path) == {"A", "B"}


def test_the_shipped_tables_can_be_carried_on() -> None:
    """What is read back from them gives them again: nothing is lost when a release is added."""
    tables = refresh_knowledge.Tables(refresh_knowledge.KNOWLEDGE, refresh_knowledge.MODEL_TYPES, "")
    releases = list(tables.pins)
    assert (
        mine_flags.table(refresh_knowledge.options_of_releases(tables.flags["flags"], releases))
        == tables.flags["flags"]
    )
    assert build_knowledge.spans(refresh_knowledge.expanded(tables.variables, releases), releases) == tables.variables
    assert mine_variables.segments(mine_variables.of_segments(tables.minima, releases)) == tables.minima
    assert (
        build_knowledge.spans(refresh_knowledge.expanded(tables.architectures, releases), releases)
        == tables.architectures
    )
    modules = mine_modules.of_releases(tables.modules, releases)
    assert mine_modules.by_package(mine_modules.spans(modules)) == tables.modules
    shipped = json.loads((refresh_knowledge.KNOWLEDGE / "vllm_modules.json").read_text(encoding="utf-8"))["modules"]
    assert mine_modules.by_package(mine_modules.telling(mine_modules.flat(tables.modules), releases[0])) == shipped
