"""Inspects a machine: packages, GPUs, host, model files. Probes give facts and observations and change nothing."""

#: The probes by name, in the order in which they run. `command` compares the command with what the others found.
PROBES = ("packages", "imports", "gpu", "host", "model", "command")
