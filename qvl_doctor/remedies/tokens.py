"""How many tokens images and videos take, and what has to change so that they fit.

Tokens of one image = pixels / unit, where the unit is 28 × 28 pixels for Qwen2-VL and Qwen2.5-VL and 32 × 32 for
Qwen3-VL (patch size × merge size, squared). A full-size image is 16384 tokens for all three by their own
preprocessor_config.json: 12,845,056 / 28² = 16,777,216 / 32² = 16384. The worst case of a prompt is the sum over
modalities of tokens per item × items allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qvl_doctor.knowledge.defaults import MULTIMODAL_BATCH_USUAL
from qvl_doctor.late import late_pattern
from qvl_doctor.model import Facts, fact_count, fact_map, fact_text
from qvl_doctor.values import as_count

Values = Mapping[str, str]

FULL_SIZE = 16384
#: Pixels of one token, by family.
UNITS: Mapping[str, int] = {"qwen2-vl": 28 * 28, "qwen2.5-vl": 28 * 28, "qwen3-vl": 32 * 32}
#: The length of the family's own configuration; a longer one is refused.
LONGEST: Mapping[str, int] = {"qwen2-vl": 32768, "qwen2.5-vl": 128000, "qwen3-vl": 262144}
#: The upper end of the range that Qwen's model cards recommend (256 to 1280 tokens), and the least that keeps text
#: legible.
RECOMMENDED, LEAST = 1280, 256

#: No prompt carries so many images or videos: these were meant as tokens.
_MANY_ITEMS = 256
#: Room for text and answer next to the images: what a request needs at least, and what makes a comfortable length.
_LEAST_TEXT = 512
_TEXT = 8192

_FAMILY = late_pattern(r"qwen(2\.5|25|2|3)[-.]?vl")
_OTHER = late_pattern(r"embedding|rerank")
_RESERVED = late_pattern(r"'(\w{1,40})': (\d{1,12})")
_LIMIT = late_pattern(r"(\w{1,40})=(\d{1,9})")


def family(facts: Facts) -> str:
    """qwen2-vl, qwen2.5-vl or qwen3-vl, by the architecture or the model's name.

    "" if it is none of them, or not known.
    """
    for name in ("architecture", "model", "served_model_name"):
        said = re.sub("_+", ".", fact_text(facts, name).lower())
        found = _FAMILY.search(said)
        if found and not _OTHER.search(said):
            return f"qwen{found[1].replace('25', '2.5')}-vl"
    return ""


def image_tokens(facts: Facts) -> int | None:
    """Tokens of the largest image that the model takes.

    As the log shows it, otherwise by the model's family and the arguments.
    """
    shown = reserved(facts).get("image", 0)
    allowed = limits(facts).get("image", 0)
    if shown and allowed and not shown % allowed:
        return shown // allowed
    budget, batched = fact_count(facts, "encoder_budget_tokens"), fact_count(facts, "max_num_batched_tokens")
    if fact_text(facts, "encoder_modality") == "image" and budget and batched and budget > batched:
        return budget  # the budget is the larger of the batch and the largest item
    unit = UNITS.get(family(facts))
    if not unit:
        return None
    capped = _pixels_allowed(facts)
    return FULL_SIZE if capped is None else max(1, min(FULL_SIZE, capped // unit))


def reserved(facts: Facts, said: str = "") -> dict[str, int]:
    """Tokens by modality of the worst-case warning: {'image': 81920}."""
    return {name: int(tokens) for name, tokens in _RESERVED.findall((said or fact_text(facts, "mm_reserved"))[:1000])}


def limits(facts: Facts) -> dict[str, int]:
    """Items that a prompt may carry, by modality, as far as the log shows it."""
    allowed = facts["limit_mm_per_prompt"].value if "limit_mm_per_prompt" in facts else None
    if isinstance(allowed, Mapping):
        counts = {str(name): item.get("count") if isinstance(item, Mapping) else item for name, item in allowed.items()}
        return {name: count for name, count in counts.items() if isinstance(count, int)}
    return {name: int(count) for name, count in _LIMIT.findall(str(allowed or "")[:1000])}


def worst_case(values: Values, facts: Facts) -> Values:
    """What the worst-case warning says, item by item: images, tokens_each.

    Always answers; names are left out where it is not known.
    """
    shown = reserved(facts, values.get("reserved", ""))
    each = _tokens_each(shown, facts)
    answer = {"tokens_each": str(each), "images": str(shown["image"] // each)} if each else {}
    return (
        {**answer, "reserved_shown": ", ".join(f"{name} {tokens}" for name, tokens in shown.items())}
        if shown
        else answer
    )


def video_off(values: Values, facts: Facts) -> Values | None:
    """Without video the images fit: need_left (tokens), images."""
    have, shown = _have(values, facts), reserved(facts, values.get("reserved", ""))
    each = _tokens_each(shown, facts)
    if not (have and each and shown.get("video") and shown["image"] + _LEAST_TEXT <= have):
        return None
    return {"need_left": str(shown["image"]), "images": str(shown["image"] // each)}


def video_unused(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """Nothing but that it can be asked: the model takes videos, and the command leaves them on."""
    return {} if family(facts) and limits(facts).get("video") != 0 else None


def fewer_items(values: Values, facts: Facts) -> Values | None:
    """The number of full-size images that fits without video, where that is fewer than are allowed now.

    Images, need_left.
    """
    have, shown = _have(values, facts), reserved(facts, values.get("reserved", ""))
    each = _tokens_each(shown, facts)
    if not (have and each):
        return None
    fitting = (have - _LEAST_TEXT) // each
    if not 1 <= fitting < shown["image"] // each:
        return None
    return {"images": str(fitting), "need_left": str(fitting * each)}


def one_item_longer(values: Values, facts: Facts) -> Values | None:
    """Not even one full-size image fits.

    The length that holds one image and 8192 tokens of text: tokens_each, max_model_len.

    Only where the length is what decides (V0 without chunked prefill: the budget is the larger of the length and 5120).
    """
    have, shown = _have(values, facts), reserved(facts, values.get("reserved", ""))
    each = _tokens_each(shown, facts)
    if not (have and each) or have >= each + _LEAST_TEXT or _batch_decides(facts, have):
        return None
    length = _up(each + _TEXT, 1024)
    if length > LONGEST.get(family(facts), length):
        return None
    return {"tokens_each": str(each), "max_model_len": str(length)}


def image_size_for_tokens(values: Values, facts: Facts) -> Values | None:
    """The image size with which all allowed images fit, video off: image_tokens, max_pixels, images.

    For the 28-pixel families.
    """
    have, shown = _have(values, facts), reserved(facts, values.get("reserved", ""))
    each = _tokens_each(shown, facts)
    if not (have and each) or UNITS.get(family(facts) or "qwen2-vl") != UNITS["qwen2-vl"]:
        return None
    images = shown["image"] // each
    tokens = min(each, (have - _LEAST_TEXT) // images) // 16 * 16
    if not LEAST <= tokens < each:
        return None
    return {"image_tokens": str(tokens), "max_pixels": str(tokens * UNITS["qwen2-vl"]), "images": str(images)}


def token_budget(values: Values, facts: Facts) -> Values | None:
    """The length and the batch that hold everything that is allowed now: max_model_len, batched_tokens."""
    need = as_count(values.get("need")) or fact_count(facts, "mm_need_tokens")
    if not need:
        return None
    length = _up(need + _LEAST_TEXT, 1024)
    if length > LONGEST.get(family(facts), 131072):
        return None
    return {"max_model_len": str(length), "batched_tokens": str(length)}


def smaller_images(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """The image size that Qwen recommends: image_tokens, max_pixels.

    For Qwen2-VL and Qwen2.5-VL, if images may be larger now.
    """
    return _capped(facts, RECOMMENDED) if UNITS.get(family(facts)) == UNITS["qwen2-vl"] else None


def smaller_images_qwen3(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """The same for Qwen3-VL, whose processor takes `size`.

    image_tokens, shortest_edge, longest_edge (both count pixels).
    """
    return _edges(_capped(facts, RECOMMENDED)) if family(facts) == "qwen3-vl" else None


def images_for_kv(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """The image size that leaves a quarter of the KV cache, and of the length, for text: image_tokens, max_pixels."""
    return _capped(facts, _room_for_images(facts)) if UNITS.get(family(facts)) == UNITS["qwen2-vl"] else None


def images_for_kv_qwen3(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """The same for Qwen3-VL: image_tokens, shortest_edge, longest_edge."""
    return _edges(_capped(facts, _room_for_images(facts))) if family(facts) == "qwen3-vl" else None


def kv_and_image(values: Values, facts: Facts) -> Values:  # noqa: ARG001
    """Sizes as people write them.

    kv_shown, image_shown, and blocks_shown ("186 blocks × 16" without the words) where V0 prints blocks.
    """
    kv, image = fact_count(facts, "kv_tokens"), image_tokens(facts)
    blocks, size = fact_count(facts, "kv_blocks"), fact_count(facts, "block_size")
    answer = {"kv_shown": f"{kv:,}", "image_shown": f"{image or 0:,}"}
    if blocks and size and blocks * size == kv:
        answer |= {"kv_blocks": str(blocks), "block_size": str(size)}
    length = fact_count(facts, "max_model_len") or fact_count(facts, "concurrency_tokens")
    if length and image and length < image:
        answer["length_shown"] = f"{length:,}"
    return answer


def longer_context(values: Values, facts: Facts) -> Values | None:
    """The length for a prompt of `asked` tokens where `limit` are allowed: max_model_len.

    None beyond what the model can.
    """
    asked, limit = as_count(values.get("asked")), as_count(values.get("limit"))
    if not asked or (limit and asked < limit):
        return None
    length = _up(asked + 1024, 1024)
    longest = LONGEST.get(family(facts))
    return None if (longest and length > longest) or length > 10_485_760 else {"max_model_len": str(length)}


def length_for_items(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """The length that vLLM before 0.6.6 wants for `count` items of Qwen2-VL, which it takes for 1280 tokens each.

    max_model_len.
    """
    count = as_count(values.get("count")) if values.get("processor") == "Qwen2-VL" else 0
    length = _up(count * RECOMMENDED + 1024, 1024)
    return {"max_model_len": str(length)} if count and length <= LONGEST["qwen2-vl"] else None


def batch_for_item(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """The batch that holds one item of `item` tokens: batched_tokens."""
    item = as_count(values.get("item"))
    return {"batched_tokens": str(_up(item, 16))} if item else None


def limits_of_tokens(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """The modalities whose number of items looks like one of tokens: modalities, with spaces between them."""
    found = [
        name for name, count in limits(facts).items() if count >= _MANY_ITEMS and re.fullmatch(r"[a-z_]{1,40}", name)
    ]
    return {"modalities": " ".join(found)} if found else None


def items_sent(values: Values, facts: Facts) -> Values | None:  # noqa: ARG001
    """The limit for as many items as were `sent`: modality, sent. None if the message does not say how many."""
    sent, modality = as_count(values.get("sent")), values.get("modality", "")
    return {"modality": modality, "sent": str(sent)} if sent and re.fullmatch(r"[a-z_]{1,40}", modality) else None


def _tokens_each(shown: Mapping[str, int], facts: Facts) -> int | None:
    """Tokens of one image in the worst case.

    Without arguments in the log, a multiple of Qwen's full size is that many images of it.
    """
    total = shown.get("image", 0)
    if not total:
        return None
    allowed = limits(facts).get("image", 0)
    if not allowed and "args" in facts and fact_text(facts, "engine") == "V0":
        allowed = 1  # V0's own limit where the command sets none
    if allowed and not total % allowed:
        return total // allowed
    known = family(facts)
    of_qwen = bool(known) or not (fact_text(facts, "model") or fact_text(facts, "architecture"))
    return FULL_SIZE if of_qwen and not total % FULL_SIZE else None


def _have(values: Values, facts: Facts) -> int:
    return as_count(values.get("have")) or fact_count(facts, "mm_have_tokens")


def _batch_decides(facts: Facts, have: int) -> bool:
    """Whether the budget is the batch, not the length: chunked prefill, or a batch that was set."""
    if fact_text(facts, "chunked_prefill") == "yes":
        return True
    length = fact_count(facts, "max_model_len")
    return bool(length and length > max(have, MULTIMODAL_BATCH_USUAL))


def _room_for_images(facts: Facts) -> int:
    sizes = [fact_count(facts, name) for name in ("kv_tokens", "max_model_len", "concurrency_tokens")]
    return min((size for size in sizes if size), default=0) * 3 // 4


def _capped(facts: Facts, tokens: int) -> dict[str, str] | None:
    """A cap of so many tokens an image, if images may be larger now and it leaves them legible."""
    unit, now = UNITS.get(family(facts)), image_tokens(facts)
    tokens = tokens // 16 * 16
    if not unit or not now or not LEAST <= tokens < now:
        return None
    return {"image_tokens": str(tokens), "max_pixels": str(tokens * unit)}


def _edges(capped: Mapping[str, str] | None) -> Values | None:
    """The cap as Qwen3-VL's `size`: both ends must be given, and the shortest is that of its own configuration."""
    if not capped or int(capped["max_pixels"]) <= 65536:
        return None
    return {"image_tokens": capped["image_tokens"], "shortest_edge": "65536", "longest_edge": capped["max_pixels"]}


def _pixels_allowed(facts: Facts) -> int | None:
    """The cap that the arguments put on an image, in pixels."""
    kwargs = fact_map(facts, "args").get("mm_processor_kwargs")
    if not isinstance(kwargs, Mapping):
        return None
    size = kwargs.get("size")
    found: list[Any] = [kwargs.get("max_pixels"), size.get("longest_edge") if isinstance(size, Mapping) else None]
    return next((pixels for pixels in found if isinstance(pixels, int) and pixels > 0), None)


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
