"""What other packages are asked for is read from metadata, and what Transformers lost from its modules."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import mine_names
import mine_requirements
import pytest


def test_requirements_come_from_reports_of_pip_and_from_metadata(tmp_path: Path) -> None:
    out, report, metadata = (tmp_path / name for name in ("requirements.json", "torch.json", "METADATA"))
    asked = [
        "filelock",
        'triton==3.4.0; platform_system == "Linux" and platform_machine == "x86_64"',
        'numpy>=1; extra == "all"',
    ]
    report.write_text(
        json.dumps({"install": [{"metadata": {"name": "torch", "version": "2.8.0", "requires_dist": asked}}]}),
        encoding="utf-8",
    )
    metadata.write_text(
        "Metadata-Version: 2.4\nName: torch\nVersion: 2.10.0\n"
        'Requires-Dist: triton (<3.7,>=3.6); platform_system == "Linux"\n'
        'Requires-Dist: nvidia-nccl-cu13==2.28.9; sys_platform == "win32"\n'
        'Requires-Dist: setuptools<82; python_version >= "3.13"\n'
        "Requires-Dist: not a requirement\n",
        encoding="utf-8",
    )
    # The order does not matter, nor what is there already.
    for files in ([metadata, report], [report], [metadata]):
        mine_requirements.main([*map(str, files), "--out", str(out), "--date", "2026-01-31"])
    assert json.loads(out.read_text(encoding="utf-8")) == {
        "source": mine_requirements.SOURCE,
        "date": "2026-01-31",
        "releases": {"vllm": "", "transformers": "", "torch": "2.8.0 2.10.0"},
        "vllm": {},
        "transformers": {},
        "torch": {"triton": [["2.8.0", "==3.4.0"], ["2.10.0", ">=3.6,<3.7"]]},
    }


def test_the_shipped_requirements_can_be_carried_on() -> None:
    table = mine_requirements.Table()
    for owner in mine_requirements.OWNERS:
        releases = table.releases[owner]
        assert mine_requirements.rows(mine_requirements.of_releases(table.rows[owner], releases)) == table.rows[owner]


BEFORE = {
    "src/transformers/__init__.py": '_import_structure = {"models.alpha": ["AlphaConfig", "AlphaModel"]}\n',
    "src/transformers/cache_utils.py": "class OldCache:\n    pass\nclass MovedCache:\n    pass\nOLD_LIMIT = 1\nx = 1\n",
    "src/transformers/models/llama/modeling_llama.py": "class LlamaFlashAttention2:\n    pass\nLLAMA_ATTENTION_CLASSES: dict = {}\n",
    "src/transformers/models/alpha/modeling_alpha.py": "class AlphaSdpaAttention:\n    pass\n",
    "src/transformers/commands/serve.py": "class ServeCommand:\n    pass\n",
    "src/transformers/utils/broken.py": "def (:\n",
    "src/transformers/utils/imports.py": (
        "import torch.nn as torch_nn_module\n"
        "try:\n    from jax import old_jax_name\nexcept ImportError:\n    old_fallback = None\n"
        "if torch_nn_module:\n    def is_old_available():\n        pass\n"
        "class TFOldModel:\n    pass\nclass OldImageProcessorFast:\n    pass\n"
    ),
}
AFTER = {
    "src/transformers/__init__.py": '_import_structure = {"models.alpha": ["AlphaConfig"]}\n',
    "src/transformers/utils/caches.py": "class MovedCache:\n    pass\n",
}
LOST = [
    "AlphaModel",
    "LLAMA_ATTENTION_CLASSES",
    "LlamaFlashAttention2",
    "OLD_LIMIT",
    "OldCache",
    "is_old_available",
    "old_fallback",
    "old_jax_name",
    "torch_nn_module",
]


def archive(folder: Path, version: str, files: dict[str, str], kind: str) -> Path:
    if kind == "folder":
        for path, text in files.items():
            (folder / f"transformers-{version}" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / f"transformers-{version}" / path).write_text(text, encoding="utf-8")
        return folder / f"transformers-{version}"
    if kind == "wheel":
        with zipfile.ZipFile(folder / f"transformers-{version}-py3-none-any.whl", "w") as wheel:
            for path, text in files.items():
                wheel.writestr(path.removeprefix("src/"), text)
        return folder / f"transformers-{version}-py3-none-any.whl"
    with tarfile.open(folder / f"transformers-{version}.tar.gz", "w:gz") as sdist:
        for path, text in files.items():
            info = tarfile.TarInfo(f"transformers-{version}/{path}")
            info.size = len(text.encode())
            sdist.addfile(info, io.BytesIO(text.encode()))
    return folder / f"transformers-{version}.tar.gz"


@pytest.mark.parametrize("kind", ["sdist", "wheel", "folder"])
def test_names_that_are_in_no_module_any_more_are_gone(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "names.json"
    again = {**AFTER, "src/transformers/cache_utils.py": "class OldCache:\n    pass\n"}
    archives = [
        archive(tmp_path, version, files, kind)
        for version, files in (("4.9.2", BEFORE), ("4.10.0", AFTER), ("4.11.0", again))
    ]
    mine_names.main([*map(str, archives[:2]), "--out", str(out), "--date", "2026-01-31"])
    assert json.loads(out.read_text(encoding="utf-8"))["last"] == {"4.9": " ".join(LOST)}
    # What a later release has again is not gone.
    mine_names.main([*map(str, archives[1:]), "--out", str(out), "--date", "2026-01-31"])
    assert json.loads(out.read_text(encoding="utf-8"))["last"] == {
        "4.9": " ".join(name for name in LOST if name != "OldCache")
    }
