"""All probes together, and what follows when what is there is held against what a command asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from qvl_doctor.model import Fact, Facts, Record, Seen
from qvl_doctor.observations import MACHINE, observe
from qvl_doctor.probe import environment, fitting, gpu, host, imports, model_fitting, model_folder, packages, starting
from qvl_doctor.probe.reading import read_object

if TYPE_CHECKING:  # what only a command needs is imported where there is one
    from qvl_doctor.launch.command import Command
    from qvl_doctor.memory.gpus import Gpu
    from qvl_doctor.memory.solver import Case

#: The probes by name, in the order in which they run. `command` is what follows from the others and the command.
PROBES = ("packages", "imports", "gpu", "host", "model", "command")
#: vLLM's workers hand each other the outputs through shared memory; Docker's default of 64 MiB is too small for several of them.
_SHM_GIB = 1.0
#: Kinds of input that start the command in a container: its paths are not those of this machine.
_CONTAINERS = ("docker", "kubernetes", "compose")


class Asked(NamedTuple):
    """What is to be looked at: the command, the interpreter, the release where none is installed, and which probes run."""

    command: Command | None = None
    python: str = ""
    release: str = ""
    model_dir: str = ""
    only: frozenset[str] = frozenset(PROBES)
    env: Mapping[str, str] = os.environ


#: Told what is looked at now: the probe's name, and of the import test the module.
Tell = Callable[[str, str], None]


def gather(asked: Asked, tell: Tell = lambda *_: None) -> dict[str, Seen]:
    """What each probe sees, by its name. `tell` is called before it runs. A probe that breaks is a fact `probe_failed_NAME` = its error."""
    looks: dict[str, Seen] = {}
    facts: dict[str, Fact] = {}
    for name, probe in _probes(asked, tell):
        if name in asked.only:
            tell(name, "")
            looks[name] = _guarded(name, probe, facts)
            facts |= looks[name].facts
    return looks


def held_against(asked: Asked, looks: Mapping[str, Seen], before: Mapping[str, str]) -> dict[str, Seen]:
    """What was seen of another machine, with `asked.command` held against it instead of the one that it was seen for.

    `before` says which model and port were looked at there: nothing is known of others.
    """
    now = wanted(asked)
    arguments = _arguments(asked)
    found = {name: look for name, look in looks.items() if name != "command" and (name != "model" or before.get("model") == now["model"])}
    if "host" in found and before.get("port") != now["port"]:
        host_facts = {name: fact for name, fact in found["host"].facts.items() if name != "port_free"}
        found["host"] = Seen(host_facts, tuple(each for each in found["host"].observations if not starting.is_about_address(each.message)))
    facts = {name: fact for look in found.values() for name, fact in look.facts.items()}
    found["command"] = _guarded("command", lambda known: _command(arguments, asked, known), facts)
    return found


def wanted(asked: Asked) -> dict[str, str]:
    """Which model and which port are looked at, as texts; "" is none."""
    arguments = _arguments(asked)
    model = asked.model_dir or str(arguments.get("model") or "")
    return {"model": model, "port": str(starting.port_of(arguments))}


def _arguments(asked: Asked) -> dict[str, Any]:
    if asked.command is None:
        return {}
    from qvl_doctor.launch.observing import arguments_of

    return arguments_of(asked.command, asked.release)


def _guarded(name: str, probe: Callable[[Facts], Seen], facts: Facts) -> Seen:
    try:
        return probe(facts)
    except Exception as error:  # noqa: BLE001  # a look that breaks must not take the others with it
        return Seen({f"probe_failed_{name}": Fact(type(error).__name__, "probe")})


def _probes(asked: Asked, tell: Tell) -> Sequence[tuple[str, Callable[[Facts], Seen]]]:
    arguments = _arguments(asked)
    return (
        ("packages", lambda _: _packages(asked)),
        ("imports", lambda facts: _imports(asked, tell, facts)),
        ("gpu", lambda facts: _gpu(arguments, asked, facts)),
        ("host", lambda facts: _host(arguments, asked, facts)),
        ("model", lambda facts: _model(arguments, asked, facts)),
        ("command", lambda facts: _command(arguments, asked, facts)),
    )


def _packages(asked: Asked) -> Seen:
    seen = packages.look(asked.python)
    return seen if "imports" in asked.only else seen | Seen(observations=tuple(packages.builds_apart(seen.facts)))


def _imports(asked: Asked, tell: Tell, facts: Facts) -> Seen:
    """The import test, and what two builds promise where it did not show the opposite."""
    seen = imports.look(asked.python, tell=lambda module: tell("imports", module))
    tried = _text(seen.facts, "import_torchvision") == "ok"
    return seen if tried else seen | Seen(observations=tuple(packages.builds_apart(facts)))


def _environment(asked: Asked) -> Mapping[str, str]:
    """The environment that the command will have: this one, and what the command sets itself."""
    return {**asked.env, **asked.command.env} if asked.command else asked.env


def _inside(asked: Asked) -> Mapping[str, str]:
    """The same, as it is inside the container where the command starts one: nothing of ours goes in by itself."""
    return asked.command.env if asked.command and _in_container(asked) else _environment(asked)


def _in_container(asked: Asked) -> bool:
    source = asked.command.source if asked.command else None
    return source is not None and source.shape in _CONTAINERS


def _gpu(arguments: Mapping[str, Any], asked: Asked, facts: Facts) -> Seen:
    """The cards, and whether the packages can run on them."""
    release, env = _release(asked, facts), _environment(asked)
    seen = gpu.look(env, gpu.Asked(*fitting.ranks(arguments), for_cpu="cpu" in release))
    known = {"vllm": Fact(release, "option")} if release else {}
    return seen | Seen(observations=tuple(fitting.of_packages({**known, **facts, **seen.facts}, env, amd=os.path.exists("/dev/kfd"))))


def _host(arguments: Mapping[str, Any], asked: Asked, facts: Facts) -> Seen:
    env = _environment(asked)
    download = "" if _in_container(asked) else str(arguments.get("download_dir") or "")
    seen = host.look(starting.port_of(arguments), str(arguments.get("host") or ""), env=env, download_dir=download)
    release = _release(asked, facts)
    refused = bool(arguments.get("fail_on_environ_validation"))
    unknown = environment.unknown_variables(_inside(asked), release, refused=refused)
    user = () if _in_container(asked) else starting.user({**facts, **seen.facts}, release)
    return seen | Seen(observations=(*starting.address(seen.facts, arguments), *user, *unknown))


def _model(arguments: Mapping[str, Any], asked: Asked, facts: Facts) -> Seen:
    """The model's files, where it is, and how it goes together with command and card. `model_place`: folder, cache, hub or nowhere."""
    name, env, release = asked.model_dir or str(arguments.get("model") or ""), _environment(asked), _release(asked, facts)
    if not name or environment.from_modelscope(env):
        return Seen()
    download = str(arguments.get("download_dir") or "")
    found = model_folder.place(name, env, str(arguments.get("revision") or ""), "" if _in_container(asked) else download)
    if not found.folder and download:
        found = model_folder.place(name, env, str(arguments.get("revision") or ""))
    seen = Seen()
    if found.folder:
        downloads = found.snapshot and not environment.offline(env)
        seen = model_folder.look(found.folder, release, _text(facts, "transformers"), arguments, downloads=downloads)
        config = read_object(os.path.join(found.folder, "config.json"))
        fits = tuple(model_fitting.observations(config, arguments, release, _text(facts, "compute_capability"), env))
        seen |= Seen({"model_compared": Fact("yes", "probe")} if config and arguments else {}, fits)
    complete = _text(seen.facts, "model_complete") == "yes"
    where = ("cache" if complete else "hub") if found.snapshot else "folder" if found.folder else "hub"
    more = {"model_place": Fact(where if found.folder or model_folder.is_repository(name) else "nowhere", "probe")}
    if found.unfinished:
        more["unfinished_downloads"] = Fact(found.unfinished, "probe")
    elsewhere = () if _in_container(asked) else tuple(starting.model(name, found, env, complete=complete))
    return seen | Seen(more, elsewhere)


