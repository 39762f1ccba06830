"""What only some releases of vLLM do, as ranges of releases, each with its place below `vllm/` in the sources."""

from __future__ import annotations

#: An all-reduce of its own also for 16 GPUs (_SUPPORTED_WORLD_SIZES in
#: distributed/device_communicators/custom_all_reduce.py).
ALL_REDUCE_OF_16 = ">=0.27"
#: A warning about variables that begin with VLLM_ and that it does not know (validate_environ in envs.py).
SAYS_UNKNOWN_VARIABLES = ">=0.17"
#: Sleep mode refuses PyTorch's expandable segments (device_allocator/cumem.py), and so does a KV connector without it
#: (config/vllm.py).
SLEEP_REFUSES_SEGMENTS = ">=0.8.0,<=0.20.0"
CONNECTOR_REFUSES_SEGMENTS = ">=0.21"
#: An import asks for the user's name, which torch before 2.13 does not survive where there is none.
ASKS_FOR_USER = ">=0.22"
TORCH_NEEDS_USER = "<2.13"
#: No pinned memory under WSL, whatever is asked for; later releases have VLLM_WSL2_ENABLE_PIN_MEMORY (envs.py).
NO_PINNED_MEMORY_IN_WSL = "<0.24"
