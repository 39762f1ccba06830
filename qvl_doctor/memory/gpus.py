"""GPUs by name: how much memory torch sees on them, and what else decides about memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from qvl_doctor.knowledge import table
from qvl_doctor.late import late_pattern
from qvl_doctor.memory.units import GIB

#: No one's name for a GPU is longer.
_LONGEST = 100
#: What names of the table have, and people leave out.
_NOISE = ("nvidia", "geforce")
#: What names have besides, and what changes nothing about memory.
_FORM = late_pattern(
    r"tesla|gpus?|graphics|card|tensor|core|pcie|sxm\d?|hbm\d?e?|gddr\d?x?|dgx|hgx|jetson|rtx|oc|nvl|generation|blackwell|server"
    r"|workstation|edition"
)
#: The size of an instance behind its kind: g5.12xlarge, g2-standard-8.
_OF_A_CLOUD = late_pattern(
    r"^\s*([pg]\d\w{0,3}(?:-[a-z]\w{1,10})?)[.-](?:\d{0,3}xlarge|metal|\d{1,3})\s*$", re.IGNORECASE
)
_COUNT = late_pattern(r"^\s*\d{1,4} ?[x×*] ?(?=\S)|(?<=[\s\d])[x×*] ?\d{1,4}\s*$", re.IGNORECASE)
_INSTANCE = late_pattern(r"\bMIG\b|\b\d{1,2}g\.\d{1,4}gb\b(?:\+me)?", re.IGNORECASE)
_SIZE = late_pattern(r"(?<![a-z0-9.])([0-9]{1,4}(?:\.[0-9]{1,4})?) ?(?:gi?b|g)\b")


class Gpu(NamedTuple):
    """One GPU as torch sees it.

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
    """A GPU of which only the memory is known."""
    return Gpu(name or f"{gib:g} GiB card", int(gib * GIB))


def find(name: str, gib: float = 0.0) -> Gpu | None:
    """The one GPU that a name can mean: "L4", "a100-80gb", "NVIDIA H100 80GB HBM3", "RTX 4090".

    None if there is none, or several.

    A name is a GPU's if nothing in it says otherwise: "4070 Ti" is no "4070 Ti SUPER", and a laptop's 4090 is another
    GPU. `gib` is what was measured: it picks between GPUs of one name, and other words of a name count no more.
    """
    named = _named(name, measured=bool(gib))
    if gib and len(named) > 1:
        named = tuple(card for card in named if 0.88 * card.total_gib <= gib <= 1.05 * card.total_gib)
    return named[0] if len(named) == 1 else None


def meant(name: str) -> tuple[Gpu, ...]:
    """The GPUs that a name can mean where it says too little: A100 is one of 40 GB or of 80 GB."""
    wanted = _tokens(name[:_LONGEST])
    longer = {card for tokens, cards in _by_tokens().items() if wanted and wanted <= tokens for card in cards}
    return _named(name) or tuple(card for card in known() if card in longer)


def several(name: str) -> bool:
    """Whether a name counts GPUs: "2x4090", "L4 x 8"."""
    return _COUNT.search(name[:_LONGEST]) is not None


def of_instance(name: str) -> bool:
    """Whether a name is that of a MIG instance, a part of a GPU."""
    return bool(_INSTANCE.search(name[:_LONGEST]))


def _named(name: str, *, measured: bool = False) -> tuple[Gpu, ...]:
    """The GPUs with the longest name inside a name."""
    name = _COUNT.sub(" ", _OF_A_CLOUD.sub(r"\1", name[:_LONGEST]))
    if measured:
        name = _INSTANCE.sub(" ", name)
    wanted = _tokens(name)
    found = list(_SIZE.finditer(name.lower()))
    sizes, said = {float(size[1]) for size in found}, _tokens(" ".join(size[0] for size in found))
    inside = [
        (len(tokens), tuple(card for card in cards if _size_fits(card, sizes)))
        for tokens, cards in _by_tokens().items()
        if tokens <= wanted and (measured or all(map(_FORM.fullmatch, wanted - tokens - said)))
    ]
    return max(inside, key=lambda item: (bool(item[1]), item[0]), default=(0, ()))[1]


def _size_fits(card: Gpu, sizes: set[float]) -> bool:
    """Whether a size in a name can be this GPU's: torch sees up to a tenth less than the vendor prints."""
    return not sizes or any(0.9 * size <= card.total_gib <= 1.02 * size for size in sizes)


def _tokens(name: str) -> frozenset[str]:
    spaced = re.sub(r"(rtx|gtx)(?=[0-9])", r"\1 ", name.lower())
    words = re.findall(r"[a-z]+[0-9]+[a-z]*|[0-9]+[a-z]*|[a-z]+", spaced)
    return frozenset(re.sub(r"^([0-9]+)gi?b?$", r"\1", word) for word in words if word not in _NOISE)


@cache
def _by_tokens() -> Mapping[frozenset[str], tuple[Gpu, ...]]:
    found: dict[frozenset[str], tuple[Gpu, ...]] = {}
    for entry, card in zip(table("gpus")["cards"], known(), strict=True):
        for tokens in {_tokens(name) for name in (entry["name"], *entry["aliases"])}:
            found[tokens] = (*found.get(tokens, ()), card)
    return found


@cache
def known() -> tuple[Gpu, ...]:
    """Every GPU of the table."""
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
