"""Every fact that comes from elsewhere than a log, with what it means. Rules may ask for these names."""

from __future__ import annotations

from collections.abc import Mapping

#: What a command to launch says; its flags are facts under the names that a log's arguments have.
COMMAND: Mapping[str, str] = {
    "swap_space": "GiB of --swap-space, where it is given",
    "eager_asked": "yes if --enforce-eager is given",
    "plan": "verdict of the memory model: fits, profile-oom, no-blocks, too-long, graphs-oom",
    "plan_error_gib": "how far its KV cache may be off",
    "plan_missing_gib": "how much is missing on the card, or for one request of full length",
    "plan_request_gib": "KV cache of one request of full length",
    "plan_longest_tokens": "longest request that the KV cache holds",
    "plan_peak": "what makes the activation peak of the profile run",
    "plan_image_tokens": "tokens of the largest image",
    "plan_video_tokens": "tokens of the largest video",
    "plan_dummies_dropped": "yes if the V0 engine leaves images out of its profile run",
    "plan_largest_item_longer_than_prompt": "yes if the largest item does not fit into a prompt",
    "plan_card_size_nominal": "yes if the card's size is the vendor's",
    "plan_memory_shared_with_host": "yes if the card's memory is the host's",
    "plan_quantization_unknown": "yes if the model's quantization is not known",
    "plan_card_unknown": "yes if only the card's size is known",
}
PACKAGES: Mapping[str, str] = {}
GPU: Mapping[str, str] = {}
HOST: Mapping[str, str] = {}
MODEL: Mapping[str, str] = {}
MANIFEST: Mapping[str, str] = {}
#: What the cluster says of a pod; of several, of the one that is worst off.
POD: Mapping[str, str] = {
    "pod": "its name",
    "pod_phase": "Pending, Running, Succeeded, Failed or Unknown",
    "pod_node": "the node that it is on",
    "pod_state": "running, terminated, or why the container of vLLM waits, such as CrashLoopBackOff",
    "pod_ready": "yes if all its containers are ready, else no",
    "pod_restarts": "how often the container was started again",
    "pod_exit_code": "the exit code of the container's last end",
    "pod_lasted_s": "seconds from the last start that ended to its end",
}

FACTS: Mapping[str, str] = {**COMMAND, **PACKAGES, **GPU, **HOST, **MODEL, **MANIFEST, **POD}
