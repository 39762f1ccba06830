"""Headers of safetensors files, honest and hostile, and what they become on a rank."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_shapes import TINY, model, serve

from qvl_doctor.knowledge.releases import newest
from qvl_doctor.memory.configs import read
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.shape import ModelShape
from qvl_doctor.memory.tensors import CheckpointError, Tensor, rank_sizes, read_folder, read_header
from qvl_doctor.memory.units import GIB
from qvl_doctor.memory.weights import checkpoint_weights, weights


def written(header: Any, data: int = 64) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


def parsed(content: bytes) -> tuple[Tensor, ...]:
    return read_header(io.BytesIO(content), len(content), "model.safetensors")


def test_a_header() -> None:
    found = parsed(
        written(
            {
                "__metadata__": {"format": "pt"},
                "a.weight": {"dtype": "BF16", "shape": [4, 4], "data_offsets": [0, 32]},
                "b": {"dtype": "F32", "shape": [], "data_offsets": [32, 36]},
            }
        )
    )
    assert found == (Tensor("a.weight", "BF16", (4, 4), 32), Tensor("b", "F32", (), 4))


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", "is 0 bytes long"),
        (b"\x10\x00\x00", "is 3 bytes long"),
        ((1 << 60).to_bytes(8, "little"), "byte 0: a header of 1152921504606846976 bytes"),
        ((1000).to_bytes(8, "little") + b"{}", "byte 0: says that the header has 1000 bytes, but only 2 follow"),
        (written(b"{"), "byte 9: the header is no JSON"),
        (written(b"\xff\xfe"), "byte 8: the header is no JSON"),
        (written(b"[" * 100_000), "the header is no JSON"),
        (written([1]), "byte 8: the header is no JSON object"),
        (written({"a": 1}), "tensor 'a': is no object"),
        (written({"a": {"dtype": "Q9", "shape": [1], "data_offsets": [0, 1]}}), "tensor 'a': dtype 'Q9' is not known"),
        (written({"a": {"dtype": "I8", "shape": [-1], "data_offsets": [0, 1]}}), "shape must be a list of sizes"),
        (written({"a": {"dtype": "I8", "shape": [1.0], "data_offsets": [0, 1]}}), "shape must be a list of sizes"),
        (written({"a": {"dtype": "I8", "shape": [1] * 17, "data_offsets": [0, 1]}}), "shape must be a list of sizes"),
        (
            written({"a": {"dtype": "I8", "shape": [1], "data_offsets": [1, 0]}}),
            "data_offsets must be a begin and an end",
        ),
        (written({"a": {"dtype": "I8", "shape": [1], "data_offsets": [0]}}), "data_offsets must be a begin and an end"),
        (
            written({"a": {"dtype": "I8", "shape": [99], "data_offsets": [0, 99]}}),
            "ends at byte 99 of the data, but the file has only 64",
        ),
        (
            written({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}),
            "8 bytes of data cannot be 4 elements of F32",
        ),
        (
            written({"a": {"dtype": "I8", "shape": [1 << 50, 1 << 50], "data_offsets": [0, 1]}}),
            "1 bytes of data cannot be",
        ),
    ],
)
def test_a_header_that_is_cut_off_or_lies_says_where(content: bytes, where: str) -> None:
    with pytest.raises(CheckpointError) as error:
        parsed(content)
    assert where in str(error.value)
    assert str(error.value).startswith("model.safetensors")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_or_an_error(content: bytes) -> None:
    try:
        names = [each.name for each in parsed(content)]
    except CheckpointError as error:
        names = [error.where]
    assert all(isinstance(name, str) for name in names)


def test_a_file_that_is_shorter_than_its_header_is_cut_off() -> None:
    content = written({"a": {"dtype": "I8", "shape": [1], "data_offsets": [0, 1]}})
    with pytest.raises(CheckpointError, match="the header is cut off"):
        read_header(io.BytesIO(content[:20]), len(content))


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no \.safetensors files"):
        read_folder(str(tmp_path))
    (tmp_path / "model-00001.safetensors").write_bytes(
        written({"a": {"dtype": "I8", "shape": [64], "data_offsets": [0, 64]}})
    )
    (tmp_path / "model-00002.safetensors").write_bytes(
        written({"b": {"dtype": "I8", "shape": [64], "data_offsets": [0, 64]}})
    )
    assert [each.name for each in read_folder(str(tmp_path))] == ["a", "b"]
    (tmp_path / "model-00003.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="model-00003"):
        read_folder(str(tmp_path))


def test_weights_that_are_there_twice_are_read_once(tmp_path: Path) -> None:
    for name in ("model-00001-of-00001", "consolidated", "adapter"):
        (tmp_path / f"{name}.safetensors").write_bytes(
            written({name: {"dtype": "I8", "shape": [64], "data_offsets": [0, 64]}})
        )
    assert [each.name for each in read_folder(str(tmp_path))] == ["adapter", "model-00001-of-00001"]
    index = {"weight_map": {"w": "model-00001-of-00001.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert [each.name for each in read_folder(str(tmp_path))] == ["model-00001-of-00001"]


def test_a_pipe_among_the_weights_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(OSError, match="no regular file"):
        read_folder(str(tmp_path))


def checkpoint(shape: ModelShape, kind: str = "BF16", size: int = 2) -> list[Tensor]:
    """The tensors of a dense model as Transformers saves them, quantized or not."""
    found = [Tensor("model.embed_tokens.weight", "BF16", (shape.vocab, shape.hidden), shape.vocab * shape.hidden * 2)]
    rows = {
        "self_attn.q_proj": (shape.heads * shape.head_dim, shape.hidden),
        "self_attn.k_proj": (shape.kv_heads * shape.head_dim, shape.hidden),
        "self_attn.v_proj": (shape.kv_heads * shape.head_dim, shape.hidden),
        "self_attn.o_proj": (shape.hidden, shape.heads * shape.head_dim),
        "mlp.gate_proj": (shape.intermediate, shape.hidden),
        "mlp.up_proj": (shape.intermediate, shape.hidden),
        "mlp.down_proj": (shape.hidden, shape.intermediate),
    }
    for index in range(shape.depth):
        found += [
            Tensor(f"model.layers.{index}.{name}.weight", kind, (out, inner), out * inner * size)
            for name, (out, inner) in rows.items()
        ]
        found += [
            Tensor(f"model.layers.{index}.{name}.weight", "BF16", (shape.hidden,), shape.hidden * 2)
            for name in ("input_layernorm", "post_attention_layernorm")
        ]
    found += [Tensor("model.norm.weight", "BF16", (shape.hidden,), shape.hidden * 2)]
    found += (
        []
        if shape.tied
        else [Tensor("lm_head.weight", "BF16", (shape.vocab, shape.hidden), shape.vocab * shape.hidden * 2)]
    )
    return found


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_a_checkpoint_gives_the_same_weights_as_the_shape(ranks: int) -> None:
    shape, settings, _ = serve("Llama-3.1-8B-Instruct", "H100", (0, 19, 0), tp=ranks)
    own, derived = checkpoint_weights(shape, settings, checkpoint(shape)), weights(shape, settings)
    assert own.allocated == pytest.approx(derived.allocated, rel=0.0005)
    assert own.rope == derived.rope


def test_ranks_beyond_the_kv_heads_do_not_make_their_projections_smaller() -> None:
    shape = model("Llama-3.1-8B-Instruct")
    tensors = [each for each in checkpoint(shape) if ".k_proj." in each.name]
    assert sum(rank_sizes(tensors, 16, shape.kv_heads)) == sum(rank_sizes(tensors, 8, shape.kv_heads))


def test_the_checkpoints_own_bytes_decide_about_quantization() -> None:
    shape, settings, _ = serve("Llama-3.1-8B-Instruct", "H100", (0, 19, 0))
    half = checkpoint_weights(shape, settings, checkpoint(shape, "I8", 1)).allocated
    assert half / GIB == pytest.approx(8.49, rel=0.001)  # as the log of a w8a8 checkpoint shows it


def test_experts_of_a_layer_become_one_tensor() -> None:
    names = [
        f"model.layers.0.mlp.experts.{index}.{part}.weight"
        for index in range(8)
        for part in ("gate_proj", "up_proj", "down_proj")
    ]
    sizes = list(rank_sizes([Tensor(name, "BF16", (4, 4), 32) for name in names], 1, 1))
    assert sorted(sizes) == [8 * 32, 8 * 64]


def test_a_tiny_model_has_weights_too() -> None:
    shape = read(TINY)
    assert isinstance(shape, ModelShape)
    assert weights(shape, Settings(newest())).allocated > 0
