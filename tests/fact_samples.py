"""Records and lines that several tests of the facts share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qvl_doctor.logs.facts import FactReader
from qvl_doctor.logs.milestones import milestone_of
from qvl_doctor.model import Fact, Line, Record

V0_PROFILE = (
    "Memory profiling takes 12.83 seconds the current vLLM instance can use total_gpu_memory (23.65GiB) x gpu_memory_utilization (0.70) = "
    "16.55GiB model weights take 15.63GiB; non_torch_memory takes 0.08GiB; PyTorch activation peak memory takes 0.69GiB; the rest of the "
    "memory reserved for KV Cache is 0.16GiB."
)


def said(message: str, file: str = "", line: int = 0, *, number: int = 1, **more: Any) -> Record:
    return Record((Line(number, message),), message, file=file, file_line=line, **more)


def read_facts(records: Iterable[Record]) -> dict[str, Fact]:
    """The facts of all the records of one startup."""
    reader = FactReader()
    for record in records:
        reader.feed(record, milestone_of(record))
    return reader.facts()


def facts_of(*messages: str) -> dict[str, Any]:
    records = [said(message, "x.py", number=number) for number, message in enumerate(messages, 1)]
    return {name: fact.value for name, fact in read_facts(records).items() if fact.source == "log"}
