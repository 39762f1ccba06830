"""A kubectl that knows its answers, so that a look at a pod needs no process; and a pod to be looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from qvl_doctor.errors import InputError
from qvl_doctor.kube.kubectl import Kubectl


class Cluster(Kubectl):
    """A kubectl that knows its answers by their first words, and what it was asked."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__()
        self.answers, self.asked = answers, [""][:0]

    def read(self, *words: str) -> str:
        line = " ".join(words)
        self.asked.append(line)
        found = next((answer for start, answer in self.answers.items() if line.startswith(start)), None)
        if found is None:
            raise InputError("error_kube.not_found", path=line)
        return found if isinstance(found, str) else json.dumps(found)


class Looking(Cluster):
    """One pod, its events, and the logs of its last two starts; a log that is None cannot be had."""

    def __init__(self, pod: Mapping[str, Any], log: str | None = "", before: str | None = None) -> None:
        super().__init__({"get pods": {"kind": "List", "items": [pod]}, "get events": {"kind": "List", "items": []}})
        self.logs = {"now": log, "before": before}

    def stream(self, *words: str) -> Iterator[bytes]:
        log = self.logs["before" if "--previous" in words else "now"]
        self.asked.append(" ".join(words))
        self.trouble = InputError("error_kube.failed", path="a", reason="no log") if log is None else None
        yield (log or "").encode()
