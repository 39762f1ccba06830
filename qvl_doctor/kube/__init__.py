"""What Kubernetes says about a pod: its status, its events, the text of `kubectl describe`.

All three become the same values (`pod.py`), and one module (`observing.py`) makes facts and observations of them, so
that a rule does not depend on which of them a user has. What a later event shows to be over is left out: a pod that
found its node is not said to be waiting for one.
"""

from __future__ import annotations

from qvl_doctor.model import Seen

_LONGEST = 16 * 1024 * 1024


def inspect_kubectl_output(text: str, now: float | None = None, chosen: str = "") -> Seen | None:
    """What the output of `kubectl get -o json|yaml`, `get events` or `describe` says; None if the text is none of them.

    `now` is when it was printed (seconds since 1970), if known; `chosen` is the one pod that is asked about.
    """
    from qvl_doctor.kube import describe, events, status
    from qvl_doctor.kube.observing import observe_pods
    from qvl_doctor.kube.tree import objects
    from qvl_doctor.observations import quoted

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
    seen, lines = observe_pods([pod for pod in pods if pod.name == chosen] or pods, said, now), text.split("\n")
    return seen._replace(observations=tuple(quoted(each, lines) for each in seen.observations))
