"""Rules on records, and what follows from it: match, judge, rank."""

from qvl_doctor.diagnose.engine import Diagnosing, diagnose
from qvl_doctor.diagnose.matching import Matcher

__all__ = ["Diagnosing", "Matcher", "diagnose"]
