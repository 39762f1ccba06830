"""Compares the host with the command: does the machine allow what this start needs? In the words of who refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qvl_doctor.knowledge import behaviors, defaults
from qvl_doctor.knowledge.releases import plain
from qvl_doctor.machine import disks, env_variables
from qvl_doctor.machine.fit_gpus import ranks
from qvl_doctor.machine.model_folder import Place, is_repository
from qvl_doctor.model import Fact, Facts, Record, Seen, fact_number, fact_text
from qvl_doctor.observations import key_of, observe
from qvl_doctor.values import as_number
from qvl_doctor.versions import satisfies

#: The largest part of the host's memory that vLLM allows for its swap space.
_SWAP_SHARE = 0.7
#: Variables that switch off a path between GPUs → that path.
_WAYS = {"NCCL_P2P_DISABLE": "peer to peer", "NCCL_SHM_DISABLE": "shared memory"}


def port_of(arguments: Mapping[str, Any]) -> int:
    """The port of the server that the command starts."""
    port = arguments.get("port")
    return port if isinstance(port, int) and not isinstance(port, bool) else defaults.PORT


def address(facts: Facts, arguments: Mapping[str, Any]) -> Iterator[Record]:
    """Why the server's address cannot be bound."""
    if arguments.get("uds"):
        return
    state, port = facts["port_free"].value, port_of(arguments)
    host = str(arguments.get("host") or "0.0.0.0")[:60]  # noqa: S104
    if state == "no":
        yield observe("port_in_use", port=port)
    elif state == "not-permitted":
        yield observe("port_not_permitted", host=host, port=port)
    elif state == "no-such-address":
        yield observe("address_not_here", host=host, port=port)


def is_about_address(record: Record) -> bool:
    """Whether an observation is one of `address`."""
    return key_of(record) in {"port_in_use", "port_not_permitted", "address_not_here"}


def model(name: str, found: Place, env: Mapping[str, str], *, complete: bool) -> Iterator[Record]:
    """A model that is not on this machine: whether vLLM will be able to get it."""
    if "://" in name or complete or env_variables.from_modelscope(env):
        return
    if not found.folder and not is_repository(name) and not _is_reference(name):
        yield observe("model_name_refused", name=name[:290])
    elif (found.snapshot or (not found.folder and is_repository(name))) and env_variables.offline(env):
        yield observe("model_cached_in_part" if found.folder else "model_not_cached", model=name[:120])


def user(facts: Facts, release: str) -> Iterator[Record]:
    """A user without a name.

    Fatal, in Python's words, if an import already asks for it; otherwise it depends on what is compiled.
    """
    if "user_id_without_name" not in facts:
        return
    number = facts["user_id_without_name"].value
    if (
        release
        and satisfies(release, behaviors.ASKS_FOR_USER)
        and satisfies(fact_text(facts, "torch"), behaviors.TORCH_NEEDS_USER)
    ):
        yield observe("user_of_no_name", uid=number)
    else:
        yield observe("user_without_name", uid=number)


def _is_reference(name: str) -> bool:
    """Whether this is a GGUF file in a repository, as newer releases take it: owner/name:file."""
    return ":" in name and not name.startswith((".", "/", "~"))


def inspect_host_fit(
    arguments: Mapping[str, Any], facts: Facts, release: str, env: Mapping[str, str], *, folders: bool = True
) -> Seen:
    """Everything else that follows from host and command. `folders`: the paths are this machine's, no container's."""
    more: dict[str, Fact] = {}
    ways = [way for name, way in _WAYS.items() if env.get(name) == "1"]
    if ranks(arguments)[0] > 1 and ways:
        more["nccl_off"] = Fact(" and ".join(ways), "probe")
    found = [*_allocator(arguments, release, env), *_swap(arguments, facts, release)]
    found += [*_downloads(facts, arguments, env), *_compiles(arguments, facts, release, env)] if folders else []
    if facts.get("wsl") and release and _without_pinned_memory(release, env):
        found.append(observe("pinned_memory_off"))
    return Seen(more, tuple(found))


def _downloads(facts: Facts, arguments: Mapping[str, Any], env: Mapping[str, str]) -> Iterator[Record]:
    """A model that still has to be downloaded into a directory that is not writable or full."""
    if fact_text(facts, "model_place") != "hub" or env_variables.offline(env) or env_variables.from_modelscope(env):
        return
    for name, path in (("cache", disks.hub_cache(env)), ("download", str(arguments.get("download_dir") or ""))):
        if fact_text(facts, f"{name}_writable") == "no":
            yield observe("download_not_permitted", path=path.replace(" ", "_")[:280])
            return
        if fact_text(facts, f"{name}_full"):
            yield disks.no_room(disks.existing(path), fact_text(facts, f"{name}_full"))
            return


def _compiles(arguments: Mapping[str, Any], facts: Facts, release: str, env: Mapping[str, str]) -> Iterator[Record]:
    """The V1 engine keeps what it compiles in a directory that it creates itself."""
    if (
        not release
        or not satisfies(release, f">={plain(defaults.ENGINE[-1][0])}")
        or fact_text(facts, "vllm_cache_writable") != "no"
    ):
        return
    off = arguments.get("enforce_eager") or env.get("VLLM_USE_V1") == "0" or env.get("VLLM_DISABLE_COMPILE_CACHE")
    level = arguments.get("optimization_level")
    if not off and level in {None, 2, 3} and not arguments.get("compilation_config"):
        yield observe("cache_not_writable", path=disks.vllm_cache(env)[:290])


def _allocator(arguments: Mapping[str, Any], release: str, env: Mapping[str, str]) -> Iterator[Record]:
    if "expandable_segments:True" not in env.get("PYTORCH_CUDA_ALLOC_CONF", "") or not release:
        return
    sleep, transfer = bool(arguments.get("enable_sleep_mode")), arguments.get("kv_transfer_config")
    if sleep and satisfies(release, behaviors.SLEEP_REFUSES_SEGMENTS):
        yield observe("segments_with_sleep_mode")
    connector = transfer.get("kv_connector") if isinstance(transfer, Mapping) else None
    exempt = sleep or bool(arguments.get("enable_cumem_allocator"))
    if connector and not exempt and satisfies(release, behaviors.CONNECTOR_REFUSES_SEGMENTS):
        yield observe("segments_with_connector", connector=str(connector)[:60])


def _swap(arguments: Mapping[str, Any], facts: Facts, release: str) -> Iterator[Record]:
    ram, swap = fact_number(facts, "ram_gib"), as_number(arguments.get("swap_space"))
    if ram is None or not release or not satisfies(release, f"<{plain(defaults.SWAP_WENT)}"):
        return
    asked = (defaults.SWAP_GIB if swap is None else swap) * ranks(arguments)[1]
    if asked > _SWAP_SHARE * ram:
        yield observe("swap_space_large", asked=f"{asked:.2f}", total=f"{ram:.2f}")


def _without_pinned_memory(release: str, env: Mapping[str, str]) -> bool:
    return satisfies(release, behaviors.NO_PINNED_MEMORY_IN_WSL) or not env_variables.is_on(
        env, "VLLM_WSL2_ENABLE_PIN_MEMORY"
    )
