"""Tensors of a profiling run by name: what they are made of, how large they are, and which flags scale them."""

from __future__ import annotations

from typing import NamedTuple

#: Flags that scale a tensor, as vLLM spells them.
LENGTH, BATCH, SEQUENCES = "--max-model-len", "--max-num-batched-tokens", "--max-num-seqs"
TENSOR_PARALLEL, PIXELS, ITEMS, DTYPE = (
    "--tensor-parallel-size",
    "--mm-processor-kwargs",
    "--limit-mm-per-prompt",
    "--dtype",
)


class Factor(NamedTuple):
    """One factor of a tensor's size, with what it counts: (128000, "tokens")."""

    size: float
    what: str


class NamedTensor(NamedTuple):
    """A tensor of a profiling run.

    `bytes` is the product of `factors`; `scaled_by` are the flags that change one of them, most effective first.
    """

    name: str
    factors: tuple[Factor, ...]
    scaled_by: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        size = 1.0
        for factor in self.factors:
            size *= factor.size
        return int(size)

    @property
    def formula(self) -> str:
        """The arithmetic in words: "128000 tokens × 37888 (gate and up) × 2 bytes"."""
        return " × ".join(
            f"{factor.size:g} {factor.what}" if factor.size != int(factor.size) else f"{int(factor.size)} {factor.what}"
            for factor in self.factors
        )


class Moment(NamedTuple):
    """What is alive at one moment of the profiling run, next to the weights."""

    name: str
    tensors: tuple[NamedTensor, ...]

    @property
    def bytes(self) -> int:
        return sum(tensor.bytes for tensor in self.tensors)


def tensor(name: str, *factors: tuple[float, str], scaled_by: tuple[str, ...] = ()) -> NamedTensor:
    """A tensor from pairs of size and name."""
    return NamedTensor(name, tuple(Factor(*factor) for factor in factors), scaled_by)
