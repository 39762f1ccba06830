"""Cards by name: how much memory torch sees on them, and what else decides about memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from qvl_doctor.knowledge import table
from qvl_doctor.memory.units import GIB

#: Nobody's name for a card is longer.
_LONGEST = 100
#: What names of the table have, and people leave out.
_NOISE = ("nvidia", "geforce")
_SIZE = re.compile(r"(?<![a-z0-9.])([0-9]{1,4}(?:\.[0-9]{1,4})?) ?(?:gi?b|g)\b")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card as torch sees it.

    `capability`, `sms` and `l2_bytes` are 0 where they are not known. `nominal`: the size is the vendor's, not torch's.
    `shared`: the memory is the host's, and what other processes take looks like vLLM's.
    """

    name: str
    total_bytes: int
    capability: float = 0.0
    sms: int = 0
    l2_bytes: int = 0
    nominal: bool = False
    shared: bool = False
    source: str = ""
    note: str = ""

    @property
    def total_gib(self) -> float:
        return self.total_bytes / GIB

    @property
    def hopper(self) -> bool:
        """Hopper, for which PyTorch gives cuBLAS a larger workspace."""
        return 9.0 <= self.capability < 10.0

    @property
    def data_centre(self) -> bool:
        """Data-centre silicon from Hopper on."""
        return 9.0 <= self.capability < 12.0


def of_size(gib: float, name: str = "") -> Gpu:
    """A card of which only the memory is known."""
    return Gpu(name or f"{gib:g} GiB card", int(gib * GIB))


def find(name: str) -> Gpu | None:
    """The card that people mean by a name: "L4", "a100-80gb", "NVIDIA H100 80GB HBM3", "RTX 4090". None if it is none of the known ones.

    A size in the name ("H100 80GB") picks between cards of one name; a name that only starts or ends like a card's is
    not that card.
    """
    wanted = _tokens(name[:_LONGEST])
    sizes = {float(size) for size in _SIZE.findall(name[:_LONGEST].lower())}
    inside = [
        (len(tokens), card) for tokens, card in _by_tokens().items() if tokens <= wanted and _size_fits(card, sizes)
    ]
    return max(inside, key=lambda item: item[0])[1] if inside else None


def _size_fits(card: Gpu, sizes: set[float]) -> bool:
    """Whether a size in a name can be this card's: torch sees up to a tenth less than the vendor prints."""
    return not sizes or any(0.9 * size <= card.total_gib <= 1.02 * size for size in sizes)


def _tokens(name: str) -> frozenset[str]:
    spaced = re.sub(r"(rtx|gtx)(?=[0-9])", r"\1 ", name.lower())
    words = re.findall(r"[a-z]+[0-9]+[a-z]*|[0-9]+[a-z]*|[a-z]+", spaced)
    return frozenset(re.sub(r"^([0-9]+)gi?b?$", r"\1", word) for word in words if word not in _NOISE)


@cache
def _by_tokens() -> Mapping[frozenset[str], Gpu]:
    found: dict[frozenset[str], Gpu] = {}
    for entry, card in zip(table("gpus")["cards"], known(), strict=True):
        for name in (entry["name"], *entry["aliases"]):
            found.setdefault(_tokens(name), card)
    return found


@cache
def known() -> tuple[Gpu, ...]:
    """Every card of the table."""
    return tuple(
        Gpu(
            name=entry["name"],
            total_bytes=int(entry["gib"] * GIB),
            capability=entry["capability"],
            sms=entry["sms"],
            l2_bytes=entry["l2_mib"] << 20,
            nominal=entry.get("nominal", False),
            shared=entry.get("shared", False),
            source=entry["source"],
            note=entry.get("note", ""),
        )
        for entry in table("gpus")["cards"]
    )
