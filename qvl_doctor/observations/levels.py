"""Where an observation is from. No line of a log has such a level, so a log cannot pretend to be one."""

from __future__ import annotations

#: A command to launch; a workload (its manifest, or what the cluster says of it); the machine.
COMMAND, MANIFEST, MACHINE = "COMMAND", "MANIFEST", "MACHINE"
LEVELS = (COMMAND, MANIFEST, MACHINE)
