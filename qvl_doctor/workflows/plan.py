"""A command that has not been started: what is wrong with it, what memory it takes on a GPU, and what would fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qvl_doctor import rulebook
from qvl_doctor.diagnose.examining import examine
from qvl_doctor.diagnose.verdict import concluded, without
from qvl_doctor.errors import UsageError
from qvl_doctor.knowledge import newest_vllm
from qvl_doctor.launch.command import Command
from qvl_doctor.launch.observing import arguments_of, observe_command
from qvl_doctor.messages import both
from qvl_doctor.model import Diagnosis, Fact, Rule, Seen
from qvl_doctor.sizing.case import Known
from qvl_doctor.sizing.planning import planned
from qvl_doctor.workflows.advice import advised
from qvl_doctor.workflows.asked import commands_of, known_of

#: Notes of a plan that are told as they are; for the others there are rules.
_NOTES = {"card-size-nominal": "nominal", "memory-shared-with-host": "shared", "quantization-unknown": "quantization"}


def diagnose(
    command: str | Sequence[str],
    *,
    gpu: str = "",
    gpu_memory: str = "",
    vllm: str = "",
    model_dir: str = "",
    source: str = "-",
    rules: Sequence[Rule] = (),
    ignore: Collection[str] = (),
) -> Diagnosis:
    """Whether a command will start on a GPU: its words, or a text that holds it (a script, a manifest, a compose file).

    `gpu` is a name ("L4"), `gpu_memory` its size as torch sees it ("23.65GiB"); one of them is needed. Without `vllm`
    it is the newest release that is known. Raises UsageError.
    """
    release = vllm or newest_vllm()
    known = known_of(gpu, gpu_memory, model_dir, release)
    if known.gpu is None:
        raise UsageError("error_plan.no_gpu")
    commands = commands_of(command, release, source if isinstance(command, str) else "--")
    notes = [] if vllm else [both("plan.newest", release=release)]
    if len(commands) > 1:
        notes.append(both("plan.several", count=len(commands), where=commands[0].where or "1"))
    found = plan_command(commands[0], known, rules or rulebook.shipped(packed=True), source, ignore)
    return found._replace(not_checked=(*notes, *found.not_checked))


def plan_command(
    command: Command, known: Known, rules: Sequence[Rule], source: str = "-", ignore: Collection[str] = ()
) -> Diagnosis:
    """The diagnosis of a command on a GPU. Its facts are what the memory model computes.

    What that cannot compute is the reason of an unknown verdict; the rest holds anyway.
    """
    seen = observe_command(command, known.release)
    plan = planned(arguments_of(command, known.release), known, command.env)
    uncomputed, notes = plan.reason, [both(f"plan.{_NOTES[note]}") for note in plan.notes if note in _NOTES]
    card = {"gpu_name": Fact(plan.gpu, "option")} if plan.gpu else {}
    facts = {**seen.facts, "vllm": Fact(known.release, "option"), **plan.facts, **card}
    found = examine(source, Seen(facts, (*seen.observations, *plan.observations)), rules)
    found = advised(without(concluded(found, reason=uncomputed), ignore), known, command)
    told = [note for note in (*notes, *((uncomputed,) if uncomputed else ())) if note not in found.not_checked]
    return found._replace(not_checked=(*told, *found.not_checked))
