"""Weights as vLLM creates them on one rank: merged projections, sharded by tensor parallelism. Sizes in elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Piece(NamedTuple):
    """One parameter of one rank.

    `linear` says that a quantization method may store it in fewer bits; `experts` that it belongs to experts.
    """

    name: str
    rows: int
    columns: int = 1
    linear: bool = False
    experts: int = 0

    @property
    def elements(self) -> int:
        return self.rows * self.columns * max(1, self.experts)


class Shards(NamedTuple):
    """Over how many ranks a projection is divided.

    Column-parallel ones divide their rows (the output), row-parallel ones their columns.
    """

    ranks: int = 1

    def column(self, name: str, rows: int, columns: int, bias: bool = False, linear: bool = True) -> Iterator[Piece]:
        """A projection whose output is divided, with its bias."""
        yield Piece(f"{name}.weight", _part(rows, self.ranks), columns, linear=linear)
        if bias:
            yield Piece(f"{name}.bias", _part(rows, self.ranks))

    def row(self, name: str, rows: int, columns: int, bias: bool = False, linear: bool = True) -> Iterator[Piece]:
        """A projection whose input is divided; its bias is whole on every rank."""
        yield Piece(f"{name}.weight", rows, _part(columns, self.ranks), linear=linear)
        if bias:
            yield Piece(f"{name}.bias", rows)


def norm(name: str, size: int, bias: bool = False) -> Iterator[Piece]:
    """A normalization: a weight, and for LayerNorm a bias."""
    yield Piece(f"{name}.weight", size)
    if bias:
        yield Piece(f"{name}.bias", size)


def _part(size: int, ranks: int) -> int:
    """The share of one rank, rounded up where it does not divide. vLLM refuses such a size.

    Here it costs what the largest rank holds.
    """
    return -(-size // ranks)
