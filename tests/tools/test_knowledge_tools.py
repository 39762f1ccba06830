"""The tools that write the tables read published sources right: here made-up ones."""

from __future__ import annotations

import importlib
import json
import os
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def miner() -> ModuleType:
    return importlib.import_module("tools.mine_model_types")


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    return importlib.import_module("tools.build_knowledge")


def wheel(folder: Path, version: str, files: dict[str, str], day: tuple[int, int, int]) -> Path:
    path = folder / f"transformers-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (*day, 0, 0, 0)), text)
    return path


def old_transformers(folder: Path) -> Path:
    """One file with everything, as up to 5.5."""
    return wheel(
        folder,
        "4.1.0",
        {
            "transformers/models/auto/configuration_auto.py": """
raise RuntimeError("this must not be imported")
CONFIG_MAPPING_NAMES = OrderedDict(
    [
        ("alpha", "AlphaConfig"),
        ("gone", "GoneConfig"),
    ]
)
""",
            "transformers/models/auto/modeling_auto.py": """
MODEL_MAPPING_NAMES = OrderedDict([("alpha", "AlphaModel")])
MODEL_FOR_CAUSAL_LM_MAPPING_NAMES = OrderedDict([("alpha", "AlphaForCausalLM"), ("gone", "GoneForCausalLM")])
""",
        },
        (2025, 1, 1),
    )


def new_transformers(folder: Path) -> Path:
    """A generated file, corrected afterwards."""
    return wheel(
        folder,
        "4.2.0",
        {
            "transformers/models/auto/auto_mappings.py": """
CONFIG_MAPPING_NAMES = OrderedDict([("alpha", "AlphaConfig"), ("beta_vl", "BetaVLConfig")])
""",
            "transformers/models/auto/configuration_auto.py": """
CONFIG_MAPPING_NAMES.update({"gamma": "GammaConfig"})
CONFIG_MAPPING_NAMES = OrderedDict(**{"delta-1": "AlphaConfig"}, **CONFIG_MAPPING_NAMES)
""",
            "transformers/models/auto/modeling_auto.py": """
MODEL_MAPPING_NAMES = OrderedDict([("alpha", "AlphaModel"), ("beta_vl", ("BetaVLModel", "BetaVLTower"))])
MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES: dict = OrderedDict([("beta_vl", "BetaVLForConditionalGeneration")])
""",
        },
        (2025, 3, 1),
    )


def vllm(folder: Path, version: str, registry: str) -> Path:
    path = folder / version / "vllm" / "transformers_utils"
    path.mkdir(parents=True)
    (path / "config.py").write_text(registry, encoding="utf-8")
    (folder / version / "PKG-INFO").touch()
    os.utime(folder / version / "PKG-INFO", (1748779200, 1748779200))  # 2025-06-01
    return folder / version


def mined(miner: ModuleType, folder: Path) -> dict[str, Any]:
    out = folder / "mined.json"
    archives = [str(new_transformers(folder)), str(old_transformers(folder))]
    trees = [
        str(vllm(folder, "0.6.10", '_CONFIG_REGISTRY = LazyConfigDict(epsilon="EpsilonConfig")')),
        str(
            vllm(folder, "0.6.9", '_X: T = {"epsilon": E}\n_CONFIG_REGISTRY: Dict[str, T] = {"zeta": ZetaConfig, **_X}')
        ),
    ]
    miner.main(["--transformers", *archives, "--vllm", *trees, "--out", str(out)])
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return result


