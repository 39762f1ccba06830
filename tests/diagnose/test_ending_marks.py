"""The words with which each release says that its engine is gone, or that it could not listen after all."""

from __future__ import annotations

import pytest

from qvl_doctor.diagnose.ending import EndingReader
from qvl_doctor.logs.records import read_records


@pytest.mark.parametrize(
    "line",
    [
        "ERROR 11-22 20:18:35 [client.py:305] RuntimeError('Engine process (pid 31973) died.')",
        "(APIServer pid=1) ERROR [core_client.py:564] Engine core proc EngineCore_DP0 died unexpectedly, shutting down client.",
        "(APIServer pid=1) WARNING [core_client.py:817] [shutdown] MPClient: engine core exited unexpectedly; starting cleanup",
        "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.",
        "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use",
        "vllm.engine.async_llm_engine.AsyncEngineDeadError: Background loop has errored already.",
    ],
)
def test_a_dead_engine_is_noticed(line: str) -> None:
    ending = EndingReader()
    for record in read_records(f"INFO:     Application startup complete.\n{line}\n"):
        ending.feed(record)
    assert ending.death_line == 2
    assert ending.ended(failed=False) == "abrupt"
