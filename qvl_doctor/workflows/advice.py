"""The last step of every case: the user's command corrected, and what the memory model knows about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qvl_doctor.model import Diagnosis, Facts

if TYPE_CHECKING:
    from qvl_doctor.launch.command import Command
    from qvl_doctor.launch.pasted import Pasted
    from qvl_doctor.sizing.case import Known


def advised(
    diagnosis: Diagnosis,
    known: Known | None = None,
    command: Command | None = None,
    *,
    whole: bool = True,
    pasted: Callable[[Facts], Pasted | None] | None = None,
) -> Diagnosis:
    """The diagnosis with advice, where there is something to add.

    Loading the memory model costs more than reading a log.

    `known` is what is known of model and GPU besides, `command` the user's own where the input is not it. `whole`: with
    the whole text that the command is in, corrected. `pasted` looks for the command in the input itself.
    """
    if command is None and not _wanted(diagnosis):
        return diagnosis
    from qvl_doctor.sizing.advice import advise

    found = pasted(diagnosis.facts) if pasted and command is None else None
    if found is not None and found.words:
        return advise(diagnosis, known, found.command, whole=False)
    return advise(diagnosis, known, command, whole=whole)


def _wanted(diagnosis: Diagnosis) -> bool:
    """A finding about memory (no mere symptom), or a cause whose first fix changes a command that the log shows."""
    shown = "args" in diagnosis.facts
    for finding in diagnosis.findings:
        change = finding.fixes[0].change if finding.fixes else {}
        if finding.role != "symptom" and finding.memory:
            return True
        if shown and finding.role == "cause" and (change.get("flags") or change.get("env")):
            return True
    return False
