"""What each tower holds at its peak, counted in the code of its blocks.

Both sides of each release, compiled and eager.
"""

from __future__ import annotations

import pytest

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory.settings import Settings
from qvl_doctor.memory.towers_live import Live, live

V0, V1, EAGER = ("V0", False), ("V1", False), ("V1", True)


def moments(kind: str, release: Release, how: tuple[str, bool]) -> tuple[Live, ...]:
    engine, eager = how
    return live(kind, Settings(release, engine, eager=eager))


@pytest.mark.parametrize(
    ("release", "divided"),
    [
        ((0, 8, 5), 14),
        ((0, 9, 0), 11),
        ((0, 10, 2), 11),
        ((0, 11, 0), 18),
        ((0, 12, 0), 10),
        ((0, 15, 1), 10),
        ((0, 16, 0), 7),
    ],
)
def test_attention_of_the_qwen_towers(release: Release, divided: int) -> None:
    for kind, whole in (("qwen2", 2), ("qwen2_5", 2), ("qwen3", 3)):  # deepstack keeps one more
        assert moments(kind, release, V1)[0] == Live("attention", whole, divided)


@pytest.mark.parametrize(
    ("kind", "release", "how", "mlp"),
    [
        # gate and up apart, then merged; the norm also adds the residual.
        ("qwen2_5", (0, 10, 0), V0, Live("MLP", 4, 0, 3)),
        ("qwen2_5", (0, 10, 0), V1, Live("MLP", 4, 0, 3)),
        ("qwen2_5", (0, 10, 1), V0, Live("MLP", 5, 0, 3)),
        ("qwen2_5", (0, 10, 1), EAGER, Live("MLP", 5, 0, 3)),
        # The activation as written: silu and product in two passes.
        ("qwen2_5", (0, 10, 1), V1, Live("MLP", 4, 0, 4)),
        ("qwen2_5", (0, 15, 1), V1, Live("MLP", 4, 0, 4)),
        ("qwen2_5", (0, 16, 0), V1, Live("MLP", 5, 0, 3)),
        ("qwen2", (0, 19, 0), V1, Live("MLP", 3, 0, 3)),
        ("qwen2", (0, 19, 0), EAGER, Live("MLP", 3, 0, 2)),
        ("qwen2", (0, 9, 0), V0, Live("MLP", 3, 0, 2)),
        ("qwen3", (0, 19, 0), V1, Live("MLP", 4, 0, 2)),
    ],
)
def test_mlp_of_the_qwen_towers(kind: str, release: Release, how: tuple[str, bool], mlp: Live) -> None:
    assert moments(kind, release, how)[1:] == (mlp,)


@pytest.mark.parametrize("kind", ["pixtral", "glm4v"])
def test_gated_towers(kind: str) -> None:
    for release, how, widths in (((0, 15, 1), V1, 4), ((0, 16, 0), V1, 3), ((0, 15, 1), EAGER, 3), ((0, 9, 0), V0, 3)):
        assert moments(kind, release, how) == (Live("attention", 2, 7), Live("MLP", 4, 0, widths))


@pytest.mark.parametrize("kind", ["llava", "llava_next"])
def test_clip_towers(kind: str) -> None:
    for how, widths in ((V1, 3), (EAGER, 2), (V0, 2)):
        assert moments(kind, (0, 10, 0), how) == (Live("attention", 3, 5), Live("MLP", 3, 0, widths))


@pytest.mark.parametrize(
    ("kind", "whole"),
    [("intern", 4), ("siglip", 3), ("minicpm", 3), ("moonvit", 3), ("llama4", 3), ("llava_onevision", 3)],
)
def test_plain_towers(kind: str, whole: int) -> None:
    assert moments(kind, (0, 19, 0), V1) == (Live("attention", 3, 5), Live("MLP", whole, 0, 2))
