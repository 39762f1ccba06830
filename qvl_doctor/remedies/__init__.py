"""The functions that rules name for their numbers. Words are in the rules; here is only arithmetic and looking up.

To add one: write `def name(values, facts)` in a module of this folder and enter it below. `values` are the named
groups
of the pattern (and what the rule's own remedy gave), `facts` is what is known about the run; the answer is the values
that the rule's text names, or None: "cannot help here", and the fix is not shown. A remedy never raises, whatever text
it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from qvl_doctor.model import Facts

Remedy = Callable[[Mapping[str, str], Facts], "Mapping[str, str] | None"]

#: Module of this package -> its remedies. A module is imported when one of them is called for the first time.
_REMEDIES: Mapping[str, tuple[str, ...]] = {
    "flags": ("json_from_pairs", "limits_as_pairs", "refused_flag"),
    "gpu_memory": (
        "as_fraction",
        "length_that_fits",
        "more_gpus",
        "more_utilization",
        "out_of_memory",
        "short_context",
        "smaller_batch",
        "utilization_that_fits",
    ),
    "parallel": (
        "lora_rank",
        "pipeline_instead_of_tensor",
        "pipeline_stages_for_heads",
        "tensor_parallel_for_gpus",
        "tensor_parallel_for_groups",
        "tensor_parallel_for_heads",
    ),
    "parsers": ("tool_call_parser", "tool_call_parser_and_template"),
    "models": (
        "ascend_stack",
        "default_model",
        "gaudi_stack",
        "plugin_for_vllm",
        "release_for_config",
        "release_for_model",
        "release_for_module",
    ),
    "compatible_releases": (
        "image_for_model_type",
        "releases_for_architecture",
        "releases_for_model_type",
        "torch_for_vllm",
        "transformers_for_vllm",
        "wheel_for_torch",
    ),
    "libraries": ("package_of_library",),
    "packages": ("package_for_installed", "pair_that_broke", "transformers_with_name"),
    "tokens": (
        "batch_for_item",
        "fewer_items",
        "image_size_for_tokens",
        "images_for_kv",
        "images_for_kv_qwen3",
        "items_sent",
        "kv_and_image",
        "length_for_items",
        "limits_of_tokens",
        "longer_context",
        "one_item_longer",
        "smaller_images",
        "smaller_images_qwen3",
        "token_budget",
        "video_off",
        "video_unused",
        "worst_case",
    ),
    "variables": ("variable_history",),
}
_HOME = {name: module for module, functions in _REMEDIES.items() for name in functions}


def names() -> list[str]:
    """The names that a rule may use, in alphabetical order."""
    return sorted(_HOME)


def find(name: str) -> Remedy | None:
    """The remedy of this name, None if there is none."""
    if name not in _HOME:
        return None
    remedy: Remedy = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return remedy
