"""What a vision tower holds at its peak, in copies of its hidden states and of its MLP's width, by tower and release.

Counted in the code of the blocks (vllm/model_executor/models/*.py, `forward` of block, attention and MLP): locals of
every frame that is on the stack, the arguments that torch's module calls keep, and the temporaries of the statement at
the peak. The tower runs eagerly in all releases.
"""

from __future__ import annotations

from typing import NamedTuple

from qvl_doctor.knowledge.releases import Release, Since, at
from qvl_doctor.memory.settings import Settings


class Live(NamedTuple):
    """Copies of patches × hidden: `whole` on every rank, `divided` by tensor parallelism.

    `widths` are copies of the MLP's width.
    """

    name: str
    whole: float
    divided: float = 0
    widths: float = 0


#: From here on SiluAndMul is compiled even where the model is not: one pass instead of silu, then product
#: (custom_op.py, compile_native).
_COMPILED_ACTIVATION: Release = (0, 16, 0)

#: Attention of the Qwen towers: qkv (3), contiguous q, k, v (3), and the rotation in float32, in one pass from 0.9, of
#: q and k together from 0.11.
_QWEN_ATTENTION: Since[Live] = (
    ((0, 6, 0), Live("attention", 2, 14)),
    ((0, 9, 0), Live("attention", 2, 11)),
    ((0, 11, 0), Live("attention", 2, 18)),
    ((0, 12, 0), Live("attention", 2, 10)),
    ((0, 16, 0), Live("attention", 2, 7)),
)
#: The gated MLP of Qwen2.5-VL: gate and up apart until 0.10.0, then merged, with the norm that also adds the residual.
_QWEN2_5_MLP: Since[Live] = (((0, 6, 0), Live("MLP", 4, 0, 3)), ((0, 10, 1), Live("MLP", 5, 0, 3)))


def live(kind: str, settings: Settings) -> tuple[Live, ...]:
    """The moments of one block of a tower that can be its peak."""
    native = settings.engine == "V1" and not settings.eager  # custom ops are off where vLLM compiles the decoder
    plain = native and settings.release < _COMPILED_ACTIVATION
    if kind == "qwen2_5":
        mlp = at(_QWEN2_5_MLP, settings.release)
        if plain and settings.release >= (0, 10, 1):
            return (at(_QWEN_ATTENTION, settings.release), Live("MLP", 4, 0, 4))
        return (at(_QWEN_ATTENTION, settings.release), mlp)
    if kind == "qwen2":
        return (at(_QWEN_ATTENTION, settings.release), Live("MLP", 3, 0, 3 if native else 2))
    if kind == "qwen3":
        attention = at(_QWEN_ATTENTION, settings.release)
        return (Live("attention", attention.whole + 1, attention.divided), Live("MLP", 4, 0, 2))
    if kind in {"pixtral", "glm4v"}:
        return (Live("attention", 2, 7), Live("MLP", 4, 0, 4 if plain else 3))
    if kind in {"llava", "llava_next"}:
        return (Live("attention", 3, 5), Live("MLP", 3, 0, 3 if native else 2))
    # Copies of the hidden states next to the MLP: the block's input, the residual, the normed input; InternViT scales
    # one.
    return (Live("attention", 3, 5), Live("MLP", 4 if kind == "intern" else 3, 0, 2))
