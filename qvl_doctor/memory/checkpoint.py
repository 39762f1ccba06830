"""A model's folder.

Its shape from config.json, the limits of its image processor, and the tensors that its files hold.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from qvl_doctor.files import LONGEST, opened
from qvl_doctor.memory.configs import read
from qvl_doctor.memory.shape import ModelShape, ShapeError, UnknownArchitecture
from qvl_doctor.memory.tensors import CheckpointError, Tensor, read_folder
from qvl_doctor.memory.vision import with_processor

#: The image processor's file; newer checkpoints keep it inside the processor's.
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


class Checkpoint(NamedTuple):
    """A model as its folder describes it.

    `tensors` is empty where there are no safetensors files (only config.json was copied).
    """

    shape: ModelShape
    quantization: str = ""
    tensors: tuple[Tensor, ...] = ()


def read_checkpoint(folder: str) -> Checkpoint:
    """The model in a directory. Whatever its files hold, the only exception is CheckpointError with file and place."""
    config = _json(folder, "config.json")
    try:
        shape = read(config)
    except ShapeError as error:
        raise CheckpointError(os.path.join(folder, "config.json"), f"{error.field}: {error.problem}") from None
    if isinstance(shape, UnknownArchitecture):
        raise CheckpointError(
            os.path.join(folder, "config.json"),
            f"the architecture {shape.architecture[:120]} is not known to the memory model",
        )
    for name in _PROCESSORS:
        if os.path.isfile(os.path.join(folder, name)):
            shape = with_processor(shape, _processor(_json(folder, name)))
            break
    return Checkpoint(shape, shape.quantization, _tensors(folder))


def _json(folder: str, name: str) -> Any:
    path = os.path.join(folder, name)
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for
        raise CheckpointError(path, "is no file")
    try:
        with opened(path) as file:
            data = file.read(LONGEST + 1)
    except OSError as error:
        raise CheckpointError(path, error.strerror or "cannot be read") from None
    if len(data) > LONGEST:
        raise CheckpointError(path, f"is longer than {LONGEST} bytes")
    try:
        return json.loads(data)
    except UnicodeDecodeError as error:
        raise CheckpointError(path, f"byte {error.start}: is no UTF-8") from None
    except json.JSONDecodeError as error:
        raise CheckpointError(path, f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError):
        raise CheckpointError(path, "is no JSON that can be read") from None


def _processor(found: Any) -> Mapping[str, Any] | None:
    if not isinstance(found, Mapping):
        return None
    inner = found.get("image_processor")
    return inner if isinstance(inner, Mapping) else found


def _tensors(folder: str) -> tuple[Tensor, ...]:
    try:
        if not any(name.endswith(".safetensors") for name in os.listdir(folder)):
            return ()
        return read_folder(folder)
    except OSError as error:
        raise CheckpointError(folder, error.strerror or "cannot be read") from None
