"""A model's folder: the files that are read, in which order, and what is said of each that cannot be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from memory_shapes import TINY

from qvl_doctor.files import LONGEST
from qvl_doctor.memory.checkpoint import read_checkpoint
from qvl_doctor.memory.tensors import CheckpointError

SEEING: dict[str, Any] = {
    **TINY,
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    "vision_config": {},
}


def folder(path: Path, **files: Any) -> str:
    """A folder with these files: JSON, or text as it is."""
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (path / f"{name}.json").write_text(text, encoding="utf-8")
    return str(path)


def problem(path: str) -> tuple[str, str]:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    return os.path.basename(caught.value.where), caught.value.problem


def test_a_folder_without_tensors(tmp_path: Path) -> None:
    found = read_checkpoint(folder(tmp_path, config={**TINY, "quantization_config": {"quant_method": "awq"}}))
    assert (found.shape.hidden, found.quantization, found.tensors) == (256, "awq", ())
    assert found.shape.vision is None


def test_a_folder_with_tensors_among_other_files(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "I8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    (tmp_path / "README.md").touch()
    found = read_checkpoint(folder(tmp_path, config=TINY))
    assert [each.name for each in found.tensors] == ["a"]


def test_the_image_processors_file_counts_before_the_processors(tmp_path: Path) -> None:
    path = folder(tmp_path, config=SEEING, processor_config={"image_processor": {"max_pixels": 7}})
    processor = read_checkpoint(path).shape.vision
    assert processor is not None
    assert processor.extra["processor"] == {"max_pixels": 7}
    folder(tmp_path, preprocessor_config={"max_pixels": 9})
    processor = read_checkpoint(path).shape.vision
    assert processor is not None
    assert processor.extra["processor"] == {"max_pixels": 9}
    folder(tmp_path, preprocessor_config=[1])
    processor = read_checkpoint(path).shape.vision
    assert processor is not None
    assert "processor" not in processor.extra


def test_what_is_said_of_a_config(tmp_path: Path) -> None:
    where = str(tmp_path)
    assert problem(where) == ("config.json", "No such file or directory")
    for content, said in (
        ({**TINY, "hidden_size": None}, "hidden_size: is missing"),
        ({"architectures": ["A" * 200]}, f"the architecture {'A' * 120} is not known to the memory model"),
        ("{", "line 1, column 2: Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "is no JSON that can be read"),
        (" " * (LONGEST + 1), f"is longer than {LONGEST} bytes"),
    ):
        folder(tmp_path, config=content)
        assert problem(where) == ("config.json", said)
    folder(tmp_path, config=json.dumps(TINY).ljust(LONGEST))
    assert read_checkpoint(where).shape.hidden == 256
    (tmp_path / "config.json").write_bytes(b'{"a": "\xff"}')
    assert problem(where) == ("config.json", "byte 7: is no UTF-8")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    assert problem(str(tmp_path)) == ("config.json", "is no file")


def test_an_error_without_a_text_is_told_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(tmp_path, config=TINY)

    def fails(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("qvl_doctor.memory.checkpoint.os.listdir", fails)
    assert problem(path) == (tmp_path.name, "cannot be read")
    monkeypatch.setattr("qvl_doctor.memory.checkpoint.opened", fails)
    assert problem(path) == ("config.json", "cannot be read")
