"""What Kubernetes says about a pod: its status, its events, the text of `kubectl describe`.

All three become the same values (`pod.py`), and from these one module (`observing.py`) makes facts and observations, so
that a rule need not know which of them a user had. What a later event proves to be over is left out: a pod that found
its node is not told that it waited.
"""

from __future__ import annotations

from qvl_doctor.model import Seen

_LONGEST = 16 * 1024 * 1024


def inspect_kubectl_output(text: str, now: float | None = None, chosen: str = "") -> Seen | None:
    """What a text of `kubectl get -o json|yaml`, `kubectl get events` or `kubectl describe` says; None if it is none of them.

    `now` is the time of the looking (seconds since 1970), where it is known; `chosen` the one pod that is asked for.
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
