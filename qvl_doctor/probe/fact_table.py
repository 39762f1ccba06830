"""Every fact that comes from elsewhere than a log, with what it means. Rules may ask for these names."""

from __future__ import annotations

from collections.abc import Mapping

#: What a command to launch says; its flags are facts under the names that a log's arguments have.
COMMAND: Mapping[str, str] = {
    "swap_space": "GiB of --swap-space, where it is given",
    "image_limit_items": "images that --limit-mm-per-prompt allows in one prompt, where it is given",
    "video_limit_items": "videos that it allows",
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
