"""Every fact that comes from elsewhere than a log, with what it means. Rules may ask for these names."""

from __future__ import annotations

from collections.abc import Mapping

#: What a command to launch says; its flags are facts under the names that a log's arguments have.
COMMAND: Mapping[str, str] = {
    "swap_space": "GiB of --swap-space, where it is given",
    "eager_asked": "yes if --enforce-eager is given",
    "plan": "verdict of the memory model: fits, profile-oom, no-blocks, too-long, graphs-oom",
    "plan_unknown": "why the memory model has nothing to say: release, gpu, model, unnamed, architecture, variable, numbers",
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
PACKAGES: Mapping[str, str] = {
    "python_answers": "no if the interpreter could not be asked",
    "vllm_installed": "yes or no",
    "torch_cuda": "the CUDA release that torch was built for, None for none, or rocm",
    "torchvision_cuda": "the CUDA release that torchvision was built for, None for none",
    "imports": "ok, failed, timeout or not-run: torch, torchvision, transformers and vllm imported one after another",
    "imports_exit_code": "exit code of that process; below 0 the signal that ended it",
    "imports_s": "seconds that the imports took",
    "import_failed": "the package whose import failed or did not end",
    "import_torch": "ok, failed, timeout or missing; absent if an earlier import failed",
    "import_torchvision": "the same",
    "import_transformers": "the same",
    "import_vllm": "the same",
}
GPU: Mapping[str, str] = {
    "nvml": "ok, or why NVML cannot be asked: library-missing, driver-not-loaded, version-mismatch, unknown-error, no-permission … "
    "(probe/nvml.py); amd, jetson and not-needed (vLLM for CPUs) where that is no failure",
    "gpu_count": "GPUs that NVML shows",
    "gpu_visible": "GPUs that a process sees: those that CUDA_VISIBLE_DEVICES leaves, one where an instance (MIG) is used",
    "gpu_links": "how the cards of a tensor-parallel group are joined, by the worst pair: nvlink, p2p (over PCIe) or no-p2p",
    "gpu_topology": "how far apart they are, by the worst pair: PIX, PXB, PHB, NODE or SYS, as nvidia-smi topo -m writes it",
    "mig": "yes if the first visible card is divided into instances",
    "mig_named": "number, within its card, of the instance that CUDA_VISIBLE_DEVICES names",
    "mig_card_missing": "yes if no card has that number",
}
HOST: Mapping[str, str] = {
    "shm_gib": "size of /dev/shm",
    "shm_free_gib": "what of it is free",
    "ram_gib": "main memory",
    "memory_limit_gib": "memory limit of the container",
    "ram_available_gib": "main memory that is free or can be made free, within the container's limits",
    "swap_gib": "swap space of the system",
    "cache_free_gib": "free on the disk where the Hub's models are kept",
    "cache_writable": "yes or no",
    "cache_full": "bytes or inodes, if that file system has no more of them",
    "download_free_gib": "free on the disk of --download-dir",
    "download_writable": "yes or no",
    "download_full": "bytes or inodes, if that file system has no more of them",
    "disk_free_gib": "free on the disk that the model will be downloaded to, where that is too little",
    "vllm_cache_free_gib": "free on the disk where vLLM keeps what it compiled",
    "vllm_cache_writable": "yes or no",
    "vllm_cache_full": "bytes or inodes, if that file system has no more of them",
    "tmp_free_gib": "free on the disk of temporary files",
    "tmp_writable": "yes, or no if there is no folder for temporary files",
    "tmp_full": "bytes or inodes, if that file system has no more of them",
    "open_files_limit": "how many files a process may open, the hard limit: a number or unlimited",
    "open_files_soft_limit": "the same, the limit that holds now",
    "locked_memory_kib_limit": "KiB of memory that a process may lock: a number or unlimited",
    "locked_memory_small": "yes if there are InfiniBand cards and that is limited",
    "stack_kib_limit": "KiB of a process's stack: a number or unlimited",
    "user_id_without_name": "the user's number, if nothing says its name",
    "hub_offline": "yes if HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE keeps the Hub from being asked, else no",
    "hub_token": "yes if there is a token for the Hub, else no",
    "modelscope": "yes if models are taken from ModelScope",
    "wsl": "yes if the kernel is that of the Windows Subsystem for Linux",
    "nccl_off": "ways between GPUs that NCCL_P2P_DISABLE and NCCL_SHM_DISABLE switch off, if there are several GPUs",
    "port_free": "yes, no (in use), not-permitted, no-such-address or unknown",
    "host_kind": "kubernetes, docker, podman, wsl, jetson or plain",
    "shm_small": "yes if several GPUs are asked for and /dev/shm is small",
    "disk_small": "yes if the model's weights need more than is free on the disk",
    "weights_needed_gib": "bytes of the model's weights",
}
MODEL: Mapping[str, str] = {
    "model_folder": "ok, or what the model's folder is: missing, not-permitted, no-config, broken-config, adapter, too-high, other-format",
    "model_place": "where the model is: folder, cache (of the Hub, whole), hub (to be downloaded, or the rest of it), nowhere",
    "model_compared": "yes if config.json was held against the command",
    "model_complete": "yes if all weight files are there, else no",
    "weight_files": "number of weight files that would be read",
    "weight_files_gib": "their size",
    "unfinished_downloads": "parts of files in the cache that were not downloaded to their end",
    "processor_files": "yes or no: settings of an image, audio or video processor",
    "generation_defaults": "sampling defaults that generation_config.json sets",
    "architecture": "class of the model, by its config.json",
    "model_type": "model type, by its config.json",
    "tokenizer_files": "yes or no",
    "chat_template": "yes or no",
}
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

#: About the look itself. A probe that broke is `probe_failed_NAME`.
LOOK: Mapping[str, str] = {
    "seen_at": "when a machine was looked at, in UTC, where its file is read elsewhere: 2025-01-31T09:00:00Z",
    "seen_by": "release of qvl-doctor that looked",
}

FACTS: Mapping[str, str] = {**COMMAND, **PACKAGES, **GPU, **HOST, **MODEL, **POD, **LOOK}
