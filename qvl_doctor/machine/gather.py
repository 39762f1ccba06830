"""Runs all probes, and compares what they find with what a command asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from qvl_doctor.files import read_object
from qvl_doctor.machine import (
    PROBES,
    env_variables,
    fit_config,
    fit_gpus,
    fit_host,
    gpu,
    host,
    imports,
    model_folder,
    packages,
)
from qvl_doctor.model import Fact, Facts, Seen, fact_number, fact_text

if TYPE_CHECKING:  # imported only if there is a command
    from qvl_doctor.launch.command import Command

#: vLLM's workers exchange outputs through shared memory; Docker's default of 64 MiB is too small for several of them.
_SHM_GIB = 1.0
#: Kinds of input that start the command in a container: its paths are not those of this machine.
_CONTAINERS = ("docker", "kubernetes", "compose")


class Asked(NamedTuple):
    """What to inspect: the command, the interpreter, the release if none is installed, and which probes run."""

    command: Command | None = None
    python: str = ""
    release: str = ""
    model_dir: str = ""
    only: frozenset[str] = frozenset(PROBES)
    env: Mapping[str, str] = os.environ


#: Called with what is inspected now: the probe's name and, for the import test, the module.
Tell = Callable[[str, str], None]


def gather(asked: Asked, tell: Tell = lambda *_: None) -> dict[str, Seen]:
    """What each probe sees, by its name. `tell` is called first. One that breaks is a fact `probe_failed_NAME`."""
    looks: dict[str, Seen] = {}
    facts: dict[str, Fact] = {}
    for name, probe in _probes(asked, tell):
        if name in asked.only:
            tell(name, "")
            looks[name] = _guarded(name, probe, facts)
            facts |= looks[name].facts
    return looks


def held_against(asked: Asked, looks: Mapping[str, Seen], before: Mapping[str, str]) -> dict[str, Seen]:
    """What was seen of another machine, compared with `asked.command` instead of the command that it was seen for.

    `before` says which model and port were inspected there; nothing is known of others.
    """
    now = wanted(asked)
    arguments = _arguments(asked)
    found = {
        name: look
        for name, look in looks.items()
        if name != "command" and (name != "model" or before.get("model") == now["model"])
    }
    if "host" in found and before.get("port") != now["port"]:
        host_facts = {name: fact for name, fact in found["host"].facts.items() if name != "port_free"}
        found["host"] = Seen(
            host_facts,
            tuple(each for each in found["host"].observations if not fit_host.is_about_address(each)),
        )
    facts = {name: fact for look in found.values() for name, fact in look.facts.items()}
    found["command"] = _guarded("command", lambda known: _command(arguments, asked, known), facts)
    return found


def wanted(asked: Asked) -> dict[str, str]:
    """Which model and which port are inspected, as texts; "" is none."""
    arguments = _arguments(asked)
    model = asked.model_dir or str(arguments.get("model") or "")
    return {"model": model, "port": str(fit_host.port_of(arguments))}


def _arguments(asked: Asked) -> dict[str, Any]:
    if asked.command is None:
        return {}
    from qvl_doctor.launch.observing import arguments_of

    return arguments_of(asked.command, asked.release)


def _guarded(name: str, probe: Callable[[Facts], Seen], facts: Facts) -> Seen:
    try:
        return probe(facts)
    except Exception as error:  # noqa: BLE001  # a probe that breaks must not take the others with it
        return Seen({f"probe_failed_{name}": Fact(type(error).__name__, "probe")})


def _probes(asked: Asked, tell: Tell) -> Sequence[tuple[str, Callable[[Facts], Seen]]]:
    arguments = _arguments(asked)
    return (
        ("packages", lambda _: _packages(asked)),
        ("imports", lambda facts: _imports(asked, tell, facts)),
        ("gpu", lambda facts: _gpu(arguments, asked, facts)),
        ("host", lambda facts: _host(arguments, asked, facts)),
        ("model", lambda facts: _model(arguments, asked, facts)),
        ("command", lambda facts: _command(arguments, asked, facts, folder_of(asked))),
    )


def _packages(asked: Asked) -> Seen:
    seen = packages.inspect_packages(asked.python)
    return seen if "imports" in asked.only else seen | Seen(observations=tuple(packages.builds_apart(seen.facts)))


def _imports(asked: Asked, tell: Tell, facts: Facts) -> Seen:
    """The import test, and what the two builds promise unless the test showed otherwise."""
    seen = imports.inspect_imports(asked.python, tell=lambda module: tell("imports", module))
    tried = fact_text(seen.facts, "import_torchvision") == "ok"
    return seen if tried else seen | Seen(observations=tuple(packages.builds_apart(facts)))


def _environment(asked: Asked) -> Mapping[str, str]:
    """The environment that the command will have: this one, and what the command sets itself."""
    return {**asked.env, **asked.command.env} if asked.command else asked.env


def _inside(asked: Asked) -> Mapping[str, str]:
    """The same inside the container, if the command starts one: nothing of this environment is passed in by itself."""
    return asked.command.env if asked.command and _in_container(asked) else _environment(asked)


def _in_container(asked: Asked) -> bool:
    source = asked.command.source if asked.command else None
    return source is not None and source.shape in _CONTAINERS


def _gpu(arguments: Mapping[str, Any], asked: Asked, facts: Facts) -> Seen:
    """The GPUs, and whether the packages can run on them."""
    release, env = _release(asked, facts), _environment(asked)
    seen = gpu.inspect_gpus(env, gpu.Asked(*fit_gpus.ranks(arguments), for_cpu="cpu" in release))
    known = {"vllm": Fact(release, "option")} if release else {}
    return seen | Seen(
        observations=tuple(fit_gpus.of_packages({**known, **facts, **seen.facts}, env, amd=os.path.exists("/dev/kfd")))
    )


def _host(arguments: Mapping[str, Any], asked: Asked, facts: Facts) -> Seen:
    env = _environment(asked)
    download = "" if _in_container(asked) else str(arguments.get("download_dir") or "")
    seen = host.inspect_host(
        fit_host.port_of(arguments), str(arguments.get("host") or ""), env=env, download_dir=download
    )
    release = _release(asked, facts)
    refused = bool(arguments.get("fail_on_environ_validation"))
    unknown = env_variables.unknown_variables(_inside(asked), release, refused=refused)
    user = () if _in_container(asked) else fit_host.user({**facts, **seen.facts}, release)
    return seen | Seen(observations=(*fit_host.address(seen.facts, arguments), *user, *unknown))


def _model(arguments: Mapping[str, Any], asked: Asked, facts: Facts) -> Seen:
    """The model's files and how they fit command and GPU. The fact `model_place`: folder, cache, hub or nowhere."""
    name, env, release = _model_name(arguments, asked), _environment(asked), _release(asked, facts)
    found = _place(arguments, asked)
    if found is None:
        return Seen()
    seen = Seen()
    if found.folder:
        downloads = found.snapshot and not env_variables.offline(env)
        seen = model_folder.inspect_model_folder(
            found.folder, release, fact_text(facts, "transformers"), arguments, downloads=downloads
        )
        config = read_object(os.path.join(found.folder, "config.json"))
        fits = tuple(fit_config.observations(config, arguments, release, fact_text(facts, "compute_capability"), env))
        seen |= Seen({"model_compared": Fact("yes", "probe")} if config and arguments else {}, fits)
    complete = fact_text(seen.facts, "model_complete") == "yes"
    where = ("cache" if complete else "hub") if found.snapshot else "folder" if found.folder else "hub"
    more = {"model_place": Fact(where if found.folder or model_folder.is_repository(name) else "nowhere", "probe")}
    if found.unfinished:
        more["unfinished_downloads"] = Fact(found.unfinished, "probe")
    elsewhere = () if _in_container(asked) else tuple(fit_host.model(name, found, env, complete=complete))
    return seen | Seen(more, elsewhere)


