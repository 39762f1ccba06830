"""A machine: looked at, or read from a file that `check --export` wrote there; and a command compared with it."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from qvl_doctor import rulebook
from qvl_doctor.diagnose.examining import examine
from qvl_doctor.diagnose.verdict import concluded, without
from qvl_doctor.launch.writing import shell_line
from qvl_doctor.machine import PROBES
from qvl_doctor.machine.export import Environment
from qvl_doctor.machine.fit_memory import gpu_of, known_of
from qvl_doctor.machine.gather import Asked, Tell, folder_of, gather, held_against, wanted
from qvl_doctor.messages import both, has
from qvl_doctor.model import Diagnosis, Fact, Facts, Rule, Text, fact_text
from qvl_doctor.report.checklist import Looked, checklist
from qvl_doctor.workflows.advice import advised
from qvl_doctor.workflows.environment import elsewhere, provenance

__all__ = ["Asked", "diagnose", "look"]


def look(asked: Asked = Asked(), tell: Tell = lambda *_: None) -> Environment:  # noqa: B008 — frozen
    """What is to be seen of this machine, with `asked.command` in mind. `tell` is called before each look."""
    looks = gather(asked, tell)
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    command = shell_line(asked.command) if asked.command else ""
    return Environment(looks, {**wanted(asked), "command": command}, made)


def diagnose(
    env: Environment,
    asked: Asked = Asked(),  # noqa: B008 — frozen
    *,
    file: str = "",
    source: str = "",
    import_test: bool = True,
    rules: Sequence[Rule] = (),
    ignore: Collection[str] = (),
) -> Diagnosis:
    """The diagnosis of what was seen, with its checklist.

    `file` is the file that it was read from, "" for this machine.

    `asked.command` is compared with a machine that was seen elsewhere; `source` names this one in the report.
    `import_test` says that it was not left out on purpose.
    """
    looks = {name: found for name, found in env.looks.items() if name in asked.only or not name}
    if file and asked.command is not None:
        looks = held_against(asked, looks, env.asked)
    seen = Environment(looks).seen()
    known = {"vllm": Fact(asked.release, "option")} if asked.release else {}
    if file:
        seen = elsewhere(env, seen)
    found = examine(file or source or both("check.source")["en"], seen, rules or rulebook.shipped(packed=True), known)
    if asked.command is not None:
        found = concluded(found, reason=_uncomputed(found.facts))
    if not found.findings and not any(look.facts for look in looks.values()):
        found = concluded(found, reason=both("check.nothing_seen"), unasked=True)
    found = without(found, ignore)
    if asked.command is not None:
        folder = "" if file else folder_of(asked)
        found = advised(found, known_of(found.facts, fact_text(found.facts, "vllm"), folder), asked.command)
    notes = provenance(env, file) if file else ()
    found = found._replace(not_checked=(*found.not_checked, *notes))
    return found._replace(checks=checklist(found, _looked(env, asked, file, import_test=import_test)))


def _uncomputed(facts: Facts) -> Text | None:
    """Why it is not known whether the command fits a GPU that is there."""
    why = fact_text(facts, "plan_unknown")
    if not why or gpu_of(facts) is None:
        return None
    key = f"check.why.fits_{why}"
    return both("check.uncomputed", why=both(key if has(key) else "check.why.fits"))


def _looked(env: Environment, asked: Asked, file: str, *, import_test: bool) -> Looked:
    seen = frozenset(PROBES) if "" in env.looks else frozenset(env.looks)
    told = asked.command is not None or bool(env.asked.get("command"))
    named = (asked.command.model or "") if asked.command is not None else ""
    return Looked(
        asked.only,
        seen | ({"command"} if told else frozenset()),
        told,
        named or env.asked.get("model", ""),
        import_test,
        file,
    )
