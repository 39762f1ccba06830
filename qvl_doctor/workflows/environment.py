"""A file of `check --export`: read, and what must be said where it is used."""

from __future__ import annotations

from qvl_doctor.errors import InputError
from qvl_doctor.logs.source import read_text
from qvl_doctor.machine.export import LONGEST, Environment, EnvironmentFileError, loads
from qvl_doctor.messages import both
from qvl_doctor.model import Fact, Facts, Seen, fact_text

#: What a log says of the GPU memory that it ran on, and how far two numbers for one GPU are apart at most.
_ON_A_CARD = ("total_gib", "gpu_total_gib")
_SAME_CARD = 0.03


def read(path: str) -> Environment:
    """What a file of `check --export` says. Raises InputError."""
    try:
        return loads(read_text(path, LONGEST))
    except EnvironmentFileError as error:
        raise InputError("error_env.unreadable", path=path, reason=str(error)) from None


def elsewhere(env: Environment, seen: Seen | None = None) -> Seen:
    """What was seen of another machine, with the facts of when and by which version."""
    facts = {"seen_at": Fact(env.made, "probe"), "seen_by": Fact(env.version, "probe")}
    return (env.seen("command") if seen is None else seen) | Seen(
        {name: fact for name, fact in facts.items() if fact.value}
    )


def provenance(env: Environment, path: str) -> tuple[dict[str, str], ...]:
    """What a reader must know of a file that is not about this machine.

    How old it is, and what of it was not believed.
    """
    path = "stdin" if path == "-" else path
    values = {
        "path": path,
        "made": env.made.replace("T", " ").removesuffix("Z") + " UTC",
        "version": env.version or "?",
    }
    notes = [both("check.seen_there", **values) if env.made else both("check.seen_once", **values)]
    if env.left_out:
        shown = ", ".join(env.left_out[:8]) + (" …" if len(env.left_out) > 8 else "")
        notes.append(both("check.values_left_out", path=path, names=shown))
    return tuple(notes)


def beside(env: Environment, logged: Facts, path: str) -> tuple[Seen, tuple[dict[str, str], ...]]:
    """What of a machine may be used for a log, and what a reader must know of it.

    What ran counts, and shows more than a check.
    """
    looks, notes = dict(env.looks), [*provenance(env, path)]
    seen = env.seen().facts
    release, theirs = fact_text(logged, "vllm"), fact_text(seen, "vllm")
    if release and (fact_text(seen, "vllm_installed") == "no" or (theirs and theirs != release)):
        notes.append(both("check.other_packages", logged=release, seen=theirs or both("check.none")))
        looks = {name: look for name, look in looks.items() if name not in {"packages", "imports"}}
    ran = next((float(logged[name].value) for name in _ON_A_CARD if name in logged), 0.0)
    total = float(seen["total_gib"].value) if "total_gib" in seen else 0.0
    without = "nvml" in seen and (fact_text(seen, "nvml") != "ok" or fact_text(seen, "gpu_count") == "0")
    if ran and (without or (abs(total - ran) > _SAME_CARD * ran and total)):
        notes.append(
            both("check.other_card", logged=f"{ran:.2f}", seen=f"{total:.2f} GiB" if total else both("check.none"))
        )
        looks.pop("gpu", None)
    return elsewhere(env, Environment(looks).seen("command")), tuple(notes)
