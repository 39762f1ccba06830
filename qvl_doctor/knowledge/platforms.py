"""What differs from platform to platform in a step that all of them have.

Which command shows the devices, which image runs.

A rule names the step: "Run `{show_devices}`" is `nvidia-smi` on CUDA and `npu-smi info` on Ascend. `platforms.json` has
them, each platform with its sources. Where the platform is not known, the steps are those of CUDA.
"""

from __future__ import annotations

from qvl_doctor import knowledge
from qvl_doctor.model import PLATFORMS

#: The steps that a rule may name, with what each is. None holds prose: they are in sentences of every language.
STEPS = {
    "show_devices": "command that shows the devices",
    "list_devices": "command that lists them, one a line where it can",
    "show_users": "command that shows which processes use them",
    "give_devices": "options of `docker run` that give them to a container",
    "device_resource": "resource of Kubernetes for them",
    "visible_devices": "variable that says which of them a process sees",
    "device": "what one of them is called",
    "devices": "what several of them are called",
    "allocator": "variable that sets up PyTorch's allocator for them",
    "collectives_debug": "variable that makes the collective library say more",
    "vllm_image": "repository of an image of vLLM",
    "check_torch": "command that says whether PyTorch sees the devices",
}
_DEFAULT = "cuda"


def step(name: str, platform: str) -> str:
    """A step on a platform, "" if it has none such. A platform that is not known has those of CUDA."""
    known = knowledge.table("platforms")["platforms"]
    entry = known.get(platform if platform in PLATFORMS else _DEFAULT, {})
    return str(entry.get("steps", {}).get(name, ""))