def _command(arguments: Mapping[str, Any], asked: Asked, facts: Facts) -> Seen:
    """The command for the release that is there, and what it asks of cards, disk and memory."""
    if asked.command is None:
        return Seen()
    from qvl_doctor.launch.observing import observe_command
    from qvl_doctor.memory.releases import GIB
    from qvl_doctor.memory.solver import Case
    from qvl_doctor.memory.weights import weights
    from qvl_doctor.sizing.case import Known, of_arguments
    from qvl_doctor.sizing.telling import facts_of

    release = _release(asked, facts)
    seen = observe_command(asked.command, release)
    found = list(fitting.of_command(arguments, facts, release))
    ranks, _ = fitting.ranks(arguments)
    env, inside = _inside(asked), _in_container(asked)
    more: dict[str, Fact] = {}
    shm = facts["shm_gib"].value if "shm_gib" in facts else None
    if ranks > 1 and shm is not None and shm < _SHM_GIB:
        more["shm_small"] = Fact("yes", "probe")
    seen |= starting.look(arguments, facts, release, env, folders=not inside)
    found += environment.interfaces(env, "/") if ranks > 1 and not inside else ()
    case = of_arguments(arguments, Known(gpu=card_of(facts), release=release), asked.command.env)
    if isinstance(case, Case):
        needed = weights(case.shape, case.settings).tensors * case.settings.tp / GIB
        more |= {} if inside else _room(needed, facts, arguments)
        found += _free_memory(case, facts)
        more |= facts_of(case, case.plan())
    else:
        more["plan_unknown"] = Fact(case.reason, "probe")
    return seen | Seen(more, tuple(found))


