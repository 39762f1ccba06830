"""Variables that change what vLLM, the Hub's library and NCCL do. Values are shown only if they are not secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from qvl_doctor import knowledge
from qvl_doctor.files import listed
from qvl_doctor.knowledge.behaviors import SAYS_UNKNOWN_VARIABLES
from qvl_doctor.machine import disks
from qvl_doctor.model import Record
from qvl_doctor.observations import observe
from qvl_doctor.versions import satisfies

_PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
#: The values that the Hub's library reads as true, and those that vLLM does.
_HUB_TRUE, _TRUE = frozenset(("1", "ON", "YES", "TRUE")), frozenset(("1", "true"))
#: Variables that Kubernetes makes for a Service named vllm or vllm-something.
_SERVICE = re.compile(r"VLLM\w*_(?:SERVICE_(?:HOST|PORT\w*)|PORT(?:_\d+_\w+)?)")
_MOST_VARIABLES = 20


def facts_of(env: Mapping[str, str]) -> dict[str, object]:
    """What the environment says about the Hub. A token is never shown, only whether there is one."""
    hub = os.path.dirname(disks.hub_cache(env)) if disks.hub_cache(env) else ""
    stored = env.get("HF_TOKEN_PATH") or os.path.join(env.get("HF_HOME") or hub, "token")
    facts: dict[str, object] = {
        "hub_offline": "yes" if offline(env) else "no",
        "hub_token": "yes" if any(env.get(name) for name in _TOKENS) or os.path.isfile(stored) else "no",
    }
    if from_modelscope(env):
        facts["from_modelscope"] = "yes"
    return facts


def offline(env: Mapping[str, str]) -> bool:
    """Whether the Hub's library must not contact the Hub, by its own reading of these variables."""
    return (env.get("HF_HUB_OFFLINE") or env.get("TRANSFORMERS_OFFLINE") or "").upper() in _HUB_TRUE


def is_on(env: Mapping[str, str], name: str) -> bool:
    """Whether a variable of vLLM is switched on, as vLLM reads it."""
    return env.get(name, "").strip().lower() in _TRUE


def from_modelscope(env: Mapping[str, str]) -> bool:
    """Whether vLLM gets models from ModelScope."""
    return env.get("VLLM_USE_MODELSCOPE", "").lower() == "true"


def observations(env: Mapping[str, str]) -> Iterator[Record]:
    """Problems with the environment that affect every start."""
    port = env.get("VLLM_PORT", "")
    if "://" in port:
        yield observe("port_is_uri", port=port[:80])
    if env.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1", "NoDevFiles"}:
        yield observe("cuda_devices_hidden")
    proxies = [name for name in _PROXIES if env.get(name)]
    excluded = f"{env.get('no_proxy', '')},{env.get('NO_PROXY', '')}"
    if proxies and not any(name in excluded for name in ("localhost", "127.0.0.1", "*")):
        yield observe("localhost_through_proxy", variable=proxies[0])
    endpoint = env.get("HF_ENDPOINT", "")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        yield observe("hub_endpoint_without_scheme", endpoint=endpoint[:120])


def unknown_variables(env: Mapping[str, str], release: str, *, refused: bool = False) -> Iterator[Record]:
    """Variables that another release reads or whose name is almost one of this release's, in vLLM's words.

    Other names are ignored: plugins and people's own scripts use such variables as well. `refused`: the command turns
    them into errors.
    """
    if not release:
        return
    names = [name for name in sorted(env) if name.startswith("VLLM_") and not _SERVICE.fullmatch(name)]
    unread = [name for name in names if not knowledge.reads_variable(name, release)]
    unknown = [name for name in unread if knowledge.variable(name) or knowledge.variable_near(name, release)]
    key = "variable_refused" if refused and satisfies(release, SAYS_UNKNOWN_VARIABLES) else "variable_unknown"
    for name in unknown[:_MOST_VARIABLES]:
        yield observe(key, variable=name[:100])


def interfaces(env: Mapping[str, str], root: str) -> Iterator[Record]:
    """Network interfaces that NCCL or Gloo is told to use and that do not exist, in their words.

    This matters only with several processes.
    """
    there = [name for name in listed(os.path.join(root, "sys/class/net"), 1000) if name != "bonding_masters"]
    if not there:
        return
    wanted = env.get("NCCL_SOCKET_IFNAME", "").strip()
    if wanted and not any(_named(wanted, name) for name in there):
        yield observe("interface_not_found_by_nccl", name=wanted[:60], there=", ".join(there[:8])[:200])
    gloo = [name.strip() for name in env.get("GLOO_SOCKET_IFNAME", "").split(",") if name.strip()]
    for name in gloo[:4]:
        if name not in there:
            yield observe("interface_not_found_by_gloo", name=name[:60])


def _named(wanted: str, name: str) -> bool:
    """Whether NCCL's list names an interface: prefixes, `=` for whole names, `^` for all but these."""
    but, rest = wanted.startswith("^"), wanted.lstrip("^")
    exact, rest = rest.startswith("="), rest.lstrip("=")
    # NCCL also accepts a port after a colon.
    names = [each.partition(":")[0].strip() for each in rest.split(",")]
    return any(name == each if exact else name.startswith(each) for each in names if each) is not but
