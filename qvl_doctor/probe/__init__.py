"""Looks at the world: packages, GPUs, the host, a model folder. Each probe gives facts and observations, and changes nothing."""
