"""Every sentence of our own about what is not a log: a command, a manifest, a pod, a machine. Rules match their keys.

`{name}` is a value. A part between `[[` and `]]` is left out if one of its values is unknown. Exported files keep the
sentences, and newer versions read them; a report quotes the user's own line and uses the words of the rule.

Some sentences carry the words of others: what vLLM, torch, pip or Kubernetes would say or did say. The rules on logs
judge those by their text, so that a failure has one rule, wherever it is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from qvl_doctor.observations.levels import COMMAND, MACHINE, MANIFEST


class Sentence(NamedTuple):
    """A sentence and its level. `theirs`: it carries the words of others, and the rules on logs judge it."""

    level: str
    text: str
    theirs: bool = False


#: What vLLM's own parser says about a command.
_OF_THE_PARSER = {
    "flag_not_recognized": "error: unrecognized arguments: {flag}[[ {value}]]",
    "word_not_recognized": "error: unrecognized arguments: {value}",
    "flag_ambiguous": "error: ambiguous option: {flag} could match {candidates}",
    "value_missing": "error: argument {flag}: expected one argument",
    "value_of_wrong_type": "error: argument {flag}: invalid {kind} value: '{value}'",
    "value_no_choice": "error: argument {flag}: invalid choice: '{value}' (choose from {choices})",
    "value_no_json": "error: argument {flag}: Value {value} cannot be converted to <function loads",
    "value_no_pairs": "error: argument {flag}: Each item should be in the form KEY=VALUE",
    "model_not_given": "error: the following arguments are required: model_tag",
    "model_given_as_option": (
        "you should provide the model as a positional argument instead of via the `--model` option."
    ),
    "flag_deprecated": "argument '{name}' is deprecated",
}
#: What no parser says about it.
_OF_A_COMMAND = {
    "flag_abbreviated": "flag `{flag}` is read as a short form of `{long}` by vLLM[[ {release}]]",
    "flag_dotted_too_early": "flag `{flag}` takes no dotted keys in vLLM[[ {release}]] yet, they came with {first}",
    "flag_dotted_without_json": "flag `{flag}` has dotted keys, but its value is no JSON",
    "flag_given_twice": (
        "flag `{flag}` stands twice in the command; its first value `{lost}` is lost, `{kept}` counts"
    ),
    "command_not_the_logged_one": "the command sets `{flag}` to {asked}, and the log shows {logged}",
    "value_out_of_range": "flag `{flag}` is {value}, and only values {allowed} are taken",
    "model_above_gpus": (
        "the model {model} has {billions} billion parameters by its name, {least} GiB or more, and {gpus} × {gib} GiB are there"
    ),
    "flag_json_and_dotted": "flag `{flag}` is given as JSON and with dotted keys at once; its JSON `{lost}` is lost",
    "flag_and_value_in_one_word": "the words of flag `{flag}` and its value stand in one word of the command: `{word}`",
    "comment_after_backslash": "a comment follows a backslash at the end of a line: the command ends there",
    "comment_at_end": "a comment ends a line of the command that should go on: what follows is lost",
    "comment_between": "a comment line stands between the lines of the command: what follows is lost",
    "line_between": "an empty line stands between the lines of the command: what follows is lost",
    "blank_after_backslash": "a blank follows a backslash at the end of a line: the command ends there",
    "backslash_lost": "a line of the command does not end in a backslash, but the next one begins with a flag",
    "newline_lost": "a backslash stands in the middle of a line of the command: its line break was lost",
    "argument_not_text": (
        "the value `{value}` in the list of arguments is not a text: "
        "Kubernetes refuses numbers and truth values without quotes"
    ),
    "variable_not_text": (
        "the value `{value}` of the variable {variable} is not a text: "
        "Kubernetes refuses numbers and truths without quotes"
    ),
    "arguments_not_a_list": "the command or its arguments are not a list of texts, as Kubernetes wants it",
}
_OF_A_MANIFEST = {
    "gpu_only_in_requests": "container {name} has nvidia.com/gpu in its requests and not in its limits",
    "pod_without_gpu": "container {name} asks for no GPU in its resources",
    "pod_gpus_too_few": "container {name} asks for {gpus} GPUs in its resources, and its command needs {ranks}",
    "pod_gpus_unused": "container {name} asks for {gpus} GPUs in its resources, and its command uses {ranks}",
    "service_without_gpu": "service {name} gets no GPU from Docker",
    "docker_run_without_gpu": (
        "docker run gives the container no GPU: neither --gpus nor a runtime or device is among its options"
    ),
    "shared_memory_small": "container {name} has {size} MiB at /dev/shm, and its command uses {ranks} GPUs",
    "shared_memory_default": (
        "container {name} has no volume in memory at /dev/shm, and its command uses {ranks} GPUs"
    ),
    "memory_below_pinned": (
        "container {name}: its memory limit is {limit} GiB, and vLLM pins {pinned} GiB of main memory"
    ),
    "memory_below_weights": ("container {name}: its memory limit is {limit} GiB, and the weights take {weights} GiB"),
    "vllm_in_background": (
        "container {name} starts vLLM in the background of a script: the container goes on when vLLM dies"
    ),
    "image_without_release": "container {name} runs an image without a release in its tag: {image}",
    "restart_policy_refused": "the restart policy of a {kind} is {policy}, and only Always is taken",
    "pod_not_restarted": "container {name} is not started again by the restart policy {policy}",
    "rollout_doubles_gpus": (
        "a rollout of Deployment {name} starts the new pod before the old one ends, and each holds {gpus} GPUs"
    ),
    "probe_gives_up_early": (
        "container {name}: its {probe} probe gives up after {allowed} s ({arithmetic}), "
        "and a start takes {needed} s or more"
        "[[: {logged} s in the log]][[: {weights} GiB of weights at {speed} GiB/s]][[: {assumed} s are assumed]]"
    ),
    "probe_on_other_port": "container {name}: its {probe} probe asks port {asked}, and vLLM listens on {port}",
    "probe_without_api_key": (
        "container {name}: its {probe} probe asks {path} without the API key that vLLM wants there"
    ),
    "readiness_probe_missing": "container {name} has no readiness probe, and a Service sends it requests",
    "server_on_localhost": "container {name} listens on {host} only, which nobody outside of it reaches",
    "service_on_other_port": (
        "Service {service} sends to port {asked}, and vLLM in container {name} listens on {port}"
    ),
    "volume_medium_unknown": "the volume {volume} has the medium {medium}, and only Memory means main memory",
    "volume_undefined": "container {name} mounts the volume {volume}, which its pod does not have",
    "volume_below_weights": "the volume {volume} holds {size} GiB, and the weights take {weights} GiB",
    "model_on_no_volume": "the model's folder {model} of container {name} is on no volume",
    "model_on_host_path": (
        "the model of container {name} is in a folder of the node, {path}, and any node may run the pod"
    ),
    "model_downloaded_each_start": "container {name} downloads its model at each start: no volume keeps {folder}",
    "claim_for_one_node": "the claim {claim} is {mode}, and {pods} pods of container {name} use it",
    "secret_in_variable": "container {name} has a secret in plain text: the variable {variable}",
    "secret_in_arguments": "container {name} has a secret in its arguments: {flag}",
}
#: What vLLM will say about a manifest.
_OF_VLLM_ON_A_MANIFEST = {
    "image_without_architecture": "Model architectures ['{architecture}'] are not supported for now.",
    "service_named_vllm": (
        "VLLM_PORT 'tcp://SERVICE:PORT' appears to be a URI: "
        "Kubernetes sets it in every pod beside a Service named vllm"
    ),
}
#: What became of a pod and its containers. `kind` is container or init-container.
_OF_A_POD = {
    "container_not_created": "pod {pod}: container {container} is not created yet (ContainerCreating)",
    "container_killed_at_limit": (
        "pod {pod}: {kind} {container} was killed at its memory limit (OOMKilled, exit code {code})"
        "[[ {seconds} s after its start]][[; its memory limit is {limit}]]; restarts: {restarts}"
    ),
    **{
        key: (
            f"pod {{pod}}: {{kind}} {{container}} {how}[[ ({{reason}})]][[ {{seconds}} s after its start]]"
            "[[, about when its {probe} probe gives up ({arithmetic})]]; restarts: {restarts}"
        )
        for key, how in {
            "container_ended": "ended with exit code {code}",
            "container_killed": "was killed (exit code {code}, {signal})",
            "container_stopped": "was stopped (exit code {code}, {signal})",
            "container_crashed": "crashed (exit code {code}, {signal})",
        }.items()
    },
}
#: What Kubernetes says about a pod in its own words, and what the container left behind.
_OF_KUBERNETES = {
    "pod_not_scheduled": "pod {pod} is not scheduled: {message}",
    "pod_evicted": "pod {pod} was evicted[[: {message}]]",
    "pod_refused_by_node": "pod {pod} failed: OutOf{resource}[[: {message}]]",
    "pod_failed": "pod {pod} failed: {reason}[[: {message}]]",
    "container_waiting": "pod {pod}: {kind} {container} is waiting: {reason}[[: {message}]]",
    "container_not_started": (
        "pod {pod}: {kind} {container} could not be started ({reason}, exit code {code}); "
        "restarts: {restarts}[[: {message}]]"
    ),
    "container_not_ready": (
        "pod {pod}: {kind} {container} runs for {seconds} s and is not ready; restarts: {restarts}[[; {message}]]"
    ),
    "container_last_words": "pod {pod}: {kind} {container} said at its end: {message}",
    "event": "{kind} {name}: event {reason}[[ ({times} times)]]: {message}",
}
_OF_A_MACHINE = {
    # Packages
    "torch_for_rocm": "torch {version} is built for ROCm, and the {gpus} GPUs here are NVIDIA's",
    "driver_behind_cuda": (
        "the driver knows CUDA {has}, and {what} is built for CUDA {needs}: they run together with limits"
    ),
    "torchvision_with_cuda_alone": "torchvision {torchvision} is built for CUDA {cuda}, and torch {torch} for none",
    "transformers_unfit": "vLLM {version} does not run with transformers {held}: it takes {range}",
    "packages_share_files": "packages {one} and {other} have the same files",
    "package_twice": "package {package} is installed twice, as {versions}",
    "requirement_not_installed": "package {package} {version} requires {asked}, which is not installed",
    "requirement_not_met": "package {package} {version} requires {asked}, but {held} is installed[[; {others}]]",
    # GPUs
    "container_without_gpus": "NVIDIA_VISIBLE_DEVICES is {given}: this container was given no GPU",
    "gpu_not_answering": "GPU {index} cannot be asked: {reason}",
    "cuda_device_unknown": (
        "CUDA_VISIBLE_DEVICES={given} names {name}, which is none of the {there} GPUs here: {visible} visible"
    ),
    "cuda_instance_unknown": (
        "CUDA_VISIBLE_DEVICES={given} names {name}, which is none of the {there} instances here: {visible} visible"
    ),
    "cuda_device_twice": (
        "CUDA_VISIBLE_DEVICES={given} names {name} twice, and CUDA then shows no GPU at all: {visible} visible"
    ),
    "gpu_ecc_errors": (
        "GPU {index} ({gpu}): {count} memory errors that ECC could not correct since the driver was loaded"
    ),
    "gpu_memory_not_replaced": "GPU {index} ({gpu}): broken memory rows could not be replaced by spare ones",
    "gpu_memory_waits_for_reset": "GPU {index} ({gpu}): broken memory waits for a reset to be taken out of use",
    "gpu_clocks_held_down": "GPU {index} ({gpu}): its clocks are held down by {reason}",
    "gpu_persistence_off": "GPU {index} ({gpu}): persistence mode is off",
    "gpu_without_instance": "GPU {index} ({gpu}): MIG is switched on, and no instance is there for this process",
    "gpu_in_instances": (
        "GPU {index} ({gpu}): MIG is switched on, its memory is divided into instances[[: {instances}]]"
    ),
    "gpu_memory_unread": "GPU {index} ({gpu}): its memory cannot be read: {reason}",
    "gpu_taken": "GPU {index} ({gpu}): {taken} GiB of {total} GiB are taken before vLLM starts[[, by {holders}]]",
    "one_mig_instance": "the command asks for {asked} GPUs, and a process sees one MIG instance",
    "all_reduce_of_no_size": "Custom allreduce is disabled due to an unsupported world size: {ranks}.",
    "all_reduce_over_pcie": "Custom allreduce is disabled because it's not supported on more than two PCIe-only GPUs.",
    "all_reduce_without_p2p": (
        "Custom allreduce is disabled because your platform lacks GPU P2P capability or P2P test failed."
    ),
    "fp8_weights_not_computed": "FP8 weights on {gpu} with compute capability {capability}: they save memory, not time",
    "fp8_cache_hardly_read": (
        "KV cache in {kept} on {gpu} with compute capability {capability}: few attention kernels can"
    ),
    # Host
    "clock_wrong": "the clock of this machine shows {day}",
    "open_files_few": "at most {files} files may be open at once, and vLLM cannot raise its limit to {wanted}",
    "localhost_through_proxy": (
        "the environment sends requests to localhost through a proxy: {variable} is set and NO_PROXY does not name it"
    ),
    "hub_endpoint_without_scheme": "HF_ENDPOINT is no URL, it has no scheme: {endpoint}",
    "variable_refused": (
        "Unknown vLLM environment variable detected: {variable}, and --fail-on-environ-validation refuses it"
    ),
    "user_without_name": "the user {uid} has no name: neither USER nor /etc/passwd says one",
    "cache_not_writable": "vLLM cannot write its cache folder: {path}",
    # The model
    "model_folder_not_readable": "the model's folder cannot be read: [Errno 13] Permission denied: '{path}'",
    "adapter_as_model": "the folder {folder} holds a LoRA adapter[[ for {base}]], and no config.json of a model",
    "model_folder_too_high": "the folder {folder} holds no config.json, but its folder {inner} does",
    "architecture_in_no_release": "the architecture {architecture} is in no release of vLLM up to {newest}",
    "quantization_in_no_release": (
        "the quantization method {method} of config.json is in no release of vLLM up to {newest}"
    ),
    "tokenizer_of_no_file": (
        "the folder {folder} holds no file of a tokenizer, and Transformers 5 takes an empty one then"
    ),
    "weight_files_with_gaps": "the numbers of the weight files have gaps, and these are missing: {files}",
    "weight_index_broken": "{file} cannot be read: its weight_map is missing or broken",
    "weight_file_broken": "weight file {file}[[, tensor {tensor}]] is broken: {problem}",
    "lfs_pointers": "{file}[[ and {more} more]]: only the pointer of Git LFS is there, not the file itself",
    "kv_heads_not_shared": (
        "the model's {heads} key and value heads can neither be divided by nor repeated for {ranks} GPUs"
    ),
    "vision_not_divisible": "the width {whole} of the vision encoder's layers is not divisible by {parts} GPUs",
}
#: What vLLM, torch, pip and the system will say about a machine.
_OF_OTHERS_ON_A_MACHINE = {
    # Packages
    "torch_without_cuda": "Torch not compiled with CUDA enabled: torch {torch} is here beside {gpus} GPUs of NVIDIA",
    "torch_without_code": (
        "{gpu} with CUDA capability sm_{capability} is not compatible with the current PyTorch installation: "
        "torch {torch} is built for CUDA {cuda}."
    ),
    "python_refused": "vllm {version} requires a different Python: {held} not in '{range}'",
    "driver_too_old": (
        "The NVIDIA driver on your system is too old (found version {found}). {what} is built for CUDA {needs}."
    ),
    "torchvision_of_other_cuda": (
        "Detected that PyTorch and torchvision were compiled with different CUDA major versions. "
        "PyTorch has CUDA Version={torch} and torchvision has CUDA Version={torchvision}."
    ),
    "pynvml_deprecated": (
        "You are using a deprecated `pynvml` package. Please uninstall `pynvml` or upgrade to at least version 12.0."
    ),
    # GPUs
    "gpus_not_visible": "No CUDA GPUs are available ({there} are here, none is visible)",
    "cuda_devices_by_uuid": "CUDA_VISIBLE_DEVICES: invalid literal for int() with base 10: '{name}'",
    "gpus_of_two_kinds": "Detected different devices in the system: {gpus}.",
    "gpus_too_few": "World size ({asked}) is larger than the number of available GPUs ({visible}) in this node.",
    "bfloat16_not_computed": (
        "Bfloat16 is only supported on GPUs with compute capability of at least 8.0. "
        "Your {gpu} GPU has compute capability {capability}."
    ),
    "gpu_memory_not_free": (
        "Free memory on device ({free}/{total} GiB) on startup is less than "
        "desired GPU memory utilization ({utilization}, {wanted} GiB)."
    ),
    # Host
    "port_is_uri": (
        "VLLM_PORT '{port}' appears to be a URI. This may be caused by a Kubernetes service discovery issue."
    ),
    "cuda_devices_hidden": (
        "CUDA_VISIBLE_DEVICES is set to empty string, which means current platform support is disabled"
    ),
    "variable_unknown": "Unknown vLLM environment variable detected: {variable}",
    "interface_not_found_by_nccl": (
        "Bootstrap : no socket interface found for NCCL_SOCKET_IFNAME={name}; there are {there}"
    ),
    "interface_not_found_by_gloo": "Unable to find address for: {name}",
    "port_in_use": "[Errno 98] Address already in use: port {port}",
    "port_not_permitted": "[Errno 13] error while attempting to bind on address ('{host}', {port}): permission denied",
    "address_not_here": (
        "[Errno 99] error while attempting to bind on address ('{host}', {port}): cannot assign requested address"
    ),
    "user_of_no_name": "KeyError: 'getpwuid(): uid not found: {uid}'",
    "pinned_memory_off": "Using 'pin_memory=False' as WSL is detected. This may slow down the performance.",
    "download_not_permitted": "PermissionError at {path} when downloading the model",
    "disk_full": "[Errno 28] No space left on device: the file system of {path} has no free {lacks}",
    "no_temporary_folder": (
        "[Errno 2] No usable temporary directory found in /tmp, /var/tmp, /usr/tmp and the folder of the start"
    ),
    "socket_path_long": "ipc path '{path}' with the name of a socket is longer than {longest} characters",
    "segments_with_sleep_mode": "Expandable segments are not compatible with memory pool.",
    "segments_with_connector": (
        "KV connector {connector} is incompatible with PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True "
        "unless enable_sleep_mode is also enabled."
    ),
    "swap_space_large": (
        "Too large swap space. {asked} GiB out of the {total} GiB total CPU memory is allocated for the swap space."
    ),
    # The model
    "model_name_refused": "Repo id must be in the form 'repo_name' or 'namespace/repo_name': '{name}'",
    "model_not_cached": (
        "outgoing traffic has been disabled by HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE, and {model} is not in the cache"
    ),
    "model_cached_in_part": (
        "outgoing traffic has been disabled by HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE, "
        "and {model} is in the cache only in part"
    ),
    "config_no_json": "It looks like the config file at '{path}' is not a valid JSON file.",
    "config_missing": "{folder} does not appear to have a file named config.json.",
    "weights_missing": "Cannot find any model weights with `{folder}`",
    "weight_files_missing": "Weight files referenced in index but missing: {files}",
    "architecture_unknown": "Model architectures ['{architecture}'] are not supported for now.",
    "model_type_unknown": (
        "The checkpoint you are trying to load has model type `{model_type}` "
        "but Transformers does not recognize this architecture."
    ),
    "model_type_missing": "Unrecognized model in {folder}. Should have a `model_type` key in its config.json",
    "model_with_code": (
        "The repository {folder} contains custom code which must be executed to correctly load the model."
    ),
    "heads_not_divisible": (
        "Total number of attention heads ({heads}) must be divisible by tensor parallel size ({ranks})."
    ),
    "batch_below_sequences": (
        "max_num_batched_tokens ({batched}) must be greater than or equal to max_num_seqs ({sequences})."
    ),
    "length_above_model": (
        "User-specified max_model_len ({asked}) is greater than the derived max_model_len "
        "({key}={longest} or model_max_length=None in model's config.json)."
    ),
    "quantization_on_old_gpu": (
        "The quantization method {method} is not supported for the current GPU. "
        "Minimum capability: {least}. Current capability: {current}."
    ),
    "quantization_scheme_on_old_gpu": (
        "Quantization scheme is not supported for the current GPU. "
        "Min capability: {least}. Current capability: {current}."
    ),
    "tokenizer_missing": (
        "{folder} does not appear to have a file named tokenizer.json, nor one of another tokenizer."
    ),
    "processor_missing": "Can't load image processor for '{folder}': there is no preprocessor_config.json",
    "chat_template_missing": (
        "As of transformers v4.44, default chat template is no longer allowed, "
        "so you must provide a chat template if the tokenizer does not define one."
    ),
}

#: Every sentence by its key.
SENTENCES: Mapping[str, Sentence] = {
    key: Sentence(level, text, theirs)
    for level, theirs, texts in (
        (COMMAND, True, _OF_THE_PARSER),
        (COMMAND, False, _OF_A_COMMAND),
        (MANIFEST, False, _OF_A_MANIFEST),
        (MANIFEST, True, _OF_VLLM_ON_A_MANIFEST),
        (MANIFEST, False, _OF_A_POD),
        (MANIFEST, True, _OF_KUBERNETES),
        (MACHINE, False, _OF_A_MACHINE),
        (MACHINE, True, _OF_OTHERS_ON_A_MACHINE),
    )
    for key, text in texts.items()
}
