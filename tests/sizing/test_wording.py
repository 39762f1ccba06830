"""What the memory model found, as a report says it: every number from its own field, rounded to two decimals."""

from __future__ import annotations

from typing import Any

import pytest
from memory_shapes import TINY, model

from qvl_doctor.memory.activation import Activation
from qvl_doctor.memory.budget import Plan
from qvl_doctor.memory.configs import read
from qvl_doctor.memory.encoder import Dummies
from qvl_doctor.memory.forensics import Suspect
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.kv import Pool
from qvl_doctor.memory.profile_tensors import Moment, tensor
from qvl_doctor.memory.shape import ModelShape
from qvl_doctor.memory.solver import Case, Solution, Step
from qvl_doctor.memory.units import GIB, MIB
from qvl_doctor.messages import both, joined, say
from qvl_doctor.model import Fact
from qvl_doctor.sizing import wording

MOMENT = Moment("MLP of the decoder", (tensor("x", (1, "bytes")),))
DETAIL = Activation(1, MOMENT, (MOMENT,), Dummies({}, 0, {}, 0, 1, 1))


def made(**changes: Any) -> Plan:
    """A plan whose every number differs from the others.

    Sizes in 64ths of a GiB, so that two decimals are exact enough.
    """
    plain = Plan(
        total=16 * GIB,
        requested=14 * GIB,
        weights=5 * GIB,
        activation=2 * GIB,
        non_torch=1 * GIB,
        graphs=GIB // 2,
        graphs_inside=True,
        kv=6 * GIB,
        pool=Pool(384, 6144, 1.536),
        request=4 * GIB,
        longest=6100,
        spare=2 * GIB,
        error=GIB // 4,
        verdict="fits",
        detail=DETAIL,
    )
    return plain._replace(**changes)


def tiny() -> ModelShape:
    shape = read(TINY)
    assert isinstance(shape, ModelShape)
    return shape


CARD = Gpu("test", 16 * GIB, 8.9)
TEXT = Case(tiny(), CARD, (0, 10, 0), {"max_model_len": 4000, "utilization": 0.875, "max_num_seqs": 17})
IMAGES = Case(model("Qwen/Qwen2.5-VL-7B-Instruct"), CARD, (0, 10, 0), {"processor": {"max_pixels": 802_816}})


@pytest.mark.parametrize(
    ("size", "shown"), [(GIB, "1.00"), (1.5 * GIB, "1.50"), (-GIB // 4, "-0.25"), (5 * MIB, "0.00")]
)
def test_bytes_as_gib(size: float, shown: str) -> None:
    assert wording.gib(size) == shown


@pytest.mark.parametrize(
    ("plan", "shown"),
    [
        (made(), "KV 6.00 ± 0.25 GiB ≥ 4.00 GiB (--max-model-len 4000), 6144 tokens, 1.54x"),
        (made(request=6 * GIB), "KV 6.00 ± 0.25 GiB ≥ 6.00 GiB (--max-model-len 4000), 6144 tokens, 1.54x"),
        (made(request=7 * GIB), "KV 6.00 ± 0.25 GiB < 7.00 GiB (--max-model-len 4000), 6144 tokens, 1.54x"),
        (made(kv=0), "KV 0.00 ± 0.25 GiB < 4.00 GiB (--max-model-len 4000)"),
        (made(verdict="profile-oom", total=7 * GIB), "5.00 + 2.00 + 1.00 = 8.00 GiB > 7.00 GiB"),
    ],
)
def test_why_a_plan_holds_or_not(plan: Plan, shown: str) -> None:
    assert wording.detail(plan, TEXT.settings) == shown


def test_a_plan_as_facts() -> None:
    expected = {
        "plan": "fits",
        "plan_error_gib": 0.25,
        "plan_missing_gib": 0.0,
        "plan_request_gib": 4.0,
        "plan_longest_tokens": 6100,
        "total_gib": 16.0,
        "budget_gib": 14.0,
        "weights_gib": 5.0,
        "activation_gib": 2.0,
        "non_torch_gib": 1.0,
        "graphs_gib": 0.5,
        "max_model_len": 4000,
        "max_num_seqs": 17,
        "max_num_batched_tokens": 2048,
        "gpu_memory_utilization": 0.875,
        "engine": "V1",
        "plan_peak": "MLP of the decoder",
        "kv_gib": 6.0,
        "kv_tokens": 6144,
        "concurrency": 1.54,
    }
    assert wording.facts_of(TEXT, made()) == {name: Fact(value, "model") for name, value in expected.items()}


def test_facts_of_a_plan_are_rounded_to_two_decimals() -> None:
    third = GIB // 3
    plan = made(
        **dict.fromkeys(
            ("total", "requested", "weights", "activation", "non_torch", "graphs", "error", "request"), third
        ),
        kv=third + third // 4,
    )
    facts = wording.facts_of(TEXT, plan)
    sizes = {name: fact.value for name, fact in facts.items() if name.endswith("_gib")}
    assert sizes.pop("kv_gib") == 0.42
    assert sizes.pop("plan_missing_gib") == 0.67  # three thirds are in use, one is there
    assert set(sizes.values()) == {0.33}


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"weights": 14 * GIB}, 1.0),  # 14 + 2 + 1 on 16
        ({"request": 8 * GIB}, 2.0),  # of which 6 are there
        ({"weights": 14 * GIB, "request": 8 * GIB}, 2.0),
        ({"weights": 16 * GIB, "request": 8 * GIB}, 3.0),
        ({"request": 6 * GIB}, 0.0),
    ],
)
def test_what_is_missing_is_the_worse_of_two_shortages(changes: dict[str, int], missing: float) -> None:
    assert wording.facts_of(TEXT, made(**changes))["plan_missing_gib"].value == missing


