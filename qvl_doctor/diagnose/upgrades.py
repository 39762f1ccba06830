"""Advice to upgrade vLLM, compared with what the machine in the log can run.

Its platform, its driver's CUDA, and its GPU.

`pip install 'vllm>=0.7.3'` takes the newest release, and that one may be built for a CUDA that the driver does not
know; on another platform it brings a build that cannot run there at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qvl_doctor.late import late_pattern
from qvl_doctor.messages import both, joined
from qvl_doctor.model import PLATFORMS, Facts, Fix, fact_text
from qvl_doctor.versions import release

if TYPE_CHECKING:
    from qvl_doctor.knowledge import Ceiling

_OPEN_RANGE = late_pattern(r"vllm>=(?P<release>[\d.]+)$")
_IMAGE = late_pattern(r"vllm/vllm-openai:v(?P<release>[\d.]+)")
_VLLM = late_pattern(r"vllm(?:\[[\w,-]+\])?[<>=!~].*|vllm")
#: Images that are built for CUDA.
_CUDA_IMAGE = late_pattern(r"(?:vllm/vllm-openai|qwenllm/)[:\w]")
_KNOWN = ("driver_cuda", "driver", "compute_capability")


def for_platform(fix: Fix, facts: Facts) -> Fix | None:
    """The fix as it is right on the platform: elsewhere than on CUDA, vLLM is another build, or goes with a plugin.

    None for an image that cannot run there.
    """
    here = fact_text(facts, "platform")
    if here not in PLATFORMS or here == "cuda":
        return within_limits(fix, facts)
    if _CUDA_IMAGE.match(str(fix.change.get("image", ""))):
        return None
    wanted = fix.change.get("pip", ())
    others = [word for word in wanted if not _VLLM.fullmatch(word)]
    if len(others) == len(wanted):
        return fix
    change = {key: value for key, value in fix.change.items() if key != "pip"} | ({"pip": others} if others else {})
    return fix._replace(text=joined(fix.text, _own_build(here)), change=change)


def _own_build(platform: str) -> dict[str, str]:
    from qvl_doctor.knowledge.platforms import step
    from qvl_doctor.knowledge.plugins import of_platform

    plugin, image = of_platform(platform), step("vllm_image", platform)
    if plugin and plugin != "vllm-tpu":
        return both("upgrade.with_plugin", plugin=plugin)
    return both("upgrade.own_image", image=image) if image else both("upgrade.own_build")


def within_limits(fix: Fix, facts: Facts) -> Fix:
    """The fix, with its vLLM release kept below what the machine cannot run.

    Or with a word that it cannot run what is needed.
    """
    asked = [*fix.change.get("pip", ()), str(fix.change.get("image", ""))]
    if not any(_OPEN_RANGE.match(word) or _IMAGE.match(word) for word in asked) or not any(
        name in facts for name in _KNOWN
    ):
        return fix
    from qvl_doctor.knowledge import ceiling

    limit = ceiling(*(fact_text(facts, name) for name in _KNOWN))
    if limit is None:
        return fix
    change = dict(fix.change)
    change["pip"] = [_bounded(word, limit.vllm) for word in change.get("pip", ())]
    beyond = any(_reaches(word, limit.vllm) for word in asked)
    if not change["pip"]:
        del change["pip"]
        if not beyond:
            return fix
    note = _note(limit, facts, beyond=beyond)
    return fix._replace(text=joined(fix.text, note), change=change)


def _bounded(word: str, limit: str) -> str:
    return f"{word},<{limit}" if _OPEN_RANGE.match(word) and not _reaches(word, limit) else word


def _reaches(word: str, limit: str) -> bool:
    """Whether even the oldest release that is asked for is too new."""
    found = _OPEN_RANGE.match(word) or _IMAGE.match(word)
    return found is not None and (release(found["release"].rstrip(".")) or ()) >= (release(limit) or ())


def _note(limit: Ceiling, facts: Facts, *, beyond: bool) -> dict[str, str]:
    if not limit.cuda:
        capability = fact_text(facts, "compute_capability")
        return both("upgrade.card_beyond" if beyond else "upgrade.card_below", capability=capability, vllm=limit.vllm)
    key = "upgrade.driver_beyond" if beyond else "upgrade.driver_below"
    return both(key, vllm=limit.vllm, cuda=limit.cuda, driver=limit.driver)
