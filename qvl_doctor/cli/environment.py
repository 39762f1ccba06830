"""A file of `check --export`: read, and what must be said where it is used."""

from __future__ import annotations

from qvl_doctor.logs.source import InputError, read_text
from qvl_doctor.model import Fact, Seen
from qvl_doctor.probe.export import LONGEST, Environment, EnvironmentFileError, loads
from qvl_doctor.words import both


def read_environment(path: str) -> Environment:
    """What a file of `check --export` says. Raises InputError."""
    try:
        return loads(read_text(path, LONGEST))
    except EnvironmentFileError as error:
        raise InputError("error_env.unreadable", path=path, reason=str(error)) from None


def elsewhere(env: Environment, seen: Seen | None = None) -> Seen:
    """What was seen of another machine, with the facts of when and by which version."""
    facts = {"seen_at": Fact(env.made, "probe"), "seen_by": Fact(env.version, "probe")}
    return (env.seen("command") if seen is None else seen) | Seen({name: fact for name, fact in facts.items() if fact.value})


def provenance(env: Environment, path: str) -> tuple[dict[str, str], ...]:
    """What a reader must know of a file that is not about this machine: how old it is, and what of it was not believed."""
    path = "stdin" if path == "-" else path
    values = {"path": path, "made": env.made.replace("T", " ").removesuffix("Z") + " UTC", "version": env.version or "?"}
    notes = [both("check.seen_there", **values) if env.made else both("check.seen_once", **values)]
    if env.left_out:
        shown = ", ".join(env.left_out[:8]) + (" …" if len(env.left_out) > 8 else "")
        notes.append(both("check.values_left_out", path=path, names=shown))
    return tuple(notes)
