"""Which release of a plugin of vLLM goes with which vLLM: `plugins.json`, from the projects' own tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from qvl_doctor import knowledge
from qvl_doctor.versions import release


class Pair(NamedTuple):
    """A plugin's package and the release of it that is made for a vLLM, "" if there is none.

    What else that release asks for, by name.
    """

    package: str
    version: str = ""
    also: Mapping[str, str] = {}


def plugin(module: str) -> Mapping[str, Any]:
    """The entry of a plugin, by the name of its module or package; empty if it is not known."""
    found: Mapping[str, Any] = knowledge.table("plugins")["plugins"].get(module.replace("-", "_").lower(), {})
    return found


def of_flag(flag: str) -> str:
    """The plugin that brings a flag of the command line, "" if none is known to."""
    return next(
        (name for name, entry in knowledge.table("plugins")["plugins"].items() if flag in entry.get("flags", ())), ""
    )


def of_platform(platform: str) -> str:
    """The package that vLLM needs on a platform, "" if it needs none."""
    plugins = knowledge.table("plugins")["plugins"].values()
    return next((str(entry["package"]) for entry in plugins if entry["platform"] == platform), "")


def pair(module: str, vllm: str) -> Pair | None:
    """The release of a plugin for a vLLM release. None if the plugin is not known."""
    entry = plugin(module)
    if not entry:
        return None
    numbers = release(vllm)
    for made_for, (version, *also) in entry["releases"].items():
        if numbers and release(made_for) == numbers:
            return Pair(entry["package"], version, dict(zip(entry["also"], also, strict=False)))
    return Pair(entry["package"])


def vllm_for(module: str, version: str) -> str:
    """The vLLM that a release of a plugin is made for, "" if the table does not have it.

    Both have the same number.
    """
    numbers = release(version)
    known = plugin(module).get("releases", {})
    return next((name for name in known if numbers and release(name) == numbers), "")
