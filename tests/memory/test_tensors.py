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


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3", "F6_E3M2", "C64"])
def test_a_type_whose_size_the_offsets_say(dtype: str) -> None:
    assert parsed(written({"a": {"dtype": dtype, "shape": [4], "data_offsets": [0, 7]}}))[0].bytes == 7


def test_bounds_of_a_header() -> None:
    """What is just allowed, beside what is not."""
    whole = {
        "a": {"dtype": "I8", "shape": [1] * 16, "data_offsets": [3, 4]},
        "e": {"dtype": "I8", "shape": [0], "data_offsets": [4, 4]},
    }
    content = written(whole, data=4)
    assert [each.bytes for each in parsed(content)] == [1, 0]
    assert read_header(io.BytesIO(written({}, data=0)), len(written({}, data=0))) == ()
    with pytest.raises(CheckpointError, match="byte 0: says that the header has 2 bytes, but only 1 follow"):
        parsed(written({}, data=0)[:-1])
    with pytest.raises(CheckpointError, match="byte 11: the header is cut off"):
        read_header(io.BytesIO(content[:11]), len(content))
    with pytest.raises(CheckpointError, match="but only 0 follow"):
        read_header(io.BytesIO(content[:8]), 5)
    size = 1 << 50
    large = {"a": {"dtype": "I8", "shape": [size], "data_offsets": [0, size]}}
    with pytest.raises(CheckpointError, match="of the data, but the file has only"):
        parsed(written(large))
    assert parsed(written({"a": {"dtype": "I8", "shape": [size, 0], "data_offsets": [0, 0]}}))[0].bytes == 0
    with pytest.raises(CheckpointError, match="shape must be a list of sizes"):
        parsed(written({"a": {"dtype": "I8", "shape": [size + 1, 0], "data_offsets": [0, 0]}}))
    with pytest.raises(CheckpointError, match=f"tensor '{'n' * 100}': dtype '{'D' * 30}' is not known"):
        parsed(written({"n" * 101: {"dtype": "D" * 31}}))


@pytest.mark.parametrize(("length", "said"), [(32 << 20, "only 0 follow"), ((32 << 20) + 1, "is longer than")])
def test_how_long_a_header_may_be(length: int, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        read_header(io.BytesIO(length.to_bytes(8, "little")), 8)


def test_how_many_tensors_there_may_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("qvl_doctor.memory.tensors._MOST_TENSORS", 2)
    entry = {"dtype": "I8", "shape": [1], "data_offsets": [0, 1]}
    assert len(parsed(written(dict.fromkeys("ab", entry)))) == 2
    with pytest.raises(CheckpointError, match="more than 2 tensors"):
        parsed(written(dict.fromkeys("abc", entry)))
    for number in (1, 2, 3):
        (tmp_path / f"{number}.safetensors").write_bytes(written({str(number): entry}))
        if number < 3:
            assert len(read_folder(str(tmp_path))) == number
    with pytest.raises(CheckpointError, match=r"3\.safetensors: more than 2 tensors"):
        read_folder(str(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        "model.norm.weight",
        "layers.0.post_attention_layernorm.bias",
        "visual.ln_q.weight",
        "layers.0.mlp.gate.weight",
        "layers.0.router.weight",
        "layers.0.self_attn.kv_a_proj_with_mqa.weight",
        "layers.0.self_attn.q_a_proj.weight",
        "visual.patch_embed.proj.weight",
        "visual.pos_embed.weight",
        "visual.position_embedding.weight",
        "visual.conv1.weight",
        "layers.0.mlp.down_proj.g_idx",
        "layers.0.self_attn.o_proj.bias",
        "layers.0.mlp.down_proj.bias",
        "layers.0.mlp.down_proj.weight_scale",
    ],
)
def test_what_is_whole_on_every_rank(name: str) -> None:
    assert list(rank_sizes([Tensor(name, "BF16", (10,), 20)], 4, 4)) == [20]


def test_what_is_divided() -> None:
    def sizes(*names: str, ranks: int = 4, shape: tuple[int, ...] = (9,)) -> list[int]:
        return list(rank_sizes([Tensor(name, "I8", shape, 9) for name in names], ranks, 2))

    assert sizes("layers.0.mlp.down_proj.weight") == [3]  # 9 bytes by 4, rounded up
    assert sizes("layers.0.mlp.down_proj.weight", ranks=1) == [9]
    assert sizes("layers.0.mlp.down_proj.weight", shape=()) == [9]
    assert sizes("layers.0.mlp.down_proj.weight_scale_inv") == [3]
    assert sizes("layers.0.self_attn.k_proj.weight") == [5]  # two heads
    assert sizes("layers.0.self_attn.v_proj.weight") == [5]
    assert sizes("layers.0.self_attn.q_proj.weight") == [3]


@pytest.mark.parametrize(
    ("names", "tensors_made"),
    [
        (["q_proj", "k_proj", "v_proj"], 1),
        (["q", "k", "v"], 1),
        (["gate_proj", "up_proj"], 1),
        (["w1", "w3"], 1),
        (["q_proj", "gate_proj"], 2),
        (["o_proj", "down_proj", "w2"], 3),
    ],
)
def test_projections_that_become_one_tensor(names: list[str], tensors_made: int) -> None:
    found = [Tensor(f"layers.0.x.{name}.weight", "I8", (9,), 9) for name in names]
    sizes = list(rank_sizes(found, 1, 1))
    assert (len(sizes), sum(sizes)) == (tensors_made, 9 * len(names))


def test_a_tiny_model_has_weights_too() -> None:
    shape = read(TINY)
    assert isinstance(shape, ModelShape)
    assert weights(shape, Settings(newest())).allocated > 0