def test_facts_of_a_plan_without_a_cache_and_with_notes() -> None:
    facts = wording.facts_of(TEXT, made(kv=0, notes=("dummies-dropped", "card-unknown")))
    assert not {"kv_gib", "kv_tokens", "concurrency"} & facts.keys()
    assert (facts["plan_dummies_dropped"].value, facts["plan_card_unknown"].value) == ("yes", "yes")


def test_facts_of_a_plan_of_a_vision_model() -> None:
    facts = wording.facts_of(IMAGES, made())
    assert facts["plan_image_tokens"].value == 1024  # 802816 pixels at 28 × 28 a token
    assert "plan_image_tokens" not in wording.facts_of(TEXT, made())


STEPS = (Step("length", "4000", 2), Step("utilization", "0.95", 2))
FOUND = Solution(STEPS, {"--max-model-len": "4000"}, TEXT.settings, made())


def told(image: int = 0) -> dict[str, str]:
    """The sentences of `FOUND`: what is changed, what that leaves, and how large an image may be."""
    numbers: dict[str, object] = {"kv": "6.00", "tokens": 6144, "requests": "1.54", "length": 4000}
    texts = {}
    for lang, joint, end in (("en", "; ", "."), ("zh", "；", "。")):
        first, second = say("lever.length", lang, value="4000"), say("lever.utilization", lang, value="0.95")
        texts[lang] = f"{first[:1].upper()}{first[1:]}{joint}{second}{end}"
    parts = [texts, both("advice.leaves", **numbers)]
    return joined(*parts, both("advice.image", tokens=image)) if image else joined(*parts)


def test_a_solution_as_a_fix() -> None:
    fix = wording.fix_of(TEXT, FOUND)
    assert fix.text == told()
    assert fix.text["en"].startswith("Limit the context length to 4000 tokens; set")
    assert fix.change == {"flags": {"--max-model-len": "4000"}}
    shown = "KV 6.00 ± 0.25 GiB ≥ 4.00 GiB (--max-model-len 4000), 6144 tokens, 1.54x"
    assert fix.verified == {"by": "memory-model", "detail": shown}
    assert wording.fix_of(TEXT, FOUND._replace(flags={})).change == {}


def test_another_way_as_an_alternative() -> None:
    way = wording.alternative_of(TEXT, "length", FOUND)
    assert way.text == joined(both("trade.length"), told())
    assert way.change == {"flags": {"--max-model-len": "4000"}}
    assert way.leaves == {"max_model_len": 4000, "kv_gib": 6.0, "kv_tokens": 6144, "concurrency": 1.54}
    assert way.verified == wording.fix_of(TEXT, FOUND).verified
    assert wording.alternative_of(TEXT, "gpus", FOUND._replace(flags={})).change == {}


def test_what_a_plan_leaves_for_images() -> None:
    settings = IMAGES.settings._replace(max_model_len=4000)
    found = Solution(STEPS, {}, settings, made(kv=GIB // 3))
    leaves = dict(wording.leaves(IMAGES, found.plan, settings))
    assert leaves["kv_gib"] == 0.33
    assert leaves["image_tokens"] == 1024
    assert wording.fix_of(IMAGES, found._replace(plan=made())).text == told(image=1024)


@pytest.mark.parametrize("lack", ["room", "margin", "item", "reserve", "air"])
def test_why_a_change_is_not_enough(lack: str) -> None:
    detail = wording.detail(made(), TEXT.settings)
    assert wording.not_enough(lack, made(), TEXT.settings) == both(f"lack.{lack}", detail=detail)
    assert detail in wording.not_enough(lack, made(), TEXT.settings)["en"]


# ---- What a request was for


def suspect(name: str, *scaled_by: str, size: float = 3) -> Suspect:
    return Suspect(tensor(name, (size, "tokens"), (GIB, "bytes"), scaled_by=scaled_by), 0, 0.0)


def test_a_request_that_fits_nothing() -> None:
    assert wording.explained("9.03 GiB", ()) == both("forensics.unexplained", tried="9.03 GiB")


def test_a_request_that_one_tensor_fits() -> None:
    text = wording.explained("3.00 GiB", [suspect("logits")])
    assert text == both(
        "forensics.is", tried="3.00 GiB", name="logits", product="3 tokens × 1073741824 bytes", gib="3.0000"
    )


@pytest.mark.parametrize(
    "flag",
    [
        "--max-model-len",
        "--max-num-batched-tokens",
        "--max-num-seqs",
        "--limit-mm-per-prompt",
        "--dtype",
        "--gpu-memory-utilization",
    ],
)
def test_which_flags_change_a_request_and_which_do_not(flag: str) -> None:
    advised = "--max-model-len, --max-num-batched-tokens, --max-num-seqs, --limit-mm-per-prompt, --dtype, --gpu-memory-utilization"
    others = ", ".join(each for each in advised.split(", ") if each != flag)
    text = wording.explained("3.00 GiB", [suspect("logits", flag, "--tensor-parallel-size")])
    scales = both("forensics.scales", flags=f"{flag}, --tensor-parallel-size", others=others)
    assert all(text[lang].endswith(scales[lang]) for lang in ("en", "zh"))


def test_of_other_tensors_four_are_named() -> None:
    others = [suspect(f"t{number}", size=number) for number in range(6)]
    text = wording.explained("3.00 GiB", [suspect("logits"), *others])
    names = "; ".join(f"t{number} ({number} tokens × 1073741824 bytes)" for number in range(4))
    also = both("forensics.also", names=names)
    assert all(text[lang].endswith(also[lang]) for lang in ("en", "zh"))
