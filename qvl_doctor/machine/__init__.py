"""Looks at the world: packages, GPUs, the host, a model folder. Each probe gives facts and observations, and changes nothing."""

#: The probes by name, in the order in which they run. `command` is what follows from the others and the command.
PROBES = ("packages", "imports", "gpu", "host", "model", "command")