def test_model_types_are_mined_without_importing_anything(miner: ModuleType, tmp_path: Path) -> None:
    found = mined(miner, tmp_path)
    assert found["transformers"]["releases"] == {"4.1.0": "2025-01-01", "4.2.0": "2025-03-01"}
    assert set(found["vllm"]["releases"].values()) == {"2025-06-01"}
    assert found["transformers"]["model_types"] == {
        "alpha": {"first": "4.1.0", "last": "4.2.0", "classes": ["AlphaModel", "AlphaForCausalLM"]},
        "beta_vl": {
            "first": "4.2.0",
            "last": "4.2.0",
            "classes": ["BetaVLForConditionalGeneration", "BetaVLModel", "BetaVLTower"],
        },
        "delta-1": {"first": "4.2.0", "last": "4.2.0", "classes": []},
        "gamma": {"first": "4.2.0", "last": "4.2.0", "classes": []},
        "gone": {"first": "4.1.0", "last": "4.1.0", "classes": ["GoneForCausalLM"]},
    }
    assert list(found["vllm"]["releases"]) == ["0.6.9", "0.6.10"]  # by number, not by letter
    assert found["vllm"]["model_types"] == {
        "epsilon": {"first": "0.6.10", "last": "0.6.10", "classes": ["EpsilonConfig"]},
        "zeta": {"first": "0.6.9", "last": "0.6.9", "classes": ["ZetaConfig"]},
    }


def test_the_miner_says_what_is_missing(miner: ModuleType, tmp_path: Path) -> None:
    empty = wheel(tmp_path, "4.3.0", {"transformers/__init__.py": ""}, (2025, 4, 1))
    with pytest.raises(SystemExit, match="no model types found"):
        miner.transformers_types(empty)
    with pytest.raises(SystemExit, match="no config registry"):
        miner.vllm_types(empty)
    with pytest.raises(SystemExit, match="no version in the name"):
        miner.version(Path("transformers.whl"))


