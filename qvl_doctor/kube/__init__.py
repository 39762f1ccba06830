"""What Kubernetes says about a pod: its status, its events, the text of `kubectl describe`.

All three become the same values (`pod.py`), and from these one module (`telling.py`) makes facts and observations, so
that a rule need not know which of them a user had. What a later event proves to be over is left out: a pod that found
its node is not told that it waited.
"""

from __future__ import annotations

from qvl_doctor.diagnose.verdict import POD, concluded
from qvl_doctor.messages import both
from qvl_doctor.model import Diagnosis, Seen, fact_text

_LONGEST = 16 * 1024 * 1024


def look(text: str, now: float | None = None, chosen: str = "") -> Seen | None:
    """What a text of `kubectl get -o json|yaml`, `kubectl get events` or `kubectl describe` says; None if it is none of them.

    `now` is the time of the looking (seconds since 1970), where it is known; `chosen` the one pod that is asked for.
    """
    from qvl_doctor.kube import describe, events, status
    from qvl_doctor.kube.observing import tell
    from qvl_doctor.kube.tree import objects

    text = text[:_LONGEST]
    if describe.is_described(text):
        pods, said = describe.read_described(text)
    elif events.is_table(text):
        pods, said = [], events.read_table(text)
    else:
        found = objects(text)
        pods, said = status.read_pods(found), events.read_events(found)
    if not pods and not said:
        return None
    return tell([pod for pod in pods if pod.name == chosen] or pods, said, now)


def retold(found: Diagnosis) -> Diagnosis:
    """A diagnosis of what `look` saw, without a log: it is about what is, not about what a start would be."""
    ready = fact_text(found.facts, "pod_ready") == "yes"
    phase = fact_text(found.facts, "pod_phase") or "?"
    return concluded(found, kind=POD, ready=ready, reason=both("kube.silent", phase=phase))
