"""The rules: read from YAML and judged, put together, compiled for the wheel."""

from qvl_doctor.rulebook.book import (
    compile_book,
    complete,
    load,
    load_compiled,
    load_file,
    merge,
    read,
    rules_folder,
    shipped,
)
from qvl_doctor.rulebook.mistakes import Mistake, RuleError

__all__ = [
    "Mistake",
    "RuleError",
    "compile_book",
    "complete",
    "load",
    "load_compiled",
    "load_file",
    "merge",
    "read",
    "rules_folder",
    "shipped",
]
