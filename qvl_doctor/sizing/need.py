"""Whether `advice` has anything to add to a diagnosis. It stands apart because loading the memory model costs more than reading a log."""

from __future__ import annotations

from qvl_doctor.model import Diagnosis


def wanted(diagnosis: Diagnosis) -> bool:
    """A finding about memory that is no mere symptom, or a cause whose first fix changes a command that the log shows."""
    shown = "args" in diagnosis.facts
    for finding in diagnosis.findings:
        change = finding.fixes[0].change if finding.fixes else {}
        if finding.role != "symptom" and finding.memory:
            return True
        if shown and finding.role == "cause" and (change.get("flags") or change.get("env")):
            return True
    return False
