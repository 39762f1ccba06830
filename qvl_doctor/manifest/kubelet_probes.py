"""Kubernetes' probes of a container: whether they wait until a start is over, and ask what vLLM answers."""

from __future__ import annotations

from collections.abc import Iterator

from qvl_doctor.launch.pods.kserve import is_kserve
from qvl_doctor.launch.yamltext.yaml_tree import deep
from qvl_doctor.manifest.services import other_ports
from qvl_doctor.manifest.surroundings import Scene, number
from qvl_doctor.model import Record

#: The shortest start in seconds if nothing better is known: imports, profiling and graphs of a small model on a fast
#: disk.
_LEAST_START_S = 120
_OVERHEAD_S = 60
_READ_GIB_PER_S = 1.0
_DEFAULTS = {"initialDelaySeconds": 0, "periodSeconds": 10, "failureThreshold": 3}


def inspect_probes(scene: Scene) -> Iterator[Record]:
    """Observations of startup, liveness and readiness probes."""
    if scene.shape != "kubernetes":
        return
    yield from _patience(scene)
    if scene.alone and scene.port:  # otherwise a probe may be meant for another program or port
        yield from _probed(scene)


def _patience(scene: Scene) -> Iterator[Record]:
    """A liveness probe that gives up before a start can be over.

    A startup probe holds the liveness probe back until it succeeds or gives up.
    """
    kind = "startup" if scene.node.get("startupProbe") else "liveness"
    probe = deep(scene.node, f"{kind}Probe")
    if probe is None:
        return
    needed, known = _needed(scene)
    delay, period, failures = (number(probe.text(key) or default, default) for key, default in _DEFAULTS.items())
    allowed = delay + period * failures
    if allowed < needed:
        yield scene.at(
            probe,
            "probe_gives_up_early",
            name=scene.name,
            probe=kind,
            allowed=allowed,
            arithmetic=f"{delay} s + {failures} x {period} s",
            needed=f"{needed:.0f}",
            **known,
        )


def _needed(scene: Scene) -> tuple[float, dict[str, str]]:
    """Seconds that a start takes, and what that rests on: the log, the weights, or an assumption."""
    if scene.start_s:
        return scene.start_s, {"logged": f"{scene.start_s:.0f}"}
    loading = _OVERHEAD_S + scene.weights_gib / _READ_GIB_PER_S
    if loading > _LEAST_START_S:
        return loading, {"weights": f"{scene.weights_gib:.0f}", "speed": f"{_READ_GIB_PER_S:.0f}"}
    return _LEAST_START_S, {"assumed": str(_LEAST_START_S)}


def _probed(scene: Scene) -> Iterator[Record]:
    """Probes that ask a port on which nothing of this pod is known to listen, or a path that requires the key."""
    open_elsewhere = other_ports(scene)
    for kind in ("startup", "liveness", "readiness"):
        asked = deep(scene.node, f"{kind}Probe", "httpGet") or deep(scene.node, f"{kind}Probe", "tcpSocket")
        port = asked.get("port") if asked else None
        if asked is None or port is None:
            continue
        at = scene.box.port_of(port.resolved.value)
        path = asked.text("path") or ""
        if at.isdecimal() and len(at) < 6 and int(at) != scene.port:
            if at in open_elsewhere:
                continue
            yield scene.at(port, "probe_on_other_port", name=scene.name, probe=kind, asked=at, port=scene.port)
        elif path.startswith("/v1/") and _guarded(scene) and not asked.get("httpHeaders"):
            yield scene.at(asked, "probe_without_api_key", name=scene.name, probe=kind, path=path[:80])


def _guarded(scene: Scene) -> bool:
    """Whether vLLM certainly requires a key below /v1.

    With a --root-path releases differ, KServe's server has no key, and an empty key is none.
    """
    if is_kserve(scene.command) or scene.arguments.get("root_path"):
        return False
    value, _ = scene.box.variables.get("VLLM_API_KEY", (None, 0))
    empty = value is not None and value.kind == "scalar" and not value.value
    return bool(scene.arguments.get("api_key")) or ("VLLM_API_KEY" in scene.box.variables and not empty)
