"""The last step of every case: the user's command corrected, and what the memory model knows about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qvl_doctor.model import Diagnosis
from qvl_doctor.sizing.need import wanted

if TYPE_CHECKING:
    from qvl_doctor.launch.command import Command
    from qvl_doctor.sizing.case import Known


def advised(
    diagnosis: Diagnosis, known: Known | None = None, command: Command | None = None, *, whole: bool = True
) -> Diagnosis:
    """The diagnosis with advice, where there is something to add; loading the memory model costs more than reading a log.

    `known` is what is known of model and GPU besides, `command` the user's own where the input is not it. `whole`: with
    the whole text that the command stands in, corrected.
    """
    if command is None and not wanted(diagnosis):
        return diagnosis
    from qvl_doctor.sizing.advice import advise

    return advise(diagnosis, known, command, whole=whole)