def _room(needed: float, facts: Facts, arguments: Mapping[str, Any]) -> dict[str, Fact]:
    found = {"weights_needed_gib": Fact(round(needed, 1), "probe")}
    free = facts.get("download_free_gib" if arguments.get("download_dir") else "cache_free_gib")
    there = facts["weight_files_gib"].value if "weight_files_gib" in facts else 0.0  # of a download that was begun
    if _text(facts, "model_place") in {"", "hub"} and free is not None and free.value < needed - there:
        found |= {"disk_small": Fact("yes", "probe"), "disk_free_gib": free}
    return found


def _free_memory(case: Case, facts: Facts) -> list[Record]:
    """VLLM's own check of free memory, in its words, from the release on that has it."""
    if "startup_free_gib" not in facts:
        return []
    from qvl_doctor.memory.budget import start_needs
    from qvl_doctor.memory.releases import GIB

    free, total = float(facts["startup_free_gib"].value), case.gpu.total_bytes / GIB
    wanted = start_needs(case.settings, case.gpu) / GIB
    if not wanted or free >= wanted:
        return []
    asked = f"desired GPU memory utilization ({case.settings.utilization:g}, {wanted:.2f} GiB)"
    return [observe(MACHINE, f"Free memory on device ({free:.2f}/{total:.2f} GiB) on startup is less than {asked}.")]


def card_of(facts: Facts) -> Gpu | None:
    """The card that the facts describe, with the memory that is there."""
    from qvl_doctor.memory import gpus
    from qvl_doctor.memory.releases import GIB

    total = facts["total_gib"].value if "total_gib" in facts else None
    named = gpus.find(_text(facts, "gpu_name")) if "gpu_name" in facts else None
    if not total:
        return named
    from dataclasses import replace

    size = int(float(total) * GIB)
    return replace(named, total_bytes=size, nominal=False) if named else gpus.of_size(float(total))


def _release(asked: Asked, facts: Facts) -> str:
    return _text(facts, "vllm") or asked.release


def _text(facts: Facts, name: str) -> str:
    return str(facts[name].value) if name in facts else ""
