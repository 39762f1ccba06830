"""Rules on records, and what follows from it: match, judge, rank."""

from qvl_doctor.diagnose.engine import Diagnosing, diagnose

__all__ = ["Diagnosing", "diagnose"]