def build(builder: ModuleType, folder: Path, found: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The model types that the builder makes of made-up inputs.

    Three vLLM releases, the last two below Transformers 4.2.
    """
    inputs: dict[str, list[dict[str, Any]]] = {
        "architectures": [
            {"architecture": "AlphaForCausalLM", "first_version": "0.6.0", "last_version": "0.6.9"},
            {"architecture": "BetaVLForConditionalGeneration", "first_version": "0.6.0", "last_version": "0.6.10"},
            {"architecture": "EpsilonForCausalLM", "first_version": "0.6.0", "last_version": "0.6.10"},
            {"architecture": "PluginModel", "first_version": None, "last_version": None},
        ],
        "pins": [
            {
                "version": "0.6.0",
                "transformers": ">= 4.1, <4.2",
                "torch": "== 2.4.0",
                "python": ">=3.8",
                "main_cuda": "12.1",
            },
            {
                "version": "0.6.9",
                "transformers": "<5,>= 4.1",
                "torch": "==2.5.1; x == 'y'",
                "python": ">=3.9",
                "main_cuda": "12.1",
            },
            {"version": "0.6.10", "transformers": ">= 4.1", "torch": "==2.6.0", "python": ">=3.9", "main_cuda": "12.4"},
        ],
    }
    for name, rows in inputs.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "model_types.json").write_text(json.dumps(found), encoding="utf-8")
    registry = {
        "AlphaForCausalLM": {"kind": "text", "repositories": ["org/Alpha-7B-Instruct"], "remote": True},
        "BetaVLForConditionalGeneration": {
            "kind": "multimodal",
            "repositories": ["org/Beta-VL-3B", "org/Beta-VL-30B-A3B"],
        },
        "EpsilonForCausalLM": {"kind": "text", "repositories": ["org/tiny-random"], "through": True},
        "Unregistered": {"kind": "draft", "repositories": []},
    }
    (folder / "registry.json").write_text(json.dumps(registry), encoding="utf-8")
    traps = {
        "model_types": {},
        "not_served": {},
        "ceilings": [{"vllm": "==0.6.9", "transformers": "<4.2"}],
    }
    out = folder / "out"
    out.mkdir()
    (out / "traps.json").write_text(json.dumps(traps), encoding="utf-8")
    paths = [part for name in inputs for part in (f"--{name}", str(folder / f"{name}.jsonl"))]
    paths += ["--registry", str(folder / "registry.json"), "--model-types", str(folder / "model_types.json")]
    builder.main([*paths, "--out", str(out), "--date", "2026-01-31"])
    tables = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*.json")}
    assert {tables[name]["date"] for name in tables if name != "traps"} == {"2026-01-31"}
    assert tables["architectures"]["architectures"]["AlphaForCausalLM"] == ["0.6.0", "0.6.9"]
    assert "PluginModel" not in tables["architectures"]["architectures"]
    assert tables["pins"]["releases"]["0.6.9"] == {
        "transformers": ">=4.1,<5",
        "torch": "2.5.1",
        "python": ">=3.9",
        "cuda": "12.1",
    }
    assert tables["models"]["architectures"] == {
        "AlphaForCausalLM": {"remote": True, "names": ["alpha"]},
        "BetaVLForConditionalGeneration": {"kind": "multimodal", "names": ["beta vl", "beta vl +a"]},
        "EpsilonForCausalLM": {"through": True},
    }
    types: dict[str, dict[str, str]] = tables["model_types"]["model_types"]
    return types


def test_the_builder_pairs_releases_that_run_together(miner: ModuleType, builder: ModuleType, tmp_path: Path) -> None:
    assert build(builder, tmp_path, mined(miner, tmp_path)) == {
        "alpha": {
            "transformers": "4.1",
            "architecture": "AlphaForCausalLM",
            "vllm": "0.6.0",
            "until": "0.6.9",
            "image": "0.6.9",
        },
        # Two older releases have the architecture: one pins Transformers too low, one breaks with it.
        "beta_vl": {
            "transformers": "4.2",
            "architecture": "BetaVLForConditionalGeneration",
            "vllm": "0.6.0",
            "together": "0.6.10",
            "image": "0.6.10",
        },
        "delta-1": {"transformers": "4.2"},
        "epsilon": {
            "architecture": "EpsilonForCausalLM",
            "vllm": "0.6.0",
            "together": "0.6.10",
            "image": "0.6.10",
        },
        "gamma": {"transformers": "4.2"},
    }


def test_an_image_as_old_as_a_transformers_release_is_not_named_for_it(
    miner: ModuleType, builder: ModuleType, tmp_path: Path
) -> None:
    found = mined(miner, tmp_path)
    found["vllm"]["releases"]["0.6.10"] = "2025-03-02"
    assert "image" not in build(builder, tmp_path, found)["beta_vl"]


def test_transformers_that_came_well_after_a_release_is_its_limit(builder: ModuleType) -> None:
    days = {
        "0.7.1": "2025-02-01",
        "0.7.2": "2025-02-06",
        "0.7.3": "2025-02-20",
        "0.7.4": "2025-02-21",
        "0.7.5": "2025-02-22",
    }
    mined = {
        "vllm": {"releases": days},
        "transformers": {
            "releases": {"4.48.0": "2025-01-10", "4.49.0": "2025-02-17", "4.50.0": "2025-03-21", "5.0.0": "2025-05-01"},
            "model_types": {"beta": {"first": "4.49.0", "classes": ["BetaForCausalLM"]}},
        },
    }
    pins = {
        "0.7.1": {"transformers": ">=4.48"},
        "0.7.2": {"transformers": ">=4.48", "below": "written before"},
        "0.7.3": {"transformers": ">=4.48"},
        "0.7.4": {"transformers": ">=4.48,<4.50"},
        "0.7.5": {"transformers": ">=4.48,!=4.50.*"},
        "0.7.6": {"transformers": ">=4.48"},
    }
    builder.limit_by_day(pins, {"BetaForCausalLM": ["0.7.2"]}, mined)
    assert {name: pin.get("below") for name, pin in pins.items()} == {
        "0.7.1": "4.49",
        "0.7.2": "4.50",  # the first to serve Beta, which came with 4.49 some days later
        "0.7.3": "4.50",
        "0.7.4": None,  # it says so itself
        "0.7.5": None,
        "0.7.6": None,  # nobody knows when it came
    }