def _model_name(arguments: Mapping[str, Any], asked: Asked) -> str:
    return asked.model_dir or str(arguments.get("model") or "")


def _place(arguments: Mapping[str, Any], asked: Asked) -> model_folder.Place | None:
    """Where the model is that vLLM will load; None if none is named or its source is not inspected."""
    name, env, revision = _model_name(arguments, asked), _environment(asked), str(arguments.get("revision") or "")
    if not name or env_variables.from_modelscope(env):
        return None
    download = "" if _in_container(asked) else str(arguments.get("download_dir") or "")
    found = model_folder.place(name, env, revision, download)
    return found if found.folder or not download else model_folder.place(name, env, revision)


def folder_of(asked: Asked) -> str:
    """The model's directory on this machine, "" if it is not here."""
    found = _place(_arguments(asked), asked)
    return found.folder if found else ""


def _command(arguments: Mapping[str, Any], asked: Asked, facts: Facts, folder: str = "") -> Seen:
    """The command for the installed release, and what it asks of GPUs, disk and memory. `folder`: the model's here."""
    if asked.command is None:
        return Seen()
    from qvl_doctor.launch.observing import observe_command
    from qvl_doctor.machine import fit_memory

    release, env, inside, ranks = (
        _release(asked, facts),
        _inside(asked),
        _in_container(asked),
        fit_gpus.ranks(arguments)[0],
    )
    more: dict[str, Fact] = {}
    shm = fact_number(facts, "shm_gib")
    if ranks > 1 and shm is not None and shm < _SHM_GIB:
        more["shm_small"] = Fact("yes", "probe")
    found = [*fit_gpus.of_command(arguments, facts, release)]
    found += env_variables.interfaces(env, "/") if ranks > 1 and not inside else ()
    seen = observe_command(asked.command, release) | fit_host.inspect_host_fit(
        arguments, facts, release, env, folders=not inside
    )
    known = fit_memory.known_of(facts, release, folder)
    return (
        seen
        | Seen(more, tuple(found))
        | fit_memory.inspect_memory_fit(arguments, known, facts, asked.command.env, room=not inside)
    )


def _release(asked: Asked, facts: Facts) -> str:
    return fact_text(facts, "vllm") or asked.release
