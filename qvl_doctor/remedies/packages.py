"""Which release of another package fits what is installed.

What is not known is left out: a fix that names it is not shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from qvl_doctor import knowledge
from qvl_doctor.knowledge import models, packages
from qvl_doctor.model import Facts, fact_text
from qvl_doctor.versions import release, satisfies

Values = Mapping[str, str]

#: Classes that each model of Transformers has.
_CLASS = re.compile(r"[A-Z]\w*(?:Config|ForConditionalGeneration|ForCausalLM|(?<!Image)(?<!Video)Processor)")


def pair_that_broke(values: Values, facts: Facts) -> Values | None:
    """How to mend a pair of packages that is known to break as `said`.

    package and package_range, package_have if it is known; vllm_fixed, the first vLLM release without the trouble;
    package_removed, a package that vLLM does without; packages_newer, others that are too old.
    """
    installed = _installed(facts)
    pair = packages.break_of(values.get("said", ""), installed)
    if not pair:
        return None
    vllm = installed.get("vllm", "")
    package = _build(pair.package, installed)
    fits = _range(package, pair.good, installed)
    newer = pair.fixed and satisfies(vllm, f">={pair.fixed}") is not True if vllm else pair.fixed
    found = {
        "package": package if fits else "",
        "package_range": fits,
        "package_have": installed.get(package.replace("-", "_"), "") if fits else "",
        "vllm_fixed": pair.fixed if newer else "",
        "package_removed": pair.remove,
        "packages_newer": " ".join(pair.upgrade),
        "vllm_have": vllm,
    }
    return {name: value for name, value in found.items() if value}


def package_for_installed(values: Values, facts: Facts) -> Values | None:
    """What the installed vLLM, Transformers and torch ask of the package that `package` or `module` names.

    Package, package_range, asked_by.
    """
    installed = _installed(facts)
    package = packages.package_of(values.get("module") or values.get("package", ""))
    found = packages.asked(package, installed)
    if not found:
        return None
    have = installed.get(package.replace("-", "_"), "")
    known = {"package_have": have} if have else {}
    return {"package": package, "package_range": found.range, "asked_by": ", ".join(found.by), **known}


def transformers_with_name(values: Values, facts: Facts) -> Values | None:
    """transformers_pin, the releases that have `missing_name`: up to the last one, or from the first one on.

    None if it is not known to be gone, and is not the class of a model that the installed release is too old for.
    """
    name = values.get("missing_name", "").rpartition(".")[2][:128]
    installed = _installed(facts)
    vllm, have = installed.get("vllm", ""), installed.get("transformers", "")
    limit = packages.gone_after(name)
    if limit and satisfies(have, limit) is not True:
        pin = packages.merged([knowledge.transformers_range(vllm), limit])
        return (
            {"transformers_pin": packages.merged([knowledge.transformers_advice(vllm, limit), pin]) or pin}
            if pin
            else None
        )
    known = models.of_class(name) if _CLASS.fullmatch(name) else None
    first = known.transformers if known and not limit else ""
    if not first or satisfies(have, f">={first}") is True:
        return None
    pin = packages.merged([knowledge.transformers_advice(vllm, at_least=first), f">={first}"])
    return {"transformers_pin": pin} if pin else None


def _range(package: str, good: str, installed: Mapping[str, str]) -> str:
    """The releases of a package that are good for what is installed, as narrow as is known."""
    if package == "transformers":
        vllm = installed.get("vllm", "")
        least = good.partition(",")[0].removeprefix(">=") if good.startswith(">=") else ""
        advice = packages.merged([knowledge.transformers_advice(vllm, at_least=least), good])
        return advice or packages.merged([knowledge.transformers_range(vllm), good])
    asked = packages.asked(package, installed)
    return packages.merged([asked.range, good]) if asked else good


def _build(package: str, installed: Mapping[str, str]) -> str:
    """The package for the CUDA of torch, where one is named without: nvidia-nccl is nvidia-nccl-cu12."""
    for each in knowledge.table("requirements")["torch"]:
        if each.startswith(f"{package}-cu") and packages.asked(each, installed):
            return str(each)
    return package


def _installed(facts: Facts) -> dict[str, str]:
    """Package -> version, of what is known to be installed."""
    seen = {name: fact_text(facts, name)[:64] for name in facts}
    return {name: version for name, version in seen.items() if release(version)}
